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

/// Sizes of one plane and of its result, and where the padded plane's cells lie.
///
/// Rows and columns of the padded plane are dealt out to `stride` x `stride` phases, each with rows of `pitch` cells. So
/// tap `(ky, kx)` of result `(y, x)` is, in phase `(ky % stride, kx % stride)`, the cell
/// `(y + ky / stride) * pitch + x + kx / stride`: what one tap meets for all results is one run of cells, as long as the
/// results laid out with the same pitch. The cells between two rows of results belong to no result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    height: usize,
    width: usize,
    stride: usize,
    pub out_height: usize,
    pub out_width: usize,
    top: usize,
    left: usize,
    pitch: usize,
    /// Cells of a phase.
    phase: usize,
}

impl Shape {
    pub fn new(height: usize, width: usize, stride: usize) -> Self {
        let (top, out_height) = same(height, stride);
        let (left, out_width) = same(width, stride);
        // A kernel reaches two further cells, or one further of each phase.
        let more = 2 / stride;
        let pitch = out_width + more;
        Shape {
            height,
            width,
            stride,
            out_height,
            out_width,
            top,
            left,
            pitch,
            phase: (out_height + more) * pitch,
        }
    }

    /// Results with the cells between their rows.
    fn run(&self) -> usize {
        (self.out_height - 1) * self.pitch + self.out_width
    }

    /// Where the run of tap `ky * 3 + kx` begins.
    #[inline(always)]
    fn tap(&self, tap: usize) -> usize {
        let (ky, kx, stride) = (tap / 3, tap % 3, self.stride);
        let phase = ky % stride * stride + kx % stride;
        phase * self.phase + ky / stride * self.pitch + kx / stride
    }

    /// For each row of the plane and each column phase: the row, its first column of that phase, and its first cell.
    fn rows(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let stride = self.stride;
        (0..self.height).flat_map(move |y| {
            (0..stride).map(move |column_phase| {
                let row = y + self.top;
                let first = (column_phase + stride - self.left % stride) % stride;
                let phase = row % stride * stride + column_phase;
                let cell =
                    phase * self.phase + row / stride * self.pitch + (first + self.left) / stride;
                (y, first, cell)
            })
        })
    }
}

/// The padded plane, and results laid out beside it; the memory of one thread.
pub(crate) struct Padded {
    shape: Shape,
    /// All phases.
    cells: Vec<f32>,
    /// Results with the pitch of the cells.
    wide: Vec<f32>,
}

impl Padded {
    pub fn new(shape: Shape) -> Self {
        Padded {
            shape,
            cells: vec![0.0; shape.stride * shape.stride * shape.phase],
            wide: vec![0.0; shape.run()],
        }
    }

    /// Takes the pixels of `plane` `[height, width]`; the padding stays zero.
    pub fn fill(&mut self, plane: &[f32]) {
        let (width, stride) = (self.shape.width, self.shape.stride);
        assert_eq!(plane.len(), self.shape.height * width);
        for (y, first, cell) in self.shape.rows() {
            let pixels = plane[y * width..][..width].get(first..).unwrap_or_default();
            let pixels = pixels.iter().step_by(stride);
            for (cell, pixel) in self.cells[cell..].iter_mut().zip(pixels) {
                *cell = *pixel;
            }
        }
    }

    /// Gives the pixels to `plane` `[height, width]`.
    fn read(&self, plane: &mut [f32]) {
        let (width, stride) = (self.shape.width, self.shape.stride);
        assert_eq!(plane.len(), self.shape.height * width);
        for (y, first, cell) in self.shape.rows() {
            let row = &mut plane[y * width..][..width];
            let pixels = row.get_mut(first..).unwrap_or_default();
            let pixels = pixels.iter_mut().step_by(stride);
            for (pixel, cell) in pixels.zip(&self.cells[cell..]) {
                *pixel = *cell;
            }
        }
    }

    /// Takes the results' gradient `[out_height, out_width]`; between its rows stays zero.
    fn widen(&mut self, grad: &[f32]) {
        let (width, pitch) = (self.shape.out_width, self.shape.pitch);
        assert_eq!(grad.len(), self.shape.out_height * width);
        self.wide.fill(0.0);
        for (wide, row) in self.wide.chunks_mut(pitch).zip(grad.chunks_exact(width)) {
            wide[..width].copy_from_slice(row);
        }
    }

