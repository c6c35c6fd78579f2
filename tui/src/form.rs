//! Fields to fill in, one below the other.

use crate::canvas::Canvas;
use crate::input::Input;
use crate::keymap::Action;
use crate::theme::Tone;

/// Columns of the labels.
const LABEL_COLUMNS: u16 = 18;
/// Rows of one field: itself, and one for its error or for air.
const ROWS_PER_FIELD: u16 = 2;

/// One of a few words to choose from.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Choice {
    /// What is sent.
    pub code: &'static str,
    /// What is shown; its first letter chooses it.
    pub label: &'static str,
}

/// What a field takes.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
enum Content {
    Line {
        input: Input,
        columns: u16,
    },
    Choice {
        choices: &'static [Choice],
        chosen: usize,
    },
}

/// One field.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Field {
    label: &'static str,
    /// Stands behind the input: the unit, or what may be written.
    hint: &'static str,
    content: Content,
    /// What is wrong with it, in plain words.
    pub error: Option<String>,
}

impl Field {
    /// A line of text.
    pub fn line(label: &'static str, hint: &'static str, columns: u16, input: Input) -> Self {
        Self {
            label,
            hint,
            content: Content::Line { input, columns },
            error: None,
        }
    }

    /// One of several words; the last one is chosen at first (by habit "unknown").
    pub fn choice(label: &'static str, choices: &'static [Choice]) -> Self {
        let chosen = choices.len().saturating_sub(1);
        Self {
            label,
            hint: "",
            content: Content::Choice { choices, chosen },
            error: None,
        }
    }

    /// What is in it, blanks around it taken off; the code of a choice.
    pub fn value(&self) -> &str {
        match &self.content {
            Content::Line { input, .. } => input.text().trim(),
            Content::Choice { choices, chosen } => choices.get(*chosen).map_or("", |c| c.code),
        }
    }

    /// Its input line, where it has one.
    pub fn input_mut(&mut self) -> Option<&mut Input> {
        match &mut self.content {
            Content::Line { input, .. } => Some(input),
            Content::Choice { .. } => None,
        }
    }
}

/// What a key did to a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing, or the cursor moved.
    Nothing,
    /// A value changed.
    Changed,
    /// The cursor left this field.
    Left(usize),
    /// All is filled in: save.
    Submit,
}

/// Fields and a cursor.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Form {
    /// The fields, from the top.
    pub fields: Vec<Field>,
    /// The one that is typed into.
    pub focus: usize,
}

