use salus_audit::{ChainId, EntryHash, Height};

use super::ledger::{Fields, Ledger, roster_of};
use super::world::*;
use crate::engine::Engine;
use crate::frame::{Group, HeightsItem, Message, Part};
use crate::limits::{Config, Timestamp};
use crate::port::{CatalogAnswer, CatalogItem};
use crate::port::{Input, Output, Violation};
use salus_audit::LogId;

fn quiet(nodes: usize) -> World {
    let mut world = World::new(7, nodes, Config::default());
    world.latency_ms = 1;
    world.store_ms = 1;
    world
}

fn record(n: u64) -> LogId {
    LogId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
}

/// Writes records of one entry at a node, open to another, without the engine's knowledge.
fn write_records(world: &mut World, node: usize, to: usize, count: u64) {
    let grants = Some(world.nodes[to].id);
    for n in 0..count {
        let fields = Fields {
            grants,
            padding: 600,
            ..Fields::default()
        };
        world.nodes[node].ledger.write(record(n), fields);
    }
}

#[test]
fn two_in_step_exchange_one_question_and_one_answer() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 300);
    world.connect(0, 1);
    world.run_to_rest();
    world.check_converged();
    let (_, stats) = world.seen.in_step[&(1, 0)];
    assert_eq!(
        (stats.received, stats.refused, stats.unresolved),
        (301, 0, 0)
    );
    let (_, stats) = world.seen.in_step[&(0, 1)];
    assert_eq!((stats.sent, stats.received, stats.logs), (301, 1, 302));

    world.cut(0, 1);
    world.seen = Seen::default();
    world.connect(1, 0);
    world.run_to_rest();
    let frames = std::mem::take(&mut world.seen.frames);
    let expected = [("answer", 1), ("hello", 2), ("probe", 1), ("settled", 1)];
    assert_eq!(frames, expected.into());
    let (_, stats) = world.seen.in_step[&(0, 1)];
    assert_eq!((stats.sent, stats.received, stats.rounds), (0, 0, 0));
}

#[test]
fn an_edit_at_one_is_pulled_at_once_by_the_other() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 3);
    world.connect(0, 1);
    world.run_to_rest();
    world.seen = Seen::default();
    let changed = world.nodes[0].ledger.write(record(1), Fields::default());
    world.tell(0, Input::LogChanged(changed));
    // Not before the other has taken note of it.
    assert!(!world.seen.in_step.contains_key(&(0, 1)));
    world.run_to_rest();
    world.check_converged();
    assert!(!world.seen.frames.contains_key("probe"));
    assert_eq!(world.seen.in_step[&(1, 0)].1.received, 1);
    assert_eq!(world.seen.in_step[&(0, 1)].1.sent, 1);
    assert_eq!(world.nodes[0].engine.behind(clinic(1)), Some(0));
}

#[test]
fn both_edits_of_one_record_cross_each_other() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 3);
    world.connect(0, 1);
    world.run_to_rest();
    for node in 0..2 {
        let changed = world.nodes[node].ledger.write(record(1), Fields::default());
        world.tell(node, Input::LogChanged(changed));
    }
    world.run_to_rest();
    world.check_converged();
    assert_eq!(
        world.nodes[0].ledger.entry_count(),
        world.nodes[1].ledger.entry_count()
    );
}

#[test]
fn a_transfer_that_was_cut_goes_on_where_it_stopped() {
    let mut world = World::new(
        3,
        2,
        Config {
            frame_bytes: 8_000,
            ..Config::default()
        },
    );
    write_records(&mut world, 0, 1, 400);
    world.connect(0, 1);
    world.run(1_200);
    let before = world.nodes[1].ledger.entry_count();
    assert!(before > 20 && before < 300, "{before}");
    world.cut(0, 1);
    world.connect(0, 1);
    world.run_to_rest();
    world.check_converged();
    let (_, stats) = world.seen.in_step[&(1, 0)];
    let after = world.nodes[1].ledger.entry_count();
    // What was in the store's hands when the cut came is stored all the same, and may be sent twice.
    assert!(stats.received <= (after - before) as u64);
    assert!(stats.duplicate < 50, "{stats:?}");
}

