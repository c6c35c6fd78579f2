//! DICOM files, whole and broken.

use std::io::Write;

use super::builders::{Dicom, plainly, samples, slope};
use crate::{DecodeOptions, Frames, ImageError, Size, Window, decode, dicom_metadata};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const RUN_LENGTHS: &str = "1.2.840.10008.1.2.5";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
const JPEG_EXTENDED: &str = "1.2.840.10008.1.2.4.51";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.57";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const JPEG_XL: &str = "1.2.840.10008.1.2.4.110";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
const PIXELS: u32 = 0x7fe0_0010;
const SIGNED: u32 = 0x0028_0103;
const FRAMES: u32 = 0x0028_0008;
const CENTRE: u32 = 0x0028_1050;
const WIDTH: u32 = 0x0028_1051;

fn statistics() -> DecodeOptions {
    DecodeOptions {
        statistics: true,
        ..DecodeOptions::default()
    }
}

/// Smallest and largest stored sample.
fn extremes(file: &[u8]) -> (i64, i64) {
    let decoded = decode(file, &statistics()).unwrap();
    let raw = decoded.dicom.unwrap().statistics.unwrap();
    (raw.min, raw.max)
}

fn damaged(file: &[u8], reason: &str) {
    match plainly(file) {
        Err(ImageError::Damaged { reason: given, .. }) => {
            assert!(given.contains(reason), "{given}");
        }
        other => panic!("expected damage ({reason}), got {other:?}"),
    }
}

#[test]
fn a_window_spreads_its_values_over_the_greys() {
    let file = Dicom::picture(1, 5, 16, "MONOCHROME2")
        .short(SIGNED, 1)
        .text(CENTRE, "DS", "40\\-600")
        .text(WIDTH, "DS", "400\\1500")
        .text(0x0028_1052, "DS", "-1024")
        .text(0x0028_1053, "DS", "1")
        .words(&[0, 864, 1063, 1264, 4000]);
    // -1024, -160, 39, 240 and 2976 Hounsfield units in a window from -160 to 239.
    assert_eq!(samples(&file.file()), [0, 0, 127, 255, 255]);
    let metadata = dicom_metadata(&file.file()).unwrap();
    assert_eq!(metadata.window, Some((40.0, 400.0)));
    assert_eq!(metadata.rescale, Some((1.0, -1024.0)));
    let bones = DecodeOptions {
        window: Window::Fixed {
            centre: 1476.0,
            width: 3001.0,
        },
        ..DecodeOptions::default()
    };
    let decoded = decode(&file.file(), &bones).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes()[4], 255);
    assert_eq!(decoded.pictures[0].pixels.bytes()[0], 0);
}

#[test]
fn monochrome1_is_dark_where_its_samples_are_high() {
    let samples_of = |photometric| {
        let file = Dicom::picture(1, 3, 8, photometric).bytes(&[0, 100, 255]);
        samples(&file.file())
    };
    assert_eq!(samples_of("MONOCHROME2"), [0, 100, 255]);
    assert_eq!(samples_of("MONOCHROME1"), [255, 155, 0]);
}

#[test]
fn signed_samples_below_zero_are_darker_than_zero() {
    let file = Dicom::picture(1, 4, 16, "MONOCHROME2")
        .short(SIGNED, 1)
        .words(&[0xff00, 0, 0x0100, 0x0200]);
    assert_eq!(extremes(&file.file()), (-256, 512));
    let greys = samples(&file.file());
    assert!(greys.is_sorted(), "{greys:?}");
    assert_eq!((greys[0], greys[3]), (0, 255));
}

#[test]
fn without_a_window_outliers_and_padding_do_not_darken_the_rest() {
    let mut words = vec![1_000; 997];
    words.extend([2_000, 60_000, 0x8000]);
    words[..500].fill(1_500);
    let file = Dicom::picture(10, 100, 16, "MONOCHROME2")
        .short(0x0028_0120, 0x8000)
        .words(&words);
    let greys = samples(&file.file());
    assert_eq!((greys[0], greys[600]), (255, 0));
}

#[test]
fn what_lies_below_air_does_not_lighten_a_ct() {
    let of = |modality: &str| {
        let file = Dicom::picture(1, 4, 16, "MONOCHROME2")
            .text(0x0008_0060, "CS", modality)
            .short(SIGNED, 1)
            .text(0x0028_1052, "DS", "0")
            .text(0x0028_1053, "DS", "1")
            .words(&[
                (-3_100_i16).cast_unsigned(),
                (-1_000_i16).cast_unsigned(),
                40,
                1_000,
            ]);
        samples(&file.file())
    };
    let (ct, other) = (of("CT"), of("MR"));
    assert!(ct[0] == 0 && ct[1] < 10 && ct[3] == 255, "{ct:?}");
    assert!(other[1] > 100, "{other:?}");
}

