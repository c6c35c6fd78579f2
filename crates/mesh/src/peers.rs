//! The peers: where they are, who waits for them, when they are dialled.

use std::net::SocketAddr;

use iroh::TransportAddr;
use iroh::endpoint::Connection;
use salus_audit::ClinicId;
use salus_sync::{Input, SyncStats};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::{Network, PeerAddress};
use crate::connect::connect;
use crate::core::Core;
use crate::dial::{Dials, Shuns};
use crate::error::MeshError;
use crate::event::{DialError, Event};
use crate::mesh::ALPN;
use crate::status::PeerStatus;

/// Somebody who waits until both are in step.
type Waiter = oneshot::Sender<Result<SyncStats, MeshError>>;

#[derive(Default)]
pub(crate) struct Peer {
    pub address: Option<PeerAddress>,
    pub dials: Dials,
    /// Those who wait until both are in step.
    pub waiters: Vec<Waiter>,
    pub in_step_at_ms: Option<u64>,
    pub last_error: Option<String>,
    pub shuns: Shuns,
}

impl Core {
    pub(crate) fn set_peers(&mut self, addresses: Vec<PeerAddress>) {
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

    pub(crate) fn sync(&mut self, clinic: ClinicId, waiter: Waiter) {
        if self.links.contains_key(&clinic) {
            self.peers.entry(clinic).or_default().waiters.push(waiter);
            self.tell(Input::SyncRequested { peer: clinic });
            return;
        }
        let network = self.parts.network;
        let now = Instant::now();
        let error = match self.peers.get_mut(&clinic) {
            Some(peer) if peer.shuns.until(now).is_some() => {
                let until = peer.shuns.until(now).unwrap_or(now);
                let for_s = (until - now).as_millis().div_ceil(1_000);
                let for_s = u64::try_from(for_s).unwrap_or(u64::MAX);
                MeshError::Shunned { clinic, for_s }
            }
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

    /// Where a clinic is to be dialled beside the connection that may stand.
    pub(crate) fn address(&self, clinic: ClinicId) -> Result<PeerAddress, MeshError> {
        let unknown = || MeshError::UnknownPeer { clinic };
        let peer = self.peers.get(&clinic).ok_or_else(unknown)?;
        let now = Instant::now();
        if let Some(until) = peer.shuns.until(now) {
            let for_s = (until - now).as_millis().div_ceil(1_000);
            let for_s = u64::try_from(for_s).unwrap_or(u64::MAX);
            return Err(MeshError::Shunned { clinic, for_s });
        }
        let known = peer.address.as_ref().ok_or_else(unknown)?;
        let network = self.parts.network;
        let mut addresses = addresses(peer, network);
        // Who dialled this node may be where its packets come from.
        let paths = self.links.get(&clinic).map(|link| link.connection.paths());
        for path in paths.iter().flat_map(|paths| paths.iter()) {
            if let TransportAddr::Ip(address) = path.remote_addr()
                && network.admits(address.ip())
                && !addresses.contains(address)
            {
                addresses.push(*address);
            }
        }
        Ok(PeerAddress {
            addresses,
            ..known.clone()
        })
    }

    pub(crate) fn is_lower(&self, clinic: ClinicId) -> bool {
        let address = self
            .peers
            .get(&clinic)
            .and_then(|peer| peer.address.as_ref());
        address.is_some_and(|address| *self.parts.endpoint.id().as_bytes() < address.endpoint)
    }

    /// Dials those who are due; when the next one is.
    pub(crate) fn dial_who_is_due(&mut self) -> Option<Instant> {
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
            let due = peer
                .dials
                .due(waited_for, kept, lower, &self.parts.timing, now);
            let shunned = peer.shuns.until(now);
            match due.map(|due| shunned.map_or(due, |until| until.max(due))) {
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

    pub(crate) fn dial(&mut self, clinic: ClinicId) {
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
            let result = connect(&endpoint, &gate, address, ALPN, dial_ms).await;
            let _mesh_ended = events.send(Event::Dialled {
                clinic,
                attempt,
                result,
            });
        });
    }

    pub(crate) fn dialled(
        &mut self,
        clinic: ClinicId,
        attempt: u64,
        result: Result<Connection, DialError>,
    ) {
        let timing = self.parts.timing.clone();
        let Some(peer) = self.peers.get_mut(&clinic) else {
            return;
        };
        if peer.dials.attempt == Some(attempt) {
            peer.dials.attempt = None;
        } else if result.is_err() {
            return;
        }
        match result {
            Ok(connection) => self.adopt(clinic, connection, true),
            Err(DialError::Duplicate) => self.wait_for_the_other(clinic),
            Err(DialError::Failed(error)) => {
                peer.dials.failed(&timing, &mut self.jitter, Instant::now());
                tracing::debug!(%clinic, %error, "not connected");
                if !self.links.contains_key(&clinic) {
                    self.fail(clinic, &error);
                }
            }
        }
    }

    pub(crate) fn statuses(&self) -> Vec<PeerStatus> {
        let known = self
            .peers
            .iter()
            .filter(|(clinic, peer)| peer.address.is_some() || self.links.contains_key(clinic));
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
}

/// The addresses of a peer that may be dialled.
fn addresses(peer: &Peer, network: Network) -> Vec<SocketAddr> {
    let all = peer.address.iter().flat_map(|address| &address.addresses);
    all.filter(|address| network.admits(address.ip()))
        .copied()
        .collect()
}