#[test]
fn an_entry_that_is_refused_is_not_sent_for_ever() {
    let mut world = quiet(2);
    let fields = Fields {
        grants: Some(clinic(1)),
        poisoned: true,
        ..Fields::default()
    };
    world.nodes[0].ledger.write(record(1), fields);
    write_records(&mut world, 0, 1, 1);
    world.connect(0, 1);
    world.run_to_rest();
    let (_, stats) = world.seen.in_step[&(1, 0)];
    assert_eq!((stats.unresolved, stats.received), (1, 2));
    assert!(stats.refused <= 2, "{stats:?}");
    assert_eq!(world.seen.in_step[&(0, 1)].1.unresolved, 1);
}

#[test]
fn an_entry_that_came_before_its_roster_is_asked_for_again() {
    // Node 2 holds a record of node 0 and gives it to node 1, which has not met node 0 and whose store
    // forgets what waits.
    for keeps_pending in [false, true] {
        let mut world = quiet(3);
        let clinics: Vec<_> = (0..3).map(clinic).collect();
        world.nodes[1].ledger = Ledger::new(clinic(1), clinics, keeps_pending);
        world.nodes[1]
            .ledger
            .write(roster_of(clinic(1)), Fields::default());
        for other in [1, 2] {
            let fields = Fields {
                grants: Some(clinic(other)),
                ..Fields::default()
            };
            world.nodes[0].ledger.write(record(5), fields);
        }
        world.connect(0, 2);
        world.run_to_rest();
        world.cut(0, 2);
        // Node 2 hides node 0's roster.
        let roster = roster_of(clinic(0));
        let hidden = world.nodes[2].ledger.logs.remove(&roster).unwrap();
        world.connect(1, 2);
        world.run_to_rest();
        assert!(world.seen.in_step[&(1, 2)].1.pending > 0);
        assert!(!world.nodes[1].ledger.logs.contains_key(&record(5)));
        world.nodes[2].ledger.logs.insert(roster, hidden);
        let changed = world.nodes[2].ledger.revoke(roster, clinic(9));
        world.tell(2, Input::LogChanged(changed));
        world.run_to_rest();
        assert!(world.nodes[1].ledger.logs.contains_key(&record(5)));
    }
}

#[test]
fn a_log_that_is_withheld_looks_like_one_that_does_not_exist() {
    let mut world = quiet(2);
    world.nodes[0].ledger.write(record(1), Fields::default());
    world.connect(1, 0);
    world.run_to_rest();
    let ask = |log: LogId| {
        let item = HeightsItem {
            log,
            digest: [3; 32],
            answer: false,
            heights: [(
                ChainId::from_bytes([4; 32]),
                Height {
                    seq: 7,
                    hash: EntryHash::from_bytes([8; 32]),
                },
            )]
            .into(),
        };
        Message::Heights { items: vec![item] }.encode().into_bytes()
    };
    // Spoken by hand, so that nothing of node 1's engine answers.
    let answers = |world: &mut World, log: LogId| {
        let peer = clinic(1);
        let now = Timestamp::from_millis(world.queue.now);
        let engine = &mut world.nodes[0].engine;
        let bytes = ask(log);
        engine.handle(now, Input::Received { peer, bytes });
        let mut frames = Vec::new();
        while let Some(frame) = engine.poll_transmit(peer, now) {
            frames.push(Message::decode(frame.as_bytes()).unwrap());
        }
        assert!(engine.poll_output().is_none(), "the store was asked");
        let name = |text: String| text.replace(&format!("{log:?}"), "the log");
        frames
            .iter()
            .map(|frame| name(format!("{frame:?}")))
            .collect::<Vec<_>>()
    };
    let withheld = answers(&mut world, record(1));
    let unknown = answers(&mut world, record(2));
    assert_eq!(withheld.len(), 2);
    assert_eq!(withheld, unknown);
}

#[test]
fn a_withdrawn_log_is_not_announced_any_more_even_if_old_news_comes_late() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 1);
    world.connect(0, 1);
    world.run_to_rest();
    let old = world.nodes[0].ledger.write(record(0), Fields::default());
    let revoked = world.nodes[0].ledger.revoke(record(0), clinic(1));
    world.seen = Seen::default();
    world.tell(0, Input::LogChanged(revoked));
    world.tell(0, Input::LogChanged(old));
    world.run_to_rest();
    assert!(!world.seen.frames.contains_key("announce"));
}

