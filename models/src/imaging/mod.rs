//! x
pub mod fused;
mod lanes;
pub mod network;
