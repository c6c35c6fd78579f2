//! The loops of [`fused`](super) over vectors of whatever width the processor has (AVX-512, AVX2, NEON, or one).
//!
//! Channels lie next to each other; what is left of them behind the last whole vector is done one by one.

use pulp::{Simd, WithSimd};

use super::taps::Taps;

/// Pixel `index` of a map.
#[inline(always)]
fn pixel(map: &[f32], index: usize, channels: usize) -> &[f32] {
    &map[index * channels..(index + 1) * channels]
}

/// `out[c] = start[c] + sum over taps of map[pixel][c] * weight[tap][c]`, bounded to 0..6 where `relu6`.
#[inline(always)]
fn gather<S: Simd>(
    simd: S,
    out: &mut [f32],
    start: Option<&[f32]>,
    map: &[f32],
    weight: &[f32],
    taps: &[(usize, usize)],
    relu6: bool,
) {
    let channels = out.len();
    let zero = simd.splat_f32s(0.0);
    let six = simd.splat_f32s(6.0);
    let (out_lanes, out_rest) = S::as_mut_simd_f32s(out);
    let whole = channels - out_rest.len();
    let start_lanes = start.map(|start| S::as_simd_f32s(start).0);
    let mut inputs = [S::as_simd_f32s(&[]).0; 9];
    let mut weights = inputs;
    for (slot, (tap, from)) in taps.iter().enumerate() {
        inputs[slot] = S::as_simd_f32s(pixel(map, *from, channels)).0;
        weights[slot] = S::as_simd_f32s(pixel(weight, *tap, channels)).0;
    }
    for (lane, out) in out_lanes.iter_mut().enumerate() {
        let mut sum = start_lanes.map_or(zero, |start| start[lane]);
        for (input, weight) in inputs[..taps.len()].iter().zip(&weights) {
            sum = simd.mul_add_e_f32s(input[lane], weight[lane], sum);
        }
        *out = if relu6 {
            simd.min_f32s(simd.max_f32s(sum, zero), six)
        } else {
            sum
        };
    }
    for (c, out) in (whole..).zip(out_rest) {
        let mut sum = start.map_or(0.0, |start| start[c]);
        for (tap, from) in taps {
            sum += map[from * channels + c] * weight[tap * channels + c];
        }
        *out = if relu6 { sum.clamp(0.0, 6.0) } else { sum };
    }
}

pub(super) struct DepthwiseForward<'a> {
    pub taps: Taps,
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub relu6: bool,
    pub out: &'a mut [f32],
}

impl WithSimd for DepthwiseForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let taps = self.taps;
        let mut pixels = self.out.chunks_exact_mut(taps.channels);
        for y in 0..taps.out_height {
            for (x, out) in (0..taps.out_width).zip(&mut pixels) {
                let (reads, count) = taps.reads(y, x);
                gather(
                    simd,
                    out,
                    Some(self.bias),
                    self.x,
                    self.weight,
                    &reads[..count],
                    self.relu6,
                );
            }
        }
    }
}

pub(super) struct DepthwiseToInput<'a> {
    pub taps: Taps,
    pub gradient: &'a [f32],
    pub weight: &'a [f32],
    pub to_x: &'a mut [f32],
}

impl WithSimd for DepthwiseToInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let taps = self.taps;
        let mut pixels = self.to_x.chunks_exact_mut(taps.channels);
        for y in 0..taps.height {
            for (x, to_x) in (0..taps.width).zip(&mut pixels) {
                let (feeds, count) = taps.feeds(y, x);
                gather(
                    simd,
                    to_x,
                    None,
                    self.gradient,
                    self.weight,
                    &feeds[..count],
                    false,
                );
            }
        }
    }
}

pub(super) struct DepthwiseToWeight<'a> {
    pub taps: Taps,
    pub x: &'a [f32],
    pub gradient: &'a [f32],
    /// `[9, channels]`, zero at first.
    pub sums: &'a mut [f32],
}

impl WithSimd for DepthwiseToWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let taps = self.taps;
        let channels = taps.channels;
        for y in 0..taps.out_height {
            for x in 0..taps.out_width {
                let gradient = pixel(self.gradient, y * taps.out_width + x, channels);
                let (gradients, gradient_rest) = S::as_simd_f32s(gradient);
                let (reads, count) = taps.reads(y, x);
                for (tap, from) in &reads[..count] {
                    let (inputs, input_rest) = S::as_simd_f32s(pixel(self.x, *from, channels));
                    let sums = &mut self.sums[tap * channels..(tap + 1) * channels];
                    let (sums, sums_rest) = S::as_mut_simd_f32s(sums);
                    for ((sum, g), input) in sums.iter_mut().zip(gradients).zip(inputs) {
                        *sum = simd.mul_add_e_f32s(*g, *input, *sum);
                    }
                    for ((sum, g), input) in sums_rest.iter_mut().zip(gradient_rest).zip(input_rest)
                    {
                        *sum += g * input;
                    }
                }
            }
        }
    }
}

