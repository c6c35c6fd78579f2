//! A confusion matrix as a picture.

use salus_imaging::Picture;

use crate::metrics::Evaluation;

/// Pixels of a cell.
const CELL: usize = 40;
/// Pixels left and above for the categories' numbers.
const MARGIN: usize = 40;
/// Pixels of a dot of a digit.
const DOT: usize = 2;
const DIGIT_WIDTH: usize = 3;
const DIGIT_HEIGHT: usize = 5;
/// Rows of three dots, from the top.
const DIGITS: [[u8; DIGIT_HEIGHT]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// What is on a row is what the images are, what is in a column what was said of them, both numbered from 1 in the
/// order of the categories. A cell's blue (right) or red (wrong) is as strong as its share of the row; in it stands its
/// number of images.
pub fn confusion_picture(evaluation: &Evaluation) -> Picture {
    let count = evaluation.confusion.len();
    let side = MARGIN + count * CELL + 1;
    let mut canvas = Canvas {
        side,
        pixels: vec![255; side * side * 3],
    };
    for index in 0..count {
        let middle = MARGIN + index * CELL + CELL / 2;
        canvas.number(index + 1, middle, MARGIN / 2, [90; 3]);
        canvas.number(index + 1, MARGIN / 2, middle, [90; 3]);
    }
    for (truth, row) in evaluation.confusion.iter().enumerate() {
        let all: usize = row.iter().sum();
        for (said, images) in row.iter().enumerate() {
            // Fades from white to the colour, in 255 steps.
            let share = images * 255 / all.max(1);
            let fade = u8::try_from(255 - share).unwrap_or(0);
            let colour = if truth == said {
                [fade, fade.saturating_add(40), 255]
            } else {
                [255, fade, fade]
            };
            let (x, y) = (MARGIN + said * CELL, MARGIN + truth * CELL);
            canvas.fill(x, y, CELL, CELL, [200; 3]);
            canvas.fill(x + 1, y + 1, CELL - 1, CELL - 1, colour);
            if *images > 0 {
                let ink = if share > 150 { [255; 3] } else { [0; 3] };
                canvas.number(*images, x + CELL / 2, y + CELL / 2, ink);
            }
        }
    }
    canvas.picture()
}

struct Canvas {
    side: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        for row in y..(y + height).min(self.side) {
            for column in x..(x + width).min(self.side) {
                let at = (row * self.side + column) * 3;
                self.pixels[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    /// A number around this point.
    fn number(&mut self, number: usize, x: usize, y: usize, colour: [u8; 3]) {
        let digits: Vec<usize> = number
            .to_string()
            .bytes()
            .map(|digit| usize::from(digit - b'0'))
            .collect();
        let step = (DIGIT_WIDTH + 1) * DOT;
        let left = x.saturating_sub(digits.len() * step / 2);
        let top = y.saturating_sub(DIGIT_HEIGHT * DOT / 2);
        for (place, digit) in digits.into_iter().enumerate() {
            for (row, dots) in DIGITS[digit].iter().enumerate() {
                for column in 0..DIGIT_WIDTH {
                    if dots >> (DIGIT_WIDTH - 1 - column) & 1 == 1 {
                        let at = left + place * step + column * DOT;
                        self.fill(at, top + row * DOT, DOT, DOT, colour);
                    }
                }
            }
        }
    }

    fn picture(self) -> Picture {
        let side = u32::try_from(self.side).unwrap_or(0);
        Picture {
            width: side,
            height: side,
            pixels: salus_imaging::Pixels::Rgb8(self.pixels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Judged, evaluate};

    #[test]
    fn right_cells_are_blue_wrong_ones_red_and_empty_ones_white() {
        let judged: Vec<Judged> = [(0, 0), (0, 0), (0, 1), (1, 1)]
            .into_iter()
            .map(|(truth, said): (usize, usize)| Judged {
                truth,
                p: (0..2).map(|c| if c == said { 0.9 } else { 0.1 }).collect(),
                group: String::new(),
                source: None,
                refused: false,
            })
            .collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let picture = confusion_picture(&evaluate(&judged, &names, 1));
        let side = MARGIN + 2 * CELL + 1;
        assert_eq!(picture.width as usize, side);
        let colour = |truth: usize, said: usize| {
            let (x, y) = (MARGIN + said * CELL + 3, MARGIN + truth * CELL + 3);
            let at = (y * side + x) * 3;
            picture.pixels.bytes()[at..at + 3].to_vec()
        };
        assert_eq!(colour(0, 0), [85, 125, 255]);
        assert_eq!(colour(0, 1), [255, 170, 170]);
        assert_eq!(colour(1, 0), [255, 255, 255]);
        assert_eq!(colour(1, 1), [0, 40, 255]);
        let inked = picture
            .pixels
            .bytes()
            .chunks(3)
            .filter(|p| **p == [0, 0, 0])
            .count();
        assert!(inked > 0);
    }
}
