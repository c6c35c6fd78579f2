//! The gemm tile and the depthwise kernel, over shapes and at every level.

use candle_core::{Device, Tensor};

use super::{difference, numbers, same_padding, tensor};
use crate::buffer::Buffer;
use crate::depthwise::{Depthwise, PackedDepthwise};
use crate::{Activation, Level, Linear, peak_flops};

/// `[1,C,H,W]` as `[C/16][height + 2][width + 2][16]`, with what `frame` says around it.
fn blocked(x: &Tensor, frame: f32) -> Buffer {
    let (_, channels, height, width) = x.dims4().unwrap();
    let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut cells = vec![frame; channels.div_ceil(16) * (height + 2) * (width + 2) * 16];
    for (at, value) in values.iter().enumerate() {
        let (c, y, x) = (at / (height * width), at / width % height, at % width);
        cells[((c / 16 * (height + 2) + y + 1) * (width + 2) + x + 1) * 16 + c % 16] = *value;
    }
    Buffer::of(&cells)
}

#[test]
fn depthwise_rows_equal_candles_convolution() {
    let sizes = [
        (1, 1),
        (2, 3),
        (3, 2),
        (5, 14),
        (7, 7),
        (8, 15),
        (6, 29),
        (14, 14),
    ];
    for ((height, width), channels) in sizes.into_iter().flat_map(|s| [(s, 5), (s, 16), (s, 40)]) {
        for stride in [1, 2] {
            let x = tensor(1, &[1, channels, height, width]);
            let (w, bias) = (tensor(2, &[channels, 1, 3, 3]), numbers(3, channels));
            let padded = same_padding(&x, stride);
            let plain = padded.conv2d(&w, 0, stride, 1, channels).unwrap();
            let b = Tensor::from_vec(bias.clone(), (1, channels, 1, 1), &Device::Cpu).unwrap();
            let plain = plain.broadcast_add(&b).unwrap().clamp(0.0, 6.0).unwrap();
            let (_, _, rows, columns) = plain.dims4().unwrap();

            let mut cells = blocked(&x, 0.0);
            let row = (width + 2) * 16;
            // "SAME" begins a pixel later where the size is even and the stride 2.
            let first = |size: usize| usize::from(stride == 2 && size.is_multiple_of(2));
            let lines: Vec<usize> = (0..(rows - 1) * stride + 3)
                .map(|line| (line + first(height)) * row + first(width) * 16)
                .collect();
            for level in Level::available() {
                let w = w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let weights = PackedDepthwise::new(level, &w, &bias, Activation::Relu6);
                let mut out = Buffer::new(weights.blocks() * rows * columns * 16);
                let run = Depthwise {
                    weights: &weights,
                    blocks: 0..weights.blocks(),
                    stride,
                    cells: cells.span(),
                    lines: &lines,
                    input_block: (height + 2) * row,
                    target: out.span(),
                    target_start: 0,
                    target_block: rows * columns * 16,
                    width: columns,
                    rows,
                };
                // SAFETY: the buffers are this test's, and live.
                let out = unsafe {
                    run.run();
                    out.span().slice(0, out.len())
                };
                let values = (0..channels * rows * columns)
                    .map(|at| {
                        let (c, pixel) = (at / (rows * columns), at % (rows * columns));
                        out[(c / 16 * rows * columns + pixel) * 16 + c % 16]
                    })
                    .collect();
                let ours = Tensor::from_vec(values, plain.dims(), &Device::Cpu).unwrap();
                let off = difference(&ours, &plain);
                assert!(
                    off < 1e-5,
                    "{level} {channels}x{height}x{width} stride {stride}: {off}"
                );
            }
        }
    }
}

#[test]
fn a_dense_layer_equals_candles_product() {
    let sizes = [1, 2, 7, 13, 14, 15, 31, 56, 57, 120];
    for (index, rows) in sizes.into_iter().enumerate() {
        for (k, n) in [
            (1, 1),
            (3, 16),
            (16, 32),
            (17, 33),
            (48, 15),
            (160, 80),
            (384, 100),
            (600, 160),
        ] {
            let x = tensor(1, &[rows, k]);
            let (w, bias) = (tensor(2, &[n, k]), tensor(3, &[n]));
            let residual = (index % 2 == 0).then(|| tensor(4, &[rows, n]));
            let mut plain = x
                .matmul(&w.t().unwrap())
                .unwrap()
                .broadcast_add(&bias)
                .unwrap();
            if let Some(residual) = &residual {
                plain = (plain + residual).unwrap();
            }
            for level in Level::available() {
                for activation in [Activation::None, Activation::Relu6] {
                    let layer = Linear::new(&w, Some(&bias), activation, level).unwrap();
                    let ours = layer.forward(&x, residual.as_ref()).unwrap();
                    let plain = match activation {
                        Activation::None => plain.clone(),
                        Activation::Relu6 => plain.clamp(0.0, 6.0).unwrap(),
                    };
                    let off = difference(&ours, &plain);
                    assert!(
                        off < 1e-5,
                        "{level} {rows} x {k} x {n} {activation:?}: {off}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_dense_layer_keeps_leading_dimensions_and_refuses_what_does_not_fit() {
    let w = tensor(1, &[5, 8]);
    let layer = Linear::new(&w, None, Activation::None, Level::detect()).unwrap();
    let x = tensor(2, &[2, 3, 8]);
    let plain = x.broadcast_matmul(&w.t().unwrap()).unwrap();
    assert!(difference(&layer.forward(&x, None).unwrap(), &plain) < 1e-6);
    assert_eq!(
        layer.forward(&tensor(2, &[0, 8]), None).unwrap().dims(),
        [0, 5]
    );

    assert!(layer.forward(&tensor(2, &[2, 7]), None).is_err());
    assert!(layer.forward(&x, Some(&tensor(3, &[2, 3, 8]))).is_err());
    let build = |w: &Tensor, b: &Tensor| Linear::new(w, Some(b), Activation::None, Level::detect());
    assert!(build(&w, &tensor(1, &[8])).is_err());
    assert!(build(&tensor(1, &[0, 8]), &tensor(1, &[0])).is_err());
    assert!(build(&(w / 0.0).unwrap(), &tensor(1, &[5])).is_err());
}

#[test]
fn levels_are_found_by_name() {
    for level in Level::available() {
        assert_eq!(Level::named(level.name()), Some(level));
        assert!(peak_flops(level) > 1e7);
    }
    assert_eq!(Level::named("abacus"), None);
    assert_eq!(Level::available().last(), Some(&Level::detect()));
}
