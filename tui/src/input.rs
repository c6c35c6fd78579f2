//! One line that is being typed.

use unicode_segmentation::UnicodeSegmentation;
use zeroize::Zeroize;

use crate::canvas::Canvas;
use crate::keymap::Action;
use crate::text;
use crate::theme::Tone;

/// A line of text with a cursor. Bounded: what does not fit is not taken.
#[derive(Clone, PartialEq)]
pub(crate) struct Input {
    text: String,
    /// Byte at which the next character goes in; a grapheme boundary.
    cursor: usize,
    max_bytes: usize,
    masked: bool,
}

#[cfg(test)]
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = if self.masked { "(masked)" } else { &self.text };
        f.debug_struct("Input")
            .field("text", &text)
            .field("cursor", &self.cursor)
            .finish()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.masked {
            self.text.zeroize();
        }
    }
}

impl Input {
    /// An empty line that takes up to so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            text: String::new(),
            cursor: 0,
            max_bytes,
            masked: false,
        }
    }

    /// The same for a secret: shown as dots, wiped when dropped. Its memory never moves, so no copy stays behind.
    pub fn masked(max_bytes: usize) -> Self {
        Self {
            text: String::with_capacity(max_bytes),
            cursor: 0,
            max_bytes,
            masked: true,
        }
    }

    /// With a text in it, cursor at the end.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.set(text);
        self
    }

    /// Puts another text in, cursor at the end.
    pub fn set(&mut self, text: &str) {
        self.clear();
        self.insert(text);
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes what was typed and leaves the line empty.
    pub fn take(&mut self) -> String {
        self.cursor = 0;
        let empty = if self.masked {
            String::with_capacity(self.max_bytes)
        } else {
            String::new()
        };
        std::mem::replace(&mut self.text, empty)
    }

    /// Empties the line.
    pub fn clear(&mut self) {
        self.cursor = 0;
        if self.masked {
            self.text.zeroize();
        }
        self.text.clear();
    }

    /// Types or pastes. Returns whether all of it fitted.
    pub fn insert(&mut self, typed: &str) -> bool {
        // A secret is taken as it is: leaving out a character would make it another one.
        let clean = if self.masked {
            typed.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text::typed(typed, false)
        };
        let room = self.max_bytes.saturating_sub(self.text.len());
        let mut fits = clean.len().min(room);
        while !clean.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text.insert_str(self.cursor, &clean[..fits]);
        self.cursor += fits;
        let all = fits == clean.len();
        if self.masked {
            let mut clean = clean;
            clean.zeroize();
        }
        all
    }

    /// Moves or deletes. Returns whether the text changed.
    pub fn act(&mut self, action: Action) -> bool {
        let before = self.text.len();
        match action {
            Action::CursorLeft => self.cursor = left(&self.text, self.cursor),
            Action::CursorRight => self.cursor = right(&self.text, self.cursor),
            Action::WordLeft => self.cursor = word_left(&self.text, self.cursor),
            Action::WordRight => self.cursor = word_right(&self.text, self.cursor),
            Action::LineStart => self.cursor = 0,
            Action::LineEnd => self.cursor = self.text.len(),
            Action::DeleteBack => self.delete_from(left(&self.text, self.cursor)),
            Action::DeleteForward => {
                let end = right(&self.text, self.cursor);
                self.text.replace_range(self.cursor..end, "");
            }
            Action::DeleteWord => self.delete_from(word_left(&self.text, self.cursor)),
            Action::DeleteToStart => self.delete_from(0),
            _ => {}
        }
        self.text.len() != before
    }

    fn delete_from(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Draws the line into `width` columns; the part around the cursor where it is too long.
    pub fn view(&self, canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, focused: bool) {
        let columns = usize::from(width);
        let (before, after) = self.text.split_at(self.cursor);
        let (before, after) = if self.masked {
            let dots = |s: &str| "•".repeat(s.graphemes(true).count());
            (dots(before), dots(after))
        } else {
            (
                text::clean(before, self.max_bytes),
                text::clean(after, columns),
            )
        };
        // The last part of what stands before the cursor that leaves a column for the cursor itself.
        let mut shown = before.as_str();
        while text::width(shown) >= columns.max(1) {
            let Some(first) = shown.graphemes(true).next() else {
                break;
            };
            shown = &shown[first.len()..];
        }
        let at = canvas.put_within(x, y, width, shown, Tone::Strong);
        canvas.put_within(at, y, width.saturating_sub(at - x), &after, Tone::Strong);
        if focused {
            canvas.cursor(at, y);
        }
    }
}

/// The grapheme boundary before a byte.
pub(crate) fn left(text: &str, at: usize) -> usize {
    text[..at]
        .grapheme_indices(true)
        .next_back()
        .map_or(0, |(start, _)| start)
}

/// The grapheme boundary after a byte.
pub(crate) fn right(text: &str, at: usize) -> usize {
    text[at..]
        .graphemes(true)
        .next()
        .map_or(at, |g| at + g.len())
}

/// The start of the word at or before a byte.
pub(crate) fn word_left(text: &str, at: usize) -> usize {
    let head = text[..at].trim_end_matches(|c: char| !c.is_alphanumeric());
    head.rfind(|c: char| !c.is_alphanumeric())
        .map_or(0, |i| right(text, i))
}

/// The end of the word at or after a byte.
pub(crate) fn word_right(text: &str, at: usize) -> usize {
    let tail = text[at..].trim_start_matches(|c: char| !c.is_alphanumeric());
    let start = text.len() - tail.len();
    tail.find(|c: char| !c.is_alphanumeric())
        .map_or(text.len(), |i| start + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_edits() {
        use Action::*;
        let table: [(&str, &[Action], &str, usize); 8] = [
            ("Okafor", &[DeleteBack], "Okafo", 5),
            ("Okafor", &[LineStart, DeleteForward], "kafor", 0),
            ("Ada Okafor", &[DeleteWord], "Ada ", 4),
            ("Ada Okafor", &[WordLeft, DeleteToStart], "Okafor", 0),
            (
                "Ada Okafor",
                &[LineStart, WordRight, DeleteForward],
                "AdaOkafor",
                3,
            ),
            ("山田", &[CursorLeft, DeleteBack], "田", 0),
            ("e\u{301}x", &[CursorLeft, DeleteBack], "x", 0),
            (
                "",
                &[DeleteBack, DeleteForward, WordLeft, WordRight, CursorLeft],
                "",
                0,
            ),
        ];
        for (text, actions, expected, cursor) in table {
            let mut input = Input::new(64).with(text);
            for action in actions {
                input.act(*action);
            }
            assert_eq!(
                (input.text(), input.cursor),
                (expected, cursor),
                "{text:?} {actions:?}"
            );
        }
    }

    #[test]
    fn input_is_bounded_and_clean() {
        let mut input = Input::new(5);
        assert!(!input.insert("山田花子"));
        assert_eq!(input.text(), "山");
        input.set("a\nb\u{1b}");
        assert_eq!(input.text(), "a b");
        let mut secret = Input::masked(256);
        let before = secret.text.as_ptr();
        assert!(!secret.insert(&"x".repeat(1000)));
        assert_eq!((secret.text().len(), secret.text.as_ptr()), (256, before));
        assert!(!format!("{secret:?}").contains("xx"));
    }

    #[test]
    fn words_end_at_what_is_not_a_letter_of_any_script() {
        assert_eq!(word_left("a — 山田 ", "a — 山田 ".len()), "a — ".len());
        assert_eq!(word_right("é: ü", 0), "é".len());
    }
}
