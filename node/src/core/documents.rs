//! Patients' documents: opened lazily, rebuilt from entries, kept sealed beside them.
//!
//! A document is a function of the accepted edit entries of its log. The snapshot on disk is only a cache of that function, stamped with
//! the heights it covers; what the log has beyond them is applied on top.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use salus_api::{ApiError, ErrorKind};
use salus_audit::{Body, ChainId, EntryHash, Height, Heights, Kind, LogId, LogState, Meta};
use salus_record::{Incoming, Record, Trust};
use salus_sandbox::SandboxError;
use salus_vault::{EpochKey, HpkeSecret, IndexKey, open_payload};

use super::index::{Index, IndexRow};
use super::keys::not_readable;
use super::saved::{LoadProofs, Restored};
use super::staffing::SECRET_PAST_KEYS;
use super::{Core, Pending, failure};
use crate::hostile::RECORD_TRIAL;

/// Documents kept open. A Synthea patient of 250 resources takes about 1 MB: 64 take some 64 MB.
const MAX_OPEN_DOCUMENTS: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Records whose epoch keys are kept unwrapped; unwrapping one takes an X25519 operation, about 50 µs.
const MAX_OPEN_KEYS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Edits after which an open document's snapshot is written again; applying so many costs about as much as one load.
const EDITS_PER_SNAPSHOT: usize = 32;

/// What only an unlocked node has in memory.
pub struct Opened {
    hpke: HpkeSecret,
    /// Secrets of earlier lives of this node: grants made to them stay readable.
    past_hpke: Vec<HpkeSecret>,
    pub(super) index_key: IndexKey,
    pub(super) index: Index,
    /// Records whose row could not be read: to be made again from their entries.
    pub(super) unreadable: Vec<LogId>,
    documents: LruCache<LogId, Document>,
    keys: LruCache<LogId, HashMap<EntryHash, EpochKey>>,
    proofs: LoadProofs,
}

/// An open document and how much of its log is in it.
pub struct Document {
    /// The document.
    pub record: Record,
    /// What could not be taken from the log into the document, in words.
    pub held_out: Vec<String>,
    covered: Heights,
    /// Stands for the edits within `covered` that do not count: when it changes, the document is built anew.
    void: [u8; 32],
    /// Whether an entry within `covered` is sealed under a key that was not at hand.
    unread: bool,
    edits_since_snapshot: usize,
    updated_ms: u64,
}

impl Document {
    /// `founder` is the actor of the chain that began the log: no other change begins the document.
    fn empty(actor: [u8; 16], founder: [u8; 16]) -> Self {
        Self {
            record: Record::new(actor).begun_by(founder),
            held_out: Vec::new(),
            covered: Heights::new(),
            void: NONE_VOID,
            unread: false,
            edits_since_snapshot: 0,
            updated_ms: 0,
        }
    }

    /// Whether what it was built from is not part of the log as it stands: a revocation came late, a chain showed a second
    /// history, a key arrived.
    fn is_stale(&self, state: &LogState) -> bool {
        let rests = self.covered.iter().all(|(line, height)| {
            state
                .line_of(&height.hash)
                .is_some_and(|found| found == *line)
        });
        !rests
            || self.void != void_within(state, &self.covered)
            || (self.unread && self.covered != *state.heights())
    }
}

/// No void edit at all.
const NONE_VOID: [u8; 32] = [0; 32];

/// Stands for the void edits among the entries that these heights cover.
fn void_within(state: &LogState, covered: &Heights) -> [u8; 32] {
    let mut hashes: Vec<EntryHash> = state
        .voids()
        .map(|(hash, _)| hash)
        .filter(|hash| {
            state
                .entry_meta(hash)
                .is_some_and(|meta| meta.kind == Kind::Edit && is_covered(state, covered, meta))
        })
        .collect();
    if hashes.is_empty() {
        return NONE_VOID;
    }
    hashes.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for hash in hashes {
        hasher.update(hash.as_bytes());
    }
    hasher.finalize().into()
}