    /// The convolution: `out` `[out_height, out_width]` from the cells.
    pub fn convolve(&mut self, level: Level, w: &[f32; 9], out: &mut [f32]) {
        let taps = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|tap| self.shape.tap(tap));
        weigh(level, &self.cells, taps, w, &mut self.wide);
        let (width, pitch) = (self.shape.out_width, self.shape.pitch);
        for (wide, row) in self.wide.chunks(pitch).zip(out.chunks_exact_mut(width)) {
            row.copy_from_slice(&wide[..width]);
        }
    }

    /// Its gradient by the input, `plane` `[height, width]`: `grad` `[out_height, out_width]` times each weight goes back
    /// to the pixel that the weight met. What was filled in is lost.
    pub fn scatter(&mut self, level: Level, w: &[f32; 9], grad: &[f32], plane: &mut [f32]) {
        self.widen(grad);
        self.cells.fill(0.0);
        for (tap, weight) in w.iter().enumerate() {
            let start = self.shape.tap(tap);
            spread(level, &self.wide, *weight, &mut self.cells[start..]);
        }
        self.read(plane);
    }

    /// Its gradient by the weights: adds to `sums` what `grad` `[out_height, out_width]` contributes.
    pub fn correlate(&mut self, level: Level, grad: &[f32], sums: &mut [f32; 9]) {
        self.widen(grad);
        for (tap, sum) in sums.iter_mut().enumerate() {
            *sum += product(level, &self.wide, &self.cells[self.shape.tap(tap)..]);
        }
    }
}

/// Compiles a body for each level and calls the right one.
macro_rules! at_every_level {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        fn $name(level: Level, $($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                body($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                body($($argument),*)
            }

            match level.0 {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Level` exists only where the processor has its instructions.
                Set::Avx512 => unsafe { avx512($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Set::Avx2 => unsafe { avx2($($argument),*) },
                // NEON is part of the aarch64 baseline, so the plain body is compiled with it.
                _ => body($($argument),*),
            }
        }
    };
}

at_every_level! {
    /// `out[i]` is the sum over the nine taps of `w * cells[tap + i]`.
    fn weigh(cells: &[f32], taps: [usize; 9], w: &[f32; 9], out: &mut [f32]) {
        let n = out.len();
        let (a, b, c) = (&cells[taps[0]..][..n], &cells[taps[1]..][..n], &cells[taps[2]..][..n]);
        let (d, e, f) = (&cells[taps[3]..][..n], &cells[taps[4]..][..n], &cells[taps[5]..][..n]);
        let (g, h, i) = (&cells[taps[6]..][..n], &cells[taps[7]..][..n], &cells[taps[8]..][..n]);
        for (x, value) in out.iter_mut().enumerate() {
            let upper = w[0] * a[x] + w[1] * b[x] + w[2] * c[x];
            let middle = w[3] * d[x] + w[4] * e[x] + w[5] * f[x];
            *value = upper + middle + (w[6] * g[x] + w[7] * h[x] + w[8] * i[x]);
        }
    }
}

at_every_level! {
    /// Adds `weight * values[i]` to `cells[i]`.
    fn spread(values: &[f32], weight: f32, cells: &mut [f32]) {
        for (cell, value) in cells.iter_mut().zip(values) {
            *cell += weight * value;
        }
    }
}

at_every_level! {
    /// The sum of `values[i] * cells[i]`, in sixteen sums side by side.
    fn product(values: &[f32], cells: &[f32]) -> f32 {
        const LANES: usize = 16;
        let mut sums = [0.0f32; LANES];
        let cells = &cells[..values.len()];
        let whole = values.len() / LANES * LANES;
        for (values, cells) in values.chunks_exact(LANES).zip(cells.chunks_exact(LANES)) {
            for lane in 0..LANES {
                sums[lane] += values[lane] * cells[lane];
            }
        }
        for (lane, (value, cell)) in values[whole..].iter().zip(&cells[whole..]).enumerate() {
            sums[lane] += value * cell;
        }
        sums.iter().sum()
    }
}
