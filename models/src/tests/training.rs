//! Training from images that the tests draw to a model that classifies them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{KINDS, SIDE, base, picture, quick, write_images};
use crate::ModelError;
use crate::imaging::classifier::{Classifier, ClassifyOptions, Doubt};
use crate::imaging::explain::Square;
use crate::imaging::preprocess::square;
use crate::imaging::train::{Event, Observer, Request, Silent, TrainSettings, Trained, train};
use crate::registry::Entry;
use crate::weights::read_bounded;

fn run(
    folder: &Path,
    name: &str,
    settings: &TrainSettings,
    observer: &dyn Observer,
) -> Result<Trained, ModelError> {
    train(
        &Request {
            images: &folder.join("images"),
            base: &base(),
            settings,
            state: &folder.join(format!("{name}-state")),
            output: &folder.join(name),
            version: "test",
            now_ms: 1,
        },
        observer,
    )
}

fn images(folder: &Path) {
    write_images(&folder.join("images/train"), 24, 0);
    write_images(&folder.join("images/val"), 8, 100);
}

/// Asks to stop at the event of this number.
struct StopAt {
    left: AtomicUsize,
}

impl Observer for StopAt {
    fn on(&self, _: &Event<'_>) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

#[test]
fn a_run_that_is_interrupted_again_and_again_ends_in_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let settings = quick();
    let whole = run(folder.path(), "whole", &settings, &Silent).unwrap();
    let mut interruptions = 0;
    let broken = loop {
        // Each run gets an epoch or a few further: an epoch is five steps, behind the decoding of the images.
        let left = AtomicUsize::new(72 + 30);
        match run(folder.path(), "broken", &settings, &StopAt { left }) {
            Ok(trained) => break trained,
            Err(ModelError::Stopped) => interruptions += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(interruptions < 100, "it does not get on");
    };
    assert!(interruptions > 3, "{interruptions}");
    assert_eq!(whole.manifest.training, broken.manifest.training);
    assert_eq!(whole.manifest, broken.manifest);
    let bytes =
        |name: &str| fs::read(folder.path().join(name).join("weights.safetensors")).unwrap();
    assert_eq!(bytes("whole"), bytes("broken"));

    let other = TrainSettings {
        seed: 6,
        ..settings
    };
    let error = run(folder.path(), "broken", &other, &Silent).unwrap_err();
    assert!(error.to_string().contains("another folder"), "{error}");
    let other = run(folder.path(), "other", &other, &Silent).unwrap();
    assert_ne!(other.manifest.weights.blake3, whole.manifest.weights.blake3);
}

#[test]
fn a_trained_model_tells_what_it_learnt_and_refuses_what_it_did_not() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let trained = run(folder.path(), "model", &quick(), &Silent).unwrap();
    let manifest = &trained.manifest;
    let crossed = &manifest.metrics.cross_validation;
    assert!(crossed.metrics.accuracy > 0.9, "{crossed:?}");
    let validation = manifest.metrics.validation.as_ref().unwrap();
    assert!(validation.metrics.accuracy > 0.9, "{validation:?}");
    assert_eq!(validation.n, 24);
    assert_eq!(manifest.data.images.values().sum::<usize>(), 72);
    assert!(manifest.research_use_only);

    let entry = Entry::open(&folder.path().join("model")).unwrap();
    entry.verify().unwrap();
    let classifier = entry.load(None).unwrap();
    let classify = |levels: &[u8]| {
        classifier
            .classify_square(levels, ClassifyOptions::default())
            .unwrap()
    };
    for (kind, name) in KINDS.iter().enumerate() {
        let said = classifier
            .classify(&picture(kind, 200), ClassifyOptions { mirror: true })
            .unwrap();
        assert_eq!(said.top[0].label, *name);
        assert!((said.top.iter().map(|ranked| ranked.p).sum::<f64>() - 1.0).abs() < 1e-9);
        heat_adds_up(&classifier, kind);
    }
    assert_eq!(classify(&[90; SIDE * SIDE]).doubt, Some(Doubt::Blank));
    // Large squares of black and white: nothing like it was learnt.
    let checks: Vec<u8> = (0..SIDE * SIDE)
        .map(|place| match (place / SIDE / 8 + place % SIDE / 8) % 2 {
            0 => 255,
            _ => 0,
        })
        .collect();
    assert_eq!(classify(&checks).doubt, Some(Doubt::Unlike));
    assert!(
        classifier
            .classify_square(&[0; 7], ClassifyOptions::default())
            .is_err()
    );

    let squares: Vec<Vec<u8>> = (0..20)
        .map(|number| square(&picture(number % 3, number as u64), SIDE).unwrap())
        .collect();
    let views: Vec<&[u8]> = squares.iter().map(Vec::as_slice).collect();
    let together = classifier
        .classify_squares(&views, ClassifyOptions::default())
        .unwrap();
    for (view, together) in views.iter().zip(&together) {
        let alone = classify(view);
        assert_eq!(alone.order, together.order);
        assert!((alone.top[0].p - together.top[0].p).abs() < 1e-5);
    }
}

/// The shares of all places and the bias are the logit.
fn heat_adds_up(classifier: &Classifier, category: usize) {
    let levels = square(&picture(category, 200), SIDE).unwrap();
    let said = classifier
        .classify_square(&levels, ClassifyOptions::default())
        .unwrap();
    let heats: Vec<f32> = (0..KINDS.len())
        .map(|category| {
            classifier
                .heat(&said, category)
                .unwrap()
                .values
                .iter()
                .sum()
        })
        .collect();
    // The bias is the same for every picture: differences between two pictures' logits are differences of heat.
    let other = square(&picture((category + 1) % 3, 200), SIDE).unwrap();
    let other = classifier
        .classify_square(&other, ClassifyOptions::default())
        .unwrap();
    for (category, heat) in heats.iter().enumerate() {
        let of_other: f32 = classifier
            .heat(&other, category)
            .unwrap()
            .values
            .iter()
            .sum();
        let logits = said.logits[category] - other.logits[category];
        assert!((logits - (heat - of_other)).abs() < 1e-3 * logits.abs().max(1.0));
    }
    let fine = classifier.fine_heat(&levels, category).unwrap();
    assert_eq!((fine.side, fine.values.len()), (2, 4));
    assert!(
        fine.bounded()
            .iter()
            .all(|value| (0.0..=1.0).contains(value))
    );
    assert!(classifier.heat(&said, 99).is_err());
    let part = |side| Square {
        top: 0.0,
        left: 0.0,
        side,
    };
    assert!(classifier.covered(&levels, 99, &[part(0.3)]).is_err());
    let falls = classifier
        .covered(&levels, category, &[part(0.0), part(1.0)])
        .unwrap();
    let (nothing, all) = (falls[0], falls[1]);
    assert!(nothing.abs() < 1e-4 && all.abs() > 1e-2, "{nothing} {all}");
}

#[test]
fn only_verified_images_are_learnt_where_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let mut labels = "file\tlicence\n".to_owned();
    for split in ["train", "val"] {
        for (kind, name) in KINDS.iter().enumerate() {
            for number in 0..124 {
                let licence = if kind == 0 { "unknown" } else { "CC BY 4.0" };
                labels += &format!("{split}/{name}/{number:03}.png\t{licence}\n");
            }
        }
    }
    fs::write(folder.path().join("images/labels.tsv"), labels).unwrap();
    let mut settings = quick();
    settings.licences = crate::imaging::dataset::LicencePolicy::Verified;
    settings.stages[0].epochs = 1;
    let trained = run(folder.path(), "model", &settings, &Silent).unwrap();
    assert_eq!(trained.manifest.categories.len(), 2);
    assert_eq!(trained.dropped, [KINDS[0]]);
    assert_eq!(trained.manifest.data.left_out, 24);
    assert_eq!(
        trained.manifest.data.licences.keys().collect::<Vec<_>>(),
        ["CC BY 4.0"]
    );
    assert_eq!(trained.manifest.metrics.validation.unwrap().n, 16);
}

