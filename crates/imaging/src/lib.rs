//! Bytes of PNG, JPEG, TIFF and DICOM files to pixels and metadata.
//!
//! Start from [`decode`]. Nothing here opens a file or reads a clock.

mod codec;
mod decode;
mod dicom;
mod encode;
mod error;
mod exif;
mod format;
mod job;
mod options;
mod overlay;
mod picture;
mod resize;

pub use decode::{Decoded, decode};
pub use dicom::{DicomMetadata, RawStatistics, dicom_metadata};
pub use encode::encode_png;
pub use error::ImageError;
pub use format::Format;
pub use job::{JOB, job, read_response, request};
pub use options::{DecodeOptions, Frames, Size, Window};
pub use overlay::{HeatMap, heat_colour, overlay};
pub use picture::{Picture, Pixels, luma};
pub use resize::resize_bilinear;

/// The longest side of a picture that is decoded, in pixels: what JPEG and DICOM headers can say.
pub const MAX_SIDE: u32 = 65_535;

/// The most pixels of a picture that is decoded: 2^25, the largest mammograms (28 million) among them.
pub const MAX_PIXELS: u64 = 1 << 25;

/// The largest file that is read, in bytes: 128 MiB.
pub const MAX_FILE_BYTES: usize = 128 << 20;

/// What a deflated DICOM data set may inflate to, in bytes: 64 MiB.
pub const MAX_INFLATED_BYTES: usize = 64 << 20;

/// Frames of a DICOM file that one result holds; together they have at most [`MAX_PIXELS`].
pub const MAX_FRAMES: u32 = 1_024;

/// The largest [`request`], in bytes.
pub const MAX_REQUEST_BYTES: usize = MAX_FILE_BYTES + 64;

/// The largest response to a request, in bytes: the largest picture in colour, and metadata.
pub const MAX_RESPONSE_BYTES: usize = 3 * (1 << 25) + (1 << 16);

#[cfg(test)]
mod tests;
