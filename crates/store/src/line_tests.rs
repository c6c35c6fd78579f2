//! Forks, statements and replay as a caller sees them.

use salus_audit::{ChainId, Entry, Kind};

use crate::fixture::{Folder, Truth, Writer, by_line, log_id};
use crate::{Batch, MAX_STATEMENT_BYTES, StoreError};

fn line(n: u8) -> ChainId {
    ChainId::from_bytes([n; 32])
}

fn forks(n: u8, entries: &[Entry]) -> Batch {
    Batch {
        forks: entries
            .iter()
            .map(|entry| (line(n), entry.clone()))
            .collect(),
        ..Batch::default()
    }
}

fn trunk(entries: &[Entry]) -> Batch {
    Batch {
        entries: entries.to_vec(),
        ..Batch::default()
    }
}

#[test]
fn a_fork_is_held_beside_its_trunk_and_both_grow() {
    let folder = Folder::new();
    let store = folder.create();
    let mut writer = Writer::new(log_id(1), 1);
    let first = writer.many(5, 100);
    let chain = first[0].header().chain;
    store.commit(trunk(&first)).unwrap();
    let mut liar = Writer::after(1, &first[2]);
    let other = liar.many(2, 50);
    store.commit(forks(7, &other)).unwrap();
    // The same again is no change; both grow.
    store.commit(forks(7, &other)).unwrap();
    let more = [writer.next(b"honest"), liar.next(b"lie")];
    store
        .commit(Batch {
            forks: forks(7, &more[1..]).forks,
            ..trunk(&more[..1])
        })
        .unwrap();
    let heights = store.heights(log_id(1)).unwrap();
    let of = |line| (heights[&line].from, heights[&line].next, heights[&line].tip);
    assert_eq!(of(chain), (0, 6, more[0].hash()));
    assert_eq!(of(line(7)), (3, 6, more[1].hash()));
    assert_eq!(
        store.find(&other[1].hash()).unwrap(),
        Some((log_id(1), line(7), 4))
    );
    assert_eq!(
        store.entry(log_id(1), line(7), 3).unwrap().as_ref(),
        Some(&other[0])
    );
    assert_eq!(store.entry(log_id(1), line(7), 2).unwrap(), None);
    let all = store
        .entries(log_id(1), line(7), 0..=u64::MAX, usize::MAX)
        .unwrap();
    assert_eq!(all.len(), 3);
    // A fork comes after the line that it leaves, so that a replay finds what it builds on.
    let lines: Vec<ChainId> = store
        .log_headers(log_id(1))
        .unwrap()
        .into_iter()
        .map(|(line, _)| line)
        .collect();
    assert_eq!(lines, [vec![chain; 6], vec![line(7); 3]].concat());
    assert_eq!(store.check_integrity().unwrap(), []);
    store.close().unwrap();
    let store = folder.open().unwrap();
    assert_eq!(store.heights(log_id(1)).unwrap(), heights);
}

