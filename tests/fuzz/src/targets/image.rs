//! Image files: PNG, JPEG, TIFF, DICOM in most of its codings, and the requests and responses of the job that decodes them.

use std::io::Cursor;

use salus_imaging::{
    DecodeOptions, Decoded, Frames, ImageError, Picture, Size, decode, encode_png, job,
    read_response, request,
};

use super::Target;
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const IMAGE: Target = Target {
    name: "image",
    about: "PNG, JPEG, TIFF and DICOM files, and what the job that decodes them is asked and answers",
    form: Form::Bytes,
    max_bytes: 4 * 1024,
    make: |_| Box::new(Image),
};

struct Image;

/// A decoder's memory grows with what a header says, up to a bound that is too high to find what a byte too many takes.
const MAX_PIXELS: u32 = 1 << 18;

impl Subject for Image {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let grey: Vec<u8> = (0..=255).collect();
        let mut seeds = Vec::new();
        let pictures = [
            Picture::grey(16, 16, grey.clone()),
            Picture::rgb(17, 5, grey[..255].to_vec()),
        ];
        seeds.extend(pictures.iter().flatten().map(encode_png));
        for (colour, channels) in [
            (jpeg_encoder::ColorType::Luma, 1),
            (jpeg_encoder::ColorType::Rgb, 3),
            (jpeg_encoder::ColorType::Cmyk, 4),
        ] {
            let data: Vec<u8> = grey
                .iter()
                .copied()
                .cycle()
                .take(24 * 10 * channels)
                .collect();
            for progressive in [false, true] {
                let mut file = Vec::new();
                let mut encoder = jpeg_encoder::Encoder::new(&mut file, 50);
                encoder.set_progressive(progressive);
                if channels == 4 {
                    // Else this encoder gives black more samples than the other inks, which is refused.
                    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
                }
                encoder.set_restart_interval(if progressive { 0 } else { 2 });
                if encoder.encode(&data, 24, 10, colour).is_ok() {
                    seeds.push(file);
                }
            }
        }
        seeds.extend(tiffs(&grey));
        seeds.extend(dicoms(&grey));
        seeds.extend(
            seeds
                .iter()
                .map(|file| request(file, &options()))
                .collect::<Vec<_>>(),
        );
        let responses: Vec<_> = seeds
            .iter()
            .map(|file| job(&request(file, &options())))
            .collect();
        seeds.extend(
            responses
                .into_iter()
                .filter(|response| response.len() < 4_096 && read_response(response).is_ok()),
        );
        seeds
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        if let [1, ..] = input
            && let Ok(decoded) = read_response(input)
        {
            whole(&decoded)?;
            return Ok(Outcome::accepted("a response"));
        }
        if let [1, ..] = input {
            let answer = read_response(&job(&modest(input)));
            return Ok(match answer {
                Ok(decoded) => {
                    whole(&decoded)?;
                    Outcome::accepted(format!("asked for {}", decoded.format))
                }
                Err(error) => Outcome::refused(format!("asked: {}", kind(&error))),
            });
        }
        match decode(input, &options()) {
            Ok(decoded) => {
                whole(&decoded)?;
                let kind = decoded
                    .pictures
                    .first()
                    .map(|picture| picture.pixels.channels());
                Ok(Outcome::accepted(format!("{} {kind:?}", decoded.format)))
            }
            Err(error) => Ok(Outcome::refused(kind(&error))),
        }
    }
}

fn options() -> DecodeOptions {
    DecodeOptions {
        size: Size::Fit(32),
        frames: Frames::All,
        statistics: true,
        max_pixels: Some(MAX_PIXELS),
        ..DecodeOptions::default()
    }
}

/// The request with a small size and few pixels, which the caller chooses, not the file.
fn modest(asked: &[u8]) -> Vec<u8> {
    let model = request(&[], &options());
    let mut out = asked.to_vec();
    // Version, size, flags, most pixels: the flags may be anything.
    for place in (1..10).chain(11..15) {
        if let (Some(byte), Some(wanted)) = (out.get_mut(place), model.get(place)) {
            *byte = *wanted;
        }
    }
    out
}

/// An error without its numbers, of which checksums are written in letters, too.
fn kind(error: &ImageError) -> String {
    let text = error.to_string();
    let words = text.split_whitespace();
    words
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
        .take(24)
        .collect()
}

/// Every picture has the samples that its sides say.
fn whole(decoded: &Decoded) -> Result<(), Broken> {
    for picture in &decoded.pictures {
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        let samples = picture.pixels.bytes().len() as u64;
        if pixels == 0 || samples != pixels * picture.pixels.channels() as u64 {
            return Err("a picture has as many samples as its sides say".to_owned());
        }
    }
    Ok(())
}

fn tiffs(grey: &[u8]) -> Vec<Vec<u8>> {
    use tiff::encoder::{Compression, TiffEncoder, colortype};
    let written = |compression| {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file)
            .ok()?
            .with_compression(compression);
        encoder.write_image::<colortype::Gray8>(16, 16, grey).ok()?;
        encoder
            .write_image::<colortype::RGB8>(5, 17, &grey[..255])
            .ok()?;
        Some(file.into_inner())
    };
    [
        Compression::Uncompressed,
        Compression::Lzw,
        Compression::Packbits,
    ]
    .into_iter()
    .filter_map(written)
    .collect()
}

