//! A picture in, categories with calibrated probabilities out, or "not assessed".

use candle_core::Tensor;
use salus_imaging::Picture;
use salus_kernels::{Config, MobileNetV2};
use serde::Serialize;

use super::dataset::{Dataset, Item, Squares};
use super::network::{Architecture, Network};
use super::ood::{Distance, Distances};
use super::preprocess::{Preprocessing, square};
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

/// Images that go through the network at once.
const BATCH: usize = 16;

/// What runs the network.
enum Engine {
    /// The kernels' packed network: MobileNetV2 1.0 at 224 pixels, values in [-1, 1].
    Packed(Box<MobileNetV2>),
    /// Any other size, and whatever looks behind the stem.
    Fused(Box<Network>),
}

/// A loaded model.
pub struct Classifier {
    manifest: Manifest,
    engine: Engine,
    usual: Distances,
    /// `[categories][embedding]` and `[categories]`.
    head: (Vec<Vec<f32>>, Vec<f32>),
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Manifest { name, version, .. } = &self.manifest;
        let engine = match self.engine {
            Engine::Packed(_) => "packed",
            Engine::Fused(_) => "fused",
        };
        write!(f, "Classifier({name} {version}, {engine})")
    }
}

impl Classifier {
    /// Of a manifest and its weights, whose hash is compared first. It runs on `threads` threads, the caller's among
    /// them; by default as many as the processor has.
    ///
    /// # Errors
    ///
    /// Weights that are not those of the manifest, or not of its network.
    pub fn new(
        manifest: Manifest,
        weights: &[u8],
        threads: Option<usize>,
    ) -> Result<Self, ModelError> {
        let found = blake3::hash(weights).to_hex().to_string();
        if found != manifest.weights.blake3 {
            return Err(ModelError::HashMismatch {
                expected: manifest.weights.blake3,
                found,
            });
        }
        let mut tensors = weights::parse(weights)?;
        let usual = Distances::take(&mut tensors, &manifest.usual, manifest.categories.len())?;
        let architecture = manifest.architecture;
        architecture.check()?;
        architecture.refuse_others(&tensors)?;
        let head = architecture.head(&tensors)?;
        let preprocessing = manifest.preprocessing;
        // The kernels' network gives the means of blocks' results, not those of the stem (block 0).
        let packed = !usual.blocks().contains(&0)
            && architecture == Architecture::standard(architecture.categories)
            && preprocessing == Preprocessing::standard(architecture.input_px);
        let engine = if packed {
            let mut config = Config::default();
            if let Some(threads) = threads {
                config.threads = threads.max(1);
            }
            let tensors = tensors.into_iter().collect();
            let packed = MobileNetV2::new(&tensors, config)
                .and_then(|network| network.with_taps(usual.blocks()))
                .map_err(|error| ModelError::Weights(error.to_string()))?;
            Engine::Packed(Box::new(packed))
        } else {
            Engine::Fused(Box::new(Network::new(architecture, tensors)?))
        };
        Ok(Classifier {
            manifest,
            engine,
            usual,
            head,
        })
    }

