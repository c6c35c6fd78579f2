//! Taking in changes that came from elsewhere.
//!
//! Automerge trusts what it is given: it panics on some bytes, allocates without limit on others, and accepts
//! a few that it cannot load again. So a change passes, in this order: a walk over its bytes ([`crate::chunk`]);
//! parsing, with panics caught; the comparison with its causal past ([`crate::check`]), scope included; applying
//! on a copy of the document, reading that copy once, saving it and loading it again. Only then does the copy
//! take the document's place. All or nothing: after an error the record is as it was.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change as AmChange, ChangeHash};

use crate::check::History;
use crate::chunk;
use crate::record::Record;
use crate::schema::{Collection, Scope};

/// A change as an entry of the log carries it.
#[derive(Clone)]
pub struct Incoming {
    /// The change, an uncompressed Automerge chunk.
    pub bytes: Vec<u8>,
    /// The scope that its entry declares; `None`: do not check.
    pub scope: Option<Scope>,
    /// The actor of its entry's chain ([`crate::actor_for`]); `None`: do not check.
    pub actor: Option<[u8; 16]>,
}

impl Incoming {
    /// A change whose declared scope and actor are both to be checked.
    pub fn new(bytes: Vec<u8>, scope: Scope, actor: [u8; 16]) -> Self {
        Self {
            bytes,
            scope: Some(scope),
            actor: Some(actor),
        }
    }
}

impl From<Vec<u8>> for Incoming {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            scope: None,
            actor: None,
        }
    }
}

impl From<(Vec<u8>, Option<Scope>)> for Incoming {
    fn from((bytes, scope): (Vec<u8>, Option<Scope>)) -> Self {
        Self {
            bytes,
            scope,
            actor: None,
        }
    }
}

/// Sizes only: the bytes are patients' data.
impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("bytes", &self.bytes.len())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How far changes are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From another clinic: everything is checked and proved.
    Foreign,
    /// Written here, or checked as foreign once before (a document is being rebuilt from stored entries): the
    /// bytes are still walked over and panics caught, but the past is compared only where a scope is to be
    /// checked, and nothing is proved.
    Own,
}

/// What was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Hashes of the changes that were new, in the order in which they were applied.
    pub changes: Vec<[u8; 32]>,
    /// How many were held already (or given twice).
    pub duplicates: usize,
    /// The record's heads before: what [`Record::describe`] compares with.
    pub before: Vec<[u8; 32]>,
}

/// One of the changes cannot be taken in; the record is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {index}: {fault}")]
pub struct ApplyError {
    /// Which one, in the order given.
    pub index: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a change. Texts hold nothing of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Other bytes, or a compressed chunk, a document or a bundle.
    #[error("not an uncompressed change")]
    NotAChange,
    /// Too many bytes, operations or references.
    #[error(
        "larger than {} bytes or {} operations",
        crate::MAX_CHANGE_BYTES,
        crate::MAX_CHANGE_OPS
    )]
    TooLarge,
    /// The walk over its bytes failed.
    #[error("malformed ({0})")]
    Malformed(&'static str),
    /// Automerge cannot parse it.
    #[error("unreadable")]
    Unreadable,
    /// Its checksum does not fit.
    #[error("wrong checksum")]
    Checksum,
    /// Not by the actor of the entry's chain.
    #[error("by another actor than its entry")]
    Actor,
    /// Changes that it follows are not here. It is not kept for later.
    #[error("{} of the changes that it follows are missing", .missing.len())]
    MissingDependencies {
        /// Their hashes.
        missing: Vec<[u8; 32]>,
    },
    /// Not the next change of its actor in its own past.
    #[error("not its actor's next change")]
    Sequence,
    /// Its operations are not numbered after those of its past.
    #[error("operations out of range")]
    OperationRange,
    /// It refers to an operation or object that is not in its past, or not of that kind.
    #[error("refers to what is not in its past")]
    Reference,
    /// Its objects are nested deeper than any version of a record needs.
    #[error("nested too deep")]
    Nesting,
    /// A record begins once.
    #[error("a second beginning of the record")]
    SecondBeginning,
    /// The root collections are made by the first change and never replaced.
    #[error("replaces or removes a collection")]
    Collections,
    /// It writes what its scope does not cover.
    #[error("writes {collection} in a change of scope {scope}")]
    OutOfScope {
        /// What its entry declares.
        scope: Scope,
        /// What it writes.
        collection: Collection,
    },
    /// Automerge refused or broke on it, or could not load what it had saved.
    #[error("the merge engine broke on it")]
    Engine,
}

