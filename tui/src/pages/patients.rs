//! The patient list: type, and it narrows.

use salus_api::{Event, PatientRow, Request, Response};

use super::{Answer, Audit, Go, Page, Question, Record, Register, Screen, Sync, Then, page_rows};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::subject::{row_name, short_id};
use crate::table::{self, Cell, Column, Cursor};
use crate::theme::Tone;

/// Longest search, bytes (a guess: several words of any script).
const MAX_SEARCH_BYTES: usize = 256;
/// Rows asked for at once: more than anyone reads; the search narrows instead.
const MAX_ROWS: u32 = 500;
/// Rows above the list: the search line, a blank one, the headings.
const ROWS_ABOVE: u16 = 4;

const COLUMNS: &[Column] = &[
    Column::share("Name", 1),
    Column::fixed("Born", 10),
    Column::fixed("Age", 5).right(),
    Column::fixed("Sex", 3),
    Column::fixed("MRN", 10),
    Column::fixed("Updated", 10),
    Column::fixed("Id", 8).from(100),
];

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Patients {
    search: Input,
    /// Whether letters are typed into the search rather than being commands.
    typing: bool,
    rows: Vec<PatientRow>,
    /// The search that the rows belong to.
    rows_of: String,
    cursor: Cursor,
    /// The newest question; answers to earlier ones are dropped.
    waiting: Option<CallId>,
    /// The search that it was about.
    asked: String,
    /// Enter was pressed before the rows of this search had come.
    hasty: bool,
    /// Whether the first answer has come.
    loaded: bool,
    /// Something changed since the question was asked.
    stale: bool,
    asked_ms: u64,
}

impl Patients {
    /// The page with all patients, asked for.
    pub fn open(desk: &mut Desk) -> Self {
        let mut page = Self {
            search: Input::new(MAX_SEARCH_BYTES),
            typing: true,
            rows: Vec::new(),
            rows_of: String::new(),
            cursor: Cursor::default(),
            waiting: None,
            asked: String::new(),
            hasty: false,
            loaded: false,
            stale: false,
            asked_ms: 0,
        };
        page.ask(desk);
        page
    }

    fn ask(&mut self, desk: &mut Desk) {
        desk.cancel(self.waiting);
        let text = self.search.text().trim().to_owned();
        self.asked.clone_from(&text);
        self.waiting = Some(desk.call(Request::PatientFind {
            text,
            limit: MAX_ROWS,
        }));
        self.asked_ms = desk.clock.now_ms;
        self.stale = false;
    }

    fn searched(&mut self, desk: &mut Desk) {
        self.cursor = Cursor::default();
        self.hasty = false;
        self.ask(desk);
    }

    fn open_row(&self, desk: &mut Desk) -> Go {
        match self.rows.get(self.cursor.at) {
            Some(row) => Go::open(Screen::Record(Box::new(Record::open(desk, row)))),
            None => Go::Stay,
        }
    }

    fn words(&self) -> Vec<String> {
        self.search
            .text()
            .split_whitespace()
            .map(str::to_lowercase)
            .collect()
    }

    fn count(&self, desk: &Desk) -> String {
        let total = desk.status.as_ref().and_then(|s| s.patients);
        let shown = self.rows.len() as u64;
        let capped = shown >= u64::from(MAX_ROWS);
        match total {
            Some(total) if self.search.text().trim().is_empty() && shown >= total => {
                format!("{} patients", thousands(total))
            }
            Some(total) if capped => {
                format!(
                    "first {} of {} · type to narrow",
                    thousands(shown),
                    thousands(total)
                )
            }
            Some(total) => format!("{} of {}", thousands(shown), thousands(total)),
            None if capped => format!("first {} · type to narrow", thousands(shown)),
            None => thousands(shown),
        }
    }
}

/// A FHIR sex in one letter; the record says it in full.
fn sex_letter(sex: &str) -> &'static str {
    match sex {
        "female" => "F",
        "male" => "M",
        "other" => "O",
        _ => "?",
    }
}

