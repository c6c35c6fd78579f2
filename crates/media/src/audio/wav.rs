//! The chunks of a WAVE file (RIFF; RF64 of EBU Tech 3306).

use std::ops::Range;

use super::Header;
use super::pcm::Sample;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;
/// Chunks before the samples: writers have less than a dozen.
const MAX_CHUNKS: usize = 1_000;

/// Where the samples are and how they are written.
pub(super) struct Data {
    pub(super) sample: Sample,
    /// In bytes of the file.
    pub(super) place: Range<u64>,
}

/// What the header of a file of `total_len` bytes says, of which these are at hand.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn header(bytes: &[u8], total_len: u64) -> Result<(Header, Option<Data>), &'static str> {
    let short = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let wide = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let large = bytes.starts_with(b"RF64") || bytes.starts_with(b"BW64");
    let mut large_data = None;
    let mut format = None;
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let name = bytes.get(at..at + 4).ok_or("it holds no samples")?;
        let length = long(at + 4).ok_or("its header is cut off")?;
        let start = at + 8;
        match name {
            b"ds64" if large => large_data = wide(start + 8),
            b"fmt " => format = Some(start),
            b"data" => {
                let length = match large_data {
                    Some(data) if length == u32::MAX => data,
                    _ => u64::from(length),
                };
                let format = format.ok_or("its samples come before their format")?;
                if (start as u64).saturating_add(length) > total_len {
                    return Err("its header promises more samples than there are");
                }
                let numbers = (
                    short(format),
                    short(format + 2),
                    long(format + 4),
                    short(format + 12),
                    short(format + 14),
                );
                let (Some(mut coding), Some(channels), Some(rate), Some(block), Some(bits)) =
                    numbers
                else {
                    return Err("its header is cut off");
                };
                if coding == EXTENSIBLE {
                    coding = short(format + 24).ok_or("its header is cut off")?;
                }
                let place = start as u64..start as u64 + length;
                return described(coding, channels, rate, block, bits, place);
            }
            _ => {}
        }
        let padded = length as usize + (length as usize & 1);
        at = start
            .checked_add(padded)
            .ok_or("a chunk is longer than the file")?;
        if at as u64 > total_len + 1 {
            return Err("a chunk is longer than the file");
        }
    }
    Err("it has too many chunks")
}

fn described(
    coding: u16,
    channels: u16,
    sample_rate: u32,
    block: u16,
    bits: u16,
    data: Range<u64>,
) -> Result<(Header, Option<Data>), &'static str> {
    let (codec, sample) = match (coding, bits.div_ceil(8)) {
        (PCM, 1) => ("PCM", Some(Sample::Offset)),
        (PCM, 2) => ("PCM", Some(Sample::Short)),
        (PCM, 3) => ("PCM", Some(Sample::Packed)),
        (PCM, 4) => ("PCM", Some(Sample::Long)),
        (FLOAT, 4) => ("PCM, floating point", Some(Sample::Single)),
        (FLOAT, 8) => ("PCM, floating point", Some(Sample::Double)),
        (A_LAW, 1) => ("A-law", Some(Sample::ALaw)),
        (MU_LAW, 1) => ("mu-law", Some(Sample::MuLaw)),
        (PCM | FLOAT | A_LAW | MU_LAW, _) => return Err("its samples have an impossible width"),
        _ => ("a coding of its own", None),
    };
    let length = data.end - data.start;
    let block = u64::from(block);
    if block == 0 || length < block {
        return Err("it holds no samples");
    }
    if let Some(sample) = sample {
        if block != u64::from(channels) * sample.bytes() as u64 {
            return Err("its header contradicts itself");
        }
        if !length.is_multiple_of(block) {
            return Err("its last sample is cut off");
        }
    }
    let header = Header {
        codec,
        sample_rate,
        channels,
        frames: sample.map(|_| length / block),
        start: 0,
        undecoded: sample.is_none().then(|| format!("WAV of coding {coding}")),
    };
    Ok((
        header,
        sample.map(|sample| Data {
            sample,
            place: data,
        }),
    ))
}
