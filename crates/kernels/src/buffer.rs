//! Memory that several workers write to at once, each its own part.

use crate::vector::BLOCK;

/// One cache line, one block of channels.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; BLOCK]);

/// Zeroed floats that begin on a cache line.
pub(crate) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// At least `floats` zeros.
    pub fn new(floats: usize) -> Self {
        Buffer {
            lines: vec![Line([0.0; BLOCK]); floats.div_ceil(BLOCK)],
        }
    }

    pub fn of(values: &[f32]) -> Self {
        let mut buffer = Buffer::new(values.len());
        for (line, values) in buffer.lines.iter_mut().zip(values.chunks(BLOCK)) {
            line.0[..values.len()].copy_from_slice(values);
        }
        buffer
    }

    pub fn len(&self) -> usize {
        self.lines.len() * BLOCK
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    pub fn span(&mut self) -> Span {
        Span {
            len: self.len(),
            start: self.lines.as_mut_ptr().cast(),
        }
    }
}

/// A buffer as the workers of one job see it.
///
/// Who reads and who writes what is the schedule's affair ([`crate::team::Phases`]): within a phase no float is written by
/// one worker and touched by another. A span is used only while its buffer is borrowed for the job.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: *mut f32,
    len: usize,
}

// SAFETY: a span is an address and a length; every access through it is an unsafe operation of its own, and is bound to the
// schedule's rule above.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// Plain floats; the span is used only while `values` stay where they are.
    pub fn of(values: &mut [f32]) -> Self {
        Span {
            len: values.len(),
            start: values.as_mut_ptr(),
        }
    }

    /// Floats that are only read; the span is used only while `values` are borrowed.
    pub fn read_only(values: &[f32]) -> Self {
        Span {
            len: values.len(),
            start: values.as_ptr().cast_mut(),
        }
    }

    pub fn len(self) -> usize {
        self.len
    }

    pub fn as_ptr(self) -> *mut f32 {
        self.start
    }

    /// A part of the span to write to.
    ///
    /// # Safety
    ///
    /// No other worker touches this part in this phase, the worker itself holds no other slice of it, and the buffer
    /// lives.
    pub unsafe fn slice_mut<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start + len <= self.len);
        // SAFETY: within the buffer, and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A part of the span to read.
    ///
    /// # Safety
    ///
    /// Nobody writes to this part while the slice is held, and the buffer lives.
    pub unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a [f32] {
        assert!(start + len <= self.len);
        // SAFETY: within the buffer, and not written to by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }
}
