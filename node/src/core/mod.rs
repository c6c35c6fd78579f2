//! The clinic behind the API: the one place where entries are written, judged, stored and read.
//!
//! [`Core`] owns the store, the logs, the rosters and, while unlocked, the documents and the index. Its methods block and take turns
//! (the service holds it behind one lock); networking and sessions are elsewhere. The order is always
//! the same: verify, admit, store in one transaction, then show and announce.
//!
//! A failed commit leaves nothing behind: every log and document it touched is forgotten and read again from the store.

mod ahead;
mod at;
mod attachments;
mod conflicts;
mod documents;
mod edits;
mod erasures;
pub mod failure;
mod images;
mod import;
mod index;
mod keys;
mod ledger;
mod links;
mod logs;
mod people;
mod proofs;
mod rights;
mod saved;
mod staffing;
mod statements;
mod suggestions;
#[cfg(test)]
mod tests;
mod verify;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use salus_api::ApiError;
use salus_audit::{
    ActorId, BlobHash, Body, ChainId, ClinicId, Control, Draft, Entry, EntryHash, LogId, LogState,
    Rosters, Scope, SigningKey, Tree, Verdict,
};
use salus_sandbox::Sandbox;
use salus_store::{Batch, Store};
use salus_sync::Changed;
use salus_vault::{EpochKey, NodeSecrets, seal_payload};
use tokio::sync::mpsc;

pub use attachments::{Attached, NewAttachment, What};
pub use documents::Opened;
pub use edits::fresh_id;
pub use import::{Imported, Prepared, Source, ToImport};
use index::IndexRow;
pub use ledger::CoreLedger;
use logs::LogBook;
pub use logs::LogSummary;
pub use people::{KnownPeer, log_right, roster_role};
pub use verify::verify_all;

/// Tells the time, milliseconds since 1970-01-01 UTC: passed in, so that tests choose it.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A person at work: name and key, as the vault and the roster know them.
#[derive(Clone)]
pub struct Staff {
    /// The name.
    pub name: String,
    /// The signing key.
    pub key: SigningKey,
}

/// Something that others want to hear after a commit.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A log changed, here or by sync.
    Log {
        /// The change, as the network announces it.
        changed: Changed,
        /// Whether it came from another clinic: the network knows of it already.
        foreign: bool,
    },
    /// These records' rows changed.
    Patients(Vec<LogId>),
    /// Records wait to be taken into documents and index.
    Dirty,
    /// Everything before this was passed on.
    Flushed(FlushSignal),
}

/// Tells whoever waits that all earlier notices were passed on.
#[derive(Clone, Debug)]
pub struct FlushSignal(Arc<tokio::sync::Notify>);

impl FlushSignal {
    /// Passes it on.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

/// The clinic.
pub struct Core {
    store: Arc<Store>,
    chain: SigningKey,
    me: ClinicId,
    rosters: Rosters,
    logs: LogBook,
    tree: Tree,
    opened: Option<Opened>,
    clock: Clock,
    notices: mpsc::UnboundedSender<Notice>,
    entries: u64,
    /// Grows with every commit that changes a log: the network tells late news by it.
    version: u64,
    /// Entries of records that nothing has entitled this clinic to yet.
    unproven: BTreeMap<LogId, Vec<Entry>>,
    sandbox: Arc<Sandbox>,
    stated: statements::StatedTime,
}

/// What is to be committed in one transaction, and what to do once it is.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    touched: BTreeSet<LogId>,
    /// Rows of the index as they will be; none where a record is no longer to be shown.
    rows: Vec<(LogId, Option<IndexRow>)>,
    tree: Tree,
    foreign: bool,
    /// What inferences and verdicts of this transaction say: the index needs it before they can be read from the store.
    said: BTreeMap<EntryHash, Body>,
    /// Entries of the batch that were held already, without what they say.
    said_again: u64,
    /// Records that show something of one whose row of the index goes.
    shown_anew: Vec<LogId>,
}

impl Pending {
    /// Keeps an admitted entry on its line: its chain's own, or that of a second history.
    fn keep(&mut self, line: ChainId, entry: Entry) {
        if line == entry.header().chain {
            self.batch.entries.push(entry);
        } else {
            self.batch.forks.push((line, entry));
        }
    }
}

