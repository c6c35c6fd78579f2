//! Bias and ReLU6 in one pass, with gradients.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::contiguous;

/// `min(max(x + bias, 0), 6)` for `x` `[N,C,H,W]` and `bias` `[C]`; both get gradients, zero where the result is 0 or 6.
///
/// On the processor, in f32, this is one pass where candle's operations are five; elsewhere it is those.
///
/// # Errors
///
/// Where shapes or types are not these.
pub fn bias_relu6(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    if bias.dims() != [channels] {
        bail!("the bias of {channels} channels is {:?}", bias.dims());
    }
    let plain = !x.device().is_cpu() || x.dtype() != DType::F32 || bias.dtype() != DType::F32;
    if plain || height * width == 0 {
        return x
            .broadcast_add(&bias.reshape((1, channels, 1, 1))?)?
            .clamp(0.0, 6.0);
    }
    x.contiguous()?.apply_op2(&bias.contiguous()?, Forward)
}

struct Forward;

/// The result and its gradient, both `[N,C,H,W]`, to the input's gradient.
struct InputGradient;

fn plane(layout: &Layout) -> Result<(usize, usize)> {
    let (_, channels, height, width) = layout.shape().dims4()?;
    Ok((channels, height * width))
}

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "bias-relu6"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (channels, size) = plane(x_layout)?;
        let (x, bias) = (contiguous(x, x_layout)?, contiguous(bias, bias_layout)?);
        let mut values = vec![0.0; x.len()];
        values
            .par_chunks_exact_mut(size)
            .zip(x.par_chunks_exact(size))
            .enumerate()
            .for_each(|(index, (values, plane))| {
                let bias = bias[index % channels];
                for (value, x) in values.iter_mut().zip(plane) {
                    *value = (x + bias).clamp(0.0, 6.0);
                }
            });
        Ok((CpuStorage::F32(values), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        _bias: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let by_input = grad
            .contiguous()?
            .apply_op2_no_bwd(result, &InputGradient)?;
        let by_bias = by_input.flatten_from(2)?.sum(2)?.sum(0)?;
        Ok((Some(by_input), Some(by_bias)))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "bias-relu6-input-gradient"
    }

    fn cpu_fwd(
        &self,
        grad: &CpuStorage,
        grad_layout: &Layout,
        result: &CpuStorage,
        result_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, size) = plane(grad_layout)?;
        let (grad, result) = (
            contiguous(grad, grad_layout)?,
            contiguous(result, result_layout)?,
        );
        let mut values = vec![0.0; grad.len()];
        values
            .par_chunks_exact_mut(size)
            .zip(
                grad.par_chunks_exact(size)
                    .zip(result.par_chunks_exact(size)),
            )
            .for_each(|(values, (grad, result))| {
                for ((value, grad), result) in values.iter_mut().zip(grad).zip(result) {
                    let inside = *result > 0.0 && *result < 6.0;
                    *value = if inside { *grad } else { 0.0 };
                }
            });
        Ok((CpuStorage::F32(values), grad_layout.shape().clone()))
    }
}
