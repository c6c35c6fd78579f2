//! A seeded simulation of several nodes: latency, a slow store whose answers overtake each other, cuts in
//! mid-transfer, crashes, edits during sync, and a liar that damages frames. Invariants are checked at every step.

mod check;
mod ledger;
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use salus_audit::{ClinicId, EntryHash, Heights, LogId};

use crate::engine::Engine;
use crate::limits::{Config, Timestamp};
use crate::port::{Changed, Input, Output, SyncStats, Violation};
use crate::round::Shuffle;
use ledger::{Fields, Ledger, roster_of};

/// Frames that a connection takes before it wants no more: what a driver's channel and QUIC hold.
const FRAMES_UNDER_WAY: usize = 2;

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
enum Act {
    Edit { node: usize },
    Connect { a: usize, b: usize },
    Cut { a: usize, b: usize },
    Crash { node: usize },
    Request { a: usize, b: usize },
    Revoke { node: usize },
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Wire {
    under_way: usize,
    /// Nothing overtakes in a stream.
    last_arrival: u64,
    /// Entries of each frame that was sent, to be compared with what is acknowledged.
    entries: Vec<Vec<EntryHash>>,
    /// Logs that were named here: the other may ask for them.
    named: BTreeSet<LogId>,
}

#[derive(Debug)]
struct Node {
    id: ClinicId,
    engine: Engine,
    ledger: Ledger,
    life: u64,
    store_free_at: u64,
    timer: Option<u64>,
}

/// What came out that tests ask for.
#[derive(Debug, Default)]
struct Seen {
    in_step: BTreeMap<(usize, usize), (u64, SyncStats)>,
    misbehaved: Vec<(usize, usize, Violation)>,
    forks: Vec<(usize, LogId)>,
    /// Frames by kind.
    frames: BTreeMap<&'static str, u64>,
    /// Who acknowledged entries.
    acks: BTreeSet<usize>,
}

/// What two nodes held, and both may hold.
#[derive(Debug)]
struct Promise {
    between: (usize, usize),
    heights: Vec<(LogId, Heights)>,
}

struct World {
    now: u64,
    next: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    nodes: Vec<Node>,
    /// The connections, by (lower, higher); the number tells one from the next.
    links: BTreeMap<(usize, usize), u64>,
    wires: BTreeMap<(usize, usize), Wire>,
    last_link: u64,
    random: Shuffle,
    config: Config,
    latency_ms: u64,
    store_ms: u64,
    liar: Option<usize>,
    lying: bool,
    /// Logs with an entry that others refuse: they never become equal.
    poisoned: BTreeSet<LogId>,
    revoked: BTreeSet<(LogId, ClinicId)>,
    /// What two nodes held when one asked for a sync: both hold it when that is said to be done.
    promise: Option<Promise>,
    transcript: blake3::Hasher,
    seen: Seen,
    steps: u64,
}

fn clinic(n: usize) -> ClinicId {
    ClinicId::from_bytes([u8::try_from(n + 1).unwrap(); 32])
}

impl World {
    fn new(seed: u64, nodes: usize, config: Config) -> Self {
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
            now: 0,
            next: 0,
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            nodes: nodes.collect(),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            last_link: 0,
            random,
            config,
            latency_ms: 30,
            store_ms: 8,
            liar: None,
            lying: false,
            poisoned: BTreeSet::new(),
            revoked: BTreeSet::new(),
            promise: None,
            transcript: blake3::Hasher::new(),
            seen: Seen::default(),
            steps: 0,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.next += 1;
        self.events.push(Reverse((time, self.next)));
        self.bodies.insert(self.next, event);
    }

