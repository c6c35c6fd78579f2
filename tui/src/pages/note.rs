//! Writing a note.

use salus_api::Request;

use super::{Answer, Go, Page, Question, Then, record_rows};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::editor::Editor;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::theme::Tone;

/// Longest note, bytes: about 20 printed pages, far below the 1 MiB that one change may take (a guess).
pub(crate) const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Columns left and right of the text.
const MARGIN: u16 = 2;
/// Rows above the text.
const ROWS_ABOVE: u16 = 2;

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Note {
    /// The record's id.
    pub patient: String,
    editor: Editor,
    saving: Option<CallId>,
}

impl Note {
    /// A note for a record, with a text that was begun earlier.
    pub fn new(patient: String, text: &str) -> Self {
        Self {
            patient,
            editor: Editor::new(MAX_NOTE_BYTES, text),
            saving: None,
        }
    }

    /// What was written.
    pub fn text(&self) -> &str {
        self.editor.text()
    }

    fn save(&mut self, desk: &mut Desk) {
        if self.saving.is_some() {
            return;
        }
        let text = self.text().trim().to_owned();
        if text.is_empty() {
            desk.say("There is nothing to save yet.");
            return;
        }
        let patient = self.patient.clone();
        self.saving = Some(desk.call(Request::PatientNote { patient, text }));
    }
}

impl Page for Note {
    fn context(&self) -> Context {
        Context::Note
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        match action {
            Action::Save => self.save(desk),
            Action::Back => {
                let Some(what) = self.unsaved() else {
                    return Go::Back;
                };
                let (text, yes, no) = match self.saving {
                    Some(_) => ("Leave before it is saved?", "Leave", "Wait"),
                    None => ("Discard this note?", "Discard", "Keep writing"),
                };
                return Go::Ask(Question::new(text, &what, yes, no, Then::Leave));
            }
            // What is on its way to the node is not changed under it.
            _ if self.saving.is_some() => {}
            _ => {
                let columns = usize::from(desk.size.width.saturating_sub(2 * MARGIN));
                let rows = usize::from(record_rows(desk.size).saturating_sub(ROWS_ABOVE));
                self.editor.act(action, columns, rows);
            }
        }
        Go::Stay
    }

    fn typed(&mut self, desk: &mut Desk, text: &str) -> Go {
        if self.saving.is_none() && !self.editor.insert(text) {
            desk.say("The note is full: 64 KiB. The rest was not taken.");
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.saving == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        self.saving = None;
        match answer {
            Ok(_) => {
                desk.say("Note saved.");
                Go::Back
            }
            Err(error) => {
                desk.fail(error);
                Go::Stay
            }
        }
    }

    fn unsaved(&self) -> Option<String> {
        match (self.text().trim().chars().count(), self.saving) {
            (0, _) => None,
            (_, Some(_)) => Some("The node has not yet said that the note is stored.".into()),
            (1, None) => Some("One character would be lost.".into()),
            (n, None) => Some(format!("{n} characters would be lost.")),
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, _desk: &Desk) {
        let mut area = canvas.inset(MARGIN);
        let end = area.width();
        area.put(0, 0, "New note", Tone::Accent);
        let (state, tone) = match self.saving {
            Some(_) => ("saving…".to_owned(), Tone::Caution),
            None if self.text().is_empty() => (String::new(), Tone::Dim),
            None => (
                format!("{} characters, not saved", self.text().chars().count()),
                Tone::Dim,
            ),
        };
        area.put_right(end, 0, &state, tone);
        self.editor.view(&mut area.below(ROWS_ABOVE));
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}
