//! What this side lacks: which logs to ask for, and what became of the entries that came.

use salus_audit::{Heights, LogId, MAX_CHAINS};

use crate::frame::{Group, HeightsItem, Set};
use crate::limits::{
    HEIGHTS_BATCH, MAX_ATTEMPTS, MAX_DEFERRED, MAX_HEIGHTS_ITEMS, MAX_OPEN_HEIGHTS, MAX_READS,
    MAX_STUCK, Timestamp,
};
use crate::port::{ABSENT, Committed, Digest, Output, TaskId, Violation, digest_of};
use crate::session::{Session, Stuck};
use crate::shared::{Shared, TaskKind};
use crate::work::{Ask, Push};

/// How often a log is asked for at the same two digests. Once is enough when heights and digests were read at the
/// same moment; a store whose digests are not those of its heights is not asked for ever.
const MAX_TIMES_UNEQUAL: u32 = 8;

/// How long a log whose entries wait is not asked for again, in milliseconds, from the second time on; doubles each time.
const WAIT_MS: u64 = 250;

/// How often that doubles: up to 64 s.
const WAIT_DOUBLINGS: u32 = 8;

/// Chains after which a `Heights` frame is full: 256 KiB.
const HEIGHTS_PER_FRAME: usize = 3_328;

impl Session {
    /// Whether another log may be worked on.
    pub(crate) fn has_room(&self, shared: &Shared) -> bool {
        self.works.active() < shared.config.open_logs && self.works.deferred() < MAX_DEFERRED
    }

    /// The peer's logs changed. What there is no room for is found by a round later.
    pub(crate) fn announced(&mut self, items: &[(LogId, Digest)], shared: &mut Shared) {
        self.announces_heard += 1;
        for (log, theirs) in items {
            let is_roster = self.set_of(*log) == Set::Rosters;
            self.heard(*log, *theirs);
            let opens = self.works.get(*log).is_none() && self.digest(*log) != *theirs;
            if !opens || self.has_room(shared) {
                self.differs(*log, *theirs, is_roster, shared);
            } else {
                // What is known of it is old now.
                self.stuck.remove(log);
                self.round_wanted = true;
            }
        }
    }

    pub(crate) fn set_of(&self, log: LogId) -> Set {
        let catalog = self.catalog.as_ref();
        catalog
            .and_then(|catalog| catalog.set_of(log))
            .unwrap_or(Set::Records)
    }

    /// The peer said so: what it listed before is old.
    pub(crate) fn heard(&mut self, log: LogId, theirs: Digest) {
        let ours = self
            .catalog
            .as_ref()
            .and_then(|catalog| catalog.set_of(log));
        if let Some(round) = &mut self.round {
            round.heard(log, theirs, ours);
        }
    }

    /// The peer has this digest of a log. Says whether that is new work.
    pub(crate) fn differs(
        &mut self,
        log: LogId,
        theirs: Digest,
        is_roster: bool,
        shared: &mut Shared,
    ) -> bool {
        let ours = self.digest(log);
        if let Some(work) = self.works.get_mut(log) {
            work.theirs = theirs;
            return false;
        }
        let stuck = self.stuck.remove(&log);
        if ours == theirs {
            return false;
        }
        let attempts = match &stuck {
            Some(stuck) if stuck.pair.0 == ours => stuck.attempts,
            _ => 0,
        };
        let tried = stuck
            .as_ref()
            .is_some_and(|stuck| stuck.pair == (ours, theirs));
        let now = shared.now;
        if tried || attempts >= MAX_ATTEMPTS || !shared.budget(self.peer).may_ask(now) {
            // Noted as different; what it claims now is not looked at.
            let waiting = stuck.and_then(|stuck| stuck.waiting);
            let stuck = Stuck {
                pair: (ours, theirs),
                waiting: waiting.or((!tried).then_some(shared.accepted)),
                again_at: now.after(wait_ms(attempts)),
                attempts,
                round: self.rounds_begun,
            };
            self.keep_stuck(log, stuck);
            return false;
        }
        self.begin(log, theirs, is_roster, attempts);
        true
    }

