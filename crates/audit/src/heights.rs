//! Heights: how far each chain of a log is held, and how two replicas differ.

use std::collections::BTreeMap;

use crate::id::{ChainId, EntryHash, LogId};

/// Separates the digests of heights from all other hashes (BLAKE3 `derive_key` context).
pub const HEIGHTS_DOMAIN: &str = "salus/heights/v1";

/// The highest entry of a line up to which all are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height {
    /// Its position.
    pub seq: u64,
    /// Its hash, which fixes all before it.
    pub hash: EntryHash,
}

/// Every line's height: every chain's, where none shows two histories.
pub type Heights = BTreeMap<ChainId, Height>;

/// A range of a chain, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The chain.
    pub chain: ChainId,
    /// The first position.
    pub from: u64,
    /// The last position.
    pub to: u64,
}

impl Span {
    /// How many entries it has.
    pub fn len(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }

    /// Never: a span has at least one entry.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// What the owner of `have` holds and the owner of `lack` does not, ascending by chain. A chain that has
/// another hash at the same height is not listed: that is equivocation, not lag.
pub fn spans(have: &Heights, lack: &Heights) -> Vec<Span> {
    let differ = have.iter().filter_map(|(chain, height)| {
        let from = lack
            .get(chain)
            .map_or(0, |height| height.seq.saturating_add(1));
        let span = Span {
            chain: *chain,
            from,
            to: height.seq,
        };
        (from <= height.seq).then_some(span)
    });
    differ.collect()
}

/// Stands for a log's heights, hashes included.
pub fn digest(log: LogId, heights: &Heights) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(HEIGHTS_DOMAIN);
    hasher.update(log.as_bytes());
    for (chain, height) in heights {
        hasher.update(chain.as_bytes());
        hasher.update(&height.seq.to_be_bytes());
        hasher.update(height.hash.as_bytes());
    }
    hasher.finalize().into()
}
