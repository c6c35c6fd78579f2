//! JPEG 2000, by `hayro-jpeg2000`; sizes are read from the codestream first (ITU-T T.800, A.5.1).

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::{CUT_OFF, Frame, Refusal, Samples, Shape};

/// Tiles of a frame: microscopes write some hundreds.
const MAX_TILES: u64 = 4_096;
const START_OF_CODESTREAM: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];

/// What the SIZ marker says of all components.
struct Sizes {
    precision: u32,
    signed: bool,
}

/// Decodes a frame whose size must be `shape`.
pub(crate) fn decode(stream: &[u8], shape: Shape) -> Result<Frame, Refusal> {
    const BROKEN: Refusal = "a JPEG 2000 frame is damaged";
    let codestream = codestream(stream).ok_or("a frame is no JPEG 2000 stream")?;
    let sizes = sizes(codestream, shape)?;
    let settings = DecodeSettings {
        resolve_palette_indices: false,
        strict: true,
        target_resolution: None,
    };
    let image = Image::new(codestream, &settings).map_err(|_| BROKEN)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|_| BROKEN)?;
    let components = decoded.components();
    let pixels = shape.width * shape.height;
    if components.len() != shape.channels
        || components
            .iter()
            .any(|component| component.samples().len() != pixels)
    {
        return Err(BROKEN);
    }
    let mut samples = vec![0; shape.samples()];
    let most = ((1_u32 << sizes.precision) - 1) as f32;
    // The decoder centres signed samples as if they were unsigned: turning the highest bit brings them back.
    let turned = if sizes.signed {
        1 << (sizes.precision - 1)
    } else {
        0
    };
    for (channel, component) in components.iter().enumerate() {
        let places = samples.iter_mut().skip(channel).step_by(shape.channels);
        for (place, value) in places.zip(component.samples()) {
            *place = to_sample(value.round().clamp(0.0, most)) ^ turned;
        }
    }
    Ok(Frame {
        samples: Samples::U16(samples),
        bits: sizes.precision,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to at most 16 bits before"
)]
fn to_sample(value: f32) -> u16 {
    value as u16
}

/// The codestream itself, out of the boxes that some put around it.
fn codestream(stream: &[u8]) -> Option<&[u8]> {
    if stream.starts_with(&START_OF_CODESTREAM) {
        return Some(stream);
    }
    let mut rest = stream;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, content) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let content = match length {
            0 => content,
            8.. => content.get(..length - 8)?,
            _ => return None,
        };
        if kind == b"jp2c" {
            return content.starts_with(&START_OF_CODESTREAM).then_some(content);
        }
        rest = rest.get(length.max(8)..)?;
    }
}

fn sizes(codestream: &[u8], shape: Shape) -> Result<Sizes, Refusal> {
    // Marker, length and capabilities take 8 bytes; then eight numbers of 32 bits and the count of components.
    let numbers = codestream.get(8..40).ok_or(CUT_OFF)?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let numbers: Vec<u32> = numbers
        .iter()
        .map(|number| u32::from_be_bytes(*number))
        .collect();
    let [
        right,
        bottom,
        left,
        top,
        tile_width,
        tile_height,
        tile_left,
        tile_top,
    ] = *numbers
    else {
        return Err(CUT_OFF);
    };
    let count = codestream.get(40..42).ok_or(CUT_OFF)?;
    let count = usize::from(count[0]) << 8 | usize::from(count[1]);
    let width = right.saturating_sub(left);
    let height = bottom.saturating_sub(top);
    shape.admits(width, height, count)?;
    if tile_width == 0 || tile_height == 0 || tile_left > left || tile_top > top {
        return Err("a JPEG 2000 frame has impossible tiles");
    }
    let across = u64::from((right - tile_left).div_ceil(tile_width));
    let down = u64::from((bottom - tile_top).div_ceil(tile_height));
    if across * down > MAX_TILES {
        return Err("a JPEG 2000 frame has too many tiles");
    }
    let components = codestream.get(42..42 + 3 * count).ok_or(CUT_OFF)?;
    let (components, _) = components.as_chunks::<3>();
    let first = *components.first().ok_or(CUT_OFF)?;
    let [depth, 1, 1] = first else {
        return Err("a JPEG 2000 frame has subsampled colours");
    };
    let precision = u32::from(depth & 0x7f) + 1;
    if precision > 16 || components.iter().any(|other| *other != first) {
        return Err("a JPEG 2000 frame has samples of an unusual width");
    }
    Ok(Sizes {
        precision,
        signed: depth & 0x80 != 0,
    })
}
