//! How many bytes a second may pass.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What may pass at once after a pause, as time at the full rate.
const BURST: Duration = Duration::from_millis(100);

/// A rate that all who share it keep together, in bytes a second; clones are the same rate. It may be changed at any
/// time, and those who wait notice at once.
#[derive(Clone, Default)]
pub struct RateLimit {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    bytes_per_s: Option<u64>,
    /// When all that passed has had its time; none if nothing has.
    paid_until: Option<Instant>,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimit({:?})", self.state().bytes_per_s)
    }
}

impl RateLimit {
    /// So many bytes a second; no limit without a number. Zero is taken as one.
    pub fn new(bytes_per_s: Option<u64>) -> Self {
        let limit = Self::default();
        limit.set(bytes_per_s);
        limit
    }

    /// Changes the rate.
    pub fn set(&self, bytes_per_s: Option<u64>) {
        let mut state = self.state();
        state.bytes_per_s = bytes_per_s.map(|rate| rate.max(1));
        state.paid_until = None;
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// The rate.
    pub fn bytes_per_s(&self) -> Option<u64> {
        self.state().bytes_per_s
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many bytes may pass.
    pub(crate) async fn pass(&self, bytes: usize) {
        loop {
            let changed = self.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let Some(from) = self.book(bytes) else {
                return;
            };
            tokio::select! {
                () = sleep_until(from) => return,
                () = changed => {}
            }
        }
    }

    /// From when these bytes may pass; none for at once.
    fn book(&self, bytes: usize) -> Option<Instant> {
        let mut state = self.state();
        let rate = state.bytes_per_s?;
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = state.paid_until.map_or(earliest, |paid| paid.max(earliest));
        let nanos = u128::try_from(bytes).unwrap_or(u128::MAX) * 1_000_000_000 / u128::from(rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let paid = from.checked_add(takes).unwrap_or(from);
        state.paid_until = Some(paid);
        (paid > now).then_some(paid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_rate_keep_it_together() {
        let limit = RateLimit::new(Some(1_000_000));
        let began = Instant::now();
        let tasks = (0..4).map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    limit.pass(10_000).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let took = began.elapsed().as_millis();
        assert!((1_890..=1_910).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_wakes_those_who_wait_under_the_old_one() {
        let limit = RateLimit::new(Some(0));
        let waits = tokio::spawn({
            let limit = limit.clone();
            async move { limit.pass(usize::MAX).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waits.is_finished());
        limit.set(None);
        let began = Instant::now();
        waits.await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
