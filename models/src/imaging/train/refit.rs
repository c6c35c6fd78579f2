//! The head once more, by multinomial logistic regression on the finished network's features.
//!
//! While the network learns, its head chases features that move, on varied pictures. Afterwards the best head for the
//! features as they are, on pictures as they are, is a convex problem: it is solved to the end. Inside the training
//! data, and on pictures of other patients, that was worth two points of accuracy (2026-11-22).

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::lbfgs::minimise;
use crate::ModelError;
use crate::weights::Tensors;

/// How the head is fitted once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refit {
    /// Inverse strength of the penalty on standardised weights: the loss is the mean of the weighted cross entropies plus
    /// `|weights|^2 / (2 * c * images)`.
    pub c: f64,
    /// Weight of a category: `(images / (categories * its images)) ^ balance`.
    pub balance: f64,
    /// Iterations at most.
    pub iterations: usize,
}

impl Default for Refit {
    /// Chosen by comparison inside the training data, 2026-11-22.
    fn default() -> Self {
        Refit {
            c: 0.003,
            balance: 1.0,
            iterations: 150,
        }
    }
}

/// A dense layer.
#[derive(Debug, Clone)]
pub struct Head {
    /// `[categories][embedding]`.
    pub weight: Vec<Vec<f32>>,
    /// `[categories]`.
    pub bias: Vec<f32>,
}

impl Head {
    /// Before the softmax.
    pub fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        self.weight
            .iter()
            .zip(&self.bias)
            .map(|(row, bias)| bias + row.iter().zip(embedding).map(|(w, v)| w * v).sum::<f32>())
            .collect()
    }

    /// As the network's tensors.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn tensors(&self) -> Result<Tensors, ModelError> {
        let categories = self.bias.len();
        let weight = Tensor::from_vec(self.weight.concat(), (categories, ()), &Device::Cpu)?;
        let bias = Tensor::from_vec(self.bias.clone(), categories, &Device::Cpu)?;
        Ok(Tensors::from([
            ("classifier.1.weight".to_owned(), weight),
            ("classifier.1.bias".to_owned(), bias),
        ]))
    }
}

impl Refit {
    /// The head for these embeddings.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn head(
        &self,
        embeddings: &[Vec<f32>],
        truth: &[usize],
        categories: usize,
    ) -> Result<Head, ModelError> {
        let count = embeddings.len();
        let width = embeddings.first().map_or(0, Vec::len);
        let (means, scales) = standards(embeddings, width);
        let standard: Vec<f32> = embeddings
            .iter()
            .flat_map(|row| {
                let values = row.iter().zip(means.iter().zip(&scales));
                values
                    .map(|(v, (mean, scale))| narrow((f64::from(*v) - mean) * scale))
                    .collect::<Vec<_>>()
            })
            .collect();
        let rows = Tensor::from_vec(standard, (count, width), &Device::Cpu)?;
        let mut counts = vec![0_usize; categories];
        for category in truth {
            counts[*category] += 1;
        }
        let weights: Vec<f64> = truth
            .iter()
            .map(|category| {
                let even = count as f64 / (categories * counts[*category].max(1)) as f64;
                even.powf(self.balance) / count as f64
            })
            .collect();
        let penalty = 1.0 / (self.c * count as f64);
        let size = categories * width;
        let loss = |at: &[f64]| -> Result<(f64, Vec<f64>), ModelError> {
            let weight: Vec<f32> = at[..size].iter().copied().map(narrow).collect();
            let weight = Tensor::from_vec(weight, (categories, width), &Device::Cpu)?;
            let logits = rows.matmul(&weight.t()?)?.to_vec2::<f32>()?;
            let mut loss = 0.0;
            let mut to_bias = vec![0.0_f64; categories];
            let mut to_logits = Vec::with_capacity(count * categories);
            for ((logits, truth), image_weight) in logits.iter().zip(truth).zip(&weights) {
                let logits: Vec<f64> = logits
                    .iter()
                    .zip(&at[size..])
                    .map(|(logit, bias)| f64::from(*logit) + bias)
                    .collect();
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                loss += image_weight * (sum.ln() + most - logits[*truth]);
                for (category, power) in powers.iter().enumerate() {
                    let own = f64::from(u8::from(category == *truth));
                    let gradient = image_weight * (power / sum - own);
                    to_bias[category] += gradient;
                    to_logits.push(narrow(gradient));
                }
            }
            let to_logits = Tensor::from_vec(to_logits, (count, categories), &Device::Cpu)?;
            let to_weight = to_logits
                .t()?
                .matmul(&rows)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let squares: f64 = at[..size].iter().map(|w| w * w).sum();
            loss += penalty / 2.0 * squares;
            let gradient = to_weight
                .iter()
                .zip(&at[..size])
                .map(|(gradient, weight)| f64::from(*gradient) + penalty * weight)
                .chain(to_bias)
                .collect();
            Ok((loss, gradient))
        };
        let found = minimise(vec![0.0; size + categories], self.iterations, loss)?;
        // The standardisation becomes part of the layer.
        let weight: Vec<Vec<f32>> = found[..size]
            .chunks_exact(width.max(1))
            .map(|row| {
                let values = row.iter().zip(&scales);
                values.map(|(w, scale)| narrow(w * scale)).collect()
            })
            .collect();
        let bias = found[..size]
            .chunks_exact(width.max(1))
            .zip(&found[size..])
            .map(|(row, bias)| {
                let values = row.iter().zip(means.iter().zip(&scales));
                narrow(
                    bias - values
                        .map(|(w, (mean, scale))| w * mean * scale)
                        .sum::<f64>(),
                )
            })
            .collect();
        Ok(Head { weight, bias })
    }
}

