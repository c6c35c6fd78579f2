//! What is asked of a person before something is done with a file.

use std::path::PathBuf;

use salus_api::{AttachmentView, Request};

use super::chooser::resolve;
use super::prompt::Prompt;
use crate::canvas::Canvas;
use crate::desk::Places;
use crate::files;
use crate::form::{Choice, Done, Field};
use crate::input::Input;
use crate::keymap::Action;
use crate::theme::Tone;

/// Longest path, bytes: Linux' longest (`limits.h`, `PATH_MAX`).
const MAX_PATH_BYTES: usize = 4_096;
/// Longest reason, bytes: a line of the log takes 1,024 (`audit`); a guess within it.
const MAX_REASON_BYTES: usize = 400;
/// Columns of what is typed.
const INPUT_COLUMNS: u16 = 56;
/// What can be done with the files of a record; the last one is chosen at first.
static KEEP: [Choice; 2] = [
    Choice {
        code: "policy",
        label: "as the clinic does with all",
    },
    Choice {
        code: "keep",
        label: "keep here",
    },
];

/// What the node is to do with a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// Write it to disk.
    Write {
        /// Where.
        to: PathBuf,
        /// Whether a file that is there may be replaced.
        replace: bool,
    },
    /// The same, for another program to show.
    Outside(PathBuf),
    /// Destroy it; why.
    Erase(String),
    /// Keep the files of its record here, or not.
    Keep(bool),
}

impl Asked {
    /// The same as a question to the node.
    pub fn request(&self, patient: &str, attachment: &str) -> Request {
        let (patient, attachment) = (patient.to_owned(), attachment.to_owned());
        let fetch = |to: &PathBuf, replace| (to.clone(), replace);
        let (to, replace) = match self {
            Self::Write { to, replace } => fetch(to, *replace),
            Self::Outside(to) => fetch(to, false),
            Self::Erase(reason) => {
                return Request::Erase {
                    patient,
                    attachment: Some(attachment),
                    reason: reason.clone(),
                };
            }
            Self::Keep(pin) => return Request::Pin { patient, pin: *pin },
        };
        Request::Fetch {
            patient,
            attachment,
            to,
            replace,
        }
    }

    /// That it is under way.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Write { .. } => "writing the file…",
            Self::Outside(_) => "opening the file…",
            Self::Erase(_) => "erasing the file…",
            Self::Keep(_) => "saving…",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Write,
    Erase,
    Keep,
}

/// The question.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Ask {
    what: What,
    prompt: Prompt,
}

impl Ask {
    /// Where to write a file.
    pub fn write(file: &AttachmentView, places: &Places) -> Self {
        let place = places.working.join(safe_name(&file.name));
        let input = Input::new(MAX_PATH_BYTES).with(&place.to_string_lossy());
        let to = Field::line("To", "", INPUT_COLUMNS, input);
        let prompt = Prompt::new(
            format!("Write {} to disk", files::name(file)),
            "It lies there in the clear, for all who can read that folder; that it left the record is logged with your name. \
             It is written on the machine of the node.",
            vec![to],
        );
        Self {
            what: What::Write,
            prompt,
        }
    }

    /// Why to destroy a file.
    pub fn erase(file: &AttachmentView) -> Self {
        let why = Field::line("Why", "", INPUT_COLUMNS, Input::new(MAX_REASON_BYTES));
        let prompt = Prompt::new(
            format!("Erase {}", files::name(file)),
            "THIS CANNOT BE UNDONE: its key and its bytes are destroyed here and at every clinic that hears of it. The reason \
             stays in the audit trail, readable by all who hold the log: write nothing of the patient into it.",
            vec![why],
        );
        Self {
            what: What::Erase,
            prompt,
        }
    }

    /// Whether the files of the record are kept here.
    pub fn keep() -> Self {
        let choice = Field::choice("Files", &KEEP);
        let prompt = Prompt::new(
            "All files of this record",
            "Kept here they are fetched in full, and can be opened while no other clinic can be reached.",
            vec![choice],
        );
        Self {
            what: What::Keep,
            prompt,
        }
    }

    /// Types into it.
    pub fn typed(&mut self, text: &str) {
        self.prompt.form.typed(text);
    }

    /// Moves, deletes, chooses; returns what is to be done.
    pub fn act(&mut self, action: Action, places: &Places) -> Option<Asked> {
        if self.prompt.act(action) != Done::Submit {
            return None;
        }
        let typed = self.prompt.form.value(0).to_owned();
        let missing = match self.what {
            What::Write => "Write where to.",
            What::Erase => "Write why: it is kept.",
            What::Keep => "",
        };
        let missing = typed.is_empty().then(|| missing.to_owned());
        if !self.prompt.form.judge(vec![missing]) {
            return None;
        }
        Some(match self.what {
            What::Write => Asked::Write {
                to: resolve(&places.working, &typed, places),
                replace: false,
            },
            What::Erase => Asked::Erase(typed),
            What::Keep => Asked::Keep(typed == "keep"),
        })
    }

    /// What would be lost by leaving it: nothing, where only the place that we proposed is in it.
    pub fn unsaved(&self) -> Option<String> {
        self.prompt.unsaved().filter(|_| self.what == What::Erase)
    }

    /// Draws it from the top. Returns the row after it.
    pub fn view(&self, canvas: &mut Canvas<'_>, busy: Option<&str>) -> u16 {
        let row = self.prompt.view(canvas, false);
        if let Some(busy) = busy {
            canvas.put(1, row, busy, Tone::Caution);
        }
        row + u16::from(busy.is_some())
    }
}

/// A name from elsewhere as one that a folder takes: no path, nothing hidden, nothing that a terminal obeys.
fn safe_name(name: &str) -> String {
    let safe: String = crate::text::typed(name, false)
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' => '_',
            c => c,
        })
        .collect();
    match safe.trim().trim_start_matches('.').trim() {
        "" => "attachment".to_owned(),
        safe => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_elsewhere_are_no_paths() {
        let table = [
            ("ct.dcm", "ct.dcm"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\x", "C__x"),
            ("/", "_"),
            ("", "attachment"),
            (" .. ", "attachment"),
            (".bashrc", "bashrc"),
            ("a\u{1b}[2Jb\u{202e}", "a[2Jb"),
        ];
        for (name, safe) in table {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }
}
