//! Grey levels to draw on: discs, boxes, lines, and letters that mean nothing.

use crate::draws::Draws;

/// A square of grey levels, 0 to 255; what is drawn beyond it is lost. Places are in pixels.
pub struct Canvas {
    pub side: usize,
    levels: Vec<f64>,
}

impl Canvas {
    pub fn new(side: usize, level: f64) -> Self {
        Canvas {
            side,
            levels: vec![level; side * side],
        }
    }

    /// Every pixel from its row and column, in parts of the side.
    pub fn from(side: usize, mut level: impl FnMut(f64, f64) -> f64) -> Self {
        let part = |at: usize| (at as f64 + 0.5) / side as f64;
        Canvas {
            side,
            levels: (0..side * side)
                .map(|place| level(part(place / side), part(place % side)))
                .collect(),
        }
    }

    pub fn to_levels(&self) -> Vec<u8> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded"
        )]
        let level = |level: &f64| level.round().clamp(0.0, 255.0) as u8;
        self.levels.iter().map(level).collect()
    }

    /// Changes the pixels of a box; `change` gets row, column and the level.
    pub fn change(
        &mut self,
        (top, left): (f64, f64),
        (bottom, right): (f64, f64),
        mut change: impl FnMut(f64, f64, f64) -> f64,
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded by the side"
        )]
        let at = |value: f64| value.round().clamp(0.0, self.side as f64) as usize;
        let (columns, rows) = (at(left)..at(right), at(top)..at(bottom));
        for row in rows {
            for column in columns.clone() {
                let level = &mut self.levels[row * self.side + column];
                *level = change(row as f64, column as f64, *level);
            }
        }
    }

    pub fn fill(&mut self, from: (f64, f64), to: (f64, f64), level: f64) {
        self.change(from, to, |_, _, _| level);
    }

    /// A disc, or a ring where `inner` is above 0, whose edge is one pixel soft.
    pub fn disc(&mut self, (row, column): (f64, f64), radius: f64, inner: f64, level: f64) {
        let reach = radius + 1.0;
        let from = (row - reach, column - reach);
        self.change(from, (row + reach, column + reach), |y, x, under| {
            let away = (y - row).hypot(x - column);
            let cover =
                (radius + 0.5 - away).clamp(0.0, 1.0) * (away + 0.5 - inner).clamp(0.0, 1.0);
            under + cover * (level - under)
        });
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, level: f64) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut done = 0.0;
        while done <= length {
            let part = done / length.max(1.0);
            let at = (
                from.0 + part * (to.0 - from.0),
                from.1 + part * (to.1 - from.1),
            );
            self.disc(at, width / 2.0, 0.0, level);
            done += (width / 3.0).max(0.5);
        }
    }

    /// A line of words in letters of 5 x 7 dots, which are drawn anew for every letter.
    pub fn words(
        &mut self,
        (top, left): (f64, f64),
        right: f64,
        dot: f64,
        level: f64,
        draws: &mut Draws,
    ) {
        let mut x = left;
        while x + 5.0 * dot < right {
            if draws.chance(0.18) {
                x += 4.0 * dot;
                continue;
            }
            // A stem, a bar or two, and dots here and there: what letters have in common.
            let (stem, bar) = (draws.below(5), draws.below(7));
            for y in 0..7 {
                for column in 0..5 {
                    if column == stem || y == bar || draws.chance(0.15) {
                        let from = (top + y as f64 * dot, x + column as f64 * dot);
                        self.fill(from, (from.0 + dot, from.1 + dot), level);
                    }
                }
            }
            x += 6.0 * dot;
        }
    }
}

/// Smooth noise, about -1 to 1, whose octaves have amplitudes that fall by `fall` from one to the next finer: clouds.
pub struct Clouds {
    octaves: Vec<(usize, Vec<f64>)>,
    fall: f64,
}

impl Clouds {
    pub fn new(octaves: usize, fall: f64, draws: &mut Draws) -> Self {
        let grid = |octave: usize| {
            let side = (2 << octave) + 2;
            let values = (0..side * side).map(|_| draws.between(-1.0, 1.0)).collect();
            (side, values)
        };
        Clouds {
            octaves: (0..octaves).map(grid).collect(),
            fall,
        }
    }

    /// At row and column in parts of the side, 0 to 1.
    pub fn at(&self, row: f64, column: f64) -> f64 {
        let mut sum = 0.0;
        let mut amplitude = 1.0;
        for (side, values) in &self.octaves {
            let cells = (side - 2) as f64;
            let split = |at: f64| {
                let at = (at.clamp(0.0, 1.0)) * cells;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to the number of cells"
                )]
                let cell = at as usize;
                let part = at - cell as f64;
                (cell, part * part * (3.0 - 2.0 * part))
            };
            let ((y, down), (x, right)) = (split(row), split(column));
            let value = |y: usize, x: usize| values[y * side + x];
            let upper = value(y, x) * (1.0 - right) + value(y, x + 1) * right;
            let lower = value(y + 1, x) * (1.0 - right) + value(y + 1, x + 1) * right;
            sum += amplitude * (upper * (1.0 - down) + lower * down);
            amplitude *= self.fall;
        }
        sum
    }
}
