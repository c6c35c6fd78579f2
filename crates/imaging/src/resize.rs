//! Scaling with an antialiased triangle filter.
//!
//! The same arithmetic as Pillow's `resize(.., BILINEAR)`: on reduction the filter's support grows with the scale, so
//! that every source pixel counts; two passes, rows first; weights with 22 fractional bits; the result of each pass is
//! rounded to 8 bits. Pictures that a model was trained on with Pillow look the same to it here.

use crate::Picture;
use crate::picture::Pixels;

/// Fractional bits of a weight: 32 less 8 of the sample less 2 for sign and overshoot.
const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// One output sample's share of the input: where it begins and the weight of each source sample.
struct Taps {
    /// For each output position, the first source position.
    starts: Vec<usize>,
    /// For each output position, how many source positions.
    lengths: Vec<usize>,
    /// `stride` weights for each output position.
    weights: Vec<i32>,
    stride: usize,
}

impl Taps {
    /// The triangle filter from `from` samples to `to`; both at least 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "positions are below 2^17 and weights at most 1, so each is exact or rounded as meant"
    )]
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let stride = support.ceil() as usize * 2 + 1;
        let mut taps = Self {
            starts: Vec::with_capacity(to),
            lengths: Vec::with_capacity(to),
            weights: vec![0; stride * to],
            stride,
        };
        let mut exact = vec![0.0; stride];
        for (position, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let centre = (position as f64 + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let length = end - start;
            let mut sum = 0.0;
            for (offset, weight) in exact[..length].iter_mut().enumerate() {
                let distance = ((start + offset) as f64 - centre + 0.5) / support;
                *weight = (1.0 - distance.abs()).max(0.0);
                sum += *weight;
            }
            for (fixed, weight) in weights.iter_mut().zip(&exact[..length]) {
                *fixed = (weight / sum * f64::from(1 << FRACTION_BITS) + 0.5) as i32;
            }
            taps.starts.push(start);
            taps.lengths.push(length);
        }
        taps
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.weights
            .chunks_exact(self.stride)
            .zip(&self.starts)
            .zip(&self.lengths)
            .map(|((weights, start), length)| (*start, &weights[..*length]))
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255).to_le_bytes()[0]
}

/// Scales each row of `N` interleaved channels.
fn rows<const N: usize>(source: &[u8], width: usize, to_width: usize) -> Vec<u8> {
    let taps = Taps::new(width, to_width);
    let height = source.len() / (width * N);
    let mut out = vec![0; to_width * N * height];
    for (row, into) in source
        .chunks_exact(width * N)
        .zip(out.chunks_exact_mut(to_width * N))
    {
        let (row, _) = row.as_chunks::<N>();
        let (into, _) = into.as_chunks_mut::<N>();
        for ((start, weights), pixel) in taps.iter().zip(into) {
            let mut sums = [HALF; N];
            for (samples, weight) in row[start..start + weights.len()].iter().zip(weights) {
                for (sum, sample) in sums.iter_mut().zip(samples) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            *pixel = sums.map(clip);
        }
    }
    out
}

/// Scales each column; a row has `row_bytes` bytes.
fn columns(source: &[u8], row_bytes: usize, to_height: usize) -> Vec<u8> {
    let taps = Taps::new(source.len() / row_bytes, to_height);
    let mut out = vec![0; row_bytes * to_height];
    let mut sums = vec![HALF; row_bytes];
    for ((start, weights), into) in taps.iter().zip(out.chunks_exact_mut(row_bytes)) {
        sums.fill(HALF);
        let from = &source[start * row_bytes..];
        for (row, weight) in from.chunks_exact(row_bytes).zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(*sample) * weight;
            }
        }
        for (byte, sum) in into.iter_mut().zip(&sums) {
            *byte = clip(*sum);
        }
    }
    out
}

fn scale<const N: usize>(
    bytes: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
) -> Vec<u8> {
    let narrowed = (width != to_width).then(|| rows::<N>(bytes, width, to_width));
    match narrowed {
        Some(narrowed) if height == to_height => narrowed,
        None if height == to_height => bytes.to_vec(),
        Some(narrowed) => columns(&narrowed, to_width * N, to_height),
        None => columns(bytes, to_width * N, to_height),
    }
}

/// Scales a grey picture of `width` x `height` bytes to `to_width` x `to_height`. Where a side is 0, or the slice has
/// another length than its sides say, the result is empty.
#[must_use]
pub fn resize_bilinear(
    grey: &[u8],
    width: usize,
    height: usize,
    to_width: usize,
    to_height: usize,
) -> Vec<u8> {
    let sides = [width, height, to_width, to_height];
    if sides.contains(&0) || width.checked_mul(height) != Some(grey.len()) {
        return Vec::new();
    }
    scale::<1>(grey, (width, height), (to_width, to_height))
}

