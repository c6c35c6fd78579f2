//! From the bytes of a file to the pictures that were asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dicom::{self, DicomMetadata};
use crate::format::{Raw, jpeg, png, tiff};
use crate::options::Frames;
use crate::{DecodeOptions, Format, ImageError, MAX_FILE_BYTES, Picture};

/// What a file held.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// What the file is, by its content.
    pub format: Format,
    /// Width in pixels, the right way up, before scaling.
    pub width: u32,
    /// Height in pixels, the right way up, before scaling.
    pub height: u32,
    /// Pictures in the file: pages of a TIFF, frames of an animated PNG or of DICOM. At least 1.
    pub frames: u32,
    /// The pictures that were asked for: the first page of a TIFF, the still picture of a PNG. Empty only where none was asked for.
    pub pictures: Vec<Picture>,
    /// What a DICOM file says of itself.
    pub dicom: Option<DicomMetadata>,
}

/// Decodes a file, whose kind is known by its content.
///
/// # Errors
/// What is wrong with the file and what can be done about it. The size of a picture is judged by the header, before
/// anything is allocated for it.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, ImageError> {
    options.size.check()?;
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ImageError::FileTooLarge {
            bytes: bytes.len() as u64,
        });
    }
    let format = Format::of(bytes).ok_or(ImageError::UnknownFormat)?;
    guarded(format, || decode_as(format, bytes, options))
}

/// Decoders that are not ours may break an invariant of theirs on bytes that nobody tried. Nothing outlives the call.
pub(crate) fn guarded<T>(
    format: Format,
    run: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(ImageError::damaged(format, "its decoder gave up")))
}

fn decode_as(format: Format, bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, ImageError> {
    let most = options.most_pixels();
    let raw = match format {
        Format::Png => png::decode(bytes, most)?,
        Format::Jpeg => jpeg::decode(bytes, most)?,
        Format::Tiff => tiff::decode(bytes, most)?,
        Format::Dicom => return dicom::decode(bytes, options),
    };
    finish(format, raw, options)
}

fn finish(format: Format, raw: Raw, options: &DecodeOptions) -> Result<Decoded, ImageError> {
    if let Some(oddity) = raw.oddity.filter(|_| options.scans_only) {
        return Err(ImageError::no_scan(format, oddity));
    }
    let picture = if options.grey {
        raw.picture.into_grey()
    } else {
        raw.picture
    };
    let upright = raw.orientation.apply(picture);
    let (width, height) = (upright.width, upright.height);
    let pictures = match options.frames {
        Frames::None => Vec::new(),
        _ => vec![sized(upright, options)],
    };
    Ok(Decoded {
        format,
        width,
        height,
        frames: raw.frames,
        pictures,
        dicom: None,
    })
}

/// The picture in the size that was asked for.
pub(crate) fn sized(picture: Picture, options: &DecodeOptions) -> Picture {
    let (width, height) = options.size.of(picture.width, picture.height);
    if (width, height) == (picture.width, picture.height) {
        picture
    } else {
        picture.resized(width, height)
    }
}
