//! The depthwise 3x3 convolution on blocked rows.

use std::ops::Range;

use crate::buffer::{Buffer, Span};
use crate::gemm::Activation;
use crate::level::{Level, Set};
#[cfg(target_arch = "aarch64")]
use crate::vector::Neon;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{BLOCK, Scalar, Vector, unrolled};

/// Nine taps and a bias.
const VECTORS: usize = 10;

/// Weights `[c][9]` and bias `[c]` as `[c/16][10][16]`: the taps row by row, then the bias; filled up with zeros.
pub(crate) struct PackedDepthwise {
    level: Level,
    blocks: usize,
    weights: Buffer,
    activation: Activation,
}

impl PackedDepthwise {
    pub fn new(level: Level, weights: &[f32], bias: &[f32], activation: Activation) -> Self {
        assert!(!bias.is_empty() && weights.len() == bias.len() * 9);
        let blocks = bias.len().div_ceil(BLOCK);
        let mut packed = vec![0.0; blocks * VECTORS * BLOCK];
        for (channel, (taps, bias)) in weights.chunks_exact(9).zip(bias).enumerate() {
            let at = channel / BLOCK * VECTORS * BLOCK + channel % BLOCK;
            for (tap, weight) in taps.iter().chain([bias]).enumerate() {
                packed[at + tap * BLOCK] = *weight;
            }
        }
        PackedDepthwise {
            level,
            blocks,
            weights: Buffer::of(&packed),
            activation,
        }
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

/// One run of it: result rows of the blocks `blocks`.
pub(crate) struct Depthwise<'a> {
    pub weights: &'a PackedDepthwise,
    pub blocks: Range<usize>,
    /// 1 or 2.
    pub stride: usize,
    pub cells: Span,
    /// Where the input rows begin in the first block of the run, at the column that the first result's left tap meets;
    /// result row `r` uses the lines `r * stride ..= r * stride + 2`.
    pub lines: &'a [usize],
    /// Floats from a block of the input to the next.
    pub input_block: usize,
    pub target: Span,
    /// Where the results of the run's first block begin, rows one after another.
    pub target_start: usize,
    pub target_block: usize,
    /// Results in a row.
    pub width: usize,
    /// Result rows.
    pub rows: usize,
}

impl Depthwise<'_> {
    /// Computes it.
    ///
    /// # Safety
    ///
    /// The spans' buffers live; nobody else writes to what is read here or touches what is written. That all offsets lie
    /// within the spans is checked.
    pub unsafe fn run(&self) {
        assert!(self.blocks.end <= self.weights.blocks && matches!(self.stride, 1 | 2));
        if self.blocks.is_empty() || self.rows == 0 || self.width == 0 {
            return;
        }
        let blocks = self.blocks.len() - 1;
        assert!(self.lines.len() >= (self.rows - 1) * self.stride + 3);
        let farthest = self.lines.iter().max().copied().unwrap_or(0) + blocks * self.input_block;
        assert!(farthest + ((self.width - 1) * self.stride + 3) * BLOCK <= self.cells.len());
        let end = self.target_start + blocks * self.target_block + self.rows * self.width * BLOCK;
        assert!(end <= self.target.len());
        match (self.weights.level.0, self.stride) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions; offsets were checked, exclusive
            // access is the caller's promise.
            (Set::Avx512, 1) => unsafe { avx512::<1>(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Set::Avx512, _) => unsafe { avx512::<2>(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Set::Avx2, 1) => unsafe { avx2::<1>(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Set::Avx2, _) => unsafe { avx2::<2>(self) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            (Set::Neon, 1) => unsafe { neon::<1>(self) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            (Set::Neon, _) => unsafe { neon::<2>(self) },
            // SAFETY: as above, and no special instructions.
            (Set::Scalar, 1) => unsafe { body::<Scalar, 1, 1>(self) },
            // SAFETY: as above, and no special instructions.
            (Set::Scalar, _) => unsafe { body::<Scalar, 1, 2>(self) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const STRIDE: usize>(run: &Depthwise) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Avx512, 7, STRIDE>(run) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const STRIDE: usize>(run: &Depthwise) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Avx2, 4, STRIDE>(run) }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn neon<const STRIDE: usize>(run: &Depthwise) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Neon, 7, STRIDE>(run) }
}

/// All blocks and rows, `M` results at a time, then one.
///
/// # Safety
///
/// As for [`Depthwise::run`], after its checks; and the processor has the vector's instructions.
#[inline(always)]
unsafe fn body<T: Vector, const M: usize, const STRIDE: usize>(run: &Depthwise) {
    // SAFETY: every offset below is within what `Depthwise::run` compared with the spans' lengths, or within the packed
    // weights; the instructions are the caller's promise.
    unsafe {
        let (low, high) = run.weights.activation.bounds();
        let (low, high) = (T::splat(low), T::splat(high));
        let mut index = 0;
        while index < run.blocks.len() {
            let mut lane = 0;
            while lane < BLOCK {
                let packed = run.weights.weights.as_ptr();
                let packed = packed.add((run.blocks.start + index) * VECTORS * BLOCK + lane);
                let mut taps = [T::splat(0.0); 9];
                unrolled!(tap in 9 => { taps[tap] = T::load(packed.add(tap * BLOCK)); });
                let bias = T::load(packed.add(9 * BLOCK));
                let input = run
                    .cells
                    .as_ptr()
                    .cast_const()
                    .add(index * run.input_block + lane);
                let target = run
                    .target
                    .as_ptr()
                    .add(run.target_start + index * run.target_block + lane);
                for row in 0..run.rows {
                    let line = run.lines.as_ptr().add(row * STRIDE);
                    let lines = [
                        input.add(*line),
                        input.add(*line.add(1)),
                        input.add(*line.add(2)),
                    ];
                    let target = target.add(row * run.width * BLOCK);
                    let mut x = 0;
                    while x + M <= run.width {
                        results::<T, M, STRIDE>(lines, &taps, bias, low, high, target, x);
                        x += M;
                    }
                    while x < run.width {
                        results::<T, 1, STRIDE>(lines, &taps, bias, low, high, target, x);
                        x += 1;
                    }
                }
                lane += T::LANES;
            }
            index += 1;
        }
    }
}

/// `M` neighbouring results of one row.
///
/// # Safety
///
/// As for [`body`]; `lines` and `target` have the results' pixels.
#[inline(always)]
unsafe fn results<T: Vector, const M: usize, const STRIDE: usize>(
    lines: [*const f32; 3],
    taps: &[T; 9],
    bias: T,
    low: T,
    high: T,
    target: *mut f32,
    x: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [bias; M];
        unrolled!(ky in 3 => {
            let line = lines[ky].add(x * STRIDE * BLOCK);
            unrolled!(m in M => {
                unrolled!(kx in 3 => {
                    let value = T::load(line.add((m * STRIDE + kx) * BLOCK));
                    sums[m] = value.multiply_add(taps[ky * 3 + kx], sums[m]);
                });
            });
        });
        unrolled!(m in M => {
            sums[m].clamp(low, high).store(target.add((x + m) * BLOCK));
        });
    }
}
