//! Which clinics are and were entitled to a record: granting and ending rights, and ending the record itself.

use std::collections::BTreeSet;

use salus_api::{ApiError, Event, GrantView, PeerView, Request, Response, Right};

use super::prompt::Prompt;
use super::{Answer, Go, Page, Question, Seek, Then, record_rows, sentence};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::form::{Choice, Done, Field};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::subject::short_id;
use crate::table::{self, Cell, Column, Cursor};
use crate::text;
use crate::theme::Tone;

/// Rows above the list: title, headings.
const ROWS_ABOVE: u16 = 2;
/// Rows below the list: a line, and the marked right in words.
const ROWS_BELOW: u16 = 3;

/// Longest reason, bytes: a line of the log takes 1,024 (`audit`); a guess within it.
const MAX_REASON_BYTES: usize = 400;
/// Columns of what is typed.
const INPUT_COLUMNS: u16 = 56;
/// Columns of a clinic's name: what it is asked about must be seen behind it.
const MAX_NAME_COLUMNS: usize = 60;

const COLUMNS: &[Column] = &[
    Column::share("Clinic", 3),
    Column::fixed("Right", 9),
    Column::share("Granted by", 2),
    Column::fixed("When", 16),
    Column::share("State", 3),
];

/// The rights that can be granted; the one that gives least is chosen at first.
static RIGHTS: [Choice; 3] = [
    Choice {
        code: "write",
        label: "write",
    },
    Choice {
        code: "custodian",
        label: "custodian",
    },
    Choice {
        code: "read",
        label: "read",
    },
];

/// What a right is called.
fn name_of(right: Right) -> &'static str {
    match right {
        Right::Home => "home",
        Right::Write => "write",
        Right::Read => "read",
        Right::Custodian => "custodian",
    }
}

/// What a right means, after the clinic's name.
fn meaning(right: Right) -> &'static str {
    match right {
        Right::Home => "reads, edits, grants and revokes",
        Right::Write => "reads and edits",
        Right::Read => "reads",
        Right::Custodian => "keeps and serves it, without being able to read it",
    }
}

/// One row: a right that is or was, or a clinic that never had one.
enum Entry<'a> {
    Grant(&'a GrantView),
    Peer(&'a PeerView),
}

impl Entry<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Grant(grant) => &grant.clinic,
            Self::Peer(peer) => &peer.id,
        }
    }

    /// The clinic's name, or the first digits of its id.
    fn name(&self) -> String {
        let name = match self {
            Self::Grant(grant) => &grant.name,
            Self::Peer(peer) => &peer.name,
        };
        match name.as_str() {
            "" => short_id(self.id()),
            name => text::fit(name, MAX_NAME_COLUMNS),
        }
    }
}

/// What is asked for before something is done.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
enum What {
    /// A right for this clinic.
    Grant(String),
    /// Why the record is to be destroyed.
    Erase,
}

/// The question for it.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Asking {
    what: What,
    prompt: Prompt,
}

/// The page. The clinics that it may grant to are the desk's.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Rights {
    patient: String,
    /// Name of the clinic that may revoke; "" where not known.
    home: String,
    grants: Vec<GrantView>,
    cursor: Cursor,
    asking: Option<Asking>,
    /// Whether what is under way destroys the record.
    erasing: bool,
    waiting: Option<CallId>,
    changing: Option<CallId>,
    loaded: bool,
    stale: bool,
}

/// Those that hold first, then those that ended. A clinic is granted the same right anew with every new key: of such
/// rows the first is shown, which says since when.
fn in_order(grants: Vec<GrantView>) -> Vec<GrantView> {
    let mut seen = BTreeSet::new();
    let (held, ended): (Vec<_>, Vec<_>) = grants
        .into_iter()
        .filter(|g| {
            let again = (g.clinic.clone(), name_of(g.right), g.ended.clone());
            seen.insert(again)
        })
        .partition(|g| g.ended.is_none());
    held.into_iter().chain(ended).collect()
}

