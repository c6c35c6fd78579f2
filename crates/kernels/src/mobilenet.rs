//! MobileNetV2 from its folded weights, as a candle module.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Module, Result, Shape, Tensor};

use crate::buffer::Span;
use crate::depthwise::PackedDepthwise;
use crate::error::KernelError;
use crate::gemm::{Activation, Packed};
use crate::level::Level;
use crate::network::{
    Block, Expand, Image, Network, Results, Scratch, ScratchSpans, Size, Stem, Walk, Workspace,
    WorkspaceSpans,
};
use crate::team::{Phases, Team};

/// How a network runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Threads, the caller's among them; at least 1.
    pub threads: usize,
    /// The instructions to use.
    pub level: Level,
}

impl Default for Config {
    /// As many threads as the processor runs at once, at its best level.
    fn default() -> Self {
        Config {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            level: Level::detect(),
        }
    }
}

/// Blocks that are alike: expansion, result channels, how many, stride of the first.
pub(crate) type Stage = (usize, usize, usize, usize);

/// The shape of a network of this family.
#[derive(Clone, Copy)]
pub(crate) struct Architecture {
    pub image: Size,
    pub stem: usize,
    /// Channels of the first block, which does not expand.
    pub first: usize,
    /// The blocks after it.
    pub stages: &'static [Stage],
    pub last: usize,
}

/// Width 1.0 at 224 x 224 (Sandler et al. 2018, table 2).
pub(crate) const MOBILENET_V2: Architecture = Architecture {
    image: Size {
        height: 224,
        width: 224,
    },
    stem: 32,
    first: 16,
    stages: &[
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ],
    last: 1280,
};

/// What the network says of some images.
#[derive(Clone, Debug)]
pub struct Features {
    /// The last map `[N,1280,7,7]`, values in [0, 6].
    pub map: Tensor,
    /// Its mean over the pixels `[N,1280]`.
    pub pooled: Tensor,
    /// Of each tapped block in order, the means of its result over the pixels `[N,channels]`: behind the residual, without
    /// an activation.
    pub taps: Vec<Tensor>,
}

/// What of the results is wanted beside the means of the last map.
#[derive(Clone, Copy)]
struct Wanted {
    map: bool,
    taps: bool,
}

/// The results of some images.
struct Found {
    /// `[image][channel][place]`, empty where not wanted.
    maps: Vec<f32>,
    /// `[image][channel]`.
    means: Vec<f32>,
    /// `[image][channel of all taps]`, empty where not wanted.
    taps: Vec<f32>,
}

/// MobileNetV2 1.0 without its classifier, for images of 224 x 224, values `p / 127.5 - 1` in [-1, 1].
///
/// As a candle [`Module`] it turns `[N,3,224,224]` into the last map `[N,1280,7,7]`. It has no gradient: training uses
/// plain tensors. Calls from several threads take turns.
pub struct MobileNetV2 {
    network: Network,
    crew: Mutex<Crew>,
}

/// The threads and their memory.
struct Crew {
    team: Team,
    phases: Phases,
    workspaces: Vec<Workspace>,
    scratches: Vec<Scratch>,
}

impl MobileNetV2 {
    /// From tensors named as torchvision names them, batch norm folded into weights and biases; the classifier's are
    /// ignored.
    ///
    /// # Errors
    ///
    /// Where a tensor is missing, of another shape, or not finite.
    pub fn new(
        tensors: &HashMap<String, Tensor>,
        config: Config,
    ) -> std::result::Result<Self, KernelError> {
        Self::with_architecture(&MOBILENET_V2, tensors, config)
    }

    pub(crate) fn with_architecture(
        architecture: &Architecture,
        tensors: &HashMap<String, Tensor>,
        config: Config,
    ) -> std::result::Result<Self, KernelError> {
        let network = build(architecture, &Source(tensors), config.level)?;
        let team = Team::new(config.threads);
        // One phase deals out whole images, the others are those of an image that all work on.
        let phases = Phases::new(1 + network.phases(), &team);
        Ok(MobileNetV2 {
            crew: Mutex::new(Crew {
                scratches: (0..team.workers()).map(|_| network.scratch()).collect(),
                workspaces: Vec::new(),
                phases,
                team,
            }),
            network,
        })
    }

    /// Also gives the means of the results of these blocks, `N` of torchvision's `features.N` in rising order, in
    /// [`Features::taps`].
    ///
    /// # Errors
    ///
    /// Where the network has no such block, or the order is another.
    pub fn with_taps(mut self, blocks: &[usize]) -> std::result::Result<Self, KernelError> {
        let last = self.network.blocks();
        if !blocks.is_sorted_by(|a, b| a < b) || blocks.iter().any(|b| !(1..=last).contains(b)) {
            return Err(KernelError::Taps {
                found: blocks.to_vec(),
                last,
            });
        }
        self.network.tap(blocks);
        let crew = self.crew.get_mut().unwrap_or_else(PoisonError::into_inner);
        crew.phases = Phases::new(1 + self.network.phases(), &crew.team);
        Ok(self)
    }