/// Samples of 4 x 4 in JPEG-LS: the example of ITU-T T.87, annex H.3.
const JPEG_LS: [u8; 55] = [
    0xff, 0xd8, 0xff, 0xf7, 0x00, 0x0b, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xff,
    0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x6c, 0x80, 0x20, 0x8e,
    0x01, 0xc0, 0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6e, 0xe6, 0x00, 0x00, 0x01, 0xbc, 0x18, 0x00,
    0x00, 0x05, 0xd8, 0x00, 0x00, 0x91, 0x60,
];

/// 8 x 8 samples in JPEG 2000, lossless, one decomposition.
const JPEG_2000: [u8; 155] = [
    0xff, 0x4f, 0xff, 0x51, 0x00, 0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x08,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x08,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x01, 0xff, 0x52, 0x00,
    0x0c, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x04, 0x04, 0x00, 0x01, 0xff, 0x5c, 0x00, 0x07, 0x40,
    0x40, 0x48, 0x48, 0x50, 0xff, 0x64, 0x00, 0x25, 0x00, 0x01, 0x43, 0x72, 0x65, 0x61, 0x74, 0x65,
    0x64, 0x20, 0x62, 0x79, 0x20, 0x4f, 0x70, 0x65, 0x6e, 0x4a, 0x50, 0x45, 0x47, 0x20, 0x76, 0x65,
    0x72, 0x73, 0x69, 0x6f, 0x6e, 0x20, 0x32, 0x2e, 0x35, 0x2e, 0x34, 0xff, 0x90, 0x00, 0x0a, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x2e, 0x00, 0x01, 0xff, 0x93, 0xdf, 0x80, 0x88, 0x12, 0x0b, 0xd1, 0xbf,
    0xd6, 0xe7, 0x9a, 0xe4, 0x63, 0xb4, 0x76, 0xf4, 0x05, 0xa6, 0x3a, 0x2d, 0xcf, 0xc0, 0xf9, 0x01,
    0xc0, 0x3a, 0x18, 0x22, 0x18, 0x7f, 0x03, 0x7e, 0x7f, 0xff, 0xd9,
];

/// Two samples of 0 in lossless JPEG, one code of one bit.
fn lossless() -> Vec<u8> {
    let mut stream = vec![0xff, 0xd8, 0xff, 0xc4, 0, 21, 0, 2];
    stream.extend([0; 15]);
    stream.extend([0, 1, 0xff, 0xc3, 0, 11, 8, 0, 1, 0, 2, 1, 1, 0x11, 0]);
    stream.extend([0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0, 0x3f, 0xff, 0xd9]);
    stream
}

fn dicoms(grey: &[u8]) -> Vec<Vec<u8>> {
    let mut frame = vec![0; 64];
    frame[0] = 1;
    frame[4] = 64;
    frame.extend([241, 7]);
    let ls = [&JPEG_LS[..], &[0xff, 0xd9]].concat();
    let fragments = |stream: &[u8]| {
        let mut stream = stream.to_vec();
        stream.resize(stream.len().next_multiple_of(2), 0);
        let length = u32::try_from(stream.len()).unwrap_or(0);
        let mut out = Vec::new();
        out.extend([0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0, 0xe0]);
        out.extend(length.to_le_bytes());
        out.extend(stream);
        out.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
        out
    };
    vec![
        dicom("1.2.840.10008.1.2.1", [16, 16, 8], &grey[..256], false),
        dicom("1.2.840.10008.1.2.1", [8, 16, 16], &grey[..256], false),
        dicom("1.2.840.10008.1.2.5", [4, 4, 8], &fragments(&frame), true),
        dicom(
            "1.2.840.10008.1.2.4.57",
            [1, 2, 8],
            &fragments(&lossless()),
            true,
        ),
        dicom("1.2.840.10008.1.2.4.80", [4, 4, 8], &fragments(&ls), true),
        dicom(
            "1.2.840.10008.1.2.4.90",
            [8, 8, 8],
            &fragments(&JPEG_2000),
            true,
        ),
    ]
}

/// A file of one frame with these rows, columns and bits.
fn dicom(
    syntax: &str,
    [rows, columns, bits]: [u16; 3],
    pixels: &[u8],
    encapsulated: bool,
) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let mut element = |tag: [u8; 4], vr: &[u8; 2], value: &[u8]| {
        let mut value = value.to_vec();
        value.resize(value.len().next_multiple_of(2), 0);
        file.extend(tag);
        file.extend(vr);
        if vr == b"OW" {
            let length = u32::try_from(value.len()).unwrap_or(0);
            let length = if encapsulated { u32::MAX } else { length };
            file.extend([0, 0]);
            file.extend(length.to_le_bytes());
        } else {
            file.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
        }
        file.extend(value);
    };
    element([2, 0, 0x10, 0], b"UI", syntax.as_bytes());
    element([0x28, 0, 0x04, 0], b"CS", b"MONOCHROME2 ");
    element([0x28, 0, 0x10, 0], b"US", &rows.to_le_bytes());
    element([0x28, 0, 0x11, 0], b"US", &columns.to_le_bytes());
    element([0x28, 0, 0x00, 1], b"US", &bits.to_le_bytes());
    element([0x28, 0, 0x01, 1], b"US", &bits.to_le_bytes());
    element([0x28, 0, 0x50, 0x10], b"DS", b"40");
    element([0x28, 0, 0x51, 0x10], b"DS", b"400 ");
    element([0xe0, 0x7f, 0x10, 0], b"OW", pixels);
    file
}
