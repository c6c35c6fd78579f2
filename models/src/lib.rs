//! Models: what they are, how they are read, used, judged and trained. No commands and no printing.
//!
//! Start from [`Registry`](registry::Registry) to use a model, from [`train`](imaging::train::train) to make one.
//!
//! - [`registry`]: finding a model and reading it; its weights' hash is compared with its manifest's first.
//! - [`manifest`]: what is stated about a model: categories, licences, thresholds, metrics, how it was trained.
//! - [`weights`]: safetensors files, judged before anything is built from them.
//! - [`imaging`]: the image classifier: network, classification, "not assessed", heat maps, images on disk, training.
//! - [`calibration`] and [`metrics`]: temperature, calibration error, accuracy with confidence intervals.
//!
//! # Invariants
//!
//! - No weights are used whose hash is not the manifest's.
//! - A picture that is unlike all training pictures, or blank, is "not assessed"; the probabilities are there to be
//!   shown beside that, never instead of it.
//! - Every choice in training is made inside the training images, and no group stands on both sides of a split.
//! - The same seed, images and base give the same weights on the same machine, interrupted or not.
//!
//! # Example
//!
//! ```no_run
//! use salus_models::imaging::classifier::ClassifyOptions;
//! use salus_models::registry::Registry;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let classifier = Registry::new(vec!["models".into()]).find("imaging")?.load(None)?;
//! let options = salus_imaging::DecodeOptions::classifier(224, 224);
//! let decoded = salus_imaging::decode(&std::fs::read("scan.jpg")?, &options)?;
//! let said = classifier.classify(&decoded.pictures[0], ClassifyOptions::default())?;
//! match said.doubt {
//!     Some(doubt) => println!("not assessed: {doubt:?}"),
//!     None => println!("{} ({:.0} %)", said.top[0].label, said.top[0].p * 100.0),
//! }
//! # Ok(())
//! # }
//! ```

mod bootstrap;
pub mod calibration;
mod draws;
mod error;
pub mod imaging;
pub mod manifest;
pub mod metrics;
pub mod registry;
pub mod weights;

#[cfg(test)]
mod tests;

pub use error::ModelError;

/// The name of a model's manifest in its folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The name of a model's weights in its folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
