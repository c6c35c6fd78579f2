//! The convolutions of MobileNetV2 as differentiable operations on channels-last maps, for training on a processor.
//!
//! A map is `[images, height, width, channels]`, contiguous `f32`. A 1x1 convolution is then one product of matrices for
//! the whole batch, and the depthwise convolution's inner loop runs over channels, whatever the map's width: the 7x7
//! and 14x14 maps, where the trained layers are, leave no vector half empty. Bias and ReLU6 are applied in the product's
//! own output, so that no further map is held for the backward pass.
//!
//! Sums run in one order whatever the number of threads: the same input gives the same bits. The loops are `pulp`'s, at
//! the processor's widest vectors, without `unsafe`; [`Level`](crate::Level) has no say here.

mod dense;
mod depthwise;
mod elementwise;
mod lanes;
mod stem;
mod taps;

use candle_core::{CpuStorage, Layout, Result, Tensor};

pub use dense::{dense, dense_gradients};
pub use depthwise::{depthwise, depthwise_gradients};
pub use elementwise::residual;
pub use stem::stem;

/// Numbers that are worth a thread.
const PIECE: usize = 1 << 16;

/// What a convolution passes back.
#[derive(Debug)]
pub struct Gradients {
    /// To its input, where that was asked for.
    pub to_x: Option<Tensor>,
    /// To its weights, in their shape.
    pub to_weight: Tensor,
    /// To its bias.
    pub to_bias: Tensor,
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
