//! Bytes of PNG, JPEG, TIFF and DICOM files to pixels and metadata.
//!
//! Start from [`decode`]. Nothing here opens a file or reads a clock.

mod codec;
mod decode;
mod dicom;
mod error;
mod exif;
mod format;
mod options;
mod picture;
mod resize;

pub use decode::{Decoded, decode};
pub use dicom::{DicomMetadata, RawStatistics, dicom_metadata};
pub use error::ImageError;
pub use format::Format;
pub use options::{DecodeOptions, Frames, Size, Window};
pub use picture::{Picture, Pixels, luma};
pub use resize::resize_bilinear;

/// The longest side of a picture that is decoded, in pixels: what JPEG and DICOM headers can say.
pub const MAX_SIDE: u32 = 65_535;

/// The most pixels of a picture that is decoded: 2^25, the largest mammograms (28 million) among them.
pub const MAX_PIXELS: u64 = 1 << 25;

/// The largest file that is read, in bytes: 256 MiB.
pub const MAX_FILE_BYTES: usize = 256 << 20;

/// What a deflated DICOM data set may inflate to, in bytes: 128 MiB.
pub const MAX_INFLATED_BYTES: usize = 128 << 20;

/// Frames of a DICOM file that one result holds; together they have at most [`MAX_PIXELS`].
pub const MAX_FRAMES: u32 = 1_024;
