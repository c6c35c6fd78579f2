//! Covering what the heat map shows: on a network whose evidence is known, on the built-in one, and on real images.

use candle_core::{DType, Device, Tensor};

use super::classifier::square as drawn_square;
use super::shared;
use crate::imaging::classifier::{Classifier, ClassifyOptions};
use crate::imaging::dataset::{Dataset, DatasetOptions};
use crate::imaging::network::{Architecture, BLOCKS};
use crate::imaging::ood::Distances;
use crate::imaging::preprocess::Preprocessing;
use crate::manifest::Thresholds;
use crate::registry::Registry;
use crate::weights::{Tensors, to_bytes};

/// Pixels a side: a last map of 5 x 5 places.
const SIDE: usize = 160;
const BRIGHT: usize = 0;
const DARK: usize = 1;
/// Blocks that halve the map.
const HALVING: [usize; 4] = [2, 4, 7, 14];
/// Blocks whose input is not added to their output.
const FIRST_OF_GROUP: [usize; 7] = [1, 2, 4, 7, 11, 14, 17];

/// A network that says "bright" by the mean level of the picture and "dark" by its opposite: channel 0 of every map is
/// the picture, blurred as far as the strides do, and all others are zero.
fn light_meter() -> Classifier {
    let architecture = Architecture {
        width_percent: 25,
        input_px: SIDE,
        categories: 2,
    };
    let block = |name: &str| name.split('.').nth(1).and_then(|n| n.parse::<usize>().ok());
    let mut tensors = Tensors::new();
    for (name, shape) in architecture.tensors() {
        let mut values = vec![0.0_f32; shape.iter().product()];
        let number = block(&name).unwrap_or_default();
        match (name.as_str(), shape.as_slice()) {
            ("features.0.0.weight", _) => values[..27].fill(1.0 / 27.0),
            // Levels from -1 to 1 become 0 to 2, which no ReLU6 cuts.
            ("features.0.0.bias", _) => values[0] = 1.0,
            ("classifier.1.weight", [_, embedding]) => {
                values[0] = 1.0;
                values[*embedding] = -1.0;
            }
            (_, [_, 1, 3, 3]) if HALVING.contains(&number) => values[..9].fill(1.0 / 9.0),
            (_, [_, 1, 3, 3]) => values[4] = 1.0,
            (_, [outputs, inputs, 1, 1]) => {
                let projects = outputs < inputs && number <= BLOCKS;
                let added_to = projects && !FIRST_OF_GROUP.contains(&number);
                values[0] = if added_to { 0.0 } else { 1.0 };
            }
            _ => {}
        }
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensors.insert(name, tensor);
    }
    let blocks = vec![16];
    let features = vec![vec![0.0; architecture.pooled_len(&blocks)]; 2];
    let usual = Distances::fit(&blocks, &features, &[BRIGHT, DARK], 2).unwrap();
    tensors.extend(usual.tensors().unwrap());
    let bytes = to_bytes(&tensors, DType::F32, &[]).unwrap();

    let mut manifest = Registry::default().find("imaging").unwrap().manifest;
    manifest.architecture = architecture;
    manifest.preprocessing = Preprocessing::standard(SIDE);
    manifest.categories = vec!["made-light-bright".to_owned(), "made-light-dark".to_owned()];
    manifest.unreliable.clear();
    manifest.usual = usual.shape();
    manifest.temperature = 1.0;
    manifest.thresholds = Thresholds {
        distance: f64::INFINITY,
        probability: 0.0,
    };
    manifest.weights.bytes = bytes.len() as u64;
    manifest.weights.blake3 = blake3::hash(&bytes).to_hex().to_string();
    Classifier::new(manifest, &bytes, Some(1)).unwrap()
}

/// A dark picture with a bright square of a quarter of its side.
fn spot(row: usize, column: usize) -> Vec<u8> {
    let lit = |at: usize, from: usize| (from..from + SIDE / 4).contains(&at);
    (0..SIDE * SIDE)
        .map(
            |place| match lit(place / SIDE, row) && lit(place % SIDE, column) {
                true => 230,
                false => 40,
            },
        )
        .collect()
}

