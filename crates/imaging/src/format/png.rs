//! PNG, by the `png` crate.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use super::{Format, Raw, check_size, over_black, repack};
use crate::exif::Orientation;
use crate::{ImageError, Picture};

/// What the decoder may allocate beside the pixels: a line, the inflater's window, small chunks.
const WORKING_BYTES: usize = 8 << 20;

pub(crate) fn decode(bytes: &[u8], most: u64) -> Result<Raw, ImageError> {
    let broken = |error: png::DecodingError| ImageError::damaged(Format::Png, error);
    let mut decoder = Decoder::new_with_limits(
        Cursor::new(bytes),
        Limits {
            bytes: WORKING_BYTES,
        },
    );
    // Text and colour profiles may inflate to anything, and nobody here reads them.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    check_size(Format::Png, header.width, header.height, most)?;

    let mut reader = decoder.read_info().map_err(broken)?;
    let info = reader.info();
    let (width, height) = (info.width, info.height);
    let frames = info
        .animation_control
        .map_or(1, |animation| animation.num_frames.max(1));
    let oddity = if info.bit_depth == BitDepth::One {
        Some("one bit a pixel")
    } else if info.animation_control.is_some() {
        Some("an animation")
    } else {
        None
    };
    let too_large = || ImageError::TooLarge {
        format: Format::Png,
        width,
        height,
        most,
    };
    let mut pixels = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    // An animation may begin with a frame that is smaller than the picture.
    if (frame.width, frame.height) != (width, height) {
        return Err(ImageError::unsupported(
            Format::Png,
            "an animation without a still picture",
            "export one frame",
        ));
    }
    let orientation = reader
        .info()
        .exif_metadata
        .as_deref()
        .map_or(Orientation::default(), Orientation::of_exif);

    let picture = match frame.color_type {
        ColorType::Grayscale => Picture::grey(width, height, pixels),
        ColorType::Rgb => Picture::rgb(width, height, pixels),
        ColorType::GrayscaleAlpha => {
            let grey = repack(pixels, |[grey, alpha]| [over_black(grey, alpha)]);
            Picture::grey(width, height, grey)
        }
        ColorType::Rgba => {
            let rgb = repack(pixels, |[red, green, blue, alpha]| {
                [red, green, blue].map(|sample| over_black(sample, alpha))
            });
            Picture::rgb(width, height, rgb)
        }
        ColorType::Indexed => None,
    };
    Ok(Raw {
        picture: picture.ok_or_else(|| ImageError::damaged(Format::Png, "samples are missing"))?,
        orientation,
        frames,
        oddity,
    })
}
