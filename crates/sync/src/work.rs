//! The logs that one session is working on: for each, what this side asks and what it owes.

use std::collections::BTreeMap;

use salus_audit::{Heights, LogId};

use crate::port::{ABSENT, Digest};

/// How far this side's question for what it lacks of a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Idle,
    /// Is to be asked. `forced`: even if another peer is being asked for the same log.
    Queued {
        forced: bool,
    },
    /// Waits because another peer is being asked for the same log.
    Deferred,
    /// The store is reading the own heights.
    Reading,
    /// The heights wait to be sent.
    Ready,
    /// The heights were sent; entries come.
    Sent,
    /// The last entries came; the store is committing them.
    Ending,
}

/// How far this side is with what the peer asked of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Push {
    Idle,
    /// The peer holds these heights; the rest is to be loaded.
    Owed {
        theirs: Heights,
        /// Whether nothing was loaded for it yet.
        first: bool,
    },
    /// The store is loading.
    Loading,
    /// All was loaded; the end waits to be sent or acknowledged.
    Ending,
}

/// Logs and chains under way, counted to stay within the protocol's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub logs: usize,
    pub heights: usize,
}

impl Tally {
    fn add(&mut self, heights: usize) {
        self.logs += 1;
        self.heights += heights;
    }

    fn sub(&mut self, heights: usize) {
        self.logs = self.logs.saturating_sub(1);
        self.heights = self.heights.saturating_sub(heights);
    }
}

/// Whose heights they were and how many, for the tally.
#[derive(Debug, Clone, Copy)]
struct Counted {
    answer: bool,
    heights: usize,
}

/// One log.
#[derive(Debug)]
pub(crate) struct Work {
    /// The peer's digest, as far as is known.
    pub theirs: Digest,
    /// The digests (own, peer's) of the heights that were last exchanged.
    pub tried: Option<(Digest, Digest)>,
    /// The digests (own, peer's) at which it was last found unequal, and how often in a row.
    pub unequal: Option<((Digest, Digest), u32)>,
    pub is_roster: bool,
    /// Whether entries of it wait for others in the store, and how many had been accepted when they came.
    pub waiting: Option<u64>,
    /// What was held when work on it began, and how often it was worked on in vain before that.
    pub began: Digest,
    pub attempts: u32,
    pub ask: Ask,
    pub push: Push,
    /// Whether the peer asked before for what it asks now.
    pub repeated: bool,
    asked: Option<Counted>,
    owed: Option<Counted>,
}

/// All logs of a session that are being worked on.
#[derive(Debug, Default)]
pub(crate) struct Works {
    map: BTreeMap<LogId, Work>,
    /// How many of them are rosters.
    rosters: usize,
    /// How many asks are not sent yet, the deferred included.
    preparing: usize,
    deferred: usize,
    /// How many asks the peer has not ended yet.
    awaited: usize,
    /// Own heights under way, not in answer and in answer.
    asks: Tally,
    answers: Tally,
    /// The peer's heights under way, not in answer and in answer.
    owed_asks: Tally,
    owed_answers: Tally,
}

impl Works {
    pub(crate) fn get(&self, log: LogId) -> Option<&Work> {
        self.map.get(&log)
    }

