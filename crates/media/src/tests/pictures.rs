//! PNG, JPEG and TIFF.

use std::io::Write;

use super::builders::{jpeg, look, look_with, png, refusal};
use crate::{InspectOptions, MediaType, Preview};

#[test]
fn a_picture_has_a_size_and_a_smaller_preview() {
    for (file, media) in [
        (png(1_200, 600), MediaType::Png),
        (jpeg(1_200, 600), MediaType::Jpeg),
    ] {
        let found = look(&file).unwrap();
        assert_eq!(found.facts.media, media);
        assert_eq!(found.facts.bytes, file.len() as u64);
        assert_eq!(
            (found.facts.width, found.facts.height),
            (Some(1_200), Some(600))
        );
        assert_eq!(found.facts.frames, Some(1));
        let preview = found.preview.unwrap();
        let picture = preview.picture().unwrap();
        assert_eq!((picture.width, picture.height), (512, 256));
        let Preview::Picture { width, height, .. } = preview else {
            panic!("a picture has a picture");
        };
        assert_eq!((width, height), (512, 256));
    }
    let small = look(&png(3, 2))
        .unwrap()
        .preview
        .unwrap()
        .picture()
        .unwrap();
    assert_eq!((small.width, small.height), (3, 2));
}

#[test]
fn a_preview_is_as_large_as_asked_within_its_bound() {
    for (asked, given) in [(0, 1), (100, 100), (1_024, 1_024), (u32::MAX, 1_024)] {
        let options = InspectOptions {
            preview_side: asked,
            ..InspectOptions::default()
        };
        let preview = look_with(&png(1_500, 10), &options).unwrap().preview;
        let Some(Preview::Picture { width, .. }) = preview else {
            panic!("a picture has a picture");
        };
        assert_eq!(width, given);
    }
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    for file in [png(40, 30), jpeg(40, 30)] {
        assert!(look(&file).is_ok());
        for end in 1..file.len() {
            assert!(look(&file[..end]).is_err(), "{end} of {}", file.len());
        }
    }
}

#[test]
fn a_coding_that_is_not_decoded_is_attached_without_a_preview() {
    let mut arithmetic = jpeg(16, 16);
    let frame = arithmetic
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    arithmetic[frame + 1] = 0xc9;
    let found = look(&arithmetic).unwrap();
    assert_eq!(found.preview, None);
    assert!(found.note.unwrap().contains("arithmetic"));
    assert!(refusal(b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0").contains("TIFF"));
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8], data: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(data);
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(name);
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    };
    let side = 65_000_u32.to_be_bytes();
    chunk(b"IHDR", &[&side[..], &side, &[8, 0, 0, 0, 0]].concat());
    let mut rows = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    rows.write_all(&vec![0; 1 << 22]).unwrap();
    chunk(b"IDAT", &rows.finish().unwrap());
    chunk(b"IEND", b"");
    let said = refusal(&file);
    assert!(
        said.contains("65000 x 65000") && said.contains("scale"),
        "{said}"
    );
}
