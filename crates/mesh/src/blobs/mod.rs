//! Sealed blobs: kept in a folder, served to those who may have them, fetched from those who hold them.
//!
//! A blob is opaque ciphertext, addressed by its BLAKE3 hash. iroh-blobs keeps the bytes and verifies them as they
//! stream; what is kept, who may have it and how fast is decided here.

mod add;
mod collect;
mod connections;
mod durable;
mod error;
mod fetch;
mod guards;
mod limit;
mod many;
mod outgoing;
mod plan;
mod provider;
mod read;
mod receive;
mod repair;
mod salvage;
mod serve;
mod store;

pub use add::Added;
pub use collect::Collected;
pub use error::{BlobError, BlobFetchError, ProviderError};
pub use fetch::{FetchOptions, FetchProgress, FetchStats, Wanted};
pub use guards::BlobGuard;
pub use limit::RateLimit;
pub use many::ManyProgress;
pub use repair::Repairs;
pub use salvage::Mended;
pub use store::{BlobOptions, BlobStore, INLINE_BYTES, Presence, Protect};

pub(crate) use connections::Connections;
pub(crate) use fetch::Fetcher;
pub(crate) use serve::BlobDoor;

/// The protocol's name in the TLS handshake: iroh-blobs' own.
pub const BLOBS_ALPN: &[u8] = iroh_blobs::ALPN;

use iroh_blobs::Hash;
use salus_audit::BlobHash;

fn address(blob: BlobHash) -> Hash {
    Hash::from_bytes(*blob.as_bytes())
}

fn blob(address: Hash) -> BlobHash {
    BlobHash::from_bytes(*address.as_bytes())
}
