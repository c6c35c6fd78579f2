//! Who is given what: strangers, clinics without a grant, requests that are not for one blob.

use std::time::Duration;

use iroh::endpoint::{Connection, ReadToEndError, VarInt};
use iroh_blobs::Hash;
use iroh_blobs::protocol::{
    ChunkRanges, ChunkRangesExt, GetManyRequest, GetRequest, ObserveRequest,
};
use salus_audit::BlobHash;
use tokio::time::timeout;

use super::super::{SOON, address, clinic, endpoint, endpoint_id};
use super::{Keeper, hash_of, noise, three, two};
use crate::blobs::{BLOBS_ALPN, BlobFetchError, ProviderError};
use crate::error::MeshError;

/// Why a hand-made request was not answered.
fn reset(answer: Result<Vec<u8>, ReadToEndError>) -> Option<VarInt> {
    match answer {
        Err(ReadToEndError::Read(iroh::endpoint::ReadError::Reset(code))) => Some(code),
        _ => None,
    }
}

async fn ask(connection: &Connection, request: &[u8]) -> Result<Vec<u8>, ReadToEndError> {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(request).await.unwrap();
    send.finish().unwrap();
    timeout(SOON, recv.read_to_end(1 << 24)).await.unwrap()
}

fn hash(blob: BlobHash) -> Hash {
    Hash::from_bytes(*blob.as_bytes())
}

/// iroh-blobs writes the kind of a request as one byte before it.
fn encoded(kind: u8, request: &impl serde::Serialize) -> Vec<u8> {
    let body = postcard::to_allocvec(request).unwrap();
    [vec![kind], body].concat()
}

fn get(blob: BlobHash) -> Vec<u8> {
    encoded(0, &GetRequest::blob(hash(blob)))
}