    fn soon(&mut self, within_ms: u64, event: Event) {
        let delay = self.below(within_ms);
        self.at(self.now + delay, event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(usize::try_from(bound).unwrap()) as u64
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Runs all that is to happen before `until`.
    fn run(&mut self, until: u64) {
        while let Some(Reverse((time, _))) = self.events.peek()
            && *time < until
        {
            let Some(Reverse((time, id))) = self.events.pop() else {
                break;
            };
            self.now = time;
            self.steps += 1;
            assert!(self.steps < 200_000, "it does not come to rest");
            let event = self.bodies.remove(&id).unwrap();
            self.step(event);
        }
        self.now = self.now.max(until);
    }

    /// Runs until nothing is left to happen.
    fn run_to_rest(&mut self) {
        while let Some(Reverse((time, _))) = self.events.peek() {
            let until = *time + 1;
            self.run(until);
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
                self.transcript.update(&bytes);
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
                let now = Timestamp::from_millis(self.now);
                self.nodes[node].engine.handle_timeout(now);
                self.drain(node);
            }
            Event::Act(act) => self.act(act),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Edit { node } => self.edit(node),
            Act::Connect { a, b } => self.connect(a, b),
            Act::Cut { a, b } => self.cut(a, b),
            Act::Crash { node } => self.crash(node),
            Act::Request { a, b } => {
                let peer = self.nodes[b].id;
                self.tell(a, Input::SyncRequested { peer });
            }
            Act::Revoke { node } => self.revoke(node),
        }
    }

    fn link(&self, a: usize, b: usize) -> Option<u64> {
        self.links.get(&(a.min(b), a.max(b))).copied()
    }

    fn connect(&mut self, a: usize, b: usize) {
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

    fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))).is_none() {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.nodes[to].id;
            self.tell(from, Input::PeerDisconnected { peer });
        }
    }

    fn crash(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.cut(node, other);
        }
        let node = &mut self.nodes[node];
        node.life += 1;
        node.engine = Engine::new(node.id, self.config.clone(), [9; 32]);
    }

    /// Writes something, and tells the engine somewhat later.
    fn edit(&mut self, node: usize) {
        let changed = self.write(node);
        let life = self.nodes[node].life;
        let input = Input::LogChanged(changed);
        self.soon(5, Event::Tell { node, life, input });
    }

    fn write(&mut self, node: usize) -> Changed {
        let me = self.nodes[node].id;
        let roster = roster_of(me);
        let ledger = &self.nodes[node].ledger;
        let may = |log: &LogId| *log != roster && ledger.entitled(*log, me);
        let records = ledger
            .logs
            .iter()
            .filter(|(log, held)| !held.is_roster && may(log));
        let records: Vec<LogId> = records.map(|(log, _)| *log).collect();
        let others = self.nodes.len() as u64;
        let other = self.below(others);
        let other = self.nodes[usize::try_from(other).unwrap()].id;
        let padding = usize::try_from(self.below(300)).unwrap();
        let fields = Fields {
            padding,
            ..Fields::default()
        };
        let dice = self.below(10);
        let count = records.len() as u64;
        let (log, fields) = if dice == 0 {
            (roster, fields)
        } else if records.is_empty() || dice <= 3 {
            let id = [
                self.nodes[node].ledger.entry_count() as u64,
                node as u64,
                self.now,
            ];
            let id: Vec<u8> = id.iter().flat_map(|part| part.to_be_bytes()).collect();
            let log = LogId::from_bytes(*blake3::hash(&id).as_bytes());
            let grants = (dice != 3).then_some(other);
            let poisoned = dice == 2 && self.chance(10);
            if poisoned {
                self.poisoned.insert(log);
            }
            (
                log,
                Fields {
                    grants,
                    poisoned,
                    ..fields
                },
            )
        } else {
            let index = usize::try_from(self.below(count)).unwrap();
            let log = records[index];
            let home = self.nodes[node].ledger.logs[&log].home == me;
            let grants = (home && dice == 4).then_some(other);
            (log, Fields { grants, ..fields })
        };
        let changed = self.nodes[node].ledger.write(log, fields);
        if std::env::var("SALUS_TRACE").is_ok() {
            eprintln!("{:>6} {node} edits {log:?}", self.now);
        }
        changed
    }

    /// The home of a record keeps it from somebody, and its engine knows at once.
    fn revoke(&mut self, node: usize) {
        let me = self.nodes[node].id;
        let ledger = &self.nodes[node].ledger;
        let own = ledger
            .logs
            .iter()
            .filter(|(_, held)| held.home == me && !held.is_roster);
        let own: Vec<_> = own
            .filter_map(|(log, held)| Some((*log, *held.granted.iter().next()?)))
            .filter(|(_, clinic)| *clinic != me)
            .collect();
        if let Some((log, clinic)) = own.first().copied() {
            self.revoked.insert((log, clinic));
            let changed = self.nodes[node].ledger.revoke(log, clinic);
            self.tell(node, Input::LogChanged(changed));
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        let now = Timestamp::from_millis(self.now);
        self.nodes[node].engine.handle(now, input);
        self.drain(node);
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
                let now = Timestamp::from_millis(self.now);
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
            self.at(at.max(self.now), Event::Timer { node });
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        let index = |peer: ClinicId| usize::from(peer.as_bytes()[0]) - 1;
        match output {
            Output::InStep { peer, stats } => {
                self.check_promise(node, index(peer), &stats);
                let now = self.now;
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
                let begin = self.now.max(self.nodes[node].store_free_at) + duration;
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

    fn send(&mut self, from: usize, to: usize, link: u64, mut bytes: Vec<u8>) {
        self.check_frame(from, to, &bytes);
        let liar = self.lying && self.liar == Some(from);
        if liar && self.chance(15) {
            bytes = self.damaged(bytes);
        }
        let latency = 1 + self.below(self.latency_ms);
        let silent = liar && self.chance(5);
        let wire = self.wires.entry((from, to)).or_default();
        wire.under_way += 1;
        let arrival = (self.now + latency).max(wire.last_arrival);
        wire.last_arrival = arrival;
        if silent {
            wire.under_way -= 1;
        } else {
            let event = Event::Deliver {
                from,
                to,
                link,
                bytes,
            };
            self.at(arrival, event);
        }
    }

    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let len = bytes.len() as u64;
        match self.below(4) {
            0 => bytes.truncate(usize::try_from(self.below(len)).unwrap()),
            1 => {
                let n = usize::try_from(self.below(40)).unwrap();
                bytes = (0..n)
                    .map(|_| u8::try_from(self.below(256)).unwrap())
                    .collect();
            }
            2 => bytes.extend([0, 1, 2]),
            _ => {
                let at = usize::try_from(self.below(len)).unwrap();
                bytes[at] ^= 1 << self.below(8);
            }
        }
        bytes
    }

    /// Two nodes write, one asks for a sync with the other.
    fn keep_a_promise(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        for node in [a, b, b, a] {
            let changed = self.write(node);
            self.tell(node, Input::LogChanged(changed));
            let until = self.now + self.below(40);
            self.run(until);
        }
        let mut heights = Vec::new();
        for (node, other) in [(a, b), (b, a)] {
            let other = self.nodes[other].id;
            let ledger = &self.nodes[node].ledger;
            let shared = ledger
                .logs
                .iter()
                .filter(|(log, _)| ledger.entitled(**log, other));
            heights.extend(shared.map(|(log, held)| (*log, held.heights.clone())));
        }
        let between = (a, b);
        self.promise = Some(Promise { between, heights });
        let peer = self.nodes[b].id;
        self.tell(a, Input::SyncRequested { peer });
        self.run_to_rest();
        assert!(
            self.promise.is_none(),
            "a sync was asked for and never done"
        );
    }

    /// Everybody becomes connected, nobody lies, edits go on for a while; until nothing is left to do. Connections that
    /// stand are kept, unless a liar had part in them: whatever changes during a session must arrive by it.
    fn heal(&mut self) {
        self.lying = false;
        if let Some(liar) = self.liar {
            // What the liar's silence caused is over by then.
            self.run(self.now + 3 * self.config.stall_ms);
            for other in 0..self.nodes.len() {
                self.cut(liar, other);
            }
        }
        self.seen.misbehaved.clear();
        for a in 0..self.nodes.len() {
            for b in 0..a {
                let (a, b) = if self.chance(50) { (a, b) } else { (b, a) };
                self.soon(200, Event::Act(Act::Connect { a, b }));
            }
        }
        for _ in 0..8 {
            let nodes = self.nodes.len();
            let node = self.random.below(nodes);
            self.soon(400, Event::Act(Act::Edit { node }));
        }
        self.run_to_rest();
        assert_eq!(self.seen.misbehaved, []);
    }
}

/// A whole story made of one seed; its transcript.
fn story(seed: u64) -> [u8; 32] {
    let config = Config {
        hello_ms: 2_000,
        stall_ms: 4_000,
        defer_ms: 200,
        frame_bytes: 1_500,
        window_bytes: 6_000,
        open_logs: 4,
    };
    let mut world = World::new(seed, 3 + usize::try_from(seed % 2).unwrap(), config);
    let nodes = world.nodes.len() as u64;
    if world.chance(50) {
        world.liar = Some(world.random.below(3));
        world.lying = true;
    }
    let mut acts = VecDeque::new();
    let pick = |world: &mut World| usize::try_from(world.below(nodes)).unwrap();
    for _ in 0..10 + world.below(30) {
        acts.push_back(Act::Edit {
            node: pick(&mut world),
        });
    }
    for _ in 0..12 {
        let (a, b) = (pick(&mut world), pick(&mut world));
        acts.push_back(match world.below(9) {
            0 => Act::Crash { node: a },
            1 | 2 => Act::Cut { a, b },
            3 => Act::Request { a, b },
            4 if seed.is_multiple_of(5) => Act::Revoke { node: a },
            _ => Act::Connect { a, b },
        });
    }
    for act in acts {
        let time = world.below(1_500);
        world.at(time, Event::Act(act));
    }
    world.run(1_500);
    world.heal();
    world.check_converged();
    // Edits when all are at rest: they arrive without any further round.
    for _ in 0..4 {
        let node = pick(&mut world);
        world.edit(node);
    }
    world.run_to_rest();
    world.check_converged();
    for _ in 0..3 {
        let (a, b) = (pick(&mut world), pick(&mut world));
        world.keep_a_promise(a, b);
    }
    world.check_converged();
    world.check_in_step();
    *world.transcript.finalize().as_bytes()
}