fn is_covered(state: &LogState, covered: &Heights, meta: &Meta) -> bool {
    state
        .line_of(&meta.hash)
        .and_then(|line| covered.get(&line))
        .is_some_and(|height| meta.seq <= height.seq)
}

/// A snapshot as it is kept (CBOR array, sealed by the index key).
#[derive(Encode, Decode)]
struct Snapshot {
    #[n(0)]
    covered: Vec<(ChainId, u64, EntryHash)>,
    #[n(1)]
    updated_ms: u64,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    document: Vec<u8>,
    #[n(3)]
    held_out: Vec<String>,
    #[n(4)]
    void: Option<ByteArray<32>>,
    #[n(5)]
    unread: Option<bool>,
}

impl Opened {
    /// Decrypts the index into memory.
    pub fn open(
        store: &salus_store::Store,
        hpke: HpkeSecret,
        index_key: IndexKey,
    ) -> Result<Self, ApiError> {
        let mut index = Index::default();
        let stored = store.index_rows(&index_key).map_err(failure::store)?;
        let mut unreadable = stored.damaged;
        for (log, bytes) in stored.rows {
            match minicbor::decode::<IndexRow>(&bytes) {
                Ok(row) => index.set(log, row),
                Err(_) => unreadable.push(log),
            }
        }
        let past = store
            .secret(SECRET_PAST_KEYS, &index_key)
            .map_err(failure::store)?;
        let past: Vec<ByteArray<32>> = past
            .and_then(|bytes| minicbor::decode(&bytes).ok())
            .unwrap_or_default();
        Ok(Self {
            unreadable,
            hpke,
            past_hpke: past
                .into_iter()
                .map(|bytes| HpkeSecret::from_bytes(*bytes))
                .collect(),
            index_key,
            index,
            documents: LruCache::new(MAX_OPEN_DOCUMENTS),
            keys: LruCache::new(MAX_OPEN_KEYS),
            proofs: LoadProofs::default(),
        })
    }

    /// What grants to this clinic are opened with, the newest first.
    pub(super) fn hpke_secrets(&self) -> impl Iterator<Item = &HpkeSecret> {
        std::iter::once(&self.hpke).chain(&self.past_hpke)
    }

    /// What grants to this clinic are wrapped to.
    pub(super) fn hpke_public(&self) -> [u8; 32] {
        self.hpke.public()
    }

    /// The key of an epoch, where it is in memory.
    pub(super) fn key(&mut self, log: LogId, epoch: &EntryHash) -> Option<EpochKey> {
        self.keys.get(&log)?.get(epoch).cloned()
    }

    /// Keeps a key that was just made.
    pub(super) fn keep_key(&mut self, log: LogId, epoch: EntryHash, key: EpochKey) {
        self.keys
            .get_or_insert_mut(log, HashMap::new)
            .insert(epoch, key);
    }

    /// Keeps a document that was just made; it covers the log as it will be once committed.
    pub(super) fn keep_document(
        &mut self,
        log: LogId,
        record: Record,
        state: &LogState,
        updated_ms: u64,
    ) {
        let record = match founder(state) {
            Some(chain) => record.begun_by(actor(chain, log)),
            None => record,
        };
        let document = Document {
            record,
            held_out: Vec::new(),
            covered: state.heights().clone(),
            void: NONE_VOID,
            unread: false,
            edits_since_snapshot: EDITS_PER_SNAPSHOT,
            updated_ms,
        };
        self.documents.put(log, document);
    }

    /// Puts back a document that was taken out to be looked at.
    pub(super) fn put_document(&mut self, log: LogId, document: Document) {
        self.documents.put(log, document);
    }

    /// Forgets a document whose commit failed.
    pub(super) fn forget(&mut self, log: &LogId) {
        self.documents.pop(log);
        self.keys.pop(log);
    }
}

