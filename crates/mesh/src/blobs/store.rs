//! The store of blobs: a folder with an index and files.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use iroh_blobs::api::blobs::BlobStatus;
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::store::fs::options::Options;
use salus_audit::BlobHash;
use tokio::sync::{RwLock, mpsc};

use super::add::Adding;
use super::collect::{Sweep, collect_every, queue};
use super::durable::{Settling, blocking};
use super::error::BlobError;
use super::guards::Guards;
use super::plan::held_bytes;
use super::repair::{self, Repairs};
use super::{address, blob};

/// Blobs up to this size are kept in the index itself, larger ones in files: the size up to which that is much quicker
/// (10,000 of 20 KiB are added in 2.7 s instead of 61 s, 1,500 of 60 kB fetched in 1.0 s instead of 7.6 s, 600 of 250 kB in 3.1 s
/// instead of 3.9 s; `examples/blobs.rs`, a laptop-like machine of 2 cores). What it costs is memory: the index keeps what it
/// read or wrote in a cache of up to 1 GiB, which iroh-blobs does not let us make smaller.
pub const INLINE_BYTES: u64 = 64 * 1024;

/// Blobs up to this size are taken as a whole when they are fetched, and are in memory then.
pub(crate) const SMALL_BYTES: u64 = 256 * 1024;

/// Says which blobs the node's database names; none where it cannot say.
pub type Protect = Arc<dyn Fn() -> Option<HashSet<BlobHash>> + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct BlobOptions {
    /// Blobs up to this size live in the index, larger ones in files.
    pub inline_bytes: u64,
    /// What is needed: everything else may be collected. Called on a thread where it may block.
    pub protect: Protect,
    /// How often to collect; without it, only when asked to.
    pub collect_every: Option<Duration>,
    /// Whether to compare every page of the index with its checksum, and every file with the index, as it is done after
    /// a crash: reads all of the index.
    pub examine: bool,
}

impl BlobOptions {
    /// With [`INLINE_BYTES`], and collecting only when asked to.
    pub fn new(protect: Protect) -> Self {
        Self {
            inline_bytes: INLINE_BYTES,
            protect,
            collect_every: None,
            examine: false,
        }
    }
}

/// What is held of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// All of it.
    Complete {
        /// Its bytes.
        size: u64,
    },
    /// A part, verified as it came.
    Partial {
        /// Bytes that are held.
        have: u64,
        /// Its bytes, if that is known for sure.
        size: Option<u64>,
    },
    /// Nothing.
    Absent,
}

/// A folder of blobs. Clones are the same store. End it with [`shutdown`](Self::shutdown): what is dropped without it
/// lets go of the folder only some time later, and is examined at the next start as after a crash.
#[derive(Clone)]
pub struct BlobStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub folder: PathBuf,
    pub store: FsStore,
    pub protect: Protect,
    pub inline_bytes: u64,
    pub guards: Arc<Guards>,
    /// Collection has it alone; whoever makes or guards a blob has it for a moment.
    pub turn: Arc<RwLock<()>>,
    pub sweeps: mpsc::Sender<Sweep>,
    pub settling: Settling,
    pub adding: Adding,
    repairs: Repairs,
    closed: AtomicBool,
    /// Whether the index failed since the start.
    failed: AtomicBool,
    /// Held until the store is shut down.
    lock: File,
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStore({})", self.inner.folder.display())
    }
}

impl BlobStore {
    /// Opens the store in a folder, or makes it. What a crash left behind is verified or removed; an index that
    /// cannot be used is set aside and made anew from the files ([`repairs`](Self::repairs) tells). Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use, or cannot be read or written.
    pub async fn open(folder: &Path, options: BlobOptions) -> Result<Self, BlobError> {
        let found = {
            let folder = folder.to_owned();
            blocking(move || repair::prepare(&folder, options.examine)).await?
        };
        let (sweeps, gc) = queue();
        let mut settings = Options::new(folder);
        settings.inline.max_data_inlined = options.inline_bytes;
        settings.gc = Some(gc);
        let index = folder.join(repair::INDEX);
        let store = FsStore::load_with_opts(index, settings).await;
        let store = store.map_err(|error| BlobError::Index {
            why: format!("{error:#}"),
        })?;
        let mut opened = Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                store,
                protect: options.protect,
                inline_bytes: options.inline_bytes,
                guards: Arc::default(),
                turn: Arc::default(),
                sweeps,
                settling: Settling::default(),
                adding: Adding::default(),
                repairs: Repairs::default(),
                closed: false.into(),
                failed: false.into(),
                lock: found.lock,
            }),
        };
        let repairs = opened.finish(found.left).await?;
        if let Some(inner) = Arc::get_mut(&mut opened.inner) {
            inner.repairs = repairs;
        }
        if let Some(interval) = options.collect_every {
            collect_every(interval, Arc::downgrade(&opened.inner));
        }
        Ok(opened)
    }

    /// What was found and mended when the store was opened.
    pub fn repairs(&self) -> &Repairs {
        &self.inner.repairs
    }

    /// What is held of a blob, as the index says.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn presence(&self, blob: BlobHash) -> Result<Presence, BlobError> {
        let status = self.inner.store.status(address(blob)).await;
        match status.map_err(|error| self.failed(error))? {
            BlobStatus::Complete { size } => Ok(Presence::Complete { size }),
            BlobStatus::NotFound => Ok(Presence::Absent),
            BlobStatus::Partial { .. } => {
                let held = self.bitfield(blob).await?;
                Ok(Presence::Partial {
                    have: held_bytes(&held.ranges, held.size()),
                    size: held.is_validated().then(|| held.size()),
                })
            }
        }
    }

    /// Keeps a blob from being collected until the guard is dropped, held or not.
    pub async fn guard(&self, blob: BlobHash) -> super::BlobGuard {
        // Not between what a collection found and what it removes.
        let _no_collection = self.inner.turn.read().await;
        self.inner.guards.guard(blob)
    }

    /// Waits until all that was added or fetched is on the disk. What was answered already is.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub async fn sync(&self) -> Result<(), BlobError> {
        self.settle(Vec::new()).await
    }

    /// Writes what is to be written and lets go of the folder. After it every call fails.
    pub async fn shutdown(&self) {
        if self.inner.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let settled = self.settle(Vec::new()).await.is_ok();
        let ended = self.inner.store.shutdown().await.is_ok();
        if settled && ended && !self.inner.failed.load(Ordering::SeqCst) {
            let folder = self.inner.folder.clone();
            let _ends_anyway = blocking(move || repair::closed_in_order(&folder)).await;
        }
        if let Err(error) = self.inner.lock.unlock() {
            tracing::warn!(%error, "the folder of blobs stays locked until the process ends");
        }
    }

    /// An answer that iroh-blobs owes and does not give means that its index failed, or that it was shut down.
    pub(crate) fn failed(&self, error: impl fmt::Display) -> BlobError {
        if self.inner.closed.load(Ordering::SeqCst) {
            return BlobError::Closed;
        }
        self.inner.failed.store(true, Ordering::SeqCst);
        let why = error.to_string();
        tracing::error!(%why, "the index of blobs failed");
        BlobError::Index { why }
    }

    pub(crate) async fn bitfield(
        &self,
        of: BlobHash,
    ) -> Result<iroh_blobs::api::blobs::Bitfield, BlobError> {
        let observed = self.inner.store.observe(address(of)).await;
        observed.map_err(|error| BlobError::Damaged {
            blob: blob(address(of)),
            why: error.to_string(),
        })
    }
}