#[test]
fn heights_that_were_read_before_a_log_was_withdrawn_do_not_leave() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 1);
    world.connect(0, 1);
    world.run_to_rest();
    let now = Timestamp::from_millis(world.queue.now);
    let peer = clinic(1);
    let Node { engine, ledger, .. } = &mut world.nodes[0];
    let items = vec![(record(0), [9; 32])];
    let bytes = Message::Announce { items }.encode().into_bytes();
    engine.handle(now, Input::Received { peer, bytes });
    let Some(Output::NeedHeights { task, logs, .. }) = engine.poll_output() else {
        panic!("no heights are asked for");
    };
    let heights = ledger.heights(peer, &logs);
    assert_eq!(heights[0].len(), 1);
    engine.handle(now, Input::LogChanged(ledger.revoke(record(0), peer)));
    engine.handle(now, Input::Heights { task, heights });
    let frame = engine.poll_transmit(peer, now).unwrap();
    let Ok(Message::Heights { items }) = Message::decode(frame.as_bytes()) else {
        panic!("another frame");
    };
    assert!(items[0].heights.is_empty() && items[0].digest == crate::port::ABSENT);
}

#[test]
fn a_change_that_only_a_new_catalog_knows_of_is_announced() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 2);
    world.connect(0, 1);
    world.run_to_rest();
    let changed = world.nodes[0].ledger.write(record(1), Fields::default());
    let peer = clinic(1);
    let now = Timestamp::from_millis(world.queue.now);
    let Node { engine, ledger, .. } = &mut world.nodes[0];
    engine.handle(now, Input::SyncRequested { peer });
    let Some(Output::NeedCatalog { task, .. }) = engine.poll_output() else {
        panic!("no catalog is asked for");
    };
    let catalog = ledger.catalog(peer);
    engine.handle(now, Input::Catalog { task, catalog });
    engine.handle(now, Input::LogChanged(changed));
    let announce = engine.poll_transmit(peer, now).unwrap();
    let announce = Message::decode(announce.as_bytes());
    assert!(matches!(announce, Ok(Message::Announce { items }) if items.len() == 1));
    assert!(matches!(
        engine
            .poll_transmit(peer, now)
            .map(|frame| Message::decode(frame.as_bytes())),
        Some(Ok(Message::Probe { .. }))
    ));
}

#[test]
fn a_log_is_fetched_from_one_peer_at_a_time() {
    let mut world = quiet(3);
    write_records(&mut world, 0, 1, 50);
    write_records(&mut world, 0, 2, 50);
    world.connect(0, 1);
    world.run_to_rest();
    world.seen = Seen::default();
    // Node 2 lacks all, and both others have it.
    world.connect(2, 0);
    world.connect(2, 1);
    world.run_to_rest();
    world.check_converged();
    let from = |peer| world.seen.in_step[&(2, peer)].1;
    let duplicate = from(0).duplicate + from(1).duplicate;
    assert!(duplicate <= 4, "{duplicate} of 103 came twice");
}

#[test]
fn a_peer_that_stalls_is_given_up_and_the_others_are_served() {
    let mut world = quiet(3);
    write_records(&mut world, 0, 1, 5);
    world.connect(0, 1);
    world.connect(0, 2);
    // Nothing from node 2 arrives any more.
    world.liar = Some(2);
    let now = world.queue.now;
    world.queue.clear();
    world.cut(0, 1);
    world.connect(0, 1);
    for node in &mut world.nodes {
        node.timer = None;
    }
    world.drain(0);
    world.run_to_rest();
    let why = world
        .seen
        .misbehaved
        .iter()
        .find(|(node, peer, _)| (*node, *peer) == (0, 2));
    assert_eq!(why.map(|found| found.2), Some(Violation::NoHello));
    assert!(world.seen.in_step.contains_key(&(0, 1)));
    assert!(world.queue.now - now >= Config::default().hello_ms);
}

