//! The store by itself.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::eventually;
use super::{Keeper, hash_of, needed, noise, open, options};
use crate::blobs::{BlobError, BlobStore, Presence};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_added_is_read_back_whole_and_in_ranges_also_after_a_restart() {
    let (folder, needed) = (tempfile::tempdir().unwrap(), needed());
    let store = open(&folder, &needed).await;
    let sizes = [1, 1_023, 16_384, 16_385, 20_480, 65_536, 65_537, 1_000_007];
    let mut held = Vec::new();
    for (seed, size) in sizes.into_iter().enumerate() {
        let bytes = noise(seed as u64, size);
        let added = store.add_reader(&bytes[..]).await.unwrap();
        assert_eq!((added.hash, added.size), (hash_of(&bytes), size as u64));
        held.push((added.hash, bytes));
    }
    let second = BlobStore::open(folder.path(), options(&needed)).await;
    assert!(matches!(second, Err(BlobError::InUse { .. })));
    store.shutdown().await;
    assert!(matches!(store.list().await, Err(BlobError::Closed)));
    drop(store);
    let store = open(&folder, &needed).await;
    assert_eq!(store.list().await.unwrap().len(), sizes.len());
    for (hash, bytes) in held {
        let size = bytes.len() as u64;
        let presence = store.presence(hash).await.unwrap();
        assert_eq!(presence, Presence::Complete { size });
        for range in [
            0..u64::MAX,
            0..1,
            1_000..1_030,
            16_380..20_000,
            size - 1..size,
            9..9,
        ] {
            let read = store.read(hash, range.clone()).await.unwrap();
            let (from, to) = (range.start.min(size), range.end.min(size));
            let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
            assert_eq!(read, bytes[from..to.max(from)], "{size} {range:?}");
        }
        assert_eq!(store.verify(hash).await.unwrap(), size);
    }
    let other = hash_of(b"never added");
    assert_eq!(store.presence(other).await.unwrap(), Presence::Absent);
    assert!(matches!(
        store.verify(other).await,
        Err(BlobError::Absent { .. })
    ));
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_whose_source_fails_leaves_nothing() {
    let keeper = Keeper::start(1).await;
    let pieces = (0..64).map(|n| Ok(noise(n, 65_536)));
    let fails = stream::iter(pieces).chain(stream::iter([Err(io::Error::other("torn out"))]));
    let failed = keeper.store.add(fails).await;
    assert!(
        matches!(&failed, Err(BlobError::Source { source }) if source.to_string() == "torn out"),
        "{failed:?}"
    );
    // Given up in the middle: the source never ends.
    let never = stream::iter((0..64).map(|n| Ok(noise(n, 65_536)))).chain(stream::pending());
    let adding = keeper.store.add(never);
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(300), adding).await;
    assert!(given_up.is_err());
    let temp = keeper.folder.path().join("temp");
    eventually("what was written is removed", || {
        std::fs::read_dir(&temp).unwrap().next().is_none()
    })
    .await;
    assert_eq!(keeper.store.list().await.unwrap(), []);
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_removes_what_nobody_names_or_guards_and_nothing_else() {
    let keeper = Keeper::start(1).await;
    let store = &keeper.store;
    let add = async |seed, len| store.add_bytes(noise(seed, len)).await.unwrap();
    let (named, guarded, other, large) = (
        add(1, 100).await,
        add(2, 100_000).await,
        add(3, 100).await,
        add(4, 300_000).await,
    );
    keeper.need(named.hash);
    let gone = [other.hash, large.hash];
    let (named, guarded_hash) = (named.hash, guarded.hash);
    drop((other, large));
    let collected = store.collect().await.unwrap();
    assert_eq!((collected.removed, collected.kept), (2, 2));
    for hash in gone {
        assert_eq!(store.presence(hash).await.unwrap(), Presence::Absent);
    }
    assert!(store.verify(named).await.is_ok() && store.verify(guarded_hash).await.is_ok());
    let files = || {
        std::fs::read_dir(keeper.folder.path().join("data"))
            .unwrap()
            .count()
    };
    eventually("only the guarded one has a file", || files() == 1).await;
    drop(guarded);
    // Where the database does not answer, nothing goes.
    *keeper.needed.lock().unwrap() = None;
    assert!(matches!(store.collect().await, Err(BlobError::Undecided)));
    assert!(store.verify(guarded_hash).await.is_ok());
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_added_while_collections_run_is_kept() {
    let keeper = Keeper::start(1).await;
    let collecting = {
        let store = keeper.store.clone();
        tokio::spawn(async move {
            loop {
                store.collect().await.unwrap();
            }
        })
    };
    let adding = (0..40).map(|seed| {
        let (store, needed) = (keeper.store.clone(), keeper.needed.clone());
        tokio::spawn(async move {
            let bytes = noise(seed, if seed % 2 == 0 { 5_000 } else { 90_000 });
            let added = store.add_bytes(bytes).await.unwrap();
            needed.lock().unwrap().as_mut().unwrap().insert(added.hash);
            added.hash
        })
    });
    for added in adding.collect::<Vec<_>>() {
        let hash = added.await.unwrap();
        assert!(keeper.store.verify(hash).await.is_ok());
    }
    collecting.abort();
    let _aborted = collecting.await;
    assert_eq!(keeper.store.collect().await.unwrap().kept, 40);
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_of_what_is_held_already_changes_nothing() {
    let keeper = Keeper::start(1).await;
    for len in [3_000, 200_000] {
        let bytes: Bytes = noise(7, len);
        let first = keeper.hold(&bytes).await;
        assert_eq!(keeper.hold(&bytes).await, first);
        assert!(keeper.holds(first, &bytes).await);
    }
    keeper.end().await;
}
