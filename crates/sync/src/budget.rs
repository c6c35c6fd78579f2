//! What one peer may cost this node: buckets of tokens that fill up again with time.
//!
//! Limits count what is of no use: entries that are refused, or held already, requests for what was sent before, questions
//! without end. What is of use has a bound so far away that only a flood reaches it. A budget outlives the
//! session, so that a new connection does not fill it.

use salus_audit::LogId;

use crate::limits::Timestamp;
use crate::port::{Committed, Digest, Violation};

/// How much of something a peer may spend at once, and how much it gets back in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    burst: u64,
    per_s: u64,
}

/// Frames that carry no entries. An edit a millisecond needs three thousand a second; one costs some 5 µs to read.
const FRAMES: Limit = Limit {
    burst: 100_000,
    per_s: 5_000,
};

/// Their bytes. Heights and lists of a million logs have 170 MB.
const FRAME_BYTES: Limit = Limit {
    burst: 512 << 20,
    per_s: 8 << 20,
};

/// Probes: each costs up to a pass over the catalog, 2 ms for 100,000 logs. A search through four million logs
/// that all differ takes some 600.
const PROBES: Limit = Limit {
    burst: 4_096,
    per_s: 20,
};

/// Entries, of use or not: twice the first sync of the largest clinic foreseen (50,000 records of 160 entries), and then
/// more than a thousand busy clinicians write.
const ENTRIES: Limit = Limit {
    burst: 16_000_000,
    per_s: 2_000,
};

/// Their bytes: 64 GiB is a large clinic with its attachments; 8 MiB/s fill a disk of a terabyte in a day and a half, and
/// leave that time to a person who sees it.
const ENTRY_BYTES: Limit = Limit {
    burst: 64 << 30,
    per_s: 8 << 20,
};

/// Entries that are held already, or wait for others. Two peers that send the same at the same time, and a log with a
/// fork that is sent again from its beginning, make a few; each entry that is of use allows another. 500,000 is a first sync from
/// two sides at once.
const USELESS: Limit = Limit {
    burst: 524_288,
    per_s: 1_000,
};

/// Their bytes.
const USELESS_BYTES: Limit = Limit {
    burst: 1 << 30,
    per_s: 1 << 20,
};

/// Entries that are refused. Honest nodes judge alike and hold nothing that another one refuses, save at the
/// bounds of what a log may have, and when they differ in version; each costs two signatures to verify, 60 µs.
const REFUSED: Limit = Limit {
    burst: 4_096,
    per_s: 4,
};

/// Requests for a log that was asked for before, while it is here as it was then. Entries that wait at the
/// peer for a roster, and connections that break, make as many as logs are being worked on.
const REPEATS: Limit = Limit {
    burst: 65_536,
    per_s: 64,
};

/// Bytes loaded for such requests.
const REPEATED_BYTES: Limit = Limit {
    burst: 256 << 20,
    per_s: 1 << 20,
};

/// Requests of this side's that led to nothing: somebody who claims what he does not have makes them.
const VAIN: Limit = Limit {
    burst: 65_536,
    per_s: 64,
};

/// How many requests are remembered, so as to know one that is repeated: 256 KiB a peer, once it asks for anything.
const REMEMBERED: usize = 65_536;

/// Tokens, in thousandths.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    at: Timestamp,
}

impl Bucket {
    fn full(limit: Limit, now: Timestamp) -> Self {
        Self {
            left: limit.burst.saturating_mul(1_000),
            at: now,
        }
    }

    fn fill(&mut self, limit: Limit, now: Timestamp) {
        let passed = now.as_millis().saturating_sub(self.at.as_millis());
        self.at = self.at.max(now);
        let most = limit.burst.saturating_mul(1_000);
        let more = passed.saturating_mul(limit.per_s);
        self.left = self.left.saturating_add(more).min(most);
    }

    /// Takes so many; what is not there is not owed, but it is said.
    fn take(&mut self, limit: Limit, tokens: u64, now: Timestamp) -> bool {
        self.fill(limit, now);
        let wanted = tokens.saturating_mul(1_000);
        let enough = wanted <= self.left;
        self.left = self.left.saturating_sub(wanted);
        enough
    }

    fn give(&mut self, limit: Limit, tokens: u64, now: Timestamp) {
        self.left = self.left.saturating_add(tokens.saturating_mul(1_000));
        self.fill(limit, now);
    }

