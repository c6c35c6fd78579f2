//! A depthwise 3x3 convolution.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::elementwise::{ColumnSums, before_activation};
use super::taps::Taps;
use super::{Gradients, lanes, values};
use crate::Activation;

/// `activation(depthwise 3x3 convolution + bias)` with TensorFlow "SAME" padding.
///
/// `x` is `[images, height, width, channels]`, `weight` `[9, channels]` (taps row by row), `bias` `[channels]`; the
/// result is `[images, ceil(height / stride), ceil(width / stride), channels]`.
///
/// # Errors
///
/// Shapes that do not fit, or tensors that are not `f32` on the processor.
pub fn depthwise(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    activation: Activation,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(
        &weight.contiguous()?,
        &bias.contiguous()?,
        Depthwise { stride, activation },
    )
}

/// The gradients of [`depthwise`], from that of its output; the one to the input where `to_x`.
///
/// # Errors
///
/// Shapes that do not fit, or tensors that are not `f32` on the processor.
pub fn depthwise_gradients(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    gradient: &Tensor,
    stride: usize,
    activation: Activation,
    to_x: bool,
) -> Result<Gradients> {
    let (images, height, width, channels) = x.dims4()?;
    if stride == 0 || weight.dims() != [9, channels] {
        candle_core::bail!("a map of {channels} channels does not fit the depthwise weights")
    }
    let taps = Taps::new(height, width, channels, stride);
    if output.dims() != [images, taps.out_height, taps.out_width, channels] {
        candle_core::bail!("a map {:?} does not give {:?}", x.dims(), output.dims())
    }
    let gradient = before_activation(activation, output, gradient)?;
    Ok(Gradients {
        to_x: to_x
            .then(|| gradient.apply_op2_no_bwd(&weight.contiguous()?, &DepthwiseToInput(taps)))
            .transpose()?,
        to_weight: x.apply_op2_no_bwd(&gradient, &DepthwiseToWeight(taps))?,
        to_bias: gradient.apply_op1_no_bwd(&ColumnSums)?,
    })
}

struct Depthwise {
    stride: usize,
    activation: Activation,
}

impl CustomOp3 for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise-bias-activation"
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
        let (images, height, width, channels) = x_layout.shape().dims4()?;
        let weight = values(weight, weight_layout, "weight")?;
        let bias = values(bias, bias_layout, "bias")?;
        if weight.len() != 9 * channels || bias.len() != channels || self.stride == 0 {
            candle_core::bail!("a map of {channels} channels does not fit the depthwise weights")
        }
        let x = values(x, x_layout, "map")?;
        let taps = Taps::new(height, width, channels, self.stride);
        let relu6 = self.activation == Activation::Relu6;
        let mut out = vec![0.0_f32; images * taps.out_len()];
        out.par_chunks_mut(taps.out_len().max(1))
            .zip(x.par_chunks(taps.in_len().max(1)))
            .for_each(|(out, x)| {
                Arch::new().dispatch(lanes::DepthwiseForward {
                    taps,
                    x,
                    weight,
                    bias,
                    relu6,
                    out,
                });
            });
        let shape = (images, taps.out_height, taps.out_width, channels);
        Ok((CpuStorage::F32(out), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = depthwise_gradients(
            x,
            weight,
            output,
            gradient,
            self.stride,
            self.activation,
            x.track_op(),
        )?;
        Ok((
            gradients.to_x,
            Some(gradients.to_weight),
            Some(gradients.to_bias),
        ))
    }
}

struct DepthwiseToInput(Taps);

impl CustomOp2 for DepthwiseToInput {
    fn name(&self) -> &'static str {
        "depthwise-gradient-to-input"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let taps = self.0;
        let channels = taps.channels;
        let gradient = values(gradient, gradient_layout, "gradient")?;
        let weight = values(weight, weight_layout, "weight")?;
        let images = gradient_layout.shape().dims4()?.0;
        let mut to_x = vec![0.0_f32; images * taps.in_len()];
        to_x.par_chunks_mut(taps.in_len().max(1))
            .zip(gradient.par_chunks(taps.out_len().max(1)))
            .for_each(|(to_x, gradient)| {
                Arch::new().dispatch(lanes::DepthwiseToInput {
                    taps,
                    gradient,
                    weight,
                    to_x,
                });
            });
        let shape = (images, taps.height, taps.width, channels);
        Ok((CpuStorage::F32(to_x), shape.into()))
    }
}

struct DepthwiseToWeight(Taps);

impl CustomOp2 for DepthwiseToWeight {
    fn name(&self) -> &'static str {
        "depthwise-gradient-to-weight"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let taps = self.0;
        let channels = taps.channels;
        let x = values(x, x_layout, "map")?;
        let gradient = values(gradient, gradient_layout, "gradient")?;
        let images = x_layout.shape().dims4()?.0;
        let mut of_images = vec![0.0_f32; images * 9 * channels];
        of_images
            .par_chunks_mut((9 * channels).max(1))
            .zip(x.par_chunks(taps.in_len().max(1)))
            .zip(gradient.par_chunks(taps.out_len().max(1)))
            .for_each(|((sums, x), gradient)| {
                Arch::new().dispatch(lanes::DepthwiseToWeight {
                    taps,
                    x,
                    gradient,
                    sums,
                });
            });
        let mut sums = vec![0.0_f32; 9 * channels];
        for of_image in of_images.chunks_exact((9 * channels).max(1)) {
            for (sum, value) in sums.iter_mut().zip(of_image) {
                *sum += value;
            }
        }
        Ok((CpuStorage::F32(sums), (9, channels).into()))
    }
}
