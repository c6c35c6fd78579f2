//! Which time of a record is shown, and the question for another one.

use super::prompt::Prompt;
use crate::form::{Done, Field};
use crate::input::Input;
use crate::keymap::Action;
use crate::when::Clock;

/// Longest time typed, bytes: an entry's hash in hex, the longest that the node takes.
const MAX_MOMENT_BYTES: usize = 64;
/// Columns of it.
const MOMENT_COLUMNS: u16 = 40;

/// The time of a record. The present where nothing else is said.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Past {
    asking: Option<Prompt>,
    /// What was asked for last.
    wanted: Option<String>,
    /// What is shown.
    shown: Option<String>,
    /// Whether the answer to come leads to another time.
    travelling: bool,
}

impl Past {
    /// The time to read the record at: an instant, a day, or an entry's hash.
    pub fn wanted(&self) -> Option<&String> {
        self.wanted.as_ref()
    }

    /// Whether the answer to come leads to another time.
    pub fn is_travelling(&self) -> bool {
        self.travelling
    }

    /// Wants another time; the present where nothing is said.
    pub fn want(&mut self, at: Option<String>) {
        self.wanted = at;
        self.travelling = true;
    }

    /// Asks a person for it.
    pub fn ask(&mut self) {
        let input = Input::new(MAX_MOMENT_BYTES);
        let when = Field::line("Date or time", "", MOMENT_COLUMNS, input);
        self.asking = Some(Prompt::new(
            "Show the record as it was",
            "2026-03-01 shows it at the end of that day, 2026-03-01 14:30 at that minute, here. Times are those that \
             the writers claimed. The audit trail can show it at an entry.",
            vec![when],
        ));
    }

    /// The question, while it is open.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.asking.as_ref()
    }

    /// Types into the question.
    pub fn typed(&mut self, text: &str) {
        if let Some(prompt) = &mut self.asking {
            prompt.form.typed(text);
        }
    }

    /// Does something with the question. Returns whether the record is to be read anew.
    pub fn act(&mut self, action: Action, clock: &Clock) -> bool {
        let Some(prompt) = &mut self.asking else {
            return false;
        };
        if action == Action::Back {
            self.asking = None;
            // Whoever turns round on the way stays where they were.
            let turned = self.travelling;
            self.failed();
            return turned;
        }
        if prompt.act(action) != Done::Submit {
            return false;
        }
        let typed = prompt.form.value(0).to_owned();
        let nothing = typed.is_empty().then(|| "Write a date.".to_owned());
        let whole = prompt.form.judge(vec![nothing]);
        if whole {
            self.want(Some(clock.typed_end(&typed)));
        }
        whole
    }

    /// The record was read at the wanted time. News of the record alone leave the question open.
    pub fn arrived(&mut self) {
        if std::mem::take(&mut self.travelling) {
            self.asking = None;
        }
        self.shown.clone_from(&self.wanted);
    }

    /// It could not be read: what is shown stays what it was.
    pub fn failed(&mut self) {
        self.travelling = false;
        self.wanted.clone_from(&self.shown);
    }
}
