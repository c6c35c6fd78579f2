//! PDF: whether it is whole, and how many pages it has.

use crate::{Facts, MediaError, MediaType, Preview};

const SIGNATURE: &[u8] = b"%PDF-";
/// Where readers look for the signature (ISO 32000-1, annex H.3.4.1).
const SIGNATURE_WITHIN: usize = 1_024;
/// Where they look for the end.
const END_WITHIN: usize = 2_048;

pub(crate) fn is_pdf(head: &[u8]) -> bool {
    let head = head.get(..SIGNATURE_WITHIN).unwrap_or(head);
    head.windows(SIGNATURE.len())
        .any(|bytes| bytes == SIGNATURE)
}

pub(crate) fn inspect(
    bytes: &[u8],
    total_len: u64,
) -> Result<(Facts, Option<Preview>, Option<String>), MediaError> {
    let facts = Facts::new(MediaType::Pdf, total_len);
    if bytes.len() as u64 >= total_len {
        let tail = &bytes[bytes.len().saturating_sub(END_WITHIN)..];
        let ends = |mark: &[u8]| tail.windows(mark.len()).any(|bytes| bytes == mark);
        if !ends(b"%%EOF") || !ends(b"startxref") {
            return Err(MediaError::damaged(MediaType::Pdf, "its end is missing"));
        }
    }
    Ok((
        facts,
        None,
        Some("a PDF is shown by an external viewer".to_owned()),
    ))
}
