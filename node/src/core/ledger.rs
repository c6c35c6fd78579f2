//! What other clinics' nodes see of this one: which logs both may hold, and the entries of those.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use salus_api::{ApiError, ErrorKind};
use salus_audit::{
    BlobHash, ChainId, ClinicId, Control, Entry, EntryHash, Height, Heights, Kind, LogId,
    SignedStatement, Statement, Verdict, verify_signatures,
};
use salus_mesh::blobs::BlobStore;
use salus_mesh::{Ledger, LedgerError};
use salus_sync::{CatalogAnswer, CatalogItem, Changed, Committed, Loaded};

use tokio::runtime::Handle;

use super::ahead::Framed;
use super::erasures::is_bare;
use super::{Core, LogSummary, Notice, Pending, failure};

/// Rosters of clinics that nobody here made known, which a federation's clinics pass on so that each other's entries can be
/// judged. Bounds what a lying member can make us keep.
const MAX_ROSTERS: usize = 4_096;
/// Bytes of new records' entries that wait in memory for the grant that entitles this clinic. A guess: eight of the largest attachments.
const MAX_UNPROVEN_BYTES: usize = 32 << 20;
/// Records whose audience is judged again at once when a roster ended a key; more are left to the digestion of dirty records.
const MAX_JUDGED_AT_ONCE: usize = 2_048;
/// Entries of one load, at most: more than fill a frame of 1 MiB, the smallest having some 400 bytes.
const MAX_LOADED: usize = 4_096;
/// Below this a batch of signatures is verified on one thread; splitting costs about 20 µs.
const PARALLEL_FROM: usize = 64;

/// The core as the network sees it.
pub struct CoreLedger {
    core: Arc<Mutex<Core>>,
    blobs: Option<(BlobStore, Handle)>,
}

impl CoreLedger {
    /// Shows a core to the network.
    pub fn new(core: Arc<Mutex<Core>>) -> Self {
        Self { core, blobs: None }
    }

    /// Serves blobs, too. Must be called inside a tokio runtime.
    #[must_use]
    pub fn with_blobs(mut self, blobs: BlobStore) -> Self {
        self.blobs = Some((blobs, Handle::current()));
        self
    }

    fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        // A panic while the core was held leaves it as it was: every change in memory follows a commit.
        work(&mut self.core.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ledger for CoreLedger {
    fn clinic_of(&self, endpoint: [u8; 32]) -> Option<ClinicId> {
        self.with(|core| core.clinic_at(endpoint))
    }

    fn catalog(&self, peer: ClinicId) -> Result<CatalogAnswer, LedgerError> {
        Ok(self.with(|core| {
            let items = core
                .logs
                .summaries()
                .iter()
                .filter(|(_, s)| s.may_hold(&peer))
                .map(|(log, s)| CatalogItem {
                    log: *log,
                    digest: s.digest,
                    is_roster: s.roster,
                })
                .collect();
            CatalogAnswer {
                version: core.version,
                items,
            }
        }))
    }

    fn heights(&self, peer: ClinicId, logs: &[LogId]) -> Result<Vec<Heights>, LedgerError> {
        self.with(|core| {
            // A damaged log is answered as one that is not here, so that the others go on.
            Ok(logs
                .iter()
                .map(|log| core.heights_for(peer, *log).unwrap_or_default())
                .collect())
        })
    }

    fn load(
        &self,
        peer: ClinicId,
        log: LogId,
        theirs: &Heights,
        max_bytes: usize,
    ) -> Result<Loaded, LedgerError> {
        self.with(|core| core.load_for(peer, log, theirs, max_bytes))
            .map_err(|error| failed(&error))
    }

    fn may_fetch(&self, peer: ClinicId, blob: BlobHash) -> bool {
        let Some((store, runtime)) = &self.blobs else {
            return false;
        };
        let logs = self.with(|core| core.logs_naming_for(peer, &blob));
        // An entry may name the blob of another record: the blob itself says whose it is.
        logs.into_iter().any(|log| {
            let belongs = crate::attachments::belongs_to(store, blob, log);
            runtime.block_on(belongs).unwrap_or(false)
        })
    }

    fn commit(
        &self,
        peer: ClinicId,
        entries: Vec<Vec<u8>>,
        statements: Vec<(LogId, Vec<u8>)>,
    ) -> Result<Committed, LedgerError> {
        let total = entries.len() as u64;
        let decoded: Vec<Entry> = entries
            .iter()
            .filter_map(|bytes| Entry::decode(bytes).ok())
            .collect();
        // Signatures are judged before the core is taken: this is most of the work.
        let verified = verified(decoded);
        let refused = total - verified.len() as u64;
        let stated: Vec<_> = statements
            .into_iter()
            .filter_map(|(log, bytes)| {
                let statement = SignedStatement::decode(&bytes).ok()?.verify().ok()?;
                Some((log, statement, bytes))
            })
            .collect();
        let taken = self.with(|core| core.take_in(peer, verified, &stated));
        let mut committed = taken.map_err(|error| failed(&error))?;
        committed.refused += refused;
        Ok(committed)
    }
}

fn failed(error: &ApiError) -> LedgerError {
    tracing::warn!(%error, "the store could not take part in a sync");
    LedgerError::new(error.message.clone())
}

/// The entries whose signatures and payloads hold, in their order; verified on both cores where they are many.
fn verified(entries: Vec<Entry>) -> Vec<Entry> {
    let outcomes = if entries.len() < PARALLEL_FROM {
        verify_signatures(&entries)
    } else {
        let (left, right) = entries.split_at(entries.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| verify_signatures(right));
            let mut outcomes = verify_signatures(left);
            match other.join() {
                Ok(more) => outcomes.extend(more),
                Err(_) => outcomes.extend(verify_signatures(right)),
            }
            outcomes
        })
    };
    entries
        .into_iter()
        .zip(outcomes)
        .filter_map(|(entry, outcome)| outcome.is_ok().then_some(entry))
        .collect()
}

