//! TensorFlow's "SAME" padding.

/// For a 3x3 kernel along one axis: (zeros before, size of the result).
///
/// The zeros after follow: `(out - 1) * stride + 3 - size - before`.
pub(crate) fn same(size: usize, stride: usize) -> (usize, usize) {
    let out = size.div_ceil(stride);
    let padding = ((out.max(1) - 1) * stride + 3).saturating_sub(size);
    (padding / 2, out)
}
