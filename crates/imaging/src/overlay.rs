//! What a model looked at, as colour over a picture.

use crate::Picture;
use crate::picture::Pixels;

/// A map of weights over a picture, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Weights, from 0 for nothing to 1 for all; what lies outside, or is no number, is taken for the nearest of them, or 0.
    pub weights: Vec<f32>,
}

impl HeatMap {
    /// A map whose smallest weight is 0 and whose largest is 1. `None` unless there is one weight a cell, at least one cell, and
    /// every weight is a number; a map without differences is 0 throughout.
    #[must_use]
    pub fn stretched(width: u32, height: u32, mut weights: Vec<f32>) -> Option<Self> {
        let cells = (width as usize).checked_mul(height as usize)?;
        let numbers = weights.iter().all(|weight| weight.is_finite());
        if cells == 0 || cells != weights.len() || !numbers {
            return None;
        }
        let (low, high) = weights
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), weight| {
                (low.min(*weight), high.max(*weight))
            });
        // Twice the range of f32 fits f64.
        let range = f64::from(high) - f64::from(low);
        for weight in &mut weights {
            let above = f64::from(*weight) - f64::from(low);
            *weight = if range > 0.0 {
                to_f32(above / range)
            } else {
                0.0
            };
        }
        Some(Self {
            width,
            height,
            weights,
        })
    }

    /// The weight at a place in cells from the top left, between the middles of cells by bilinear interpolation.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (left, right, across) = between(x, self.width);
        let (top, bottom, down) = between(y, self.height);
        let cell = |column: usize, row: usize| {
            let weight = self.weights.get(row * self.width as usize + column);
            let weight = weight.copied().unwrap_or(0.0);
            if weight.is_nan() {
                0.0
            } else {
                weight.clamp(0.0, 1.0)
            }
        };
        let mix = |from: f32, to: f32, part: f32| from + (to - from) * part;
        mix(
            mix(cell(left, top), cell(right, top), across),
            mix(cell(left, bottom), cell(right, bottom), across),
            down,
        )
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a share, from 0 to 1")]
fn to_f32(share: f64) -> f32 {
    share as f32
}

/// The two cells that a place lies between, and how near to the second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to the cells of a map, which are at most some thousands a side"
)]
fn between(place: f32, cells: u32) -> (usize, usize, f32) {
    let last = cells.saturating_sub(1);
    let place = (place - 0.5).clamp(0.0, last as f32);
    let first = place.floor() as usize;
    (first, (first + 1).min(last as usize), place - place.floor())
}

/// The colour of a weight from 0 to 1: from black over violet and orange to a light yellow.
///
/// Lightness of CIE L*a*b* rises in proportion to the weight, from 0 to 95, so that equal steps look equal, also without colour and
/// to colour-blind eyes; hue turns once by 150 degrees, and chroma is largest in the middle.
#[must_use]
pub fn heat_colour(weight: f32) -> [u8; 3] {
    let weight = if weight.is_nan() {
        0.0
    } else {
        weight.clamp(0.0, 1.0)
    };
    let lightness = 95.0 * weight;
    let chroma = 70.0 * (std::f32::consts::PI * weight.powf(0.85)).sin().max(0.0) + 25.0 * weight;
    let hue = (310.0 + 150.0 * weight).to_radians();
    lab_to_srgb(lightness, chroma * hue.cos(), chroma * hue.sin())
}

