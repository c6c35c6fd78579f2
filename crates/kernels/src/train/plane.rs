//! One channel of one image, and what a 3x3 kernel does with it.

use crate::level::Level;
#[cfg(target_arch = "x86_64")]
use crate::level::Set;

/// TensorFlow's "SAME" for a 3x3 kernel along one axis: (zeros before, size of the result).
///
/// The zeros after follow: `(out - 1) * stride + 3 - size - before`.
pub(crate) fn same(size: usize, stride: usize) -> (usize, usize) {
    let out = size.div_ceil(stride);
    let padding = ((out.max(1) - 1) * stride + 3).saturating_sub(size);
    (padding / 2, out)
}

/// Sizes of one plane and of its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    height: usize,
    width: usize,
    stride: usize,
    pub out_height: usize,
    pub out_width: usize,
    top: usize,
    left: usize,
    /// Columns of a row of one phase.
    pitch: usize,
}

impl Shape {
    pub fn new(height: usize, width: usize, stride: usize) -> Self {
        let (top, out_height) = same(height, stride);
        let (left, out_width) = same(width, stride);
        Shape {
            height,
            width,
            stride,
            out_height,
            out_width,
            top,
            left,
            pitch: out_width + 2,
        }
    }

    fn padded_rows(&self) -> usize {
        (self.out_height - 1) * self.stride + 3
    }
}

/// A plane with its zero padding, its columns dealt out to `stride` phases, so that what one tap of the kernel meets
/// along a row of the result lies side by side: tap `(ky, kx)` of result `(y, x)` is column `x + kx / stride` of row
/// `y * stride + ky` of phase `kx % stride`.
pub(crate) struct Padded {
    shape: Shape,
    cells: Vec<f32>,
}

impl Padded {
    pub fn new(shape: Shape) -> Self {
        let cells = vec![0.0; shape.stride * shape.padded_rows() * shape.pitch];
        Padded { shape, cells }
    }

    fn row(&self, phase: usize, row: usize) -> usize {
        (phase * self.shape.padded_rows() + row) * self.shape.pitch
    }

    /// Takes the pixels of `plane` `[height, width]`; the frame stays zero.
    pub fn fill(&mut self, plane: &[f32]) {
        let shape = self.shape;
        assert_eq!(plane.len(), shape.height * shape.width);
        for (y, pixels) in plane.chunks_exact(shape.width).enumerate() {
            for phase in 0..shape.stride {
                // The first pixel whose padded column belongs to this phase.
                let first = (phase + shape.stride - shape.left % shape.stride) % shape.stride;
                let start = self.row(phase, y + shape.top) + (first + shape.left) / shape.stride;
                let source = pixels.get(first..).unwrap_or_default();
                for (cell, pixel) in self.cells[start..]
                    .iter_mut()
                    .zip(source.iter().step_by(shape.stride))
                {
                    *cell = *pixel;
                }
            }
        }
    }

    /// Gives the pixels to `plane` `[height, width]`.
    pub fn read(&self, plane: &mut [f32]) {
        let shape = self.shape;
        assert_eq!(plane.len(), shape.height * shape.width);
        for (y, pixels) in plane.chunks_exact_mut(shape.width).enumerate() {
            for phase in 0..shape.stride {
                let first = (phase + shape.stride - shape.left % shape.stride) % shape.stride;
                let start = self.row(phase, y + shape.top) + (first + shape.left) / shape.stride;
                let target = pixels.get_mut(first..).unwrap_or_default();
                for (pixel, cell) in target
                    .iter_mut()
                    .step_by(shape.stride)
                    .zip(&self.cells[start..])
                {
                    *pixel = *cell;
                }
            }
        }
    }

    /// Zeros everywhere.
    pub fn clear(&mut self) {
        self.cells.fill(0.0);
    }

    /// Where tap `tap` of the result's row `y` begins.
    #[inline(always)]
    fn tap(&self, tap: usize, y: usize) -> usize {
        let (ky, kx) = (tap / 3, tap % 3);
        self.row(kx % self.shape.stride, y * self.shape.stride + ky) + kx / self.shape.stride
    }

