//! A seeded simulation of clinics with real entries, rosters and rights: latency, a slow store whose answers overtake each
//! other, connections that break or garble, crashes, backups, clocks that are wrong by up to a year, edits, grants, revocations,
//! retirements and new epochs during sync, and one clinic that lies. Invariants are checked at every step.
//!
//! `cargo test -p salus-sync` tries [`SEEDS`](tests::SEEDS) seeds; `SALUS_SEEDS=100000 cargo test -p salus-sync
//! clinics_converge -- --nocapture` tries more and says what happened in them; `SALUS_SEED=n SALUS_SEEDS=1` replays one,
//! and `SALUS_TRACE=1` prints its frames.

mod act;
mod check;
mod heal;
mod identity;
mod ledger;
mod liar;
mod story;
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use salus_audit::{ClinicId, LogId};

use crate::engine::Engine;
use crate::frame::Message;
use crate::limits::{Config, Timestamp};
use crate::port::{Changed, Input, Output, SyncStats, Violation};
use crate::queue::Queue;
use crate::round::Shuffle;
use act::Act;
use identity::identities;
use ledger::{Disk, Ledger, Verified, key};

/// Frames that a connection takes before it wants no more: what a driver's channel and QUIC hold.
const FRAMES_UNDER_WAY: usize = 2;

/// Steps after which a story that has not come to rest never will.
const MAX_STEPS: u64 = 400_000;

/// A year, in milliseconds.
const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

#[derive(Debug)]
enum Event {
    Deliver {
        from: usize,
        to: usize,
        link: u64,
        bytes: Vec<u8>,
    },
    /// The store begins a task.
    Store {
        node: usize,
        life: u64,
        task: Output,
    },
    /// The store's answer, or a change of one's own, reaches the engine.
    Tell {
        node: usize,
        life: u64,
        input: Input,
    },
    Timer {
        node: usize,
    },
    Act(Act),
}

#[derive(Debug, Clone, Copy)]
struct Link {
    number: u64,
    /// Whether it loses frames, doubles them and delivers them in another order.
    garbles: bool,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Wire {
    under_way: usize,
    /// Nothing overtakes in a stream.
    last_arrival: u64,
    /// Entries of each frame that arrived, to be compared with what is acknowledged.
    entries: Vec<Vec<[u8; 32]>>,
    /// Logs that were named here: the other may ask for them.
    named: BTreeSet<LogId>,
}

#[derive(Debug)]
struct Node {
    /// Which clinic: a liar has several nodes.
    who: usize,
    engine: Engine,
    ledger: Ledger,
    /// Tells it from what it was before it crashed.
    life: u64,
    store_free_at: u64,
    timer: Option<u64>,
    /// Who may hold each log, as far as the engine was told, and by which change.
    told: BTreeMap<LogId, (u64, BTreeSet<ClinicId>)>,
    /// How wrong its clock is.
    skew_ms: u64,
    /// An old copy of its disk.
    backup: Option<Disk>,
}

/// What came out.
#[derive(Debug, Default)]
struct Seen {
    in_step: BTreeMap<(usize, usize), (u64, SyncStats)>,
    misbehaved: Vec<(usize, usize, Violation)>,
    acts: BTreeMap<&'static str, u64>,
}

struct World {
    queue: Queue<Event>,
    nodes: Vec<Node>,
    clinics: usize,
    /// The connections, by (lower, higher).
    links: BTreeMap<(usize, usize), Link>,
    wires: BTreeMap<(usize, usize), Wire>,
    last_link: u64,
    random: Shuffle,
    config: Config,
    /// Which clinic lies, and whether it does now.
    liar: Option<usize>,
    lying: bool,
    /// Frames that the liar has sent or received.
    old_frames: Vec<Vec<u8>>,
    verified: Verified,
    transcript: blake3::Hasher,
    seen: Seen,
    trace: bool,
}

impl World {
    fn new(seed: u64, clinics: usize, config: Config) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let mut world = Self {
            queue: Queue::new(),
            nodes: Vec::new(),
            clinics,
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            last_link: 0,
            random: Shuffle::new(&key, b"world"),
            config,
            liar: None,
            lying: false,
            old_frames: Vec::new(),
            verified: Verified::default(),
            transcript: blake3::Hasher::new(),
            seen: Seen::default(),
            trace: std::env::var("SALUS_TRACE").is_ok(),
        };
        for who in 0..clinics {
            world.add(who, Ledger::new(who, clinics));
        }
        world
    }

    /// Another node; of a clinic that has one already, if it lies.
    fn add(&mut self, who: usize, ledger: Ledger) -> usize {
        let skew_ms = self.below(2 * YEAR_MS);
        let seed = *blake3::hash(&self.below(1 << 40).to_be_bytes()).as_bytes();
        self.nodes.push(Node {
            who,
            engine: Engine::new(identities()[who].id, self.config.clone(), seed),
            ledger,
            life: 0,
            store_free_at: 0,
            timer: None,
            told: BTreeMap::new(),
            skew_ms,
            backup: None,
        });
        self.nodes.len() - 1
    }