    fn has_any(&mut self, limit: Limit, now: Timestamp) -> bool {
        self.fill(limit, now);
        self.left >= 1_000
    }
}

/// What one peer has left.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    frames: Bucket,
    frame_bytes: Bucket,
    probes: Bucket,
    entries: Bucket,
    entry_bytes: Bucket,
    useless: Bucket,
    useless_bytes: Bucket,
    refused: Bucket,
    repeats: Bucket,
    repeated_bytes: Bucket,
    vain: Bucket,
    /// Tags of the requests seen last, each at the place that its hash says; zero for none.
    asked: Vec<u32>,
    /// When it was last of use, for whoever has to forget one.
    pub used: Timestamp,
}

impl Budget {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            frames: Bucket::full(FRAMES, now),
            frame_bytes: Bucket::full(FRAME_BYTES, now),
            probes: Bucket::full(PROBES, now),
            entries: Bucket::full(ENTRIES, now),
            entry_bytes: Bucket::full(ENTRY_BYTES, now),
            useless: Bucket::full(USELESS, now),
            useless_bytes: Bucket::full(USELESS_BYTES, now),
            refused: Bucket::full(REFUSED, now),
            repeats: Bucket::full(REPEATS, now),
            repeated_bytes: Bucket::full(REPEATED_BYTES, now),
            vain: Bucket::full(VAIN, now),
            asked: Vec::new(),
            used: now,
        }
    }

    /// A frame without entries came.
    pub(crate) fn frame(&mut self, bytes: usize, now: Timestamp) -> Result<(), Violation> {
        let bytes = self.frame_bytes.take(FRAME_BYTES, bytes as u64, now);
        let frames = self.frames.take(FRAMES, 1, now);
        allowed(bytes && frames, "frames without entries")
    }

    /// The peer asks what is held in some ranges.
    pub(crate) fn probe(&mut self, now: Timestamp) -> Result<(), Violation> {
        allowed(self.probes.take(PROBES, 1, now), "questions")
    }

    /// A frame with entries came.
    pub(crate) fn entries(
        &mut self,
        entries: usize,
        bytes: usize,
        now: Timestamp,
    ) -> Result<(), Violation> {
        let bytes = self.entry_bytes.take(ENTRY_BYTES, bytes as u64, now);
        let entries = self.entries.take(ENTRIES, entries as u64, now);
        allowed(bytes && entries, "entries")
    }

    /// The store has dealt with entries that had so many bytes together.
    pub(crate) fn stored(
        &mut self,
        committed: &Committed,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), Violation> {
        let useless = committed.duplicate + committed.pending + committed.evidence;
        let all = useless + committed.refused + committed.accepted;
        let each = bytes.checked_div(all).unwrap_or(0);
        let wasted = useless + committed.refused;
        self.useless.give(USELESS, committed.accepted, now);
        let useful_bytes = committed.accepted.saturating_mul(each);
        self.useless_bytes.give(USELESS_BYTES, useful_bytes, now);
        let bytes = wasted.saturating_mul(each);
        let bytes = self.useless_bytes.take(USELESS_BYTES, bytes, now);
        let useless = self.useless.take(USELESS, useless, now);
        allowed(useless && bytes, "entries of no use")?;
        let refused = self.refused.take(REFUSED, committed.refused, now);
        allowed(refused, "entries that are refused")
    }

    /// The peer asks for what it lacks of a log that is here with this digest: whether it did before. May forget.
    pub(crate) fn is_repeated(&mut self, log: LogId, ours: &Digest) -> bool {
        if self.asked.is_empty() {
            self.asked = vec![0; REMEMBERED];
        }
        let hash = blake3::Hasher::new()
            .update(log.as_bytes())
            .update(ours)
            .finalize();
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        let tag = u32::from_be_bytes([a, b, c, d]) | 1;
        let place = usize::try_from(u32::from_be_bytes([e, f, g, h])).unwrap_or(0) % REMEMBERED;
        self.asked
            .get_mut(place)
            .is_some_and(|known| std::mem::replace(known, tag) == tag)
    }

    /// Whether a request that is repeated is answered with entries again.
    pub(crate) fn may_repeat(&mut self, now: Timestamp) -> bool {
        let bytes = self.repeated_bytes.has_any(REPEATED_BYTES, now);
        bytes && self.repeats.take(REPEATS, 1, now)
    }

    /// So many bytes were loaded for it.
    pub(crate) fn repeated(&mut self, bytes: u64, now: Timestamp) {
        // More than was left is one frame at most.
        let _enough = self.repeated_bytes.take(REPEATED_BYTES, bytes, now);
    }

    /// A request of this side's led to nothing.
    pub(crate) fn asked_in_vain(&mut self, now: Timestamp) {
        let _enough = self.vain.take(VAIN, 1, now);
    }

    /// Whether it is worth while to believe the peer that it has something.
    pub(crate) fn may_ask(&mut self, now: Timestamp) -> bool {
        self.vain.has_any(VAIN, now)
    }
}