/// What a change says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeMeta {
    /// Its hash (SHA-256, Automerge's).
    pub hash: [u8; 32],
    /// Who wrote it.
    pub actor: Vec<u8>,
    /// Its number among its actor's changes, from 1.
    pub seq: u64,
    /// Counter of its first operation.
    pub start_op: u64,
    /// Counter of its last operation.
    pub max_op: u64,
    /// The changes that it directly follows.
    pub deps: Vec<[u8; 32]>,
    /// How many operations it has.
    pub len_ops: usize,
    /// When it was written, as its writer claims, in seconds since 1970-01-01 UTC; 0 if not said.
    pub time_s: i64,
}

/// Reads a change without any document.
///
/// # Errors
/// If the bytes are not one uncompressed change within the bounds.
pub fn inspect_change(bytes: &[u8]) -> Result<ChangeMeta, Fault> {
    let change = parse(bytes)?;
    Ok(ChangeMeta {
        hash: change.hash().0,
        actor: change.actor_id().to_bytes().to_vec(),
        seq: change.seq(),
        start_op: change.start_op().get(),
        max_op: change.max_op(),
        deps: change.deps().iter().map(|d| d.0).collect(),
        len_ops: change.len(),
        time_s: change.timestamp(),
    })
}

/// Runs what may panic inside Automerge. Nothing that it can leave half-done is used afterwards: callers pass
/// copies, or read only.
pub(crate) fn guard<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Parses one change.
pub(crate) fn parse(bytes: &[u8]) -> Result<AmChange, Fault> {
    chunk::inspect(bytes)?;
    let change = guard(|| AmChange::try_from(bytes))
        .and_then(Result::ok)
        .ok_or(Fault::Unreadable)?;
    // Automerge computes the hash, but does not compare it with the chunk's checksum.
    if bytes.get(4..8) != change.hash().0.get(..4) {
        return Err(Fault::Checksum);
    }
    Ok(change)
}

impl Record {
    /// Takes in changes, all at once: Automerge's cost for one change is nearly that for a thousand.
    ///
    /// They may come in any order, as long as all that they follow is held or among them. Changes that are held
    /// already are skipped.
    ///
    /// # Errors
    /// Names the first change that cannot be taken in; then none was.
    pub fn apply<I>(&mut self, changes: I, trust: Trust) -> Result<Applied, ApplyError>
    where
        I: IntoIterator,
        I::Item: Into<Incoming>,
    {
        let before = self.heads();
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        let mut duplicates = 0;
        for (index, incoming) in changes.into_iter().enumerate() {
            let incoming = incoming.into();
            let at = |fault| ApplyError { index, fault };
            let change = parse(&incoming.bytes).map_err(at)?;
            if incoming
                .actor
                .is_some_and(|a| a.as_slice() != change.actor_id().to_bytes())
            {
                return Err(at(Fault::Actor));
            }
            if self.has_change(&change.hash().0) || !seen.insert(change.hash()) {
                duplicates += 1;
                continue;
            }
            new.push(Parsed {
                index,
                change,
                scope: incoming.scope,
            });
        }
        if new.is_empty() {
            return Ok(Applied {
                changes: Vec::new(),
                duplicates,
                before,
            });
        }
        let new = in_causal_order(&self.doc, new)?;
        if trust == Trust::Foreign || new.iter().any(|p| p.scope.is_some()) {
            check(&self.doc, &new)?;
        }
        self.doc = match trial(&self.doc, &new, trust) {
            Some(doc) => doc,
            None => return Err(first_bad(&self.doc, &new, trust)),
        };
        let changes = new.iter().map(|p| p.change.hash().0).collect();
        Ok(Applied {
            changes,
            duplicates,
            before,
        })
    }