impl Core {
    /// The known clinic that this endpoint belongs to: as its roster certifies, or as somebody here made it known.
    fn clinic_at(&self, endpoint: [u8; 32]) -> Option<ClinicId> {
        let peers = self.peers().ok()?;
        // What a person typed here counts before what a roster claims: a clinic may certify an endpoint that is another's.
        let typed = peers
            .iter()
            .find(|peer| peer.endpoint == endpoint && self.endpoint_of(peer) == endpoint)
            .or_else(|| peers.iter().find(|peer| peer.endpoint == endpoint));
        if let Some(peer) = typed {
            return (self.endpoint_of(peer) == endpoint).then_some(peer.clinic);
        }
        let mut certified = peers
            .iter()
            .filter(|peer| self.endpoint_of(peer) == endpoint);
        match (certified.next(), certified.next()) {
            (Some(peer), None) => Some(peer.clinic),
            _ => None,
        }
    }

    /// The endpoint of a known clinic: the one that its roster certifies now, but for one that was typed here and that the roster, as far
    /// as it is held, has never heard of: its keys were replaced since.
    pub fn endpoint_of(&self, peer: &super::KnownPeer) -> [u8; 32] {
        let Some(roster) = self.rosters.get(peer.clinic) else {
            return peer.endpoint;
        };
        let knows_typed = roster
            .incarnations()
            .any(|life| life.endpoint == peer.endpoint);
        match roster.current() {
            Some(life) if knows_typed => life.endpoint,
            _ => peer.endpoint,
        }
    }

    fn heights_for(&mut self, peer: ClinicId, log: LogId) -> Result<Heights, ApiError> {
        // The answer for a log that the peer may not hold is the one for a log that is not here.
        if !self.logs.summary(&log).is_some_and(|s| s.may_hold(&peer)) {
            return Ok(Heights::new());
        }
        self.log(log).map(|state| state.heights().clone())
    }

