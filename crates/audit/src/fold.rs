//! Adding entries to a state: those that were judged, and those that the store kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::{Meta, Past};
use crate::control::Control;
use crate::entry::Entry;
use crate::erasures::Erasure;
use crate::header::Header;
use crate::heights::Height;
use crate::id::{ChainId, EntryHash, LogId};
use crate::kind::Kind;
use crate::rights::{GrantState, Quarantine, Revocation, Rights};
use crate::roster::Roster;
use crate::state::{Fold, LogState, MAX_CHAINS};
use crate::verdict::{Refusal, Verdict};

impl LogState {
    /// Rebuilds the state from entries that were accepted and stored, each with the physical line that
    /// it was stored under: nothing is verified or judged again, and the lines are kept as they are. They
    /// may come in any order, clinical ones without payload, control ones with theirs. What cannot be
    /// placed is listed by [`unplaced`](Self::unplaced). A record wants to be settled afterwards
    /// ([`settle`](Self::settle)); until then everything in it counts.
    pub fn replay(log: LogId, entries: impl IntoIterator<Item = (ChainId, Entry)>) -> LogState {
        let mut state = LogState::new(log);
        let mut waiting: BTreeMap<EntryHash, Vec<(ChainId, Entry)>> = BTreeMap::new();
        let mut ready: Vec<(ChainId, Entry)> = Vec::new();
        for entry in entries {
            ready.push(entry);
            while let Some((line, entry)) = ready.pop() {
                match state.place(line, &entry) {
                    Place::Here(control) => {
                        state.apply(&entry, control, Some(line));
                        ready.extend(waiting.remove(&entry.hash()).unwrap_or_default());
                    }
                    Place::After(missing) => {
                        waiting.entry(missing).or_default().push((line, entry));
                    }
                    Place::Held => {}
                    Place::Nowhere => state.unplaced.push(entry.hash()),
                }
            }
        }
        let lost = waiting.values().flatten().map(|(_, entry)| entry.hash());
        state.unplaced.extend(lost);
        state.settle_replayed();
        state
    }

    /// Finds the place of an entry that was accepted before.
    fn place(&self, line: ChainId, entry: &Entry) -> Place {
        let header = entry.header();
        if self.index.contains_key(&entry.hash()) {
            return Place::Held;
        }
        let before = header.prev.iter().chain(&header.parents);
        if let Some(missing) = before.copied().find(|hash| !self.index.contains_key(hash)) {
            return Place::After(missing);
        }
        let fits = header.log == self.log
            && (header.kind == Kind::Genesis) == self.is_empty()
            && self.fits_line(line, header, entry.hash());
        match self.decode_control(entry) {
            Ok(control) if fits => Place::Here(control),
            _ => Place::Nowhere,
        }
    }