#[test]
fn tables_of_the_file_are_followed() {
    let entries: Vec<u8> = [0_u16, 4095, 2048]
        .iter()
        .flat_map(|e| e.to_le_bytes())
        .collect();
    let descriptor: Vec<u8> = [3_u16, 10, 12]
        .iter()
        .flat_map(|e| e.to_le_bytes())
        .collect();
    // A sequence of undefined length, and an item of undefined length in it.
    let file = Dicom::picture(1, 5, 8, "MONOCHROME2")
        .header(0x0028_3010, "SQ", u32::MAX)
        .item(u32::MAX)
        .element(0x0028_3002, "US", &descriptor)
        .element(0x0028_3006, "US", &entries)
        .raw(&[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0])
        .raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
        .bytes(&[0, 10, 11, 12, 200]);
    assert_eq!(samples(&file.file()), [0, 0, 255, 128, 128]);

    let descriptor: Vec<u8> = [4_u16, 0, 16]
        .iter()
        .flat_map(|e| e.to_le_bytes())
        .collect();
    let mut palette = Dicom::picture(1, 4, 8, "PALETTE COLOR");
    for channel in 0..3 {
        palette = palette.element(0x0028_1101 + channel, "US", &descriptor);
    }
    for channel in 0..3_u32 {
        let entries: Vec<u8> = (0..4_u16)
            .flat_map(|index| ((index * 10 + u16::try_from(channel).unwrap()) << 8).to_le_bytes())
            .collect();
        palette = palette.element(0x0028_1201 + channel, "OW", &entries);
    }
    let file = palette.bytes(&[0, 1, 3, 9]);
    let expected = [0, 1, 2, 10, 11, 12, 30, 31, 32, 30, 31, 32];
    assert_eq!(samples(&file.file()), expected);
}

