//! Aligned tables, measured in terminal columns.

use super::output::{Line, Span, Style};
use super::text;

/// Blank columns between two columns of a table.
const GAP: usize = 2;
/// A flexible column is not made narrower than this; a guess at what can still be read.
const LEAST_FLEXIBLE: usize = 10;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// As wide as its widest cell.
    Left,
    /// The same, numbers flush right.
    Right,
    /// Gives way where the terminal is narrow: its cells are wrapped.
    Flexible,
}

/// Rows of cells under optional titles. A column that no row fills is left out.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Column)>,
    rows: Vec<Vec<Span>>,
    indent: usize,
}

impl Table {
    /// A table with these columns; with empty titles throughout it has no title line.
    pub fn new(columns: &[(&str, Column)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|&(title, column)| (title.to_owned(), column))
                .collect(),
            rows: Vec::new(),
            indent: 0,
        }
    }

    /// Labels on the left, values on the right.
    pub fn fields() -> Self {
        Self::new(&[("", Column::Left), ("", Column::Flexible)])
    }

    /// Moves the whole table to the right.
    #[must_use]
    pub fn indented(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Span>) {
        let mut row: Vec<Span> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Span::default());
        self.rows.push(row);
    }

    /// Adds a label and its value, unless the value is empty.
    pub fn field(&mut self, label: &str, value: impl Into<Span>) {
        let value = value.into();
        if !value.text().is_empty() {
            self.row([Span::new(label, Style::Dim), value]);
        }
    }

    /// Columns that the table takes where nothing gives way.
    pub fn natural_width(&self) -> usize {
        let filled = self.filled();
        let gaps = GAP * filled.len().saturating_sub(1);
        self.indent + gaps + self.widths(&filled, None).iter().sum::<usize>()
    }

    fn filled(&self) -> Vec<usize> {
        (0..self.columns.len())
            .filter(|&i| self.rows.iter().any(|row| !row[i].text().is_empty()))
            .collect()
    }

    /// Sets the table in lines, within `columns` where they are given.
    pub fn lines(&self, columns: Option<usize>) -> Vec<Line> {
        let filled = self.filled();
        let widths = self.widths(&filled, columns);
        let mut lines = Vec::new();
        if filled.iter().any(|&i| !self.columns[i].0.is_empty()) {
            let titles = filled
                .iter()
                .map(|&i| (vec![self.columns[i].0.clone()], Style::Strong));
            self.set(titles.collect(), &filled, &widths, &mut lines);
        }
        for row in &self.rows {
            let cells = filled.iter().zip(&widths).map(|(&i, &wide)| {
                let cell = &row[i];
                let wrapped = if text::width(cell.text()) <= wide {
                    vec![cell.text().to_owned()]
                } else {
                    text::wrap(cell.text(), wide)
                };
                (wrapped, cell.style())
            });
            self.set(cells.collect(), &filled, &widths, &mut lines);
        }
        lines
    }

    fn widths(&self, filled: &[usize], columns: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = filled
            .iter()
            .map(|&i| {
                let cells = self.rows.iter().map(|row| text::width(row[i].text()));
                cells
                    .chain([text::width(&self.columns[i].0)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let Some(columns) = columns else {
            return widths;
        };
        let around = self.indent + GAP * filled.len().saturating_sub(1);
        loop {
            let excess = (around + widths.iter().sum::<usize>()).saturating_sub(columns);
            let widest = (0..filled.len())
                .filter(|&at| self.columns[filled[at]].1 == Column::Flexible)
                .filter(|&at| widths[at] > LEAST_FLEXIBLE)
                .max_by_key(|&at| widths[at]);
            match widest {
                Some(at) if excess > 0 => {
                    // Down to the next widest at most, so that several flexible columns give way evenly.
                    let second = (0..filled.len())
                        .filter(|&other| other != at)
                        .filter(|&other| self.columns[filled[other]].1 == Column::Flexible)
                        .map(|other| widths[other])
                        .max()
                        .unwrap_or(0);
                    let down = (widths[at] - second.max(LEAST_FLEXIBLE)).clamp(1, excess.max(1));
                    widths[at] -= down;
                }
                _ => return widths,
            }
        }
    }

    fn set(
        &self,
        cells: Vec<(Vec<String>, Style)>,
        filled: &[usize],
        widths: &[usize],
        lines: &mut Vec<Line>,
    ) {
        let height = cells.iter().map(|(cell, _)| cell.len()).max().unwrap_or(0);
        for y in 0..height {
            let mut line = Line::new().add(" ".repeat(self.indent));
            for (at, (cell, style)) in cells.iter().enumerate() {
                let part = cell.get(y).map_or("", String::as_str);
                let blanks = " ".repeat(widths[at].saturating_sub(text::width(part)));
                let gap = if at + 1 < cells.len() { GAP } else { 0 };
                if self.columns[filled[at]].1 == Column::Right {
                    line = line.add(blanks).styled(part, *style);
                } else {
                    line = line.styled(part, *style).add(blanks);
                }
                line = line.add(" ".repeat(gap));
            }
            lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Out;

    fn printed(table: &Table, columns: Option<usize>) -> String {
        let (mut out, seen) = Out::captured();
        out.lines(table.lines(columns)).unwrap();
        seen.stdout()
    }

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("name", Column::Left),
            ("n", Column::Right),
            ("nothing", Column::Left),
            ("what", Column::Flexible),
        ]);
        table.row(["李明".into(), 5_u64.into(), "".into(), "short".into()]);
        table.row([
            "Müller".into(),
            12_345_u64.into(),
            "".into(),
            "a long text that gives way where the terminal is narrow".into(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_by_width_and_empty_ones_are_left_out() {
        insta::assert_snapshot!(printed(&sample(), None), @"
        name        n  what
        李明        5  short
        Müller  12345  a long text that gives way where the terminal is narrow
        ");
    }

    #[test]
    fn a_flexible_column_is_wrapped_to_the_terminal() {
        insta::assert_snapshot!(printed(&sample(), Some(40)), @"
        name        n  what
        李明        5  short
        Müller  12345  a long text that gives
                       way where the terminal is
                       narrow
        ");
    }

    #[test]
    fn a_terminal_too_narrow_for_anything_still_gets_every_cell() {
        let text = printed(&sample().indented(2), Some(1));
        assert!(text.contains("12345") && text.contains("narrow"));
    }
}
