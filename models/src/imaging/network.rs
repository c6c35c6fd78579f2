//! MobileNetV2 with folded batch norm (M. Sandler et al., CVPR 2018), under torchvision's names.
//!
//! ```text
//! picture  [n, 3, s, s]            s = 224 by default, a multiple of 32; values in [-1, 1]
//! stem     3x3 stride 2, ReLU6     features.0.0
//! block 1..17                      features.N.conv.*: expand 1x1 ReLU6, depthwise 3x3 ReLU6, project 1x1, residual
//! last     1x1 ReLU6               features.18.0
//! map      [n, 1280, s/32, s/32]   its mean over the places is the embedding
//! head     dense                   classifier.1: [categories, 1280]
//! ```
//!
//! Padding is TensorFlow's "SAME": where a stride of 2 meets an even size, nothing before and one pixel behind.
//! [`Network::forward`] uses nothing but candle's own operations, so that it runs on every device and is what faster
//! paths are compared with; [`Network::forward_fused`] is the same function on [`fused`] operations.

use candle_core::{Device, Result as TensorResult, Tensor};
use salus_kernels::{Activation, fused};
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::weights::{Tensors, take};

/// Expansion, channels, repeats, stride of each group of blocks (table 2 of the paper).
const GROUPS: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// How many blocks there are between the stem and the last convolution.
pub const BLOCKS: usize = 17;

const HEAD_WEIGHT: &str = "classifier.1.weight";
const HEAD_BIAS: &str = "classifier.1.bias";

/// The size of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Channels relative to the paper's, in percent: 100 is MobileNetV2 1.0. 10 to 100.
    pub width_percent: usize,
    /// The side of the square input in pixels: a multiple of 32 from 32 to 512.
    pub input_px: usize,
    /// How many categories the head tells apart: 2 to 1,001.
    pub categories: usize,
}

impl Architecture {
    /// MobileNetV2 1.0 at 224 pixels.
    pub fn standard(categories: usize) -> Self {
        Architecture {
            width_percent: 100,
            input_px: 224,
            categories,
        }
    }

    /// # Errors
    ///
    /// A size outside its range.
    pub fn check(&self) -> Result<(), ModelError> {
        let right = (10..=100).contains(&self.width_percent)
            && (32..=512).contains(&self.input_px)
            && self.input_px.is_multiple_of(32)
            && (2..=1001).contains(&self.categories);
        if right {
            Ok(())
        } else {
            Err(ModelError::Manifest(format!(
                "no such network: width {} %, input {} px, {} categories",
                self.width_percent, self.input_px, self.categories
            )))
        }
    }

    /// `channels` scaled by the width, to a multiple of 8 and never below 90 % (the paper's reference code).
    fn scaled(&self, channels: usize) -> usize {
        let exact = channels * self.width_percent;
        let rounded = ((exact + 400) / 800 * 8).max(8);
        if rounded * 1000 < exact * 9 {
            rounded + 8
        } else {
            rounded
        }
    }

    /// How many numbers an embedding has: 1,280 at full width.
    pub fn embedding_len(&self) -> usize {
        self.scaled(1280)
    }

    /// How many numbers the means of the maps behind these blocks are.
    pub fn pooled_len(&self, blocks: &[usize]) -> usize {
        blocks.iter().map(|block| self.map_after(*block).0).sum()
    }

    /// Channels and side of the map behind block `block` (0 is the stem) for this input.
    pub fn map_after(&self, block: usize) -> (usize, usize) {
        let mut side = self.input_px / 2;
        let mut channels = self.scaled(32);
        for plan in self.plans().iter().take(block) {
            side /= plan.stride;
            channels = plan.outputs;
        }
        (channels, side)
    }

