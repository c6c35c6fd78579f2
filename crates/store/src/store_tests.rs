//! The store as its callers see it.

use std::fs;
use std::sync::Arc;

use salus_audit::{ChainId, Entry, EntryHash};
use salus_vault::{IndexKey, StorageKey};

use crate::fixture::{Folder, Truth, Writer, index_key, log_id, storage_key};
use crate::{Batch, MAX_REFUSED, Store, StoreError};

fn entries(entries: Vec<Entry>) -> Batch {
    Batch {
        entries,
        ..Batch::default()
    }
}

#[test]
fn a_new_store_is_empty_sound_and_opens_again() {
    let folder = Folder::new();
    let store = folder.create();
    assert_eq!(Truth::default().check(&store), 0);
    assert_eq!(store.check_integrity().unwrap(), []);
    store.close().unwrap();
    let store = folder.open().unwrap();
    assert_eq!(Truth::default().check(&store), 0);
    assert!(store.logs().is_empty());
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn everything_committed_is_there_at_once_and_after_opening_again() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    assert_eq!(truth.check(&store), 0);
    assert_eq!(store.check_integrity().unwrap(), []);
    store.close().unwrap();
    let store = folder.open().unwrap();
    assert_eq!(truth.check(&store), 0);
    assert_eq!(store.check_integrity().unwrap(), []);
    assert_eq!(store.problems(), []);
    assert_eq!(store.logs(), [log_id(1), log_id(2), log_id(3)]);
    let entries = truth.entries.len() + truth.forks.len();
    assert_eq!(store.entry_count(), entries as u64);
    assert_eq!(store.own_tree_size(), truth.leaves.len() as u64);
    assert_eq!(store.own_leaves(25..).unwrap(), truth.leaves[25..]);
    let last = truth.entries[11].clone();
    let heights = store.heights(log_id(1)).unwrap();
    let height = heights[&last.header().chain];
    assert_eq!((height.next, height.tip), (12, last.hash()));
}

#[test]
fn entries_come_by_range_until_they_are_enough() {
    let folder = Folder::new();
    let store = folder.create();
    let all = Writer::new(log_id(1), 1).many(10, 1_000);
    let chain = all[0].header().chain;
    store.commit(entries(all.clone())).unwrap();
    let get = |seqs, bytes| store.entries(log_id(1), chain, seqs, bytes).unwrap();
    assert_eq!(get(0..=9, usize::MAX), all);
    assert_eq!(get(3..=5, usize::MAX), all[3..=5]);
    assert_eq!(get(8..=u64::MAX, usize::MAX), all[8..]);
    let two = all[0].encoded_len() + all[1].encoded_len();
    assert_eq!(get(0..=9, two), all[..2]);
    assert_eq!(get(0..=9, two - 1), all[..1]);
    assert_eq!(
        get(0..=9, 1),
        all[..1],
        "the first is given whatever its size"
    );
    assert_eq!(get(10..=20, usize::MAX), []);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may get it wrong")]
    let reversed = get(5..=3, usize::MAX);
    assert_eq!(reversed, []);
    let other = ChainId::from_bytes([9; 32]);
    assert_eq!(
        store.entries(log_id(1), other, 0..=9, usize::MAX).unwrap(),
        []
    );
    assert_eq!(
        store.payload(log_id(1), chain, 4).unwrap().unwrap(),
        all[4].payload().unwrap()
    );
    assert_eq!(store.entry(log_id(1), chain, 10).unwrap(), None);
}

#[test]
fn a_batch_with_one_bad_entry_changes_nothing() {
    let folder = Folder::new();
    let store = folder.create();
    let mut writer = Writer::new(log_id(1), 1);
    let first = writer.many(3, 100);
    let chain = first[0].header().chain;
    store.commit(entries(first.clone())).unwrap();
    let mut more = writer.many(4, 100);
    let gap = more.remove(2);
    let other = Writer::new(log_id(2), 1).many(1, 10);
    let mut batch = entries([more, other.clone()].concat());
    batch.meta.push(("colour".into(), b"green".to_vec()));
    batch.dirty.push(log_id(1));
    let error = store.commit(batch).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::OutOfOrder {
                seq: 6,
                next: 5,
                ..
            }
        ),
        "{error}"
    );
    let unchanged = |store: &Store| {
        assert_eq!(
            store.heights(log_id(1)).unwrap()[&chain].tip,
            first[2].hash()
        );
        assert_eq!(store.find(&gap.hash()).unwrap(), None);
        assert_eq!(store.find(&other[0].hash()).unwrap(), None);
        assert_eq!(store.meta("colour").unwrap(), None);
        assert_eq!(store.logs(), [log_id(1)]);
        assert!(store.dirty_logs().is_empty());
        assert_eq!(store.check_integrity().unwrap(), []);
    };
    unchanged(&store);
    drop(store);
    unchanged(&folder.open().unwrap());
}

