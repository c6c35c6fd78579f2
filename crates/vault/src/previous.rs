//! Sealing an epoch's key under the one that follows it: whoever is given the newest key can open the history.

use salus_audit::{EntryHash, LogId};
use zeroize::Zeroizing;

use crate::payload::EpochKey;
use crate::seal::{SEAL_OVERHEAD_BYTES, open, seal};
use crate::wrap::WrapError;

/// BLAKE3 `derive_key` context: this key seals earlier epoch keys and nothing else.
const PREVIOUS_CONTEXT: &str = "salus/vault/v1 previous key of an epoch";
/// In front of the associated data.
const PREVIOUS_DOMAIN: &[u8] = b"salus/vault/v1 previous epoch";
/// Bytes of a sealed earlier key: a box of 32 bytes.
pub const SEALED_PREVIOUS_BYTES: usize = 32 + SEAL_OVERHEAD_BYTES;

/// Seals the key of the epoch `previous` of a record under the record's next key. It opens for that record and that epoch only.
pub fn seal_previous_key(
    next: &EpochKey,
    log: LogId,
    previous: EntryHash,
    previous_key: &EpochKey,
) -> Vec<u8> {
    seal(
        &sealing_key(next),
        &place(log, previous),
        &*previous_key.to_bytes(),
    )
}

/// Opens what [`seal_previous_key`] sealed, and checks the key against the commitment that the earlier epoch published.
pub fn open_previous_key(
    next: &EpochKey,
    log: LogId,
    previous: EntryHash,
    sealed: &[u8],
    commitment: &[u8; 32],
) -> Result<EpochKey, WrapError> {
    if sealed.len() != SEALED_PREVIOUS_BYTES {
        return Err(WrapError::Length);
    }
    let opened =
        open(&sealing_key(next), &place(log, previous), sealed).map_err(|_| WrapError::Refused)?;
    let bytes =
        Zeroizing::new(<[u8; 32]>::try_from(opened.as_slice()).map_err(|_| WrapError::Length)?);
    let key = EpochKey::from_bytes(*bytes);
    if key.matches(commitment) {
        Ok(key)
    } else {
        Err(WrapError::NotCommitted)
    }
}

fn sealing_key(next: &EpochKey) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake3::derive_key(PREVIOUS_CONTEXT, &*next.to_bytes()))
}

fn place(log: LogId, previous: EntryHash) -> Vec<u8> {
    [PREVIOUS_DOMAIN, log.as_bytes(), previous.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_key_opens_under_the_next_one_of_its_record_only() {
        let (old, new) = (EpochKey::generate(), EpochKey::generate());
        let (log, epoch) = (LogId::from_bytes([1; 32]), EntryHash::from_bytes([2; 32]));
        let sealed = seal_previous_key(&new, log, epoch, &old);
        let commitment = old.commitment();
        let opened = open_previous_key(&new, log, epoch, &sealed, &commitment).unwrap();
        assert!(opened.matches(&commitment));
        let elsewhere = LogId::from_bytes([3; 32]);
        assert_eq!(
            open_previous_key(&new, elsewhere, epoch, &sealed, &commitment).err(),
            Some(WrapError::Refused)
        );
        assert_eq!(
            open_previous_key(&old, log, epoch, &sealed, &commitment).err(),
            Some(WrapError::Refused)
        );
        assert_eq!(
            open_previous_key(&new, log, epoch, &sealed, &new.commitment()).err(),
            Some(WrapError::NotCommitted)
        );
        assert_eq!(
            open_previous_key(&new, log, epoch, &sealed[..70], &commitment).err(),
            Some(WrapError::Length)
        );
    }
}
