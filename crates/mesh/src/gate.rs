//! The gate: who gets in. Before the handshake an address, after it an endpoint id that the ledger knows.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::endpoint::{
    Accepting, AfterHandshakeOutcome, Connection, EndpointHooks, Incoming, IncomingAddr,
};
use iroh::protocol::{AcceptError, IncomingFilterOutcome, ProtocolHandler};
use salus_audit::ClinicId;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::config::{Network, Timing};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::link::Close;

/// Handshakes under way: when each is forgotten, and where it came from. A slot frees itself, since a stranger
/// who is silent after the first packet is told of by nobody.
#[derive(Debug, Default)]
struct Slots(VecDeque<(Instant, Option<IpAddr>)>);

impl Slots {
    fn forget_until(&mut self, now: Instant) {
        while self.0.pop_front_if(|(until, _)| *until <= now).is_some() {}
    }

    fn from(&self, address: Option<IpAddr>) -> usize {
        let same = self.0.iter().filter(|(_, other)| *other == address);
        same.count()
    }

    fn free(&mut self, address: Option<IpAddr>) {
        if let Some(at) = self.0.iter().position(|(_, other)| *other == address) {
            self.0.remove(at);
        }
    }
}

/// How often each clinic dialled of late: calls that are not forgotten yet, and when the next one is. Only clinics that the
/// ledger knows are counted, so there are no more than it knows.
#[derive(Debug, Default)]
struct Calls(BTreeMap<ClinicId, (u32, Instant)>);

impl Calls {
    /// Whether this clinic may call now.
    fn admits(&mut self, clinic: ClinicId, timing: &Timing, now: Instant) -> bool {
        let pause = Duration::from_millis(timing.call_ms.max(1));
        self.0.retain(|_, (calls, forgotten)| {
            while *calls > 0 && *forgotten <= now {
                *calls -= 1;
                *forgotten += pause;
            }
            *calls > 0
        });
        let (calls, _) = self.0.entry(clinic).or_insert((0, now + pause));
        let admitted = *calls < timing.max_calls.max(1);
        *calls += u32::from(admitted);
        admitted
    }
}

pub(crate) struct Gate {
    ledger: Arc<dyn Ledger>,
    events: UnboundedSender<Event>,
    network: Network,
    timing: Timing,
    slots: Mutex<Slots>,
    calls: Mutex<Calls>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?})", self.network)
    }
}

impl Gate {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        events: UnboundedSender<Event>,
        network: Network,
        timing: Timing,
    ) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            events,
            network,
            timing,
            slots: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// The clinic behind an endpoint id; none for a stranger, and none if the ledger fails.
    pub(crate) async fn clinic_of(&self, endpoint: [u8; 32]) -> Option<ClinicId> {
        let ledger = self.ledger.clone();
        let ask = move || catch_unwind(AssertUnwindSafe(|| ledger.clinic_of(endpoint))).ok();
        spawn_blocking(ask).await.ok().flatten().flatten()
    }

    /// Judges a first packet by where it came from and by how many are being dealt with.
    pub(crate) fn filter(&self, incoming: &Incoming) -> IncomingFilterOutcome {
        let address = ip(&incoming.remote_addr());
        if address.is_none_or(|address| !self.network.admits(address)) {
            return IncomingFilterOutcome::Ignore;
        }
        let max = self.timing.max_handshakes.max(1);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        slots.forget_until(now);
        // On loopback everybody has one address.
        let share = if self.network == Network::Loopback {
            max
        } else {
            max.div_ceil(4)
        };
        if slots.0.len() >= max || slots.from(address) >= share {
            return IncomingFilterOutcome::Ignore;
        }
        // A forged source address does not get further than this.
        if slots.0.len() >= max / 2 && !incoming.remote_addr_validated() {
            return IncomingFilterOutcome::Retry;
        }
        let until = now + Duration::from_millis(self.timing.handshake_ms);
        slots.0.push_back((until, address));
        IncomingFilterOutcome::Accept
    }

    pub(crate) fn admits_call(&self, clinic: ClinicId) -> bool {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.admits(clinic, &self.timing, Instant::now())
    }

    /// Waits for a handshake, and not longer than it may take.
    pub(crate) async fn complete(&self, accepting: Accepting) -> Result<Connection, AcceptError> {
        let address = ip(&accepting.remote_addr());
        let limit = Duration::from_millis(self.timing.handshake_ms);
        let connection = timeout(limit, accepting).await;
        self.free(address);
        let connection = connection.map_err(AcceptError::from_err)?;
        Ok(connection?)
    }

    fn free(&self, address: Option<IpAddr>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.free(address);
    }
}

fn ip(address: &IncomingAddr) -> Option<IpAddr> {
    match address {
        IncomingAddr::Ip(address) => Some(address.ip()),
        _ => None,
    }
}

/// Turns strangers away as soon as they have shown who they are, whatever protocol they want to speak.
#[derive(Debug)]
pub(crate) struct Hooks(pub Arc<Gate>);

impl EndpointHooks for Hooks {
    async fn after_handshake(&self, connection: &Connection) -> AfterHandshakeOutcome {
        let endpoint = *connection.remote_id().as_bytes();
        if self.0.clinic_of(endpoint).await.is_some() {
            return AfterHandshakeOutcome::Accept;
        }
        AfterHandshakeOutcome::Reject {
            error_code: (Close::Unknown as u32).into(),
            reason: Close::Unknown.reason().to_vec(),
        }
    }
}

/// Hands connections of known clinics to the loop.
#[derive(Debug)]
pub(crate) struct Door(pub Arc<Gate>);

impl ProtocolHandler for Door {
    async fn on_accepting(&self, accepting: Accepting) -> Result<Connection, AcceptError> {
        self.0.complete(accepting).await
    }

    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let endpoint = *connection.remote_id().as_bytes();
        match self.0.clinic_of(endpoint).await {
            Some(clinic) if !self.0.admits_call(clinic) => Close::TooOften.close(&connection),
            Some(clinic) => {
                let event = Event::Accepted { clinic, connection };
                let _mesh_ended = self.0.events.send(event);
            }
            None => Close::Unknown.close(&connection),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_free_themselves_and_are_counted_by_address() {
        let mut slots = Slots::default();
        let here: Option<IpAddr> = Some("127.0.0.1".parse().unwrap());
        let there: Option<IpAddr> = Some("10.0.0.1".parse().unwrap());
        let now = Instant::now();
        for (after, address) in [(1, here), (2, there), (3, here)] {
            slots
                .0
                .push_back((now + Duration::from_secs(after), address));
        }
        assert_eq!((slots.from(here), slots.from(there)), (2, 1));
        slots.free(here);
        assert_eq!(slots.from(here), 1);
        slots.forget_until(now + Duration::from_secs(2));
        assert_eq!((slots.from(here), slots.from(there)), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clinic_that_calls_again_and_again_is_heard_at_its_rate() {
        let timing = Timing::default();
        let mut calls = Calls::default();
        let clinic = |n| ClinicId::from_bytes([n; 32]);
        let mut now = Instant::now();
        let admitted = (0..100).filter(|_| calls.admits(clinic(1), &timing, now));
        assert_eq!(admitted.count(), 64);
        assert!(calls.admits(clinic(2), &timing, now));
        now += Duration::from_secs(3);
        let admitted = (0..100).filter(|_| calls.admits(clinic(1), &timing, now));
        assert_eq!(admitted.count(), 12);
        now += Duration::from_secs(60);
        assert!(calls.admits(clinic(2), &timing, now));
        assert_eq!(calls.0.len(), 1);
    }
}
