//! The network beside its reference, and its fast paths beside candle's own operations.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};

use super::{shared, small};
use crate::draws::Draws;
use crate::imaging::network::{Architecture, BLOCKS, Network, block_of};
use crate::imaging::train::random_base;
use crate::weights::{Tensors, parse};

fn drawn(shape: &[usize], seed: u64) -> Tensor {
    let mut draws = Draws::new(seed, "tensor", &[]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| draws.between_f32(-1.0, 1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f32, what: &str) {
    assert_eq!(a.dims(), b.dims(), "{what}");
    let most = |t: &Tensor| -> f32 {
        t.abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar()
            .unwrap()
    };
    let scale = most(b).max(1.0);
    let apart = most(&(a - b).unwrap());
    assert!(apart <= tolerance * scale, "{what}: {apart} of {scale}");
}

/// Random weights with biases, which He's initialisation leaves at zero.
fn tensors(architecture: Architecture) -> Tensors {
    let mut tensors = random_base(architecture, 1).unwrap().tensors;
    for (seed, (name, tensor)) in tensors.iter_mut().enumerate() {
        if name.ends_with("bias") {
            *tensor = (drawn(tensor.dims(), seed as u64) * 0.3).unwrap();
        }
    }
    tensors
}

#[test]
fn the_pretrained_weights_give_their_recorded_features_and_logits() {
    let Some(folder) = shared("weights/mobilenetv2-imagenet") else {
        return;
    };
    let read = |name: &str| parse(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    let reference = read("reference.safetensors");
    let weights = read("mobilenetv2_1.0_224.safetensors");
    let network = Network::new(Architecture::standard(1001), weights).unwrap();
    let input = &reference["input"];
    for (way, output) in [
        ("candle's operations", network.forward(input, &[]).unwrap()),
        (
            "fused operations",
            network.forward_fused(input, &[]).unwrap(),
        ),
    ] {
        assert_close(&output.embedding, &reference["features"], 1e-3, way);
        assert_close(&output.logits, &reference["logits"], 1e-3, way);
    }
}

#[test]
fn fused_operations_are_the_same_function() {
    for input_px in [32, 96] {
        let architecture = Architecture {
            input_px,
            ..small(4)
        };
        let network = Network::new(architecture, tensors(architecture)).unwrap();
        let input = drawn(&[3, 3, input_px, input_px], 9);
        let pools = [1, 7, 17];
        let plain = network.forward(&input, &pools).unwrap();
        let fused = network.forward_fused(&input, &pools).unwrap();
        assert_close(&fused.map, &plain.map, 1e-4, "map");
        assert_close(&fused.embedding, &plain.embedding, 1e-4, "embedding");
        assert_close(&fused.logits, &plain.logits, 1e-4, "logits");
        assert_eq!(fused.pools.len(), pools.len());
        for (fused, plain) in fused.pools.iter().zip(&plain.pools) {
            assert_close(fused, plain, 1e-4, "pool");
        }
    }
}

#[test]
fn every_trained_tensor_gets_candles_gradient() {
    let architecture = small(3);
    for trained_from in [1, 9, BLOCKS + 1] {
        let mut with_variables = tensors(architecture);
        let mut variables = BTreeMap::new();
        for (name, tensor) in &mut with_variables {
            if block_of(name).unwrap() >= trained_from {
                let var = Var::from_tensor(tensor).unwrap();
                *tensor = var.as_tensor().clone();
                variables.insert(name.clone(), var);
            }
        }
        let graph = Network::new(architecture, with_variables).unwrap();
        let input = drawn(&[2, 3, 32, 32], 4);
        let loss = |embedding: &Tensor| {
            let logits = graph.head(embedding).unwrap();
            logits.sqr().unwrap().sum_all().unwrap()
        };
        let expected = loss(&graph.forward(&input, &[]).unwrap().embedding)
            .backward()
            .unwrap();

        let detached = tensors(architecture);
        let network = Network::new(architecture, detached).unwrap();
        let stem = network.stem_fused(&input).unwrap();
        let map = network.blocks_fused(&stem, 0, trained_from - 1).unwrap();
        let (embedding, tape) = network.forward_taped(&map, trained_from).unwrap();
        let embedding = Var::from_tensor(&embedding).unwrap();
        let of_head = loss(&embedding).backward().unwrap();
        let mut found = network
            .backward(tape, of_head.get(&embedding).unwrap())
            .unwrap();
        for name in ["classifier.1.weight", "classifier.1.bias"] {
            let gradient = of_head.get(&variables[name]).unwrap().clone();
            found.insert(name.to_owned(), gradient);
        }
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            variables.keys().collect::<Vec<_>>(),
            "from block {trained_from}"
        );
        for (name, var) in &variables {
            assert_close(&found[name], expected.get(var).unwrap(), 1e-4, name);
        }
    }
}

#[test]
fn the_standard_network_has_the_papers_size() {
    let tensors = Architecture::standard(1001).tensors();
    let numbers: usize = tensors
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    assert_eq!((tensors.len(), numbers), (106, 3_489_097));
    assert_eq!(Architecture::standard(2).map_after(7), (64, 14));
    assert_eq!(Architecture::standard(2).pooled_len(&[10, 13, 16, 17]), 640);
    for wrong in [
        Architecture {
            input_px: 100,
            ..small(3)
        },
        Architecture {
            input_px: 1 << 20,
            ..small(3)
        },
        Architecture {
            width_percent: 0,
            ..small(3)
        },
        small(1),
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let architecture = small(3);
    let refused = |change: &dyn Fn(&mut Tensors), expected: &str| {
        let mut tensors = tensors(architecture);
        change(&mut tensors);
        let error = Network::new(architecture, tensors).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let name = "features.5.conv.1.0.weight";
    refused(
        &|t| drop(t.remove(name)),
        "features.5.conv.1.0.weight is missing",
    );
    refused(
        &|t| drop(t.insert(name.to_owned(), drawn(&[1, 1, 3, 3], 0))),
        "has the shape [1, 1, 3, 3] instead of",
    );
    refused(
        &|t| drop(t.insert("features.99.weight".to_owned(), drawn(&[1], 0))),
        "features.99.weight is no tensor of this network",
    );
}
