//! Numeric kernels for the processor, behind candle tensors.
mod buffer;
mod depthwise;
mod error;
mod gemm;
mod level;
mod mobilenet;
mod network;
mod peak;
mod team;
mod train;
mod vector;

#[cfg(test)]
mod tests;

pub use error::KernelError;
pub use gemm::Activation;
pub use level::Level;
pub use mobilenet::{Config, Features, MobileNetV2};
pub use peak::peak_flops;
pub use train::{conv1x1, depthwise3x3, same_padding};
