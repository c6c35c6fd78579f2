//! PNG, JPEG, TIFF and DICOM.

use salus_imaging::{
    DecodeOptions, Decoded, DicomMetadata, ImageError, Size, dicom_head, dicom_metadata, encode_png,
};

use crate::{
    DicomFacts, Facts, InspectOptions, MAX_FILE_BYTES, MAX_PREVIEW_SIDE, MediaError, MediaType,
    Preview,
};

type Found = (Facts, Option<Preview>, Option<String>);

/// Where the classes of what is stored have their identifiers (PS3.4, annex B.5).
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
/// Branches of it whose instances are pictures and nothing else; a report, a plan or a curve is of another.
const PICTURES: &[&str] = &[
    "1", "2", "3", "4.1", "4.3", "4.4", "5", "6", "7", "12", "13", "14", "20", "30", "66.4",
    "77.1.1", "77.1.2", "77.1.4", "77.1.6", "77.1.5.1", "77.1.5.2", "128", "481.1",
];
/// The same, without the branches below it: MR pictures.
const PICTURES_ALONE: &str = "4";
/// A DICOMDIR, which lists the files beside it.
const MEDIA_DIRECTORY: &str = "1.2.840.10008.1.3.10";

pub(crate) fn inspect(
    media: MediaType,
    bytes: &[u8],
    total_len: u64,
    options: &InspectOptions,
) -> Result<Found, MediaError> {
    let whole = bytes.len() as u64 >= total_len;
    match (media, whole) {
        (MediaType::Dicom, true) => dicom(bytes, options),
        (MediaType::Dicom, false) => {
            let metadata =
                dicom_head(bytes, total_len).map_err(|e| MediaError::of_image(media, &e))?;
            let facts = dicom_facts(&metadata, total_len);
            Ok((facts, None, Some(too_large())))
        }
        (_, true) => still(media, bytes, options),
        (_, false) => Ok((Facts::new(media, total_len), None, Some(too_large()))),
    }
}

fn too_large() -> String {
    format!("larger than {MAX_FILE_BYTES} bytes: no preview, and not checked to its end")
}

fn decode_options(options: &InspectOptions) -> DecodeOptions {
    DecodeOptions {
        size: Size::Fit(options.preview_side.clamp(1, MAX_PREVIEW_SIDE)),
        window: options.window,
        statistics: options.statistics,
        max_pixels: options.max_pixels,
        ..DecodeOptions::default()
    }
}

fn still(media: MediaType, bytes: &[u8], options: &InspectOptions) -> Result<Found, MediaError> {
    if media == MediaType::Png && !png_is_whole(bytes) {
        return Err(MediaError::damaged(media, "its end is missing"));
    }
    let mut facts = Facts::new(media, bytes.len() as u64);
    match salus_imaging::decode(bytes, &decode_options(options)) {
        Ok(decoded) => {
            facts.width = Some(decoded.width);
            facts.height = Some(decoded.height);
            facts.frames = Some(decoded.frames);
            Ok((facts, preview(decoded), None))
        }
        // BigTIFF is known by its first bytes alone, and nothing more is read of it.
        Err(ImageError::Unsupported { what, .. })
            if !bytes.starts_with(b"II+") && !bytes.starts_with(b"MM\0+") =>
        {
            Ok((
                facts,
                None,
                Some(format!("{what}: not decoded here, no preview")),
            ))
        }
        Err(error) => Err(MediaError::of_image(media, &error)),
    }
}

fn preview(mut decoded: Decoded) -> Option<Preview> {
    let picture = decoded.pictures.pop()?;
    let png = encode_png(&picture);
    (!png.is_empty()).then_some(Preview::Picture {
        width: picture.width,
        height: picture.height,
        png,
    })
}

/// Whether the chunks of a PNG reach its last (ISO/IEC 15948, 5.3): decoders stop at the last row.
fn png_is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        // Name, data and checksum.
        let Some((chunk, next)) = length
            .checked_add(8)
            .and_then(|end| after.split_at_checked(end))
        else {
            return false;
        };
        if chunk.starts_with(b"IEND") {
            return true;
        }
        rest = next;
    }
    false
}

fn dicom_facts(metadata: &DicomMetadata, total_len: u64) -> Facts {
    let mut facts = Facts::new(MediaType::Dicom, total_len);
    if metadata.columns > 0 && metadata.rows > 0 {
        facts.width = Some(metadata.columns);
        facts.height = Some(metadata.rows);
        facts.frames = Some(metadata.frames);
    }
    facts.dicom = Some(DicomFacts::of(metadata));
    facts
}

fn dicom(bytes: &[u8], options: &InspectOptions) -> Result<Found, MediaError> {
    const MEDIA: MediaType = MediaType::Dicom;
    let refused = |error: ImageError| MediaError::of_image(MEDIA, &error);
    let total_len = bytes.len() as u64;
    let without = |note: String| {
        let metadata = dicom_metadata(bytes).map_err(refused)?;
        Ok((dicom_facts(&metadata, total_len), None, Some(note)))
    };
    match salus_imaging::decode(bytes, &decode_options(options)) {
        Ok(decoded) => {
            let metadata = decoded.dicom.clone().unwrap_or_default();
            Ok((dicom_facts(&metadata, total_len), preview(decoded), None))
        }
        Err(ImageError::NoPixels) => {
            let metadata = dicom_metadata(bytes).map_err(refused)?;
            check_without_pixels(&metadata)?;
            let note = "it holds no picture".to_owned();
            Ok((dicom_facts(&metadata, total_len), None, Some(note)))
        }
        Err(ImageError::TransferSyntax { name, .. }) => {
            without(format!("{name}: not decoded here, no preview"))
        }
        Err(ImageError::Unsupported { what, .. }) => {
            without(format!("{what}: not decoded here, no preview"))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Refuses what is no instance of a study, and what was a picture before it was cut off.
fn check_without_pixels(metadata: &DicomMetadata) -> Result<(), MediaError> {
    let media = MediaType::Dicom;
    let class = metadata.sop_class_uid.as_deref().unwrap_or_default();
    if class == MEDIA_DIRECTORY {
        return Err(MediaError::refused(
            media,
            "is a DICOMDIR, a list of other files",
            "import the folder that it lies in",
        ));
    }
    let below = |branch: &str, known: &str| {
        let rest = branch.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_picture = class.strip_prefix(STORAGE).is_some_and(|branch| {
        branch == PICTURES_ALONE || PICTURES.iter().any(|known| below(branch, known))
    });
    if metadata.rows > 0 || metadata.columns > 0 || is_picture {
        return Err(MediaError::damaged(media, "its pixel data is missing"));
    }
    if metadata.study_instance_uid.is_none() || metadata.sop_instance_uid.is_none() {
        return Err(MediaError::damaged(
            media,
            "it names neither picture nor study",
        ));
    }
    Ok(())
}
