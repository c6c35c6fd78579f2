//! Several clinics, one after the other and at once; rates; collections meanwhile.

use std::time::{Duration, Instant};

use super::super::{clinic, endpoint_id};
use super::{noise, quick, three, two, wanted};
use crate::blobs::{BlobFetchError, FetchOptions, Presence, ProviderError, RateLimit, Wanted};
use crate::config::PeerAddress;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_clinics_share_a_large_blob_and_no_byte_comes_twice() {
    let [a, b, c] = three().await;
    let bytes = noise(1, 48_000_017);
    let blob = b.hold(&bytes).await;
    c.hold(&bytes).await;
    for keeper in [&b, &c] {
        keeper.grant(&a, blob);
        keeper.node.mesh.serve_limit().set(Some(40_000_000));
    }
    let stats = a.fetch(blob, &[&b, &c]).await.unwrap();
    assert_eq!(stats.bytes_received, 48_000_017);
    assert_eq!(stats.from.len(), 2, "{stats:?}");
    assert!(
        stats.from.iter().all(|(_, bytes)| *bytes > 4_000_000),
        "{stats:?}"
    );
    assert!(a.holds(blob, &bytes).await);
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_clinic_is_asked_when_one_is_away_or_has_nothing() {
    let [a, b, c] = three().await;
    let (small, large) = (noise(1, 30_000), noise(2, 20_000_000));
    // Nobody answers at this address.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    a.node.ledger.know(endpoint_id(9), clinic(9));
    a.node.mesh.set_peers(vec![
        PeerAddress {
            clinic: clinic(9),
            endpoint: endpoint_id(9),
            addresses: vec![silent.local_addr().unwrap()],
        },
        b.node.address(),
        c.node.address(),
    ]);
    for bytes in [&small, &large] {
        let blob = c.hold(bytes).await;
        c.grant(&a, blob);
        let wanted = Wanted {
            blob,
            providers: vec![clinic(9), b.clinic(), c.clinic()],
            max_bytes: bytes.len() as u64,
        };
        let began = Instant::now();
        let stats = a.node.mesh.fetch(&wanted, &quick(), None).await.unwrap();
        assert_eq!(stats.from, [(c.clinic(), bytes.len() as u64)]);
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
        assert!(a.holds(blob, bytes).await);
    }
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_part_serves_it_and_another_gives_the_rest() {
    let [a, b, c] = three().await;
    let bytes = noise(1, 30_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    a.grant(&c, blob);
    b.grant(&c, blob);
    // B has some of it.
    a.node.mesh.serve_limit().set(Some(20_000_000));
    let (progress, mut seen) = tokio::sync::watch::channel(crate::blobs::FetchProgress::default());
    let to_b = wanted(blob, &[&a]);
    let options = quick();
    tokio::select! {
        ended = b.node.mesh.fetch(&to_b, &options, Some(&progress)) => panic!("{ended:?}"),
        _ = seen.wait_for(|seen| seen.have > 6_000_000) => {}
    }
    // What was under way when the fetch was given up is taken in, or is not.
    b.store.sync().await.unwrap();
    a.node.mesh.serve_limit().set(None);
    let Presence::Partial { have: at_b, .. } = b.store.presence(blob).await.unwrap() else {
        panic!("nothing was kept of what came");
    };
    let alone = c.fetch(blob, &[&b]).await;
    assert!(
        matches!(&alone, Err(BlobFetchError::Failed { tried, .. })
            if matches!(tried[..], [(_, ProviderError::Incomplete)])),
        "{alone:?}"
    );
    let Presence::Partial { have, .. } = c.store.presence(blob).await.unwrap() else {
        panic!("nothing came of the part");
    };
    assert!(have > 0 && have == at_b, "{have} of {at_b}");
    let rest = c.fetch(blob, &[&b, &a]).await.unwrap();
    assert!(
        rest.bytes_received <= 30_000_000 - have + 32_768,
        "{rest:?}"
    );
    assert!(c.holds(blob, &bytes).await);
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_want_the_same_blob_at_once_fetch_it_once() {
    let (a, b) = two().await;
    let bytes = noise(1, 5_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    let from = [&a];
    let (one, two) = tokio::join!(b.fetch(blob, &from), b.fetch(blob, &from));
    let received = one.unwrap().bytes_received + two.unwrap().bytes_received;
    assert_eq!(received, 5_000_000);
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_are_kept_by_who_serves_and_by_who_fetches() {
    let (a, b) = two().await;
    let blob = async |seed| {
        let blob = a.hold(&noise(seed, 2_000_000)).await;
        a.grant(&b, blob);
        wanted(blob, &[&a])
    };
    let (first, second) = (blob(1).await, blob(2).await);
    a.node.mesh.serve_limit().set(Some(5_000_000));
    let stats = b.node.mesh.fetch(&first, &quick(), None).await.unwrap();
    assert!(stats.took >= Duration::from_millis(290), "{stats:?}");
    a.node.mesh.serve_limit().set(None);
    let slow = FetchOptions {
        limit: RateLimit::new(Some(5_000_000)),
        ..quick()
    };
    let stats = b.node.mesh.fetch(&second, &slow, None).await.unwrap();
    assert!(stats.took >= Duration::from_millis(290), "{stats:?}");
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_fetched_is_not_collected_though_nobody_names_it() {
    let (a, b) = two().await;
    let bytes = noise(1, 12_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    a.node.mesh.serve_limit().set(Some(30_000_000));
    let collecting = {
        let store = b.store.clone();
        tokio::spawn(async move {
            for runs in 0u64.. {
                if let Err(error) = store.collect().await {
                    return (runs, error);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            unreachable!("it counts to no end")
        })
    };
    let kept = b.store.guard(blob).await;
    let stats = b.fetch(blob, &[&a]).await.unwrap();
    assert_eq!(stats.bytes_received, 12_000_000);
    assert!(b.holds(blob, &bytes).await);
    assert!(matches!(
        b.store.discard(blob).await,
        Err(crate::blobs::BlobError::Busy { .. })
    ));
    *b.needed.lock().unwrap() = None;
    let (runs, _) = collecting.await.unwrap();
    assert!(runs > 10, "{runs}");
    drop(kept);
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_dialled_is_asked_at_the_address_it_came_from() {
    let (a, b) = two().await;
    let bytes = noise(1, 10_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    // B does not know where A is; A has dialled.
    b.node.mesh.set_peers(vec![PeerAddress {
        addresses: vec![],
        ..a.node.address()
    }]);
    let unknown = b.fetch(blob, &[&a]).await;
    assert!(
        matches!(&unknown, Err(BlobFetchError::Failed { tried, .. })
            if matches!(tried[..], [(_, ProviderError::Connection(_))])),
        "{unknown:?}"
    );
    a.node.mesh.sync(b.clinic()).await.unwrap();
    b.fetch(blob, &[&a]).await.unwrap();
    a.end().await;
    b.end().await;
}
