//! Numeric kernels for the processor, behind candle tensors.
mod level;
mod train;

#[cfg(test)]
mod tests;

pub use level::Level;
pub use train::{conv1x1, depthwise3x3, same_padding};
