//! Serving: each request for itself is judged, and what is not allowed is answered as what is not there.
//!
//! iroh-blobs' own accept loop is not used: here only a request for one blob is understood. Requests for many, for the
//! children of a sequence of hashes, to observe and to push get the answer of a blob that is not held.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{Accepting, Connection, RecvStream, SendStream, VarInt, WeakConnectionHandle};
use iroh::protocol::{AcceptError, ProtocolHandler};
use iroh_blobs::protocol::{GetRequest, Request};
use iroh_blobs::provider::{StreamPair, events::EventSender, handle_get};
use salus_audit::{BlobHash, ClinicId};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::limit::RateLimit;
use super::outgoing::Outgoing;
use super::store::{BlobStore, Presence};
use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::link::Close;

/// Requests of one clinic that are served at once; streams that one connection may have.
pub(crate) const REQUESTS: u32 = 32;

/// Connections that one clinic may have for blobs: one is used. After a cut the old one stands for a while; it is closed
/// when more come, so that nobody is locked out by what is dead.
const CONNECTIONS: usize = 2;

/// A request: a hash and some ranges. Some 3,000 ranges fit.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);

/// How long a peer may take nothing of what it asked for.
const STALL: Duration = Duration::from_secs(60);

/// Why a stream is reset; iroh-blobs' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    /// Not held, not allowed, or not understood: nobody can tell which.
    NotFound = 1,
    /// Too many requests at once.
    Busy = 2,
    /// What is held of it ends here, or is damaged.
    Incomplete = 3,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        VarInt::from_u32(code as u32)
    }
}

/// Whether a clinic may have a blob; asked again and again.
#[derive(Clone)]
pub(crate) struct Permission {
    ledger: Arc<dyn Ledger>,
    endpoint: [u8; 32],
    clinic: ClinicId,
    blob: BlobHash,
}

impl Permission {
    pub(crate) async fn holds(&self) -> bool {
        let asked = self.clone();
        let ask = move || {
            asked.ledger.clinic_of(asked.endpoint) == Some(asked.clinic)
                && asked.ledger.may_fetch(asked.clinic, asked.blob)
        };
        let answer = spawn_blocking(move || catch_unwind(AssertUnwindSafe(ask)));
        matches!(answer.await, Ok(Ok(true)))
    }
}

/// What one clinic has under way.
struct Peer {
    requests: Arc<Semaphore>,
    /// The oldest first.
    connections: VecDeque<WeakConnectionHandle>,
}

/// Takes connections of known clinics for blobs, and serves them.
pub(crate) struct BlobDoor {
    gate: Arc<Gate>,
    ledger: Arc<dyn Ledger>,
    store: BlobStore,
    limit: RateLimit,
    peers: Mutex<HashMap<ClinicId, Peer>>,
}

impl fmt::Debug for BlobDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobDoor({:?})", self.store)
    }
}

impl BlobDoor {
    pub(crate) fn new(
        gate: Arc<Gate>,
        ledger: Arc<dyn Ledger>,
        store: BlobStore,
        limit: RateLimit,
    ) -> Self {
        Self {
            gate,
            ledger,
            store,
            limit,
            peers: Mutex::default(),
        }
    }

    /// Counts one more connection of this clinic; what its requests share.
    fn admit(&self, clinic: ClinicId, connection: &Connection) -> Arc<Semaphore> {
        let stands = |connection: &WeakConnectionHandle| {
            let connection = connection.upgrade();
            connection.is_some_and(|connection| connection.close_reason().is_none())
        };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|other, peer| {
            peer.connections.retain(stands);
            *other == clinic || !peer.connections.is_empty()
        });
        let peer = peers.entry(clinic).or_insert_with(|| Peer {
            requests: Arc::new(Semaphore::new(REQUESTS as usize)),
            connections: VecDeque::new(),
        });
        peer.connections.push_back(connection.weak_handle());
        while peer.connections.len() > CONNECTIONS {
            if let Some(oldest) = peer.connections.pop_front().and_then(|old| old.upgrade()) {
                Close::Duplicate.close(&oldest);
            }
        }
        peer.requests.clone()
    }

    async fn serve(&self, connection: &Connection, clinic: ClinicId, requests: &Arc<Semaphore>) {
        let mut serving = JoinSet::new();
        loop {
            let (mut send, recv) = tokio::select! {
                opened = connection.accept_bi() => match opened {
                    Ok(streams) => streams,
                    Err(_) => return,
                },
                Some(_) = serving.join_next() => continue,
            };
            let Ok(permit) = requests.clone().try_acquire_owned() else {
                refuse(&mut send, Code::Busy);
                continue;
            };
            let answer = Answer {
                ledger: self.ledger.clone(),
                store: self.store.clone(),
                limit: self.limit.clone(),
                endpoint: *connection.remote_id().as_bytes(),
                clinic,
            };
            serving.spawn(async move {
                answer.give(send, recv).await;
                drop(permit);
            });
        }
    }
}

impl ProtocolHandler for BlobDoor {
    async fn on_accepting(&self, accepting: Accepting) -> Result<Connection, AcceptError> {
        self.gate.complete(accepting).await
    }

    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let endpoint = *connection.remote_id().as_bytes();
        let Some(clinic) = self.gate.clinic_of(endpoint).await else {
            Close::Unknown.close(&connection);
            return Ok(());
        };
        if !self.gate.admits_call(clinic) {
            Close::TooOften.close(&connection);
            return Ok(());
        }
        let requests = self.admit(clinic, &connection);
        connection.set_max_concurrent_bi_streams(REQUESTS.into());
        self.serve(&connection, clinic, &requests).await;
        Ok(())
    }
}

/// What one request is answered with.
struct Answer {
    ledger: Arc<dyn Ledger>,
    store: BlobStore,
    limit: RateLimit,
    endpoint: [u8; 32],
    clinic: ClinicId,
}

impl Answer {
    async fn give(&self, mut send: SendStream, recv: RecvStream) {
        let Some(request) = read(recv).await else {
            return refuse(&mut send, Code::NotFound);
        };
        let blob = super::blob(request.hash);
        let permission = Permission {
            ledger: self.ledger.clone(),
            endpoint: self.endpoint,
            clinic: self.clinic,
            blob,
        };
        // Whoever may not have it gets its answer before the store is looked at.
        if !permission.holds().await
            || matches!(
                self.store.presence(blob).await,
                Err(_) | Ok(Presence::Absent)
            )
        {
            return refuse(&mut send, Code::NotFound);
        }
        let outgoing = Outgoing {
            stream: send,
            limit: self.limit.clone(),
            permission,
            stall: STALL,
            since_asked: 0,
            withdrawn: false,
            begun: false,
        };
        let pair = StreamPair::new(0, Bytes::new(), outgoing, EventSender::DEFAULT);
        let store = (*self.store.inner.store).clone();
        if let Err(error) = handle_get(pair, store, request).await {
            tracing::debug!(clinic = %self.clinic, %blob, %error, "a blob was not sent to its end");
        }
    }
}

fn refuse(send: &mut SendStream, code: Code) {
    let _gone = send.reset(code.into());
}

/// A request for one blob; none for anything else.
async fn read(mut recv: RecvStream) -> Option<GetRequest> {
    let bytes = timeout(REQUEST, recv.read_to_end(MAX_REQUEST_BYTES)).await;
    let mut bytes = Bytes::from(bytes.ok()?.ok()?);
    match Request::read_async(&mut bytes).await.ok()? {
        (Request::Get(request), _) if request.ranges.is_blob() => Some(request),
        _ => None,
    }
}
