//! Sixel graphics (DEC's manual of the VT330/VT340, volume 2, chapter 14): bands of six rows, each band drawn once for each
//! colour in it.

use crate::picture::Picture;

/// Levels of one part of a colour in the cube; each is a whole number of hundredths, which is how sixel says colours.
const LEVELS: usize = 6;
/// Shades of grey: hundredths, 0 to 100.
const GREYS: u8 = 101;
/// Rows of a band.
const BAND: usize = 6;
/// From this many equal columns on a count is shorter (`!4@`).
const MIN_RUN: usize = 4;
/// Thresholds of ordered dithering (B. E. Bayer 1973), 0 to 63.
const BAYER: [[u8; 8]; 8] = [
    [0, 32, 8, 40, 2, 34, 10, 42],
    [48, 16, 56, 24, 50, 18, 58, 26],
    [12, 44, 4, 36, 14, 46, 6, 38],
    [60, 28, 52, 20, 62, 30, 54, 22],
    [3, 35, 11, 43, 1, 33, 9, 41],
    [51, 19, 59, 27, 49, 17, 57, 25],
    [15, 47, 7, 39, 13, 45, 5, 37],
    [63, 31, 55, 23, 61, 29, 53, 21],
];

/// Writes a picture that is shown from the cursor on.
pub(crate) fn encode(out: &mut Vec<u8>, picture: &Picture) {
    let (width, height) = picture.size();
    let grey = picture.pixels().iter().all(|[r, g, b]| r == g && g == b);
    // What is not drawn stays as it is (the second 1): the last band may be more than the picture.
    out.extend(format!("\x1bP0;1;0q\"1;1;{width};{height}").bytes());
    let columns = (width as usize).max(1);
    let mut told = [false; 256];
    for (n, band) in picture.pixels().chunks(columns * BAND).enumerate() {
        let mut masks: Vec<Option<Vec<u8>>> = vec![None; 256];
        for (y, row) in band.chunks(columns).enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                let colour = match grey {
                    true => usize::from(hundredths(pixel[0])),
                    false => in_cube(*pixel, x, n * BAND + y),
                };
                let mask = masks[colour].get_or_insert_with(|| vec![0; columns]);
                mask[x] |= 1 << y;
            }
        }
        if n > 0 {
            out.push(b'-');
        }
        let drawn = masks.iter().enumerate();
        let drawn = drawn.filter_map(|(colour, mask)| Some((colour, mask.as_ref()?)));
        for (k, (colour, mask)) in drawn.enumerate() {
            if k > 0 {
                out.push(b'$');
            }
            match std::mem::replace(&mut told[colour], true) {
                true => out.extend(format!("#{colour}").bytes()),
                false => out.extend(told_first(colour, grey).bytes()),
            }
            put_runs(out, mask);
        }
    }
    out.extend(b"\x1b\\");
}

/// A colour's number with what it is, in hundredths of red, green and blue (2 is for these).
fn told_first(colour: usize, grey: bool) -> String {
    let [r, g, b] = match grey {
        true => [colour; 3],
        false => [colour / 36, colour / 6 % 6, colour % 6].map(|level| level * 20),
    };
    format!("#{colour};2;{r};{g};{b}#{colour}")
}

/// A sample in hundredths, rounded.
fn hundredths(sample: u8) -> u8 {
    let rounded = (u16::from(sample) * 200 + 255) / 510;
    u8::try_from(rounded).unwrap_or(GREYS).min(GREYS - 1)
}

/// The colour of the cube that a pixel takes where it stands.
fn in_cube(pixel: [u8; 3], x: usize, y: usize) -> usize {
    let threshold = usize::from(BAYER[y % 8][x % 8]);
    let step = |sample: u8| {
        let scaled = usize::from(sample) * (LEVELS - 1);
        let above = scaled % 255 * 64 > (2 * threshold + 1) * 255 / 2;
        scaled / 255 + usize::from(above)
    };
    let [r, g, b] = pixel.map(step);
    36 * r + 6 * g + b
}

