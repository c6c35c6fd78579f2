//! The frames of an MP3 file (ISO/IEC 11172-3, section 2.4.1), and what stands around them.

use super::Header;

/// How far the first frame may be from where the tags end, and the next one from where one ends.
const MAX_JUNK: usize = 64 << 10;
/// Kilobits a second by index, of layer III in MPEG-1 and in the others.
const BITRATES: [[u32; 14]; 2] = [
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// Samples of a channel.
    samples: u32,
    sample_rate: u32,
    channels: u16,
    bitrate: u32,
    /// All of the frame, in bytes.
    bytes: usize,
    /// Bytes before the part where an encoder tells about the file.
    side: usize,
}

impl Frame {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [first, second, third, fourth] = *bytes.first_chunk()?;
        // All bits of the sync, and layer III.
        if first != 0xff || second & 0xe0 != 0xe0 || second & 0x06 != 0x02 {
            return None;
        }
        let version = (second >> 3) & 3;
        let (is_first, divisor) = match version {
            3 => (true, 1),
            2 => (false, 2),
            0 => (false, 4),
            _ => return None,
        };
        let table = BITRATES[usize::from(!is_first)];
        let bitrate = 1_000 * table.get(usize::from(third >> 4).checked_sub(1)?)?;
        let sample_rate = SAMPLE_RATES.get(usize::from((third >> 2) & 3))? / divisor;
        let samples = if is_first { 1_152 } else { 576 };
        let padding = usize::from((third >> 1) & 1);
        let mono = fourth >> 6 == 3;
        let side = match (is_first, mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        Some(Self {
            samples,
            sample_rate,
            channels: if mono { 1 } else { 2 },
            bitrate,
            bytes: (samples / 8 * bitrate / sample_rate) as usize + padding,
            side: 4 + side + if second & 1 == 0 { 2 } else { 0 },
        })
    }

    fn fits(self, other: Self) -> bool {
        (self.samples, self.sample_rate) == (other.samples, other.sample_rate)
    }
}

/// Whether frames begin here: one, and another one right behind it or nothing.
pub(super) fn begins(bytes: &[u8]) -> bool {
    Frame::of(bytes).is_some_and(|frame| match bytes.get(frame.bytes..) {
        Some([]) => true,
        Some(rest) => Frame::of(rest).is_some_and(|next| frame.fits(next)),
        None => false,
    })
}

/// Where what is behind the tags of ID3 at the beginning begins (ID3v2.4, section 3.1).
pub(super) fn behind_tags(bytes: &[u8]) -> u64 {
    let mut at = 0_u64;
    while let Some(tag) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)) {
        let Some([b'I', b'D', b'3', 2..=4, _, flags, size @ ..]) = tag.first_chunk::<10>() else {
            break;
        };
        let size = size
            .iter()
            .fold(0, |all, byte| all << 7 | u64::from(byte & 0x7f));
        at += 10 + size + if flags & 0x10 == 0 { 0 } else { 10 };
    }
    at
}

/// What the frames of a file of `total_len` bytes say, of which these are at hand.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn header(bytes: &[u8], total_len: u64) -> Result<Header, &'static str> {
    let tags = behind_tags(bytes);
    if tags >= total_len {
        return Err("its tags are longer than the file");
    }
    let whole = bytes.len() as u64 >= total_len;
    let from = usize::try_from(tags).unwrap_or(usize::MAX);
    let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) else {
        return Err("its sound does not begin near its beginning");
    };
    let near = 0..rest.len().min(MAX_JUNK);
    let junk = near.into_iter().find(|at| begins(&rest[*at..]));
    let start = from + junk.ok_or("no sound is found in it")?;
    let first = Frame::of(&bytes[start..]).ok_or("no sound is found in it")?;
    let promised = promised_frames(&bytes[start..], first);
    let walked = walk(bytes, start, first, whole)?;
    let counted = walked.frames.saturating_sub(u64::from(promised.is_some()));
    // Some encoders count the frame in which they tell it, too.
    if whole && promised.is_some_and(|promised| promised > counted + 1) {
        return Err("its header promises more sound than there is");
    }
    let frames = if whole {
        Some(counted)
    } else {
        let steady = walked.steady.then(|| {
            let bits = u128::from(total_len - start as u64) * 8;
            let samples = bits * u128::from(first.sample_rate) / u128::from(first.bitrate);
            u64::try_from(samples / u128::from(first.samples)).unwrap_or(u64::MAX)
        });
        promised.or(steady)
    };
    Ok(Header {
        codec: "MP3",
        sample_rate: first.sample_rate,
        channels: first.channels,
        frames: frames.map(|frames| frames.saturating_mul(u64::from(first.samples))),
        undecoded: None,
        start,
    })
}

/// How many frames the encoder says there are, if it says so in the first (the headers of Xing, LAME and Fraunhofer).
fn promised_frames(bytes: &[u8], first: Frame) -> Option<u64> {
    const HAS_FRAMES: u32 = 1;
    let long = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    match bytes.get(first.side..first.side + 4)? {
        b"Xing" | b"Info" if long(first.side + 4)? & HAS_FRAMES != 0 => {
            long(first.side + 8).map(u64::from)
        }
        _ if bytes.get(36..40)? == b"VBRI" => long(36 + 14).map(u64::from),
        _ => None,
    }
}

struct Walked {
    frames: u64,
    /// All of the same bitrate.
    steady: bool,
}

/// From frame to frame.
fn walk(bytes: &[u8], start: usize, first: Frame, whole: bool) -> Result<Walked, &'static str> {
    let mut walked = Walked {
        frames: 0,
        steady: true,
    };
    let (mut at, mut lost) = (start, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        match Frame::of(rest).filter(|frame| frame.fits(first)) {
            Some(frame) if frame.bytes <= rest.len() => {
                walked.frames += 1;
                walked.steady &= frame.bitrate == first.bitrate;
                at += frame.bytes;
            }
            Some(_) if whole => return Err("its last frame is cut off"),
            Some(_) => break,
            None if is_tail(rest) => break,
            None => {
                at += 1;
                lost += 1;
                if lost > MAX_JUNK.max(bytes.len() / 16) {
                    return Err("there is too much between its frames");
                }
            }
        }
    }
    Ok(walked)
}

/// What may stand behind the last frame: tags, and zeros that fill up.
fn is_tail(rest: &[u8]) -> bool {
    let tags: [&[u8]; 5] = [b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI"];
    tags.iter().any(|tag| rest.starts_with(tag)) || rest.iter().all(|byte| *byte == 0)
}
