//! A question that must be answered before anything else.

use crate::canvas::Canvas;
use crate::keymap::{self, Action, Context};
use crate::text;
use crate::theme::Tone;

/// What a yes does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Then {
    /// Leaves the page that asked.
    Leave,
    /// Ends the program.
    Quit,
    /// Settles a conflict.
    Resolve {
        /// Which.
        path: String,
        /// The value to keep.
        value: serde_json::Value,
    },
    /// Shows another record as one with this.
    Link(String),
    /// Takes that back.
    Unlink(String),
    /// Writes a file over one that is there.
    Replace(std::path::PathBuf),
    /// Attaches a file whose tags name somebody else.
    AttachAnyway,
    /// Ends a clinic's right.
    Revoke(String),
    /// Destroys the record; why.
    EraseRecord(String),
}

/// The question.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Question {
    text: String,
    detail: String,
    yes: &'static str,
    no: &'static str,
    /// What a yes does.
    pub then: Then,
}

impl Question {
    /// A question, what more there is to know, and the two answers.
    pub fn new(text: &str, detail: &str, yes: &'static str, no: &'static str, then: Then) -> Self {
        Self {
            text: text.into(),
            detail: detail.into(),
            yes,
            no,
            then,
        }
    }

    /// Draws it in the middle.
    pub fn view(&self, canvas: &mut Canvas<'_>) {
        let width = canvas.width().saturating_sub(8).min(64);
        let inner = usize::from(width.saturating_sub(4));
        let asked = text::wrap(&self.text, inner, 3);
        let detail = if self.detail.is_empty() {
            Vec::new()
        } else {
            text::wrap(&self.detail, inner, 4)
        };
        let height = u16::try_from(asked.len() + detail.len()).unwrap_or(7) + 6;
        let (x, y) = (
            canvas.width().saturating_sub(width) / 2,
            canvas.height().saturating_sub(height) / 3,
        );
        canvas.no_cursor();
        let mut part = canvas.part(x, y, width, height);
        part.clear();
        let mut inside = part.frame("");
        let mut row = 1;
        for line in &asked {
            inside.put(0, row, line, Tone::Strong);
            row += 1;
        }
        for line in &detail {
            inside.put(0, row, line, Tone::Dim);
            row += 1;
        }
        let mut x = 0;
        for (action, label) in [(Action::Yes, self.yes), (Action::No, self.no)] {
            let key = keymap::keys_for(Context::Question, action).next();
            let key = key.map(|k| k.to_string()).unwrap_or_default();
            x = inside.put(x, row + 1, &key, Tone::Accent);
            x = inside.put(x + 1, row + 1, label, Tone::Text) + 4;
        }
    }
}
