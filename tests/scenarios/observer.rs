//! Somebody on the path between two clinics, who writes down every packet.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::process::{Clinic, two};

/// Larger than any packet.
const MAX_PACKET: usize = 1 << 16;

/// Passes packets between whoever calls and one address, and keeps a copy of each.
struct Observer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Observer {
    fn before(target: SocketAddr) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let often = Some(Duration::from_millis(20));
            socket.set_read_timeout(often).unwrap();
            Arc::new(socket)
        };
        let (front, back) = (bind(), bind());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let caller = Arc::new(Mutex::new(None));
        let pass = |from: &Arc<UdpSocket>, to: &Arc<UdpSocket>, inwards: bool| {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let (seen, ended) = (Arc::clone(&seen), Arc::clone(&ended));
            let caller: Arc<Mutex<Option<SocketAddr>>> = Arc::clone(&caller);
            std::thread::spawn(move || {
                let mut packet = vec![0; MAX_PACKET];
                while !ended.load(Ordering::Relaxed) {
                    let Ok((len, sender)) = from.recv_from(&mut packet) else {
                        continue;
                    };
                    seen.lock().unwrap().push(packet[..len].to_vec());
                    let whom = if inwards {
                        *caller.lock().unwrap() = Some(sender);
                        Some(target)
                    } else {
                        *caller.lock().unwrap()
                    };
                    if let Some(whom) = whom {
                        let _ = to.send_to(&packet[..len], whom);
                    }
                }
            })
        };
        let threads = vec![pass(&front, &back, true), pass(&back, &front, false)];
        Self {
            address: front.local_addr().unwrap(),
            seen,
            ended,
            threads,
        }
    }

    /// All packets.
    fn end(self) -> Vec<Vec<u8>> {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// The first address of a clinic, as its endpoint and where that is.
fn endpoint(clinic: &Clinic) -> (String, SocketAddr) {
    let view = clinic.json(&["clinic", "id"]);
    let address = view["addresses"][0].as_str().unwrap();
    let (endpoint, socket) = address.split_once('@').unwrap();
    (endpoint.to_owned(), socket.parse().unwrap())
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn an_observer_of_the_network_sees_nothing_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Quatermain", "Hortensia");
    let note = "Xylophobia since childhood. ".repeat(400);
    a.ok(&["patient", "note", &id, note.trim()]);
    a.ok(&["grant", &id, "Beta", "--role", "write"]);

    let (name, target) = endpoint(&a);
    let observer = Observer::before(target);
    b.ok(&[
        "peers",
        "add",
        &a.id,
        &format!("{name}@{}", observer.address),
    ]);
    // Nobody listens there: Alpha cannot go round the observer.
    let (name, _) = endpoint(&b);
    a.ok(&["peers", "add", &b.id, &format!("{name}@127.0.0.1:9")]);
    let daemon = a.daemon();
    b.ok(&["sync"]);
    drop(daemon);
    assert_eq!(b.lines(&["patient", "list"])[0]["family"], "Quatermain");

    let packets = observer.end();
    let bytes: usize = packets.iter().map(Vec::len).sum();
    assert!(bytes > note.len(), "only {bytes} bytes came this way");
    let mut secrets: Vec<Vec<u8>> = [
        "Quatermain",
        "Hortensia",
        "Xylophobia",
        "Alphason",
        "Alpha",
        "Beta",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    secrets.extend([&id, &a.id, &b.id].map(|id| bytes_of(id)));
    secrets.extend([&id, &a.id, &b.id].map(|id| id.as_bytes().to_vec()));
    for packet in &packets {
        for secret in &secrets {
            let shows = packet.windows(secret.len()).any(|part| part == secret);
            assert!(!shows, "{} is readable", String::from_utf8_lossy(secret));
        }
    }
}
