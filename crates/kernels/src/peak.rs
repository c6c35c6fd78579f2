//! What the processor can do at most, to state a share of it.

use std::hint::black_box;
use std::time::Instant;

use crate::level::{Level, Set};
#[cfg(target_arch = "aarch64")]
use crate::vector::Neon;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{Scalar, Vector};

/// Sums that do not wait for each other: more than latency times throughput of any processor here (4 cycles, 2 a cycle).
const CHAINS: usize = 12;
const ROUNDS: usize = 200_000;

/// Floating point operations a second (a multiply-add is two) of one thread at this level: the best of ten bursts of
/// multiply-adds on registers, some milliseconds in all.
pub fn peak_flops(level: Level) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions.
            Set::Avx512 => unsafe { avx512() },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { avx2() },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Set::Neon => unsafe { neon() },
            // SAFETY: no special instructions.
            Set::Scalar => unsafe { burst::<Scalar>() },
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let lanes = match level.0 {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => Avx512::LANES,
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => Avx2::LANES,
        #[cfg(target_arch = "aarch64")]
        Set::Neon => Neon::LANES,
        Set::Scalar => Scalar::LANES,
    };
    (2 * CHAINS * ROUNDS * lanes) as f64 / best
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512() {
    // SAFETY: this function has the instructions.
    unsafe { burst::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2() {
    // SAFETY: this function has the instructions.
    unsafe { burst::<Avx2>() }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon() {
    // SAFETY: this function has the instructions.
    unsafe { burst::<Neon>() }
}

/// # Safety
///
/// The processor has the vector's instructions.
#[expect(
    clippy::needless_range_loop,
    reason = "counted loops over arrays of registers are unrolled; iterators over them need not be"
)]
#[inline(always)]
unsafe fn burst<T: Vector>() {
    let mut last = [0.0f32; 16];
    // SAFETY: the instructions are the caller's promise; `last` has room for any vector.
    unsafe {
        let (a, b) = (T::splat(black_box(0.5)), T::splat(black_box(0.25)));
        let mut sums = [a; CHAINS];
        for _ in 0..ROUNDS {
            for chain in 0..CHAINS {
                sums[chain] = sums[chain].multiply_add(a, b);
            }
        }
        let mut total = sums[0];
        for chain in 1..CHAINS {
            total = total.add(sums[chain]);
        }
        total.store(last.as_mut_ptr());
    }
    black_box(last);
}
