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
//! reads its part of the weights only.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::buffer::{Buffer, Span};
use crate::depthwise::{Depthwise, PackedDepthwise};
use crate::gemm::{Gemm, Left, Packed, Target};
use crate::team::Phases;
use crate::train::plane::same;
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
}

/// Pixels of a framed group up to which a block is split by channels: 16 x 16, so that the group's map (32 KiB with AVX-512)
/// stays in a first-level cache. Measured 2026-11 on a Xeon with 48 KiB: 9 x 9 and 30 x 30 are up to 2 % slower.
const BY_CHANNELS_PIXELS: usize = 16 * 16;

/// Floats that the ring and the band of a block split by rows should take at most: 192 KiB. Measured 2026-11 on a Xeon with
/// 2 MiB of second-level cache: 64 to 384 KiB are alike within 2 %, more is up to 10 % slower on two threads, where bands
/// get too few to share them out evenly.
const BAND_FLOATS: usize = 48 * 1024;

/// Pixels of a task of a projection split by channels: four tiles of AVX-512, so that there are enough tasks to share them
/// out evenly. Measured 2026-11: 28 to 112 are alike.
const PROJECT_PIXELS: usize = 56;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    Rows,
    Channels,
}

/// A block and the numbers that follow from it.
struct Step {
    block: Block,
    /// The expanded map's size, and the result's.
    expanded: Size,
    result: Size,
    top: usize,
    left: usize,
    split: Split,
    /// Rows of the result in a band.
    band: usize,
    /// Rows of the ring, without the zero row.
    ring: usize,
    /// Offsets of the left sides' segments.
    expand_segments: Vec<usize>,
    project_segments: Vec<usize>,
}

impl Step {
    fn new(block: Block, image: Size, expanded: Size) -> Self {
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
        }
    }

    /// Floats of a row of the ring, and of one block of it.
    fn ring_row(&self) -> usize {
        (self.expanded.width + 2) * BLOCK
    }

    fn ring_block(&self) -> usize {
        (self.ring + 1) * self.ring_row()
    }

    fn ring_floats(&self) -> usize {
        let blocks = match (self.split, &self.block.expand) {
            (Split::Channels, Expand::Pointwise(packed)) => packed.panel(0).len(),
            _ => self.block.depthwise.blocks(),
        };
        blocks * self.ring_block()
    }

    /// Floats of a block of what the depthwise convolution gives.
    fn depth_block(&self) -> usize {
        match self.split {
            Split::Channels => self.result.pixels() * BLOCK,
            Split::Rows => self.band * self.result.width * BLOCK,
        }
    }

    fn depth_floats(&self) -> usize {
        self.block.depthwise.blocks() * self.depth_block()
    }
}

/// Offsets of the blocks of `channels` channels on maps of `pixels` pixels.
fn planes(channels: usize, pixels: usize) -> Vec<usize> {
    (0..channels.div_ceil(BLOCK))
        .map(|block| block * pixels * BLOCK)
        .collect()
}

/// The padded image `[channel][rows][pitch]` that the stem reads.
#[derive(Clone, Copy)]
struct Padded {
    rows: usize,
    pitch: usize,
    top: usize,
    left: usize,
}

impl Padded {
    fn of(image: Size) -> Self {
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

    fn floats(self) -> usize {
        self.rows * self.pitch
    }

    fn segments(self) -> Vec<usize> {
        (0..9)
            .map(|at| at / 3 * self.floats() + at % 3 * self.pitch)
            .collect()
    }
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

    /// Channels and size of the last map.
    pub fn last_map(&self) -> (usize, Size) {
        (self.channels, self.last_size)
    }

    /// Phases of one image.
    pub fn phases(&self) -> usize {
        2 + self.steps.len() * 2
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
                let mut sums = [0.0; BLOCK];
                for cells in cells.chunks_exact(BLOCK) {
                    for (sum, cell) in sums.iter_mut().zip(cells) {
                        *sum += cell;
                    }
                }
                let (span, start) = results.pooled;
                let pooled = span.slice_mut(start + channels.start, channels.len());
                for (value, sum) in pooled.iter_mut().zip(sums) {
                    *value = sum / pixels as f32;
                }
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

/// One worker in one block.
struct Worker<'a> {
    step: &'a Step,
    scratch: ScratchSpans,
    input: Span,
    output: Span,
    image: Image<'a>,
    padded: Padded,
}

impl Worker<'_> {
    /// Phases of a block split by rows.
    ///
    /// # Safety
    ///
    /// As for [`Network::run`].
    unsafe fn by_rows(&self, walk: &mut Walk<'_>) {
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
    unsafe fn by_channels(&self, walk: &mut Walk<'_>, depth: Span) {
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
