//! PNG, JPEG and TIFF that are broken, or say what they should not.

use jpeg_encoder::ColorType as JpegColour;
use png::{BitDepth, ColorType};

use super::builders::{
    BITS, COMPRESSION, HEIGHT, PHOTOMETRIC, ROWS_PER_STRIP, SAMPLES, WIDTH, jpeg, plainly, png,
    slope, tiff, tiff_pages,
};
use crate::{Format, ImageError, MAX_FILE_BYTES, MAX_PIXELS, Picture, decode, encode_png};

const JPEG_SOF0: [u8; 2] = [0xff, 0xc0];

fn small_jpeg() -> Vec<u8> {
    jpeg((16, 16), JpegColour::Luma, &slope(16, 16, 1), |_| {})
}

/// A JPEG whose frame header says another size.
fn jpeg_saying(width: u16, height: u16) -> Vec<u8> {
    let mut file = small_jpeg();
    let frame = file.windows(2).position(|pair| pair == JPEG_SOF0).unwrap();
    file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    file
}

fn png_saying(width: u32, height: u32) -> Vec<u8> {
    png(
        (width, height),
        ColorType::Rgba,
        BitDepth::Sixteen,
        &[],
        |_| {},
    )
}

fn tiff_saying(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let tags = [
        (WIDTH, width),
        (HEIGHT, height),
        (BITS, 8),
        (COMPRESSION, 1),
        (PHOTOMETRIC, 1),
        (SAMPLES, 1),
        (ROWS_PER_STRIP, height),
    ];
    tiff(&tags, data)
}

#[test]
fn a_header_of_65_000_by_65_000_pixels_is_refused_for_its_size() {
    for (format, file) in [
        (Format::Png, png_saying(65_000, 65_000)),
        (Format::Jpeg, jpeg_saying(65_000, 65_000)),
        (Format::Tiff, tiff_saying(65_000, 65_000, b"data")),
    ] {
        let expected = ImageError::TooLarge {
            format,
            width: 65_000,
            height: 65_000,
            most: MAX_PIXELS,
        };
        assert_eq!(plainly(&file), Err(expected));
    }
    let long = ImageError::TooLarge {
        format: Format::Png,
        width: 1 << 24,
        height: 1,
        most: MAX_PIXELS,
    };
    assert_eq!(plainly(&png_saying(1 << 24, 1)), Err(long));
}

