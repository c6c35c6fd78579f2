//! The loop: the one task that has the engine. It awaits no peer and no disk, only the next event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iroh::Endpoint;
use iroh::protocol::Router;
use salus_audit::ClinicId;
use salus_sync::{Engine, Input, Output, Timestamp};
use tokio::sync::broadcast;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::config::{Network, Timing};
use crate::dial::Jitter;
use crate::error::MeshError;
use crate::event::{Command, Event};
use crate::gate::Gate;
use crate::ledger::LedgerError;
use crate::link::{Close, Link};
use crate::peers::Peer;
use crate::status::MeshEvent;
use crate::worker::Workers;

/// Events that are taken in before frames are sent again.
const EVENTS_AT_ONCE: usize = 32;

/// How long the loop sleeps when nothing is planned.
const LONG: Duration = Duration::from_secs(3_600);

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
    pub parts: Parts,
    began: Instant,
    pub peers: BTreeMap<ClinicId, Peer>,
    pub links: BTreeMap<ClinicId, Link>,
    pub link_tasks: JoinSet<()>,
    pub dial_tasks: JoinSet<()>,
    pub last_id: u64,
    pub keep_connected: bool,
    pub jitter: Jitter,
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

    pub(crate) fn tell(&mut self, input: Input) {
        let now = self.now();
        self.parts.engine.handle(now, input);
    }

    pub(crate) fn announce(&self, event: MeshEvent) {
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
            Command::Address { clinic, reply } => {
                let _nobody_waits = reply.send(self.address(clinic));
            }
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
        self.links
            .get(&clinic)
            .is_some_and(|current| current.id == link)
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::InStep { peer, stats } => {
                let clinic = peer;
                let peer = self.peers.entry(peer).or_default();
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                peer.in_step_at_ms = u64::try_from(since.as_millis()).ok();
                peer.last_error = None;
                peer.dials.in_step();
                peer.shuns.in_step(&self.parts.timing, Instant::now());
                if let Some(link) = self.links.get_mut(&clinic) {
                    link.went_well = true;
                }
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
