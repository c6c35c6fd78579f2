//! A 1x1 convolution over rows of channels.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::elementwise::{ColumnSums, before_activation};
use super::{Gradients, PIECE, lanes, values};
use crate::Activation;

/// `activation(x * weight^T + bias)`: a 1x1 convolution over rows of channels.
///
/// `x` is `[rows, in]`, `weight` `[out, in]`, `bias` `[out]`; the result is `[rows, out]`.
///
/// # Errors
///
/// Shapes that do not fit, or tensors that are not `f32` on the processor.
pub fn dense(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    x.apply_op3(
        &weight.contiguous()?,
        &bias.contiguous()?,
        Dense { activation },
    )
}

/// The gradients of [`dense`], from that of its output; the one to the input where `to_x`.
///
/// # Errors
///
/// Shapes that do not fit, or tensors that are not `f32` on the processor.
pub fn dense_gradients(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    gradient: &Tensor,
    activation: Activation,
    to_x: bool,
) -> Result<Gradients> {
    let gradient = before_activation(activation, output, gradient)?;
    Ok(Gradients {
        to_x: to_x.then(|| gradient.matmul(weight)).transpose()?,
        to_weight: gradient.t()?.matmul(x)?,
        to_bias: gradient.apply_op1_no_bwd(&ColumnSums)?,
    })
}

struct Dense {
    activation: Activation,
}

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense-bias-activation"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = x_layout.shape().dims2()?;
        let (outputs, weight_inputs) = weight_layout.shape().dims2()?;
        let bias = values(bias, bias_layout, "bias")?;
        if weight_inputs != inputs || bias.len() != outputs {
            candle_core::bail!(
                "a map of {inputs} channels does not fit weights {outputs} x {weight_inputs}"
            )
        }
        let mut product = x.matmul(
            weight,
            (1, rows, outputs, inputs),
            x_layout,
            &weight_layout.transpose(0, 1)?,
        )?;
        let CpuStorage::F32(out) = &mut product else {
            candle_core::bail!("a map is not f32")
        };
        let relu6 = self.activation == Activation::Relu6;
        for_rows(out, outputs, |rows| {
            Arch::new().dispatch(lanes::AddBias { rows, bias, relu6 });
        });
        Ok((product, (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients =
            dense_gradients(x, weight, output, gradient, self.activation, x.track_op())?;
        Ok((
            gradients.to_x,
            Some(gradients.to_weight),
            Some(gradients.to_bias),
        ))
    }
}

/// Work on a map's rows in pieces large enough to be worth a thread.
fn for_rows(map: &mut [f32], channels: usize, work: impl Fn(&mut [f32]) + Send + Sync) {
    let piece = (PIECE / channels.max(1)).max(1) * channels;
    map.par_chunks_mut(piece.max(1)).for_each(work);
}
