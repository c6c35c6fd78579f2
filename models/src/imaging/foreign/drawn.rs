//! The kinds of foreign images, each drawn from a number.

use super::canvas::{Canvas, Clouds};
use crate::draws::Draws;

/// What a drawn image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One level, with a little noise.
    Blank,
    /// Bright blurs on black.
    Blobs,
    /// Round cells with nuclei, as under a microscope.
    Cells,
    /// Noise with more of coarse than of fine structure.
    Clouds,
    /// Lines, circles and curves on paper, or on black.
    Drawing,
    /// From dark to bright.
    Gradient,
    /// Sky, hills one behind the other, trees.
    Landscape,
    /// Things in front of things, each with a texture: the statistics of photographs.
    Leaves,
    /// Every pixel by itself.
    Noise,
    /// Checks, stripes, gratings.
    Pattern,
    /// Curves, bars, points or rings with axes.
    Plot,
    /// Windows, bars, fields, letters.
    Screenshot,
    /// Lines of letters.
    Text,
}

/// Every kind.
pub const KINDS: [Kind; 13] = [
    Kind::Blank,
    Kind::Blobs,
    Kind::Cells,
    Kind::Clouds,
    Kind::Drawing,
    Kind::Gradient,
    Kind::Landscape,
    Kind::Leaves,
    Kind::Noise,
    Kind::Pattern,
    Kind::Plot,
    Kind::Screenshot,
    Kind::Text,
];

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Blank => "blank",
            Kind::Blobs => "blobs",
            Kind::Cells => "cells",
            Kind::Clouds => "clouds",
            Kind::Drawing => "drawing",
            Kind::Gradient => "gradient",
            Kind::Landscape => "landscape",
            Kind::Leaves => "leaves",
            Kind::Noise => "noise",
            Kind::Pattern => "pattern",
            Kind::Plot => "plot",
            Kind::Screenshot => "screenshot",
            Kind::Text => "text",
        }
    }

    /// The image of this number: `side * side` grey levels.
    pub fn draw(self, number: u64, side: usize) -> Vec<u8> {
        let mut draws = Draws::new(1, self.name(), &[number]);
        let draw = match self {
            Kind::Blank => blank,
            Kind::Blobs => blobs,
            Kind::Cells => cells,
            Kind::Clouds => clouds,
            Kind::Drawing => drawing,
            Kind::Gradient => gradient,
            Kind::Landscape => landscape,
            Kind::Leaves => leaves,
            Kind::Noise => noise,
            Kind::Pattern => pattern,
            Kind::Plot => plot,
            Kind::Screenshot => screenshot,
            Kind::Text => text,
        };
        draw(side, &mut draws).to_levels()
    }
}

/// A place somewhere on the canvas.
fn place(side: f64, draws: &mut Draws) -> (f64, f64) {
    (draws.between(0.0, side), draws.between(0.0, side))
}

/// Paper and ink: dark on bright, or the other way round.
fn paper(draws: &mut Draws, dark: f64) -> (f64, f64) {
    let (bright, black) = (draws.between(225.0, 255.0), draws.between(0.0, 45.0));
    if draws.chance(dark) {
        (black, bright)
    } else {
        (bright, black)
    }
}

fn blank(side: usize, draws: &mut Draws) -> Canvas {
    let (level, noise) = (draws.between(0.0, 255.0), draws.between(0.0, 4.0));
    Canvas::from(side, |_, _| level + noise * draws.normal())
}

fn noise(side: usize, draws: &mut Draws) -> Canvas {
    Canvas::from(side, |_, _| draws.between(0.0, 255.0))
}

fn clouds(side: usize, draws: &mut Draws) -> Canvas {
    let (mean, spread) = (draws.between(70.0, 180.0), draws.between(40.0, 90.0));
    let clouds = Clouds::new(7, draws.between(0.4, 0.9), draws);
    Canvas::from(side, |y, x| mean + spread * clouds.at(y, x))
}

