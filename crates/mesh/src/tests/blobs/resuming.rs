//! Cuts: what arrived is not sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iroh::Endpoint;
use iroh_blobs::provider::{events::EventSender, handle_connection};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::super::{clinic, endpoint_id, endpoint_with};
use super::{Keeper, noise, quick, two, wanted};
use crate::blobs::{BLOBS_ALPN, BlobStore, Presence, Wanted};
use crate::config::PeerAddress;

/// A clinic's endpoint that serves a store honestly, and closes its connections when some bytes were sent.
struct Cutter {
    endpoint: Endpoint,
    serving: JoinHandle<()>,
    /// Bytes of all packets that were sent.
    sent: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Cutter {
    /// Cuts after so many bytes, one after the other, and then not any more.
    async fn start(n: u8, store: &BlobStore, cut_after: Vec<u64>) -> Self {
        let endpoint = endpoint_with(n, &[BLOBS_ALPN]).await;
        let (sent, cuts) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let store = (*store.inner.store).clone();
        let plan = Arc::new(Mutex::new(cut_after.into_iter()));
        let serving = tokio::spawn({
            let (endpoint, sent, cuts) = (endpoint.clone(), sent.clone(), cuts.clone());
            async move {
                while let Some(incoming) = endpoint.accept().await {
                    let Ok(connection) = incoming.await else {
                        continue;
                    };
                    let serving =
                        handle_connection(connection.clone(), store.clone(), EventSender::DEFAULT);
                    tokio::spawn(serving);
                    let after = plan.lock().await.next();
                    let (sent, cuts) = (sent.clone(), cuts.clone());
                    tokio::spawn(async move {
                        let bytes = || connection.stats().udp_tx.bytes;
                        while connection.close_reason().is_none() {
                            if after.is_some_and(|after| bytes() >= after) {
                                cuts.fetch_add(1, Ordering::SeqCst);
                                connection.close(9u32.into(), b"cut");
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        sent.fetch_add(bytes(), Ordering::SeqCst);
                    });
                }
            }
        });
        Self {
            endpoint,
            serving,
            sent,
            cuts,
        }
    }

    /// Makes it known to a keeper as a clinic.
    fn known_to(&self, keeper: &Keeper, n: u8) -> Vec<salus_audit::ClinicId> {
        keeper.node.ledger.know(endpoint_id(n), clinic(n));
        keeper.node.mesh.set_peers(vec![PeerAddress {
            clinic: clinic(n),
            endpoint: endpoint_id(n),
            addresses: self.endpoint.bound_sockets(),
        }]);
        vec![clinic(n)]
    }

    async fn end(self) -> (u64, u64) {
        self.endpoint.close().await;
        self.serving.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
        (
            self.sent.load(Ordering::SeqCst),
            self.cuts.load(Ordering::SeqCst),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_cuts_at_random_points_send_at_most_2_percent_twice() {
    let source = Keeper::start(1).await;
    let bytes = noise(20, 48 << 20);
    let size = bytes.len() as u64;
    let blob = source.hold(&bytes).await;
    let mut sent = Vec::new();
    for cut in [false, true] {
        let random = noise(21, 20 * 8);
        let points = random.chunks(8).map(|random| {
            let random = u64::from_le_bytes(random.try_into().unwrap());
            100_000 + random % (size / 16)
        });
        let points = if cut { points.collect() } else { Vec::new() };
        let cutter = Cutter::start(9, &source.store, points).await;
        let keeper = Keeper::start(2).await;
        let wanted = Wanted {
            blob,
            providers: cutter.known_to(&keeper, 9),
            max_bytes: size,
        };
        let mut received = 0;
        for tries in 0.. {
            let (progress, seen) = tokio::sync::watch::channel(Default::default());
            match keeper
                .node
                .mesh
                .fetch(&wanted, &quick(), Some(&progress))
                .await
            {
                Ok(stats) => {
                    received += stats.bytes_received;
                    break;
                }
                // Two cuts in a row, before anything came.
                Err(error) => {
                    assert!(tries < 20, "{error}");
                    assert!(seen.borrow().have <= size);
                }
            }
        }
        assert!(keeper.holds(blob, &bytes).await);
        let (wire, cuts) = cutter.end().await;
        println!("{cuts} cuts: {received} of {size} bytes received, {wire} on the wire");
        assert!(received <= size + size / 50, "{received}");
        sent.push((wire, cuts));
        keeper.end().await;
    }
    let [(whole, _), (pieces, cuts)] = sent[..] else {
        panic!("two runs");
    };
    assert_eq!(cuts, 20);
    assert!(
        pieces <= whole + whole / 50,
        "{pieces} bytes instead of {whole}"
    );
    source.end().await;
}

/// What a crash leaves: the files as they are, without any goodbye.
fn crash_image(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            crash_image(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_killed_in_the_middle_goes_on_where_it_was() {
    let (a, b) = two().await;
    let bytes = noise(1, 24_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    let image = tempfile::tempdir().unwrap();
    let before = {
        let (progress, mut seen) =
            tokio::sync::watch::channel(crate::blobs::FetchProgress::default());
        let (wanted, quick) = (wanted(blob, &[&a]), quick());
        let fetching = b.node.mesh.fetch(&wanted, &quick, Some(&progress));
        let killed = async {
            seen.wait_for(|seen| seen.have > 10_000_000).await.unwrap();
            // The line goes dead, and iroh-blobs has written what it does within half a second.
            a.node.mesh.serve_limit().set(Some(1));
            tokio::time::sleep(Duration::from_millis(800)).await;
            crash_image(b.folder.path(), image.path());
            seen.borrow().have
        };
        tokio::select! {
            ended = fetching => panic!("{ended:?}"),
            before = killed => before,
        }
    };
    a.node.mesh.serve_limit().set(None);
    b.node.mesh.shutdown().await;
    b.store.shutdown().await;
    let store = super::open(&image, &b.needed).await;
    assert_eq!(store.repairs().dropped, []);
    let Presence::Partial { have, .. } = store.presence(blob).await.unwrap() else {
        panic!("not partly held");
    };
    assert!(
        have > 10_000_000 && have + 2_000_000 > before,
        "{have} of {before}"
    );
    let again = super::super::Node::start(crate::config::MeshConfig {
        blobs: Some(store.clone()),
        ..super::config(2)
    })
    .await;
    again.knows(&[&a.node]);
    // The address of the node that was killed is another one's now.
    let stats = again
        .mesh
        .fetch(&wanted(blob, &[&a]), &quick(), None)
        .await
        .unwrap();
    assert!(
        stats.bytes_received <= 24_000_000 - have + 32_768,
        "{stats:?}"
    );
    assert_eq!(store.read(blob, 0..u64::MAX).await.unwrap(), bytes);
    again.mesh.shutdown().await;
    store.shutdown().await;
    a.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_was_given_up_is_gone_on_with() {
    let (a, b) = two().await;
    let bytes = noise(1, 16_000_000);
    let blob = a.hold(&bytes).await;
    a.grant(&b, blob);
    b.need(blob);
    a.node.mesh.serve_limit().set(Some(20_000_000));
    let mut received = 0;
    for _ in 0..5 {
        let (progress, mut seen) =
            tokio::sync::watch::channel(crate::blobs::FetchProgress::default());
        let before = match b.store.presence(blob).await.unwrap() {
            Presence::Partial { have, .. } => have,
            _ => 0,
        };
        let (wanted, quick) = (wanted(blob, &[&a]), quick());
        let fetching = b.node.mesh.fetch(&wanted, &quick, Some(&progress));
        tokio::select! {
            ended = fetching => panic!("{ended:?}"),
            _ = seen.wait_for(|seen| seen.have > before + 1_000_000) => {}
        }
        let now = seen.borrow().have;
        received += now - before;
        // What it is given up for may collect, too.
        b.store.collect().await.unwrap();
    }
    a.node.mesh.serve_limit().set(None);
    let rest = b.fetch(blob, &[&a]).await.unwrap();
    let all = received + rest.bytes_received;
    assert!(all <= 16_000_000 + 320_000, "{all}");
    assert!(b.holds(blob, &bytes).await);
    a.end().await;
    b.end().await;
}
