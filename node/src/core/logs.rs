//! The logs that this node holds: a summary of each in memory, the whole state of those in use.

use std::collections::{BTreeMap, BTreeSet};

use lru::LruCache;
use minicbor::{Decode, Encode};
use salus_api::ApiError;
use salus_audit::{
    BlobHash, ChainId, ClinicId, EntryHash, LogId, LogKind, LogState, Right, Rosters,
};
use salus_store::Store;

use super::failure;

/// Logs whose whole state is kept in memory. A log of 20 entries takes about 5 KB: 2,048 take some 10 MB.
const MAX_OPEN_LOGS: usize = 2_048;

/// Blobs of one record that are kept and served: those of 8,192 files with a preview each. It bounds the row of a log and what a clinic that
/// attaches without end makes others keep.
pub const MAX_NAMED_BLOBS: usize = 16_384;

/// What must be known of a log without opening it (CBOR array, sealed by the storage key).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogSummary {
    /// Whether it is a roster; a record otherwise.
    #[n(0)]
    pub roster: bool,
    /// The clinic whose roster it is, or the record's home.
    #[n(1)]
    pub owner: ClinicId,
    /// Digest of its heights.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub digest: [u8; 32],
    /// Entries held.
    #[n(3)]
    pub entries: u64,
    /// Clinics entitled to a record, with the code of their right; empty for a roster, which every known clinic may hold.
    #[n(4)]
    pub audience: Vec<(ClinicId, u8)>,
    /// Blobs that its entries name, at most [`MAX_NAMED_BLOBS`]; what an erasure took away is not among them.
    #[n(5)]
    #[cbor(default)]
    pub blobs: Vec<BlobHash>,
}

impl LogSummary {
    /// The summary of a state.
    pub fn of(state: &LogState) -> Option<Self> {
        let roster = state.kind()? == LogKind::Roster;
        let mut audience: Vec<(ClinicId, u8)> = Vec::new();
        if !roster {
            for grant in state.grants() {
                let listed = audience.iter().any(|(clinic, _)| *clinic == grant.clinic);
                if let (false, Some(right)) = (listed, state.right_of(grant.clinic)) {
                    audience.push((grant.clinic, right.code()));
                }
            }
            audience.sort_unstable();
        }
        Some(Self {
            roster,
            owner: state.home()?,
            digest: state.digest(),
            entries: state.len() as u64,
            audience,
            blobs: named_blobs(state),
        })
    }

    /// What a clinic may do with the log.
    pub fn right_of(&self, clinic: &ClinicId) -> Option<Right> {
        let at = self
            .audience
            .binary_search_by(|(c, _)| c.cmp(clinic))
            .ok()?;
        self.audience
            .get(at)
            .and_then(|(_, code)| Right::from_code(u64::from(*code)))
    }

    /// Whether a clinic may hold the log's entries.
    pub fn may_hold(&self, clinic: &ClinicId) -> bool {
        self.roster || self.right_of(clinic).is_some()
    }
}

/// The blobs that a log names: of each chain the oldest, and of each as many as of every other before one has more, so that who attaches
/// without end displaces nobody else's.
fn named_blobs(state: &LogState) -> Vec<BlobHash> {
    let mut by_chain: BTreeMap<ChainId, Vec<(u64, EntryHash)>> = BTreeMap::new();
    for (entry, _) in state.blobs() {
        if let Some(meta) = state.entry_meta(entry) {
            let of_chain = by_chain.entry(meta.chain).or_default();
            of_chain.push((meta.seq, *entry));
        }
    }
    let total: usize = by_chain.values().map(Vec::len).sum();
    let mut named = Vec::with_capacity(2 * total.min(MAX_NAMED_BLOBS));
    let mut chains: Vec<_> = by_chain
        .into_values()
        .map(|mut entries| {
            entries.sort_unstable();
            entries.into_iter()
        })
        .collect();
    while !chains.is_empty() && named.len() < MAX_NAMED_BLOBS {
        chains.retain_mut(|entries| {
            let Some((_, entry)) = entries.next() else {
                return false;
            };
            named.extend_from_slice(state.blobs_of(&entry));
            true
        });
    }
    named.truncate(MAX_NAMED_BLOBS);
    named
}

/// All logs.
pub struct LogBook {
    summaries: BTreeMap<LogId, LogSummary>,
    /// Which logs name a blob.
    named: BTreeMap<BlobHash, BTreeSet<LogId>>,
    /// The entries of a log whose payloads are known to be destroyed; none where it was not looked at since the start.
    destroyed: BTreeMap<LogId, BTreeSet<EntryHash>>,
    open: LruCache<LogId, LogState>,
}

