//! Ids of items: FHIR ids as they came, and stable replacements for those that are missing or unfit.

/// Longest FHIR id, in characters (R4 section 2.24.0.1, type `id`).
pub const MAX_ID_CHARS: usize = 64;

/// Whether this is a FHIR `id`: `[A-Za-z0-9\-\.]{1,64}`.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Whether this is a UUID in its canonical lowercase form.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

/// An id that depends only on the parts: 32 hexadecimal digits, 128 bits of their BLAKE3 hash, so that two
/// different things never share one by chance or by design.
pub(crate) fn stable_id(parts: &[&str]) -> String {
    let hex = digest(parts).to_hex();
    hex.get(..32).unwrap_or(&hex).to_owned()
}

/// The same as a UUID (version 8, RFC 9562 section 5.8).
pub(crate) fn stable_uuid(parts: &[&str]) -> String {
    let hash = digest(parts);
    let mut b = [0u8; 16];
    for (to, from) in b.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    b[6] = (b[6] & 0x0f) | 0x80;
    b[8] = (b[8] & 0x3f) | 0x80;
    let n = u128::from_be_bytes(b);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xffff,
        (n >> 48) & 0xffff,
        n & 0xffff_ffff_ffff
    )
}

fn digest(parts: &[&str]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("salus/fhir/id/v1");
    for part in parts {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fhirs() {
        for good in ["a", "1.2-B", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "é", "urn:uuid:1", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn replacements_are_ids_that_depend_on_every_part() {
        let id = stable_id(&["Observation", "a b"]);
        assert!(is_id(&id) && id.len() == 32);
        assert_eq!(id, stable_id(&["Observation", "a b"]));
        assert_ne!(stable_id(&["ab", "c"]), stable_id(&["a", "bc"]));
        let uuid = stable_uuid(&["x"]);
        assert!(is_uuid(&uuid) && is_id(&uuid), "{uuid}");
        assert!(!is_uuid("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6") && !is_uuid("abc"));
    }
}
