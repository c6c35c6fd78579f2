//! From the bytes of a file to what can be said and shown of it.

use salus_imaging::Window;

use crate::{
    DEFAULT_PREVIEW_SIDE, Facts, HEAD_BYTES, MAX_FILE_BYTES, MediaError, MediaType, Preview, audio,
    pdf, picture, text,
};

/// How to look into a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InspectOptions {
    /// Longer side of a picture's preview in pixels, from 1 to [`MAX_PREVIEW_SIDE`](crate::MAX_PREVIEW_SIDE).
    pub preview_side: u32,
    /// How the greys of a DICOM file are spread in its preview.
    pub window: Window,
    /// Count the stored samples of a DICOM file; every frame is decoded for it.
    pub statistics: bool,
    /// Refuse a picture of more pixels than this; imaging's bound holds in any case.
    pub max_pixels: Option<u32>,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self {
            preview_side: DEFAULT_PREVIEW_SIDE,
            window: Window::File,
            statistics: false,
            max_pixels: None,
        }
    }
}

/// What can be said and shown of a file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inspected {
    /// What can be said.
    pub facts: Facts,
    /// What can be shown.
    pub preview: Option<Preview>,
    /// Why there is no preview, where there is none, in words.
    pub note: Option<String>,
}

/// How much of a file of this length [`inspect`] has to be given: all of it, or [`HEAD_BYTES`].
#[must_use]
pub fn needed(total_len: u64) -> usize {
    match usize::try_from(total_len) {
        Ok(all) if all <= MAX_FILE_BYTES => all,
        _ => HEAD_BYTES,
    }
}

/// Looks into a file of `total_len` bytes, whose kind is known by its content. `bytes` is as much of its beginning as
/// [`needed`] says; of a part alone there is no preview, but of text.
///
/// # Errors
/// What is wrong with the file and what can be done about it; the crate's page has the rule.
pub fn inspect(
    bytes: &[u8],
    total_len: u64,
    options: &InspectOptions,
) -> Result<Inspected, MediaError> {
    if bytes.is_empty() || total_len == 0 {
        return Err(MediaError::Empty);
    }
    if (bytes.len() as u64) < total_len.min(needed(total_len) as u64)
        || bytes.len() as u64 > total_len
    {
        return Err(MediaError::Job);
    }
    let bytes = &bytes[..needed(total_len).min(bytes.len())];
    let media = MediaType::of(bytes, total_len).ok_or(MediaError::UnknownKind)?;
    let (facts, preview, note) = match media {
        MediaType::Dicom | MediaType::Png | MediaType::Jpeg | MediaType::Tiff => {
            picture::inspect(media, bytes, total_len, options)?
        }
        MediaType::Wav | MediaType::Flac | MediaType::Mp3 | MediaType::Ogg | MediaType::M4a => {
            audio::inspect(media, bytes, total_len)?
        }
        MediaType::Pdf => pdf::inspect(bytes, total_len)?,
        MediaType::Text => text::inspect(bytes, total_len)?,
    };
    // A preview is missing for a reason, and that is said.
    let note = match &preview {
        Some(_) => None,
        None => Some(note.unwrap_or_else(|| "no preview could be made".to_owned())),
    };
    Ok(Inspected {
        facts,
        preview,
        note,
    })
}