/// Mean and inverse standard deviation of each column; 0 where a column never changes.
fn standards(rows: &[Vec<f32>], width: usize) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len().max(1) as f64;
    let mut means = vec![0.0_f64; width];
    for row in rows {
        for (mean, value) in means.iter_mut().zip(row) {
            *mean += f64::from(*value) / count;
        }
    }
    let mut variances = vec![0.0_f64; width];
    for row in rows {
        for ((variance, mean), value) in variances.iter_mut().zip(&means).zip(row) {
            *variance += (f64::from(*value) - mean).powi(2) / count;
        }
    }
    let scales = variances
        .into_iter()
        .map(|variance| {
            if variance > 1e-12 {
                variance.sqrt().recip()
            } else {
                0.0
            }
        })
        .collect();
    (means, scales)
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

    #[test]
    fn a_head_finds_categories_that_a_plane_divides() {
        let mut draws = Draws::new(1, "refit", &[]);
        let (embeddings, truth): (Vec<Vec<f32>>, Vec<usize>) = (0..300)
            .map(|index| {
                let category = index % 3;
                let mut row: Vec<f32> = (0..5).map(|_| narrow(draws.normal())).collect();
                row[category] = row[category] * 0.3 + 4.0;
                // One number never changes: it must not matter.
                row.push(7.0);
                (row, category)
            })
            .unzip();
        let refit = Refit {
            c: 1.0,
            ..Refit::default()
        };
        let head = refit.head(&embeddings, &truth, 3).unwrap();
        for (embedding, truth) in embeddings.iter().zip(&truth) {
            let logits = head.logits(embedding);
            assert!((0..3).all(|other| other == *truth || logits[other] < logits[*truth]));
        }
        assert!(head.weight.iter().all(|row| row[5] == 0.0));
    }

    #[test]
    fn rare_categories_weigh_as_much_as_frequent_ones_where_asked() {
        // The same point belongs to category 0 nine times in ten.
        let embeddings = vec![vec![1.0_f32, -1.0]; 100];
        let truth: Vec<usize> = (0..100).map(|index| usize::from(index % 10 == 0)).collect();
        let p = |balance| {
            let refit = Refit {
                balance,
                ..Refit::default()
            };
            let head = refit.head(&embeddings, &truth, 2).unwrap();
            crate::calibration::softmax(&head.logits(&embeddings[0]), 1.0)[1]
        };
        assert!((p(0.0) - 0.1).abs() < 1e-4, "{}", p(0.0));
        assert!((p(1.0) - 0.5).abs() < 1e-4, "{}", p(1.0));
    }
}
