//! Records that may be of the same person, and the links that show records as one.

use salus_api::{ApiError, DuplicateView, ErrorKind, Event, PatientRow, Request, Response};

use super::{Answer, Go, Page, Question, Record, Screen, Then, record_rows, sentence};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::subject::{row_name, short_id};
use crate::table::{self, Cell, Column, Cursor};
use crate::text;
use crate::theme::Tone;

/// Rows above the list: title, headings.
const ROWS_ABOVE: u16 = 2;
/// Rows below the list: a line, and why the marked record is here.
const ROWS_BELOW: u16 = 4;

/// Columns of a name in a question: both must be seen.
const MAX_NAME_COLUMNS: usize = 60;

const COLUMNS: &[Column] = &[
    Column::fixed("Alike", 6).right(),
    Column::share("Name", 1),
    Column::fixed("Sex", 7).from(100),
    Column::fixed("Born", 10),
    Column::fixed("MRN", 12),
    Column::fixed("Id", 8).from(100),
    Column::fixed("Shown", 12),
];

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Duplicates {
    row: PatientRow,
    found: Vec<DuplicateView>,
    cursor: Cursor,
    waiting: Option<CallId>,
    changing: Option<CallId>,
    loaded: bool,
    stale: bool,
}

/// 0.934 as `93 %`: never 100 for what is not certain.
fn percent(score: f64) -> String {
    if !score.is_finite() {
        return "?".into();
    }
    let percent = (score * 100.0).floor().clamp(0.0, 100.0);
    format!("{percent:.0} %")
}

/// A person in a line, so that two of the same name are told apart.
fn person(row: &PatientRow) -> String {
    let born = match row.birth_date.as_str() {
        "" => "birth date unknown".to_owned(),
        born => format!("born {born}"),
    };
    let mrn = match row.mrn.as_str() {
        "" => "no MRN",
        mrn => &format!("MRN {}", text::fit(mrn, 14)),
    };
    let born = text::fit(&born, 18);
    format!("{born}, {mrn}, id {}", short_id(&row.id))
}

impl Duplicates {
    /// The records that may be of the same person as this one.
    pub fn open(desk: &mut Desk, row: PatientRow) -> Self {
        let mut page = Self {
            row,
            found: Vec::new(),
            cursor: Cursor::default(),
            waiting: None,
            changing: None,
            loaded: false,
            stale: false,
        };
        page.ask(desk);
        page
    }

    fn ask(&mut self, desk: &mut Desk) {
        desk.cancel(self.waiting);
        let patient = Some(self.row.id.clone());
        self.waiting = Some(desk.call(Request::Duplicates { patient }));
        self.stale = false;
    }

    fn here(&self) -> Option<&DuplicateView> {
        self.found.get(self.cursor.at)
    }

    /// Asks before two records become one, or two again; both are named.
    fn question(&self, desk: &mut Desk, link: bool) -> Go {
        // What is on its way may be another list than the one that is seen.
        if self.waiting.is_some() || self.changing.is_some() {
            return Go::Stay;
        }
        let Some(other) = self.here() else {
            return Go::Stay;
        };
        if other.linked == link {
            let text = match link {
                true => "These two records are shown as one already.",
                false => "These two records are not shown as one.",
            };
            desk.fail(ApiError::usage(text));
            return Go::Stay;
        }
        let name = |row| text::fit(&row_name(row), MAX_NAME_COLUMNS);
        let (mine, theirs) = (name(&self.row), name(&other.row));
        let (first, second) = (person(&self.row), person(&other.row));
        let both = format!("The first: {first}. The second: {second}.");
        let id = other.row.id.clone();
        Go::Ask(match link {
            true => Question::new(
                &format!("Show {mine} and {theirs} as one?"),
                &format!("{both} Nothing is deleted, and it can be taken back."),
                "Same person",
                "Go back",
                Then::Link(id),
            ),
            false => Question::new(
                &format!("Show {mine} and {theirs} apart again?"),
                &format!("{both} Each keeps what was written in it."),
                "Apart",
                "Go back",
                Then::Unlink(id),
            ),
        })
    }
}