    fn begin(&mut self, log: LogId, theirs: Digest, is_roster: bool, attempts: u32) {
        let began = self.digest(log);
        let work = self.works.open(log, theirs, is_roster);
        work.began = began;
        work.attempts = attempts;
        self.queue(log, false);
        self.stats.logs += 1;
        self.restless = true;
    }

    fn queue(&mut self, log: LogId, forced: bool) {
        self.works.set_ask(log, Ask::Queued { forced });
        match self.works.get(log) {
            Some(work) if work.is_roster => self.to_ask.push_front(log),
            _ => self.to_ask.push_back(log),
        }
    }

    /// Another peer is no longer being asked for the log.
    pub(crate) fn freed(&mut self, log: LogId) {
        if self
            .works
            .get(log)
            .is_some_and(|work| work.ask == Ask::Deferred)
        {
            self.queue(log, false);
        }
    }

    pub(crate) fn defer_no_longer(&mut self, now: Timestamp) {
        while let Some((_, log)) = self.deferred.pop_front_if(|(until, _)| *until <= now) {
            if self
                .works
                .get(log)
                .is_some_and(|work| work.ask == Ask::Deferred)
            {
                self.queue(log, true);
            }
        }
    }

    /// Has the store read the own heights of the logs to ask for.
    pub(crate) fn ask(&mut self, shared: &mut Shared) {
        let mut batch = Vec::new();
        while self.reads < MAX_READS
            && let Some(log) = self.to_ask.pop_front()
        {
            let Some(work) = self.works.get(log) else {
                continue;
            };
            let Ask::Queued { forced } = work.ask else {
                continue;
            };
            if work.theirs == self.digest(log) {
                self.works.set_ask(log, Ask::Idle);
                self.evaluate(log, shared);
                continue;
            }
            let may_wait = !forced && self.deferred.len() < MAX_DEFERRED;
            if may_wait && shared.pulled_elsewhere(log, self.peer) {
                let until = shared.now.after(shared.config.defer_ms);
                self.works.set_ask(log, Ask::Deferred);
                self.deferred.push_back((until, log));
                continue;
            }
            shared.pull(log, self.peer);
            if self.entitled(log) {
                self.works.set_ask(log, Ask::Reading);
                batch.push(log);
            } else {
                self.works.set_ask(log, Ask::Ready);
                self.asks_ready.push_back((log, Heights::new()));
            }
            if batch.len() == HEIGHTS_BATCH {
                self.need_heights(std::mem::take(&mut batch), shared);
            }
        }
        if !batch.is_empty() {
            self.need_heights(batch, shared);
        }
    }

    fn need_heights(&mut self, logs: Vec<LogId>, shared: &mut Shared) {
        self.reads += 1;
        let peer = self.peer;
        let task = self.task(TaskKind::Heights(logs.clone()));
        shared.task(task, |task| Output::NeedHeights { task, peer, logs });
    }

    /// The store has read the own heights.
    pub(crate) fn heights_read(
        &mut self,
        logs: Vec<LogId>,
        heights: Vec<Heights>,
        shared: &mut Shared,
    ) {
        self.reads = self.reads.saturating_sub(1);
        let mut heights = heights.into_iter();
        for log in logs {
            let ours = heights.next().unwrap_or_default();
            if self
                .works
                .get(log)
                .is_none_or(|work| work.ask != Ask::Reading)
            {
                continue;
            }
            if ours.len() > MAX_CHAINS {
                self.give_up(log, shared);
                continue;
            }
            self.works.set_ask(log, Ask::Ready);
            self.asks_ready.push_back((log, ours));
        }
    }

    /// The next heights to send.
    pub(crate) fn heights_to_send(&mut self, shared: &mut Shared) -> Option<Vec<HeightsItem>> {
        let mut items = Vec::new();
        let mut chains = 0;
        while chains < HEIGHTS_PER_FRAME && items.len() < MAX_HEIGHTS_ITEMS {
            let (log, heights, answer) = match self.answers_ready.pop_front() {
                Some((log, heights)) => (log, heights, true),
                None => {
                    let asks = self.works.asks();
                    let has_room = |heights: &Heights| {
                        asks.logs < shared.config.open_logs
                            && asks.heights + heights.len() <= MAX_OPEN_HEIGHTS
                    };
                    let next = self
                        .asks_ready
                        .pop_front_if(|(_, heights)| has_room(heights));
                    let Some((log, heights)) = next else { break };
                    (log, heights, false)
                }
            };
            let digest = self.digest(log);
            let Some(work) = self
                .works
                .get_mut(log)
                .filter(|work| work.ask == Ask::Ready)
            else {
                continue;
            };
            // A log that the peer may no longer hold looks like one that is not held.
            let heights = if digest == ABSENT {
                Heights::new()
            } else {
                heights
            };
            work.tried = Some((digest_of(log, &heights), work.theirs));
            chains += heights.len();
            self.works.count_ask(log, answer, heights.len());
            self.works.set_ask(log, Ask::Sent);
            self.resume_owed(log);
            items.push(HeightsItem {
                log,
                digest,
                answer,
                heights,
            });
        }
        (!items.is_empty()).then_some(items)
    }

