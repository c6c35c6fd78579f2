//! Convolutions with gradients, on plain NCHW tensors, for training.

mod bias;
mod depthwise;
pub(crate) mod plane;

pub use bias::bias_relu6;
pub use depthwise::{depthwise3x3, same_padding};

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

/// A 1x1 convolution without bias as a matrix product: `x` `[N,C,H,W]`, `w` `[O,C,1,1]`, result `[N,O,H,W]`.
///
/// The same numbers and gradients as `x.conv2d(w, 0, 1, 1, 1)` without its copies of input and result.
pub fn conv1x1(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (images, channels, height, width) = x.dims4()?;
    let (outputs, inputs, kernel_h, kernel_w) = w.dims4()?;
    if inputs != channels || kernel_h != 1 || kernel_w != 1 {
        bail!(
            "a 1x1 convolution of {channels} channels needs weights [O,{channels},1,1], not {:?}",
            w.dims()
        );
    }
    let pixels = x
        .contiguous()?
        .reshape((images, channels, height * width))?;
    w.contiguous()?
        .reshape((outputs, inputs))?
        .broadcast_left(images)?
        .contiguous()?
        .matmul(&pixels)?
        .reshape((images, outputs, height, width))
}

/// The f32 values of a contiguous argument of an operation.
fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("this operation needs contiguous tensors"),
    }
}
