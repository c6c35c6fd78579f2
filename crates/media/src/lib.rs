//! What an attached file is, by its content, and what can be said and shown of it, in bounded memory.
//!
//! Start from [`inspect`]: it takes the bytes of a file, whose kind is known by its content and never by its name, and gives
//! [`Facts`] and a [`Preview`]. [`job`] is the same as a job of a sandbox, which is where bytes of others belong; [`request`] and
//! [`read_response`] are its two ends.
//!
//! Not here: files, network, clock, keys; unsafe code (decoders below use it in places); pixels of full size, which
//! `salus-imaging` gives.
//!
//! # What is attached, what is refused
//!
//! | kind | attached and shown | attached without a preview, with a note why | refused, with the reason |
//! | --- | --- | --- | --- |
//! | any | | more than [`MAX_FILE_BYTES`]: facts by its first [`HEAD_BYTES`] (text is shown) | empty; of no kind that is known |
//! | PNG, JPEG, TIFF | decodes, first page or still picture | a coding that is not decoded (see `salus-imaging`) | does not decode; cut off; more pixels than are decoded; BigTIFF |
//! | DICOM | the middle frame decodes, windowed by the file | a coding or width of samples that is not decoded; no picture by its class (report, plan, waveform ...) | structure broken or cut off; fewer samples than rows, columns and frames say; a picture without samples; a frame that does not decode; a DICOMDIR; a transfer syntax that nobody knows; a deflated one above imaging's bound |
//! | WAV, FLAC | all of it decodes, as long as its header says | WAV of other codings than PCM, floating point, A-law, mu-law | cut off; a header that promises more, or contradicts itself; FLAC whose checksums are wrong |
//! | MP3, OGG, M4A | it decodes, but for at most one packet in ten | Opus, Speex, ALAC, AAC other than LC | cut off; nothing decodes; several streams, or video |
//! | sound | | | more than [`MAX_AUDIO_SAMPLES`] samples, of all channels together |
//! | PDF | its pages are counted, the words of the first 40 read | scanned, behind a password, or not understood here | without an end |
//! | text | UTF-8, UTF-16 with a byte order mark | | control characters but tab, line feed, return and form feed |
//!
//! What is checked is checked of files of at most [`MAX_FILE_BYTES`]; of larger ones the head, and what it promises against the
//! length of the file. Of an animation or a DICOM file of several frames one frame is decoded.
//!
//! # Bounds
//!
//! Peak resident memory of a process that looks into one file, and its processor time, measured 2026-11-22 with the example `look`
//! (release build, baseline 14 MiB): WAV of 120 MiB 123 MiB, 0.2 s; FLAC of 8 hours in stereo in 0.4 MiB 14 MiB, 19 s; the same
//! for 24 hours, refused at the bound, 14 MiB, 19 s; PNG of 33 million pixels in 0.1 MiB 129 MiB; refused: PNG of 65,000 x 65,000
//! pixels 14 MiB, PNG cut off in the middle of 33 million pixels 64 MiB, DICOM that inflates to a gigabyte 68 MiB. Pictures take
//! what `salus-imaging` says, sound the file and some MiB, PDF the file twice and what
//! its pages inflate to, which only the limits of the process bound.
//!
//! # Example
//!
//! ```
//! use salus_media::{InspectOptions, MediaType, Preview, inspect};
//!
//! let file = b"First line\nSecond line\n";
//! let found = inspect(file, file.len() as u64, &InspectOptions::default())?;
//! assert_eq!(found.facts.media, MediaType::Text);
//! assert_eq!(found.facts.lines, Some(2));
//! assert!(matches!(found.preview, Some(Preview::Text { whole: true, .. })));
//! assert_eq!(found.facts.media.extension_differs("notes.pdf"), Some(MediaType::Pdf));
//! # Ok::<(), salus_media::MediaError>(())
//! ```

use std::time::Duration;

mod audio;
mod error;
mod facts;
mod inspect;
mod job;
mod kind;
mod pdf;
mod pdf_text;
mod picture;
mod preview;
mod text;

#[cfg(any(test, feature = "test-files"))]
pub mod test_files;

pub use error::MediaError;
pub use facts::{AudioFacts, DicomFacts, Facts, MAX_FACT_TEXT, PixelStatistics, WindowFacts};
pub use inspect::{InspectOptions, Inspected, inspect, needed};
pub use job::{JOB, job, read_response, request, request_head};
pub use kind::MediaType;
pub use preview::Preview;
pub use salus_imaging::Window;

/// The largest file that is read whole, in bytes: 128 MiB.
pub const MAX_FILE_BYTES: usize = salus_imaging::MAX_FILE_BYTES;

/// As much of a larger file as is read, in bytes: 4 MiB. Tags of DICOM and the headers of sound stand before their samples, behind
/// a cover picture at most.
pub const HEAD_BYTES: usize = 4 << 20;

/// The longer side of a picture's preview, unless another is asked for, in pixels.
pub const DEFAULT_PREVIEW_SIDE: u32 = 512;

/// The longest side of a picture's preview, in pixels.
pub const MAX_PREVIEW_SIDE: u32 = 1_024;

/// The parts of a waveform.
pub const MAX_PEAKS: usize = 1_024;

/// The longest text of a preview, in bytes: 16 KiB.
pub const MAX_PREVIEW_TEXT: usize = 16 << 10;

/// The largest [`Preview::encode`] gives, in bytes: a picture in colour that cannot be compressed, and a little.
pub const MAX_PREVIEW_BYTES: usize = 4 << 20;

/// Samples of sound that are decoded, of all channels together: 8 hours at 48 kHz in stereo.
pub const MAX_AUDIO_SAMPLES: u64 = 8 * 3_600 * 48_000 * 2;

/// What a sandbox lets a [`job`] map, in bytes: what pictures take; sound takes the file and 16 MiB.
pub const JOB_MEMORY_BYTES: u64 = salus_imaging::JOB_MEMORY_BYTES;

/// Wall-clock time that a sandbox gives a [`job`]: sound of 8 hours on a busy core.
pub const JOB_TIME: Duration = Duration::from_secs(180);

/// The largest [`request`], in bytes.
pub const MAX_REQUEST_BYTES: usize = MAX_FILE_BYTES + 64;

/// The largest response to a request, in bytes: a preview, facts and a note.
pub const MAX_RESPONSE_BYTES: usize = MAX_PREVIEW_BYTES + (1 << 16);

#[cfg(test)]
mod tests;
