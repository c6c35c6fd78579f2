//! JPEG, by `zune-jpeg`; what four inks mean is decided here.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Format, Raw, check_size, inks_to_rgb, repack};
use crate::exif::Orientation;
use crate::{ImageError, MAX_PIXELS, MAX_SIDE, Picture};

/// Scans of a progressive file that are decoded. libjpeg's own scripts have 10; more than this is made to waste time.
const MAX_SCANS: usize = 64;

pub(crate) fn decode(bytes: &[u8], most: u64) -> Result<Raw, ImageError> {
    let broken = |error: zune_jpeg::errors::DecodeErrors| ImageError::damaged(Format::Jpeg, error);
    // Without strictness the decoder paints over what is missing, and says nothing.
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS);
    let frame = frame_header(bytes)?;
    check_size(Format::Jpeg, frame.width, frame.height, most)?;
    // The decoder notices an end in the last row of blocks only if the end marker is looked for.
    if !bytes.windows(2).rev().any(|pair| pair == [0xff, 0xd9]) {
        return Err(ImageError::damaged(Format::Jpeg, "it has no end"));
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    if decoder.dimensions() != Some((frame.width as usize, frame.height as usize)) {
        return Err(ImageError::damaged(Format::Jpeg, "two frame headers"));
    }
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    let (out, inks) = match stored {
        ColorSpace::Luma => (ColorSpace::Luma, false),
        ColorSpace::YCbCr | ColorSpace::RGB => (ColorSpace::RGB, false),
        ColorSpace::CMYK | ColorSpace::YCCK => (stored, true),
        _ => {
            return Err(ImageError::unsupported(
                Format::Jpeg,
                "an unusual number of channels",
                "export it in greyscale or RGB",
            ));
        }
    };
    if inks {
        // Nobody scans in inks: half of the pixels, so that four channels take no more memory than two.
        let half = most.min(MAX_PIXELS / 2);
        check_size(Format::Jpeg, frame.width, frame.height, half)?;
    }
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let mut pixels = decoder.decode().map_err(broken)?;
    let orientation = decoder
        .exif()
        .map_or(Orientation::default(), |exif| Orientation::of_exif(exif));
    drop(decoder);

    let (width, height) = (frame.width, frame.height);
    if stored == ColorSpace::YCCK {
        pixels = repack(pixels, ycck_to_cmyk);
    }
    if inks && frame.adobe {
        // Adobe stores inks inverted, 255 for none.
        pixels.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    let picture = if inks {
        Picture::rgb(width, height, repack(pixels, inks_to_rgb))
    } else if out == ColorSpace::Luma {
        Picture::grey(width, height, pixels)
    } else {
        Picture::rgb(width, height, pixels)
    };
    Ok(Raw {
        picture: picture.ok_or_else(|| ImageError::damaged(Format::Jpeg, "samples are missing"))?,
        orientation,
        frames: 1,
        oddity: inks.then_some("four inks (CMYK)"),
    })
}

/// What the markers before the first scan say.
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits a sample.
    pub(crate) precision: u8,
    /// Second byte of the start-of-frame marker: 0xc0 to 0xcf, which is how it is coded.
    pub(crate) coding: u8,
    /// Later components have no more samples than the first, by a whole factor.
    usual_sampling: bool,
    /// An Adobe marker is there.
    pub(crate) adobe: bool,
}

/// Reads the markers up to the first scan (ITU-T T.81, annex B), so that sizes are known before a decoder is made.
pub(crate) fn markers(bytes: &[u8]) -> Option<Frame> {
    const START_OF_SCAN: u8 = 0xda;
    const ADOBE: u8 = 0xee;
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut frame = None;
    let mut adobe = false;
    loop {
        // Any number of fill bytes may stand before a marker.
        let ([0xff, marker], after) = rest.split_first_chunk::<2>()? else {
            return None;
        };
        if *marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*after.first_chunk::<2>()?));
        let segment = after.get(2..length)?;
        match *marker {
            START_OF_SCAN => break,
            ADOBE => adobe |= segment.starts_with(b"Adobe"),
            // All start-of-frame markers; DHT, JPG and DAC lie between them.
            coding @ 0xc0..=0xcf if !matches!(coding, 0xc4 | 0xc8 | 0xcc) => {
                let [precision, y1, y0, x1, x0, _, ref parts @ ..] = *segment else {
                    return None;
                };
                frame = Some(Frame {
                    width: u32::from(u16::from_be_bytes([x1, x0])),
                    height: u32::from(u16::from_be_bytes([y1, y0])),
                    precision,
                    coding,
                    usual_sampling: usual_sampling(parts.as_chunks().0),
                    adobe: false,
                });
            }
            _ => {}
        }
        rest = after.get(length..)?;
    }
    Some(Frame { adobe, ..frame? })
}

/// Whether the sampling factors are those that encoders use. Decoders were not tried on others, and one panics.
fn usual_sampling(parts: &[[u8; 3]]) -> bool {
    let factors = |part: &[u8; 3]| (part[1] >> 4, part[1] & 15);
    let Some((across, down)) = parts.first().map(factors) else {
        return false;
    };
    let usual = |factor: u8| matches!(factor, 1 | 2 | 4);
    usual(across)
        && usual(down)
        && parts.iter().map(factors).all(|(x, y)| {
            usual(x) && usual(y) && across.is_multiple_of(x) && down.is_multiple_of(y)
        })
}

/// The frame header of a file that can be decoded here.
fn frame_header(bytes: &[u8]) -> Result<Frame, ImageError> {
    let frame = markers(bytes).ok_or_else(|| {
        ImageError::damaged(Format::Jpeg, "no frame header before the first scan")
    })?;
    let what = match (frame.coding, frame.precision) {
        (0xc0..=0xc2, 8) if frame.usual_sampling => return Ok(frame),
        (0xc0..=0xc2, 8) => "unusual subsampling",
        (0xc0..=0xc2, _) => "more than 8 bits a sample",
        (0xc3, _) => "lossless JPEG",
        (0xc5..=0xc7, _) => "hierarchical JPEG",
        _ => "arithmetic coding",
    };
    Err(ImageError::unsupported(
        Format::Jpeg,
        what,
        "save it as baseline JPEG of 8 bits, or as PNG",
    ))
}

/// The inks behind luma, chroma and black: red, green and blue of the first three, inverted (ITU-T T.871, section 7).
fn ycck_to_cmyk([y, cb, cr, black]: [u8; 4]) -> [u8; 4] {
    // 16 fractional bits of 1.402, 0.344136, 0.714136 and 1.772.
    let [y, cb, cr] = [i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128];
    let inverted = |sample: i32| {
        let rounded = (sample + (1 << 15)) >> 16;
        255 - rounded.clamp(0, 255).to_le_bytes()[0]
    };
    [
        inverted(y + 91_881 * cr),
        inverted(y - 22_554 * cb - 46_802 * cr),
        inverted(y + 116_130 * cb),
        black,
    ]
}
