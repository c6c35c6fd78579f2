//! Variations of a picture that leave its category as it is: where it lies in the frame, and how the scanner drew it.
//!
//! They are drawn from a square that is an eighth larger than the network's input, so that a view cut from it has no
//! fewer pixels than the input. Cutting the border and varying grey levels and sharpness also take away what tells one
//! hospital's pictures from another's without telling anything about the patient.

use serde::{Deserialize, Serialize};

use crate::draws::Draws;

/// How far each variation may go; zero everywhere leaves the picture as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Probability of a mirror image, left for right.
    pub mirror: f64,
    /// Rotation to either side, in degrees.
    pub rotation_degrees: f32,
    /// Least and most of the picture's side that is seen: below 1 cuts the border off, above 1 continues its last pixels.
    pub view: (f32, f32),
    /// The aspect ratio is varied by up to `exp(±aspect)`.
    pub aspect: f32,
    /// Shift of the view to either side beyond the picture's border, as a part of the picture's side.
    pub shift: f32,
    /// Probability of a blur with a standard deviation of 0.4 to 1 pixel.
    pub blur: f64,
    /// Gamma is varied by up to `exp(±gamma)`.
    pub gamma: f32,
    /// Contrast about the mean is varied by up to this part.
    pub contrast: f32,
    /// Brightness is varied by up to this part of the range.
    pub brightness: f32,
    /// Probability of noise with a standard deviation of up to `noise_deviation` of the range.
    pub noise: f64,
    /// The most that noise deviates, as a part of the range.
    pub noise_deviation: f32,
}

impl Default for Augmentation {
    /// Chosen by comparison inside the training data, 2026-11-22.
    fn default() -> Self {
        Augmentation {
            mirror: 0.5,
            rotation_degrees: 10.0,
            view: (0.8, 1.08),
            aspect: 0.1,
            shift: 0.05,
            blur: 0.2,
            gamma: 0.35,
            contrast: 0.25,
            brightness: 0.1,
            noise: 0.4,
            noise_deviation: 0.03,
        }
    }
}

/// The side of the square that views of `side` pixels are drawn from.
pub fn source_side(side: usize) -> usize {
    side + side / 7
}

