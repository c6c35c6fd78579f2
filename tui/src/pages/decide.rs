//! Deciding about what a model suggested: the finding, or the reason against it.

use salus_api::{Request, SuggestionState, SuggestionView};

use super::prompt::Prompt;
use crate::desk::Desk;
use crate::form::{Done, Field};
use crate::input::Input;
use crate::keymap::Action;
use crate::msg::CallId;

/// Longest finding, bytes: what the log takes (`audit`, `MAX_LABEL_BYTES`).
const MAX_LABEL_BYTES: usize = 200;
/// Longest reason, bytes: a line of the log takes 1,024 (`audit`); a guess within it.
const MAX_REASON_BYTES: usize = 400;
/// Columns of what is typed.
const INPUT_COLUMNS: u16 = 56;

/// What is decided about, as it was shown when the typing began.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Deciding {
    about: SuggestionView,
    accept: bool,
    prompt: Prompt,
}

/// The decision that is being made; none as a rule.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Decide {
    deciding: Option<Deciding>,
    saving: Option<CallId>,
}

impl Decide {
    /// Asks for the finding to put into the record.
    pub fn accept(&mut self, about: &SuggestionView) {
        let mut input = Input::new(MAX_LABEL_BYTES);
        input.set(suggested(about).unwrap_or(""));
        let label = Field::line("Finding", "", INPUT_COLUMNS, input);
        let text = match suggested(about) {
            Some(_) => {
                "The finding enters the record with your name and with where it comes from. Change the words where you \
                 would say it otherwise."
            }
            None => {
                "The model did not assess this: what enters the record is what you write here, with your name and with \
                 where it comes from."
            }
        };
        self.begin(
            about,
            true,
            Prompt::new("Accept this suggestion", text, vec![label]),
        );
    }

    /// Asks for the reason against it.
    pub fn reject(&mut self, about: &SuggestionView) {
        let why = Field::line("Why", "", INPUT_COLUMNS, Input::new(MAX_REASON_BYTES));
        let prompt = Prompt::new(
            "Reject this suggestion",
            "The reason goes into the audit trail with your name. A finding that entered the record by it is marked as \
             entered in error.",
            vec![why],
        );
        self.begin(about, false, prompt);
    }

    fn begin(&mut self, about: &SuggestionView, accept: bool, prompt: Prompt) {
        self.deciding = Some(Deciding {
            about: about.clone(),
            accept,
            prompt,
        });
    }

    /// The question, while it is open.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.deciding.as_ref().map(|deciding| &deciding.prompt)
    }

    /// Which suggestion it is about.
    pub fn about(&self) -> Option<&str> {
        self.deciding
            .as_ref()
            .map(|deciding| deciding.about.id.as_str())
    }

    /// Whether the decision is on its way.
    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Whether the node's answer to this call is the end of it.
    pub fn waits_for(&self, call: CallId) -> bool {
        self.saving == Some(call)
    }

    /// Types into the question.
    pub fn typed(&mut self, text: &str) {
        if let (Some(deciding), None) = (&mut self.deciding, self.saving) {
            deciding.prompt.form.typed(text);
        }
    }

    /// Does something with the question.
    pub fn act(&mut self, desk: &mut Desk, action: Action, patient: &str) {
        if action == Action::Back {
            self.deciding = None;
            return;
        }
        let Some(deciding) = self.deciding.as_mut().filter(|_| self.saving.is_none()) else {
            return;
        };
        if deciding.prompt.act(action) != Done::Submit {
            return;
        }
        let typed = deciding.prompt.form.value(0).to_owned();
        let missing = typed.is_empty().then(|| match deciding.accept {
            true => "Write the finding.".to_owned(),
            false => "Write why: it is kept.".to_owned(),
        });
        if !deciding.prompt.form.judge(vec![missing]) {
            return;
        }
        let (patient, suggestion) = (patient.to_owned(), deciding.about.id.clone());
        self.saving = Some(desk.call(if deciding.accept {
            let own = Some(typed.as_str()) != suggested(&deciding.about);
            Request::Accept {
                patient,
                suggestion,
                label: own.then_some(typed),
            }
        } else {
            Request::Reject {
                patient,
                suggestion,
                why: typed,
            }
        }));
    }

    /// The node has answered; the question goes where it is done.
    pub fn answered(&mut self, done: bool) {
        self.saving = None;
        if done {
            self.deciding = None;
        }
    }

    /// Nobody decides about something else than they saw: what others decided meanwhile is said, and the question stays.
    pub fn compare(&mut self, now: &[SuggestionView]) {
        let Some(deciding) = self.deciding.as_mut().filter(|_| self.saving.is_none()) else {
            return;
        };
        let same = now.iter().find(|one| one.id == deciding.about.id);
        match same {
            None => self.deciding = None,
            Some(same) if *same != deciding.about => {
                deciding.about = same.clone();
                let changed = "Somebody else decided since you began: look again.".to_owned();
                deciding.prompt.form.judge(vec![Some(changed)]);
            }
            Some(_) => {}
        }
    }

    /// What would be lost by leaving it, in words.
    pub fn unsaved(&self) -> Option<String> {
        self.prompt().and_then(Prompt::unsaved)
    }
}

/// What the model suggests, where it assessed its input.
fn suggested(about: &SuggestionView) -> Option<&str> {
    let said = &about.inference;
    let top = said.outputs.first().filter(|_| !said.uncertain);
    top.map(|output| output.label.as_str())
}

/// Whether somebody is still to decide about it.
pub(crate) fn is_undecided(state: SuggestionState) -> bool {
    matches!(state, SuggestionState::Open | SuggestionState::Disputed)
}