#[test]
fn colours_are_read_pixel_by_pixel_plane_by_plane_and_as_differences() {
    let by_pixel = Dicom::picture(1, 2, 8, "RGB").bytes(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(samples(&by_pixel.file()), [1, 2, 3, 4, 5, 6]);
    let by_plane = Dicom::picture(1, 2, 8, "RGB")
        .short(0x0028_0006, 1)
        .bytes(&[1, 4, 2, 5, 3, 6]);
    assert_eq!(samples(&by_plane.file()), [1, 2, 3, 4, 5, 6]);
    // Grey, then pure red.
    let differences = Dicom::picture(1, 2, 8, "YBR_FULL").bytes(&[90, 128, 128, 76, 85, 255]);
    assert_eq!(samples(&differences.file()), [90, 90, 90, 254, 0, 0]);
    let shared = Dicom::picture(1, 2, 8, "YBR_FULL_422").bytes(&[90, 50, 128, 128]);
    assert_eq!(samples(&shared.file()), [90, 90, 90, 50, 50, 50]);
}

#[test]
fn one_frame_is_shown_or_each() {
    let file = Dicom::picture(1, 2, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "3")
        .bytes(&[1, 2, 3, 4, 5, 6])
        .file();
    assert_eq!(samples(&file), [3, 4]);
    let with = |frames| DecodeOptions {
        frames,
        statistics: true,
        ..DecodeOptions::default()
    };
    let all = decode(&file, &with(Frames::All)).unwrap();
    let seen: Vec<&[u8]> = all.pictures.iter().map(|p| p.pixels.bytes()).collect();
    assert_eq!(seen, [[1, 2], [3, 4], [5, 6]]);
    let raw = all.dicom.unwrap().statistics.unwrap();
    assert_eq!((raw.min, raw.max, raw.samples), (1, 6, 6));
    assert!((raw.mean - 3.5).abs() < 1e-9);
    let last = decode(&file, &with(Frames::One(2))).unwrap();
    assert_eq!(last.pictures[0].pixels.bytes(), [5, 6]);
    let none = decode(&file, &with(Frames::One(3)));
    let expected = ImageError::NoSuchFrame {
        index: 3,
        frames: 3,
    };
    assert_eq!(none, Err(expected));
    assert!(
        decode(&file, &DecodeOptions::metadata())
            .unwrap()
            .pictures
            .is_empty()
    );
}

#[test]
fn the_same_samples_come_out_of_every_plain_transfer_syntax() {
    let words = [0_u16, 300, 65_535, 7];
    let little = Dicom::picture(2, 2, 16, "MONOCHROME2").words(&words);
    assert_eq!(extremes(&little.file()), (0, 65_535));
    let mut deflate =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflate.write_all(little.data_set()).unwrap();
    let deflated = little
        .clone()
        .named(DEFLATED)
        .file_with(&deflate.finish().unwrap());
    assert_eq!(samples(&deflated), samples(&little.file()));

    let mut big = Dicom::new(BIG_ENDIAN);
    for (tag, value) in [
        (0x0028_0002, 1),
        (0x0028_0010, 2),
        (0x0028_0011, 2),
        (0x0028_0100, 16),
        (0x0028_0101, 16),
        (SIGNED, 0),
    ] {
        big = big.short(tag, value);
    }
    let big = big.text(0x0028_0004, "CS", "MONOCHROME2").words(&words);
    assert_eq!(extremes(&big.file()), (0, 65_535));
    assert_eq!(samples(&big.file()), samples(&little.file()));
    // Implicit VR: tag, length of 32 bits, value.
    let mut implicit = Vec::new();
    for (tag, value) in [
        (0x0028_0004_u32, &b"MONOCHROME2 "[..]),
        (0x0028_0010, &[2, 0]),
        (0x0028_0011, &[2, 0]),
        (0x0028_0100, &[16, 0]),
        (0x0028_0101, &[16, 0]),
        (PIXELS, &[0, 0, 44, 1, 255, 255, 7, 0]),
    ] {
        implicit.extend((tag >> 16).to_le_bytes()[..2].iter());
        implicit.extend(tag.to_le_bytes()[..2].iter());
        implicit.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        implicit.extend(value);
    }
    let implicit = Dicom::new("1.2.840.10008.1.2").file_with(&implicit);
    assert_eq!(samples(&implicit), samples(&little.file()));
}

#[test]
fn run_lengths_are_decoded_frame_by_frame() {
    let frame = |value: u8| {
        let mut stream = vec![0; 64];
        stream[0] = 1;
        stream[4] = 64;
        stream.extend([253, value, 1, 9, 8]);
        stream
    };
    let file = Dicom::picture(2, 3, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "2")
        .fragments(&[frame(5), frame(6)])
        .named(RUN_LENGTHS);
    assert_eq!(samples(&file.file()), [6, 6, 6, 6, 9, 8]);
}

#[test]
fn jpeg_frames_are_decoded_even_in_several_fragments() {
    let data = slope(16, 16, 1);
    let stream = super::builders::jpeg((16, 16), jpeg_encoder::ColorType::Luma, &data, |_| {});
    let (head, tail) = stream.split_at(stream.len() / 2 * 2 / 2 / 2 * 2);
    let file = Dicom::picture(16, 16, 8, "MONOCHROME2")
        .fragments(&[head.to_vec(), tail.to_vec()])
        .named(JPEG_BASELINE);
    let seen = samples(&file.file());
    assert!(
        seen.iter()
            .zip(&data)
            .all(|(one, other)| one.abs_diff(*other) < 4)
    );
    let lying = Dicom::picture(16, 17, 8, "MONOCHROME2")
        .fragments(&[stream])
        .named(JPEG_BASELINE);
    damaged(&lying.file(), "another size");
}

/// Bits of an entropy-coded segment.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u32, count: u32) {
        for at in (0..count).rev() {
            self.held = self.held << 1 | (bits >> at & 1);
            self.count += 1;
            if self.count == 8 {
                let byte = self.held.to_le_bytes()[0];
                self.out.push(byte);
                if byte == 0xff {
                    self.out.push(0);
                }
                self.count = 0;
            }
        }
    }

    /// A difference as its category in a code of five bits, then its bits.
    fn difference(&mut self, difference: i32) {
        let category = 32 - difference.unsigned_abs().leading_zeros();
        self.put(category, 5);
        if category < 16 {
            let low = if difference < 0 {
                difference - 1
            } else {
                difference
            };
            self.put(low.cast_unsigned() & ((1 << category) - 1), category);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.put(1, 1);
        }
        self.out
    }
}

