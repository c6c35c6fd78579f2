//! The pages of an Ogg file (RFC 3533, section 6).

use super::Header;

/// Bytes of a page before the lengths of its segments.
const PAGE: usize = 27;
const BEGINS: u8 = 2;
const ENDS: u8 = 4;
/// Samples a second that positions of Opus count in (RFC 7845, section 4), and the most in one packet of at least one byte.
const OPUS_RATE: u32 = 48_000;
const OPUS_PACKET: u64 = 5_760;

struct Page<'a> {
    flags: u8,
    position: i64,
    stream: u32,
    number: u32,
    data: &'a [u8],
    bytes: usize,
}

impl<'a> Page<'a> {
    /// The page that these bytes begin with; `None` where it is cut off.
    fn of(bytes: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let Some(head) = bytes.first_chunk::<PAGE>() else {
            return Ok(None);
        };
        if !head.starts_with(b"OggS\0") {
            return Err("its pages do not follow each other");
        }
        let long =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some(segments) = bytes.get(PAGE..PAGE + usize::from(head[26])) else {
            return Ok(None);
        };
        let length: usize = segments.iter().map(|length| usize::from(*length)).sum();
        let start = PAGE + segments.len();
        Ok(bytes.get(start..start + length).map(|data| Self {
            flags: head[5],
            position: (u64::from(long(10)) << 32 | u64::from(long(6))).cast_signed(),
            stream: long(14),
            number: long(18),
            data,
            bytes: start + length,
        }))
    }
}

/// What the pages of a file of `total_len` bytes say, of which these are at hand.
///
/// # Errors
/// What is wrong with it, in words; of what is whole and not attached with what to do, behind a colon.
pub(super) fn header(bytes: &[u8], total_len: u64) -> Result<Header, &'static str> {
    let whole = bytes.len() as u64 >= total_len;
    let first = Page::of(bytes)?.ok_or("its first page is cut off")?;
    if first.flags & BEGINS == 0 {
        return Err("its beginning is missing");
    }
    let (mut header, skipped) = codec(first.data)?;
    let (stream, mut number) = (first.stream, first.number);
    let (mut at, mut ended, mut position) = (first.bytes, first.flags & ENDS != 0, 0);
    while at < bytes.len() {
        let Some(page) = Page::of(&bytes[at..])? else {
            if whole {
                return Err("its last page is cut off");
            }
            break;
        };
        if page.flags & BEGINS != 0 || page.stream != stream {
            return Err("holds several streams: export one of them");
        }
        number = number.wrapping_add(1);
        if page.number != number {
            return Err("pages are missing in it");
        }
        if ended {
            return Err("it goes on behind its end");
        }
        ended = page.flags & ENDS != 0;
        // -1: no packet ends on the page.
        position = position.max(page.position);
        at += page.bytes;
    }
    if !whole {
        return Ok(header);
    }
    if !ended {
        return Err("its last page is missing");
    }
    let frames = u64::try_from(position).unwrap_or(0).saturating_sub(skipped);
    if frames > total_len.saturating_mul(OPUS_PACKET) {
        return Err("its pages promise more sound than there can be");
    }
    header.frames = (frames > 0).then_some(frames);
    Ok(header)
}

/// What the first packet says, and how many samples at the beginning do not count.
fn codec(packet: &[u8]) -> Result<(Header, u64), &'static str> {
    let byte = |at: usize| packet.get(at).copied().map(u16::from);
    let short = |at: usize| Some(u16::from_le_bytes(*packet.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u32::from_le_bytes(*packet.get(at..)?.first_chunk()?));
    let not_decoded = |what: &str| Some(what.to_owned());
    let found = if packet.starts_with(b"\x01vorbis") {
        ("Vorbis", long(12), byte(11), None, 0)
    } else if packet.starts_with(b"OpusHead") {
        let skipped = short(10).map_or(0, u64::from);
        (
            "Opus",
            Some(OPUS_RATE),
            byte(9),
            not_decoded("Opus"),
            skipped,
        )
    } else if packet.starts_with(b"\x7fFLAC") {
        // The stream's signature and the header of its first block stand before it.
        let packed = packet.get(9 + 8 + 10..).and_then(<[u8]>::first_chunk);
        let packed = packed.map(|bytes| u64::from_be_bytes(*bytes));
        let rate = packed.and_then(|packed| u32::try_from(packed >> 44).ok());
        let channels = packed.and_then(|packed| u16::try_from((packed >> 41) & 7).ok());
        ("FLAC", rate, channels.map(|less| less + 1), None, 0)
    } else if packet.starts_with(b"Speex   ") {
        let channels = long(48).and_then(|channels| u16::try_from(channels).ok());
        ("Speex", long(36), channels, not_decoded("Speex"), 0)
    } else if packet.starts_with(b"\x80theora") {
        return Err("holds video: export its sound alone");
    } else {
        return Err("holds no sound that is known: save it as FLAC or WAV");
    };
    let (codec, Some(sample_rate), Some(channels), undecoded, skipped) = found else {
        return Err("its header is cut off");
    };
    let header = Header {
        codec,
        sample_rate,
        channels,
        frames: None,
        undecoded,
        start: 0,
    };
    Ok((header, skipped))
}
