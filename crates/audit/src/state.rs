//! The state of one log: a pure fold over its accepted entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::{Meta, Past, Tick};
use crate::control::Control;
use crate::draft::Position;
use crate::entry::Entry;
use crate::header::{Header, MAX_PARENTS};
use crate::heights::{Height, Heights, Span, digest, spans};
use crate::id::{ChainId, ClinicId, EntryHash, LogId};
use crate::kind::{Kind, Right};
use crate::rights::{GrantState, Rights};
use crate::roster::Roster;
use crate::rosters::Rosters;
use crate::verdict::{Refusal, Verdict};

/// Most chains in one log. A chain is one incarnation of one clinic, so a log meets a few. The bound
/// keeps a clinic with very many incarnations from growing every clock: 16 KiB an entry at most. It is
/// the one rule that depends on the order of arrival, and only beyond it.
pub const MAX_CHAINS: usize = 1024;

/// What sort of log it is; its genesis decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// A clinic's roster.
    Roster,
    /// A patient's record.
    Record,
}

/// Two entries of one chain for one place, in the order in which they were seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// The place.
    pub seq: u64,
    /// The entry that holds the place here.
    pub held: EntryHash,
    /// The entry that came later.
    pub other: EntryHash,
}

/// One log, roster or record, as far as it is held. It remembers no payload: those of control entries
/// are folded into the roster or the rights, those of clinical entries are never looked at.
#[derive(Debug, Clone)]
pub struct LogState {
    log: LogId,
    /// In order of acceptance, which is a causal order.
    entries: Vec<Meta>,
    index: BTreeMap<EntryHash, usize>,
    numbers: BTreeMap<ChainId, u32>,
    /// By chain number and `seq`, the place in `entries`.
    chains: Vec<Vec<usize>>,
    heights: Heights,
    heads: BTreeSet<EntryHash>,
    fold: Fold,
    equivocations: BTreeMap<ChainId, Equivocation>,
    unplaced: Vec<EntryHash>,
}

#[derive(Debug, Clone)]
enum Fold {
    Empty,
    Roster(Box<Roster>),
    Record(Rights),
}

impl LogState {
    /// An empty log.
    pub fn new(log: LogId) -> LogState {
        LogState {
            log,
            entries: Vec::new(),
            index: BTreeMap::new(),
            numbers: BTreeMap::new(),
            chains: Vec::new(),
            heights: Heights::new(),
            heads: BTreeSet::new(),
            fold: Fold::Empty,
            equivocations: BTreeMap::new(),
            unplaced: Vec::new(),
        }
    }

    /// Judges the entry by its causal past and the rosters that it relies on, and adds it if it belongs
    /// to the log. Its signatures must have been verified. The same set of entries is accepted on every
    /// replica, in whatever order they arrive, as long as no chain equivocates.
    pub fn admit(&mut self, entry: &Entry, rosters: &Rosters) -> Verdict {
        match self.judge(entry, rosters) {
            Ok(control) => {
                self.apply(entry, control);
                Verdict::Accepted
            }
            Err(Verdict::Equivocation { other: held }) => {
                let header = entry.header();
                let (seq, other) = (header.seq, entry.hash());
                self.note_equivocation(header.chain, Equivocation { seq, held, other });
                Verdict::Equivocation { other: held }
            }
            Err(verdict) => verdict,
        }
    }

    /// Rebuilds the state from entries that were accepted and stored: nothing is verified or judged
    /// again. They may come in any order, clinical ones without payload, control ones with theirs. What
    /// cannot be placed is listed by [`unplaced`](Self::unplaced).
    pub fn replay(log: LogId, entries: impl IntoIterator<Item = Entry>) -> LogState {
        let mut state = LogState::new(log);
        let mut waiting: BTreeMap<EntryHash, Vec<Entry>> = BTreeMap::new();
        let mut ready: Vec<Entry> = Vec::new();
        for entry in entries {
            ready.push(entry);
            while let Some(entry) = ready.pop() {
                match state.place(&entry) {
                    Place::Here(control) => {
                        state.apply(&entry, control);
                        ready.extend(waiting.remove(&entry.hash()).unwrap_or_default());
                    }
                    Place::After(missing) => waiting.entry(missing).or_default().push(entry),
                    Place::Held => {}
                    Place::Nowhere => state.unplaced.push(entry.hash()),
                }
            }
        }
        state
            .unplaced
            .extend(waiting.values().flatten().map(Entry::hash));
        state
    }

