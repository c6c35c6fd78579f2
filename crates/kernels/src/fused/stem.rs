//! The first convolution, which is never trained.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::taps::Taps;
use super::{lanes, values};

/// The stem: a 3x3 convolution with stride 2 and "SAME" padding from few channels to many, then ReLU6. No gradient.
///
/// `x` is `[images, inputs, height, width]`, `weight` `[out, inputs, 3, 3]`, `bias` `[out]`; the result is
/// `[images, ceil(height / 2), ceil(width / 2), out]`.
///
/// # Errors
///
/// Shapes that do not fit, or tensors that are not `f32` on the processor.
pub fn stem(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let outputs = bias.dim(0)?;
    let taps = weight.reshape((outputs, ()))?.t()?.contiguous()?;
    x.contiguous()?
        .apply_op3_no_bwd(&taps, &bias.contiguous()?, &Stem)
}

struct Stem;

impl CustomOp3 for Stem {
    fn name(&self) -> &'static str {
        "stem-bias-relu6"
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
        let (images, inputs, height, width) = x_layout.shape().dims4()?;
        let weight = values(weight, weight_layout, "weight")?;
        let bias = values(bias, bias_layout, "bias")?;
        if weight.len() != inputs * 9 * bias.len() {
            candle_core::bail!("a picture of {inputs} channels does not fit the stem's weights")
        }
        let x = values(x, x_layout, "picture")?;
        let taps = Taps::new(height, width, bias.len(), 2);
        let mut out = vec![0.0_f32; images * taps.out_len()];
        out.par_chunks_mut(taps.out_len().max(1))
            .zip(x.par_chunks((inputs * height * width).max(1)))
            .for_each(|(out, planes)| {
                Arch::new().dispatch(lanes::StemForward {
                    taps,
                    planes,
                    weight,
                    bias,
                    out,
                });
            });
        let shape = (images, taps.out_height, taps.out_width, bias.len());
        Ok((CpuStorage::F32(out), shape.into()))
    }
}
