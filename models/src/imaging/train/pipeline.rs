//! The sequence from a folder of images to a model's two files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};

use super::augment::source_side;
use super::fit::{Answers, EpochReport, Fit, Fitted};
use super::folds;
use super::observer::{Event, Observer};
use super::refit::Head;
use super::settings::TrainSettings;
use super::trunk::{Pictures, Trunk};
use crate::calibration::{quantile, softmax, temperature};
use crate::draws::Draws;
use crate::imaging::classifier::{Classifier, ClassifyOptions};
use crate::imaging::dataset::{Dataset, DatasetOptions};
use crate::imaging::network::{Architecture, Network};
use crate::imaging::ood::Distances;
use crate::imaging::preprocess::Preprocessing;
use crate::manifest::{Base, Data, FORMAT, Manifest, Metrics, Thresholds, Training, WeightsFile};
use crate::metrics::{Evaluation, Judged, evaluate, family};
use crate::weights::{self, Tensors, write_whole};
use crate::{MANIFEST_FILE, ModelError, WEIGHTS_FILE};

/// What training starts from.
pub struct BaseWeights {
    /// The network's tensors; the head's may have another number of categories, and are not used.
    pub tensors: Tensors,
    /// What the manifest says about it.
    pub base: Base,
}

impl BaseWeights {
    /// Of a weights file's bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are no weights.
    pub fn parse(bytes: &[u8], name: &str, licence: &str) -> Result<Self, ModelError> {
        Ok(BaseWeights {
            tensors: weights::parse(bytes)?,
            base: Base {
                name: name.to_owned(),
                blake3: blake3::hash(bytes).to_hex().to_string(),
                licence: licence.to_owned(),
            },
        })
    }
}

/// What a run is asked for.
pub struct Request<'a> {
    /// Holds category folders, or `train` and `val` with them.
    pub images: &'a Path,
    /// What training starts from.
    pub base: &'a BaseWeights,
    /// How to train.
    pub settings: &'a TrainSettings,
    /// Where to keep what an interrupted run goes on from; up to some gigabytes. It may be removed afterwards.
    pub state: &'a Path,
    /// Where the model's two files go.
    pub output: &'a Path,
    /// The model's version.
    pub version: &'a str,
    /// The time, in milliseconds since 1970 (UTC).
    pub now_ms: u64,
}

/// What a run gave.
#[derive(Debug)]
pub struct Trained {
    /// As it was written.
    pub manifest: Manifest,
    /// Files that gave no picture.
    pub broken: Vec<crate::imaging::dataset::Broken>,
    /// Categories that had too few images to be learnt.
    pub dropped: Vec<String>,
}

/// What everything in a run looks at.
struct Run<'a> {
    request: &'a Request<'a>,
    observer: &'a dyn Observer,
    dataset: Dataset,
    pictures: Pictures,
    categories: Vec<usize>,
    weights: Vec<f32>,
    architecture: Architecture,
    start: Tensors,
    /// Stands for the images and the base in the names of kept files.
    key: String,
}