    #[inline(always)]
    fn convolve_body(&self, w: &[f32; 9], out: &mut [f32]) {
        let width = self.shape.out_width;
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            let [t0, t1, t2, t3, t4, t5, t6, t7, t8] =
                [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|tap| self.tap(tap, y));
            let cells = &self.cells;
            let (a, b, c) = (
                &cells[t0..][..width],
                &cells[t1..][..width],
                &cells[t2..][..width],
            );
            let (d, e, f) = (
                &cells[t3..][..width],
                &cells[t4..][..width],
                &cells[t5..][..width],
            );
            let (g, h, i) = (
                &cells[t6..][..width],
                &cells[t7..][..width],
                &cells[t8..][..width],
            );
            for (x, value) in row.iter_mut().enumerate() {
                let upper = w[0] * a[x] + w[1] * b[x] + w[2] * c[x];
                let middle = w[3] * d[x] + w[4] * e[x] + w[5] * f[x];
                *value = upper + middle + (w[6] * g[x] + w[7] * h[x] + w[8] * i[x]);
            }
        }
    }

    #[inline(always)]
    fn scatter_body(&mut self, w: &[f32; 9], grad: &[f32]) {
        let width = self.shape.out_width;
        for (y, row) in grad.chunks_exact(width).enumerate() {
            for (tap, weight) in w.iter().enumerate() {
                let start = self.tap(tap, y);
                for (cell, value) in self.cells[start..][..width].iter_mut().zip(row) {
                    *cell += weight * value;
                }
            }
        }
    }

    #[inline(always)]
    fn correlate_body(&self, grad: &[f32], sums: &mut [f32]) {
        let width = self.shape.out_width;
        for (y, row) in grad.chunks_exact(width).enumerate() {
            for (tap, sums) in sums.chunks_exact_mut(width).enumerate() {
                let cells = &self.cells[self.tap(tap, y)..][..width];
                for ((sum, cell), value) in sums.iter_mut().zip(cells).zip(row) {
                    *sum += cell * value;
                }
            }
        }
    }

    /// The convolution: `out` `[out_height, out_width]` from the cells.
    pub fn convolve(&self, level: Level, w: &[f32; 9], out: &mut [f32]) {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions.
            Set::Avx512 => unsafe { convolve_avx512(self, w, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { convolve_avx2(self, w, out) },
            // NEON is part of the aarch64 baseline, so the plain body is compiled with it.
            _ => self.convolve_body(w, out),
        }
    }

    /// Its gradient by the input: adds `grad` `[out_height, out_width]` times each weight to the cell it came from.
    pub fn scatter(&mut self, level: Level, w: &[f32; 9], grad: &[f32]) {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions.
            Set::Avx512 => unsafe { scatter_avx512(self, w, grad) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { scatter_avx2(self, w, grad) },
            _ => self.scatter_body(w, grad),
        }
    }

    /// Its gradient by the weights: adds to `sums` `[9, out_width]` what each column of `grad` contributes.
    pub fn correlate(&self, level: Level, grad: &[f32], sums: &mut [f32]) {
        match level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` exists only where the processor has its instructions.
            Set::Avx512 => unsafe { correlate_avx512(self, grad, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { correlate_avx2(self, grad, sums) },
            _ => self.correlate_body(grad, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn convolve_avx512(plane: &Padded, w: &[f32; 9], out: &mut [f32]) {
    plane.convolve_body(w, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn convolve_avx2(plane: &Padded, w: &[f32; 9], out: &mut [f32]) {
    plane.convolve_body(w, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn scatter_avx512(plane: &mut Padded, w: &[f32; 9], grad: &[f32]) {
    plane.scatter_body(w, grad);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn scatter_avx2(plane: &mut Padded, w: &[f32; 9], grad: &[f32]) {
    plane.scatter_body(w, grad);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn correlate_avx512(plane: &Padded, grad: &[f32], sums: &mut [f32]) {
    plane.correlate_body(grad, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn correlate_avx2(plane: &Padded, grad: &[f32], sums: &mut [f32]) {
    plane.correlate_body(grad, sums);
}