fn allowed(enough: bool, what: &'static str) -> Result<(), Violation> {
    if enough {
        Ok(())
    } else {
        Err(Violation::TooMuch(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_bucket_fills_up_with_time_and_not_beyond_its_size() {
        let limit = Limit {
            burst: 10,
            per_s: 4,
        };
        let mut bucket = Bucket::full(limit, at(0));
        assert!(bucket.take(limit, 10, at(0)));
        assert!(!bucket.take(limit, 1, at(249)));
        // What was not there was taken all the same: it counts from then.
        assert!(!bucket.take(limit, 1, at(498)));
        assert!(bucket.take(limit, 1, at(748)));
        assert!(bucket.take(limit, 10, at(100_000)));
        assert!(!bucket.has_any(limit, at(100_000)));
        // A clock that ran backwards gives nothing.
        assert!(!bucket.has_any(limit, at(0)));
        bucket.give(limit, u64::MAX, at(0));
        assert!(bucket.take(limit, 10, at(100_000)));
        assert!(!bucket.take(limit, 1, at(100_000)));
    }

    #[test]
    fn an_honest_first_sync_at_full_speed_is_not_throttled() {
        let mut budget = Budget::new(at(0));
        // A million entries of 600 bytes at 15,000 a second, a quarter of them sent by another peer at the same time.
        for second in 0..67 {
            for frame in 0..9 {
                let now = at(second * 1_000 + frame * 111);
                let bytes = 1_700 * 600;
                budget.entries(1_700, bytes, now).unwrap();
                let committed = Committed {
                    accepted: 1_275,
                    duplicate: 425,
                    ..Committed::default()
                };
                budget.stored(&committed, bytes as u64, now).unwrap();
                for _ in 0..20 {
                    budget.frame(20_000, now).unwrap();
                }
                budget.probe(now).unwrap();
            }
        }
    }

    #[test]
    fn what_is_refused_again_and_again_is_too_much() {
        let mut budget = Budget::new(at(0));
        let refused = Committed {
            refused: 100,
            ..Committed::default()
        };
        let times = (0..).take_while(|n| budget.stored(&refused, 60_000, at(*n)).is_ok());
        assert_eq!(times.count(), 40);
        // It can be forgotten, slowly.
        let few = Committed {
            refused: 4,
            ..Committed::default()
        };
        assert!(budget.stored(&few, 2_400, at(500)).is_err());
        assert!(budget.stored(&few, 2_400, at(2_000)).is_ok());
    }

    #[test]
    fn what_is_held_already_is_too_much_after_a_first_sync_from_two_sides() {
        let mut budget = Budget::new(at(0));
        let duplicate = Committed {
            duplicate: 1_000,
            ..Committed::default()
        };
        let times = (0..).take_while(|_| budget.stored(&duplicate, 600_000, at(0)).is_ok());
        assert_eq!(times.count(), 524);
        let large = Committed {
            duplicate: 1,
            ..Committed::default()
        };
        let mut budget = Budget::new(at(0));
        let times = (0..).take_while(|_| budget.stored(&large, 4 << 20, at(0)).is_ok());
        assert_eq!(times.count(), 256);
    }

    #[test]
    fn a_request_is_known_again_as_long_as_the_log_is_as_it_was() {
        let mut budget = Budget::new(at(0));
        let log = LogId::from_bytes([1; 32]);
        assert!(!budget.is_repeated(log, &[1; 32]));
        assert!(budget.is_repeated(log, &[1; 32]));
        assert!(!budget.is_repeated(log, &[2; 32]));
        assert!(!budget.is_repeated(LogId::from_bytes([2; 32]), &[2; 32]));
        let mut times = 0;
        while budget.may_repeat(at(0)) {
            budget.repeated(1 << 20, at(0));
            times += 1;
        }
        assert_eq!(times, 256);
        assert!(budget.may_repeat(at(1_000)));
    }
}
