//! The loop: the one task that has the engine. It awaits no peer and no disk, only the next event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iroh::Endpoint;
use iroh::endpoint::Connection;
use iroh::protocol::Router;
use salus_audit::ClinicId;
use salus_sync::{Engine, Input, Output, SyncStats, Timestamp, Violation};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{broadcast, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::config::{Network, PeerAddress, Timing};
use crate::connect::connect;
use crate::dial::{Dials, Jitter};
use crate::error::MeshError;
use crate::event::{Command, Ended, Event};
use crate::gate::Gate;
use crate::ledger::LedgerError;
use crate::link::{self, Close, Link, Wiring};
use crate::status::{MeshEvent, PeerStatus};
use crate::worker::Workers;

/// Two nodes that dial each other within this time have one connection too many; later, the newer one
/// replaces one that is probably dead.
const AT_THE_SAME_TIME: Duration = Duration::from_secs(5);

/// Events that are taken in before frames are sent again.
const EVENTS_AT_ONCE: usize = 32;

/// How long the loop sleeps when nothing is planned.
const LONG: Duration = Duration::from_secs(3_600);

type Waiter = oneshot::Sender<Result<SyncStats, MeshError>>;

#[derive(Default)]
struct Peer {
    address: Option<PeerAddress>,
    dials: Dials,
    /// Those who wait until both are in step.
    waiters: Vec<Waiter>,
    in_step_at_ms: Option<u64>,
    last_error: Option<String>,
}

/// What the loop is made with.
pub(crate) struct Parts {
    pub endpoint: Endpoint,
    pub router: Router,
    pub gate: Arc<Gate>,
    pub engine: Engine,
    pub workers: Workers,
    pub events: UnboundedSender<Event>,
    pub news: broadcast::Sender<MeshEvent>,
    pub network: Network,
    pub timing: Timing,
}

pub(crate) struct Core {
    parts: Parts,
    began: Instant,
    peers: BTreeMap<ClinicId, Peer>,
    links: BTreeMap<ClinicId, Link>,
    link_tasks: JoinSet<()>,
    dial_tasks: JoinSet<()>,
    last_id: u64,
    keep_connected: bool,
    jitter: Jitter,
    store_error: Option<LedgerError>,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let jitter = Jitter::new(parts.endpoint.id().as_bytes());
        Self {
            parts,
            began: Instant::now(),
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            link_tasks: JoinSet::new(),
            dial_tasks: JoinSet::new(),
            last_id: 0,
            keep_connected: false,
            jitter,
            store_error: None,
        }
    }

    /// Runs until it is told to end, or until nobody is left to tell it anything.
    pub(crate) async fn run(
        mut self,
        mut commands: UnboundedReceiver<Command>,
        mut events: UnboundedReceiver<Event>,
    ) {
        loop {
            let wake = self.turn();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => {
                        self.shut_down(&mut events).await;
                        let _nobody_waits = done.send(());
                        return;
                    }
                    Some(command) => self.command(command),
                    None => return self.shut_down(&mut events).await,
                },
                Some(event) = events.recv() => {
                    self.event(event);
                    for _ in 1..EVENTS_AT_ONCE {
                        match events.try_recv() {
                            Ok(event) => self.event(event),
                            Err(_) => break,
                        }
                    }
                }
                () = sleep_until(wake) => {
                    let now = self.now();
                    self.parts.engine.handle_timeout(now);
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        let millis = self.began.elapsed().as_millis();
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn tell(&mut self, input: Input) {
        let now = self.now();
        self.parts.engine.handle(now, input);
    }

    fn announce(&self, event: MeshEvent) {
        // Nobody has to listen.
        let _listeners = self.parts.news.send(event);
    }

    /// Does all that the engine wants done, fills every link that has room, dials who is due; says when to
    /// look again if nothing happens.
    fn turn(&mut self) -> Instant {
        let now = self.now();
        loop {
            let mut idle = true;
            while let Some(output) = self.parts.engine.poll_output() {
                idle = false;
                self.output(output);
            }
            for (clinic, link) in &self.links {
                while let Ok(room) = link.frames.try_reserve()
                    && let Some(frame) = self.parts.engine.poll_transmit(*clinic, now)
                {
                    idle = false;
                    room.send(frame);
                }
            }
            if idle {
                break;
            }
        }
        while self.link_tasks.try_join_next().is_some() {}
        while self.dial_tasks.try_join_next().is_some() {}
        let planned = self.parts.engine.poll_timeout();
        let planned = planned.map(|at| self.began + Duration::from_millis(at.as_millis()));
        let dial = self.dial_who_is_due();
        let wakes = [planned, dial].into_iter().flatten().min();
        wakes.unwrap_or_else(|| Instant::now() + LONG)
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::SetPeers(peers) => self.set_peers(peers),
            Command::Sync { clinic, reply } => self.sync(clinic, reply),
            Command::KeepConnected(keep) => self.keep_connected = keep,
            Command::Changed(changed) => self.tell(Input::LogChanged(changed)),
            Command::Peers(reply) => {
                let _nobody_waits = reply.send(self.statuses());
            }
            // The loop sees to it.
            Command::Shutdown(_) => {}
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Accepted { clinic, connection } => self.adopt(clinic, connection, false),
            Event::Dialled {
                clinic,
                attempt,
                result,
            } => self.dialled(clinic, attempt, result),
            Event::Frame {
                clinic,
                link,
                bytes,
                permit,
            } => {
                if self.is_current(clinic, link) {
                    let peer = clinic;
                    self.tell(Input::Received { peer, bytes });
                }
                drop(permit);
            }
            // The next turn fills it.
            Event::Writable => {}
            Event::Ended { clinic, link, why } => {
                if self.is_current(clinic, link) {
                    self.ended(clinic, why);
                }
            }
            Event::Answer(input) => self.tell(input),
            Event::StoreFailed { task, error } => {
                tracing::error!(%error, "the store failed during a sync");
                self.store_error = Some(error);
                self.tell(Input::Failed { task });
            }
            Event::Known {
                clinic,
                link,
                known,
            } => {
                if !known && self.is_current(clinic, link) {
                    let error = MeshError::UnknownPeer { clinic };
                    self.drop_link(clinic, Close::Unknown, &error);
                }
            }
        }
    }

    fn is_current(&self, clinic: ClinicId, link: u64) -> bool {
        self.links.get(&clinic).is_some_and(|current| current.id == link)
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::InStep { peer, stats } => {
                let clinic = peer;
                let peer = self.peers.entry(peer).or_default();
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                peer.in_step_at_ms = u64::try_from(since.as_millis()).ok();
                peer.last_error = None;
                peer.dials.in_step();
                for waiter in peer.waiters.drain(..) {
                    let _nobody_waits = waiter.send(Ok(stats));
                }
                self.announce(MeshEvent::InStep { clinic, stats });
            }
            Output::Received { peer, logs } => {
                let clinic = peer;
                self.announce(MeshEvent::LogsReceived { clinic, logs });
            }
            Output::Equivocation { peer, log, chain } => {
                let clinic = peer;
                self.announce(MeshEvent::Equivocation { clinic, log, chain });
            }
            Output::PeerMisbehaved { peer, why } => self.misbehaved(peer, why),
            Output::StoreFailed { peer } => {
                let unknown = || LedgerError::new("unknown");
                let source = self.store_error.clone().unwrap_or_else(unknown);
                let clinic = peer;
                let error = MeshError::Store { clinic, source };
                self.drop_link(clinic, Close::StoreFailed, &error);
            }
            task => self.parts.workers.give(task),
        }
    }

    fn misbehaved(&mut self, clinic: ClinicId, why: Violation) {
        let (close, error) = match why {
            Violation::Version(_) => (Close::Version, MeshError::Version { clinic }),
            Violation::Stalled | Violation::NoHello => {
                (Close::Misbehaved, MeshError::Stalled { clinic })
            }
            why => (Close::Misbehaved, MeshError::Misbehaved { clinic, why }),
        };
        self.announce(MeshEvent::Misbehaved { clinic, why });
        self.drop_link(clinic, close, &error);
    }

    /// A connection stands: it becomes the link to that clinic, unless a better one stands already.
    fn adopt(&mut self, clinic: ClinicId, connection: Connection, dialled: bool) {
        let endpoint = *connection.remote_id().as_bytes();
        let lower = *self.parts.endpoint.id().as_bytes() < endpoint;
        if let Some(old) = self.links.get(&clinic) {
            let both_dialled = old.dialled != dialled && old.since.elapsed() < AT_THE_SAME_TIME;
            // Both sides keep the one that the lower id dialled.
            if both_dialled && dialled != lower {
                Close::Duplicate.close(&connection);
                return;
            }
            Close::Duplicate.close(&old.connection);
        }
        self.last_id += 1;
        let (frames, outgoing) = mpsc::channel(1);
        let link = Link {
            id: self.last_id,
            connection: connection.clone(),
            dialled,
            since: Instant::now(),
            frames,
        };
        let wiring = Wiring {
            clinic,
            id: link.id,
            dialled,
            events: self.parts.events.clone(),
            timing: self.parts.timing.clone(),
        };
        self.links.insert(clinic, link);
        self.link_tasks.spawn(link::run(connection, outgoing, wiring));
        let initiator = dialled;
        self.tell(Input::PeerConnected {
            peer: clinic,
            initiator,
        });
        let peer = self.peers.entry(clinic).or_default();
        peer.dials.connected();
        if !peer.waiters.is_empty() && !initiator {
            self.tell(Input::SyncRequested { peer: clinic });
        }
        tracing::debug!(%clinic, dialled, "connected");
        self.announce(MeshEvent::PeerUp { clinic });
    }

    /// The link came to its end by itself.
    fn ended(&mut self, clinic: ClinicId, why: Ended) {
        let interrupted = |why: &str| MeshError::Interrupted {
            clinic,
            why: why.to_owned(),
        };
        let error = match why {
            Ended::Misbehaved(why) => return self.misbehaved(clinic, why),
            Ended::Duplicate => {
                // The other connection is about to come; those who wait for a sync wait on.
                self.forget_link(clinic);
                let lower = self.is_lower(clinic);
                let timing = self.parts.timing.clone();
                if let Some(peer) = self.peers.get_mut(&clinic) {
                    peer.dials.lost(lower, &timing, &mut self.jitter, Instant::now());
                }
                return;
            }
            Ended::Bye => interrupted("the other side ended it"),
            Ended::Refused => MeshError::Refused { clinic },
            Ended::Version => MeshError::Version { clinic },
            Ended::Lost(why) => interrupted(&why),
        };
        self.drop_link(clinic, Close::Bye, &error);
    }

    fn forget_link(&mut self, clinic: ClinicId) -> Option<Link> {
        let link = self.links.remove(&clinic)?;
        self.tell(Input::PeerDisconnected { peer: clinic });
        self.announce(MeshEvent::PeerDown { clinic });
        Some(link)
    }

    /// Ends a link and the waiting of those who waited for it.
    fn drop_link(&mut self, clinic: ClinicId, close: Close, error: &MeshError) {
        if let Some(link) = self.forget_link(clinic) {
            close.close(&link.connection);
        }
        tracing::debug!(%clinic, %error, "disconnected");
        let refused = !matches!(error, MeshError::Interrupted { .. });
        let lower = self.is_lower(clinic);
        let now = Instant::now();
        let timing = self.parts.timing.clone();
        let peer = self.peers.entry(clinic).or_default();
        if refused {
            peer.dials.failed(&timing, &mut self.jitter, now);
        } else {
            peer.dials.lost(lower, &timing, &mut self.jitter, now);
        }
        self.fail(clinic, error);
    }

    fn fail(&mut self, clinic: ClinicId, error: &MeshError) {
        let peer = self.peers.entry(clinic).or_default();
        peer.last_error = Some(error.to_string());
        for waiter in peer.waiters.drain(..) {
            let _nobody_waits = waiter.send(Err(error.clone()));
        }
    }

    fn set_peers(&mut self, addresses: Vec<PeerAddress>) {
        for peer in self.peers.values_mut() {
            peer.address = None;
        }
        for address in addresses {
            let peer = self.peers.entry(address.clinic).or_default();
            peer.address = Some(address);
        }
        // Whoever is connected and not known any more is to go.
        for (clinic, link) in &self.links {
            let (clinic, id) = (*clinic, link.id);
            let endpoint = *link.connection.remote_id().as_bytes();
            let (gate, events) = (self.parts.gate.clone(), self.parts.events.clone());
            self.dial_tasks.spawn(async move {
                let known = gate.clinic_of(endpoint).await == Some(clinic);
                let _mesh_ended = events.send(Event::Known {
                    clinic,
                    link: id,
                    known,
                });
            });
        }
    }

    fn sync(&mut self, clinic: ClinicId, waiter: Waiter) {
        if self.links.contains_key(&clinic) {
            self.peers.entry(clinic).or_default().waiters.push(waiter);
            self.tell(Input::SyncRequested { peer: clinic });
            return;
        }
        let network = self.parts.network;
        let error = match self.peers.get_mut(&clinic) {
            Some(peer) if !addresses(peer, network).is_empty() => {
                peer.dials.hurry();
                peer.waiters.push(waiter);
                return;
            }
            Some(peer) if peer.address.is_some() => MeshError::NoAddress { clinic },
            _ => MeshError::UnknownPeer { clinic },
        };
        let _nobody_waits = waiter.send(Err(error));
    }

    fn is_lower(&self, clinic: ClinicId) -> bool {
        let address = self.peers.get(&clinic).and_then(|peer| peer.address.as_ref());
        address.is_some_and(|address| *self.parts.endpoint.id().as_bytes() < address.endpoint)
    }

    /// Dials those who are due; when the next one is.
    fn dial_who_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut due_now = Vec::new();
        for (clinic, peer) in &mut self.peers {
            let Some(address) = &peer.address else {
                continue;
            };
            if self.links.contains_key(clinic) || address.addresses.is_empty() {
                continue;
            }
            let lower = *self.parts.endpoint.id().as_bytes() < address.endpoint;
            let waited_for = !peer.waiters.is_empty();
            let kept = self.keep_connected;
            match peer.dials.due(waited_for, kept, lower, &self.parts.timing, now) {
                Some(due) if due <= now => due_now.push(*clinic),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        for clinic in due_now {
            self.dial(clinic);
        }
        next
    }

    fn dial(&mut self, clinic: ClinicId) {
        self.last_id += 1;
        let attempt = self.last_id;
        let network = self.parts.network;
        let Some(peer) = self.peers.get_mut(&clinic) else {
            return;
        };
        let Some(address) = peer.address.clone() else {
            return;
        };
        peer.dials.attempt = Some(attempt);
        let address = PeerAddress {
            addresses: addresses(peer, network),
            ..address
        };
        let endpoint = self.parts.endpoint.clone();
        let gate = self.parts.gate.clone();
        let dial_ms = self.parts.timing.dial_ms;
        let events = self.parts.events.clone();
        self.dial_tasks.spawn(async move {
            let result = connect(&endpoint, &gate, address, dial_ms).await;
            let _mesh_ended = events.send(Event::Dialled {
                clinic,
                attempt,
                result,
            });
        });
    }

    fn dialled(&mut self, clinic: ClinicId, attempt: u64, result: Result<Connection, MeshError>) {
        let timing = self.parts.timing.clone();
        let Some(peer) = self.peers.get_mut(&clinic) else {
            return;
        };
        if peer.dials.attempt != Some(attempt) && result.is_err() {
            return;
        }
        match result {
            Ok(connection) => self.adopt(clinic, connection, true),
            Err(error) => {
                peer.dials.failed(&timing, &mut self.jitter, Instant::now());
                tracing::debug!(%clinic, %error, "not connected");
                if !self.links.contains_key(&clinic) {
                    self.fail(clinic, &error);
                }
            }
        }
    }

    fn statuses(&self) -> Vec<PeerStatus> {
        let known = self.peers.iter().filter(|(clinic, peer)| {
            peer.address.is_some() || self.links.contains_key(clinic)
        });
        known
            .map(|(clinic, peer)| {
                let link = self.links.get(clinic);
                let paths = link.map(|link| link.connection.paths());
                let path = paths.as_ref().and_then(|paths| {
                    let selected = paths.iter().find(|path| path.is_selected());
                    selected.or_else(|| paths.iter().next())
                });
                PeerStatus {
                    clinic: *clinic,
                    connected: link.is_some(),
                    rtt: path.as_ref().map(|path| path.rtt()),
                    in_step_at_ms: peer.in_step_at_ms,
                    behind: self.parts.engine.behind(*clinic),
                    last_error: peer.last_error.clone(),
                    path: path.as_ref().map(|path| path.remote_addr().to_string()),
                }
            })
            .collect()
    }

    /// Sends what is on its way, closes every connection in order, and lets the store finish.
    async fn shut_down(&mut self, events: &mut UnboundedReceiver<Event>) {
        self.keep_connected = false;
        self.dial_tasks.abort_all();
        let close = Duration::from_millis(self.parts.timing.close_ms);
        let until = Instant::now() + close;
        loop {
            self.turn();
            let all_sent = self.links.values().all(|link| link.frames.capacity() > 0);
            if all_sent || Instant::now() >= until {
                break;
            }
            match timeout_at(until, events.recv()).await {
                Ok(Some(event)) => self.event(event),
                _ => break,
            }
        }
        // Dropping the senders ends the links in order.
        self.links.clear();
        let ends = async { while self.link_tasks.join_next().await.is_some() {} };
        let _too_slow = timeout(close, ends).await;
        self.link_tasks.abort_all();
        for (clinic, peer) in &mut self.peers {
            tracing::trace!(%clinic, "forgotten");
            for waiter in peer.waiters.drain(..) {
                let _nobody_waits = waiter.send(Err(MeshError::Closed));
            }
        }
        if let Err(error) = self.parts.router.shutdown().await {
            tracing::warn!(%error, "the router did not end in order");
        }
        let threads = self.parts.workers.finish();
        let joined = spawn_blocking(move || {
            for thread in threads {
                // A panic in the ledger was reported as a failure of the store.
                let _panicked = thread.join();
            }
        });
        let _cancelled = joined.await;
    }
}

/// The addresses of a peer that may be dialled.
fn addresses(peer: &Peer, network: Network) -> Vec<std::net::SocketAddr> {
    let all = peer.address.iter().flat_map(|address| &address.addresses);
    all.filter(|address| network.admits(address.ip())).copied().collect()
}