impl Form {
    /// A form with the cursor in its first field.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields, focus: 0 }
    }

    /// What is in a field.
    pub fn value(&self, n: usize) -> &str {
        self.fields.get(n).map_or("", Field::value)
    }

    /// Whether anything was typed.
    pub fn is_touched(&self) -> bool {
        let typed = |f: &&Field| matches!(f.content, Content::Line { .. }) && !f.value().is_empty();
        self.fields.iter().find(typed).is_some()
    }

    /// Sets what is wrong with each field; the cursor goes to the first one. Returns whether all is well.
    pub fn judge(&mut self, errors: Vec<Option<String>>) -> bool {
        for (field, error) in self.fields.iter_mut().zip(errors) {
            field.error = error;
        }
        match self.fields.iter().position(|f| f.error.is_some()) {
            Some(first) => {
                self.focus = first;
                false
            }
            None => true,
        }
    }

    /// Types or pastes into the focused field.
    pub fn typed(&mut self, text: &str) -> Done {
        let Some(field) = self.fields.get_mut(self.focus) else {
            return Done::Nothing;
        };
        field.error = None;
        match &mut field.content {
            Content::Line { input, .. } => _ = input.insert(text),
            Content::Choice { choices, chosen } => {
                let first = text.chars().next().map(|c| c.to_ascii_lowercase());
                let starts = |c: &Choice| c.label.chars().next() == first;
                match choices.iter().position(starts) {
                    Some(n) => *chosen = n,
                    None => return Done::Nothing,
                }
            }
        }
        Done::Changed
    }

    /// Moves, deletes, chooses.
    pub fn act(&mut self, action: Action) -> Done {
        let last = self.fields.len().saturating_sub(1);
        let left = self.focus;
        match action {
            Action::Submit if self.focus == last => return Done::Submit,
            Action::Save => return Done::Submit,
            Action::Submit | Action::NextField | Action::Down => {
                self.focus = if left < last { left + 1 } else { 0 };
                return Done::Left(left);
            }
            Action::PreviousField | Action::Up => {
                self.focus = left.checked_sub(1).unwrap_or(last);
                return Done::Left(left);
            }
            _ => {}
        }
        let Some(field) = self.fields.get_mut(self.focus) else {
            return Done::Nothing;
        };
        let changed = match &mut field.content {
            Content::Line { input, .. } => input.act(action),
            Content::Choice { choices, chosen } => {
                let before = *chosen;
                match action {
                    Action::CursorLeft => *chosen = chosen.saturating_sub(1),
                    Action::CursorRight => *chosen = (*chosen + 1).min(choices.len() - 1),
                    _ => {}
                }
                before != *chosen
            }
        };
        if changed {
            field.error = None;
            return Done::Changed;
        }
        Done::Nothing
    }

    /// Draws the fields. Returns the row after them.
    pub fn view(&self, canvas: &mut Canvas<'_>, y: u16) -> u16 {
        let mut row = y;
        for (n, field) in self.fields.iter().enumerate() {
            let focused = n == self.focus;
            if focused {
                canvas.select(row, false);
                canvas.put_within(0, row, 1, "▌", Tone::Accent);
            }
            let label = if focused { Tone::Strong } else { Tone::Dim };
            canvas.put_within(2, row, LABEL_COLUMNS - 3, field.label, label);
            let after = match &field.content {
                Content::Line { input, columns } => {
                    let blank = "_".repeat(usize::from(*columns));
                    canvas.put_within(LABEL_COLUMNS, row, *columns, &blank, Tone::Rule);
                    input.view(canvas, LABEL_COLUMNS, row, *columns, focused);
                    LABEL_COLUMNS + columns
                }
                Content::Choice { choices, chosen } => {
                    let mut x = LABEL_COLUMNS;
                    for (n, choice) in choices.iter().enumerate() {
                        let (mark, tone) = if n == *chosen {
                            ("● ", Tone::Strong)
                        } else {
                            ("○ ", Tone::Dim)
                        };
                        if focused && n == *chosen {
                            canvas.cursor(x, row);
                        }
                        x = canvas.put(x, row, mark, tone);
                        x = canvas.put(x, row, choice.label, tone) + 3;
                    }
                    x
                }
            };
            canvas.put(after + 2, row, field.hint, Tone::Dim);
            if let Some(error) = &field.error {
                canvas.put(LABEL_COLUMNS, row + 1, error, Tone::Danger);
            }
            row += ROWS_PER_FIELD;
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEXES: [Choice; 3] = [
        Choice {
            code: "female",
            label: "female",
        },
        Choice {
            code: "male",
            label: "male",
        },
        Choice {
            code: "unknown",
            label: "unknown",
        },
    ];

    fn form() -> Form {
        Form::new(vec![
            Field::line("Family", "", 20, Input::new(64)),
            Field::choice("Sex", &SEXES),
        ])
    }

    #[test]
    fn enter_walks_and_the_last_one_submits() {
        let mut form = form();
        assert_eq!(form.typed("Okafor"), Done::Changed);
        assert_eq!(form.act(Action::Submit), Done::Left(0));
        assert_eq!(form.act(Action::Submit), Done::Submit);
        assert_eq!((form.value(0), form.value(1)), ("Okafor", "unknown"));
    }

    #[test]
    fn a_letter_or_an_arrow_chooses() {
        let mut form = form();
        form.act(Action::Down);
        assert_eq!(form.typed("F"), Done::Changed);
        assert_eq!(form.value(1), "female");
        form.act(Action::CursorRight);
        assert_eq!(form.value(1), "male");
        assert_eq!(form.typed("x"), Done::Nothing);
        assert_eq!(form.act(Action::Up), Done::Left(1));
        assert_eq!(form.focus, 0);
    }

    #[test]
    fn the_cursor_goes_to_the_first_error_and_typing_clears_it() {
        let mut form = form();
        form.focus = 1;
        assert!(!form.judge(vec![Some("Write the family name.".into()), None]));
        assert_eq!(form.focus, 0);
        form.typed("O");
        assert!(form.fields[0].error.is_none());
        assert!(form.judge(vec![None, None]));
    }
}
