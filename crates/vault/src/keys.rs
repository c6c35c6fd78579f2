//! The two keys of a node's store: one that a locked node keeps, and one that it does not.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::seal::{OpenError, open, random_bytes, seal};

/// Bytes of a [`StorageKey::tag`]: 128 bits keep 2^48 rows apart but for a chance of 2^-33.
pub const TAG_BYTES: usize = 16;

/// BLAKE3 `derive_key` contexts: sealing under the storage key, naming rows by it, and sealing
/// under the index key.
const STORAGE_SEAL_CONTEXT: &str = "salus/vault/v1 storage key: sealing";
const STORAGE_TAG_CONTEXT: &str = "salus/vault/v1 storage key: tags of rows";
const INDEX_SEAL_CONTEXT: &str = "salus/vault/v1 index key: sealing";

/// The key that entries, headers and bookkeeping are sealed under. A *locked* node keeps it, so
/// that it verifies, stores and serves; it opens no clinical body (those are sealed twice).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StorageKey {
    root: [u8; 32],
    sealing: [u8; 32],
    tagging: [u8; 32],
}

impl StorageKey {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// The key that was kept as these bytes.
    pub fn from_bytes(root: [u8; 32]) -> Self {
        Self {
            root,
            sealing: blake3::derive_key(STORAGE_SEAL_CONTEXT, &root),
            tagging: blake3::derive_key(STORAGE_TAG_CONTEXT, &root),
        }
    }

    /// The key's bytes, to be kept sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.root)
    }

    /// Seals `value` for the place that `aad` names.
    pub fn seal(&self, aad: &[u8], value: &[u8]) -> Vec<u8> {
        seal(&self.sealing, aad, value)
    }

    /// Opens what [`StorageKey::seal`] sealed for the same place.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        open(&self.sealing, aad, sealed)
    }

    /// A name for `data` that only holders of the key can make: what stands on disk where a key of
    /// a table must be readable and an id must not be. The same data under another `label` has
    /// another name; a label holds no zero byte, which ends it.
    pub fn tag(&self, label: &str, data: &[u8]) -> [u8; TAG_BYTES] {
        let hash = self.keyed_hash(label, data);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hash[..TAG_BYTES]);
        tag
    }

    /// The whole keyed hash (BLAKE3, 32 bytes) behind a tag, for sums over the rows of a table.
    pub fn keyed_hash(&self, label: &str, data: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.tagging);
        hasher.update(label.as_bytes()).update(&[0]).update(data);
        *hasher.finalize().as_bytes()
    }
}

/// The key that snapshots and the patient index are sealed under: in memory while somebody works.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IndexKey {
    root: [u8; 32],
    sealing: [u8; 32],
}

impl IndexKey {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// The key that was kept as these bytes.
    pub fn from_bytes(root: [u8; 32]) -> Self {
        Self {
            root,
            sealing: blake3::derive_key(INDEX_SEAL_CONTEXT, &root),
        }
    }

    /// The key's bytes, to be kept sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.root)
    }

    /// Seals `value` for the place that `aad` names.
    pub fn seal(&self, aad: &[u8], value: &[u8]) -> Vec<u8> {
        seal(&self.sealing, aad, value)
    }

    /// Opens what [`IndexKey::seal`] sealed for the same place.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        open(&self.sealing, aad, sealed)
    }
}

impl std::fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

impl std::fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_key_and_an_index_key_of_the_same_bytes_open_nothing_of_each_other() {
        let (storage, index) = (
            StorageKey::from_bytes([5; 32]),
            IndexKey::from_bytes([5; 32]),
        );
        let sealed = storage.seal(b"row", b"value");
        assert_eq!(storage.open(b"row", &sealed).unwrap(), b"value");
        assert_eq!(index.open(b"row", &sealed), Err(OpenError::Refused));
        assert_eq!(
            storage.open(b"row", &index.seal(b"row", b"x")),
            Err(OpenError::Refused)
        );
        let again = StorageKey::from_bytes(*storage.to_bytes());
        assert_eq!(again.open(b"row", &sealed).unwrap(), b"value");
    }

    #[test]
    fn tags_differ_by_key_label_and_data() {
        let key = StorageKey::from_bytes([1; 32]);
        let tag = key.tag("logs", b"id");
        assert_eq!(tag, key.tag("logs", b"id"));
        assert_ne!(tag, key.tag("hashes", b"id"));
        assert_ne!(tag, key.tag("logs", b"other"));
        assert_ne!(tag, StorageKey::from_bytes([2; 32]).tag("logs", b"id"));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?}", StorageKey::from_bytes([7; 32])),
            "StorageKey(..)"
        );
        assert_eq!(
            format!("{:?}", IndexKey::from_bytes([7; 32])),
            "IndexKey(..)"
        );
    }
}
