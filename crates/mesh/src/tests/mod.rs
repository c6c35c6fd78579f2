//! Real endpoints on loopback.

mod blobs;
mod memory;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};
use salus_audit::{ClinicId, LogId};
use salus_sync::Violation;
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::config::{MeshConfig, Network, PeerAddress};
use crate::error::MeshError;
use crate::mesh::{ALPN, Mesh};
use crate::status::MeshEvent;
use memory::Memory;

const SOON: Duration = Duration::from_secs(20);

struct Node {
    clinic: ClinicId,
    ledger: Arc<Memory>,
    mesh: Mesh,
}

fn clinic(n: u8) -> ClinicId {
    ClinicId::from_bytes([n; 32])
}

fn config(n: u8) -> MeshConfig {
    let listen = "127.0.0.1:0".parse().unwrap();
    MeshConfig::new([n; 32], clinic(n), listen, Network::Loopback)
}

fn endpoint_id(n: u8) -> [u8; 32] {
    *SecretKey::from_bytes(&[n; 32]).public().as_bytes()
}

fn log(n: u16) -> LogId {
    let mut id = [0x5a; 32];
    id[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
    id[2..4].copy_from_slice(&n.to_be_bytes());
    LogId::from_bytes(id)
}

impl Node {
    async fn start(config: MeshConfig) -> Self {
        let clinic = config.me;
        let ledger = Arc::new(Memory::new(clinic, Duration::from_millis(1)));
        Self::with(config, ledger).await
    }

    async fn with(config: MeshConfig, ledger: Arc<Memory>) -> Self {
        let clinic = config.me;
        let mesh = Mesh::start(config, ledger.clone()).await.unwrap();
        Self {
            clinic,
            ledger,
            mesh,
        }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress {
            clinic: self.clinic,
            endpoint: self.mesh.endpoint_id(),
            addresses: self.mesh.addresses(),
        }
    }

    fn knows(&self, others: &[&Node]) {
        for other in others {
            self.ledger.know(other.mesh.endpoint_id(), other.clinic);
        }
        self.mesh
            .set_peers(others.iter().map(|other| other.address()).collect());
    }

    fn edit(&self, log: LogId) {
        self.mesh.log_changed(self.ledger.write(log, 500));
    }
}

async fn pair() -> (Node, Node) {
    let (a, b) = (Node::start(config(1)).await, Node::start(config(2)).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    (a, b)
}

/// The first event that fits.
async fn event(
    events: &mut broadcast::Receiver<MeshEvent>,
    fits: impl Fn(&MeshEvent) -> bool,
) -> MeshEvent {
    let find = async {
        loop {
            match events.recv().await {
                Ok(event) if fits(&event) => return event,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => panic!("the mesh ended"),
            }
        }
    };
    timeout(SOON, find).await.expect("it happens soon")
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clinics_hold_the_same_after_a_sync() {
    let (a, b) = pair().await;
    for n in 0..300 {
        a.ledger.write(log(n), 100);
        b.ledger.write(log(n + 150), 100);
    }
    let mut events = b.mesh.subscribe();
    let stats = a.mesh.sync(b.clinic).await.unwrap();
    assert_eq!(
        (stats.sent, stats.received, stats.unresolved),
        (300, 300, 0)
    );
    event(&mut events, |event| {
        matches!(event, MeshEvent::InStep { .. })
    })
    .await;
    for n in 0..450 {
        assert_eq!(a.ledger.heights_of(log(n)), b.ledger.heights_of(log(n)));
    }
    let again = b.mesh.sync(a.clinic).await.unwrap();
    assert_eq!((again.sent, again.received), (0, 0));
    let status = &a.mesh.peers().await[0];
    assert!(status.connected && status.last_error.is_none() && status.rtt.is_some());
    assert_eq!(status.behind, Some(0));
    assert!(status.in_step_at_ms.is_some());
    assert!(
        status
            .path
            .as_ref()
            .is_some_and(|path| path.contains("127.0.0.1")),
        "{status:?}"
    );
    a.mesh.shutdown().await;
    b.mesh.shutdown().await;
    assert!(matches!(
        a.mesh.sync(b.clinic).await,
        Err(MeshError::Closed)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_travels_along_a_line_of_three_daemons() {
    let nodes = [
        Node::start(config(1)).await,
        Node::start(config(2)).await,
        Node::start(config(3)).await,
    ];
    let [a, b, c] = &nodes;
    a.knows(&[b]);
    b.knows(&[a, c]);
    c.knows(&[b]);
    for node in &nodes {
        node.mesh.keep_connected(true);
    }
    a.edit(log(1));
    c.edit(log(2));
    eventually("all have both", || {
        nodes.iter().all(|node| node.ledger.entries() == 2)
    })
    .await;
    a.edit(log(1));
    eventually("all have all", || {
        nodes.iter().all(|node| node.ledger.entries() == 3)
    })
    .await;
    for node in &nodes {
        node.mesh.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_dial_at_the_same_time() {
    for round in 0..10 {
        let (a, b) = pair().await;
        a.edit(log(round));
        b.edit(log(round + 100));
        let both = tokio::join!(a.mesh.sync(b.clinic), b.mesh.sync(a.clinic));
        both.0.unwrap();
        both.1.unwrap();
        assert_eq!((a.ledger.entries(), b.ledger.entries()), (2, 2));
        tokio::join!(a.mesh.shutdown(), b.mesh.shutdown());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_endpoint_is_refused_and_told_so() {
    let (a, b) = (Node::start(config(1)).await, Node::start(config(2)).await);
    b.edit(log(1));
    a.knows(&[&b]);
    let mut events = b.mesh.subscribe();
    let refused = a.mesh.sync(b.clinic).await;
    assert!(
        matches!(refused, Err(MeshError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(a.ledger.entries(), 0);
    assert!(events.try_recv().is_err(), "a stranger is no event");
    assert!(b.mesh.peers().await.is_empty());
    let status = &a.mesh.peers().await[0];
    assert!(
        status
            .last_error
            .as_ref()
            .is_some_and(|error| error.contains("does not know"))
    );
    // Whom the own ledger does not know is not dialled.
    let unknown = b.mesh.sync(a.clinic).await;
    assert!(matches!(unknown, Err(MeshError::UnknownPeer { .. })));
    b.mesh.set_peers(vec![a.address()]);
    let unknown = b.mesh.sync(a.clinic).await;
    assert!(
        matches!(unknown, Err(MeshError::UnknownPeer { .. })),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_that_cannot_be_reached_is_reported_within_the_time() {
    let mut quick = config(1);
    quick.timing.dial_ms = 300;
    let a = Node::start(quick).await;
    let address = |addresses| PeerAddress {
        clinic: clinic(9),
        endpoint: endpoint_id(9),
        addresses,
    };
    a.ledger.know(endpoint_id(9), clinic(9));
    // A port that nobody has, an address that loopback mode does not look at, none at all.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    a.mesh
        .set_peers(vec![address(vec![silent.local_addr().unwrap()])]);
    let began = Instant::now();
    let error = a.mesh.sync(clinic(9)).await;
    assert!(
        matches!(error, Err(MeshError::Unreachable { after_s: 1, .. })),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    a.mesh
        .set_peers(vec![address(vec!["8.8.8.8:4433".parse().unwrap()])]);
    let error = a.mesh.sync(clinic(9)).await;
    assert!(
        matches!(error, Err(MeshError::NoAddress { .. })),
        "{error:?}"
    );
    a.mesh.set_peers(vec![address(vec![])]);
    let error = a.mesh.sync(clinic(9)).await;
    assert!(
        matches!(error, Err(MeshError::NoAddress { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_address_that_does_not_fit_the_network_is_not_listened_on() {
    let ledger = Arc::new(Memory::new(clinic(1), Duration::ZERO));
    let mut wide = config(1);
    wide.listen = "0.0.0.0:0".parse().unwrap();
    let error = Mesh::start(wide, ledger.clone()).await;
    assert!(matches!(error, Err(MeshError::NotLoopback { .. })));
    let first = Mesh::start(config(1), ledger.clone()).await.unwrap();
    let mut same = config(2);
    same.listen = first.addresses()[0];
    let error = Mesh::start(same, ledger).await;
    assert!(matches!(error, Err(MeshError::Bind { .. })));
}

/// An endpoint that is known to a node and speaks by hand.
async fn by_hand(node: &Node, n: u8) -> (Endpoint, Connection, SendStream, RecvStream) {
    let (endpoint, connection) = dial_by_hand(node, n).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&[1]).await.unwrap();
    (endpoint, connection, send, recv)
}

async fn dial_by_hand(node: &Node, n: u8) -> (Endpoint, Connection) {
    node.ledger.know(endpoint_id(n), clinic(n));
    let endpoint = endpoint(n).await;
    let connection = endpoint.connect(address(node), ALPN).await.unwrap();
    (endpoint, connection)
}

async fn endpoint(n: u8) -> Endpoint {
    endpoint_with(n, &[]).await
}

async fn endpoint_with(n: u8, alpns: &[&[u8]]) -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .alpns(alpns.iter().map(|alpn| alpn.to_vec()).collect())
        .secret_key(SecretKey::from_bytes(&[n; 32]))
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

fn address(node: &Node) -> EndpointAddr {
    let id = EndpointId::from_bytes(&node.mesh.endpoint_id()).unwrap();
    EndpointAddr::new(id).with_ip_addr(node.mesh.addresses()[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_learn_nothing_and_do_not_keep_friends_out() {
    let mut narrow = config(2);
    narrow.timing.max_handshakes = 4;
    let (a, b) = (Node::start(config(1)).await, Node::start(narrow).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    b.edit(log(1));
    let strangers = (50..58).map(|n| async move { (n, endpoint(n).await) });
    let strangers = futures_util::future::join_all(strangers).await;
    let to = address(&b);
    let attempts = strangers.iter().map(|(_, endpoint)| {
        let to = to.clone();
        async move {
            // The handshake may succeed at the dialling side before it is told that it is unknown.
            let Ok(connection) = endpoint.connect(to, ALPN).await else {
                return;
            };
            let said = async { connection.accept_bi().await.is_ok() };
            tokio::select! {
                heard = said => assert!(!heard, "a stranger was spoken to"),
                closed = connection.closed() => {
                    assert!(closed.to_string().contains("unknown"), "{closed}");
                }
            }
        }
    });
    futures_util::future::join_all(attempts).await;
    assert_eq!(a.mesh.sync(b.clinic).await.unwrap().received, 1);
    assert!(
        b.mesh
            .peers()
            .await
            .iter()
            .all(|peer| peer.clinic == a.clinic)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_after_the_handshake_ends_that_connection_only() {
    let mut strict = config(2);
    strict.timing.shun_ms = 60_000;
    let (a, b) = (Node::start(config(1)).await, Node::start(strict).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    a.mesh.sync(b.clinic).await.unwrap();
    let mut events = b.mesh.subscribe();
    // No frame at all; a length beyond every limit; a frame that is not one; a frame out of turn.
    let mut garbage: Vec<Vec<u8>> = vec![
        vec![0xff; 3_000],
        [&u32::MAX.to_be_bytes()[..], &[0; 100]].concat(),
        [&[0, 0, 0, 3][..], &[0x82, 0x00, 0x01]].concat(),
        [
            &[0, 0, 0, 3][..],
            &[0x82, 0x00, 0x02, 0, 0, 0, 3, 0x83, 0x06, 0x01],
        ]
        .concat(),
    ];
    garbage.push([&[0, 0, 0, 3][..], &[0x82, 0x00, 0x02, 0xff, 0, 0, 0]].concat());
    for (n, bytes) in (9..).zip(garbage) {
        let (endpoint, connection, mut send, _recv) = by_hand(&b, n).await;
        send.write_all(&bytes).await.unwrap();
        let is_offence = |event: &MeshEvent| matches!(event, MeshEvent::Misbehaved { .. });
        let ended = event(&mut events, is_offence).await;
        let MeshEvent::Misbehaved { clinic: who, why } = ended else {
            panic!("another event");
        };
        assert_eq!(who, clinic(n));
        timeout(SOON, connection.closed()).await.unwrap();
        endpoint.close().await;
        if why == Violation::Version(1) {
            continue;
        }
        // Whoever did so is not let in again at once.
        let (endpoint, connection) = dial_by_hand(&b, n).await;
        let closed = timeout(SOON, connection.closed())
            .await
            .unwrap()
            .to_string();
        assert!(closed.contains("misbehaved"), "{closed}");
        endpoint.close().await;
    }
    assert!(
        b.mesh
            .peers()
            .await
            .iter()
            .any(|peer| peer.clinic == a.clinic && peer.connected)
    );
    a.edit(log(1));
    a.mesh.sync(b.clinic).await.unwrap();
    assert_eq!(b.ledger.entries(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_broke_the_protocol_is_not_dialled_before_its_time() {
    let mut strict = config(2);
    strict.timing.shun_ms = 30_000;
    let (a, b) = (Node::start(config(1)).await, Node::start(strict).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    let (hand, _connection, mut send, _recv) = by_hand(&b, 9).await;
    let address = PeerAddress {
        clinic: clinic(9),
        endpoint: endpoint_id(9),
        addresses: hand.bound_sockets(),
    };
    b.mesh.set_peers(vec![a.address(), address]);
    let mut events = b.mesh.subscribe();
    send.write_all(&[0, 0, 0, 1, 0xff]).await.unwrap();
    let is_offence = |event: &MeshEvent| matches!(event, MeshEvent::Misbehaved { .. });
    event(&mut events, is_offence).await;
    b.mesh.keep_connected(true);
    let error = b.mesh.sync(clinic(9)).await;
    assert!(
        matches!(error, Err(MeshError::Shunned { for_s: 20..=30, .. })),
        "{error:?}"
    );
    let dialled = timeout(Duration::from_millis(500), hand.accept()).await;
    assert!(dialled.is_err(), "it was dialled");
    // The others are served.
    a.edit(log(1));
    assert_eq!(b.mesh.sync(a.clinic).await.unwrap().unresolved, 0);
    assert_eq!(b.ledger.entries(), 1);
    hand.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_calls_again_and_again_is_turned_away_and_the_others_are_served() {
    let mut slow = config(2);
    slow.timing.max_calls = 4;
    slow.timing.call_ms = 60_000;
    let (a, b) = (Node::start(config(1)).await, Node::start(slow).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    let (hand, first) = dial_by_hand(&b, 9).await;
    let mut closed = vec![];
    for _ in 0..8 {
        let connection = hand.connect(address(&b), ALPN).await.unwrap();
        let why = timeout(Duration::from_millis(300), connection.closed()).await;
        closed.push(why.map_or(String::new(), |why| why.to_string()));
    }
    let too_often = closed.iter().filter(|why| why.contains("too often"));
    assert_eq!(too_often.count(), 5, "{closed:?}");
    a.edit(log(1));
    assert_eq!(b.mesh.sync(a.clinic).await.unwrap().received, 1);
    drop(first);
    hand.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_entries_are_refused_again_and_again_is_dropped() {
    let (a, b) = pair().await;
    for n in 0..6_000 {
        a.ledger.write_bad(log(n));
    }
    let mut events = b.mesh.subscribe();
    let error = b.mesh.sync(a.clinic).await;
    let dropped = Violation::TooMuch("entries that are refused");
    assert!(
        matches!(error, Err(MeshError::Misbehaved { why, .. }) if why == dropped),
        "{error:?}"
    );
    let offence = event(&mut events, |event| {
        matches!(event, MeshEvent::Misbehaved { .. })
    });
    offence.await;
    let error = b.mesh.sync(a.clinic).await;
    assert!(matches!(error, Err(MeshError::Shunned { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_arrives_when_the_entries_before_it_are_stored() {
    let mut small = config(1);
    small.sync.frame_bytes = 2_000;
    let mut ledger = Memory::new(clinic(1), Duration::ZERO);
    ledger.states = true;
    let a = Node::with(small, Arc::new(ledger)).await;
    let b = Node::start(config(2)).await;
    a.knows(&[&b]);
    b.knows(&[&a]);
    for n in 0..30 {
        a.ledger.write(log(n % 3), 500);
    }
    b.mesh.sync(a.clinic).await.unwrap();
    let statements = b.ledger.statements();
    assert_eq!(statements.len(), 3);
    for (from, _, statement, held) in statements {
        assert_eq!((from, held), (a.clinic, 10));
        assert!(statement.ends_with(b" has it all"));
    }
    assert!(a.ledger.statements().is_empty());
    // Nothing is stated about what did not change.
    b.mesh.sync(a.clinic).await.unwrap();
    assert_eq!(b.ledger.statements().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_is_given_up_and_the_others_are_not() {
    let mut impatient = config(2);
    impatient.sync.stall_ms = 300;
    impatient.sync.hello_ms = 300;
    impatient.timing.frame_ms = 300;
    let (a, b) = (Node::start(config(1)).await, Node::start(impatient).await);
    a.knows(&[&b]);
    b.knows(&[&a]);
    a.mesh.sync(b.clinic).await.unwrap();
    let mut events = b.mesh.subscribe();
    let hello: &[u8] = &[0, 0, 0, 3, 0x82, 0x00, 0x02];
    let half_a_frame: &[u8] = &[0, 0, 0, 9, 0x82];
    let stories = [
        (vec![], Violation::NoHello),
        (hello[..5].to_vec(), Violation::NoHello),
        ([hello, half_a_frame].concat(), Violation::Stalled),
        (hello.to_vec(), Violation::Stalled),
    ];
    for (bytes, expected) in stories {
        let (endpoint, _connection, mut send, mut recv) = by_hand(&b, 9).await;
        send.write_all(&bytes).await.unwrap();
        if bytes.as_slice() == hello {
            // Something is to be told to it, which it never takes note of.
            recv.read_exact(&mut [0; 8]).await.unwrap();
            b.edit(log(7));
        }
        let ended = event(&mut events, |event| {
            matches!(event, MeshEvent::Misbehaved { .. })
        })
        .await;
        let MeshEvent::Misbehaved { clinic: who, why } = ended else {
            panic!("another event");
        };
        let either = why == expected || why == Violation::Stalled || why == Violation::NoHello;
        assert!(
            who == clinic(9) && either,
            "{why:?} instead of {expected:?}"
        );
        endpoint.close().await;
    }
    a.edit(log(1));
    eventually("the others are served", || b.ledger.entries() == 2).await;
    a.mesh.sync(b.clinic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_was_cut_goes_on_where_it_stopped() {
    let count = 4_000;
    let mut small = config(1);
    small.sync.frame_bytes = 20_000;
    small.sync.window_bytes = 100_000;
    let a = Node::start(small).await;
    for n in 0..count {
        a.ledger.write(log(n % 200), 500);
    }
    let ledger = Arc::new(Memory::new(clinic(2), Duration::from_millis(5)));
    let mut b = Node::with(config(2), ledger.clone()).await;
    let mut cuts = 0;
    loop {
        a.knows(&[&b]);
        b.knows(&[&a]);
        let before = ledger.entries();
        if cuts == 3 {
            b.mesh.sync(a.clinic).await.unwrap();
            break;
        }
        let sync = b.mesh.sync(a.clinic);
        let cut = eventually("a part arrives", || ledger.entries() > before + 300);
        tokio::select! {
            result = sync => panic!("not cut: {result:?}"),
            () = cut => {}
        }
        // The first time nobody waits until it is over.
        if cuts > 0 {
            b.mesh.shutdown().await;
        }
        drop(b);
        cuts += 1;
        b = Node::with(config(2), ledger.clone()).await;
    }
    assert_eq!(ledger.entries(), usize::from(count));
    // Only what the store had not come to when a cut came is sent twice: a window's worth at most.
    println!(
        "{} of {count} came twice in {cuts} cuts",
        ledger.duplicates()
    );
    assert!(ledger.duplicates() < u64::from(count) / 4);
    for n in 0..200 {
        assert_eq!(a.ledger.heights_of(log(n)), ledger.heights_of(log(n)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_is_reported_and_the_next_sync_goes_on() {
    let (a, b) = pair().await;
    a.edit(log(1));
    b.ledger.fails.store(true, Ordering::SeqCst);
    let error = b.mesh.sync(a.clinic).await;
    assert!(matches!(error, Err(MeshError::Store { .. })), "{error:?}");
    let source = std::error::Error::source(&error.unwrap_err()).map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("the own store failed"));
    b.ledger.fails.store(false, Ordering::SeqCst);
    assert_eq!(b.mesh.sync(a.clinic).await.unwrap().received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_that_is_not_known_any_more_is_disconnected() {
    let (a, b) = pair().await;
    a.mesh.sync(b.clinic).await.unwrap();
    let mut events = a.mesh.subscribe();
    b.ledger.forget(a.mesh.endpoint_id());
    b.mesh.set_peers(vec![]);
    event(&mut events, |event| {
        matches!(event, MeshEvent::PeerDown { .. })
    })
    .await;
    let refused = a.mesh.sync(b.clinic).await;
    assert!(
        matches!(refused, Err(MeshError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_find_each_other_again_after_one_was_away() {
    let mut quick = config(1);
    quick.timing.retry_ms = 50;
    quick.timing.grace_ms = 100;
    let a = Node::start(quick.clone()).await;
    let mut there = config(2);
    there.timing = quick.timing.clone();
    let b = Node::start(there.clone()).await;
    a.knows(&[&b]);
    b.knows(&[&a]);
    a.mesh.keep_connected(true);
    b.mesh.keep_connected(true);
    a.edit(log(1));
    eventually("b has it", || b.ledger.entries() == 1).await;
    let mut events = a.mesh.subscribe();
    b.mesh.shutdown().await;
    event(&mut events, |event| {
        matches!(event, MeshEvent::PeerDown { .. })
    })
    .await;
    a.edit(log(1));
    let b = Node::with(there, b.ledger.clone()).await;
    a.knows(&[&b]);
    b.knows(&[&a]);
    b.mesh.keep_connected(true);
    eventually("b has the rest", || b.ledger.entries() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_arrives_soon_after_it_was_announced() {
    let (a, b) = pair().await;
    a.mesh.sync(b.clinic).await.unwrap();
    let mut events = b.mesh.subscribe();
    let mut times = Vec::new();
    for n in 0..200 {
        let began = Instant::now();
        a.edit(log(n % 20));
        event(&mut events, |event| {
            matches!(event, MeshEvent::LogsReceived { .. })
        })
        .await;
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!(
        "edit at A, committed at B (1 ms of it the commit): median {:?}, 90 % {:?}, 99 % {:?}",
        at(50),
        at(90),
        at(99)
    );
    assert_eq!(b.ledger.entries(), 200);
    assert_eq!(b.ledger.commits(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test -p salus-mesh -- --ignored --nocapture"]
async fn large_clinics_are_synced_and_found_in_step() {
    for (logs, entries) in [(10_000u32, 20u32), (100_000, 1)] {
        let (a, b) = pair().await;
        for n in 0..logs * entries {
            let id = *blake3::hash(&(n % logs).to_be_bytes()).as_bytes();
            a.ledger.write(LogId::from_bytes(id), 528);
        }
        let began = Instant::now();
        b.mesh.sync(a.clinic).await.unwrap();
        let took = began.elapsed();
        let rate = f64::from(logs * entries) / took.as_secs_f64();
        println!("{logs} logs of {entries} entries: {took:?}, {rate:.0} entries/s");
        let began = Instant::now();
        b.mesh.sync(a.clinic).await.unwrap();
        println!(
            "in step again after {:?}, catalogs included",
            began.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_entries_arrive_in_one_sync() {
    let (a, b) = pair().await;
    for n in 0..20_000 {
        a.ledger.write(log(n % 1_000), 528);
    }
    let began = Instant::now();
    let stats = b.mesh.sync(a.clinic).await.unwrap();
    let took = began.elapsed();
    assert_eq!((stats.received, stats.duplicate), (20_000, 0));
    println!(
        "20,000 entries of 600 bytes in 1,000 logs: {took:?}, {:.0} entries/s, {:.1} MB/s, {} commits of 1 ms and more",
        20_000.0 / took.as_secs_f64(),
        12.0 / took.as_secs_f64(),
        b.ledger.commits()
    );
    let began = Instant::now();
    b.mesh.sync(a.clinic).await.unwrap();
    println!("in step again after {:?}", began.elapsed());
}
