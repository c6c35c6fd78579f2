//! A ledger in memory, of entries that are not signed but sealed by a hash that no liar makes.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use salus_audit::{ChainId, ClinicId, EntryHash, Height, Heights, LogId};

use crate::port::{CatalogAnswer, CatalogItem, Changed, Committed, Loaded};

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct FakeEntry {
    #[n(0)]
    pub log: LogId,
    #[n(1)]
    pub is_roster: bool,
    #[n(2)]
    pub home: ClinicId,
    #[n(3)]
    pub chain: ChainId,
    #[n(4)]
    pub seq: u64,
    #[n(5)]
    pub prev: Option<EntryHash>,
    #[n(6)]
    pub parents: Vec<EntryHash>,
    /// The writer's roster, and how many entries of it must be held.
    #[n(7)]
    pub authority: Option<(LogId, u64)>,
    #[n(8)]
    pub grants: Option<ClinicId>,
    /// Refused by everybody but its writer.
    #[n(9)]
    pub poisoned: bool,
    #[n(10)]
    pub padding: Vec<u8>,
}

impl FakeEntry {
    pub(super) fn seal(&self) -> Vec<u8> {
        let mut bytes = minicbor::to_vec(self).unwrap();
        let hash = blake3::keyed_hash(&[5; 32], &bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    fn open(bytes: &[u8]) -> Option<Self> {
        let (body, seal) = bytes.split_last_chunk::<32>()?;
        if blake3::keyed_hash(&[5; 32], body).as_bytes() != seal {
            return None;
        }
        minicbor::decode(body).ok()
    }
}

pub(super) fn hash(bytes: &[u8]) -> EntryHash {
    EntryHash::from_bytes(*blake3::hash(bytes).as_bytes())
}

#[derive(Debug, Clone)]
struct Stored {
    entry: FakeEntry,
    hash: EntryHash,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct FakeLog {
    pub is_roster: bool,
    pub home: ClinicId,
    pub granted: BTreeSet<ClinicId>,
    revoked: BTreeSet<ClinicId>,
    pub heights: Heights,
    heads: BTreeSet<EntryHash>,
    /// In order of arrival, parents first.
    entries: Vec<Stored>,
}

#[derive(Debug, Clone)]
pub(super) struct Ledger {
    me: ClinicId,
    clinics: Vec<ClinicId>,
    pub logs: BTreeMap<LogId, FakeLog>,
    /// Whether entries that wait for others are kept, or must be sent again.
    keeps_pending: bool,
    pending: Vec<Vec<u8>>,
    version: u64,
    /// Every entry that went through a commit.
    pub seen: BTreeSet<EntryHash>,
}

enum Admission {
    Accepted,
    Duplicate,
    Pending,
    Forked,
    Refused,
}

impl Ledger {
    pub(super) fn new(me: ClinicId, clinics: Vec<ClinicId>, keeps_pending: bool) -> Self {
        Self {
            me,
            clinics,
            logs: BTreeMap::new(),
            keeps_pending,
            pending: Vec::new(),
            version: 0,
            seen: BTreeSet::new(),
        }
    }

    pub(super) fn entitled(&self, log: LogId, clinic: ClinicId) -> bool {
        self.logs.get(&log).is_some_and(|held| {
            held.is_roster
                || held.home == clinic
                || (held.granted.contains(&clinic) && !held.revoked.contains(&clinic))
        })
    }

    fn digest(&self, log: LogId) -> [u8; 32] {
        let held = &self.logs[&log];
        salus_audit::digest(log, &held.heights)
    }

    fn changed(&mut self, log: LogId) -> Changed {
        self.version += 1;
        let audience = self.clinics.iter().copied();
        Changed {
            log,
            digest: self.digest(log),
            is_roster: self.logs[&log].is_roster,
            audience: audience
                .filter(|clinic| self.entitled(log, *clinic))
                .collect(),
            version: self.version,
        }
    }

    pub(super) fn catalog(&self, peer: ClinicId) -> CatalogAnswer {
        let logs = self
            .logs
            .iter()
            .filter(|(log, _)| self.entitled(**log, peer));
        CatalogAnswer {
            version: self.version,
            items: logs
                .map(|(log, held)| CatalogItem {
                    log: *log,
                    digest: self.digest(*log),
                    is_roster: held.is_roster,
                })
                .collect(),
        }
    }

    pub(super) fn heights(&self, peer: ClinicId, logs: &[LogId]) -> Vec<Heights> {
        logs.iter()
            .map(|log| {
                let held = self.logs.get(log).filter(|_| self.entitled(*log, peer));
                held.map(|held| held.heights.clone()).unwrap_or_default()
            })
            .collect()
    }

    pub(super) fn load(
        &self,
        peer: ClinicId,
        log: LogId,
        theirs: &Heights,
        max_bytes: usize,
    ) -> Loaded {
        let Some(held) = self.logs.get(&log).filter(|_| self.entitled(log, peer)) else {
            return Loaded::default();
        };
        let mut loaded = Loaded {
            reached: theirs.clone(),
            ours: held.heights.clone(),
            ..Loaded::default()
        };
        for (chain, height) in theirs {
            let same = held
                .entries
                .iter()
                .find(|stored| stored.entry.chain == *chain && stored.entry.seq == height.seq);
            if same.is_some_and(|stored| stored.hash != height.hash) {
                loaded.forked.push(*chain);
            }
        }
        let mut bytes = 0;
        for stored in &held.entries {
            let chain = stored.entry.chain;
            let reached = loaded.reached.get(&chain);
            if loaded.forked.contains(&chain)
                || reached.is_some_and(|height| height.seq >= stored.entry.seq)
            {
                continue;
            }
            if bytes > 0 && bytes + stored.bytes.len() > max_bytes {
                loaded.more = true;
                break;
            }
            bytes += stored.bytes.len();
            loaded.entries.push(stored.bytes.clone());
            let height = Height {
                seq: stored.entry.seq,
                hash: stored.hash,
            };
            loaded.reached.insert(chain, height);
        }
        loaded
    }

    pub(super) fn commit(&mut self, entries: Vec<Vec<u8>>) -> Committed {
        let mut committed = Committed::default();
        let mut touched = BTreeSet::new();
        for bytes in entries {
            self.seen.insert(hash(&bytes));
            let Some(entry) = FakeEntry::open(&bytes) else {
                committed.refused += 1;
                continue;
            };
            let (log, chain) = (entry.log, entry.chain);
            match self.admit(entry, &bytes, false) {
                Admission::Accepted => {
                    committed.accepted += 1;
                    touched.insert(log);
                }
                Admission::Duplicate => committed.duplicate += 1,
                Admission::Refused => committed.refused += 1,
                Admission::Forked => committed.forked.push((log, chain)),
                Admission::Pending => {
                    committed.pending += 1;
                    committed.waiting.push(log);
                    if self.keeps_pending && self.pending.len() < 64 {
                        self.pending.push(bytes);
                    }
                }
            }
        }
        // What waited and fits now.
        let mut again = !touched.is_empty();
        while std::mem::take(&mut again) {
            for bytes in std::mem::take(&mut self.pending) {
                let Some(entry) = FakeEntry::open(&bytes) else {
                    continue;
                };
                let log = entry.log;
                match self.admit(entry, &bytes, false) {
                    Admission::Accepted => {
                        committed.accepted += 1;
                        touched.insert(log);
                        again = true;
                    }
                    Admission::Pending => self.pending.push(bytes),
                    _ => {}
                }
            }
        }
        committed.changed = touched.into_iter().map(|log| self.changed(log)).collect();
        committed
    }

    fn admit(&mut self, entry: FakeEntry, bytes: &[u8], own: bool) -> Admission {
        let id = hash(bytes);
        let known = self.logs.get(&entry.log);
        let at = |seq: u64| {
            let mut entries = known.into_iter().flat_map(|log| &log.entries);
            entries.find(|stored| stored.entry.chain == entry.chain && stored.entry.seq == seq)
        };
        if let Some(stored) = at(entry.seq) {
            return if stored.hash == id {
                Admission::Duplicate
            } else {
                Admission::Forked
            };
        }
        if entry.poisoned && !own {
            return Admission::Refused;
        }
        if entry.seq > 0 {
            match at(entry.seq - 1) {
                None => return Admission::Pending,
                Some(before) if Some(before.hash) != entry.prev => return Admission::Refused,
                Some(_) => {}
            }
        }
        let held = |parent: &EntryHash| {
            known.is_some_and(|log| log.entries.iter().any(|stored| stored.hash == *parent))
        };
        if !entry.parents.iter().all(held) {
            return Admission::Pending;
        }
        if let Some((roster, needed)) = entry.authority {
            let count = self.logs.get(&roster).map_or(0, |log| log.entries.len());
            if (count as u64) < needed {
                return Admission::Pending;
            }
        }
        let log = self.logs.entry(entry.log).or_insert_with(|| FakeLog {
            is_roster: entry.is_roster,
            home: entry.home,
            granted: BTreeSet::new(),
            revoked: BTreeSet::new(),
            heights: Heights::new(),
            heads: BTreeSet::new(),
            entries: Vec::new(),
        });
        let height = Height {
            seq: entry.seq,
            hash: id,
        };
        log.heights.insert(entry.chain, height);
        log.granted.extend(entry.grants);
        for parent in entry.parents.iter().chain(&entry.prev) {
            log.heads.remove(parent);
        }
        log.heads.insert(id);
        log.entries.push(Stored {
            entry,
            hash: id,
            bytes: bytes.to_vec(),
        });
        Admission::Accepted
    }

    /// Writes an entry of one's own, and a log with it if there is none yet.
    pub(super) fn write(&mut self, log: LogId, fields: Fields) -> Changed {
        let chain = ChainId::from_bytes(*self.me.as_bytes());
        let roster = roster_of(self.me);
        let roster_len = self
            .logs
            .get(&roster)
            .map_or(0, |log| log.entries.len() as u64);
        let held = self.logs.get(&log);
        let prev = held.and_then(|held| held.heights.get(&chain).copied());
        let heads = held.into_iter().flat_map(|held| held.heads.iter().copied());
        let prev_hash = prev.map(|height| height.hash);
        let entry = FakeEntry {
            log,
            is_roster: log == roster,
            home: held.map_or(self.me, |held| held.home),
            chain,
            seq: prev.map_or(0, |height| height.seq + 1),
            prev: prev_hash,
            parents: heads.filter(|head| Some(*head) != prev_hash).collect(),
            authority: (log != roster).then_some((roster, roster_len)),
            grants: fields.grants,
            poisoned: fields.poisoned,
            padding: vec![0; fields.padding],
        };
        let bytes = entry.seal();
        let admission = self.admit(entry, &bytes, true);
        assert!(matches!(admission, Admission::Accepted));
        self.changed(log)
    }

    /// Keeps a log from a clinic from now on (at this node only: there is no entry for it in this simulation).
    pub(super) fn revoke(&mut self, log: LogId, clinic: ClinicId) -> Changed {
        if let Some(held) = self.logs.get_mut(&log) {
            held.revoked.insert(clinic);
        }
        self.changed(log)
    }

    pub(super) fn entry_count(&self) -> usize {
        self.logs.values().map(|log| log.entries.len()).sum()
    }
}

/// What an own entry is to be like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    pub grants: Option<ClinicId>,
    pub poisoned: bool,
    pub padding: usize,
}

pub(super) fn roster_of(clinic: ClinicId) -> LogId {
    LogId::from_bytes(*blake3::hash(clinic.as_bytes()).as_bytes())
}
