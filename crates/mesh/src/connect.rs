//! Dialling: from a clinic's address to a connection, or to what went wrong in words that help.

use std::time::Duration;

use iroh::endpoint::{ConnectError, ConnectWithOptsError, ConnectingError, Connection};
use iroh::{Endpoint, EndpointAddr, EndpointId};
use salus_audit::ClinicId;
use tokio::time::timeout;

use crate::config::PeerAddress;
use crate::error::MeshError;
use crate::event::{DialError, Ended};
use crate::gate::Gate;
use crate::link::how;

pub(crate) async fn connect(
    endpoint: &Endpoint,
    gate: &Gate,
    address: PeerAddress,
    alpn: &[u8],
    dial_ms: u64,
) -> Result<Connection, DialError> {
    let clinic = address.clinic;
    if gate.clinic_of(address.endpoint).await != Some(clinic) {
        return Err(DialError::Failed(MeshError::UnknownPeer { clinic }));
    }
    let Ok(id) = EndpointId::from_bytes(&address.endpoint) else {
        return Err(DialError::Failed(MeshError::UnknownPeer { clinic }));
    };
    if address.addresses.is_empty() {
        return Err(DialError::Failed(MeshError::NoAddress { clinic }));
    }
    let addresses = address.addresses.into_iter();
    let target = addresses.fold(EndpointAddr::new(id), EndpointAddr::with_ip_addr);
    let limit = Duration::from_millis(dial_ms);
    match timeout(limit, endpoint.connect(target, alpn)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(why(clinic, dial_ms, &error)),
        Err(_) => Err(DialError::Failed(unreachable(clinic, dial_ms))),
    }
}

fn unreachable(clinic: ClinicId, dial_ms: u64) -> MeshError {
    let after_s = dial_ms.div_ceil(1_000);
    MeshError::Unreachable { clinic, after_s }
}

fn why(clinic: ClinicId, dial_ms: u64, error: &ConnectError) -> DialError {
    match how_it_ended(error) {
        Ok(Ended::Duplicate) => DialError::Duplicate,
        Ok(Ended::Refused) => DialError::Failed(MeshError::Refused { clinic }),
        Ok(Ended::Version) => DialError::Failed(MeshError::Version { clinic }),
        Ok(Ended::Lost(text)) if text != TIMED_OUT => {
            DialError::Failed(MeshError::Interrupted { clinic, why: text })
        }
        Ok(_) => DialError::Failed(unreachable(clinic, dial_ms)),
        Err(Own::Unknown) => DialError::Failed(MeshError::UnknownPeer { clinic }),
        Err(Own::Closed) => DialError::Failed(MeshError::Closed),
    }
}

/// What noq says when nobody answered.
const TIMED_OUT: &str = "timed out";

/// What this side had against it.
enum Own {
    Unknown,
    Closed,
}

fn how_it_ended(error: &ConnectError) -> Result<Ended, Own> {
    let ended = match error {
        ConnectError::Connection { source, .. } => how(source),
        ConnectError::Connecting { source, .. } => match source {
            ConnectingError::ConnectionError { source, .. } => how(source),
            ConnectingError::LocallyRejected { .. } => return Err(Own::Unknown),
            other => Ended::Lost(other.to_string()),
        },
        ConnectError::Connect { source, .. } => match source {
            ConnectWithOptsError::EndpointClosed { .. } => return Err(Own::Closed),
            ConnectWithOptsError::SelfConnect { .. } => return Err(Own::Unknown),
            other => Ended::Lost(other.to_string()),
        },
        other => Ended::Lost(other.to_string()),
    };
    Ok(ended)
}