    fn id(&self, node: usize) -> ClinicId {
        identities()[self.nodes[node].who].id
    }

    fn is_honest(&self, node: usize) -> bool {
        self.liar != Some(self.nodes[node].who)
    }

    fn honest(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|n| self.is_honest(*n))
            .collect()
    }

    /// What the node's clock says, in milliseconds since 1970.
    fn clock_ms(&self, node: usize) -> u64 {
        identity::NOON_MS - YEAR_MS + self.nodes[node].skew_ms + self.queue.now
    }

    fn at(&mut self, time: u64, event: Event) {
        self.queue.at(time, event);
    }

    fn soon(&mut self, within_ms: u64, event: Event) {
        let delay = self.below(within_ms);
        self.at(self.queue.now + delay, event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(usize::try_from(bound).unwrap()) as u64
    }

    fn pick(&mut self, bound: usize) -> usize {
        self.random.below(bound)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Runs all that is to happen before `until`.
    fn run(&mut self, until: u64) {
        while let Some(event) = self.queue.pop_before(until) {
            assert!(self.queue.steps < MAX_STEPS, "it does not come to rest");
            self.step(event);
        }
    }

    /// Runs until nothing is left to happen.
    fn run_to_rest(&mut self) {
        while let Some((time, _)) = self.queue.peek() {
            self.run(time + 1);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver {
                from,
                to,
                link,
                bytes,
            } => {
                if self.link(from, to).is_none_or(|now| now.number != link) {
                    return;
                }
                let wire = self.wires.entry((from, to)).or_default();
                wire.under_way = wire.under_way.saturating_sub(1);
                if let Ok(Message::Entries { groups }) = Message::decode(&bytes) {
                    let entries = groups.iter().flat_map(|group| &group.entries);
                    wire.entries.push(entries.map(|entry| key(entry)).collect());
                }
                self.transcript.update(&bytes);
                let peer = self.id(from);
                self.tell(to, Input::Received { peer, bytes });
                self.drain(from);
            }
            Event::Store { node, life, task } => {
                if self.nodes[node].life == life {
                    self.store(node, task);
                }
            }
            Event::Tell { node, life, input } => {
                if self.nodes[node].life == life {
                    self.tell(node, input);
                }
            }
            Event::Timer { node } => {
                self.nodes[node].timer = None;
                let now = Timestamp::from_millis(self.queue.now);
                self.nodes[node].engine.handle_timeout(now);
                self.drain(node);
            }
            Event::Act(act) => self.act(act),
        }
    }

    fn link(&self, a: usize, b: usize) -> Option<Link> {
        self.links.get(&(a.min(b), a.max(b))).copied()
    }

    /// Whether a node has a connection with this clinic, by whatever node of it.
    fn speaks_with(&self, node: usize, who: usize) -> Option<usize> {
        (0..self.nodes.len())
            .find(|other| self.nodes[*other].who == who && self.link(node, *other).is_some())
    }

    fn connect(&mut self, a: usize, b: usize, garbles: bool) {
        let (of_a, of_b) = (self.nodes[a].who, self.nodes[b].who);
        let busy = self.speaks_with(a, of_b).is_some() || self.speaks_with(b, of_a).is_some();
        if of_a == of_b || busy {
            return;
        }
        self.last_link += 1;
        let number = self.last_link;
        self.links
            .insert((a.min(b), a.max(b)), Link { number, garbles });
        for (from, to) in [(a, b), (b, a)] {
            self.wires.insert((from, to), Wire::default());
        }
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.id(to);
            let initiator = from == a;
            self.tell(from, Input::PeerConnected { peer, initiator });
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))).is_none() {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.id(to);
            self.tell(from, Input::PeerDisconnected { peer });
        }
    }

    /// The node's process ends; what is on disk stays, and is read again.
    fn crash(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.cut(node, other);
        }
        let id = self.id(node);
        let reopened = self.nodes[node].ledger.reopened();
        self.check_reopened(node, &reopened);
        let config = self.config.clone();
        let node = &mut self.nodes[node];
        node.life += 1;
        node.engine = Engine::new(id, config, [9; 32]);
        node.ledger = reopened;
        node.told.clear();
        node.store_free_at = 0;
    }

    fn tell(&mut self, node: usize, input: Input) {
        let news = match &input {
            Input::LogChanged(changed) => std::slice::from_ref(changed),
            Input::Committed { committed, .. } => &committed.changed,
            _ => &[],
        };
        let told = &mut self.nodes[node].told;
        for changed in news {
            let known = told.get(&changed.log);
            if known.is_none_or(|(version, _)| *version < changed.version) {
                let audience = changed.audience.iter().copied().collect();
                told.insert(changed.log, (changed.version, audience));
            }
        }
        let now = Timestamp::from_millis(self.queue.now);
        self.nodes[node].engine.handle(now, input);
        self.drain(node);
    }

    /// Tells the engine of changes of one's own, a moment later.
    fn tell_soon(&mut self, node: usize, changed: Vec<Changed>) {
        let life = self.nodes[node].life;
        for changed in changed {
            let input = Input::LogChanged(changed);
            self.soon(5, Event::Tell { node, life, input });
        }
    }

    /// Does all that the engine wants done.
    fn drain(&mut self, node: usize) {
        loop {
            let mut idle = true;
            while let Some(output) = self.nodes[node].engine.poll_output() {
                idle = false;
                self.output(node, output);
            }
            for other in 0..self.nodes.len() {
                let Some(link) = self.link(node, other) else {
                    continue;
                };
                let now = Timestamp::from_millis(self.queue.now);
                let peer = self.id(other);
                while self.wires.entry((node, other)).or_default().under_way < FRAMES_UNDER_WAY
                    && let Some(frame) = self.nodes[node].engine.poll_transmit(peer, now)
                {
                    idle = false;
                    self.send(node, other, link, frame.into_bytes());
                }
            }
            if idle {
                break;
            }
        }
        self.check_memory(node);
        let wanted = self.nodes[node].engine.poll_timeout();
        let wanted = wanted.map(Timestamp::as_millis);
        if let Some(at) = wanted
            && self.nodes[node].timer.is_none_or(|timer| at < timer)
        {
            self.nodes[node].timer = Some(at);
            self.at(at.max(self.queue.now), Event::Timer { node });
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        let who = |peer: ClinicId| {
            let mut all = identities().iter();
            all.position(|identity| identity.id == peer).unwrap()
        };
        match output {
            Output::InStep { peer, stats } => {
                if let Some(other) = self.speaks_with(node, who(peer)) {
                    let step = (self.queue.now, stats);
                    self.seen.in_step.insert((node, other), step);
                }
            }
            Output::Received { .. } => {}
            Output::Equivocation { chain, .. } => self.check_accusation(node, chain),
            Output::PeerMisbehaved { peer, why } => {
                if let Some(other) = self.speaks_with(node, who(peer)) {
                    self.check_misbehaviour(node, other, why);
                    self.seen.misbehaved.push((node, other, why));
                    self.cut(node, other);
                }
            }
            Output::StoreFailed { .. } => panic!("no store fails here"),
            task => {
                // The store does one after the other.
                let duration = 1 + self.below(8);
                let begin = self.queue.now.max(self.nodes[node].store_free_at) + duration;
                self.nodes[node].store_free_at = begin;
                let life = self.nodes[node].life;
                self.at(begin, Event::Store { node, life, task });
            }
        }
    }

    fn store(&mut self, node: usize, task: Output) {
        let ledger = &mut self.nodes[node].ledger;
        let input = match task {
            Output::NeedCatalog { task, peer } => {
                let catalog = ledger.catalog(peer);
                for item in &catalog.items {
                    let told = self.nodes[node].told.entry(item.log).or_default();
                    if told.0 <= catalog.version {
                        told.1.insert(peer);
                    }
                }
                Input::Catalog { task, catalog }
            }
            Output::NeedHeights { task, peer, logs } => Input::Heights {
                task,
                heights: ledger.heights(peer, &logs),
            },
            Output::Load {
                task,
                peer,
                log,
                theirs,
                max_bytes,
            } => Input::Loaded {
                task,
                loaded: ledger.load(peer, log, &theirs, max_bytes),
            },
            Output::Commit {
                task,
                entries,
                statements,
                ..
            } => Input::Committed {
                task,
                committed: ledger.commit(entries, statements, &mut self.verified),
            },
            _ => return,
        };
        let life = self.nodes[node].life;
        self.soon(6, Event::Tell { node, life, input });
    }

    fn send(&mut self, from: usize, to: usize, link: Link, bytes: Vec<u8>) {
        self.check_frame(from, to, &bytes);
        let frames = if self.lying && !self.is_honest(from) {
            self.tampered(bytes)
        } else {
            vec![bytes]
        };
        for bytes in frames {
            self.carry(from, to, link, bytes);
        }
    }

    fn carry(&mut self, from: usize, to: usize, link: Link, bytes: Vec<u8>) {
        if self.lying && (!self.is_honest(from) || !self.is_honest(to)) {
            let place = self.pick(16);
            self.old_frames.resize_with(16, Vec::new);
            self.old_frames[place].clone_from(&bytes);
        }
        let mut copies = 1;
        if link.garbles {
            copies = match self.below(20) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
        }
        for _ in 0..copies {
            let latency = 1 + self.below(30);
            let wire = self.wires.entry((from, to)).or_default();
            wire.under_way += 1;
            let arrival = if link.garbles {
                self.queue.now + latency
            } else {
                (self.queue.now + latency).max(wire.last_arrival)
            };
            wire.last_arrival = wire.last_arrival.max(arrival);
            let event = Event::Deliver {
                from,
                to,
                link: link.number,
                bytes: bytes.clone(),
            };
            self.at(arrival, event);
        }
    }
}