/// Trains a model, or goes on where an earlier call with the same request stopped.
///
/// # Errors
///
/// [`ModelError::Stopped`] when the observer asks; images, settings or base that cannot be used; files that cannot be
/// written.
pub fn train(request: &Request<'_>, observer: &dyn Observer) -> Result<Trained, ModelError> {
    let settings = request.settings;
    settings.check()?;
    for folder in [request.state, request.output] {
        fs::create_dir_all(folder).map_err(ModelError::file(folder))?;
    }
    let options = DatasetOptions {
        licences: settings.licences,
        ..DatasetOptions::default()
    };
    let mut dataset = Dataset::open_split(request.images, "train", &options)?;
    let left_out = dataset.left_out;
    let side = settings.input_px;
    let squares = decode(
        &dataset,
        &[side, source_side(side)],
        settings.max_broken,
        observer,
    )?;
    let missing: Vec<usize> = (0..dataset.items.len())
        .filter(|index| squares.levels[*index].is_none())
        .collect();
    let all_categories: Vec<usize> = dataset.items.iter().map(|item| item.category).collect();
    let old_names = dataset.categories.clone();
    // Each fold must hold some and leave some.
    let dropped = dataset.thin_out(&missing, 2 * settings.folds);
    if dataset.categories.len() < 2 {
        return Err(ModelError::Dataset(format!(
            "fewer than two categories have the {} images that {} folds need",
            2 * settings.folds,
            settings.folds
        )));
    }
    let pictures = {
        let mut pictures = Pictures {
            plain: Vec::new(),
            source: Vec::new(),
        };
        for (levels, category) in squares.levels.into_iter().zip(&all_categories) {
            let kept = dataset.categories.contains(&old_names[*category]);
            if let Some(mut levels) = levels
                && kept
                && let (Some(source), Some(plain)) = (levels.pop(), levels.pop())
            {
                pictures.source.push(source);
                pictures.plain.push(plain);
            }
        }
        pictures
    };
    let architecture = settings.architecture(dataset.categories.len());
    let run = Run {
        request,
        observer,
        categories: dataset.items.iter().map(|item| item.category).collect(),
        weights: category_weights(&dataset, settings.balance),
        start: start(request.base, architecture)?,
        key: format!("{} {}", request.base.base.blake3, squares.blake3),
        architecture,
        pictures,
        dataset,
    };
    run.claim_state()?;
    let chosen = run.cross_validate()?;
    let mut curves = chosen.curves;
    let (tensors, usual) = run.final_fit(&chosen.epochs, &mut curves)?;
    let mut manifest = Manifest {
        format: FORMAT,
        name: "imaging".to_owned(),
        version: request.version.to_owned(),
        component: "image-classifier".to_owned(),
        created_ms: request.now_ms,
        research_use_only: true,
        categories: run.dataset.categories.clone(),
        unreliable: unreliable(&run.dataset),
        preprocessing: Preprocessing::standard(side),
        architecture,
        weights: WeightsFile {
            file: WEIGHTS_FILE.to_owned(),
            bytes: 0,
            blake3: String::new(),
            dtype: "f16".to_owned(),
        },
        temperature: chosen.temperature,
        thresholds: chosen.thresholds,
        usual: usual.shape(),
        data: Data {
            blake3: squares.blake3,
            images: run
                .dataset
                .categories
                .iter()
                .cloned()
                .zip(run.dataset.counts())
                .collect(),
            groups: groups(&run.dataset),
            sources: sources(&run.dataset),
            licences: run.dataset.licences(),
            left_out,
            broken: squares.broken.len(),
        },
        base: request.base.base.clone(),
        training: Training {
            settings: settings.clone(),
            curves,
            epochs: chosen.epochs,
        },
        metrics: Metrics {
            cross_validation: chosen.evaluation,
            validation: None,
        },
    };
    let mut stored = tensors;
    stored.extend(usual.tensors()?);
    let bytes = weights::to_bytes(&stored, DType::F16, &[])?;
    manifest.weights.bytes = bytes.len() as u64;
    manifest.weights.blake3 = blake3::hash(&bytes).to_hex().to_string();
    manifest.metrics.validation = validate(request, &manifest, &bytes, observer)?;
    write_whole(&request.output.join(WEIGHTS_FILE), &bytes)?;
    write_whole(
        &request.output.join(MANIFEST_FILE),
        manifest.to_json()?.as_bytes(),
    )?;
    Ok(Trained {
        manifest,
        broken: squares.broken,
        dropped,
    })
}

fn decode(
    dataset: &Dataset,
    sides: &[usize],
    max_broken: usize,
    observer: &dyn Observer,
) -> Result<crate::imaging::dataset::Squares, ModelError> {
    let done = AtomicUsize::new(0);
    let of = dataset.items.len();
    dataset.squares(sides, max_broken, &|| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        observer.on(&Event::Decoded { done, of })
    })
}

/// The base with a head of zeros: every category is equally likely at first.
fn start(base: &BaseWeights, architecture: Architecture) -> Result<Tensors, ModelError> {
    let mut given = base.tensors.clone();
    let mut start = Tensors::new();
    for (name, shape) in architecture.tensors() {
        let tensor = if name.starts_with("classifier.") {
            Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu)?
        } else {
            weights::take(&mut given, &name, &shape)?
        };
        start.insert(name, tensor);
    }
    Ok(start)
}

fn category_weights(dataset: &Dataset, balance: f32) -> Vec<f32> {
    let counts = dataset.counts();
    let all: usize = counts.iter().sum();
    counts
        .iter()
        .map(|count| (all as f32 / (counts.len() * count.max(&1)) as f32).powf(balance))
        .collect()
}

