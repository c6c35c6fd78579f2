//! The pages: one module each, all with the same few questions to answer.

use salus_api::{ApiError, Event, Progress, Response};

use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::folder::Listing;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::{CallId, Size};
use crate::scratch::Scratch;
use crate::subject::{SUBJECT_ROWS, Subject};

mod attach;
mod audit;
mod chooser;
mod conflicts;
mod decide;
mod duplicates;
mod file;
mod file_ask;
mod help;
mod image;
mod look;
mod merges;
mod note;
mod outside;
mod palette;
mod past;
mod patients;
mod pressure;
mod prompt;
mod question;
mod record;
mod register;
mod rights;
mod sync;
mod unlock;
mod values;

pub(crate) use attach::Attach;
pub(crate) use audit::Audit;
pub(crate) use conflicts::Conflicts;
pub(crate) use decide::is_undecided;
pub(crate) use duplicates::Duplicates;
pub(crate) use file::File;
pub(crate) use help::Help;
pub(crate) use image::Image;
pub(crate) use note::Note;
pub(crate) use palette::Palette;
pub(crate) use patients::Patients;
pub(crate) use pressure::Pressure;
pub(crate) use question::{Question, Then};
pub(crate) use record::Record;
pub(crate) use register::Register;
pub(crate) use rights::Rights;
pub(crate) use sync::Sync;
pub(crate) use unlock::{Attempt, Unlock};

/// Rows that every page leaves to the frame around it: the bar at the top, the line and the hints at the bottom.
const FRAME_ROWS: u16 = 3;

/// Rows of a page about one record, below the lines that say whose it is.
pub(crate) fn record_rows(size: Size) -> u16 {
    size.height.saturating_sub(FRAME_ROWS + SUBJECT_ROWS + 1)
}

/// Rows of a page that is about no record in particular.
pub(crate) fn page_rows(size: Size) -> u16 {
    size.height.saturating_sub(FRAME_ROWS)
}

/// Where to go after a page was told something.
pub(crate) enum Go {
    /// Nowhere.
    Stay,
    /// Away from this page.
    Back,
    /// Away from this page, to something on the page below it.
    BackTo(Seek),
    /// To another page, on top of this one.
    Open(Box<Screen>),
    /// To another page, in place of this one.
    Swap(Box<Screen>),
    /// To a question first.
    Ask(Question),
    /// Somebody signed in.
    Enter(Attempt),
}

/// What a page is sent to by the page that lay over it.
pub(crate) enum Seek {
    /// An item of the record, by its path: `medications/<id>`.
    Item(String),
    /// The record as it was right after this entry, by its hash.
    AsItWas(String),
    /// Away, because the record was erased.
    Erased,
}

impl Go {
    /// To another page, on top of this one.
    pub fn open(screen: Screen) -> Self {
        Self::Open(Box::new(screen))
    }
}

/// What every page can be asked. All but `view` may change the page and, through the desk, ask the node; none waits.
pub(crate) trait Page {
    /// Where keys go.
    fn context(&self) -> Context;
    /// Does something; `key` is absent where the palette asked for it.
    fn act(&mut self, desk: &mut Desk, action: Action, key: Option<Key>) -> Go;
    /// Text was typed or pasted.
    fn typed(&mut self, _desk: &mut Desk, _text: &str) -> Go {
        Go::Stay
    }
    /// Whether it waits for this call.
    fn waits_for(&self, _call: CallId) -> bool {
        false
    }
    /// A call that it waits for has ended.
    fn answer(&mut self, _desk: &mut Desk, _call: CallId, _answer: Answer) -> Go {
        Go::Stay
    }
    /// A folder that it waits for was read, or could not be.
    fn listed(&mut self, _listing: Result<Listing, String>) {}
    /// A call that it waits for has come this far.
    fn progress(&mut self, _progress: Progress) {}
    /// News of a file for another program that it waits for.
    fn scratch(&mut self, _desk: &mut Desk, _scratch: Scratch) {}
    /// It is about to be gone.
    fn left(&mut self, _desk: &mut Desk) {}
    /// Whether an action of its context does anything as it stands.
    fn offers(&self, _action: Action) -> bool {
        true
    }
    /// Something changed at the node.
    fn event(&mut self, _desk: &mut Desk, _event: &Event) {}
    /// A second has passed.
    fn tick(&mut self, _desk: &mut Desk) {}
    /// It is on top again, or the node answers again: what it shows may be old.
    fn resume(&mut self, _desk: &mut Desk) {}
    /// The page over it is gone and sent it to something.
    fn seek(&mut self, _desk: &mut Desk, _seek: Seek) {}
    /// What would be lost by leaving it, in words.
    fn unsaved(&self) -> Option<String> {
        None
    }
    /// A question that it asked was answered with yes.
    fn confirmed(&mut self, _desk: &mut Desk, _then: Then) -> Go {
        Go::Stay
    }
    /// Draws it. Pages about a record find its lines drawn above them already.
    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk);
    /// Whose record it shows, where it holds one.
    fn subject(&self) -> Option<&Subject> {
        None
    }
    /// Whether it stands under the lines that say whose record it is.
    fn is_about_a_record(&self) -> bool {
        false
    }
}

