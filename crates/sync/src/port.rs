//! What goes into the engine and what comes out: the whole surface between it and a driver.

use std::fmt;

use salus_audit::{ChainId, ClinicId, Heights, LogId};

/// Stands for a log's heights, hashes included: [`salus_audit::digest`]; [`ABSENT`] for a log that is not held.
pub type Digest = [u8; 32];

/// The digest of a log that is not held, or that the asking peer may not know of.
pub const ABSENT: Digest = [0; 32];

/// The digest of a log's heights; [`ABSENT`] of none.
pub(crate) fn digest_of(log: LogId, heights: &Heights) -> Digest {
    if heights.is_empty() {
        ABSENT
    } else {
        salus_audit::digest(log, heights)
    }
}

/// Numbers a task for the store; its answer carries the same number. Unknown numbers are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) u64);

/// One log of the set that this node and one peer both may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogItem {
    /// The log.
    pub log: LogId,
    /// What is held of it.
    pub digest: Digest,
    /// Whether it is a clinic's roster: those go first.
    pub is_roster: bool,
}

/// The store's answer to a `NeedCatalog`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogAnswer {
    /// The [`Changed::version`] of the last change that it takes in.
    pub version: u64,
    /// The logs that are held and that the peer may hold, each once, in any order.
    pub items: Vec<CatalogItem>,
}

/// The store's answer to a `Load`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Encoded entries, each after its parents, about as many bytes as asked for, and at least one if any is lacking.
    pub entries: Vec<Vec<u8>>,
    /// The peer's heights once it has these entries, for the next `Load`.
    pub reached: Heights,
    /// Whether entries are left for another `Load`.
    pub more: bool,
    /// What is held of the log now.
    pub ours: Heights,
    /// Chains of which the peer names a history that is not held here: they are sent from their beginning on.
    pub forked: Vec<ChainId>,
    /// With the last entries (`more` is not set): what this clinic states about the log, for the peer's store; opaque here. At
    /// most [`MAX_STATEMENT_BYTES`](crate::MAX_STATEMENT_BYTES); a longer one is not sent.
    pub statement: Option<Vec<u8>>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.entries.iter().map(Vec::len).sum();
        write!(
            f,
            "Loaded({} entries, {bytes} bytes, more: {})",
            self.entries.len(),
            self.more
        )
    }
}

/// A log that is held otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The log.
    pub log: LogId,
    /// What is held of it now.
    pub digest: Digest,
    /// Whether it is a roster.
    pub is_roster: bool,
    /// The clinics that may hold it, this one left out or not.
    pub audience: Vec<ClinicId>,
    /// Grows with every change in this node, in the order in which they happened: news that arrives late is
    /// told from what came after it. The driver takes it under the same lock as the digest and the audience.
    pub version: u64,
}

/// The store's answer to a `Commit`, given when everything accepted is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Entries stored now.
    pub accepted: u64,
    /// Entries that were held already.
    pub duplicate: u64,
    /// Entries that are invalid and never will be stored. A peer that sends many of them is dropped, so what this node cannot take
    /// for a reason of its own does not belong here.
    pub refused: u64,
    /// Entries that are valid, and show more histories of their chain than are held.
    pub evidence: u64,
    /// Entries that wait for others. Whether the store keeps them meanwhile is its own affair.
    pub pending: u64,
    /// The logs of the pending ones.
    pub waiting: Vec<LogId>,
    /// Chains that show two histories by what was committed, whether it is held or mere evidence.
    pub forked: Vec<(LogId, ChainId)>,
    /// Logs that are held otherwise than before, this commit's own and those it set free.
    pub changed: Vec<Changed>,
}

/// What a driver tells the engine.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection to an authenticated clinic stands; one that stood before is gone.
    PeerConnected {
        /// Who.
        peer: ClinicId,
        /// Whether this side dialled; it reconciles first.
        initiator: bool,
    },
    /// The connection is gone.
    PeerDisconnected {
        /// Who.
        peer: ClinicId,
    },
    /// One frame came, without its length prefix.
    Received {
        /// From whom.
        peer: ClinicId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Answers `NeedCatalog`.
    Catalog {
        /// The task.
        task: TaskId,
        /// The logs.
        catalog: CatalogAnswer,
    },
    /// Answers `NeedHeights`, in the order of the logs.
    Heights {
        /// The task.
        task: TaskId,
        /// What is held of each: nothing of a log that the peer may not know of.
        heights: Vec<Heights>,
    },
    /// Answers `Load`.
    Loaded {
        /// The task.
        task: TaskId,
        /// The entries.
        loaded: Loaded,
    },
    /// Answers `Commit`.
    Committed {
        /// The task.
        task: TaskId,
        /// What became of the entries.
        committed: Committed,
    },
    /// Answers any task that the store could not do; the session that asked ends, and nothing is acknowledged.
    Failed {
        /// The task.
        task: TaskId,
    },
    /// A log was changed by this node itself.
    LogChanged(Changed),
    /// Somebody wants to be in step with this peer now.
    SyncRequested {
        /// With whom.
        peer: ClinicId,
    },
}

