//! The graphics protocol of kitty (its documentation, "Terminal graphics protocol"), as much of it as is needed: a picture is
//! handed over once, put at the cursor, and deleted by its number. The terminal is asked to answer nothing (`q=2`): its
//! answers would come in among the keys.

use crate::picture::Picture;

/// Bytes of base64 in one escape sequence: the most that the protocol allows.
const MAX_CHUNK: usize = 4_096;
/// The alphabet of RFC 4648, section 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Deletes every picture on the screen, and what the terminal keeps of it.
pub(crate) const DELETE_ALL: &[u8] = b"\x1b_Ga=d,d=A,q=2\x1b\\";

/// Hands a picture over under a number other than 0.
pub(crate) fn transmit(out: &mut Vec<u8>, id: u32, picture: &Picture) {
    let (width, height) = picture.size();
    let text = base64(picture.pixels().as_flattened());
    let chunks = text.chunks(MAX_CHUNK);
    let last = chunks.len().saturating_sub(1);
    for (n, chunk) in chunks.enumerate() {
        let more = u8::from(n < last);
        let head = match n {
            0 => format!("\x1b_Ga=t,f=24,s={width},v={height},i={id},q=2,m={more};"),
            _ => format!("\x1b_Gm={more},q=2;"),
        };
        out.extend(head.bytes());
        out.extend(chunk);
        out.extend(b"\x1b\\");
    }
}

/// Shows a picture from the cursor on, which stays where it is.
pub(crate) fn place(out: &mut Vec<u8>, id: u32) {
    out.extend(format!("\x1b_Ga=p,i={id},p=1,C=1,q=2\x1b\\").bytes());
}

/// Takes a picture off the screen; the terminal keeps it.
pub(crate) fn lift(out: &mut Vec<u8>, id: u32) {
    out.extend(format!("\x1b_Ga=d,d=i,i={id},q=2\x1b\\").bytes());
}

/// Takes a picture off the screen, and out of the terminal's memory.
pub(crate) fn delete(out: &mut Vec<u8>, id: u32) {
    out.extend(format!("\x1b_Ga=d,d=I,i={id},q=2\x1b\\").bytes());
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let letter = bits >> (18 - 6 * n) & 63;
            text.push(match n <= three.len() {
                true => ALPHABET[letter as usize],
                false => b'=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphics::tests::{noise, sequences, unbase64};

    #[test]
    fn base64_is_what_the_standard_says() {
        // RFC 4648, section 10.
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in table {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), b"+/+/");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unbase64(&base64(&all)), all);
    }

    #[test]
    fn a_small_picture_is_one_sequence() {
        let picture = noise(1, 1);
        let mut out = Vec::new();
        transmit(&mut out, 7, &picture);
        let base = String::from_utf8(base64(&picture.pixels()[0])).unwrap();
        let said = format!("\x1b_Ga=t,f=24,s=1,v=1,i=7,q=2,m=0;{base}\x1b\\");
        assert_eq!(String::from_utf8(out).unwrap(), said);
    }

    #[test]
    fn a_picture_comes_back_whole_from_its_chunks() {
        for (width, height) in [(1, 1), (1, 1_024), (1_024, 1), (32, 32), (64, 48), (61, 47)] {
            let picture = noise(width, height);
            let mut out = Vec::new();
            transmit(&mut out, 9, &picture);
            let parts = sequences(&out);
            let mut text = Vec::new();
            for (n, (keys, payload)) in parts.iter().enumerate() {
                assert!(payload.len() <= MAX_CHUNK);
                assert_eq!(keys.contains("m=1"), n + 1 < parts.len(), "{keys}");
                assert!(keys.contains("q=2"), "{keys}");
                text.extend(payload);
            }
            assert_eq!(unbase64(&text), picture.pixels().as_flattened());
        }
    }
}