    fn plans(&self) -> Vec<BlockPlan> {
        let mut plans = Vec::with_capacity(BLOCKS);
        let mut inputs = self.scaled(32);
        for (expansion, channels, repeats, stride) in GROUPS {
            let outputs = self.scaled(channels);
            for repeat in 0..repeats {
                plans.push(BlockPlan {
                    inputs,
                    hidden: inputs * expansion,
                    outputs,
                    stride: if repeat == 0 { stride } else { 1 },
                });
                inputs = outputs;
            }
        }
        plans
    }

    /// Every tensor of the network with its shape, in the order of the layers.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        let mut push = |name: &str, shape: [usize; 4]| {
            all.push((format!("{name}.weight"), shape.to_vec()));
            all.push((format!("{name}.bias"), vec![shape[0]]));
        };
        push("features.0.0", [self.scaled(32), 3, 3, 3]);
        for (index, plan) in self.plans().iter().enumerate() {
            let names = plan.names(index + 1);
            if let Some(expand) = names.expand {
                push(&expand, [plan.hidden, plan.inputs, 1, 1]);
            }
            push(&names.depthwise, [plan.hidden, 1, 3, 3]);
            push(&names.project, [plan.outputs, plan.hidden, 1, 1]);
        }
        push(
            "features.18.0",
            [self.embedding_len(), self.scaled(320), 1, 1],
        );
        all.push((
            HEAD_WEIGHT.to_owned(),
            vec![self.categories, self.embedding_len()],
        ));
        all.push((HEAD_BIAS.to_owned(), vec![self.categories]));
        all
    }

    /// Refuses tensors that are none of [`Architecture::tensors`].
    ///
    /// # Errors
    ///
    /// The first such tensor.
    pub fn refuse_others(&self, tensors: &Tensors) -> Result<(), ModelError> {
        let known = self.tensors();
        let is_known = |name: &String| known.iter().any(|(known, _)| known == name);
        match tensors.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(ModelError::Weights(format!(
                "{name} is no tensor of this network"
            ))),
        }
    }

    /// The head as numbers: weights `[categories][embedding]` and bias `[categories]`.
    ///
    /// # Errors
    ///
    /// Tensors that are missing or of another shape.
    pub fn head(&self, tensors: &Tensors) -> Result<(Vec<Vec<f32>>, Vec<f32>), ModelError> {
        let mut tensors = tensors.clone();
        let shape = [self.categories, self.embedding_len()];
        let weight = take(&mut tensors, HEAD_WEIGHT, &shape)?;
        let bias = take(&mut tensors, HEAD_BIAS, &shape[..1])?;
        Ok((weight.to_vec2()?, bias.to_vec1()?))
    }
}

/// The block, from 1, that a tensor belongs to; 0 is the stem, 18 the last convolution, 19 the head.
pub fn block_of(tensor: &str) -> Option<usize> {
    match tensor.split('.').collect::<Vec<_>>()[..] {
        ["classifier", ..] => Some(BLOCKS + 2),
        ["features", block, ..] => block.parse().ok(),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy)]
struct BlockPlan {
    inputs: usize,
    hidden: usize,
    outputs: usize,
    stride: usize,
}

struct BlockNames {
    expand: Option<String>,
    depthwise: String,
    project: String,
}