    /// Mean of the last map `[N,1280]`, of images `[N,3,224,224]`.
    ///
    /// # Errors
    ///
    /// Where the input has another shape or type, or is not finite.
    pub fn pooled(&self, images: &Tensor) -> Result<Tensor> {
        images.contiguous()?.apply_op1_no_bwd(&Run {
            network: self,
            map: false,
        })
    }

    /// Last map, mean and taps of grey images of 224 x 224 pixels, one after another; each stands for three equal channels.
    ///
    /// # Errors
    ///
    /// Where `pixels` is not a whole number of images.
    pub fn grey(&self, pixels: &[u8]) -> Result<Features> {
        let size = self.network.image().pixels();
        if !pixels.len().is_multiple_of(size) {
            return Err(KernelError::InputSize {
                found: pixels.len(),
                image: size,
            }
            .into());
        }
        let images: Vec<Image> = pixels.chunks_exact(size).map(Image::Grey).collect();
        let wanted = Wanted {
            map: true,
            taps: true,
        };
        let Found { maps, means, taps } = self.run(&images, wanted)?;
        let (channels, last) = self.network.last_map();
        let tapped = self.network.taps().sum::<usize>();
        let all = Tensor::from_vec(taps, (images.len(), tapped), &Device::Cpu)?;
        let mut taps = Vec::new();
        let mut start = 0;
        for channels in self.network.taps() {
            taps.push(all.narrow(1, start, channels)?.contiguous()?);
            start += channels;
        }
        Ok(Features {
            map: Tensor::from_vec(
                maps,
                (images.len(), channels, last.height, last.width),
                &Device::Cpu,
            )?,
            pooled: Tensor::from_vec(means, (images.len(), channels), &Device::Cpu)?,
            taps,
        })
    }

    /// Of images of the network's size.
    fn run(&self, images: &[Image], wanted: Wanted) -> std::result::Result<Found, KernelError> {
        let (channels, last) = self.network.last_map();
        let map_size = channels * last.pixels();
        let tapped = self.network.taps().sum::<usize>();
        let zeros =
            |wanted: bool, size: usize| vec![0.0; if wanted { images.len() * size } else { 0 }];
        let mut maps = zeros(wanted.map, map_size);
        let mut means = zeros(true, channels);
        let mut taps = zeros(wanted.taps, tapped);
        let (map, mean, tap) = (
            Span::of(&mut maps),
            Span::of(&mut means),
            Span::of(&mut taps),
        );
        let results = |image: usize| Results {
            map: wanted.map.then_some((map, image * map_size)),
            pooled: (mean, image * channels),
            taps: wanted.taps.then_some((tap, image * tapped)),
        };
        let strange = AtomicBool::new(false);

        // Nobody panics while holding the lock but by a defect of a kernel; the next run starts from clean counters.
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        let crew = &mut *crew;
        let workers = crew.team.workers();
        // Each worker takes whole images as long as there is one for everybody; the rest all work on together.
        let whole = images.len() / workers * workers;
        let spaces = if whole > 0 { workers } else { 1 };
        while crew.workspaces.len() < spaces {
            crew.workspaces.push(self.network.workspace());
        }
        let spaces: Vec<WorkspaceSpans> =
            crew.workspaces.iter_mut().map(Workspace::spans).collect();
        let scratches: Vec<ScratchSpans> = crew.scratches.iter_mut().map(Scratch::spans).collect();
        if whole > 0 {
            crew.phases.reset();
            let phases = &crew.phases;
            crew.team.run(&|worker| {
                phases.each(0, worker, whole, |image| {
                    // SAFETY: all buffers are borrowed by this function and made for this network; each worker has a
                    // workspace and a scratch of its own, each image its own results.
                    unsafe {
                        self.network.run(
                            &mut Walk::alone(),
                            spaces[worker],
                            scratches[worker],
                            images[image],
                            results(image),
                            &strange,
                        );
                    }
                });
            });
        }
        for (image, source) in images.iter().enumerate().skip(whole) {
            crew.phases.reset();
            let phases = &crew.phases;
            crew.team.run(&|worker| {
                // SAFETY: as above; the team shares the first workspace, through the same phases.
                unsafe {
                    self.network.run(
                        &mut Walk::together(phases, worker, 1),
                        spaces[0],
                        scratches[worker],
                        *source,
                        results(image),
                        &strange,
                    );
                }
            });
        }
        if strange.into_inner() {
            return Err(KernelError::InputNotFinite);
        }
        Ok(Found { maps, means, taps })
    }
}

impl Module for MobileNetV2 {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        images.contiguous()?.apply_op1_no_bwd(&Run {
            network: self,
            map: true,
        })
    }
}