impl Rights {
    /// The rights to a record.
    pub fn open(desk: &mut Desk, patient: String, home: String) -> Self {
        desk.ask_peers();
        let mut page = Self {
            patient,
            home,
            grants: Vec::new(),
            cursor: Cursor::default(),
            asking: None,
            erasing: false,
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
        let patient = self.patient.clone();
        self.waiting = Some(desk.call(Request::Grants { patient }));
        self.stale = false;
    }

    fn entries<'a>(&'a self, desk: &'a Desk) -> Vec<Entry<'a>> {
        let peers = desk.peers.as_deref().unwrap_or(&[]);
        let had = |peer: &&PeerView| self.grants.iter().any(|g| g.clinic == peer.id);
        let others = peers.iter().filter(|p| !had(p)).map(Entry::Peer);
        self.grants.iter().map(Entry::Grant).chain(others).collect()
    }

    /// A choice counts from the answer that it was shown in.
    fn is_busy(&self) -> bool {
        self.waiting.is_some() || self.changing.is_some() || !self.loaded
    }

    fn grant(&mut self, desk: &Desk) {
        let entries = self.entries(desk);
        let Some(entry) = entries.get(self.cursor.at) else {
            return;
        };
        let clinic = entry.id().to_owned();
        let title = format!("Grant a right to {}", entry.name());
        self.asking = Some(Asking {
            what: What::Grant(clinic),
            prompt: Prompt::new(
                title,
                "It gets the whole record with its history, and what follows until it is revoked. write: reads and edits. \
                 read: reads. custodian: keeps and serves it, without being able to read it.",
                vec![Field::choice("Right", &RIGHTS)],
            ),
        });
    }

    fn erase(&mut self) {
        let why = Field::line("Why", "", INPUT_COLUMNS, Input::new(MAX_REASON_BYTES));
        self.asking = Some(Asking {
            what: What::Erase,
            prompt: Prompt::new(
                "Erase the whole record",
                "All that was ever written in it and all its files are destroyed, here and at every clinic that this reaches. That \
                 there was a record, who wrote in it, and why it was erased stay in the audit trail.",
                vec![why],
            ),
        });
    }

    fn submit(&mut self, desk: &mut Desk) -> Go {
        let Some(asking) = &mut self.asking else {
            return Go::Stay;
        };
        if self.changing.is_some() {
            return Go::Stay;
        }
        let typed = asking.prompt.form.value(0).to_owned();
        let What::Grant(clinic) = &asking.what else {
            let missing = typed
                .is_empty()
                .then(|| "Write why: it is kept.".to_owned());
            if !asking.prompt.form.judge(vec![missing]) {
                return Go::Stay;
            }
            return Go::Ask(Question::new(
                "Erase this record for good?",
                "Nobody can take this back, here or anywhere else.",
                "Erase",
                "Go back",
                Then::EraseRecord(typed),
            ));
        };
        let right = match typed.as_str() {
            "write" => Right::Write,
            "custodian" => Right::Custodian,
            _ => Right::Read,
        };
        self.changing = Some(desk.call(Request::Grant {
            patient: self.patient.clone(),
            clinic: clinic.clone(),
            right,
        }));
        Go::Stay
    }

    fn revoke(&self, desk: &mut Desk) -> Go {
        let entries = self.entries(desk);
        let Some(entry) = entries.get(self.cursor.at) else {
            return Go::Stay;
        };
        let (id, name) = (entry.id().to_owned(), entry.name());
        if !self
            .grants
            .iter()
            .any(|g| g.clinic == id && g.ended.is_none())
        {
            desk.fail(ApiError::usage(format!(
                "{name} has no right to this record that could be ended."
            )));
            return Go::Stay;
        }
        Go::Ask(Question::new(
            &format!("End every right of {name} to this record?"),
            "It gets nothing more. What it wrote up to now stays, and so does what it has received. A new key keeps what follows \
             from it.",
            "Revoke",
            "Go back",
            Then::Revoke(id),
        ))
    }
}

impl Page for Rights {
    fn context(&self) -> Context {
        match self.asking {
            Some(_) => Context::Prompt,
            None => Context::Rights,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        if let Some(asking) = &mut self.asking {
            match action {
                Action::Back => self.asking = None,
                _ if self.changing.is_some() => {}
                _ => {
                    if asking.prompt.act(action) == Done::Submit {
                        return self.submit(desk);
                    }
                }
            }
            return Go::Stay;
        }
        match action {
            Action::Back => return Go::Back,
            Action::Reload => {
                desk.ask_peers();
                self.ask(desk);
            }
            Action::Grant | Action::Revoke | Action::EraseRecord if self.is_busy() => {}
            Action::EraseRecord => self.erase(),
            Action::Grant => self.grant(desk),
            Action::Revoke => return self.revoke(desk),
            _ => {
                let len = self.entries(desk).len();
                let page = record_rows(desk.size).saturating_sub(ROWS_ABOVE + ROWS_BELOW);
                self.cursor.act(action, len, usize::from(page));
            }
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if let (Some(asking), None) = (&mut self.asking, self.changing) {
            asking.prompt.form.typed(text);
        }
        Go::Stay
    }

    fn unsaved(&self) -> Option<String> {
        let asking = self.asking.as_ref()?;
        asking
            .prompt
            .unsaved()
            .filter(|_| asking.what == What::Erase)
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.changing == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.changing == Some(call) {
            self.changing = None;
            let erasing = std::mem::take(&mut self.erasing);
            match answer {
                Ok(Response::Done(done)) => {
                    self.asking = None;
                    desk.say(sentence(&done));
                    if erasing {
                        return Go::BackTo(Seek::Erased);
                    }
                }
                Ok(_) => self.asking = None,
                Err(error) => desk.fail(error),
            }
            self.ask(desk);
            return Go::Stay;
        }
        self.waiting = None;
        match answer {
            Ok(Response::Grants(grants)) => {
                self.grants = in_order(grants);
                self.loaded = true;
                let len = self.entries(desk).len();
                self.cursor.clamp(len);
            }
            Ok(_) => {}
            Err(error) => desk.fail(error),
        }
        Go::Stay
    }

    fn event(&mut self, _desk: &mut Desk, event: &Event) {
        if let Event::PatientsChanged(ids) = event {
            self.stale |= ids.contains(&self.patient);
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        // The clinics are the desk's and may be fewer now.
        self.cursor.clamp(self.entries(desk).len());
        if self.stale && !self.is_busy() {
            self.ask(desk);
        }
    }

    fn resume(&mut self, desk: &mut Desk) {
        self.ask(desk);
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        let patient = self.patient.clone();
        match then {
            Then::Revoke(clinic) => {
                self.changing = Some(desk.call(Request::Revoke { patient, clinic }));
            }
            Then::EraseRecord(reason) if self.changing.is_none() => {
                self.erasing = true;
                self.changing = Some(desk.call(Request::Erase {
                    patient,
                    attachment: None,
                    reason,
                }));
            }
            _ => {}
        }
        Go::Stay
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        let busy = self.changing.is_some();
        if let Some(asking) = &self.asking {
            asking.prompt.view(&mut area, busy);
            return;
        }
        let (hint, tone) = match (busy, self.loaded, self.home.as_str()) {
            (true, ..) => ("saving…".to_owned(), Tone::Caution),
            (false, false, _) => ("reading…".to_owned(), Tone::Dim),
            (false, true, "") => (String::new(), Tone::Dim),
            (false, true, home) => (
                format!("only its home revokes and erases: {home}"),
                Tone::Dim,
            ),
        };
        let at = area.put_right(end, 0, &hint, tone);
        let room = at.saturating_sub(3);
        area.put_within(1, 0, room, "Who may see this record", Tone::Accent);
        table::headings(&mut area, 1, COLUMNS);
        let entries = self.entries(desk);
        let rows = area.height().saturating_sub(ROWS_ABOVE + ROWS_BELOW);
        let mut list = area.below(ROWS_ABOVE);
        if entries.is_empty() && self.loaded {
            let text = "No rights are recorded, and no other clinic is known.";
            list.put(2, 0, text, Tone::Dim);
        }
        let first = table::first_shown(self.cursor.at, entries.len(), rows);
        for (y, (n, entry)) in (0..rows).zip(entries.iter().enumerate().skip(first)) {
            table::row(&mut list, y, COLUMNS, &cells(entry, desk));
            if n == self.cursor.at {
                list.select(y, !busy);
            }
        }
        if let Some(entry) = entries.get(self.cursor.at) {
            list.rule(rows);
            list.put(2, rows + 1, &in_words(entry), Tone::Text);
            let id = format!("clinic {}", short_id(entry.id()));
            list.put(2, rows + 2, &id, Tone::Dim);
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}

fn cells(entry: &Entry<'_>, desk: &Desk) -> [Cell; 5] {
    let name = entry.name();
    match entry {
        Entry::Peer(_) => [
            Cell::new(name, Tone::Text),
            Cell::new("–", Tone::Dim),
            Cell::default(),
            Cell::default(),
            Cell::new("never had a right", Tone::Dim),
        ],
        Entry::Grant(grant) => {
            let (state, tone) = match &grant.ended {
                None => ("✓ holds".to_owned(), Tone::Good),
                Some(why) => (format!("ended: {why}"), Tone::Caution),
            };
            let loud = match grant.ended {
                None => Tone::Strong,
                Some(_) => Tone::Dim,
            };
            [
                Cell::new(name, loud),
                Cell::new(name_of(grant.right), loud),
                Cell::new(grant.by.clone(), Tone::Text),
                Cell::new(desk.clock.at(grant.time_ms), Tone::Dim),
                Cell::new(state, tone),
            ]
        }
    }
}

/// A row in a sentence.
fn in_words(entry: &Entry<'_>) -> String {
    let name = entry.name();
    match entry {
        Entry::Peer(_) => format!("{name} is known here, and gets nothing of this record."),
        Entry::Grant(grant) => match &grant.ended {
            None => format!("{name} {}.", meaning(grant.right)),
            Some(why) => format!("Ended: {why}. Before, {name} {}.", meaning(grant.right)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_that_hold_come_first_and_once() {
        let grant = |clinic: &str, right, time_ms, ended: Option<&str>| GrantView {
            clinic: clinic.into(),
            name: clinic.into(),
            right,
            by: "Ines Falk".into(),
            time_ms,
            ended: ended.map(Into::into),
        };
        let ordered = in_order(vec![
            grant("b", Right::Read, 1, Some("revoked")),
            grant("a", Right::Home, 2, None),
            grant("c", Right::Read, 3, None),
            grant("c", Right::Read, 4, None),
            grant("c", Right::Write, 5, None),
        ]);
        let times: Vec<u64> = ordered.iter().map(|g| g.time_ms).collect();
        assert_eq!(times, [2, 3, 5, 1]);
    }
}