    pub(super) fn load_for(
        &mut self,
        peer: ClinicId,
        log: LogId,
        theirs: &Heights,
        max_bytes: usize,
    ) -> Result<Loaded, ApiError> {
        let mut loaded = Loaded {
            reached: theirs.clone(),
            ..Loaded::default()
        };
        if !self.logs.summary(&log).is_some_and(|s| s.may_hold(&peer)) {
            return Ok(Loaded::default());
        }
        let state = self.log(log)?;
        loaded.ours = state.heights().clone();
        // A chain that shows the two of us different histories is sent whole: then both hold both.
        let lacking = state.lacking_first(theirs, MAX_LOADED);
        let wanted: Vec<_> = lacking
            .entries
            .into_iter()
            .map(|(line, seq, hash)| (line, seq, state.line_of(&hash).unwrap_or(line)))
            .collect();
        loaded.forked = lacking.forked;
        loaded.more = wanted.len() >= MAX_LOADED;
        let mut bytes = 0;
        let mut frame = Framed::default();
        for (line, seq, named) in wanted {
            if bytes >= max_bytes && !loaded.entries.is_empty() {
                loaded.more = true;
                break;
            }
            let entry = self.store.entry(log, line, seq).map_err(failure::store)?;
            let Some(entry) = entry else { break };
            let hash = entry.hash();
            loaded.reached.insert(named, Height { seq, hash });
            frame.entries.insert(hash);
            if is_bare(&entry) {
                frame.bare.push((hash, entry.header().kind));
            }
            let encoded = entry.encode();
            bytes += encoded.len();
            loaded.entries.push(encoded);
        }
        if loaded.more {
            let ahead = self.ahead(peer, log, theirs.is_empty(), &frame)?;
            loaded.entries.splice(0..0, ahead);
        } else {
            // A full or damaged store still hands over what it has.
            loaded.statement = self.state_of(log).unwrap_or_else(|error| {
                tracing::warn!(%error, "nothing could be stated about a log that was served");
                None
            });
        }
        Ok(loaded)
    }

