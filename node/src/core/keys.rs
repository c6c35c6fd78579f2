//! Epoch keys of records: from the grants that carry them, or from the key of the epoch that followed.

use std::collections::BTreeSet;

use salus_api::ApiError;
use salus_audit::{EntryHash, LogId};
use salus_vault::{EpochKey, open_previous_key, unwrap_epoch_key};

use super::Core;

/// Keys of the node's earlier lives that are tried for a grant: one a rotation or restore.
pub(super) const MAX_PAST_KEYS: usize = 64;

impl Core {
    /// The newest epoch of a record that this clinic has a key of, and the key.
    pub(crate) fn newest_key(&mut self, log: LogId) -> Result<(EntryHash, EpochKey), ApiError> {
        self.refuse_erased(log)?;
        self.current_key(log)
    }

    /// The same, of a record that was erased as well: looks at its log are still logged, its clinics revoked.
    pub(super) fn current_key(&mut self, log: LogId) -> Result<(EntryHash, EpochKey), ApiError> {
        self.opened()?;
        let epochs: Vec<EntryHash> = self.log(log)?.epochs().map(|epoch| epoch.id).collect();
        for epoch in epochs.into_iter().rev() {
            if let Ok(key) = self.epoch_key(log, epoch) {
                return Ok((epoch, key));
            }
        }
        Err(not_readable(log))
    }

    /// The key of one epoch: the one that a grant carries, or the one sealed under a later epoch's key that can be had.
    pub(super) fn epoch_key(
        &mut self,
        log: LogId,
        wanted: EntryHash,
    ) -> Result<EpochKey, ApiError> {
        if let Some(key) = self.held_key(log, wanted)? {
            return Ok(key);
        }
        // From the wanted epoch towards the later ones, until one is found whose key is at hand.
        let mut seen = BTreeSet::from([wanted]);
        let mut paths = vec![vec![wanted]];
        while let Some(path) = paths.pop() {
            let Some(&last) = path.last() else { continue };
            let later: Vec<EntryHash> = self
                .log(log)?
                .epochs()
                .filter(|epoch| epoch.previous.as_ref().is_some_and(|(id, _)| *id == last))
                .map(|epoch| epoch.id)
                .collect();
            for next in later {
                if !seen.insert(next) {
                    continue;
                }
                let mut path = path.clone();
                path.push(next);
                if let Some(key) = self.held_key(log, next)? {
                    return self.walk_back(log, &path, key);
                }
                paths.push(path);
            }
        }
        Err(not_readable(log))
    }

    /// Opens one key after the other, from the last epoch of a path to its first.
    fn walk_back(
        &mut self,
        log: LogId,
        path: &[EntryHash],
        mut key: EpochKey,
    ) -> Result<EpochKey, ApiError> {
        for pair in path.windows(2).rev() {
            let [earlier, later] = pair else { continue };
            let state = self.log(log)?;
            let sealed = state
                .epochs()
                .find(|epoch| epoch.id == *later)
                .and_then(|epoch| epoch.previous.clone());
            let commitment = state.commitment(earlier);
            let (Some((_, sealed)), Some(commitment)) = (sealed, commitment) else {
                return Err(not_readable(log));
            };
            key = open_previous_key(&key, log, *earlier, &sealed, &commitment)
                .map_err(|_| not_readable(log))?;
            self.opened()?.keep_key(log, *earlier, key.clone());
        }
        Ok(key)
    }

    /// The key of one epoch where it is in memory or a grant to this clinic carries it.
    fn held_key(&mut self, log: LogId, epoch: EntryHash) -> Result<Option<EpochKey>, ApiError> {
        if let Some(key) = self.opened()?.key(log, &epoch) {
            return Ok(Some(key));
        }
        let me = self.me();
        let state = self.log(log)?;
        let Some(commitment) = state.commitment(&epoch) else {
            return Ok(None);
        };
        let wrapped: Vec<Vec<u8>> = state
            .all_grants()
            .iter()
            .filter(|grant| grant.clinic == me && grant.epoch == epoch)
            .map(|grant| grant.wrapped.clone())
            .collect();
        let opened = self.opened()?;
        let found = wrapped.iter().find_map(|wrapped| {
            opened.hpke_secrets().find_map(|secret| {
                unwrap_epoch_key(secret, log, epoch, me, wrapped, &commitment).ok()
            })
        });
        if let Some(key) = &found {
            opened.keep_key(log, epoch, key.clone());
        }
        Ok(found)
    }
}

pub(super) fn not_readable(log: LogId) -> ApiError {
    ApiError::refused(format!(
        "this clinic holds record {log} without a key to read it"
    ))
    .hint("ask its home clinic for a read or write grant")
}