fn gradient(side: usize, draws: &mut Draws) -> Canvas {
    let (down, across) = (draws.between(-1.0, 1.0), draws.between(-1.0, 1.0));
    let (row, column) = (draws.unit(), draws.unit());
    let (from, span) = (draws.between(0.0, 120.0), draws.between(100.0, 255.0));
    if draws.chance(0.5) {
        Canvas::from(side, |y, x| {
            from + span * (0.5 + (y - 0.5) * down + (x - 0.5) * across)
        })
    } else {
        Canvas::from(side, |y, x| {
            from + span * (1.0 - (y - row).hypot(x - column))
        })
    }
}

fn pattern(side: usize, draws: &mut Draws) -> Canvas {
    let (period, turn) = (draws.between(0.015, 0.25), draws.between(0.0, 3.2));
    let (low, high) = (draws.between(0.0, 80.0), draws.between(150.0, 255.0));
    let kind = draws.below(3);
    Canvas::from(side, |y, x| {
        let along = (y * turn.sin() + x * turn.cos()) / period;
        let across = (y * turn.cos() - x * turn.sin()) / period;
        let part = match kind {
            0 => f64::from(u8::from(
                (along.floor() + across.floor()).rem_euclid(2.0) < 1.0,
            )),
            1 => f64::from(u8::from(along.rem_euclid(1.0) < 0.5)),
            _ => 0.5 + 0.5 * (along * std::f64::consts::TAU).sin(),
        };
        low + (high - low) * part
    })
}

fn blobs(side: usize, draws: &mut Draws) -> Canvas {
    let count = 1 + draws.below(6);
    let blobs: Vec<_> = (0..count)
        .map(|_| {
            let (row, column) = place(1.0, draws);
            let (width, level) = (draws.between(0.04, 0.2), draws.between(60.0, 200.0));
            (row, column, width, level)
        })
        .collect();
    Canvas::from(side, |y, x| {
        let of = |(row, column, width, level): &(f64, f64, f64, f64)| {
            let away = (y - row).hypot(x - column) / width;
            level * (-away * away / 2.0).exp()
        };
        blobs.iter().map(of).sum()
    })
}

fn cells(side: usize, draws: &mut Draws) -> Canvas {
    let ground = draws.between(150.0, 235.0);
    let grain = Clouds::new(6, 0.7, draws);
    let mut canvas = Canvas::from(side, |y, x| ground + 12.0 * grain.at(y, x));
    let size = side as f64;
    let radius = draws.between(0.025, 0.09) * size;
    for _ in 0..20 + draws.below(60) {
        let at = place(size, draws);
        let own = radius * draws.between(0.7, 1.3);
        canvas.disc(at, own, 0.0, ground - draws.between(20.0, 60.0));
        canvas.disc(at, own, own * 0.88, ground - 80.0);
        let off = (
            at.0 + draws.between(-0.3, 0.3) * own,
            at.1 + draws.between(-0.3, 0.3) * own,
        );
        canvas.disc(
            off,
            own * draws.between(0.3, 0.5),
            0.0,
            draws.between(20.0, 90.0),
        );
    }
    canvas
}

fn drawing(side: usize, draws: &mut Draws) -> Canvas {
    let (ground, ink) = paper(draws, 0.33);
    let mut canvas = Canvas::new(side, ground);
    let size = side as f64;
    for _ in 0..3 + draws.below(16) {
        let (from, to) = (place(size, draws), place(size, draws));
        let width = draws.between(1.0, 4.0);
        match draws.below(4) {
            0 => canvas.line(from, to, width, ink),
            1 => {
                let radius = draws.between(0.03, 0.3) * size;
                canvas.disc(from, radius, radius - width, ink);
            }
            2 => {
                for (a, b) in [(from, (from.0, to.1)), ((from.0, to.1), to)] {
                    canvas.line(a, b, width, ink);
                }
                canvas.line(to, (to.0, from.1), width, ink);
                canvas.line((to.0, from.1), from, width, ink);
            }
            _ => {
                let (mut at, mut turn) = (from, draws.between(0.0, 6.3));
                let bend = draws.between(-0.3, 0.3);
                for _ in 0..25 {
                    let next = (at.0 + 5.0 * turn.sin(), at.1 + 5.0 * turn.cos());
                    canvas.line(at, next, width, ink);
                    turn += bend + draws.between(-0.2, 0.2);
                    at = next;
                }
            }
        }
    }
    canvas
}

