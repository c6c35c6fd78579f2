//! The matrix product: rows times packed weights, with bias, residual and activation on the way out.
//!
//! One tile serves everything: `M` rows by a panel of `N` vectors of columns stay in registers while the products over
//! `k` are summed; each of the left side's numbers is broadcast, and meets a row of packed weights. With AVX-512 a tile
//! is 14 rows by 32 columns in 28 registers: 28 multiply-adds for 16 loads.
//!
//! The left side is read where it lies. Its `k` run in *segments* of consecutive floats, each at its own offset, and a
//! row begins `STEP` floats after the one before:
//!
//! | left side | `STEP` | segments |
//! | --- | --- | --- |
//! | blocked activations `[k/16][rows][16]` | 16 | one for each 16 channels, a plane apart |
//! | 3x3 convolution, stride 2, of a padded image `[c][height][width]` | 2 | one for each row of each channel's kernel, 3 long |

use std::ops::Range;

use crate::buffer::{Buffer, Span};
use crate::level::{Level, Set};
#[cfg(target_arch = "aarch64")]
use crate::vector::Neon;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{BLOCK, Scalar, Vector, unrolled};

/// What becomes of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

impl Activation {
    pub(crate) fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

/// Weights `[n][k]` as `[panel][k][columns of the panel]`, with their bias and activation; columns are filled up with
/// zeros to whole blocks of 16.
pub(crate) struct Packed {
    level: Level,
    k: usize,
    blocks: usize,
    panel_blocks: usize,
    weights: Buffer,
    bias: Buffer,
    activation: Activation,
}

impl Packed {
    /// From `weights` `[n,k]` row by row and `bias` `[n]`.
    pub fn new(
        level: Level,
        weights: &[f32],
        bias: &[f32],
        k: usize,
        activation: Activation,
    ) -> Self {
        let n = bias.len();
        assert!(
            k > 0 && n > 0 && weights.len() == n * k,
            "{n} x {k} weights"
        );
        let panel_blocks = match level.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 2,
            _ => 1,
        };
        let blocks = n.div_ceil(BLOCK);
        let mut packed = Vec::with_capacity(blocks * BLOCK * k);
        for first in (0..blocks).step_by(panel_blocks) {
            let columns = first * BLOCK..(first + panel_blocks).min(blocks) * BLOCK;
            for at in 0..k {
                packed.extend(
                    columns
                        .clone()
                        .map(|column| weights.get(column * k + at).copied().unwrap_or(0.0)),
                );
            }
        }
        let mut padded = bias.to_vec();
        padded.resize(blocks * BLOCK, 0.0);
        Packed {
            level,
            k,
            blocks,
            panel_blocks,
            weights: Buffer::of(&packed),
            bias: Buffer::of(&padded),
            activation,
        }
    }

    /// Products summed for each result.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Blocks of 16 columns.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    pub fn panels(&self) -> usize {
        self.blocks.div_ceil(self.panel_blocks)
    }

    /// The blocks of a panel.
    pub fn panel(&self, panel: usize) -> Range<usize> {
        let first = panel * self.panel_blocks;
        first..(first + self.panel_blocks).min(self.blocks)
    }

    pub fn bytes(&self) -> usize {
        self.weights.len() * 4
    }
}

/// The left side: row `r`, product `k` is `cells[start + segments[k / run] + k % run + r * STEP]`.
pub(crate) struct Left<'a> {
    pub cells: Span,
    pub start: usize,
    pub segments: &'a [usize],
    pub run: usize,
}

/// Where results go: row `r` of block `b` begins at `start + r * step + r / width * gap + (b - first_block) * block`.
pub(crate) struct Target {
    pub cells: Span,
    pub start: usize,
    /// Floats from a row to the next.
    pub step: usize,
    /// Rows after which `gap` floats are left out.
    pub width: usize,
    pub gap: usize,
    /// The block that lies at `start`: no panel before it is computed.
    pub first_block: usize,
    /// Floats from a block of 16 columns to the next.
    pub block: usize,
}