impl BlockPlan {
    fn names(&self, block: usize) -> BlockNames {
        let part = |part: &str| format!("features.{block}.conv.{part}");
        if self.hidden == self.inputs {
            BlockNames {
                expand: None,
                depthwise: part("0.0"),
                project: part("1"),
            }
        } else {
            BlockNames {
                expand: Some(part("0.0")),
                depthwise: part("1.0"),
                project: part("2"),
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Convolution {
    pub name: String,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Convolution {
    fn take(tensors: &mut Tensors, name: &str, shape: [usize; 4]) -> Result<Self, ModelError> {
        Ok(Convolution {
            name: name.to_owned(),
            weight: take(tensors, &format!("{name}.weight"), &shape)?,
            bias: take(tensors, &format!("{name}.bias"), &shape[..1])?,
        })
    }

    fn plain(&self, x: &Tensor, stride: usize, groups: usize) -> TensorResult<Tensor> {
        let side = self.weight.dim(2)?;
        let x = if side == 3 {
            pad_same(&pad_same(x, 2, stride)?, 3, stride)?
        } else {
            x.clone()
        };
        let outputs = self.bias.dim(0)?;
        x.conv2d(&self.weight, 0, stride, 1, groups)?
            .broadcast_add(&self.bias.reshape((1, outputs, 1, 1))?)
    }

    /// The weights of a depthwise convolution as `[9, channels]`.
    pub fn taps(&self) -> TensorResult<Tensor> {
        self.weight.flatten_from(1)?.t()?.contiguous()
    }

    /// The weights of a 1x1 convolution as `[out, in]`.
    pub fn matrix(&self) -> TensorResult<Tensor> {
        self.weight.flatten_from(1)
    }
}

/// TensorFlow's "SAME" padding of dimension `dim` for a 3-wide window.
fn pad_same(x: &Tensor, dim: usize, stride: usize) -> TensorResult<Tensor> {
    let size = x.dim(dim)?;
    let needed = (size.div_ceil(stride).max(1) - 1) * stride + 3;
    let padding = needed.saturating_sub(size);
    x.pad_with_zeros(dim, padding / 2, padding - padding / 2)
}

fn relu6(x: &Tensor) -> TensorResult<Tensor> {
    x.clamp(0.0_f32, 6.0_f32)
}

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub expand: Option<Convolution>,
    pub depthwise: Convolution,
    pub project: Convolution,
    pub stride: usize,
    pub residual: bool,
}

impl Block {
    /// `[n, channels, height, width]` to the same with the block's outputs.
    fn plain(&self, x: &Tensor) -> TensorResult<Tensor> {
        let expanded = match &self.expand {
            Some(expand) => relu6(&expand.plain(x, 1, 1)?)?,
            None => x.clone(),
        };
        let hidden = expanded.dim(1)?;
        let filtered = relu6(&self.depthwise.plain(&expanded, self.stride, hidden)?)?;
        let projected = self.project.plain(&filtered, 1, 1)?;
        if self.residual {
            projected + x
        } else {
            Ok(projected)
        }
    }

    /// `[n, height, width, channels]` to the same with the block's outputs.
    fn fused(&self, x: &Tensor) -> TensorResult<Tensor> {
        let (n, height, width, inputs) = x.dims4()?;
        let rows = x.reshape((n * height * width, inputs))?;
        let expanded = match &self.expand {
            Some(expand) => {
                fused::dense(&rows, &expand.matrix()?, &expand.bias, Activation::Relu6)?
            }
            None => rows.clone(),
        };
        let hidden = expanded.dim(1)?;
        let filtered = fused::depthwise(
            &expanded.reshape((n, height, width, hidden))?,
            &self.depthwise.taps()?,
            &self.depthwise.bias,
            self.stride,
            Activation::Relu6,
        )?;
        let (_, height, width, _) = filtered.dims4()?;
        let projected = fused::dense(
            &filtered.reshape((n * height * width, hidden))?,
            &self.project.matrix()?,
            &self.project.bias,
            Activation::None,
        )?;
        let projected = if self.residual {
            fused::residual(&projected, &rows)?
        } else {
            projected
        };
        let outputs = projected.dim(1)?;
        projected.reshape((n, height, width, outputs))
    }
}

/// What a network says about a batch.
#[derive(Debug, Clone)]
pub struct Output {
    /// `[n, embedding, side, side]`: what the class activation map is made of.
    pub map: Tensor,
    /// `[n, embedding]`: the map's mean over its places.
    pub embedding: Tensor,
    /// `[n, categories]`: before the softmax, not calibrated.
    pub logits: Tensor,
    /// `[n, channels]` for each block that was asked for: the mean of the map behind it.
    pub pools: Vec<Tensor>,
}

/// The network, holding tensors that may be variables.
#[derive(Debug, Clone)]
pub struct Network {
    architecture: Architecture,
    stem: Convolution,
    pub(super) blocks: Vec<Block>,
    pub(super) last: Convolution,
    head_weight: Tensor,
    head_bias: Tensor,
}

impl Network {
    /// Builds the network from its tensors, which must be [`Architecture::tensors`] and nothing besides.
    ///
    /// # Errors
    ///
    /// Tensors that are missing, too many, or of another shape.
    pub fn new(architecture: Architecture, mut tensors: Tensors) -> Result<Self, ModelError> {
        architecture.refuse_others(&tensors)?;
        Network::take(architecture, &mut tensors)
    }

    /// As [`Network::new`], leaving the tensors that are not the network's.
    ///
    /// # Errors
    ///
    /// Tensors that are missing or of another shape.
    pub fn take(architecture: Architecture, tensors: &mut Tensors) -> Result<Self, ModelError> {
        architecture.check()?;
        let stem = Convolution::take(tensors, "features.0.0", [architecture.scaled(32), 3, 3, 3])?;
        let mut blocks = Vec::with_capacity(BLOCKS);
        for (index, plan) in architecture.plans().iter().enumerate() {
            let names = plan.names(index + 1);
            let expand = names
                .expand
                .map(|name| Convolution::take(tensors, &name, [plan.hidden, plan.inputs, 1, 1]))
                .transpose()?;
            blocks.push(Block {
                expand,
                depthwise: Convolution::take(tensors, &names.depthwise, [plan.hidden, 1, 3, 3])?,
                project: Convolution::take(
                    tensors,
                    &names.project,
                    [plan.outputs, plan.hidden, 1, 1],
                )?,
                stride: plan.stride,
                residual: plan.stride == 1 && plan.inputs == plan.outputs,
            });
        }
        let embedding = architecture.embedding_len();
        Ok(Network {
            architecture,
            stem,
            blocks,
            last: Convolution::take(
                tensors,
                "features.18.0",
                [embedding, architecture.scaled(320), 1, 1],
            )?,
            head_weight: take(tensors, HEAD_WEIGHT, &[architecture.categories, embedding])?,
            head_bias: take(tensors, HEAD_BIAS, &[architecture.categories])?,
        })
    }

    /// Its size.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The head's weights, `[categories, embedding]`.
    pub fn head_weight(&self) -> &Tensor {
        &self.head_weight
    }

    /// The head's bias, `[categories]`.
    pub fn head_bias(&self) -> &Tensor {
        &self.head_bias
    }

    /// With candle's own operations: `[n, 3, side, side]` to the output, on any device; `pools_of` in rising order.
    ///
    /// # Errors
    ///
    /// Another shape, or too little memory.
    pub fn forward(&self, pictures: &Tensor, pools_of: &[usize]) -> TensorResult<Output> {
        let mut x = relu6(&self.stem.plain(pictures, 2, 1)?)?;
        let mut pools = Vec::with_capacity(pools_of.len());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.plain(&x)?;
            if pools_of.contains(&(index + 1)) {
                pools.push(x.flatten_from(2)?.mean(2)?);
            }
        }
        let map = relu6(&self.last.plain(&x, 1, 1)?)?;
        let embedding = map.flatten_from(2)?.mean(2)?;
        let logits = self.head(&embedding)?;
        Ok(Output {
            map,
            embedding,
            logits,
            pools,
        })
    }

    /// `[n, embedding]` to `[n, categories]`.
    ///
    /// # Errors
    ///
    /// Another shape.
    pub fn head(&self, embedding: &Tensor) -> TensorResult<Tensor> {
        embedding
            .matmul(&self.head_weight.t()?)?
            .broadcast_add(&self.head_bias)
    }

    /// The same function as [`Network::forward`] on fused operations, on the processor only.
    ///
    /// # Errors
    ///
    /// Another shape or device.
    pub fn forward_fused(&self, pictures: &Tensor, pools_of: &[usize]) -> TensorResult<Output> {
        let stem = self.stem_fused(pictures)?;
        let (map, pools) = self.blocks_pooled(&stem, 0, pools_of)?;
        let map = self.last_fused(&map)?;
        let embedding = Network::pool(&map)?;
        let logits = self.head(&embedding)?;
        Ok(Output {
            map: map.permute((0, 3, 1, 2))?.contiguous()?,
            embedding,
            logits,
            pools,
        })
    }

    /// The stem, which is never trained: `[n, 3, side, side]` to `[n, side / 2, side / 2, channels]`.
    ///
    /// # Errors
    ///
    /// Another shape.
    pub fn stem_fused(&self, pictures: &Tensor) -> TensorResult<Tensor> {
        fused::stem(pictures, &self.stem.weight, &self.stem.bias)
    }

    /// Blocks `from + 1` to `to` on a map `[n, height, width, channels]`.
    ///
    /// # Errors
    ///
    /// Another shape or device.
    pub fn blocks_fused(&self, map: &Tensor, from: usize, to: usize) -> TensorResult<Tensor> {
        let mut x = map.clone();
        for block in self.blocks.iter().take(to).skip(from) {
            x = block.fused(&x)?;
        }
        Ok(x)
    }

    /// Blocks `from + 1` to the last on a map, with the means of the maps behind some of them, `from` among them.
    ///
    /// # Errors
    ///
    /// Another shape or device.
    pub fn blocks_pooled(
        &self,
        map: &Tensor,
        from: usize,
        pools_of: &[usize],
    ) -> TensorResult<(Tensor, Vec<Tensor>)> {
        let mut x = map.clone();
        let mut pools = Vec::with_capacity(pools_of.len());
        for block in from..=BLOCKS {
            if block > from {
                x = self.blocks_fused(&x, block - 1, block)?;
            }
            if pools_of.contains(&block) {
                pools.push(Network::pool(&x)?);
            }
        }
        Ok((x, pools))
    }

    /// The last convolution: `[n, height, width, channels]` to `[n, height, width, embedding]`.
    ///
    /// # Errors
    ///
    /// Another shape or device.
    pub fn last_fused(&self, map: &Tensor) -> TensorResult<Tensor> {
        let (n, height, width, channels) = map.dims4()?;
        fused::dense(
            &map.reshape((n * height * width, channels))?,
            &self.last.matrix()?,
            &self.last.bias,
            Activation::Relu6,
        )?
        .reshape((n, height, width, ()))
    }

    /// The mean of a map `[n, height, width, channels]` over its places: `[n, channels]`.
    ///
    /// # Errors
    ///
    /// Another shape.
    pub fn pool(map: &Tensor) -> TensorResult<Tensor> {
        map.flatten(1, 2)?.mean(1)
    }

    /// The same network on another device.
    ///
    /// # Errors
    ///
    /// A device that has no room.
    pub fn to_device(&self, device: &Device) -> TensorResult<Self> {
        let convolution = |c: &Convolution| -> TensorResult<Convolution> {
            Ok(Convolution {
                name: c.name.clone(),
                weight: c.weight.to_device(device)?,
                bias: c.bias.to_device(device)?,
            })
        };
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            blocks.push(Block {
                expand: block.expand.as_ref().map(convolution).transpose()?,
                depthwise: convolution(&block.depthwise)?,
                project: convolution(&block.project)?,
                ..block.clone()
            });
        }
        Ok(Network {
            architecture: self.architecture,
            stem: convolution(&self.stem)?,
            blocks,
            last: convolution(&self.last)?,
            head_weight: self.head_weight.to_device(device)?,
            head_bias: self.head_bias.to_device(device)?,
        })
    }
}
