//! What this side owes: entries that the peer lacks, for the heights that it sent.

use salus_audit::{Heights, LogId, MAX_CHAINS, spans};

use crate::frame::{HeightsItem, Set};
use crate::limits::{MAX_FORKED_LOADS, MAX_FORKS, MAX_LOADS, MAX_OPEN_HEIGHTS, MAX_OPEN_LOGS};
use crate::port::{Loaded, Output, Violation, digest_of};
use crate::session::Session;
use crate::shared::{Shared, TaskKind};
use crate::work::{Ask, Push};

impl Session {
    /// The peer's heights came: it wants what it lacks, and says what this side may lack.
    pub(crate) fn owe(&mut self, items: Vec<HeightsItem>) -> Result<(), Violation> {
        for item in items {
            let owed = self.works.owed(item.answer);
            if owed.logs >= MAX_OPEN_LOGS || owed.heights + item.heights.len() > MAX_OPEN_HEIGHTS {
                return Err(Violation::TooMuch("heights under way"));
            }
            if self.is_pushing(item.log) {
                return Err(Violation::Unexpected(
                    "heights before the last were answered",
                ));
            }
            let asked = self.works.get(item.log).map(|work| work.ask);
            if item.answer && asked != Some(Ask::Sent) {
                return Err(Violation::Unexpected("an answer to no heights"));
            }
            self.heard(item.log, item.digest);
            let is_roster = self.set_of(item.log) == Set::Rosters;
            self.works.open(item.log, item.digest, is_roster);
            self.works.owe(item.log, item.answer, item.heights);
            self.stuck.remove(&item.log);
            self.restless = true;
            match asked {
                // The own heights are on their way: the end must not overtake them.
                Some(Ask::Reading | Ask::Ready) => {}
                Some(Ask::Queued { .. } | Ask::Deferred) => {
                    // What is lacking here is asked for in answer.
                    self.works.set_ask(item.log, Ask::Idle);
                    self.queue_owed(item.log, is_roster);
                }
                _ => self.queue_owed(item.log, is_roster),
            }
        }
        Ok(())
    }

    fn queue_owed(&mut self, log: LogId, is_roster: bool) {
        if is_roster {
            self.owed.push_front(log);
        } else {
            self.owed.push_back(log);
        }
    }

    /// Has the store load what is owed, as far as there is room for it.
    pub(crate) fn load(&mut self, shared: &mut Shared) {
        let max_bytes = shared.config.frame_bytes;
        while self.loads < MAX_LOADS
            && self.outbox.bytes() + self.loads * max_bytes < shared.config.window_bytes
            && self.may_answer()
            && let Some(log) = self.owed.pop_front()
        {
            let entitled = self.entitled(log);
            let Some(work) = self.works.get_mut(log) else {
                continue;
            };
            let Push::Owed { theirs, first } = work.push.clone() else {
                continue;
            };
            work.push = Push::Loading;
            if !entitled {
                // The same answer for a log that the peer may not know of and for one that does not exist.
                self.loaded(log, &theirs, first, Loaded::default(), shared);
                continue;
            }
            if first && !self.is_served(log, shared) {
                self.deny(log);
                continue;
            }
            self.loads += 1;
            let peer = self.peer;
            let kind = TaskKind::Load {
                log,
                theirs: theirs.clone(),
                first,
                repeated: self.works.get(log).is_some_and(|work| work.repeated),
            };
            shared.task(self.task(kind), |task| Output::Load {
                task,
                peer,
                log,
                theirs,
                max_bytes,
            });
        }
    }

    /// Whether the peer is sent what it lacks of a log. One that asks for the same again and again, or names ever other
    /// histories, is not.
    fn is_served(&mut self, log: LogId, shared: &mut Shared) -> bool {
        let ours = self.digest(log);
        let now = shared.now;
        let budget = shared.budget(self.peer);
        let repeated = budget.is_repeated(log, &ours);
        if let Some(work) = self.works.get_mut(log) {
            work.repeated = repeated;
        }
        let forks = self.forked_loads.get(&log);
        forks.is_none_or(|times| *times < MAX_FORKED_LOADS) && (!repeated || budget.may_repeat(now))
    }

    /// Ends a question without an answer.
    fn deny(&mut self, log: LogId) {
        let ours = self.digest(log);
        if let Some(work) = self.works.get_mut(log) {
            work.push = Push::Ending;
            work.tried = Some((ours, work.theirs));
        }
        self.outbox.push(log, Vec::new(), true, None);
    }

    /// Whether the answers that the loads under way may call for are within the limits.
    fn may_answer(&self) -> bool {
        let answers = self.works.answers();
        let coming = self.loads + 1;
        answers.logs + coming <= MAX_OPEN_LOGS
            && answers.heights + coming * MAX_CHAINS <= MAX_OPEN_HEIGHTS
    }

    /// The store has loaded: the entries wait to be sent, and the own heights before them if the peer
    /// holds what this side lacks.
    pub(crate) fn loaded(
        &mut self,
        log: LogId,
        theirs: &Heights,
        first: bool,
        loaded: Loaded,
        shared: &mut Shared,
    ) {
        let entitled = self.entitled(log);
        let ours = if entitled {
            loaded.ours
        } else {
            Heights::new()
        };
        let forked = entitled && !loaded.forked.is_empty();
        if first
            && forked
            && (self.forked_loads.len() < MAX_FORKS || self.forked_loads.contains_key(&log))
        {
            *self.forked_loads.entry(log).or_default() += 1;
        }
        let Some(work) = self.works.get_mut(log) else {
            return;
        };
        if work.push != Push::Loading {
            return;
        }
        if first {
            // Either side's digest may be older or newer than the heights that were read.
            work.tried = Some((digest_of(log, &ours), digest_of(log, theirs)));
        }
        // Of a fork's lines the heights name those that their owner knows: a chain that is longer here may be another there.
        let lacks = first && work.ask == Ask::Idle && (forked || !spans(theirs, &ours).is_empty());
        // A store that promises more and gives nothing would be asked for ever.
        let more = entitled && loaded.more && !loaded.entries.is_empty();
        work.push = if more {
            Push::Owed {
                theirs: loaded.reached,
                first: false,
            }
        } else {
            Push::Ending
        };
        if lacks && ours.len() <= MAX_CHAINS {
            shared.pull(log, self.peer);
            self.works.count_ask(log, true, ours.len());
            self.works.set_ask(log, Ask::Ready);
            self.answers_ready.push_back((log, ours));
        }
        let (entries, statement) = if entitled {
            (loaded.entries, loaded.statement)
        } else {
            (Vec::new(), None)
        };
        self.outbox.push(log, entries, !more, statement);
        if more {
            self.owed.push_front(log);
        }
    }

    /// The peer has stored that many frames in all.
    pub(crate) fn acked(&mut self, frames: u64, shared: &mut Shared) -> Result<(), Violation> {
        let acked = self.outbox.acked(frames)?;
        self.stats.sent += acked.entries;
        for log in acked.ends {
            self.works.end_owed(log);
            self.evaluate(log, shared);
        }
        Ok(())
    }
}
