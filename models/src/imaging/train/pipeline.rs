//! The sequence from a folder of images to a model's two files.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::DType;

use super::augment::source_side;
use super::base::{BaseWeights, start};
use super::facts;
use super::observer::{Event, Observer};
use super::run::Run;
use super::settings::TrainSettings;
use super::trunk::Pictures;
use crate::imaging::classifier::{Classifier, ClassifyOptions};
use crate::imaging::dataset::{Broken, Dataset, DatasetOptions, Squares};
use crate::imaging::preprocess::Preprocessing;
use crate::manifest::{FORMAT, Manifest, Metrics, Training, WeightsFile};
use crate::metrics::Evaluation;
use crate::weights::{self, write_whole};
use crate::{MANIFEST_FILE, ModelError, WEIGHTS_FILE};

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
    pub broken: Vec<Broken>,
    /// Categories that had too few images to be learnt.
    pub dropped: Vec<String>,
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
        weights: facts::category_weights(&dataset, settings.balance),
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
        unreliable: facts::unreliable(&run.dataset),
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
        data: facts::stated(&run.dataset, squares.blake3, squares.broken.len()),
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
) -> Result<Squares, ModelError> {
    let done = AtomicUsize::new(0);
    let of = dataset.items.len();
    dataset.squares(sides, max_broken, &|| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        observer.on(&Event::Decoded { done, of })
    })
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
