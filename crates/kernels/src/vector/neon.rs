//! NEON: 32 registers of 4 floats.

use std::arch::aarch64::*;

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

impl Vector for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Neon(vdupq_n_f32(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the trait's callers have the instructions, and 4 floats at `p`.
        unsafe { Neon(vld1q_f32(p)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the trait's callers have the instructions, and room for 4 floats at `p`.
        unsafe { vst1q_f32(p, self.0) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, by: Self, sum: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Neon(vfmaq_f32(sum.0, self.0, by.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Neon(vaddq_f32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: the trait's callers have the instructions.
        unsafe { Neon(vminq_f32(vmaxq_f32(self.0, low.0), high.0)) }
    }
}
