//! A record's clinical bodies: padded to size classes and sealed under the record's epoch key.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::padding::padded_len;
use crate::seal::{OpenError, open, random_bytes, seal_with};

/// BLAKE3 `derive_key` context of the key that payloads are sealed under.
const PAYLOAD_CONTEXT: &str = "salus/vault/v1 payload key of an epoch";
/// BLAKE3 `derive_key` context of the public commitment to an epoch key.
const COMMITMENT_CONTEXT: &str = "salus/vault/v1 commitment to an epoch key";

/// The largest body in bytes: padded and sealed it stays inside the 4 MiB of an entry's payload
/// (`salus_audit::MAX_PAYLOAD_BYTES`); the largest Padmé class below that is 63 steps of 64 KiB.
pub const MAX_BODY_BYTES: usize = 63 * 65_536 - LENGTH_BYTES;
/// The length in front of each body: u32, little-endian.
const LENGTH_BYTES: usize = 4;

/// Why a body was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Split it: see [`MAX_BODY_BYTES`].
    #[error("a body of {bytes} bytes is too large to seal; at most {MAX_BODY_BYTES} are allowed")]
    TooLarge {
        /// The size asked for.
        bytes: usize,
    },
}

/// The key of one epoch of a record: whoever holds it reads what was written in that epoch.
///
/// It never encrypts by itself: payloads use a key derived from it, and [`EpochKey::commitment`]
/// another value derived from it, so that the one tells nothing of the other.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochKey([u8; 32]);

impl EpochKey {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        Self(random_bytes())
    }

    /// The key that was kept as these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to be kept sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The value that an epoch's entry publishes. XChaCha20-Poly1305 does not commit to its key
    /// (one ciphertext can be made to open under two keys), so that a malicious home could give two
    /// clinics two keys and show them two contents: both check their key against this first.
    pub fn commitment(&self) -> [u8; 32] {
        blake3::derive_key(COMMITMENT_CONTEXT, &self.0)
    }

    /// Whether this is the key that `commitment` was made from; in constant time.
    pub fn matches(&self, commitment: &[u8; 32]) -> bool {
        self.commitment().ct_eq(commitment).into()
    }

    fn payload_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(PAYLOAD_CONTEXT, &self.0))
    }
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochKey(..)")
    }
}

/// Seals a clinical body: `nonce ‖ XChaCha20-Poly1305(length ‖ body ‖ zeros)`. `aad` is the entry's
/// header without the payload's hash and length, so that a payload opens in its own entry only.
pub fn seal_payload(key: &EpochKey, aad: &[u8], body: &[u8]) -> Result<Vec<u8>, SealError> {
    let too_large = SealError::TooLarge { bytes: body.len() };
    if body.len() > MAX_BODY_BYTES {
        return Err(too_large);
    }
    let length = u32::try_from(body.len()).map_err(|_| too_large)?;
    let padded = padded_len(LENGTH_BYTES + body.len());
    Ok(seal_with(&key.payload_key(), aad, padded, |out| {
        let start = out.len();
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(body);
        out.resize(start + padded, 0);
    }))
}

/// Opens a payload and takes the padding off, checking that it is the padding of the format: one
/// body has one padded form, so the size class tells what [`padded_len`] tells and nothing else.
pub fn open_payload(key: &EpochKey, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut padded = Zeroizing::new(open(&key.payload_key(), aad, sealed)?);
    let end = unpadded_end(&padded).ok_or(OpenError::Padding)?;
    padded.truncate(end);
    padded.drain(..LENGTH_BYTES);
    Ok(std::mem::take(&mut *padded))
}

/// Where the body ends in `length ‖ body ‖ zeros`, or none where that is not what it is.
fn unpadded_end(padded: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*padded.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(LENGTH_BYTES)?;
    let zeros = padded.get(end..)?;
    (padded_len(end) == padded.len() && zeros.iter().all(|&byte| byte == 0)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{SEAL_OVERHEAD_BYTES, seal};
    use proptest::prelude::*;

    #[test]
    fn the_largest_body_fits_an_entry_and_one_byte_more_is_refused() {
        let key = EpochKey::generate();
        let largest = LENGTH_BYTES + MAX_BODY_BYTES;
        assert_eq!(padded_len(largest), largest);
        let sealed = seal_payload(&key, b"", &vec![7; MAX_BODY_BYTES]).unwrap();
        assert!(sealed.len() <= 4 * 1024 * 1024, "{}", sealed.len());
        assert_eq!(
            seal_payload(&key, b"", &vec![7; MAX_BODY_BYTES + 1]),
            Err(SealError::TooLarge {
                bytes: MAX_BODY_BYTES + 1
            })
        );
    }

    #[test]
    fn every_flipped_byte_of_a_sealed_payload_is_refused() {
        let key = EpochKey::generate();
        let sealed = seal_payload(&key, b"header", b"a note").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x80 >> (at % 8);
            assert_eq!(
                open_payload(&key, b"header", &changed),
                Err(OpenError::Refused)
            );
        }
    }

    #[test]
    fn a_payload_padded_otherwise_is_refused() {
        let key = EpochKey::generate();
        let form = |length: u32, size: usize, last: u8| {
            let mut plain = length.to_le_bytes().to_vec();
            plain.resize(size, 0);
            plain[size - 1] = last;
            open_payload(&key, b"", &seal(&key.payload_key(), b"", &plain))
        };
        assert_eq!(form(8, 256, 0).unwrap(), [0; 8]);
        assert_eq!(
            form(8, 256, 1),
            Err(OpenError::Padding),
            "padding that is not zero"
        );
        assert_eq!(
            form(8, 272, 0),
            Err(OpenError::Padding),
            "a larger class than needed"
        );
        assert_eq!(
            form(253, 256, 0),
            Err(OpenError::Padding),
            "longer than what is there"
        );
        assert_eq!(form(u32::MAX, 256, 0), Err(OpenError::Padding));
        let short = seal(&key.payload_key(), b"", b"abc");
        assert_eq!(open_payload(&key, b"", &short), Err(OpenError::Padding));
    }

    #[test]
    fn the_commitment_tells_keys_apart_and_is_not_the_payload_key() {
        let (one, two) = (EpochKey::from_bytes([1; 32]), EpochKey::from_bytes([2; 32]));
        assert!(one.matches(&one.commitment()));
        assert!(!two.matches(&one.commitment()));
        assert_ne!(one.commitment(), *one.payload_key());
        assert_eq!(format!("{one:?}"), "EpochKey(..)");
    }

    proptest! {
        #[test]
        fn bodies_of_one_class_are_as_long_sealed_and_come_back_whole(
            body in proptest::collection::vec(any::<u8>(), 0..4_000),
            aad in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let key = EpochKey::generate();
            let sealed = seal_payload(&key, &aad, &body).unwrap();
            prop_assert_eq!(sealed.len(), padded_len(4 + body.len()) + SEAL_OVERHEAD_BYTES);
            prop_assert_eq!(open_payload(&key, &aad, &sealed).unwrap(), body);
        }
    }
}
