//! A chain of inverted residual blocks (MobileNetV2, Sandler et al. 2018) on blocked activations.
//!
//! # Where the numbers lie
//!
//! Between blocks a map is `[c/16][height * width][16]`, without a frame: any run of pixels is a run of rows of a matrix
//! product. Inside a block the expanded map never exists as a whole. It is made in *groups* of channels (a panel of the
//! product's weights, 32 channels with AVX-512) and *bands* of rows, in a ring of framed rows
//! `[group's blocks][rows of the ring + 1][width + 2][16]`, and is taken up by the depthwise convolution while it is in the
//! cache. The ring's last row is zero and stands for the rows above and below the map; so does the frame left and right.
//!
//! # Who does what
//!
//! Large maps are split *by rows*: a task is a band of the block's result, all channels; a worker that goes on to the next
//! band finds the rows that both need in its ring. Small maps, where the weights are the larger part, are split *by
//! channels*: a task is a group of expanded channels, and in a second phase a panel of the result, so that each worker
//! reads its part of the weights only. A *tap*, the means of a block's result, is a phase of its own behind the block: a task
//! is 16 channels of a map that is complete, summed in the order of its pixels whoever made them.

mod step;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};

use self::step::{Padded, Split, Step, planes};
use self::worker::Worker;
use crate::buffer::{Buffer, Span};
use crate::depthwise::PackedDepthwise;
use crate::gemm::{Gemm, Left, Packed, Target};
use crate::same::same;
use crate::team::Phases;
use crate::vector::BLOCK;

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub height: usize,
    pub width: usize,
}

impl Size {
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// What a 3x3 convolution of this stride makes of it, padded as "SAME".
    pub fn after(self, stride: usize) -> Size {
        Size {
            height: same(self.height, stride).1,
            width: same(self.width, stride).1,
        }
    }
}

/// The first convolution, 3x3 with stride 2, on an image of one or three channels.
pub(crate) struct Stem {
    /// Of three channels: `k` is channel, row, column.
    pub colour: Packed,
    /// Of three equal channels as one.
    pub grey: Packed,
}

/// Where a block's expanded map comes from.
pub(crate) enum Expand {
    /// The image, by the stem.
    Stem(Stem),
    /// The map before, by a 1x1 convolution.
    Pointwise(Packed),
}

/// One inverted residual block.
pub(crate) struct Block {
    pub expand: Expand,
    pub depthwise: PackedDepthwise,
    pub project: Packed,
    /// Of the result.
    pub channels: usize,
    /// Of the depthwise convolution.
    pub stride: usize,
    /// Whether the input is added to the result.
    pub residual: bool,
}

