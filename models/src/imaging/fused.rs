//! The two convolutions of MobileNetV2 as differentiable operations on channels-last maps, for training on a processor.
//!
//! A map is `[images, height, width, channels]`, contiguous `f32`. A 1x1 convolution is then one product of matrices for
//! the whole batch, and the depthwise convolution's inner loop runs over channels, whatever the map's width: the 7x7
//! and 14x14 maps, where the trained layers are, leave no vector half empty. Bias and ReLU6 are applied in the product's
//! own output, so that no further map is held for the backward pass.
//!
//! Sums run in one order whatever the number of threads: the same input gives the same bits.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::lanes::{self, Taps};

/// What follows a convolution's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

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

/// `a + b`, of one shape.
///
/// # Errors
///
/// Shapes that differ, or tensors that are not `f32` on the processor.
pub fn residual(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, Residual)
}

/// The `f32` values of a contiguous tensor on the processor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout, what: &str) -> Result<&'a [f32]> {
    let CpuStorage::F32(all) = storage else {
        candle_core::bail!("{what} is not f32")
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => candle_core::bail!("{what} is not contiguous"),
    }
}

/// The gradient before the activation: `gradient` where the output lies strictly between its bounds.
fn before_activation(activation: Activation, output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    match activation {
        Activation::None => Ok(gradient),
        Activation::Relu6 => output.apply_op2_no_bwd(&gradient, &Relu6Gradient),
    }
}

/// What a convolution passes back.
pub(super) struct Gradients {
    /// To its input, where that was asked for.
    pub to_x: Option<Tensor>,
    pub to_weight: Tensor,
    pub to_bias: Tensor,
}

/// The gradients of [`dense`], from that of its output.
pub(super) fn dense_gradients(
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

/// The gradients of [`depthwise`], from that of its output.
pub(super) fn depthwise_gradients(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    gradient: &Tensor,
    stride: usize,
    activation: Activation,
    to_x: bool,
) -> Result<Gradients> {
    let (_, height, width, channels) = x.dims4()?;
    let taps = Taps::new(height, width, channels, stride);
    let gradient = before_activation(activation, output, gradient)?;
    Ok(Gradients {
        to_x: to_x
            .then(|| gradient.apply_op2_no_bwd(&weight.contiguous()?, &DepthwiseToInput(taps)))
            .transpose()?,
        to_weight: x.apply_op2_no_bwd(&gradient, &DepthwiseToWeight(taps))?,
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
    const PIECE: usize = 1 << 16;
    let piece = (PIECE / channels.max(1)).max(1) * channels;
    map.par_chunks_mut(piece.max(1)).for_each(work);
}

struct Relu6Gradient;

impl CustomOp2 for Relu6Gradient {
    fn name(&self) -> &'static str {
        "relu6-gradient"
    }

    fn cpu_fwd(
        &self,
        output: &CpuStorage,
        output_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let output = values(output, output_layout, "output")?;
        let gradient = values(gradient, gradient_layout, "gradient")?;
        let mut masked = vec![0.0_f32; output.len()];
        const PIECE: usize = 1 << 16;
        masked
            .par_chunks_mut(PIECE)
            .zip(output.par_chunks(PIECE))
            .zip(gradient.par_chunks(PIECE))
            .for_each(|((masked, output), gradient)| {
                Arch::new().dispatch(lanes::Relu6Gradient {
                    masked,
                    output,
                    gradient,
                });
            });
        Ok((CpuStorage::F32(masked), output_layout.shape().clone()))
    }
}

/// `[rows, columns]` to `[columns]`.
struct ColumnSums;

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "column-sums"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let columns = layout.shape().dims().last().copied().unwrap_or(0);
        let values = values(x, layout, "map")?;
        let mut sums = vec![0.0_f32; columns];
        if columns > 0 {
            Arch::new().dispatch(lanes::ColumnSums {
                sums: &mut sums,
                rows: values,
            });
        }
        Ok((CpuStorage::F32(sums), columns.into()))
    }
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

struct Residual;

impl CustomOp2 for Residual {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if a_layout.shape() != b_layout.shape() {
            candle_core::bail!("a residual of two shapes")
        }
        let mut sum = values(a, a_layout, "map")?.to_vec();
        let b = values(b, b_layout, "map")?;
        const PIECE: usize = 1 << 16;
        sum.par_chunks_mut(PIECE)
            .zip(b.par_chunks(PIECE))
            .for_each(|(sum, b)| Arch::new().dispatch(lanes::Add { sum, b }));
        Ok((CpuStorage::F32(sum), a_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.clone()), Some(gradient.clone())))
    }
}