/// What the node said is done, as a sentence.
pub(crate) fn sentence(done: &str) -> String {
    let mut chars = done.trim().chars();
    let first: String = chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    let whole = first + chars.as_str();
    if whole.is_empty() || whole.ends_with(['.', '!', '?']) {
        whole
    } else {
        whole + "."
    }
}

/// What is being done, and how far it has come.
pub(crate) fn so_far(doing: &str, step: Option<&Progress>) -> String {
    match step {
        None => doing.to_owned(),
        Some(Progress {
            what,
            done,
            total: 0,
        }) => format!("{doing} {what}: {done}"),
        Some(Progress { what, done, total }) => {
            let hundredths = u128::from(*done) * 100 / u128::from(*total);
            format!("{doing} {what} · {} %", hundredths.min(100))
        }
    }
}

/// What the node answered.
pub(crate) type Answer = Result<Response, ApiError>;

/// A page, whichever.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Screen {
    Unlock(Unlock),
    Patients(Patients),
    Record(Box<Record>),
    Note(Note),
    Pressure(Pressure),
    Image(Box<Image>),
    File(Box<File>),
    Attach(Box<Attach>),
    Register(Register),
    Conflicts(Conflicts),
    Duplicates(Duplicates),
    Rights(Rights),
    Audit(Audit),
    Sync(Sync),
}

impl Screen {
    /// The page behind it.
    pub fn page(&self) -> &dyn Page {
        match self {
            Self::Unlock(page) => page,
            Self::Patients(page) => page,
            Self::Record(page) => page.as_ref(),
            Self::Note(page) => page,
            Self::Pressure(page) => page,
            Self::Image(page) => page.as_ref(),
            Self::File(page) => page.as_ref(),
            Self::Attach(page) => page.as_ref(),
            Self::Register(page) => page,
            Self::Conflicts(page) => page,
            Self::Duplicates(page) => page,
            Self::Rights(page) => page,
            Self::Audit(page) => page,
            Self::Sync(page) => page,
        }
    }

    /// The same, to change it.
    pub fn page_mut(&mut self) -> &mut dyn Page {
        match self {
            Self::Unlock(page) => page,
            Self::Patients(page) => page,
            Self::Record(page) => page.as_mut(),
            Self::Note(page) => page,
            Self::Pressure(page) => page,
            Self::Image(page) => page.as_mut(),
            Self::File(page) => page.as_mut(),
            Self::Attach(page) => page.as_mut(),
            Self::Register(page) => page,
            Self::Conflicts(page) => page,
            Self::Duplicates(page) => page,
            Self::Rights(page) => page,
            Self::Audit(page) => page,
            Self::Sync(page) => page,
        }
    }

    /// Its name, for `Debug`: says nothing of what it shows.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unlock(_) => "unlock",
            Self::Patients(_) => "patients",
            Self::Record(_) => "record",
            Self::Note(_) => "note",
            Self::Pressure(_) => "blood pressure",
            Self::Image(_) => "image",
            Self::File(_) => "file",
            Self::Attach(_) => "attach",
            Self::Register(_) => "register",
            Self::Conflicts(_) => "conflicts",
            Self::Duplicates(_) => "same person",
            Self::Rights(_) => "rights",
            Self::Audit(_) => "audit",
            Self::Sync(_) => "sync",
        }
    }
}