impl Target {
    /// Blocked activations without a frame, blocks `block` floats apart.
    pub fn flat(cells: Span, start: usize, block: usize) -> Self {
        Target {
            cells,
            start,
            step: BLOCK,
            width: usize::MAX,
            gap: 0,
            first_block: 0,
            block,
        }
    }
}

/// One product: `rows` rows with the panels `panels` of the weights.
pub(crate) struct Gemm<'a> {
    pub left: Left<'a>,
    pub weights: &'a Packed,
    pub panels: Range<usize>,
    pub rows: usize,
    pub target: Target,
    /// Added before the activation, from the same offsets as the target's.
    pub residual: Option<Span>,
}

/// Weights up to this size are gone through for each tile of rows; larger ones panel by panel, over all rows. Measured
/// 2026-11 on a Xeon with 2 MiB of second-level cache: 64 to 512 KiB are alike within 5 %.
const STAY_IN_CACHE_BYTES: usize = 256 * 1024;

impl Gemm<'_> {
    /// Computes it.
    ///
    /// `STEP` is the left side's, see the module.
    ///
    /// # Safety
    ///
    /// The spans' buffers live; nobody else writes to what is read here or touches what is written. That all offsets lie
    /// within the spans is checked.
    pub unsafe fn run<const STEP: usize>(&self) {
        self.check::<STEP>();
        if self.rows == 0 || self.panels.is_empty() {
            return;
        }
        match self.weights.level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions; offsets were checked, exclusive
            // access is the caller's promise.
            Set::Avx512 => unsafe { avx512::<STEP>(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { avx2::<STEP>(self) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Set::Neon => unsafe { neon::<STEP>(self) },
            // SAFETY: as above, and no special instructions.
            Set::Scalar => unsafe { body::<Scalar, 2, 2, 2, 4, 4, STEP>(self) },
        }
    }

    fn check<const STEP: usize>(&self) {
        let (left, target, weights) = (&self.left, &self.target, self.weights);
        assert!(self.panels.end <= weights.panels());
        assert!(left.run > 0 && left.segments.len() == weights.k.div_ceil(left.run));
        if self.rows == 0 || self.panels.is_empty() {
            return;
        }
        let (first_block, end_block) = (
            weights.panel(self.panels.start).start,
            weights.panel(self.panels.end - 1).end,
        );
        assert!(target.first_block <= first_block && target.width > 0);
        let last = self.rows - 1;
        let farthest = left.segments.iter().max().copied().unwrap_or(0);
        assert!(left.start + farthest + last * STEP + left.run.min(weights.k) <= left.cells.len());
        let end = target.start
            + last * target.step
            + last / target.width * target.gap
            + (end_block - 1 - target.first_block) * target.block
            + BLOCK;
        assert!(end <= target.cells.len());
        assert!(self.residual.is_none_or(|residual| end <= residual.len()));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const STEP: usize>(gemm: &Gemm) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Avx512, 14, 7, 3, 2, 1, STEP>(gemm) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const STEP: usize>(gemm: &Gemm) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Avx2, 6, 4, 2, 2, 2, STEP>(gemm) }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn neon<const STEP: usize>(gemm: &Gemm) {
    // SAFETY: this function has the instructions; the rest is the caller's promise.
    unsafe { body::<Neon, 6, 4, 2, 4, 4, STEP>(gemm) }
}

/// All rows and panels, in tiles of `M0`, `M1`, `M2` or one row by `N` vectors; `NARROW` vectors for a last panel of one
/// block.
///
/// # Safety
///
/// As for [`Gemm::run`], after its checks; and the processor has the vector's instructions.
#[inline(always)]
unsafe fn body<
    T: Vector,
    const M0: usize,
    const M1: usize,
    const M2: usize,
    const N: usize,
    const NARROW: usize,
    const STEP: usize,
>(
    gemm: &Gemm,
) {
    let by_rows = gemm.weights.bytes() <= STAY_IN_CACHE_BYTES;
    let chunk = if by_rows { M0 } else { gemm.rows };
    let mut first = 0;
    while first < gemm.rows {
        let rows = first..(first + chunk).min(gemm.rows);
        let mut panel = gemm.panels.start;
        while panel < gemm.panels.end {
            // SAFETY: the caller's promise, for a part of the rows and panels.
            unsafe {
                if gemm.weights.panel(panel).len() * BLOCK == N * T::LANES {
                    strip::<T, M0, M1, M2, N, STEP>(gemm, panel, rows.clone());
                } else {
                    strip::<T, M0, M1, M2, NARROW, STEP>(gemm, panel, rows.clone());
                }
            }
            panel += 1;
        }
        first = rows.end;
    }
}

/// The rows `rows` of one panel.
///
/// # Safety
///
/// As for [`body`]; the panel is `N` vectors wide.
#[inline(always)]
unsafe fn strip<
    T: Vector,
    const M0: usize,
    const M1: usize,
    const M2: usize,
    const N: usize,
    const STEP: usize,
>(
    gemm: &Gemm,
    panel: usize,
    rows: Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: the caller's promise, tile by tile.
    unsafe {
        while row + M0 <= rows.end {
            tile::<T, M0, N, STEP>(gemm, panel, row);
            row += M0;
        }
        while row + M1 <= rows.end {
            tile::<T, M1, N, STEP>(gemm, panel, row);
            row += M1;
        }
        while row + M2 <= rows.end {
            tile::<T, M2, N, STEP>(gemm, panel, row);
            row += M2;
        }
        while row < rows.end {
            tile::<T, 1, N, STEP>(gemm, panel, row);
            row += 1;
        }
    }
}

/// `M` rows from `row` on, one panel.
///
/// # Safety
///
/// As for [`strip`], with `row + M` at most the product's rows.
#[expect(
    unused_assignments,
    reason = "the place of a row after the last is worked out, too"
)]
#[inline(always)]
unsafe fn tile<T: Vector, const M: usize, const N: usize, const STEP: usize>(
    gemm: &Gemm,
    panel: usize,
    row: usize,
) {
    let (left, target, packed) = (&gemm.left, &gemm.target, gemm.weights);
    let block = packed.panel(panel).start;
    // SAFETY: every offset below is within what `Gemm::check` compared with the spans' lengths, or within the packed
    // weights, whose layout `Packed::new` made; the instructions are the caller's promise.
    unsafe {
        let mut w = packed.weights.as_ptr().add(block * BLOCK * packed.k);
        let bias = packed.bias.as_ptr().add(block * BLOCK);
        let mut sums = [[T::splat(0.0); N]; M];
        unrolled!(n in N => {
            let b = T::load(bias.add(n * T::LANES));
            unrolled!(m in M => { sums[m][n] = b; });
        });

        let a = left
            .cells
            .as_ptr()
            .cast_const()
            .add(left.start + row * STEP);
        let mut remaining = packed.k;
        for segment in left.segments {
            let mut a = a.add(*segment);
            let run = if remaining < left.run {
                remaining
            } else {
                left.run
            };
            remaining -= run;
            for _ in 0..run {
                let mut b = [T::splat(0.0); N];
                unrolled!(n in N => { b[n] = T::load(w.add(n * T::LANES)); });
                unrolled!(m in M => {
                    let x = T::splat(*a.add(m * STEP));
                    unrolled!(n in N => { sums[m][n] = x.multiply_add(b[n], sums[m][n]); });
                });
                a = a.add(1);
                w = w.add(N * T::LANES);
            }
        }

        let (low, high) = packed.activation.bounds();
        let (low, high) = (T::splat(low), T::splat(high));
        let mut column = row % target.width;
        let mut at = target.start
            + row * target.step
            + row / target.width * target.gap
            + (block - target.first_block) * target.block;
        unrolled!(m in M => {
            unrolled!(n in N => {
                let to = at + n * T::LANES / BLOCK * target.block + n * T::LANES % BLOCK;
                let mut value = sums[m][n];
                if let Some(residual) = gemm.residual {
                    value = value.add(T::load(residual.as_ptr().add(to)));
                }
                value.clamp(low, high).store(target.cells.as_ptr().add(to));
            });
            at += target.step;
            column += 1;
            if column == target.width {
                column = 0;
                at += target.gap;
            }
        });
    }
}
