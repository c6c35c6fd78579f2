//! What a mesh could not do.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use salus_audit::ClinicId;
use salus_sync::Violation;

use crate::ledger::LedgerError;

/// What a mesh could not do, and with whom.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// In loopback mode only loopback addresses are listened on.
    #[error("{listen} is not a loopback address")]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// No such peer, or its endpoint is not (any more) known as that clinic's.
    #[error("clinic {clinic} is not a known peer")]
    UnknownPeer {
        /// The clinic.
        clinic: ClinicId,
    },
    /// There is no address to dial, or none that this network mode admits.
    #[error("no address of clinic {clinic} can be dialled")]
    NoAddress {
        /// The clinic.
        clinic: ClinicId,
    },
    /// No answer from any of its addresses.
    #[error("clinic {clinic} did not answer within {after_s} s")]
    Unreachable {
        /// The clinic.
        clinic: ClinicId,
        /// How long was waited, in seconds.
        after_s: u64,
    },
    /// The other node does not know this one.
    #[error("clinic {clinic} does not know this node and refused it")]
    Refused {
        /// The clinic.
        clinic: ClinicId,
    },
    /// The two speak different versions.
    #[error("clinic {clinic} speaks another version of the protocol")]
    Version {
        /// The clinic.
        clinic: ClinicId,
    },
    /// The other node owed something and was silent.
    #[error("clinic {clinic} stopped answering")]
    Stalled {
        /// The clinic.
        clinic: ClinicId,
    },
    /// The other node broke the protocol.
    #[error("clinic {clinic} broke the protocol: {why}")]
    Misbehaved {
        /// The clinic.
        clinic: ClinicId,
        /// How.
        why: Violation,
    },
    /// The other node broke the protocol a while ago, and is not spoken to again yet.
    #[error("clinic {clinic} broke the protocol; it is not spoken to for another {for_s} s")]
    Shunned {
        /// The clinic.
        clinic: ClinicId,
        /// How long yet, in seconds.
        for_s: u64,
    },
    /// The connection ended before both were in step.
    #[error("the connection to clinic {clinic} ended: {why}")]
    Interrupted {
        /// The clinic.
        clinic: ClinicId,
        /// Why, as far as is known.
        why: String,
    },
    /// The own store failed.
    #[error("cannot sync with clinic {clinic}")]
    Store {
        /// The clinic.
        clinic: ClinicId,
        /// Why.
        source: LedgerError,
    },
    /// The mesh was shut down.
    #[error("the mesh is shut down")]
    Closed,
}
