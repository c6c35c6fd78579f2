//! DICOM files, whole and broken.

use std::io::Write;

use super::builders::{Dicom, EXPLICIT, look, look_with, refusal};
use crate::{HEAD_BYTES, InspectOptions, MAX_FILE_BYTES, MediaType, Window, inspect};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const HTJ2K: &str = "1.2.840.10008.1.2.4.201";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

fn ct(frames: u16) -> Dicom {
    let samples: Vec<u8> = (0..=255)
        .cycle()
        .take(16 * 16 * usize::from(frames))
        .collect();
    Dicom::patient(EXPLICIT, CT)
        .grey(16, 16, frames)
        .samples(&samples)
}

#[test]
fn a_picture_says_whose_it_is_and_is_shown() {
    let found = look(&ct(3).file()).unwrap();
    let facts = &found.facts;
    assert_eq!(facts.media, MediaType::Dicom);
    assert_eq!(
        (facts.width, facts.height, facts.frames),
        (Some(16), Some(16), Some(3))
    );
    let dicom = facts.dicom.as_ref().unwrap();
    let text = |text: &Option<String>| text.clone().unwrap();
    assert_eq!(text(&dicom.patient_name), "Okafor^Ada Chi^B^^");
    assert_eq!(text(&dicom.patient_family), "Okafor");
    assert_eq!(text(&dicom.patient_given), "Ada Chi B");
    assert_eq!(text(&dicom.patient_id), "MRN 12");
    assert_eq!(dicom.birth_date(), Some((1980, 2, 29)));
    assert_eq!(text(&dicom.patient_sex), "F");
    assert_eq!(text(&dicom.modality), "CT");
    assert_eq!(dicom.studied(), Some((2026, 1, 2)));
    assert_eq!(text(&dicom.study_description), "Thorax[31m");
    assert_eq!(text(&dicom.study_uid), "1.2.3.4");
    assert_eq!(text(&dicom.series_uid), "1.2.3.4.1");
    assert_eq!(text(&dicom.instance_uid), "1.2.3.4.5");
    assert_eq!(text(&dicom.class_uid), CT);
    assert_eq!((dicom.rows, dicom.columns, dicom.frames), (16, 16, 3));
    assert_eq!(dicom.statistics, None);
    let picture = found.preview.unwrap().picture().unwrap();
    assert_eq!((picture.width, picture.height), (16, 16));
    let said = format!("{facts:?}");
    assert!(!said.contains("Okafor") && !said.contains("MRN"), "{said}");
}

#[test]
fn samples_are_counted_where_it_is_asked_for() {
    let options = InspectOptions {
        statistics: true,
        ..InspectOptions::default()
    };
    let found = look_with(&ct(2).file(), &options).unwrap();
    let counted = found.facts.dicom.unwrap().statistics.unwrap();
    assert_eq!((counted.min, counted.max, counted.samples), (0, 255, 512));
    assert!((counted.mean - 127.5).abs() < 1e-9);
}

#[test]
fn a_window_can_be_chosen_up_to_the_largest_preview() {
    let side = 1_100_u16;
    let samples: Vec<u8> = (0..=255)
        .cycle()
        .take(usize::from(side) * usize::from(side))
        .collect();
    let file = Dicom::patient(EXPLICIT, CT)
        .grey(side, side, 1)
        .samples(&samples)
        .file();
    let seen = |window| {
        let options = InspectOptions {
            preview_side: 1_024,
            window,
            ..InspectOptions::default()
        };
        let picture = look_with(&file, &options)
            .unwrap()
            .preview
            .unwrap()
            .picture()
            .unwrap();
        assert_eq!((picture.width, picture.height), (1_024, 1_024));
        picture
            .pixels
            .bytes()
            .iter()
            .map(|sample| u64::from(*sample))
            .sum::<u64>()
    };
    let fixed = |centre, width| Window::Fixed { centre, width };
    let (dark, bright) = (seen(fixed(240.0, 10.0)), seen(fixed(10.0, 10.0)));
    let file_window = seen(Window::File);
    assert!(
        dark < file_window && file_window < bright,
        "{dark} {file_window} {bright}"
    );
    // Numbers that make no window are none to choose, and nothing breaks on them.
    for (centre, width) in [(f64::MAX, f64::MIN_POSITIVE), (-1e300, -1e300), (0.0, 0.0)] {
        seen(fixed(centre, width));
    }
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    for file in [
        ct(2).file(),
        Dicom::patient(JPEG, CT)
            .grey(16, 16, 1)
            .fragments(&[&super::builders::jpeg(16, 16)])
            .file(),
    ] {
        assert!(look(&file).is_ok());
        // The delimiter at the end may be left out.
        for end in 1..file.len() - 8 {
            assert!(look(&file[..end]).is_err(), "{end} of {}", file.len());
        }
    }
}

