//! Sound: what its header promises, whether the file keeps it, and its outline.

mod decode;
mod flac;
mod m4a;
mod mp3;
mod ogg;
mod pcm;
mod peaks;
mod wav;

use crate::facts::cleaned;
use crate::{AudioFacts, Facts, MAX_FILE_BYTES, MediaError, MediaType, Preview};

/// More channels than are recorded anywhere.
const MAX_CHANNELS: u16 = 32;
/// Samples a second of a channel: four times the highest that converters offer.
const MAX_SAMPLE_RATE: u32 = 3_072_000;

/// Sound that codings add or take at the ends, in milliseconds.
const PADDING_MS: u64 = 250;

/// What a header says.
struct Header {
    codec: &'static str,
    sample_rate: u32,
    channels: u16,
    /// Samples of each channel, where the header says so, or the structure of the file.
    frames: Option<u64>,
    /// What is not decoded here, in words, where that is so.
    undecoded: Option<String>,
    /// Where in the file a decoder begins.
    start: usize,
}

/// What sound a file is that begins so.
pub(crate) fn kind(head: &[u8]) -> Option<MediaType> {
    let tags = usize::try_from(mp3::behind_tags(head)).unwrap_or(usize::MAX);
    match head.first_chunk()? {
        b"RIFF" | b"RF64" | b"BW64" if head.get(8..12) == Some(b"WAVE") => Some(MediaType::Wav),
        b"fLaC" => Some(MediaType::Flac),
        b"OggS" => Some(MediaType::Ogg),
        b"ID3\x02" | b"ID3\x03" | b"ID3\x04" => Some(match head.get(tags..) {
            Some(behind) if behind.starts_with(b"fLaC") => MediaType::Flac,
            _ => MediaType::Mp3,
        }),
        _ if m4a::is_brand(head) => Some(MediaType::M4a),
        _ if mp3::begins(head) => Some(MediaType::Mp3),
        _ => None,
    }
}

pub(crate) fn inspect(
    media: MediaType,
    bytes: &[u8],
    total_len: u64,
) -> Result<(Facts, Option<Preview>, Option<String>), MediaError> {
    let damaged = |reason: &str| MediaError::damaged(media, reason);
    let mut data = None;
    let header = match media {
        MediaType::Wav => wav::header(bytes, total_len).map(|(header, found)| {
            data = found;
            header
        }),
        MediaType::Flac => flac::header(bytes, total_len),
        MediaType::Mp3 => mp3::header(bytes, total_len),
        MediaType::Ogg => ogg::header(bytes, total_len),
        _ => m4a::header(bytes, total_len),
    };
    let header = header.map_err(|words| fault(media, words))?;
    if header.channels == 0 || header.channels > MAX_CHANNELS {
        return Err(damaged(
            "it says that it has an impossible number of channels",
        ));
    }
    if header.sample_rate == 0 || header.sample_rate > MAX_SAMPLE_RATE {
        return Err(damaged("it says that it has an impossible sample rate"));
    }
    let whole = bytes.len() as u64 >= total_len;
    let mut facts = Facts::new(media, total_len);
    let mut audio = AudioFacts {
        duration_ms: header
            .frames
            .and_then(|frames| milliseconds(frames, header.sample_rate)),
        sample_rate: header.sample_rate,
        channels: header.channels,
        codec: cleaned(header.codec).unwrap_or_default(),
    };
    let (mut preview, mut note) = (None, None);
    if let Some(what) = header.undecoded {
        note = Some(format!("{what} is not decoded here: no waveform"));
    } else if !whole {
        note = Some(format!("larger than {MAX_FILE_BYTES} bytes: no waveform"));
    } else if let Some(data) = data {
        let outline = pcm::outline(
            samples(bytes, &data),
            data.sample,
            usize::from(header.channels),
        );
        preview = Some(Preview::Waveform {
            duration_ms: audio.duration_ms.unwrap_or(0),
            peaks: outline.finish(),
        });
    } else {
        if let Some(frames) = header.frames {
            decode::check_length(media, frames, header.channels)?;
        }
        match decode::decode(media, bytes, &header)? {
            decode::Outcome::Undecoded(what) => {
                note = Some(format!("{what}: no waveform"));
            }
            decode::Outcome::Decoded {
                frames,
                sample_rate,
                peaks,
            } => {
                let decoded = milliseconds(frames, sample_rate);
                // What is shorter than it says by more than a tenth, and more than the padding of its coding.
                let short = |promised: u64, decoded: u64| {
                    promised / 10 * 9 > decoded.saturating_add(PADDING_MS)
                };
                if audio
                    .duration_ms
                    .zip(decoded)
                    .is_some_and(|(p, d)| short(p, d))
                {
                    return Err(damaged("its header promises more sound than there is"));
                }
                audio.duration_ms = decoded;
                preview = Some(Preview::Waveform {
                    duration_ms: audio.duration_ms.unwrap_or(0),
                    peaks,
                });
            }
        }
    }
    facts.audio = Some(audio);
    Ok((facts, preview, note))
}

/// What is wrong with a header: damage; or something whole that is not attached, and behind a colon what to do about it.
fn fault(media: MediaType, words: &str) -> MediaError {
    match words.split_once(": ") {
        Some((reason, instead)) => MediaError::refused(media, reason, instead),
        None => MediaError::damaged(media, words),
    }
}

fn samples<'a>(bytes: &'a [u8], data: &wav::Data) -> &'a [u8] {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
    bytes
        .get(at(data.place.start)..at(data.place.end))
        .unwrap_or_default()
}

/// How long so many samples of a channel last, rounded.
fn milliseconds(frames: u64, sample_rate: u32) -> Option<u64> {
    let rate = u128::from(sample_rate);
    let ms = (u128::from(frames) * 1_000 + rate / 2).checked_div(rate)?;
    u64::try_from(ms).ok()
}
