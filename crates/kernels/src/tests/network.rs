//! The whole network: equal to plain candle operations, at every level, on any number of threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Module, Tensor};

use super::{difference, numbers, same_padding, tensor};
use crate::mobilenet::{Architecture, MOBILENET_V2};
use crate::network::Size;
use crate::{Config, KernelError, Level, MobileNetV2};

/// Small, with what the large one has: odd sizes, a channel count that is not a multiple of 16, a panel of one block.
const SMALL: Architecture = Architecture {
    image: Size {
        height: 75,
        width: 59,
    },
    stem: 20,
    first: 9,
    stages: &[(6, 24, 2, 2), (3, 24, 1, 1), (5, 40, 2, 2), (2, 70, 1, 2)],
    last: 50,
};

/// Wide and flat: several bands of rows, and maps of one row.
const WIDE: Architecture = Architecture {
    image: Size {
        height: 9,
        width: 1500,
    },
    stem: 32,
    first: 16,
    stages: &[(6, 24, 2, 2), (6, 32, 2, 2), (6, 33, 1, 2)],
    last: 17,
};

/// Large enough for bands that reuse the rows that they share, which no thread takes all of.
const TALL: Architecture = Architecture {
    image: Size {
        height: 200,
        width: 130,
    },
    stem: 32,
    first: 16,
    stages: &[(6, 24, 2, 1), (6, 24, 1, 2)],
    last: 16,
};

/// Random weights of the size that keeps activations in the middle of their range.
fn weights(architecture: &Architecture) -> HashMap<String, Tensor> {
    let mut tensors = HashMap::new();
    let mut convolution = |name: String, dims: [usize; 4]| {
        let seed = tensors.len() as u64 + 1;
        let scale = (6.0 / (dims[1] * dims[2] * dims[3]) as f64).sqrt();
        let weight = tensor(seed, &dims).affine(scale, 0.0).unwrap();
        let bias = tensor(seed + 1000, &dims[..1]).affine(0.5, 0.2).unwrap();
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.bias"), bias);
    };
    convolution("features.0.0".into(), [architecture.stem, 3, 3, 3]);
    convolution("features.1.conv.0.0".into(), [architecture.stem, 1, 3, 3]);
    convolution(
        "features.1.conv.1".into(),
        [architecture.first, architecture.stem, 1, 1],
    );
    let (mut inputs, mut block) = (architecture.first, 2);
    for &(expansion, outputs, count, _) in architecture.stages {
        for _ in 0..count {
            let hidden = inputs * expansion;
            convolution(format!("features.{block}.conv.0.0"), [hidden, inputs, 1, 1]);
            convolution(format!("features.{block}.conv.1.0"), [hidden, 1, 3, 3]);
            convolution(format!("features.{block}.conv.2"), [outputs, hidden, 1, 1]);
            (inputs, block) = (outputs, block + 1);
        }
    }
    convolution(
        format!("features.{block}.0"),
        [architecture.last, inputs, 1, 1],
    );
    tensors
}

/// The last map by candle's own operations.
fn plain(architecture: &Architecture, tensors: &HashMap<String, Tensor>, x: &Tensor) -> Tensor {
    plain_maps(architecture, tensors, x).pop().unwrap()
}