    /// Ends asks that are ready to be sent and of no use any more, because what they ask for came from elsewhere meanwhile. Before
    /// anything is sent: what the peer waits for may depend on it, and nothing else would bring it about.
    pub(crate) fn drop_needless_asks(&mut self, shared: &mut Shared) {
        let is_needless = |(log, _): &&(LogId, Heights)| {
            let work = self.works.get(*log);
            work.is_some_and(|work| work.ask == Ask::Ready && work.theirs == self.digest(*log))
        };
        let needless: Vec<LogId> = self
            .asks_ready
            .iter()
            .filter(is_needless)
            .map(|(log, _)| *log)
            .collect();
        for log in needless {
            self.asks_ready.retain(|(ready, _)| *ready != log);
            self.end_ask(log, shared);
            self.evaluate(log, shared);
            self.resume_owed(log);
        }
    }

    /// What is owed for a log waited until the own heights were on their way.
    fn resume_owed(&mut self, log: LogId) {
        let work = self.works.get(log);
        if work.is_some_and(|work| matches!(work.push, Push::Owed { .. })) {
            self.owed.push_back(log);
        }
    }

    fn end_ask(&mut self, log: LogId, shared: &mut Shared) {
        self.works.set_ask(log, Ask::Idle);
        shared.release(log, self.peer);
    }

    /// Entries came: the store has them before anybody is told that they came.
    pub(crate) fn entries_came(
        &mut self,
        groups: Vec<Group>,
        bytes: usize,
        shared: &mut Shared,
    ) -> Result<(), Violation> {
        self.inbox.admits(bytes)?;
        let mut entries = Vec::new();
        let mut statements = Vec::new();
        let mut ends = Vec::new();
        for group in groups {
            let asked = self.works.get(group.log);
            if asked.is_none_or(|work| work.ask != Ask::Sent) {
                return Err(Violation::Unexpected("entries that were not asked for"));
            }
            if group.end {
                self.works.set_ask(group.log, Ask::Ending);
                ends.push(group.log);
            }
            statements.extend(group.statement.map(|statement| (group.log, statement)));
            entries.extend(group.entries);
        }
        let now = shared.now;
        shared
            .budget(self.peer)
            .entries(entries.len(), bytes, now)?;
        let task = (!entries.is_empty() || !statements.is_empty()).then(|| {
            let peer = self.peer;
            let task = self.task(TaskKind::Commit {
                accepted: shared.accepted,
                bytes: bytes as u64,
            });
            shared.task(task, |task| Output::Commit {
                task,
                peer,
                entries,
                statements,
            })
        });
        self.inbox.arrived(task, bytes, ends);
        self.end_stored(shared);
        Ok(())
    }

    /// The store has dealt with entries; whatever changed by them was taken in before.
    pub(crate) fn stored(
        &mut self,
        task: TaskId,
        accepted_before: u64,
        committed: &Committed,
        shared: &mut Shared,
    ) {
        self.stats.received += committed.accepted;
        self.stats.duplicate += committed.duplicate;
        self.stats.refused += committed.refused + committed.evidence;
        self.stats.pending += committed.pending;
        self.restless = true;
        for log in &committed.waiting {
            if let Some(work) = self.works.get_mut(*log) {
                // The first that waits may be what all the others wait for.
                work.waiting.get_or_insert(accepted_before);
            }
        }
        self.inbox.committed(task);
        self.end_stored(shared);
    }

