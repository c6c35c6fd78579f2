//! Training operations: values and gradients equal candle's own.

use candle_core::{Result, Tensor, Var};

use super::{difference, same_padding, tensor};
use crate::Activation;
use crate::fused::{dense, dense_gradients, depthwise, depthwise_gradients, residual, stem};

/// Value and gradients, by each argument, of a weighted sum of what `op` gives.
fn with_gradients(arguments: &[&Tensor], op: impl Fn(&[Var]) -> Result<Tensor>) -> Vec<Tensor> {
    let arguments: Vec<Var> = arguments
        .iter()
        .map(|tensor| Var::from_tensor(tensor).unwrap())
        .collect();
    let y = op(&arguments).unwrap();
    let weighted = (&y * tensor(77, y.dims())).unwrap();
    let gradients = weighted.sum_all().unwrap().backward().unwrap();
    let of = |var: &Var| gradients.get(var).expect("a gradient").clone();
    std::iter::once(y).chain(arguments.iter().map(of)).collect()
}

fn assert_alike(ours: &[Tensor], plain: &[Tensor], what: &str) {
    assert_eq!(ours.len(), plain.len());
    for (index, (ours, plain)) in ours.iter().zip(plain).enumerate() {
        let off = difference(ours, plain);
        assert!(off < 1e-5, "{what}, number {index}: {off}");
    }
}

fn bounded(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::None => Ok(x.clone()),
        Activation::Relu6 => x.clamp(0.0_f32, 6.0_f32),
    }
}

/// Channels last to channels first.
fn planes(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))
}

#[test]
fn a_depthwise_convolution_and_its_gradients_are_candles() {
    let sizes = [(1, 1), (1, 2), (2, 9), (5, 7), (6, 8), (7, 5), (14, 13)];
    for ((height, width), channels) in sizes.into_iter().flat_map(|s| [(s, 3), (s, 16), (s, 33)]) {
        for (stride, activation) in [
            (1, Activation::None),
            (1, Activation::Relu6),
            (2, Activation::Relu6),
        ] {
            let x = tensor(1, &[2, height, width, channels])
                .affine(4.0, 1.0)
                .unwrap();
            let (weight, bias) = (tensor(2, &[9, channels]), tensor(3, &[channels]));
            let arguments = [&x, &weight, &bias];
            let ours = with_gradients(&arguments, |of| {
                depthwise(&of[0], &of[1], &of[2], stride, activation)
            });
            let plain = with_gradients(&arguments, |of| {
                let weight = of[1].t()?.reshape((channels, 1, 3, 3))?;
                let sums = same_padding(&planes(&of[0])?, stride)
                    .conv2d(&weight, 0, stride, 1, channels)?;
                let sums = sums.permute((0, 2, 3, 1))?.broadcast_add(&of[2])?;
                bounded(&sums, activation)
            });
            let what = format!("{height} x {width} x {channels}, stride {stride}, {activation:?}");
            assert_alike(&ours, &plain, &what);

            // The same without candle's own backward pass.
            let gradient = tensor(77, ours[0].dims());
            let by_hand =
                depthwise_gradients(&x, &weight, &ours[0], &gradient, stride, activation, true)
                    .unwrap();
            let by_hand = [by_hand.to_x.unwrap(), by_hand.to_weight, by_hand.to_bias];
            assert_alike(&by_hand, &plain[1..], &what);
        }
    }
}

