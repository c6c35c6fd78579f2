//! A picture in, categories with calibrated probabilities out, or "not assessed".

use rayon::prelude::*;
use salus_imaging::Picture;
use serde::Serialize;

use super::dataset::{Dataset, Squares};
use super::network::{Network, Output};
use super::ood::{Distance, Distances};
use super::preprocess::square;
use crate::ModelError;
use crate::calibration::softmax;
use crate::manifest::Manifest;
use crate::metrics::{Evaluation, Judged, evaluate};
use crate::weights;

/// A category with its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// The category.
    pub label: String,
    /// Calibrated, 0 to 1.
    pub p: f64,
}

/// Why nothing is said about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// It lies far from all that the network was trained on.
    Unlike,
    /// No category is likely enough.
    Undecided,
    /// It has no structure: all of one level, or nearly.
    Blank,
}

/// What is said about a picture.
#[derive(Debug, Clone)]
pub struct Classification {
    /// All categories, the most likely first. Not to be shown as an answer where there is a doubt.
    pub top: Vec<Ranked>,
    /// Indices of the categories in the order of `top`.
    pub order: Vec<usize>,
    /// Why nothing is said, where nothing is.
    pub doubt: Option<Doubt>,
    /// How far the picture lies from the training images; about 1 for pictures like them.
    pub distance: Distance,
    /// The network's features of the picture.
    pub embedding: Vec<f32>,
    /// Before calibration, in the order of the categories.
    pub logits: Vec<f32>,
    /// `[embedding][side * side]`: the last map, from which a class activation map is made.
    pub map: Map,
}

/// The last map of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Places a side: 7 for 224 pixels.
    pub side: usize,
    /// `channels[channel * side * side + place]`.
    pub values: Vec<f32>,
}

impl Classification {
    /// "Not assessed".
    pub fn uncertain(&self) -> bool {
        self.doubt.is_some()
    }
}

/// How to classify.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassifyOptions {
    /// Also look at the mirror image and average: twice the time.
    pub mirror: bool,
}

/// Grey levels whose standard deviation is below this are no picture (of 255; a scan of air has more noise than that).
const BLANK_DEVIATION: f64 = 2.0;

/// A loaded model.
#[derive(Debug)]
pub struct Classifier {
    manifest: Manifest,
    network: Network,
    usual: Distances,
    /// `[categories][embedding]`.
    head: Vec<Vec<f32>>,
}

impl Classifier {
    /// Of a manifest and its weights, whose hash is compared first.
    ///
    /// # Errors
    ///
    /// Weights that are not those of the manifest, or not of its network.
    pub fn new(manifest: Manifest, weights: &[u8]) -> Result<Self, ModelError> {
        let found = blake3::hash(weights).to_hex().to_string();
        if found != manifest.weights.blake3 {
            return Err(ModelError::HashMismatch {
                expected: manifest.weights.blake3,
                found,
            });
        }
        let mut tensors = weights::parse(weights)?;
        let usual = Distances::take(&mut tensors, manifest.usual, manifest.categories.len())?;
        let network = Network::new(manifest.architecture, tensors)?;
        let head = network.head_weight().to_vec2()?;
        Ok(Classifier {
            manifest,
            network,
            usual,
            head,
        })
    }

    /// What is stated about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The network, for comparisons.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The head's weights of a category.
    pub(super) fn head_of(&self, category: usize) -> Option<&[f32]> {
        self.head.get(category).map(Vec::as_slice)
    }

    /// Classifies a picture of any size.
    ///
    /// # Errors
    ///
    /// A picture without pixels.
    pub fn classify(
        &self,
        picture: &Picture,
        options: ClassifyOptions,
    ) -> Result<Classification, ModelError> {
        let levels = square(picture, self.manifest.preprocessing.side)?;
        self.classify_square(&levels, options)
    }