/// Where the values of an image come from.
#[derive(Clone, Copy)]
pub(crate) enum Image<'a> {
    /// `[3][height][width]`, as the network takes them.
    Colour(&'a [f32]),
    /// `[height][width]`; grey `p` is `p / 127.5 - 1` in each channel.
    Grey(&'a [u8]),
}

/// Where an image's results go.
#[derive(Clone, Copy)]
pub(crate) struct Results {
    /// The last map `[channels][height][width]`, if wanted.
    pub map: Option<(Span, usize)>,
    /// Its mean over the pixels `[channels]`.
    pub pooled: (Span, usize),
    /// The means of the tapped blocks' results `[channels of all taps]`, if wanted.
    pub taps: Option<(Span, usize)>,
}

/// The memory that one image passes through.
pub(crate) struct Workspace {
    image: Buffer,
    maps: [Buffer; 2],
    depth: Buffer,
    last: Buffer,
}

/// The memory of one worker.
pub(crate) struct Scratch {
    ring: Buffer,
    depth: Buffer,
}

/// Both, as the workers of a job see them.
#[derive(Clone, Copy)]
pub(crate) struct WorkspaceSpans {
    image: Span,
    maps: [Span; 2],
    depth: Span,
    last: Span,
}

#[derive(Clone, Copy)]
pub(crate) struct ScratchSpans {
    ring: Span,
    depth: Span,
}

impl Workspace {
    pub fn spans(&mut self) -> WorkspaceSpans {
        let [a, b] = &mut self.maps;
        WorkspaceSpans {
            image: self.image.span(),
            maps: [a.span(), b.span()],
            depth: self.depth.span(),
            last: self.last.span(),
        }
    }
}

impl Scratch {
    pub fn spans(&mut self) -> ScratchSpans {
        ScratchSpans {
            ring: self.ring.span(),
            depth: self.depth.span(),
        }
    }
}

/// How a worker goes through the phases of an image: alone, or as one of a team.
pub(crate) struct Walk<'a> {
    team: Option<(&'a Phases, usize)>,
    next: usize,
}

impl<'a> Walk<'a> {
    pub fn alone() -> Self {
        Walk {
            team: None,
            next: 0,
        }
    }

    /// As `worker` of a team, from phase `first` on.
    pub fn together(phases: &'a Phases, worker: usize, first: usize) -> Self {
        Walk {
            team: Some((phases, worker)),
            next: first,
        }
    }

    fn each(&mut self, tasks: usize, mut task: impl FnMut(usize)) {
        match self.team {
            None => (0..tasks).for_each(task),
            Some((phases, worker)) => phases.each(self.next, worker, tasks, &mut task),
        }
        self.next += 1;
    }
}

/// The network: blocks, a last 1x1 convolution, the mean over its pixels.
pub(crate) struct Network {
    image: Size,
    steps: Vec<Step>,
    last: Packed,
    last_segments: Vec<usize>,
    last_size: Size,
    /// Channels of the last map.
    channels: usize,
}

/// Tasks of filling the padded image.
const FILL_TASKS: usize = 8;

impl Network {
    /// For images of `image`; the first block expands by the stem, the others by 1x1 convolutions.
    pub fn new(image: Size, blocks: Vec<Block>, last: Packed, channels: usize) -> Self {
        let mut size = image.after(2);
        let mut steps = Vec::with_capacity(blocks.len());
        for block in blocks {
            let step = Step::new(block, image, size);
            size = step.result;
            steps.push(step);
        }
        assert!(channels <= last.blocks() * BLOCK);
        Network {
            image,
            steps,
            last_segments: planes(last.k(), size.pixels()),
            last,
            last_size: size,
            channels,
        }
    }

    pub fn image(&self) -> Size {
        self.image
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.steps.len()
    }

    /// Taps these blocks, counted from 1, and no others.
    pub fn tap(&mut self, blocks: &[usize]) {
        let mut start = 0;
        for (index, step) in self.steps.iter_mut().enumerate() {
            step.tap = blocks.contains(&(index + 1)).then_some(start);
            if step.tap.is_some() {
                start += step.block.channels;
            }
        }
    }

    /// Channels of the tapped blocks' results.
    pub fn taps(&self) -> impl Iterator<Item = usize> {
        let tapped = self.steps.iter().filter(|step| step.tap.is_some());
        tapped.map(|step| step.block.channels)
    }

    /// Channels and size of the last map.
    pub fn last_map(&self) -> (usize, Size) {
        (self.channels, self.last_size)
    }

    /// Phases of one image.
    pub fn phases(&self) -> usize {
        2 + self.steps.len() * 2 + self.taps().count()
    }

    pub fn workspace(&self) -> Workspace {
        let map = |step: &Step| step.block.project.blocks() * step.result.pixels() * BLOCK;
        let largest = |odd: usize| {
            self.steps
                .iter()
                .enumerate()
                .filter(|(index, _)| index % 2 == odd)
                .map(|(_, step)| map(step))
                .max()
                .unwrap_or(0)
        };
        let depth = self
            .steps
            .iter()
            .filter(|step| step.split == Split::Channels)
            .map(Step::depth_floats);
        Workspace {
            image: Buffer::new(3 * Padded::of(self.image).floats()),
            maps: [Buffer::new(largest(0)), Buffer::new(largest(1))],
            depth: Buffer::new(depth.max().unwrap_or(0)),
            last: Buffer::new(self.last.blocks() * self.last_size.pixels() * BLOCK),
        }
    }

    pub fn scratch(&self) -> Scratch {
        let depth = self
            .steps
            .iter()
            .filter(|step| step.split == Split::Rows)
            .map(Step::depth_floats);
        let ring = self.steps.iter().map(Step::ring_floats);
        Scratch {
            ring: Buffer::new(ring.max().unwrap_or(0)),
            depth: Buffer::new(depth.max().unwrap_or(0)),
        }
    }

    /// One image; `strange` is set where its values are not finite.
    ///
    /// # Safety
    ///
    /// The spans are of a workspace, scratch and results made for this network, and their buffers live. The workspace and
    /// the results are used by no other walk than those of the same team; the scratch by this call alone. The image has
    /// the network's size.
    pub unsafe fn run(
        &self,
        walk: &mut Walk<'_>,
        space: WorkspaceSpans,
        scratch: ScratchSpans,
        image: Image<'_>,
        results: Results,
        strange: &AtomicBool,
    ) {
        // SAFETY: the caller's promise; each phase writes to what the one before has done with.
        unsafe {
            walk.each(FILL_TASKS, |task| {
                if !self.fill(space.image, image, task) {
                    strange.store(true, Ordering::Relaxed);
                }
            });
            let mut input = space.image;
            for (index, step) in self.steps.iter().enumerate() {
                let output = space.maps[index % 2];
                let worker = Worker {
                    step,
                    scratch,
                    input,
                    output,
                    image,
                    padded: Padded::of(self.image),
                };
                match step.split {
                    Split::Rows => worker.by_rows(walk),
                    Split::Channels => worker.by_channels(walk, space.depth),
                }
                if let (Some(tap), Some((span, start))) = (step.tap, results.taps) {
                    let channels = step.block.channels;
                    walk.each(channels.div_ceil(BLOCK), |block| {
                        let result = (step.result.pixels(), channels);
                        means(output, result, block, (span, start + tap));
                    });
                }
                input = output;
            }
            walk.each(self.last.panels(), |panel| {
                self.finish(input, space.last, panel, results);
            });
        }
    }

    /// A share of the padded image's pixels; false where they are not finite.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`]; no other worker has this task.
    unsafe fn fill(&self, target: Span, image: Image<'_>, task: usize) -> bool {
        let padded = Padded::of(self.image);
        let size = self.image;
        let rows = size.height * task / FILL_TASKS..size.height * (task + 1) / FILL_TASKS;
        let planes = match image {
            Image::Colour(_) => 3,
            Image::Grey(_) => 1,
        };
        let mut finite = true;
        for plane in 0..planes {
            for y in rows.clone() {
                let start = plane * padded.floats() + (y + padded.top) * padded.pitch + padded.left;
                // SAFETY: the rows of a task are its own.
                let target = unsafe { target.slice_mut(start, size.width) };
                let source = (plane * size.height + y) * size.width;
                match image {
                    Image::Colour(values) => {
                        let values = &values[source..][..size.width];
                        target.copy_from_slice(values);
                        // No early end: it would keep the loop from using vectors.
                        finite &= values
                            .iter()
                            .fold(true, |all, value| all & value.is_finite());
                    }
                    Image::Grey(pixels) => {
                        for (value, pixel) in target.iter_mut().zip(&pixels[source..]) {
                            *value = f32::from(*pixel) / 127.5 - 1.0;
                        }
                    }
                }
            }
        }
        finite
    }

    /// A panel of the last convolution, its mean, and its map where it is wanted.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`]; no other worker has this panel.
    unsafe fn finish(&self, input: Span, last: Span, panel: usize, results: Results) {
        let pixels = self.last_size.pixels();
        let gemm = Gemm {
            left: Left {
                cells: input,
                start: 0,
                segments: &self.last_segments,
                run: BLOCK,
            },
            weights: &self.last,
            panels: panel..panel + 1,
            rows: pixels,
            target: Target::flat(last, 0, pixels * BLOCK),
            residual: None,
        };
        // SAFETY: the panel's part of `last` and of the results is this task's alone.
        unsafe {
            gemm.run::<BLOCK>();
            for block in self.last.panel(panel) {
                let cells = last.slice(block * pixels * BLOCK, pixels * BLOCK);
                let channels = block * BLOCK..((block + 1) * BLOCK).min(self.channels);
                means(last, (pixels, self.channels), block, results.pooled);
                if let Some((span, start)) = results.map {
                    let map =
                        span.slice_mut(start + channels.start * pixels, channels.len() * pixels);
                    for (lane, plane) in map.chunks_exact_mut(pixels).enumerate() {
                        for (value, cells) in plane.iter_mut().zip(cells.chunks_exact(BLOCK)) {
                            *value = cells[lane];
                        }
                    }
                }
            }
        }
    }
}

/// The means over the pixels of one block of a map of so many pixels and channels, to the place of the map's means.
///
/// # Safety
///
/// The block is complete and nobody writes to it; its part of the means is this task's alone. Both buffers live.
unsafe fn means(
    map: Span,
    (pixels, channels): (usize, usize),
    block: usize,
    (span, start): (Span, usize),
) {
    let channels = block * BLOCK..((block + 1) * BLOCK).min(channels);
    // SAFETY: the caller's promise.
    let (cells, means) = unsafe {
        (
            map.slice(block * pixels * BLOCK, pixels * BLOCK),
            span.slice_mut(start + channels.start, channels.len()),
        )
    };
    let mut sums = [0.0; BLOCK];
    for cells in cells.chunks_exact(BLOCK) {
        for (sum, cell) in sums.iter_mut().zip(cells) {
            *sum += cell;
        }
    }
    for (mean, sum) in means.iter_mut().zip(sums) {
        *mean = sum / pixels as f32;
    }
}
