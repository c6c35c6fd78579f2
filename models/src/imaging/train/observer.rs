//! Whoever watches a training run, and may end it.

use super::fit::EpochReport;
use crate::ModelError;

/// What happens during a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An image was read. Told from several threads.
    Decoded {
        /// How many are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// The frozen part is run for a variant of all images.
    Features {
        /// From 0.
        variant: usize,
        /// Of how many.
        variants: usize,
        /// How many images are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// A step was taken.
    Step {
        /// The fit's name.
        fit: &'a str,
        /// From 1.
        epoch: usize,
        /// Of how many.
        epochs: usize,
        /// From 1.
        step: usize,
        /// Of how many.
        steps: usize,
        /// The step's loss.
        loss: f64,
        /// The share of the step's images that were right.
        accuracy: f64,
    },
    /// An epoch is over and its checkpoint stored.
    Epoch {
        /// The fit's name.
        fit: &'a str,
        /// Of how many.
        epochs: usize,
        /// What it brought.
        report: &'a EpochReport,
    },
    /// A line for people: what was found or chosen.
    Note(&'a str),
}

/// Whoever watches a training run. It prints, draws or does nothing; it must not hold up.
pub trait Observer: Sync {
    /// Something happened; `false` asks to stop soon.
    fn on(&self, event: &Event<'_>) -> bool;
}

impl dyn Observer + '_ {
    /// Tells, and turns a wish to stop into [`ModelError::Stopped`].
    pub(super) fn tell(&self, event: &Event<'_>) -> Result<(), ModelError> {
        if self.on(event) {
            Ok(())
        } else {
            Err(ModelError::Stopped)
        }
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: &Event<'_>) -> bool {
        true
    }
}
