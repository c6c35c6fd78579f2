//! Attaching a file to a record: which one, and whether it is this patient's where its tags say otherwise.

use std::path::{Path, PathBuf};

use salus_api::{ApiError, AttachedView, ErrorKind, Progress, Request, Response};

use super::chooser::Chooser;
use super::file::File;
use super::{Answer, Go, Page, Question, Screen, Then, record_rows, so_far};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::files;
use crate::folder::{Listing, Sort};
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::theme::Tone;

/// A file on its way into the record.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Attaching {
    call: CallId,
    path: PathBuf,
    step: Option<Progress>,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Attach {
    patient: String,
    chooser: Chooser,
    attaching: Option<Attaching>,
    /// The file whose tags name somebody else, while that is asked about.
    doubted: Option<PathBuf>,
}

impl Attach {
    /// Asks for a file.
    pub fn open(desk: &mut Desk, patient: String) -> Self {
        Self {
            patient,
            chooser: Chooser::open(desk, Sort::Files),
            attaching: None,
            doubted: None,
        }
    }

    fn attach(&mut self, desk: &mut Desk, path: PathBuf, confirmed: bool) {
        desk.folder = path.parent().map(Path::to_path_buf);
        let call = desk.call(Request::Attach {
            patient: self.patient.clone(),
            paths: vec![path.clone()],
            about: None,
            confirmed,
            each: false,
        });
        self.attaching = Some(Attaching {
            call,
            path,
            step: None,
        });
    }

    fn attached(&mut self, desk: &mut Desk, path: PathBuf, view: AttachedView) -> Go {
        match (view.attachment, view.error) {
            (_, Some(error)) => self.failed(desk, path, error),
            (Some(file), None) => {
                let what = format!("{} ({})", files::name(&file), files::kind(&file));
                desk.say(match view.added {
                    true => format!("Attached: {what}."),
                    false => format!("The record had this file already: {what}."),
                });
                let page = File::open(desk, self.patient.clone(), file, None, view.warnings);
                Go::Swap(Box::new(Screen::File(Box::new(page))))
            }
            (None, None) => Go::Stay,
        }
    }

    fn failed(&mut self, desk: &mut Desk, path: PathBuf, error: ApiError) -> Go {
        if names_another(&error) {
            let question = Question::new(
                "Attach it to this record all the same?",
                &format!(
                    "{}. That you confirmed it is kept with the file.",
                    error.message
                ),
                "Attach it here",
                "Leave it",
                Then::AttachAnyway,
            );
            self.doubted = Some(path);
            return Go::Ask(question);
        }
        match error.kind {
            // Whether the session still stands is said at the foot, as everywhere.
            ErrorKind::Refused => desk.fail(error),
            _ => self.chooser.failed(&error),
        }
        Go::Stay
    }
}

/// Whether a file was refused because of whom its tags name. The node's words are the only sign of it.
fn names_another(error: &ApiError) -> bool {
    error.kind == ErrorKind::Refused && error.message.contains("another person")
}

impl Page for Attach {
    fn context(&self) -> Context {
        Context::Chooser
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        let page = usize::from(record_rows(desk.size).saturating_sub(1));
        match (action, self.attaching.take()) {
            (Action::Back, Some(gone)) => {
                desk.cancel(Some(gone.call));
                desk.say("Given up. If it was done already, the file is in the list.");
            }
            (Action::Back, None) => return Go::Back,
            (_, Some(attaching)) => self.attaching = Some(attaching),
            (_, None) => {
                if let Some(path) = self.chooser.act(desk, action, page) {
                    self.attach(desk, path, false);
                }
            }
        }
        Go::Stay
    }

    fn typed(&mut self, desk: &mut Desk, text: &str) -> Go {
        if self.attaching.is_none() {
            self.chooser.typed(desk, text);
        }
        Go::Stay
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        if let (Then::AttachAnyway, Some(path), None) = (then, self.doubted.take(), &self.attaching)
        {
            self.attach(desk, path, true);
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.attaching.as_ref().is_some_and(|a| a.call == call) || self.chooser.waits_for(call)
    }

    fn progress(&mut self, progress: Progress) {
        if let Some(attaching) = &mut self.attaching {
            attaching.step = Some(progress);
        }
    }

    fn answer(&mut self, desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        let Some(Attaching { path, .. }) = self.attaching.take() else {
            return Go::Stay;
        };
        match answer {
            Ok(Response::Attached(mut files)) => match files.pop() {
                Some(view) => self.attached(desk, path, view),
                None => Go::Stay,
            },
            Ok(_) => Go::Stay,
            Err(error) => self.failed(desk, path, error),
        }
    }

    fn listed(&mut self, listing: Result<Listing, String>) {
        self.chooser.listed(listing);
    }

    fn view(&self, canvas: &mut Canvas<'_>, _desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        let mut at = end;
        if let Some(attaching) = &self.attaching {
            let said = so_far("attaching…", attaching.step.as_ref());
            at = area.put_right(end, 0, &said, Tone::Caution);
        }
        area.put_within(1, 0, at.saturating_sub(3), "Attach a file", Tone::Accent);
        let about = "It is sealed into this record, and goes to the clinics that may read it. The file itself stays where it is. \
                     Type to find a name or to write a path; backspace at its start leaves the folder.";
        let row = area.put_wrapped(1, 1, about, 4, Tone::Dim);
        self.chooser
            .view(&mut area.below(row + 1), self.attaching.is_some());
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}