    /// What is stated about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The head's weights of a category.
    pub(super) fn head_of(&self, category: usize) -> Option<&[f32]> {
        self.head.0.get(category).map(Vec::as_slice)
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

    /// Classifies a square picture of the input's size: [`square`] gives one, and so does a decoder that is asked for it.
    ///
    /// # Errors
    ///
    /// Another number of levels.
    pub fn classify_square(
        &self,
        levels: &[u8],
        options: ClassifyOptions,
    ) -> Result<Classification, ModelError> {
        self.classify_squares(&[levels], options)?
            .pop()
            .ok_or_else(|| ModelError::Picture("there is none".to_owned()))
    }

    /// Classifies square pictures of the input's size, some at once, which is faster than one by one.
    ///
    /// # Errors
    ///
    /// Another number of levels.
    pub fn classify_squares(
        &self,
        squares: &[&[u8]],
        options: ClassifyOptions,
    ) -> Result<Vec<Classification>, ModelError> {
        let mut all = Vec::with_capacity(squares.len());
        for squares in squares.chunks(BATCH) {
            let features = self.features(squares)?;
            let mirrored = if options.mirror {
                let side = self.manifest.preprocessing.side;
                let mirrored: Vec<Vec<u8>> =
                    squares.iter().map(|levels| mirror(levels, side)).collect();
                let views: Vec<&[u8]> = mirrored.iter().map(Vec::as_slice).collect();
                Some(self.features(&views)?.embeddings)
            } else {
                None
            };
            for (index, levels) in squares.iter().enumerate() {
                let embedding = features.embeddings[index].clone();
                let other = mirrored.as_ref().map(|mirrored| mirrored[index].as_slice());
                let map = features.map_of(index)?;
                all.push(self.judge(levels, embedding, other, &features.usual[index], map)?);
            }
        }
        Ok(all)
    }

    fn judge(
        &self,
        levels: &[u8],
        embedding: Vec<f32>,
        mirrored: Option<&[f32]>,
        usual: &[f32],
        map: Map,
    ) -> Result<Classification, ModelError> {
        let logits = self.logits(&embedding);
        let temperature = self.manifest.temperature;
        let mut p = softmax(&logits, temperature);
        if let Some(mirrored) = mirrored {
            for (p, other) in p
                .iter_mut()
                .zip(softmax(&self.logits(mirrored), temperature))
            {
                *p = (*p + other) / 2.0;
            }
        }
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(a.cmp(b)));
        let distance = self.usual.of(usual)?;
        let thresholds = self.manifest.thresholds;
        let doubt = if deviation(levels) < BLANK_DEVIATION {
            Some(Doubt::Blank)
        } else if distance.score > thresholds.distance {
            Some(Doubt::Unlike)
        } else if order
            .first()
            .is_none_or(|best| p[*best] < thresholds.probability)
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
            logits,
            map,
        })
    }

    /// Before the softmax, not calibrated.
    pub(super) fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        let (weights, bias) = &self.head;
        weights
            .iter()
            .zip(bias)
            .map(|(row, bias)| bias + row.iter().zip(embedding).map(|(w, v)| w * v).sum::<f32>())
            .collect()
    }

    /// Last maps and embeddings of square pictures.
    pub(super) fn features(&self, squares: &[&[u8]]) -> Result<Features, ModelError> {
        let preprocessing = self.manifest.preprocessing;
        let area = preprocessing.side * preprocessing.side;
        if let Some(square) = squares.iter().find(|square| square.len() != area) {
            return Err(ModelError::Picture(format!(
                "{} pixels instead of {area}",
                square.len()
            )));
        }
        let (maps, embeddings, pools) = match &self.engine {
            Engine::Packed(network) => {
                let features = network.grey(&squares.concat())?;
                (features.map, features.pooled, features.taps)
            }
            Engine::Fused(network) => {
                let input = preprocessing.tensor(squares)?;
                let output = network.forward_fused(&input, self.usual.blocks())?;
                (output.map, output.embedding, output.pools)
            }
        };
        Ok(Features {
            embeddings: embeddings.to_vec2()?,
            usual: Tensor::cat(&pools, 1)?.to_vec2()?,
            maps,
        })
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
        options: ClassifyOptions,
        seed: u64,
    ) -> Result<(Evaluation, Vec<Judged>), ModelError> {
        let known: Vec<usize> = dataset
            .categories
            .iter()
            .map(|name| {
                let position = self
                    .manifest
                    .categories
                    .iter()
                    .position(|known| known == name);
                position.ok_or_else(|| {
                    ModelError::Dataset(format!(
                        "the model knows no category {name:?}; it knows {}",
                        self.manifest.categories.join(", ")
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        let (items, views): (Vec<&Item>, Vec<&[u8]>) = dataset
            .items
            .iter()
            .zip(&squares.levels)
            .filter_map(|(item, levels)| Some((item, levels.as_ref()?.first()?.as_slice())))
            .unzip();
        let mut judged = Vec::with_capacity(items.len());
        for (items, views) in items.chunks(BATCH).zip(views.chunks(BATCH)) {
            let said = self.classify_squares(views, options)?;
            for (item, said) in items.iter().zip(said) {
                let mut p = vec![0.0; self.manifest.categories.len()];
                for (category, ranked) in said.order.iter().zip(&said.top) {
                    p[*category] = ranked.p;
                }
                judged.push(Judged {
                    truth: known[item.category],
                    p,
                    group: item.group.clone(),
                    source: item.source.clone(),
                    refused: said.uncertain(),
                });
            }
        }
        let evaluation = evaluate(&judged, &self.manifest.categories, seed);
        Ok((evaluation, judged))
    }
}

/// What the network gives for some pictures, before the head.
pub(super) struct Features {
    pub embeddings: Vec<Vec<f32>>,
    /// What is measured to tell how far a picture lies from the training pictures.
    pub usual: Vec<Vec<f32>>,
    /// `[n, embedding, side, side]`.
    maps: Tensor,
}

impl Features {
    pub(super) fn map_of(&self, index: usize) -> Result<Map, ModelError> {
        Ok(Map {
            side: self.maps.dim(2)?,
            values: self.maps.get(index)?.flatten_all()?.to_vec1()?,
        })
    }
}

/// Left for right.
fn mirror(levels: &[u8], side: usize) -> Vec<u8> {
    levels
        .chunks(side)
        .flat_map(|row| row.iter().rev().copied())
        .collect()
}

/// Standard deviation of grey levels.
fn deviation(levels: &[u8]) -> f64 {
    let count = levels.len().max(1) as f64;
    let mean = levels.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
    let squares: f64 = levels
        .iter()
        .map(|level| (f64::from(*level) - mean).powi(2))
        .sum();
    (squares / count).sqrt()
}
