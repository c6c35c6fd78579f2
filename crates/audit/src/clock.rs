//! Causal clocks: what an entry's writer can have known, at the cost of one number a line.

use std::sync::Arc;

use crate::id::{ActorId, ChainId, EntryHash};
use crate::kind::{Kind, Scope};
use crate::lines::Lines;

/// A place in a log: the line by its number in one [`LogState`](crate::LogState), and the sequence
/// number. Numbers depend on the order of arrival and never leave the state. (A `seq` counts entries
/// that are held one by one, so 32 bits are enough: [`MAX_SEQ`].)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick {
    pub(crate) line: u32,
    pub(crate) seq: u32,
}

/// The highest `seq` that a log takes. Nobody gets there: each place needs the entry before it.
pub(crate) const MAX_SEQ: u64 = u32::MAX as u64 - 1;

impl Tick {
    /// The place; beyond [`MAX_SEQ`] there are none.
    pub(crate) fn new(line: u32, seq: u64) -> Tick {
        let seq = u32::try_from(seq).unwrap_or(u32::MAX);
        Tick { line, seq }
    }
}

/// What a state remembers of an accepted entry: a digest of the header and the causal clock.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The entry.
    pub hash: EntryHash,
    /// Its chain.
    pub chain: ChainId,
    /// The line that it was put on here: the chain, or a fork of it ([`ChainId::fork`]). The store keeps
    /// it under (`line`, `seq`).
    pub line: ChainId,
    /// Its position in the chain.
    pub seq: u64,
    /// Its position in its incarnation's tree; a cut names one.
    pub tree_index: u64,
    /// What it does.
    pub kind: Kind,
    /// What part of the document it may touch.
    pub scope: Option<Scope>,
    pub(crate) number: u32,
    /// Who did it.
    pub actor: ActorId,
    /// The time that the writer claims, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The roster and federation heads that the writer relied on; shared along a chain.
    pub authority: Arc<[EntryHash]>,
    /// How many entries are in its causal past, itself included: rises along every path.
    pub depth: u64,
    /// The highest place of every other line in its causal past, ascending by number. Shared between
    /// the entries of a run that merges nothing, so an unshared log needs none.
    pub(crate) others: Arc<[Tick]>,
}

impl Meta {
    pub(crate) fn at(&self) -> Tick {
        Tick::new(self.number, self.seq)
    }

    /// Whether the place is in the entry's causal past, itself included.
    pub(crate) fn covers(&self, at: Tick) -> bool {
        self.reach(at.line).is_some_and(|seq| at.seq <= seq)
    }

    /// The highest place of this line in the entry's causal past, itself included.
    pub(crate) fn reach(&self, line: u32) -> Option<u32> {
        if line == self.number {
            return Some(self.at().seq);
        }
        let found = self.others.binary_search_by_key(&line, |tick| tick.line);
        found
            .ok()
            .and_then(|found| self.others.get(found))
            .map(|tick| tick.seq)
    }

    /// The highest place of every line in the entry's causal past, itself included.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = Tick> {
        self.others.iter().copied().chain([self.at()])
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

    /// The highest places of all lines but `own`, ascending by number, and how many entries of those
    /// lines that makes.
    pub(crate) fn others(&self, own: u32, lines: &Lines) -> (Arc<[Tick]>, u64) {
        let others = match self.0.as_slice() {
            [] => Arc::default(),
            [prev] if prev.number == own => prev.others.clone(),
            metas => {
                let ticks = metas.iter().flat_map(|meta| meta.ticks());
                let mut ticks: Vec<Tick> = ticks.filter(|tick| tick.line != own).collect();
                // The highest of each line comes first and is the one that stays.
                ticks.sort_unstable_by(|a, b| a.line.cmp(&b.line).then(b.seq.cmp(&a.seq)));
                ticks.dedup_by_key(|tick| tick.line);
                ticks.into()
            }
        };
        let entries = others.iter().map(|tick| lines.length_to(*tick)).sum();
        (others, entries)
    }
}
