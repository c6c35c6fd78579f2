//! Patients' documents: opened lazily, rebuilt from entries, kept sealed beside them.
//!
//! A document is a function of the accepted edit entries of its log. The snapshot on disk is only a cache of that function, stamped with
//! the heights it covers; what the log has beyond them is applied on top.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use minicbor::{Decode, Encode};
use salus_api::ApiError;
use salus_audit::{Body, ChainId, EntryHash, Height, Heights, Kind, LogId, LogState, Right};
use salus_record::{Incoming, Record, Trust};
use salus_vault::{EpochKey, HpkeSecret, IndexKey, open_payload, unwrap_epoch_key};

use super::index::{Index, IndexRow};
use super::{Core, Pending, failure};

/// Documents kept open. A Synthea patient of 250 resources takes about 1 MB: 64 take some 64 MB.
const MAX_OPEN_DOCUMENTS: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Records whose epoch keys are kept unwrapped; unwrapping one takes an X25519 operation, about 50 µs.
const MAX_OPEN_KEYS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Edits after which an open document's snapshot is written again; applying so many costs about as much as one load.
const EDITS_PER_SNAPSHOT: usize = 32;

/// What only an unlocked node has in memory.
pub struct Opened {
    pub(super) hpke: HpkeSecret,
    pub(super) index_key: IndexKey,
    pub(super) index: Index,
    /// Records whose row could not be read: to be made again from their entries.
    pub(super) unreadable: Vec<LogId>,
    documents: LruCache<LogId, Document>,
    keys: LruCache<LogId, HashMap<EntryHash, EpochKey>>,
}

/// An open document and how much of its log is in it.
pub struct Document {
    /// The document.
    pub record: Record,
    /// What could not be taken from the log into the document, in words.
    pub held_out: Vec<String>,
    covered: Heights,
    edits_since_snapshot: usize,
    updated_ms: u64,
}

impl Document {
    fn empty(actor: [u8; 16]) -> Self {
        Self {
            record: Record::new(actor),
            held_out: Vec::new(),
            covered: Heights::new(),
            edits_since_snapshot: 0,
            updated_ms: 0,
        }
    }
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
        Ok(Self {
            unreadable,
            hpke,
            index_key,
            index,
            documents: LruCache::new(MAX_OPEN_DOCUMENTS),
            keys: LruCache::new(MAX_OPEN_KEYS),
        })
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
        let document = Document {
            record,
            held_out: Vec::new(),
            covered: state.heights().clone(),
            edits_since_snapshot: EDITS_PER_SNAPSHOT,
            updated_ms,
        };
        self.documents.put(log, document);
    }

    /// Forgets a document whose commit failed.
    pub(super) fn forget(&mut self, log: &LogId) {
        self.documents.pop(log);
        self.keys.pop(log);
    }
}

impl Core {
    /// The newest epoch of a record that this clinic holds a key of, and the key.
    pub(super) fn newest_key(&mut self, log: LogId) -> Result<(EntryHash, EpochKey), ApiError> {
        let me = self.me();
        let state = self.log(log)?;
        let epoch = state
            .grants()
            .iter()
            .rev()
            .find(|grant| grant.clinic == me && grant.right != Right::Custodian)
            .map(|grant| grant.epoch)
            .ok_or_else(|| not_readable(log))?;
        Ok((epoch, self.epoch_key(log, epoch)?))
    }

