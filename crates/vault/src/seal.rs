//! The one box that everything else here is made of: XChaCha20-Poly1305 with a random nonce.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};

/// Why a sealed value was not opened. It says nothing about the key or the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than a nonce and a tag.
    #[error("a sealed value is too short to be one")]
    Truncated,
    /// Another key, another place (associated data), or changed bytes: the cipher can't tell which.
    #[error("a sealed value does not open: another key, another place, or changed bytes")]
    Refused,
    /// The tag is right and the padding inside is not: its writer did not follow the format.
    #[error("a sealed payload is not padded as the format says")]
    Padding,
}

/// Bytes of the nonce in front of each box (draft-irtf-cfrg-xchacha-03, section 2).
pub const NONCE_BYTES: usize = 24;
/// Bytes of the Poly1305 tag behind each box (RFC 8439, section 2.8).
pub const AEAD_TAG_BYTES: usize = 16;
/// How much longer a box is than what is in it.
pub const SEAL_OVERHEAD_BYTES: usize = NONCE_BYTES + AEAD_TAG_BYTES;

/// Fills `bytes` from the operating system's generator.
pub(crate) fn random(bytes: &mut [u8]) {
    // A system that can't give random bytes can't keep a secret; going on would be worse.
    getrandom::fill(bytes).expect("the operating system's random generator works");
}

/// `N` bytes from the operating system's generator.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}

/// Seals what `write` appends; `expected` is its length, so that one allocation is enough.
pub(crate) fn seal_with(
    key: &[u8; 32],
    aad: &[u8],
    expected: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(expected + SEAL_OVERHEAD_BYTES);
    sealed.extend_from_slice(&random_bytes::<NONCE_BYTES>());
    write(&mut sealed);
    seal_in_place(key, aad, &mut sealed);
    sealed
}

/// `sealed` holds a nonce and a plaintext, and gets the ciphertext in its place and a tag.
fn seal_in_place(key: &[u8; 32], aad: &[u8], sealed: &mut Vec<u8>) {
    let (nonce, message) = sealed.split_at_mut(NONCE_BYTES);
    let nonce = XNonce::try_from(&*nonce).expect("the nonce was split off at its length");
    let tag = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt_inout_detached(&nonce, aad, message.into())
        .expect("a message in memory is shorter than ChaCha20's 256 GiB");
    sealed.extend_from_slice(&tag);
}

/// Seals `message` for the place that `aad` names.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], message: &[u8]) -> Vec<u8> {
    seal_with(key, aad, message.len(), |out| {
        out.extend_from_slice(message)
    })
}

/// Opens what [`seal`] sealed for the same place.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (nonce, rest) = sealed
        .split_at_checked(NONCE_BYTES)
        .ok_or(OpenError::Truncated)?;
    let (message, tag) = rest
        .len()
        .checked_sub(AEAD_TAG_BYTES)
        .and_then(|end| rest.split_at_checked(end))
        .ok_or(OpenError::Truncated)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Truncated)?;
    let tag = Tag::try_from(tag).map_err(|_| OpenError::Truncated)?;
    let mut message = message.to_vec();
    // The tag is compared before anything is decrypted, in constant time.
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt_inout_detached(&nonce, aad, message.as_mut_slice().into(), &tag)
        .map_err(|_| OpenError::Refused)?;
    Ok(message)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;

    pub(crate) fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_xchacha20_poly1305_vector_of_the_draft_holds() {
        let key: [u8; 32] = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
            .try_into()
            .unwrap();
        let nonce = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
        let aad = hex("50515253c0c1c2c3c4c5c6c7");
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
                      for the future, sunscreen would be it.";
        let ciphertext = hex(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440b\
             f3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3f\
             ac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e",
        );
        let tag = hex("c0875924c1c7987947deafd8780acf49");

        let mut sealed = [nonce.clone(), plain.to_vec()].concat();
        seal_in_place(&key, &aad, &mut sealed);
        assert_eq!(sealed, [nonce, ciphertext, tag].concat());
        assert_eq!(open(&key, &aad, &sealed).unwrap(), plain);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_of_a_sealed_value_is_refused() {
        let key = random_bytes();
        let sealed = seal(&key, b"place", b"a value of some length");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(
                open(&key, b"place", &changed),
                Err(OpenError::Refused),
                "byte {at}"
            );
            assert!(open(&key, b"place", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_value_opens_only_in_its_place_and_under_its_key() {
        let key = random_bytes();
        let sealed = seal(&key, b"place", b"value");
        assert_eq!(open(&key, b"place", &sealed).unwrap(), b"value");
        assert_eq!(open(&key, b"elsewhere", &sealed), Err(OpenError::Refused));
        assert_eq!(
            open(&random_bytes(), b"place", &sealed),
            Err(OpenError::Refused)
        );
        assert_eq!(open(&key, b"place", b""), Err(OpenError::Truncated));
    }

    #[test]
    fn no_two_nonces_are_equal() {
        let key = random_bytes();
        let nonces: HashSet<Vec<u8>> = (0..10_000)
            .map(|_| seal(&key, b"", b"")[..NONCE_BYTES].to_vec())
            .collect();
        assert_eq!(nonces.len(), 10_000);
    }
}
