//! Lines under a title: an item of a record or an entry of the audit trail, to be read and scrolled.

use crate::canvas::Canvas;
use crate::rows;
use crate::series;
use crate::text;
use crate::theme::Tone;

/// Columns of the labels.
const LABEL_COLUMNS: u16 = 15;
/// Rows of a chart.
const CHART_ROWS: usize = 4;
/// Columns beside a chart for its highest and lowest number.
const CHART_LABEL_COLUMNS: usize = 12;
/// Columns of the bar of a probability at the least: a bar in eighths then tells hundredths apart.
const MIN_BAR_COLUMNS: u16 = 8;
/// Lines of a label (a guess: 80 characters).
const MAX_LABEL_LINES: usize = 3;
/// Columns of a probability.
const NUMBER_COLUMNS: u16 = 5;
/// What stands behind a probability that says more than it should, explained below it; and its columns with air.
pub(crate) const MARK: &str = "(!)";
const MARK_COLUMNS: u16 = 4;
/// Lines of one text; a note has at most 64 KiB (`pages::note`), 1,600 lines of 40 columns.
const MAX_LINES: usize = 2_000;

/// One line or paragraph.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// A heading.
    Heading(String),
    /// A name and a value.
    Field(&'static str, String, Tone),
    /// Words.
    Text(String),
    /// When, what came out, and whether the source flagged it.
    Point(String, String, Tone),
    /// What was measured, what came out, and whether the source flagged it.
    Pair(String, String, Tone),
    /// What was said, its probability, and whether less may be made of it than the number says.
    Likely(String, Option<f64>, bool),
    /// Numbers drawn over time.
    Chart(Vec<f64>),
    /// Air.
    Blank,
}

/// Lines under a title.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Detail {
    /// The item's name.
    pub title: String,
    /// What is known.
    pub lines: Vec<Line>,
}

/// A piece of a line that is drawn: column, text, tone.
type Piece = (u16, String, Tone);

impl Detail {
    /// The lines as drawn in so many columns.
    fn drawn(&self, width: u16) -> Vec<Vec<Piece>> {
        let columns = usize::from(width);
        let mut drawn: Vec<Vec<Piece>> = Vec::new();
        for line in &self.lines {
            match line {
                Line::Heading(text) => drawn.push(vec![(0, text.clone(), Tone::Accent)]),
                Line::Blank => drawn.push(Vec::new()),
                Line::Text(text) => {
                    let lines = text::wrap(text, columns, MAX_LINES);
                    drawn.extend(lines.into_iter().map(|l| vec![(0, l, Tone::Text)]));
                }
                Line::Field(label, value, tone) => {
                    let room = columns.saturating_sub(usize::from(LABEL_COLUMNS)).max(8);
                    for (n, l) in text::wrap(value, room, MAX_LINES).into_iter().enumerate() {
                        let label = if n == 0 { *label } else { "" };
                        drawn.push(vec![
                            (0, label.to_owned(), Tone::Dim),
                            (LABEL_COLUMNS, l, *tone),
                        ]);
                    }
                }
                Line::Point(when, value, tone) => drawn.push(vec![
                    (0, when.clone(), Tone::Dim),
                    (18, value.clone(), *tone),
                ]),
                Line::Pair(label, value, tone) => {
                    let split = width / 5 * 3;
                    let label = text::fit(label, usize::from(split.saturating_sub(2)));
                    drawn.push(vec![(0, label, Tone::Text), (split, value.clone(), *tone)]);
                }
                Line::Likely(label, p, marked) => {
                    drawn.extend(drawn_likely(label, *p, *marked, width));
                }
                Line::Chart(numbers) => drawn.extend(drawn_chart(numbers, columns)),
            }
        }
        drawn
    }

    /// How far it can be scrolled in an area of this size.
    pub fn max_scroll(&self, width: u16, height: u16) -> usize {
        self.drawn(width)
            .len()
            .saturating_sub(usize::from(height.saturating_sub(2)))
    }

    /// Draws title and lines.
    pub fn view(&self, canvas: &mut Canvas<'_>, scroll: usize) {
        canvas.put(0, 0, &self.title, Tone::Strong);
        let drawn = self.drawn(canvas.width());
        let rows = usize::from(canvas.height().saturating_sub(2));
        let rest = drawn.len().saturating_sub(scroll + rows);
        for (y, pieces) in (2..canvas.height()).zip(drawn.into_iter().skip(scroll)) {
            for (x, text, tone) in pieces {
                canvas.put(x, y, &text, tone);
            }
        }
        if rest > 0 {
            let end = canvas.width();
            canvas.put_right(end, 0, &format!("↓ {rest} more"), Tone::Dim);
        }
    }
}

/// A label, its probability as a bar and as a number, and a mark where there are reservations. Labels differ at their ends:
/// a long one goes on below.
fn drawn_likely(label: &str, p: Option<f64>, marked: bool, width: u16) -> Vec<Vec<Piece>> {
    let bar = (width / 6).max(MIN_BAR_COLUMNS);
    let number_at = width.saturating_sub(NUMBER_COLUMNS + MARK_COLUMNS);
    let bar_at = number_at.saturating_sub(bar + 1);
    let label_columns = usize::from(bar_at.saturating_sub(1)).max(8);
    let lines = text::wrap(label, label_columns, MAX_LABEL_LINES);
    let mut drawn: Vec<Vec<Piece>> = lines
        .into_iter()
        .map(|line| vec![(0, line, Tone::Text)])
        .collect();
    if let Some(first) = drawn.first_mut() {
        if let Some(p) = p {
            first.push((bar_at, series::bar(p, usize::from(bar)), Tone::Accent));
            first.push((number_at, rows::probability(p), Tone::Text));
        }
        if marked {
            let mark_at = width.saturating_sub(MARK_COLUMNS - 1);
            first.push((mark_at, MARK.to_owned(), Tone::Caution));
        }
    }
    drawn
}

/// Bars over time, with the highest and lowest number beside them.
fn drawn_chart(numbers: &[f64], columns: usize) -> Vec<Vec<Piece>> {
    let room = columns.saturating_sub(CHART_LABEL_COLUMNS).max(1);
    // Few bars are drawn wide, many as they are.
    let wide = (room / numbers.len().max(1)).clamp(1, 4);
    let shown = &numbers[numbers.len().saturating_sub(room / wide)..];
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bars = series::chart(shown, shown.len(), CHART_ROWS);
    let last = bars.len().saturating_sub(1);
    let gap = usize::from(wide > 2);
    let mut drawn = Vec::new();
    for (n, bar) in bars.into_iter().enumerate() {
        let widen = |c: char| [c.to_string().repeat(wide - gap), " ".repeat(gap)];
        let bar: String = bar.chars().flat_map(widen).collect();
        let end = u16::try_from(text::width(&bar) + 1).unwrap_or(0);
        let mut pieces = vec![(0, bar, Tone::Accent)];
        match n {
            0 => pieces.push((end, high.to_string(), Tone::Dim)),
            n if n == last => pieces.push((end, low.to_string(), Tone::Dim)),
            _ => {}
        }
        drawn.push(pieces);
    }
    drawn
}
