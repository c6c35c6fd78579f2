//! Which blobs are in use: none of them is collected.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use salus_audit::BlobHash;
use tokio::sync::OwnedMutexGuard;

type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
pub(crate) struct Guards {
    counts: Mutex<HashMap<BlobHash, usize>>,
    turns: Mutex<HashMap<BlobHash, Turn>>,
}

impl Guards {
    fn counts(&self) -> MutexGuard<'_, HashMap<BlobHash, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn guard(self: &Arc<Self>, blob: BlobHash) -> BlobGuard {
        *self.counts().entry(blob).or_default() += 1;
        let guards = self.clone();
        BlobGuard { guards, blob }
    }

    pub(crate) fn has(&self, blob: BlobHash) -> bool {
        self.counts().contains_key(&blob)
    }

    pub(crate) fn all(&self) -> Vec<BlobHash> {
        self.counts().keys().copied().collect()
    }

    /// Waits until nobody else fetches this blob.
    pub(crate) async fn turn(self: &Arc<Self>, blob: BlobHash) -> BlobTurn {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(blob).or_default().clone()
        };
        let mine = Some(turn.lock_owned().await);
        let guards = self.clone();
        BlobTurn { guards, blob, mine }
    }
}

/// Keeps a blob from being collected until it is dropped.
pub struct BlobGuard {
    guards: Arc<Guards>,
    blob: BlobHash,
}

impl BlobGuard {
    /// Which blob.
    pub fn blob(&self) -> BlobHash {
        self.blob
    }
}

impl fmt::Debug for BlobGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobGuard({})", self.blob)
    }
}

impl Drop for BlobGuard {
    fn drop(&mut self) {
        let mut counts = self.guards.counts();
        if let Some(count) = counts.get_mut(&self.blob) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.blob);
            }
        }
    }
}

/// The right to fetch a blob; one at a time has it.
pub(crate) struct BlobTurn {
    guards: Arc<Guards>,
    blob: BlobHash,
    mine: Option<OwnedMutexGuard<()>>,
}

impl Drop for BlobTurn {
    fn drop(&mut self) {
        self.mine = None;
        let turns = &self.guards.turns;
        let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own is the only one left: nobody waits.
        if turns
            .get(&self.blob)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.blob);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn guards_are_counted_and_turns_are_forgotten() {
        let guards = Arc::new(Guards::default());
        let blob = BlobHash::from_bytes([1; 32]);
        let (first, second) = (guards.guard(blob), guards.guard(blob));
        drop(first);
        assert!(guards.has(blob));
        drop(second);
        assert!(!guards.has(blob) && guards.all().is_empty());
        let turn = guards.turn(blob).await;
        let other = tokio::spawn({
            let guards = guards.clone();
            async move { drop(guards.turn(blob).await) }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_finished());
        drop(turn);
        other.await.unwrap();
        assert!(guards.turns.lock().unwrap().is_empty());
    }
}
