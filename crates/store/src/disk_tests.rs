//! Disks that are full or may not be written, and how fast they are.

use std::fs;
use std::time::Instant;

use salus_audit::Entry;

use crate::fixture::{Disk, Folder, Truth, Writer, log_id, storage_key};
use crate::{Batch, Store, StoreError, v1_tests};

fn entries(entries: Vec<Entry>) -> Batch {
    Batch {
        entries,
        ..Batch::default()
    }
}

#[test]
fn a_full_disk_takes_nothing_in_keeps_everything_and_goes_on_when_there_is_room() {
    let (folder, truth, disk) = (Folder::new(), Truth::example(), Disk::new());
    let medium = || disk.medium(&folder.path());
    let store = Store::create_in(medium(), &storage_key()).unwrap();
    store.commit(truth.batch()).unwrap();
    let size = fs::metadata(folder.path()).unwrap().len();
    disk.set_room(size);
    let mut writer = Writer::new(log_id(4), 9);
    let big = writer.many(2_000, 2_000);
    for _ in 0..3 {
        let error = store.commit(entries(big.clone())).unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error}");
        assert_eq!(truth.check(&store), 0, "reading goes on");
        assert_eq!(store.find(&big[0].hash()).unwrap(), None);
    }
    // What fits is still taken.
    store
        .commit(Batch {
            meta: vec![("x".into(), b"y".to_vec())],
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(store.check_integrity().unwrap(), []);
    disk.set_room(u64::MAX);
    store.commit(entries(big.clone())).unwrap();
    assert_eq!(store.log_headers(log_id(4)).unwrap().len(), 2_000);
    drop(store);
    let store = Store::open_in(medium(), &storage_key(), false).unwrap();
    assert_eq!(store.log_headers(log_id(4)).unwrap().len(), 2_000);
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn a_disk_that_is_full_when_a_store_is_made_upgraded_or_restored_harms_nothing() {
    // Made: nothing is left of it.
    let (folder, disk) = (Folder::new(), Disk::new());
    disk.set_room(8_192);
    let error = Store::create_in(disk.medium(&folder.path()), &storage_key()).unwrap_err();
    assert!(matches!(error, StoreError::Full), "{error}");
    assert!(!folder.path().exists());
    // Upgraded: it stays as it was, or the upgrade found room in the file.
    let size = v1_tests::folder().bytes().len() as u64;
    for room in [0, size, size + 4_096, size + 65_536] {
        let (folder, disk) = (v1_tests::folder(), Disk::new());
        disk.set_room(room);
        match Store::open_in(disk.medium(&folder.path()), &storage_key(), false) {
            Ok(store) => assert_eq!(v1_tests::truth().check(&store), 0),
            Err(error) => assert!(matches!(error, StoreError::Full), "{error}"),
        }
        let store = folder.open().unwrap();
        assert_eq!(v1_tests::truth().check(&store), 0, "room {room}");
        assert_eq!(store.check_integrity().unwrap(), [], "room {room}");
    }
    // Restored: nothing is left of it, and the next attempt succeeds.
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    let (folder, disk) = (Folder::new(), Disk::new());
    let restore = || {
        let medium = disk.medium(&folder.path());
        Store::restore_in(medium, &storage_key(), &mut &backup[..])
    };
    for room in [0, 4_096, 50_000, 100_000] {
        disk.set_room(room);
        let error = restore().unwrap_err();
        assert!(matches!(error, StoreError::Full), "room {room}: {error}");
        let left = fs::read_dir(folder.path().parent().unwrap()).unwrap();
        assert_eq!(left.count(), 0, "room {room}");
    }
    disk.set_room(u64::MAX);
    assert_eq!(truth.check(&restore().unwrap()), 0);
}

#[test]
fn a_store_that_may_not_be_written_opens_for_reading_and_says_so() {
    let (folder, truth, disk) = (Folder::new(), Truth::example(), Disk::new());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    store.close().unwrap();
    let bytes = folder.bytes();
    disk.set_read_only();
    let open = || Store::open_in(disk.medium(&folder.path()), &storage_key(), false);
    let store = open().unwrap();
    assert_eq!(truth.check(&store), 0);
    assert!(store.is_read_only());
    let [problem] = store.problems()[..] else {
        panic!("{:?}", store.problems())
    };
    assert_eq!(problem.table, "file");
    let error = store.commit(truth.batch()).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable), "{error}");
    assert_eq!(store.check_integrity().unwrap(), [problem]);
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    store.close().unwrap();
    assert_eq!(folder.bytes(), bytes);
    // As a crash leaves it, redb would have to write to it first.
    let store = folder.open().unwrap();
    store.commit(Batch::default()).unwrap();
    let crashed = folder.copy_with(&folder.bytes());
    let error = Store::open_in(disk.medium(&crashed.path()), &storage_key(), false).unwrap_err();
    assert!(error.to_string().contains("may not be written"), "{error}");
}

