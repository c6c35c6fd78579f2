//! Pictures in the terminal's own pixels, where it has them: which way it takes them, how large a cell is, and what is on it
//! now.
//!
//! Drawing leaves the cells of such a picture blank, in a colour that nobody sees and that names place and size: cells whose
//! picture goes, moves or changes its size differ from what they were, so that they are drawn again, which wipes sixels off.
//! What the terminal can is never asked of it, for its answers would come in among the keys: the environment says it.

use std::io::{self, Write};

use ratatui::backend::WindowSize;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Rect, Size};
use ratatui::style::Color;

use crate::kitty;
use crate::picture::{MAX_SIDE, Picture};
use crate::sixel;

/// Width or height of a cell that is believed, pixels (a guess: smaller ones cannot be read, larger ones fill a screen).
const CELL: std::ops::RangeInclusive<u16> = 2..=256;
/// Numbers of pictures that one process uses, over and over; far more than there are at a time.
const IDS: u32 = 256;

/// How a terminal takes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// kitty's own, which WezTerm, Ghostty and Konsole have too.
    Kitty,
    /// DEC's, of the VT340.
    Sixel,
}

impl Protocol {
    /// What the environment says; none where pictures are drawn with half-blocks.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        match get("SALUS_GRAPHICS").as_deref() {
            Some("kitty") => return Some(Self::Kitty),
            Some("sixel") => return Some(Self::Sixel),
            Some("blocks") => return None,
            _ => {}
        }
        let has = |name: &str| get(name).is_some_and(|value| !value.is_empty());
        let term = get("TERM").unwrap_or_default();
        let is = |names: &[&str]| {
            let named = |name: &str| term == *name || term.starts_with(&format!("{name}-"));
            names.iter().any(|name| named(name))
        };
        // They draw over what they did not draw themselves.
        if has("TMUX") || has("STY") || is(&["tmux", "screen"]) {
            return None;
        }
        // Before the rest, which a terminal passes on to one that was started in it.
        if is(&["foot", "mlterm", "contour", "vt340", "yaft"]) {
            return Some(Self::Sixel);
        }
        if is(&["xterm-kitty", "xterm-ghostty"]) {
            return Some(Self::Kitty);
        }
        if has("XTERM_VERSION") || has("VTE_VERSION") {
            return None;
        }
        let program = get("TERM_PROGRAM").unwrap_or_default();
        let konsole = get("KONSOLE_VERSION").and_then(|version| version.parse::<u32>().ok());
        let kitty = has("KITTY_WINDOW_ID")
            || has("WEZTERM_PANE")
            || has("GHOSTTY_RESOURCES_DIR")
            || has("GHOSTTY_BIN_DIR")
            || matches!(program.as_str(), "WezTerm" | "ghostty" | "kitty")
            // Since 22.04, by its release notes.
            || konsole.is_some_and(|version| version >= 220_400);
        kitty.then_some(Self::Kitty)
    }
}

/// The terminal's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raster {
    /// How it takes them.
    pub protocol: Protocol,
    /// Width and height of a cell, pixels.
    pub cell: (u16, u16),
}

impl Raster {
    /// What the terminal says of its size; none where it does not say how many pixels it has.
    pub fn new(protocol: Option<Protocol>, window: WindowSize) -> Option<Self> {
        let (cells, pixels) = (window.columns_rows, window.pixels);
        let cell = (
            pixels.width.checked_div(cells.width)?,
            pixels.height.checked_div(cells.height)?,
        );
        let believed = CELL.contains(&cell.0) && CELL.contains(&cell.1);
        Some(Self {
            protocol: protocol.filter(|_| believed)?,
            cell,
        })
    }

    /// Width and height of so many cells, pixels, no more than are ever drawn.
    pub fn pixels(self, columns: u16, rows: u16) -> (u32, u32) {
        let side = |cells: u16, of: u16| (u32::from(cells) * u32::from(of)).min(MAX_SIDE);
        (side(columns, self.cell.0), side(rows, self.cell.1))
    }
}

/// A picture at its place on the screen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Its cells; the picture begins at their upper left corner.
    area: Rect,
    /// Width and height that it is drawn in, pixels.
    size: (u32, u32),
    picture: Picture,
}