fn groups(dataset: &Dataset) -> usize {
    let groups: BTreeSet<&str> = dataset
        .items
        .iter()
        .map(|item| item.group.as_str())
        .collect();
    groups.len()
}

fn sources(dataset: &Dataset) -> BTreeMap<String, usize> {
    let mut sources = BTreeMap::new();
    for source in dataset.items.iter().filter_map(|item| item.source.clone()) {
        *sources.entry(source).or_default() += 1;
    }
    sources
}

/// Categories all of whose images come from sources that gave no other category of the family: a network can tell them
/// by where they come from, and nothing in the data shows whether it does.
fn unreliable(dataset: &Dataset) -> BTreeMap<String, String> {
    let mut of_category: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for item in &dataset.items {
        if let Some(source) = &item.source {
            of_category.entry(item.category).or_default().insert(source);
        }
    }
    let name = |category: &usize| dataset.categories[*category].as_str();
    let mut found = BTreeMap::new();
    for (category, sources) in &of_category {
        let mut others = of_category.iter().filter(|(other, _)| {
            *other != category && family(name(other)) == family(name(category))
        });
        let has_family = others.clone().next().is_some();
        if has_family && others.all(|(_, other)| other.is_disjoint(sources)) {
            found.insert(
                name(category).to_owned(),
                "all its training images come from sources that gave no other category of its family: \
                 the network may tell the origin, not the disease"
                    .to_owned(),
            );
        }
    }
    found
}

/// What cross-validation chose.
struct Chosen {
    epochs: Vec<usize>,
    temperature: f64,
    thresholds: Thresholds,
    evaluation: Evaluation,
    curves: BTreeMap<String, Vec<EpochReport>>,
}

impl Run<'_> {
    /// Refuses a state folder that another run began.
    fn claim_state(&self) -> Result<(), ModelError> {
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

    fn cross_validate(&self) -> Result<Chosen, ModelError> {
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

    fn final_fit(
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

/// The one look at the validation images, with the weights as they are stored.
fn validate(
    request: &Request<'_>,
    manifest: &Manifest,
    bytes: &[u8],
    observer: &dyn Observer,
) -> Result<Option<Evaluation>, ModelError> {
    let folder = request.images.join("val");
    if !folder.is_dir() {
        return Ok(None);
    }
    // The folder's own categories may be more than were learnt.
    let options = DatasetOptions {
        licences: request.settings.licences,
        ..DatasetOptions::default()
    };
    let mut dataset = Dataset::open(&folder, &options)?;
    dataset.keep_categories(&manifest.categories);
    if dataset.items.is_empty() {
        return Ok(None);
    }
    let classifier = Classifier::new(manifest.clone(), bytes, None)?;
    let side = request.settings.input_px;
    let squares = decode(&dataset, &[side], request.settings.max_broken, observer)?;
    let (evaluation, _) = classifier.evaluate(
        &dataset,
        &squares,
        ClassifyOptions::default(),
        request.settings.seed,
    )?;
    observer.tell(&Event::Note(&format!(
        "validation: accuracy {:.4}, balanced {:.4}, calibration error {:.4}, refused {:.4}",
        evaluation.metrics.accuracy,
        evaluation.metrics.balanced_accuracy,
        evaluation.metrics.ece,
        evaluation.metrics.refused
    )))?;
    Ok(Some(evaluation))
}

/// A base of random weights, for tests and for whoever has no other: He's initialisation.
///
/// # Errors
///
/// A size that no network has.
pub fn random_base(architecture: Architecture, seed: u64) -> Result<BaseWeights, ModelError> {
    architecture.check()?;
    let mut tensors = Tensors::new();
    for (index, (name, shape)) in architecture.tensors().into_iter().enumerate() {
        let mut draws = Draws::new(seed, "base", &[index as u64]);
        let inputs: usize = shape[1..].iter().product();
        // A linear convolution has no ReLU that takes half of the variance away.
        let linear = name.ends_with("conv.2.weight") || name == "features.1.conv.1.weight";
        let gain = if linear { 1.0 } else { 2.0 };
        let deviation = if name.ends_with("weight") {
            (gain / inputs.max(1) as f64).sqrt()
        } else {
            0.0
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| (draws.normal() * deviation) as f32)
            .collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
    }
    let bytes = weights::to_bytes(&tensors, DType::F32, &[])?;
    BaseWeights::parse(&bytes, "random", "none needed")
}
