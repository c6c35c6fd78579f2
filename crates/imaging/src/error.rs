//! What can be wrong with a file, in words that say what to do.

use crate::{Format, MAX_FILE_BYTES, MAX_INFLATED_BYTES, MAX_PIXELS, MAX_SIDE};

/// Why a file gave no picture. No text of the file is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is not a byte in it.
    #[error("the file is empty: copy it again from where it came from")]
    Empty,
    /// The first bytes are of no format that is read here.
    #[error(
        "not a PNG, JPEG, TIFF or DICOM file (the content decides, not the name): export it as one of these"
    )]
    UnknownFormat,
    /// More bytes than [`MAX_FILE_BYTES`].
    #[error(
        "the file has {bytes} bytes, more than the {MAX_FILE_BYTES} that are read: export fewer frames or a smaller picture"
    )]
    FileTooLarge {
        /// Its length.
        bytes: u64,
    },
    /// The header names no pixels at all.
    #[error(
        "the {format} header says {width} x {height} pixels: there is nothing to see; export it again"
    )]
    ZeroSize {
        /// What the file is.
        format: Format,
        /// Width in pixels, from the header.
        width: u32,
        /// Height in pixels, from the header.
        height: u32,
    },
    /// The header names more pixels than are decoded. Nothing was allocated for them.
    #[error(
        "the {format} header says {width} x {height} pixels; at most {most} pixels and {MAX_SIDE} a side are decoded: scale it down first"
    )]
    TooLarge {
        /// What the file is.
        format: Format,
        /// Width in pixels, from the header.
        width: u32,
        /// Height in pixels, from the header.
        height: u32,
        /// The most pixels that are decoded of such a file.
        most: u64,
    },
    /// The bytes are not what the format requires, or end too early.
    #[error("the {format} file is damaged or cut off ({reason}): copy or export it again")]
    Damaged {
        /// What the file is.
        format: Format,
        /// What was found, by the decoder.
        reason: String,
    },
    /// A valid file with something in it that is not decoded here.
    #[error("the {format} file holds {what}, which is not decoded here: {instead}")]
    Unsupported {
        /// What the file is.
        format: Format,
        /// What is not decoded.
        what: String,
        /// What to do about it.
        instead: String,
    },
    /// Refused because [`DecodeOptions::scans_only`](crate::DecodeOptions::scans_only) was asked for.
    #[error(
        "the {format} file holds {what}: no scanner writes such pictures; export one frame in greyscale or RGB"
    )]
    NoScan {
        /// What the file is.
        format: Format,
        /// What was found.
        what: String,
    },
    /// A DICOM file without pixel data, a report or a plan for instance.
    #[error("the DICOM file holds no picture: choose an image of the study instead")]
    NoPixels,
    /// A DICOM file whose samples are coded in a way that is not decoded here.
    #[error(
        "the DICOM file is coded as {name} ({uid}), which is not decoded here: export it uncompressed, or as JPEG, JPEG-LS or JPEG 2000"
    )]
    TransferSyntax {
        /// Name of the transfer syntax.
        name: String,
        /// Its identifier.
        uid: String,
    },
    /// A compressed data set that inflates to more than [`MAX_INFLATED_BYTES`].
    #[error(
        "the DICOM file inflates to more than {MAX_INFLATED_BYTES} bytes: export it uncompressed"
    )]
    Inflates,
    /// There is no such frame.
    #[error("frame {index} was asked for, and there are {frames}: they count from 0")]
    NoSuchFrame {
        /// The frame that was asked for.
        index: u32,
        /// How many there are.
        frames: u32,
    },
    /// All frames were asked for, and are too many for one result.
    #[error(
        "the file has {frames} frames, too many for one result: ask for single frames, or for smaller pictures"
    )]
    TooManyFrames {
        /// How many there are.
        frames: u32,
    },
    /// A decoder in another process was asked, or answered, in a way that is not known here.
    #[error(
        "the process that decodes pictures did not answer as it should: try again, and report it if it happens again"
    )]
    Job,
    /// The result that was asked for has no pixels, or more than are decoded.
    #[error(
        "a picture of {width} x {height} pixels was asked for: from 1 to {MAX_SIDE} a side and {MAX_PIXELS} in all can be made"
    )]
    Size {
        /// Width in pixels, as asked for.
        width: u32,
        /// Height in pixels, as asked for.
        height: u32,
    },
}

impl ImageError {
    pub(crate) fn damaged(format: Format, reason: impl ToString) -> Self {
        Self::Damaged {
            format,
            reason: reason.to_string(),
        }
    }

    pub(crate) fn unsupported(format: Format, what: &str, instead: &str) -> Self {
        Self::Unsupported {
            format,
            what: what.to_owned(),
            instead: instead.to_owned(),
        }
    }

    pub(crate) fn no_scan(format: Format, what: &str) -> Self {
        Self::NoScan {
            format,
            what: what.to_owned(),
        }
    }
}
