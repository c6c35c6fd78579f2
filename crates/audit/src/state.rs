//! The state of one log: a pure fold over its accepted entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Meta, Tick};
use crate::draft::Position;
use crate::entry::Entry;
use crate::header::MAX_PARENTS;
use crate::heights::{Heights, digest};
use crate::id::{ActorId, BlobHash, ChainId, ClinicId, EntryHash, LogId};
use crate::kind::Right;
use crate::lines::{Fork, Line, Lines};
use crate::rights::{EpochState, GrantState, Rights};
use crate::roster::Roster;
use crate::rosters::Rosters;
use crate::standing::Outcome;
use crate::verdict::Verdict;

/// Most lines in one log, forks included. A chain is one incarnation of one clinic, so a log meets a few.
/// The bound keeps a clinic with very many incarnations from growing every clock: 8 KiB an entry at most.
/// It is one of the two rules that depend on the order of arrival, and only beyond it; the other is
/// [`MAX_FORKS`](crate::MAX_FORKS).
pub const MAX_CHAINS: usize = 1024;

/// What sort of log it is; its genesis decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// A clinic's roster.
    Roster,
    /// A patient's record.
    Record,
}

/// One log, roster or record, as far as it is held. It remembers no payload: those of control entries
/// are folded into the roster or the rights, those of clinical entries are never looked at.
#[derive(Debug, Clone)]
pub struct LogState {
    pub(crate) log: LogId,
    /// In order of acceptance, which is a causal order.
    pub(crate) entries: Vec<Meta>,
    pub(crate) index: BTreeMap<EntryHash, usize>,
    pub(crate) lines: Lines,
    pub(crate) heights: Heights,
    pub(crate) heads: BTreeSet<EntryHash>,
    /// The highest tree index of each actor on each line, but for the last entries of the lines
    /// ([`tops`](Self::tops) adds these): whether a cut can reach anything here.
    pub(crate) lower_tops: BTreeMap<(u32, ActorId), u64>,
    pub(crate) fold: Fold,
    pub(crate) outcome: Outcome,
    pub(crate) unplaced: Vec<EntryHash>,
    /// The blobs that attach entries name.
    pub(crate) blobs: BTreeMap<EntryHash, Box<[BlobHash]>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Fold {
    Empty,
    Roster(Box<Roster>),
    Record(Box<Rights>),
}

impl LogState {
    /// An empty log.
    pub fn new(log: LogId) -> LogState {
        LogState {
            log,
            entries: Vec::new(),
            index: BTreeMap::new(),
            lines: Lines::default(),
            heights: Heights::new(),
            heads: BTreeSet::new(),
            lower_tops: BTreeMap::new(),
            fold: Fold::Empty,
            outcome: Outcome::default(),
            unplaced: Vec::new(),
            blobs: BTreeMap::new(),
        }
    }

    /// Judges the entry by its causal past and the rosters that it relies on, and adds it if it may be
    /// held. Its signatures must have been verified. The same set of entries is accepted on every
    /// replica, in whatever order they arrive, within [`MAX_CHAINS`] and [`MAX_FORKS`](crate::MAX_FORKS).
    /// Whether it counts is another question: see [`void`](Self::void). The state is left settled.
    pub fn admit(&mut self, entry: &Entry, rosters: &Rosters) -> Verdict {
        self.settle(rosters);
        match self.judge(entry, rosters) {
            Ok(judged) => {
                self.apply(entry, judged.control, None);
                self.reconsider(judged.writer, judged.other.is_some(), rosters);
                match judged.other {
                    Some(other) => Verdict::Forked { other },
                    None => Verdict::Accepted,
                }
            }
            Err(verdict) => verdict,
        }
    }

    /// The log's id.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// What sort of log it is; `None` before its genesis.
    pub fn kind(&self) -> Option<LogKind> {
        match self.fold {
            Fold::Empty => None,
            Fold::Roster(_) => Some(LogKind::Roster),
            Fold::Record(_) => Some(LogKind::Record),
        }
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Each canonical line's highest entry held: each chain's, where no chain is forked. Where a chain
    /// shows several histories each of these is a line of its own, which begins after the last entry
    /// that they share.
    pub fn heights(&self) -> &Heights {
        &self.heights
    }

    /// The entries that no other entry names as parent or predecessor, whether they count or not.
    pub fn heads(&self) -> &BTreeSet<EntryHash> {
        &self.heads
    }

    /// All entries in a causal order: nothing comes before its parents.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Meta> + ExactSizeIterator {
        self.entries.iter()
    }

    /// What is remembered of the entry.
    pub fn entry_meta(&self, hash: &EntryHash) -> Option<&Meta> {
        self.entries.get(*self.index.get(hash)?)
    }