#[test]
fn a_1x1_convolution_and_its_gradients_are_candles() {
    for (rows, inputs, outputs) in [(1, 1, 1), (8, 3, 5), (25, 16, 33), (300, 24, 40)] {
        for activation in [Activation::None, Activation::Relu6] {
            let x = tensor(4, &[rows, inputs]).affine(6.0, 1.0).unwrap();
            let (weight, bias) = (tensor(5, &[outputs, inputs]), tensor(6, &[outputs]));
            let arguments = [&x, &weight, &bias];
            let ours = with_gradients(&arguments, |of| dense(&of[0], &of[1], &of[2], activation));
            let plain = with_gradients(&arguments, |of| {
                bounded(
                    &of[0].matmul(&of[1].t()?)?.broadcast_add(&of[2])?,
                    activation,
                )
            });
            let what = format!("{rows} rows, {inputs} to {outputs}, {activation:?}");
            assert_alike(&ours, &plain, &what);

            let gradient = tensor(77, ours[0].dims());
            let by_hand =
                dense_gradients(&x, &weight, &ours[0], &gradient, activation, false).unwrap();
            assert!(by_hand.to_x.is_none());
            assert_alike(&[by_hand.to_weight, by_hand.to_bias], &plain[2..], &what);
        }
    }
}

#[test]
fn the_stem_is_candles_convolution() {
    for (height, width, outputs) in [(1, 1, 8), (4, 7, 16), (9, 6, 33)] {
        let x = tensor(7, &[2, 3, height, width]);
        let (weight, bias) = (tensor(8, &[outputs, 3, 3, 3]), tensor(9, &[outputs]));
        let ours = stem(&x, &weight, &bias).unwrap();
        let sums = same_padding(&x, 2).conv2d(&weight, 0, 2, 1, 1).unwrap();
        let plain = sums
            .permute((0, 2, 3, 1))
            .unwrap()
            .broadcast_add(&bias)
            .unwrap();
        let plain = bounded(&plain, Activation::Relu6).unwrap();
        assert_alike(&[ours], &[plain], &format!("{height} x {width}"));
    }
}

#[test]
fn a_residual_and_its_gradients_are_candles() {
    let (a, b) = (tensor(10, &[40, 50]), tensor(11, &[40, 50]));
    let ours = with_gradients(&[&a, &b], |of| residual(&of[0], &of[1]));
    let plain = with_gradients(&[&a, &b], |of| of[0].as_tensor() + of[1].as_tensor());
    assert_alike(&ours, &plain, "residual");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let map = tensor(12, &[1, 6, 6, 4]);
    let relu6 = Activation::Relu6;
    let four = tensor(1, &[4]);
    assert!(depthwise(&map, &tensor(1, &[9, 3]), &four, 1, relu6).is_err());
    assert!(depthwise(&map, &tensor(1, &[9, 4]), &tensor(1, &[3]), 1, relu6).is_err());
    assert!(depthwise(&map, &tensor(1, &[9, 4]), &four, 0, relu6).is_err());
    assert!(depthwise(&four, &tensor(1, &[9, 4]), &four, 1, relu6).is_err());
    let by_hand = |weight: &Tensor, output: &Tensor, gradient: &Tensor, stride| {
        depthwise_gradients(&map, weight, output, gradient, stride, relu6, true)
    };
    let (weight, wider) = (tensor(1, &[9, 4]), tensor(1, &[1, 6, 7, 4]));
    assert!(by_hand(&weight, &map, &map, 1).is_ok());
    assert!(by_hand(&weight, &map, &map, 0).is_err());
    assert!(by_hand(&weight, &map, &map, 2).is_err());
    assert!(by_hand(&weight, &map, &wider, 1).is_err());
    assert!(by_hand(&tensor(1, &[8, 4]), &map, &map, 1).is_err());
    let rows = tensor(13, &[5, 4]);
    assert!(dense(&rows, &tensor(1, &[3, 5]), &tensor(1, &[3]), relu6).is_err());
    assert!(dense(&rows, &tensor(1, &[4, 4]), &tensor(1, &[3]), relu6).is_err());
    assert!(stem(&tensor(1, &[1, 3, 8, 8]), &tensor(1, &[4, 2, 3, 3]), &four).is_err());
    assert!(residual(&rows, &tensor(1, &[4, 5])).is_err());
    let doubles = rows.to_dtype(candle_core::DType::F64).unwrap();
    assert!(dense(&doubles, &tensor(1, &[4, 4]), &four, relu6).is_err());
}
