//! What a member that floods a node gets: its limits, and nobody else's.

use salus_audit::{ChainId, ClinicId, EntryHash, Height, Heights, LogId};

use crate::engine::Engine;
use crate::frame::{Group, HeightsItem, Interval, Message, Set, Summary};
use crate::limits::{Config, MAX_ATTEMPTS, MAX_FORKED_LOADS, Timestamp};
use crate::port::{
    CatalogAnswer, CatalogItem, Committed, Input, Loaded, Output, Violation, digest_of,
};

/// An engine and a peer that speaks by hand.
struct Hand {
    engine: Engine,
    now: Timestamp,
    /// What the store was asked for, in order.
    tasks: Vec<Output>,
    /// What the peer was sent.
    frames: Vec<Message>,
    /// How many frames of entries the peer has acknowledged.
    taken: u64,
    ended: Option<Violation>,
}

fn clinic(n: u8) -> ClinicId {
    ClinicId::from_bytes([n; 32])
}

fn log(n: u64) -> LogId {
    LogId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
}

fn heights(n: u64) -> Heights {
    let hash = EntryHash::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes());
    [(ChainId::from_bytes([7; 32]), Height { seq: 3, hash })].into()
}

fn item(log: LogId) -> CatalogItem {
    CatalogItem {
        log,
        digest: salus_audit::digest(log, &heights(0)),
        is_roster: false,
    }
}

impl Hand {
    /// With a session in which both have said hello; these logs are held and the peer may have them.
    fn new(logs: &[LogId]) -> Self {
        let mut hand = Self {
            engine: Engine::new(clinic(1), Config::default(), [0; 32]),
            now: Timestamp::default(),
            tasks: Vec::new(),
            frames: Vec::new(),
            taken: 0,
            ended: None,
        };
        hand.connect(logs);
        hand
    }

    fn connect(&mut self, logs: &[LogId]) {
        let peer = clinic(2);
        let initiator = false;
        self.tell(Input::PeerConnected { peer, initiator });
        let Some(Output::NeedCatalog { task, .. }) = self.tasks.pop() else {
            panic!("no catalog is asked for");
        };
        let catalog = CatalogAnswer {
            version: 0,
            items: logs.iter().map(|log| item(*log)).collect(),
        };
        self.tell(Input::Catalog { task, catalog });
        self.say(&Message::Hello { version: 2 });
        self.frames.clear();
        self.taken = 0;
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        loop {
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::PeerMisbehaved { why, .. } => self.ended = Some(why),
                    Output::InStep { .. }
                    | Output::Received { .. }
                    | Output::Equivocation { .. } => {}
                    task => self.tasks.push(task),
                }
            }
            let Some(frame) = self.engine.poll_transmit(clinic(2), self.now) else {
                break;
            };
            self.frames.push(Message::decode(frame.as_bytes()).unwrap());
        }
    }

    fn say(&mut self, message: &Message) {
        let peer = clinic(2);
        let bytes = message.encode().into_bytes();
        self.tell(Input::Received { peer, bytes });
    }

    /// The peer asks for a log, with these heights.
    fn ask(&mut self, log: LogId, heights: Heights) {
        let digest = digest_of(log, &heights);
        let item = HeightsItem {
            log,
            digest,
            answer: false,
            heights,
        };
        self.say(&Message::Heights { items: vec![item] });
    }

    /// The store loads what is asked of it: how often it was asked.
    fn load(&mut self, loaded: &Loaded) -> usize {
        let mut times = 0;
        for task in std::mem::take(&mut self.tasks) {
            match task {
                Output::Load { task, .. } => {
                    times += 1;
                    let loaded = loaded.clone();
                    self.tell(Input::Loaded { task, loaded });
                }
                task => self.tasks.push(task),
            }
        }
        times
    }

    /// The peer sends these entries of a log that it was asked for, and the store says what became of them.
    fn send(&mut self, log: LogId, entries: usize, size: usize, committed: &Committed) {
        self.say(&Message::Entries {
            groups: vec![Group {
                end: false,
                entries: vec![vec![7; size]; entries],
                ..end(log)
            }],
        });
        for task in std::mem::take(&mut self.tasks) {
            if let Output::Commit { task, .. } = task {
                let committed = committed.clone();
                self.tell(Input::Committed { task, committed });
            }
        }
    }

    /// The peer announces a log that is not held here, and is asked for it.
    fn offer(&mut self, log: LogId) {
        let items = vec![(log, [9; 32])];
        self.say(&Message::Announce { items });
        assert!(matches!(
            self.frames.last(),
            Some(Message::Ack { .. } | Message::Heights { .. })
        ));
    }

    /// The peer has taken all that was sent to it, and ends all that it was asked.
    fn take_and_end(&mut self) {
        let mut frames = 0;
        let mut groups = Vec::new();
        for message in std::mem::take(&mut self.frames) {
            match message {
                Message::Entries { .. } => frames += 1,
                Message::Heights { items } => groups.extend(items.iter().map(|item| end(item.log))),
                _ => {}
            }
        }
        self.taken += frames;
        let frames = self.taken;
        self.say(&Message::Ack {
            frames,
            announces: 0,
        });
        if !groups.is_empty() {
            self.say(&Message::Entries { groups });
        }
    }
}

fn end(log: LogId) -> Group {
    Group {
        log,
        end: true,
        entries: Vec::new(),
        statement: None,
    }
}