impl Picture {
    /// The same scaled by the antialiased triangle filter; without pixels where a side, here or there, is 0.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let from = (self.width as usize, self.height as usize);
        let to = (width as usize, height as usize);
        let samples = self.pixels.bytes().len();
        let whole = from
            .0
            .saturating_mul(from.1)
            .saturating_mul(self.pixels.channels())
            == samples;
        if !whole || samples == 0 || width == 0 || height == 0 {
            return Self {
                width: 0,
                height: 0,
                pixels: Pixels::Grey8(Vec::new()),
            };
        }
        let pixels = match &self.pixels {
            Pixels::Grey8(bytes) => Pixels::Grey8(scale::<1>(bytes, from, to)),
            Pixels::Rgb8(bytes) => Pixels::Rgb8(scale::<3>(bytes, from, to)),
        };
        Self {
            width,
            height,
            pixels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(width: usize, height: usize, channels: usize) -> Vec<u8> {
        (0..width * height * channels)
            .map(|at| {
                let (x, y, c) = (at / channels % width, at / channels / width, at % channels);
                let product = if channels == 1 { x * y * 13 } else { 0 };
                (x * 37 + y * 91 + product + c * 70).to_le_bytes()[0]
            })
            .collect()
    }

    fn assert_close(ours: &[u8], pillow: &[u8]) {
        assert_eq!(ours.len(), pillow.len());
        for (at, (one, other)) in ours.iter().zip(pillow).enumerate() {
            assert!(one.abs_diff(*other) <= 1, "at {at}: {one}, Pillow {other}");
        }
    }

    // Expected: Image.fromarray(pattern).resize((width, height), Image.BILINEAR) of Pillow 13.0.
    #[test]
    fn scaling_is_pillows() {
        let grey = pattern(11, 9, 1);
        let smaller = [121, 140, 134, 111, 122, 143, 133, 141, 149, 153, 149, 153];
        assert_close(&resize_bilinear(&grey, 11, 9, 4, 3), &smaller);
        let lower = [
            75, 123, 120, 168, 106, 153, 150, 103, 150, 88, 85, 91, 159, 108, 182, 125, 143, 142,
            110, 128, 177, 77, 125, 123, 83, 187, 160, 139, 118, 147, 176, 105, 184, 141, 176, 145,
            180, 106, 185, 110, 189, 115, 194, 119,
        ];
        assert_close(&resize_bilinear(&grey, 11, 9, 11, 4), &lower);
        assert_close(&resize_bilinear(&grey, 11, 9, 1, 1), &[136]);
        let narrower_and_higher = [
            15, 70, 125, 185, 101, 44, 99, 60, 123, 136, 139, 131, 102, 80, 121, 178, 147, 96, 158,
            170, 66, 183, 133, 141, 162, 107, 178, 106, 144, 134, 148, 169, 100, 157, 105, 50, 158,
            162, 139, 123, 120, 85, 113, 113, 155, 110, 154, 110, 158, 142, 105, 159, 110, 150,
            131, 181, 137, 134, 174, 141, 109, 184, 155, 102, 93, 170, 148, 127, 151, 130, 104, 95,
            172, 163, 152, 142, 130, 166, 170, 187, 194, 184, 176, 169, 173, 183, 133, 145, 147,
            150, 155, 170, 184, 84, 99, 110, 122, 136,
        ];
        assert_close(&resize_bilinear(&grey, 11, 9, 7, 14), &narrower_and_higher);
        let colour = Picture::rgb(6, 5, pattern(6, 5, 3)).unwrap();
        let small = [
            85, 141, 143, 151, 152, 117, 118, 127, 119, 108, 128, 155, 115, 167, 132, 117, 123, 106,
        ];
        assert_close(colour.resized(2, 3).pixels.bytes(), &small);
    }

    #[test]
    fn what_is_even_stays_even_at_any_scale() {
        for (width, height, to_width, to_height) in [
            (1, 1, 9, 9),
            (640, 3, 1, 1),
            (3, 700, 224, 224),
            (224, 224, 224, 224),
        ] {
            let even = vec![201; width * height];
            let scaled = resize_bilinear(&even, width, height, to_width, to_height);
            assert_eq!(scaled, vec![201; to_width * to_height]);
        }
    }

    #[test]
    fn sides_that_do_not_fit_the_bytes_give_nothing() {
        assert!(resize_bilinear(&[1, 2, 3], 2, 2, 1, 1).is_empty());
        assert!(resize_bilinear(&[], 0, 0, 1, 1).is_empty());
        assert!(resize_bilinear(&[1], 1, 1, 0, 1).is_empty());
        let lying = Picture {
            width: 5,
            height: 5,
            pixels: Pixels::Grey8(vec![0; 3]),
        };
        assert_eq!(lying.resized(2, 2).width, 0);
    }
}