    pub(crate) fn get_mut(&mut self, log: LogId) -> Option<&mut Work> {
        self.map.get_mut(&log)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Those that are worked on and do not merely wait for another peer.
    pub(crate) fn active(&self) -> usize {
        self.map.len() - self.deferred
    }

    pub(crate) fn deferred(&self) -> usize {
        self.deferred
    }

    pub(crate) fn preparing(&self) -> usize {
        self.preparing
    }

    pub(crate) fn awaited(&self) -> usize {
        self.awaited
    }

    pub(crate) fn rosters_busy(&self) -> bool {
        self.rosters > 0
    }

    pub(crate) fn asks(&self) -> Tally {
        self.asks
    }

    pub(crate) fn answers(&self) -> Tally {
        self.answers
    }

    pub(crate) fn owed(&self, answer: bool) -> Tally {
        if answer {
            self.owed_answers
        } else {
            self.owed_asks
        }
    }

    /// Begins work on a log; one that is worked on already only learns the peer's digest.
    pub(crate) fn open(&mut self, log: LogId, theirs: Digest, is_roster: bool) -> &mut Work {
        let rosters = &mut self.rosters;
        let work = self.map.entry(log).or_insert_with(|| {
            *rosters += usize::from(is_roster);
            Work {
                theirs,
                tried: None,
                unequal: None,
                is_roster,
                waiting: None,
                began: ABSENT,
                attempts: 0,
                ask: Ask::Idle,
                push: Push::Idle,
                repeated: false,
                asked: None,
                owed: None,
            }
        });
        work.theirs = theirs;
        work
    }

    pub(crate) fn close(&mut self, log: LogId) {
        self.set_ask(log, Ask::Idle);
        self.end_owed(log);
        if let Some(work) = self.map.remove(&log) {
            self.rosters -= usize::from(work.is_roster);
        }
    }

    /// Moves an ask on; one that becomes idle is no longer counted as under way.
    pub(crate) fn set_ask(&mut self, log: LogId, ask: Ask) {
        let Some(work) = self.map.get_mut(&log) else {
            return;
        };
        let before = std::mem::replace(&mut work.ask, ask);
        let uncounted = if ask == Ask::Idle {
            work.asked.take()
        } else {
            None
        };
        for (state, sign) in [(before, -1), (ask, 1)] {
            let preparing = matches!(
                state,
                Ask::Queued { .. } | Ask::Deferred | Ask::Reading | Ask::Ready
            );
            shift(&mut self.preparing, preparing, sign);
            shift(&mut self.deferred, state == Ask::Deferred, sign);
            shift(&mut self.awaited, state == Ask::Sent, sign);
        }
        if let Some(counted) = uncounted {
            let tally = if counted.answer {
                &mut self.answers
            } else {
                &mut self.asks
            };
            tally.sub(counted.heights);
        }
    }

    /// Counts own heights as under way, until the ask is idle again.
    pub(crate) fn count_ask(&mut self, log: LogId, answer: bool, heights: usize) {
        let Some(work) = self.map.get_mut(&log) else {
            return;
        };
        if work.asked.is_none() {
            work.asked = Some(Counted { answer, heights });
            let tally = if answer {
                &mut self.answers
            } else {
                &mut self.asks
            };
            tally.add(heights);
        }
    }

    /// Counts the peer's heights as under way and owes what they lack.
    pub(crate) fn owe(&mut self, log: LogId, answer: bool, theirs: Heights) {
        let Some(work) = self.map.get_mut(&log) else {
            return;
        };
        let heights = theirs.len();
        work.push = Push::Owed {
            theirs,
            first: true,
        };
        work.owed = Some(Counted { answer, heights });
        if answer {
            self.owed_answers.add(heights);
        } else {
            self.owed_asks.add(heights);
        }
    }

    /// Nothing is owed for the log any more.
    pub(crate) fn end_owed(&mut self, log: LogId) {
        let Some(work) = self.map.get_mut(&log) else {
            return;
        };
        work.push = Push::Idle;
        if let Some(counted) = work.owed.take() {
            if counted.answer {
                self.owed_answers.sub(counted.heights);
            } else {
                self.owed_asks.sub(counted.heights);
            }
        }
    }
}

fn shift(count: &mut usize, counts: bool, sign: i8) {
    if counts && sign > 0 {
        *count += 1;
    } else if counts {
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_states() {
        let mut works = Works::default();
        let log = LogId::from_bytes([1; 32]);
        works.open(log, [1; 32], true);
        works.set_ask(log, Ask::Queued { forced: false });
        assert_eq!((works.preparing(), works.deferred()), (1, 0));
        works.set_ask(log, Ask::Deferred);
        assert_eq!(
            (works.preparing(), works.deferred(), works.active()),
            (1, 1, 0)
        );
        works.set_ask(log, Ask::Ready);
        works.count_ask(log, true, 3);
        works.set_ask(log, Ask::Sent);
        assert_eq!((works.preparing(), works.awaited()), (0, 1));
        let three = Tally {
            logs: 1,
            heights: 3,
        };
        assert_eq!((works.answers(), works.asks()), (three, Tally::default()));
        works.set_ask(log, Ask::Ending);
        assert_eq!(works.awaited(), 0);
        works.owe(log, false, Heights::new());
        assert_eq!(works.owed(false).logs, 1);
        assert!(works.rosters_busy());
        works.close(log);
        assert_eq!(works.answers(), Tally::default());
        assert_eq!(works.owed(false), Tally::default());
        assert!(!works.rosters_busy() && works.is_empty());
    }
}
