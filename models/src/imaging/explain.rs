//! Where in a picture the answer comes from.
//!
//! The head is one dense layer on the mean of the last map, so that a category's logit is the mean over the map's places
//! of `weights . features`, plus the bias: that product at each place is its share of the answer (B. Zhou et al., CVPR
//! 2016; for such a head Grad-CAM gives the same, without a backward pass being needed). The map has 7 x 7 places, each
//! of which has seen far more than its own 32 x 32 pixels. [`Classifier::fine_heat`] looks at the picture four times,
//! shifted by half a place, and gives 14 x 14.

use super::classifier::{Classification, Classifier, Map};
use crate::ModelError;

/// Shares of an answer over a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Places a side.
    pub side: usize,
    /// Row by row: how much the place speaks for the category (against it where negative), in logits.
    pub values: Vec<f32>,
}

impl Heat {
    /// Between 0 and 1 for drawing: what speaks against is 0, the strongest 1. All 0 where nothing speaks for it.
    pub fn bounded(&self) -> Vec<f32> {
        let most = self.values.iter().copied().fold(0.0_f32, f32::max);
        let scale = if most > 0.0 { 1.0 / most } else { 0.0 };
        self.values
            .iter()
            .map(|value| (value * scale).clamp(0.0, 1.0))
            .collect()
    }

    /// All squares of `side` x `side` places, the hottest first; of equals the upper left one.
    pub fn regions(&self, side: usize) -> Vec<Region> {
        let side = side.clamp(1, self.side.max(1));
        let starts = self.side.saturating_sub(side) + usize::from(self.side > 0);
        let mut regions: Vec<Region> = (0..starts * starts)
            .map(|start| {
                let (row, column) = (start / starts, start % starts);
                let rows = (row..row + side).map(|row| row * self.side + column);
                let heat = rows
                    .flat_map(|from| &self.values[from..from + side])
                    .sum::<f32>();
                let part = |places: usize| places as f32 / self.side as f32;
                Region {
                    heat,
                    square: Square {
                        top: part(row),
                        left: part(column),
                        side: part(side),
                    },
                }
            })
            .collect();
        regions.sort_by(|a, b| b.heat.total_cmp(&a.heat));
        regions
    }
}

/// A square of a picture, in parts of the picture's side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Square {
    /// From the top.
    pub top: f32,
    /// From the left.
    pub left: f32,
    /// Its own side.
    pub side: f32,
}

/// A square of places of a heat map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// What its places say together, in logits.
    pub heat: f32,
    /// Where it is.
    pub square: Square,
}

impl Classifier {
    /// How much each place of the last map speaks for a category.
    ///
    /// # Errors
    ///
    /// A category that there is not.
    pub fn heat(&self, said: &Classification, category: usize) -> Result<Heat, ModelError> {
        self.heat_of(&said.map, category)
    }

    fn heat_of(&self, map: &Map, category: usize) -> Result<Heat, ModelError> {
        let weights = self.head_of(category).ok_or_else(|| {
            ModelError::Settings(format!("there is no category of index {category}"))
        })?;
        let places = map.side * map.side;
        let mut values = vec![0.0_f32; places];
        for (weight, channel) in weights.iter().zip(map.values.chunks_exact(places.max(1))) {
            for (sum, value) in values.iter_mut().zip(channel) {
                *sum += weight * value / places as f32;
            }
        }
        Ok(Heat {
            side: map.side,
            values,
        })
    }

    /// As [`Classifier::heat`] at twice the resolution, from four looks at the picture shifted by half a place.
    ///
    /// # Errors
    ///
    /// Another number of levels, or a category that there is not.
    pub fn fine_heat(&self, levels: &[u8], category: usize) -> Result<Heat, ModelError> {
        let side = self.manifest().preprocessing.side;
        let quarter = side / (self.manifest().architecture.input_px / 32) / 4;
        // Places of the shifted looks lie a quarter of a place to either side of those of the picture as it is.
        let views: Vec<Vec<u8>> = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .iter()
            .map(|(down, right)| shifted(levels, side, quarter, *down == 1, *right == 1))
            .collect();
        let views: Vec<&[u8]> = views.iter().map(Vec::as_slice).collect();
        let features = self.features(&views)?;
        let mut fine = Heat {
            side: 0,
            values: Vec::new(),
        };
        for (view, (down, right)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let heat = self.heat_of(&features.map_of(view)?, category)?;
            if fine.values.is_empty() {
                fine.side = heat.side * 2;
                fine.values = vec![0.0; fine.side * fine.side];
            }
            for (place, value) in heat.values.iter().enumerate() {
                let (row, column) = (place / heat.side, place % heat.side);
                fine.values[(row * 2 + down) * fine.side + column * 2 + right] = *value;
            }
        }
        Ok(fine)
    }

    /// How much a category's logit falls when a square of the picture is covered by the picture's mean level, for each of
    /// these squares.
    ///
    /// # Errors
    ///
    /// Another number of levels, or a category that there is not.
    pub fn covered(
        &self,
        levels: &[u8],
        category: usize,
        squares: &[Square],
    ) -> Result<Vec<f32>, ModelError> {
        if category >= self.manifest().categories.len() {
            return Err(ModelError::Settings(format!(
                "there is no category of index {category}"
            )));
        }
        let side = self.manifest().preprocessing.side;
        let covered: Vec<Vec<u8>> = squares
            .iter()
            .map(|square| with_covered(levels, side, *square))
            .collect();
        let views: Vec<&[u8]> = std::iter::once(levels)
            .chain(covered.iter().map(Vec::as_slice))
            .collect();
        let features = self.features(&views)?;
        let mut logits = features
            .embeddings
            .iter()
            .map(|embedding| self.logits(embedding)[category]);
        let whole = logits.next().unwrap_or_default();
        Ok(logits.map(|covered| whole - covered).collect())
    }
}

fn with_covered(levels: &[u8], side: usize, square: Square) -> Vec<u8> {
    let sum: usize = levels.iter().map(|level| usize::from(*level)).sum();
    let mean = u8::try_from(sum / levels.len().max(1)).unwrap_or(u8::MAX);
    let inside = |at: usize, from: f32| {
        let at = (at as f32 + 0.5) / side as f32;
        at >= from && at < from + square.side
    };
    let mut covered = levels.to_vec();
    for (place, level) in covered.iter_mut().enumerate() {
        if inside(place / side, square.top) && inside(place % side, square.left) {
            *level = mean;
        }
    }
    covered
}

/// The picture moved by `by` pixels so that a place of the map looks further down or up, right or left; the border's
/// pixels go on.
fn shifted(levels: &[u8], side: usize, by: usize, down: bool, right: bool) -> Vec<u8> {
    let source = |at: usize, forward: bool| {
        if forward {
            (at + by).min(side - 1)
        } else {
            at.saturating_sub(by)
        }
    };
    (0..side * side)
        .map(|place| {
            let (y, x) = (source(place / side, down), source(place % side, right));
            levels.get(y * side + x).copied().unwrap_or(0)
        })
        .collect()
}