#[test]
fn a_fork_begins_after_a_held_entry_of_its_chain_or_at_the_beginning() {
    let folder = Folder::new();
    let store = folder.create();
    let first = Writer::new(log_id(1), 1).many(3, 100);
    let elsewhere = Writer::new(log_id(2), 1).many(3, 100);
    store.commit(trunk(&first)).unwrap();
    store.commit(trunk(&elsewhere)).unwrap();
    let refused = |batch| matches!(store.commit(batch), Err(StoreError::OutOfOrder { .. }));
    // What it names is not held, or held in another log.
    let unknown = Writer::new(log_id(1), 1).many(2, 7);
    assert!(refused(forks(7, &unknown[1..])));
    let mut strange = Writer::after(1, &elsewhere[1]).next(b"x");
    assert_eq!(strange.header().log, log_id(2));
    strange = Writer::after(2, &Writer::new(log_id(1), 2).many(1, 5)[0]).next(b"y");
    assert!(refused(forks(7, &[strange])));
    // A line that is there goes on only after its own last entry.
    let fork = Writer::after(1, &first[0]).many(2, 5);
    store.commit(forks(8, &fork)).unwrap();
    assert!(refused(forks(8, &[Writer::after(1, &first[2]).next(b"z")])));
    assert!(refused(trunk(&[Writer::after(1, &fork[1]).next(b"z")])));
    // Another history from the very beginning, and a fork of a fork in one batch, in any order.
    store.commit(forks(9, &unknown)).unwrap();
    let deep = Writer::after(1, &unknown[1]).many(2, 9);
    let deeper = Writer::after(1, &deep[0]).many(1, 8);
    let mut batch = forks(0xb, &deeper);
    batch.forks.extend(forks(0xa, &deep).forks);
    store.commit(batch).unwrap();
    assert_eq!(store.heights(log_id(1)).unwrap()[&line(0xb)].from, 3);
    assert_eq!(store.check_integrity().unwrap(), []);
    // Two entries at one place of a line, and one entry on two lines.
    let conflict = store.commit(forks(8, &unknown[1..]));
    assert!(
        matches!(conflict, Err(StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    let twice = store.commit(forks(0xc, &deep[..1]));
    assert!(matches!(twice, Err(StoreError::Invalid(_))), "{twice:?}");
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn a_replay_gets_control_entries_with_their_bodies_in_one_reading() {
    let folder = Folder::new();
    let store = folder.create();
    let mut writer = Writer::new(log_id(1), 1);
    let entries = [
        writer.next_of(Kind::Grant, b"a grant"),
        writer.next(b"an edit"),
        writer.next_of(Kind::Grant, b"another"),
    ];
    store
        .commit(trunk(&[
            entries[0].clone(),
            entries[1].clone(),
            entries[2].without_payload(),
        ]))
        .unwrap();
    let replay = store.log_entries_for_replay(log_id(1)).unwrap();
    let payloads: Vec<Option<&[u8]>> = replay.iter().map(|(_, entry)| entry.payload()).collect();
    assert_eq!(payloads, [Some(&b"a grant"[..]), None, None]);
    let none = store.log_entries_for_replay(log_id(2)).unwrap();
    assert!(none.is_empty());
}

#[test]
fn the_last_statement_of_a_chain_is_kept() {
    let folder = Folder::new();
    let store = folder.create();
    let say = |n: u8, what: &[u8]| {
        store.commit(Batch {
            statements: vec![(log_id(1), line(n), what.to_vec())],
            ..Batch::default()
        })
    };
    say(1, b"first").unwrap();
    say(2, b"of another").unwrap();
    say(1, b"second").unwrap();
    assert_eq!(
        store.statement(log_id(1), line(1)).unwrap().as_deref(),
        Some(&b"second"[..])
    );
    assert_eq!(store.statement(log_id(1), line(3)).unwrap(), None);
    assert_eq!(store.statement(log_id(2), line(1)).unwrap(), None);
    assert_eq!(
        by_line(store.statements(log_id(1)).unwrap()),
        [
            (line(1), b"second".to_vec()),
            (line(2), b"of another".to_vec())
        ]
    );
    let long = say(4, &[0; MAX_STATEMENT_BYTES + 1]);
    assert!(matches!(long, Err(StoreError::Invalid(_))));
    assert_eq!(store.check_integrity().unwrap(), []);
    drop(store);
    assert_eq!(folder.open().unwrap().problems(), []);
}

#[test]
fn a_check_hands_over_every_log_once_and_whole() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    let mut seen = Vec::new();
    let problems = store
        .check_integrity_with(|log, entries| {
            assert!(entries.iter().all(|(_, entry)| entry.header().log == log));
            seen.extend(entries);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(problems, []);
    let all = truth
        .lines()
        .map(|(line, entry)| (line, entry.without_payload()));
    assert_eq!(seen.len(), truth.entries.len() + truth.forks.len());
    all.for_each(|entry| assert!(seen.contains(&entry)));
    let mut logs = 0;
    store
        .check_integrity_with(|_, _| {
            logs += 1;
            std::ops::ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(logs, 1);
}

#[test]
fn leaves_come_by_range_and_one_by_one() {
    let folder = Folder::new();
    let store = folder.create();
    let leaves: Vec<[u8; 32]> = (0..9).map(|n| [n; 32]).collect();
    store
        .commit(Batch {
            own_leaves: (0..).zip(leaves.iter().copied()).collect(),
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.own_leaves(2..5).unwrap(), leaves[2..5]);
    assert_eq!(store.own_leaves(7..=99).unwrap(), leaves[7..]);
    assert_eq!(store.own_leaves(..0).unwrap(), [[0; 32]; 0]);
    let mut last = None;
    store
        .each_own_leaf(3.., |index, leaf| {
            last = Some((index, leaf));
            match index < 6 {
                true => std::ops::ControlFlow::Continue(()),
                false => std::ops::ControlFlow::Break(()),
            }
        })
        .unwrap();
    assert_eq!(last, Some((6, [6; 32])));
    assert_eq!(
        store.own_tree().unwrap().root(),
        salus_audit::root_of(&leaves)
    );
}
