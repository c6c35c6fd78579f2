//! PNG, JPEG and TIFF as they should be.

use std::borrow::Cow;

use jpeg_encoder::{ColorType as JpegColour, SamplingFactor};
use png::{BitDepth, ColorType};
use tiff::encoder::{TiffEncoder, colortype};

use super::builders::{
    BITS, COMPRESSION, HEIGHT, ORIENTATION, PHOTOMETRIC, ROWS_PER_STRIP, SAMPLES, WIDTH, jpeg,
    plainly, png, samples, slope, tiff, tiff_pages,
};
use crate::{DecodeOptions, Format, ImageError, Picture, Size, decode, encode_png};

fn close(ours: &[u8], expected: &[u8], tolerance: u8) {
    assert_eq!(ours.len(), expected.len());
    for (at, (one, other)) in ours.iter().zip(expected).enumerate() {
        assert!(
            one.abs_diff(*other) <= tolerance,
            "at {at}: {one}, expected {other}"
        );
    }
}

#[test]
fn a_png_that_was_written_here_is_read_again() {
    let grey = Picture::grey(5, 3, slope(5, 3, 1)).unwrap();
    let colour = Picture::rgb(4, 4, slope(4, 4, 3)).unwrap();
    for picture in [grey, colour] {
        let decoded = plainly(&encode_png(&picture)).unwrap();
        assert_eq!(decoded.format, Format::Png);
        assert_eq!(decoded.pictures, [picture]);
    }
    let nothing = Picture::grey(0, 0, Vec::new()).unwrap();
    assert!(encode_png(&nothing).is_empty());
}