    /// The scopes that a change writes in: exact, by its operations (a value that loses against a concurrent one
    /// would show in no patch). Changes that it follows must be held.
    ///
    /// # Errors
    /// If the change is malformed or refers to what is not held.
    pub fn scopes_touched(&self, change: &[u8]) -> Result<BTreeSet<Scope>, Fault> {
        let change = parse(change)?;
        guard(|| History::of(&self.doc).touched(&change))
            .unwrap_or(Err(Fault::Engine))
            .map(|touched| touched.scopes())
    }
}

/// A parsed change and where it stood in the caller's list.
struct Parsed {
    index: usize,
    change: AmChange,
    scope: Option<Scope>,
}

/// Sorts changes so that each comes after those that it follows (otherwise in the order given).
fn in_causal_order(doc: &Automerge, changes: Vec<Parsed>) -> Result<Vec<Parsed>, ApplyError> {
    let held = |dep: &ChangeHash| doc.get_change_meta_by_hash(dep).is_some();
    let positions: HashMap<ChangeHash, usize> = changes
        .iter()
        .enumerate()
        .map(|(i, p)| (p.change.hash(), i))
        .collect();
    let mut waiting = vec![0_usize; changes.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); changes.len()];
    for (i, parsed) in changes.iter().enumerate() {
        let mut missing = Vec::new();
        for dep in parsed.change.deps() {
            match positions.get(dep) {
                Some(&position) => {
                    if let (Some(count), Some(list)) =
                        (waiting.get_mut(i), followers.get_mut(position))
                    {
                        *count += 1;
                        list.push(i);
                    }
                }
                None if held(dep) => {}
                None => missing.push(dep.0),
            }
        }
        if !missing.is_empty() {
            let fault = Fault::MissingDependencies { missing };
            return Err(ApplyError {
                index: parsed.index,
                fault,
            });
        }
    }
    // Hashes cannot form a circle, so every change gets its turn.
    let mut ready: VecDeque<usize> = waiting
        .iter()
        .enumerate()
        .filter(|(_, n)| **n == 0)
        .map(|(i, _)| i)
        .collect();
    let mut slots: Vec<Option<Parsed>> = changes.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(slots.len());
    while let Some(next) = ready.pop_front() {
        sorted.extend(slots.get_mut(next).and_then(Option::take));
        for &follower in followers.get(next).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(follower);
                }
            }
        }
    }
    Ok(sorted)
}

/// Compares each change with its past and its declared scope.
fn check(doc: &Automerge, changes: &[Parsed]) -> Result<(), ApplyError> {
    let mut at = changes.first().map_or(0, |p| p.index);
    let checked = guard(|| {
        let mut history = History::of(doc);
        for parsed in changes {
            at = parsed.index;
            let touched = history.admit(&parsed.change)?;
            parsed.scope.map_or(Ok(()), |scope| touched.check(scope))?;
        }
        Ok(())
    });
    checked
        .unwrap_or(Err(Fault::Engine))
        .map_err(|fault| ApplyError { index: at, fault })
}

/// Applies the changes to a copy and, for foreign ones, proves it. `None`: something broke.
fn trial(doc: &Automerge, changes: &[Parsed], trust: Trust) -> Option<Automerge> {
    guard(|| {
        let mut copy = doc.clone();
        copy.apply_changes(changes.iter().map(|p| p.change.clone()))
            .ok()?;
        let applied = |p: &Parsed| copy.get_change_meta_by_hash(&p.change.hash()).is_some();
        if !changes.iter().all(applied) {
            return None;
        }
        if trust == Trust::Foreign {
            crate::view::view(&copy);
            crate::conflict::conflicts(&copy);
            let loaded = Automerge::load(&copy.save()).ok()?;
            if loaded.get_heads() != copy.get_heads() {
                return None;
            }
        }
        Some(copy)
    })
    .flatten()
}

/// Finds the first change on which a trial breaks. Any prefix of the causal order can be tried, so it takes
/// about log2(n) trials.
fn first_bad(doc: &Automerge, changes: &[Parsed], trust: Trust) -> ApplyError {
    let (mut good, mut bad) = (0, changes.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match changes
            .get(..middle)
            .and_then(|prefix| trial(doc, prefix, trust))
        {
            Some(_) => good = middle,
            None => bad = middle,
        }
    }
    let index = changes.get(good).map_or(0, |p| p.index);
    ApplyError {
        index,
        fault: Fault::Engine,
    }
}