/// Columns of a band, with counts where they are shorter; columns at the end that are empty are left out.
fn put_runs(out: &mut Vec<u8>, mask: &[u8]) {
    let end = mask
        .iter()
        .rposition(|bits| *bits != 0)
        .map_or(0, |n| n + 1);
    for run in mask[..end].chunk_by(|a, b| a == b) {
        let letter = b'?' + run[0];
        if run.len() < MIN_RUN {
            out.extend(std::iter::repeat_n(letter, run.len()));
        } else {
            out.extend(format!("!{}", run.len()).bytes());
            out.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphics::tests::{noise, picture};

    fn encoded(picture: &Picture) -> String {
        let mut out = Vec::new();
        encode(&mut out, picture);
        String::from_utf8(out).expect("ASCII")
    }

    /// A reader of sixel, written from the manual: colours in hundredths, none where nothing was drawn.
    fn decoded(text: &str) -> (usize, usize, Vec<Option<[u16; 3]>>) {
        let body = text.strip_prefix("\x1bP0;1;0q\"1;1;").expect("a head");
        let body = body.strip_suffix("\x1b\\").expect("an end");
        let mut rest = body.bytes().peekable();
        let number = |rest: &mut std::iter::Peekable<std::str::Bytes<'_>>| {
            let mut n = 0;
            while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
                n = n * 10 + usize::from(digit - b'0');
            }
            n
        };
        let width = number(&mut rest);
        assert_eq!(rest.next(), Some(b';'));
        let height = number(&mut rest);
        let mut pixels = vec![None; width * height];
        let mut palette = vec![None; 256];
        let (mut colour, mut x, mut y) = (0, 0, 0);
        while let Some(byte) = rest.next() {
            let mut count = 1;
            let letter = match byte {
                b'#' => {
                    colour = number(&mut rest);
                    if rest.next_if_eq(&b';').is_some() {
                        assert_eq!(number(&mut rest), 2);
                        let mut part = || {
                            assert_eq!(rest.next(), Some(b';'));
                            let part = u16::try_from(number(&mut rest)).unwrap();
                            assert!(part <= 100);
                            part
                        };
                        palette[colour] = Some([part(), part(), part()]);
                    }
                    continue;
                }
                b'$' => {
                    x = 0;
                    continue;
                }
                b'-' => {
                    (x, y) = (0, y + 6);
                    continue;
                }
                b'!' => {
                    count = number(&mut rest);
                    rest.next().expect("a column")
                }
                letter => letter,
            };
            assert!((b'?'..=b'~').contains(&letter), "{letter}");
            for _ in 0..count {
                for bit in (0..6).filter(|bit| (letter - b'?') >> bit & 1 == 1) {
                    assert!(x < width && y + bit < height, "outside: {x}, {}", y + bit);
                    let old = pixels[(y + bit) * width + x].replace(palette[colour].expect("told"));
                    assert_eq!(old, None, "drawn twice");
                }
                x += 1;
            }
        }
        (width, height, pixels)
    }

    #[test]
    fn known_pictures_are_known_letters() {
        // One column of white, seven high: six bits, and one more in the next band.
        let white = picture(1, 7, &[[255; 3]; 7]);
        assert_eq!(
            encoded(&white),
            "\x1bP0;1;0q\"1;1;1;7#100;2;100;100;100#100~-#100@\x1b\\"
        );
        // A run, and another colour from the same start.
        let [red, blue] = [[255, 0, 0], [0, 0, 255]];
        let two = picture(5, 1, &[red, red, red, red, blue]);
        assert_eq!(
            encoded(&two),
            "\x1bP0;1;0q\"1;1;5;1#5;2;0;0;100#5!4?@$#180;2;100;0;0#180!4@\x1b\\"
        );
    }

    #[test]
    fn greys_come_back_as_near_as_hundredths_are() {
        let levels: Vec<[u8; 3]> = (0..=255).map(|level| [level; 3]).collect();
        for (width, height) in [(16, 16), (256, 1), (1, 256), (8, 32)] {
            let (w, h, drawn) = decoded(&encoded(&picture(width, height, &levels)));
            assert_eq!((w, h), (width as usize, height as usize));
            for (pixel, level) in drawn.iter().zip(0_u16..) {
                let [r, g, b] = pixel.expect("every pixel is drawn");
                assert!(r == g && g == b && (r * 255).abs_diff(level * 100) <= 128);
            }
        }
    }

    #[test]
    fn every_pixel_of_a_coloured_picture_is_drawn_once_and_near_its_colour() {
        for (width, height) in [(1, 1), (1, 100), (100, 1), (33, 13), (64, 64)] {
            let picture = noise(width, height);
            let (_, _, drawn) = decoded(&encoded(&picture));
            for (pixel, truth) in drawn.iter().zip(picture.pixels()) {
                let near = pixel.expect("every pixel is drawn");
                for (part, sample) in near.iter().zip(truth) {
                    // Less than one step of the cube.
                    assert!((part * 255).abs_diff(u16::from(*sample) * 100) < 5_100);
                }
            }
        }
    }

    #[test]
    fn dithering_keeps_the_mean() {
        for colour in [[30, 100, 222], [128, 64, 0], [1, 254, 127]] {
            let flat = picture(64, 64, &[colour; 4_096]);
            let (_, _, drawn) = decoded(&encoded(&flat));
            for (n, sample) in colour.iter().enumerate() {
                let sum: u32 = drawn.iter().map(|p| u32::from(p.unwrap()[n])).sum();
                // 4,096 pixels in hundredths, to at most one of 255 levels.
                let (mean, truth) = (sum * 255, u32::from(*sample) * 409_600);
                assert!(mean.abs_diff(truth) <= 409_600, "{colour:?} {n}: {mean}");
            }
        }
    }
}
