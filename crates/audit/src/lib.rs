//! The signed Merkle-DAG log that is the record.
//!
//! Everything that happens to a patient's record is one signed [`Entry`] in its log: edits, looks,
//! attachments, grants. A clinic's roster (its nodes and its staff) is a log of the same make. This crate
//! reads and writes entries, verifies them, and decides which of them count. It does no I/O, reads no
//! clock, draws no random numbers, and opens no sealed payload: those are other crates' work.
//!
//! Start from [`LogState`]: the fold of one log, to which [`LogState::admit`] adds entries.
//!
//! What always holds:
//! - An entry is the bytes that were signed. Whatever a decoder here accepts, its encoder writes again,
//!   byte for byte.
//! - Single and batch verification agree (ZIP-215), so replicas do.
//! - An entry is judged by its bytes, its causal past and the roster heads that it names: not by clocks,
//!   not by the order of arrival, not by what else a replica knows. Equal sets of entries give equal
//!   states, as long as no chain equivocates; a chain that does is frozen and the evidence is kept.
//! - No bytes make it panic or allocate more than the limits named beside each structure.
//!
//! ```
//! use salus_audit::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A clinic begins with a root key and the chain key of its first node.
//! let (root, chain) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
//! let genesis = Control::RosterGenesis {
//!     name: "Harbour clinic".into(),
//!     root: root.actor(),
//!     chain: chain.chain(),
//!     endpoint: [3; 32],
//!     hpke: [4; 32],
//! };
//! let log = genesis.log_id(chain.chain()).ok_or("not a genesis")?;
//! let draft = Draft {
//!     log,
//!     parents: vec![],
//!     authority: vec![],
//!     kind: genesis.kind(),
//!     scope: None,
//!     epoch: None,
//!     blobs: vec![],
//!     time_ms: 1_790_000_000_000,
//!     actor: root.actor(),
//! };
//! let position = LogState::new(log).position(chain.chain(), 0);
//! let entry = draft.sign(position, genesis.encode(), &root, &chain)?;
//!
//! // Whoever receives it decodes, verifies and admits it.
//! let entry = Entry::decode(&entry.encode())?;
//! verify_entry(&entry)?;
//! let mut rosters = Rosters::new();
//! assert_eq!(rosters.admit(&entry), Verdict::Accepted);
//! let clinic = ClinicId::from_genesis(entry.hash());
//! assert_eq!(rosters.get(clinic).map(Roster::name), Some("Harbour clinic"));
//! # Ok(())
//! # }
//! ```

mod body;
mod cbor;
mod checkpoint;
mod clock;
mod control;
mod draft;
mod entry;
mod header;
mod heights;
mod id;
mod judge;
mod key;
mod kind;
mod proof;
mod rights;
mod roster;
mod rosters;
mod state;
mod tree;
mod verdict;
mod verify;
mod weak;

#[cfg(test)]
mod tests;

pub use body::{
    Body, Encoding, MAX_ATTACHMENT_BYTES, MAX_CHANGE_BYTES, MAX_CHANGES, MAX_LINE_BYTES,
};
pub use cbor::DecodeError;
pub use checkpoint::{CHECKPOINT_DOMAIN, Checkpoint, SignedCheckpoint};
pub use clock::Meta;
pub use control::{
    Control, LOG_DOMAIN, MAX_CONTROL_BYTES, MAX_CUTS, MAX_NAME_BYTES, MAX_WRAPPED_BYTES,
};
pub use draft::{Draft, DraftError, Position};
pub use entry::{ACTOR_DOMAIN, CHAIN_DOMAIN, Entry, MAX_ENTRY_BYTES};
pub use header::{
    HEADER_VERSION, Header, MAX_AUTHORITY, MAX_BLOBS, MAX_HEADER_BYTES, MAX_PARENTS,
    MAX_PAYLOAD_BYTES, MAX_TIME_MS,
};
pub use heights::{HEIGHTS_DOMAIN, Height, Heights, Span, digest, spans};
pub use id::{ActorId, BlobHash, ChainId, ClinicId, EntryHash, ID_BYTES, IdError, LogId};
pub use key::{BadSignature, SIGNATURE_BYTES, SigningKey, verify};
pub use kind::{Kind, Right, Role, Scope, UnknownWord};
pub use proof::{ConsistencyProof, InclusionProof, ProofError};
pub use rights::{GrantState, MAX_GRANTS};
pub use roster::{Incarnation, Roster, StaffMember};
pub use rosters::Rosters;
pub use state::{Equivocation, LogKind, LogState, MAX_CHAINS};
pub use tree::{MAX_TREE_SIZE, Tree, TreeHash, root_of};
pub use verdict::{Refusal, Verdict};
pub use verify::{BATCH_DOMAIN, verify_entry, verify_signatures};
