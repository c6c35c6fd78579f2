//! Sound.

use super::builders::{look, refusal, wav, wav_of};
use crate::{HEAD_BYTES, InspectOptions, Inspected, MAX_PEAKS, Preview, inspect};

pub(super) fn waveform(found: &Inspected) -> (u64, &[(i8, i8)]) {
    match &found.preview {
        Some(Preview::Waveform { duration_ms, peaks }) => (*duration_ms, peaks),
        other => panic!("{other:?}: {:?}", found.note),
    }
}

#[test]
fn a_wav_file_has_a_length_and_an_outline() {
    // A second of silence, then one that is loud.
    let mut samples = vec![0_i16; 8_000];
    samples.extend((0..8_000).map(|n| if n % 2 == 0 { 16_384 } else { -32_768 }));
    let found = look(&wav(&samples)).unwrap();
    let audio = found.facts.audio.as_ref().unwrap();
    assert_eq!(audio.duration_ms, Some(2_000));
    assert_eq!((audio.sample_rate, audio.channels), (8_000, 1));
    assert_eq!(audio.codec, "PCM");
    let (duration, peaks) = waveform(&found);
    assert_eq!(duration, 2_000);
    assert!(peaks.len() <= MAX_PEAKS && peaks.len() > MAX_PEAKS / 2);
    assert_eq!(peaks[0], (0, 0));
    assert_eq!(peaks[peaks.len() - 2], (-127, 64));
}

#[test]
fn wav_comes_in_several_codings() {
    for (coding, channels, bits, data) in [
        (1, 2, 8, vec![128; 400]),
        (1, 1, 24, vec![0; 300]),
        (1, 6, 32, vec![0; 240]),
        (3, 1, 32, vec![0; 400]),
        (3, 1, 64, vec![0; 400]),
        (6, 1, 8, vec![0xd5; 400]),
        (7, 1, 8, vec![0xff; 400]),
    ] {
        let file = wav_of(coding, channels, 16_000, bits, &data);
        let found = look(&file).unwrap();
        let frames = data.len() / usize::from(channels * bits / 8);
        assert_eq!(waveform(&found).1.len(), frames, "{coding} {bits}");
    }
    // One that is known and not decoded.
    let adpcm = look(&wav_of(2, 1, 16_000, 4, &[0; 256])).unwrap();
    assert_eq!(adpcm.preview, None);
    assert!(adpcm.note.unwrap().contains("not decoded"));
}

#[test]
fn a_wav_file_that_lies_is_refused() {
    let file = wav(&[1; 1_000]);
    for end in (12..file.len()).step_by(7) {
        assert!(look(&file[..end]).is_err(), "{end}");
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut other = file.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&other)
    };
    assert!(with(40, &u32::MAX.to_le_bytes()).contains("more samples"));
    assert!(with(22, &[0, 0]).contains("contradicts"));
    assert!(with(34, &[40, 0]).contains("width"));
    assert!(with(22, &u16::MAX.to_le_bytes()).contains("damaged"));
    assert!(with(24, &[0; 4]).contains("sample rate"));
    assert!(with(24, &[0xff; 4]).contains("sample rate"));
    assert!(with(32, &[3, 0]).contains("contradicts"));
    assert!(refusal(&wav(&[])).contains("no samples"));
}

#[test]
fn of_a_wav_file_too_large_to_read_the_length_is_told() {
    let mut head = wav(&[0; 100]);
    let data: u32 = 1 << 30;
    head[40..44].copy_from_slice(&data.to_le_bytes());
    head.resize(HEAD_BYTES, 0);
    let total_len = 44 + u64::from(data);
    let found = inspect(&head, total_len, &InspectOptions::default()).unwrap();
    assert_eq!(
        found.facts.audio.unwrap().duration_ms,
        Some(u64::from(data) / 16)
    );
    assert!(found.preview.is_none() && found.note.is_some());
    assert!(inspect(&head, total_len - 1, &InspectOptions::default()).is_err());
}
