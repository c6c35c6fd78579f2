//! Training of the image classifier: a sequence that may be interrupted anywhere and goes on where it was.
//!
//! ```text
//! images -> squares in memory
//! for each fold: the stages -> the head once more         on the other folds, judged on this one
//!   -> epochs of each stage, temperature, thresholds, cross-validated metrics
//! final fit: the same stages on all images, so many epochs
//!   -> weights.safetensors (f16) and manifest.json, judged once on the validation images
//! ```
//!
//! Every choice is made inside the training images; groups are never split between folds. A state folder keeps what
//! each fit and each pass through the frozen layers gave, so that the same call after an interruption repeats an epoch
//! at most. The same seed, images and base give the same bits on the same machine.

mod augment;
mod base;
mod facts;
mod fit;
mod folds;
mod lbfgs;
mod observer;
mod optimizer;
mod pipeline;
mod refit;
mod run;
mod settings;
mod trunk;

pub use augment::Augmentation;
pub use base::{BaseWeights, random_base};
pub use fit::EpochReport;
pub use observer::{Event, Observer, Silent};
pub use optimizer::OptimizerSettings;
pub use pipeline::{Request, Trained, train};
pub use refit::Refit;
pub use settings::{Stage, TrainSettings};
