//! A text of many lines that is being written.

use unicode_segmentation::UnicodeSegmentation;

use crate::canvas::Canvas;
use crate::input::{left, right, word_left, word_right};
use crate::keymap::Action;
use crate::text;
use crate::theme::Tone;

/// A text with a cursor, wrapped to whatever width it is shown in.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Editor {
    text: String,
    /// Byte at which the next character goes in; a grapheme boundary.
    cursor: usize,
    /// The column that moving up and down tries to keep.
    goal: Option<usize>,
    max_bytes: usize,
}

impl Editor {
    /// An editor for up to so many bytes, with a text in it.
    pub fn new(max_bytes: usize, text: &str) -> Self {
        let mut editor = Self {
            text: String::new(),
            cursor: 0,
            goal: None,
            max_bytes,
        };
        editor.insert(text);
        editor
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Types or pastes. Returns whether all of it fitted.
    pub fn insert(&mut self, typed: &str) -> bool {
        let clean = text::typed(typed, true);
        let mut fits = clean
            .len()
            .min(self.max_bytes.saturating_sub(self.text.len()));
        while !clean.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text.insert_str(self.cursor, &clean[..fits]);
        self.cursor += fits;
        self.goal = None;
        fits == clean.len()
    }

    /// Moves or deletes. `columns` and `rows` are the size it is shown in. Returns whether the text changed.
    pub fn act(&mut self, action: Action, columns: usize, rows: usize) -> bool {
        let before = self.text.len();
        let steps = match action {
            Action::Up => -1,
            Action::Down => 1,
            Action::PageUp => -isize::try_from(rows).unwrap_or(1),
            Action::PageDown => isize::try_from(rows).unwrap_or(1),
            _ => 0,
        };
        if steps != 0 {
            self.move_lines(steps, columns);
            return false;
        }
        self.goal = None;
        let (text, at) = (&self.text, self.cursor);
        let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1);
        match action {
            Action::NewLine => _ = self.insert("\n"),
            Action::CursorLeft => self.cursor = left(text, at),
            Action::CursorRight => self.cursor = right(text, at),
            Action::WordLeft => self.cursor = word_left(text, at),
            Action::WordRight => self.cursor = word_right(text, at),
            Action::LineStart => self.cursor = line_start,
            Action::LineEnd => self.cursor = text[at..].find('\n').map_or(text.len(), |i| at + i),
            Action::DeleteBack => self.delete(left(text, at), at),
            Action::DeleteForward => self.delete(at, right(text, at)),
            Action::DeleteWord => self.delete(word_left(text, at), at),
            Action::DeleteToStart if line_start < at => self.delete(line_start, at),
            Action::DeleteToStart => self.delete(left(text, at), at),
            _ => {}
        }
        self.text.len() != before
    }

    fn delete(&mut self, start: usize, end: usize) {
        self.text.replace_range(start..end, "");
        self.cursor = start;
    }

    fn move_lines(&mut self, steps: isize, columns: usize) {
        let lines = self.lines(columns);
        let (row, column) = self.place(&lines);
        let goal = *self.goal.get_or_insert(column);
        let target = row.saturating_add_signed(steps).min(lines.len() - 1);
        if target == row {
            // Beyond the first or last line: to its very end, as most editors do.
            self.cursor = if steps < 0 { 0 } else { self.text.len() };
            return;
        }
        let (start, end) = lines[target];
        let mut used = 0;
        self.cursor = start;
        for (at, grapheme) in self.text[start..end].grapheme_indices(true) {
            used += text::grapheme_width(grapheme);
            if used > goal {
                break;
            }
            let after = start + at + grapheme.len();
            // Behind the last character of a wrapped line is the start of the next one.
            if after == end && target + 1 < lines.len() && lines[target + 1].0 == end {
                break;
            }
            self.cursor = after;
        }
    }