impl Placed {
    /// Keeps cells free for a picture, as large as fits into an area; none where there is no room.
    pub fn new(buffer: &mut Buffer, area: Rect, raster: Raster, picture: &Picture) -> Option<Self> {
        let mut area = area.intersection(buffer.area);
        if raster.protocol == Protocol::Sixel {
            // A sixel that touches the last row would make the screen scroll.
            let last = buffer.area.bottom().saturating_sub(1);
            area.height = area.height.min(last.saturating_sub(area.y));
        }
        if area.is_empty() {
            return None;
        }
        let (width, height) = raster.pixels(area.width, area.height);
        let size = picture.size_within(width, height);
        let cells = |pixels: u32, of: u16, most: u16| {
            let cells = pixels.div_ceil(u32::from(of.max(1)));
            u16::try_from(cells).unwrap_or(most).clamp(1, most)
        };
        area.width = cells(size.0, raster.cell.0, area.width);
        area.height = cells(size.1, raster.cell.1, area.height);
        let placed = Self {
            area,
            size,
            picture: picture.clone(),
        };
        let mark = placed.mark();
        for position in area.positions() {
            buffer[position] = mark.clone();
        }
        Some(placed)
    }

    /// Rows.
    pub fn rows(&self) -> u16 {
        self.area.height
    }

    /// What its cells are: blank, in a colour that names place and size (FNV-1a over both, folded to 24 bits).
    fn mark(&self) -> Cell {
        let Rect { x, y, .. } = self.area;
        let named = [u32::from(x), u32::from(y), self.size.0, self.size.1];
        let bytes = named.iter().flat_map(|n| n.to_le_bytes());
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let [a, b, c, d] = hash.to_le_bytes();
        let mut cell = Cell::default();
        cell.set_char(' ').set_fg(Color::Rgb(a ^ d, b, c));
        cell
    }

    /// Whether nothing was drawn over it. What is left of its cells otherwise becomes plain.
    fn is_in_sight(&self, buffer: &mut Buffer) -> bool {
        let mark = self.mark();
        let in_sight = self.area.positions().all(|at| buffer[at] == mark);
        if !in_sight {
            for at in self.area.positions() {
                if buffer[at] == mark {
                    buffer[at].reset();
                }
            }
        }
        in_sight
    }
}

/// Leaves out pictures that something lies over: half a picture beside a question would be no help.
pub(crate) fn in_sight(mut placed: Vec<Placed>, buffer: &mut Buffer) -> Vec<Placed> {
    placed.retain(|one| one.is_in_sight(buffer));
    placed
}

/// The pictures that are on the terminal now.
pub(crate) struct Gallery<W> {
    out: W,
    protocol: Option<Protocol>,
    /// The first of the numbers that are used.
    base: u32,
    used: u32,
    screen: Size,
    shown: Vec<(u32, Placed)>,
}

impl<W: Write> Gallery<W> {
    /// Nothing is shown yet. Numbers of pictures come from `seed`: others may have pictures in the same terminal.
    pub fn new(out: W, protocol: Option<Protocol>, seed: u32) -> Self {
        Self {
            out,
            protocol,
            base: (seed & 0x003f_ffff) * IDS,
            used: 0,
            screen: Size::default(),
            shown: Vec::new(),
        }
    }

    /// How the terminal takes pictures.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Brings the terminal to show these and no others, after its cells were drawn. Writes nothing where it does already.
    pub fn show(&mut self, screen: Size, placed: Vec<Placed>) -> io::Result<()> {
        let mut bytes = Vec::new();
        match self.protocol {
            None => return Ok(()),
            Some(Protocol::Kitty) => self.show_kitty(&mut bytes, screen, placed),
            Some(Protocol::Sixel) => self.show_sixel(&mut bytes, screen, placed),
        }
        self.screen = screen;
        if bytes.is_empty() {
            return Ok(());
        }
        // The cursor is put back to where it was (DECSC, DECRC).
        self.out.write_all(b"\x1b7")?;
        self.out.write_all(&bytes)?;
        self.out.write_all(b"\x1b8")?;
        self.out.flush()
    }

    fn show_kitty(&mut self, bytes: &mut Vec<u8>, screen: Size, placed: Vec<Placed>) {
        let mut before = std::mem::take(&mut self.shown);
        // A screen of another size was cleared; terminals do not agree on what that means for pictures.
        if screen != self.screen {
            for (id, _) in before.drain(..) {
                kitty::delete(bytes, id);
            }
        }
        let mut kept = Vec::new();
        for one in placed {
            let same =
                |(_, old): &(u32, Placed)| old.size == one.size && old.picture == one.picture;
            let old = before.iter().position(same).map(|n| before.swap_remove(n));
            kept.push((one, old));
        }
        for (id, _) in before {
            kitty::delete(bytes, id);
        }
        for (one, old) in kept {
            let (id, at) = match old {
                Some((id, old)) => (id, Some(old.area)),
                None => (self.next_id(), None),
            };
            match at {
                None => kitty::transmit(bytes, id, &one.picture.scaled(one.size.0, one.size.1)),
                Some(at) if at != one.area => kitty::lift(bytes, id),
                Some(_) => {}
            }
            if at != Some(one.area) {
                move_to(bytes, one.area);
                kitty::place(bytes, id);
            }
            self.shown.push((id, one));
        }
    }

