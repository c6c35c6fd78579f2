//! What becomes of an entry that arrives.

use crate::cbor::DecodeError;
use crate::id::EntryHash;

/// What [`LogState::admit`](crate::LogState::admit) says about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It belongs to the log and has been added.
    Accepted,
    /// It is in the log already.
    Duplicate,
    /// It cannot be judged before these are held: entries of this log, roster entries, or (by its own
    /// hash) the body of a control entry. Nothing was changed; try again later.
    Pending {
        /// What is missing.
        missing: Vec<EntryHash>,
    },
    /// It is not part of the log, on any replica.
    Refused(Refusal),
    /// It belongs to the log and has been added, and its chain now shows two histories: this entry is for
    /// the same place as another one. Both are evidence, and neither counts by itself.
    Forked {
        /// The other entry for the place.
        other: EntryHash,
    },
    /// Its chain has signed another entry for the same place, and this one could not be added: it fails a
    /// check, or the chain shows [`MAX_FORKS`](crate::MAX_FORKS) histories already. Both are evidence.
    Equivocation {
        /// The entry that holds the place here.
        other: EntryHash,
    },
}

/// Why an entry is not part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The actor did not sign it.
    #[error("the actor's signature does not verify")]
    ActorSignature,
    /// The chain did not sign it.
    #[error("the chain's signature does not verify")]
    ChainSignature,
    /// The payload is not the one that was signed.
    #[error("the payload is not the one that was signed")]
    Payload,
    /// The control body cannot be read.
    #[error("the body cannot be read: {0}")]
    Body(DecodeError),
    /// A kind that has a number but no meaning yet.
    #[error("not supported by this version")]
    NotSupported,
    /// The kind has no place in a log of this sort.
    #[error("this kind of entry does not belong in this kind of log")]
    WrongKind,
    /// The entry names another log.
    #[error("the entry belongs to another log")]
    WrongLog,
    /// A field that this kind must have is absent, or one that it must not have is present.
    #[error("the header does not fit its kind: {0}")]
    Shape(&'static str),
    /// The log has begun already, or the id of the log does not follow from its genesis.
    #[error("not the genesis of this log")]
    Genesis,
    /// The entry before it in the chain is another one than it says.
    #[error("the entry does not follow the one that it names")]
    Prev,
    /// The tree index does not rise along the chain.
    #[error("the tree index does not rise")]
    TreeIndex,
    /// The entry builds on two histories of its own chain.
    #[error("the entry builds on two histories of its own chain")]
    Frozen,
    /// The log has [`MAX_CHAINS`](crate::MAX_CHAINS) chains already.
    #[error("the log has too many chains")]
    TooManyChains,
    /// The chain has written [`MAX_GRANTS`](crate::MAX_GRANTS) grants in the entry's causal past already, home's
    /// [`MAX_HOME_GRANTS`](crate::MAX_HOME_GRANTS).
    #[error("the record has too many grants")]
    TooManyGrants,
    /// The record has [`MAX_REVOCATIONS`](crate::MAX_REVOCATIONS), [`MAX_EPOCHS`](crate::MAX_EPOCHS) or
    /// [`MAX_QUARANTINES`](crate::MAX_QUARANTINES) of the kind in the entry's causal past already.
    #[error("the record has too many entries of this kind")]
    TooManyControls,
    /// The key has [`MAX_RETIREMENTS`](crate::MAX_RETIREMENTS) retirements in the entry's causal past.
    #[error("the key was retired too many times")]
    TooManyRetirements,
    /// No roster that the entry relies on certifies its chain, or several do.
    #[error("the chain is not certified by the roster that the entry relies on")]
    Chain,
    /// The chain belongs to an earlier life of the clinic's store.
    #[error("the chain was closed")]
    ChainClosed,
    /// The entry relies on less of its clinic's roster than the one before it in the chain.
    #[error("the entry relies on an older roster than the one before it")]
    AuthorityShrank,
    /// The actor is not certified in the writer's roster.
    #[error("the actor is not certified by the writing clinic")]
    Actor,
    /// The actor was retired.
    #[error("the actor was retired")]
    ActorRetired,
    /// The actor's roles do not cover it.
    #[error("the actor's role does not cover this")]
    Role,
    /// The writing clinic has no right that covers it.
    #[error("the writing clinic has no right to do this")]
    Right,
    /// The epoch is unknown in the entry's causal past.
    #[error("the epoch is not known where the entry was written")]
    Epoch,
    /// A key that anybody could sign for.
    #[error("the key is weak")]
    WeakKey,
    /// The clinic's root key is to be certified as a staff member's.
    #[error("the root key is nobody's staff key")]
    RootKey,
    /// The staff member or chain that the body names is not known in the entry's causal past, or the
    /// entry that it names is no edit there.
    #[error("the body names something that is not known there")]
    Unknown,
}
