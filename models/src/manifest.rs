//! What is known about a model: `manifest.json`, beside its weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::imaging::network::Architecture;
use crate::imaging::ood::DistancesShape;
use crate::imaging::preprocess::Preprocessing;
use crate::imaging::train::{EpochReport, TrainSettings};
use crate::metrics::Evaluation;

/// The version of this format.
pub const FORMAT: u32 = 1;
/// A manifest may be this large, in bytes: it holds numbers and names, no images.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Everything that is stated about a model. `deny_unknown_fields` is not set: a later version may state more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format: [`FORMAT`].
    pub format: u32,
    /// The model's name, by which it is asked for: "imaging".
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is: "image-classifier".
    pub component: String,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_ms: u64,
    /// It rests on data whose licence is not verified, or nobody has cleared it for anything else.
    pub research_use_only: bool,
    /// What it tells apart, in the order of its outputs.
    pub categories: Vec<String>,
    /// Categories that must not be relied on, with why.
    pub unreliable: BTreeMap<String, String>,
    /// How a picture becomes its input.
    pub preprocessing: Preprocessing,
    /// The network's size.
    pub architecture: Architecture,
    /// The weights' file.
    pub weights: WeightsFile,
    /// The logits are divided by this before they become probabilities; from cross-validation.
    pub temperature: f64,
    /// From which values on nothing is said; from cross-validation.
    pub thresholds: Thresholds,
    /// The shape of what "far from all training images" is measured with, which lies in the weights' file.
    pub usual: DistancesShape,
    /// The images that it was trained on.
    pub data: Data,
    /// What it was trained from.
    pub base: Base,
    /// How it was trained.
    pub training: Training,
    /// How good it was, with confidence intervals.
    pub metrics: Metrics,
}

/// The weights' file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsFile {
    /// Its name, in the manifest's folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3, in hex.
    pub blake3: String,
    /// How numbers are stored: "f16".
    pub dtype: String,
}

/// From which values on the classifier says "not assessed".
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The most distance to what is usual.
    pub distance: f64,
    /// The least that the highest probability may be.
    pub probability: f64,
}

/// The images that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// BLAKE3, in hex, over the sorted lines of category and file hash.
    pub blake3: String,
    /// Images of each category.
    pub images: BTreeMap<String, usize>,
    /// Groups: patients or their stand-ins.
    pub groups: usize,
    /// Images of each source; empty where sources are not known.
    pub sources: BTreeMap<String, usize>,
    /// Images under each licence.
    pub licences: BTreeMap<String, usize>,
    /// Images left out because of their licence.
    pub left_out: usize,
    /// Files that gave no picture.
    pub broken: usize,
}

/// What a model was trained from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its name.
    pub name: String,
    /// BLAKE3 of its weights, in hex.
    pub blake3: String,
    /// Its licence.
    pub licence: String,
}

/// How a model was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// All settings, the seed among them.
    pub settings: TrainSettings,
    /// Every fit with its epochs.
    pub curves: BTreeMap<String, Vec<EpochReport>>,
    /// Epochs of the final fit, by stage.
    pub epochs: Vec<usize>,
}

/// How good a model was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// On the training images, each judged by the fold's network that had not seen its group.
    pub cross_validation: Evaluation,
    /// On the validation images, looked at once; `None` where there were none.
    pub validation: Option<Evaluation>,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// Bytes that are none, or of another format; sizes that contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let wrong = |error: serde_json::Error| ModelError::Manifest(error.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(wrong)?;
        if version.format != FORMAT {
            return Err(ModelError::Manifest(format!(
                "it has the format {}; this program reads {FORMAT}: update the program or train again",
                version.format
            )));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(wrong)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ModelError> {
        let wrong = |what: &str| Err(ModelError::Manifest(what.to_owned()));
        self.architecture.check()?;
        if self.categories.len() != self.architecture.categories {
            return wrong("it names another number of categories than the network has");
        }
        if self.preprocessing.side != self.architecture.input_px
            || !self.preprocessing.mean.is_finite()
            || !self.preprocessing.deviation.is_normal()
        {
            return wrong("the preprocessing does not fit the network");
        }
        if !(self.temperature.is_normal() && self.temperature > 0.0) {
            return wrong("the temperature is no positive number");
        }
        if self.thresholds.distance.is_nan() || self.thresholds.probability.is_nan() {
            return wrong("a threshold is no number");
        }
        let usual = &self.usual;
        if usual.features != self.architecture.pooled_len(&usual.blocks) {
            return wrong("what is usual has another number of features than its blocks give");
        }
        let file = &self.weights.file;
        if file.is_empty() || file.contains(['/', '\\', ':']) || file.starts_with('.') {
            return wrong("the weights' file is not a plain name");
        }
        Ok(())
    }

    /// As it is stored.
    ///
    /// # Errors
    ///
    /// Numbers that JSON has no form for.
    pub fn to_json(&self) -> Result<String, ModelError> {
        serde_json::to_string_pretty(self).map_err(|error| ModelError::Manifest(error.to_string()))
    }
}