    fn show_sixel(&mut self, bytes: &mut Vec<u8>, screen: Size, placed: Vec<Placed>) {
        if screen != self.screen {
            self.shown.clear();
        }
        for one in &placed {
            if !self.shown.iter().any(|(_, old)| old == one) {
                move_to(bytes, one.area);
                sixel::encode(bytes, &one.picture.scaled(one.size.0, one.size.1));
            }
        }
        self.shown = placed.into_iter().map(|one| (0, one)).collect();
    }

    fn next_id(&mut self) -> u32 {
        // 0 names no picture.
        self.used = self.used % (IDS - 1) + 1;
        self.base + self.used
    }
}

#[cfg(test)]
impl Gallery<Vec<u8>> {
    /// All that was written.
    pub fn written(&self) -> &[u8] {
        &self.out
    }
}

/// Moves the cursor to the upper left corner (CUP; the first row and column are 1).
fn move_to(bytes: &mut Vec<u8>, area: Rect) {
    let (row, column) = (u32::from(area.y) + 1, u32::from(area.x) + 1);
    bytes.extend(format!("\x1b[{row};{column}H").bytes());
}

#[cfg(test)]
pub(crate) mod tests {
    use salus_api::PictureView;

    use super::*;

    /// A picture of these pixels.
    pub(crate) fn picture(width: u32, height: u32, pixels: &[[u8; 3]]) -> Picture {
        let rgb = pixels.as_flattened().to_vec();
        Picture::new(&PictureView { width, height, rgb }).expect("a picture")
    }

    /// A picture of colours by chance.
    pub(crate) fn noise(width: u32, height: u32) -> Picture {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let pixels: Vec<_> = (0..width * height)
            .map(|_| [next(), next(), next()])
            .collect();
        picture(width, height, &pixels)
    }

    /// kitty's sequences: the keys of each and what it carries.
    pub(crate) fn sequences(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let text = std::str::from_utf8(bytes).expect("ASCII");
        let parts = text.split("\x1b_G").skip(1);
        let split = |part: &str| {
            let (body, _) = part.split_once("\x1b\\").expect("an end");
            let (keys, payload) = body.split_once(';').unwrap_or((body, ""));
            (keys.to_owned(), payload.as_bytes().to_vec())
        };
        parts.map(split).collect()
    }

    /// A reader of base64 that knows nothing of its writer.
    pub(crate) fn unbase64(text: &[u8]) -> Vec<u8> {
        assert_eq!(text.len() % 4, 0);
        let mut bytes = Vec::new();
        for four in text.chunks(4) {
            let mut bits = 0_u32;
            for letter in four {
                let value = match letter {
                    b'A'..=b'Z' => letter - b'A',
                    b'a'..=b'z' => letter - b'a' + 26,
                    b'0'..=b'9' => letter - b'0' + 52,
                    b'+' => 62,
                    b'/' => 63,
                    b'=' => 0,
                    other => panic!("{other} is no letter"),
                };
                bits = bits << 6 | u32::from(value);
            }
            let gone = four.iter().filter(|letter| **letter == b'=').count();
            bytes.extend(&bits.to_be_bytes()[1..4 - gone]);
        }
        bytes
    }

    #[test]
    fn the_environment_says_how_pictures_are_taken() {
        let (kitty, sixel) = (Some(Protocol::Kitty), Some(Protocol::Sixel));
        type Env = &'static [(&'static str, &'static str)];
        let table: [(Env, Option<Protocol>); 24] = [
            (&[], None),
            (&[("TERM", "xterm-256color")], None),
            (&[("TERM", "linux")], None),
            (&[("TERM", "xterm-kitty")], kitty),
            (&[("KITTY_WINDOW_ID", "1")], kitty),
            (&[("KITTY_WINDOW_ID", "")], None),
            (&[("TERM", "xterm-ghostty")], kitty),
            (&[("GHOSTTY_RESOURCES_DIR", "/g")], kitty),
            (&[("TERM_PROGRAM", "WezTerm")], kitty),
            (&[("WEZTERM_PANE", "0")], kitty),
            (&[("KONSOLE_VERSION", "230802")], kitty),
            (&[("KONSOLE_VERSION", "211203")], None),
            (&[("KONSOLE_VERSION", "new")], None),
            (&[("TERM", "foot")], sixel),
            (&[("TERM", "foot-extra")], sixel),
            (&[("TERM", "mlterm-256color")], sixel),
            (&[("TERM", "footage")], None),
            // Started from another terminal.
            (&[("TERM", "foot"), ("KITTY_WINDOW_ID", "1")], sixel),
            (&[("XTERM_VERSION", "1"), ("KITTY_WINDOW_ID", "1")], None),
            // Inside of something that draws for itself.
            (&[("TERM", "xterm-kitty"), ("TMUX", "/t")], None),
            (&[("WEZTERM_PANE", "0"), ("TERM", "screen-256color")], None),
            (&[("TERM", "foot"), ("STY", "1")], None),
            // What somebody says goes before all.
            (&[("TMUX", "/t"), ("SALUS_GRAPHICS", "sixel")], sixel),
            (
                &[("TERM", "xterm-kitty"), ("SALUS_GRAPHICS", "blocks")],
                None,
            ),
        ];
        for (env, protocol) in table {
            let get = |name: &str| {
                let found = env.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Protocol::from_env(get), protocol, "{env:?}");
        }
    }

