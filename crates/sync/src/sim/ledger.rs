//! A clinic's ledger over the real fold of entries: what is on disk outlives a crash, all else is made from it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use salus_audit::{
    ChainId, ClinicId, Control, Draft, Entry, EntryHash, Height, Heights, Kind, LogId, LogState,
    Rosters, Scope, SigningKey, Verdict, verify_entry,
};

use super::identity::{Identity, identities, sign_roster};
use crate::port::{CatalogAnswer, CatalogItem, Changed, Committed, Loaded};

/// What a crash leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    /// In the order of acceptance, each with the line that it was put on.
    logs: BTreeMap<LogId, Vec<(ChainId, Entry)>>,
    pub tree_size: u64,
    /// Which life of the store it is.
    pub life: usize,
}

/// What the simulation has come across, to be seen not to be empty.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub entries: u64,
    pub forked: u64,
    pub evidence: u64,
    pub refused: u64,
    pub pending: u64,
    pub statements: u64,
}

#[derive(Debug)]
pub(super) struct Ledger {
    me: &'static Identity,
    /// Every clinic of this world.
    clinics: Vec<ClinicId>,
    pub disk: Disk,
    pub rosters: Rosters,
    /// The records.
    pub logs: BTreeMap<LogId, LogState>,
    /// Who may hold each record, as of the last change.
    audiences: BTreeMap<LogId, BTreeSet<ClinicId>>,
    bytes: HashMap<EntryHash, Vec<u8>>,
    /// Entries of records that do not entitle this clinic yet.
    unproven: BTreeMap<LogId, Vec<Entry>>,
    version: u64,
    /// Takes in nothing that takes its own rights away, as a clinic that goes on in spite of it.
    pub deaf: bool,
    /// Follows its own last entry in each log, even if its chain shows others.
    pub lies: bool,
    last: BTreeMap<LogId, EntryHash>,
    /// Every entry, as it came, that a commit dealt with.
    pub dealt: HashSet<[u8; 32]>,
    pub found: Found,
}

/// Entries that are known to be signed, by a hash of all of their bytes: each is verified once in a world.
#[derive(Debug, Default)]
pub(super) struct Verified(HashMap<[u8; 32], bool>);

impl Verified {
    fn holds(&mut self, entry: &Entry, bytes: &[u8]) -> bool {
        let verify = || verify_entry(entry).is_ok();
        *self.0.entry(key(bytes)).or_insert_with(verify)
    }
}