#[test]
fn another_entry_in_a_taken_place_is_refused_and_the_same_one_is_no_change() {
    let folder = Folder::new();
    let store = folder.create();
    let all = Writer::new(log_id(1), 1).many(3, 100);
    store.commit(entries(all.clone())).unwrap();
    store.commit(entries(all.clone())).unwrap();
    store
        .commit(entries(vec![all[0].clone(), all[0].clone()]))
        .unwrap();
    assert_eq!(store.entry_count(), 3);

    let fork = Writer::new(log_id(1), 1).many(2, 101);
    let conflict = |batch| {
        matches!(
            store.commit(batch),
            Err(StoreError::Conflict { seq: 0, .. })
        )
    };
    assert!(conflict(entries(fork.clone())));
    let (mut one, mut two) = (Writer::new(log_id(2), 1), Writer::new(log_id(2), 1));
    assert!(
        conflict(entries(vec![one.next(b"one"), two.next(b"two")])),
        "both in one batch"
    );
    // A fork that begins where the chain ends does not name its last entry.
    let mut other = Writer::new(log_id(1), 1);
    other.many(3, 50);
    let error = store.commit(entries(vec![other.next(b"x")])).unwrap_err();
    assert!(matches!(
        error,
        StoreError::OutOfOrder {
            seq: 3,
            next: 3,
            ..
        }
    ));
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn an_entry_may_come_without_its_payload_and_get_it_later() {
    let folder = Folder::new();
    let store = folder.create();
    let all = Writer::new(log_id(1), 1).many(4, 100);
    let bare: Vec<Entry> = all.iter().map(Entry::without_payload).collect();
    store.commit(entries(bare.clone())).unwrap();
    let chain = all[0].header().chain;
    let held = || store.entries(log_id(1), chain, 0..=3, usize::MAX).unwrap();
    assert_eq!(held(), bare);
    assert_eq!(store.payload(log_id(1), chain, 0).unwrap(), None);
    store
        .commit(entries(vec![all[2].clone(), bare[2].clone()]))
        .unwrap();
    assert_eq!(held()[2], all[2]);
    assert_eq!(held()[1], bare[1]);
    store.commit(entries(bare)).unwrap();
    assert_eq!(held()[2], all[2], "a payload is not lost again");
    store.commit(entries(all.clone())).unwrap();
    assert_eq!(held(), all);
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn a_payload_that_was_taken_out_is_gone_and_the_entry_stays() {
    let folder = Folder::new();
    let store = folder.create();
    let all = Writer::new(log_id(1), 1).many(4, 100);
    store.commit(entries(all[..3].to_vec())).unwrap();
    let detach = vec![all[1].hash(), all[3].hash(), EntryHash::from_bytes([9; 32])];
    store
        .commit(Batch {
            detach: detach.clone(),
            ..entries(vec![all[3].clone()])
        })
        .unwrap();
    let chain = all[0].header().chain;
    let held = || store.entries(log_id(1), chain, 0..=3, usize::MAX).unwrap();
    let bare = |at: usize| all[at].without_payload();
    assert_eq!(held(), [all[0].clone(), bare(1), all[2].clone(), bare(3)]);
    assert_eq!(store.check_integrity().unwrap(), []);
    // Once more is no change.
    store
        .commit(Batch {
            detach,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.payload(log_id(1), chain, 1).unwrap(), None);
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn a_locked_node_reads_entries_and_summaries_and_no_index() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    let wrong = IndexKey::from_bytes([9; 32]);
    assert!(store.snapshot(log_id(1), &wrong).is_err());
    assert!(store.secret("drafts", &wrong).is_err());
    let rows = store.index_rows(&wrong).unwrap();
    assert!(rows.rows.is_empty());
    assert_eq!(rows.damaged.len(), 3);
    assert_eq!(
        store.meta("drafts").unwrap(),
        None,
        "a secret is no setting"
    );
    for batch in [
        Batch {
            index_rows: vec![(log_id(1), Some(vec![1]))],
            ..Batch::default()
        },
        Batch {
            snapshots: vec![(log_id(1), Some(vec![1]))],
            ..Batch::default()
        },
        Batch {
            secrets: vec![("x".into(), vec![1])],
            ..Batch::default()
        },
    ] {
        assert!(matches!(store.commit(batch), Err(StoreError::Invalid(_))));
    }
    // Without the key it can still say that something has to be made again, and drop a snapshot.
    let snapshots = vec![(log_id(1), None)];
    store
        .commit(Batch {
            snapshots,
            dirty: vec![log_id(1)],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.snapshot(log_id(1), &index_key()).unwrap(), None);
    assert_eq!(store.dirty_logs(), [log_id(1), log_id(3)]);
    store
        .commit(Batch {
            clean: vec![log_id(1), log_id(3)],
            ..Batch::default()
        })
        .unwrap();
    assert!(store.dirty_logs().is_empty());
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn rows_are_replaced_and_taken_out() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    let batch = Batch {
        summaries: vec![(log_id(1), b"new".to_vec())],
        index_rows: vec![(log_id(1), Some(b"new".to_vec())), (log_id(2), None)],
        index_key: Some(index_key()),
        meta: vec![("peers".into(), b"".to_vec())],
        secrets: vec![("drafts".into(), b"new".to_vec())],
        ..Batch::default()
    };
    store.commit(batch).unwrap();
    assert_eq!(store.summary(log_id(1)).unwrap().unwrap(), b"new");
    let mut rows = store.index_rows(&index_key()).unwrap().rows;
    rows.sort();
    assert_eq!(
        rows,
        [(log_id(1), b"new".to_vec()), truth.index_rows[2].clone()]
    );
    assert_eq!(store.meta("peers").unwrap().unwrap(), b"");
    assert_eq!(
        store.secret("drafts", &index_key()).unwrap().unwrap(),
        b"new"
    );
    assert_eq!(store.check_integrity().unwrap(), []);
    drop(store);
    assert_eq!(folder.open().unwrap().problems(), []);
}

#[test]
fn the_own_tree_grows_by_the_next_leaf_only() {
    let folder = Folder::new();
    let store = folder.create();
    let leaves = |own_leaves| {
        store.commit(Batch {
            own_leaves,
            ..Batch::default()
        })
    };
    leaves(vec![(0, [1; 32]), (1, [2; 32])]).unwrap();
    leaves(vec![(1, [2; 32]), (2, [3; 32])]).unwrap();
    assert!(matches!(
        leaves(vec![(4, [5; 32])]),
        Err(StoreError::Invalid(_))
    ));
    assert!(matches!(
        leaves(vec![(0, [9; 32])]),
        Err(StoreError::Invalid(_))
    ));
    assert_eq!(store.own_leaves(..).unwrap(), [[1; 32], [2; 32], [3; 32]]);
    assert_eq!(store.own_leaves(3..).unwrap(), [[0; 32]; 0]);
    assert_eq!(store.own_leaves(u64::MAX..).unwrap(), [[0; 32]; 0]);
    let own_leaves = vec![(0, [7; 32])];
    store
        .commit(Batch {
            restart_tree: true,
            own_leaves,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.own_leaves(..).unwrap(), [[7; 32]]);
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn refused_entries_are_kept_up_to_a_bound() {
    let folder = Folder::new();
    let store = folder.create();
    let row = |n: u64| (EntryHash::from_bytes([7; 32]), n.to_le_bytes().to_vec());
    for start in [0, 700, 1_400] {
        let refused = (start..start + 700).map(row).collect();
        store
            .commit(Batch {
                refused,
                ..Batch::default()
            })
            .unwrap();
    }
    let kept = store.refused().unwrap();
    assert_eq!(kept.len() as u64, MAX_REFUSED);
    assert_eq!(
        kept,
        (2_100 - MAX_REFUSED..2_100).map(row).collect::<Vec<_>>()
    );
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn values_outside_their_bounds_are_refused() {
    let folder = Folder::new();
    let store = folder.create();
    for batch in [
        Batch {
            summaries: vec![(log_id(1), vec![0; crate::batch::MAX_SUMMARY_BYTES + 1])],
            ..Batch::default()
        },
        Batch {
            meta: vec![("x".into(), vec![0; (1 << 20) + 1])],
            ..Batch::default()
        },
        Batch {
            refused: vec![(EntryHash::from_bytes([0; 32]), vec![0; 16_385])],
            ..Batch::default()
        },
    ] {
        assert!(matches!(store.commit(batch), Err(StoreError::Invalid(_))));
    }
}

#[test]
fn a_wrong_key_opens_nothing_and_harms_nothing() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    store.close().unwrap();
    let wrong = StorageKey::from_bytes([9; 32]);
    assert!(matches!(
        Store::open(&folder.path(), &wrong),
        Err(StoreError::WrongKey)
    ));
    assert_eq!(truth.check(&folder.open().unwrap()), 0);
}

#[test]
fn a_store_in_use_is_not_opened_twice_and_not_made_again() {
    let folder = Folder::new();
    let store = folder.create();
    assert!(matches!(folder.open(), Err(StoreError::InUse)));
    let again = Store::create(&folder.path(), &storage_key());
    assert!(matches!(again, Err(StoreError::Exists)));
    drop(store);
    let again = Store::create(&folder.path(), &storage_key());
    assert!(matches!(again, Err(StoreError::Exists)));
    assert!(folder.open().is_ok());
}

#[test]
fn garbage_is_an_error_and_stays_as_it_is() {
    let folder = Folder::new();
    assert!(matches!(folder.open(), Err(StoreError::Io(_))), "no file");
    let missing = folder.path().join("no such folder");
    assert!(Store::create(&missing, &storage_key()).is_err());
    let random: Vec<u8> = (0..100_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect();
    for bytes in [vec![], vec![0], b"redb".to_vec(), vec![0; 10_000], random] {
        fs::write(folder.path(), &bytes).unwrap();
        let error = folder.open().unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{} bytes: {error}",
            bytes.len()
        );
        assert_eq!(folder.bytes(), bytes);
    }
}

#[test]
fn a_store_cut_short_is_found_damaged() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    store.close().unwrap();
    let whole = folder.bytes();
    for keep in [
        9,
        64,
        320,
        4_095,
        4_096,
        8_192,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        match folder.copy_with(&whole[..keep]).open() {
            Ok(store) => {
                assert!(
                    truth.check(&store) > 0 || !store.problems().is_empty(),
                    "{keep} bytes"
                );
            }
            Err(error) => assert!(
                matches!(error, StoreError::Corrupt { .. }),
                "{keep}: {error}"
            ),
        }
    }
}

#[test]
fn the_disk_shows_no_name_no_id_and_no_text() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    store.close().unwrap();
    let bytes = [folder.bytes(), fs::read(folder.mark()).unwrap()].concat();
    // Most pages of a new store are empty.
    let pages = bytes
        .chunks(4_096)
        .filter(|page| page.iter().any(|&byte| byte != 0));
    let bytes = pages.collect::<Vec<_>>().concat();
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(holds(b"headers"), "names of tables are in the clear");
    for word in [
        "Maria",
        "Musterfrau",
        "Praxis",
        "summary",
        "peers",
        "drafts",
        "a list",
    ] {
        assert!(!holds(word.as_bytes()), "{word}");
    }
    for entry in &truth.entries {
        let header = entry.header();
        assert!(!holds(&header.log.as_bytes()[..16]));
        assert!(!holds(&header.chain.as_bytes()[..16]));
        assert!(!holds(&header.actor.as_bytes()[..16]));
        assert!(!holds(&entry.hash().as_bytes()[..16]));
        assert!(!holds(&entry.leaf()[..16]));
        assert!(
            !holds(&entry.payload().unwrap()[..24]),
            "payloads are sealed once more"
        );
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_on_the_machine_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _store = folder.create();
    for path in [folder.path(), folder.mark()] {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn threads_share_a_store() {
    let folder = Folder::new();
    let store = Arc::new(folder.create());
    let threads: Vec<_> = (1..=4_u8)
        .map(|n| {
            let store = store.clone();
            std::thread::spawn(move || {
                let mut writer = Writer::new(log_id(n), n);
                for round in 1..=10 {
                    store.commit(entries(writer.many(3, 200))).unwrap();
                    assert_eq!(store.log_headers(log_id(n)).unwrap().len(), 3 * round);
                    store.logs().into_iter().for_each(|log| {
                        let entries = store.log_headers(log).unwrap();
                        assert_eq!(entries.len() % 3, 0, "half a commit was seen");
                    });
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(store.entry_count(), 120);
    assert_eq!(store.check_integrity().unwrap(), []);
}