    #[test]
    fn a_terminal_that_does_not_say_its_pixels_has_none() {
        let table = [
            ((80, 24), (800, 480), Some((10, 20))),
            ((80, 24), (805, 490), Some((10, 20))),
            ((80, 24), (0, 0), None),
            ((0, 0), (800, 480), None),
            ((80, 24), (80, 24), None),
            ((1, 1), (u16::MAX, u16::MAX), None),
        ];
        for ((columns, rows), (width, height), cell) in table {
            let window = WindowSize {
                columns_rows: Size::new(columns, rows),
                pixels: Size::new(width, height),
            };
            let raster = Raster::new(Some(Protocol::Kitty), window);
            assert_eq!(raster.map(|r| r.cell), cell, "{width} x {height}");
            assert_eq!(Raster::new(None, window), None);
        }
    }

    #[test]
    fn a_picture_of_any_shape_stays_in_its_area_and_its_bounds() {
        let screen = Rect::new(0, 0, 300, 100);
        let shapes = [(1, 1), (1, 1_024), (1_024, 1), (40, 30), (1_024, 1_024)];
        let areas = [
            Rect::new(0, 0, 300, 100),
            Rect::new(5, 7, 1, 1),
            Rect::new(299, 99, 50, 50),
            Rect::new(10, 10, 40, 20),
            Rect::new(3, 3, 0, 9),
        ];
        for protocol in [Protocol::Kitty, Protocol::Sixel] {
            for cell in [(2, 2), (10, 20), (256, 256)] {
                let raster = Raster { protocol, cell };
                for (width, height) in shapes {
                    let picture = noise(width, height);
                    for area in areas {
                        let mut buffer = Buffer::empty(screen);
                        let placed = Placed::new(&mut buffer, area, raster, &picture);
                        let last = u16::from(protocol == Protocol::Sixel);
                        let room = area.intersection(Rect::new(0, 0, 300, 100 - last));
                        assert_eq!(placed.is_none(), room.is_empty(), "{area}");
                        let Some(placed) = placed else { continue };
                        let (w, h) = placed.size;
                        assert!((1..=MAX_SIDE).contains(&w) && (1..=MAX_SIDE).contains(&h));
                        assert_eq!(placed.area.intersection(room), placed.area);
                        assert!(w <= u32::from(placed.area.width) * u32::from(cell.0));
                        assert!(h <= u32::from(placed.area.height) * u32::from(cell.1));
                        assert!(placed.is_in_sight(&mut buffer));
                    }
                }
            }
        }
    }

    #[test]
    fn what_lies_over_a_picture_leaves_nothing_of_it() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 10));
        let raster = Raster {
            protocol: Protocol::Kitty,
            cell: (10, 20),
        };
        let area = Rect::new(2, 2, 10, 5);
        let picture = noise(10, 10);
        let place = |buffer: &mut Buffer| {
            let placed = Placed::new(buffer, area, raster, &picture);
            Vec::from_iter(placed)
        };
        let placed = place(&mut buffer);
        assert_eq!(in_sight(placed.clone(), &mut buffer), placed);
        assert_ne!(buffer[(2, 2)], Cell::EMPTY);
        buffer[(4, 4)].set_char('x');
        assert_eq!(in_sight(placed, &mut buffer), []);
        assert_eq!(buffer[(2, 2)], Cell::EMPTY);
        assert_eq!(buffer[(4, 4)].symbol(), "x");
        // A blank that is drawn over it covers it, too.
        let placed = place(&mut buffer);
        buffer[(5, 5)].reset();
        assert_eq!(in_sight(placed, &mut buffer), []);
    }
}