#[test]
fn png_samples_of_any_width_become_8_bits() {
    let one = png(
        (3, 1),
        ColorType::Grayscale,
        BitDepth::One,
        &[0b1010_0000],
        |_| {},
    );
    assert_eq!(samples(&one), [255, 0, 255]);
    let sixteen = [0x12, 0x34, 0xff, 0xff];
    let sixteen = png(
        (2, 1),
        ColorType::Grayscale,
        BitDepth::Sixteen,
        &sixteen,
        |_| {},
    );
    assert_eq!(samples(&sixteen), [0x12, 0xff]);
    let palette = png(
        (3, 1),
        ColorType::Indexed,
        BitDepth::Eight,
        &[1, 0, 1],
        |encoder| encoder.set_palette(vec![1, 2, 3, 4, 5, 6]),
    );
    assert_eq!(samples(&palette), [4, 5, 6, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn what_is_transparent_is_black() {
    let grey = png(
        (3, 1),
        ColorType::GrayscaleAlpha,
        BitDepth::Eight,
        &[200, 255, 200, 0, 200, 128],
        |_| {},
    );
    assert_eq!(samples(&grey), [200, 0, 100]);
    let colour = png(
        (2, 1),
        ColorType::Rgba,
        BitDepth::Eight,
        &[9, 8, 7, 255, 9, 8, 7, 0],
        |_| {},
    );
    assert_eq!(samples(&colour), [9, 8, 7, 0, 0, 0]);
}

#[test]
fn jpeg_is_read_baseline_and_progressive_with_and_without_shared_colours() {
    let grey = slope(33, 17, 1);
    let colour = slope(33, 17, 3);
    for progressive in [false, true] {
        let file = jpeg((33, 17), JpegColour::Luma, &grey, |encoder| {
            encoder.set_progressive(progressive);
        });
        assert_eq!(plainly(&file).unwrap().format, Format::Jpeg);
        close(&samples(&file), &grey, 3);
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
            let file = jpeg((33, 17), JpegColour::Rgb, &colour, |encoder| {
                encoder.set_progressive(progressive);
                encoder.set_sampling_factor(sampling);
            });
            close(&samples(&file), &colour, 14);
        }
    }
}

#[test]
fn four_inks_become_red_green_and_blue() {
    // One colour throughout: no ink, cyan alone, black alone, a mixture.
    for (inks, rgb) in [
        ([0, 0, 0, 0], [255, 255, 255]),
        ([255, 0, 0, 0], [0, 255, 255]),
        ([0, 0, 0, 255], [0, 0, 0]),
        ([100, 50, 0, 100], [94, 125, 155]),
    ] {
        let data = inks.repeat(64);
        // The encoder inverts, as Adobe does, and says so with Adobe's marker.
        for colour in [JpegColour::Cmyk, JpegColour::CmykAsYcck] {
            let file = jpeg((8, 8), colour, &data, |_| {});
            close(&samples(&file), &rgb.repeat(64), 3);
        }
    }
}

#[test]
fn a_picture_is_turned_as_its_exif_data_say() {
    let data = slope(24, 8, 1);
    let exif = |orientation: u8| {
        let mut exif = b"II*\0\x08\0\0\0\x01\0".to_vec();
        exif.extend([0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
        exif
    };
    let turned = |orientation| {
        let segment = [b"Exif\0\0".to_vec(), exif(orientation)].concat();
        jpeg((24, 8), JpegColour::Luma, &data, |encoder| {
            encoder.add_app_segment(1, segment.clone()).unwrap();
        })
    };
    let decoded = plainly(&turned(6)).unwrap();
    assert_eq!((decoded.width, decoded.height), (8, 24));
    assert_eq!(plainly(&turned(1)).unwrap().width, 24);
    // What was dark at the left, column by column, is at the top.
    let column: Vec<u8> = decoded.pictures[0].pixels.bytes()[..]
        .iter()
        .step_by(8)
        .copied()
        .collect();
    close(&column, &slope(24, 1, 1), 3);

    let mut info = png::Info::with_size(3, 2);
    info.color_type = ColorType::Grayscale;
    info.bit_depth = BitDepth::Eight;
    info.exif_metadata = Some(Cow::Owned(exif(3)));
    let mut file = Vec::new();
    let encoder = png::Encoder::with_info(&mut file, info).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(b"abcdef").unwrap();
    writer.finish().unwrap();
    assert_eq!(samples(&file), b"fedcba");
    let tags = [
        (WIDTH, 3),
        (HEIGHT, 2),
        (BITS, 8),
        (COMPRESSION, 1),
        (PHOTOMETRIC, 1),
        (ORIENTATION, 3),
        (SAMPLES, 1),
        (ROWS_PER_STRIP, 2),
    ];
    assert_eq!(samples(&tiff(&tags, b"abcdef")), b"fedcba");
}

#[test]
fn tiff_is_read_in_grey_colour_16_bits_inks_and_one_bit() {
    fn written<C: colortype::ColorType>(data: &[C::Inner]) -> Vec<u8>
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        let mut file = std::io::Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file).unwrap();
        encoder.write_image::<C>(2, 1, data).unwrap();
        file.into_inner()
    }
    assert_eq!(samples(&written::<colortype::Gray8>(&[7, 9])), [7, 9]);
    let sixteen = written::<colortype::Gray16>(&[0x1234, 0xffff]);
    assert_eq!(samples(&sixteen), [0x12, 0xff]);
    let colour = written::<colortype::RGB8>(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(samples(&colour), [1, 2, 3, 4, 5, 6]);
    let alpha = written::<colortype::RGBA8>(&[1, 2, 3, 255, 4, 5, 6, 0]);
    assert_eq!(samples(&alpha), [1, 2, 3, 0, 0, 0]);
    let inks = written::<colortype::CMYK8>(&[0, 0, 0, 0, 255, 0, 0, 0]);
    assert_eq!(samples(&inks), [255, 255, 255, 0, 255, 255]);
    let bits = |photometric| {
        tiff(
            &[
                (WIDTH, 10),
                (HEIGHT, 2),
                (BITS, 1),
                (COMPRESSION, 1),
                (PHOTOMETRIC, photometric),
                (SAMPLES, 1),
                (ROWS_PER_STRIP, 2),
            ],
            &[0b1010_0000, 0b0100_0000, 0, 0b1000_0000],
        )
    };
    let black_is_zero = samples(&bits(1));
    assert_eq!(black_is_zero[..4], [255, 0, 255, 0]);
    assert_eq!(black_is_zero[8..10], [0, 255]);
    assert_eq!(black_is_zero[18..], [255, 0]);
    let white_is_zero: Vec<u8> = black_is_zero.iter().map(|sample| 255 - sample).collect();
    assert_eq!(samples(&bits(0)), white_is_zero);
}

#[test]
fn of_several_pages_the_first_is_shown_and_all_are_counted() {
    let decoded = plainly(&tiff_pages(3)).unwrap();
    assert_eq!(decoded.frames, 3);
    assert_eq!(decoded.pictures.len(), 1);
    assert_eq!(decoded.pictures[0].pixels.bytes(), [1, 2, 3, 4, 5, 0]);
    let mut animated = Vec::new();
    let mut encoder = png::Encoder::new(&mut animated, 2, 1);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[1, 2]).unwrap();
    writer.write_image_data(&[3, 4]).unwrap();
    writer.finish().unwrap();
    let decoded = plainly(&animated).unwrap();
    assert_eq!(decoded.frames, 2);
    assert_eq!(decoded.pictures[0].pixels.bytes(), [1, 2]);

    // A classifier gets none of it.
    let classifier = DecodeOptions::classifier(8, 8);
    let bit = png((8, 1), ColorType::Grayscale, BitDepth::One, &[1], |_| {});
    let inks = jpeg((8, 8), JpegColour::Cmyk, &[9; 256], |_| {});
    for file in [tiff_pages(2), animated, bit, inks] {
        let refused = decode(&file, &classifier);
        assert!(
            matches!(refused, Err(ImageError::NoScan { .. })),
            "{refused:?}"
        );
    }
    assert!(decode(&tiff_pages(1), &classifier).is_ok());
}

#[test]
fn a_result_has_the_size_and_colour_that_were_asked_for() {
    let file = encode_png(&Picture::rgb(40, 20, slope(40, 20, 3)).unwrap());
    let decoded = decode(&file, &DecodeOptions::classifier(7, 9)).unwrap();
    let picture = &decoded.pictures[0];
    assert_eq!((picture.width, picture.height), (7, 9));
    assert_eq!(picture.pixels.channels(), 1);
    assert_eq!((decoded.width, decoded.height), (40, 20));
    let preview = decode(&file, &DecodeOptions::preview(10)).unwrap();
    let preview = &preview.pictures[0];
    assert_eq!((preview.width, preview.height), (10, 5));
    assert_eq!(preview.pixels.channels(), 3);
    let metadata = decode(&file, &DecodeOptions::metadata()).unwrap();
    assert!(metadata.pictures.is_empty());
    let wrong = DecodeOptions {
        size: Size::Exact(0, 5),
        ..DecodeOptions::default()
    };
    assert!(matches!(
        decode(&file, &wrong),
        Err(ImageError::Size { .. })
    ));
}

#[test]
fn a_tiff_whose_later_pages_are_cut_off_is_refused() {
    let pages = tiff_pages(3);
    assert!(plainly(&pages).is_ok());
    for end in 8..pages.len() {
        assert!(plainly(&pages[..end]).is_err(), "{end} of {}", pages.len());
    }
}
