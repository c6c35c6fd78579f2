//! Every kernel against plain candle operations.

mod fused;
mod kernels;
mod network;
mod team;

use candle_core::{Device, Tensor};

/// Numbers in [-1, 1) that depend on the seed alone (SplitMix64).
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub(crate) fn tensor(seed: u64, dims: &[usize]) -> Tensor {
    Tensor::from_vec(numbers(seed, dims.iter().product()), dims, &Device::Cpu).unwrap()
}

/// The largest difference, relative to the largest value where that is above one.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let a = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let scale = b.iter().fold(1.0f32, |most, v| most.max(v.abs()));
    a.iter().zip(&b).fold(0.0f32, |worst, (a, b)| {
        let difference = (a - b).abs();
        if difference.is_nan() {
            f32::NAN
        } else {
            worst.max(difference)
        }
    }) / scale
}

/// `x` `[N,C,H,W]` with the zeros around it that TensorFlow's "SAME" gives a 3x3 kernel of this stride: of an odd number
/// of zeros, the larger half behind.
pub(crate) fn same_padding(x: &Tensor, stride: usize) -> Tensor {
    let padded = |x: &Tensor, dim: usize| {
        let size = x.dim(dim).unwrap();
        let zeros = ((size.div_ceil(stride) - 1) * stride + 3).saturating_sub(size);
        x.pad_with_zeros(dim, zeros / 2, zeros - zeros / 2).unwrap()
    };
    padded(&padded(x, 2), 3)
}
