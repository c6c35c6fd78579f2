//! The audit trail: who did what, when and where, in one record or in all.

use salus_api::{AuditRow, ErrorKind, Event, Request, Response, VerifyReport};

use super::patients::thousands;
use super::{Answer, Go, Page, Seek, page_rows, record_rows};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::detail::{Detail, Line};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::{CallId, Size};
use crate::subject::short_id;
use crate::table::{self, Cell, Column, Cursor};
use crate::theme::Tone;

/// Entries asked for: newest first, more than anyone scrolls through (a guess).
const MAX_ROWS: u32 = 1_000;
/// Longest filter, bytes (a guess).
const MAX_FILTER_BYTES: usize = 128;
/// Problems listed after a verification; the command line lists all.
const MAX_PROBLEMS: usize = 200;
/// Rows above the list: title, headings.
const ROWS_ABOVE: u16 = 2;
/// Rows below the list: a line, and the entry under the cursor.
const ROWS_BELOW: u16 = 3;

const OF_RECORD: &[Column] = &[
    Column::fixed("When", 16),
    Column::share("Who", 3),
    Column::share("Clinic", 3),
    Column::fixed("What", 9),
    Column::fixed("Scope", 12).from(100),
    Column::share("Summary", 6),
];
const OF_EVERYTHING: &[Column] = &[
    Column::fixed("When", 16),
    Column::share("Who", 3),
    Column::share("Clinic", 3).from(100),
    Column::share("Patient", 4),
    Column::fixed("What", 9),
    Column::share("Summary", 5),
];

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Audit {
    /// The record; absent for everything.
    patient: Option<String>,
    /// Whether only who saw, received or exported the record is listed.
    accesses: bool,
    rows: Vec<AuditRow>,
    cursor: Cursor,
    filter: Input,
    filtering: bool,
    /// An entry, or what verification found, shown by itself.
    shown: Option<(Detail, usize)>,
    waiting: Option<CallId>,
    verifying: Option<CallId>,
    verified: Option<VerifyReport>,
    loaded: bool,
    stale: bool,
}

impl Audit {
    /// The audit trail of one record.
    pub fn of_record(desk: &mut Desk, patient: String) -> Self {
        Self::open(desk, Some(patient))
    }

    /// The audit trail of everything.
    pub fn of_everything(desk: &mut Desk) -> Self {
        Self::open(desk, None)
    }

    fn open(desk: &mut Desk, patient: Option<String>) -> Self {
        let mut page = Self {
            patient,
            accesses: false,
            rows: Vec::new(),
            cursor: Cursor::default(),
            filter: Input::new(MAX_FILTER_BYTES),
            filtering: false,
            shown: None,
            waiting: None,
            verifying: None,
            verified: None,
            loaded: false,
            stale: false,
        };
        page.ask(desk);
        page
    }

    fn ask(&mut self, desk: &mut Desk) {
        desk.cancel(self.waiting);
        let request = match &self.patient {
            Some(patient) if self.accesses => Request::AuditAccesses {
                patient: patient.clone(),
            },
            patient => Request::AuditLog {
                patient: patient.clone(),
                limit: MAX_ROWS,
            },
        };
        self.waiting = Some(desk.call(request));
        self.stale = false;
    }

    fn words(&self) -> Vec<String> {
        self.filter
            .text()
            .split_whitespace()
            .map(str::to_lowercase)
            .collect()
    }

    /// The rows that the filter leaves.
    fn matching(&self) -> Vec<&AuditRow> {
        let words = self.words();
        let has = |row: &AuditRow, word: &str| {
            let scope = row.scope.as_deref().unwrap_or("");
            let patient = row.patient.as_deref().unwrap_or("");
            let fields = [
                &row.actor,
                &row.clinic,
                &row.kind,
                scope,
                patient,
                &row.hash,
            ];
            fields
                .into_iter()
                .chain(row.summary.iter().map(String::as_str))
                .chain(void(row).as_deref())
                .any(|f| f.to_lowercase().contains(word))
        };
        self.rows
            .iter()
            .filter(|r| words.iter().all(|w| has(r, w)))
            .collect()
    }

    /// Rows of air at the top, where no record's lines stand there.
    fn top(&self) -> u16 {
        u16::from(self.patient.is_none())
    }

    fn area(&self, size: Size) -> (u16, u16) {
        let rows = if self.patient.is_some() {
            record_rows(size)
        } else {
            page_rows(size)
        };
        (
            size.width.saturating_sub(4),
            rows.saturating_sub(self.top()),
        )
    }

    fn verdict(&mut self, report: VerifyReport, desk: &mut Desk) {
        let n = report.problems.len();
        if report.ok && n == 0 {
            desk.say("Verified: everything is as it was signed.");
        } else {
            let mut lines: Vec<Line> = Vec::new();
            for problem in report.problems.iter().take(MAX_PROBLEMS) {
                let place = format!("log {} seq {}", short_id(&problem.log), problem.seq);
                lines.push(Line::Text(problem.what.clone()));
                lines.push(Line::Field("", place, Tone::Dim));
            }
            lines.push(Line::Blank);
            lines.push(Line::Text(
                "What is intact stays usable. `salus audit verify` lists everything.".into(),
            ));
            let title = format!(
                "! Verification found {n} problem{}",
                if n == 1 { "" } else { "s" }
            );
            self.shown = Some((Detail { title, lines }, 0));
        }
        self.verified = Some(report);
    }
}

