//! AVX2 and FMA: 16 registers of 8 floats.

use std::arch::x86_64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

impl Vector for Avx2 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Avx2(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the trait's callers have the instructions, and 8 floats at `p`.
        unsafe { Avx2(_mm256_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the trait's callers have the instructions, and room for 8 floats at `p`.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, by: Self, sum: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Avx2(_mm256_fmadd_ps(self.0, by.0, sum.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Avx2(_mm256_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Avx2(_mm256_min_ps(_mm256_max_ps(self.0, low.0), high.0)) }
    }
}
