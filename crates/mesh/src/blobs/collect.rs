//! Collection: what nobody needs any more is removed. The node's database says what is needed, and nothing else does:
//! no tag is ever made.
//!
//! iroh-blobs removes blobs only in its own collection, on its own clock. Here its clock is a queue: a run begins when
//! somebody asks for one, and what it may not remove is computed before.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use iroh_blobs::Hash;
use iroh_blobs::store::{GcConfig, ProtectCb, ProtectOutcome};
use salus_audit::BlobHash;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::error::BlobError;
use super::store::{BlobStore, Inner};
use super::{address, blob};

/// How soon iroh-blobs asks again after a run.
const TICK: Duration = Duration::from_millis(1);

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that were removed.
    pub removed: u64,
    /// Blobs that stayed, those that are partly held among them.
    pub kept: u64,
}

/// A run that is asked for.
pub(crate) struct Sweep {
    /// All that stays.
    live: HashSet<Hash>,
    done: oneshot::Sender<()>,
}

struct Queue {
    sweeps: mpsc::Receiver<Sweep>,
    under_way: Option<oneshot::Sender<()>>,
}

impl Queue {
    /// Tells of the end of the run before, and waits for the next.
    async fn next(&mut self, live: &mut HashSet<Hash>) -> ProtectOutcome {
        if let Some(done) = self.under_way.take() {
            let _nobody_waits = done.send(());
        }
        match self.sweeps.recv().await {
            Some(sweep) => {
                *live = sweep.live;
                self.under_way = Some(sweep.done);
                ProtectOutcome::Continue
            }
            None => std::future::pending().await,
        }
    }
}

/// The queue's two ends; a failed run closes it.
pub(crate) fn queue() -> (mpsc::Sender<Sweep>, GcConfig) {
    let (sender, sweeps) = mpsc::channel(1);
    let queue = Arc::new(Mutex::new(Queue {
        sweeps,
        under_way: None,
    }));
    let next: ProtectCb = Arc::new(move |live| {
        let queue = queue.clone();
        Box::pin(async move { queue.lock().await.next(live).await })
    });
    let config = GcConfig {
        interval: TICK,
        add_protected: Some(next),
    };
    (sender, config)
}

impl BlobStore {
    /// Removes every blob that the node does not name, and that nobody adds, fetches or guards.
    ///
    /// # Errors
    /// [`BlobError::Undecided`] if the node does not know what is needed: nothing was removed then.
    pub async fn collect(&self) -> Result<Collected, BlobError> {
        let alone = self.inner.turn.clone().write_owned().await;
        // First the guards: one that is dropped from here on leaves a blob that the node names, maybe only since now.
        let guarded: HashSet<BlobHash> = self.inner.guards.all().into_iter().collect();
        let protect = self.inner.protect.clone();
        let needed = spawn_blocking(move || protect()).await.ok().flatten();
        let needed = needed.ok_or(BlobError::Undecided)?;
        let held = self.list().await?;
        let goes = |blob: &BlobHash| !needed.contains(blob) && !guarded.contains(blob);
        let remove: Vec<BlobHash> = held.iter().copied().filter(goes).collect();
        self.sweep(&held, &remove).await?;
        drop(alone);
        let removed = u64::try_from(remove.len()).unwrap_or(u64::MAX);
        let kept = u64::try_from(held.len() - remove.len()).unwrap_or(u64::MAX);
        Ok(Collected { removed, kept })
    }

    /// Drops what is held of a blob, needed or not: bytes that are found damaged, so that they can be fetched again.
    ///
    /// # Errors
    /// [`BlobError::Busy`] if somebody adds, fetches or guards it.
    pub async fn discard(&self, blob: BlobHash) -> Result<(), BlobError> {
        let alone = self.inner.turn.clone().write_owned().await;
        if self.inner.guards.has(blob) {
            return Err(BlobError::Busy { blob });
        }
        let held = self.list().await?;
        self.sweep(&held, &[blob]).await?;
        drop(alone);
        Ok(())
    }

    async fn sweep(&self, held: &[BlobHash], remove: &[BlobHash]) -> Result<(), BlobError> {
        if remove.is_empty() {
            return Ok(());
        }
        let mut live: HashSet<Hash> = held.iter().map(|blob| address(*blob)).collect();
        for blob in remove {
            live.remove(&address(*blob));
        }
        live.extend(self.inner.guards.all().into_iter().map(address));
        let (done, end) = oneshot::channel();
        let sent = self.inner.sweeps.send(Sweep { live, done }).await;
        let ended = match sent {
            Ok(()) => end.await.is_ok(),
            Err(_) => false,
        };
        if ended {
            Ok(())
        } else {
            Err(self.failed("a collection failed"))
        }
    }

    /// All blobs that something is held of, in full or in part.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn list(&self) -> Result<Vec<BlobHash>, BlobError> {
        let listed = self.inner.store.list().stream().await;
        let mut listed = std::pin::pin!(listed.map_err(|error| self.failed(error))?);
        let mut blobs = Vec::new();
        while let Some(next) = listed.next().await {
            blobs.push(blob(next.map_err(|error| self.failed(error))?));
        }
        // A list that a failed index cut short looks like one that ends.
        let alive = self.inner.store.sync_db().await;
        alive.map_err(|error| self.failed(error))?;
        Ok(blobs)
    }
}

/// Collects from time to time, as long as somebody holds the store.
pub(crate) fn collect_every(interval: Duration, store: Weak<Inner>) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            let Some(inner) = store.upgrade() else {
                return;
            };
            match (BlobStore { inner }).collect().await {
                Ok(collected) => tracing::debug!(?collected, "collected"),
                Err(BlobError::Closed) => return,
                Err(error) => tracing::warn!(%error, "no blobs were collected"),
            }
        }
    });
}