/// Says that an entry does not count, and why; nothing where it counts.
fn void(row: &AuditRow) -> Option<String> {
    let why = row.void.as_ref()?;
    Some(format!("does not count: {why}"))
}

fn entry(row: &AuditRow, desk: &Desk) -> Detail {
    let mut lines = Vec::new();
    if let Some(why) = &row.void {
        lines.push(Line::Field("DOES NOT COUNT", why.clone(), Tone::Danger));
        lines.push(Line::Blank);
    }
    let mut field = |label, value: &str| {
        if !value.is_empty() {
            lines.push(Line::Field(label, value.to_owned(), Tone::Text));
        }
    };
    field("Who", &row.actor);
    field("Clinic", &row.clinic);
    field("When", &desk.clock.at(row.time_ms));
    field("What", &row.kind);
    field("Scope", row.scope.as_deref().unwrap_or(""));
    field("Patient", row.patient.as_deref().unwrap_or(""));
    field("Entry", &row.hash);
    field("Log", &row.log);
    field("Chain", &row.chain);
    field("Place in chain", &row.seq.to_string());
    lines.push(Line::Blank);
    lines.push(Line::Heading("What changed".into()));
    if row.summary.is_empty() {
        lines.push(Line::Text("Nothing that this clinic can read.".into()));
    }
    lines.extend(row.summary.iter().cloned().map(Line::Text));
    Detail {
        title: format!("{} by {}", row.kind, row.actor),
        lines,
    }
}

