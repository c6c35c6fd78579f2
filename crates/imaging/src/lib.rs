//! Bytes of PNG, JPEG, TIFF and DICOM files to pixels and metadata, in bounded memory.
//!
//! Start from [`decode`]: it takes the bytes of a file, whose kind is known by its content, and gives [`Picture`]s of the size and
//! colour that [`DecodeOptions`] ask for, and [`DicomMetadata`] where there are some. [`dicom_metadata`] reads these alone.
//! [`job`] is the same as a job of a sandbox, which is where bytes of others belong; [`request`] or [`request_head`] and
//! [`read_response`] are its two ends. [`overlay`] puts a [`HeatMap`] over a picture, [`encode_png`] makes a file of it.
//!
//! Not here: files, network, clock; unsafe code (some of the crates below have it, for vector instructions); writing of
//! anything but PNG; colour profiles; DICOM overlays and annotations; video.
//!
//! # What is decoded
//!
//! | format | decoded | refused, with what to do instead |
//! | --- | --- | --- |
//! | PNG | everything; of an animation the still picture | an animation whose still picture is no frame of full size |
//! | JPEG | baseline, extended, progressive; grey, colour, four inks with Adobe's inversion; turned by Exif | more than 8 bits, lossless, hierarchical, arithmetic, anything cut off |
//! | TIFF | first page; uncompressed, deflate, LZW, PackBits; 1 to 16 bits; grey, RGB, CMYK; turned by its tag | BigTIFF, JPEG and fax inside, palettes, planes, floating point |
//! | DICOM | implicit and explicit VR, big endian, deflated, run lengths, JPEG baseline, 12-bit and lossless, JPEG-LS, JPEG 2000, JPEG XL; 8, 16 and 32 bits, uncompressed 1 bit; monochrome, palette, RGB, YBR | HTJ2K, video, floating point |
//!
//! Samples become 8 bits: of 16-bit PNG and TIFF the upper half; of DICOM by rescale, window and tables ([`Window`]). What is
//! transparent is put over black. [`DecodeOptions::scans_only`] refuses what no scanner writes, for a classifier.
//!
//! # Bounds
//!
//! | what | at most |
//! | --- | --- |
//! | file | [`MAX_FILE_BYTES`] |
//! | picture or frame | [`MAX_PIXELS`], [`MAX_SIDE`] a side, by the header, before anything is allocated; half for four inks; 2^26 samples of a DICOM frame, 2^25 in JPEG 2000 |
//! | deflated DICOM | [`MAX_INFLATED_BYTES`] |
//! | one result | [`MAX_FRAMES`] frames, [`MAX_PIXELS`] together |
//! | memory | [`JOB_MEMORY_BYTES`], file and result among it |
//!
//! Measured 2026-11-22 for the largest pictures, as resident memory of a process that does one job: progressive JPEG of 33 million
//! pixels in colour 338 MiB (its file of 46 MiB among it), TIFF of 16 bits and four channels 388 MiB, run lengths of 22 million
//! pixels in colour of 16 bits 261 MiB, JPEG 2000 of 33 million grey pixels 496 MiB, of 11 million in colour 296 MiB; PNG 197 MiB.
//! The longest took 8 s on a busy core (JPEG 2000), hence [`JOB_TIME`]. What needs more, a file made for it, ends its process.
//!
//! # Invariants
//!
//! - No bytes make it panic; the fuzzer's target `image` tries. Should one of the crates below do, it is caught, and the file
//!   counts as damaged.
//! - A result is whole: a picture has as many samples as its sides say, and what was cut off in a file is an error, never grey.
//! - No error and no `Debug` holds text of a file: neither name nor number of a patient.
//! - Scaling is Pillow's, to one grey level, so that a model sees what it was trained on.
//!
//! # Example
//!
//! ```
//! use salus_imaging::{DecodeOptions, Format, Picture, decode, encode_png};
//!
//! let gradient: Vec<u8> = (0..=255).flat_map(|_| 0..=255).collect();
//! let file = encode_png(&Picture::grey(256, 256, gradient).expect("256 x 256 samples"));
//!
//! let decoded = decode(&file, &DecodeOptions::classifier(224, 224))?;
//! assert_eq!(decoded.format, Format::Png);
//! assert_eq!((decoded.width, decoded.height), (256, 256));
//! assert_eq!(decoded.pictures[0].width, 224);
//!
//! let error = decode(b"GIF89a", &DecodeOptions::default()).unwrap_err();
//! assert!(error.to_string().contains("PNG, JPEG, TIFF or DICOM"));
//! # Ok::<(), salus_imaging::ImageError>(())
//! ```

use std::time::Duration;

mod codec;
mod decode;
mod dicom;
mod encode;
mod error;
mod exif;
mod format;
mod ifd;
mod job;
mod options;
mod overlay;
mod picture;
mod resize;

pub use decode::{Decoded, decode};
pub use dicom::{DicomMetadata, RawStatistics, dicom_head, dicom_metadata};
pub use encode::encode_png;
pub use error::ImageError;
pub use format::Format;
pub use job::{JOB, job, read_response, request, request_head};
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

/// What a sandbox lets a [`job`] map, in bytes: 640 MiB, the file among it. The crate's page says what takes how much.
pub const JOB_MEMORY_BYTES: u64 = 640 << 20;

/// Wall-clock time that a sandbox gives a [`job`]: several times what the largest pictures take.
pub const JOB_TIME: Duration = Duration::from_secs(60);

/// The largest [`request`], in bytes.
pub const MAX_REQUEST_BYTES: usize = MAX_FILE_BYTES + 64;

/// The largest response to a request, in bytes: the largest picture in colour, and metadata.
pub const MAX_RESPONSE_BYTES: usize = 3 * (1 << 25) + (1 << 16);

#[cfg(test)]
mod tests;