/// `12,345`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl Page for Patients {
    fn context(&self) -> Context {
        if self.typing {
            Context::Search
        } else {
            Context::Patients
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        let page = usize::from(page_rows(desk.size).saturating_sub(ROWS_ABOVE));
        match action {
            Action::OpenPatient => {
                // Never the row of an earlier search: a fast typist would open somebody else's record.
                if self.rows_of == self.search.text().trim() {
                    return self.open_row(desk);
                }
                self.hasty = self.waiting.is_some();
            }
            Action::Search => self.typing = true,
            Action::Commands => {
                if self.search.text().is_empty() {
                    self.typing = false;
                } else {
                    self.search.clear();
                    self.searched(desk);
                }
            }
            Action::NewPatient => return Go::open(Screen::Register(Register::new())),
            Action::OpenAudit => return Go::open(Screen::Audit(Audit::of_everything(desk))),
            Action::OpenSync => return Go::open(Screen::Sync(Sync::open(desk))),
            Action::Reload => self.ask(desk),
            Action::Back => {
                return Go::Ask(Question::new(
                    "Leave Salus?",
                    "",
                    "Leave",
                    "Stay",
                    Then::Quit,
                ));
            }
            _ if self.cursor.act(action, self.rows.len(), page) => {}
            _ if self.typing && self.search.act(action) => self.searched(desk),
            _ => {}
        }
        Go::Stay
    }

    fn typed(&mut self, desk: &mut Desk, text: &str) -> Go {
        self.search.insert(text);
        self.searched(desk);
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        self.waiting = None;
        match answer {
            Ok(Response::Patients(rows)) => {
                // Read again because something changed: the cursor stays on its patient, wherever that is now.
                let at = self.rows.get(self.cursor.at).map(|r| r.id.clone());
                let same = at.and_then(|id| rows.iter().position(|r| r.id == id));
                if self.asked == self.rows_of {
                    self.cursor.at = same.unwrap_or(self.cursor.at);
                }
                self.rows = rows;
                self.rows_of.clone_from(&self.asked);
                self.loaded = true;
                self.cursor.clamp(self.rows.len());
                // Only where there is no doubt who is meant; else the list is seen first.
                if std::mem::take(&mut self.hasty) && self.rows.len() == 1 {
                    return self.open_row(desk);
                }
            }
            Ok(_) => {}
            Err(error) => desk.fail(error),
        }
        Go::Stay
    }

    fn event(&mut self, desk: &mut Desk, event: &Event) {
        if matches!(event, Event::PatientsChanged(_)) {
            // At once, but at most once a second: a sync reports thousands of changes.
            self.stale = true;
            if self.asked_ms != desk.clock.now_ms && self.waiting.is_none() {
                self.ask(desk);
            }
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if self.stale && self.waiting.is_none() {
            self.ask(desk);
            desk.ask_status();
        }
    }

    fn resume(&mut self, desk: &mut Desk) {
        self.ask(desk);
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        let count = if self.loaded {
            self.count(desk)
        } else {
            "reading…".into()
        };
        let at = area.put_right(end, 1, &count, Tone::Dim);
        let label = if self.typing { Tone::Accent } else { Tone::Dim };
        area.put(1, 1, "Search", label);
        if self.search.text().is_empty() {
            let hint = "name, MRN, birth date or telephone";
            area.put(9, 1, hint, Tone::Rule);
        }
        self.search
            .view(&mut area, 9, 1, at.saturating_sub(11), self.typing);
        let mut list = area.below(3);
        table::headings(&mut list, 0, COLUMNS);
        let mut list = list.below(1);
        if self.rows.is_empty() && self.loaded {
            let text = match (self.search.text().is_empty(), self.typing) {
                (true, true) => "No patients yet. ctrl-n registers the first one.",
                (true, false) => "No patients yet. n registers the first one.",
                (false, true) => "Nobody found. ctrl-n registers a new patient.",
                (false, false) => "Nobody found. n registers a new patient.",
            };
            list.put(2, 1, text, Tone::Dim);
            return;
        }
        let words = self.words();
        let first = table::first_shown(self.cursor.at, self.rows.len(), list.height());
        for (y, (n, row)) in (0..list.height()).zip(self.rows.iter().enumerate().skip(first)) {
            let cells = [
                Cell::new(row_name(row), Tone::Strong),
                Cell::new(row.birth_date.clone(), Tone::Text),
                Cell::new(desk.clock.age(&row.birth_date), Tone::Text),
                Cell::new(sex_letter(&row.sex), Tone::Text),
                Cell::new(row.mrn.clone(), Tone::Text),
                Cell::new(desk.clock.ago(row.updated_ms), Tone::Dim),
                Cell::new(short_id(&row.id), Tone::Dim),
            ];
            table::row_matching(&mut list, y, COLUMNS, &cells, &words);
            if n == self.cursor.at {
                list.select(y, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(thousands(n), text);
        }
    }
}
