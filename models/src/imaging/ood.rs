//! How far a picture lies from all that the network was trained on.
//!
//! What is measured are the means of the maps behind some blocks: middle ones, which still tell textures and edges that
//! the last block no longer needs. They are standardised and taken as normal in each category, with one covariance for
//! all (K. Lee et al., NeurIPS 2018), which is drawn towards a sphere so that it can be inverted with fewer images than
//! numbers would need (O. Ledoit, M. Wolf, 2004). The score is the squared distance to the nearest category, divided by
//! the number of dimensions: about 1 for pictures like the training pictures.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::weights::{Tensors, take};

/// How much of the covariance is replaced by a sphere of the same trace (chosen inside the training data, 2026-11-22).
const SPHERE_SHARE: f64 = 0.1;
/// Standard deviations below this are taken as this: a map that never changes says nothing.
const LEAST_DEVIATION: f64 = 1e-4;

/// What is measured; part of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistancesShape {
    /// The blocks whose maps' means are taken, one after the other.
    pub blocks: Vec<usize>,
    /// How many numbers that makes.
    pub features: usize,
}

/// Where the categories' pictures lie, in coordinates in which their spread is a sphere of radius 1.
#[derive(Debug, Clone)]
pub struct Distances {
    blocks: Vec<usize>,
    /// Row by row, the lower half: from features to those coordinates.
    whitening: Vec<Vec<f32>>,
    /// `[categories][features]`, in those coordinates.
    centres: Vec<Vec<f32>>,
}

/// How far a picture lies from each category.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distance {
    /// The least of `to`.
    pub score: f64,
    /// Index of the nearest category.
    pub nearest: usize,
    /// Squared distance over dimensions, for each category.
    pub to: Vec<f64>,
}

impl Distances {
    /// From the features of pictures whose categories are known; every category must occur.
    ///
    /// # Errors
    ///
    /// A category without pictures, or features that are not finite.
    pub fn fit(
        blocks: &[usize],
        features: &[Vec<f32>],
        truth: &[usize],
        categories: usize,
    ) -> Result<Self, ModelError> {
        let count = features.len();
        let width = features.first().map_or(0, Vec::len);
        if count == 0 || width == 0 {
            return Err(ModelError::Dataset(
                "there are no pictures to say what is usual".to_owned(),
            ));
        }
        let deviations = deviations(features, width);
        let scaled: Vec<Vec<f64>> = features
            .iter()
            .map(|row| {
                let values = row.iter().zip(&deviations);
                values.map(|(value, d)| f64::from(*value) / d).collect()
            })
            .collect();
        let mut centres = vec![vec![0.0_f64; width]; categories];
        let mut counts = vec![0_usize; categories];
        for (row, category) in scaled.iter().zip(truth) {
            counts[*category] += 1;
            for (sum, value) in centres[*category].iter_mut().zip(row) {
                *sum += value;
            }
        }
        for (centre, count) in centres.iter_mut().zip(&counts) {
            if *count == 0 {
                return Err(ModelError::Dataset(
                    "a category has no pictures to say what is usual".to_owned(),
                ));
            }
            for value in centre.iter_mut() {
                *value /= *count as f64;
            }
        }
        let within: Vec<f32> = scaled
            .iter()
            .zip(truth)
            .flat_map(|(row, category)| {
                let values = row.iter().zip(&centres[*category]);
                values
                    .map(|(value, centre)| narrow(value - centre))
                    .collect::<Vec<_>>()
            })
            .collect();
        let within = Tensor::from_vec(within, (count, width), &Device::Cpu)?;
        let products: Vec<Vec<f32>> = within.t()?.matmul(&within)?.to_vec2()?;
        let mut covariance: Vec<Vec<f64>> = products
            .iter()
            .map(|row| {
                row.iter()
                    .map(|sum| f64::from(*sum) / count as f64)
                    .collect()
            })
            .collect();
        let mean_variance = (0..width).map(|i| covariance[i][i]).sum::<f64>() / width as f64;
        for (i, row) in covariance.iter_mut().enumerate() {
            for value in row.iter_mut() {
                *value *= 1.0 - SPHERE_SHARE;
            }
            row[i] += SPHERE_SHARE * mean_variance.max(LEAST_DEVIATION);
        }
        let inverse = inverse_of_root(covariance).ok_or_else(|| {
            ModelError::Dataset("the pictures' features are not finite".to_owned())
        })?;
        let centres = centres
            .iter()
            .map(|centre| {
                inverse
                    .iter()
                    .map(|row| narrow(row.iter().zip(centre).map(|(w, c)| w * c).sum()))
                    .collect()
            })
            .collect();
        let whitening = inverse
            .iter()
            .map(|row| {
                let values = row.iter().zip(&deviations);
                values.map(|(weight, d)| narrow(weight / d)).collect()
            })
            .collect();
        Ok(Distances {
            blocks: blocks.to_vec(),
            whitening,
            centres,
        })
    }

