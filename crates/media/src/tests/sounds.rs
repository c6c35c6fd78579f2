//! Sound.

use super::builders::{
    flac, flac_of, look, m4a, mp3, ogg_page, opus, refusal, vorbis, wav, wav_of,
};
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

/// What is said of it, and how many samples its waveform stands for at most.
fn said(file: &[u8]) -> (u64, u32, u16, String) {
    let found = look(file).unwrap_or_else(|error| panic!("{error}"));
    let audio = found.facts.audio.clone().unwrap();
    assert_eq!(waveform(&found).0, audio.duration_ms.unwrap());
    (
        audio.duration_ms.unwrap(),
        audio.sample_rate,
        audio.channels,
        audio.codec,
    )
}

#[test]
fn a_flac_file_is_decoded() {
    let samples: Vec<i16> = (0..4_000)
        .map(|n| if n % 2 == 0 { 8_192 } else { -16_384 })
        .collect();
    let file = flac(&samples);
    assert_eq!(said(&file), (500, 8_000, 1, "FLAC".to_owned()));
    let found = look(&file).unwrap();
    assert_eq!(waveform(&found).1[100], (-64, 32));
    // Behind tags of another format.
    let tagged = [b"ID3\x04\0\0\0\0\0\x02ab", &file[..]].concat();
    assert_eq!(said(&tagged).0, 500);
    // It says that it has more, or fewer, or has a byte changed in a frame.
    let frames = &file[42..];
    for claim in [3_999, 4_001, 1 << 35] {
        let said = refusal(&flac_of(claim, frames));
        let why = ["promises", "ends too early"];
        assert!(why.iter().any(|why| said.contains(why)), "{claim}: {said}");
    }
    let mut flipped = file.clone();
    flipped[1_000] ^= 0x10;
    assert!(refusal(&flipped).contains("damaged"));
}

#[test]
fn a_flac_bomb_is_refused() {
    // A frame of 65,535 equal samples in some 15 bytes, over and over: hours in a megabyte.
    let one = flac(&[7; 192]);
    let frames = one[42..].repeat(100);
    let said = refusal(&flac_of((1 << 35) + 5, &frames));
    assert!(said.contains("promises more sound"), "{said}");
    let mut long = flac_of(0, &frames);
    long.resize(20 << 20, 0);
    let claim = flac_of((20 << 20) / 10 * 60_000, &[]);
    long[..42].copy_from_slice(&claim);
    assert!(refusal(&long).contains("8 hours"), "{}", refusal(&long));
}

#[test]
fn an_mp3_file_is_decoded() {
    let file = mp3(100);
    assert_eq!(said(&file), (2_612, 44_100, 2, "MP3".to_owned()));
    let tags = [
        b"ID3\x03\0\0\0\0\0\x0a0123456789",
        &file[..],
        b"TAG",
        &[0; 125],
    ]
    .concat();
    assert_eq!(said(&tags).0, 2_612);
    // Cut in a frame, or said to have more of them.
    assert!(refusal(&file[..file.len() - 1]).contains("cut off"));
    let mut promised = file.clone();
    promised[36..48].copy_from_slice(b"Info\0\0\0\x01\0\0\0\xff");
    assert!(refusal(&promised).contains("promises more"));
    promised[44..48].copy_from_slice(&99_u32.to_be_bytes());
    assert!(look(&promised).is_ok());
    let nothing = [b"ID3\x03\0\0\0\0\0\x0a", &[0x20; 80][..]].concat();
    assert!(refusal(&nothing).contains("no sound"));
    // Of one too large to read the length is reckoned from its bitrate.
    let head = &mp3(HEAD_BYTES / 417 + 1)[..HEAD_BYTES];
    let found = inspect(head, 417 * 1_000_000, &InspectOptions::default()).unwrap();
    let ms = found.facts.audio.unwrap().duration_ms.unwrap();
    assert!(ms.abs_diff(26_122_449) < 100_000, "{ms}");
}

#[test]
fn an_ogg_file_of_vorbis_is_decoded() {
    let file = vorbis(101);
    assert_eq!(said(&file), (1_600, 8_000, 1, "Vorbis".to_owned()));
    let page = file.windows(4).rposition(|four| four == b"OggS").unwrap();
    for (end, why) in [
        (file.len() - 1, "cut off"),
        (page, "missing"),
        (page + 9, "cut off"),
    ] {
        assert!(refusal(&file[..end]).contains(why), "{end}");
    }
    assert!(refusal(&[&file[..], &file[..]].concat()).contains("several"));
    assert!(refusal(&[&file[..page], &ogg_page(4, 9, 3, &[&[0]])].concat()).contains("missing"));
    let far = [&file[..page], &ogg_page(4, 1 << 20, 2, &[&[0][..]; 100])].concat();
    assert!(refusal(&far).contains("promises more"), "{}", refusal(&far));
    let video = ogg_page(2, 0, 0, &[b"\x80theora\x03\x02\x01"]);
    assert!(refusal(&video).contains("video"));
}

#[test]
fn opus_is_attached_without_a_waveform() {
    let found = look(&opus(48_000)).unwrap();
    let audio = found.facts.audio.unwrap();
    assert_eq!(
        (audio.duration_ms, audio.sample_rate, audio.channels),
        (Some(1_000), 48_000, 2)
    );
    assert_eq!(audio.codec, "Opus");
    assert_eq!(found.preview, None);
    assert!(found.note.unwrap().contains("Opus"));
    assert!(refusal(&opus(1 << 60)).contains("promise"));
}

#[test]
fn an_m4a_file_is_decoded() {
    let file = m4a(40, b"soun", b"mp4a");
    assert_eq!(said(&file), (5_120, 8_000, 1, "AAC".to_owned()));
    for end in (12..file.len()).step_by(5) {
        assert!(look(&file[..end]).is_err(), "{end}");
    }
    assert!(refusal(&m4a(40, b"vide", b"avc1")).contains("video"));
    assert!(refusal(&m4a(40, b"meta", b"mp4a")).contains("no recording"));
    let alac = look(&m4a(40, b"soun", b"alac")).unwrap();
    assert!(alac.preview.is_none() && alac.note.unwrap().contains("ALAC"));
    // Tables that promise more than they hold, or than there is in the file.
    let place = |name: &[u8]| file.windows(4).position(|four| four == name).unwrap() + 4;
    for (at, count) in [
        (place(b"stts") + 4, u32::MAX),
        (place(b"stsz") + 8, 1 << 30),
        (place(b"stco") + 4, 1 << 28),
        (place(b"mdhd") + 16, 1 << 30),
    ] {
        let mut other = file.clone();
        other[at..at + 4].copy_from_slice(&count.to_be_bytes());
        assert!(
            refusal(&other).contains("promises more"),
            "{at}: {}",
            refusal(&other)
        );
    }
}
