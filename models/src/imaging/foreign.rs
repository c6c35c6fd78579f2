//! Images that a classifier should say nothing about: how many of them it assesses all the same.
//!
//! [`Kind::draw`] makes some, so that any model can be tried anywhere. They are kin of what reaches a clinic's screen by
//! mistake, not photographs of it: a folder of real ones says more, and [`Classifier::foreign`] takes both.

mod canvas;
mod drawn;

use std::collections::BTreeMap;

use serde::Serialize;

use super::classifier::{Classifier, ClassifyOptions};
use super::dataset::{Dataset, Squares};
use crate::ModelError;
pub use drawn::{KINDS, Kind};

/// What became of the images of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ForeignKind {
    /// Images.
    pub n: usize,
    /// Images that got an answer instead of "not assessed": false accepts.
    pub assessed: usize,
    /// As which category these were taken.
    pub taken_for: BTreeMap<String, usize>,
}

/// What became of foreign images, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// All kinds together.
    pub all: ForeignKind,
    /// Each.
    pub kinds: BTreeMap<String, ForeignKind>,
}

impl Foreign {
    fn add(&mut self, kind: &str, taken_for: Option<&str>) {
        for of in [
            &mut self.all,
            self.kinds.entry(kind.to_owned()).or_default(),
        ] {
            of.n += 1;
            if let Some(category) = taken_for {
                of.assessed += 1;
                *of.taken_for.entry(category.to_owned()).or_default() += 1;
            }
        }
    }
}

impl Classifier {
    /// Classifies `count` drawn images of each kind.
    ///
    /// # Errors
    ///
    /// None that the network does not give.
    pub fn foreign_drawn(&self, count: u64, found: &mut Foreign) -> Result<(), ModelError> {
        let side = self.manifest().preprocessing.side;
        for kind in KINDS {
            let images: Vec<Vec<u8>> = (0..count).map(|number| kind.draw(number, side)).collect();
            let views: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
            self.judge_foreign(&vec![kind.name(); views.len()], &views, found)?;
        }
        Ok(())
    }

    /// Classifies all decoded images of a folder whose folders are named after kinds.
    ///
    /// # Errors
    ///
    /// Squares of another size.
    pub fn foreign(
        &self,
        dataset: &Dataset,
        squares: &Squares,
        found: &mut Foreign,
    ) -> Result<(), ModelError> {
        let (kinds, views): (Vec<&str>, Vec<&[u8]>) = dataset
            .items
            .iter()
            .zip(&squares.levels)
            .filter_map(|(item, levels)| {
                let kind = dataset.categories.get(item.category)?;
                Some((kind.as_str(), levels.as_ref()?.first()?.as_slice()))
            })
            .unzip();
        self.judge_foreign(&kinds, &views, found)
    }

    fn judge_foreign(
        &self,
        kinds: &[&str],
        views: &[&[u8]],
        found: &mut Foreign,
    ) -> Result<(), ModelError> {
        for (kinds, views) in kinds.chunks(BATCH).zip(views.chunks(BATCH)) {
            let said = self.classify_squares(views, ClassifyOptions::default())?;
            for (kind, said) in kinds.iter().zip(said) {
                let best = said.top.first().map(|ranked| ranked.label.as_str());
                found.add(kind, best.filter(|_| !said.uncertain()));
            }
        }
        Ok(())
    }
}

/// Images that are held with all their maps at once.
const BATCH: usize = 64;