    /// The entry at this place of a physical line.
    pub fn entry_at(&self, line: ChainId, seq: u64) -> Option<&Meta> {
        let seq = u32::try_from(seq).ok()?;
        let line = self.lines.number(&line)?;
        self.meta_at(Tick { line, seq })
    }

    /// The highest `seq` of each chain in the entry's causal past, itself included, ascending by chain.
    pub fn clock(&self, hash: &EntryHash) -> Option<Vec<(ChainId, u64)>> {
        let mut clock: BTreeMap<ChainId, u64> = BTreeMap::new();
        for tick in self.entry_meta(hash)?.ticks() {
            let highest = clock.entry(self.lines.get(tick.line)?.chain).or_default();
            *highest = u64::from(tick.seq).max(*highest);
        }
        Some(clock.into_iter().collect())
    }

    /// Whether `ancestor` is in the causal past of `entry`, or is it. `None` if either is not held.
    pub fn is_ancestor(&self, ancestor: &EntryHash, entry: &EntryHash) -> Option<bool> {
        Some(
            self.entry_meta(entry)?
                .covers(self.entry_meta(ancestor)?.at()),
        )
    }

    /// The roster, if this is one.
    pub fn roster(&self) -> Option<&Roster> {
        match &self.fold {
            Fold::Roster(roster) => Some(roster),
            _ => None,
        }
    }

    /// The clinic that owns the record, or whose roster it is.
    pub fn home(&self) -> Option<ClinicId> {
        match &self.fold {
            Fold::Empty => None,
            Fold::Roster(roster) => Some(roster.clinic()),
            Fold::Record(rights) => Some(rights.home),
        }
    }

    /// The epochs that count, oldest first; none for a roster.
    pub fn epochs(&self) -> impl Iterator<Item = &EpochState> {
        let rights = self.rights().into_iter();
        rights.flat_map(|rights| {
            let order = rights.order.iter();
            order.filter_map(|id| rights.epochs.get(id))
        })
    }

    /// What the key of this epoch must hash to, whether the epoch counts or not.
    pub fn commitment(&self, epoch: &EntryHash) -> Option<[u8; 32]> {
        let epoch = self.rights()?.epochs.get(epoch)?;
        Some(epoch.commitment)
    }

    /// The epoch to seal with: the newest that counts.
    pub fn current_epoch(&self) -> Option<EntryHash> {
        self.rights()?.order.last().copied()
    }

    /// The live grants, in the order in which they were accepted here; none for a roster.
    pub fn grants(&self) -> impl Iterator<Item = &GrantState> {
        self.all_grants().iter().filter(|grant| grant.live)
    }

    /// All grants that are held, in the order in which they were accepted here; empty for a roster.
    pub fn all_grants(&self) -> &[GrantState] {
        self.rights().map_or(&[], |rights| &rights.grants)
    }

    /// The strongest right of the clinic now: of those that count, granted by somebody who knew of every
    /// revocation of the clinic that counts. `None` for a stranger and for a roster.
    pub fn right_of(&self, clinic: ClinicId) -> Option<Right> {
        self.rights()?.of(clinic)
    }