/// A clinic that is known, and asks by hand.
async fn by_hand(keeper: &Keeper, n: u8) -> (iroh::Endpoint, Connection) {
    keeper.node.ledger.know(endpoint_id(n), clinic(n));
    let endpoint = endpoint(n).await;
    let to = address(&keeper.node);
    let connection = endpoint.connect(to, BLOBS_ALPN).await.unwrap();
    (endpoint, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_turned_away_before_any_request() {
    let keeper = Keeper::start(1).await;
    let blob = keeper.hold(&noise(1, 50_000)).await;
    let endpoint = endpoint(9).await;
    let to = address(&keeper.node);
    let Ok(connection) = endpoint.connect(to, BLOBS_ALPN).await else {
        return;
    };
    let asks = async {
        let (mut send, mut recv) = connection.open_bi().await.ok()?;
        send.write_all(&get(blob)).await.ok()?;
        send.finish().ok()?;
        recv.read_to_end(1 << 20).await.ok()
    };
    assert_eq!(timeout(SOON, asks).await.unwrap(), None);
    let closed = timeout(SOON, connection.closed()).await.unwrap();
    assert!(closed.to_string().contains("unknown"), "{closed}");
    assert_eq!(keeper.node.ledger.asked(), 0);
    endpoint.close().await;
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_a_held_blob_looks_like_one_that_does_not_exist() {
    let [a, b, c] = three().await;
    let blob = a.hold(&noise(1, 300_000)).await;
    let small = a.hold(&noise(2, 300)).await;
    a.grant(&b, blob);
    a.grant(&b, hash_of(b"granted, and not held"));
    let not_held = b.fetch(hash_of(b"granted, and not held"), &[&a]).await;
    for hash in [blob, small, hash_of(b"nowhere")] {
        let answer = c.fetch(hash, &[&a]).await;
        assert!(
            matches!(&answer, Err(BlobFetchError::Failed { tried, .. })
                if matches!(tried[..], [(_, ProviderError::NotFound)])),
            "{answer:?}"
        );
        let (same, other) = (answer.unwrap_err(), not_held.as_ref().unwrap_err());
        let text = |error: &BlobFetchError| error.to_string().split_once(':').unwrap().1.to_owned();
        assert_eq!(text(&same), text(other));
    }
    assert!(b.fetch(blob, &[&a]).await.is_ok());
    // On the wire, too: one code, no byte, one connection that stands.
    let (endpoint, connection) = by_hand(&a, 7).await;
    for hash in [blob, small, hash_of(b"nowhere")] {
        assert_eq!(reset(ask(&connection, &get(hash)).await), Some(1u32.into()));
    }
    assert!(connection.close_reason().is_none());
    endpoint.close().await;
    for keeper in [a, b, c] {
        keeper.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_anything_but_one_blob_are_refused_like_a_blob_that_is_not_there() {
    let keeper = Keeper::start(1).await;
    let (bytes, child) = (noise(1, 40_000), noise(2, 40_000));
    let child_hash = keeper.hold(&child).await;
    let blob = keeper.hold(&bytes).await;
    // A sequence of hashes with the child in it: what it names is not in the request.
    let sequence = bytes::Bytes::copy_from_slice(child_hash.as_bytes());
    let sequence = keeper.hold(&sequence).await;
    let (endpoint, connection) = by_hand(&keeper, 7).await;
    for granted in [blob, sequence] {
        keeper.node.ledger.grant(clinic(7), granted);
    }
    let many: GetManyRequest = [hash(blob)].into_iter().collect();
    let pushed = encoded(0, &GetRequest::blob(hash(blob)));
    let mut push = vec![8];
    push.push(u8::try_from(pushed.len() - 1).unwrap());
    push.extend_from_slice(&pushed[1..]);
    push.extend_from_slice(&noise(3, 1_000));
    let requests = [
        ("many", encoded(9, &many)),
        ("observe", encoded(1, &ObserveRequest::new(hash(blob)))),
        ("push", push),
        ("children", encoded(0, &GetRequest::all(hash(sequence)))),
        ("nothing", vec![]),
        ("another kind", vec![5, 1, 2, 3]),
        ("garbage", noise(4, 9_000).to_vec()),
        ("too long", vec![0; 20_000]),
    ];
    for (what, request) in requests {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        // A request that is refused may be stopped before all of it was sent.
        let _stopped = send.write_all(&request).await;
        let _stopped = send.finish();
        let answer = timeout(SOON, recv.read_to_end(1 << 20)).await.unwrap();
        assert_eq!(reset(answer), Some(1u32.into()), "{what}");
    }
    // The connection stands, and what is allowed is given.
    let whole = ask(&connection, &get(blob)).await.unwrap();
    assert!(whole.len() > bytes.len());
    let part = GetRequest::blob_ranges(hash(blob), ChunkRanges::bytes(0..1_000));
    let part = ask(&connection, &encoded(0, &part)).await.unwrap();
    assert!(part.len() > 1_000 && part.len() < 20_000);
    endpoint.close().await;
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_withdrawn_ends_what_is_being_sent_and_what_is_asked_next() {
    let (a, b) = two().await;
    let bytes = noise(1, 60_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    a.node.mesh.serve_limit().set(Some(20_000_000));
    let fetched = async { b.fetch(blob, &[&a]).await };
    let withdrawn = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        a.node.ledger.withdraw(b.clinic(), blob);
    };
    let (fetched, ()) = tokio::join!(fetched, withdrawn);
    assert!(
        matches!(&fetched, Err(BlobFetchError::Failed { tried, .. })
            if matches!(tried[..], [(_, ProviderError::NotFound)])),
        "{fetched:?}"
    );
    let again = b.fetch(blob, &[&a]).await;
    assert!(matches!(again, Err(BlobFetchError::Failed { .. })));
    a.node.mesh.serve_limit().set(None);
    a.grant(&b, blob);
    let rest = b.fetch(blob, &[&a]).await.unwrap();
    assert!(
        rest.bytes_received < 60_000_000,
        "what came was thrown away"
    );
    assert!(b.holds(blob, &bytes).await);
    // Whoever is not known any more gets nothing over a connection that stands.
    let other = a.hold(&noise(2, 1_000)).await;
    a.grant(&b, other);
    a.node.ledger.forget(b.node.mesh.endpoint_id());
    assert!(b.fetch(other, &[&a]).await.is_err());
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_has_a_few_streams_and_its_newest_connections() {
    let keeper = Keeper::start(1).await;
    let (endpoint, first) = by_hand(&keeper, 7).await;
    let mut connections = vec![first];
    for _ in 0..5 {
        let to = address(&keeper.node);
        let connection = endpoint.connect(to, BLOBS_ALPN).await.unwrap();
        // It is counted once it is answered.
        assert_eq!(
            reset(ask(&connection, &get(hash_of(b"any"))).await),
            Some(1u32.into())
        );
        connections.push(connection);
    }
    let newest = connections.split_off(4);
    for old in connections {
        let closed = timeout(SOON, old.closed()).await.unwrap();
        assert!(closed.to_string().contains("duplicate"), "{closed}");
    }
    let mut streams = vec![];
    while let Ok(opened) = timeout(Duration::from_millis(300), newest[0].open_bi()).await {
        let (mut send, recv) = opened.unwrap();
        send.write_all(&[0]).await.unwrap();
        streams.push((send, recv));
    }
    // The first one may not have been forgotten yet.
    assert!((31..=32).contains(&streams.len()), "{}", streams.len());
    while streams.len() < 32 {
        let (mut send, recv) = newest[1].open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        streams.push((send, recv));
    }
    // All that one clinic may have under way are under way: the next is told so.
    let busy = ask(&newest[1], &get(hash_of(b"any"))).await;
    assert_eq!(reset(busy), Some(2u32.into()));
    drop(streams);
    endpoint.close().await;
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_store_neither_serves_nor_fetches() {
    let a = super::super::Node::start(super::super::config(1)).await;
    let b = Keeper::start(2).await;
    a.knows(&[&b.node]);
    b.node.knows(&[&a]);
    let blob = b.hold(&noise(1, 100)).await;
    let wanted = crate::blobs::Wanted {
        blob: hash_of(b"another"),
        providers: vec![a.clinic],
        max_bytes: 100,
    };
    let fetched = b.node.mesh.fetch(&wanted, &super::quick(), None).await;
    assert!(
        matches!(&fetched, Err(BlobFetchError::Failed { tried, .. })
            if matches!(tried[..], [(_, ProviderError::Connection(MeshError::Interrupted { .. }))])),
        "{fetched:?}"
    );
    let wanted = crate::blobs::Wanted { blob, ..wanted };
    let none = a.mesh.fetch(&wanted, &super::quick(), None).await;
    assert!(matches!(none, Err(BlobFetchError::NoStore)));
    a.mesh.shutdown().await;
    b.end().await;
}
