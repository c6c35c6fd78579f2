//! What could not be done with blobs, why, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use salus_audit::{BlobHash, ClinicId};

use crate::error::MeshError;

/// What the store of blobs could not do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The operating system refused something.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Another process has the folder open.
    #[error("the blobs in {folder} are in use by another process: stop it first")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk is full.
    #[error("no room on the disk for the sealed file: free some space and try again")]
    Full,
    /// What was to be added could not be read.
    #[error("the source of the blob failed: {source}; nothing of it was kept")]
    Source {
        /// Why.
        source: Arc<io::Error>,
    },
    /// It is not here, or not all of it.
    #[error("blob {blob} is not held here in full: fetch it first")]
    Absent {
        /// Which.
        blob: BlobHash,
    },
    /// The bytes on the disk are not those of the hash any more.
    #[error(
        "the bytes of blob {blob} on this disk are damaged ({why}): discard it and fetch it again"
    )]
    Damaged {
        /// Which.
        blob: BlobHash,
        /// What was found.
        why: String,
    },
    /// Somebody adds, fetches or guards it.
    #[error("blob {blob} is in use: try again when what uses it has ended")]
    Busy {
        /// Which.
        blob: BlobHash,
    },
    /// What is protected is not known, so nothing is removed.
    #[error("which blobs are needed is not known at present: nothing was removed")]
    Undecided,
    /// The index failed; it is examined and mended at the next start.
    #[error("the index of blobs failed ({why}): restart the node, it is examined and mended then")]
    Index {
        /// What was found.
        why: String,
    },
    /// The store was shut down.
    #[error("the store of blobs is shut down")]
    Closed,
}

impl BlobError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::Full;
        }
        Self::Io {
            doing,
            path: path.into(),
            source: Arc::new(source),
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Why one clinic did not give a blob.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// No connection.
    #[error(transparent)]
    Connection(MeshError),
    /// It does not hold it, or does not give it to this clinic: it does not say which.
    #[error("does not have it for this clinic")]
    NotFound,
    /// It holds a part of it, or its bytes are damaged.
    #[error("has not all of it")]
    Incomplete,
    /// It serves as much as it wants to at once.
    #[error("is busy")]
    Busy,
    /// Nothing came for too long.
    #[error("sent nothing for {after_s} s")]
    Stalled {
        /// How long was waited, in seconds.
        after_s: u64,
    },
    /// The connection was lost.
    #[error("the connection was lost: {why}")]
    Interrupted {
        /// How, as far as is known.
        why: String,
    },
    /// It names a size beyond what was expected; nothing was taken.
    #[error("says that it has {size} bytes, where at most {max_bytes} were expected")]
    TooLarge {
        /// What it says.
        size: u64,
        /// What was expected.
        max_bytes: u64,
    },
    /// What it sent is not what was asked for.
    #[error("sent bytes that are not of this blob")]
    Lied,
}

/// Why a blob was not fetched. What arrived is kept, and not asked for again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BlobFetchError {
    /// The mesh was started without a store of blobs.
    #[error("this node keeps no blobs: start the mesh with a store of blobs")]
    NoStore,
    /// Nobody was named who might have it.
    #[error("no clinic is known that holds blob {blob}: sync, and try again")]
    NoProviders {
        /// Which.
        blob: BlobHash,
    },
    /// None of the clinics gave it.
    #[error("none of the clinics gave blob {blob} in full: {}; what arrived is kept: try again later", Tried(.tried))]
    Failed {
        /// Which.
        blob: BlobHash,
        /// Each clinic that was asked, and why not.
        tried: Vec<(ClinicId, ProviderError)>,
    },
    /// The own store failed.
    #[error("cannot keep what comes: {0}")]
    Store(#[from] BlobError),
    /// The mesh was shut down.
    #[error("the mesh is shut down")]
    Closed,
}

struct Tried<'a>(&'a [(ClinicId, ProviderError)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (clinic, error)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}clinic {clinic} {error}")?;
        }
        Ok(())
    }
}