impl Core {
    /// Opens the body of a clinical entry.
    pub(super) fn open_body(
        &mut self,
        log: LogId,
        entry: &salus_audit::Entry,
    ) -> Result<Body, ApiError> {
        let header = entry.header();
        let damaged = |what: &str| {
            ApiError::integrity(format!(
                "entry {} of chain {} in record {log}: {what}",
                header.seq, header.chain
            ))
        };
        let epoch = header.epoch.ok_or_else(|| damaged("names no epoch"))?;
        let vainly_erased =
            entry.payload().is_none() && self.log(log)?.may_be_bare(&entry.hash(), header.kind);
        let key = self.epoch_key(log, epoch)?;
        let payload = entry.payload().ok_or_else(|| match vainly_erased {
            true => damaged(&format!("it was erased {}", super::erasures::VAIN_ERASURE)),
            false => damaged("its payload is not held"),
        })?;
        let body = open_payload(&key, &header.aad(), payload)
            .map_err(|_| damaged("its payload does not open"))?;
        Body::decode(header.kind, &body).map_err(|_| damaged("its body cannot be read"))
    }

    /// The document of a record: every entry of its log that counts.
    pub(super) fn document(&mut self, log: LogId) -> Result<&mut Document, ApiError> {
        self.refuse_erased(log)?;
        let cached = self.opened()?.documents.pop(&log);
        let mut document = match cached {
            Some(document) => document,
            None => self.load_document(log)?,
        };
        let state = self.log(log)?;
        if document.is_stale(state) {
            document = self.empty_document(log)?;
        }
        if self.catch_up(log, &mut document)? {
            document = self.empty_document(log)?;
            self.catch_up(log, &mut document)?;
        }
        let opened = self.opened()?;
        opened.documents.put(log, document);
        opened
            .documents
            .get_mut(&log)
            .ok_or_else(|| not_readable(log))
    }

    /// The document of a record, taken out of the cache; whoever looked at it puts it back.
    pub(super) fn take_document(&mut self, log: LogId) -> Result<Document, ApiError> {
        self.document(log)?;
        self.opened()?
            .documents
            .pop(&log)
            .ok_or_else(|| not_readable(log))
    }

    /// A document to be built anew, whose snapshot is due then.
    fn empty_document(&mut self, log: LogId) -> Result<Document, ApiError> {
        Ok(Document {
            edits_since_snapshot: EDITS_PER_SNAPSHOT,
            ..self.no_document(log)?
        })
    }

    /// A document without anything in it.
    fn no_document(&mut self, log: LogId) -> Result<Document, ApiError> {
        let chain = self.chain_id();
        let founder = founder(self.log(log)?).unwrap_or(chain);
        Ok(Document::empty(actor(chain, log), actor(founder, log)))
    }