impl Augmentation {
    /// A variation of a square of `source_side` pixels, as a square of `side` pixels.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a level is bounded to 0..=255 before it is cast"
    )]
    pub fn apply(
        &self,
        source: &[u8],
        source_side: usize,
        side: usize,
        draws: &mut Draws,
    ) -> Vec<u8> {
        let mut levels = self.view_of(source, source_side, side, draws);
        if draws.chance(self.blur) {
            blur(&mut levels, side, draws.between_f32(0.4, 1.0));
        }
        self.redraw(&mut levels, draws);
        levels
            .into_iter()
            .map(|level| (level * 255.0).round().clamp(0.0, 255.0) as u8)
            .collect()
    }

    /// Geometry: levels in `[0, 1]`, sampled between the four nearest pixels; outside, the border's pixels go on.
    fn view_of(
        &self,
        source: &[u8],
        source_side: usize,
        side: usize,
        draws: &mut Draws,
    ) -> Vec<f32> {
        let mirrored = draws.chance(self.mirror);
        let (sin, cos) = draws
            .between_f32(-self.rotation_degrees, self.rotation_degrees)
            .to_radians()
            .sin_cos();
        let view = draws.between_f32(self.view.0, self.view.1);
        let aspect = draws.between_f32(-self.aspect, self.aspect) / 2.0;
        let (width, height) = (view * aspect.exp(), view * (-aspect).exp());
        // A view smaller than the picture may lie anywhere on it.
        let shift = self.shift + ((1.0 - view) / 2.0).max(0.0);
        let right = draws.between_f32(-shift, shift);
        let down = draws.between_f32(-shift, shift);

        let length = source_side as f32;
        let step = 1.0 / side as f32;
        let mut levels = Vec::with_capacity(side * side);
        for y in 0..side {
            let v = ((y as f32 + 0.5) * step - 0.5) * height;
            for x in 0..side {
                let u = ((x as f32 + 0.5) * step - 0.5) * width;
                let u = if mirrored { -u } else { u };
                let column = (cos * u - sin * v + right + 0.5) * length - 0.5;
                let row = (sin * u + cos * v + down + 0.5) * length - 0.5;
                levels.push(sample(source, source_side, column, row));
            }
        }
        levels
    }

    /// Levels as another scanner or window would have drawn them.
    fn redraw(&self, levels: &mut [f32], draws: &mut Draws) {
        let gamma = draws.between_f32(-self.gamma, self.gamma).exp();
        let contrast = 1.0 + draws.between_f32(-self.contrast, self.contrast);
        let brightness = draws.between_f32(-self.brightness, self.brightness);
        for level in levels.iter_mut() {
            *level = level.powf(gamma);
        }
        let mean = levels.iter().sum::<f32>() / levels.len().max(1) as f32;
        for level in levels.iter_mut() {
            *level = (*level - mean) * contrast + mean + brightness;
        }
        if draws.chance(self.noise) {
            let deviation = draws.between_f32(0.0, self.noise_deviation);
            for level in levels.iter_mut() {
                // A sum of four uniform draws is near enough to normal, and a tenth of its price.
                let sum: f32 = (0..4).map(|_| draws.between_f32(-1.0, 1.0)).sum();
                *level += sum * deviation * 0.866;
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates are bounded to the picture before they are cast"
)]
fn sample(source: &[u8], side: usize, column: f32, row: f32) -> f32 {
    let last = side as f32 - 1.0;
    let (column, row) = (column.clamp(0.0, last), row.clamp(0.0, last));
    let (left, top) = (column as usize, row as usize);
    let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
    let (across, down) = (column - left as f32, row - top as f32);
    let at = |x: usize, y: usize| f32::from(source[y * side + x]);
    let upper = at(left, top) + (at(right, top) - at(left, top)) * across;
    let lower = at(left, bottom) + (at(right, bottom) - at(left, bottom)) * across;
    (upper + (lower - upper) * down) / 255.0
}

/// Three taps of a Gaussian in both directions; the border's pixels go on.
fn blur(levels: &mut [f32], side: usize, deviation: f32) {
    let side_tap = (-0.5 / (deviation * deviation)).exp();
    let sum = 1.0 + 2.0 * side_tap;
    let (centre, beside) = (1.0 / sum, side_tap / sum);
    let before = levels.to_vec();
    for y in 0..side {
        for x in 0..side {
            let row = y * side;
            levels[row + x] = before[row + x] * centre
                + (before[row + x.saturating_sub(1)] + before[row + (x + 1).min(side - 1)])
                    * beside;
        }
    }
    let before = levels.to_vec();
    for y in 0..side {
        for x in 0..side {
            levels[y * side + x] = before[y * side + x] * centre
                + (before[y.saturating_sub(1) * side + x]
                    + before[(y + 1).min(side - 1) * side + x])
                    * beside;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Augmentation = Augmentation {
        mirror: 0.0,
        rotation_degrees: 0.0,
        view: (1.0, 1.0),
        aspect: 0.0,
        shift: 0.0,
        blur: 0.0,
        gamma: 0.0,
        contrast: 0.0,
        brightness: 0.0,
        noise: 0.0,
        noise_deviation: 0.0,
    };

    fn ramp(side: usize) -> Vec<u8> {
        (0..side * side)
            .map(|i| u8::try_from((i % side) * 255 / (side - 1)).unwrap())
            .collect()
    }

    #[test]
    fn without_variations_a_picture_of_the_same_size_stays_as_it_is() {
        let picture = ramp(32);
        let mut draws = Draws::new(1, "test", &[]);
        assert_eq!(NONE.apply(&picture, 32, 32, &mut draws), picture);
    }

    #[test]
    fn a_mirror_image_is_one() {
        let augmentation = Augmentation {
            mirror: 1.0,
            ..NONE
        };
        let picture = ramp(32);
        let mirrored = augmentation.apply(&picture, 32, 32, &mut Draws::new(1, "test", &[]));
        for (row, original) in mirrored.chunks(32).zip(picture.chunks(32)) {
            assert!(row.iter().eq(original.iter().rev()));
        }
    }

    #[test]
    fn the_same_draws_give_the_same_picture_and_others_another() {
        let picture = ramp(64);
        let apply = |index| {
            Augmentation::default().apply(&picture, 64, 56, &mut Draws::new(1, "test", &[index]))
        };
        assert_eq!(apply(0), apply(0));
        assert_ne!(apply(0), apply(1));
        assert_eq!(apply(0).len(), 56 * 56);
    }

    #[test]
    fn a_blur_keeps_the_sum_of_an_even_field_and_flattens_a_point() {
        let mut even = vec![0.5; 64];
        blur(&mut even, 8, 0.7);
        assert!(even.iter().all(|level| (level - 0.5).abs() < 1e-6));
        let mut point = vec![0.0; 64];
        point[3 * 8 + 3] = 1.0;
        blur(&mut point, 8, 0.7);
        assert!(point[3 * 8 + 3] < 0.6 && point[3 * 8 + 4] > 0.05);
        assert!((point.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
