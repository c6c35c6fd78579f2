//! PDF (ISO 32000-1): whether it is whole, how many pages it has, and what is written on the first of them. Nothing is drawn.

use crate::pdf_text::{self, Pages};
use crate::{Facts, MediaError, MediaType, Preview};

const SIGNATURE: &[u8] = b"%PDF-";
/// Where readers look for the signature (annex H, note 13).
const SIGNATURE_WITHIN: usize = 1_024;
/// Where they look for the end (note 18), and a little.
const END_WITHIN: usize = 2_048;

pub(crate) fn is_pdf(head: &[u8]) -> bool {
    let head = head.get(..SIGNATURE_WITHIN).unwrap_or(head);
    find(head, SIGNATURE).is_some()
}

pub(crate) fn inspect(
    bytes: &[u8],
    total_len: u64,
) -> Result<(Facts, Option<Preview>, Option<String>), MediaError> {
    let mut facts = Facts::new(MediaType::Pdf, total_len);
    if (bytes.len() as u64) < total_len {
        return Ok((facts, None, Some("too large to be read here".to_owned())));
    }
    check_end(bytes).map_err(|reason| MediaError::damaged(MediaType::Pdf, reason))?;
    // What cannot be read may still be what another program shows: it is kept as it is.
    let (preview, note) = match pdf_text::read(bytes) {
        None => (None, "this PDF cannot be read here: open it to read it"),
        Some(Pages { count, text, whole }) => {
            facts.pages = count;
            match text.is_empty() {
                true => (
                    None,
                    "a PDF without text, scanned perhaps: open it to see it",
                ),
                false => (Some(Preview::Text { text, whole }), ""),
            }
        }
    };
    Ok((facts, preview, Some(note.to_owned())))
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
