//! What can be looked at of a file without another program.

use std::path::Path;
use std::sync::Arc;

use salus_api::{ApiError, PreviewView};
use salus_audit::LogId;
use salus_imaging::{DecodeOptions, Decoded, Frames, Size, Window};
use salus_media::Preview;
use salus_mesh::blobs::Presence;
use salus_vault::sealed_blob_len;

use super::bring::{ensure, to_decode};
use super::seal;
use crate::core::{Staff, What};
use crate::node::{Node, blocking};

/// The longest side of a picture for a screen, pixels.
const MAX_SIDE: u32 = 1_024;

/// What `Preview` asks for.
pub struct ToLook {
    /// Whose file.
    pub patient: String,
    /// Which.
    pub attachment: String,
    /// A DICOM window, centre and width.
    pub window: Option<(f64, f64)>,
    /// Which frame.
    pub frame: Option<u32>,
    /// Longest side of a picture, pixels.
    pub max_side: u32,
}

/// A look at a file: its preview, or the file itself where a window or a frame is asked for.
pub async fn preview(
    node: &Arc<Node>,
    who: &Staff,
    asked: ToLook,
) -> Result<PreviewView, ApiError> {
    let ToLook {
        patient,
        attachment,
        window,
        frame,
        max_side,
    } = asked;
    if window.is_some_and(|(centre, width)| !centre.is_finite() || !width.is_finite()) {
        return Err(ApiError::usage("a window is two numbers: centre and width"));
    }
    let max_side = max_side.clamp(1, MAX_SIDE);
    let me = who.clone();
    let (log, file, view) = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            let (log, file) = core.attachment_of_person(log, &attachment)?;
            let view = core.attachment_view(&file);
            core.log_look(&me, log, "file shown")?;
            Ok((log, file, view))
        })
        .await?;
    let (attached, content, small) = match file.what {
        What::Erased { reason } => return Ok(PreviewView::None(format!("erased: {reason}"))),
        What::Inline { id, mime, .. } => return inline(node, log, id, &mime).await,
        What::Blobs {
            attachment,
            content,
            preview,
        } => (attachment, content, preview),
    };
    let store = node.blobs.get(node).await?;
    let here = matches!(store.presence(content).await, Ok(Presence::Complete { .. }));
    let is_picture = super::is_picture(&attached.mime);
    let windowed = window.is_some() || frame.is_some();
    if is_picture && (windowed || (small.is_none() && here)) {
        let bytes = to_decode(node, log, (content, &attached.content)).await?;
        let options = DecodeOptions {
            size: Size::Fit(max_side),
            frames: frame.map_or(Frames::Middle, Frames::One),
            window: window.map_or(Window::File, |(centre, width)| Window::Fixed {
                centre,
                width,
            }),
            ..DecodeOptions::default()
        };
        let name = attached.name.clone();
        let decoded =
            blocking(move || crate::imaging::decode(&bytes, &options, Path::new(&name))).await?;
        return picture(decoded, true, frame, window);
    }
    let (Some(blob), Some(sealed)) = (small, &attached.preview) else {
        let note = view.facts.get("note").and_then(|note| note.as_str());
        return Ok(PreviewView::None(
            note.unwrap_or("nothing of this file can be shown here")
                .to_owned(),
        ));
    };
    if sealed.len > salus_media::MAX_PREVIEW_BYTES as u64 {
        return Err(ApiError::integrity(
            "the file's preview is larger than previews are",
        ));
    }
    let most = sealed_blob_len(sealed.len).unwrap_or(u64::MAX);
    ensure(node, &store, log, blob, most, None).await?;
    let bytes = seal::open_small(&store, log, (blob, sealed)).await?;
    // It was made at another clinic, maybe by nothing that is ours.
    let preview = Preview::decode(&bytes).ok_or_else(|| {
        ApiError::integrity("the file's preview cannot be read")
            .hint("write the file to disk with `salus fetch` and look at it with another program")
    })?;
    match preview {
        Preview::Picture { png, .. } => {
            let options = DecodeOptions::preview(max_side);
            let name = attached.name.clone();
            let png: Arc<[u8]> = png.into();
            let decoded =
                blocking(move || crate::imaging::decode(&png, &options, Path::new(&name))).await?;
            let mut shown = picture(decoded, false, None, None)?;
            if let PreviewView::Picture { frame, window, .. } = &mut shown {
                let number = |name: &str| view.dicom.as_ref()?.get(name)?.as_f64();
                let frames = view
                    .dicom
                    .as_ref()
                    .and_then(|tags| tags.get("frames")?.as_u64());
                let frames = frames
                    .and_then(|n| u32::try_from(n).ok())
                    .unwrap_or(1)
                    .max(1);
                *frame = (frames / 2, frames);
                *window = number("window_centre").zip(number("window_width"));
            }
            Ok(shown)
        }
        Preview::Waveform { duration_ms, peaks } => {
            Ok(PreviewView::Waveform { duration_ms, peaks })
        }
        Preview::Text { text, whole } => Ok(PreviewView::Text { text, whole }),
    }
}

fn picture(
    mut decoded: Decoded,
    from_file: bool,
    frame: Option<u32>,
    window: Option<(f64, f64)>,
) -> Result<PreviewView, ApiError> {
    let frames = decoded.frames.max(1);
    let picture = decoded
        .pictures
        .pop()
        .ok_or_else(|| ApiError::failed("the file holds no picture"))?;
    let own = decoded.dicom.and_then(|tags| tags.window);
    Ok(PreviewView::Picture {
        picture: crate::imaging::picture_view(picture),
        from_file,
        frame: (frame.unwrap_or(frames / 2), frames),
        window: window.or(own),
    })
}

/// A file that travels in the log: the source of an import, which is text.
async fn inline(
    node: &Arc<Node>,
    log: LogId,
    id: String,
    mime: &str,
) -> Result<PreviewView, ApiError> {
    let bytes = node
        .with_core(move |core| core.inline_bytes(log, &id))
        .await?;
    let is_text = mime.starts_with("text/") || mime.contains("json");
    let Some(text) = std::str::from_utf8(&bytes).ok().filter(|_| is_text) else {
        return Ok(PreviewView::None(format!("a file of type {mime}")));
    };
    let most = salus_media::MAX_PREVIEW_TEXT;
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    let shown = text.get(..end.unwrap_or(0)).unwrap_or_default();
    Ok(PreviewView::Text {
        text: shown.to_owned(),
        whole: shown.len() == text.len(),
    })
}
