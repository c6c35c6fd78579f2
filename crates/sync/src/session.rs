//! The session with one peer, from its connection to its end: greeting, rounds, and what to send next.
//!
//! What this side lacks is in [`pull`](crate::pull), what it owes in [`push`](crate::push).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use salus_audit::{ClinicId, Heights, LogId};

use crate::catalog::Catalog;
use crate::frame::{Frame, Interval, Message, Set, Summary};
use crate::limits::{MAX_HELLO_BYTES, MAX_ITEMS, MAX_ROUNDS, PROTOCOL_VERSION, Timestamp};
use crate::port::{
    ABSENT, CatalogAnswer, CatalogItem, Changed, Digest, Output, SyncStats, Violation,
};
use crate::round::{Round, Shuffle, answer};
use crate::shared::{Shared, Task, TaskKind};
use crate::window::{Inbox, Outbox};
use crate::work::{Push, Works};

/// A log that still differs after all was tried.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// The digests (own, peer's) at which it stuck: with others it is tried again.
    pub pair: (Digest, Digest),
    /// Whether entries of it wait for others, and how many had been accepted when they came: it is tried again
    /// when there are more.
    pub waiting: Option<u64>,
    /// Not before this time, though.
    pub again_at: Timestamp,
    /// How often in a row it was asked for in vain.
    pub attempts: u32,
    /// The round in which it was last found to differ, or after which it stuck.
    pub round: u64,
}

/// How much a session remembers, for those who watch its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Logs being worked on.
    pub logs: usize,
    /// Chains in heights that the peer has under way.
    pub heights: usize,
    /// Bytes of entries that wait to be sent or acknowledged.
    pub outgoing_bytes: usize,
    /// Bytes of entries that came and are not stored.
    pub incoming_bytes: usize,
    /// Ranges to be asked and logs listed.
    pub ranges: usize,
    /// Logs that differ after all was tried.
    pub stuck: usize,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub peer: ClinicId,
    /// Tells this session from an earlier one with the same peer.
    pub number: u64,
    hello_by: Timestamp,
    said_hello: bool,
    heard_hello: bool,
    pub catalog: Option<Catalog>,
    /// What changed while the store makes a catalog: the log, when, and its item if the peer may hold it.
    meanwhile: Option<BTreeMap<LogId, (u64, Option<CatalogItem>)>>,
    pub shuffle: Shuffle,
    pub round: Option<Round>,
    /// A round is to be begun.
    pub round_wanted: bool,
    /// Rounds begun since they were last wanted; none if nobody awaits their end.
    rounds: Option<u32>,
    /// Rounds begun since the session began.
    pub rounds_begun: u64,
    /// Whether the round found anything to work on; another one follows then.
    pub found: bool,
    probes: u64,
    /// The peer's question.
    probed: Option<(u64, Vec<(Interval, Summary)>)>,
    /// Whether a round of either side has come to its end.
    reconciled: bool,
    /// Whether anything happened since the session was last in step.
    pub restless: bool,
    pub works: Works,
    /// Logs to ask for.
    pub to_ask: VecDeque<LogId>,
    /// Asks that wait for another peer's, with the time at which they wait no longer.
    pub deferred: VecDeque<(Timestamp, LogId)>,
    /// Heights to send, in answer and of one's own accord.
    pub answers_ready: VecDeque<(LogId, Heights)>,
    pub asks_ready: VecDeque<(LogId, Heights)>,
    /// Logs to load for the peer.
    pub owed: VecDeque<LogId>,
    pub loads: usize,
    /// Reads of own heights that the store has.
    pub reads: usize,
    pub stuck: BTreeMap<LogId, Stuck>,
    /// How many entries had been accepted when none of the stuck could be tried again.
    pub looked: u64,
    /// When one of the stuck may be tried again.
    pub look_at: Option<Timestamp>,
    /// How often a log was sent from the beginning of a chain.
    pub forked_loads: BTreeMap<LogId, u32>,
    /// Logs to announce, rosters first.
    pub announce: BTreeSet<(Set, LogId)>,
    announces_sent: u64,
    announces_seen: u64,
    pub announces_heard: u64,
    announces_said: u64,
    pub outbox: Outbox,
    pub inbox: Inbox,
    pub stats: SyncStats,
    /// When silence becomes a stall, while the peer owes something.
    stalls_at: Option<Timestamp>,
}

