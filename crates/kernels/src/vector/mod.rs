//! A register's worth of floats, for each set of instructions.
//!
//! The kernels' bodies are generic over [`Vector`], `#[inline(always)]`, and called only from functions compiled for the
//! instructions that the vector needs. They use no closures: a closure does not inherit its caller's target features.

mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use scalar::Scalar;

/// Channels of a block of the blocked layout: one AVX-512 register of f32, one cache line.
pub(crate) const BLOCK: usize = 16;

/// `$body` for `$index` 0, 1, 2 ... below `$count`, which is a constant of at most 14: written out, so that an array of
/// registers that is indexed with it stays in registers. A loop that the compiler leaves rolled puts all of them in memory.
macro_rules! unrolled {
    ($index:ident in $count:expr => $body:block) => {
        $crate::vector::unrolled!(@ $index, $count, $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $index:ident, $count:expr, $body:block; $($at:literal)+) => {
        $(
            if $at < $count {
                let $index: usize = $at;
                $body
            }
        )+
    };
}
pub(crate) use unrolled;

/// `LANES` floats; `LANES` divides [`BLOCK`].
///
/// # Safety of the methods
///
/// All of them may be called only where the processor has the vector's instructions; `load` reads and `store` writes
/// `LANES` floats at `p`, which need not be aligned.
pub(crate) trait Vector: Copy {
    const LANES: usize;
    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    unsafe fn store(self, p: *mut f32);
    /// `self * by + sum`.
    unsafe fn multiply_add(self, by: Self, sum: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
}
