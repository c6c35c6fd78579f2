//! PDF (ISO 32000-1): whether it is whole, and how many pages it has. Nothing is drawn, and no text is read.

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::{Facts, MediaError, MediaType, Preview};

const SIGNATURE: &[u8] = b"%PDF-";
/// Where readers look for the signature (annex H, note 13).
const SIGNATURE_WITHIN: usize = 1_024;
/// Where they look for the end (note 18), and a little.
const END_WITHIN: usize = 2_048;
/// The largest dictionary that is looked at, in bytes: a page tree of some ten thousand pages.
const MAX_DICTIONARY: usize = 1 << 20;
/// What one compressed stream of objects may inflate to, and all of them together, in bytes.
const MAX_STREAM: u64 = 4 << 20;
const MAX_STREAMS: u64 = 64 << 20;
/// Page trees, and streams of objects, that are looked at: writers have a root and some hundred streams.
const MAX_ROOTS: usize = 1_000;
const MAX_STREAM_COUNT: usize = 20_000;
/// More pages than there are in one file.
const MAX_PAGES: u32 = 1_000_000;

pub(crate) fn is_pdf(head: &[u8]) -> bool {
    let head = head.get(..SIGNATURE_WITHIN).unwrap_or(head);
    find(head, SIGNATURE).is_some()
}

pub(crate) fn inspect(
    bytes: &[u8],
    total_len: u64,
) -> Result<(Facts, Option<Preview>, Option<String>), MediaError> {
    let mut facts = Facts::new(MediaType::Pdf, total_len);
    if bytes.len() as u64 >= total_len {
        check_end(bytes).map_err(|reason| MediaError::damaged(MediaType::Pdf, reason))?;
        facts.pages = pages(bytes);
    }
    let note = "a PDF has no preview: open it to read it";
    Ok((facts, None, Some(note.to_owned())))
}

/// The end names where the table of objects is (section 7.5.5).
fn check_end(bytes: &[u8]) -> Result<(), &'static str> {
    const MARK: &[u8] = b"startxref";
    let tail = &bytes[bytes.len().saturating_sub(END_WITHIN)..];
    let last = |mark: &[u8]| tail.windows(mark.len()).rposition(|bytes| bytes == mark);
    let (Some(_), Some(mark)) = (last(b"%%EOF"), last(MARK)) else {
        return Err("its end is missing");
    };
    let place = number(&tail[mark + MARK.len()..]).ok_or("its end is broken")?;
    if place as usize >= bytes.len() {
        return Err("its table of objects is missing");
    }
    Ok(())
}

/// The count of the last page tree that has none above it (section 7.7.3.2), in the file itself or in its streams of objects.
fn pages(bytes: &[u8]) -> Option<u32> {
    // What is in the streams of an encrypted file cannot be read, what is beside them can.
    last_root(bytes).or_else(|| {
        let (mut at, mut budget, mut count) = (0, MAX_STREAMS, None);
        for _ in 0..MAX_STREAM_COUNT {
            let Some(mark) = find(&bytes[at..], b"/ObjStm") else {
                break;
            };
            at += mark + 1;
            let near = &bytes[at..bytes.len().min(at + 4_096)];
            let Some(stream) = find(near, b"stream") else {
                continue;
            };
            let mut data = &near[stream + 6..];
            data = data.strip_prefix(b"\r").unwrap_or(data);
            data = data.strip_prefix(b"\n").unwrap_or(data);
            let start = at + near.len() - data.len();
            let mut objects = Vec::new();
            // A broken stream has told what it has told.
            let limit = MAX_STREAM.min(budget);
            let _ = ZlibDecoder::new(&bytes[start..])
                .take(limit)
                .read_to_end(&mut objects);
            budget -= objects.len() as u64;
            count = last_root(&objects).or(count);
            if budget == 0 {
                break;
            }
        }
        count
    })
}

fn last_root(bytes: &[u8]) -> Option<u32> {
    let (mut at, mut count) = (0, None);
    for _ in 0..MAX_ROOTS {
        let Some(mark) = find(&bytes[at..], b"/Pages") else {
            break;
        };
        let place = at + mark;
        at = place + 6;
        let before = bytes[..place].trim_ascii_end();
        if before.ends_with(b"/Type")
            && bytes
                .get(at)
                .is_none_or(|byte| !byte.is_ascii_alphanumeric())
        {
            count = root_count(bytes, before.len() - 5, at).or(count);
        }
    }
    count
}

/// The count in the dictionary that goes on at both of these places, unless it has a parent.
fn root_count(bytes: &[u8], before: usize, behind: usize) -> Option<u32> {
    let start = before.saturating_sub(MAX_DICTIONARY);
    let start = start + edge(&bytes[start..before], b"<<", b">>", true)?;
    let end = bytes.len().min(behind + MAX_DICTIONARY);
    let end = behind + edge(&bytes[behind..end], b">>", b"<<", false)?;
    let dictionary = &bytes[start..end];
    if find(dictionary, b"/Parent").is_some() {
        return None;
    }
    let count = find(dictionary, b"/Count")?;
    number(&dictionary[count + 6..]).filter(|count| *count <= MAX_PAGES)
}

/// Where the mark is that is not undone by its counterpart on the way, from the end or from the beginning.
fn edge(bytes: &[u8], mark: &[u8; 2], counterpart: &[u8; 2], backwards: bool) -> Option<usize> {
    let (mut depth, mut step) = (0_u32, 0);
    while step + 2 <= bytes.len() {
        let at = if backwards {
            bytes.len() - 2 - step
        } else {
            step
        };
        let pair = &bytes[at..at + 2];
        if pair == counterpart {
            depth += 1;
        } else if pair == mark {
            match depth.checked_sub(1) {
                None => return Some(at),
                Some(less) => depth = less,
            }
        } else {
            step += 1;
            continue;
        }
        step += 2;
    }
    None
}

/// The number that comes next, behind white space.
fn number(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.trim_ascii_start();
    let digits = bytes
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}
