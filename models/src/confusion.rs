//! The confusion of the categories as a picture, with numbers and without words: names stand in the table beside it.
//!
//! Rows are what images are, columns what was said, both numbered from 1 in the order of the categories. A cell holds its count, on the
//! colour of its share of the row.

use salus_imaging::{Picture, heat_colour};

use crate::metrics::Evaluation;

/// Pixels a side of a cell: four digits and a border.
const CELL: usize = 40;
/// Pixels for one of a digit's 3 x 5 dots.
const DOT: usize = 2;
/// The digits, five rows of three bits each, the left one highest.
const DIGITS: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 3, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 2, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];
const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];

/// Draws it. `None` for more categories than a picture has room for, or none.
pub fn picture(evaluation: &Evaluation) -> Option<Picture> {
    let categories = evaluation.confusion.len();
    let side = (categories + 1).checked_mul(CELL)?;
    if categories == 0 || categories > 400 {
        return None;
    }
    let mut canvas = Canvas {
        side,
        rgb: vec![255; side * side * 3],
    };
    for (row, counts) in evaluation.confusion.iter().enumerate() {
        canvas.number(0, row + 1, row + 1, BLACK);
        canvas.number(row + 1, 0, row + 1, BLACK);
        let total: usize = counts.iter().sum();
        for (column, count) in counts.iter().enumerate() {
            let share = *count as f32 / total.max(1) as f32;
            let colour = heat_colour(share);
            canvas.fill(column + 1, row + 1, colour);
            if *count > 0 {
                let ink = if salus_imaging::luma(colour[0], colour[1], colour[2]) < 128 {
                    WHITE
                } else {
                    BLACK
                };
                canvas.number(column + 1, row + 1, *count, ink);
            }
        }
    }
    let side = u32::try_from(side).ok()?;
    Picture::rgb(side, side, canvas.rgb)
}

struct Canvas {
    side: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn dot(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = (y * self.side + x) * 3;
        if let (true, Some(pixel)) = (x < self.side, self.rgb.get_mut(at..at + 3)) {
            pixel.copy_from_slice(&colour);
        }
    }

    /// Fills a cell but for its border.
    fn fill(&mut self, column: usize, row: usize, colour: [u8; 3]) {
        for y in 1..CELL {
            for x in 1..CELL {
                self.dot(column * CELL + x, row * CELL + y, colour);
            }
        }
    }

    /// Writes a number into the middle of a cell.
    fn number(&mut self, column: usize, row: usize, number: usize, colour: [u8; 3]) {
        let text = number.to_string();
        let width = text.len() * 4 * DOT - DOT;
        let left = column * CELL + CELL.saturating_sub(width) / 2;
        let top = row * CELL + (CELL - 5 * DOT) / 2;
        for (place, digit) in text.bytes().enumerate() {
            let Some(rows) = DIGITS.get(usize::from(digit.wrapping_sub(b'0'))) else {
                continue;
            };
            for (y, bits) in rows.iter().enumerate() {
                for x in (0..3).filter(|x| bits & (4 >> x) != 0) {
                    for (dx, dy) in (0..DOT * DOT).map(|n| (n % DOT, n / DOT)) {
                        self.dot(left + (place * 4 + x) * DOT + dx, top + y * DOT + dy, colour);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Judged, evaluate};

    #[test]
    fn a_cell_has_the_colour_of_its_share_and_its_count() {
        let judged: Vec<Judged> = [(0, 0), (0, 0), (0, 1), (1, 1)]
            .iter()
            .map(|(truth, said)| Judged {
                truth: *truth,
                p: if *said == 0 { vec![1.0, 0.0] } else { vec![0.0, 1.0] },
                group: String::new(),
                source: None,
                refused: false,
            })
            .collect();
        let evaluation = evaluate(&judged, &["a".to_owned(), "b".to_owned()], 1);
        let drawn = picture(&evaluation).unwrap();
        assert_eq!((drawn.width, drawn.height), (120, 120));
        let pixel = |x: usize, y: usize| {
            let at = (y * 120 + x) * 3;
            drawn.pixels.bytes()[at..at + 3].to_vec()
        };
        // Just inside the border of the cells (row, column) = (1, 1), (1, 2), (2, 1), (2, 2).
        assert_eq!(pixel(CELL + 1, CELL + 1), heat_colour(2.0 / 3.0));
        assert_eq!(pixel(2 * CELL + 1, CELL + 1), heat_colour(1.0 / 3.0));
        assert_eq!(pixel(CELL + 1, 2 * CELL + 1), heat_colour(0.0));
        assert_eq!(pixel(2 * CELL + 1, 2 * CELL + 1), heat_colour(1.0));
        // A 2 has ink in the middle of its first row, and none beside it.
        let (left, top) = (CELL + (CELL - 3 * DOT) / 2, CELL + (CELL - 5 * DOT) / 2);
        assert_ne!(pixel(left, top), pixel(CELL + 1, CELL + 1));
        assert_eq!(pixel(left - 2, top), pixel(CELL + 1, CELL + 1));
    }
}
