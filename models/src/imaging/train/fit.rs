//! One fit: a stage's layers are trained on some images and judged on others, epoch by epoch, with a checkpoint behind
//! each.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

use super::observer::{Event, Observer};
use super::optimizer::{Optimizer, OptimizerSettings, scheduled};
use super::settings::Stage;
use super::trunk::{Maps, Trunk, Variant};
use crate::ModelError;
use crate::draws::Draws;
use crate::imaging::network::{Architecture, BLOCKS, Network, block_of};
use crate::weights::{self, Tensors, read_bounded, write_whole};

/// The head's number among the blocks.
const HEAD: usize = BLOCKS + 2;
const NOTE: &str = "salus.fit";
/// A checkpoint holds four copies of the trained layers and what they said.
const MAX_CHECKPOINT_BYTES: u64 = 1 << 30;

/// What one epoch brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps, as it was minimised.
    pub train_loss: f64,
    /// Share of the varied training images that were right, before each step.
    pub train_accuracy: f64,
    /// Log-loss on the images held out, by the averaged weights.
    pub held_out_loss: Option<f64>,
    /// Share of the images held out that were right.
    pub held_out_accuracy: Option<f64>,
}

/// What a network says about images that it was not trained on.
#[derive(Debug, Clone)]
pub struct Answers {
    /// `categories` numbers each, in the order of the images.
    pub logits: Vec<Vec<f32>>,
    /// What the head sees, in the order of the images.
    pub embeddings: Vec<Vec<f32>>,
    /// What "not assessed" is judged by, in the order of the images.
    pub usual: Vec<Vec<f32>>,
}

/// What a fit is given.
pub struct Fit<'a, 'b> {
    /// Its name in reports and of its checkpoint: "fold 1, stage 2".
    pub name: String,
    /// A number for its draws, different for each fit.
    pub number: u64,
    /// The settings of its stage.
    pub stage: &'b Stage,
    /// How weights are moved.
    pub optimizer: &'b OptimizerSettings,
    /// The frozen part.
    pub trunk: &'b Trunk<'a>,
    /// The network's size.
    pub architecture: Architecture,
    /// All of the network's tensors, from which the fit starts.
    pub start: &'b Tensors,
    /// Each image's category.
    pub categories: &'b [usize],
    /// Each category's weight in the loss.
    pub weights: &'b [f32],
    /// The images to learn from.
    pub train: &'b [usize],
    /// The images to judge by; none in the final fit.
    pub held_out: &'b [usize],
    /// So many epochs, over which the rate's schedule runs.
    pub epochs: usize,
    /// The blocks whose maps' means say what is usual.
    pub usual_blocks: &'b [usize],
    /// The run's seed.
    pub seed: u64,
    /// Where the checkpoint is.
    pub checkpoint: PathBuf,
}

/// What a fit gives.
pub struct Fitted {
    /// All of the network's tensors: the trained ones averaged, at the best epoch.
    pub tensors: Tensors,
    /// From 1: the epoch with the least log-loss on the images held out, or the last where none are.
    pub best_epoch: usize,
    /// All epochs.
    pub curve: Vec<EpochReport>,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    steps: u32,
    best_epoch: usize,
    finished: bool,
    curve: Vec<EpochReport>,
}

impl Fit<'_, '_> {
    /// Runs it, or goes on with it where its checkpoint says how far it is.
    ///
    /// # Errors
    ///
    /// [`ModelError::Stopped`] when the observer asks; files that cannot be written; training that diverges.
    pub fn run(&self, observer: &dyn Observer) -> Result<Fitted, ModelError> {
        let mut variables = BTreeMap::new();
        let mut tensors = self.start.clone();
        for (name, tensor) in &mut tensors {
            if block_of(name).is_some_and(|block| block >= self.stage.trained_from) {
                let var = Var::from_tensor(&tensor.copy()?)?;
                // The layers pass their gradients back by themselves; only the head is in candle's graph. A detached
                // tensor shares its values with the variable.
                *tensor = if block_of(name) == Some(HEAD) {
                    var.as_tensor().clone()
                } else {
                    var.as_tensor().detach()
                };
                variables.insert(name.clone(), var);
            }
        }
        let network = Network::new(self.architecture, tensors)?;
        let head_share = if self.stage.rate > 0.0 {
            self.stage.head_rate / self.stage.rate
        } else {
            1.0
        };
        let mut optimizer = Optimizer::new(self.optimizer.clone(), &variables, |name| {
            if block_of(name) == Some(HEAD) {
                head_share
            } else {
                1.0
            }
        })?;
        let mut progress = Progress {
            steps: 0,
            best_epoch: 0,
            finished: false,
            curve: Vec::new(),
        };
        let mut best = Tensors::new();
        if let Some((state, stored)) = self.restore()? {
            let mut rest = Tensors::new();
            for (name, tensor) in state {
                match name.strip_prefix("best/") {
                    Some(name) => best.insert(name.to_owned(), tensor),
                    None => rest.insert(name, tensor),
                };
            }
            if !stored.finished {
                optimizer.restore(rest, stored.steps)?;
            }
            progress = stored;
        }
        while !progress.finished {
            let epoch = progress.curve.len();
            let report = self.epoch(epoch, &network, &mut optimizer, observer)?;
            let least = progress
                .curve
                .iter()
                .filter_map(|report| report.held_out_loss)
                .fold(f64::INFINITY, f64::min);
            if report.held_out_loss.is_none_or(|loss| loss < least) {
                best = optimizer.average()?;
                progress.best_epoch = epoch + 1;
            }
            progress.steps = optimizer.steps();
            progress.curve.push(report.clone());
            progress.finished =
                epoch + 1 >= self.epochs || epoch + 1 - progress.best_epoch >= self.stage.patience;
            self.store(&optimizer, &best, &progress)?;
            observer.tell(&Event::Epoch {
                fit: &self.name,
                epochs: self.epochs,
                report: &report,
            })?;
        }
        let mut tensors = self.start.clone();
        tensors.extend(best);
        Ok(Fitted {
            tensors,
            best_epoch: progress.best_epoch,
            curve: progress.curve,
        })
    }

