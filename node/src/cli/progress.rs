//! How far a long command has come: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use salus_api::Progress;

use super::output::Out;
use super::text;

/// How often the bar moves while nothing is reported; as often as indicatif's own examples do.
const TICK: Duration = Duration::from_millis(100);

/// What `total` and `done` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of files.
    Bytes,
    /// Whatever the node counts.
    Steps,
}

/// A bar or lines.
pub struct Meter {
    bar: Option<ProgressBar>,
    said: String,
}

impl Meter {
    /// Begins; `total` 0 where not known yet.
    pub fn start(out: &mut Out, what: &str, unit: Unit, total: u64) -> Self {
        if !out.form().bars {
            out.message(what);
            return Self {
                bar: None,
                said: what.to_owned(),
            };
        }
        let template = match unit {
            Unit::Bytes => "{msg} {bar:28} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            Unit::Steps if total == 0 => "{spinner} {msg}",
            Unit::Steps => "{msg} {bar:28} {pos}/{len}",
        };
        // Hidden until styled: an invalid template shows the library's own.
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.set_message(text::clean(what).into_owned());
        bar.enable_steady_tick(TICK);
        Self {
            bar: Some(bar),
            said: what.to_owned(),
        }
    }

    /// Moves to `done` of the total that `start` was given.
    pub fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Shows what a node reports. As plain lines: one where `what` changes.
    pub fn step(&mut self, out: &mut Out, step: &Progress) {
        let changed = self.said != step.what;
        if changed {
            self.said.clone_from(&step.what);
        }
        match &self.bar {
            Some(bar) => {
                let counted = match step.total {
                    0 if step.done == 0 => step.what.clone(),
                    0 => format!("{} ({})", step.what, step.done),
                    total => format!("{} ({} of {total})", step.what, step.done),
                };
                bar.set_message(text::clean(&counted).into_owned());
            }
            None if changed => out.message(step.what.as_str()),
            None => {}
        }
    }

    /// Writes beside the bar without disturbing it.
    pub fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Meter {
    /// The bar is gone when the work is, however it ended.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
