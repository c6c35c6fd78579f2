//! Taking in changes that came from elsewhere.
//!
//! Automerge trusts what it is given: it panics on some bytes, allocates without limit on others, and accepts
//! a few that it cannot load again. So a change is *judged* first, by its bytes and its causal past alone, which every
//! replica does alike: a walk over its bytes ([`crate::chunk`]), parsing with panics caught, and the comparison with
//! its past ([`crate::judge`]), scope included. Then it is *tried* ([`crate::trial`]): applied to a copy of the
//! document, which is read once, saved and loaded again. Only then does a copy take the document's place.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::Change as AmChange;

use crate::chunk;
use crate::judge::Judge;
use crate::record::Record;
use crate::schema::{Collection, Scope};
use crate::sift::Sifted;

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
    /// From another clinic: everything is judged, and tried in this process.
    Foreign,
    /// From another clinic, and tried before, in isolation ([`crate::trial_job`]): everything is judged, nothing is
    /// saved and loaded again.
    Proven,
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
    /// Its actor wrote another change under the same number, and the other one stands: its chain equivocates.
    #[error("its actor wrote another change under the same number")]
    Forked {
        /// Hash of the change that stands.
        stands: [u8; 32],
    },
    /// It follows, directly or not, a change that is held out.
    #[error("follows a change that is held out")]
    Follows {
        /// Hash of the one that it follows directly.
        held_out: [u8; 32],
    },
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

/// What [`Record::apply_what_holds`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedPart {
    /// What was taken in.
    pub applied: Applied,
    /// What was not, by its index in the order given (ascending), and why.
    pub held_out: Vec<(usize, Fault)>,
    /// Whether a document made anew from all changes would be another one: a change was held out because the document
    /// already holds another one in its place, and had both come together, this one would have stood.
    pub rebuild: bool,
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
    let operations = chunk::inspect(bytes)?;
    let change = guard(|| AmChange::try_from(bytes))
        .and_then(Result::ok)
        .ok_or(Fault::Unreadable)?;
    if change.len() as u64 != operations {
        return Err(Fault::Malformed("operations"));
    }
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
        let changes: Vec<Incoming> = changes.into_iter().map(Into::into).collect();
        let Sifted { doc, part } = self.sift(&changes, trust);
        // One that only follows another is not the one to name.
        let follows = |fault: &Fault| matches!(fault, Fault::Follows { .. });
        let mut faults = part.held_out;
        let first = faults.iter().position(|(_, fault)| !follows(fault));
        if let Some(first) = first {
            let (index, fault) = faults.swap_remove(first);
            return Err(ApplyError { index, fault });
        }
        if let Some(doc) = doc {
            self.doc = doc;
        }
        Ok(part.applied)
    }

    /// Takes in all changes that hold: all but those that are faulty and those that follow one of them.
    ///
    /// What becomes of a set of changes does not depend on their order, nor on how many come at once, with one
    /// exception that is reported: of two changes with one actor and number the one with the smaller hash stands, but
    /// what a document holds already is never taken out of it ([`AppliedPart::rebuild`]).
    pub fn apply_what_holds<I>(&mut self, changes: I, trust: Trust) -> AppliedPart
    where
        I: IntoIterator,
        I::Item: Into<Incoming>,
    {
        let changes: Vec<Incoming> = changes.into_iter().map(Into::into).collect();
        let Sifted { doc, part } = self.sift(&changes, trust);
        if let Some(doc) = doc {
            self.doc = doc;
        }
        part
    }

    /// As [`Record::apply_what_holds`] for foreign changes, but the trial is somebody else's: `prove` is given a request
    /// and shall answer with what [`crate::trial_job`] makes of it, in a process of its own. No answer, or one that is
    /// not to this request, counts as a change that breaks: then smaller requests find it.
    pub fn apply_proved<I>(
        &mut self,
        changes: I,
        prove: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> AppliedPart
    where
        I: IntoIterator,
        I::Item: Into<Incoming>,
    {
        let changes: Vec<Incoming> = changes.into_iter().map(Into::into).collect();
        let Sifted { doc, part } = self.sift_proved(&changes, prove);
        if let Some(doc) = doc {
            self.doc = doc;
        }
        part
    }

    /// The scopes that a change writes in: exact, by its operations (a value that loses against a concurrent one
    /// would show in no patch). Changes that it follows must be held.
    ///
    /// # Errors
    /// If the change is malformed or refers to what is not held.
    pub fn scopes_touched(&self, change: &[u8]) -> Result<BTreeSet<Scope>, Fault> {
        let change = parse(change)?;
        guard(|| Judge::of(&self.doc).touched(&change))
            .unwrap_or(Err(Fault::Engine))
            .map(|touched| touched.scopes())
    }
}
