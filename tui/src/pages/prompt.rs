//! A line or two that a page asks for in its own place: a reason, another value, a time.

use crate::canvas::Canvas;
use crate::form::{Done, Field, Form};
use crate::keymap::Action;
use crate::theme::Tone;

/// Lines of the explanation.
const MAX_ABOUT_LINES: u16 = 3;

/// What is asked for.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Prompt {
    title: String,
    /// What comes of it, in a sentence or two.
    about: String,
    /// The lines.
    pub form: Form,
}

impl Prompt {
    /// Asks for these lines.
    pub fn new(title: impl Into<String>, about: &str, fields: Vec<Field>) -> Self {
        Self {
            title: title.into(),
            about: about.to_owned(),
            form: Form::new(fields),
        }
    }

    /// Moves, deletes, chooses; `Submit` after the last line.
    pub fn act(&mut self, action: Action) -> Done {
        let action = match action {
            Action::Confirm => Action::Submit,
            other => other,
        };
        self.form.act(action)
    }

    /// What would be lost by leaving it, in words.
    pub fn unsaved(&self) -> Option<String> {
        let touched = self.form.is_touched();
        touched.then(|| "What was typed would be lost.".to_owned())
    }

    /// Draws it from the top. Returns the row after it.
    pub fn view(&self, canvas: &mut Canvas<'_>, busy: bool) -> u16 {
        let end = canvas.width();
        let mut at = end;
        if busy {
            at = canvas.put_right(end, 0, "saving…", Tone::Caution);
        }
        canvas.put_within(1, 0, at.saturating_sub(3), &self.title, Tone::Accent);
        let row = canvas.put_wrapped(1, 1, &self.about, MAX_ABOUT_LINES, Tone::Dim);
        self.form.view(canvas, row + 1)
    }
}