fn landscape(side: usize, draws: &mut Draws) -> Canvas {
    let (zenith, horizon) = (draws.between(90.0, 200.0), draws.between(170.0, 250.0));
    let sky = Clouds::new(6, 0.6, draws);
    let cloudy = draws.between(0.0, 45.0);
    let mut canvas = Canvas::from(side, |y, x| {
        zenith + (horizon - zenith) * y * 1.6 + cloudy * sky.at(y, x)
    });
    let size = side as f64;
    let ridges = 2 + draws.below(3);
    for ridge in 0..ridges {
        let near = (ridge + 1) as f64 / ridges as f64;
        let (line, texture) = (Clouds::new(6, 0.5, draws), Clouds::new(8, 0.8, draws));
        let (height, ground) = (
            0.35 + 0.4 * near,
            190.0 - 130.0 * near + draws.between(-20.0, 20.0),
        );
        canvas.change((0.0, 0.0), (size, size), |y, x, under| {
            let (y, x) = (y / size, x / size);
            let edge = height + 0.13 * line.at(0.5, x);
            if y < edge {
                under
            } else {
                ground + (15.0 + 30.0 * near) * texture.at(y, x)
            }
        });
    }
    for _ in 0..draws.below(9) {
        let (foot, column) = (
            draws.between(0.75, 1.0) * size,
            draws.between(0.0, 1.0) * size,
        );
        let height = draws.between(0.15, 0.45) * size;
        canvas.line((foot, column), (foot - height, column), height * 0.07, 30.0);
        for _ in 0..40 {
            let leaf = (
                foot - height + draws.normal() * height * 0.15,
                column + draws.normal() * height * 0.15,
            );
            canvas.disc(leaf, height * 0.05, 0.0, draws.between(20.0, 110.0));
        }
    }
    canvas
}

fn leaves(side: usize, draws: &mut Draws) -> Canvas {
    let mut canvas = Canvas::new(side, draws.between(40.0, 200.0));
    let size = side as f64;
    let texture = Clouds::new(8, 0.9, draws);
    for _ in 0..250 {
        // Sizes so that no scale stands out.
        let radius = size * 0.02 / (draws.unit() + 0.04);
        let (level, rough) = (draws.between(10.0, 245.0), draws.between(0.0, 40.0));
        let (shade, turn) = (draws.between(-40.0, 40.0), draws.between(0.0, 6.3));
        let (row, column) = place(size, draws);
        let boxed = draws.chance(0.4);
        let from = (row - radius, column - radius);
        canvas.change(from, (row + radius, column + radius), |y, x, under| {
            if !boxed && (y - row).hypot(x - column) > radius {
                return under;
            }
            let along = ((y - row) * turn.sin() + (x - column) * turn.cos()) / radius;
            level + shade * along + rough * texture.at(y / size, x / size)
        });
    }
    canvas
}

