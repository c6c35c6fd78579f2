//! What a mesh tells of its peers.

use std::time::Duration;

use salus_audit::{ChainId, ClinicId, LogId};
use salus_sync::{SyncStats, Violation};

/// How things stand with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The clinic.
    pub clinic: ClinicId,
    /// Whether a connection stands.
    pub connected: bool,
    /// The round trip on it.
    pub rtt: Option<Duration>,
    /// When both were last in step, in milliseconds since 1970 by this node's clock; forgotten when the mesh ends.
    pub in_step_at_ms: Option<u64>,
    /// How many logs are known to differ, or may; none if there is no connection.
    pub behind: Option<u64>,
    /// What went wrong last, since it last went right.
    pub last_error: Option<String>,
    /// The way that packets take, as an address.
    pub path: Option<String>,
}

/// What happens in a mesh, to whom it may concern. Those who listen too slowly miss some.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A connection stands.
    PeerUp {
        /// The clinic.
        clinic: ClinicId,
    },
    /// The connection is gone.
    PeerDown {
        /// The clinic.
        clinic: ClinicId,
    },
    /// Both hold the same, or all was tried.
    InStep {
        /// The clinic.
        clinic: ClinicId,
        /// What happened since they were last in step.
        stats: SyncStats,
    },
    /// Logs changed by what a peer sent; it is durable.
    LogsReceived {
        /// From whom.
        clinic: ClinicId,
        /// The logs.
        logs: Vec<LogId>,
    },
    /// A peer broke the protocol or stalled; the connection was closed.
    Misbehaved {
        /// The clinic.
        clinic: ClinicId,
        /// How.
        why: Violation,
    },
    /// Two entries at one height of a chain came to light.
    Equivocation {
        /// With whom; not who forked.
        clinic: ClinicId,
        /// The log.
        log: LogId,
        /// The chain.
        chain: ChainId,
    },
}