/// A Huffman table in which value `n` has the code `n` of five bits.
fn plain_table(class_and_id: u8) -> Vec<u8> {
    let mut table = vec![0xff, 0xc4, 0, 19 + 17, class_and_id];
    table.extend([0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    table.extend(0..17);
    table
}

fn frame_header(marker: u8, precision: u8, width: u8, height: u8) -> Vec<u8> {
    vec![
        0xff, marker, 0, 11, precision, 0, height, 0, width, 1, 1, 0x11, 0,
    ]
}

#[test]
fn lossless_jpeg_gives_back_every_sample_with_each_predictor() {
    let rows = [
        [0_u16, 40_000, 65_535, 12],
        [7, 7, 32_768, 1],
        [65_535, 0, 1, 2],
    ];
    let at = |row: usize, column: usize| i32::from(rows[row][column]);
    for predictor in 1..=7_u8 {
        let mut bits = Bits::default();
        for row in 0..3 {
            for column in 0..4 {
                let predicted = match (row, column) {
                    (0, 0) => 32_768,
                    (0, _) => at(0, column - 1),
                    (_, 0) => at(row - 1, 0),
                    _ => {
                        let (a, b) = (at(row, column - 1), at(row - 1, column));
                        let c = at(row - 1, column - 1);
                        [
                            a,
                            b,
                            c,
                            a + b - c,
                            a + ((b - c) >> 1),
                            b + ((a - c) >> 1),
                            (a + b) >> 1,
                        ][usize::from(predictor) - 1]
                    }
                };
                // Modulo 2^16, from -32,767 to 32,768.
                let difference = (at(row, column) - predicted).rem_euclid(1 << 16);
                bits.difference(if difference > 32_768 {
                    difference - (1 << 16)
                } else {
                    difference
                });
            }
        }
        let stream = [
            vec![0xff, 0xd8],
            frame_header(0xc3, 16, 4, 3),
            plain_table(0),
            vec![0xff, 0xda, 0, 8, 1, 1, 0, predictor, 0, 0],
            bits.finish(),
            vec![0xff, 0xd9],
        ]
        .concat();
        let file = Dicom::picture(3, 4, 16, "MONOCHROME2")
            .fragments(std::slice::from_ref(&stream))
            .named(JPEG_LOSSLESS)
            .file();
        let plain = Dicom::picture(3, 4, 16, "MONOCHROME2").words(rows.as_flattened());
        let ours = decode(&file, &statistics()).unwrap();
        let theirs = decode(&plain.file(), &statistics()).unwrap();
        assert_eq!(ours.pictures, theirs.pictures, "predictor {predictor}");
        let mean = |decoded: crate::Decoded| decoded.dicom.unwrap().statistics;
        assert_eq!(mean(ours), mean(theirs), "predictor {predictor}");
        let half = stream[..stream.len() - 8].to_vec();
        let cut = Dicom::picture(3, 4, 16, "MONOCHROME2")
            .fragments(&[half])
            .named(JPEG_LOSSLESS);
        assert!(plainly(&cut.file()).is_err());
    }
}

#[test]
fn jpeg_of_12_bits_is_decoded() {
    // Two blocks side by side, each of one value: 8 times what it lies above 2,048, quantised by 8.
    let mut bits = Bits::default();
    let mut before = 0;
    for value in [100, 4_000] {
        let coefficient = value - 2_048;
        bits.difference(coefficient - before);
        before = coefficient;
        // End of block.
        bits.put(0, 5);
    }
    let stream = [
        vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0],
        vec![8; 64],
        frame_header(0xc1, 12, 16, 8),
        plain_table(0),
        plain_table(0x10),
        vec![0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0],
        bits.finish(),
        vec![0xff, 0xd9],
    ]
    .concat();
    let file = Dicom::picture(8, 16, 16, "MONOCHROME2")
        .short(0x0028_0101, 12)
        .fragments(&[stream])
        .named(JPEG_EXTENDED);
    assert_eq!(extremes(&file.file()), (100, 4_000));
    let seen = samples(&file.file());
    assert_eq!((seen[0], seen[7], seen[8], seen[15]), (0, 0, 255, 255));
}

/// Every sample of 8 bits as it is.
fn whole_range() -> DecodeOptions {
    DecodeOptions {
        window: Window::Fixed {
            centre: 128.0,
            width: 256.0,
        },
        ..DecodeOptions::default()
    }
}

// The worked example of ITU-T T.87, annex H.3.
#[test]
fn jpeg_ls_decodes_the_example_of_its_standard() {
    let stream = [
        0xff, 0xd8, 0xff, 0xf7, 0x00, 0x0b, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00,
        0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x6c, 0x80,
        0x20, 0x8e, 0x01, 0xc0, 0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6e, 0xe6, 0x00, 0x00, 0x01,
        0xbc, 0x18, 0x00, 0x00, 0x05, 0xd8, 0x00, 0x00, 0x91, 0x60, 0xff, 0xd9,
    ];
    let expected = [
        0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145,
    ];
    let file = |stream: &[u8]| {
        Dicom::picture(4, 4, 8, "MONOCHROME2")
            .fragments(&[stream.to_vec()])
            .named(JPEG_LS)
            .file()
    };
    let decoded = decode(&file(&stream), &statistics()).unwrap();
    let raw = decoded.dicom.unwrap().statistics.unwrap();
    assert_eq!((raw.min, raw.max), (0, 205));
    let decoded = decode(&file(&stream), &whole_range()).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes(), expected);
    for end in 0..stream.len() - 3 {
        assert!(plainly(&file(&stream[..end])).is_err(), "{end}");
    }
}