#[test]
fn frames_out_of_turn_end_the_session() {
    let hello = Message::Hello { version: 2 };
    let ack = |frames, announces| Message::Ack { frames, announces };
    let entries = Message::Entries {
        groups: vec![Group {
            log: record(1),
            end: true,
            entries: vec![],
            statement: None,
        }],
    };
    let answer = Message::Answer {
        id: 0,
        parts: vec![Part::Same],
    };
    let item = HeightsItem {
        log: record(1),
        digest: [1; 32],
        answer: true,
        heights: Default::default(),
    };
    let heights = Message::Heights { items: vec![item] };
    let bad = [
        vec![ack(0, 0)],
        vec![Message::Hello { version: 1 }],
        vec![hello.clone(), hello.clone()],
        vec![hello.clone(), ack(1, 0)],
        vec![hello.clone(), ack(0, 1)],
        vec![hello.clone(), entries],
        vec![hello.clone(), answer],
        vec![hello.clone(), heights],
    ];
    for frames in bad {
        let mut engine = Engine::new(clinic(0), Config::default(), [0; 32]);
        let now = Timestamp::default();
        let peer = clinic(1);
        let initiator = false;
        engine.handle(now, Input::PeerConnected { peer, initiator });
        let Some(Output::NeedCatalog { task, .. }) = engine.poll_output() else {
            panic!("no catalog is asked for");
        };
        let catalog = CatalogAnswer {
            version: 0,
            items: vec![CatalogItem {
                log: record(1),
                digest: [1; 32],
                is_roster: false,
            }],
        };
        engine.handle(now, Input::Catalog { task, catalog });
        assert!(engine.poll_transmit(peer, now).is_some());
        for frame in &frames {
            let bytes = frame.encode().into_bytes();
            engine.handle(now, Input::Received { peer, bytes });
        }
        let output = engine.poll_output();
        let ended = matches!(output, Some(Output::PeerMisbehaved { .. }));
        assert!(ended, "{frames:?} gave {output:?}");
        assert!(engine.poll_transmit(peer, now).is_none());
        assert_eq!(engine.peers().count(), 0);
    }
}

#[test]
fn a_store_that_fails_ends_the_session_and_nothing_is_acknowledged() {
    let mut world = quiet(2);
    write_records(&mut world, 0, 1, 2);
    world.connect(0, 1);
    for _ in 0..200 {
        let Some((time, event)) = world.queue.peek() else {
            break;
        };
        if let Event::Store {
            node: 1,
            task: Output::Commit { task, .. },
            ..
        } = event
        {
            let task = *task;
            world.tell(1, Input::Failed { task });
            break;
        }
        world.run(time + 1);
    }
    assert!(world.links.is_empty());
    assert!(!world.seen.acks.contains(&1));
}

#[test]
fn a_hundred_thousand_records_in_step_take_one_question() {
    let items: Vec<_> = (0..100_000)
        .map(|n| CatalogItem {
            log: record(n),
            digest: [1; 32],
            is_roster: false,
        })
        .collect();
    let mut world = quiet(2);
    world.queue.clear();
    let began = std::time::Instant::now();
    let now = Timestamp::default();
    let mut engines = [0, 1].map(|n| Engine::new(clinic(n), Config::default(), [0; 32]));
    for (n, engine) in engines.iter_mut().enumerate() {
        let peer = clinic(1 - n);
        let initiator = n == 0;
        engine.handle(now, Input::PeerConnected { peer, initiator });
        let Some(Output::NeedCatalog { task, .. }) = engine.poll_output() else {
            panic!("no catalog is asked for");
        };
        let catalog = CatalogAnswer {
            version: 0,
            items: items.clone(),
        };
        engine.handle(now, Input::Catalog { task, catalog });
    }
    let filled = began.elapsed();
    let mut frames = 0;
    loop {
        let before = frames;
        for n in [0, 1] {
            while let Some(frame) = engines[n].poll_transmit(clinic(1 - n), now) {
                frames += 1;
                let (peer, bytes) = (clinic(n), frame.into_bytes());
                engines[1 - n].handle(now, Input::Received { peer, bytes });
            }
        }
        if frames == before {
            break;
        }
    }
    let in_step = matches!(engines[0].poll_output(), Some(Output::InStep { .. }));
    assert!(in_step && frames == 5);
    println!(
        "filled in {filled:?}, in step after {:?} more",
        began.elapsed() - filled
    );
}