pub(super) fn key(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum What {
    Control(Control),
    Edit(Scope),
    View,
    Link,
}

impl Ledger {
    pub(super) fn new(who: usize, clinics: usize) -> Self {
        let all = identities();
        let me = &all[who];
        let mut ledger = Self::empty(me, all[..clinics].iter().map(|c| c.id).collect());
        for entry in &me.entries {
            assert_eq!(ledger.rosters.admit(entry), Verdict::Accepted);
            ledger.persist(entry);
        }
        ledger.disk.tree_size = me.entries.len() as u64;
        ledger
    }

    fn empty(me: &'static Identity, clinics: Vec<ClinicId>) -> Self {
        Self {
            me,
            clinics,
            disk: Disk::default(),
            rosters: Rosters::new(),
            logs: BTreeMap::new(),
            audiences: BTreeMap::new(),
            bytes: HashMap::new(),
            unproven: BTreeMap::new(),
            version: 0,
            deaf: false,
            lies: false,
            last: BTreeMap::new(),
            dealt: HashSet::new(),
            found: Found::default(),
        }
    }

    /// The same clinic after its node was started again from what is on disk.
    pub(super) fn reopened(&self) -> Self {
        Self::from_disk(self, self.disk.clone())
    }

    /// The same clinic from an older disk, or from a copy of its disk in other hands.
    pub(super) fn from_disk(before: &Self, disk: Disk) -> Self {
        let mut ledger = Self::empty(before.me, before.clinics.clone());
        // Versions rise across lives: news of an earlier one is old.
        ledger.version = before.version;
        ledger.found = before.found;
        ledger.deaf = before.deaf;
        ledger.lies = before.lies;
        ledger.last.clone_from(&before.last);
        ledger.dealt.clone_from(&before.dealt);
        let mut records = Vec::new();
        for (log, entries) in &disk.logs {
            for (_, entry) in entries {
                ledger.bytes.insert(entry.hash(), entry.encode());
            }
            let state = LogState::replay(*log, entries.iter().cloned());
            assert_eq!(state.unplaced(), []);
            assert_eq!(state.len(), entries.len());
            if state.roster().is_some() {
                ledger.rosters.insert(state).unwrap();
            } else {
                records.push(state);
            }
        }
        ledger.disk = disk;
        for mut state in records {
            state.settle(&ledger.rosters);
            let audience = ledger.audience(&state);
            ledger.audiences.insert(state.log(), audience);
            ledger.logs.insert(state.log(), state);
        }
        ledger
    }

    pub(super) fn state(&self, log: LogId) -> Option<&LogState> {
        self.logs.get(&log).or_else(|| self.rosters.log(log))
    }

    /// Everything that is held.
    pub(super) fn all(&self) -> impl Iterator<Item = &LogState> {
        let rosters = self.rosters.clinics();
        let rosters = rosters.filter_map(|clinic| self.rosters.state(clinic));
        rosters.chain(self.logs.values())
    }

    pub(super) fn entries(&self, log: LogId) -> impl Iterator<Item = &Entry> {
        let entries = self.disk.logs.get(&log).into_iter().flatten();
        entries.map(|(_, entry)| entry)
    }

    /// What was received of a log that nothing received so far entitles this clinic to.
    pub(super) fn set_aside(&self, log: LogId) -> impl Iterator<Item = &Entry> {
        self.unproven.get(&log).into_iter().flatten()
    }

    fn audience(&self, state: &LogState) -> BTreeSet<ClinicId> {
        let may =
            |clinic: &&ClinicId| state.roster().is_some() || state.right_of(**clinic).is_some();
        self.clinics.iter().filter(may).copied().collect()
    }

    pub(super) fn entitled(&self, log: LogId, clinic: ClinicId) -> bool {
        let audience = self.audiences.get(&log);
        self.rosters.log(log).is_some() || audience.is_some_and(|all| all.contains(&clinic))
    }

    pub(super) fn catalog(&self, peer: ClinicId) -> CatalogAnswer {
        let shared = self.all().filter(|state| self.entitled(state.log(), peer));
        let items = shared.map(|state| CatalogItem {
            log: state.log(),
            digest: state.digest(),
            is_roster: state.roster().is_some(),
        });
        CatalogAnswer {
            version: self.version,
            items: items.collect(),
        }
    }

    pub(super) fn heights(&self, peer: ClinicId, logs: &[LogId]) -> Vec<Heights> {
        let held = |log: &LogId| self.state(*log).filter(|_| self.entitled(*log, peer));
        logs.iter()
            .map(|log| {
                held(log)
                    .map(|state| state.heights().clone())
                    .unwrap_or_default()
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
        let Some(state) = self.state(log).filter(|_| self.entitled(log, peer)) else {
            return Loaded::default();
        };
        let lacking = state.lacking(theirs);
        let mut loaded = Loaded {
            reached: theirs.clone(),
            ours: state.heights().clone(),
            forked: lacking.forked,
            ..Loaded::default()
        };
        let mut bytes = 0;
        for (_, seq, hash) in lacking.entries {
            if bytes >= max_bytes {
                loaded.more = true;
                break;
            }
            let entry = self.bytes[&hash].clone();
            let line = state.line_of(&hash).unwrap();
            loaded.reached.insert(line, Height { seq, hash });
            bytes += entry.len();
            loaded.entries.push(entry);
        }
        if !loaded.more {
            loaded.statement = Some([log.as_bytes().as_slice(), self.me.id.as_bytes()].concat());
        }
        loaded
    }

    pub(super) fn commit(
        &mut self,
        entries: Vec<Vec<u8>>,
        statements: Vec<(LogId, Vec<u8>)>,
        verified: &mut Verified,
    ) -> Committed {
        let mut committed = Committed::default();
        let mut came = Vec::new();
        for bytes in entries {
            self.dealt.insert(key(&bytes));
            match Entry::decode(&bytes) {
                Ok(entry) if verified.holds(&entry, &bytes) && !self.is_deaf_to(&entry) => {
                    came.push(entry);
                }
                _ => committed.refused += 1,
            }
        }
        let logs: BTreeSet<LogId> = came.iter().map(|entry| entry.header().log).collect();
        let mut waiting: Vec<Entry> = Vec::new();
        for log in &logs {
            waiting.extend(self.unproven.remove(log).unwrap_or_default());
        }
        waiting.extend(came);
        let mut kept = Vec::new();
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for entry in waiting {
                match self.admit(&entry) {
                    Verdict::Accepted => kept.push(entry),
                    Verdict::Forked { .. } => {
                        let header = entry.header();
                        committed.forked.push((header.log, header.chain));
                        kept.push(entry);
                    }
                    Verdict::Duplicate => committed.duplicate += 1,
                    Verdict::Pending { .. } => still.push(entry),
                    Verdict::Refused(_) => committed.refused += 1,
                    Verdict::Equivocation { .. } => {
                        let header = entry.header();
                        committed.forked.push((header.log, header.chain));
                        committed.evidence += 1;
                    }
                }
            }
            waiting = still;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        let mut stopped: BTreeSet<LogId> = waiting.iter().map(|e| e.header().log).collect();
        committed.pending = waiting.len() as u64;
        let mut touched = BTreeSet::new();
        for entry in kept {
            let log = entry.header().log;
            let new = !self.disk.logs.contains_key(&log) && !touched.contains(&log);
            let proven = |state: &LogState| state.right_of(self.me.id).is_some();
            if new && !self.logs.get(&log).is_none_or(proven) {
                // The grant comes after what it grants.
                committed.pending += 1;
                stopped.insert(log);
                self.unproven.entry(log).or_default().push(entry);
            } else {
                committed.accepted += 1;
                touched.insert(log);
                self.persist(&entry);
            }
        }
        for log in self.unproven.keys() {
            self.logs.remove(log);
        }
        committed.waiting = stopped.into_iter().collect();
        committed.changed = self.changed(&touched);
        self.found.entries += committed.accepted;
        self.found.forked += committed.forked.len() as u64 - committed.evidence;
        self.found.evidence += committed.evidence;
        self.found.refused += committed.refused;
        self.found.pending += committed.pending;
        let plausible = |(log, bytes): &&(LogId, Vec<u8>)| bytes.starts_with(log.as_bytes());
        self.found.statements += statements.iter().filter(plausible).count() as u64;
        committed
    }

    fn is_deaf_to(&self, entry: &Entry) -> bool {
        let kind = entry.header().kind;
        self.deaf && matches!(kind, Kind::Revoke | Kind::Retire | Kind::Quarantine)
    }

    fn admit(&mut self, entry: &Entry) -> Verdict {
        let log = entry.header().log;
        let begins = entry.header().kind == Kind::Genesis
            && entry.payload().is_some_and(|payload| {
                let control = Control::decode(Kind::Genesis, payload);
                matches!(control, Ok(Control::RosterGenesis { .. }))
            });
        if begins || self.rosters.log(log).is_some() {
            return self.rosters.admit(entry);
        }
        let state = self.logs.entry(log).or_insert_with(|| LogState::new(log));
        let verdict = state.admit(entry, &self.rosters);
        if state.is_empty() {
            self.logs.remove(&log);
        }
        verdict
    }

    fn persist(&mut self, entry: &Entry) {
        let (log, hash) = (entry.header().log, entry.hash());
        let line = self.state(log).unwrap().entry_meta(&hash).unwrap().line;
        self.bytes.insert(hash, entry.encode());
        let entries = self.disk.logs.entry(log).or_default();
        entries.push((line, entry.clone()));
    }

    /// The news of these logs, and of those that others may hold now because a roster is among them.
    fn changed(&mut self, touched: &BTreeSet<LogId>) -> Vec<Changed> {
        let rosters = touched.iter().any(|log| self.rosters.log(*log).is_some());
        let mut audiences = Vec::new();
        for (log, state) in &mut self.logs {
            if rosters || touched.contains(log) {
                state.settle(&self.rosters);
                audiences.push(*log);
            }
        }
        let mut changed = Vec::new();
        for log in audiences {
            let audience = self.audience(&self.logs[&log]);
            let before = self.audiences.insert(log, audience.clone());
            if touched.contains(&log) || before.is_none_or(|before| before != audience) {
                changed.push(self.news(log, audience));
            }
        }
        for log in touched {
            if self.rosters.log(*log).is_some() {
                changed.push(self.news(*log, self.clinics.iter().copied().collect()));
            }
        }
        changed
    }

    fn news(&mut self, log: LogId, audience: BTreeSet<ClinicId>) -> Changed {
        self.version += 1;
        let state = self.state(log).unwrap();
        Changed {
            log,
            digest: state.digest(),
            is_roster: state.roster().is_some(),
            audience: audience.into_iter().collect(),
            version: self.version,
        }
    }

    fn chain(&self) -> &'static SigningKey {
        &self.me.lives[self.disk.life]
    }

    /// Writes an entry, if everybody would take it. `early` takes the least tree index that fits, whatever was used already.
    pub(super) fn write(
        &mut self,
        log: Option<LogId>,
        what: &What,
        actor: usize,
        time_ms: u64,
        early: bool,
    ) -> Vec<Changed> {
        let chain = self.chain();
        let (kind, scope, payload) = match what {
            What::Control(control) => (control.kind(), None, control.encode()),
            What::Edit(scope) => (Kind::Edit, Some(*scope), vec![7; 40]),
            What::View => (Kind::View, None, vec![8; 20]),
            What::Link => (Kind::Link, None, vec![9; 40]),
        };
        let begun = match what {
            What::Control(control) => control.log_id(chain.chain()),
            _ => None,
        };
        let Some(log) = log.or(begun) else {
            return Vec::new();
        };
        let empty = LogState::new(log);
        let state = self.state(log).unwrap_or(&empty);
        let last = state.heights().get(&chain.chain());
        let last = last.and_then(|height| state.entry_meta(&height.hash));
        let tree_size = match last {
            Some(last) if early => last.tree_index + 1,
            _ => self.disk.tree_size,
        };
        let mut position = state.position(chain.chain(), tree_size);
        let mut parents = state.parents(chain.chain());
        if self.lies
            && let Some(last) = self.last.get(&log).and_then(|last| state.entry_meta(last))
            && last.chain == position.chain
        {
            position.seq = last.seq + 1;
            position.prev = Some(last.hash);
            let knows_other = |hash: &EntryHash| {
                let clock = state.clock(hash).unwrap_or_default();
                clock
                    .iter()
                    .any(|(line, _)| *line != last.line && is_line_of(state, *line, last.chain))
            };
            parents.retain(|hash| *hash != last.hash && !knows_other(hash));
        }
        let entry = if state.roster().is_some() {
            let What::Control(control) = what else {
                return Vec::new();
            };
            sign_roster(state, position, control, &self.me.root, chain, time_ms)
        } else {
            let actor = &self.me.staff[actor];
            let draft = Draft {
                log,
                parents,
                authority: self.rosters.get(self.me.id).unwrap().heads().to_vec(),
                kind,
                scope,
                epoch: if kind.is_clear() {
                    None
                } else {
                    state.current_epoch()
                },
                blobs: Vec::new(),
                time_ms,
                actor: actor.actor(),
            };
            draft.sign(position, payload, actor, chain)
        };
        // A liar's tree indices may fit nowhere.
        let Ok(entry) = entry else {
            return Vec::new();
        };
        match self.admit(&entry) {
            Verdict::Accepted | Verdict::Forked { .. } => {}
            _ => return Vec::new(),
        }
        self.disk.tree_size = self.disk.tree_size.max(tree_size + 1);
        self.last.insert(log, entry.hash());
        self.persist(&entry);
        self.changed(&[log].into())
    }

    /// A new life from an older disk: closes the one before.
    pub(super) fn restored(before: &Self, disk: Disk, time_ms: u64) -> (Self, Vec<Changed>) {
        let life = before.disk.life;
        let mut ledger = Self::from_disk(before, disk);
        ledger.disk.life = life + 1;
        ledger.disk.tree_size = 0;
        let all = ledger.me.lives.iter().take(life + 1);
        let roster = ledger.rosters.get(ledger.me.id).unwrap();
        let known = all.map(SigningKey::chain);
        let known = known.filter(|chain| roster.incarnation(*chain).is_some());
        let mut closes: Vec<_> = known
            .map(|chain| (chain, salus_audit::MAX_TREE_SIZE))
            .collect();
        closes.sort_unstable();
        let control = Control::Incarnation {
            chain: ledger.chain().chain(),
            endpoint: [2; 32],
            hpke: [3; 32],
            closes,
        };
        let log = ledger.me.roster;
        let changed = ledger.write(Some(log), &What::Control(control), 0, time_ms, false);
        assert!(!changed.is_empty(), "a new life begins");
        (ledger, changed)
    }
}

/// Whether this line is one of the chain's.
fn is_line_of(state: &LogState, line: ChainId, chain: ChainId) -> bool {
    let mut of_chain = state.entries().filter(|meta| meta.chain == chain);
    of_chain.any(|meta| meta.line == line)
}
