//! Keys and sealing: everything in Salus that turns readable bytes into unreadable ones and back.
//!
//! What it does: seals clinical payloads under a record's [`EpochKey`] and pads them to size
//! classes; seals files of any length as blobs, a segment at a time ([`SealingReader`]); wraps epoch keys to a clinic ([`wrap_epoch_key`], HPKE); seals the values of the store
//! ([`StorageKey`], [`IndexKey`]); keeps a node's and its staff's keys in a [`VaultFile`] that each
//! member of staff opens with a passphrase of their own (Argon2id); prints a clinic's root key as
//! words ([`RecoveryPhrase`]).
//!
//! What it does not: it does no I/O (the caller reads and writes the vault file), signs nothing
//! (`salus-audit` does) and judges no rights.
//!
//! Start from [`VaultFile`] for a clinic's keys, and from [`seal_payload`] for a record's bodies.
//!
//! Invariants:
//! - Keys and nonces come from the operating system's generator and from nowhere else.
//! - Every sealed box is `nonce (24 bytes) ‖ XChaCha20-Poly1305 ciphertext ‖ tag (16 bytes)` under a
//!   key with one purpose: each purpose derives its own key by `BLAKE3 derive_key`, with a context
//!   string of its own. A nonce of 192 random bits may be drawn for 2^80 boxes of one key before two
//!   agree with a probability of 2^-32 (draft-irtf-cfrg-xchacha-03, section 2.1).
//! - Associated data binds a box to its place; a box that was moved does not open.
//! - Secrets are wiped when dropped, and neither printed by `Debug` nor carried by an error.
//!
//! ```
//! use salus_vault::{EpochKey, open_payload, seal_payload};
//!
//! let key = EpochKey::generate();
//! let sealed = seal_payload(&key, b"header", b"allergic to penicillin")?;
//! assert_eq!(sealed.len(), 24 + 256 + 16);
//! assert_eq!(open_payload(&key, b"header", &sealed)?, b"allergic to penicillin");
//! assert!(open_payload(&key, b"another header", &sealed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blob;
mod file;
mod keys;
#[cfg(test)]
mod known_answers;
mod padding;
mod passphrase;
mod payload;
mod phrase;
mod previous;
mod seal;
mod secrets;
mod slot;
mod wrap;

pub use blob::{
    BLOB_HEAD_BYTES, BlobHead, BlobKey, MAX_BLOB_BYTES, OpeningWriter, SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES, SealingReader, blob_belongs_to, sealed_blob_len,
};
pub use file::{
    MAX_SLOTS, MAX_STAFF_NAME_BYTES, MAX_TRIES, MAX_VAULT_FILE_BYTES, UnlockError, VaultError,
    VaultFile,
};
pub use keys::{IndexKey, StorageKey, TAG_BYTES};
pub use padding::{MIN_PADDED_BYTES, pad, padded_len, unpad};
pub use passphrase::{
    Argon2Params, MAX_ITERATIONS, MAX_MEMORY_KIB, MAX_PARALLELISM, MAX_PASSPHRASE_BYTES,
    MIN_MEMORY_KIB, MIN_PASSPHRASE_CHARS, ParamsError,
};
pub use payload::{EpochKey, MAX_BODY_BYTES, SealError, open_payload, seal_payload};
pub use phrase::{PhraseError, RECOVERY_WORDS, RecoveryPhrase};
pub use previous::{SEALED_PREVIOUS_BYTES, open_previous_key, seal_previous_key};
pub use seal::{AEAD_TAG_BYTES, NONCE_BYTES, OpenError, SEAL_OVERHEAD_BYTES};
pub use secrets::{LockedSecrets, NodeSecrets, StaffSlot, Unlocked, generate_signing_key};
pub use wrap::{HpkeSecret, WRAPPED_KEY_BYTES, WrapError, unwrap_epoch_key, wrap_epoch_key};
