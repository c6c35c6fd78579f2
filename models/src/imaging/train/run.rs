//! Fits over folds and over all images, and what is chosen by them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::Request;
use super::fit::{Answers, EpochReport, Fit, Fitted};
use super::folds;
use super::observer::{Event, Observer};
use super::refit::Head;
use super::trunk::{Pictures, Trunk};
use crate::ModelError;
use crate::calibration::{quantile, softmax, temperature};
use crate::imaging::dataset::Dataset;
use crate::imaging::network::{Architecture, Network};
use crate::imaging::ood::Distances;
use crate::manifest::Thresholds;
use crate::metrics::{Evaluation, Judged, evaluate};
use crate::weights::{Tensors, write_whole};

/// What everything in a run looks at.
pub struct Run<'a> {
    pub request: &'a Request<'a>,
    pub observer: &'a dyn Observer,
    pub dataset: Dataset,
    pub pictures: Pictures,
    pub categories: Vec<usize>,
    pub weights: Vec<f32>,
    pub architecture: Architecture,
    pub start: Tensors,
    /// Stands for the images and the base in the names of kept files.
    pub key: String,
}

/// What cross-validation chose.
pub struct Chosen {
    pub epochs: Vec<usize>,
    pub temperature: f64,
    pub thresholds: Thresholds,
    pub evaluation: Evaluation,
    pub curves: BTreeMap<String, Vec<EpochReport>>,
}

