//! A block of the network with the numbers that follow from its sizes.

use super::{Block, Expand, Size};
use crate::same::same;
use crate::vector::BLOCK;

/// Pixels of a framed group up to which a block is split by channels: 16 x 16, so that the group's map (32 KiB with AVX-512)
/// stays in a first-level cache. Measured 2026-11 on a Xeon with 48 KiB: 9 x 9 and 30 x 30 are up to 2 % slower.
const BY_CHANNELS_PIXELS: usize = 16 * 16;

/// Floats that the ring and the band of a block split by rows should take at most: 192 KiB. Measured 2026-11 on a Xeon with
/// 2 MiB of second-level cache: 64 to 384 KiB are alike within 2 %, more is up to 10 % slower on two threads, where bands
/// get too few to share them out evenly.
const BAND_FLOATS: usize = 48 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    Rows,
    Channels,
}

/// A block and the numbers that follow from it.
pub(super) struct Step {
    pub block: Block,
    /// The expanded map's size, and the result's.
    pub expanded: Size,
    pub result: Size,
    pub top: usize,
    pub left: usize,
    pub split: Split,
    /// Rows of the result in a band.
    pub band: usize,
    /// Rows of the ring, without the zero row.
    pub ring: usize,
    /// Offsets of the left sides' segments.
    pub expand_segments: Vec<usize>,
    pub project_segments: Vec<usize>,
    /// Where the means of its result lie among an image's taps, if they are wanted.
    pub tap: Option<usize>,
}

impl Step {
    pub fn new(block: Block, image: Size, expanded: Size) -> Self {
        let result = expanded.after(block.stride);
        let blocks = block.depthwise.blocks();
        let framed = (expanded.height + 2) * (expanded.width + 2);
        let split = match block.expand {
            Expand::Pointwise(_) if framed <= BY_CHANNELS_PIXELS => Split::Channels,
            _ => Split::Rows,
        };
        let row = (expanded.width + 2) * BLOCK;
        let band = match split {
            Split::Channels => result.height,
            Split::Rows => {
                let cost = |band: usize| {
                    blocks * ((band * block.stride + 3) * row + band * result.width * BLOCK)
                };
                (2..=result.height)
                    .take_while(|band| cost(*band) <= BAND_FLOATS)
                    .last()
                    .unwrap_or(1)
            }
        };
        let ring = (band * block.stride + 2).min(expanded.height);
        let expand_segments = match &block.expand {
            Expand::Stem(_) => Padded::of(image).segments(),
            Expand::Pointwise(packed) => planes(packed.k(), expanded.pixels()),
        };
        let pixels = match split {
            Split::Channels => result.pixels(),
            Split::Rows => band * result.width,
        };
        let (top, left) = (
            same(expanded.height, block.stride).0,
            same(expanded.width, block.stride).0,
        );
        Step {
            project_segments: planes(block.project.k(), pixels),
            block,
            expanded,
            result,
            top,
            left,
            split,
            band,
            ring,
            expand_segments,
            tap: None,
        }
    }

    /// Floats of a row of the ring, and of one block of it.
    pub fn ring_row(&self) -> usize {
        (self.expanded.width + 2) * BLOCK
    }

    pub fn ring_block(&self) -> usize {
        (self.ring + 1) * self.ring_row()
    }

    pub fn ring_floats(&self) -> usize {
        let blocks = match (self.split, &self.block.expand) {
            (Split::Channels, Expand::Pointwise(packed)) => packed.panel(0).len(),
            _ => self.block.depthwise.blocks(),
        };
        blocks * self.ring_block()
    }

    /// Floats of a block of what the depthwise convolution gives.
    pub fn depth_block(&self) -> usize {
        match self.split {
            Split::Channels => self.result.pixels() * BLOCK,
            Split::Rows => self.band * self.result.width * BLOCK,
        }
    }

    pub fn depth_floats(&self) -> usize {
        self.block.depthwise.blocks() * self.depth_block()
    }
}

/// Offsets of the blocks of `channels` channels on maps of `pixels` pixels.
pub(super) fn planes(channels: usize, pixels: usize) -> Vec<usize> {
    (0..channels.div_ceil(BLOCK))
        .map(|block| block * pixels * BLOCK)
        .collect()
}

/// The padded image `[channel][rows][pitch]` that the stem reads.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    pub rows: usize,
    pub pitch: usize,
    pub top: usize,
    pub left: usize,
}

impl Padded {
    pub fn of(image: Size) -> Self {
        let (top, height) = same(image.height, 2);
        let (left, width) = same(image.width, 2);
        Padded {
            // An odd size needs as many cells as it has pixels and two more.
            rows: ((height - 1) * 2 + 3).max(image.height + top),
            pitch: ((width - 1) * 2 + 3).max(image.width + left),
            top,
            left,
        }
    }

    pub fn floats(self) -> usize {
        self.rows * self.pitch
    }

    pub fn segments(self) -> Vec<usize> {
        (0..9)
            .map(|at| at / 3 * self.floats() + at % 3 * self.pitch)
            .collect()
    }
}
