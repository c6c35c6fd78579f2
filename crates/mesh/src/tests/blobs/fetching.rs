//! Fetching from honest clinics.

use tokio::sync::watch;

use super::{Keeper, hash_of, noise, quick, two, wanted};
use crate::blobs::{BlobFetchError, FetchProgress, Presence};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_blob_comes_whole_and_once() {
    let (a, b) = two().await;
    for (seed, len) in [1, 16_384, 20_480, 65_536, 65_537, 3_000_001]
        .into_iter()
        .enumerate()
    {
        let bytes = noise(seed as u64, len);
        let blob = a.hold(&bytes).await;
        a.grant(&b, blob);
        let (progress, seen) = watch::channel(FetchProgress::default());
        let wanted = wanted(blob, &[&a]);
        let stats = b.node.mesh.fetch(&wanted, &quick(), Some(&progress)).await;
        let stats = stats.unwrap();
        assert_eq!(stats.bytes_received, len as u64);
        assert_eq!(stats.from, [(a.clinic(), len as u64)]);
        let end = *seen.borrow();
        assert_eq!((end.have, end.size), (len as u64, Some(len as u64)));
        assert!(b.holds(blob, &bytes).await);
        let again = b.fetch(blob, &[&a]).await.unwrap();
        assert_eq!((again.bytes_received, again.from), (0, vec![]));
    }
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_is_there_after_a_restart() {
    let (a, b) = two().await;
    let (small, large) = (noise(1, 20_000), noise(2, 2_000_000));
    let hashes = [a.hold(&small).await, a.hold(&large).await];
    for hash in hashes {
        a.grant(&b, hash);
        b.fetch(hash, &[&a]).await.unwrap();
    }
    let Keeper {
        node,
        store,
        folder,
        needed,
    } = b;
    node.mesh.shutdown().await;
    store.shutdown().await;
    drop((node, store));
    let store = super::open(&folder, &needed).await;
    for (hash, bytes) in hashes.into_iter().zip([small, large]) {
        assert_eq!(store.read(hash, 0..u64::MAX).await.unwrap(), bytes);
    }
    store.shutdown().await;
    a.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_without_anybody_to_ask_says_so() {
    let keeper = Keeper::start(1).await;
    let fetched = keeper.fetch(hash_of(b"any"), &[]).await;
    assert!(matches!(fetched, Err(BlobFetchError::NoProviders { .. })));
    let absent = keeper.store.presence(hash_of(b"any")).await.unwrap();
    assert_eq!(absent, Presence::Absent);
    keeper.end().await;
}
