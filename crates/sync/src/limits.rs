//! Time as the engine sees it, the protocol's fixed limits, and what a driver may tune.

use salus_audit::{MAX_CHAINS, MAX_ENTRY_BYTES};

/// The protocol's version, said in every [`Hello`](crate#hello). Another version is not spoken to.
pub const PROTOCOL_VERSION: u64 = 2;

/// The largest frame in bytes, without its length prefix: 4.5 MiB, so that the largest entry
/// (4 MiB of payload and its header) fits into one with its log's id around it.
pub const MAX_FRAME_BYTES: usize = 4_718_592;

/// The largest frame before both sides have said hello: a [`Hello`](crate#hello) has 3 to 11 bytes.
pub const MAX_HELLO_BYTES: usize = 16;

/// How many bytes of `Entries` frames may be sent without being acknowledged: 8 MiB, which is 80 MB/s over a
/// round trip of 100 ms. A single larger frame cannot exist, and one frame may always be under way.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// How many `Entries` frames may be sent without being acknowledged; bounds what small frames cost to track.
pub const MAX_UNACKED_FRAMES: usize = 64;

/// Ranges in one `Probe`. A level of the tree of 16-way splits of 65,536 logs has 256 of 256.
pub const MAX_RANGES: usize = 256;

/// A range in which one of the two sides has at most this many logs is listed instead of split. At 68 bytes an
/// item, a list of 64 costs as much as the fingerprints of three more splits (a guess, not tuned).
pub const LIST_ITEMS: usize = 64;

/// How many parts a range is split into.
pub const SPLIT: usize = 16;

/// Logs listed in one `Answer`, or named in one `Announce`: 16,384, about 1.1 MB.
pub const MAX_ITEMS: usize = 16_384;

/// Logs whose heights one `Heights` frame may carry.
pub const MAX_HEIGHTS_ITEMS: usize = 4_096;

/// Groups in one `Entries` frame; a group of a log without anything to send takes 38 bytes.
pub const MAX_GROUPS: usize = 16_384;

/// Entries in one `Entries` frame: the smallest signed entry has about 400 bytes, so 4.5 MiB hold 11,800.
pub const MAX_ENTRIES: usize = 16_384;

/// Logs for which one side may have heights under way to the other, of its own accord; as many again in answer.
pub const MAX_OPEN_LOGS: usize = 1_024;

/// Chains in all heights under way, of one's own accord, and as many again in answer: about 10 MB.
pub const MAX_OPEN_HEIGHTS: usize = 131_072;

/// Logs that a peer may list in one reconciliation: four million, 80 times the largest clinic foreseen.
pub const MAX_LISTED: u64 = 4_194_304;

/// Logs remembered as differing after all was tried; beyond it they are tried again in the next round.
pub const MAX_STUCK: usize = 65_536;

/// Logs that may wait because another peer is being asked for them: about 10 MB.
pub const MAX_DEFERRED: usize = 65_536;

/// Rounds of reconciliation until one sync gives up and reports what still differs. Two are usual: one
/// that finds, one that finds nothing more.
pub const MAX_ROUNDS: u32 = 16;

/// Loads that the store has from one session at a time.
pub const MAX_LOADS: usize = 8;

/// Logs whose heights are asked from the store in one task.
pub const HEIGHTS_BATCH: usize = 256;

/// Reads of heights that the store has from one session at a time: as many as [`MAX_OPEN_LOGS`] make in full batches.
pub const MAX_READS: usize = 4;

/// Chains known to fork that the engine remembers, so as to report each once; and logs of one session in which the peer's
/// histories were other ones.
pub const MAX_FORKS: usize = 1_024;

/// How often in one session a log is sent from the beginning of a chain because the peer names a history of it that is not
/// held here. Once a fork is enough between honest nodes; 64 are [`salus_audit`]'s 16 lines of one chain for four clinics that fork.
/// A peer that names ever other ones lies: the log is not served to it any more in this session, and everything else is.
pub const MAX_FORKED_LOADS: u32 = 64;

/// How often in a row a log is asked for in vain: nothing came that is held now and was not before. An honest peer's log may be in
/// vain because its entries wait for a roster; those are tried again when something was accepted, and do not count.
pub const MAX_ATTEMPTS: u32 = 32;

/// The longest statement about a log, in bytes: a signed (log, chain, seq, hash, size, time) has about 220.
pub const MAX_STATEMENT_BYTES: usize = 512;

const _: () = assert!(MAX_ENTRY_BYTES + 1_024 <= MAX_FRAME_BYTES);
const _: () = assert!(MAX_FRAME_BYTES <= WINDOW_BYTES);
const _: () = assert!(MAX_LOADS * MAX_CHAINS < MAX_OPEN_HEIGHTS);

/// A point in time: milliseconds on a clock that the driver chose and that never runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time at so many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// So many milliseconds later.
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// What a driver may tune. The protocol's limits above are not among it: both sides rely on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a peer may take until its hello, in milliseconds. It makes its catalog first; 20 s is a guess.
    pub hello_ms: u64,
    /// How long a peer that owes something may be silent, in milliseconds. A frame of 4.5 MiB takes
    /// 38 s at 1 Mbit/s; 60 s is a guess above it.
    pub stall_ms: u64,
    /// How long a log that is already being fetched from one peer is not asked from another, in milliseconds.
    pub defer_ms: u64,
    /// The size at which a frame is full, in bytes; at most [`MAX_FRAME_BYTES`]. 1 MiB is one transaction
    /// of about 1,700 entries at the receiver.
    pub frame_bytes: usize,
    /// Bytes sent and not acknowledged; at most [`WINDOW_BYTES`].
    pub window_bytes: usize,
    /// Logs worked on at once with one peer; at most [`MAX_OPEN_LOGS`].
    pub open_logs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hello_ms: 20_000,
            stall_ms: 60_000,
            defer_ms: 2_000,
            frame_bytes: 1024 * 1024,
            window_bytes: WINDOW_BYTES,
            open_logs: MAX_OPEN_LOGS,
        }
    }
}

impl Config {
    /// The same with everything inside the protocol's limits.
    pub(crate) fn bounded(self) -> Self {
        Self {
            frame_bytes: self.frame_bytes.clamp(1, 1024 * 1024),
            window_bytes: self.window_bytes.clamp(1, WINDOW_BYTES),
            open_logs: self.open_logs.clamp(1, MAX_OPEN_LOGS),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_beyond_the_protocol_is_brought_inside() {
        let config = Config {
            frame_bytes: usize::MAX,
            window_bytes: usize::MAX,
            open_logs: 0,
            ..Config::default()
        };
        let config = config.bounded();
        assert!(config.frame_bytes <= MAX_FRAME_BYTES);
        assert_eq!(config.window_bytes, WINDOW_BYTES);
        assert_eq!(config.open_logs, 1);
        assert_eq!(
            Timestamp::from_millis(u64::MAX).after(1).as_millis(),
            u64::MAX
        );
    }
}
