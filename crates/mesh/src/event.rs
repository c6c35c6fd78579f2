//! What reaches the loop: from its own tasks and threads, and from those who hold a [`Mesh`](crate::Mesh).

use iroh::endpoint::Connection;
use salus_audit::ClinicId;
use salus_sync::{Changed, Input, SyncStats, TaskId, Violation};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::config::PeerAddress;
use crate::error::MeshError;
use crate::ledger::LedgerError;
use crate::status::PeerStatus;

/// What its own tasks and threads tell the loop.
pub(crate) enum Event {
    /// Somebody known dialled.
    Accepted {
        clinic: ClinicId,
        connection: Connection,
    },
    /// A dial came to its end.
    Dialled {
        clinic: ClinicId,
        attempt: u64,
        result: Result<Connection, DialError>,
    },
    /// A frame came; the permit lets the next be read once it is dropped.
    Frame {
        clinic: ClinicId,
        link: u64,
        bytes: Vec<u8>,
        permit: OwnedSemaphorePermit,
    },
    /// A link has room for a frame.
    Writable,
    /// A link came to its end.
    Ended {
        clinic: ClinicId,
        link: u64,
        why: Ended,
    },
    /// The store did a task.
    Answer(Input),
    /// The store could not do a task.
    StoreFailed { task: TaskId, error: LedgerError },
    /// Whether a connected peer is known still.
    Known {
        clinic: ClinicId,
        link: u64,
        known: bool,
    },
}

/// Why a dial led to no link.
pub(crate) enum DialError {
    /// The other side keeps the connection that it dialled itself.
    Duplicate,
    /// Anything else.
    Failed(MeshError),
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In order.
    Bye,
    /// The other does not know this node.
    Refused,
    /// Another connection took its place.
    Duplicate,
    /// The other speaks another version.
    Version,
    /// The other broke the framing.
    Misbehaved(Violation),
    /// Anything else.
    Lost(String),
}

/// What those who hold a mesh ask of the loop.
pub(crate) enum Command {
    SetPeers(Vec<PeerAddress>),
    Sync {
        clinic: ClinicId,
        reply: oneshot::Sender<Result<SyncStats, MeshError>>,
    },
    /// Where a clinic is to be dialled.
    Address {
        clinic: ClinicId,
        reply: oneshot::Sender<Result<PeerAddress, MeshError>>,
    },
    KeepConnected(bool),
    Changed(Changed),
    Peers(oneshot::Sender<Vec<PeerStatus>>),
    Shutdown(oneshot::Sender<()>),
}