#[test]
fn where_the_evidence_is_known_covering_the_hot_square_takes_it_away() {
    let meter = light_meter();
    for (row, column) in [(8, 8), (8, 112), (104, 16), (60, 60), (112, 112)] {
        let levels = spot(row, column);
        let case = format!("the spot at {row}, {column}");
        let said = meter
            .classify_square(&levels, ClassifyOptions::default())
            .unwrap();
        assert_eq!(said.order[0], BRIGHT, "{case}: {:?}", said.logits);

        let heat = meter.fine_heat(&levels, BRIGHT).unwrap();
        let hottest = heat.regions(3)[0].square;
        let centre = |from: f32| (from + hottest.side / 2.0) * SIDE as f32;
        let middle = |from: usize| (from + SIDE / 8) as f32;
        let off = (centre(hottest.top) - middle(row)).hypot(centre(hottest.left) - middle(column));
        assert!(off < SIDE as f32 / 6.0, "{case}: {hottest:?}");

        // The mean level falls by what the spot has above it, a sixteenth of 190 levels, of which 127.5 are 1; some
        // pixels count more than others, because windows of 3 overlap at a stride of 2.
        let falls = meter.falls(&levels, BRIGHT, 3).unwrap();
        let expected = 190.0 / 16.0 / 127.5;
        assert!(
            (0.5 * expected..1.6 * expected).contains(&falls.hottest),
            "{case}: {falls:?} instead of {expected}"
        );
        // Covered by the mean, the dark becomes brighter.
        assert!(falls.coldest < 0.0, "{case}: {falls:?}");
        // What speaks against "dark" is what speaks for "bright".
        let dark = meter.falls(&levels, DARK, 3).unwrap();
        assert!(
            (dark.coldest + falls.hottest).abs() < 1e-4,
            "{case}: {dark:?}"
        );
        assert!(dark.hottest > 0.0, "{case}: {dark:?}");
    }
}

#[test]
fn the_built_in_model_loses_more_by_the_hot_square_than_by_the_cold_one() {
    let classifier = Registry::default()
        .find("imaging")
        .unwrap()
        .load(Some(1))
        .unwrap();
    let side = classifier.manifest().preprocessing.side;
    let (mut hottest, mut coldest, mut more) = (0.0, 0.0, 0);
    for number in 0..16 {
        let levels = drawn_square(number, side);
        let said = classifier
            .classify_square(&levels, ClassifyOptions::default())
            .unwrap();
        let falls = classifier.falls(&levels, said.order[0], number).unwrap();
        hottest += falls.hottest;
        coldest += falls.coldest;
        more += usize::from(falls.hottest > falls.coldest);
    }
    assert!(
        hottest > coldest && more >= 12,
        "{hottest} {coldest} {more}"
    );
}

#[test]
fn on_validation_images_the_hot_square_matters() {
    let Some(folder) = shared("data/images/val") else {
        return;
    };
    let classifier = Registry::default()
        .find("imaging")
        .unwrap()
        .load(None)
        .unwrap();
    let mut dataset = Dataset::open(&folder, &DatasetOptions::default()).unwrap();
    let mut index = 0;
    dataset.items.retain(|_| {
        index += 1;
        index % 12 == 0
    });
    let side = classifier.manifest().preprocessing.side;
    let squares = dataset.squares(&[side], 0, &|| true).unwrap();
    let found = classifier
        .occlusion(&dataset, &squares, 1, &|| true)
        .unwrap();
    println!("{found:?}");
    assert!(found.n > 40, "{found:?}");
    assert!(found.hottest.ci95.0 > found.coldest.ci95.1, "{found:?}");
    assert!(found.hottest.mean > found.drawn.mean, "{found:?}");
    assert!(found.hottest_falls_more.mean > 0.75, "{found:?}");
}
