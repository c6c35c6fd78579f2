//! Pictures drawn with characters: two pixels a cell, one above the other.
//!
//! Where the terminal has pixels of its own they are used (`graphics.rs`). It is never asked: its answers come on the line
//! on which keys come in, and what asks there can swallow the keys of a passphrase.

use std::fmt;
use std::sync::Arc;

use salus_api::PictureView;

/// Longest side of a picture that is kept or drawn, pixels: the most that the node sends.
pub(crate) const MAX_SIDE: u32 = 1_024;
/// From dark to light, for terminals without colour; each character covers more of its cell than the one before.
const RAMP: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// Levels of red, green and blue in xterm's colours 16 to 231.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Which colours the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Depth {
    /// xterm's 256.
    #[default]
    Indexed,
    /// All of them, 24 bits each.
    Full,
}

impl Depth {
    /// What the environment says (`COLORTERM`, by the convention of VTE and others).
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        match get("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Self::Full,
            _ => Self::Indexed,
        }
    }
}

/// A picture: red, green and blue of each pixel, row by row from the top.
#[derive(Clone, PartialEq)]
pub(crate) struct Picture {
    width: u32,
    height: u32,
    /// Shared: a picture is handed to every frame that shows it.
    pixels: Arc<[[u8; 3]]>,
}

impl fmt::Debug for Picture {
    /// Its size only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

impl Picture {
    /// A picture as the node sent it, no larger than is kept; none where there is nothing in it or it is not as large as
    /// it says.
    pub fn new(view: &PictureView) -> Option<Self> {
        let (pixels, rest) = view.rgb.as_chunks::<3>();
        let said = u64::from(view.width) * u64::from(view.height);
        if said == 0 || pixels.len() as u64 != said || !rest.is_empty() {
            return None;
        }
        let whole = Self {
            width: view.width,
            height: view.height,
            pixels: pixels.into(),
        };
        if view.width.max(view.height) <= MAX_SIDE {
            return Some(whole);
        }
        let (width, height) = whole.size_within(MAX_SIDE, MAX_SIDE);
        Some(whole.scaled(width, height))
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Red, green and blue of each pixel, row by row from the top.
    pub fn pixels(&self) -> &[[u8; 3]] {
        &self.pixels
    }

    /// The largest size of the same shape that fits, pixels; at least one each way.
    pub fn size_within(&self, width: u32, height: u32) -> (u32, u32) {
        let (w, h) = (u64::from(self.width), u64::from(self.height));
        let (max_w, max_h) = (u64::from(width), u64::from(height));
        let part = |of: u64, n: u64, d: u64| {
            let rounded = (2 * of * n + d) / (2 * d);
            u32::try_from(rounded.max(1)).unwrap_or(u32::MAX)
        };
        if max_w * h <= max_h * w {
            (width.max(1), part(max_w, h, w).min(height.max(1)))
        } else {
            (part(max_h, w, h).min(width.max(1)), height.max(1))
        }
    }

    /// The picture as large as fits into so many cells, each one pixel wide and two high.
    pub fn within_cells(&self, columns: u16, rows: u16) -> Self {
        let (width, height) = self.size_within(u32::from(columns), 2 * u32::from(rows));
        self.scaled(width, height)
    }

    /// The picture in another size: each pixel is the mean of what it covers.
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        let across = spans(self.width, width);
        let down = spans(self.height, height);
        let whole = u64::from(self.width) * u64::from(self.height);
        let mut pixels = Vec::with_capacity(across.len() * down.len());
        for (top, rows) in &down {
            for (left, columns) in &across {
                let mut sums = [whole / 2; 3];
                for (y, tall) in rows.iter().enumerate() {
                    let start = (top + y) * self.width as usize + left;
                    for (pixel, wide) in self.pixels.iter().skip(start).zip(columns) {
                        for (sum, sample) in sums.iter_mut().zip(pixel) {
                            *sum += u64::from(*sample) * wide * tall;
                        }
                    }
                }
                pixels.push(sums.map(|sum| u8::try_from(sum / whole).unwrap_or(u8::MAX)));
            }
        }
        Self {
            width,
            height,
            pixels: pixels.into(),
        }
    }