    /// What a revocation of the clinic that writes these chains names: the highest tree index held here
    /// of each of them that wrote here, ascending by chain.
    pub fn cuts_for(&self, chains: impl IntoIterator<Item = ChainId>) -> Vec<(ChainId, u64)> {
        let highest = |chain: ChainId| {
            let lines = self.lines.of(&chain).into_iter();
            let ends = lines.filter_map(|number| self.last_of(number));
            let highest = ends.map(|meta| meta.tree_index).max()?;
            Some((chain, highest))
        };
        let mut cuts: Vec<_> = chains.into_iter().filter_map(highest).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// Stands for the held set: equal for two replicas exactly if their heights, hashes included, are.
    pub fn digest(&self) -> [u8; 32] {
        digest(self.log, &self.heights)
    }

    /// Where the chain's next entry goes, given the size of the incarnation's tree.
    pub fn position(&self, chain: ChainId, tree_size: u64) -> Position {
        let last = self.own_last(chain);
        Position {
            chain,
            seq: last.map_or(0, |last| last.seq.saturating_add(1)),
            prev: last.map(|last| last.hash),
            tree_index: tree_size,
        }
    }

    /// What an entry that this chain writes now names as parents: the heads of what counts but the
    /// chain's own last entry, the deepest first if there are more than [`MAX_PARENTS`]. The others are
    /// merged next time.
    pub fn parents(&self, chain: ChainId) -> Vec<EntryHash> {
        let own = self.own_last(chain);
        // What leads to the chain's own last entry is in its past already, even if that is void.
        let is_new = |hash: &EntryHash| {
            let meta = self.entry_meta(hash);
            !own.zip(meta)
                .is_some_and(|(own, meta)| own.covers(meta.at()))
        };
        let mut parents: Vec<EntryHash> = self.standing_heads();
        parents.retain(is_new);
        if parents.len() > MAX_PARENTS {
            let depth = |hash: &EntryHash| self.entry_meta(hash).map_or(0, |meta| meta.depth);
            parents.sort_by_key(|hash| std::cmp::Reverse(depth(hash)));
            parents.truncate(MAX_PARENTS);
        }
        parents
    }

    /// The places at which a chain shows several histories, ascending.
    pub fn forks(&self) -> impl Iterator<Item = Fork> {
        let mut forks: Vec<Fork> = Vec::new();
        for (chain, forked) in self.lines.forked() {
            for branch in &forked.branches {
                let metas = branch.entries.iter().filter_map(|at| self.meta_at(*at));
                let mut entries: Vec<EntryHash> = metas.map(|meta| meta.hash).collect();
                entries.sort_unstable();
                let (chain, seq) = (*chain, u64::from(branch.seq));
                forks.push(Fork {
                    chain,
                    seq,
                    entries,
                });
            }
        }
        // A chain can show several at one `seq`, on different lines.
        forks.sort_unstable();
        forks.into_iter()
    }

    /// The canonical line of an entry: under which [`heights`](Self::heights) speak of it.
    pub fn line_of(&self, hash: &EntryHash) -> Option<ChainId> {
        self.lines.canonical(self.entry_meta(hash)?.at())
    }

    /// Entries given to [`replay`](Self::replay) that fit nowhere: the store has lost or mixed up what
    /// they build on.
    pub fn unplaced(&self) -> &[EntryHash] {
        &self.unplaced
    }

    /// The blobs of one entry, erased or not.
    pub fn blobs_of(&self, entry: &EntryHash) -> &[BlobHash] {
        self.blobs.get(entry).map_or(&[], |blobs| &**blobs)
    }

    /// What attach entries name, erased or not.
    pub(crate) fn all_blobs(&self) -> impl Iterator<Item = (&EntryHash, &[BlobHash])> {
        self.blobs.iter().map(|(entry, blobs)| (entry, &**blobs))
    }

    pub(crate) fn is_void(&self, entry: &EntryHash) -> bool {
        self.outcome.is_void(entry)
    }

    pub(crate) fn rights(&self) -> Option<&Rights> {
        match &self.fold {
            Fold::Record(rights) => Some(rights),
            _ => None,
        }
    }

    pub(crate) fn meta_at(&self, at: Tick) -> Option<&Meta> {
        self.entries.get(self.lines.place(at)?)
    }

    /// The highest tree index of each actor on each line.
    pub(crate) fn tops(&self) -> BTreeMap<(u32, ActorId), u64> {
        let mut tops = self.lower_tops.clone();
        let lasts = self.lines.iter().filter_map(|(line, _)| self.last_of(line));
        tops.extend(lasts.map(|last| ((last.number, last.actor), last.tree_index)));
        tops
    }

    pub(crate) fn last_of(&self, line: u32) -> Option<&Meta> {
        let seq = self.lines.get(line).and_then(Line::last)?;
        self.meta_at(Tick { line, seq })
    }

    /// The last entry of the chain on the line that came first: what its own node goes on from.
    fn own_last(&self, chain: ChainId) -> Option<&Meta> {
        let number = self.lines.number(&chain);
        let number = number.or_else(|| self.lines.of(&chain).first().copied());
        self.last_of(number?)
    }

    /// The heads of what counts: the counting entries that no other counting entry builds on.
    pub(crate) fn standing_heads(&self) -> Vec<EntryHash> {
        if !self.heads.iter().any(|head| self.outcome.is_void(head)) {
            return self.heads.iter().copied().collect();
        }
        let lasts = self.lines.iter().filter_map(|(_, line)| {
            let metas = line.places.iter().rev();
            metas
                .filter_map(|place| self.entries.get(*place))
                .find(|meta| !self.outcome.is_void(&meta.hash))
        });
        let lasts: Vec<&Meta> = lasts.collect();
        let is_head = |meta: &&&Meta| {
            let mut others = lasts.iter().filter(|other| other.hash != meta.hash);
            !others.any(|other| other.covers(meta.at()))
        };
        let mut heads: Vec<EntryHash> =
            lasts.iter().filter(is_head).map(|meta| meta.hash).collect();
        heads.sort_unstable();
        heads
    }
}