impl LogBook {
    /// No log at all.
    pub fn empty() -> Self {
        Self {
            summaries: BTreeMap::new(),
            named: BTreeMap::new(),
            destroyed: BTreeMap::new(),
            open: LruCache::unbounded(),
        }
    }

    /// Reads the summaries.
    pub fn load(store: &Store) -> Result<Self, ApiError> {
        let mut book = Self::empty();
        for (log, bytes) in store.summaries().map_err(failure::store)? {
            let summary: LogSummary = minicbor::decode(&bytes).map_err(|_| {
                ApiError::integrity(format!("the summary of log {log} cannot be read"))
            })?;
            book.set_summary(log, summary);
        }
        Ok(book)
    }

    /// Every log's summary, by id.
    pub fn summaries(&self) -> &BTreeMap<LogId, LogSummary> {
        &self.summaries
    }

    /// One log's summary.
    pub fn summary(&self, log: &LogId) -> Option<&LogSummary> {
        self.summaries.get(log)
    }

    /// Sets a summary, after it was committed.
    pub fn set_summary(&mut self, log: LogId, summary: LogSummary) {
        let before = self.summaries.get(&log);
        let before: &[BlobHash] = before.map_or(&[], |before| &before.blobs);
        if before != summary.blobs {
            for blob in before {
                if let Some(logs) = self.named.get_mut(blob) {
                    logs.remove(&log);
                    if logs.is_empty() {
                        self.named.remove(blob);
                    }
                }
            }
            for blob in &summary.blobs {
                self.named.entry(*blob).or_default().insert(log);
            }
        }
        self.summaries.insert(log, summary);
    }

    /// The entries of a log whose payloads are known to be destroyed.
    pub fn destroyed(&self, log: &LogId) -> &BTreeSet<EntryHash> {
        static NONE: BTreeSet<EntryHash> = BTreeSet::new();
        self.destroyed.get(log).unwrap_or(&NONE)
    }

    /// The logs of which something is.
    pub fn with_destroyed(&self) -> impl Iterator<Item = LogId> {
        self.destroyed.keys().copied()
    }

    /// Says so, after it was committed.
    pub fn set_destroyed(&mut self, log: LogId, entries: BTreeSet<EntryHash>) {
        if entries.is_empty() {
            self.destroyed.remove(&log);
        } else {
            self.destroyed.insert(log, entries);
        }
    }

    /// The logs that name a blob.
    pub fn naming(&self, blob: &BlobHash) -> impl Iterator<Item = &LogId> {
        self.named.get(blob).into_iter().flatten()
    }

    /// Every blob that a log names.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobHash> {
        self.named.keys()
    }

    /// The state of a log, folded from its stored entries where it is not open yet, and judged by the rosters as they are; empty for a
    /// log that is not held.
    pub fn state(
        &mut self,
        log: LogId,
        store: &Store,
        rosters: &Rosters,
    ) -> Result<&mut LogState, ApiError> {
        if !self.open.contains(&log) {
            let state = if self.summaries.contains_key(&log) {
                let entries = store.log_entries_for_replay(log).map_err(failure::store)?;
                let state = LogState::replay(log, entries);
                let summary = self.summaries.get(&log);
                if summary.is_some_and(|s| s.digest != state.digest()) {
                    return Err(ApiError::integrity(format!(
                        "log {log} is not what was stored: entries are missing or damaged"
                    ))
                    .hint(
                        "run `salus audit verify --all` to see which; other records stay usable",
                    ));
                }
                state
            } else {
                LogState::new(log)
            };
            self.open.put(log, state);
        }
        let state = self
            .open
            .get_mut(&log)
            .ok_or_else(|| ApiError::failed(format!("log {log} could not be opened")))?;
        state.settle(rosters);
        Ok(state)
    }

    /// Hands over the state of a log that is kept elsewhere: a roster's.
    pub fn take(&mut self, log: LogId, store: &Store) -> Result<LogState, ApiError> {
        self.state(log, store, &Rosters::default())?;
        self.open
            .pop(&log)
            .ok_or_else(|| ApiError::failed(format!("log {log} could not be opened")))
    }

    /// Forgets the states that were used longest ago. Never within a transaction: what is not committed yet is nowhere else.
    pub fn trim(&mut self) {
        while self.open.len() > MAX_OPEN_LOGS {
            self.open.pop_lru();
        }
    }

    /// Forgets every state.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }

    /// Forgets the state of a log, so that the next use folds it from what is stored.
    pub fn forget(&mut self, log: &LogId) {
        self.open.pop(log);
    }
}
