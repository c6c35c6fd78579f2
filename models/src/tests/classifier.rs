//! The model that is built in, by the kernels' network and by the one that training uses.

use crate::calibration::softmax;
use crate::draws::Draws;
use crate::imaging::classifier::ClassifyOptions;
use crate::imaging::network::Network;
use crate::imaging::ood::Distances;
use crate::registry::Registry;
use crate::weights::parse;

/// Waves and blots under noise: no two alike, none without structure.
pub fn square(number: u64, side: usize) -> Vec<u8> {
    let mut draws = Draws::new(7, "square", &[number]);
    let (down, across) = (draws.between(3.0, 40.0), draws.between(3.0, 40.0));
    let (row, column) = (draws.between(0.2, 0.8), draws.between(0.2, 0.8));
    (0..side * side)
        .map(|place| {
            let (y, x) = ((place / side) as f64, (place % side) as f64);
            let wave = (y / down).sin() * (x / across).cos();
            let away = (y / side as f64 - row).hypot(x / side as f64 - column);
            let level =
                110.0 + 60.0 * wave + 80.0 * (-20.0 * away * away).exp() + draws.between(-9.0, 9.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded"
            )]
            let level = level.clamp(0.0, 255.0) as u8;
            level
        })
        .collect()
}

fn assert_alike(found: f64, expected: f64, what: &str) {
    let off = (found - expected).abs();
    let most = 1e-3 * expected.abs().max(1.0);
    assert!(off <= most, "{what}: {found} instead of {expected}");
}

#[test]
fn the_built_in_model_answers_by_the_kernels_as_by_the_network_that_was_trained() {
    let entry = Registry::default().find("imaging").unwrap();
    let manifest = &entry.manifest;
    let mut tensors = parse(&entry.weights().unwrap()).unwrap();
    let usual = Distances::take(&mut tensors, &manifest.usual, manifest.categories.len()).unwrap();
    let network = Network::new(manifest.architecture, tensors).unwrap();

    let squares: Vec<Vec<u8>> = (0..3)
        .map(|number| square(number, manifest.preprocessing.side))
        .collect();
    let views: Vec<&[u8]> = squares.iter().map(Vec::as_slice).collect();
    let input = manifest.preprocessing.tensor(&views).unwrap();
    let expected = network.forward_fused(&input, usual.blocks()).unwrap();
    let logits = expected.logits.to_vec2::<f32>().unwrap();

    for threads in [1, 2] {
        let classifier = entry.load(Some(threads)).unwrap();
        let engine = format!("{classifier:?}");
        assert!(engine.ends_with("packed)"), "{engine}");
        let options = ClassifyOptions::default();
        let said = classifier.classify_squares(&views, options).unwrap();
        assert_eq!(said.len(), views.len());
        for (index, said) in said.iter().enumerate() {
            let case = format!("{threads} threads, picture {index}");
            let pools: Vec<f32> = expected
                .pools
                .iter()
                .flat_map(|pool| pool.get(index).unwrap().to_vec1::<f32>().unwrap())
                .collect();
            let distance = usual.of(&pools).unwrap();
            assert_alike(said.distance.score, distance.score, &case);
            assert_eq!(said.distance.to.len(), distance.to.len());
            for (found, expected) in said.distance.to.iter().zip(&distance.to) {
                assert_alike(*found, *expected, &case);
            }
            let p = softmax(&logits[index], manifest.temperature);
            for (category, ranked) in said.order.iter().zip(&said.top) {
                assert_alike(ranked.p, p[*category], &case);
            }
            let map = expected.map.get(index).unwrap().flatten_all().unwrap();
            let map = map.to_vec1::<f32>().unwrap();
            assert_eq!(said.map.values.len(), map.len());
            for (found, expected) in said.map.values.iter().zip(&map) {
                assert_alike(f64::from(*found), f64::from(*expected), &case);
            }
        }
    }
}