#[test]
fn jpeg_xl_is_decoded_to_the_very_samples() {
    use zune_core::bit_depth::BitDepth;
    use zune_core::colorspace::ColorSpace;
    use zune_core::options::EncoderOptions;
    let encoded = |bytes: &[u8], colours, depth| {
        let options = EncoderOptions::new(16, 16, colours, depth);
        let mut stream = Vec::new();
        zune_jpegxl::JxlSimpleEncoder::new(bytes, options)
            .encode(&mut stream)
            .unwrap();
        stream
    };
    let grey: Vec<u8> = (0..=255).collect();
    let deep: Vec<u16> = (0..256).map(|n| n * 251 + 7).collect();
    let deep: Vec<u8> = deep.into_iter().flat_map(u16::to_ne_bytes).collect();
    let colours: Vec<u8> = (0..=255).flat_map(|n| [n, 255 - n, n / 2]).collect();
    let file = |bits: u16, photometric: &str, stream: &[u8]| {
        Dicom::picture(16, 16, bits, photometric)
            .fragments(&[stream.to_vec()])
            .named(JPEG_XL)
            .file()
    };
    let stream = encoded(&grey, ColorSpace::Luma, BitDepth::Eight);
    assert_eq!(extremes(&file(8, "MONOCHROME2", &stream)), (0, 255));
    let decoded = decode(&file(8, "MONOCHROME2", &stream), &whole_range()).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes(), grey);
    let deep = encoded(&deep, ColorSpace::Luma, BitDepth::Sixteen);
    assert_eq!(extremes(&file(16, "MONOCHROME2", &deep)), (7, 64_012));
    let seen = encoded(&colours, ColorSpace::RGB, BitDepth::Eight);
    let decoded = plainly(&file(8, "RGB", &seen)).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes(), colours);
    for end in (0..stream.len() - 3).step_by(7) {
        assert!(
            plainly(&file(8, "MONOCHROME2", &stream[..end])).is_err(),
            "{end}"
        );
    }
    // Of another size than the file says.
    let wide = Dicom::picture(32, 16, 8, "MONOCHROME2")
        .fragments(&[stream])
        .named(JPEG_XL);
    assert!(plainly(&wide.file()).is_err());
}

// Written by Pillow 13.0 (OpenJPEG), lossless: 8 x 8 samples of 15 x + 3 y.
#[test]
fn jpeg_2000_is_decoded() {
    let stream = hex(J2K);
    let file = |stream: &[u8]| {
        Dicom::picture(8, 8, 8, "MONOCHROME2")
            .fragments(&[stream.to_vec()])
            .named(JPEG_2000)
            .file()
    };
    let expected: Vec<u8> = (0..64).map(|at| at % 8 * 15 + at / 8 * 3).collect();
    let window = DecodeOptions {
        window: Window::Fixed {
            centre: 128.0,
            width: 256.0,
        },
        ..DecodeOptions::default()
    };
    let decoded = decode(&file(&stream), &window).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes(), expected);
    for end in 0..stream.len() {
        let cut = plainly(&file(&stream[..end]));
        assert!(cut.is_err() || end + 2 >= stream.len(), "{end}");
    }
    // A codestream that says 65,000 x 65,000.
    let mut lying = stream;
    lying[8..12].copy_from_slice(&65_000_u32.to_be_bytes());
    lying[12..16].copy_from_slice(&65_000_u32.to_be_bytes());
    damaged(&file(&lying), "another size");
}