    /// The lines as shown: byte ranges, at least one. Line ends belong to no range.
    fn lines(&self, columns: usize) -> Vec<(usize, usize)> {
        let mut lines = Vec::new();
        let mut start = 0;
        for paragraph in self.text.split('\n') {
            let shown = text::breaks(paragraph, columns.saturating_sub(1));
            lines.extend(
                shown
                    .into_iter()
                    .map(|(from, to)| (start + from, start + to)),
            );
            start += paragraph.len() + 1;
        }
        lines
    }

    /// Row and column of the cursor.
    fn place(&self, lines: &[(usize, usize)]) -> (usize, usize) {
        let row = lines
            .partition_point(|(start, _)| *start <= self.cursor)
            .saturating_sub(1);
        let start = lines.get(row).map_or(0, |l| l.0);
        (row, text::width(&self.text[start..self.cursor]))
    }

    /// Draws the text, scrolled so that the cursor is seen.
    pub fn view(&self, canvas: &mut Canvas<'_>) {
        let columns = usize::from(canvas.width());
        let rows = usize::from(canvas.height()).max(1);
        let lines = self.lines(columns);
        let (row, column) = self.place(&lines);
        let first = (row + 1).saturating_sub(rows);
        for (y, (start, end)) in (0..canvas.height()).zip(lines.iter().skip(first)) {
            canvas.put(0, y, &self.text[*start..*end], Tone::Text);
        }
        let x = u16::try_from(column.min(columns.saturating_sub(1))).unwrap_or(0);
        canvas.cursor(x, u16::try_from(row - first).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, actions: &[Action]) -> (String, usize) {
        let mut editor = Editor::new(1000, text);
        for action in actions {
            editor.act(*action, 11, 3);
        }
        (editor.text, editor.cursor)
    }

    #[test]
    fn a_table_of_edits() {
        use Action::*;
        let table: [(&str, &[Action], &str, usize); 8] = [
            ("one\ntwo", &[DeleteToStart], "one\n", 4),
            ("one\ntwo", &[LineStart, DeleteBack], "onetwo", 3),
            ("one\ntwo", &[Up], "one\ntwo", 3),
            ("one\ntwo", &[Up, Up], "one\ntwo", 0),
            ("one\ntwo", &[Up, LineStart, NewLine], "\none\ntwo", 1),
            ("one\n\nthree", &[Up, Up, Down, Down], "one\n\nthree", 10),
            ("one two", &[WordLeft, DeleteForward], "one wo", 4),
            (
                "",
                &[Up, Down, PageUp, PageDown, DeleteBack, DeleteToStart],
                "",
                0,
            ),
        ];
        for (text, actions, expected, cursor) in table {
            assert_eq!(
                after(text, actions),
                (expected.into(), cursor),
                "{text:?} {actions:?}"
            );
        }
    }

    #[test]
    fn up_and_down_walk_the_lines_that_are_seen() {
        use Action::*;
        // Ten columns of text: "the quick " / "brown fox ".
        let (_, cursor) = after("the quick brown fox jumps", &[Up]);
        assert_eq!(cursor, "the quick brown".len());
        let (_, cursor) = after("the quick brown fox jumps", &[Up, Up]);
        assert_eq!(cursor, "the q".len());
        let (_, cursor) = after("the quick brown fox jumps", &[Up, Up, Down, Down]);
        assert_eq!(cursor, "the quick brown fox jumps".len());
    }

    #[test]
    fn a_note_is_bounded_and_clean() {
        let mut editor = Editor::new(8, "");
        assert!(editor.insert("a\r\nb\u{1b}"));
        assert_eq!(editor.text(), "a\nb");
        assert!(!editor.insert("1234567"));
        assert_eq!(editor.text().len(), 8);
    }

    #[test]
    fn every_place_can_be_reached_and_left() {
        let text = "山田 花子\n\n a  verylongwordthatdoesnotfit e\u{301}e\u{301} x";
        for columns in 0..20 {
            let mut editor = Editor::new(1000, text);
            for action in [
                Action::Up,
                Action::Down,
                Action::PageUp,
                Action::CursorRight,
            ] {
                for _ in 0..60 {
                    editor.act(action, columns, 2);
                    assert!(editor.text.is_char_boundary(editor.cursor));
                }
            }
        }
    }
}
