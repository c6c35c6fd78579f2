//! Causal clocks: what an entry's writer can have known, at the cost of one number a chain.

use std::sync::Arc;

use crate::id::{ActorId, ChainId, EntryHash};
use crate::kind::{Kind, Scope};

/// A place in a log: the chain by its number in one [`LogState`](crate::LogState), and the sequence
/// number. Numbers depend on the order of arrival and never leave the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick {
    pub(crate) chain: u32,
    pub(crate) seq: u64,
}

/// What a state remembers of an accepted entry: a digest of the header and the causal clock.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The entry.
    pub hash: EntryHash,
    /// Its chain.
    pub chain: ChainId,
    /// Its position in the chain.
    pub seq: u64,
    /// Its position in its incarnation's tree; a cut names one.
    pub tree_index: u64,
    /// What it does.
    pub kind: Kind,
    /// What part of the document it may touch.
    pub scope: Option<Scope>,
    /// Who did it.
    pub actor: ActorId,
    /// The time that the writer claims, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The roster and federation heads that the writer relied on; shared along a chain.
    pub authority: Arc<[EntryHash]>,
    /// How many entries are in its causal past, itself included: rises along every path.
    pub depth: u64,
    pub(crate) at: Tick,
    /// The highest place of every other chain in its causal past, ascending by number. Shared between
    /// the entries of a run that merges nothing, so an unshared log needs none.
    pub(crate) others: Arc<[Tick]>,
}

impl Meta {
    /// Whether the place is in the entry's causal past, itself included.
    pub(crate) fn covers(&self, at: Tick) -> bool {
        if at.chain == self.at.chain {
            return at.seq <= self.at.seq;
        }
        self.others
            .binary_search_by_key(&at.chain, |tick| tick.chain)
            .is_ok_and(|found| {
                self.others
                    .get(found)
                    .is_some_and(|tick| at.seq <= tick.seq)
            })
    }

    /// The highest place of every chain in the entry's causal past, itself included.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = Tick> {
        self.others.iter().copied().chain([self.at])
    }
}

/// The union of several entries' causal pasts, themselves included.
#[derive(Debug, Default)]
pub(crate) struct Past<'a>(pub(crate) Vec<&'a Meta>);

impl Past<'_> {
    /// Whether the place is in it.
    pub(crate) fn covers(&self, at: Tick) -> bool {
        self.0.iter().any(|meta| meta.covers(at))
    }

    /// The highest places of all chains but `own`, ascending by number, and how many entries of those
    /// chains that makes.
    pub(crate) fn others(&self, own: u32) -> (Arc<[Tick]>, u64) {
        let others = match self.0.as_slice() {
            [] => Arc::default(),
            [prev] if prev.at.chain == own => prev.others.clone(),
            metas => {
                let ticks = metas.iter().flat_map(|meta| meta.ticks());
                let mut ticks: Vec<Tick> = ticks.filter(|tick| tick.chain != own).collect();
                // The highest of each chain comes first and is the one that stays.
                ticks.sort_unstable_by(|a, b| a.chain.cmp(&b.chain).then(b.seq.cmp(&a.seq)));
                ticks.dedup_by_key(|tick| tick.chain);
                ticks.into()
            }
        };
        let entries = others.iter().map(|tick| tick.seq.saturating_add(1)).sum();
        (others, entries)
    }
}
