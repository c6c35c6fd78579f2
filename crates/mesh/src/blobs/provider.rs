//! One clinic's part in a fetch: it takes pieces from the job until none are left, or until it fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh_blobs::protocol::ChunkRanges;
use salus_audit::{BlobHash, ClinicId};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connections::Connections;
use super::error::{BlobError, ProviderError};
use super::fetch::FetchOptions;
use super::receive::{Asked, Stopped};
use super::store::BlobStore;

/// How long a clinic that failed in the middle leaves its piece to the others before it tries again.
const LEAVE_IT: Duration = Duration::from_millis(100);

/// What is to be fetched, shared by the clinics that give it.
pub(crate) struct Job<'a> {
    pub store: &'a BlobStore,
    pub connections: &'a Connections,
    pub options: &'a FetchOptions,
    pub blob: BlobHash,
    pub max_bytes: u64,
    state: Mutex<State>,
    changed: Notify,
    /// Told of each verified piece.
    pub received: &'a (dyn Fn(ClinicId, u64) + Send + Sync),
}

#[derive(Default)]
struct State {
    pieces: VecDeque<ChunkRanges>,
    under_way: usize,
}

/// What a clinic's part came to.
pub(crate) enum Part {
    /// Nothing is left.
    Done,
    /// It is left.
    Left(ProviderError),
    /// The own store failed: no other clinic helps.
    Store(BlobError),
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        store: &'a BlobStore,
        connections: &'a Connections,
        options: &'a FetchOptions,
        blob: BlobHash,
        max_bytes: u64,
        received: &'a (dyn Fn(ClinicId, u64) + Send + Sync),
    ) -> Self {
        Self {
            store,
            connections,
            options,
            blob,
            max_bytes,
            state: Mutex::default(),
            changed: Notify::new(),
            received,
        }
    }

    pub(crate) fn put(&self, pieces: Vec<ChunkRanges>) {
        self.state().pieces.extend(pieces);
        self.changed.notify_waiters();
    }

    pub(crate) fn take_back(&self) {
        self.state().pieces.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a piece to be had; false if there will be none.
    pub(crate) async fn is_wanted(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if !state.pieces.is_empty() {
                    return true;
                }
                if state.under_way == 0 {
                    return false;
                }
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<ChunkRanges> {
        let mut state = self.state();
        let piece = state.pieces.pop_front()?;
        state.under_way += 1;
        Some(piece)
    }

    /// A piece came to its end, and this is left of it.
    fn end(&self, left: Option<ChunkRanges>) {
        let mut state = self.state();
        state.under_way -= 1;
        state.pieces.extend(left.filter(|left| !left.is_empty()));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Has a clinic give pieces until nothing is left, or until it fails.
    pub(crate) async fn part_of(&self, clinic: ClinicId) -> Part {
        while self.is_wanted().await {
            let leased = match self.connections.to(clinic).await {
                Ok(leased) => leased,
                Err(error) => return Part::Left(error),
            };
            let Some(ranges) = self.take() else {
                continue;
            };
            // Also where this is given up in the middle.
            let mut piece = Piece {
                job: self,
                left: Some(ranges.clone()),
            };
            let mut came = 0;
            let asked = Asked {
                store: self.store,
                connection: &leased.connection,
                blob: self.blob,
                ranges: ranges.clone(),
                max_bytes: self.max_bytes,
                stall: self.options.stall,
                limit: &self.options.limit,
            };
            let received = asked.receive(|bytes| {
                came += bytes;
                (self.received)(clinic, bytes);
            });
            match received.await {
                Ok(()) => piece.left = None,
                Err(Stopped::Store(error)) => return Part::Store(error),
                Err(Stopped::Provider(error)) => {
                    match self.store.bitfield(self.blob).await {
                        Ok(held) => piece.left = Some(&ranges - &held.ranges),
                        Err(error) => return Part::Store(error),
                    }
                    drop(piece);
                    let cut = matches!(
                        error,
                        ProviderError::Interrupted { .. } | ProviderError::Stalled { .. }
                    );
                    if !cut || came == 0 {
                        return Part::Left(error);
                    }
                    // A line that was cut while it carried something may do so again.
                    tracing::debug!(%clinic, blob = %self.blob, %error, "cut; tried again");
                    self.connections.forget(clinic, &leased);
                    sleep(LEAVE_IT).await;
                }
            }
        }
        Part::Done
    }
}

struct Piece<'j, 'a> {
    job: &'j Job<'a>,
    left: Option<ChunkRanges>,
}

impl Drop for Piece<'_, '_> {
    fn drop(&mut self) {
        self.job.end(self.left.take());
    }
}

/// Bytes by clinic.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<ClinicId, u64>>);

impl Tally {
    pub(crate) fn add(&self, clinic: ClinicId, bytes: u64) -> u64 {
        let mut by_clinic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *by_clinic.entry(clinic).or_default() += bytes;
        by_clinic.values().sum()
    }

    pub(crate) fn total(&self) -> u64 {
        let by_clinic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        by_clinic.values().sum()
    }

    pub(crate) fn by_clinic(self) -> Vec<(ClinicId, u64)> {
        let by_clinic = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        by_clinic.into_iter().collect()
    }
}
