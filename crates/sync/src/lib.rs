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
//! - What one peer may make the engine remember is bounded ([`Footprint`]); what it does wrong ends its session only.
//! - A change that happens at any moment of a session reaches every connected peer that may have it: losing it would need
//!   a new connection, and a new connection starts from heights.
//! - What was refused or waits is tried again only after something changed: a session comes to rest.
//! - The same inputs give the same outputs; the seed orders the search for differences, and nothing else is random.
//!
//! # Frames
//!
//! A frame is one CBOR array in the deterministic encoding of RFC 8949 section 4.2.1, at most
//! [`MAX_FRAME_BYTES`] long; any other encoding of the same values is refused. Over a stream each frame is preceded by its
//! length as 4 bytes, big-endian, and the stream by one byte `01` in each direction. The first item names the kind.
//! `id`, `log`, `digest`, `chain`, `hash` and `fingerprint` are byte strings of 32; `entry` is a byte string of at
//! least one; all numbers are unsigned.
//!
//! ```text
//! Hello     [0, version]                            version is 1
//! Probe     [1, number, [range, ...]]               1 to 256 ranges, ascending and disjoint
//!             range = [set, lo, hi, count, fingerprint]     set 0 = rosters, 1 = records; lo inclusive;
//!                                                            hi exclusive, or null for no end
//! Answer    [2, number, [part, ...]]                for the first ranges of the probe, one at least
//!             part = [0]                            the same
//!                  | [1]                            differs, and both sides hold more than 64 logs there
//!                  | [2, upto, [[log, digest], ...]]        all that is held, ascending, before upto (null: in the whole range)
//! Announce  [3, [[log, digest], ...]]               what is held of these logs now
//! Heights   [4, [[log, digest, answer, [[chain, seq, hash], ...]], ...]]       answer 0 or 1; chains ascending
//! Entries   [5, [[log, end, [entry, ...]], ...]]    end 0 or 1; an entry at least where end is 0
//! Ack       [6, frames, announces]                  counts since the hello; never less than before
//! Settled   [7, unresolved]                         logs that still differ
//! ```
//!
//! `digest` stands for a log's heights, hashes included (`salus_audit::digest`), and is 32 zero bytes for a log that is not
//! held. `fingerprint` is BLAKE3 in derive-key mode with the context [`FINGERPRINT_DOMAIN`] over `log ‖ digest` of all logs in
//! the range, ascending by log.
//!
//! ## Hello
//!
//! The first frame of each side, sent once its catalog (the logs that it holds and the peer may hold) is made. Nothing else is
//! sent before both have said hello, and no frame of more than [`MAX_HELLO_BYTES`] is read. Another version ends the session.
//!
//! ## Reconciliation
//!
//! The side that dialled begins: its first probe has two ranges, all rosters and all records. The other answers from its catalog as it is
//! then, and remembers nothing. What differs is split in 16 parts with equal counts of the asking side, and asked again; where
//! one side holds [`LIST_ITEMS`] logs or fewer, they are listed. Two clinics in step exchange one probe and one
//! answer, whatever the number of logs. There is one probe at a time each way. Records are not probed while
//! rosters differ or are being fetched, because entries are judged by the rosters of their writers. When everything that
//! was found has been dealt with, the search is repeated until it finds nothing new, and `Settled` is sent. Either side may
//! begin another round at any time.
//!
//! ## Heights and entries
//!
//! Whoever learns that a log differs sends its `Heights` of it: a statement and a question. The other side sends the entries that these
//! heights lack, each after its parents, and marks the last group with `end`, be it empty. If the heights show that it lacks
//! something itself and it has not sent its own heights already, it sends them first, marked as an answer. The digest beside the
//! heights is the newest that the sender knows; the heights may have been read a moment before or after. Heights for a
//! log are not repeated before the end came and was stored. Entries that were not asked for end the session, and so do more than
//! [`MAX_OPEN_LOGS`] logs or [`MAX_OPEN_HEIGHTS`] chains under way, counted for each direction, questions and answers apart.
//!
//! Entries of many logs share frames of about 1 MiB. At most [`WINDOW_BYTES`] of `Entries` frames, in at most
//! [`MAX_UNACKED_FRAMES`] frames, are sent without being acknowledged (a single frame always may be). `Ack` counts the frames that
//! the receiver's store has dealt with, in order. After a cut nothing is needed but heights.
//!
//! ## Announcements
//!
//! A log that changes during a session is announced to those who may hold it; whoever has another digest asks at once. The second
//! number of `Ack` counts the `Announce` frames for which everything was asked: until then the announcer is not in step.
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
//! assert_eq!(hello.as_bytes(), [0x82, 0x00, 0x01]);
//! ```

mod catalog;
mod decode;
mod engine;
mod frame;
mod limits;
mod port;
mod pull;
mod push;
mod round;
mod session;
mod shared;
#[cfg(test)]
mod sim;
mod window;
mod work;

pub use catalog::FINGERPRINT_DOMAIN;
pub use engine::Engine;
pub use frame::Frame;
pub use limits::{
    Config, HEIGHTS_BATCH, LIST_ITEMS, MAX_DEFERRED, MAX_ENTRIES, MAX_FORKS, MAX_FRAME_BYTES,
    MAX_GROUPS, MAX_HEIGHTS_ITEMS, MAX_HELLO_BYTES, MAX_ITEMS, MAX_LISTED, MAX_LOADS,
    MAX_OPEN_HEIGHTS, MAX_OPEN_LOGS, MAX_RANGES, MAX_ROUNDS, MAX_STUCK, MAX_UNACKED_FRAMES,
    PROTOCOL_VERSION, SPLIT, Timestamp, WINDOW_BYTES,
};
pub use port::{
    ABSENT, CatalogAnswer, CatalogItem, Changed, Committed, Digest, Input, Loaded, Output,
    SyncStats, TaskId, Violation,
};
pub use session::Footprint;
