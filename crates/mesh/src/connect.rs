//! Dialling: from a clinic's address to a connection, or to what went wrong in words that help.

use std::time::Duration;

use iroh::endpoint::{ConnectError, ConnectWithOptsError, ConnectingError, Connection};
use iroh::{Endpoint, EndpointAddr, EndpointId};
use salus_audit::ClinicId;
use tokio::time::timeout;

use crate::config::PeerAddress;
use crate::error::MeshError;
use crate::event::Ended;
use crate::gate::Gate;
use crate::link::how;
use crate::mesh::ALPN;

pub(crate) async fn connect(
    endpoint: &Endpoint,
    gate: &Gate,
    address: PeerAddress,
    dial_ms: u64,
) -> Result<Connection, MeshError> {
    let clinic = address.clinic;
    if gate.clinic_of(address.endpoint).await != Some(clinic) {
        return Err(MeshError::UnknownPeer { clinic });
    }
    let Ok(id) = EndpointId::from_bytes(&address.endpoint) else {
        return Err(MeshError::UnknownPeer { clinic });
    };
    if address.addresses.is_empty() {
        return Err(MeshError::NoAddress { clinic });
    }
    let addresses = address.addresses.into_iter();
    let target = addresses.fold(EndpointAddr::new(id), EndpointAddr::with_ip_addr);
    let limit = Duration::from_millis(dial_ms);
    match timeout(limit, endpoint.connect(target, ALPN)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(why(clinic, dial_ms, &error)),
        Err(_) => Err(unreachable(clinic, dial_ms)),
    }
}

fn unreachable(clinic: ClinicId, dial_ms: u64) -> MeshError {
    let after_s = dial_ms.div_ceil(1_000);
    MeshError::Unreachable { clinic, after_s }
}

fn why(clinic: ClinicId, dial_ms: u64, error: &ConnectError) -> MeshError {
    let ended = match error {
        ConnectError::Connection { source, .. } => how(source),
        ConnectError::Connecting { source, .. } => match source {
            ConnectingError::ConnectionError { source, .. } => how(source),
            ConnectingError::LocallyRejected { .. } => return MeshError::UnknownPeer { clinic },
            other => Ended::Lost(other.to_string()),
        },
        ConnectError::Connect { source, .. } => match source {
            ConnectWithOptsError::EndpointClosed { .. } => return MeshError::Closed,
            ConnectWithOptsError::SelfConnect { .. } => {
                return MeshError::UnknownPeer { clinic };
            }
            other => Ended::Lost(other.to_string()),
        },
        other => Ended::Lost(other.to_string()),
    };
    match ended {
        Ended::Refused => MeshError::Refused { clinic },
        Ended::Version => MeshError::Version { clinic },
        Ended::Lost(text) if text == "timed out" => unreachable(clinic, dial_ms),
        Ended::Lost(why) => MeshError::Interrupted { clinic, why },
        _ => unreachable(clinic, dial_ms),
    }
}
