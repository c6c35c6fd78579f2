//! The record: one document, its actor, and what can be asked of it.

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, ChangeHash, ObjType, ROOT, ReadDoc};

use crate::apply::{ChangeMeta, guard};
use crate::concern::Concern;
use crate::conflict::{self, Conflict};
use crate::edit::{Edit, EditError, scope_of};
use crate::read::Roots;
use crate::saved::{self, LoadError, LoadProof};
use crate::schema::{Collection, Scope};
use crate::view::{self, RecordView};
use crate::write::Writer;
use crate::{bulk, chunk, clinical, describe};

/// The record of one patient.
///
/// A clone is cheap (20 µs for a document of 1,000 changes, measured 2026-11-22), and edits and foreign changes
/// are tried on one, so that a failure of any kind leaves the record as it was.
#[derive(Clone)]
pub struct Record {
    pub(crate) doc: Automerge,
    actor: [u8; 16],
    founder: Option<[u8; 16]>,
}

/// Nothing of the patient.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("heads", &self.doc.get_heads().len())
            .finish_non_exhaustive()
    }
}

/// A change that this node made, for an entry to carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The change, an uncompressed Automerge chunk (type 1).
    pub bytes: Vec<u8>,
    /// Its hash.
    pub hash: [u8; 32],
    /// What it writes; the entry declares it.
    pub scope: Scope,
    /// How many operations it has.
    pub ops: usize,
}

/// Sizes only: the bytes are patients' data.
impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change")
            .field("bytes", &self.bytes.len())
            .field("scope", &self.scope)
            .field("ops", &self.ops)
            .finish_non_exhaustive()
    }
}

/// What a transaction on a copy of the document gave.
struct Committed<T> {
    doc: Automerge,
    change: automerge::Change,
    rest: T,
}

impl Record {
    /// An empty document, into which a record's changes are to be applied.
    pub fn new(actor: [u8; 16]) -> Self {
        Self {
            doc: Automerge::new().with_actor(actor_id(actor)),
            actor,
            founder: None,
        }
    }

    /// Lets nobody but this actor, that of the home clinic's chain, begin the record. Without it the beginning with the
    /// smallest hash stands, which any member can bring about, before the first change has been applied.
    #[must_use]
    pub fn begun_by(mut self, founder: [u8; 16]) -> Self {
        self.founder = Some(founder);
        self
    }

    pub(crate) fn founder(&self) -> Option<[u8; 16]> {
        self.founder
    }

    /// Begins a record at its home clinic: its first change makes all collections, so that no two clinics ever
    /// make one concurrently.
    ///
    /// # Errors
    /// If the merge engine fails.
    pub fn create(actor: [u8; 16], time_ms: u64) -> Result<(Self, Change), EditError> {
        let mut record = Self::new(actor);
        let made = record.commit(time_ms, |tx| {
            for collection in Collection::ALL {
                tx.put_object(ROOT, collection.as_str(), ObjType::Map)?;
            }
            Ok(())
        })?;
        let Committed { doc, change, .. } = made.ok_or(EditError::Engine)?;
        let change = record.keep(doc, &change, Scope::Demographics)?;
        Ok((record, change))
    }

    /// Loads what [`Record::save`] gave, once somebody with limits has: a damaged document can take any amount of memory.
    ///
    /// # Errors
    /// If the bytes are damaged, or others than the proof is of.
    pub fn load(saved: &[u8], actor: [u8; 16], proof: &LoadProof) -> Result<Self, LoadError> {
        let doc = saved::load(saved, proof)?;
        Ok(Self {
            doc: doc.with_actor(actor_id(actor)),
            actor,
            founder: None,
        })
    }

    /// The whole document in Automerge's own format, compressed.
    pub fn save(&self) -> Vec<u8> {
        self.doc.save()
    }

    /// The actor that this node writes as.
    pub fn actor(&self) -> [u8; 16] {
        self.actor
    }

