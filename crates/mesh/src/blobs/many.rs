//! Many blobs at once: over one connection to each clinic, several requests on it, and one flush for many.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::BlobFetchError;
use super::fetch::{FetchOptions, FetchStats, Fetcher, Wanted};
use super::serve::REQUESTS;

/// Small blobs that are flushed together.
const SETTLED_TOGETHER: usize = 1_024;

/// How far a fetch of many is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ManyProgress {
    /// Blobs that are held and on the disk.
    pub done: u64,
    /// Blobs that were not to be had.
    pub failed: u64,
    /// Bytes that came.
    pub bytes_received: u64,
}

impl Fetcher {
    /// Fetches them all, in any order; the answers are in theirs. What is answered well is on the disk.
    pub(crate) async fn fetch_many(
        &self,
        wanted: Vec<Wanted>,
        options: &FetchOptions,
        progress: Option<&watch::Sender<ManyProgress>>,
    ) -> Vec<Result<FetchStats, BlobFetchError>> {
        let began = Instant::now();
        let mut answers = Vec::new();
        answers.resize_with(wanted.len(), || Err(BlobFetchError::Closed));
        let one = |(at, wanted)| {
            async move {
                if self.is_small(wanted) {
                    let guard = self.store.guard(wanted.blob).await;
                    let obtained = self.obtain(wanted, options, None).await;
                    (at, obtained, Some(guard))
                } else {
                    (at, self.fetch(wanted, options, None).await, None)
                }
            }
            // Named types: a caller on several threads could not tell that these may move between them.
            .boxed()
        };
        let all: Vec<BoxFuture<'_, _>> = wanted.iter().enumerate().map(one).collect();
        let fetched = stream::iter(all);
        // One less than a connection has, so that a single fetch finds room beside them.
        let at_once = usize::try_from(REQUESTS).unwrap_or(1) - 1;
        let mut fetched = fetched
            .buffer_unordered(at_once)
            .ready_chunks(SETTLED_TOGETHER);
        let mut unsettled = Vec::new();
        let mut come = 0;
        loop {
            let next = fetched.next().await;
            let ended = next.is_none();
            for (at, answer, guard) in next.into_iter().flatten() {
                come += 1;
                if let Some(slot) = answers.get_mut(at) {
                    *slot = answer;
                }
                unsettled.push((at, guard));
            }
            if unsettled.len() >= SETTLED_TOGETHER || ended || come == wanted.len() {
                let settled = self.store.settle(Vec::new()).await;
                for (at, guard) in unsettled.drain(..) {
                    let Some(answer) = answers.get_mut(at) else {
                        continue;
                    };
                    if let (Ok(stats), Err(error)) = (&answer, &settled) {
                        tracing::trace!(?stats, "came, and is not on the disk");
                        *answer = Err(error.clone().into());
                    }
                    tell(progress, answer);
                    drop(guard);
                }
            }
            if ended {
                break;
            }
        }
        tracing::debug!(blobs = wanted.len(), took = ?began.elapsed(), "fetched many");
        answers
    }
}

fn tell(
    progress: Option<&watch::Sender<ManyProgress>>,
    answer: &Result<FetchStats, BlobFetchError>,
) {
    if let Some(progress) = progress {
        progress.send_modify(|progress| match answer {
            Ok(stats) => {
                progress.done += 1;
                progress.bytes_received += stats.bytes_received;
            }
            Err(_) => progress.failed += 1,
        });
    }
}
