//! The boxes of an M4A file (ISO/IEC 14496-12).

use super::Header;

/// Brands of files that may hold sound alone; pictures and video have others.
const BRANDS: &[&[u8]] = &[
    b"M4A ", b"M4B ", b"M4P ", b"mp41", b"mp42", b"isom", b"iso2", b"iso3", b"iso4", b"iso5",
    b"iso6", b"iso7", b"iso8", b"iso9", b"dash", b"MSNV", b"3gp4", b"3gp5", b"3gp6", b"3gp7",
];
/// Boxes in one another that are followed.
const MAX_DEPTH: usize = 8;
/// Boxes of one level that are followed.
const MAX_BOXES: usize = 100_000;
/// Boxes that hold nothing but boxes, on the way to what is of use.
const HOLDERS: &[&[u8]] = &[b"moov", b"trak", b"mdia", b"minf", b"stbl"];

/// Whether a file that begins so may hold sound alone.
pub(super) fn is_brand(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| BRANDS.contains(&brand))
}

/// What a track says of itself.
#[derive(Debug, Default)]
struct Track {
    handler: [u8; 4],
    scale: u32,
    duration: u64,
    coding: [u8; 4],
    channels: u16,
    sample_rate: u32,
}

#[derive(Default)]
struct Found {
    tracks: Vec<Track>,
    movie: bool,
    boxes: usize,
}

/// What the boxes of a file of `total_len` bytes say, of which these are at hand.
///
/// # Errors
/// What is wrong with it, in words; of what is whole and not attached with what to do, behind a colon.
pub(super) fn header(bytes: &[u8], total_len: u64) -> Result<Header, &'static str> {
    let mut found = Found::default();
    found.walk(bytes, total_len, 0, total_len)?;
    let whole = bytes.len() as u64 >= total_len;
    if !found.movie {
        return Err(if whole {
            "it has no description of what it holds"
        } else {
            "has its description at its end, and is too large to be read whole: save it with its description first, or in parts"
        });
    }
    if found.tracks.iter().any(|track| &track.handler == b"vide") {
        return Err("holds video: export its sound alone");
    }
    let mut sounds = found
        .tracks
        .iter()
        .filter(|track| &track.handler == b"soun");
    let (Some(track), None) = (sounds.next(), sounds.next()) else {
        return Err("holds no recording, or several: export one of them");
    };
    let (codec, undecoded) = match &track.coding {
        b"mp4a" => ("AAC", None),
        b"alac" => ("ALAC", Some("ALAC".to_owned())),
        b"Opus" => ("Opus", Some("Opus".to_owned())),
        b"fLaC" => ("FLAC", Some("FLAC in M4A".to_owned())),
        b"ac-3" | b"ec-3" => ("AC-3", Some("AC-3".to_owned())),
        b"samr" | b"sawb" => ("AMR", Some("AMR".to_owned())),
        b"enca" => return Err("is encrypted: export it without protection"),
        _ => ("a coding of its own", Some("its coding".to_owned())),
    };
    let samples = u128::from(track.duration) * u128::from(track.sample_rate);
    let frames = samples.checked_div(u128::from(track.scale)).unwrap_or(0);
    Ok(Header {
        codec,
        sample_rate: track.sample_rate,
        channels: track.channels,
        frames: u64::try_from(frames).ok().filter(|frames| *frames > 0),
        undecoded,
        start: 0,
    })
}