    fn load_document(&mut self, log: LogId) -> Result<Document, ApiError> {
        let empty = self.no_document(log)?;
        let writer = actor(self.chain_id(), log);
        let index_key = self.opened()?.index_key.clone();
        // A damaged snapshot is a lost cache: verification names it, the entries make the document again.
        let bytes = match self.store().snapshot(log, &index_key) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(empty),
            Err(_) => return self.empty_document(log),
        };
        let Ok(snapshot) = minicbor::decode::<Snapshot>(&bytes) else {
            return self.empty_document(log);
        };
        let sandbox = Arc::clone(&self.sandbox);
        let proofs = &mut self.opened()?.proofs;
        let record = match proofs.restore(&sandbox, log, &snapshot.document, writer) {
            Restored::Record(record) => record,
            Restored::Damaged => return self.empty_document(log),
            Restored::Untried => return Ok(empty),
        };
        let chain = self.chain_id();
        let founder = founder(self.log(log)?).unwrap_or(chain);
        Ok(Document {
            record: record.begun_by(actor(founder, log)),
            held_out: snapshot.held_out,
            covered: snapshot
                .covered
                .into_iter()
                .map(|(line, seq, hash)| (line, Height { seq, hash }))
                .collect(),
            void: snapshot.void.map_or(NONE_VOID, |void| *void),
            unread: snapshot.unread.unwrap_or(false),
            edits_since_snapshot: 0,
            updated_ms: snapshot.updated_ms,
        })
    }

    /// Applies what the log has beyond the document and what counts of it, all at once. Returns whether a document made from nothing
    /// would be another one: then it is to be made.
    fn catch_up(&mut self, log: LogId, document: &mut Document) -> Result<bool, ApiError> {
        let state = self.log(log)?;
        let heights = state.heights().clone();
        if document.covered == heights {
            return Ok(false);
        }
        let news: Vec<Meta> = state
            .entries()
            .filter(|meta| meta.kind == Kind::Edit && state.void(&meta.hash).is_none())
            .filter(|meta| !is_covered(state, &document.covered, meta))
            .cloned()
            .collect();
        let void = void_within(state, &heights);
        let began_with_nothing = document.covered.is_empty();
        let rebuild = self.take_up(log, document, &news)?;
        document.covered = heights;
        document.void = void;
        Ok(rebuild && !began_with_nothing)
    }

    /// Applies these edits' changes to a document, as far as they hold; others' are tried in isolation first.
    fn take_up(
        &mut self,
        log: LogId,
        document: &mut Document,
        news: &[Meta],
    ) -> Result<bool, ApiError> {
        let mut changes = Vec::new();
        let mut places = Vec::new();
        let mut foreign = false;
        for meta in news {
            let (chain, seq) = (meta.chain, meta.seq);
            document.updated_ms = document.updated_ms.max(meta.time_ms);
            let entry = self
                .store()
                .entry(log, meta.line, seq)
                .map_err(failure::store)?
                .ok_or_else(|| {
                    ApiError::integrity(format!("entry {seq} of chain {chain} is gone"))
                })?;
            let scope = entry.header().scope.and_then(super::record_scope);
            match self.open_body(log, &entry) {
                Ok(Body::Edit { changes: bytes, .. }) => {
                    foreign |= chain != self.chain_id();
                    let actor = actor(chain, log);
                    places.extend(std::iter::repeat_n((chain, seq), bytes.len()));
                    changes.extend(bytes.into_iter().map(|bytes| Incoming {
                        bytes,
                        scope,
                        actor: Some(actor),
                    }));
                }
                Ok(_) => document
                    .held_out
                    .push(format!("entry {seq} of chain {chain}: not an edit")),
                Err(error) => {
                    document.unread |= error.kind == ErrorKind::Refused;
                    document.held_out.push(error.message);
                }
            }
        }
        document.edits_since_snapshot += changes.len();
        let part = if foreign {
            let sandbox = Arc::clone(&self.sandbox);
            let mut unavailable = None;
            let part = document.record.apply_proved(changes, |request| {
                match sandbox.run(RECORD_TRIAL, request) {
                    Ok(answer) => Some(answer),
                    Err(error @ SandboxError::Unavailable(_)) => {
                        unavailable = Some(error);
                        None
                    }
                    // What the changes did to the worker is their fault.
                    Err(error) => {
                        tracing::warn!(%log, %error, "foreign changes broke their trial");
                        None
                    }
                }
            });
            if let Some(error) = unavailable {
                return Err(ApiError::failed(format!(
                    "changes of other clinics could not be tried in isolation: {error}"
                ))
                .hint("free memory and processes on this machine; the changes are kept and tried again"));
            }
            part
        } else {
            document.record.apply_what_holds(changes, Trust::Own)
        };
        for (index, fault) in part.held_out {
            let place = places.get(index);
            let (chain, seq) = place.map_or((self.chain_id(), 0), |place| *place);
            let clinic = self.chain_clinic(chain);
            document.held_out.push(format!(
                "a change of entry {seq} by {clinic} is held out: {fault}"
            ));
        }
        Ok(part.rebuild)
    }

    /// The document that some of a log's edits make, built from nothing.
    pub(super) fn document_of(&mut self, log: LogId, edits: &[Meta]) -> Result<Document, ApiError> {
        let mut document = self.no_document(log)?;
        self.take_up(log, &mut document, edits)?;
        Ok(document)
    }

    /// Heads of the document that the log's entries make, built from nothing.
    pub(super) fn rebuilt_heads(&mut self, log: LogId) -> Result<Vec<[u8; 32]>, ApiError> {
        let mut document = self.no_document(log)?;
        self.catch_up(log, &mut document)?;
        Ok(document.record.heads())
    }

    /// Says that an open document already holds its whole log, a change made here included.
    pub(super) fn covers_all(&mut self, log: LogId, now_ms: u64) -> Result<(), ApiError> {
        let heights = self.log(log)?.heights().clone();
        if let Some(document) = self.opened()?.documents.get_mut(&log) {
            document.covered = heights;
            document.updated_ms = document.updated_ms.max(now_ms);
            document.edits_since_snapshot += 1;
        }
        Ok(())
    }

    /// Makes a record's row from its document without storing it: for a store that takes no more changes.
    pub(super) fn index_in_memory(&mut self, log: LogId) {
        let links = self.links_of(log).unwrap_or_default();
        let images = self.images_of(log, None).unwrap_or_default();
        let Ok(document) = self.document(log) else {
            return;
        };
        let row = IndexRow::of(&document.record.patient(), document.updated_ms)
            .with_linked(links.into_iter().collect())
            .with_images(images);
        if let Some(opened) = &mut self.opened {
            opened.index.set(log, row);
        }
    }

    /// Takes a record out of the index: this clinic is no longer entitled to it. What it holds of the log stays.
    pub(super) fn hide(&mut self, log: LogId, pending: &mut Pending) {
        pending.batch.index_rows.push((log, None));
        pending.batch.clean.push(log);
        pending.rows.push((log, None));
    }

    /// Brings a record's index row, and its snapshot where it has become old, into a pending commit.
    pub(super) fn refresh(&mut self, log: LogId, pending: &mut Pending) -> Result<(), ApiError> {
        if self.log(log)?.record_erased().is_some() {
            self.forget_record(log, pending);
            return Ok(());
        }
        let links = self.links_of(log)?;
        let images = self.images_of(log, Some(&*pending))?;
        let document = self.document(log)?;
        let row = IndexRow::of(&document.record.patient(), document.updated_ms)
            .with_linked(links.into_iter().collect())
            .with_images(images);
        let snapshot = (document.edits_since_snapshot >= EDITS_PER_SNAPSHOT).then(|| Snapshot {
            covered: document
                .covered
                .iter()
                .map(|(c, h)| (*c, h.seq, h.hash))
                .collect(),
            updated_ms: document.updated_ms,
            document: document.record.save(),
            held_out: document.held_out.clone(),
            void: Some(document.void.into()),
            unread: Some(document.unread),
        });
        if let Some(snapshot) = snapshot {
            document.edits_since_snapshot = 0;
            pending
                .batch
                .snapshots
                .push((log, Some(encoded(&snapshot))));
        }
        let bytes = encoded(&row);
        pending.batch.index_rows.push((log, Some(bytes)));
        pending.batch.clean.push(log);
        pending.rows.push((log, Some(row)));
        Ok(())
    }
}

/// The chain that began a log.
fn founder(state: &LogState) -> Option<ChainId> {
    state.entries().next().map(|meta| meta.chain)
}

/// The actor id of a chain's changes to a record's document.
fn actor(chain: ChainId, log: LogId) -> [u8; 16] {
    salus_record::actor_for(*chain.as_bytes(), *log.as_bytes())
}

/// Encodes a value of ours; writing CBOR into a `Vec` cannot fail.
pub(super) fn encoded<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_default()
}
