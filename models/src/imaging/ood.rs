//! How far an image lies from all that the network was trained on.
//!
//! Embeddings of each category are taken as normal with one covariance for all (K. Lee et al., NeurIPS 2018), on
//! embeddings of length 1, which keeps bright, busy pictures from looking far only because they are strong. Of the
//! covariance the largest directions are kept, and one variance for all others (M. Tipping, C. Bishop, 1999), so that
//! what lies outside the directions of the training images counts most. The score is the squared distance to the
//! nearest category, divided by the number of dimensions: about 1 for images like the training images.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::draws::Draws;
use crate::weights::{Tensors, take};

/// Directions of the covariance that are kept.
pub const DIRECTIONS: usize = 96;
/// Rounds of the orthogonal iteration: the directions' variances have settled to a thousandth long before.
const ROUNDS: usize = 24;

/// The shape of a [`Distances`], for the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistancesShape {
    /// Numbers of an embedding.
    pub features: usize,
    /// Directions that are kept.
    pub directions: usize,
}

/// Where the categories' embeddings lie, and how they are spread.
#[derive(Debug, Clone)]
pub struct Distances {
    /// `[categories][features]`.
    centres: Vec<Vec<f32>>,
    /// `[directions][features]`, of length 1 and at right angles.
    directions: Vec<Vec<f32>>,
    /// Variance along each direction.
    variances: Vec<f32>,
    /// Variance along each of the other directions.
    rest: f32,
}

/// How far an embedding lies from each category.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// The least of `to`.
    pub score: f64,
    /// Index of the nearest category.
    pub nearest: usize,
    /// Squared distance over dimensions, for each category.
    pub to: Vec<f64>,
}

/// An embedding at length 1; zeros stay zeros.
fn unit(embedding: &[f32]) -> Vec<f32> {
    let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    embedding.iter().map(|value| value * scale).collect()
}

impl Distances {
    /// From embeddings of images whose categories are known; every category must occur.
    ///
    /// # Errors
    ///
    /// A category without images, or embeddings that are all alike.
    pub fn fit(
        embeddings: &[Vec<f32>],
        truth: &[usize],
        categories: usize,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let features = embeddings.first().map_or(0, Vec::len);
        let mut units: Vec<Vec<f32>> = embeddings.iter().map(|e| unit(e)).collect();
        let mut centres = vec![vec![0.0_f32; features]; categories];
        let mut counts = vec![0_usize; categories];
        for (embedding, category) in units.iter().zip(truth) {
            counts[*category] += 1;
            for (sum, value) in centres[*category].iter_mut().zip(embedding) {
                *sum += value;
            }
        }
        for (centre, count) in centres.iter_mut().zip(&counts) {
            if *count == 0 {
                return Err(ModelError::Dataset(
                    "a category has no images to say what is usual".to_owned(),
                ));
            }
            for value in centre.iter_mut() {
                *value /= *count as f32;
            }
        }
        for (embedding, category) in units.iter_mut().zip(truth) {
            for (value, centre) in embedding.iter_mut().zip(&centres[*category]) {
                *value -= centre;
            }
        }
        let count = units.len();
        let directions = DIRECTIONS.min(features / 2).min(count / 4).max(1);
        let total: f64 = units.iter().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>()
            / count.max(1) as f64;
        let rows = Tensor::from_vec(units.concat(), (count, features), &Device::Cpu)?;
        let (basis, variances) = leading(&rows, directions, seed)?;
        let kept: f64 = variances.iter().map(|v| f64::from(*v)).sum();
        let rest = narrow((total - kept) / (features - directions).max(1) as f64);
        if !(rest > 0.0) || variances.iter().any(|variance| !(*variance > 0.0)) {
            return Err(ModelError::Dataset(
                "the images are too few or too alike to say what is usual".to_owned(),
            ));
        }
        Ok(Distances {
            centres,
            directions: basis,
            variances,
            rest,
        })
    }

    /// How far an embedding lies from each category.
    ///
    /// # Errors
    ///
    /// An embedding of another length.
    pub fn of(&self, embedding: &[f32]) -> Result<Distance, ModelError> {
        let features = self.centres.first().map_or(0, Vec::len);
        if embedding.len() != features {
            return Err(ModelError::Weights(format!(
                "an embedding has {} numbers instead of {features}",
                embedding.len()
            )));
        }
        let embedding = unit(embedding);
        let project = |vector: &[f32]| -> Vec<f64> {
            self.directions
                .iter()
                .map(|direction| dot(direction, vector))
                .collect()
        };
        let at = project(&embedding);
        let to: Vec<f64> = self
            .centres
            .iter()
            .map(|centre| {
                let mut inside = 0.0;
                let mut distance = 0.0;
                for ((at, centre), variance) in
                    at.iter().zip(project(centre)).zip(&self.variances)
                {
                    let square = (at - centre).powi(2);
                    inside += square;
                    distance += square / f64::from(*variance);
                }
                let all: f64 = embedding
                    .iter()
                    .zip(centre)
                    .map(|(a, b)| f64::from(a - b).powi(2))
                    .sum();
                distance += (all - inside).max(0.0) / f64::from(self.rest);
                distance / features as f64
            })
            .collect();
        let nearest = (0..to.len())
            .min_by(|a, b| to[*a].total_cmp(&to[*b]))
            .unwrap_or(0);
        Ok(Distance {
            score: to.get(nearest).copied().unwrap_or(f64::INFINITY),
            nearest,
            to,
        })
    }