#[test]
fn a_caller_may_ask_for_less() {
    let options = |most| crate::DecodeOptions {
        max_pixels: Some(most),
        ..crate::DecodeOptions::default()
    };
    for file in [small_jpeg(), tiff_saying(16, 16, &[0; 256])] {
        assert!(decode(&file, &options(256)).is_ok());
        let refused = decode(&file, &options(255));
        assert!(
            matches!(refused, Err(ImageError::TooLarge { most: 255, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_header_of_no_pixels_is_refused() {
    for file in [
        jpeg_saying(0, 16),
        jpeg_saying(16, 0),
        tiff_saying(0, 2, b""),
    ] {
        let refused = plainly(&file);
        assert!(
            matches!(
                refused,
                Err(ImageError::ZeroSize { .. } | ImageError::Damaged { .. })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    let picture = Picture::rgb(16, 16, slope(16, 16, 3)).unwrap();
    let progressive = jpeg((16, 16), JpegColour::Luma, &slope(16, 16, 1), |encoder| {
        encoder.set_progressive(true);
    });
    let files = [
        encode_png(&picture),
        small_jpeg(),
        progressive,
        tiff_saying(5, 5, &[7; 25]),
    ];
    for file in files {
        assert!(plainly(&file).is_ok());
        // A PNG is complete once its last row is, whatever is missing of its end.
        let complete = if file.starts_with(b"\x89PNG") { 16 } else { 0 };
        for end in 0..file.len() - complete {
            assert!(plainly(&file[..end]).is_err(), "{end} of {}", file.len());
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    let picture = Picture::grey(9, 9, slope(9, 9, 1)).unwrap();
    for file in [encode_png(&picture), small_jpeg(), tiff_pages(2)] {
        for at in 0..file.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                // Either is fine; what comes out has the size that it says.
                if let Ok(decoded) = plainly(&changed) {
                    let picture = &decoded.pictures[0];
                    let pixels = picture.width as usize * picture.height as usize;
                    let samples = picture.pixels.bytes().len();
                    assert_eq!(samples, pixels * picture.pixels.channels());
                }
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_refused_by_its_content() {
    assert_eq!(plainly(b""), Err(ImageError::Empty));
    for file in [&b"%PDF-1.7"[..], b"GIF89a", &[0; 300], b"hello"] {
        assert_eq!(plainly(file), Err(ImageError::UnknownFormat));
    }
    let huge = vec![0; MAX_FILE_BYTES + 1];
    let refused = plainly(&huge);
    assert!(matches!(refused, Err(ImageError::FileTooLarge { .. })));
}

#[test]
fn kinds_of_jpeg_that_are_not_decoded_are_named() {
    for (coding, what) in [
        (0xc3, "lossless"),
        (0xc5, "hierarchical"),
        (0xc9, "arithmetic"),
    ] {
        let mut file = small_jpeg();
        let frame = file.windows(2).position(|pair| pair == JPEG_SOF0).unwrap();
        file[frame + 1] = coding;
        let error = plainly(&file).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(error.contains("save it as"), "{error}");
    }
    let mut twelve = small_jpeg();
    let frame = twelve
        .windows(2)
        .position(|pair| pair == JPEG_SOF0)
        .unwrap();
    twelve[frame + 4] = 12;
    assert!(matches!(
        plainly(&twelve),
        Err(ImageError::Unsupported { .. })
    ));
}

#[test]
fn jpeg_whose_later_colours_have_more_samples_is_refused() {
    let mut file = jpeg((16, 16), JpegColour::Rgb, &slope(16, 16, 3), |_| {});
    let frame = file.windows(2).position(|pair| pair == JPEG_SOF0).unwrap();
    assert!(plainly(&file).is_ok());
    for factors in [0x22, 0x31, 0x00, 0x13] {
        file[frame + 17] = factors;
        let error = plainly(&file).unwrap_err().to_string();
        assert!(error.contains("subsampling"), "{error}");
    }
}

#[test]
fn a_tiff_of_many_rows_and_no_columns_takes_no_memory() {
    let zero = plainly(&tiff_saying(0, u32::MAX, b""));
    assert!(matches!(zero, Err(ImageError::ZeroSize { .. })), "{zero:?}");
    // Three million compressions.
    let mut file = tiff_saying(4, 4, &[7; 16]);
    let tag = COMPRESSION.to_le_bytes();
    let entry = (10..)
        .step_by(12)
        .find(|at| file[*at..at + 2] == tag)
        .unwrap();
    file[entry + 6] = 0x32;
    let error = plainly(&file).unwrap_err().to_string();
    assert!(error.contains("impossibly many"), "{error}");
    let big = plainly(b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0");
    assert!(matches!(big, Err(ImageError::Unsupported { .. })));
}

#[test]
fn kinds_of_tiff_that_are_not_decoded_say_what_to_do() {
    let tags = |bits, photometric, samples| {
        [
            (WIDTH, 2),
            (HEIGHT, 1),
            (BITS, bits),
            (COMPRESSION, 1),
            (PHOTOMETRIC, photometric),
            (SAMPLES, samples),
            (ROWS_PER_STRIP, 1),
        ]
    };
    const PALETTE: u32 = 3;
    for file in [
        tiff(&tags(8, PALETTE, 1), &[0; 2]),
        tiff(&tags(32, 1, 1), &[0; 8]),
    ] {
        let refused = plainly(&file);
        assert!(
            matches!(&refused, Err(ImageError::Unsupported { instead, .. }) if instead.contains("save")),
            "{refused:?}"
        );
    }
}

#[test]
fn a_bomb_of_text_or_profile_is_not_inflated() {
    // 64 MiB of zeros in a compressed text chunk: some 64 KiB.
    let text = "\0".repeat(64 << 20);
    let file = png(
        (1, 1),
        ColorType::Grayscale,
        BitDepth::Eight,
        &[9],
        |encoder| {
            encoder.add_ztxt_chunk("Comment".to_owned(), text).unwrap();
        },
    );
    let decoded = decode(&file, &crate::DecodeOptions::default()).unwrap();
    assert_eq!(decoded.pictures[0].pixels.bytes(), [9]);
}
