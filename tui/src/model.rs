//! Everything the screen is a function of.

use std::fmt;

use salus_api::Auth;

use crate::desk::{Desk, Places, Session};
use crate::graphics::Raster;
use crate::keymap::{Action, Context};
use crate::msg::{Effect, Size};
use crate::pages::{Attempt, Help, Note, Palette, Patients, Question, Record, Screen, Unlock};
use crate::picture::Depth;
use crate::subject::Subject;
use crate::theme::Theme;
use crate::when::Clock;

/// The smallest terminal that the pages are laid out for (the size every terminal starts with since the VT100).
pub(crate) const MIN_SIZE: Size = Size {
    width: 80,
    height: 24,
};

/// Unsaved notes kept over a lock (a guess: the staff of one desk in an afternoon).
const MAX_DRAFTS: usize = 8;

/// What lies over the page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Overlay {
    /// The keys.
    Help(Help),
    /// The commands.
    Palette(Palette),
    /// A question.
    Question(Question),
}

/// A note that was being written when the node was locked. It stays in this process's memory, unreadable from the
/// screen, until its writer signs in again or the program ends: an idle lock must not cost anybody their words.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Draft {
    staff: String,
    patient: String,
    text: String,
}

/// How the program starts.
pub(crate) struct Start {
    /// What time it is, and where.
    pub clock: Clock,
    /// The terminal's size.
    pub size: Size,
    /// The look.
    pub theme: Theme,
    /// Which colours the terminal shows.
    pub depth: Depth,
    /// The terminal's own pixels, if it has them.
    pub raster: Option<Raster>,
    /// Where files are looked for first.
    pub places: Places,
    /// Says what kind of run this is.
    pub banner: Option<String>,
    /// Who is likely to sign in.
    pub staff: Option<String>,
    /// A session, or what opens one.
    pub auth: Option<Auth>,
}

/// The whole state of the terminal UI.
#[derive(Clone, PartialEq)]
pub(crate) struct Model {
    /// What all pages share.
    pub desk: Desk,
    /// The pages, the one that is seen last. Never empty.
    pub screens: Vec<Screen>,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// Notes that wait for their writers.
    pub drafts: Vec<Draft>,
    /// When the last key was pressed.
    pub last_key_ms: u64,
}

impl fmt::Debug for Model {
    /// Names of screens only: neither secrets nor anything of a patient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screens: Vec<&str> = self.screens.iter().map(Screen::name).collect();
        f.debug_struct("Model")
            .field("screens", &screens)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// The state at the start, and what has to be done first.
    pub fn new(start: Start) -> (Self, Vec<Effect>) {
        let now_ms = start.clock.now_ms;
        let mut desk = Desk::new(start.clock, start.size, start.theme, start.banner);
        desk.depth = start.depth;
        desk.raster = start.raster;
        desk.places = start.places;
        let mut entered = None;
        let page = match start.auth {
            Some(auth @ Auth::Passphrase { .. }) => {
                Unlock::with(&mut desk, start.staff.as_deref(), auth)
            }
            Some(auth @ Auth::Session(_)) => {
                entered = Some(Attempt {
                    auth,
                    staff: start.staff.clone().unwrap_or_default(),
                });
                Unlock::new(start.staff.as_deref(), None)
            }
            Some(Auth::Nobody) | None => Unlock::new(start.staff.as_deref(), None),
        };
        let mut model = Self {
            desk,
            screens: vec![Screen::Unlock(page)],
            overlay: None,
            drafts: Vec::new(),
            last_key_ms: now_ms,
        };
        match entered {
            Some(attempt) => model.enter(attempt),
            None => model.desk.ask_status(),
        }
        let effects = model.desk.take_effects();
        (model, effects)
    }

    /// The page that is seen.
    pub fn top(&self) -> Option<&Screen> {
        self.screens.last()
    }

    /// Where keys go, failures aside.
    pub fn context(&self) -> Context {
        match &self.overlay {
            Some(Overlay::Help(_)) => Context::Help,
            Some(Overlay::Palette(_)) => Context::Palette,
            Some(Overlay::Question(_)) => Context::Question,
            None => self.top().map_or(Context::Unlock, |s| s.page().context()),
        }
    }

    /// Whether the page that is seen offers an action as it stands; what lies over it is as it is.
    pub fn offers(&self, action: Action) -> bool {
        self.overlay.is_some() || self.top().is_none_or(|s| s.page().offers(action))
    }

    /// Whether the pages can be laid out.
    pub fn fits(&self) -> bool {
        let size = self.desk.size;
        size.width >= MIN_SIZE.width && size.height >= MIN_SIZE.height
    }

    /// Whose record the page that is seen is about.
    pub fn subject(&self) -> Option<&Subject> {
        let about = self.top().is_some_and(|s| s.page().is_about_a_record());
        if !about {
            return None;
        }
        self.screens.iter().rev().find_map(|s| s.page().subject())
    }

    /// What would be lost by ending the program.
    pub fn unsaved(&self) -> Option<String> {
        let kept = match self.drafts.len() {
            0 => None,
            1 => Some("A note that is not saved yet would be lost.".to_owned()),
            n => Some(format!("{n} notes that are not saved yet would be lost.")),
        };
        self.screens
            .iter()
            .rev()
            .find_map(|s| s.page().unsaved())
            .or(kept)
    }

    /// Somebody signed in: to the patient list, and to the note that was left unsaved, if there is one.
    pub fn enter(&mut self, attempt: Attempt) {
        let Attempt { auth, staff } = attempt;
        self.overlay = None;
        self.desk.notice = None;
        self.desk.session = Some(Session {
            auth,
            staff: staff.clone(),
            known: false,
        });
        self.desk.subscribe();
        self.desk.ask_status();
        self.desk.ask_peers();
        self.screens = vec![Screen::Patients(Patients::open(&mut self.desk))];
        if let Some(at) = self.drafts.iter().position(|d| d.staff == staff) {
            let draft = self.drafts.swap_remove(at);
            let row = salus_api::PatientRow {
                id: draft.patient.clone(),
                ..Default::default()
            };
            self.screens
                .push(Screen::Record(Box::new(Record::open(&mut self.desk, &row))));
            self.screens
                .push(Screen::Note(Note::new(draft.patient, &draft.text)));
            self.desk.say("Here is the note that you had not saved.");
        }
    }

    /// Takes everything readable off the screen and out of the model, drafts aside.
    pub fn leave(&mut self, why: &str) {
        let staff = self.desk.staff().to_owned();
        for screen in &self.screens {
            if let Screen::Note(note) = screen
                && !note.text().trim().is_empty()
            {
                self.drafts.truncate(MAX_DRAFTS - 1);
                let (patient, text) = (note.patient.clone(), note.text().to_owned());
                self.drafts.insert(
                    0,
                    Draft {
                        staff: staff.clone(),
                        patient,
                        text,
                    },
                );
            }
        }
        for screen in &mut self.screens {
            screen.page_mut().left(&mut self.desk);
        }
        self.desk.unsubscribe();
        self.desk.session = None;
        self.desk.peers = None;
        self.desk.notice = None;
        self.desk.folder = None;
        self.overlay = None;
        self.screens = vec![Screen::Unlock(Unlock::new(Some(&staff), Some(why)))];
        self.desk.ask_status();
    }
}