/// A body on its way into an entry.
pub(crate) enum Said<'a> {
    /// Clear, for all who may hold the log.
    Clear(&'a Control),
    /// Sealed under an epoch of the record.
    Sealed(&'a Body, EntryHash, &'a EpochKey),
}

impl Core {
    /// Opens the clinic of a store. `opened` stays closed until [`Core::unlock`].
    pub fn open(
        store: Store,
        chain: SigningKey,
        clock: Clock,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, ApiError> {
        let me = store
            .meta(people::META_CLINIC)
            .map_err(failure::store)?
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(ClinicId::from_bytes)
            .ok_or_else(|| {
                ApiError::integrity("the store does not say whose it is")
                    .hint("restore the data folder from a backup")
            })?;
        let logs = LogBook::load(&store)?;
        let tree = store.own_tree().map_err(failure::store)?;
        let entries = logs.summaries().values().map(|s| s.entries).sum();
        let stated = statements::StatedTime::load(&store)?;
        let mut core = Self {
            me,
            logs,
            tree,
            entries,
            stated,
            ..Self::fresh(store, chain, clock, notices)
        };
        core.load_rosters()?;
        if core.rosters.get(me).is_none() {
            return Err(
                ApiError::integrity("this clinic's own roster is missing from the store")
                    .hint("restore the data folder from a backup"),
            );
        }
        Ok(core)
    }

    /// A clinic that has not been founded yet, on an empty store.
    pub fn fresh(
        store: Store,
        chain: SigningKey,
        clock: Clock,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        Self {
            store: Arc::new(store),
            chain,
            me: ClinicId::from_bytes([0; 32]),
            rosters: Rosters::default(),
            logs: LogBook::empty(),
            tree: Tree::new(),
            opened: None,
            clock,
            notices,
            entries: 0,
            version: 0,
            unproven: BTreeMap::new(),
            sandbox: crate::hostile::sandbox(),
            stated: statements::StatedTime::default(),
        }
    }

    /// Opens what only an unlocked node can read, and takes in what arrived while it was locked.
    pub fn unlock(&mut self, secrets: &NodeSecrets) -> Result<(), ApiError> {
        if self.opened.is_none() {
            let opened = Opened::open(&self.store, secrets.hpke.clone(), secrets.index.clone())?;
            self.opened = Some(opened);
            self.mend_index();
        }
        Ok(())
    }

    /// Makes index rows again that could not be read. Where the store is damaged they cannot be kept: verification says so.
    fn mend_index(&mut self) {
        let unreadable = self
            .opened
            .as_mut()
            .map(|opened| std::mem::take(&mut opened.unreadable))
            .unwrap_or_default();
        if unreadable.is_empty() {
            return;
        }
        tracing::warn!(
            rows = unreadable.len(),
            "index rows are damaged and are made again"
        );
        let mended = self.transact(|core, pending| {
            for log in &unreadable {
                core.refresh(*log, pending)?;
            }
            Ok(())
        });
        if let Err(error) = mended {
            tracing::warn!(%error, "index rows were made again and could not be stored");
            for log in unreadable {
                self.index_in_memory(log);
            }
        }
    }

    /// Wipes what only an unlocked node may have in memory.
    pub fn lock(&mut self) {
        self.opened = None;
    }

    /// Whether it is unlocked.
    pub fn is_unlocked(&self) -> bool {
        self.opened.is_some()
    }

    /// This clinic.
    pub fn me(&self) -> ClinicId {
        self.me
    }

    /// This incarnation's chain.
    pub fn chain_id(&self) -> ChainId {
        self.chain.chain()
    }

    /// The time now.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// Sends a notice behind all that went before, and returns what hears of its arrival.
    pub fn flush_notices(&self) -> Arc<tokio::sync::Notify> {
        let heard = Arc::new(tokio::sync::Notify::new());
        self.notify(Notice::Flushed(FlushSignal(Arc::clone(&heard))));
        heard
    }

    /// Logs and entries held.
    pub fn size(&self) -> (u64, u64) {
        (self.logs.summaries().len() as u64, self.entries)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The store itself, for work that must not hold the core: it makes its own consistent picture.
    pub fn store_handle(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    fn opened(&mut self) -> Result<&mut Opened, ApiError> {
        self.opened.as_mut().ok_or_else(|| {
            ApiError::refused("the node is locked")
                .hint("unlock it with `salus unlock`, or give a passphrase")
        })
    }

    /// The state of a log, roster or record; empty for one that is not held.
    fn log(&mut self, log: LogId) -> Result<&LogState, ApiError> {
        if let Some(state) = self.rosters.log(log) {
            return Ok(state);
        }
        self.logs
            .state(log, &self.store, &self.rosters)
            .map(|state| &*state)
    }

    /// Judges an entry and adds it to the state of its log. `roster` says where a new log would begin.
    fn admit(&mut self, entry: &Entry, roster: bool) -> Result<Verdict, ApiError> {
        let log = entry.header().log;
        if roster || self.rosters.log(log).is_some() {
            return Ok(self.rosters.admit(entry));
        }
        Ok(self
            .logs
            .state(log, &self.store, &self.rosters)?
            .admit(entry, &self.rosters))
    }

    /// Folds every roster from the store; each stands alone.
    fn load_rosters(&mut self) -> Result<(), ApiError> {
        self.rosters = Rosters::default();
        let ids: Vec<LogId> = self
            .logs
            .summaries()
            .iter()
            .filter(|(_, s)| s.roster)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let state = self.logs.take(id, &self.store)?;
            if self.rosters.insert(state).is_err() {
                return Err(ApiError::integrity(format!(
                    "log {id} is stored as a roster and is none"
                ))
                .hint("run `salus audit verify --all` to see what is damaged"));
            }
        }
        Ok(())
    }

    /// Starts a transaction.
    pub(crate) fn begin(&self) -> Pending {
        Pending {
            batch: Batch::default(),
            touched: BTreeSet::new(),
            rows: Vec::new(),
            tree: self.tree.clone(),
            foreign: false,
            said_again: 0,
            shown_anew: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    /// Runs one transaction: `work` fills it, then it is committed, or everything it touched is forgotten.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Pending) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut pending = self.begin();
        let outcome = work(self, &mut pending);
        match outcome {
            Ok(value) => self.commit(pending).map(|()| value),
            Err(error) => {
                self.abandon(&pending);
                Err(error)
            }
        }
    }

    /// Stores a transaction durably, then makes it known.
    pub(crate) fn commit(&mut self, mut pending: Pending) -> Result<(), ApiError> {
        let destroyed = self.destroy_erased(&mut pending);
        let summaries = match self.changed_summaries(&pending.touched) {
            Ok(summaries) => summaries,
            Err(error) => {
                self.abandon(&pending);
                return Err(error);
            }
        };
        pending.batch.summaries.extend(
            summaries
                .iter()
                .map(|(log, summary)| (*log, documents::encoded(summary))),
        );
        let count = (pending.batch.entries.len() + pending.batch.forks.len()) as u64;
        let count = count.saturating_sub(pending.said_again);
        let mut batch = std::mem::take(&mut pending.batch);
        batch.index_key = self.opened.as_ref().map(|opened| opened.index_key.clone());
        if let Err(error) = self.store.commit(batch) {
            self.abandon(&pending);
            return Err(failure::store(error));
        }
        self.tree = pending.tree;
        self.entries += count;
        self.version += 1;
        for (log, entries) in destroyed {
            self.logs.set_destroyed(log, entries);
        }
        for (log, summary) in summaries {
            let changed = self.changed(log, &summary);
            self.logs.set_summary(log, summary);
            self.notify(Notice::Log {
                changed,
                foreign: pending.foreign,
            });
        }
        if let Some(opened) = &mut self.opened {
            let mut ids: Vec<LogId> = pending.rows.iter().map(|(log, _)| *log).collect();
            ids.extend(pending.shown_anew);
            for (log, row) in pending.rows {
                match row {
                    Some(row) => opened.index.set(log, row),
                    None => {
                        opened.index.remove(&log);
                    }
                }
            }
            if !ids.is_empty() {
                self.notify(Notice::Patients(ids));
            }
        }
        self.logs.trim();
        Ok(())
    }

    fn changed_summaries(
        &mut self,
        touched: &BTreeSet<LogId>,
    ) -> Result<Vec<(LogId, LogSummary)>, ApiError> {
        let mut changed = Vec::new();
        for log in touched {
            let state = self.log(*log)?;
            if state.is_empty() {
                continue;
            }
            let Some(summary) = LogSummary::of(state) else {
                return Err(ApiError::failed(format!(
                    "log {log} has entries and no beginning"
                )));
            };
            if self.logs.summary(log) != Some(&summary) {
                changed.push((*log, summary));
            }
        }
        Ok(changed)
    }

    /// Forgets what an uncommitted transaction changed in memory.
    fn abandon(&mut self, pending: &Pending) {
        let mut rosters = false;
        for log in &pending.touched {
            rosters |= self.rosters.log(*log).is_some();
            self.logs.forget(log);
            if let Some(opened) = &mut self.opened {
                opened.forget(log);
            }
        }
        if rosters {
            // The old rosters were sound when they were stored; if they no longer are, verification says so. What was judged by the
            // dropped ones is judged by these when it is used again.
            let _ = self.load_rosters();
            self.logs.forget_all();
        }
        self.logs.trim();
    }

    fn notify(&self, notice: Notice) {
        // A node that is stopping no longer listens.
        let _ = self.notices.send(notice);
    }

    /// Signs one entry, judges it as every other clinic will, and adds it to the transaction.
    pub(crate) fn append(
        &mut self,
        pending: &mut Pending,
        who: &SigningKey,
        log: LogId,
        scope: Option<Scope>,
        said: Said<'_>,
    ) -> Result<Entry, ApiError> {
        self.append_naming(pending, who, log, scope, said, Vec::new())
    }

    /// The same for an entry whose header names blobs.
    pub(crate) fn append_naming(
        &mut self,
        pending: &mut Pending,
        who: &SigningKey,
        log: LogId,
        scope: Option<Scope>,
        said: Said<'_>,
        blobs: Vec<BlobHash>,
    ) -> Result<Entry, ApiError> {
        let time_ms = self.now_ms();
        let chain = self.chain.chain();
        let begins_roster = matches!(&said, Said::Clear(Control::RosterGenesis { .. }));
        let in_roster = begins_roster || self.rosters.log(log).is_some();
        let size = pending.tree.size();
        // Read from where it lies, because the rosters are asked about it beside the state.
        let state = match self.rosters.log(log) {
            Some(state) => state,
            None => self.logs.state(log, &self.store, &self.rosters)?,
        };
        let position = state.position(chain, size);
        let prev = position.prev.and_then(|prev| state.entry_meta(&prev));
        let authority = if in_roster {
            Vec::new()
        } else {
            self.rosters.authority(self.me, prev)
        };
        let (kind, epoch) = match &said {
            Said::Clear(control) => (control.kind(), None),
            Said::Sealed(body, epoch, _) => (body.kind(), Some(*epoch)),
        };
        let draft = Draft {
            log,
            parents: state.parents(chain),
            authority,
            kind,
            scope,
            epoch,
            blobs,
            time_ms,
            actor: ActorId::from_bytes(who.public()),
        };
        let payload = match said {
            Said::Clear(control) => control.encode(),
            Said::Sealed(body, _, key) => seal_payload(key, &draft.aad(&position), &body.encode())
                .map_err(|e| ApiError::failed(format!("the entry cannot be sealed: {e}")))?,
        };
        let entry = draft
            .sign(position, payload, who, &self.chain)
            .map_err(|e| ApiError::failed(format!("the entry cannot be signed: {e}")))?;
        pending.touched.insert(log);
        match self.admit(&entry, begins_roster)? {
            Verdict::Accepted => {}
            verdict => return Err(failure::own_entry(verdict)),
        }
        let index = pending.tree.append(entry.leaf());
        pending.batch.own_leaves.push((index, entry.leaf()));
        pending.keep(chain, entry.clone());
        Ok(entry)
    }
}

/// The document's word for an entry's scope.
fn record_scope(scope: Scope) -> Option<salus_record::Scope> {
    Some(match scope {
        Scope::Demographics => salus_record::Scope::Demographics,
        Scope::Clinical => salus_record::Scope::Clinical,
        Scope::Observation => salus_record::Scope::Observation,
        Scope::Note => salus_record::Scope::Note,
        Scope::Attachment => salus_record::Scope::Attachment,
        Scope::Ai => salus_record::Scope::Ai,
    })
}

/// The entry's word for a document's scope.
fn entry_scope(scope: salus_record::Scope) -> Scope {
    match scope {
        salus_record::Scope::Demographics => Scope::Demographics,
        salus_record::Scope::Clinical => Scope::Clinical,
        salus_record::Scope::Observation => Scope::Observation,
        salus_record::Scope::Note => Scope::Note,
        salus_record::Scope::Attachment => Scope::Attachment,
        salus_record::Scope::Ai => Scope::Ai,
    }
}