    /// Its cells, row by row: the upper pixel and the lower one, which the last row may lack.
    pub fn cells(&self) -> impl Iterator<Item = impl Iterator<Item = ([u8; 3], Option<[u8; 3]>)>> {
        let width = (self.width as usize).max(1);
        self.pixels.chunks(2 * width).map(move |two| {
            let (upper, lower) = two.split_at(width.min(two.len()));
            let lower = lower.iter().copied().map(Some);
            let lower = lower.chain(std::iter::repeat(None));
            upper.iter().copied().zip(lower)
        })
    }
}

/// How a side of `from` pixels is spread over one of `to`: for each of these the first that it covers, and how much of it
/// and of those after it, in parts of which `from` make one whole.
fn spans(from: u32, to: u32) -> Vec<(usize, Vec<u64>)> {
    let (from, to) = (u64::from(from), u64::from(to.max(1)));
    let span = |n: u64| {
        let (start, end) = (n * from, (n + 1) * from);
        let (first, last) = (start / to, end.div_ceil(to));
        let covered = |i: u64| end.min((i + 1) * to) - start.max(i * to);
        let parts = (first..last).map(covered).collect();
        (usize::try_from(first).unwrap_or(usize::MAX), parts)
    };
    (0..to).map(span).collect()
}

/// The nearest of xterm's 256 colours, without the first 16, which people choose themselves.
pub(crate) fn indexed(rgb: [u8; 3]) -> u8 {
    let far = |a: [u8; 3]| -> u32 {
        let each = a
            .iter()
            .zip(rgb)
            .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2));
        each.sum()
    };
    let step = |sample: u8| (0..6u8).min_by_key(|n| CUBE[usize::from(*n)].abs_diff(sample));
    let [r, g, b] = rgb.map(|sample| step(sample).unwrap_or(0));
    let cube = [r, g, b].map(|n| CUBE[usize::from(n)]);
    let mean = rgb.iter().map(|s| u16::from(*s)).sum::<u16>() / 3;
    let grey = u8::try_from(mean.saturating_sub(3) / 10)
        .unwrap_or(23)
        .min(23);
    if far([8 + 10 * grey; 3]) < far(cube) {
        232 + grey
    } else {
        16 + 36 * r + 6 * g + b
    }
}

