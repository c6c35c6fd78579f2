//! Whether what the heat map shows matters: the answer's logit with a part of the picture covered.
//!
//! The heat map is read off the network's last layers. Covering asks the whole network, and so can contradict it: if the
//! hot region were not what the answer rests on, covering it would lower the logit no more than covering any other.

use serde::Serialize;

use super::classifier::{Classifier, ClassifyOptions};
use super::dataset::{Dataset, Squares};
use super::explain::Square;
use crate::ModelError;
use crate::bootstrap::{grouped, intervals};
use crate::draws::Draws;

/// The covered square's side in parts of the picture's: four of fourteen places.
const COVERED: f32 = 0.3;

/// How much the logit of the first category falls, over the images that were assessed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Occlusion {
    /// Images.
    pub n: usize,
    /// The covered square's side in parts of the picture's.
    pub side: f32,
    /// With the hottest square of the heat map covered.
    pub hottest: Fall,
    /// With a square covered that was drawn without looking.
    pub drawn: Fall,
    /// With the coldest covered.
    pub coldest: Fall,
    /// Share of the images whose logit falls more by the hottest than by the coldest.
    pub hottest_falls_more: Fall,
}

/// A mean over images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fall {
    /// The mean.
    pub mean: f64,
    /// Its 95 % confidence interval, by bootstrap over groups.
    pub ci95: (f64, f64),
}

/// One picture with the hottest, a drawn and the coldest square covered: how much the logit of `category` falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Falls {
    /// The hottest.
    pub hottest: f32,
    /// The drawn one.
    pub drawn: f32,
    /// The coldest.
    pub coldest: f32,
}

impl Classifier {
    /// Covers the hottest, a drawn and the coldest square of a category's heat map.
    ///
    /// # Errors
    ///
    /// Another number of levels, or a category that there is not.
    pub fn falls(&self, levels: &[u8], category: usize, seed: u64) -> Result<Falls, ModelError> {
        let heat = self.fine_heat(levels, category)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of few places"
        )]
        let places = (heat.side as f32 * COVERED).round() as usize;
        let squares: Vec<Square> = heat.regions(places).iter().map(|r| r.square).collect();
        let drawn = Draws::new(seed, "occlusion", &[]).below(squares.len());
        let covered = [0, drawn, squares.len().saturating_sub(1)]
            .map(|region| squares.get(region).copied())
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        match self.covered(levels, category, &covered)?[..] {
            [hottest, drawn, coldest] => Ok(Falls {
                hottest,
                drawn,
                coldest,
            }),
            _ => Err(ModelError::Picture("it has no places to cover".to_owned())),
        }
    }

    /// Covers squares of all decoded images of a dataset that are assessed. `each` is called once an image and returns
    /// whether to go on.
    ///
    /// # Errors
    ///
    /// Squares of another size; [`ModelError::Stopped`].
    pub fn occlusion(
        &self,
        dataset: &Dataset,
        squares: &Squares,
        seed: u64,
        each: &dyn Fn() -> bool,
    ) -> Result<Occlusion, ModelError> {
        let mut named: Vec<(&str, Falls)> = Vec::new();
        for (index, (item, levels)) in dataset.items.iter().zip(&squares.levels).enumerate() {
            if !each() {
                return Err(ModelError::Stopped);
            }
            let Some(levels) = levels.as_ref().and_then(|views| views.first()) else {
                continue;
            };
            let said = self.classify_square(levels, ClassifyOptions::default())?;
            if let (false, Some(best)) = (said.uncertain(), said.order.first()) {
                let falls = self.falls(levels, *best, seed.wrapping_add(index as u64))?;
                named.push((&item.group, falls));
            }
        }
        Ok(summary(&named, seed))
    }
}

fn summary(named: &[(&str, Falls)], seed: u64) -> Occlusion {
    let numbers = |falls: &[Falls]| {
        let mean = |of: &dyn Fn(&Falls) -> f64| {
            falls.iter().map(of).sum::<f64>() / falls.len().max(1) as f64
        };
        vec![
            mean(&|falls| f64::from(falls.hottest)),
            mean(&|falls| f64::from(falls.drawn)),
            mean(&|falls| f64::from(falls.coldest)),
            mean(&|falls| f64::from(u8::from(falls.hottest > falls.coldest))),
        ]
    };
    let all: Vec<Falls> = named.iter().map(|(_, falls)| *falls).collect();
    let means = numbers(&all);
    let ci95 = intervals(&grouped(named.iter().copied()), seed, &numbers);
    let fall = |number: usize| Fall {
        mean: means[number],
        ci95: ci95.get(number).copied().unwrap_or_default(),
    };
    Occlusion {
        n: named.len(),
        side: COVERED,
        hottest: fall(0),
        drawn: fall(1),
        coldest: fall(2),
        hottest_falls_more: fall(3),
    }
}