    fn epoch(
        &self,
        epoch: usize,
        network: &Network,
        optimizer: &mut Optimizer,
        observer: &dyn Observer,
    ) -> Result<EpochReport, ModelError> {
        let variant = Variant::Drawn(epoch % self.stage.variants);
        let maps = self.maps(variant, observer)?;
        let mut order = self.train.to_vec();
        let mut draws = Draws::new(self.seed, "epoch", &[self.number, epoch as u64]);
        draws.shuffle(&mut order);
        let batches = order.len().div_ceil(self.stage.batch).max(1);
        let (mut losses, mut right) = (0.0, 0);
        for (step, batch) in order.chunks(self.stage.batch).enumerate() {
            let share = (epoch * batches + step) as f32 / (self.epochs * batches) as f32;
            let peak = if self.stage.rate > 0.0 {
                self.stage.rate
            } else {
                self.stage.head_rate
            };
            let rate = scheduled(peak, self.stage.warm_up, share);
            let input = maps.batch(batch)?;
            let (embedding, tape) = if self.stage.trained_from < HEAD {
                let (embedding, tape) = network.forward_taped(&input, self.stage.trained_from)?;
                (embedding, Some(tape))
            } else {
                (input.flatten_from(1)?, None)
            };
            let kept = self.dropout(embedding.dims(), &mut draws)?;
            let embedding = Var::from_tensor(&embedding)?;
            let logits = network.head(&(embedding.as_tensor() * kept)?)?;
            let loss = self.loss(&logits, batch)?;
            let of_head = loss.backward()?;
            let mut gradients = Tensors::new();
            for (name, tensor) in [
                ("classifier.1.weight", network.head_weight()),
                ("classifier.1.bias", network.head_bias()),
            ] {
                if let Some(gradient) = of_head.get(tensor) {
                    gradients.insert(name.to_owned(), gradient.clone());
                }
            }
            if let (Some(tape), Some(gradient)) = (tape, of_head.get(&embedding)) {
                gradients.extend(network.backward(tape, gradient)?);
            }
            optimizer.step(&gradients, rate)?;
            let value = f64::from(loss.to_scalar::<f32>()?);
            let hits = self.right(&logits.to_vec2::<f32>()?, batch);
            losses += value;
            right += hits;
            observer.tell(&Event::Step {
                fit: &self.name,
                epoch: epoch + 1,
                epochs: self.epochs,
                step: step + 1,
                steps: batches,
                loss: value,
                accuracy: hits as f64 / batch.len().max(1) as f64,
            })?;
        }
        let held_out = if self.held_out.is_empty() {
            None
        } else {
            let mut tensors = self.start.clone();
            tensors.extend(optimizer.average()?);
            let answers = self.answers(&tensors, self.held_out, observer)?;
            let hits = self.right(&answers.logits, self.held_out);
            Some((
                self.log_loss(&answers.logits, self.held_out),
                hits as f64 / self.held_out.len() as f64,
            ))
        };
        Ok(EpochReport {
            epoch: epoch + 1,
            train_loss: losses / batches as f64,
            train_accuracy: right as f64 / order.len().max(1) as f64,
            held_out_loss: held_out.map(|(loss, _)| loss),
            held_out_accuracy: held_out.map(|(_, accuracy)| accuracy),
        })
    }