    /// The key of one epoch, unwrapped from the grant that carries it and compared with the epoch's commitment.
    fn epoch_key(&mut self, log: LogId, epoch: EntryHash) -> Result<EpochKey, ApiError> {
        let known = self
            .opened()?
            .keys
            .get(&log)
            .and_then(|keys| keys.get(&epoch))
            .cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let me = self.me();
        let state = self.log(log)?;
        let commitment = state.commitment(&epoch).ok_or_else(|| not_readable(log))?;
        let wrapped: Vec<Vec<u8>> = state
            .grants()
            .iter()
            .filter(|grant| grant.clinic == me && grant.epoch == epoch)
            .map(|grant| grant.wrapped.clone())
            .collect();
        let opened = self.opened()?;
        for wrapped in wrapped {
            if let Ok(key) = unwrap_epoch_key(&opened.hpke, log, epoch, me, &wrapped, &commitment) {
                opened.keep_key(log, epoch, key.clone());
                return Ok(key);
            }
        }
        Err(not_readable(log))
    }

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
        let key = self.epoch_key(log, epoch)?;
        let payload = entry
            .payload()
            .ok_or_else(|| damaged("its payload is not held"))?;
        let body = open_payload(&key, &header.aad(), payload)
            .map_err(|_| damaged("its payload does not open"))?;
        Body::decode(header.kind, &body).map_err(|_| damaged("its body cannot be read"))
    }

    /// The document of a record, with every entry of its log that this node holds.
    pub(super) fn document(&mut self, log: LogId) -> Result<&mut Document, ApiError> {
        let heights = self.log(log)?.heights().clone();
        let cached = self.opened()?.documents.pop(&log);
        let mut document = match cached {
            Some(document) => document,
            None => self.load_document(log)?,
        };
        if document.covered != heights {
            self.catch_up(log, &mut document, heights)?;
        }
        let opened = self.opened()?;
        opened.documents.put(log, document);
        opened
            .documents
            .get_mut(&log)
            .ok_or_else(|| not_readable(log))
    }

    fn load_document(&mut self, log: LogId) -> Result<Document, ApiError> {
        let actor = salus_record::actor_for(*self.chain_id().as_bytes(), *log.as_bytes());
        let empty = || Document::empty(actor);
        let index_key = self.opened()?.index_key.clone();
        // A damaged snapshot is a lost cache: verification names it, the entries make the document again.
        let Ok(Some(bytes)) = self.store().snapshot(log, &index_key) else {
            return Ok(empty());
        };
        let Ok(snapshot) = minicbor::decode::<Snapshot>(&bytes) else {
            return Ok(empty());
        };
        let state = self.log(log)?;
        // A snapshot of entries that are no longer in the log is of no use: rebuild.
        let covers_the_past = snapshot.covered.iter().all(|(chain, seq, hash)| {
            state
                .entry_meta(hash)
                .is_some_and(|meta| meta.chain == *chain && meta.seq == *seq)
        });
        if !covers_the_past {
            return Ok(empty());
        }
        let Ok(record) = Record::load(&snapshot.document, actor) else {
            return Ok(empty());
        };
        Ok(Document {
            record,
            held_out: snapshot.held_out,
            covered: snapshot
                .covered
                .into_iter()
                .map(|(chain, seq, hash)| (chain, Height { seq, hash }))
                .collect(),
            edits_since_snapshot: 0,
            updated_ms: snapshot.updated_ms,
        })
    }

    /// Applies what the log has beyond the document, all at once.
    fn catch_up(
        &mut self,
        log: LogId,
        document: &mut Document,
        heights: Heights,
    ) -> Result<(), ApiError> {
        let news: Vec<(ChainId, u64, u64)> = self
            .log(log)?
            .entries()
            .filter(|meta| meta.kind == Kind::Edit)
            .filter(|meta| {
                document
                    .covered
                    .get(&meta.chain)
                    .is_none_or(|h| meta.seq > h.seq)
            })
            .map(|meta| (meta.chain, meta.seq, meta.time_ms))
            .collect();
        let mut changes = Vec::new();
        let mut trust = Trust::Own;
        for (chain, seq, time_ms) in news {
            document.updated_ms = document.updated_ms.max(time_ms);
            let entry = self
                .store()
                .entry(log, chain, seq)
                .map_err(failure::store)?
                .ok_or_else(|| {
                    ApiError::integrity(format!("entry {seq} of chain {chain} is gone"))
                })?;
            let scope = entry.header().scope.and_then(super::record_scope);
            let mine = chain == self.chain_id();
            match self.open_body(log, &entry) {
                Ok(Body::Edit { changes: bytes, .. }) => {
                    if !mine {
                        trust = Trust::Foreign;
                    }
                    let actor = salus_record::actor_for(*chain.as_bytes(), *log.as_bytes());
                    changes.extend(bytes.into_iter().map(|bytes| Incoming {
                        bytes,
                        scope,
                        actor: Some(actor),
                    }));
                }
                Ok(_) => document
                    .held_out
                    .push(format!("entry {seq} of chain {chain}: not an edit")),
                Err(error) => document.held_out.push(error.message),
            }
        }
        document.edits_since_snapshot += changes.len();
        document
            .held_out
            .extend(apply_all(&mut document.record, changes, trust));
        document.covered = heights;
        Ok(())
    }

    /// Heads of the document that the log's entries make, built from nothing.
    pub(super) fn rebuilt_heads(&mut self, log: LogId) -> Result<Vec<[u8; 32]>, ApiError> {
        let actor = salus_record::actor_for(*self.chain_id().as_bytes(), *log.as_bytes());
        let mut document = Document::empty(actor);
        let heights = self.log(log)?.heights().clone();
        self.catch_up(log, &mut document, heights)?;
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
        let Ok(document) = self.document(log) else {
            return;
        };
        let row = IndexRow::of(&document.record.patient(), document.updated_ms);
        if let Some(opened) = &mut self.opened {
            opened.index.set(log, row);
        }
    }

    /// Brings a record's index row, and its snapshot where it has become old, into a pending commit.
    pub(super) fn refresh(&mut self, log: LogId, pending: &mut Pending) -> Result<(), ApiError> {
        let document = self.document(log)?;
        let row = IndexRow::of(&document.record.patient(), document.updated_ms);
        let snapshot = (document.edits_since_snapshot >= EDITS_PER_SNAPSHOT).then(|| Snapshot {
            covered: document
                .covered
                .iter()
                .map(|(c, h)| (*c, h.seq, h.hash))
                .collect(),
            updated_ms: document.updated_ms,
            document: document.record.save(),
            held_out: document.held_out.clone(),
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
        pending.rows.push((log, row));
        Ok(())
    }
}

/// Applies changes all at once. What breaks is left out with all later changes of the same chain, which build on it, and named: so the
/// outcome does not depend on how many arrived together, and there are at most as many trials as chains.
fn apply_all(record: &mut Record, mut changes: Vec<Incoming>, trust: Trust) -> Vec<String> {
    let mut held_out = Vec::new();
    while !changes.is_empty() {
        let Err(error) = record.apply(changes.iter().cloned(), trust) else {
            break;
        };
        let before = changes.len();
        let author = changes.get(error.index).and_then(|change| change.actor);
        let mut at = 0;
        changes.retain(|change| {
            at += 1;
            at <= error.index || change.actor != author
        });
        held_out.push(format!(
            "{} change(s) of one chain are held out: {}",
            before - changes.len(),
            error.fault
        ));
        if changes.len() == before {
            break;
        }
    }
    held_out
}

/// Encodes a value of ours; writing CBOR into a `Vec` cannot fail.
pub(super) fn encoded<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_default()
}

fn not_readable(log: LogId) -> ApiError {
    ApiError::refused(format!(
        "this clinic holds record {log} without a key to read it"
    ))
    .hint("ask its home clinic for a read or write grant")
}
