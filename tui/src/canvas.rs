//! The only way to the screen: text is cleaned and cut here, and nowhere else.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style};

use crate::graphics::{Placed, Raster};
use crate::picture::{self, Depth, Picture};
use crate::text;
use crate::theme::{Theme, Tone};

/// An area to draw on, with its own coordinates: (0, 0) is its upper left corner. Whatever lies outside is not drawn.
pub(crate) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    /// How things look.
    pub theme: Theme,
    aside: &'a mut Aside,
}

/// What is shown beside the cells.
#[derive(Default)]
pub(crate) struct Aside {
    /// Where the terminal's cursor stands, if it is seen.
    pub cursor: Option<Position>,
    /// Pictures in the terminal's own pixels.
    pub pictures: Vec<Placed>,
}

impl<'a> Canvas<'a> {
    /// A canvas over an area of a buffer; what is no cell comes out in `aside`.
    pub fn new(buffer: &'a mut Buffer, area: Rect, theme: Theme, aside: &'a mut Aside) -> Self {
        let area = area.intersection(buffer.area);
        Self {
            buffer,
            area,
            theme,
            aside,
        }
    }

    /// Columns.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Rows.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// A part of it.
    pub fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Canvas<'_> {
        let x = x.min(self.area.width);
        let y = y.min(self.area.height);
        let area = Rect {
            x: self.area.x + x,
            y: self.area.y + y,
            width: width.min(self.area.width - x),
            height: height.min(self.area.height - y),
        };
        Canvas {
            buffer: self.buffer,
            area,
            theme: self.theme,
            aside: self.aside,
        }
    }

    /// Everything but the first `rows` rows.
    pub fn below(&mut self, rows: u16) -> Canvas<'_> {
        self.part(0, rows, self.area.width, self.area.height)
    }

    /// Everything but `columns` at the left and right.
    pub fn inset(&mut self, columns: u16) -> Canvas<'_> {
        let width = self.area.width.saturating_sub(2 * columns);
        self.part(columns, 0, width, self.area.height)
    }

    /// Writes one line of text, cut at the right edge. Returns the column after it.
    pub fn put(&mut self, x: u16, y: u16, text: &str, tone: Tone) -> u16 {
        self.put_within(x, y, self.area.width.saturating_sub(x), text, tone)
    }

    /// Writes one line of text into `width` columns. Returns the column after it.
    pub fn put_within(&mut self, x: u16, y: u16, width: u16, text: &str, tone: Tone) -> u16 {
        // Whatever was drawn here before leaves nothing behind.
        self.put_styled(
            x,
            y,
            width,
            text,
            Style::reset().patch(self.theme.style(tone)),
        )
    }

    fn put_styled(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        let width = width.min(self.area.width.saturating_sub(x));
        if y >= self.area.height || width == 0 {
            return x;
        }
        let shown = text::fit(text, usize::from(width));
        let (left, top) = (self.area.x + x, self.area.y + y);
        let (end, _) = self
            .buffer
            .set_stringn(left, top, shown, usize::from(width), style);
        end - self.area.x
    }

    /// Writes one line of text that ends before column `end`. Returns the column where it begins.
    pub fn put_right(&mut self, end: u16, y: u16, text: &str, tone: Tone) -> u16 {
        let end = end.min(self.area.width);
        let shown = text::fit(text, usize::from(end));
        let wide = u16::try_from(text::width(&shown)).unwrap_or(end).min(end);
        self.put_within(end - wide, y, wide, text, tone);
        end - wide
    }

    /// Writes one line of text in the middle.
    pub fn put_centred(&mut self, y: u16, text: &str, tone: Tone) {
        let shown = text::fit(text, usize::from(self.area.width));
        let wide = u16::try_from(text::width(&shown))
            .unwrap_or(0)
            .min(self.area.width);
        self.put((self.area.width - wide) / 2, y, text, tone);
    }

    /// Writes a text of several lines, at most `max_lines`. Returns the row after it.
    pub fn put_wrapped(&mut self, x: u16, y: u16, text: &str, max_lines: u16, tone: Tone) -> u16 {
        let columns = usize::from(self.area.width.saturating_sub(x));
        let lines = max_lines.min(self.area.height.saturating_sub(y));
        let mut row = y;
        for line in text::wrap(text, columns, usize::from(lines)) {
            self.put(x, row, &line, tone);
            row += 1;
        }
        row
    }

    /// Writes parts after each other, a middle dot between them. Returns the column after them.
    pub fn put_joined(&mut self, x: u16, y: u16, parts: &[(String, Tone)]) -> u16 {
        let mut x = x;
        for (n, (part, tone)) in parts
            .iter()
            .filter(|(part, _)| !part.is_empty())
            .enumerate()
        {
            if n > 0 {
                x = self.put(x, y, " · ", Tone::Dim);
            }
            x = self.put(x, y, part, *tone);
        }
        x
    }

    /// A thin line across.
    pub fn rule(&mut self, y: u16) {
        let line = "─".repeat(usize::from(self.area.width));
        self.put(0, y, &line, Tone::Rule);
    }

    /// A thin line down.
    pub fn upright(&mut self, x: u16, y: u16, height: u16) {
        for row in y..y.saturating_add(height).min(self.area.height) {
            self.put_within(x, row, 1, "│", Tone::Rule);
        }
    }

    /// Gives a whole row the look of a tone.
    pub fn fill(&mut self, y: u16, tone: Tone) {
        let style = self.theme.style(tone);
        self.restyle(0, y, self.area.width, style);
    }

    /// Marks the row under the cursor: a bar at its left, and the theme's look.
    pub fn select(&mut self, y: u16, strong: bool) {
        self.put_within(0, y, 1, "▌", if strong { Tone::Accent } else { Tone::Rule });
        if strong {
            self.restyle(0, y, self.area.width, self.theme.selected());
        }
    }

    /// Underlines the first place of each word in a text that was put at `x` into `width` columns, whatever its case.
    pub fn underline(&mut self, x: u16, y: u16, width: u16, text: &str, words: &[String]) {
        let shown = text::fit(text, usize::from(width));
        let lower: Vec<char> = shown
            .chars()
            .flat_map(|c| c.to_lowercase().next())
            .collect();
        for word in words {
            let word: Vec<char> = word.chars().collect();
            if word.is_empty() || word.len() > lower.len() {
                continue;
            }
            let Some(at) = lower.windows(word.len()).position(|w| w == word.as_slice()) else {
                continue;
            };
            let columns = |n: usize| text::width(&shown.chars().take(n).collect::<String>());
            let (from, to) = (columns(at), columns(at + word.len()));
            let from = u16::try_from(from).unwrap_or(u16::MAX);
            let to = u16::try_from(to).unwrap_or(u16::MAX).min(width);
            self.restyle(
                x.saturating_add(from),
                y,
                to.saturating_sub(from),
                self.theme.matched(),
            );
        }
    }

    fn restyle(&mut self, x: u16, y: u16, width: u16, style: Style) {
        if x >= self.area.width || y >= self.area.height {
            return;
        }
        let width = width.min(self.area.width - x);
        let area = Rect {
            x: self.area.x + x,
            y: self.area.y + y,
            width,
            height: 1,
        };
        self.buffer.set_style(area, style);
    }

    /// Draws a picture from the upper left corner, as large as fits: in the terminal's own pixels where there are, else
    /// with half-blocks. Without colour denser characters are lighter pixels. Returns its rows.
    pub fn put_picture(&mut self, picture: &Picture, depth: Depth, raster: Option<Raster>) -> u16 {
        if let Some(raster) = raster {
            let placed = Placed::new(self.buffer, self.area, raster, picture);
            let rows = placed.as_ref().map_or(0, Placed::rows);
            self.aside.pictures.extend(placed);
            return rows;
        }
        let colour = |rgb: [u8; 3]| match depth {
            Depth::Full => Color::Rgb(rgb[0], rgb[1], rgb[2]),
            Depth::Indexed => Color::Indexed(picture::indexed(rgb)),
        };
        let drawn = picture.within_cells(self.area.width, self.area.height);
        let mut rows = 0;
        for (y, row) in (self.area.top()..self.area.bottom()).zip(drawn.cells()) {
            rows += 1;
            for (x, (upper, lower)) in (self.area.left()..self.area.right()).zip(row) {
                let Some(cell) = self.buffer.cell_mut((x, y)) else {
                    continue;
                };
                cell.reset();
                if self.theme == Theme::Plain {
                    cell.set_char(picture::ramp(upper, lower));
                    continue;
                }
                cell.set_char('▀').set_fg(colour(upper));
                if let Some(lower) = lower {
                    cell.set_bg(colour(lower));
                }
            }
        }
        rows
    }

    /// Empties the area.
    pub fn clear(&mut self) {
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// A box around the area, with a title. Returns the inside.
    pub fn frame(&mut self, title: &str) -> Canvas<'_> {
        let (w, h) = (self.area.width, self.area.height);
        if w < 4 || h < 3 {
            return self.part(0, 0, w, h);
        }
        let line = "─".repeat(usize::from(w - 2));
        self.put(0, 0, &format!("╭{line}╮"), Tone::Rule);
        self.put(0, h - 1, &format!("╰{line}╯"), Tone::Rule);
        self.upright(0, 1, h - 2);
        self.upright(w - 1, 1, h - 2);
        if !title.is_empty() {
            let title = format!(" {} ", text::fit(title, usize::from(w.saturating_sub(6))));
            self.put(2, 0, &title, Tone::Accent);
        }
        self.part(2, 1, w - 4, h - 2)
    }

    /// Puts the terminal's cursor here.
    pub fn cursor(&mut self, x: u16, y: u16) {
        if x < self.area.width && y < self.area.height {
            self.aside.cursor = Some(Position {
                x: self.area.x + x,
                y: self.area.y + y,
            });
        }
    }

    /// Takes the terminal's cursor away again: something lies over the input.
    pub fn no_cursor(&mut self) {
        self.aside.cursor = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u16, height: u16, draw: impl FnOnce(&mut Canvas<'_>)) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let mut aside = Aside::default();
        draw(&mut Canvas::new(
            &mut buffer,
            area,
            Theme::Plain,
            &mut aside,
        ));
        (0..height)
            .map(|y| {
                (0..width)
                    .map(|x| buffer[(x, y)].symbol())
                    .collect::<String>()
            })
            .collect()
    }

    #[test]
    fn nothing_is_drawn_outside_a_part() {
        let rows = drawn(10, 3, |c| {
            let mut part = c.part(2, 1, 4, 1);
            part.put(0, 0, "a long text", Tone::Text);
            part.put(0, 1, "below", Tone::Text);
            part.put(9, 0, "right", Tone::Text);
            part.select(5, true);
            part.cursor(7, 7);
        });
        assert_eq!(rows, ["          ", "  a l…    ", "          "]);
    }

    #[test]
    fn any_size_and_place_is_safe() {
        for (w, h) in [(1, 1), (2, 1), (3, 3), (80, 24)] {
            drawn(w, h, |c| {
                for (x, y) in [(0, 0), (u16::MAX, 0), (0, u16::MAX), (1, 1)] {
                    c.put(x, y, "山\u{1b}", Tone::Text);
                    c.put_right(x, y, "山田", Tone::Text);
                    c.put_wrapped(x, y, "a b c\nd", u16::MAX, Tone::Text);
                    c.put_centred(y, "centre", Tone::Text);
                    c.upright(x, y, u16::MAX);
                    c.underline(x, y, 5, "hello", &["ll".into()]);
                    c.part(x, y, u16::MAX, u16::MAX)
                        .frame("title")
                        .put(0, 0, "x", Tone::Text);
                }
                c.rule(0);
                c.clear();
            });
        }
    }

    #[test]
    fn a_picture_is_two_pixels_a_cell_in_the_colours_that_there_are() {
        let view = salus_api::PictureView {
            width: 2,
            height: 3,
            rgb: vec![
                255, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 8, 8, 8, 255, 255, 255,
            ],
        };
        let picture = Picture::new(&view).expect("a picture");
        let area = Rect::new(0, 0, 4, 3);
        let cell = |theme, depth, x, y| {
            let mut buffer = Buffer::empty(area);
            let mut aside = Aside::default();
            let mut canvas = Canvas::new(&mut buffer, area, theme, &mut aside);
            assert_eq!(
                canvas.part(1, 1, 2, 2).put_picture(&picture, depth, None),
                2
            );
            assert_eq!(buffer[(0, 0)], ratatui::buffer::Cell::EMPTY);
            buffer[(x, y)].clone()
        };
        let full = cell(Theme::Dark, Depth::Full, 1, 1);
        assert_eq!(
            (full.symbol(), full.fg, full.bg),
            ("▀", Color::Rgb(255, 0, 0), Color::Rgb(0, 0, 255))
        );
        let last = cell(Theme::Light, Depth::Full, 1, 2);
        assert_eq!((last.fg, last.bg), (Color::Rgb(8, 8, 8), Color::Reset));
        let few = cell(Theme::Dark, Depth::Indexed, 2, 1);
        assert_eq!((few.fg, few.bg), (Color::Indexed(16), Color::Indexed(231)));
        let plain = cell(Theme::Plain, Depth::Full, 2, 1);
        assert_eq!(
            (plain.symbol(), plain.fg, plain.bg),
            ("=", Color::Reset, Color::Reset)
        );
    }

    #[test]
    fn right_aligned_text_ends_where_it_should() {
        assert_eq!(
            drawn(8, 1, |c| _ = c.put_right(8, 0, "12.5", Tone::Text)),
            ["    12.5"]
        );
        assert_eq!(
            drawn(4, 1, |c| _ = c.put_right(4, 0, "123456", Tone::Text)),
            ["123…"]
        );
    }
}