/// A character that covers as much of its cell as the pixels in it are light (ITU-R BT.709's luma).
pub(crate) fn ramp(upper: [u8; 3], lower: Option<[u8; 3]>) -> char {
    let luma = |[r, g, b]: [u8; 3]| {
        (2_126 * usize::from(r) + 7_152 * usize::from(g) + 722 * usize::from(b)) / 10_000
    };
    let light = (luma(upper) + lower.map_or(0, luma)) / 2;
    RAMP[(light * RAMP.len() / 256).min(RAMP.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, levels: &[u8]) -> Picture {
        let rgb = levels.iter().flat_map(|level| [*level; 3]).collect();
        Picture::new(&PictureView { width, height, rgb }).expect("a picture")
    }

    fn levels(picture: &Picture) -> Vec<u8> {
        picture.pixels.iter().map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        let says = |value: Option<&'static str>| {
            Depth::from_env(|name| value.filter(|_| name == "COLORTERM").map(str::to_owned))
        };
        assert_eq!(says(Some("truecolor")), Depth::Full);
        assert_eq!(says(Some("24bit")), Depth::Full);
        assert_eq!(says(Some("yes")), Depth::Indexed);
        assert_eq!(says(None), Depth::Indexed);
    }

    #[test]
    fn a_picture_that_is_not_as_large_as_it_says_is_none() {
        let table = [
            (0, 0, 0),
            (0, 5, 0),
            (2, 2, 11),
            (2, 2, 13),
            (2, 2, 9),
            (u32::MAX, u32::MAX, 3),
        ];
        for (width, height, bytes) in table {
            let rgb = vec![0; bytes];
            let view = PictureView { width, height, rgb };
            assert!(
                Picture::new(&view).is_none(),
                "{width} x {height}, {bytes} bytes"
            );
        }
    }

    #[test]
    fn a_large_picture_is_kept_small_and_in_its_shape() {
        let large = grey(4_000, 10, &[7; 40_000]);
        assert_eq!((large.width, large.height), (1_024, 3));
        assert!(levels(&large).iter().all(|level| *level == 7));
        let sliver = grey(1, 4_000, &[9; 4_000]);
        assert_eq!((sliver.width, sliver.height), (1, 1_024));
    }

    #[test]
    fn pixels_are_means_of_what_they_cover() {
        let picture = grey(4, 2, &[0, 100, 200, 200, 100, 0, 200, 100]);
        assert_eq!(levels(&picture.scaled(2, 1)), [50, 175]);
        assert_eq!(levels(&picture.scaled(1, 1)), [113]);
        assert_eq!(levels(&picture.scaled(4, 2)), levels(&picture));
        // One and a half pixels each.
        assert_eq!(levels(&grey(3, 1, &[0, 90, 180]).scaled(2, 1)), [30, 150]);
        assert_eq!(
            levels(&grey(2, 1, &[10, 20]).scaled(4, 1)),
            [10, 10, 20, 20]
        );
    }

    #[test]
    fn a_picture_keeps_its_shape_in_cells_that_are_twice_as_high_as_wide() {
        // Width and height of the picture, columns and rows of the place, width and height that are drawn, pixels.
        let table = [
            (100, 100, 30, 15, 30, 30),
            (100, 100, 30, 10, 20, 20),
            (200, 100, 30, 15, 30, 15),
            (100, 200, 30, 15, 15, 30),
            (1, 200, 30, 15, 1, 30),
            (200, 1, 30, 15, 30, 1),
            (3, 3, 0, 0, 1, 1),
        ];
        for (w, h, columns, rows, width, height) in table {
            let drawn = grey(w, h, &vec![0; (w * h) as usize]).within_cells(columns, rows);
            assert_eq!(
                (drawn.width, drawn.height),
                (width, height),
                "{w} x {h} in {columns} x {rows}"
            );
            assert_eq!(drawn.pixels.len(), (width * height) as usize);
        }
    }

    #[test]
    fn cells_are_pairs_of_pixels_and_the_last_row_may_lack_its_lower_half() {
        let picture = grey(2, 3, &[1, 2, 3, 4, 5, 6]);
        let cells: Vec<Vec<_>> = picture.cells().map(Iterator::collect).collect();
        let pair = |upper: u8, lower: Option<u8>| ([upper; 3], lower.map(|l| [l; 3]));
        assert_eq!(
            cells,
            [
                vec![pair(1, Some(3)), pair(2, Some(4))],
                vec![pair(5, None), pair(6, None)]
            ]
        );
    }

    #[test]
    fn colours_become_the_nearest_of_256() {
        let table = [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([255, 0, 0], 196),
            ([8, 8, 8], 232),
            ([128, 128, 128], 244),
            ([238, 238, 238], 255),
            ([0, 95, 135], 24),
        ];
        for (rgb, index) in table {
            assert_eq!(indexed(rgb), index, "{rgb:?}");
        }
    }

    #[test]
    fn lighter_pixels_fill_more_of_their_cell() {
        assert_eq!(ramp([0; 3], Some([0; 3])), ' ');
        assert_eq!(ramp([255; 3], Some([255; 3])), '@');
        let all: Vec<char> = (0..=255)
            .map(|level| ramp([level; 3], Some([level; 3])))
            .collect();
        let place = |c: &char| RAMP.iter().position(|r| r == c);
        assert!(all.is_sorted_by_key(place));
        assert!(ramp([0, 255, 0], None) > ramp([0, 0, 255], None));
    }
}