impl Found {
    /// Follows the boxes of one level, which ends at `end`; of `bytes` as much of the file as is at hand.
    fn walk(
        &mut self,
        bytes: &[u8],
        mut end: u64,
        depth: usize,
        total_len: u64,
    ) -> Result<(), &'static str> {
        let mut rest = bytes;
        while end > 0 {
            self.boxes += 1;
            if depth > MAX_DEPTH || self.boxes > MAX_BOXES {
                return Err("it has too many parts");
            }
            let Some((head, after)) = rest.split_first_chunk::<8>() else {
                // Behind the part that is at hand; a box has 8 bytes at least.
                let behind = (rest.len() as u64) < end && end >= 8;
                return if behind {
                    Ok(())
                } else {
                    Err("a part of it is cut off")
                };
            };
            let name = [head[4], head[5], head[6], head[7]];
            let size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
            let (size, head_bytes, content) = match (size, after.split_first_chunk::<8>()) {
                (0, _) => (end, 8, after),
                (1, Some((size, content))) => (u64::from_be_bytes(*size), 16, content),
                (1, None) => return Err("a part of it is cut off"),
                (size, _) => (size, 8, after),
            };
            if size < head_bytes || size > end {
                return Err("a part of it is longer than the file, or cut off");
            }
            let inner = size - head_bytes;
            let at_hand = usize::try_from(inner)
                .unwrap_or(usize::MAX)
                .min(content.len());
            let whole = at_hand as u64 == inner;
            let content = &content[..at_hand];
            if HOLDERS.contains(&&name[..]) {
                if !whole {
                    return Err("its description does not end near its beginning");
                }
                self.movie |= &name == b"moov";
                if &name == b"trak" {
                    self.tracks.push(Track::default());
                }
                self.walk(content, inner, depth + 1, total_len)?;
            } else {
                self.note(name, content, total_len)?;
            }
            let used = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            rest = &rest[used..];
            end -= size;
        }
        Ok(())
    }

    fn note(&mut self, name: [u8; 4], content: &[u8], total_len: u64) -> Result<(), &'static str> {
        check_table(name, content, total_len)?;
        let Some(track) = self.tracks.last_mut() else {
            return Ok(());
        };
        let short = |at: usize| Some(u16::from_be_bytes(*content.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u32::from_be_bytes(*content.get(at..)?.first_chunk()?));
        let wide = |at: usize| Some(u64::from_be_bytes(*content.get(at..)?.first_chunk()?));
        let read = match &name {
            b"hdlr" => content
                .get(8..)
                .and_then(<[u8]>::first_chunk)
                .map(|handler| {
                    track.handler = *handler;
                }),
            // Times of creation and change stand before scale and duration.
            b"mdhd" if content.first() == Some(&1) => long(20)
                .zip(wide(24))
                .map(|found| (track.scale, track.duration) = found),
            b"mdhd" => {
                let duration = long(16).map(u64::from);
                long(12)
                    .zip(duration)
                    .map(|found| (track.scale, track.duration) = found)
            }
            // Version, count, then the first entry: size, coding, 6 bytes, index, 8 bytes, channels, bits, 4 bytes, rate in 16.16.
            b"stsd" => content
                .get(12..)
                .and_then(<[u8]>::first_chunk)
                .map(|coding| {
                    track.coding = *coding;
                    track.channels = short(32).unwrap_or(0);
                    track.sample_rate = long(40).unwrap_or(0) >> 16;
                }),
            _ => Some(()),
        };
        read.ok_or("its description is cut off")
    }
}

/// Refuses tables that say that they have more entries than they have: a reader would make room for them.
fn check_table(name: [u8; 4], content: &[u8], total_len: u64) -> Result<(), &'static str> {
    let long = |at: usize| {
        Some(u64::from(u32::from_be_bytes(
            *content.get(at..)?.first_chunk()?,
        )))
    };
    let (count, head, entry) = match &name {
        b"stts" | b"ctts" | b"co64" => (long(4), 8, 8),
        b"stsc" => (long(4), 8, 12),
        b"stco" | b"stss" => (long(4), 8, 4),
        b"stsz" => {
            // All samples of one size, or a size for each.
            let (size, count) = long(4).zip(long(8)).ok_or("its description is cut off")?;
            if size > 0 {
                return if size * count > total_len {
                    Err("its description promises more sound than there is")
                } else {
                    Ok(())
                };
            }
            (Some(count), 12, 4)
        }
        _ => return Ok(()),
    };
    let count = count.ok_or("its description is cut off")?;
    if head + count * entry > content.len() as u64 {
        return Err("its description promises more than it holds");
    }
    Ok(())
}
