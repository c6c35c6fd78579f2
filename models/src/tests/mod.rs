//! Tests over several modules; each makes its own images.

mod classifier;
mod dataset;
mod foreign;
mod network;
mod occlusion;
mod registry;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use salus_imaging::{Picture, encode_png};

use crate::draws::Draws;
use crate::imaging::network::Architecture;
use crate::imaging::train::{Augmentation, BaseWeights, Stage, TrainSettings, random_base};

/// Pixels a side of the pictures in these tests.
pub const SIDE: usize = 32;
/// What the pictures show, in the order of their categories.
pub const KINDS: [&str; 3] = ["made-patch", "made-stripes-coarse", "made-stripes-fine"];

/// The shared folder beside the repository, or the one that `SALUS_SHARED` names; a test that needs it says so and
/// ends where it is missing.
pub fn shared(inside: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("SALUS_SHARED").map_or(beside, PathBuf::from);
    let path = root.join(inside);
    if path.exists() {
        return Some(path);
    }
    println!(
        "SKIPPED: {} is not here (SALUS_SHARED names another folder)",
        path.display()
    );
    None
}

/// A picture of one of the [`KINDS`], different for each number.
pub fn picture(kind: usize, number: u64) -> Picture {
    let mut draws = Draws::new(11, "picture", &[kind as u64, number]);
    let (phase, period) = (draws.between(0.0, 12.0), draws.between(1.0, 1.3));
    let (row, column) = (draws.between(10.0, 22.0), draws.between(10.0, 22.0));
    let levels = (0..SIDE * SIDE)
        .map(|place| {
            let (y, x) = ((place / SIDE) as f64, (place % SIDE) as f64);
            let wave =
                |length: f64| ((y + phase) / (period * length) * std::f64::consts::TAU).sin();
            let shade = match kind {
                1 => wave(12.0),
                2 => wave(4.0),
                _ => 1.5 - ((y - row).powi(2) + (x - column).powi(2)).sqrt() / 5.0,
            };
            let level = [50.0, 128.0, 205.0][kind]
                + 50.0 * shade.clamp(-1.0, 1.0)
                + draws.between(-20.0, 20.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded"
            )]
            let level = level.clamp(0.0, 255.0) as u8;
            level
        })
        .collect();
    let side = u32::try_from(SIDE).unwrap();
    Picture::grey(side, side, levels).unwrap()
}

/// Folders of categories with so many pictures each; `first` is the number of the first.
pub fn write_images(folder: &Path, count: u64, first: u64) {
    for (kind, name) in KINDS.iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for number in first..first + count {
            let png = encode_png(&picture(kind, number));
            fs::write(folder.join(format!("{number:03}.png")), png).unwrap();
        }
    }
}

/// A network that is small enough for tests.
pub fn small(categories: usize) -> Architecture {
    Architecture {
        width_percent: 25,
        input_px: SIDE,
        categories,
    }
}

/// Settings for such a network.
pub fn quick() -> TrainSettings {
    let stage = Stage {
        trained_from: 8,
        epochs: 8,
        variants: 2,
        batch: 8,
        rate: 1e-3,
        head_rate: 1e-2,
        patience: 8,
        ..Stage::fine_tuning()
    };
    TrainSettings {
        seed: 5,
        input_px: SIDE,
        width_percent: 25,
        folds: 2,
        max_broken: 0,
        stages: vec![stage],
        augmentation: Augmentation {
            rotation_degrees: 3.0,
            gamma: 0.1,
            noise: 0.0,
            ..Augmentation::default()
        },
        usual_blocks: vec![13, 16],
        ..TrainSettings::default()
    }
}

/// Random weights to start from.
pub fn base() -> BaseWeights {
    random_base(small(7), 3).unwrap()
}