impl Page for Duplicates {
    fn context(&self) -> Context {
        Context::Duplicates
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        match action {
            Action::Back => return Go::Back,
            Action::Reload => self.ask(desk),
            Action::Link => return self.question(desk, true),
            Action::Unlink => return self.question(desk, false),
            Action::OpenPatient => {
                if let Some(row) = self.here().map(|d| d.row.clone()) {
                    let page = Record::open(desk, &row);
                    return Go::open(Screen::Record(Box::new(page)));
                }
            }
            _ => {
                let page = record_rows(desk.size).saturating_sub(ROWS_ABOVE + ROWS_BELOW);
                self.cursor.act(action, self.found.len(), usize::from(page));
            }
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.changing == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.changing == Some(call) {
            self.changing = None;
            match answer {
                Ok(Response::Done(done)) => desk.say(sentence(&done)),
                Ok(_) => {}
                Err(error) => desk.fail(error),
            }
            self.ask(desk);
            return Go::Stay;
        }
        self.waiting = None;
        match answer {
            Ok(Response::Duplicates(found)) => {
                let at = self.here().map(|d| d.row.id.clone());
                let same = at.and_then(|id| found.iter().position(|d| d.row.id == id));
                self.found = found;
                self.loaded = true;
                self.cursor.at = same.unwrap_or(self.cursor.at);
                self.cursor.clamp(self.found.len());
            }
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
            let shown = |id: &String| self.found.iter().any(|d| d.row.id == *id);
            self.stale |= ids.iter().any(|id| *id == self.row.id || shown(id));
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if self.stale && self.waiting.is_none() && self.changing.is_none() {
            self.ask(desk);
        }
    }

    fn resume(&mut self, desk: &mut Desk) {
        self.ask(desk);
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        let patient = self.row.id.clone();
        let request = match then {
            Then::Link(other) => Request::Link { patient, other },
            Then::Unlink(other) => Request::Unlink { patient, other },
            _ => return Go::Stay,
        };
        self.changing = Some(desk.call(request));
        Go::Stay
    }

    fn view(&self, canvas: &mut Canvas<'_>, _desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        area.put(1, 0, "Same person?", Tone::Accent);
        let hint = match (self.changing, self.loaded) {
            (Some(_), _) => "saving…",
            (None, false) => "comparing…",
            (None, true) => "records of this clinic that are like this one",
        };
        area.put_right(end, 0, hint, Tone::Dim);
        if self.found.is_empty() {
            if self.loaded {
                area.put(2, 2, "No other record here is like this one.", Tone::Dim);
            }
            return;
        }
        table::headings(&mut area, 1, COLUMNS);
        let rows = area.height().saturating_sub(ROWS_ABOVE + ROWS_BELOW);
        let mut list = area.below(ROWS_ABOVE);
        let first = table::first_shown(self.cursor.at, self.found.len(), rows);
        for (y, (n, found)) in (0..rows).zip(self.found.iter().enumerate().skip(first)) {
            let row = &found.row;
            let (shown, tone) = match found.linked {
                true => ("⇄ as one", Tone::Caution),
                false => ("apart", Tone::Dim),
            };
            let cells = [
                Cell::new(percent(found.score), Tone::Text),
                Cell::new(row_name(row), Tone::Strong),
                Cell::new(row.sex.clone(), Tone::Text),
                Cell::new(row.birth_date.clone(), Tone::Text),
                Cell::new(row.mrn.clone(), Tone::Text),
                Cell::new(short_id(&row.id), Tone::Dim),
                Cell::new(shown, tone),
            ];
            table::row(&mut list, y, COLUMNS, &cells);
            if n == self.cursor.at {
                list.select(y, self.changing.is_none());
            }
        }
        if let Some(found) = self.here() {
            list.rule(rows);
            let why = match found.reasons.is_empty() {
                true => "No reasons are given.".to_owned(),
                false => format!("Why: {}", found.reasons.join(" · ")),
            };
            list.put_wrapped(2, rows + 1, &why, ROWS_BELOW - 1, Tone::Text);
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_never_rounded_up() {
        for (score, shown) in [
            (0.934, "93 %"),
            (0.9999, "99 %"),
            (1.0, "100 %"),
            (7.0, "100 %"),
            (-1.0, "0 %"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(percent(score), shown);
        }
    }
}
