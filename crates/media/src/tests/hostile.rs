//! Every kind cut off, changed and lied about.

use super::builders::{Dicom, EXPLICIT, flac, jpeg, look, m4a, mp3, opus, pdf, png, vorbis, wav};
use crate::{MediaType, Preview};

/// A file of every kind.
fn files() -> Vec<Vec<u8>> {
    let sound: Vec<i16> = (0..2_000).map(|n| (n % 100) * 77 - 4_500).collect();
    let dicom = Dicom::patient(EXPLICIT, "1.2.840.10008.5.1.4.1.1.2")
        .grey(16, 16, 2)
        .samples(&[9; 512]);
    vec![
        dicom.file(),
        png(33, 17),
        jpeg(33, 17),
        tiff(),
        wav(&sound),
        flac(&sound),
        mp3(9),
        vorbis(40),
        opus(9_000),
        m4a(20, b"soun", b"mp4a"),
        pdf(&[&["one", "two"], &["three"]]),
        "Zwölf Boxkämpfer\n".repeat(20).into_bytes(),
    ]
}

/// A TIFF file of 4 x 4 grey samples.
fn tiff() -> Vec<u8> {
    let tags: [(u16, u32); 9] = [
        (256, 4),
        (257, 4),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 122),
        (277, 1),
        (278, 4),
        (279, 16),
    ];
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend([4, 0, 1, 0, 0, 0]);
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(0..16);
    file
}

#[test]
fn every_kind_is_there_and_whole() {
    let mut kinds: Vec<MediaType> = Vec::new();
    for file in files() {
        kinds.push(
            look(&file)
                .unwrap_or_else(|error| panic!("{error}"))
                .facts
                .media,
        );
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, MediaType::ALL);
}

#[test]
fn every_kind_but_text_is_refused_when_it_is_cut_off() {
    for file in files() {
        let media = look(&file).unwrap().facts.media;
        for part in 1..16 {
            let cut = &file[..file.len() * part / 16];
            match look(cut) {
                Err(_) => {}
                Ok(found) => assert!(
                    media == MediaType::Text || found.facts.media == MediaType::Text,
                    "{media}: {part}/16"
                ),
            }
        }
    }
}

/// xorshift64* (Vigna, 2016).
fn random(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as usize
}

#[test]
fn changed_bytes_never_panic_and_what_comes_of_them_is_sound() {
    let mut state = 5;
    for file in files() {
        for _ in 0..300 {
            let mut changed = file.clone();
            for _ in 0..=random(&mut state) % 3 {
                let at = random(&mut state) % changed.len();
                changed[at] = random(&mut state).to_le_bytes()[0];
            }
            // The builder's way goes through the job and its answer, which is read strictly.
            if let Ok(found) = look(&changed)
                && let Some(preview) = found.preview
            {
                assert_eq!(Preview::decode(&preview.encode()).as_ref(), Some(&preview));
                assert_eq!(
                    matches!(preview, Preview::Picture { .. }),
                    preview.picture().is_some()
                );
            }
        }
    }
}

#[test]
fn lengths_that_lie_never_panic() {
    for file in files() {
        for at in 0..file.len().min(400) {
            for lie in [0, 0x7fff_ffff_u32, u32::MAX] {
                let mut changed = file.clone();
                for (place, byte) in (at..changed.len()).zip(lie.to_be_bytes()) {
                    changed[place] = byte;
                }
                let _ = look(&changed);
            }
        }
    }
}