    /// Classifies a square picture of the input's size: [`square`] gives one.
    ///
    /// # Errors
    ///
    /// Another number of levels.
    pub fn classify_square(
        &self,
        levels: &[u8],
        options: ClassifyOptions,
    ) -> Result<Classification, ModelError> {
        let side = self.manifest.preprocessing.side;
        let mirrored: Vec<u8>;
        let mut views = vec![levels];
        if options.mirror {
            mirrored = levels
                .chunks(side)
                .flat_map(|row| row.iter().rev().copied())
                .collect();
            views.push(&mirrored);
        }
        let output = self.run(&views)?;
        let mut logits = output.logits.to_vec2::<f32>()?;
        let embedding = output.embedding.get(0)?.to_vec1::<f32>()?;
        let temperature = self.manifest.temperature;
        let mut p = vec![0.0; self.manifest.categories.len()];
        for view in &logits {
            for (sum, value) in p.iter_mut().zip(softmax(view, temperature)) {
                *sum += value / logits.len() as f64;
            }
        }
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(a.cmp(b)));
        let distance = self.usual.of(&embedding)?;
        let doubt = if deviation(levels) < BLANK_DEVIATION {
            Some(Doubt::Blank)
        } else if distance.score > self.manifest.thresholds.distance {
            Some(Doubt::Unlike)
        } else if order
            .first()
            .is_none_or(|best| p[*best] < self.manifest.thresholds.probability)
        {
            Some(Doubt::Undecided)
        } else {
            None
        };
        Ok(Classification {
            top: order
                .iter()
                .map(|index| Ranked {
                    label: self.manifest.categories[*index].clone(),
                    p: p[*index],
                })
                .collect(),
            order,
            doubt,
            distance,
            embedding,
            logits: logits.swap_remove(0),
            map: Map {
                side: output.map.dim(2)?,
                values: output.map.get(0)?.flatten_all()?.to_vec1()?,
            },
        })
    }

    fn run(&self, squares: &[&[u8]]) -> Result<Output, ModelError> {
        let input = self.manifest.preprocessing.tensor(squares)?;
        Ok(self.network.forward_fused(&input)?)
    }

    /// Classifies all decoded images of a dataset and judges the answers; broken files are left out.
    ///
    /// # Errors
    ///
    /// Squares of another size; a category that the model does not know.
    pub fn evaluate(
        &self,
        dataset: &Dataset,
        squares: &Squares,
        seed: u64,
    ) -> Result<(Evaluation, Vec<Judged>), ModelError> {
        let judged: Vec<Option<Judged>> = dataset
            .items
            .par_iter()
            .zip(&squares.levels)
            .map(|(item, levels)| {
                let Some(levels) = levels.as_ref().and_then(|levels| levels.first()) else {
                    return Ok(None);
                };
                let name = &dataset.categories[item.category];
                let truth = self
                    .manifest
                    .categories
                    .iter()
                    .position(|category| category == name)
                    .ok_or_else(|| {
                        ModelError::Dataset(format!("the model knows no category {name:?}"))
                    })?;
                let said = self.classify_square(levels, ClassifyOptions::default())?;
                let mut p = vec![0.0; self.manifest.categories.len()];
                for (category, ranked) in said.order.iter().zip(&said.top) {
                    p[*category] = ranked.p;
                }
                Ok(Some(Judged {
                    truth,
                    p,
                    group: item.group.clone(),
                    source: item.source.clone(),
                    refused: said.uncertain(),
                }))
            })
            .collect::<Result<_, ModelError>>()?;
        let judged: Vec<Judged> = judged.into_iter().flatten().collect();
        let evaluation = evaluate(&judged, &self.manifest.categories, seed);
        Ok((evaluation, judged))
    }
}

/// Standard deviation of grey levels.
fn deviation(levels: &[u8]) -> f64 {
    let count = levels.len().max(1) as f64;
    let mean = levels.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
    let squares: f64 = levels.iter().map(|level| (f64::from(*level) - mean).powi(2)).sum();
    (squares / count).sqrt()
}
