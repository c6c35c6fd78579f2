//! TIFF, by the `tiff` crate: the first page.

use std::io::Cursor;

use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::{Format, Raw, check_size, inks_to_rgb, over_black, repack};
use crate::exif::Orientation;
use crate::ifd::Ifd;
use crate::{ImageError, Picture};

/// Bytes a pixel that are decoded at most: four samples of 16 bits.
const MAX_PIXEL_BYTES: u64 = 8;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;

pub(crate) fn decode(bytes: &[u8], most: u64) -> Result<Raw, ImageError> {
    // The decoder makes room for a strip of each row as soon as it reads a directory, and believes it.
    let Some(directory) = Ifd::first(bytes) else {
        return Err(match bytes.get(2..4) {
            Some(b"+\0" | b"\0+") => {
                ImageError::unsupported(Format::Tiff, "BigTIFF", "save it as plain TIFF, or as PNG")
            }
            _ => ImageError::damaged(Format::Tiff, "it has no directory"),
        });
    };
    let sides = directory.number(WIDTH).zip(directory.number(HEIGHT));
    let (width, height) =
        sides.ok_or_else(|| ImageError::damaged(Format::Tiff, "it says nothing of its size"))?;
    check_size(Format::Tiff, width, height, most)?;
    if !directory.is_modest() {
        return Err(ImageError::damaged(
            Format::Tiff,
            "an entry lists impossibly many values",
        ));
    }
    if !directory.is_whole() {
        return Err(ImageError::damaged(Format::Tiff, "a page is cut off"));
    }
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(most * MAX_PIXEL_BYTES).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = bytes.len();
    limits.ifd_value_size = 1 << 20;
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(refused)?
        .with_limits(limits);
    if decoder.dimensions().map_err(refused)? != (width, height) {
        return Err(ImageError::damaged(Format::Tiff, "it names two sizes"));
    }
    let colour = decoder.colortype().map_err(refused)?;
    let orientation = decoder
        .find_tag_unsigned::<u16>(Tag::Orientation)
        .ok()
        .flatten()
        .map_or(Orientation::default(), Orientation::of_tag);

    let layout = decoder.image_buffer_layout().map_err(refused)?;
    if layout.planes > 1 {
        return Err(ImageError::unsupported(
            Format::Tiff,
            "each channel in a plane of its own",
            "save it with interleaved channels, or as PNG",
        ));
    }
    let samples = to_8_bits(decoder.read_image().map_err(refused)?, colour, width)?;
    let picture = picture(colour, width, height, samples)?;
    let frames = directory.pages();
    let oddity = match colour {
        ColorType::CMYK(_) | ColorType::CMYKA(_) => Some("four inks (CMYK)"),
        _ if colour.bit_depth() == 1 => Some("one bit a pixel"),
        _ if frames > 1 => Some("several pages"),
        _ => None,
    };
    Ok(Raw {
        picture,
        orientation,
        frames,
        oddity,
    })
}

fn refused(error: tiff::TiffError) -> ImageError {
    match error {
        tiff::TiffError::UnsupportedError(what) => ImageError::unsupported(
            Format::Tiff,
            kind(&what),
            "save it uncompressed in greyscale or RGB, or as PNG",
        ),
        tiff::TiffError::LimitsExceeded => ImageError::unsupported(
            Format::Tiff,
            "more bytes a pixel than are decoded",
            "save it with 8 or 16 bits a sample",
        ),
        // Of others the text may hold values of tags.
        tiff::TiffError::IoError(_) => ImageError::damaged(Format::Tiff, "it ends too early"),
        _ => ImageError::damaged(Format::Tiff, "its structure is broken"),
    }
}

/// What is not supported, without values of the file.
fn kind(what: &tiff::TiffUnsupportedError) -> &'static str {
    use tiff::TiffUnsupportedError as U;
    match what {
        U::UnsupportedCompressionMethod(_) | U::UnknownCompressionMethod => {
            "an unusual compression"
        }
        U::UnsupportedSampleFormat(_)
        | U::UnsupportedSampleDepth(_)
        | U::UnsupportedBitsPerChannel(_)
        | U::InconsistentBitsPerSample(_)
        | U::HorizontalPredictor(_)
        | U::FloatingPointPredictor(_) => "samples of an unusual kind or width",
        U::InterpretationWithBits(..)
        | U::UnknownInterpretation
        | U::UnsupportedColorType(_)
        | U::UnsupportedInterpretation(_) => "a palette or an unusual colour space",
        _ => "something unusual",
    }
}

/// All samples in 8 bits; of 16 the upper half, as of PNG.
fn to_8_bits(
    samples: DecodingResult,
    colour: ColorType,
    width: u32,
) -> Result<Vec<u8>, ImageError> {
    match samples {
        DecodingResult::U8(bytes) => match colour.bit_depth() {
            8 => Ok(bytes),
            bits @ (1 | 2 | 4) => Ok(unpack(&bytes, bits, colour.num_samples(), width)),
            _ => Err(odd_samples()),
        },
        DecodingResult::U16(samples) if colour.bit_depth() == 16 => Ok(samples
            .iter()
            .map(|sample| sample.to_be_bytes()[0])
            .collect()),
        _ => Err(odd_samples()),
    }
}

fn odd_samples() -> ImageError {
    ImageError::unsupported(
        Format::Tiff,
        "samples that are signed, floating point or of an unusual width",
        "save it with 8 or 16 unsigned bits a sample",
    )
}

/// Samples of fewer than 8 bits, each row padded to a whole byte, spread over 0 to 255.
fn unpack(packed: &[u8], bits: u8, channels: u16, width: u32) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let mask = u8::MAX >> (8 - bits);
    let row_samples = width as usize * usize::from(channels);
    packed
        .chunks(row_samples.div_ceil(per_byte).max(1))
        .flat_map(|row| {
            row.iter()
                .flat_map(|byte| {
                    (0..per_byte).map(move |index| {
                        let shift = 8 - bits * (index.to_le_bytes()[0] + 1);
                        ((byte >> shift) & mask) * (u8::MAX / mask)
                    })
                })
                .take(row_samples)
        })
        .collect()
}

fn picture(
    colour: ColorType,
    width: u32,
    height: u32,
    samples: Vec<u8>,
) -> Result<Picture, ImageError> {
    let picture = match colour {
        ColorType::Gray(_) => Picture::grey(width, height, samples),
        ColorType::RGB(_) => Picture::rgb(width, height, samples),
        ColorType::Multiband { num_samples: 2, .. } => {
            Picture::grey(width, height, repack(samples, |[grey, _]: [u8; 2]| [grey]))
        }
        ColorType::GrayA(_) => {
            let grey = repack(samples, |[grey, alpha]| [over_black(grey, alpha)]);
            Picture::grey(width, height, grey)
        }
        ColorType::RGBA(_) => {
            let rgb = repack(samples, |[red, green, blue, alpha]| {
                [red, green, blue].map(|sample| over_black(sample, alpha))
            });
            Picture::rgb(width, height, rgb)
        }
        ColorType::CMYK(_) => Picture::rgb(width, height, repack(samples, inks_to_rgb)),
        _ => {
            return Err(ImageError::unsupported(
                Format::Tiff,
                "an unusual colour space or number of channels",
                "save it in greyscale or RGB, or as PNG",
            ));
        }
    };
    picture.ok_or_else(|| ImageError::damaged(Format::Tiff, "samples are missing"))
}