/// `cargo test -p salus-store -- --ignored --nocapture speed`
#[test]
#[ignore = "measures; prints figures"]
fn speed() {
    let folder = Folder::new();
    let store = folder.create();
    let mut writers: Vec<_> = (1..=40).map(|n| Writer::new(log_id(n), n)).collect();
    let batches: Vec<Vec<Entry>> = (0..10)
        .map(|_| {
            writers
                .iter_mut()
                .flat_map(|writer| writer.many(50, 1_024))
                .collect()
        })
        .collect();
    let mut leaf = 0..;
    let start = Instant::now();
    for batch in &batches {
        let own_leaves = batch
            .iter()
            .map(|entry| (leaf.next().unwrap(), entry.leaf()))
            .collect();
        store
            .commit(Batch {
                entries: batch.clone(),
                own_leaves,
                ..Batch::default()
            })
            .unwrap();
    }
    let rate = |n: usize, start: Instant| n as f64 / start.elapsed().as_secs_f64();
    println!(
        "commit, 2,000 entries of 1 KiB each time: {:.0} entries/s",
        rate(20_000, start)
    );
    let start = Instant::now();
    for (n, entry) in batches[0].iter().enumerate().take(200) {
        let meta = vec![(format!("{n}"), entry.hash().as_bytes().to_vec())];
        store
            .commit(Batch {
                meta,
                ..Batch::default()
            })
            .unwrap();
    }
    println!("commit, one small row: {:.0} commits/s", rate(200, start));
    let start = Instant::now();
    let read: usize = store
        .logs()
        .into_iter()
        .map(|log| store.log_headers(log).unwrap().len())
        .sum();
    println!("log_headers: {:.0} entries/s", rate(read, start));
    let start = Instant::now();
    let read: usize = store
        .logs()
        .into_iter()
        .flat_map(|log| {
            store
                .heights(log)
                .unwrap()
                .into_keys()
                .map(move |chain| (log, chain))
        })
        .map(|(log, chain)| {
            store
                .entries(log, chain, 0..=u64::MAX, usize::MAX)
                .unwrap()
                .len()
        })
        .sum();
    println!("entries with payloads: {:.0} entries/s", rate(read, start));
    let start = Instant::now();
    batches[5]
        .iter()
        .for_each(|entry| assert!(store.find(&entry.hash()).unwrap().is_some()));
    println!("find: {:.0}/s", rate(batches[5].len(), start));
    let start = Instant::now();
    assert_eq!(store.check_integrity().unwrap(), []);
    println!("check_integrity: {:.0} entries/s", rate(20_000, start));
    store.close().unwrap();
    let size = fs::metadata(folder.path()).unwrap().len();
    println!("file: {} bytes an entry", size / 20_000);
    let start = Instant::now();
    folder.open().unwrap();
    println!("open: {:?} for {} MB", start.elapsed(), size / 1_000_000);
    let mut database = redb::Database::open(folder.path()).unwrap();
    let stats = database.begin_write().unwrap().stats().unwrap();
    println!(
        "stored {}, fragmented {}",
        stats.stored_bytes(),
        stats.fragmented_bytes()
    );
    database.compact().unwrap();
    drop(database);
    println!(
        "compacted: {} bytes",
        fs::metadata(folder.path()).unwrap().len()
    );
}