#[test]
fn a_peer_whose_entries_are_refused_again_and_again_is_dropped_and_a_new_session_does_not_help() {
    let mut hand = Hand::new(&[]);
    let refused = Committed {
        refused: 100,
        ..Committed::default()
    };
    hand.offer(log(1));
    let mut times = 0;
    while hand.ended.is_none() {
        hand.send(log(1), 100, 500, &refused);
        times += 1;
    }
    assert_eq!(times, 41);
    let dropped = Violation::TooMuch("entries that are refused");
    assert_eq!(hand.ended.take(), Some(dropped));
    hand.now = hand.now.after(1_000);
    hand.connect(&[]);
    hand.offer(log(1));
    hand.send(log(1), 100, 500, &refused);
    assert_eq!(hand.ended, Some(dropped));
}

#[test]
fn a_peer_that_sends_what_is_held_already_is_dropped_after_a_first_sync_worth_of_it() {
    let mut hand = Hand::new(&[]);
    let held = Committed {
        duplicate: 10_000,
        ..Committed::default()
    };
    hand.offer(log(1));
    let mut times = 0;
    while hand.ended.is_none() {
        hand.send(log(1), 10_000, 20, &held);
        times += 1;
    }
    assert_eq!(times, 53);
    let dropped = Violation::TooMuch("entries of no use");
    assert_eq!(hand.ended, Some(dropped));
}

#[test]
fn a_peer_that_names_ever_other_histories_is_not_served_for_ever_and_other_logs_are() {
    let mut hand = Hand::new(&[log(1), log(2)]);
    let loaded = Loaded {
        entries: vec![vec![1; 100]],
        ours: heights(0),
        forked: vec![ChainId::from_bytes([7; 32])],
        ..Loaded::default()
    };
    let mut served = 0;
    for n in 1..3 * u64::from(MAX_FORKED_LOADS) {
        hand.ask(log(1), heights(n));
        served += hand.load(&loaded);
        hand.take_and_end();
        assert_eq!(hand.ended, None);
    }
    assert_eq!(served, MAX_FORKED_LOADS as usize);
    hand.ask(log(2), heights(1));
    assert_eq!(hand.load(&loaded), 1);
    assert_eq!(hand.engine.behind(clinic(2)), Some(2));
}

#[test]
fn a_request_that_is_repeated_is_answered_up_to_a_limit_and_others_are_answered() {
    let mut hand = Hand::new(&[log(1), log(2)]);
    let loaded = Loaded {
        entries: vec![vec![1; 1 << 20]],
        ours: heights(0),
        ..Loaded::default()
    };
    let mut served = 0;
    for _ in 0..400 {
        hand.ask(log(1), Heights::new());
        served += hand.load(&loaded);
        hand.take_and_end();
        assert_eq!(hand.ended, None);
    }
    assert!((250..=258).contains(&served), "{served}");
    hand.ask(log(2), Heights::new());
    assert_eq!(hand.load(&loaded), 1);
    hand.take_and_end();
    hand.now = hand.now.after(10_000);
    hand.ask(log(1), Heights::new());
    assert_eq!(hand.load(&loaded), 1);
}

#[test]
fn a_peer_that_claims_what_it_has_not_is_not_asked_for_ever() {
    let mut hand = Hand::new(&[]);
    let mut asked = 0;
    for n in 0..200 {
        let items = vec![(log(1), *log(n).as_bytes())];
        hand.say(&Message::Announce { items });
        let asks = |message: &&Message| matches!(message, Message::Heights { .. });
        asked += hand.frames.iter().filter(asks).count();
        hand.take_and_end();
        assert_eq!(hand.ended, None);
    }
    assert_eq!(asked, MAX_ATTEMPTS as usize);
    assert_eq!(hand.engine.behind(clinic(2)), Some(1));
    // Something else that it has is asked for.
    hand.frames.clear();
    hand.offer(log(2));
}

#[test]
fn questions_without_end_and_frames_without_end_end_the_session() {
    let interval = Interval {
        set: Set::Records,
        lo: LogId::from_bytes([0; 32]),
        hi: None,
    };
    let summary = Summary {
        count: 7,
        fingerprint: [7; 32],
    };
    let probe = Message::Probe {
        id: 1,
        ranges: vec![(interval, summary)],
    };
    let ack = Message::Ack {
        frames: 0,
        announces: 0,
    };
    for (message, most, why) in [
        (probe, 4_097, "questions"),
        (ack, 100_000, "frames without entries"),
    ] {
        let mut hand = Hand::new(&[]);
        let mut times = 0;
        while hand.ended.is_none() {
            hand.say(&message);
            hand.frames.clear();
            times += 1;
        }
        assert_eq!(times, most, "{why}");
        assert_eq!(hand.ended, Some(Violation::TooMuch(why)));
    }
}

#[test]
fn a_clinic_that_speaks_version_one_is_told_apart() {
    let mut engine = Engine::new(clinic(1), Config::default(), [0; 32]);
    let peer = clinic(2);
    let now = Timestamp::default();
    let initiator = true;
    engine.handle(now, Input::PeerConnected { peer, initiator });
    engine.poll_output();
    let bytes = vec![0x82, 0x00, 0x01];
    engine.handle(now, Input::Received { peer, bytes });
    let why = Violation::Version(1);
    assert_eq!(
        engine.poll_output(),
        Some(Output::PeerMisbehaved { peer, why })
    );
}