impl Session {
    pub(crate) fn new(
        peer: ClinicId,
        number: u64,
        initiator: bool,
        seed: &[u8; 32],
        shared: &mut Shared,
    ) -> Self {
        let salt = [peer.as_bytes().as_slice(), &number.to_be_bytes()].concat();
        let mut session = Self {
            peer,
            number,
            hello_by: shared.now.after(shared.config.hello_ms),
            said_hello: false,
            heard_hello: false,
            catalog: None,
            meanwhile: None,
            shuffle: Shuffle::new(seed, &salt),
            round: None,
            round_wanted: initiator,
            rounds: initiator.then_some(0),
            rounds_begun: 0,
            found: false,
            probes: 0,
            probed: None,
            reconciled: false,
            restless: true,
            works: Works::default(),
            to_ask: VecDeque::new(),
            deferred: VecDeque::new(),
            answers_ready: VecDeque::new(),
            asks_ready: VecDeque::new(),
            owed: VecDeque::new(),
            loads: 0,
            reads: 0,
            stuck: BTreeMap::new(),
            looked: 0,
            look_at: None,
            forked_loads: BTreeMap::new(),
            announce: BTreeSet::new(),
            announces_sent: 0,
            announces_seen: 0,
            announces_heard: 0,
            announces_said: 0,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            stats: SyncStats::default(),
            stalls_at: None,
        };
        session.need_catalog(shared);
        session
    }

    pub(crate) fn task(&self, kind: TaskKind) -> Task {
        Task {
            peer: self.peer,
            session: self.number,
            kind,
        }
    }

    fn need_catalog(&mut self, shared: &mut Shared) {
        if self.meanwhile.is_none() {
            self.meanwhile = Some(BTreeMap::new());
            let peer = self.peer;
            let task = self.task(TaskKind::Catalog);
            shared.task(task, |task| Output::NeedCatalog { task, peer });
        }
    }

    /// Takes in the store's catalog, and over it what changed after it was made.
    pub(crate) fn cataloged(&mut self, answer: CatalogAnswer) {
        let mut catalog = Catalog::from(answer.items);
        for (log, (version, item)) in self.meanwhile.take().unwrap_or_default() {
            match item {
                _ if version <= answer.version => {}
                Some(item) => catalog.insert(&item),
                None => catalog.remove(log),
            }
        }
        // A catalog that was made anew may know of a change before it is told: the peer is to hear of it all the same.
        if let Some(old) = &self.catalog {
            self.announce.extend(catalog.changed_since(old));
        }
        self.catalog = Some(catalog);
    }

    /// Somebody wants to be in step: the catalog is made anew, so that whatever was missed is found.
    pub(crate) fn sync_requested(&mut self, shared: &mut Shared) {
        self.round_wanted = true;
        self.rounds = Some(0);
        self.restless = true;
        self.need_catalog(shared);
    }

