//! JPEG XL (ISO/IEC 18181), by `jxl-oxide`; the size that it claims is looked at before anything is drawn.

use jxl_oxide::image::BitDepth;
use jxl_oxide::{AllocTracker, JxlImage};

use super::{Frame, Refusal, Samples, Shape};

/// What one frame may take while it is decoded, bytes: some ten times the largest that is admitted.
const MAX_BYTES: usize = 480 << 20;

/// Decodes a frame whose size must be `shape`.
pub(crate) fn decode(stream: &[u8], shape: Shape) -> Result<Frame, Refusal> {
    const BROKEN: Refusal = "a JPEG XL frame is damaged";
    let image = JxlImage::builder()
        .alloc_tracker(AllocTracker::with_limit(MAX_BYTES))
        .read(stream)
        .map_err(|_| BROKEN)?;
    let channels = image.pixel_format().channels();
    shape.admits(image.width(), image.height(), channels)?;
    let bits = match image.image_header().metadata.bit_depth {
        BitDepth::IntegerSample { bits_per_sample } if bits_per_sample <= 16 => bits_per_sample,
        _ => return Err("a JPEG XL frame has samples of an unusual width"),
    };
    let drawn = image.render_frame(0).map_err(|_| BROKEN)?;
    let values = drawn.image_all_channels();
    if values.buf().len() != shape.samples() {
        return Err(BROKEN);
    }
    // Samples are shares of the largest one.
    let most = ((1_u32 << bits) - 1) as f32;
    let samples = values
        .buf()
        .iter()
        .map(|value| to_sample((value * most).round().clamp(0.0, most)))
        .collect();
    Ok(Frame {
        samples: Samples::U16(samples),
        bits,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to at most 16 bits before; what is no number becomes 0"
)]
fn to_sample(value: f32) -> u16 {
    value as u16
}