    /// Remembers that a chain equivocated, for a state that was rebuilt: the chain is frozen.
    pub fn note_equivocation(&mut self, chain: ChainId, equivocation: Equivocation) {
        self.equivocations.entry(chain).or_insert(equivocation);
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

    /// Each chain's highest entry held.
    pub fn heights(&self) -> &Heights {
        &self.heights
    }

    /// The entries that no other entry names as parent or predecessor.
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

    /// The entry at this place.
    pub fn entry_at(&self, chain: ChainId, seq: u64) -> Option<&Meta> {
        let number = usize::try_from(*self.numbers.get(&chain)?).ok()?;
        let place = *self.chains.get(number)?.get(usize::try_from(seq).ok()?)?;
        self.entries.get(place)
    }

    /// The highest `seq` of each chain in the entry's causal past, itself included, ascending by chain.
    pub fn clock(&self, hash: &EntryHash) -> Option<Vec<(ChainId, u64)>> {
        let meta = self.entry_meta(hash)?;
        let chains = meta
            .ticks()
            .map(|tick| Some((self.chain_of(tick)?, tick.seq)));
        let mut clock: Vec<_> = chains.collect::<Option<_>>()?;
        clock.sort_unstable();
        Some(clock)
    }

    /// Whether `ancestor` is in the causal past of `entry`, or is it. `None` if either is not held.
    pub fn is_ancestor(&self, ancestor: &EntryHash, entry: &EntryHash) -> Option<bool> {
        Some(
            self.entry_meta(entry)?
                .covers(self.entry_meta(ancestor)?.at),
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

    /// What the key of each epoch must hash to; empty for a roster.
    pub fn epochs(&self) -> impl Iterator<Item = (EntryHash, [u8; 32])> {
        let rights = self.rights().into_iter();
        rights.flat_map(|rights| {
            rights
                .epochs
                .iter()
                .map(|(id, commitment)| (*id, *commitment))
        })
    }

    /// What the key of this epoch must hash to.
    pub fn commitment(&self, epoch: &EntryHash) -> Option<[u8; 32]> {
        self.rights()?.epochs.get(epoch).copied()
    }

    /// The epoch to seal with.
    pub fn current_epoch(&self) -> Option<EntryHash> {
        self.rights().map(|rights| rights.newest_epoch)
    }

    /// All grants, in the order in which they were accepted here; empty for a roster.
    pub fn grants(&self) -> &[GrantState] {
        self.rights().map_or(&[], |rights| &rights.grants)
    }

    /// The strongest right of the clinic now; `None` for a stranger and for a roster.
    pub fn right_of(&self, clinic: ClinicId) -> Option<Right> {
        self.rights()?.of(clinic)
    }

    /// Stands for the held set: equal for two replicas exactly if their heights, hashes included, are.
    pub fn digest(&self) -> [u8; 32] {
        digest(self.log, &self.heights)
    }

    /// What the owner of these heights holds and this state does not.
    pub fn missing(&self, theirs: &Heights) -> Vec<Span> {
        spans(theirs, &self.heights)
    }

    /// What this state holds and the owner of these heights does not.
    pub fn surplus(&self, theirs: &Heights) -> Vec<Span> {
        spans(&self.heights, theirs)
    }

    /// Where the chain's next entry goes, given the size of the incarnation's tree.
    pub fn position(&self, chain: ChainId, tree_size: u64) -> Position {
        let height = self.heights.get(&chain);
        Position {
            chain,
            seq: height.map_or(0, |height| height.seq.saturating_add(1)),
            prev: height.map(|height| height.hash),
            tree_index: tree_size,
        }
    }

    /// What an entry that this chain writes now names as parents: the heads but the chain's own last
    /// entry, the deepest first if there are more than [`MAX_PARENTS`]. The others are merged next time.
    pub fn parents(&self, chain: ChainId) -> Vec<EntryHash> {
        let own = self.heights.get(&chain).map(|height| height.hash);
        let others = self.heads.iter().filter(|head| Some(**head) != own);
        let mut parents: Vec<EntryHash> = others.copied().collect();
        if parents.len() > MAX_PARENTS {
            let depth = |hash: &EntryHash| self.entry_meta(hash).map_or(0, |meta| meta.depth);
            parents.sort_by_key(|hash| std::cmp::Reverse(depth(hash)));
            parents.truncate(MAX_PARENTS);
        }
        parents
    }

    /// The chains that equivocated and are frozen.
    pub fn equivocations(&self) -> &BTreeMap<ChainId, Equivocation> {
        &self.equivocations
    }

    /// Entries given to [`replay`](Self::replay) that fit nowhere: the store has lost or mixed up what
    /// they build on.
    pub fn unplaced(&self) -> &[EntryHash] {
        &self.unplaced
    }

    pub(crate) fn rights(&self) -> Option<&Rights> {
        match &self.fold {
            Fold::Record(rights) => Some(rights),
            _ => None,
        }
    }

    pub(crate) fn has_room_for(&self, chain: ChainId) -> bool {
        self.chains.len() < MAX_CHAINS || self.numbers.contains_key(&chain)
    }

    fn chain_of(&self, tick: Tick) -> Option<ChainId> {
        let first = self
            .chains
            .get(usize::try_from(tick.chain).ok()?)?
            .first()?;
        self.entries.get(*first).map(|meta| meta.chain)
    }

    /// Finds the place of an entry that was accepted before.
    fn place(&self, entry: &Entry) -> Place {
        let header = entry.header();
        if self.index.contains_key(&entry.hash()) {
            return Place::Held;
        }
        let before = header.prev.iter().chain(&header.parents);
        if let Some(missing) = before.copied().find(|hash| !self.index.contains_key(hash)) {
            return Place::After(missing);
        }
        let position = self.position(header.chain, header.tree_index);
        let fits = header.log == self.log
            && (header.seq, header.prev) == (position.seq, position.prev)
            && (header.kind == Kind::Genesis) == self.is_empty()
            && self.has_room_for(header.chain);
        match self.decode_control(entry) {
            Ok(control) if fits => Place::Here(control),
            _ => Place::Nowhere,
        }
    }

    /// The clear body of a control entry; `None` for a clinical one.
    pub(crate) fn decode_control(&self, entry: &Entry) -> Result<Option<Control>, Verdict> {
        let kind = entry.header().kind;
        if !kind.is_clear() {
            return Ok(None);
        }
        let Some(body) = entry.payload() else {
            return Err(Verdict::Pending {
                missing: vec![entry.hash()],
            });
        };
        let control = Control::decode(kind, body);
        control
            .map(Some)
            .map_err(|error| Verdict::Refused(Refusal::Body(error)))
    }

    fn apply(&mut self, entry: &Entry, control: Option<Control>) {
        let header = entry.header();
        let hash = entry.hash();
        let number = self.number(header.chain);
        let past = self.past(header);
        let (others, entries) = past.others(number);
        let prev = past.0.first().filter(|meta| meta.at.chain == number);
        let authority = match prev {
            Some(prev) if *prev.authority == *header.authority => prev.authority.clone(),
            _ => Arc::from(header.authority.as_slice()),
        };
        let meta = Meta {
            hash,
            chain: header.chain,
            seq: header.seq,
            tree_index: header.tree_index,
            kind: header.kind,
            scope: header.scope,
            actor: header.actor,
            time_ms: header.time_ms,
            authority,
            depth: entries.saturating_add(header.seq).saturating_add(1),
            at: Tick {
                chain: number,
                seq: header.seq,
            },
            others,
        };
        for known in header.prev.iter().chain(&header.parents) {
            self.heads.remove(known);
        }
        self.heads.insert(hash);
        self.heights.insert(
            header.chain,
            Height {
                seq: header.seq,
                hash,
            },
        );
        if let Some(control) = control {
            self.fold_control(&meta, control);
        }
        if let Fold::Roster(roster) = &mut self.fold {
            roster.set_heads(self.heads.iter().copied().collect());
        }
        let place = self.entries.len();
        self.index.insert(hash, place);
        self.entries.push(meta);
        if let Some(chain) = usize::try_from(number)
            .ok()
            .and_then(|n| self.chains.get_mut(n))
        {
            chain.push(place);
        }
    }

    fn fold_control(&mut self, meta: &Meta, control: Control) {
        match (&mut self.fold, control) {
            (
                Fold::Empty,
                Control::RosterGenesis {
                    name,
                    root,
                    chain,
                    endpoint,
                    hpke,
                },
            ) => {
                let mut roster = Roster::begin(self.log, name, root, meta.hash);
                roster.incarnate(meta, (chain, endpoint, hpke), &[]);
                self.fold = Fold::Roster(Box::new(roster));
            }
            (Fold::Empty, Control::RecordGenesis { home, commitment }) => {
                self.fold = Fold::Record(Rights::begin(home, commitment, meta.hash));
            }
            (Fold::Roster(roster), Control::Certify { key, name, roles }) => {
                roster.certify(meta, key, name, roles);
            }
            (Fold::Roster(roster), Control::Retire { key, cuts }) => {
                roster.retire(meta, key, cuts);
            }
            (
                Fold::Roster(roster),
                Control::Incarnation {
                    chain,
                    endpoint,
                    hpke,
                    closes,
                },
            ) => roster.incarnate(meta, (chain, endpoint, hpke), &closes),
            (
                Fold::Record(rights),
                Control::Grant {
                    clinic,
                    right,
                    epoch,
                    wrapped,
                },
            ) => {
                let (entry, at) = (meta.hash, meta.at);
                rights.grants.push(GrantState {
                    clinic,
                    right,
                    epoch,
                    wrapped,
                    entry,
                    at,
                });
            }
            // Judged before; an entry from a damaged store says nothing.
            _ => {}
        }
    }

    /// The chain's number, a new one if need be; the caller has checked that there is room.
    fn number(&mut self, chain: ChainId) -> u32 {
        if let Some(number) = self.numbers.get(&chain) {
            return *number;
        }
        let number = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
        self.numbers.insert(chain, number);
        self.chains.push(Vec::new());
        number
    }

    /// The causal past that the header names: what of it is held, the predecessor first.
    pub(crate) fn past(&self, header: &Header) -> Past<'_> {
        let named = header.prev.iter().chain(&header.parents);
        Past(named.filter_map(|hash| self.entry_meta(hash)).collect())
    }
}

enum Place {
    Here(Option<Control>),
    After(EntryHash),
    Held,
    Nowhere,
}
