//! What one worker does in one block.

use std::ops::Range;

use super::step::{Padded, Step};
use super::{Expand, Image, ScratchSpans, Walk};
use crate::buffer::Span;
use crate::depthwise::Depthwise;
use crate::gemm::{Gemm, Left, Packed, Target};
use crate::vector::BLOCK;

/// Pixels of a task of a projection split by channels: four tiles of AVX-512, so that there are enough tasks to share them
/// out evenly. Measured 2026-11: 28 to 112 are alike.
const PROJECT_PIXELS: usize = 56;

/// One worker in one block.
pub(super) struct Worker<'a> {
    pub step: &'a Step,
    pub scratch: ScratchSpans,
    pub input: Span,
    pub output: Span,
    pub image: Image<'a>,
    pub padded: Padded,
}

impl Worker<'_> {
    /// Phases of a block split by rows.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`].
    pub unsafe fn by_rows(&self, walk: &mut Walk<'_>) {
        let step = self.step;
        let bands = step.result.height.div_ceil(step.band);
        let panels = self.expand().panels();
        let mut lines = Vec::with_capacity(step.band * step.block.stride + 2);
        let mut band_before = None;
        // SAFETY: the caller's promise: the scratch is this worker's, a band of the output its task's.
        unsafe {
            self.clear_frames(step.block.depthwise.blocks());
            walk.each(bands, |band| {
                let rows = band * step.band..((band + 1) * step.band).min(step.result.height);
                let follows = band > 0 && band_before == Some(band - 1);
                band_before = Some(band);
                for panel in 0..panels {
                    let ring = self.expand().panel(panel).start * step.ring_block();
                    self.expand_and_filter(
                        panel,
                        ring,
                        rows.clone(),
                        follows,
                        &mut lines,
                        self.scratch.depth,
                    );
                }
                let start = rows.start * step.result.width;
                self.project(
                    self.scratch.depth,
                    0,
                    start,
                    rows.len() * step.result.width,
                    0..step.block.project.panels(),
                );
            });
        }
        walk.next += 1;
    }

    /// Phases of a block split by channels.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`].
    pub unsafe fn by_channels(&self, walk: &mut Walk<'_>, depth: Span) {
        let step = self.step;
        let mut lines = Vec::with_capacity(step.expanded.height + 4);
        let pixels = step.result.pixels();
        let panels = step.block.project.panels();
        let chunks = pixels.div_ceil(PROJECT_PIXELS);
        // SAFETY: the caller's promise: the scratch is this worker's; a group of `depth` and then a panel's chunk of the
        // output is its task's.
        unsafe {
            self.clear_frames(self.expand().panel(0).len());
            walk.each(self.expand().panels(), |panel| {
                self.expand_and_filter(panel, 0, 0..step.result.height, false, &mut lines, depth);
            });
            walk.each(panels * chunks, |task| {
                let (panel, first) = (task / chunks, task % chunks * PROJECT_PIXELS);
                let rows = PROJECT_PIXELS.min(pixels - first);
                self.project(depth, first, first, rows, panel..panel + 1);
            });
        }
    }

    /// The weights of the expanding convolution.
    fn expand(&self) -> &Packed {
        match (&self.step.block.expand, self.image) {
            (Expand::Pointwise(packed), _) => packed,
            (Expand::Stem(stem), Image::Colour(_)) => &stem.colour,
            (Expand::Stem(stem), Image::Grey(_)) => &stem.grey,
        }
    }

    /// Zeros left and right of every row of the ring's first `blocks` blocks, and in their zero rows.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`].
    unsafe fn clear_frames(&self, blocks: usize) {
        let step = self.step;
        let row = step.ring_row();
        for block in 0..blocks {
            let start = block * step.ring_block();
            for line in 0..step.ring {
                // SAFETY: the scratch is this worker's.
                unsafe {
                    self.scratch
                        .ring
                        .slice_mut(start + line * row, BLOCK)
                        .fill(0.0);
                    let right = start + (line + 1) * row - BLOCK;
                    self.scratch.ring.slice_mut(right, BLOCK).fill(0.0);
                }
            }
            // SAFETY: as above.
            unsafe {
                self.scratch
                    .ring
                    .slice_mut(start + step.ring * row, row)
                    .fill(0.0)
            };
        }
    }

    /// One group of expanded channels for the result rows `rows`: into the ring (its part begins at `ring`), from there by
    /// the depthwise convolution into `depth`. Where the band `follows` the one before, the ring has the rows of that.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`]; the group's part of `depth` is this task's.
    unsafe fn expand_and_filter(
        &self,
        panel: usize,
        ring: usize,
        rows: Range<usize>,
        follows: bool,
        lines: &mut Vec<usize>,
        depth: Span,
    ) {
        let step = self.step;
        let (stride, top, height) = (step.block.stride, step.top, step.expanded.height);
        let end_of = |result: usize| ((result - 1) * stride + 3 - top).min(height);
        let mut fresh = (rows.start * stride).saturating_sub(top);
        if follows {
            fresh = fresh.max(end_of(rows.start));
        }
        // SAFETY: the caller's promise.
        unsafe { self.make_rows(panel, ring, fresh..end_of(rows.end)) };

        lines.clear();
        for line in rows.start * stride..(rows.end - 1) * stride + 3 {
            let slot = match line.checked_sub(top) {
                Some(row) if row < height => row % step.ring,
                _ => step.ring,
            };
            lines.push(ring + slot * step.ring_row() + (1 - step.left) * BLOCK);
        }
        let blocks = self.expand().panel(panel);
        let depthwise = Depthwise {
            weights: &step.block.depthwise,
            stride,
            cells: self.scratch.ring,
            lines,
            input_block: step.ring_block(),
            target: depth,
            target_start: blocks.start * step.depth_block(),
            target_block: step.depth_block(),
            width: step.result.width,
            rows: rows.len(),
            blocks,
        };
        // SAFETY: the caller's promise.
        unsafe { depthwise.run() };
    }

    /// Rows of one group of the expanded map, into the ring.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`].
    unsafe fn make_rows(&self, panel: usize, ring: usize, rows: Range<usize>) {
        let step = self.step;
        let width = step.expanded.width;
        let weights = self.expand();
        let first_block = weights.panel(panel).start;
        let mut next = rows.start;
        while next < rows.end {
            let slot = next % step.ring;
            let target = Target {
                cells: self.scratch.ring,
                start: ring + slot * step.ring_row() + BLOCK,
                step: BLOCK,
                width,
                gap: 2 * BLOCK,
                first_block,
                block: step.ring_block(),
            };
            let panels = panel..panel + 1;
            // SAFETY: the caller's promise.
            unsafe {
                if let Expand::Stem(_) = step.block.expand {
                    let gemm = Gemm {
                        left: Left {
                            cells: self.input,
                            start: 2 * next * self.padded.pitch,
                            segments: &step.expand_segments[..weights.k() / 3],
                            run: 3,
                        },
                        weights,
                        panels,
                        rows: width,
                        target,
                        residual: None,
                    };
                    gemm.run::<2>();
                    next += 1;
                } else {
                    let count = (rows.end - next).min(step.ring - slot);
                    let gemm = Gemm {
                        left: Left {
                            cells: self.input,
                            start: next * width * BLOCK,
                            segments: &step.expand_segments,
                            run: BLOCK,
                        },
                        weights,
                        panels,
                        rows: count * width,
                        target,
                        residual: None,
                    };
                    gemm.run::<BLOCK>();
                    next += count;
                }
            }
        }
    }

    /// Panels of the result for `rows` pixels, from pixel `from` of `depth` to pixel `to` of the output.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`]; this part of the output is this task's.
    unsafe fn project(
        &self,
        depth: Span,
        from: usize,
        to: usize,
        rows: usize,
        panels: Range<usize>,
    ) {
        let step = self.step;
        let gemm = Gemm {
            left: Left {
                cells: depth,
                start: from * BLOCK,
                segments: &step.project_segments,
                run: BLOCK,
            },
            weights: &step.block.project,
            panels,
            rows,
            target: Target::flat(self.output, to * BLOCK, step.result.pixels() * BLOCK),
            residual: step.block.residual.then_some(self.input),
        };
        // SAFETY: the caller's promise; a residual has the output's shape, so it lies at the same offsets.
        unsafe { gemm.run::<BLOCK>() };
    }
}
