//! What a training run is told; all of it is written into the manifest.

use serde::{Deserialize, Serialize};

use super::augment::Augmentation;
use super::optimizer::OptimizerSettings;
use super::refit::Refit;
use crate::ModelError;
use crate::imaging::dataset::LicencePolicy;
use crate::imaging::network::{Architecture, BLOCKS};

/// Settings of a whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// All draws follow from it: the same seed, images, base and machine give the same weights.
    pub seed: u64,
    /// Pixels a side of the network's input: a multiple of 32.
    pub input_px: usize,
    /// Channels in percent of MobileNetV2 1.0: what the base has.
    pub width_percent: usize,
    /// Which images may be used.
    pub licences: LicencePolicy,
    /// So many files may give no picture.
    pub max_broken: usize,
    /// Cross-validation folds inside train; at least 2.
    pub folds: usize,
    /// One after the other, each training no less of the network than the one before.
    pub stages: Vec<Stage>,
    /// What is varied in the images.
    pub augmentation: Augmentation,
    /// How the weights are moved.
    pub optimizer: OptimizerSettings,
    /// How the head is fitted once more after the last stage; `None` keeps it as it was trained.
    pub refit: Option<Refit>,
    /// The blocks whose maps' means say how far a picture lies from all training pictures: in rising order, none before
    /// the last stage's first trained block but the one before it.
    pub usual_blocks: Vec<usize>,
    /// Weight of a category in the loss: `(images / (categories * its images)) ^ balance`. 0 none, 1 fully balanced.
    pub balance: f32,
    /// The part of one's own images that may be refused by mistake; the thresholds follow from it.
    pub refused_share: f64,
}

/// One stage of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The first block that is trained: 1 to 17, 18 for the last convolution, 19 for the head alone. What lies before
    /// stays as in the base, so that its output is computed once for each variant of an image.
    pub trained_from: usize,
    /// How often every image is seen, at most.
    pub epochs: usize,
    /// How many variants of each image are drawn; epochs take them in turn.
    pub variants: usize,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate of the network's own layers.
    pub rate: f32,
    /// Peak learning rate of the head.
    pub head_rate: f32,
    /// The share of steps in which the rate rises.
    pub warm_up: f32,
    /// The part of the embedding that is dropped in a step.
    pub dropout: f64,
    /// The part of the target that is spread over all categories.
    pub label_smoothing: f32,
    /// Stop a fold when so many epochs in a row brought nothing.
    pub patience: usize,
}

impl Default for TrainSettings {
    /// Chosen by comparison inside the training data, 2026-11-22.
    fn default() -> Self {
        TrainSettings {
            seed: 1,
            input_px: 224,
            width_percent: 100,
            licences: LicencePolicy::Any,
            max_broken: 20,
            folds: 3,
            stages: vec![Stage::fine_tuning()],
            augmentation: Augmentation::default(),
            optimizer: OptimizerSettings::default(),
            refit: Some(Refit::default()),
            usual_blocks: vec![10, 13, 16, 17],
            balance: 0.5,
            refused_share: 0.04,
        }
    }
}

impl Stage {
    /// The head alone, on features that are computed once: seconds instead of minutes. It needs a later stage behind it,
    /// which trains from block 18 or earlier.
    pub fn head() -> Self {
        Stage {
            trained_from: BLOCKS + 2,
            epochs: 30,
            variants: 2,
            batch: 64,
            rate: 0.0,
            head_rate: 3e-3,
            patience: 30,
            ..Stage::fine_tuning()
        }
    }

    /// The blocks at 14 x 14 and 7 x 7, which are most of the network.
    pub fn fine_tuning() -> Self {
        Stage {
            trained_from: 8,
            epochs: 9,
            variants: 5,
            batch: 32,
            rate: 3e-4,
            head_rate: 9e-4,
            warm_up: 0.05,
            dropout: 0.2,
            label_smoothing: 0.05,
            patience: 9,
        }
    }
}

impl TrainSettings {
    /// The network for so many categories.
    pub fn architecture(&self, categories: usize) -> Architecture {
        Architecture {
            width_percent: self.width_percent,
            input_px: self.input_px,
            categories,
        }
    }

    /// # Errors
    ///
    /// Settings that make no sense, with which one.
    pub fn check(&self) -> Result<(), ModelError> {
        self.architecture(2).check()?;
        let wrong = |what: &str| Err(ModelError::Settings(what.to_owned()));
        if self.folds < 2 {
            return wrong("at least 2 folds are needed to choose anything");
        }
        if self.stages.is_empty() {
            return wrong("at least one stage is needed");
        }
        if let Some(refit) = &self.refit
            && !(refit.c > 0.0 && refit.c.is_finite() && refit.balance.is_finite())
        {
            return wrong("the refit's c is above 0");
        }
        if !(0.0..0.5).contains(&self.refused_share) {
            return wrong("the refused share lies from 0 to 0.5");
        }
        for stage in &self.stages {
            if !(1..=BLOCKS + 2).contains(&stage.trained_from) {
                return wrong(
                    "the first trained block is 1 to 17, 18 for the last convolution, 19 for the head",
                );
            }
            if stage.epochs == 0 || stage.variants == 0 || stage.batch < 2 || stage.patience == 0 {
                return wrong("epochs, variants and patience are at least 1, a batch at least 2");
            }
            let rates = [stage.rate, stage.head_rate];
            if rates.iter().any(|rate| !(0.0..1.0).contains(rate))
                || !(0.0..1.0).contains(&stage.warm_up)
                || !(0.0..1.0).contains(&stage.dropout)
                || !(0.0..1.0).contains(&stage.label_smoothing)
            {
                return wrong("rates, warm-up, dropout and label smoothing lie from 0 to below 1");
            }
        }
        let blocks = &self.usual_blocks;
        let last = self.stages.last().map_or(0, |stage| stage.trained_from);
        if blocks.is_empty()
            || !blocks.is_sorted_by(|a, b| a < b)
            || blocks
                .iter()
                .any(|block| !(last - 1..=BLOCKS).contains(block))
        {
            return wrong(
                "the blocks for what is usual are in rising order, from the one before the first trained to 17",
            );
        }
        Ok(())
    }
}
