//! Training convolutions: values and gradients equal candle's own.

use candle_core::{Tensor, Var};

use super::{difference, numbers, tensor};
use crate::level::Level;
use crate::train::plane::{Padded, Shape};
use crate::{bias_relu6, conv1x1, depthwise3x3, same_padding};

/// Value and both gradients of a weighted sum of what `op` gives.
fn with_gradients(x: &Tensor, w: &Tensor, op: impl Fn(&Tensor, &Tensor) -> Tensor) -> [Tensor; 3] {
    let (x, w) = (Var::from_tensor(x).unwrap(), Var::from_tensor(w).unwrap());
    let y = op(&x, &w);
    let weights = tensor(77, y.dims());
    let gradients = (&y * weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let of = |v: &Var| gradients.get(v).expect("a gradient").clone();
    [y, of(&x), of(&w)]
}

#[test]
fn a_depthwise_convolution_and_its_gradients_are_candles() {
    let sizes = [
        (1, 1),
        (1, 4),
        (2, 2),
        (3, 3),
        (2, 7),
        (5, 4),
        (7, 7),
        (9, 16),
        (14, 13),
        (33, 20),
    ];
    for (height, width) in sizes {
        for stride in [1, 2] {
            for (images, channels) in [(1, 1), (2, 5), (3, 2)] {
                let x = tensor(1, &[images, channels, height, width]);
                let w = tensor(2, &[channels, 1, 3, 3]);
                let ours = with_gradients(&x, &w, |x, w| depthwise3x3(x, w, stride).unwrap());
                let plain = with_gradients(&x, &w, |x, w| {
                    same_padding(x, stride)
                        .unwrap()
                        .conv2d(w, 0, stride, 1, channels)
                        .unwrap()
                });
                for (name, (ours, plain)) in ["value", "input", "weights"]
                    .iter()
                    .zip(ours.iter().zip(&plain))
                {
                    let off = difference(ours, plain);
                    assert!(off < 1e-5, "{name} {height}x{width} stride {stride}: {off}");
                }
            }
        }
    }
}

#[test]
fn padding_is_tensorflows() {
    // 3x3, stride 2: an even size pads 0 before and 1 after, an odd one 1 and 1; stride 1 pads 1 and 1.
    let shape =
        |size: usize, stride| same_padding(&tensor(3, &[1, 1, size, size]), stride).unwrap();
    for (size, stride, before, total) in [
        (4, 2, 0, 5),
        (5, 2, 1, 7),
        (4, 1, 1, 6),
        (1, 2, 1, 3),
        (2, 2, 0, 3),
    ] {
        let x = tensor(3, &[1, 1, size, size]);
        let padded = shape(size, stride);
        assert_eq!(padded.dims(), [1, 1, total, total], "{size} {stride}");
        let inside = padded
            .narrow(2, before, size)
            .unwrap()
            .narrow(3, before, size)
            .unwrap();
        assert_eq!(difference(&inside, &x), 0.0);
        let sum = |t: &Tensor| {
            t.abs()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        };
        assert!((sum(&padded) - sum(&x)).abs() < 1e-4);
    }
}

#[test]
fn every_level_gives_the_same_planes() {
    let shape = Shape::new(21, 37, 2);
    let w: [f32; 9] = numbers(5, 9).try_into().unwrap();
    let (plane, grad) = (numbers(6, 21 * 37), numbers(7, 11 * 19));
    let run = |level| {
        let mut padded = Padded::new(shape);
        padded.fill(&plane);
        let (mut out, mut sums, mut back) = (vec![0.0; 11 * 19], [0.0; 9], vec![0.0; 21 * 37]);
        padded.convolve(level, &w, &mut out);
        padded.correlate(level, &grad, &mut sums);
        padded.scatter(level, &w, &grad, &mut back);
        [&out[..], &sums, &back].concat()
    };
    let plain = run(Level::SCALAR);
    for level in Level::available() {
        for (a, b) in run(level).iter().zip(&plain) {
            assert!((a - b).abs() < 1e-5, "{level}");
        }
    }
}

#[test]
fn a_1x1_convolution_and_its_gradients_are_candles() {
    for (images, inputs, outputs, height, width) in
        [(1, 1, 1, 1, 1), (2, 3, 5, 4, 7), (3, 16, 8, 5, 5)]
    {
        let x = tensor(8, &[images, inputs, height, width]);
        let w = tensor(9, &[outputs, inputs, 1, 1]);
        let ours = with_gradients(&x, &w, |x, w| conv1x1(x, w).unwrap());
        let plain = with_gradients(&x, &w, |x, w| x.conv2d(w, 0, 1, 1, 1).unwrap());
        for (ours, plain) in ours.iter().zip(&plain) {
            assert!(difference(ours, plain) < 1e-5);
        }
    }
}

#[test]
fn a_view_that_is_not_contiguous_is_taken_as_it_reads() {
    let x = tensor(10, &[2, 5, 4, 3]).transpose(1, 3).unwrap();
    let w = tensor(11, &[3, 1, 3, 3]);
    let ours = depthwise3x3(&x, &w, 1).unwrap();
    let plain = depthwise3x3(&x.contiguous().unwrap(), &w, 1).unwrap();
    assert_eq!(difference(&ours, &plain), 0.0);
}

#[test]
fn wrong_shapes_are_errors() {
    let x = tensor(12, &[1, 4, 6, 6]);
    assert!(depthwise3x3(&x, &tensor(1, &[3, 1, 3, 3]), 1).is_err());
    assert!(depthwise3x3(&x, &tensor(1, &[4, 1, 3, 3]), 3).is_err());
    assert!(depthwise3x3(&x, &tensor(1, &[4, 1, 3, 3]), 0).is_err());
    assert!(depthwise3x3(&tensor(1, &[4, 6, 6]), &tensor(1, &[4, 1, 3, 3]), 1).is_err());
    assert!(depthwise3x3(&tensor(1, &[1, 4, 0, 6]), &tensor(1, &[4, 1, 3, 3]), 1).is_err());
    assert!(conv1x1(&x, &tensor(1, &[3, 5, 1, 1])).is_err());
    assert!(conv1x1(&x, &tensor(1, &[3, 4, 3, 3])).is_err());
    assert!(same_padding(&x, 0).is_err());
}

#[test]
fn bias_and_relu6_and_their_gradients_are_candles() {
    for (images, channels, height, width) in [(1, 1, 1, 1), (2, 3, 5, 4), (3, 8, 1, 7)] {
        let x = tensor(13, &[images, channels, height, width])
            .affine(8.0, 2.0)
            .unwrap();
        let bias = tensor(14, &[channels]);
        let ours = with_gradients(&x, &bias, |x, b| bias_relu6(x, b).unwrap());
        let plain = with_gradients(&x, &bias, |x, b| {
            let b = b.reshape((1, channels, 1, 1)).unwrap();
            x.broadcast_add(&b).unwrap().clamp(0.0, 6.0).unwrap()
        });
        for (ours, plain) in ours.iter().zip(&plain) {
            assert!(difference(ours, plain) < 1e-5);
        }
    }
    assert!(bias_relu6(&tensor(1, &[1, 4, 2, 2]), &tensor(1, &[3])).is_err());
}
