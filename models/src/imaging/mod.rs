//! x
mod backward;
pub mod classifier;
pub mod dataset;
pub mod explain;
pub mod fused;
mod lanes;
pub mod network;
pub mod ood;
pub mod preprocess;
pub mod train;
