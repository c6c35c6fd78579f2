//! Clinics that lie, stall and break off.

use std::future::Future;
use std::time::{Duration, Instant};

use iroh::Endpoint;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use salus_audit::{BlobHash, ClinicId};
use tokio::task::JoinHandle;

use super::super::{clinic, endpoint_id, endpoint_with};
use super::{Keeper, hash_of, noise, quick, three};
use crate::blobs::{BLOBS_ALPN, BlobFetchError, FetchOptions, Presence, ProviderError, Wanted};
use crate::config::PeerAddress;

/// A clinic's endpoint that answers each request as it likes.
struct Liar {
    clinic: ClinicId,
    endpoint: Endpoint,
    answering: JoinHandle<()>,
}

impl Liar {
    async fn start<F>(n: u8, answer: impl Fn(Connection, SendStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let endpoint = endpoint_with(n, &[BLOBS_ALPN]).await;
        let answering = tokio::spawn({
            let endpoint = endpoint.clone();
            async move {
                while let Some(incoming) = endpoint.accept().await {
                    let Ok(connection) = incoming.await else {
                        continue;
                    };
                    while let Ok((send, recv)) = connection.accept_bi().await {
                        drain(recv).await;
                        tokio::spawn(answer(connection.clone(), send));
                    }
                }
            }
        });
        Self {
            clinic: clinic(n),
            endpoint,
            answering,
        }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress {
            clinic: self.clinic,
            endpoint: *self.endpoint.id().as_bytes(),
            addresses: self.endpoint.bound_sockets(),
        }
    }

    async fn end(self) {
        self.answering.abort();
        self.endpoint.close().await;
    }
}

async fn drain(mut recv: RecvStream) {
    let _request = recv.read_to_end(1 << 20).await;
}

/// Asks a liar, and then whether anything was kept.
async fn ask(
    keeper: &Keeper,
    liar: &Liar,
    blob: BlobHash,
    max_bytes: u64,
) -> (ProviderError, Presence) {
    ask_with(keeper, liar, blob, max_bytes, &quick()).await
}

async fn ask_with(
    keeper: &Keeper,
    liar: &Liar,
    blob: BlobHash,
    max_bytes: u64,
    options: &FetchOptions,
) -> (ProviderError, Presence) {
    keeper
        .node
        .ledger
        .know(endpoint_id(liar.clinic.as_bytes()[0]), liar.clinic);
    keeper.node.mesh.set_peers(vec![liar.address()]);
    let wanted = Wanted {
        blob,
        providers: vec![liar.clinic],
        max_bytes,
    };
    let fetched = keeper.node.mesh.fetch(&wanted, options, None).await;
    let Err(BlobFetchError::Failed { mut tried, .. }) = fetched else {
        panic!("{fetched:?}");
    };
    let presence = keeper.store.presence(blob).await.unwrap();
    (tried.pop().unwrap().1, presence)
}

async fn say(mut send: SendStream, bytes: Vec<u8>) {
    let _left = send.write_all(&bytes).await;
    let _left = send.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_beyond_what_was_expected_is_refused_before_a_byte_is_taken() {
    let keeper = Keeper::start(1).await;
    let blob = hash_of(b"some blob");
    for (n, size) in (10..).zip([1_001, 1 << 40, u64::MAX / 2, u64::MAX - 1, u64::MAX]) {
        let liar = Liar::start(n, move |_, send| {
            let bytes = [size.to_le_bytes().to_vec(), vec![7; 100_000]].concat();
            say(send, bytes)
        })
        .await;
        let (error, presence) = ask(&keeper, &liar, blob, 1_000).await;
        assert!(
            matches!(error, ProviderError::TooLarge { size: said, max_bytes: 1_000 } if said == size),
            "{error}"
        );
        assert_eq!(presence, Presence::Absent);
        liar.end().await;
    }
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_or_content_that_is_not_of_the_blob_is_refused_and_not_kept() {
    let keeper = Keeper::start(1).await;
    for (n, len) in (10..).zip([500_usize, 20_000, 200_000, 3_000_000]) {
        let bytes = noise(u64::from(n), len);
        let blob = hash_of(&bytes);
        let other = noise(u64::from(n) + 100, len);
        let sizes = [0, len as u64, len as u64 + 1, 70_000, 1 << 39, u64::MAX];
        for (k, size) in (0..).zip(sizes) {
            let other = other.clone();
            let liar = Liar::start(n * 6 + k, move |_, send| {
                say(send, [&size.to_le_bytes()[..], &other[..]].concat())
            })
            .await;
            let (error, presence) = ask(&keeper, &liar, blob, u64::MAX).await;
            assert!(
                matches!(error, ProviderError::Lied | ProviderError::Incomplete),
                "{len} {size}: {error}"
            );
            // Nothing was verified, so nothing is held, whatever files there may be.
            let nothing = match presence {
                Presence::Absent => true,
                Presence::Partial { have, size } => have == 0 && size.is_none(),
                Presence::Complete { .. } => false,
            };
            assert!(nothing, "{len} {size}: {presence:?}");
            liar.end().await;
        }
    }
    keeper.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_lie_is_kept_and_the_rest_comes_from_another() {
    let [a, b, _] = three().await;
    let bytes = noise(1, 6_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    let address = iroh_blobs::Hash::from_bytes(*blob.as_bytes());
    let all = iroh_blobs::protocol::ChunkRanges::all();
    let encoded = a.store.inner.store.export_bao(address, all);
    let mut encoded = encoded.bao_to_vec().await.unwrap();
    encoded[4_000_000] ^= 1;
    let liar = Liar::start(10, move |_, send| say(send, encoded.clone())).await;
    let (error, presence) = ask(&b, &liar, blob, 6_000_000).await;
    assert!(matches!(error, ProviderError::Lied), "{error}");
    let Presence::Partial { have, .. } = presence else {
        panic!("{presence:?}");
    };
    assert!((3_900_000..4_000_000).contains(&have), "{have}");
    // With both to ask, the liar first.
    b.node
        .mesh
        .set_peers(vec![liar.address(), a.node.address()]);
    let wanted = Wanted {
        blob,
        providers: vec![liar.clinic, a.clinic()],
        max_bytes: 6_000_000,
    };
    let stats = b.node.mesh.fetch(&wanted, &quick(), None).await.unwrap();
    assert!(stats.bytes_received < 2_200_000, "{stats:?}");
    assert!(b.holds(blob, &bytes).await);
    liar.end().await;
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_that_stalls_or_breaks_off_is_left_in_time() {
    let keeper = Keeper::start(1).await;
    let blob = hash_of(b"some blob");
    // Nothing at all; a size and then nothing; an end; a connection that goes.
    let silent = Liar::start(10, |_, send| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(send);
    });
    let half = Liar::start(11, |_, mut send| async move {
        let _left = send.write_all(&1_000_000u64.to_le_bytes()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let (silent, half) = (silent.await, half.await);
    let impatient = FetchOptions {
        stall: Duration::from_secs(1),
        ..quick()
    };
    for liar in [silent, half] {
        let began = Instant::now();
        let (error, _) = ask_with(&keeper, &liar, blob, 1 << 30, &impatient).await;
        assert!(
            matches!(error, ProviderError::Stalled { after_s: 1 }),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(15));
        liar.end().await;
    }
    let ends = Liar::start(12, |_, send| say(send, vec![])).await;
    let (error, _) = ask(&keeper, &ends, blob, 1 << 30).await;
    assert!(matches!(error, ProviderError::NotFound), "{error}");
    ends.end().await;
    let goes = Liar::start(13, |connection, mut send| async move {
        let _left = send.write_all(&1_000_000u64.to_le_bytes()).await;
        connection.close(9u32.into(), b"words that may be anything");
    })
    .await;
    let (error, _) = ask(&keeper, &goes, blob, 1 << 30).await;
    let text = error.to_string();
    assert!(matches!(error, ProviderError::Interrupted { .. }), "{text}");
    assert!(!text.contains("anything"), "{text}");
    goes.end().await;
    keeper.end().await;
}
