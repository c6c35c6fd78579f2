//! The help screen: the whole keymap, printed.

use super::page_rows;
use crate::canvas::Canvas;
use crate::keymap::{Action, BINDINGS, Binding, Group};
use crate::msg::Size;
use crate::table::Cursor;
use crate::theme::Tone;

/// Columns of the keys.
const KEY_COLUMNS: u16 = 22;
/// From this width on there are two columns of actions.
const WIDE: u16 = 110;
/// Rows above the list.
const ROWS_ABOVE: u16 = 2;

/// The screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Help {
    scroll: usize,
}

/// One line: a heading, an action, or air.
enum Line {
    Heading(&'static str),
    Action(&'static Binding),
    Blank,
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        if !lines.is_empty() {
            lines.push(Line::Blank);
        }
        lines.push(Line::Heading(group.title()));
        lines.extend(
            BINDINGS
                .iter()
                .filter(|b| b.group == group)
                .map(Line::Action),
        );
    }
    lines
}

/// All keys of an action, in one cell; a row of digits is shortened.
fn keys(binding: &Binding) -> String {
    let all = || {
        binding
            .keys
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("  ")
    };
    binding.range().unwrap_or_else(all)
}

impl Help {
    fn columns(width: u16) -> usize {
        if width >= WIDE { 2 } else { 1 }
    }

    /// Scrolls.
    pub fn act(&mut self, action: Action, size: Size) {
        let rows = usize::from(page_rows(size).saturating_sub(ROWS_ABOVE));
        let lines = lines().len().div_ceil(Self::columns(size.width));
        let mut cursor = Cursor { at: self.scroll };
        cursor.act(action, lines.saturating_sub(rows) + 1, rows);
        self.scroll = cursor.at;
    }

    /// Draws it over the whole page.
    pub fn view(&self, canvas: &mut Canvas<'_>) {
        canvas.no_cursor();
        canvas.clear();
        let columns = Self::columns(canvas.width());
        let lines = lines();
        let per_column = lines.len().div_ceil(columns);
        let mut area = canvas.inset(2);
        area.put(0, 0, "Keys", Tone::Accent);
        let rows = area.height().saturating_sub(ROWS_ABOVE);
        let hidden = per_column.saturating_sub(self.scroll + usize::from(rows));
        let end = area.width();
        if hidden > 0 {
            area.put_right(end, 0, &format!("↓ {hidden} more lines"), Tone::Dim);
        }
        let width = area.width() / u16::try_from(columns).unwrap_or(1);
        for (x, column) in (0..)
            .step_by(usize::from(width.max(1)))
            .zip(lines.chunks(per_column))
        {
            let mut part = area.part(x, ROWS_ABOVE, width.saturating_sub(2), rows);
            for (y, line) in (0..rows).zip(column.iter().skip(self.scroll)) {
                match line {
                    Line::Blank => {}
                    Line::Heading(text) => _ = part.put(0, y, text, Tone::Strong),
                    Line::Action(binding) => {
                        part.put_within(0, y, KEY_COLUMNS - 2, &keys(binding), Tone::Accent);
                        part.put(KEY_COLUMNS, y, binding.title, Tone::Text);
                    }
                }
            }
        }
    }
}