/// The whole network as one operation on `[N,3,height,width]`.
struct Run<'a> {
    network: &'a MobileNetV2,
    map: bool,
}

impl CustomOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "mobilenet-v2"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let size = self.network.network.image();
        let (images, channels, height, width) = layout.shape().dims4()?;
        if channels != 3 || (Size { height, width }) != size {
            candle_core::bail!(
                "the network takes [N,3,{},{}], not {:?}",
                size.height,
                size.width,
                layout.dims()
            );
        }
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("the network needs a contiguous input");
        };
        let values = &storage.as_slice::<f32>()?[start..end];
        let sources: Vec<Image> = values
            .chunks_exact(3 * size.pixels())
            .map(Image::Colour)
            .collect();
        let wanted = Wanted {
            map: self.map,
            taps: false,
        };
        let Found { maps, means, .. } = self.network.run(&sources, wanted)?;
        let (channels, last) = self.network.network.last_map();
        Ok(if self.map {
            let shape = Shape::from((images, channels, last.height, last.width));
            (CpuStorage::F32(maps), shape)
        } else {
            (CpuStorage::F32(means), Shape::from((images, channels)))
        })
    }
}

struct Source<'a>(&'a HashMap<String, Tensor>);

impl Source<'_> {
    /// The values of a tensor of this shape, all finite.
    fn values(&self, name: String, dims: &[usize]) -> std::result::Result<Vec<f32>, KernelError> {
        let Some(tensor) = self.0.get(&name) else {
            return Err(KernelError::Missing(name));
        };
        if tensor.dims() != dims {
            return Err(KernelError::Shape {
                name,
                wanted: dims.to_vec(),
                found: tensor.dims().to_vec(),
            });
        }
        let values = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
        match values {
            Err(source) => Err(KernelError::Unreadable { name, source }),
            Ok(values) if values.iter().any(|value| !value.is_finite()) => {
                Err(KernelError::NotFinite(name))
            }
            Ok(values) => Ok(values),
        }
    }

    /// Weights and bias of a convolution `[outputs,inputs,kernel,kernel]`.
    fn convolution(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        kernel: usize,
    ) -> std::result::Result<(Vec<f32>, Vec<f32>), KernelError> {
        Ok((
            self.values(format!("{name}.weight"), &[outputs, inputs, kernel, kernel])?,
            self.values(format!("{name}.bias"), &[outputs])?,
        ))
    }
}

fn build(
    architecture: &Architecture,
    source: &Source,
    level: Level,
) -> std::result::Result<Network, KernelError> {
    let pointwise = |name: &str, inputs, outputs, activation| {
        let (weights, bias) = source.convolution(name, outputs, inputs, 1)?;
        Ok(Packed::new(level, &weights, &bias, inputs, activation))
    };
    let depthwise = |name: &str, channels| {
        let (weights, bias) = source.convolution(name, channels, 1, 3)?;
        Ok(PackedDepthwise::new(
            level,
            &weights,
            &bias,
            Activation::Relu6,
        ))
    };

    let (weights, bias) = source.convolution("features.0.0", architecture.stem, 3, 3)?;
    let summed: Vec<f32> = weights
        .chunks_exact(27)
        .flat_map(|taps| (0..9).map(|tap| taps[tap] + taps[9 + tap] + taps[18 + tap]))
        .collect();
    let stem = Stem {
        colour: Packed::new(level, &weights, &bias, 27, Activation::Relu6),
        grey: Packed::new(level, &summed, &bias, 9, Activation::Relu6),
    };
    let mut blocks = vec![Block {
        expand: Expand::Stem(stem),
        depthwise: depthwise("features.1.conv.0.0", architecture.stem)?,
        project: pointwise(
            "features.1.conv.1",
            architecture.stem,
            architecture.first,
            Activation::None,
        )?,
        channels: architecture.first,
        stride: 1,
        residual: false,
    }];
    let mut inputs = architecture.first;
    for &(expansion, outputs, count, first_stride) in architecture.stages {
        for index in 0..count {
            let name = format!("features.{}.conv", blocks.len() + 1);
            let hidden = inputs * expansion;
            let stride = if index == 0 { first_stride } else { 1 };
            blocks.push(Block {
                expand: Expand::Pointwise(pointwise(
                    &format!("{name}.0.0"),
                    inputs,
                    hidden,
                    Activation::Relu6,
                )?),
                depthwise: depthwise(&format!("{name}.1.0"), hidden)?,
                project: pointwise(&format!("{name}.2"), hidden, outputs, Activation::None)?,
                channels: outputs,
                stride,
                residual: stride == 1 && inputs == outputs,
            });
            inputs = outputs;
        }
    }
    let name = format!("features.{}.0", blocks.len() + 1);
    let last = pointwise(&name, inputs, architecture.last, Activation::Relu6)?;
    Ok(Network::new(
        architecture.image,
        blocks,
        last,
        architecture.last,
    ))
}