impl Page for Audit {
    fn context(&self) -> Context {
        match (self.filtering, &self.shown) {
            (true, _) => Context::Filter,
            (false, Some(_)) => Context::Item,
            (false, None) if self.patient.is_some() => Context::RecordAudit,
            (false, None) => Context::Audit,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        let (width, height) = self.area(desk.size);
        match action {
            Action::Back if self.filtering => {
                self.filtering = false;
                self.filter.clear();
            }
            Action::Back if self.shown.is_some() => self.shown = None,
            Action::Back if !self.filter.text().is_empty() => self.filter.clear(),
            Action::Back => {
                desk.cancel(self.verifying);
                return Go::Back;
            }
            Action::Filter => self.filtering = true,
            Action::KeepFilter => self.filtering = false,
            Action::Reload => self.ask(desk),
            Action::Accesses => {
                self.accesses = !self.accesses;
                self.rows.clear();
                self.cursor = Cursor::default();
                self.loaded = false;
                self.ask(desk);
            }
            Action::AsItWas => {
                let marked = self.matching().get(self.cursor.at).map(|r| r.hash.clone());
                if let Some(hash) = marked {
                    desk.cancel(self.verifying);
                    return Go::BackTo(Seek::AsItWas(hash));
                }
            }
            Action::Verify if self.verifying.is_none() => {
                let patient = self.patient.clone();
                self.verifying = Some(desk.call(Request::AuditVerify { patient }));
                self.verified = None;
            }
            Action::OpenEntry => {
                let shown = self
                    .matching()
                    .get(self.cursor.at)
                    .map(|row| entry(row, desk));
                self.shown = shown.map(|detail| (detail, 0));
            }
            _ => {
                if let Some((detail, scroll)) = &mut self.shown {
                    let last = detail.max_scroll(width, height);
                    let mut cursor = Cursor { at: *scroll };
                    cursor.act(action, last + 1, usize::from(height.saturating_sub(2)));
                    *scroll = cursor.at;
                    return Go::Stay;
                }
                let (len, page) = (
                    self.matching().len(),
                    height.saturating_sub(ROWS_ABOVE + ROWS_BELOW),
                );
                let moved = self.cursor.act(action, len, usize::from(page));
                if !moved && self.filtering && self.filter.act(action) {
                    self.cursor = Cursor::default();
                }
            }
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        self.filter.insert(text);
        self.cursor = Cursor::default();
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.verifying == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.verifying == Some(call) {
            self.verifying = None;
        } else {
            self.waiting = None;
            self.loaded = true;
        }
        match answer {
            Ok(Response::Audit(rows)) => {
                let at = self.matching().get(self.cursor.at).map(|r| r.hash.clone());
                self.rows = rows;
                let matching = self.matching();
                let same = at.and_then(|hash| matching.iter().position(|r| r.hash == hash));
                let len = matching.len();
                self.cursor.at = same.unwrap_or(self.cursor.at);
                self.cursor.clamp(len);
            }
            Ok(Response::Verified(report)) => self.verdict(report, desk),
            Ok(_) => {}
            // The record was erased, or is not shared with this clinic any more: nothing of it stays on the screen.
            Err(error) if error.kind == ErrorKind::NotFound => {
                desk.fail(error);
                return Go::Back;
            }
            Err(error) => desk.fail(error),
        }
        Go::Stay
    }

    fn event(&mut self, _desk: &mut Desk, event: &Event) {
        if let Event::PatientsChanged(ids) = event {
            self.stale |= self.patient.as_ref().is_none_or(|p| ids.contains(p));
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if self.stale && self.waiting.is_none() {
            self.ask(desk);
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.below(self.top());
        let mut area = area.inset(1);
        if let Some((detail, scroll)) = &self.shown {
            detail.view(&mut area.inset(1), *scroll);
            return;
        }
        let matching = self.matching();
        self.view_title(&mut area, matching.len());
        let columns = if self.patient.is_some() {
            OF_RECORD
        } else {
            OF_EVERYTHING
        };
        table::headings(&mut area, 1, columns);
        let rows = area.height().saturating_sub(ROWS_ABOVE + ROWS_BELOW);
        let mut list = area.below(ROWS_ABOVE);
        if matching.is_empty() && self.loaded {
            list.put(2, 0, "No entries.", Tone::Dim);
        }
        let words = self.words();
        let first = table::first_shown(self.cursor.at, matching.len(), rows);
        for (y, (n, row)) in (0..rows).zip(matching.iter().enumerate().skip(first)) {
            table::row_matching(&mut list, y, columns, &self.cells(row, desk), &words);
            if n == self.cursor.at {
                list.select(y, true);
            }
        }
        if let Some(row) = matching.get(self.cursor.at) {
            list.rule(rows);
            let whole = [&row.actor, "at", &row.clinic, "·", &row.kind].join(" ");
            let scope = row
                .scope
                .as_deref()
                .map(|s| format!(" {s}"))
                .unwrap_or_default();
            let whole = format!("{whole}{scope} · entry {}", short_id(&row.hash));
            list.put(2, rows + 1, &whole, Tone::Dim);
            let mut said: Vec<(String, Tone)> =
                void(row).map(|v| (v, Tone::Danger)).into_iter().collect();
            said.extend(row.summary.iter().map(|line| (line.clone(), Tone::Text)));
            list.put_joined(2, rows + 2, &said);
        }
    }

    fn is_about_a_record(&self) -> bool {
        self.patient.is_some()
    }
}

impl Audit {
    fn cells(&self, row: &AuditRow, desk: &Desk) -> Vec<Cell> {
        let when = Cell::new(desk.clock.at(row.time_ms), Tone::Dim);
        let who = Cell::new(row.actor.clone(), Tone::Text);
        let clinic = Cell::new(row.clinic.clone(), Tone::Text);
        let what = Cell::new(row.kind.clone(), Tone::Text);
        let said = match row.summary.as_slice() {
            [] => "sealed".to_owned(),
            lines => lines.join(" · "),
        };
        let (summary, tone) = match (void(row), row.summary.is_empty()) {
            (Some(void), _) => (format!("! {void} · {said}"), Tone::Danger),
            (None, true) => (said, Tone::Dim),
            (None, false) => (said, Tone::Text),
        };
        let summary = Cell::new(summary, tone);
        if self.patient.is_some() {
            let scope = row.scope.clone().unwrap_or_default();
            return vec![
                when,
                who,
                clinic,
                what,
                Cell::new(scope, Tone::Dim),
                summary,
            ];
        }
        let patient = row.patient.clone().unwrap_or_default();
        vec![
            when,
            who,
            clinic,
            Cell::new(patient, Tone::Strong),
            what,
            summary,
        ]
    }

    fn view_title(&self, area: &mut Canvas<'_>, shown: usize) {
        let end = area.width();
        let (state, tone) = match (&self.verifying, &self.verified) {
            (Some(_), _) => ("verifying…".to_owned(), Tone::Caution),
            (None, Some(report)) if report.ok => {
                let (logs, entries) = (thousands(report.logs), thousands(report.entries));
                (
                    format!("✓ {entries} entries in {logs} logs verified"),
                    Tone::Good,
                )
            }
            (None, Some(report)) => (
                format!("! {} problems", report.problems.len()),
                Tone::Danger,
            ),
            (None, None) if !self.loaded => ("reading…".to_owned(), Tone::Dim),
            (None, None) => {
                let newest = self.rows.len() >= MAX_ROWS as usize;
                let newest = if newest { "newest " } else { "" };
                (
                    match shown {
                        1 => "1 entry".to_owned(),
                        n => format!("{newest}{} entries", thousands(n as u64)),
                    },
                    Tone::Dim,
                )
            }
        };
        let at = area.put_right(end, 0, &state, tone);
        if self.filtering || !self.filter.text().is_empty() {
            let label = if self.filtering {
                Tone::Accent
            } else {
                Tone::Dim
            };
            area.put(1, 0, "Filter", label);
            self.filter
                .view(area, 8, 0, at.saturating_sub(10), self.filtering);
            return;
        }
        let title = match self.patient {
            Some(_) if self.accesses => "Who saw, received or exported this record",
            Some(_) => "Who did what with this record",
            None => "Who did what, in all records",
        };
        area.put(1, 0, title, Tone::Accent);
    }
}
