//! Sans-I/O replication of logs: which logs differ between two clinics, which entries each lacks, and in which
//! order they go. Start from [`Engine`].
//!
//! The engine opens no connection, reads no clock and no disk, and knows nothing of what an entry means: bytes from
//! peers, answers of the store and the time go in by [`Engine::handle`], frames and tasks for the store come out
//! by [`Engine::poll_transmit`] and [`Engine::poll_output`]. A driver (`salus-mesh`) connects it to iroh and a
//! ledger; a test connects it to whatever it likes, at any speed and in any order.
//!
//! Not here: verification and rights. The store judges entries when it commits them, and entitlement whenever
//! it answers; the engine sees to it that no frame names a log to a peer that the store did not name as one that may
//! hold it.
//!
//! # Invariants
//!
//! - Nothing is acknowledged before the store has it.
//! - No frame of a log leaves for a clinic that may not hold it. A request for such a log is answered as one for a log
//!   that does not exist.
//! - What one peer may make the engine remember is bounded ([`Footprint`]), and so is what it may cost, across
//!   sessions ([limits](crate#limits)); what it does wrong ends its session only.
//! - A chain that shows two histories stops nothing: both are fetched, and it is reported once.
//! - A change that happens at any moment of a session reaches every connected peer that may have it: losing it would need
//!   a new connection, and a new connection starts from heights.
//! - What was refused or waits is tried again only after something changed: a session comes to rest.
//! - The same inputs give the same outputs; the seed orders the search for differences, and nothing else is random.
//!
#![doc = include_str!("../../../docs/sync.md")]
//!
//! # Example
//!
//! ```
//! use salus_audit::ClinicId;
//! use salus_sync::{CatalogAnswer, Config, Engine, Input, Output, Timestamp};
//!
//! let (me, peer) = (ClinicId::from_bytes([1; 32]), ClinicId::from_bytes([2; 32]));
//! let mut engine = Engine::new(me, Config::default(), [0; 32]);
//! let now = Timestamp::from_millis(0);
//! engine.handle(now, Input::PeerConnected { peer, initiator: true });
//! // The store is asked what both may hold; the hello waits for its answer.
//! let Some(Output::NeedCatalog { task, .. }) = engine.poll_output() else { unreachable!() };
//! assert!(engine.poll_transmit(peer, now).is_none());
//! engine.handle(now, Input::Catalog { task, catalog: CatalogAnswer::default() });
//! let hello = engine.poll_transmit(peer, now).unwrap();
//! assert_eq!(hello.as_bytes(), [0x82, 0x00, 0x02]);
//! ```

mod budget;
mod catalog;
mod decode;
mod engine;
mod frame;
mod limits;
mod port;
mod pull;
mod push;
#[cfg(test)]
mod queue;
mod round;
mod session;
mod shared;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod window;
mod work;

pub use catalog::FINGERPRINT_DOMAIN;
pub use decode::check_frame;
pub use engine::Engine;
pub use frame::Frame;
pub use limits::{
    Config, HEIGHTS_BATCH, LIST_ITEMS, MAX_ATTEMPTS, MAX_DEFERRED, MAX_ENTRIES, MAX_FORKED_LOADS,
    MAX_FORKS, MAX_FRAME_BYTES, MAX_GROUPS, MAX_HEIGHTS_ITEMS, MAX_HELLO_BYTES, MAX_ITEMS,
    MAX_LISTED, MAX_LOADS, MAX_OPEN_HEIGHTS, MAX_OPEN_LOGS, MAX_RANGES, MAX_READS, MAX_ROUNDS,
    MAX_STATEMENT_BYTES, MAX_STUCK, MAX_UNACKED_FRAMES, PROTOCOL_VERSION, SPLIT, Timestamp,
    WINDOW_BYTES,
};
pub use port::{
    ABSENT, CatalogAnswer, CatalogItem, Changed, Committed, Digest, Input, Loaded, Output,
    SyncStats, TaskId, Violation,
};
pub use session::Footprint;
