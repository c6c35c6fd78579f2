//! DICOM part 10 files (PS3.10): metadata, stored samples, and pictures for the eye.

mod charset;
mod dataset;
mod frames;
mod metadata;
mod render;

use dataset::DataSet;
pub use metadata::{DicomMetadata, RawStatistics};
use render::Renderer;

use crate::decode::{Decoded, guarded, sized};
use crate::options::Frames;
use crate::{DecodeOptions, Format, ImageError, MAX_FRAMES, MAX_PIXELS};

/// What goes wrong in a data set, and how it is said.
pub(crate) fn damaged(reason: &str) -> ImageError {
    ImageError::damaged(Format::Dicom, reason)
}

fn unsupported(what: &str, instead: &str) -> ImageError {
    ImageError::unsupported(Format::Dicom, what, instead)
}

/// What a DICOM file says of patient, study and picture. Nothing is decoded, and nothing behind the pixel data is read.
///
/// # Errors
/// If the bytes are no DICOM file, or their structure is damaged before the pixel data.
pub fn dicom_metadata(bytes: &[u8]) -> Result<DicomMetadata, ImageError> {
    if Format::of(bytes) != Some(Format::Dicom) {
        return Err(ImageError::UnknownFormat);
    }
    guarded(Format::Dicom, || {
        dataset::with(bytes, |data_set| Ok(DicomMetadata::of(data_set)))
    })
}

/// What the beginning of a DICOM file of `total_len` bytes says: tags, and that the pixel data they promise fits into the file. For
/// files of which more is not at hand; a deflated file has to be.
///
/// # Errors
/// If the bytes are no DICOM file, their structure is damaged before the pixel data, or it does not begin in them.
pub fn dicom_head(head: &[u8], total_len: u64) -> Result<DicomMetadata, ImageError> {
    if Format::of(head) != Some(Format::Dicom) {
        return Err(ImageError::UnknownFormat);
    }
    guarded(Format::Dicom, || {
        dataset::with_head(head, total_len, |data_set| {
            let metadata = DicomMetadata::of(data_set);
            frames::check_length(data_set, &metadata)?;
            Ok(metadata)
        })
    })
}

pub(crate) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, ImageError> {
    dataset::with(bytes, |data_set| decode_set(data_set, options))
}

fn decode_set(data_set: &DataSet<'_>, options: &DecodeOptions) -> Result<Decoded, ImageError> {
    let mut metadata = DicomMetadata::of(data_set);
    if options.frames == Frames::None {
        return Ok(Decoded {
            format: Format::Dicom,
            width: metadata.columns,
            height: metadata.rows,
            frames: metadata.frames,
            pictures: Vec::new(),
            dicom: Some(metadata),
        });
    }
    if options.scans_only && metadata.bits_allocated == 1 {
        return Err(ImageError::NoScan {
            format: Format::Dicom,
            what: "one bit a pixel".to_owned(),
        });
    }
    let source = frames::Source::new(data_set, &metadata, options.most_pixels())?;
    let renderer = Renderer::new(data_set, &metadata, options.window);
    let frames = metadata.frames;
    let wanted = match options.frames {
        Frames::None => 0..0,
        Frames::Middle => frames / 2..frames / 2 + 1,
        Frames::One(index) if index < frames => index..index + 1,
        Frames::One(index) => return Err(ImageError::NoSuchFrame { index, frames }),
        Frames::All => 0..frames,
    };
    check_result(&metadata, options, wanted.len())?;
    let read = if options.statistics {
        0..frames
    } else {
        wanted.clone()
    };
    let mut statistics = metadata::Tally::default();
    let mut pictures = Vec::with_capacity(wanted.len());
    for index in read {
        let frame = source.frame(index)?;
        if options.statistics {
            statistics.add(&frame);
        }
        if wanted.contains(&index) {
            let picture = renderer.picture(&frame)?;
            let picture = if options.grey {
                picture.into_grey()
            } else {
                picture
            };
            pictures.push(sized(picture, options));
        }
    }
    metadata.statistics = statistics.finish();
    Ok(Decoded {
        format: Format::Dicom,
        width: metadata.columns,
        height: metadata.rows,
        frames,
        pictures,
        dicom: Some(metadata),
    })
}

/// Refuses more pictures than a result may hold, before one of them is decoded.
fn check_result(
    metadata: &DicomMetadata,
    options: &DecodeOptions,
    count: usize,
) -> Result<(), ImageError> {
    let (width, height) = options.size.of(metadata.columns, metadata.rows);
    let pixels = u64::from(width) * u64::from(height) * count as u64;
    if count > MAX_FRAMES as usize || pixels > MAX_PIXELS {
        return Err(ImageError::TooManyFrames {
            frames: metadata.frames,
        });
    }
    Ok(())
}
