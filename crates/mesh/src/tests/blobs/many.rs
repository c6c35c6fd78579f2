//! Many small blobs.

use tokio::sync::watch;

use super::{hash_of, noise, quick, three, two};
use crate::blobs::{BlobFetchError, ManyProgress, Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_blobs_come_from_who_has_them_and_the_others_are_named() {
    let [a, b, c] = three().await;
    let mut list = Vec::new();
    let mut expected = Vec::new();
    for n in 0..200_u64 {
        let bytes = noise(n, if n % 50 == 0 { 150_000 } else { 20_480 });
        let blob = hash_of(&bytes);
        // A third each: at B, at C, at both; every tenth not granted.
        let holders = [(&b, n % 3 != 1), (&c, n % 3 != 0)];
        for (keeper, _) in holders.iter().filter(|(_, holds)| *holds) {
            keeper.hold(&bytes).await;
            if n % 10 != 9 {
                keeper.grant(&a, blob);
            }
        }
        list.push(Wanted {
            blob,
            providers: vec![b.clinic(), c.clinic()],
            max_bytes: bytes.len() as u64,
        });
        expected.push((bytes, n % 10 != 9));
    }
    let (progress, seen) = watch::channel(ManyProgress::default());
    let answers = a
        .node
        .mesh
        .fetch_many(list.clone(), &quick(), Some(&progress))
        .await;
    assert_eq!(answers.len(), 200);
    for ((wanted, (bytes, given)), answer) in list.iter().zip(&expected).zip(&answers) {
        if *given {
            assert_eq!(answer.as_ref().unwrap().bytes_received, wanted.max_bytes);
            assert!(a.holds(wanted.blob, bytes).await);
        } else {
            assert!(
                matches!(answer, Err(BlobFetchError::Failed { tried, .. }) if tried.len() == 2)
            );
        }
    }
    let progress = *seen.borrow();
    assert_eq!((progress.done, progress.failed), (180, 20));
    let again = a.node.mesh.fetch_many(list, &quick(), None).await;
    let received: u64 = again
        .iter()
        .flatten()
        .map(|stats| stats.bytes_received)
        .sum();
    assert_eq!(received, 0);
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_and_the_same_one_twice_are_no_trouble() {
    let (a, b) = two().await;
    assert!(
        b.node
            .mesh
            .fetch_many(vec![], &quick(), None)
            .await
            .is_empty()
    );
    let blob = a.hold(&noise(1, 20_480)).await;
    a.grant(&b, blob);
    let answers = b
        .node
        .mesh
        .fetch_many(vec![super::wanted(blob, &[&a]); 5], &quick(), None)
        .await;
    let received: u64 = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().bytes_received)
        .sum();
    assert_eq!(received, 20_480);
    a.end().await;
    b.end().await;
}