#[test]
fn a_category_that_only_one_source_gives_is_marked_unreliable() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let mut labels = "file\tsource_repo\n".to_owned();
    for (kind, name) in KINDS.iter().enumerate() {
        for number in 0..24 {
            let source = if kind == 1 { "elsewhere" } else { "here" };
            labels += &format!("train/{name}/{number:03}.png\t{source}\n");
        }
    }
    fs::write(folder.path().join("images/labels.tsv"), labels).unwrap();
    let mut settings = quick();
    settings.stages[0].epochs = 1;
    let trained = run(folder.path(), "model", &settings, &Silent).unwrap();
    // "made-stripes" is a family of two, "made-patch" one of its own.
    let marked: Vec<_> = trained.manifest.unreliable.keys().cloned().collect();
    assert_eq!(marked, [KINDS[1], KINDS[2]]);
    assert_eq!(trained.manifest.data.sources["elsewhere"], 24);
}

#[test]
fn settings_that_make_no_sense_are_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut TrainSettings);
    let changes: [Change; 8] = [
        |s| s.folds = 1,
        |s| s.stages.clear(),
        |s| s.stages[0].trained_from = 0,
        |s| s.stages[0].epochs = 0,
        |s| s.stages[0].rate = f32::NAN,
        |s| s.usual_blocks = vec![3],
        |s| s.input_px = 33,
        |s| s.refused_share = 1.0,
    ];
    for change in changes {
        let mut settings = quick();
        change(&mut settings);
        let error = run(folder.path(), "model", &settings, &Silent).unwrap_err();
        assert!(
            matches!(error, ModelError::Settings(_) | ModelError::Manifest(_)),
            "{error}"
        );
    }
}

#[test]
fn weights_that_were_changed_are_refused_before_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let mut settings = quick();
    settings.stages[0].epochs = 1;
    run(folder.path(), "model", &settings, &Silent).unwrap();
    let path = folder.path().join("model/weights.safetensors");
    let mut bytes = read_bounded(&path, 1 << 20).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let entry = Entry::open(&folder.path().join("model")).unwrap();
    let error = entry.load(None).unwrap_err();
    assert!(matches!(error, ModelError::HashMismatch { .. }), "{error}");
    assert!(error.to_string().contains("put the original back"));
    assert!(entry.verify().is_err());

    // Whoever changes the manifest, too, gets the network's own checks.
    let with = |bytes: &[u8]| {
        let mut manifest = entry.manifest.clone();
        manifest.weights.blake3 = blake3::hash(bytes).to_hex().to_string();
        Classifier::new(manifest, bytes, None)
            .unwrap_err()
            .to_string()
    };
    assert!(with(&bytes[..bytes.len() / 2]).contains("not a safetensors file"));
    assert!(with(b"").contains("not a safetensors file"));
    for place in (bytes.len() - 4000..bytes.len()).step_by(2) {
        // f16 infinity.
        bytes[place..place + 2].copy_from_slice(&[0x00, 0x7c]);
    }
    assert!(with(&bytes).contains("not finite"));
}
