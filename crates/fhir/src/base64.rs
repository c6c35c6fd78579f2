//! Base64 of inline attachments (RFC 4648 section 4, with padding; R4 type `base64Binary`).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes, with padding and without line breaks.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = (0..3).fold(0u32, |n, i| {
            n << 8 | u32::from(chunk.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let sextet = (n >> (18 - 6 * i)) & 0x3f;
            // A chunk of k bytes makes k + 1 characters.
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[sextet as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// Decodes. White space between characters is skipped (R4 allows it); anything else that is not canonical
/// base64 gives `None`.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut n, mut held, mut padding) = (0u32, 0u8, 0u8);
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let sextet = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                if held + padding > 4 || held < 2 {
                    return None;
                }
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        n = n << 6 | u32::from(sextet);
        held += 1;
        if held == 4 {
            out.extend_from_slice(&n.to_be_bytes()[1..]);
            (n, held) = (0, 0);
        }
    }
    // What is left of the last group: 2 characters hold 8 bits and 4 zeros, 3 hold 16 and 2.
    let [.., hi, lo] = n.to_be_bytes();
    match (held, padding) {
        (0, 0) => {}
        (2, 2) if lo & 0x0f == 0 => out.push(hi << 4 | lo >> 4),
        (3, 1) if lo & 0x03 == 0 => {
            let [.., hi, lo] = (n >> 2).to_be_bytes();
            out.extend_from_slice(&[hi, lo]);
        }
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        for (plain, coded) in VECTORS {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(
            decode("Zm9v\r\nYmFy").as_deref(),
            Some(b"foobar".as_slice())
        );
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for len in [253, 254, 255, 256] {
            assert_eq!(decode(&encode(&all[..len])).as_deref(), Some(&all[..len]));
        }
    }

    #[test]
    fn what_is_not_canonical_base64_is_refused() {
        for bad in [
            "Z", "Zg", "Zg=", "Zg===", "=", "Zm8=Zg==", "Zh==", "Zm9=", "Zm9v!", "é", "====",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