    /// Admits verified entries from another clinic and stores the accepted ones in one transaction.
    fn take_in(
        &mut self,
        peer: ClinicId,
        entries: Vec<Entry>,
        stated: &[(LogId, Statement, Vec<u8>)],
    ) -> Result<Committed, ApiError> {
        let mut committed = Committed::default();
        let mut pending = self.begin();
        pending.foreign = true;
        // Rosters that retired somebody or closed a chain: what these wrote may count no more.
        let mut ended: BTreeSet<LogId> = BTreeSet::new();
        // In the order given; one that lacks another is looked at again when that one has come.
        let (bare, entries) = self.part_bare(entries);
        let mut ready: VecDeque<Entry> = entries.into();
        let mut waiting: BTreeMap<EntryHash, Vec<Entry>> = BTreeMap::new();
        let mut outcome = Ok(());
        while let Some(entry) = ready.pop_front() {
            let hash = entry.hash();
            let (log, chain) = (entry.header().log, entry.header().chain);
            match self.take_in_one(&entry) {
                Ok(verdict @ (Verdict::Accepted | Verdict::Forked { .. })) => {
                    if let Verdict::Forked { other } = verdict {
                        committed.forked.push((log, chain));
                        tracing::warn!(%chain, seq = entry.header().seq, %other, "a chain shows two histories; both are kept");
                    }
                    if matches!(entry.header().kind, Kind::Retire | Kind::Incarnation) {
                        ended.insert(log);
                    }
                    pending.touched.insert(log);
                    pending.keep(self.line_of(log, &entry), entry);
                    committed.accepted += 1;
                    ready.extend(waiting.remove(&hash).unwrap_or_default());
                }
                Ok(Verdict::Duplicate) => {
                    committed.duplicate += 1;
                    if self.lacks_payload(&entry) {
                        self.say_again(entry, &mut pending);
                    }
                }
                Ok(Verdict::Pending { missing }) => {
                    let first = missing.first().copied().unwrap_or(hash);
                    waiting.entry(first).or_default().push(entry);
                }
                Ok(Verdict::Refused(refusal)) => {
                    committed.refused += 1;
                    let row = (hash, refusal.to_string().into_bytes());
                    pending.batch.refused.push(row);
                }
                Ok(Verdict::Equivocation { other }) => {
                    committed.evidence += 1;
                    committed.forked.push((log, chain));
                    tracing::warn!(%chain, seq = entry.header().seq, %other, "a chain shows more histories than are kept");
                    // Header and signatures are the evidence; the payload would only make it large.
                    let row = (hash, entry.without_payload().encode());
                    pending.batch.refused.push(row);
                }
                // A damaged log takes nothing more; the others go on. That is not the peer's fault.
                Err(error) if error.kind == ErrorKind::Integrity => {
                    tracing::warn!(%error, "entries for a damaged log are not taken in");
                    waiting.entry(hash).or_default().push(entry);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.set_bare_aside(bare, &mut waiting, &mut committed);
        committed.pending += waiting
            .values()
            .map(|entries| entries.len() as u64)
            .sum::<u64>();
        let lacking: BTreeSet<LogId> = waiting
            .values()
            .flatten()
            .map(|entry| entry.header().log)
            .collect();
        committed.waiting.extend(lacking);
        if let Err(error) = outcome {
            self.abandon(&pending);
            return Err(error);
        }
        let waiting: Vec<Entry> = waiting.into_values().flatten().collect();
        self.set_unproven_aside(&mut pending, &waiting, &mut committed);
        self.judge_again_after(&ended, &mut pending);
        for log in &pending.touched {
            if self.rosters.log(*log).is_none() {
                pending.batch.dirty.push(*log);
            }
        }
        if let Err(error) = self.keep_statements(peer, stated, &mut pending) {
            self.abandon(&pending);
            return Err(error);
        }
        let touched = pending.touched.clone();
        let records = !pending.batch.dirty.is_empty();
        let batch = &pending.batch;
        let nothing = batch.entries.is_empty()
            && batch.forks.is_empty()
            && batch.refused.is_empty()
            && batch.statements.is_empty()
            && batch.meta.is_empty();
        if !nothing {
            self.commit(pending)?;
        }
        for log in touched {
            if let Some(summary) = self.logs.summary(&log) {
                committed.changed.push(self.changed(log, summary));
            }
        }
        if records {
            self.notify(Notice::Dirty);
        }
        tracing::debug!(%peer, accepted = committed.accepted, pending = committed.pending, refused = committed.refused, "entries taken in");
        Ok(committed)
    }

    /// Where an entry that was just admitted is kept.
    pub(super) fn line_of(&mut self, log: LogId, entry: &Entry) -> ChainId {
        let chain = entry.header().chain;
        self.log(log)
            .ok()
            .and_then(|state| state.entry_meta(&entry.hash()))
            .map_or(chain, |meta| meta.line)
    }

    /// Marks the records that a clinic may have written to, whose roster ended a key: documents, index and audience are made again
    /// where something in them no longer counts.
    fn judge_again_after(&mut self, rosters: &BTreeSet<LogId>, pending: &mut Pending) {
        let clinics: Vec<ClinicId> = rosters
            .iter()
            .filter_map(|log| self.rosters.log(*log)?.home())
            .collect();
        if clinics.is_empty() {
            return;
        }
        let concerned: Vec<LogId> = self
            .logs
            .summaries()
            .iter()
            .filter(|(_, summary)| !summary.roster)
            .filter(|(_, summary)| {
                clinics
                    .iter()
                    .any(|clinic| summary.may_hold(clinic) || summary.owner == *clinic)
            })
            .map(|(log, _)| *log)
            .collect();
        if concerned.len() > MAX_JUDGED_AT_ONCE {
            pending.batch.dirty.extend(concerned);
            return;
        }
        for log in concerned {
            // A damaged log is named by verification; it must not keep the others from being judged.
            match self.log(log) {
                Ok(state) => {
                    if state.void_digest() != [0; 32] {
                        pending.batch.dirty.push(log);
                    }
                    pending.touched.insert(log);
                }
                Err(error) => tracing::warn!(%log, %error, "a damaged record is not judged again"),
            }
        }
    }

    fn take_in_one(&mut self, entry: &Entry) -> Result<Verdict, ApiError> {
        let log = entry.header().log;
        let new = self.logs.summary(&log).is_none() && self.rosters.log(log).is_none();
        let begins_roster = new
            && entry.header().kind == Kind::Genesis
            && entry.payload().is_some_and(|payload| {
                matches!(
                    Control::decode(Kind::Genesis, payload),
                    Ok(Control::RosterGenesis { .. })
                )
            });
        if begins_roster && self.rosters.clinics().count() >= MAX_ROSTERS {
            // For a reason of ours, not of the peer's: it waits.
            let missing = vec![entry.hash()];
            return Ok(Verdict::Pending { missing });
        }
        self.admit(entry, begins_roster)
    }

    /// What was set aside for the logs of these entries, and then the entries.
    pub(super) fn with_unproven(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let logs: BTreeSet<LogId> = entries.iter().map(|entry| entry.header().log).collect();
        let mut all = Vec::with_capacity(entries.len());
        for log in &logs {
            all.extend(self.unproven.remove(log).unwrap_or_default());
        }
        all.extend(entries);
        // Who left a payload out must not keep anybody from bringing it, nor fill the room by saying it over and over.
        let mut whole: BTreeSet<EntryHash> = all
            .iter()
            .filter(|entry| entry.payload().is_some())
            .map(Entry::hash)
            .collect();
        all.retain(|entry| entry.payload().is_some() || whole.insert(entry.hash()));
        all
    }

    /// Sets entries of a new record aside as long as nothing entitles this clinic, nor goes ahead that says so: the grant comes after what it
    /// grants, maybe frames later. What is set aside is in memory only, and is not acknowledged as stored.
    fn set_unproven_aside(
        &mut self,
        pending: &mut Pending,
        waiting: &[Entry],
        committed: &mut Committed,
    ) {
        let me = self.me();
        let mut unproven = BTreeSet::new();
        for log in &pending.touched {
            if self.rosters.log(*log).is_some() || self.logs.summary(log).is_some() {
                continue;
            }
            let entitled = self
                .log(*log)
                .is_ok_and(|state| state.right_of(me).is_some())
                || self.is_promised(*log, waiting);
            if !entitled {
                unproven.insert(*log);
            }
        }
        // An erasure that was refused took nothing: what came without a payload because of it is not taken, nor what came with it.
        let lied = self.without_erasure(pending, waiting);
        let batch = &mut pending.batch;
        let aside = |entry: &Entry| {
            let log = entry.header().log;
            unproven.contains(&log) || lied.contains(&log)
        };
        let trunks = batch.entries.extract_if(.., |entry| aside(entry));
        let forks = batch.forks.extract_if(.., |(_, entry)| aside(entry));
        for entry in trunks.chain(forks.map(|(_, entry)| entry)) {
            committed.accepted = committed.accepted.saturating_sub(1);
            committed.pending += 1;
            let log = entry.header().log;
            if unproven.contains(&log) && !lied.contains(&log) {
                self.unproven.entry(log).or_default().push(entry);
            }
        }
        for log in unproven.union(&lied) {
            self.logs.forget(log);
            pending.touched.remove(log);
            committed.waiting.push(*log);
        }
        self.bound_unproven();
    }

    /// Drops the largest of what is set aside until the rest is within its bound; it comes again.
    pub(super) fn bound_unproven(&mut self) {
        let bytes = |entries: &Vec<Entry>| entries.iter().map(Entry::encoded_len).sum::<usize>();
        while self.unproven.values().map(bytes).sum::<usize>() > MAX_UNPROVEN_BYTES {
            let largest = self
                .unproven
                .iter()
                .max_by_key(|(_, entries)| bytes(entries));
            let Some(log) = largest.map(|(log, _)| *log) else {
                return;
            };
            tracing::warn!(%log, "too much was sent of a record before what entitles to it; it is dropped");
            self.unproven.remove(&log);
        }
    }

    /// Takes records that changed while nobody could read into documents and index, at most `limit`; how many are left.
    pub fn digest_dirty(&mut self, limit: usize) -> Result<usize, ApiError> {
        if self.opened.is_none() {
            return Ok(0);
        }
        let dirty = self.store.dirty_logs();
        let left = dirty.len().saturating_sub(limit);
        let now: Vec<LogId> = dirty.into_iter().take(limit).collect();
        if now.is_empty() {
            return Ok(0);
        }
        self.transact(|core, pending| {
            for log in now {
                let me = core.me();
                match core.log(log).map(|state| state.right_of(me).is_some()) {
                    Ok(true) => {}
                    Ok(false) => {
                        core.hide(log, pending);
                        continue;
                    }
                    Err(error) if error.kind == ErrorKind::Integrity => {
                        tracing::warn!(%log, %error, "a damaged record is not taken into the index");
                        pending.batch.clean.push(log);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                // Whoever may hold it is judged again, too.
                pending.touched.insert(log);
                let readable = core.current_key(log).is_ok();
                if !readable {
                    // A custodian's copy: nothing to show, nothing to index.
                    pending.batch.clean.push(log);
                    continue;
                }
                if let Err(error) = core.refresh(log, pending) {
                    if error.kind != ErrorKind::Integrity {
                        return Err(error);
                    }
                    tracing::warn!(%log, error = %error, "a record could not be taken into the index");
                    pending.batch.clean.push(log);
                }
            }
            Ok(left)
        })
    }

    /// A changed log, for the network to announce: with everybody who may hold it.
    pub(super) fn changed(&self, log: LogId, summary: &LogSummary) -> Changed {
        let audience = if summary.roster {
            // A list that cannot be read is reported where it is asked for; sync goes by the catalog then.
            let peers = self.peers().unwrap_or_default();
            peers.into_iter().map(|peer| peer.clinic).collect()
        } else {
            summary.audience.iter().map(|(clinic, _)| *clinic).collect()
        };
        Changed {
            log,
            digest: summary.digest,
            is_roster: summary.roster,
            audience,
            version: self.version,
        }
    }
}
