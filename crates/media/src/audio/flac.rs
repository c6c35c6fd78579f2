//! The metadata blocks of a FLAC file (RFC 9639, section 8).

use super::Header;
use super::mp3::behind_tags;

/// Of the signature, which must be there.
const SIGNATURE: usize = 4;
const STREAM_INFO: u8 = 0;
const STREAM_INFO_BYTES: usize = 34;
/// Blocks before the frames: writers have a handful.
const MAX_BLOCKS: usize = 1_000;
/// The fewest bytes of a frame, and the most samples of a channel in it (sections 9 and 9.1).
const FRAME_BYTES: u64 = 10;
const FRAME_SAMPLES: u64 = 65_535;

/// What the header of a file of `total_len` bytes says, of which these are at hand.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn header(bytes: &[u8], total_len: u64) -> Result<Header, &'static str> {
    // Some writers put tags of another format before it.
    let start = usize::try_from(behind_tags(bytes)).unwrap_or(usize::MAX);
    let bytes = bytes.get(start..).unwrap_or_default();
    let total_len = total_len - start as u64;
    let info = bytes
        .get(SIGNATURE..SIGNATURE + 4 + STREAM_INFO_BYTES)
        .ok_or("its header is cut off")?;
    let ([kind, 0, 0, 34], info) = info.split_first_chunk().ok_or("its header is cut off")? else {
        return Err("its header does not begin with what it has to");
    };
    if kind & 0x7f != STREAM_INFO {
        return Err("its header does not begin with what it has to");
    }
    // Sample rate, channels, bits and samples in 20, 3, 5 and 36 bits.
    let packed = info.get(10..).and_then(<[u8]>::first_chunk);
    let packed = u64::from_be_bytes(*packed.ok_or("its header is cut off")?);
    let narrow = |bits: u64| u16::try_from(bits).unwrap_or(u16::MAX);
    let sample_rate = u32::try_from(packed >> 44).unwrap_or(0);
    let channels = narrow((packed >> 41) & 7) + 1;
    let samples = packed & 0xf_ffff_ffff;

    let frames_at = skip_blocks(bytes, total_len)?;
    let left = total_len.saturating_sub(frames_at);
    if left < FRAME_BYTES {
        return Err("it holds no sound");
    }
    if samples > (left / FRAME_BYTES + 1) * FRAME_SAMPLES {
        return Err("its header promises more sound than there can be");
    }
    Ok(Header {
        codec: "FLAC",
        sample_rate,
        channels,
        frames: (samples > 0).then_some(samples),
        undecoded: None,
        start,
    })
}

/// Where the frames begin.
fn skip_blocks(bytes: &[u8], total_len: u64) -> Result<u64, &'static str> {
    let mut at = SIGNATURE as u64;
    for _ in 0..MAX_BLOCKS {
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        let Some([kind, length @ ..]) = bytes.get(place..).and_then(<[u8]>::first_chunk::<4>)
        else {
            // Behind the part that is at hand; of a whole file it is the end.
            return if (bytes.len() as u64) < total_len && at < total_len {
                Ok(at)
            } else {
                Err("its header is cut off")
            };
        };
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]);
        at += 4 + u64::from(length);
        if at > total_len {
            return Err("its header is cut off");
        }
        if kind & 0x80 != 0 {
            return Ok(at);
        }
    }
    Err("its header has too many parts")
}