/// What the engine tells a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Store: which logs are held that this peer may hold?
    NeedCatalog {
        /// The task.
        task: TaskId,
        /// The peer.
        peer: ClinicId,
    },
    /// Store: what is held of these logs? Entitlement is judged again.
    NeedHeights {
        /// The task.
        task: TaskId,
        /// For whom.
        peer: ClinicId,
        /// The logs.
        logs: Vec<LogId>,
    },
    /// Store: what does the owner of these heights lack? Entitlement is judged again.
    Load {
        /// The task.
        task: TaskId,
        /// For whom.
        peer: ClinicId,
        /// The log.
        log: LogId,
        /// What the peer holds.
        theirs: Heights,
        /// About how many bytes to load.
        max_bytes: usize,
    },
    /// Store: decode, verify, authorise and store these, in one transaction.
    Commit {
        /// The task.
        task: TaskId,
        /// From whom.
        peer: ClinicId,
        /// Encoded entries of one or many logs, as they came.
        entries: Vec<Vec<u8>>,
        /// What the peer states about logs whose last entries these are, or came before; opaque. To be looked at when the
        /// entries are taken in.
        statements: Vec<(LogId, Vec<u8>)>,
    },
    /// Event: what both may hold is equal now, or all was tried (`unresolved` says of how many logs).
    InStep {
        /// With whom.
        peer: ClinicId,
        /// What happened since the session began or was last in step.
        stats: SyncStats,
    },
    /// Event: these logs grew by what this peer sent; it is durable.
    Received {
        /// From whom.
        peer: ClinicId,
        /// The logs.
        logs: Vec<LogId>,
    },
    /// Event: a chain shows two histories in this log. Told once.
    Equivocation {
        /// With whom it came to light; not who forked.
        peer: ClinicId,
        /// The log.
        log: LogId,
        /// The chain.
        chain: ChainId,
    },
    /// Event: the session with this peer is over by its own fault: close the connection.
    PeerMisbehaved {
        /// Who.
        peer: ClinicId,
        /// What it did.
        why: Violation,
    },
    /// Event: the session with this peer is over because the own store could not do its part: close the connection.
    StoreFailed {
        /// Who.
        peer: ClinicId,
    },
}

/// What a sync did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncStats {
    /// Entries that the peer acknowledged as stored, refused or held already.
    pub sent: u64,
    /// Entries from the peer that were stored.
    pub received: u64,
    /// Entries from the peer that were held already.
    pub duplicate: u64,
    /// Entries from the peer that were refused, or are evidence and no more.
    pub refused: u64,
    /// Entries from the peer that wait for others.
    pub pending: u64,
    /// Logs that differed and were worked on.
    pub logs: u64,
    /// Logs that still differ after all was tried.
    pub unresolved: u64,
    /// Rounds of reconciliation begun by this side.
    pub rounds: u64,
    /// Bytes of all frames to the peer.
    pub bytes_sent: u64,
    /// Bytes of all frames from the peer.
    pub bytes_received: u64,
}

/// What a peer did that ended its session. A peer's bad bytes are an input, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame that is not one.
    #[error("a frame with malformed {0}")]
    Malformed(&'static str),
    /// More of something than the protocol allows.
    #[error("more than allowed: {0}")]
    TooMuch(&'static str),
    /// A frame that nothing called for.
    #[error("out of turn: {0}")]
    Unexpected(&'static str),
    /// Another version of the protocol.
    #[error("speaks version {0} of the protocol")]
    Version(u64),
    /// No hello in time.
    #[error("said no hello in time")]
    NoHello,
    /// Owes something and was silent too long.
    #[error("owed something and was silent too long")]
    Stalled,
}
