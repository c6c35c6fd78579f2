//! Any run of commits, compared with a model that keeps everything in vectors.

use std::collections::BTreeMap;

use proptest::prelude::*;
use salus_audit::{Entry, EntryHash};

use crate::fixture::{Folder, Truth, Writer, index_key, log_id};
use crate::{Batch, StoreError};

#[derive(Debug, Clone)]
enum Act {
    Write {
        log: u8,
        chain: u8,
        count: usize,
        payload: bool,
    },
    Again {
        log: u8,
    },
    Fork {
        log: u8,
        chain: u8,
    },
    Summary(u8, u8),
    Index(u8, Option<u8>),
    Snapshot(u8, Option<u8>),
    Dirty(u8, bool),
    Meta(u8, u8),
    Refuse(u8),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let log = || 1..4_u8;
    prop_oneof![
        4 => (log(), 1..3_u8, 1..6_usize, any::<bool>())
            .prop_map(|(log, chain, count, payload)| Act::Write { log, chain, count, payload }),
        1 => log().prop_map(|log| Act::Again { log }),
        1 => (log(), 1..3_u8).prop_map(|(log, chain)| Act::Fork { log, chain }),
        1 => (log(), any::<u8>()).prop_map(|(log, n)| Act::Summary(log, n)),
        1 => (log(), any::<Option<u8>>()).prop_map(|(log, n)| Act::Index(log, n)),
        1 => (log(), any::<Option<u8>>()).prop_map(|(log, n)| Act::Snapshot(log, n)),
        1 => (log(), any::<bool>()).prop_map(|(log, dirty)| Act::Dirty(log, dirty)),
        1 => (0..3_u8, any::<u8>()).prop_map(|(name, n)| Act::Meta(name, n)),
        1 => any::<u8>().prop_map(Act::Refuse),
        2 => Just(Act::Reopen),
    ]
}

fn put<K: PartialEq, V>(rows: &mut Vec<(K, V)>, key: K, value: Option<V>) {
    rows.retain(|(other, _)| *other != key);
    rows.extend(value.map(|value| (key, value)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_run_of_commits_gives_what_was_put_in(acts in proptest::collection::vec(act(), 1..25)) {
        let folder = Folder::new();
        let mut store = folder.create();
        let mut truth = Truth::default();
        let mut writers: BTreeMap<(u8, u8), Writer> = BTreeMap::new();
        for act in acts {
            let mut batch = Batch { index_key: Some(index_key()), ..Batch::default() };
            match act {
                Act::Write { log, chain, count, payload } => {
                    let writer = writers
                        .entry((log, chain))
                        .or_insert_with(|| Writer::new(log_id(log), chain));
                    let mut entries = writer.many(count, 100);
                    if !payload {
                        entries = entries.iter().map(Entry::without_payload).collect();
                    }
                    let leaves = entries.iter().map(Entry::leaf);
                    batch.own_leaves = (store.own_tree_size()..).zip(leaves.clone()).collect();
                    truth.leaves.extend(leaves);
                    truth.entries.extend(entries.clone());
                    entries.reverse();
                    batch.entries = entries;
                }
                Act::Again { log } => batch.entries = truth
                    .entries
                    .iter()
                    .filter(|entry| entry.header().log == log_id(log))
                    .cloned()
                    .collect(),
                Act::Fork { log, chain } => {
                    if writers.contains_key(&(log, chain)) {
                        let entries = Writer::new(log_id(log), chain).many(1, 7);
                        let fork = store.commit(Batch { entries, ..Batch::default() });
                        let conflict = matches!(fork, Err(StoreError::Conflict { .. }));
                        prop_assert!(conflict);
                    }
                }
                Act::Summary(log, n) => {
                    batch.summaries.push((log_id(log), vec![n]));
                    put(&mut truth.summaries, log_id(log), Some(vec![n]));
                }
                Act::Index(log, n) => {
                    let row = n.map(|n| vec![n; 300]);
                    batch.index_rows.push((log_id(log), row.clone()));
                    put(&mut truth.index_rows, log_id(log), row);
                }
                Act::Snapshot(log, n) => {
                    let row = n.map(|n| vec![n; 5_000]);
                    batch.snapshots.push((log_id(log), row.clone()));
                    put(&mut truth.snapshots, log_id(log), row);
                }
                Act::Dirty(log, dirty) => {
                    let logs = if dirty { &mut batch.dirty } else { &mut batch.clean };
                    logs.push(log_id(log));
                    truth.dirty.retain(|other| *other != log_id(log));
                    truth.dirty.extend(dirty.then_some(log_id(log)));
                    truth.dirty.sort();
                }
                Act::Meta(name, n) => {
                    batch.meta.push((format!("{name}"), vec![n]));
                    batch.secrets.push((format!("{name}"), vec![n, n]));
                    put(&mut truth.meta, format!("{name}"), Some(vec![n]));
                    put(&mut truth.secrets, format!("{name}"), Some(vec![n, n]));
                }
                Act::Refuse(n) => {
                    batch.refused.push((EntryHash::from_bytes([n; 32]), vec![n]));
                    truth.refused.push((EntryHash::from_bytes([n; 32]), vec![n]));
                }
                Act::Reopen => {
                    drop(store);
                    store = folder.open().unwrap();
                }
            }
            store.commit(batch).unwrap();
        }
        prop_assert_eq!(truth.check(&store), 0);
        prop_assert_eq!(store.check_integrity().unwrap(), []);
        prop_assert_eq!(truth.check(&store), 0);
    }
}
