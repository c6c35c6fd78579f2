//! Fetching a blob from those who hold it: verified as it comes, resumed from what arrived, durable when it is told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use iroh_blobs::protocol::ChunkRanges;
use salus_audit::{BlobHash, ClinicId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::connections::Connections;
use super::error::{BlobError, BlobFetchError, ProviderError};
use super::limit::RateLimit;
use super::plan::{held_bytes, last_chunk, pieces};
use super::provider::{Job, Part, Tally};
use super::store::{BlobStore, Presence};

/// From this size on, several clinics share a blob.
const SHARED_FROM: u64 = 8 * 1024 * 1024;

/// How long the first clinic has to answer before the next one is asked, too.
const HEAD_START: Duration = Duration::from_millis(300);

/// How often the rest is computed anew before it is given up: iroh-blobs loses what it is given while it still closes
/// files of a blob that was removed.
const ROUNDS: usize = 4;

/// A blob to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub blob: BlobHash,
    /// Who may have it, the best first.
    pub providers: Vec<ClinicId>,
    /// What it may have in bytes; more is refused before it is taken.
    pub max_bytes: u64,
}

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// How long a clinic may send nothing before it is left.
    pub stall: Duration,
    /// The rate at which bytes are taken; may be shared by several fetches.
    pub limit: RateLimit,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(20),
            limit: RateLimit::default(),
        }
    }
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Bytes that are held, those of earlier fetches among them.
    pub have: u64,
    /// Bytes of all of it, once that is known.
    pub size: Option<u64>,
}

/// What a fetch came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Bytes that came now; nothing if it was held already.
    pub bytes_received: u64,
    /// How long it took.
    pub took: Duration,
    /// Who sent how many bytes.
    pub from: Vec<(ClinicId, u64)>,
}

/// Fetches for a mesh.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub store: BlobStore,
    pub connections: Arc<Connections>,
}

impl Fetcher {
    pub(crate) fn new(store: BlobStore, connections: Connections) -> Self {
        let connections = Arc::new(connections);
        Self { store, connections }
    }

    /// Fetches a blob, and waits until it is on the disk.
    pub(crate) async fn fetch(
        &self,
        wanted: &Wanted,
        options: &FetchOptions,
        progress: Option<&watch::Sender<FetchProgress>>,
    ) -> Result<FetchStats, BlobFetchError> {
        let began = Instant::now();
        let guard = self.store.guard(wanted.blob).await;
        let mut stats = self.obtain(wanted, options, progress).await?;
        self.store.settle(vec![wanted.blob]).await?;
        self.store.unmark(wanted.blob).await?;
        drop(guard);
        stats.took = began.elapsed();
        Ok(stats)
    }

    /// Whether such a blob goes into the index as a whole.
    pub(crate) fn is_small(&self, wanted: &Wanted) -> bool {
        wanted.max_bytes <= self.store.inner.inline_bytes
    }

    /// Fetches a blob; it may not be on the disk yet.
    pub(crate) async fn obtain(
        &self,
        wanted: &Wanted,
        options: &FetchOptions,
        progress: Option<&watch::Sender<FetchProgress>>,
    ) -> Result<FetchStats, BlobFetchError> {
        let began = Instant::now();
        let blob = wanted.blob;
        let _only_one = self.store.inner.guards.turn(blob).await;
        let mut have = match self.store.presence(blob).await? {
            Presence::Complete { size } => {
                tell(progress, size, Some(size));
                return Ok(FetchStats::default());
            }
            Presence::Partial { have, size } => {
                tell(progress, have, size);
                have
            }
            Presence::Absent => 0,
        };
        if wanted.providers.is_empty() {
            return Err(BlobFetchError::NoProviders { blob });
        }
        if !self.is_small(wanted) {
            self.store.mark(blob).await?;
        }
        let tally = Tally::default();
        for round in 0..ROUNDS {
            if round > 0 {
                sleep(HEAD_START).await;
            }
            self.round(wanted, options, progress, (have, &tally))
                .await?;
            match self.store.presence(blob).await? {
                Presence::Complete { size } => {
                    self.store.forget_files(blob, size).await?;
                    tell(progress, size, Some(size));
                    let from = tally.by_clinic();
                    return Ok(FetchStats {
                        bytes_received: from.iter().map(|(_, bytes)| bytes).sum(),
                        took: began.elapsed(),
                        from,
                    });
                }
                Presence::Partial { have: now, .. } => have = now,
                Presence::Absent => have = 0,
            }
        }
        let why = "what came was not kept".to_owned();
        Err(BlobError::Damaged { blob, why }.into())
    }

