//! The links: which connection stands for which clinic, and what its end means.

use std::time::Duration;

use iroh::endpoint::Connection;
use salus_audit::ClinicId;
use salus_sync::{Input, Violation};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::core::Core;
use crate::error::MeshError;
use crate::event::Ended;
use crate::link::{self, Close, Link, Wiring};
use crate::status::MeshEvent;

/// Two nodes that dial each other within this time have one connection too many; later, the newer one
/// replaces one that is probably dead.
const AT_THE_SAME_TIME: Duration = Duration::from_secs(5);

impl Core {
    pub(crate) fn misbehaved(&mut self, clinic: ClinicId, why: Violation) {
        let (close, error) = match why {
            Violation::Version(_) => (Close::Version, MeshError::Version { clinic }),
            Violation::Stalled | Violation::NoHello => {
                (Close::Misbehaved, MeshError::Stalled { clinic })
            }
            why => (Close::Misbehaved, MeshError::Misbehaved { clinic, why }),
        };
        if matches!(error, MeshError::Misbehaved { .. }) {
            let peer = self.peers.entry(clinic).or_default();
            peer.shuns.misbehaved(&self.parts.timing, Instant::now());
            // It went well up to here: that does not count.
            if let Some(link) = self.links.get_mut(&clinic) {
                link.went_well = false;
            }
        }
        self.announce(MeshEvent::Misbehaved { clinic, why });
        self.drop_link(clinic, close, &error);
    }

    /// A connection stands: it becomes the link to that clinic, unless a better one stands already.
    pub(crate) fn adopt(&mut self, clinic: ClinicId, connection: Connection, dialled: bool) {
        let endpoint = *connection.remote_id().as_bytes();
        let lower = *self.parts.endpoint.id().as_bytes() < endpoint;
        let peer = self.peers.entry(clinic).or_default();
        if peer.shuns.until(Instant::now()).is_some() {
            Close::Misbehaved.close(&connection);
            return;
        }
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
            went_well: false,
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
        self.link_tasks
            .spawn(link::run(connection, outgoing, wiring));
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
    pub(crate) fn ended(&mut self, clinic: ClinicId, why: Ended) {
        let interrupted = |why: &str| MeshError::Interrupted {
            clinic,
            why: why.to_owned(),
        };
        let error = match why {
            Ended::Misbehaved(why) => return self.misbehaved(clinic, why),
            Ended::Duplicate => {
                self.forget_link(clinic);
                self.wait_for_the_other(clinic);
                return;
            }
            Ended::Bye => interrupted("the other side ended it"),
            Ended::Refused => MeshError::Refused { clinic },
            Ended::Version => MeshError::Version { clinic },
            Ended::Lost(why) => interrupted(&why),
        };
        self.drop_link(clinic, Close::Bye, &error);
    }

    /// The connection that the other side dialled is about to come; those who wait for a sync wait on, and if it does not
    /// come, it is dialled again.
    pub(crate) fn wait_for_the_other(&mut self, clinic: ClinicId) {
        let lower = self.is_lower(clinic);
        let timing = self.parts.timing.clone();
        let peer = self.peers.entry(clinic).or_default();
        let soon = lower || !peer.waiters.is_empty();
        peer.dials
            .lost(soon, &timing, &mut self.jitter, Instant::now());
    }

    fn forget_link(&mut self, clinic: ClinicId) -> Option<Link> {
        let link = self.links.remove(&clinic)?;
        if link.went_well
            && let Some(peer) = self.peers.get_mut(&clinic)
        {
            peer.shuns.went_well();
        }
        self.tell(Input::PeerDisconnected { peer: clinic });
        self.announce(MeshEvent::PeerDown { clinic });
        Some(link)
    }

    /// Ends a link and the waiting of those who waited for it.
    pub(crate) fn drop_link(&mut self, clinic: ClinicId, close: Close, error: &MeshError) {
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

    pub(crate) fn fail(&mut self, clinic: ClinicId, error: &MeshError) {
        let peer = self.peers.entry(clinic).or_default();
        peer.last_error = Some(error.to_string());
        for waiter in peer.waiters.drain(..) {
            let _nobody_waits = waiter.send(Err(error.clone()));
        }
    }
}
