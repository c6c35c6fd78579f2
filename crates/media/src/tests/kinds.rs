//! What a file is, by its content.

use super::builders::{Dicom, EXPLICIT, jpeg, look, png, refusal, wav};
use crate::{InspectOptions, MediaError, MediaType, Preview, inspect};

#[test]
fn a_kind_is_known_by_its_content() {
    let dicom = Dicom::new(EXPLICIT).file();
    for (file, kind) in [
        (dicom, MediaType::Dicom),
        (png(2, 2), MediaType::Png),
        (jpeg(8, 8), MediaType::Jpeg),
        (b"II*\0".to_vec(), MediaType::Tiff),
        (wav(&[0]), MediaType::Wav),
        (b"fLaC\0\0\0\x22".to_vec(), MediaType::Flac),
        (b"ID3\x04\0\0\0\0\0\0".to_vec(), MediaType::Mp3),
        (b"OggS\0".to_vec(), MediaType::Ogg),
        (b"\0\0\0\x10ftypM4A \0\0\0\0".to_vec(), MediaType::M4a),
        (b"%PDF-1.7\n".to_vec(), MediaType::Pdf),
        (b"plain".to_vec(), MediaType::Text),
        ("\u{feff}Grüße".as_bytes().to_vec(), MediaType::Text),
        (vec![0xff, 0xfe, b'a', 0], MediaType::Text),
    ] {
        assert_eq!(MediaType::of(&file, file.len() as u64), Some(kind));
    }
    for other in [
        &b"GIF89a\x01\0"[..],
        b"PK\x03\x04\x14\0",
        b"\x7fELF\x02",
        b"MZ\x90\0",
        b"RIFF\x10\0\0\0AVI LIST",
        b"a\0b",
        b"\x1b[31m",
        &[0; 200],
        &[0xff, 0xfe, 0, 0],
        b"Gr\xfc\xdfe",
    ] {
        assert_eq!(MediaType::of(other, other.len() as u64), None, "{other:?}");
        let said = refusal(other);
        assert!(
            said.contains("DICOM, PNG") && said.contains("content"),
            "{said}"
        );
    }
}

#[test]
fn an_empty_file_is_refused_as_empty() {
    assert_eq!(look(b""), Err(MediaError::Empty));
    assert_eq!(MediaType::of(b"", 0), None);
}

#[test]
fn a_name_that_says_another_kind_is_noticed() {
    assert_eq!(
        MediaType::Png.extension_differs("scan.DCM"),
        Some(MediaType::Dicom)
    );
    assert_eq!(MediaType::Png.extension_differs("scan.png"), None);
    assert_eq!(MediaType::Jpeg.extension_differs("a.b.JPEG"), None);
    // Not a kind's, or no extension at all.
    for name in ["IM0001", "1.2.840.113", ".png", "", "notes.json"] {
        assert_eq!(MediaType::Dicom.extension_differs(name), None, "{name}");
    }
}

#[test]
fn every_kind_is_found_by_its_media_type() {
    for kind in MediaType::ALL {
        assert_eq!(MediaType::of_mime(kind.mime()), Some(kind));
        assert!(!kind.extensions().is_empty());
    }
    assert_eq!(MediaType::of_mime("application/zip"), None);
}

#[test]
fn fewer_bytes_than_are_needed_are_no_question() {
    let options = InspectOptions::default();
    let asked = inspect(b"half", 8, &options);
    assert_eq!(asked, Err(MediaError::Job));
    assert_eq!(inspect(b"too many", 4, &options), Err(MediaError::Job));
}

#[test]
fn an_answer_is_read_as_strictly_as_a_file() {
    let options = InspectOptions::default();
    let mut answers = Vec::new();
    for file in [png(3, 3), wav(&[1, -1]), b"words".to_vec(), b"a\0".to_vec()] {
        answers.push(crate::job(&crate::request(
            &file,
            file.len() as u64,
            &options,
        )));
    }
    for answer in &answers {
        for end in 0..answer.len() {
            // A shorter text is an answer, too, and a picture is checked when it is decoded.
            match crate::read_response(&answer[..end]) {
                Ok(found) => assert!(!matches!(found.preview, Some(Preview::Waveform { .. }))),
                Err(error) => assert_eq!(error, MediaError::Job),
            }
        }
        let mut longer = answer.clone();
        longer.push(0x1b);
        if let Ok(found) = crate::read_response(&longer) {
            assert!(matches!(found.preview, Some(Preview::Picture { .. })));
        }
        for at in 0..answer.len().min(120) {
            for change in [1, 0x80, 0xff] {
                let mut other = answer.clone();
                other[at] ^= change;
                // Whatever comes of it, it is no panic.
                let _ = crate::read_response(&other);
            }
        }
    }
    assert_eq!(crate::read_response(b""), Err(MediaError::Job));
    assert_eq!(crate::read_response(&crate::job(b"")), Err(MediaError::Job));
}