impl Run<'_> {
    /// Refuses a state folder that another run began.
    pub fn claim_state(&self) -> Result<(), ModelError> {
        let settings = serde_json::to_string(self.request.settings)
            .map_err(|error| ModelError::Settings(error.to_string()))?;
        let claim = blake3::hash(format!("{} {settings}", self.key).as_bytes()).to_hex();
        let path = self.request.state.join("run");
        match fs::read(&path) {
            Ok(found) if found == claim.as_bytes() => Ok(()),
            Ok(_) => Err(ModelError::Settings(format!(
                "{} is the state of a run with other images, base or settings; give another folder or remove it",
                self.request.state.display()
            ))),
            Err(_) => write_whole(&path, claim.as_bytes()),
        }
    }

    /// All stages, one after the other. `limits` ends each stage early; what the last stage answers is left to the caller.
    fn stages<T>(
        &self,
        name: &str,
        number: u64,
        (train, held_out): (&[usize], &[usize]),
        limits: Option<&[usize]>,
        curves: &mut BTreeMap<String, Vec<EpochReport>>,
        last: impl FnOnce(&Fit<'_, '_>, &Fitted) -> Result<T, ModelError>,
    ) -> Result<(Vec<usize>, Tensors, T), ModelError> {
        let settings = self.request.settings;
        let frozen = Network::new(self.architecture, self.start.clone())?;
        let mut tensors = self.start.clone();
        let mut epochs = Vec::new();
        let mut last = Some(last);
        let mut earlier_from = usize::MAX;
        for (index, stage) in settings.stages.iter().enumerate() {
            if stage.trained_from > earlier_from {
                return Err(ModelError::Settings(
                    "a later stage cannot freeze what an earlier one trained".to_owned(),
                ));
            }
            earlier_from = stage.trained_from;
            let trunk = Trunk::new(
                &frozen,
                stage.trained_from,
                &self.pictures,
                &settings.augmentation,
                settings.seed,
                self.request.state.to_owned(),
                &self.key,
            );
            let fit = Fit {
                name: format!("{name}, stage {}", index + 1),
                number: number * 16 + index as u64,
                stage,
                optimizer: &settings.optimizer,
                trunk: &trunk,
                architecture: self.architecture,
                start: &tensors,
                categories: &self.categories,
                weights: &self.weights,
                train,
                held_out,
                usual_blocks: &settings.usual_blocks,
                epochs: limits.map_or(stage.epochs, |limits| limits[index]),
                seed: settings.seed,
                checkpoint: self.checkpoint(number, index),
            };
            let fitted = fit.run(self.observer)?;
            epochs.push(fitted.best_epoch);
            curves.insert(fit.name.clone(), fitted.curve.clone());
            if index + 1 == settings.stages.len()
                && let Some(last) = last.take()
            {
                let answer = last(&fit, &fitted)?;
                return Ok((epochs, fitted.tensors, answer));
            }
            tensors = fitted.tensors;
        }
        Err(ModelError::Settings(
            "at least one stage is needed".to_owned(),
        ))
    }

    fn checkpoint(&self, number: u64, stage: usize) -> PathBuf {
        self.request
            .state
            .join(format!("fit-{number}-{stage}.safetensors"))
    }

    /// Fits to all folds but one, each in its turn, and judges on that one.
    pub fn cross_validate(&self) -> Result<Chosen, ModelError> {
        let settings = self.request.settings;
        let fold_of = folds::assign(&self.dataset.items, settings.folds);
        let mut curves = BTreeMap::new();
        let mut best_epochs = vec![0; settings.stages.len()];
        let count = self.dataset.items.len();
        let mut logits = vec![Vec::new(); count];
        let mut scores = vec![0.0_f64; count];
        for fold in 0..settings.folds {
            let (held_out, train): (Vec<usize>, Vec<usize>) =
                (0..count).partition(|index| fold_of[*index] == fold);
            let name = format!("fold {}", fold + 1);
            let (epochs, _, answers) = self.stages(
                &name,
                fold as u64 + 1,
                (&train, &held_out),
                None,
                &mut curves,
                |fit, fitted| {
                    let seen = fit.answers(&fitted.tensors, &train, self.observer)?;
                    let own = fit.answers(&fitted.tensors, &held_out, self.observer)?;
                    Ok((seen, own))
                },
            )?;
            for (sum, epoch) in best_epochs.iter_mut().zip(epochs) {
                *sum += epoch;
            }
            let (seen, own): (Answers, Answers) = answers;
            let truth: Vec<usize> = train.iter().map(|index| self.categories[*index]).collect();
            let (head, usual) = self.conclude(&seen, &truth)?;
            for (place, index) in held_out.iter().enumerate() {
                logits[*index] = match &head {
                    Some(head) => head.logits(&own.embeddings[place]),
                    None => own.logits[place].clone(),
                };
                scores[*index] = usual.of(&own.usual[place])?.score;
            }
        }
        let temperature = temperature(&logits, &self.categories);
        let thresholds = Thresholds {
            distance: quantile(&scores, 1.0 - settings.refused_share),
            probability: 0.0,
        };
        let judged: Vec<Judged> = self
            .dataset
            .items
            .iter()
            .enumerate()
            .map(|(index, item)| Judged {
                truth: item.category,
                p: softmax(&logits[index], temperature),
                group: item.group.clone(),
                source: item.source.clone(),
                refused: scores[index] > thresholds.distance,
            })
            .collect();
        let evaluation = evaluate(&judged, &self.dataset.categories, settings.seed);
        self.note(&format!(
            "cross-validation: accuracy {:.4}, balanced {:.4}, calibration error {:.4}, temperature {temperature:.3}",
            evaluation.metrics.accuracy, evaluation.metrics.balanced_accuracy, evaluation.metrics.ece
        ))?;
        let folds = settings.folds;
        Ok(Chosen {
            // Rounded to the nearest.
            epochs: best_epochs
                .into_iter()
                .map(|sum| ((sum + folds / 2) / folds).max(1))
                .collect(),
            temperature,
            thresholds,
            evaluation,
            curves,
        })
    }

    /// Fits to all images for as many epochs as were chosen.
    pub fn final_fit(
        &self,
        epochs: &[usize],
        curves: &mut BTreeMap<String, Vec<EpochReport>>,
    ) -> Result<(Tensors, Distances), ModelError> {
        let all: Vec<usize> = (0..self.dataset.items.len()).collect();
        let (_, mut tensors, answers) = self.stages(
            "all images",
            0,
            (&all, &[]),
            Some(epochs),
            curves,
            |fit, fitted| fit.answers(&fitted.tensors, &all, self.observer),
        )?;
        let (head, usual) = self.conclude(&answers, &self.categories)?;
        if let Some(head) = head {
            tensors.extend(head.tensors()?);
        }
        Ok((tensors, usual))
    }

    /// What follows from the trained network's answers about the images that it was trained on: its head, where it is
    /// fitted once more, and what is usual.
    fn conclude(
        &self,
        answers: &Answers,
        truth: &[usize],
    ) -> Result<(Option<Head>, Distances), ModelError> {
        let settings = self.request.settings;
        let categories = self.architecture.categories;
        let head = settings
            .refit
            .as_ref()
            .map(|refit| refit.head(&answers.embeddings, truth, categories))
            .transpose()?;
        let usual = Distances::fit(&settings.usual_blocks, &answers.usual, truth, categories)?;
        Ok((head, usual))
    }

    fn note(&self, text: &str) -> Result<(), ModelError> {
        self.observer.tell(&Event::Note(text))
    }
}
