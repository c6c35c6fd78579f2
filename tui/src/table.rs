//! Rows and columns, and a cursor that walks over them.

use crate::canvas::Canvas;
use crate::keymap::Action;
use crate::theme::Tone;

/// Columns between two cells.
const GAP: u16 = 2;
/// Columns before the first cell: the mark of the cursor and air.
const MARGIN: u16 = 2;

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// So many columns.
    Fixed(u16),
    /// So many shares of what is left.
    Share(u16),
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its heading.
    pub title: &'static str,
    /// How wide.
    pub width: Width,
    /// Whether its cells end at the right: numbers.
    pub right: bool,
    /// The table must be this wide for it to be shown.
    pub from: u16,
}

impl Column {
    /// A column of fixed width.
    pub const fn fixed(title: &'static str, columns: u16) -> Self {
        Self {
            title,
            width: Width::Fixed(columns),
            right: false,
            from: 0,
        }
    }

    /// A column that takes a share of what is left.
    pub const fn share(title: &'static str, shares: u16) -> Self {
        Self {
            title,
            width: Width::Share(shares),
            right: false,
            from: 0,
        }
    }

    /// With its cells at the right.
    #[must_use]
    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Only in tables of at least this width.
    #[must_use]
    pub const fn from(mut self, width: u16) -> Self {
        self.from = width;
        self
    }
}

/// What stands in a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The text, as it came.
    pub text: String,
    /// What it is.
    pub tone: Tone,
}

impl Cell {
    /// A cell.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

/// Where each column stands: its first column and its width; nothing where it is not shown.
fn places(columns: &[Column], total: u16) -> Vec<Option<(u16, u16)>> {
    let shown = |c: &&Column| c.from <= total;
    let gaps = GAP * u16::try_from(columns.iter().filter(shown).count()).unwrap_or(0);
    let (mut fixed, mut shares) = (0, 0);
    for column in columns.iter().filter(shown) {
        match column.width {
            Width::Fixed(n) => fixed += n,
            Width::Share(n) => shares += n,
        }
    }
    let left = (total + GAP).saturating_sub(MARGIN + gaps + fixed + 1);
    let mut x = MARGIN;
    let mut spare = left;
    let mut shares_to_come = shares;
    columns
        .iter()
        .map(|column| {
            if column.from > total {
                return None;
            }
            let width = match column.width {
                Width::Fixed(n) => n,
                Width::Share(n) => {
                    let width = spare * n / shares_to_come.max(1);
                    spare -= width;
                    shares_to_come -= n;
                    width
                }
            };
            let place = (x, width);
            x += width + GAP;
            Some(place)
        })
        .collect()
}

/// Draws the headings.
pub(crate) fn headings(canvas: &mut Canvas<'_>, y: u16, columns: &[Column]) {
    let cells: Vec<Cell> = columns
        .iter()
        .map(|c| Cell::new(c.title, Tone::Dim))
        .collect();
    row(canvas, y, columns, &cells);
}

/// Draws one row.
pub(crate) fn row(canvas: &mut Canvas<'_>, y: u16, columns: &[Column], cells: &[Cell]) {
    row_matching(canvas, y, columns, cells, &[]);
}

/// Draws one row and underlines the words in it.
pub(crate) fn row_matching(
    canvas: &mut Canvas<'_>,
    y: u16,
    columns: &[Column],
    cells: &[Cell],
    words: &[String],
) {
    let places = places(columns, canvas.width());
    for ((column, cell), place) in columns.iter().zip(cells).zip(places) {
        let Some((x, width)) = place else { continue };
        if column.right {
            let mut part = canvas.part(x, y, width, 1);
            part.put_right(width, 0, &cell.text, cell.tone);
            continue;
        }
        canvas.put_within(x, y, width, &cell.text, cell.tone);
        // Searches look at what is said loud.
        if cell.tone != Tone::Dim {
            canvas.underline(x, y, width, &cell.text, words);
        }
    }
}

/// A cursor over a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The row it stands on.
    pub at: usize,
}

impl Cursor {
    /// Moves over a list of `len` rows of which `page` are seen. Returns whether the action was a move.
    pub fn act(&mut self, action: Action, len: usize, page: usize) -> bool {
        let last = len.saturating_sub(1);
        self.at = match action {
            Action::Up => self.at.saturating_sub(1),
            Action::Down => self.at.saturating_add(1),
            Action::PageUp => self.at.saturating_sub(page.max(1)),
            Action::PageDown => self.at.saturating_add(page.max(1)),
            Action::First => 0,
            Action::Last => last,
            _ => return false,
        };
        self.at = self.at.min(last);
        true
    }

    /// Keeps it inside a list that has changed.
    pub fn clamp(&mut self, len: usize) {
        self.at = self.at.min(len.saturating_sub(1));
    }
}

/// The first row to show of `len`, so that row `at` is seen, in the middle where it can be.
pub(crate) fn first_shown(at: usize, len: usize, rows: u16) -> usize {
    let rows = usize::from(rows).max(1);
    at.saturating_sub(rows / 2).min(len.saturating_sub(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_what_the_fixed_ones_leave() {
        let columns = [
            Column::fixed("a", 10),
            Column::share("b", 1),
            Column::fixed("c", 5).from(100),
        ];
        assert_eq!(places(&columns, 40), [Some((2, 10)), Some((14, 25)), None]);
        assert_eq!(
            places(&columns, 100),
            [Some((2, 10)), Some((14, 78)), Some((94, 5))]
        );
        for total in 0..30 {
            places(&columns, total);
        }
    }

    #[test]
    fn the_cursor_stays_in_the_list() {
        let mut cursor = Cursor::default();
        for (action, len, at) in [
            (Action::Up, 3, 0),
            (Action::Down, 3, 1),
            (Action::PageDown, 3, 2),
            (Action::Down, 3, 2),
            (Action::PageUp, 3, 0),
            (Action::Last, 9, 8),
            (Action::Down, 0, 0),
        ] {
            assert!(cursor.act(action, len, 5));
            assert_eq!(cursor.at, at);
        }
        assert!(!cursor.act(Action::Save, 3, 5));
    }

    #[test]
    fn the_row_under_the_cursor_is_always_seen() {
        for len in 0..30 {
            for at in 0..len {
                for rows in 1..12u16 {
                    let first = first_shown(at, len, rows);
                    assert!(first <= at && at < first + usize::from(rows));
                    assert!(first == 0 || first + usize::from(rows) <= len);
                }
            }
        }
    }
}
