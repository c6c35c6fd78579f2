//! The gradients of the network's last blocks, passed back layer by layer.
//!
//! candle's own backward pass would give the same, and tests compare the two; but it fills a map with zeros for every
//! tensor and adds the gradient to it, which for a chain of layers, where each map has one reader or two, costs a third
//! of a step. The head and the loss stay with candle.

use candle_core::{Result as TensorResult, Tensor};
use salus_kernels::Activation;
use salus_kernels::fused::{self, Gradients, dense_gradients, depthwise_gradients};

use super::network::{BLOCKS, Block, Convolution, Network};
use crate::weights::Tensors;

/// What the forward pass leaves for the backward pass.
pub struct Tape {
    /// The first block on it.
    trained_from: usize,
    blocks: Vec<BlockTape>,
    /// Rows into the last convolution and out of it.
    last: (Tensor, Tensor),
    /// `[n, height, width, channels]` of the last map.
    shape: (usize, usize, usize, usize),
}

struct BlockTape {
    /// `[rows, inputs]`.
    rows: Tensor,
    /// `[n, height, width, hidden]`; the rows themselves where the block does not expand.
    expanded: Tensor,
    /// `[n, height, width, hidden]` behind the depthwise convolution.
    filtered: Tensor,
}

impl Network {
    /// From the map before block `trained_from` to the embedding, keeping what [`Network::backward`] needs.
    ///
    /// # Errors
    ///
    /// Another shape or device.
    pub fn forward_taped(&self, map: &Tensor, trained_from: usize) -> TensorResult<(Tensor, Tape)> {
        let mut tapes = Vec::new();
        let mut x = map.clone();
        for block in self.blocks.iter().skip(trained_from - 1) {
            let (next, tape) = block.taped(&x)?;
            tapes.push(tape);
            x = next;
        }
        let (n, height, width, channels) = x.dims4()?;
        let rows = x.reshape((n * height * width, channels))?;
        let out = fused::dense(
            &rows,
            &self.last.matrix()?,
            &self.last.bias,
            Activation::Relu6,
        )?;
        let map = out.reshape((n, height, width, ()))?;
        let tape = Tape {
            trained_from,
            blocks: tapes,
            last: (rows, out),
            shape: map.dims4()?,
        };
        Ok((Network::pool(&map)?, tape))
    }

    /// The gradients of all tensors from block `trained_from` on but the head's, from the embedding's.
    ///
    /// # Errors
    ///
    /// A gradient of another shape.
    pub fn backward(&self, tape: Tape, to_embedding: &Tensor) -> TensorResult<Tensors> {
        let (n, height, width, channels) = tape.shape;
        let places = height * width;
        let to_map = (to_embedding / places as f64)?
            .reshape((n, 1, channels))?
            .broadcast_as((n, places, channels))?
            .contiguous()?
            .reshape((n * places, channels))?;
        let mut all = Tensors::new();
        let (rows, out) = tape.last;
        let first = tape.trained_from > BLOCKS;
        let gradients = dense_gradients(
            &rows,
            &self.last.matrix()?,
            &out,
            &to_map,
            Activation::Relu6,
            !first,
        )?;
        drop((out, to_map));
        let mut gradient = keep(&mut all, &self.last, gradients)?;
        let taped = self.blocks.iter().enumerate().skip(tape.trained_from - 1);
        for ((index, block), tape_of_block) in taped.zip(tape.blocks).rev() {
            let Some(to_output) = gradient else { break };
            let first = index + 1 == tape.trained_from;
            gradient = block.backward(tape_of_block, &to_output, !first, &mut all)?;
        }
        Ok(all)
    }
}

/// Files a convolution's gradients under its names; passes on the one to its input.
fn keep(
    all: &mut Tensors,
    convolution: &Convolution,
    gradients: Gradients,
) -> TensorResult<Option<Tensor>> {
    let shape = convolution.weight.dims();
    all.insert(
        format!("{}.weight", convolution.name),
        gradients.to_weight.reshape(shape)?,
    );
    all.insert(format!("{}.bias", convolution.name), gradients.to_bias);
    Ok(gradients.to_x)
}

impl Block {
    fn taped(&self, x: &Tensor) -> TensorResult<(Tensor, BlockTape)> {
        let (n, height, width, inputs) = x.dims4()?;
        let rows = x.reshape((n * height * width, inputs))?;
        let expanded = match &self.expand {
            Some(expand) => {
                fused::dense(&rows, &expand.matrix()?, &expand.bias, Activation::Relu6)?
            }
            None => rows.clone(),
        }
        .reshape((n, height, width, ()))?;
        let filtered = fused::depthwise(
            &expanded,
            &self.depthwise.taps()?,
            &self.depthwise.bias,
            self.stride,
            Activation::Relu6,
        )?;
        let (_, height, width, hidden) = filtered.dims4()?;
        let projected = fused::dense(
            &filtered.reshape((n * height * width, hidden))?,
            &self.project.matrix()?,
            &self.project.bias,
            Activation::None,
        )?;
        let out = if self.residual {
            fused::residual(&projected, &rows)?
        } else {
            projected
        };
        let tape = BlockTape {
            rows,
            expanded,
            filtered,
        };
        Ok((out.reshape((n, height, width, ()))?, tape))
    }

    /// Takes the gradient of the block's output as rows, gives that of its input as rows where it is asked for.
    fn backward(
        &self,
        tape: BlockTape,
        to_output: &Tensor,
        to_input: bool,
        all: &mut Tensors,
    ) -> TensorResult<Option<Tensor>> {
        let (n, height, width, hidden) = tape.filtered.dims4()?;
        let filtered = tape.filtered.reshape((n * height * width, hidden))?;
        let projected = dense_gradients(
            &filtered,
            &self.project.matrix()?,
            to_output,
            to_output,
            Activation::None,
            true,
        )?;
        let Some(to_filtered) = keep(all, &self.project, projected)? else {
            return Ok(None);
        };
        let mut gradients = depthwise_gradients(
            &tape.expanded,
            &self.depthwise.taps()?,
            &tape.filtered,
            &to_filtered.reshape(tape.filtered.shape())?,
            self.stride,
            Activation::Relu6,
            to_input || self.expand.is_some(),
        )?;
        // Taps are columns here and the last two dimensions in the weights.
        gradients.to_weight = gradients.to_weight.t()?.contiguous()?;
        let to_expanded = keep(all, &self.depthwise, gradients)?;
        let to_rows = match (&self.expand, to_expanded) {
            (Some(expand), Some(to_expanded)) => {
                let rows = tape.rows.dim(0)?;
                let gradients = dense_gradients(
                    &tape.rows,
                    &expand.matrix()?,
                    &tape.expanded.reshape((rows, ()))?,
                    &to_expanded.reshape((rows, ()))?,
                    Activation::Relu6,
                    to_input,
                )?;
                keep(all, expand, gradients)?
            }
            (None, Some(to_expanded)) => Some(to_expanded.reshape(tape.rows.shape())?),
            _ => None,
        };
        match to_rows {
            Some(to_rows) if self.residual => Ok(Some(fused::residual(&to_rows, to_output)?)),
            other => Ok(other),
        }
    }
}