pub(super) struct AddBias<'a> {
    pub rows: &'a mut [f32],
    pub bias: &'a [f32],
    pub relu6: bool,
}

impl WithSimd for AddBias<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let six = simd.splat_f32s(6.0);
        let (bias, bias_rest) = S::as_simd_f32s(self.bias);
        for row in self.rows.chunks_exact_mut(self.bias.len()) {
            let (lanes, rest) = S::as_mut_simd_f32s(row);
            for (value, bias) in lanes.iter_mut().zip(bias) {
                let sum = simd.add_f32s(*value, *bias);
                *value = if self.relu6 {
                    simd.min_f32s(simd.max_f32s(sum, zero), six)
                } else {
                    sum
                };
            }
            for (value, bias) in rest.iter_mut().zip(bias_rest) {
                let sum = *value + bias;
                *value = if self.relu6 { sum.clamp(0.0, 6.0) } else { sum };
            }
        }
    }
}

pub(super) struct Relu6Gradient<'a> {
    pub masked: &'a mut [f32],
    pub output: &'a [f32],
    pub gradient: &'a [f32],
}

impl WithSimd for Relu6Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let six = simd.splat_f32s(6.0);
        let (masked, masked_rest) = S::as_mut_simd_f32s(self.masked);
        let (output, output_rest) = S::as_simd_f32s(self.output);
        let (gradient, gradient_rest) = S::as_simd_f32s(self.gradient);
        for ((masked, y), g) in masked.iter_mut().zip(output).zip(gradient) {
            let inside = simd.and_m32s(simd.less_than_f32s(zero, *y), simd.less_than_f32s(*y, six));
            *masked = simd.select_f32s(inside, *g, zero);
        }
        for ((masked, y), g) in masked_rest.iter_mut().zip(output_rest).zip(gradient_rest) {
            *masked = if *y > 0.0 && *y < 6.0 { *g } else { 0.0 };
        }
    }
}

pub(super) struct ColumnSums<'a> {
    pub sums: &'a mut [f32],
    pub rows: &'a [f32],
}

impl WithSimd for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.sums.len();
        let (sums, sums_rest) = S::as_mut_simd_f32s(self.sums);
        for row in self.rows.chunks_exact(columns) {
            let (values, rest) = S::as_simd_f32s(row);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = simd.add_f32s(*sum, *value);
            }
            for (sum, value) in sums_rest.iter_mut().zip(rest) {
                *sum += value;
            }
        }
    }
}

pub(super) struct Add<'a> {
    pub sum: &'a mut [f32],
    pub b: &'a [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (sum, sum_rest) = S::as_mut_simd_f32s(self.sum);
        let (b, b_rest) = S::as_simd_f32s(self.b);
        for (sum, b) in sum.iter_mut().zip(b) {
            *sum = simd.add_f32s(*sum, *b);
        }
        for (sum, b) in sum_rest.iter_mut().zip(b_rest) {
            *sum += b;
        }
    }
}

pub(super) struct StemForward<'a> {
    pub taps: Taps,
    /// `[inputs, height, width]`.
    pub planes: &'a [f32],
    /// `[inputs * 9, channels]`.
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub out: &'a mut [f32],
}

impl WithSimd for StemForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let taps = self.taps;
        let channels = taps.channels;
        let area = taps.height * taps.width;
        let zero = simd.splat_f32s(0.0);
        let six = simd.splat_f32s(6.0);
        let mut pixels = self.out.chunks_exact_mut(channels);
        for y in 0..taps.out_height {
            for (x, out) in (0..taps.out_width).zip(&mut pixels) {
                out.copy_from_slice(self.bias);
                let (reads, count) = taps.reads(y, x);
                let (lanes, rest) = S::as_mut_simd_f32s(out);
                for (plane, weights) in self
                    .planes
                    .chunks_exact(area)
                    .zip(self.weight.chunks_exact(9 * channels))
                {
                    for (tap, from) in &reads[..count] {
                        let level = plane[*from];
                        let (weight, weight_rest) = S::as_simd_f32s(pixel(weights, *tap, channels));
                        let splat = simd.splat_f32s(level);
                        for (sum, weight) in lanes.iter_mut().zip(weight) {
                            *sum = simd.mul_add_e_f32s(splat, *weight, *sum);
                        }
                        for (sum, weight) in rest.iter_mut().zip(weight_rest) {
                            *sum += level * weight;
                        }
                    }
                }
                for sum in lanes.iter_mut() {
                    *sum = simd.min_f32s(simd.max_f32s(*sum, zero), six);
                }
                for sum in rest.iter_mut() {
                    *sum = sum.clamp(0.0, 6.0);
                }
            }
        }
    }
}
