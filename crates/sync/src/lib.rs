//! Sans-I/O replication of logs.

mod catalog;
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