    /// Hashes of the changes that no other change follows, sorted. Equal heads mean equal documents.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.doc.get_heads().into_iter().map(|h| h.0).collect()
    }

    /// Whether the record has its collections: its first change was made or has arrived.
    pub fn is_created(&self) -> bool {
        Roots::of(&self.doc).is_some()
    }

    /// Whether it holds this change.
    pub fn has_change(&self, hash: &[u8; 32]) -> bool {
        self.doc
            .get_change_meta_by_hash(&ChangeHash(*hash))
            .is_some()
    }

    /// What a held change says about itself.
    pub fn change_meta(&self, hash: &[u8; 32]) -> Option<ChangeMeta> {
        let meta = self.doc.get_change_meta_by_hash(&ChangeHash(*hash))?;
        Some(ChangeMeta {
            hash: meta.hash.0,
            actor: meta.actor.to_bytes().to_vec(),
            seq: meta.seq,
            start_op: meta.start_op,
            max_op: meta.max_op,
            deps: meta.deps.iter().map(|d| d.0).collect(),
            len_ops: usize::try_from(meta.max_op.saturating_add(1).saturating_sub(meta.start_op))
                .unwrap_or(usize::MAX),
            time_s: meta.timestamp,
        })
    }

    /// Where a held change stands: the actor that wrote it, and its number among that actor's changes, from 1.
    ///
    /// An actor is one chain in one log ([`actor_for`]), and the changes of a chain's edit entries, in the order of the
    /// entries and within each in the order of its payload, are that actor's changes 1, 2, 3 and so on. So whoever has
    /// counted the changes of the entries once finds the entry of a change without opening any.
    pub fn change_place(&self, hash: &[u8; 32]) -> Option<([u8; 16], u64)> {
        let meta = self.doc.get_change_meta_by_hash(&ChangeHash(*hash))?;
        Some((meta.actor.to_bytes().try_into().ok()?, meta.seq))
    }

    /// The changes that are not in the past of `have` (all for `&[]`), in causal order, as bytes that
    /// [`Record::apply`] takes.
    pub fn changes_since(&self, have: &[[u8; 32]]) -> Vec<Vec<u8>> {
        let have: Vec<ChangeHash> = have.iter().map(|h| ChangeHash(*h)).collect();
        self.doc
            .get_changes(&have)
            .iter()
            .map(|c| c.raw_bytes().to_vec())
            .collect()
    }

    /// Makes one change of several edits, all of one scope. `None` if the record says all of it already.
    ///
    /// `time_ms` is when it is made, in milliseconds since 1970-01-01 UTC (kept to the second), or 0 for "not said".
    ///
    /// # Errors
    /// If an edit is invalid or all are too much for one change; then none is made.
    pub fn edit(&mut self, edits: &[Edit], time_ms: u64) -> Result<Option<Change>, EditError> {
        let scope = scope_of(edits)?;
        let roots = Roots::of(&self.doc).ok_or(EditError::NotCreated)?;
        let ran = self.commit(time_ms, |tx| {
            let mut writer = Writer::new(tx, &roots);
            edits.iter().try_for_each(|edit| writer.edit(edit))?;
            writer.finish()
        })?;
        let Some(Committed { doc, change, rest }) = ran else {
            return Ok(None);
        };
        if rest.is_empty() {
            return self.keep(doc, &change, scope).map(Some);
        }
        drop(doc);
        let (doc, change) = guard(|| {
            let change = bulk::append(&change, &roots, &rest)?;
            let mut doc = self.doc.clone();
            doc.apply_changes([change.clone()]).ok()?;
            doc.set_actor(actor_id(self.actor));
            (doc.get_heads() == [change.hash()]).then_some((doc, change))
        })
        .flatten()
        .ok_or(EditError::Engine)?;
        self.keep(doc, &change, scope).map(Some)
    }

    /// Makes as few changes as possible of edits of any scopes, all or none: one change a scope, more where one
    /// would be too large. Source marks come last, so that a source is marked only with all of it.
    ///
    /// # Errors
    /// If an edit is invalid, or too large alone.
    pub fn import(&mut self, edits: Vec<Edit>, time_ms: u64) -> Result<Vec<Change>, EditError> {
        let mut by_scope: Vec<(Scope, Vec<Edit>)> = Vec::new();
        let mut marks = Vec::new();
        for edit in edits {
            let Some(scope) = edit.scope()? else {
                marks.push(edit);
                continue;
            };
            match by_scope.iter_mut().find(|(s, _)| *s == scope) {
                Some((_, group)) => group.push(edit),
                None => by_scope.push((scope, vec![edit])),
            }
        }
        match by_scope.last_mut() {
            Some((_, group)) => group.append(&mut marks),
            None => by_scope.push((Scope::Demographics, marks)),
        }
        let mut copy = self.clone();
        let mut changes = Vec::new();
        for (_, group) in by_scope {
            copy.edit_in_parts(&group, time_ms, &mut changes)?;
        }
        *self = copy;
        Ok(changes)
    }

    fn edit_in_parts(
        &mut self,
        edits: &[Edit],
        time_ms: u64,
        changes: &mut Vec<Change>,
    ) -> Result<(), EditError> {
        match self.edit(edits, time_ms) {
            Err(EditError::TooLarge) if edits.len() > 1 => {
                let (first, rest) = edits.split_at(edits.len() / 2);
                self.edit_in_parts(first, time_ms, changes)?;
                self.edit_in_parts(rest, time_ms, changes)
            }
            other => {
                changes.extend(other?);
                Ok(())
            }
        }
    }

    /// Runs a transaction on a copy. `None` if it wrote nothing.
    fn commit<T>(
        &self,
        time_ms: u64,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<T, EditError>,
    ) -> Result<Option<Committed<T>>, EditError> {
        let mut doc = self.doc.clone();
        guard(move || {
            let mut tx = doc.transaction();
            let rest = run(&mut tx)?;
            let seconds = i64::try_from(time_ms / 1000).unwrap_or(0);
            let (hash, _) = tx.commit_with(CommitOptions::default().with_time(seconds));
            let Some(hash) = hash else { return Ok(None) };
            let change = doc.get_change_by_hash(&hash).ok_or(EditError::Engine)?;
            Ok(Some(Committed { doc, change, rest }))
        })
        .unwrap_or(Err(EditError::Engine))
    }

    /// Puts the copy with a new change in the document's place, unless the change is too large to be carried.
    fn keep(
        &mut self,
        doc: Automerge,
        change: &automerge::Change,
        scope: Scope,
    ) -> Result<Change, EditError> {
        let bytes = change.raw_bytes().to_vec();
        // Others hold it to the same bounds.
        if chunk::inspect(&bytes).is_err() {
            return Err(EditError::TooLarge);
        }
        self.doc = doc;
        Ok(Change {
            bytes,
            hash: change.hash().0,
            scope,
            ops: change.len(),
        })
    }

    /// Who the record is about: as in [`Record::view`], without the cost of the rest.
    pub fn patient(&self) -> crate::model::Patient {
        view::patient(&self.doc)
    }

    /// All that the record says, typed.
    pub fn view(&self) -> RecordView {
        view::view(&self.doc)
    }

    /// All fields that have several concurrent values.
    pub fn conflicts(&self) -> Vec<Conflict> {
        conflict::conflicts(&self.doc)
    }

    /// What was written apart and merged without a conflict, though a clinician should see it: at most
    /// [`crate::MAX_CONCERNS`]. A function of the document; nothing where all changes know each other.
    pub fn concerns(&self) -> Vec<Concern> {
        clinical::concerns(&self.doc)
    }

    /// What differs between two states, in short lines for a history; at most [`crate::MAX_DESCRIPTION_LINES`].
    pub fn describe(&self, before: &[[u8; 32]], after: &[[u8; 32]]) -> Vec<String> {
        let heads = |hashes: &[[u8; 32]]| -> Vec<ChangeHash> {
            hashes
                .iter()
                .filter(|h| self.has_change(h))
                .map(|h| ChangeHash(*h))
                .collect()
        };
        guard(|| describe::describe(&self.doc, &heads(before), &heads(after))).unwrap_or_default()
    }

    /// What one held change did, in short lines.
    pub fn describe_change(&self, hash: &[u8; 32]) -> Vec<String> {
        match self.change_meta(hash) {
            Some(meta) => self.describe(&meta.deps, &[*hash]),
            None => Vec::new(),
        }
    }
}

fn actor_id(actor: [u8; 16]) -> ActorId {
    ActorId::from(actor.as_slice())
}

/// The Automerge actor of one chain in one log: a chain writes a document with one actor for ever, and no two
/// chains or documents share one.
pub fn actor_for(chain: [u8; 32], log: [u8; 32]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("salus/automerge-actor/v1");
    hasher.update(&chain);
    hasher.update(&log);
    let mut actor = [0; 16];
    hasher.finalize_xof().fill(&mut actor);
    actor
}