/// The result of each block and the last map.
fn plain_maps(
    architecture: &Architecture,
    tensors: &HashMap<String, Tensor>,
    x: &Tensor,
) -> Vec<Tensor> {
    let convolution = |x: &Tensor, name: &str, stride: usize, groups: usize, relu6: bool| {
        let (weight, bias) = (
            &tensors[&format!("{name}.weight")],
            &tensors[&format!("{name}.bias")],
        );
        let padded = if weight.dims()[2] == 3 {
            same_padding(x, stride)
        } else {
            x.clone()
        };
        let y = padded.conv2d(weight, 0, stride, 1, groups).unwrap();
        let bias = bias.reshape((1, bias.elem_count(), 1, 1)).unwrap();
        let y = y.broadcast_add(&bias).unwrap();
        if relu6 { y.clamp(0.0, 6.0).unwrap() } else { y }
    };
    let mut x = convolution(x, "features.0.0", 2, 1, true);
    x = convolution(&x, "features.1.conv.0.0", 1, architecture.stem, true);
    x = convolution(&x, "features.1.conv.1", 1, 1, false);
    let mut maps = vec![x.clone()];
    let (mut inputs, mut block) = (architecture.first, 2);
    for &(expansion, outputs, count, first_stride) in architecture.stages {
        for index in 0..count {
            let stride = if index == 0 { first_stride } else { 1 };
            let name = format!("features.{block}.conv");
            let y = convolution(&x, &format!("{name}.0.0"), 1, 1, true);
            let y = convolution(&y, &format!("{name}.1.0"), stride, inputs * expansion, true);
            let y = convolution(&y, &format!("{name}.2"), 1, 1, false);
            x = if stride == 1 && inputs == outputs {
                (x + y).unwrap()
            } else {
                y
            };
            maps.push(x.clone());
            (inputs, block) = (outputs, block + 1);
        }
    }
    maps.push(convolution(&x, &format!("features.{block}.0"), 1, 1, true));
    maps
}

/// Grey images without a pattern, and what they stand for.
fn grey(images: usize, size: Size) -> (Vec<u8>, Tensor) {
    let count = u32::try_from(images * size.pixels()).unwrap();
    let pixels: Vec<u8> = (0..count)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let values: Vec<f32> = pixels.iter().map(|p| f32::from(*p) / 127.5 - 1.0).collect();
    let dims = (images, 1, size.height, size.width);
    let x = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
    (pixels, x.repeat((1, 3, 1, 1)).unwrap())
}

fn pooled(map: &Tensor) -> Tensor {
    map.mean((2, 3)).unwrap()
}

fn packed(
    architecture: &Architecture,
    tensors: &HashMap<String, Tensor>,
    threads: usize,
    level: Level,
) -> MobileNetV2 {
    MobileNetV2::with_architecture(architecture, tensors, Config { threads, level }).unwrap()
}

