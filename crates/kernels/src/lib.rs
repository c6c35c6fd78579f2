//! Numeric kernels for the processor, behind candle tensors.
//!
//! candle computes everything that the models need, but on a processor its convolutions take 20 to 40 times as long as they
//! could. This crate has the few operations that matter, written once for all models, each with plain candle operations as
//! its reference in the tests:
//!
//! | what | for | start from |
//! | --- | --- | --- |
//! | MobileNetV2 as one operation: blocked activations, packed weights, each block fused | imaging | [`MobileNetV2`] |
//! | a dense layer with packed weights, bias, residual and activation fused | transformers | [`Linear`] |
//! | its convolutions with bias and ReLU6 fused, *with gradients*, on channels-last maps | training | [`fused`] |
//!
//! Not here: files, formats, what a model is for. A network's description in plain operations belongs to the crate that
//! trains it; what is here takes the same tensors by the same names.
//!
//! # Instructions
//!
//! One generic body per kernel is compiled for AVX-512, for AVX2 with FMA, for NEON and for plain Rust. [`Level::detect`]
//! chooses when the program runs; [`Level::named`] gives a lower one to compare with. All levels agree to about 1e-6 of
//! the largest value: they differ in fused multiply-adds alone.
//!
//! # Invariants
//!
//! - A [`Level`] exists only where the processor has its instructions, so that holding one makes a call sound.
//! - Every unsafe kernel has one safe-guarded entrance that compares all offsets with the buffers' lengths before the first
//!   access; inside, pointers are not checked again.
//! - Within a phase no number is written by one thread and touched by another ([`MobileNetV2`] shares maps among threads).
//! - Results depend neither on the number of threads nor on the other images of a batch, bit for bit.
//! - Weights are refused where a shape is wrong or a value is not finite; so is such input.
//!
//! # Example
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use salus_kernels::{Activation, Level, Linear};
//!
//! let weight = Tensor::new(&[[1.0f32, 2.0], [3.0, 4.0], [0.5, 0.0]], &Device::Cpu)?;
//! let bias = Tensor::new(&[0.0f32, 0.0, -1.0], &Device::Cpu)?;
//! let layer = Linear::new(&weight, Some(&bias), Activation::Relu6, Level::detect())?;
//!
//! let x = Tensor::new(&[[1.0f32, 1.0]], &Device::Cpu)?;
//! let y = layer.forward(&x, None)?;
//! assert_eq!(y.to_vec2::<f32>()?, [[3.0, 6.0, 0.0]]);
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! Speed beside onnxruntime: `bench/compare_onnxruntime.py`.

mod buffer;
mod depthwise;
mod error;
pub mod fused;
mod gemm;
mod level;
mod linear;
mod mobilenet;
mod network;
mod peak;
mod same;
mod team;
mod vector;

#[cfg(test)]
mod tests;

pub use error::KernelError;
pub use gemm::Activation;
pub use level::Level;
pub use linear::Linear;
pub use mobilenet::{Config, Features, MobileNetV2};
pub use peak::peak_flops;