/// CIE 15:2004, section 8.2.1, for the white D65, then IEC 61966-2-1; what the screen cannot show is clipped.
fn lab_to_srgb(lightness: f32, a: f32, b: f32) -> [u8; 3] {
    let fy = (lightness + 16.0) / 116.0;
    let [x, y, z] = [fy + a / 500.0, fy, fy - b / 200.0].map(|part: f32| {
        if part > 6.0 / 29.0 {
            part.powi(3)
        } else {
            (part - 4.0 / 29.0) * 3.0 * (6.0_f32 / 29.0).powi(2)
        }
    });
    let (x, z) = (x * 0.950_47, z * 1.088_83);
    [
        3.240_454 * x - 1.537_138 * y - 0.498_531 * z,
        -0.969_266 * x + 1.876_011 * y + 0.041_556 * z,
        0.055_643 * x - 0.204_026 * y + 1.057_225 * z,
    ]
    .map(|linear| {
        let encoded = if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        to_byte(encoded)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=255 before"
)]
fn to_byte(part: f32) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The picture in grey with the map over it in colour. Where the map is 0 the picture stays as it is; where it is 1 it is covered by
/// `opacity`, from 0 to 1. The map is spread over the whole picture, whatever its shape.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "sides are at most 65,535 pixels"
)]
pub fn overlay(picture: &Picture, heat: &HeatMap, opacity: f32) -> Picture {
    let grey = picture.to_grey();
    let opacity = if opacity.is_nan() {
        0.0
    } else {
        opacity.clamp(0.0, 1.0)
    };
    let colours: Vec<[u8; 3]> = (0..=255_u8)
        .map(|step| heat_colour(f32::from(step) / 255.0))
        .collect();
    let columns = heat.width as f32 / picture.width.max(1) as f32;
    let rows = heat.height as f32 / picture.height.max(1) as f32;
    let rgb = grey
        .pixels
        .bytes()
        .chunks_exact((picture.width as usize).max(1))
        .enumerate()
        .flat_map(|(y, row)| {
            let y = (y as f32 + 0.5) * rows;
            let colours = &colours;
            row.iter().enumerate().flat_map(move |(x, grey)| {
                let weight = heat.at((x as f32 + 0.5) * columns, y);
                let colour = colours[usize::from(to_byte(weight))];
                let cover = opacity * weight;
                colour.map(|sample| {
                    let mixed = f32::from(*grey) * (1.0 - cover) + f32::from(sample) * cover;
                    to_byte(mixed / 255.0)
                })
            })
        })
        .collect();
    Picture {
        width: picture.width,
        height: picture.height,
        pixels: Pixels::Rgb8(rgb),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_grow_lighter_with_the_weight() {
        let luma = |step: u8| {
            let [red, green, blue] = heat_colour(f32::from(step) / 255.0);
            crate::luma(red, green, blue)
        };
        assert!(luma(0) < 10 && luma(255) > 220);
        for step in (0..=240).step_by(15) {
            assert!(luma(step + 15) > luma(step), "at {step}");
        }
        assert_eq!(heat_colour(f32::NAN), heat_colour(0.0));
        assert_eq!(heat_colour(7.0), heat_colour(1.0));
    }

    #[test]
    fn a_cold_map_changes_nothing_and_a_hot_one_covers() {
        let picture = Picture::grey(8, 4, (0..32).collect()).unwrap();
        let cold = HeatMap::stretched(2, 2, vec![3.0; 4]).unwrap();
        assert_eq!(overlay(&picture, &cold, 1.0), picture.clone().into_rgb());
        let corner = HeatMap::stretched(2, 1, vec![0.0, 1.0]).unwrap();
        let over = overlay(&picture, &corner, 1.0);
        let pixels = over.pixels.bytes().as_chunks::<3>().0;
        assert_eq!(pixels[0], [0; 3]);
        assert_eq!(pixels[7], heat_colour(1.0));
        assert_eq!(overlay(&picture, &corner, 0.0), picture.into_rgb());
    }

    #[test]
    fn a_map_is_of_numbers_one_a_cell() {
        assert!(HeatMap::stretched(2, 2, vec![0.0; 3]).is_none());
        assert!(HeatMap::stretched(0, 0, Vec::new()).is_none());
        assert!(HeatMap::stretched(1, 1, vec![f32::NAN]).is_none());
        let map = HeatMap::stretched(3, 1, vec![-1.0, 0.0, 3.0]).unwrap();
        assert_eq!(map.weights, [0.0, 0.25, 1.0]);
        let extreme = HeatMap::stretched(2, 1, vec![f32::MIN, f32::MAX]).unwrap();
        assert!(extreme.weights.iter().all(|weight| weight.is_finite()));
    }
}