fn hex(digits: &str) -> Vec<u8> {
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const J2K: &str = "ff4fff510029000000000008000000080000000000000000000000080000000800000000000000000001070101\
    ff52000c00000001000104040001ff5c00074040484850ff640025000143726561746564206279204f70656e4a\
    5045472076657273696f6e20322e352e34ff90000a00000000002e0001ff93df8088120bd1bfd6e79ae463b476\
    f405a63a2dcfc0f901c03a1822187f037e7fffd9";

#[test]
fn names_are_read_in_their_character_set_and_not_shown_by_debug() {
    let file = Dicom::picture(1, 1, 8, "MONOCHROME2")
        .text(0x0008_0005, "CS", "ISO_IR 100")
        .element(0x0010_0010, "PN", b"M\xfcller^J\xf6rg")
        .text(0x0010_0020, "LO", " 4711 ")
        .bytes(&[1]);
    let metadata = dicom_metadata(&file.file()).unwrap();
    assert_eq!(metadata.patient_name.as_deref(), Some("Müller^Jörg"));
    assert_eq!(metadata.patient_id.as_deref(), Some("4711"));
    let shown = format!("{metadata:?}");
    assert!(
        !shown.contains("ller") && !shown.contains("4711"),
        "{shown}"
    );
    // Metadata are there even where samples are not.
    let without = Dicom::new(EXPLICIT).text(0x0010_0020, "LO", "4711");
    assert_eq!(
        dicom_metadata(&without.file())
            .unwrap()
            .patient_id
            .as_deref(),
        Some("4711")
    );
    assert_eq!(plainly(&without.file()), Err(ImageError::NoPixels));
}

#[test]
fn a_file_that_lies_about_its_size_is_refused_before_anything_is_decoded() {
    let few = Dicom::picture(100, 100, 8, "MONOCHROME2").bytes(&[0; 64]);
    damaged(&few.file(), "fewer samples");
    let huge = Dicom::picture(65_000, 65_000, 16, "MONOCHROME2").bytes(&[0; 64]);
    assert!(matches!(
        plainly(&huge.file()),
        Err(ImageError::TooLarge { width: 65_000, .. })
    ));
    let colours = Dicom::picture(5_000, 5_000, 8, "RGB").bytes(&[0; 64]);
    assert!(matches!(
        plainly(&colours.file()),
        Err(ImageError::TooLarge { .. })
    ));
    let none = Dicom::picture(0, 10, 8, "MONOCHROME2").bytes(&[0; 64]);
    assert!(matches!(
        plainly(&none.file()),
        Err(ImageError::ZeroSize { .. })
    ));
    let frames = Dicom::picture(1, 1, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "2000000000")
        .bytes(&[0; 64]);
    damaged(&frames.file(), "fewer samples");
    let compressed = Dicom::picture(65_000, 500, 16, "MONOCHROME2")
        .fragments(&[vec![0; 100]])
        .named(RUN_LENGTHS);
    damaged(&compressed.file(), "number of segments");
}

#[test]
fn too_many_frames_for_one_result_are_refused_before_one_is_decoded() {
    let file = Dicom::picture(1, 1, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "2000")
        .bytes(&[0; 2000]);
    let all = DecodeOptions {
        frames: Frames::All,
        ..DecodeOptions::default()
    };
    let refused = decode(&file.file(), &all);
    assert_eq!(refused, Err(ImageError::TooManyFrames { frames: 2000 }));
    let file = Dicom::picture(1, 1, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "200")
        .bytes(&[0; 200]);
    let large = DecodeOptions {
        size: Size::Exact(4096, 4096),
        ..all
    };
    let refused = decode(&file.file(), &large);
    assert_eq!(refused, Err(ImageError::TooManyFrames { frames: 200 }));
}

#[test]
fn what_is_cut_off_anywhere_before_its_end_is_refused() {
    let file = Dicom::picture(2, 2, 16, "MONOCHROME2")
        .header(0x0040_0275, "SQ", u32::MAX)
        .item(u32::MAX)
        .text(0x0040_0009, "SH", "x")
        .raw(&[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0])
        .raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
        .words(&[1, 2, 3, 4])
        .file();
    assert!(plainly(&file).is_ok());
    for end in 0..file.len() {
        assert!(plainly(&file[..end]).is_err(), "{end} of {}", file.len());
    }
}

#[test]
fn giant_lengths_are_refused_without_being_believed() {
    let text = Dicom::new(EXPLICIT).header(0x0008_0060, "UT", u32::MAX - 1);
    damaged(&text.file(), "longer than the file");
    let pixels = Dicom::picture(4, 4, 8, "MONOCHROME2").header(PIXELS, "OW", 0xffff_fff0);
    damaged(&pixels.file(), "longer than the file");
    let fragment = Dicom::picture(4, 4, 8, "MONOCHROME2")
        .header(PIXELS, "OB", u32::MAX)
        .item(0)
        .item(0x7fff_fff0)
        .named(RUN_LENGTHS);
    damaged(&fragment.file(), "longer than the file");
}

#[test]
fn structures_that_make_no_sense_are_refused() {
    let item_end = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
    let stray = Dicom::new(EXPLICIT).raw(&item_end).item(8).raw(&[0; 8]);
    assert!(plainly(&stray.file()).is_err());
    let mut deep = Dicom::new(EXPLICIT);
    for _ in 0..1_000 {
        deep = deep.header(0x0040_0275, "SQ", u32::MAX).item(u32::MAX);
    }
    damaged(&deep.file(), "nested too deeply");
    let unnamed = Dicom::new("");
    assert!(plainly(&unnamed.file()).is_err());
    for (name, what) in [
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
    ] {
        let file = Dicom::picture(2, 2, 8, "MONOCHROME2")
            .fragments(&[vec![0; 8]])
            .named(name);
        let error = plainly(&file.file()).unwrap_err();
        assert!(
            matches!(error, ImageError::TransferSyntax { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(what), "{error}");
    }
    let wide = Dicom::picture(2, 2, 24, "MONOCHROME2").bytes(&[0; 12]);
    assert!(matches!(
        plainly(&wide.file()),
        Err(ImageError::Unsupported { .. })
    ));
    let odd = Dicom::picture(2, 2, 8, "HSV").bytes(&[0; 12]);
    assert!(matches!(
        plainly(&odd.file()),
        Err(ImageError::Unsupported { .. })
    ));
}

#[test]
fn a_deflated_bomb_is_refused() {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..65 {
        deflate.write_all(&zeros).unwrap();
    }
    let file = Dicom::new(DEFLATED).file_with(&deflate.finish().unwrap());
    assert_eq!(plainly(&file), Err(ImageError::Inflates));
}

#[test]
fn a_changed_byte_never_panics() {
    let plain = Dicom::picture(2, 2, 16, "MONOCHROME2")
        .text(FRAMES, "IS", "2")
        .text(CENTRE, "DS", "40")
        .text(WIDTH, "DS", "400")
        .words(&[1, 2, 3, 4, 5, 6, 7, 8])
        .file();
    let compressed = Dicom::picture(8, 8, 8, "MONOCHROME2")
        .fragments(&[hex(J2K)])
        .named(JPEG_2000)
        .file();
    for file in [plain, compressed] {
        for at in 132..file.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                if let Ok(decoded) = decode(&changed, &statistics()) {
                    assert!(!decoded.pictures.is_empty());
                }
            }
        }
    }
}

#[test]
fn bits_that_are_not_stored_do_not_count() {
    // Overlays of old lie in them.
    let file = |signed| {
        Dicom::picture(1, 4, 16, "MONOCHROME2")
            .short(0x0028_0101, 12)
            .short(SIGNED, signed)
            .words(&[0x8005, 0x07ff, 0xf800, 0x1fff])
            .file()
    };
    assert_eq!(extremes(&file(0)), (5, 4_095));
    assert_eq!(extremes(&file(1)), (-2_048, 2_047));
}

#[test]
fn one_bit_a_sample_is_decoded() {
    let masks = Dicom::picture(3, 3, 1, "MONOCHROME2")
        .text(FRAMES, "IS", "2")
        .bytes(&[0b0101_0101, 0b1111_1111, 0b0000_0011]);
    let of = |index| {
        let options = DecodeOptions {
            frames: Frames::One(index),
            ..statistics()
        };
        decode(&masks.clone().file(), &options).unwrap()
    };
    let (first, second) = (of(0), of(1));
    assert_eq!(
        first.pictures[0].pixels.bytes(),
        [255, 0, 255, 0, 255, 0, 255, 0, 255]
    );
    assert_eq!(second.pictures[0].pixels.bytes(), [255; 9]);
    let raw = second.dicom.unwrap().statistics.unwrap();
    assert_eq!((raw.min, raw.max, raw.samples), (0, 1, 18));
    assert!((raw.mean - 14.0 / 18.0).abs() < 1e-9);
    let scan = decode(&masks.clone().file(), &DecodeOptions::classifier(3, 3));
    assert!(matches!(scan, Err(ImageError::NoScan { .. })), "{scan:?}");
    let short = Dicom::picture(5, 5, 1, "MONOCHROME2").bytes(&[0xff; 2]);
    damaged(&short.file(), "fewer samples");
}

#[test]
fn bytes_in_words_of_big_endian_are_swapped() {
    let big = |vr| {
        let picture = Dicom::new(BIG_ENDIAN)
            .short(0x0028_0002, 1)
            .text(0x0028_0004, "CS", "MONOCHROME2")
            .text(FRAMES, "IS", "2")
            .short(0x0028_0010, 1)
            .short(0x0028_0011, 3)
            .short(0x0028_0100, 8)
            .short(0x0028_0101, 8)
            .short(SIGNED, 0);
        let options = DecodeOptions {
            frames: Frames::All,
            ..DecodeOptions::default()
        };
        let file = picture.element(PIXELS, vr, &[2, 1, 4, 3, 6, 5]).file();
        let frames = decode(&file, &options).unwrap().pictures;
        frames
            .iter()
            .flat_map(|frame| frame.pixels.bytes().to_vec())
            .collect::<Vec<u8>>()
    };
    assert_eq!(big("OW"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(big("OB"), [2, 1, 4, 3, 6, 5]);
}

#[test]
fn what_stands_behind_the_samples_is_read_where_it_is_missing_before_them() {
    let described = Dicom::picture(2, 2, 8, "MONOCHROME2");
    let sorted = described.clone().bytes(&[1, 2, 3, 4]).file();
    let samples_first = Dicom::new(EXPLICIT).bytes(&[1, 2, 3, 4]);
    let unsorted = samples_first.clone().raw(described.data_set()).file();
    assert_eq!(samples(&unsorted), samples(&sorted));
    // Where all is there, nothing behind them is looked at.
    let rubbish = described.bytes(&[1, 2, 3, 4]).raw(&[0xde; 99]).file();
    assert_eq!(samples(&rubbish), samples(&sorted));
    assert!(plainly(&samples_first.clone().raw(&[0xde; 99]).file()).is_err());
    let until = samples_first.file().len();
    for cut in until..unsorted.len() {
        assert!(plainly(&unsorted[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_transfer_syntax_that_is_wrong_about_vrs_does_no_harm() {
    let explicit = Dicom::picture(1, 2, 8, "MONOCHROME2").bytes(&[7, 200]);
    let mut implicit = Dicom::new(EXPLICIT);
    for (tag, value) in [
        (0x0028_0002_u32, &b"\x01\0"[..]),
        (0x0028_0004, b"MONOCHROME2 "),
        (0x0028_0010, b"\x01\0"),
        (0x0028_0011, b"\x02\0"),
        (0x0028_0100, b"\x08\0"),
        (0x0028_0101, b"\x08\0"),
        (0x0028_0103, b"\0\0"),
        (PIXELS, &[7, 200]),
    ] {
        let [a, b, c, d] = tag.to_le_bytes();
        let length = u32::try_from(value.len()).unwrap();
        implicit = implicit
            .raw(&[c, d, a, b])
            .raw(&length.to_le_bytes())
            .raw(value);
    }
    for file in [
        explicit.clone().file(),
        explicit.named("1.2.840.10008.1.2").file(),
        implicit.clone().file(),
        implicit.named("1.2.840.10008.1.2").file(),
    ] {
        assert_eq!(samples(&file), [7, 200]);
    }
}

#[test]
fn names_are_read_in_the_character_sets_that_the_file_switches_between() {
    let name = |sets: &str, bytes: &[u8]| {
        let file = Dicom::new(EXPLICIT)
            .text(0x0008_0005, "CS", sets)
            .element(0x0010_0010, "PN", bytes)
            .file();
        dicom_metadata(&file).unwrap().patient_name.unwrap()
    };
    // The standard's own examples (PS3.5, annexes H, I and K).
    assert_eq!(
        name(
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
        ),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
    );
    assert_eq!(
        name(
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
        ),
        "Hong^Gildong=洪^吉洞=홍^길동"
    );
    assert_eq!(
        name(
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
        ),
        "Zhang^XiaoDong=张^小东="
    );
    assert_eq!(
        name("ISO 2022 IR 100\\ISO 2022 IR 144", b"B\xfcc^\x1b-L\xbb\xee"),
        "Büc^Лю"
    );
    assert_eq!(name("ISO_IR 148", b"\xc7avu\xfeo\xf0lu"), "Çavuşoğlu");
    assert_eq!(name("ISO_IR 203", b"\xbduvre"), "œuvre");
    // An escape that nobody knows, one at the end, and none of the sets.
    for bytes in [&b"A\x1b?B"[..], b"A\x1b", b"A\x1b$B", b"A\x1b$B\xff\xff"] {
        for sets in ["ISO 2022 IR 6\\ISO 2022 IR 87", "ISO_IR 192", "NONE"] {
            assert!(name(sets, bytes).starts_with('A'));
        }
    }
}

#[test]
fn sequences_of_unknown_kind_are_skipped() {
    const ITEM: [u8; 8] = [0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff];
    const ITEM_END: [u8; 8] = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
    const END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    // Without VRs, whatever the file has: rows (0028,0010) of 9 in an item of an item.
    let rows = [0x28, 0, 0x10, 0, 2, 0, 0, 0, 9, 0];
    let inner = [&[0x08, 0, 0x15, 0x11, 0xff, 0xff, 0xff, 0xff], &ITEM[..]].concat();
    let nested = [&inner, &rows[..], &ITEM_END, &END].concat();
    let whole = [&ITEM, &rows[..], &nested, &ITEM_END, &ITEM, &ITEM_END, &END].concat();
    let file = |sequence: &[u8]| {
        Dicom::new(EXPLICIT)
            .text(0x0008_0060, "CS", "OT")
            .header(0x0009_1010, "UN", u32::MAX)
            .raw(sequence)
            .raw(
                Dicom::picture(1, 2, 8, "MONOCHROME2")
                    .bytes(&[7, 200])
                    .data_set(),
            )
            .file()
    };
    assert_eq!(samples(&file(&whole)), [7, 200]);
    assert_eq!(samples(&file(&END)), [7, 200]);
    // Lengths that lie, and ends that never come.
    for cut in 0..whole.len() {
        assert!(plainly(&file(&whole[..cut])).is_err(), "{cut}");
    }
    let lie = [&ITEM[..], &[0x28, 0, 0x10, 0, 0xfe, 0xff, 0xff, 0xff]].concat();
    assert!(plainly(&file(&lie)).is_err());
}

#[test]
fn empty_fragments_between_frames_are_none() {
    let frame = |value: u8| {
        let mut stream = vec![1, 0, 0, 0, 64, 0, 0, 0];
        stream.resize(64, 0);
        // Four times the same byte.
        stream.extend([0xfd, value]);
        stream
    };
    let file = Dicom::picture(2, 2, 8, "MONOCHROME2")
        .text(FRAMES, "IS", "2")
        .fragments(&[Vec::new(), frame(3), Vec::new(), frame(5)])
        .named(RUN_LENGTHS)
        .file();
    assert_eq!(extremes(&file), (3, 5));
}