#[test]
fn fewer_samples_than_are_promised_are_refused() {
    for (rows, columns, frames) in [
        (16, 17, 1),
        (17, 16, 1),
        (16, 16, 2),
        (u16::MAX, u16::MAX, 1),
    ] {
        let file = Dicom::patient(EXPLICIT, CT)
            .grey(rows, columns, frames)
            .samples(&[7; 256]);
        let said = refusal(&file.file());
        assert!(
            said.contains("fewer samples") || said.contains("at most"),
            "{said}"
        );
    }
    // Of one bit, and of a width that is not decoded, too.
    let of_width = |bits: u16, samples: &[u8]| {
        Dicom::patient(EXPLICIT, "1.2.840.10008.5.1.4.1.1.66.4")
            .short(0x0028_0002, 1)
            .text(0x0028_0004, "CS", "MONOCHROME2")
            .short(0x0028_0010, 64)
            .short(0x0028_0011, 64)
            .short(0x0028_0100, bits)
            .short(0x0028_0101, bits)
            .samples(samples)
            .file()
    };
    assert!(refusal(&of_width(1, &[0; 510])).contains("fewer samples"));
    let mask = look(&of_width(1, &[0; 512])).unwrap();
    assert!(mask.preview.is_some() && mask.note.is_none());
    assert!(refusal(&of_width(24, &[0; 12_286])).contains("fewer samples"));
    let found = look(&of_width(24, &[0; 12_288])).unwrap();
    assert!(found.preview.is_none() && found.note.is_some());
    assert_eq!(found.facts.width, Some(64));
}

#[test]
fn what_holds_no_picture_is_attached_if_it_is_well_formed() {
    let report = Dicom::patient(EXPLICIT, REPORT).text(0x0040_a491, "CS", "COMPLETE");
    let found = look(&report.file()).unwrap();
    assert_eq!((found.preview, found.facts.width), (None, None));
    assert!(found.note.unwrap().contains("no picture"));
    assert_eq!(
        found.facts.dicom.unwrap().patient_id.as_deref(),
        Some("MRN 12")
    );
    // A picture of which only tags are left.
    assert!(refusal(&Dicom::patient(EXPLICIT, CT).file()).contains("pixel data is missing"));
    let rows = Dicom::patient(EXPLICIT, REPORT).short(0x0028_0010, 4);
    assert!(refusal(&rows.file()).contains("pixel data is missing"));
    assert!(refusal(&Dicom::new(EXPLICIT).file()).contains("neither picture nor study"));
    let directory = Dicom::patient(EXPLICIT, "1.2.840.10008.1.3.10");
    assert!(refusal(&directory.file()).contains("DICOMDIR"));
}

#[test]
fn a_coding_that_is_not_decoded_is_attached_with_its_tags() {
    let file = Dicom::patient(HTJ2K, CT)
        .grey(16, 16, 1)
        .fragments(&[&[1, 2, 3, 4]]);
    let found = look(&file.file()).unwrap();
    assert_eq!(found.preview, None);
    assert!(found.note.unwrap().contains("not decoded"));
    assert_eq!(found.facts.width, Some(16));
    let unknown = Dicom::patient("1.2.3.4.5.6", CT)
        .grey(16, 16, 1)
        .samples(&[7; 256]);
    assert!(refusal(&unknown.file()).contains("transfer syntax"));
    let garbage = Dicom::patient(JPEG, CT)
        .grey(16, 16, 1)
        .fragments(&[&[9; 40]]);
    assert!(refusal(&garbage.file()).contains("damaged"));
}

#[test]
fn a_deflated_bomb_is_refused() {
    let deflate = |zeros: usize| {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        let before = Dicom::patient(DEFLATED, CT).grey(16, 16, 1);
        let large = before
            .clone()
            .header(0x7fe0_0010, "OB", u32::try_from(zeros).unwrap());
        out.write_all(large.data_set()).unwrap();
        out.write_all(&vec![0; zeros]).unwrap();
        before.file_with(&out.finish().unwrap())
    };
    assert!(look(&deflate(256)).is_ok());
    let bomb = deflate(80 << 20);
    assert!(bomb.len() < 1 << 20);
    assert!(refusal(&bomb).contains("inflates"), "{}", refusal(&bomb));
}

#[test]
fn of_a_file_too_large_to_read_the_tags_are_told() {
    let frames = 1_000;
    let side = 512;
    let length: u32 = 512 * 512 * 1_000;
    let head = Dicom::patient(EXPLICIT, CT)
        .grey(side, side, frames)
        .header(0x7fe0_0010, "OB", length)
        .file();
    let total_len = head.len() as u64 + u64::from(length);
    assert!(total_len > MAX_FILE_BYTES as u64);
    let mut begins = head.clone();
    begins.resize(HEAD_BYTES, 7);
    let options = InspectOptions::default();
    let found = inspect(&begins, total_len, &options).unwrap();
    assert_eq!(found.preview, None);
    assert!(found.note.unwrap().contains("larger than"));
    assert_eq!(found.facts.frames, Some(1_000));
    assert_eq!(
        found.facts.dicom.unwrap().patient_id.as_deref(),
        Some("MRN 12")
    );
    // It ends before its samples do, or has fewer of them than it says.
    let cut = inspect(&begins, total_len - 1, &options).unwrap_err();
    assert!(cut.to_string().contains("longer than the file"), "{cut}");
    let mut fewer = Dicom::patient(EXPLICIT, CT)
        .grey(side, side, frames + 1)
        .header(0x7fe0_0010, "OB", length)
        .file();
    fewer.resize(HEAD_BYTES, 7);
    let refused = inspect(&fewer, total_len + 100, &options).unwrap_err();
    assert!(refused.to_string().contains("fewer samples"), "{refused}");
    // The tags must be there.
    let mut private = Dicom::patient(EXPLICIT, CT)
        .header(0x0029_1010, "OB", 1 << 30)
        .file();
    private.resize(HEAD_BYTES, 7);
    let far = inspect(&private, 2 << 30, &options).unwrap_err();
    assert!(far.to_string().contains("near its beginning"), "{far}");
}