    /// What a network of these tensors says about images as they are.
    ///
    /// # Errors
    ///
    /// Tensors of another network; [`ModelError::Stopped`].
    pub fn answers(
        &self,
        tensors: &Tensors,
        images: &[usize],
        observer: &dyn Observer,
    ) -> Result<Answers, ModelError> {
        let network = Network::new(self.architecture, tensors.clone())?;
        let maps = self.maps(Variant::Plain, observer)?;
        let mut answers = Answers {
            logits: Vec::with_capacity(images.len()),
            embeddings: Vec::with_capacity(images.len()),
            usual: Vec::with_capacity(images.len()),
        };
        for batch in images.chunks(32) {
            let map = maps.batch(batch)?;
            let embedding = if self.stage.trained_from >= HEAD {
                answers.usual.extend(vec![Vec::new(); batch.len()]);
                map.flatten_from(1)?
            } else {
                let from = self.stage.trained_from - 1;
                let (map, pools) = network.blocks_pooled(&map, from, self.usual_blocks)?;
                answers
                    .usual
                    .extend(Tensor::cat(&pools, 1)?.to_vec2::<f32>()?);
                Network::pool(&network.last_fused(&map)?)?
            };
            let logits = network.head(&embedding)?.to_vec2::<f32>()?;
            answers.logits.extend(logits);
            answers.embeddings.extend(embedding.to_vec2::<f32>()?);
        }
        Ok(answers)
    }

    fn maps(&self, variant: Variant, observer: &dyn Observer) -> Result<Maps<'_, '_>, ModelError> {
        let number = match variant {
            Variant::Plain => 0,
            Variant::Drawn(number) => number + 1,
        };
        self.trunk.maps(variant, &|done| {
            observer
                .tell(&Event::Features {
                    variant: number,
                    variants: self.stage.variants + 1,
                    done,
                    of: self.categories.len(),
                })
                .is_ok()
        })
    }

    /// Ones over the kept share where an embedding's number is kept, else zeros.
    fn dropout(&self, shape: &[usize], draws: &mut Draws) -> Result<Tensor, ModelError> {
        let count = shape.iter().product();
        let dropped = self.stage.dropout;
        let scale = draws_scale(dropped);
        let mask: Vec<f32> = (0..count)
            .map(|_| {
                if dropped > 0.0 && draws.chance(dropped) {
                    0.0
                } else {
                    scale
                }
            })
            .collect();
        Ok(Tensor::from_vec(mask, shape, &Device::Cpu)?)
    }

    /// Cross entropy with smoothed targets, each image weighted by its category.
    fn loss(&self, logits: &Tensor, batch: &[usize]) -> Result<Tensor, ModelError> {
        let count = self.architecture.categories;
        let smoothing = self.stage.label_smoothing;
        let total: f32 = batch
            .iter()
            .map(|i| self.weights[self.categories[*i]])
            .sum();
        let mut targets = vec![0.0_f32; batch.len() * count];
        for (image, target) in batch.iter().zip(targets.chunks_exact_mut(count)) {
            let category = self.categories[*image];
            let weight = self.weights[category] / total.max(f32::MIN_POSITIVE);
            target.fill(weight * smoothing / count as f32);
            target[category] += weight * (1.0 - smoothing);
        }
        let targets = Tensor::from_vec(targets, (batch.len(), count), &Device::Cpu)?;
        Ok((log_softmax(logits, 1)? * targets)?.sum_all()?.neg()?)
    }

    fn right(&self, logits: &[Vec<f32>], images: &[usize]) -> usize {
        images
            .iter()
            .zip(logits)
            .filter(|(image, logits)| {
                let truth = self.categories[**image];
                let own = logits[truth];
                !logits
                    .iter()
                    .enumerate()
                    .any(|(other, value)| *value > own || (*value == own && other < truth))
            })
            .count()
    }

    fn log_loss(&self, logits: &[Vec<f32>], images: &[usize]) -> f64 {
        let sum: f64 = images
            .iter()
            .zip(logits)
            .map(|(image, logits)| {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
                sum.ln() - f64::from(logits[self.categories[*image]] - most)
            })
            .sum();
        sum / images.len().max(1) as f64
    }

    fn store(
        &self,
        optimizer: &Optimizer,
        best: &Tensors,
        progress: &Progress,
    ) -> Result<(), ModelError> {
        let mut state = if progress.finished {
            // Nobody goes on from a finished fit: the weights are all that is still needed.
            Tensors::new()
        } else {
            optimizer.state()?
        };
        for (name, tensor) in best {
            state.insert(format!("best/{name}"), tensor.clone());
        }
        let note = serde_json::to_string(progress)
            .map_err(|error| ModelError::Settings(error.to_string()))?;
        let bytes = weights::to_bytes(&state, DType::F32, &[(NOTE, note)])?;
        write_whole(&self.checkpoint, &bytes)
    }

    fn restore(&self) -> Result<Option<(Tensors, Progress)>, ModelError> {
        if !fs::exists(&self.checkpoint).map_err(ModelError::file(&self.checkpoint))? {
            return Ok(None);
        }
        let bytes = read_bounded(&self.checkpoint, MAX_CHECKPOINT_BYTES)?;
        let progress: Progress = weights::note(&bytes, NOTE)?
            .and_then(|note| serde_json::from_str(&note).ok())
            .ok_or_else(|| {
                ModelError::Weights(format!(
                    "{} is no checkpoint; remove it to begin this part anew",
                    self.checkpoint.display()
                ))
            })?;
        Ok(Some((weights::parse(&bytes)?, progress)))
    }
}

fn draws_scale(dropped: f64) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a scale from 1 to some tens"
    )]
    let scale = (1.0 / (1.0 - dropped)) as f32;
    scale
}
