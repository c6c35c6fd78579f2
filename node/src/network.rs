//! The node's dealings with its mesh: syncing by request, what the network reports, what peers look like.

use std::sync::Weak;
use std::time::Duration;

use salus_api::{ApiError, Event, PeerView, SyncReport};
use salus_audit::ClinicId;
use salus_mesh::{MeshError, MeshEvent, PeerStatus};
use tokio::sync::broadcast;

use crate::node::{Node, lock};

/// How long one sync with one clinic may take before it is reported as unfinished; what was stored stays, and the next sync goes on from
/// there. A first sync of a large clinic takes minutes.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A failure of the network, in the API's words.
pub fn mesh_error(error: MeshError) -> ApiError {
    let message = error.to_string();
    let hint = match &error {
        MeshError::Unreachable { .. } => {
            "see whether `salus node` runs there, and whether `salus peers` shows its address right"
        }
        MeshError::Refused { .. } => {
            "the other clinic must make this one known too: run there the line that `salus clinic id` prints here"
        }
        MeshError::Listen { .. } => "another process uses the port; choose another with --listen",
        _ => return ApiError::failed(message),
    };
    ApiError::failed(message).hint(hint)
}

/// Turns what the mesh reports into notes and events, until the mesh is gone.
pub async fn listen(node: Weak<Node>, mut events: broadcast::Receiver<MeshEvent>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(node) = node.upgrade() else { return };
        if let MeshEvent::InStep { clinic, .. } = event {
            let noted = node.with_core(move |core| core.in_step(clinic)).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "a clinic's last sync could not be noted");
            }
        }
        node.tell(Event::PeersChanged);
    }
}

/// Syncs with one clinic until both hold the same, and reports what it took.
pub async fn sync_with(node: &Node, clinic: ClinicId) -> SyncReport {
    let mut report = SyncReport {
        peer: clinic.to_string(),
        ..SyncReport::default()
    };
    let Some(mesh) = node.mesh().await else {
        report.error = Some("this node runs without a network".into());
        return report;
    };
    let begun = std::time::Instant::now();
    match tokio::time::timeout(SYNC_TIMEOUT, mesh.sync(clinic)).await {
        Ok(Ok(stats)) => {
            report.sent = stats.sent;
            report.received = stats.received;
            report.refused = stats.refused;
            report.bytes = stats.bytes;
        }
        Ok(Err(error)) => {
            let error = mesh_error(error);
            report.error = Some(match error.hint {
                Some(hint) => format!("{}; {hint}", error.message),
                None => error.message,
            });
        }
        Err(_) => report.error = Some("not finished in 15 minutes; sync again to go on".into()),
    }
    report.seconds = begun.elapsed().as_secs_f64();
    report
}

/// The clinics this one knows, as faces show them.
pub async fn peers(node: &Node) -> Result<Vec<PeerView>, ApiError> {
    let statuses: Vec<PeerStatus> = match node.mesh().await {
        Some(mesh) => mesh.peers(),
        None => Vec::new(),
    };
    let core = node.core()?;
    let core = lock(&core);
    Ok(core
        .peers()?
        .into_iter()
        .map(|peer| {
            let status = statuses.iter().find(|status| status.clinic == peer.clinic);
            PeerView {
                id: peer.clinic.to_string(),
                name: if core.knows_roster(peer.clinic) {
                    core.clinic_name(peer.clinic)
                } else {
                    String::new()
                },
                addresses: peer.addresses,
                connected: status.is_some_and(|s| s.connected),
                rtt_ms: status
                    .and_then(|s| s.rtt)
                    .map(|rtt| rtt.as_secs_f64() * 1000.0),
                synced_ms: peer.synced_ms,
                behind: status.map_or(0, |s| s.behind),
                last_error: status.and_then(|s| s.last_error.clone()),
            }
        })
        .collect())
}
