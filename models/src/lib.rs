//! x
mod draws;
mod error;
pub mod calibration;
pub mod confusion;
pub mod imaging;
pub mod manifest;
pub mod metrics;
pub mod registry;
pub mod weights;
pub use error::ModelError;

/// The name of a model's manifest in its folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The name of a model's weights in its folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
