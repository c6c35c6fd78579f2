//! The signed Merkle-DAG log that is the record.
//!
//! Everything that happens to a patient's record is one signed [`Entry`] in its log: edits, looks,
//! attachments, grants. A clinic's roster (its nodes and its staff) is a log of the same make. This crate
//! reads and writes entries, verifies them, decides which of them are held, and which of those count. It
//! does no I/O, reads no clock, draws no random numbers, and opens no sealed payload: those are other
//! crates' work.
//!
//! Start from [`LogState`]: the fold of one log, to which [`LogState::admit`] adds entries.
//!
//! What always holds:
//! - An entry is the bytes that were signed. Whatever a decoder here accepts, its encoder writes again,
//!   byte for byte.
//! - Single and batch verification agree (ZIP-215), so replicas do.
//! - Whether an entry is held is judged by its bytes, its causal past and the roster heads that it names:
//!   not by clocks, not by the order of arrival, not by what else a replica knows. What is held stays.
//! - Which of the held entries count ([`LogState::void`]) follows from what is held of the log and of the
//!   rosters, and from nothing else: a revocation that arrives late takes force from what came before it.
//!   So equal sets of entries give equal heights and equal standing, whatever the order of arrival.
//! - A chain that shows two histories cuts nobody off: both are held as lines of their own
//!   ([`ChainId::fork`]), honest entries that build on either find their place, and the two are evidence
//!   ([`LogState::forks`]).
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

mod attachment;
mod body;
mod cbor;
mod checkpoint;
mod clock;
mod control;
mod cuts;
mod draft;
mod entry;
mod erasures;
mod fold;
mod header;
mod heights;
mod id;
mod inference;
mod judge;
mod key;
mod kind;
mod knowledge;
mod lacking;
mod lines;
mod portable;
mod proof;
mod prover;
mod rights;
mod roster;
mod rosters;
mod settle;
mod standing;
mod state;
mod statement;
mod tree;
mod trial;
mod verdict;
mod verify;
mod weak;

#[cfg(test)]
mod tests;

pub use attachment::{
    ATTACHMENT_VERSION, Attachment, MAX_BLOB_ATTACHMENT_BYTES, MAX_FACTS_BYTES, SealedBlob,
};
pub use body::{
    Body, Encoding, MAX_ATTACHMENT_BYTES, MAX_CHANGE_BYTES, MAX_CHANGES, MAX_LINE_BYTES,
};
pub use cbor::DecodeError;
pub use checkpoint::{CHECKPOINT_DOMAIN, Checkpoint, SignedCheckpoint};
pub use clock::Meta;
pub use control::{
    Control, LOG_DOMAIN, MAX_CONTROL_BYTES, MAX_CUTS, MAX_ERASED, MAX_NAME_BYTES, MAX_QUARANTINED,
    MAX_REASON_BYTES, MAX_SEALED_KEY_BYTES, MAX_WRAPPED_BYTES,
};
pub use draft::{Draft, DraftError, Position};
pub use entry::{ACTOR_DOMAIN, CHAIN_DOMAIN, Entry, MAX_ENTRY_BYTES};
pub use erasures::Erasure;
pub use header::{
    HEADER_VERSION, Header, MAX_AUTHORITY, MAX_BLOBS, MAX_HEADER_BYTES, MAX_PARENTS,
    MAX_PAYLOAD_BYTES, MAX_TIME_MS,
};
pub use heights::{HEIGHTS_DOMAIN, Height, Heights, Span, digest, spans};
pub use id::{
    ActorId, BlobHash, ChainId, ClinicId, EntryHash, FORK_DOMAIN, ID_BYTES, IdError, LogId,
};
pub use inference::{
    Decision, INFERENCE_VERSION, Inference, Input, MAX_DISTANCE, MAX_EXPLANATION_BYTES,
    MAX_FILE_NAME_BYTES, MAX_LABEL_BYTES, MAX_OUTPUTS, MAX_WORD_BYTES, MILLION, Model, Output,
};
pub use key::{BadSignature, SIGNATURE_BYTES, SigningKey, verify};
pub use kind::{Kind, Right, Role, Scope, UnknownWord};
pub use lacking::Lacking;
pub use lines::{Fork, MAX_FORKS};
pub use portable::{
    BuildFault, CheckedEntry, CheckedProof, CompareFault, Comparison, Contradiction,
    MAX_PROOF_BYTES, MAX_PROOF_CHAINS, MAX_PROOF_ROSTER, PROOF_MAGIC, PROOF_VERSION, Proof,
    ProofFault,
};
pub use proof::{ConsistencyProof, InclusionProof, ProofError};
pub use prover::{Proven, Prover};
pub use rights::{
    EpochState, GrantState, MAX_EPOCHS, MAX_ERASURES, MAX_GRANTS, MAX_HOME_GRANTS, MAX_QUARANTINES,
    MAX_REVOCATIONS,
};
pub use roster::{Incarnation, MAX_RETIREMENTS, Roster, StaffMember};
pub use rosters::Rosters;
pub use standing::{VOIDS_DOMAIN, Void};
pub use state::{LogKind, LogState, MAX_CHAINS};
pub use statement::{
    MAX_STATEMENT_BYTES, STATEMENT_DOMAIN, SignedStatement, Statement, StatementError,
};
pub use tree::{MAX_TREE_SIZE, Tree, TreeHash, root_of};
pub use verdict::{Refusal, Verdict};
pub use verify::{BATCH_DOMAIN, verify_entry, verify_signatures};