fn plot(side: usize, draws: &mut Draws) -> Canvas {
    let (ground, ink) = paper(draws, 0.25);
    let mut canvas = Canvas::new(side, ground);
    let size = side as f64;
    let (top, bottom, left, right) = (0.08 * size, 0.88 * size, 0.12 * size, 0.95 * size);
    let kind = draws.below(4);
    if kind < 3 {
        canvas.line((top, left), (bottom, left), 1.0, ink);
        canvas.line((bottom, left), (bottom, right), 1.0, ink);
        for tick in 0..6 {
            let part = f64::from(tick) / 5.0;
            let (x, y) = (left + part * (right - left), bottom - part * (bottom - top));
            canvas.line((bottom, x), (bottom + 4.0, x), 1.0, ink);
            canvas.line((y, left - 4.0), (y, left), 1.0, ink);
            canvas.words((bottom + 7.0, x - 6.0), x + 8.0, 1.0, ink, draws);
        }
    }
    match kind {
        0 => {
            for _ in 0..1 + draws.below(4) {
                let shade = draws.between(0.0, 200.0);
                let mut y = draws.between(top, bottom);
                let mut x = left;
                while x < right {
                    let next = (y + 6.0 * draws.normal()).clamp(top, bottom);
                    canvas.line((y, x), (next, x + 4.0), 1.5, shade);
                    (y, x) = (next, x + 4.0);
                }
            }
        }
        1 => {
            let bars = 4 + draws.below(9);
            let width = (right - left) / bars as f64;
            let shade = draws.between(40.0, 180.0);
            for bar in 0..bars {
                let x = left + (bar as f64 + 0.15) * width;
                let y = draws.between(top, bottom);
                canvas.fill((y, x), (bottom, x + 0.7 * width), shade);
            }
        }
        2 => {
            let shade = draws.between(0.0, 180.0);
            for _ in 0..40 + draws.below(160) {
                let y = (top + bottom) / 2.0 + 0.17 * size * draws.normal();
                let x = (left + right) / 2.0 + 0.17 * size * draws.normal();
                canvas.disc(
                    (y.clamp(top, bottom), x.clamp(left, right)),
                    2.0,
                    0.0,
                    shade,
                );
            }
        }
        _ => {
            let (middle, radius) = (size / 2.0, draws.between(0.25, 0.42) * size);
            let parts = 2 + draws.below(5);
            let shades: Vec<f64> = (0..parts).map(|_| draws.between(30.0, 220.0)).collect();
            let (from, to) = (
                (middle - radius, middle - radius),
                (middle + radius, middle + radius),
            );
            canvas.change(from, to, |y, x, under| {
                if (y - middle).hypot(x - middle) > radius {
                    return under;
                }
                let turn = (y - middle).atan2(x - middle) / std::f64::consts::TAU + 0.5;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to the number of parts"
                )]
                let part = (turn * parts as f64) as usize;
                shades[part.min(parts - 1)]
            });
        }
    }
    canvas
}

fn screenshot(side: usize, draws: &mut Draws) -> Canvas {
    let (ground, ink) = paper(draws, 0.4);
    let mut canvas = Canvas::new(side, ground);
    let size = side as f64;
    canvas.fill((0.0, 0.0), (0.06 * size, size), draws.between(30.0, 220.0));
    canvas.words((3.0, 5.0), 0.5 * size, 1.0, ground, draws);
    if draws.chance(0.7) {
        let aside = ground + draws.between(-40.0, 40.0);
        canvas.fill((0.06 * size, 0.0), (size, 0.2 * size), aside);
        for entry in 0..12 {
            let top = (0.1 + 0.07 * f64::from(entry)) * size;
            canvas.words((top, 5.0), 0.18 * size, 1.0, ink, draws);
        }
    }
    for _ in 0..3 + draws.below(9) {
        let (top, left) = (
            draws.between(0.08, 0.9) * size,
            draws.between(0.05, 0.8) * size,
        );
        let bottom = top + draws.between(0.05, 0.35) * size;
        let right = left + draws.between(0.1, 0.6) * size;
        canvas.fill((top, left), (bottom, right), ink);
        let inside = draws.between(0.0, 255.0);
        canvas.fill((top + 1.0, left + 1.0), (bottom - 1.0, right - 1.0), inside);
        let letters = if inside > 128.0 { 15.0 } else { 240.0 };
        let mut line = top + 4.0;
        while line + 8.0 < bottom {
            canvas.words((line, left + 4.0), right - 4.0, 1.0, letters, draws);
            line += 11.0;
        }
    }
    canvas
}

fn text(side: usize, draws: &mut Draws) -> Canvas {
    let (ground, ink) = paper(draws, 0.25);
    let mut canvas = Canvas::new(side, ground);
    let size = side as f64;
    let dot = 1.0 + draws.below(3) as f64;
    let margin = draws.between(0.04, 0.12) * size;
    let mut line = margin;
    while line + 7.0 * dot < size - margin {
        if !draws.chance(0.1) {
            let right = if draws.chance(0.15) {
                0.5 * size
            } else {
                size - margin
            };
            canvas.words((line, margin), right, dot, ink, draws);
        }
        line += 11.0 * dot;
    }
    canvas
}