    /// A log is held otherwise than before, or another audience may hold it.
    pub(crate) fn changed(&mut self, changed: &Changed, shared: &mut Shared) {
        let log = changed.log;
        let item = CatalogItem {
            log,
            digest: changed.digest,
            is_roster: changed.is_roster,
        };
        let entitled = changed.audience.contains(&self.peer) && changed.digest != ABSENT;
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.insert(log, (changed.version, entitled.then_some(item)));
        }
        let Some(catalog) = &mut self.catalog else {
            return;
        };
        if entitled {
            let before = catalog.digest(log);
            catalog.insert(&item);
            if before != changed.digest {
                let set = catalog.set_of(log).unwrap_or(Set::Records);
                self.announce.insert((set, log));
                self.restless = true;
            }
        } else {
            catalog.remove(log);
            self.announce.remove(&(Set::Rosters, log));
            self.announce.remove(&(Set::Records, log));
        }
        self.evaluate(log, shared);
    }

    /// The digest of what the peer may be told of a log.
    pub(crate) fn digest(&self, log: LogId) -> Digest {
        let catalog = self.catalog.as_ref();
        catalog.map_or(ABSENT, |catalog| catalog.digest(log))
    }

    pub(crate) fn entitled(&self, log: LogId) -> bool {
        let catalog = self.catalog.as_ref();
        catalog.is_some_and(|catalog| catalog.contains(log))
    }

    /// One frame from the peer.
    pub(crate) fn receive(&mut self, bytes: &[u8], shared: &mut Shared) -> Result<(), Violation> {
        if !self.heard_hello && bytes.len() > MAX_HELLO_BYTES {
            return Err(Violation::Unexpected("something before a hello"));
        }
        let message = Message::decode(bytes)?;
        self.stats.bytes_received += bytes.len() as u64;
        self.stalls_at = None;
        let now = shared.now;
        if !matches!(message, Message::Entries { .. }) {
            shared.budget(self.peer).frame(bytes.len(), now)?;
        }
        if !self.heard_hello {
            return match message {
                Message::Hello { version } if version == PROTOCOL_VERSION => {
                    self.heard_hello = true;
                    Ok(())
                }
                Message::Hello { version } => Err(Violation::Version(version)),
                _ => Err(Violation::Unexpected("something before a hello")),
            };
        }
        if !self.said_hello {
            return Err(Violation::Unexpected(
                "something before a hello was returned",
            ));
        }
        match message {
            Message::Hello { .. } => return Err(Violation::Unexpected("a second hello")),
            Message::Probe { id, ranges } => {
                shared.budget(self.peer).probe(now)?;
                if self.probed.replace((id, ranges)).is_some() {
                    return Err(Violation::Unexpected("a probe before an answer"));
                }
            }
            Message::Answer { id, parts } => {
                let (Some(round), Some(catalog)) = (&mut self.round, &self.catalog) else {
                    return Err(Violation::Unexpected("an answer to no question"));
                };
                round.answered(id, parts, catalog, &mut self.shuffle)?;
            }
            Message::Announce { items } => self.announced(&items, shared),
            Message::Heights { items } => self.owe(items)?,
            Message::Entries { groups } => self.entries_came(groups, bytes.len(), shared)?,
            Message::Ack { frames, announces } => {
                if announces < self.announces_seen || announces > self.announces_sent {
                    return Err(Violation::Unexpected("an acknowledgement of nothing"));
                }
                self.announces_seen = announces;
                self.acked(frames, shared)?;
            }
            Message::Settled { .. } => self.reconciled = true,
        }
        Ok(())
    }

    /// The next frame for the peer. What it frees may let [`pump`](Self::pump) go on.
    pub(crate) fn transmit(&mut self, shared: &mut Shared) -> Option<Frame> {
        let message = self.next_message(shared)?;
        let frame = message.encode();
        self.stats.bytes_sent += frame.len() as u64;
        if let Message::Entries { groups } = &message {
            self.outbox.sent(groups, frame.len());
        }
        if let Message::Settled { .. } = message {
            self.in_step(shared);
        }
        Some(frame)
    }

    /// In this order: an announcement goes before the acknowledgement of the entries that caused it, and an
    /// acknowledgement and the heights in answer before anything that ends the peer's question.
    fn next_message(&mut self, shared: &mut Shared) -> Option<Message> {
        let catalog = self.catalog.as_ref()?;
        if !self.said_hello {
            self.said_hello = true;
            let version = PROTOCOL_VERSION;
            return Some(Message::Hello { version });
        }
        if !self.heard_hello {
            return None;
        }
        if !self.announce.is_empty() {
            let mut items = Vec::new();
            while items.len() < MAX_ITEMS
                && let Some((_, log)) = self.announce.pop_first()
            {
                items.push((log, catalog.digest(log)));
            }
            items.retain(|(_, digest)| *digest != ABSENT);
            if !items.is_empty() {
                self.announces_sent += 1;
                return Some(Message::Announce { items });
            }
        }
        let announces = self.announces_dealt_with();
        if self.inbox.unsaid() || announces > self.announces_said {
            self.announces_said = announces;
            let frames = self.inbox.say();
            return Some(Message::Ack { frames, announces });
        }
        if let Some((id, ranges)) = self.probed.take() {
            return Some(answer(catalog, id, &ranges));
        }
        if let Some(items) = self.heights_to_send(shared) {
            return Some(Message::Heights { items });
        }
        let catalog = self.catalog.as_ref()?;
        let probe = self
            .round
            .as_mut()
            .and_then(|round| round.probe(catalog, self.probes, self.works.rosters_busy()));
        if probe.is_some() {
            self.probes += 1;
            return probe;
        }
        let more_to_come = self.loads > 0;
        while let Some(groups) = self
            .outbox
            .next(&shared.config, more_to_come, |log| catalog.contains(log))
        {
            if !groups.is_empty() {
                return Some(Message::Entries { groups });
            }
        }
        if self.rounds.is_some() && !self.is_busy() && !self.may_go_on(shared) {
            let unresolved = self.unresolved();
            return Some(Message::Settled { unresolved });
        }
        None
    }

    /// How many of the peer's announcements led to heights being sent for everything that they named.
    fn announces_dealt_with(&self) -> u64 {
        let busy = self.works.preparing() > 0 || self.round.is_some() || self.round_wanted;
        if busy {
            self.announces_said
        } else {
            self.announces_heard
        }
    }

    /// Does what can be done now.
    pub(crate) fn pump(&mut self, shared: &mut Shared) {
        if self.said_hello && self.heard_hello && self.catalog.is_some() {
            self.drop_needless_asks(shared);
            self.go_on_with_round(shared);
            self.ask(shared);
            self.load(shared);
            if !self.is_busy() {
                self.rest(shared);
            }
        }
        self.watch(shared);
    }

    fn go_on_with_round(&mut self, shared: &mut Shared) {
        if self.round_wanted && self.round.is_none() && self.meanwhile.is_none() {
            self.round_wanted = false;
            self.found = false;
            self.round = Some(Round::default());
            self.stats.rounds += 1;
            self.rounds_begun += 1;
            let rounds = self.rounds.get_or_insert(0);
            *rounds += 1;
        }
        while self.has_room(shared)
            && let Some(round) = &mut self.round
            && let Some(catalog) = &self.catalog
            && let Some(difference) = round.next_difference(catalog, self.works.rosters_busy())
        {
            let is_roster = difference.set == Set::Rosters;
            self.found |= self.differs(difference.log, difference.theirs, is_roster, shared);
        }
        if self.round.as_ref().is_some_and(Round::is_done) {
            self.round = None;
            // A round finds all that differs: what it did not find is equal by now.
            let round = self.rounds_begun;
            self.stuck.retain(|_, stuck| stuck.round >= round);
        }
    }

    /// Nothing is left to do: looks whether something could be tried again, and else reports that both are in step.
    fn rest(&mut self, shared: &mut Shared) {
        if self.retry_waiting(shared) {
            self.ask(shared);
            return;
        }
        match self.rounds {
            Some(rounds) if self.found && rounds < MAX_ROUNDS => {
                self.round_wanted = true;
                self.go_on_with_round(shared);
            }
            // The peer is told first.
            Some(_) => {}
            None if self.reconciled && self.restless => self.in_step(shared),
            None => {}
        }
    }

    /// Whether [`rest`](Self::rest) would begin something.
    fn may_go_on(&self, shared: &Shared) -> bool {
        let again = self.found && self.rounds.is_some_and(|rounds| rounds < MAX_ROUNDS);
        again || self.has_waiting(shared)
    }

    fn in_step(&mut self, shared: &mut Shared) {
        self.rounds = None;
        self.reconciled = true;
        self.restless = false;
        self.stats.unresolved = self.unresolved();
        let (peer, stats) = (self.peer, std::mem::take(&mut self.stats));
        shared.outputs.push_back(Output::InStep { peer, stats });
    }

    /// How many logs differ after all was tried.
    fn unresolved(&mut self) -> u64 {
        if let Some(catalog) = &self.catalog {
            let stuck = &mut self.stuck;
            stuck.retain(|log, stuck| catalog.digest(*log) != stuck.pair.1);
        }
        self.stuck.len() as u64
    }

    /// Whether anything is to be done, or to be waited for.
    fn is_busy(&self) -> bool {
        self.round.is_some()
            || self.round_wanted
            || self.meanwhile.is_some()
            || self.probed.is_some()
            || !self.works.is_empty()
            || !self.announce.is_empty()
            || self.announces_seen < self.announces_sent
            || !self.outbox.is_empty()
            || !self.inbox.is_empty()
    }

    /// Whether the peer owes something.
    fn awaits_peer(&self) -> bool {
        self.round.as_ref().is_some_and(Round::awaits_answer)
            || self.works.awaited() > 0
            || self.outbox.awaits_ack()
            || self.announces_seen < self.announces_sent
    }

    fn watch(&mut self, shared: &Shared) {
        if self.awaits_peer() {
            let stalls_at = shared.now.after(shared.config.stall_ms);
            self.stalls_at.get_or_insert(stalls_at);
        } else {
            self.stalls_at = None;
        }
    }

    /// When [`timeout`](Self::timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let hello = (!self.heard_hello).then_some(self.hello_by);
        let deferred = self.deferred.front().map(|(until, _)| *until);
        [hello, self.stalls_at, deferred, self.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn timeout(&mut self, shared: &mut Shared) -> Result<(), Violation> {
        if !self.heard_hello && self.hello_by <= shared.now {
            return Err(Violation::NoHello);
        }
        if self.stalls_at.is_some_and(|at| at <= shared.now) {
            return Err(Violation::Stalled);
        }
        self.defer_no_longer(shared.now);
        self.look_again(shared.now);
        Ok(())
    }

    /// How many logs are known to differ, or may.
    pub(crate) fn behind(&self) -> u64 {
        let unsaid = self.announce.len() as u64 + (self.announces_sent - self.announces_seen);
        self.works.len() as u64 + self.stuck.len() as u64 + unsaid
    }

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint {
            logs: self.works.len(),
            heights: self.works.owed(false).heights + self.works.owed(true).heights,
            outgoing_bytes: self.outbox.bytes(),
            incoming_bytes: self.inbox.bytes(),
            ranges: self.round.as_ref().map_or(0, Round::footprint),
            stuck: self.stuck.len(),
        }
    }

    /// Whether the log's peer-side is being loaded or sent.
    pub(crate) fn is_pushing(&self, log: LogId) -> bool {
        let work = self.works.get(log);
        work.is_some_and(|work| work.push != Push::Idle)
    }
}