#[test]
fn any_network_of_this_kind_equals_plain_operations() {
    for (name, architecture, images) in [("small", SMALL, 3), ("wide", WIDE, 1), ("tall", TALL, 1)]
    {
        let tensors = weights(&architecture);
        let size = architecture.image;
        let x = tensor(5, &[images, 3, size.height, size.width]);
        let expected = plain(&architecture, &tensors, &x);
        for level in Level::available() {
            for threads in [1, 2, 3] {
                let network = packed(&architecture, &tensors, threads, level);
                // Twice: memory that was used before gives the same.
                for round in 0..2 {
                    let map = network.forward(&x).unwrap();
                    let off = difference(&map, &expected);
                    assert!(
                        off < 1e-4,
                        "{name} {level} {threads} threads, round {round}: {off}"
                    );
                    let off = difference(&network.pooled(&x).unwrap(), &pooled(&expected));
                    assert!(
                        off < 1e-4,
                        "{name} {level} {threads} threads, round {round}: {off}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_real_shape_equals_plain_operations_at_every_level() {
    let tensors = weights(&MOBILENET_V2);
    let (pixels, x) = grey(1, MOBILENET_V2.image);
    let maps = plain_maps(&MOBILENET_V2, &tensors, &x);
    let expected = &maps[17];
    let spread = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(spread.iter().filter(|v| **v > 0.0 && **v < 6.0).count() > spread.len() / 10);
    for level in Level::available() {
        let network = MobileNetV2::new(&tensors, Config { threads: 2, level }).unwrap();
        let network = network.with_taps(&[10, 13, 16, 17]).unwrap();
        let map = network.forward(&x).unwrap();
        assert_eq!(map.dims(), [1, 1280, 7, 7]);
        let off = difference(&map, expected);
        assert!(off < 1e-4, "{level}: {off}");
        let features = network.grey(&pixels).unwrap();
        let off = difference(&features.map, expected);
        assert!(off < 1e-4, "{level}, grey: {off}");
        let off = difference(&features.pooled, &pooled(expected));
        assert!(off < 1e-4, "{level}, grey: {off}");
        assert_eq!(features.taps.len(), 4);
        for (tap, block) in features.taps.iter().zip([10, 13, 16, 17]) {
            let off = difference(tap, &pooled(&maps[block - 1]));
            assert!(off < 1e-4, "{level}, block {block}: {off}");
        }
    }
}

#[test]
fn taps_are_the_means_of_the_blocks_results_whoever_computes_them() {
    for (name, architecture) in [("small", SMALL), ("wide", WIDE), ("tall", TALL)] {
        let tensors = weights(&architecture);
        let (pixels, x) = grey(4, architecture.image);
        let maps = plain_maps(&architecture, &tensors, &x);
        let blocks = maps.len() - 1;
        let all: Vec<usize> = (1..=blocks).collect();
        for level in Level::available() {
            let untapped = packed(&architecture, &tensors, 1, level).grey(&pixels);
            let untapped = untapped.unwrap();
            assert!(untapped.taps.is_empty());
            let first = packed(&architecture, &tensors, 1, level)
                .with_taps(&all)
                .unwrap()
                .grey(&pixels)
                .unwrap();
            assert_eq!(first.taps.len(), blocks);
            for (tap, map) in first.taps.iter().zip(&maps) {
                let expected = pooled(map);
                assert_eq!(tap.dims(), expected.dims());
                let off = difference(tap, &expected);
                assert!(off < 1e-4, "{name} {level}: {off}");
            }
            // Of 4 images on 3 threads each takes one alone, and all share the last.
            for threads in [1, 2, 3] {
                for wanted in [&all[..], &[2]] {
                    let network = packed(&architecture, &tensors, threads, level);
                    let network = network.with_taps(wanted).unwrap();
                    for round in 0..2 {
                        let features = network.grey(&pixels).unwrap();
                        let case = format!("{name} {level} {threads} threads, round {round}");
                        assert_eq!(difference(&features.map, &untapped.map), 0.0, "{case}");
                        assert_eq!(features.taps.len(), wanted.len());
                        for (tap, block) in features.taps.iter().zip(wanted) {
                            let off = difference(tap, &first.taps[block - 1]);
                            assert_eq!(off, 0.0, "{case}, block {block}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn blocks_that_there_are_not_cannot_be_tapped() {
    let tensors = weights(&SMALL);
    let tapped = |blocks: &[usize]| packed(&SMALL, &tensors, 2, Level::detect()).with_taps(blocks);
    for blocks in [&[0][..], &[8], &[2, 1], &[3, 3]] {
        let error = tapped(blocks).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, KernelError::Taps { last: 7, .. }),
            "{error}"
        );
    }
    let none = tapped(&[1, 7]).unwrap().grey(&[]).unwrap();
    let dims: Vec<&[usize]> = none.taps.iter().map(Tensor::dims).collect();
    assert_eq!(dims, [[0, 9], [0, 70]]);
}

#[test]
fn images_of_a_batch_do_not_meet() {
    let tensors = weights(&SMALL);
    let x = tensor(6, &[7, 3, 75, 59]);
    let first = packed(&SMALL, &tensors, 1, Level::detect())
        .forward(&x)
        .unwrap();
    for threads in [1, 2, 3, 8] {
        let network = packed(&SMALL, &tensors, threads, Level::detect());
        let together = network.forward(&x).unwrap();
        assert_eq!(difference(&together, &first), 0.0, "{threads} threads");
        for image in 0..7 {
            let alone = network.forward(&x.narrow(0, image, 1).unwrap()).unwrap();
            let off = difference(&together.narrow(0, image, 1).unwrap(), &alone);
            assert_eq!(off, 0.0, "{threads} threads, image {image}");
        }
    }
}

#[test]
fn several_callers_take_turns() {
    let tensors = weights(&SMALL);
    let network = packed(&SMALL, &tensors, 2, Level::detect());
    let x = tensor(6, &[3, 3, 75, 59]);
    let expected = network.forward(&x).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(difference(&network.forward(&x).unwrap(), &expected), 0.0);
                }
            });
        }
    });
}

#[test]
fn weights_in_half_precision_are_taken() {
    let tensors: HashMap<_, _> = weights(&SMALL)
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_dtype(DType::F16).unwrap()))
        .collect();
    let widened = tensors
        .iter()
        .map(|(n, t)| (n.clone(), t.to_dtype(DType::F32).unwrap()))
        .collect();
    let x = tensor(7, &[1, 3, 75, 59]);
    let ours = packed(&SMALL, &tensors, 1, Level::detect())
        .forward(&x)
        .unwrap();
    assert!(difference(&ours, &plain(&SMALL, &widened, &x)) < 1e-4);
}

#[test]
fn wrong_weights_are_errors() {
    let good = weights(&SMALL);
    let build = |tensors: &HashMap<String, Tensor>| {
        MobileNetV2::with_architecture(&SMALL, tensors, Config::default()).map(|_| ())
    };
    build(&good).unwrap();
    for name in good.keys() {
        let mut tensors = good.clone();
        tensors.remove(name);
        assert!(matches!(build(&tensors), Err(KernelError::Missing(n)) if n == *name));

        let dims = good[name].dims();
        let mut wrong = dims.to_vec();
        wrong[0] += 1;
        tensors.insert(name.clone(), tensor(1, &wrong));
        assert!(matches!(build(&tensors), Err(KernelError::Shape { name: n, .. }) if n == *name));
        tensors.insert(
            name.clone(),
            good[name].flatten_all().unwrap().unsqueeze(0).unwrap(),
        );
        assert!(matches!(build(&tensors), Err(KernelError::Shape { .. })));

        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = numbers(1, good[name].elem_count());
            *values.last_mut().unwrap() = value;
            tensors.insert(
                name.clone(),
                Tensor::from_vec(values, dims, &Device::Cpu).unwrap(),
            );
            assert!(matches!(build(&tensors), Err(KernelError::NotFinite(n)) if n == *name));
        }
    }
}

#[test]
fn wrong_input_is_an_error() {
    let network = packed(&SMALL, &weights(&SMALL), 2, Level::detect());
    for dims in [
        &[1, 3, 75, 58][..],
        &[1, 1, 75, 59],
        &[3, 75, 59],
        &[1, 3, 59, 75],
    ] {
        assert!(network.forward(&tensor(1, dims)).is_err(), "{dims:?}");
    }
    assert!(
        network
            .pooled(&tensor(1, &[1, 3, 75, 59]).to_dtype(DType::F64).unwrap())
            .is_err()
    );
    assert!(network.grey(&[0; 75 * 59 - 1]).is_err());
    assert_eq!(network.grey(&[]).unwrap().pooled.dims(), [0, 50]);
    for images in [1, 2, 3] {
        let mut values = numbers(1, images * 3 * 75 * 59);
        *values.last_mut().unwrap() = f32::NAN;
        let x = Tensor::from_vec(values, (images, 3, 75, 59), &Device::Cpu).unwrap();
        let error = network.forward(&x).unwrap_err().to_string();
        assert!(error.contains("not numbers"), "{error}");
    }
}

/// The folder of data that is not part of the repository, if this checkout has one.
fn shared() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SALUS_SHARED") {
        return Some(path.into());
    }
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared"))
        .find(|folder| folder.join("weights").is_dir())
}

#[test]
fn the_pretrained_network_gives_the_recorded_features() {
    let Some(folder) = shared()
        .map(|s| s.join("weights/mobilenetv2-imagenet"))
        .filter(|f| f.is_dir())
    else {
        eprintln!("SKIPPED: no pretrained weights here (set SALUS_SHARED)");
        return;
    };
    let load =
        |name: &str| candle_core::safetensors::load(folder.join(name), &Device::Cpu).unwrap();
    let (tensors, reference) = (
        load("mobilenetv2_1.0_224.safetensors"),
        load("reference.safetensors"),
    );
    for level in Level::available() {
        let network = MobileNetV2::new(&tensors, Config { threads: 2, level }).unwrap();
        let features = network.pooled(&reference["input"]).unwrap();
        let off = difference(&features, &reference["features"]);
        assert!(off < 1e-3, "{level}: {off}");
        let (weight, bias) = (
            &tensors["classifier.1.weight"],
            &tensors["classifier.1.bias"],
        );
        let logits = features
            .matmul(&weight.t().unwrap())
            .unwrap()
            .broadcast_add(bias)
            .unwrap();
        let off = difference(&logits, &reference["logits"]);
        assert!(off < 1e-3, "{level}: {off}");
    }
}
