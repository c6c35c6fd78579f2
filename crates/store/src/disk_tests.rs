//! Disks that are full, that lose writes, and how fast they are.

use std::fs;
use std::time::Instant;

use salus_audit::Entry;

use crate::fixture::{Disk, Folder, Op, Truth, Writer, log_id, storage_key};
use crate::{Batch, Store, StoreError};

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
    let store = Store::create_in(medium(), &folder.path(), &storage_key()).unwrap();
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
    let store = Store::open_in(medium(), &folder.path(), &storage_key(), false).unwrap();
    assert_eq!(store.log_headers(log_id(4)).unwrap().len(), 2_000);
    assert_eq!(store.check_integrity().unwrap(), []);
}

/// A disk that loses, at a power cut, any of the writes that it was not told to keep yet.
#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_promised() {
    let (folder, disk) = (Folder::new(), Disk::new());
    let medium = disk.medium(&folder.path());
    let store = Store::create_in(medium, &folder.path(), &storage_key()).unwrap();
    disk.log(Op::Promise(0));
    let mut writer = Writer::new(log_id(1), 1);
    let mut all = Vec::new();
    for round in 1..=3 {
        let more = writer.many(20, 700);
        let own_leaves = (all.len() as u64..)
            .zip(more.iter().map(Entry::leaf))
            .collect();
        store
            .commit(Batch {
                entries: more.clone(),
                own_leaves,
                ..Batch::default()
            })
            .unwrap();
        all.extend(more);
        disk.log(Op::Promise(20 * round));
    }
    drop(store);
    let ops = disk.ops.lock().unwrap().clone();

    let begin = ops
        .iter()
        .position(|op| matches!(op, Op::Promise(0)))
        .unwrap();
    let (mut kept, mut loose, mut promised) = (Vec::new(), Vec::new(), 0);
    let (mut images, mut seed) = (0, 1_u64);
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Sync => kept.append(&mut loose),
            Op::Promise(entries) => promised = *entries,
            op => loose.push(op.clone()),
        }
        if at < begin || matches!(op, Op::Write(..)) && at % 11 != 0 {
            continue;
        }
        // All loose writes lost, all there, and some of them.
        for lost in 0..4_u64 {
            let mut image = Vec::new();
            kept.iter().for_each(|op| apply(&mut image, op));
            for op in &loose {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if lost == 1 || lost > 1 && seed >> 63 == 0 {
                    apply(&mut image, op);
                }
            }
            images += 1;
            let cut = Folder::new();
            fs::write(cut.path(), &image).unwrap();
            let store = cut
                .open()
                .unwrap_or_else(|error| panic!("cut {at}.{lost}: {error}"));
            assert_eq!(store.problems(), [], "cut {at}.{lost}");
            let held = store.log_headers(log_id(1)).unwrap().len();
            assert!(
                held as u64 >= promised && held.is_multiple_of(20),
                "cut {at}.{lost}: {held} entries"
            );
            assert_eq!(store.own_leaves(0).unwrap().len(), held);
            store.commit(entries(all.clone())).unwrap();
            assert_eq!(store.log_headers(log_id(1)).unwrap().len(), 60);
        }
    }
    assert!(images > 60, "{images} images");
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, data) => {
            let start = usize::try_from(*offset).unwrap();
            let end = start + data.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[start..end].copy_from_slice(data);
        }
        Op::SetLen(len) => image.resize(usize::try_from(*len).unwrap(), 0),
        Op::Sync | Op::Promise(_) => {}
    }
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
