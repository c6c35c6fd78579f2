//! Plain Rust: four floats, which every compiler keeps in whatever the processor has.

use super::Vector;

#[derive(Clone, Copy)]
pub(crate) struct Scalar([f32; 4]);

impl Vector for Scalar {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Scalar([x; 4])
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the trait's callers have four floats at `p`; an array of floats has a float's alignment.
        Scalar(unsafe { p.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the trait's callers have room for four floats at `p`.
        unsafe { p.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, by: Self, sum: Self) -> Self {
        // Not `mul_add`, which is a library call where the processor has no such instruction.
        let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, by.0, sum.0);
        Scalar([a * e + i, b * f + j, c * g + k, d * h + l])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Scalar([a + e, b + f, c + g, d + h])
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, low.0, high.0);
        Scalar([
            a.max(e).min(i),
            b.max(f).min(j),
            c.max(g).min(k),
            d.max(h).min(l),
        ])
    }
}
