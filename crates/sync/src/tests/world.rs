//! Several engines with latency and a slow store whose answers overtake each other. Invariants are checked at every step.

use std::collections::{BTreeMap, BTreeSet};

use salus_audit::{ClinicId, EntryHash, LogId};

use super::ledger::{Fields, Ledger, roster_of};
use crate::engine::Engine;
use crate::limits::{Config, Timestamp};
use crate::port::{Input, Output, SyncStats, Violation};
use crate::queue::Queue;
use crate::round::Shuffle;

/// Frames that a connection takes before it wants no more: what a driver's channel and QUIC hold.
const FRAMES_UNDER_WAY: usize = 2;

#[derive(Debug)]
pub(super) enum Event {
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
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub under_way: usize,
    /// Nothing overtakes in a stream.
    pub last_arrival: u64,
    /// Entries of each frame that was sent, to be compared with what is acknowledged.
    pub entries: Vec<Vec<EntryHash>>,
    /// Logs that were named here: the other may ask for them.
    pub named: BTreeSet<LogId>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub id: ClinicId,
    pub engine: Engine,
    pub ledger: Ledger,
    pub life: u64,
    pub store_free_at: u64,
    pub timer: Option<u64>,
}

/// What came out that tests ask for.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub in_step: BTreeMap<(usize, usize), (u64, SyncStats)>,
    pub misbehaved: Vec<(usize, usize, Violation)>,
    pub forks: Vec<(usize, LogId)>,
    /// Frames by kind.
    pub frames: BTreeMap<&'static str, u64>,
    /// Who acknowledged entries.
    pub acks: BTreeSet<usize>,
}

pub(super) struct World {
    pub queue: Queue<Event>,
    pub nodes: Vec<Node>,
    /// The connections, by (lower, higher); the number tells one from the next.
    pub links: BTreeMap<(usize, usize), u64>,
    pub wires: BTreeMap<(usize, usize), Wire>,
    pub last_link: u64,
    pub random: Shuffle,
    pub config: Config,
    pub latency_ms: u64,
    pub store_ms: u64,
    pub liar: Option<usize>,
    pub seen: Seen,
}

pub(super) fn clinic(n: usize) -> ClinicId {
    ClinicId::from_bytes([u8::try_from(n + 1).unwrap(); 32])
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize, config: Config) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let mut random = Shuffle::new(&key, b"world");
        let clinics: Vec<_> = (0..nodes).map(clinic).collect();
        let keeps_pending = random.below(2) == 0;
        let nodes = clinics.iter().map(|id| {
            let mut ledger = Ledger::new(*id, clinics.clone(), keeps_pending);
            ledger.write(roster_of(*id), Fields::default());
            Node {
                id: *id,
                engine: Engine::new(*id, config.clone(), key),
                ledger,
                life: 0,
                store_free_at: 0,
                timer: None,
            }
        });
        Self {
            queue: Queue::new(),
            nodes: nodes.collect(),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            last_link: 0,
            random,
            config,
            latency_ms: 30,
            store_ms: 8,
            liar: None,
            seen: Seen::default(),
        }
    }

    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.queue.at(time, event);
    }

    pub(super) fn soon(&mut self, within_ms: u64, event: Event) {
        let delay = self.below(within_ms);
        self.at(self.queue.now + delay, event);
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(usize::try_from(bound).unwrap()) as u64
    }

    /// Runs all that is to happen before `until`.
    pub(super) fn run(&mut self, until: u64) {
        while let Some(event) = self.queue.pop_before(until) {
            assert!(self.queue.steps < 200_000, "it does not come to rest");
            self.step(event);
        }
    }

    /// Runs until nothing is left to happen.
    pub(super) fn run_to_rest(&mut self) {
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
                if self.link(from, to) != Some(link) {
                    return;
                }
                self.wires.entry((from, to)).or_default().under_way -= 1;
                let peer = self.nodes[from].id;
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
        }
    }

    pub(super) fn link(&self, a: usize, b: usize) -> Option<u64> {
        self.links.get(&(a.min(b), a.max(b))).copied()
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        if a == b || self.link(a, b).is_some() {
            return;
        }
        self.last_link += 1;
        self.links.insert((a.min(b), a.max(b)), self.last_link);
        for (from, to) in [(a, b), (b, a)] {
            self.wires.insert((from, to), Wire::default());
            let peer = self.nodes[to].id;
            let initiator = from == a;
            self.tell(from, Input::PeerConnected { peer, initiator });
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))).is_none() {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.nodes[to].id;
            self.tell(from, Input::PeerDisconnected { peer });
        }
    }

    pub(super) fn tell(&mut self, node: usize, input: Input) {
        let now = Timestamp::from_millis(self.queue.now);
        self.nodes[node].engine.handle(now, input);
        self.drain(node);
    }

    /// Does all that the engine wants done.
    pub(super) fn drain(&mut self, node: usize) {
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
                let peer = self.nodes[other].id;
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
        let wanted = self.nodes[node]
            .engine
            .poll_timeout()
            .map(Timestamp::as_millis);
        if let Some(at) = wanted
            && self.nodes[node].timer.is_none_or(|timer| at < timer)
        {
            self.nodes[node].timer = Some(at);
            self.at(at.max(self.queue.now), Event::Timer { node });
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        let index = |peer: ClinicId| usize::from(peer.as_bytes()[0]) - 1;
        match output {
            Output::InStep { peer, stats } => {
                let now = self.queue.now;
                self.seen.in_step.insert((node, index(peer)), (now, stats));
            }
            Output::Received { .. } => {}
            Output::Equivocation { log, .. } => self.seen.forks.push((node, log)),
            Output::PeerMisbehaved { peer, why } => {
                let other = index(peer);
                self.seen.misbehaved.push((node, other, why));
                self.cut(node, other);
            }
            Output::StoreFailed { peer } => self.cut(node, index(peer)),
            task => {
                // The store does one after the other.
                let duration = 1 + self.below(self.store_ms);
                let begin = self.queue.now.max(self.nodes[node].store_free_at) + duration;
                self.nodes[node].store_free_at = begin;
                self.at(begin, Event::Store { node, life, task });
            }
        }
    }

    fn store(&mut self, node: usize, task: Output) {
        let ledger = &mut self.nodes[node].ledger;
        let input = match task {
            Output::NeedCatalog { task, peer } => Input::Catalog {
                task,
                catalog: ledger.catalog(peer),
            },
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
            Output::Commit { task, entries, .. } => Input::Committed {
                task,
                committed: ledger.commit(entries),
            },
            _ => return,
        };
        let life = self.nodes[node].life;
        self.soon(6, Event::Tell { node, life, input });
    }

    fn send(&mut self, from: usize, to: usize, link: u64, bytes: Vec<u8>) {
        self.check_frame(from, to, &bytes);
        let latency = 1 + self.below(self.latency_ms);
        let wire = self.wires.entry((from, to)).or_default();
        wire.under_way += 1;
        let arrival = (self.queue.now + latency).max(wire.last_arrival);
        wire.last_arrival = arrival;
        let event = Event::Deliver {
            from,
            to,
            link,
            bytes,
        };
        self.at(arrival, event);
    }
}