    /// Whether the entry goes on this line, or begins it.
    fn fits_line(&self, line: ChainId, header: &Header, hash: EntryHash) -> bool {
        let prev = header.prev.and_then(|prev| self.entry_meta(&prev));
        let follows = match prev {
            Some(prev) => prev.chain == header.chain && prev.seq.checked_add(1) == Some(header.seq),
            None => header.seq == 0,
        };
        if !follows {
            return false;
        }
        let last = self
            .lines
            .number(&line)
            .map(|number| self.last_of(number).map(|last| last.hash));
        match last {
            Some(last) => header.prev.is_some() && last == header.prev,
            None => {
                let begins_chain = line == header.chain && header.seq == 0;
                let begins_fork = line == ChainId::fork(header.chain, hash);
                (begins_chain || begins_fork) && self.lines.len() < MAX_CHAINS
            }
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

    /// Adds an entry, to this line if it was stored under one: the caller has checked that it fits.
    pub(crate) fn apply(
        &mut self,
        entry: &Entry,
        control: Option<Control>,
        stored: Option<ChainId>,
    ) {
        let header = entry.header();
        let hash = entry.hash();
        let line = stored.unwrap_or_else(|| self.line_for(header, hash));
        let number = self.number(line, header);
        let past = self.past(header);
        let (others, entries) = past.others(number, &self.lines);
        let prev = past.0.first().filter(|meta| Some(meta.hash) == header.prev);
        let authority = match prev {
            Some(prev) if *prev.authority == *header.authority => prev.authority.clone(),
            _ => Arc::from(header.authority.as_slice()),
        };
        let before = prev.filter(|prev| prev.number == number && prev.actor != header.actor);
        let lower = before.map(|prev| ((number, prev.actor), prev.tree_index));
        let base = self
            .lines
            .get(number)
            .map_or(0, |line| u64::from(line.base));
        let meta = Meta {
            hash,
            chain: header.chain,
            line,
            seq: header.seq,
            tree_index: header.tree_index,
            kind: header.kind,
            scope: header.scope,
            number,
            actor: header.actor,
            time_ms: header.time_ms,
            authority,
            depth: (entries + 1).saturating_add(header.seq.saturating_sub(base)),
            others,
        };
        for known in header.prev.iter().chain(&header.parents) {
            self.heads.remove(known);
        }
        self.heads.insert(hash);
        if let Some((who, top)) = lower {
            self.lower_tops.insert(who, top);
        }
        if let Some(control) = control {
            self.fold_control(&meta, control);
        }
        let place = self.entries.len();
        let seq = header.seq;
        self.index.insert(hash, place);
        if !header.blobs.is_empty() {
            self.blobs.insert(hash, header.blobs.as_slice().into());
        }
        self.entries.push(meta);
        let (entries, heights) = (&self.entries, &mut self.heights);
        let hash_of = |place: usize| entries.get(place).map(|meta| meta.hash);
        self.lines
            .push(number, place, Height { seq, hash }, heights, hash_of);
    }

    /// The line of an entry that was judged: the one that it goes on, or one of its own if it forks.
    fn line_for(&self, header: &Header, hash: EntryHash) -> ChainId {
        let prev = header.prev.and_then(|prev| self.entry_meta(&prev));
        let at = prev.map(Meta::at);
        if !self.lines.successors(&header.chain, at).is_empty() {
            return ChainId::fork(header.chain, hash);
        }
        prev.map_or(header.chain, |prev| prev.line)
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
                let rights = Rights::begin(home, commitment, meta);
                self.fold = Fold::Record(Box::new(rights));
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
            (Fold::Record(rights), control) => fold_right(rights, meta, control),
            // Judged before; an entry from a damaged store says nothing.
            _ => {}
        }
    }

    /// The line's number, a new one if need be; the caller has checked that there is room.
    fn number(&mut self, line: ChainId, header: &Header) -> u32 {
        if let Some(number) = self.lines.number(&line) {
            return number;
        }
        let prev = header.prev.and_then(|prev| self.entry_meta(&prev));
        let parent = prev.map(Meta::at);
        let base = u32::try_from(header.seq).unwrap_or(u32::MAX);
        self.lines.begin(line, header.chain, base, parent)
    }

    /// The causal past that the header names: what of it is held, the predecessor first.
    pub(crate) fn past(&self, header: &Header) -> Past<'_> {
        let named = header.prev.iter().chain(&header.parents);
        Past(named.filter_map(|hash| self.entry_meta(hash)).collect())
    }
}

fn fold_right(rights: &mut Rights, meta: &Meta, control: Control) {
    match control {
        Control::Grant {
            clinic,
            right,
            epoch,
            wrapped,
        } => {
            let revocations = rights.revocations_of(clinic);
            let known = revocations.filter(|(_, revocation)| meta.covers(revocation.at));
            let after = known.map(|(index, _)| index).collect();
            rights.add_grant(GrantState {
                clinic,
                right,
                epoch,
                wrapped,
                entry: meta.hash,
                live: true,
                counts: true,
                after,
                at: meta.at(),
            });
        }
        Control::Revoke { clinic, cuts } => rights.add_revocation(Revocation {
            clinic,
            cuts,
            at: meta.at(),
            active: true,
        }),
        Control::Rotate {
            commitment,
            previous,
            sealed_previous,
        } => rights.add_epoch(meta, commitment, Some((previous, sealed_previous))),
        Control::Quarantine { entries, .. } => rights.quarantines.push(Quarantine {
            entries,
            at: meta.at(),
        }),
        Control::Erase { entries, reason } => rights.erasures.push(Erasure {
            entries,
            reason,
            entry: meta.hash,
            at: meta.at(),
        }),
        _ => {}
    }
}

enum Place {
    Here(Option<Control>),
    After(EntryHash),
    Held,
    Nowhere,
}