    /// Its shape.
    pub fn shape(&self) -> DistancesShape {
        DistancesShape {
            features: self.centres.first().map_or(0, Vec::len),
            directions: self.directions.len(),
        }
    }

    /// As tensors under names that begin with `usual.`; variances as logarithms, which `f16` holds well.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn tensors(&self) -> Result<Tensors, ModelError> {
        let shape = self.shape();
        let device = &Device::Cpu;
        let logarithms: Vec<f32> = self
            .variances
            .iter()
            .chain([&self.rest])
            .map(|variance| variance.ln())
            .collect();
        Ok(Tensors::from([
            (
                "usual.centres".to_owned(),
                Tensor::from_vec(
                    self.centres.concat(),
                    (self.centres.len(), shape.features),
                    device,
                )?,
            ),
            (
                "usual.directions".to_owned(),
                Tensor::from_vec(
                    self.directions.concat(),
                    (shape.directions, shape.features),
                    device,
                )?,
            ),
            (
                "usual.variances".to_owned(),
                Tensor::from_vec(logarithms, shape.directions + 1, device)?,
            ),
        ]))
    }

    /// What [`Distances::tensors`] gave, taken out of a model's tensors.
    ///
    /// # Errors
    ///
    /// Tensors that are missing or of another shape.
    pub fn take(
        tensors: &mut Tensors,
        shape: DistancesShape,
        categories: usize,
    ) -> Result<Self, ModelError> {
        let DistancesShape {
            features,
            directions,
        } = shape;
        let centres = take(tensors, "usual.centres", &[categories, features])?.to_vec2()?;
        let basis = take(tensors, "usual.directions", &[directions, features])?.to_vec2()?;
        let logarithms: Vec<f32> =
            take(tensors, "usual.variances", &[directions + 1])?.to_vec1()?;
        let mut variances: Vec<f32> = logarithms.into_iter().map(f32::exp).collect();
        let rest = variances.pop().unwrap_or(0.0);
        if variances.iter().chain([&rest]).any(|v| !v.is_normal()) {
            return Err(ModelError::Weights(
                "usual.variances holds numbers that are no variances".to_owned(),
            ));
        }
        Ok(Distances {
            centres,
            directions: basis,
            variances,
            rest,
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is meant"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The directions in which rows `[n, features]` vary most, and the variance along each: orthogonal iteration.
fn leading(
    rows: &Tensor,
    directions: usize,
    seed: u64,
) -> Result<(Vec<Vec<f32>>, Vec<f32>), ModelError> {
    let (count, features) = rows.dims2()?;
    let mut draws = Draws::new(seed, "directions", &[]);
    let mut basis: Vec<Vec<f32>> = (0..directions)
        .map(|_| (0..features).map(|_| draws.between_f32(-1.0, 1.0)).collect())
        .collect();
    orthogonalise(&mut basis);
    for _ in 0..ROUNDS {
        let flat = Tensor::from_vec(basis.concat(), (directions, features), &Device::Cpu)?;
        let along = rows.matmul(&flat.t()?)?;
        basis = along.t()?.matmul(rows)?.to_vec2()?;
        orthogonalise(&mut basis);
    }
    let flat = Tensor::from_vec(basis.concat(), (directions, features), &Device::Cpu)?;
    let along = rows.matmul(&flat.t()?)?.t()?.to_vec2::<f32>()?;
    let variances = along
        .iter()
        .map(|values| narrow(values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / count as f64))
        .collect();
    Ok((basis, variances))
}

/// Gram and Schmidt, twice, which is enough (L. Giraud et al., 2005).
fn orthogonalise(basis: &mut [Vec<f32>]) {
    for index in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(index);
        let Some(vector) = rest.first_mut() else { break };
        for _ in 0..2 {
            for other in before.iter() {
                let along = narrow(dot(other, vector));
                for (value, other) in vector.iter_mut().zip(other) {
                    *value -= along * other;
                }
            }
            *vector = unit(vector);
        }
    }
}