    fn end_stored(&mut self, shared: &mut Shared) {
        for log in self.inbox.ended() {
            self.end_ask(log, shared);
            self.evaluate(log, shared);
        }
    }

    /// If nothing is under way for a log: is it equal now, was it tried in vain, or is it to be tried again?
    pub(crate) fn evaluate(&mut self, log: LogId, shared: &mut Shared) {
        let ours = self.digest(log);
        let Some(work) = self.works.get(log) else {
            return;
        };
        if work.ask != Ask::Idle || work.push != Push::Idle {
            return;
        }
        let pair = (ours, work.theirs);
        if pair.0 == pair.1 {
            self.stuck.remove(&log);
            self.works.close(log);
            return;
        }
        let times = work.unequal.filter(|(before, _)| *before == pair);
        let times = times.map_or(1, |(_, times)| times + 1);
        let in_vain = work.tried == Some(pair) || times > MAX_TIMES_UNEQUAL;
        if let Some(work) = self.works.get_mut(log) {
            work.unequal = Some((pair, times));
        }
        if in_vain {
            self.give_up(log, shared);
        } else {
            self.queue(log, false);
        }
    }

    /// All was tried: not again before something changes.
    fn give_up(&mut self, log: LogId, shared: &mut Shared) {
        let Some(work) = self.works.get(log) else {
            return;
        };
        let ours = self.digest(log);
        let in_vain = work.began == ours;
        let attempts = if in_vain {
            work.attempts.saturating_add(1)
        } else {
            0
        };
        let stuck = Stuck {
            pair: (ours, work.theirs),
            waiting: work.waiting,
            again_at: shared.now.after(wait_ms(attempts)),
            attempts,
            round: self.rounds_begun,
        };
        self.keep_stuck(log, stuck);
        if in_vain {
            let now = shared.now;
            shared.budget(self.peer).asked_in_vain(now);
        }
        shared.release(log, self.peer);
        self.works.close(log);
    }

    fn keep_stuck(&mut self, log: LogId, stuck: Stuck) {
        if self.stuck.len() < MAX_STUCK {
            // What it waits for may have been accepted meanwhile.
            self.looked = self.looked.min(stuck.waiting.unwrap_or(u64::MAX));
            self.stuck.insert(log, stuck);
        }
    }

    /// Whether entries that waited may fit now.
    pub(crate) fn has_waiting(&self, shared: &Shared) -> bool {
        let mut stuck = self.stuck.values();
        self.looked < shared.accepted && stuck.any(|stuck| stuck.is_due(shared))
    }

    /// The time has come to look for entries that waited.
    pub(crate) fn look_again(&mut self, now: Timestamp) {
        if self.look_at.take_if(|at| *at <= now).is_some() {
            self.looked = 0;
        }
    }

    /// Asks again for logs whose entries waited for others, if any others came since. Says whether there are any.
    pub(crate) fn retry_waiting(&mut self, shared: &Shared) -> bool {
        if self.looked == shared.accepted {
            return false;
        }
        let logs = self.stuck.iter().filter(|(_, stuck)| stuck.is_due(shared));
        let room = shared.config.open_logs;
        let logs: Vec<_> = logs
            .map(|(log, stuck)| (*log, stuck.pair.1, stuck.attempts))
            .take(room)
            .collect();
        for (log, theirs, attempts) in &logs {
            self.stuck.remove(log);
            self.begin(*log, *theirs, self.set_of(*log) == Set::Rosters, *attempts);
        }
        if logs.is_empty() {
            self.looked = shared.accepted;
            let later = self.stuck.values().filter(|stuck| stuck.may_fit(shared));
            self.look_at = later.map(|stuck| stuck.again_at).min();
        }
        !logs.is_empty()
    }
}

impl Stuck {
    /// Whether something was accepted that its entries may have waited for.
    fn may_fit(&self, shared: &Shared) -> bool {
        self.waiting.is_some_and(|before| before < shared.accepted)
    }

    fn is_due(&self, shared: &Shared) -> bool {
        self.may_fit(shared) && self.again_at <= shared.now
    }
}

/// How long a log that was asked for so often in vain is left alone.
fn wait_ms(attempts: u32) -> u64 {
    match attempts.saturating_sub(1) {
        0 => 0,
        again => WAIT_MS << again.min(WAIT_DOUBLINGS),
    }
}
