//! The depthwise 3x3 convolution as a candle operation with both gradients.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape as Dims, Tensor, bail};
use rayon::prelude::*;

use super::contiguous;
use super::plane::{Padded, Shape, same};
use crate::level::Level;

/// Each channel of `x` `[N,C,H,W]` with its own 3x3 kernel of `w` `[C,1,3,3]`, padded as TensorFlow's "SAME" does;
/// `stride` 1 or 2. The result is `[N,C,ceil(H/stride),ceil(W/stride)]`, and both arguments get gradients.
///
/// On the processor, in f32, this is one pass over each plane, on rayon's threads; elsewhere candle's own grouped
/// convolution on the padded input, which means the same.
///
/// # Errors
///
/// Where shapes, types or the stride are none of these.
pub fn depthwise3x3(x: &Tensor, w: &Tensor, stride: usize) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    if w.dims() != [channels, 1, 3, 3] {
        bail!(
            "a depthwise convolution of {channels} channels needs weights [{channels},1,3,3], not {:?}",
            w.dims()
        );
    }
    if stride != 1 && stride != 2 {
        bail!("a depthwise convolution has a stride of 1 or 2, not {stride}");
    }
    if x.elem_count() == 0 {
        bail!(
            "a depthwise convolution needs at least one pixel, not {:?}",
            x.dims()
        );
    }
    if x.device().is_cpu() && x.dtype() == DType::F32 && w.dtype() == DType::F32 {
        return x
            .contiguous()?
            .apply_op2(&w.contiguous()?, Forward { stride });
    }
    let padded = same_padding(x, stride)?;
    debug_assert!(height > 0 && width > 0);
    padded.conv2d(w, 0, stride, 1, channels)
}

/// `x` `[N,C,H,W]` with the zeros around it that TensorFlow's "SAME" gives a 3x3 kernel of this stride.
///
/// # Errors
///
/// Where `x` has not four dimensions, or the stride is zero.
pub fn same_padding(x: &Tensor, stride: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if stride == 0 || height == 0 || width == 0 {
        bail!("no padding for a stride of {stride} on {:?}", x.dims());
    }
    let after = |size: usize| {
        let (before, out) = same(size, stride);
        ((out - 1) * stride + 3).saturating_sub(size + before)
    };
    x.pad_with_zeros(2, same(height, stride).0, after(height))?
        .pad_with_zeros(3, same(width, stride).0, after(width))
}

/// `[N,C,H,W]`, `[C,1,3,3]` to `[N,C,OH,OW]`.
struct Forward {
    stride: usize,
}

/// The result's gradient `[N,C,OH,OW]` and `[C,1,3,3]` to the input's `[N,C,H,W]`.
struct InputGradient {
    stride: usize,
    height: usize,
    width: usize,
}

/// `[N,C,H,W]` and the result's gradient `[N,C,OH,OW]` to the weights' `[C,1,3,3]`.
struct WeightGradient {
    stride: usize,
}

fn kernel(w: &[f32], channel: usize) -> [f32; 9] {
    let mut taps = [0.0; 9];
    taps.copy_from_slice(&w[channel * 9..][..9]);
    taps
}

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "depthwise3x3"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let (images, channels, height, width) = x_layout.shape().dims4()?;
        let (x, w) = (contiguous(x, x_layout)?, contiguous(w, w_layout)?);
        let shape = Shape::new(height, width, self.stride);
        let level = Level::detect();
        let size = shape.out_height * shape.out_width;
        let mut out = vec![0.0; images * channels * size];
        out.par_chunks_exact_mut(size)
            .zip(x.par_chunks_exact(height * width))
            .enumerate()
            .for_each_init(
                || Padded::new(shape),
                |padded, (index, (out, plane))| {
                    padded.fill(plane);
                    padded.convolve(level, &kernel(w, index % channels), out);
                },
            );
        let dims = Dims::from((images, channels, shape.out_height, shape.out_width));
        Ok((CpuStorage::F32(out), dims))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, _, height, width) = x.dims4()?;
        let grad = grad.contiguous()?;
        let by_input = grad.apply_op2_no_bwd(
            w,
            &InputGradient {
                stride: self.stride,
                height,
                width,
            },
        )?;
        let by_weights = x.apply_op2_no_bwd(
            &grad,
            &WeightGradient {
                stride: self.stride,
            },
        )?;
        Ok((Some(by_input), Some(by_weights)))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "depthwise3x3-input-gradient"
    }

    fn cpu_fwd(
        &self,
        grad: &CpuStorage,
        grad_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let (images, channels, ..) = grad_layout.shape().dims4()?;
        let (grad, w) = (contiguous(grad, grad_layout)?, contiguous(w, w_layout)?);
        let shape = Shape::new(self.height, self.width, self.stride);
        let level = Level::detect();
        let size = self.height * self.width;
        let mut out = vec![0.0; images * channels * size];
        out.par_chunks_exact_mut(size)
            .zip(grad.par_chunks_exact(shape.out_height * shape.out_width))
            .enumerate()
            .for_each_init(
                || Padded::new(shape),
                |padded, (index, (out, grad))| {
                    padded.scatter(level, &kernel(w, index % channels), grad, out);
                },
            );
        let dims = Dims::from((images, channels, self.height, self.width));
        Ok((CpuStorage::F32(out), dims))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "depthwise3x3-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let (images, channels, height, width) = x_layout.shape().dims4()?;
        let (x, grad) = (contiguous(x, x_layout)?, contiguous(grad, grad_layout)?);
        let shape = Shape::new(height, width, self.stride);
        let level = Level::detect();
        let (size, out_size) = (height * width, shape.out_height * shape.out_width);
        let mut out = vec![0.0; channels * 9];
        // A channel sums its images in order on one thread: the same numbers on every run.
        out.par_chunks_exact_mut(9).enumerate().for_each_init(
            || Padded::new(shape),
            |padded, (channel, taps)| {
                let mut sums = [0.0; 9];
                for image in 0..images {
                    let plane = image * channels + channel;
                    padded.fill(&x[plane * size..][..size]);
                    padded.correlate(level, &grad[plane * out_size..][..out_size], &mut sums);
                }
                taps.copy_from_slice(&sums);
            },
        );
        Ok((CpuStorage::F32(out), Dims::from((channels, 1, 3, 3))))
    }
}