    /// How far these features lie from each category.
    ///
    /// # Errors
    ///
    /// Another number of features.
    pub fn of(&self, features: &[f32]) -> Result<Distance, ModelError> {
        let width = self.whitening.len();
        if features.len() != width {
            return Err(ModelError::Weights(format!(
                "there are {} features instead of {width}",
                features.len()
            )));
        }
        let at: Vec<f32> = self
            .whitening
            .iter()
            .enumerate()
            .map(|(row, weights)| {
                // What lies above the diagonal is zero.
                let values = weights.iter().zip(features).take(row + 1);
                values.map(|(weight, value)| weight * value).sum()
            })
            .collect();
        let to: Vec<f64> = self
            .centres
            .iter()
            .map(|centre| {
                let squares = at.iter().zip(centre).map(|(a, c)| f64::from(a - c).powi(2));
                squares.sum::<f64>() / width as f64
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

    /// The blocks whose maps' means are taken.
    pub fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    /// What the manifest says about it.
    pub fn shape(&self) -> DistancesShape {
        DistancesShape {
            blocks: self.blocks.clone(),
            features: self.whitening.len(),
        }
    }

    /// As tensors under names that begin with `usual.`.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn tensors(&self) -> Result<Tensors, ModelError> {
        let width = self.whitening.len();
        let tensor =
            |rows: &[Vec<f32>]| Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu);
        Ok(Tensors::from([
            ("usual.whitening".to_owned(), tensor(&self.whitening)?),
            ("usual.centres".to_owned(), tensor(&self.centres)?),
        ]))
    }

    /// What [`Distances::tensors`] gave, taken out of a model's tensors.
    ///
    /// # Errors
    ///
    /// Tensors that are missing or of another shape.
    pub fn take(
        tensors: &mut Tensors,
        shape: &DistancesShape,
        categories: usize,
    ) -> Result<Self, ModelError> {
        let width = shape.features;
        Ok(Distances {
            blocks: shape.blocks.clone(),
            whitening: take(tensors, "usual.whitening", &[width, width])?.to_vec2()?,
            centres: take(tensors, "usual.centres", &[categories, width])?.to_vec2()?,
        })
    }
}

/// The standard deviation of each column.
fn deviations(rows: &[Vec<f32>], width: usize) -> Vec<f64> {
    let count = rows.len() as f64;
    let mut sums = vec![(0.0_f64, 0.0_f64); width];
    for row in rows {
        for ((sum, squares), value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
            *squares += f64::from(*value).powi(2);
        }
    }
    sums.into_iter()
        .map(|(sum, squares)| {
            let variance = squares / count - (sum / count).powi(2);
            variance.max(0.0).sqrt().max(LEAST_DEVIATION)
        })
        .collect()
}

/// The inverse of Cholesky's root of a symmetric positive matrix: its rows turn what has this covariance into what has
/// the unit matrix. `None` where the matrix is not positive.
fn inverse_of_root(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let width = matrix.len();
    for column in 0..width {
        for row in column..width {
            let (above, rest) = matrix.split_at_mut(row);
            let own = &mut rest[0];
            let other: &[f64] = if row == column { own } else { &above[column] };
            let known: f64 = own[..column].iter().zip(other).map(|(a, b)| a * b).sum();
            if row == column {
                let square = own[column] - known;
                if !(square > 0.0 && square.is_finite()) {
                    return None;
                }
                own[column] = square.sqrt();
            } else {
                own[column] = (own[column] - known) / other[column];
            }
        }
    }
    let root = matrix;
    let mut inverse = vec![vec![0.0_f64; width]; width];
    for row in 0..width {
        let (above, rest) = inverse.split_at_mut(row);
        let own = &mut rest[0];
        for (known, weight) in above.iter().zip(&root[row]) {
            for (value, known) in own[..row].iter_mut().zip(known) {
                *value -= weight * known;
            }
        }
        own[row] = 1.0;
        for value in &mut own[..=row] {
            *value /= root[row][row];
        }
    }
    Some(inverse)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is meant"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    const WIDTH: usize = 6;

    /// Two categories around (3, 0, ..) and (0, 3, ..), much wider along the last direction.
    fn pictures(count: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut draws = Draws::new(seed, "ood", &[]);
        (0..count)
            .map(|index| {
                let category = index % 2;
                let mut row: Vec<f32> = (0..WIDTH).map(|_| narrow(draws.normal())).collect();
                row[WIDTH - 1] *= 10.0;
                row[category] += 3.0;
                (row, category)
            })
            .unzip()
    }

    #[test]
    fn a_root_times_its_inverse_is_one() {
        let matrix = vec![
            vec![4.0, 2.0, 0.4],
            vec![2.0, 5.0, 1.0],
            vec![0.4, 1.0, 3.0],
        ];
        let inverse = inverse_of_root(matrix.clone()).unwrap();
        for (i, a) in inverse.iter().enumerate() {
            for (j, b) in inverse.iter().enumerate() {
                let mut product = 0.0;
                for (k, row) in matrix.iter().enumerate() {
                    for (l, value) in row.iter().enumerate() {
                        product += a[k] * value * b[l];
                    }
                }
                let expected = f64::from(u8::from(i == j));
                assert!((product - expected).abs() < 1e-12, "{i} {j} {product}");
            }
        }
        assert!(inverse_of_root(vec![vec![1.0, 2.0], vec![2.0, 1.0]]).is_none());
    }

    #[test]
    fn pictures_like_the_training_pictures_are_near_and_others_far() {
        let (features, truth) = pictures(2000, 1);
        let usual = Distances::fit(&[3], &features, &truth, 2).unwrap();
        let (others, truth) = pictures(200, 2);
        let scores: Vec<f64> = others.iter().map(|f| usual.of(f).unwrap().score).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        assert!((mean - 0.95).abs() < 0.2, "{mean}");
        let nearest = others
            .iter()
            .zip(&truth)
            .filter(|(features, truth)| usual.of(features).unwrap().nearest == **truth);
        assert!(nearest.count() > 180);
        // As far as a usual picture may be along the wide direction, but along a narrow one.
        let mut strange = vec![0.0; WIDTH];
        strange[2] = 20.0;
        let mut wide = vec![3.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        wide[WIDTH - 1] = 20.0;
        assert!(usual.of(&strange).unwrap().score > 10.0 * usual.of(&wide).unwrap().score);
    }

    #[test]
    fn what_was_stored_measures_the_same() {
        let (features, truth) = pictures(200, 1);
        let usual = Distances::fit(&[3], &features, &truth, 2).unwrap();
        let mut tensors = usual.tensors().unwrap();
        let again = Distances::take(&mut tensors, &usual.shape(), 2).unwrap();
        assert!(tensors.is_empty());
        assert_eq!(
            usual.of(&features[0]).unwrap(),
            again.of(&features[0]).unwrap()
        );
        assert!(usual.of(&[0.0]).is_err());
    }
}
