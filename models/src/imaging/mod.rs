//! The image classifier: MobileNetV2, transfer-learned, with what it needs to know when to say nothing.

mod backward;
pub mod classifier;
pub mod confusion;
pub mod dataset;
pub mod explain;
pub mod foreign;
pub mod network;
pub mod occlusion;
pub mod ood;
pub mod preprocess;
pub mod train;
