//! A ledger in memory, of entries that are taken on trust.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use salus_audit::{BlobHash, ChainId, ClinicId, EntryHash, Height, Heights, LogId};
use salus_sync::{CatalogAnswer, CatalogItem, Changed, Committed, Loaded};

use crate::ledger::{Ledger, LedgerError};

/// log ‖ chain ‖ seq ‖ padding.
const HEAD: usize = 72;

#[derive(Default)]
struct State {
    logs: BTreeMap<LogId, BTreeMap<ChainId, Vec<Vec<u8>>>>,
    known: HashMap<[u8; 32], ClinicId>,
    version: u64,
    commits: u64,
    duplicates: u64,
    /// Who stated what about which log, and how many entries of it were held then.
    statements: Vec<(ClinicId, LogId, Vec<u8>, u64)>,
    /// Who may have which blob.
    granted: HashSet<(ClinicId, BlobHash)>,
    /// How often somebody asked whether a blob may be had.
    asked: u64,
}

pub(super) struct Memory {
    me: ClinicId,
    state: Mutex<State>,
    /// How long a commit takes: the disk.
    commit_takes: Duration,
    pub fails: std::sync::atomic::AtomicBool,
    /// Whether it states something about what it serves.
    pub states: bool,
}

impl Memory {
    pub(super) fn new(me: ClinicId, commit_takes: Duration) -> Self {
        Self {
            me,
            state: Mutex::default(),
            commit_takes,
            fails: false.into(),
            states: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn know(&self, endpoint: [u8; 32], clinic: ClinicId) {
        self.state().known.insert(endpoint, clinic);
    }

    pub(super) fn grant(&self, peer: ClinicId, blob: BlobHash) {
        self.state().granted.insert((peer, blob));
    }

    pub(super) fn withdraw(&self, peer: ClinicId, blob: BlobHash) {
        self.state().granted.remove(&(peer, blob));
    }

    pub(super) fn asked(&self) -> u64 {
        self.state().asked
    }

    pub(super) fn forget(&self, endpoint: [u8; 32]) {
        self.state().known.remove(&endpoint);
    }

    pub(super) fn heights_of(&self, log: LogId) -> Heights {
        self.state().heights(log)
    }

    pub(super) fn entries(&self) -> usize {
        let state = self.state();
        state
            .logs
            .values()
            .flat_map(|log| log.values())
            .map(Vec::len)
            .sum()
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.state().duplicates
    }

    pub(super) fn statements(&self) -> Vec<(ClinicId, LogId, Vec<u8>, u64)> {
        self.state().statements.clone()
    }

    pub(super) fn commits(&self) -> u64 {
        self.state().commits
    }

    /// Writes an entry of one's own that others refuse.
    pub(super) fn write_bad(&self, log: LogId) -> Changed {
        self.put(log, 500, b"bad")
    }

    /// Writes an entry of one's own.
    pub(super) fn write(&self, log: LogId, padding: usize) -> Changed {
        self.put(log, padding, b"")
    }

    fn put(&self, log: LogId, padding: usize, tail: &[u8]) -> Changed {
        let chain = ChainId::from_bytes(*self.me.as_bytes());
        let mut state = self.state();
        let entries = state.logs.entry(log).or_default().entry(chain).or_default();
        let seq = entries.len() as u64;
        let head = [
            log.as_bytes().as_slice(),
            chain.as_bytes(),
            &seq.to_be_bytes(),
        ];
        let mut entry = head.concat();
        entry.resize(HEAD + padding, 7);
        entry.extend_from_slice(tail);
        entries.push(entry);
        state.changed(log)
    }
}

impl State {
    fn heights(&self, log: LogId) -> Heights {
        let chains = self.logs.get(&log).into_iter().flatten();
        let height = |entries: &Vec<Vec<u8>>| {
            let last = entries.last()?;
            Some(Height {
                seq: entries.len() as u64 - 1,
                hash: EntryHash::from_bytes(last[40..HEAD].try_into().unwrap()),
            })
        };
        chains
            .filter_map(|(chain, entries)| Some((*chain, height(entries)?)))
            .collect()
    }

    fn changed(&mut self, log: LogId) -> Changed {
        self.version += 1;
        Changed {
            log,
            digest: salus_audit::digest(log, &self.heights(log)),
            is_roster: false,
            audience: self.known.values().copied().collect(),
            version: self.version,
        }
    }
}

impl Ledger for Memory {
    fn clinic_of(&self, endpoint: [u8; 32]) -> Option<ClinicId> {
        self.state().known.get(&endpoint).copied()
    }

    fn catalog(&self, _: ClinicId) -> Result<CatalogAnswer, LedgerError> {
        let state = self.state();
        let item = |log: &LogId| CatalogItem {
            log: *log,
            digest: salus_audit::digest(*log, &state.heights(*log)),
            is_roster: false,
        };
        Ok(CatalogAnswer {
            version: state.version,
            items: state.logs.keys().map(item).collect(),
        })
    }

    fn heights(&self, _: ClinicId, logs: &[LogId]) -> Result<Vec<Heights>, LedgerError> {
        let state = self.state();
        Ok(logs.iter().map(|log| state.heights(*log)).collect())
    }

    fn load(
        &self,
        _: ClinicId,
        log: LogId,
        theirs: &Heights,
        max_bytes: usize,
    ) -> Result<Loaded, LedgerError> {
        let state = self.state();
        let mut loaded = Loaded {
            reached: theirs.clone(),
            ours: state.heights(log),
            ..Loaded::default()
        };
        let mut bytes = 0;
        for (chain, entries) in state.logs.get(&log).into_iter().flatten() {
            let from = theirs.get(chain).map_or(0, |height| height.seq + 1);
            for entry in entries.iter().skip(usize::try_from(from).unwrap()) {
                if bytes > 0 && bytes + entry.len() > max_bytes {
                    loaded.more = true;
                    return Ok(loaded);
                }
                bytes += entry.len();
                let seq = u64::from_be_bytes(entry[64..HEAD].try_into().unwrap());
                let hash = EntryHash::from_bytes(entry[40..HEAD].try_into().unwrap());
                loaded.reached.insert(*chain, Height { seq, hash });
                loaded.entries.push(entry.clone());
            }
        }
        if self.states {
            loaded.statement = Some([self.me.as_bytes().as_slice(), b" has it all"].concat());
        }
        Ok(loaded)
    }

    fn commit(
        &self,
        peer: ClinicId,
        entries: Vec<Vec<u8>>,
        statements: Vec<(LogId, Vec<u8>)>,
    ) -> Result<Committed, LedgerError> {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(LedgerError::new("the disk is full"));
        }
        std::thread::sleep(self.commit_takes);
        let mut state = self.state();
        state.commits += 1;
        let mut committed = Committed::default();
        let mut touched = Vec::new();
        for entry in entries {
            if entry.len() < HEAD || entry.ends_with(b"bad") {
                committed.refused += 1;
                continue;
            }
            let log = LogId::from_bytes(entry[..32].try_into().unwrap());
            let chain = ChainId::from_bytes(entry[32..64].try_into().unwrap());
            let seq = u64::from_be_bytes(entry[64..HEAD].try_into().unwrap());
            let held = state.logs.entry(log).or_default().entry(chain).or_default();
            match seq.cmp(&(held.len() as u64)) {
                std::cmp::Ordering::Less => committed.duplicate += 1,
                std::cmp::Ordering::Greater => committed.pending += 1,
                std::cmp::Ordering::Equal => {
                    held.push(entry);
                    committed.accepted += 1;
                    if touched.last() != Some(&log) {
                        touched.push(log);
                    }
                }
            }
        }
        for (log, statement) in statements {
            let held = state
                .heights(log)
                .values()
                .map(|height| height.seq + 1)
                .sum();
            state.statements.push((peer, log, statement, held));
        }
        state.duplicates += committed.duplicate;
        committed.changed = touched.into_iter().map(|log| state.changed(log)).collect();
        Ok(committed)
    }

    fn may_fetch(&self, peer: ClinicId, blob: BlobHash) -> bool {
        let mut state = self.state();
        state.asked += 1;
        state.granted.contains(&(peer, blob))
    }
}