    /// Asks for all that is missing.
    async fn round(
        &self,
        wanted: &Wanted,
        options: &FetchOptions,
        progress: Option<&watch::Sender<FetchProgress>>,
        (have, tally): (u64, &Tally),
    ) -> Result<(), BlobFetchError> {
        let held = self.store.bitfield(wanted.blob).await?;
        let mut size = held.is_validated().then(|| held.size());
        let before = tally.total();
        let received = |clinic, bytes| {
            let now = tally.add(clinic, bytes) - before;
            let know = |progress: &watch::Sender<FetchProgress>| progress.borrow().size;
            tell(progress, have + now, progress.and_then(know));
        };
        let mut left = Left {
            providers: wanted.providers.clone(),
            tried: Vec::new(),
        };
        let job = Job::new(
            &self.store,
            &self.connections,
            options,
            wanted.blob,
            wanted.max_bytes,
            &received,
        );
        let shared = wanted.providers.len() > 1 && wanted.max_bytes >= SHARED_FROM;
        if shared && size.is_none() {
            job.put(vec![last_chunk()]);
            self.run(&job, &mut left, HEAD_START).await?;
        }
        let held = self.store.bitfield(wanted.blob).await?;
        if held.is_validated() {
            size = Some(held.size());
            tell(progress, held_bytes(&held.ranges, held.size()), size);
        }
        let missing = &ChunkRanges::all() - &held.ranges;
        if missing.is_empty() {
            return Ok(());
        }
        let clinics = left.providers.len();
        match size.filter(|size| shared && *size >= SHARED_FROM) {
            Some(size) => {
                job.put(pieces(&missing, size, clinics));
                self.run(&job, &mut left, Duration::ZERO).await
            }
            None => {
                job.put(pieces(&missing, wanted.max_bytes, 1));
                self.run(&job, &mut left, HEAD_START).await
            }
        }
    }

    /// Has the clinics work on a job: one after the other with a head start, or all at once.
    async fn run(
        &self,
        job: &Job<'_>,
        left: &mut Left,
        head_start: Duration,
    ) -> Result<(), BlobFetchError> {
        let mut waiting = left.providers.clone().into_iter();
        let mut parts = FuturesUnordered::new();
        let mut begin = true;
        loop {
            if begin && let Some(clinic) = waiting.next() {
                parts.push(async move { (clinic, job.part_of(clinic).await) });
                begin = head_start.is_zero();
                continue;
            }
            let more = waiting.len() > 0;
            tokio::select! {
                ended = parts.next() => match ended {
                    Some((_, Part::Done)) => return Ok(()),
                    Some((_, Part::Store(error))) => return Err(error.into()),
                    Some((clinic, Part::Left(error))) => {
                        tracing::debug!(%clinic, blob = %job.blob, %error, "left");
                        left.leave(clinic, error);
                        begin = true;
                        if !more && parts.is_empty() {
                            job.take_back();
                            let tried = std::mem::take(&mut left.tried);
                            return Err(BlobFetchError::Failed { blob: job.blob, tried });
                        }
                    }
                    None => begin = true,
                },
                () = sleep(head_start), if more => begin = true,
            }
        }
    }
}

/// Who is left to ask, and who was left.
struct Left {
    providers: Vec<ClinicId>,
    tried: Vec<(ClinicId, ProviderError)>,
}

impl Left {
    fn leave(&mut self, clinic: ClinicId, error: ProviderError) {
        self.providers.retain(|other| *other != clinic);
        self.tried.push((clinic, error));
    }
}

fn tell(progress: Option<&watch::Sender<FetchProgress>>, have: u64, size: Option<u64>) {
    if let Some(progress) = progress {
        progress.send_replace(FetchProgress { have, size });
    }
}
