//! A dense layer on row-major tensors: the gemm tile as transformers use it.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::buffer::{Buffer, Span};
use crate::gemm::{Activation, Gemm, Left, Packed, Target};
use crate::level::Level;
use crate::vector::BLOCK;

/// Rows of a task: four tiles of 14, so that a task's rows and a panel of weights stay in a second-level cache.
const ROWS: usize = 56;

/// `activation(x w^T + bias + residual)` with packed weights, without gradient.
pub struct Linear {
    weights: Packed,
    outputs: usize,
    segments: Vec<usize>,
}

impl Linear {
    /// From `weight` `[n,k]` and `bias` `[n]`, zero where there is none.
    ///
    /// # Errors
    ///
    /// Where shapes are not these, a dimension is zero, or a value is not finite.
    pub fn new(
        weight: &Tensor,
        bias: Option<&Tensor>,
        activation: Activation,
        level: Level,
    ) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        if outputs == 0 || inputs == 0 {
            bail!(
                "a dense layer needs inputs and outputs, not {:?}",
                weight.dims()
            );
        }
        let values = |tensor: &Tensor| {
            let values = tensor
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            if values.iter().any(|value| !value.is_finite()) {
                bail!("a dense layer's weights are infinite or not numbers");
            }
            Ok(values)
        };
        let bias = match bias {
            Some(bias) if bias.dims() != [outputs] => {
                bail!("the bias of {outputs} outputs is {:?}", bias.dims())
            }
            Some(bias) => values(bias)?,
            None => vec![0.0; outputs],
        };
        Ok(Linear {
            weights: Packed::new(level, &values(weight)?, &bias, inputs, activation),
            outputs,
            segments: (0..inputs.div_ceil(BLOCK))
                .map(|block| block * ROWS * BLOCK)
                .collect(),
        })
    }

    /// `x` `[..,k]` to `[..,n]`, `residual` `[..,n]` added before the activation; on rayon's threads.
    ///
    /// # Errors
    ///
    /// Where shapes or types are not these.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let inputs = self.weights.k();
        if x.dims().last() != Some(&inputs) {
            bail!("a dense layer of {inputs} inputs got {:?}", x.dims());
        }
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = self.outputs;
        }
        if let Some(residual) = residual
            && residual.dims() != dims
        {
            bail!("a residual of {dims:?} is {:?}", residual.dims());
        }
        let x = x.contiguous()?;
        // Without a residual `x` stands in for it: an operation has two arguments or one by its type.
        let other = residual.map_or_else(|| Ok(x.clone()), Tensor::contiguous)?;
        x.apply_op2_no_bwd(
            &other,
            &Run {
                layer: self,
                residual: residual.is_some(),
            },
        )
    }
}

struct Run<'a> {
    layer: &'a Linear,
    residual: bool,
}

/// The memory of one thread.
struct Scratch {
    left: Buffer,
    target: Buffer,
}

impl CustomOp2 for Run<'_> {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (Some((start, end)), Some((other_start, other_end))) = (
            x_layout.contiguous_offsets(),
            residual_layout.contiguous_offsets(),
        ) else {
            bail!("a dense layer needs contiguous tensors");
        };
        let x = &x.as_slice::<f32>()?[start..end];
        let residual = &residual.as_slice::<f32>()?[other_start..other_end];
        let (inputs, outputs) = (self.layer.weights.k(), self.layer.outputs);
        let mut out = vec![0.0; x.len() / inputs * outputs];
        out.par_chunks_mut(ROWS * outputs)
            .zip(x.par_chunks(ROWS * inputs))
            .enumerate()
            .for_each_init(
                || Scratch {
                    left: Buffer::new(self.layer.segments.len() * ROWS * BLOCK),
                    target: Buffer::new(ROWS * self.layer.weights.blocks() * BLOCK),
                },
                |scratch, (task, (out, x))| {
                    let residual = self
                        .residual
                        .then(|| &residual[task * ROWS * outputs..][..out.len()]);
                    self.layer.rows(scratch, x, residual, out);
                },
            );
        let mut dims = x_layout.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        Ok((CpuStorage::F32(out), Shape::from(dims)))
    }
}

impl Linear {
    /// At most [`ROWS`] rows.
    fn rows(&self, scratch: &mut Scratch, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) {
        let (inputs, outputs) = (self.weights.k(), self.outputs);
        let rows = x.len() / inputs;
        let left = scratch.left.span();
        for (row, values) in x.chunks_exact(inputs).enumerate() {
            for (values, segment) in values.chunks(BLOCK).zip(&self.segments) {
                // SAFETY: the scratch is this thread's, and no other slice of it is held.
                let cells = unsafe { left.slice_mut(segment + row * BLOCK, values.len()) };
                cells.copy_from_slice(values);
            }
        }
        // Whole blocks go straight to the result; otherwise rows are widened to whole blocks on the way.
        let width = self.weights.blocks() * BLOCK;
        let direct = width == outputs;
        let wide = scratch.target.span();
        if let (false, Some(residual)) = (direct, residual) {
            for (row, values) in residual.chunks_exact(outputs).enumerate() {
                // SAFETY: as above.
                unsafe { wide.slice_mut(row * width, outputs) }.copy_from_slice(values);
            }
        }
        let cells = if direct { Span::of(out) } else { wide };
        let residual = residual.map(|residual| {
            if direct {
                Span::read_only(residual)
            } else {
                wide
            }
        });
        let gemm = Gemm {
            left: Left {
                cells: left,
                start: 0,
                segments: &self.segments,
                run: BLOCK,
            },
            weights: &self.weights,
            panels: 0..self.weights.panels(),
            rows,
            target: Target {
                cells,
                start: 0,
                step: width,
                width: usize::MAX,
                gap: 0,
                first_block: 0,
                block: BLOCK,
            },
            residual,
        };
        // SAFETY: scratch and `out` are this thread's. A residual is only read, and where it is the target itself each
        // number is read just before it is replaced.
        unsafe { gemm.run::<BLOCK>() };
        if !direct {
            for (row, values) in out.chunks_exact_mut(outputs).enumerate() {
                // SAFETY: as above.
                values.copy_from_slice(unsafe { wide.slice(row * width, outputs) });
            }
        }
    }
}
