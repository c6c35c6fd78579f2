//! The node's dealings with its mesh: syncing by request, what the network reports, what peers look like.

use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt;
use salus_api::{ApiError, Event, NetworkMode, PeerView, SyncReport};
use salus_audit::ClinicId;
use salus_mesh::{MeshError, MeshEvent, Network, PeerStatus};
use tokio::sync::broadcast;

use crate::node::{Node, lock};

/// How long one sync with one clinic may take before it is reported as unfinished; what was stored stays, and the next sync goes on from
/// there. A first sync of a large clinic takes minutes.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The mesh's word for where a node looks.
pub fn network(mode: NetworkMode) -> Network {
    match mode {
        NetworkMode::Loopback => Network::Loopback,
        NetworkMode::Lan => Network::Lan,
        NetworkMode::Internet => Network::Internet,
    }
}

/// A failure of the network, in the API's words.
pub fn mesh_error(error: MeshError) -> ApiError {
    let message = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let hint = match &error {
        MeshError::Unreachable { .. } | MeshError::NoAddress { .. } => {
            "see whether `salus node` runs there, and whether `salus peers` shows its address right"
        }
        MeshError::Refused { .. } => {
            "the other clinic must make this one known too: run there the line that `salus clinic id` prints here"
        }
        MeshError::UnknownPeer { .. } => "make it known with `salus peers add ID ADDRESS`",
        MeshError::Bind { .. } => "another process uses the port; choose another with --listen",
        MeshError::NotLoopback { .. } => {
            "this clinic was made for loopback; listen on 127.0.0.1, or change `network` in settings.json"
        }
        MeshError::Version { .. } => "use the same version of salus at both clinics",
        MeshError::Shunned { .. } => {
            "it sent what no honest node sends and is left alone for a while; if that is a mistake, update both nodes"
        }
        MeshError::Interrupted { .. } | MeshError::Stalled { .. } => {
            "sync again: it goes on from what was stored"
        }
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
            // What it has may be to be had now.
            node.keeper.retry();
        }
        node.tell(Event::PeersChanged);
    }
}

/// Clinics that are synced with at once: those that are away cost one wait together, those that are there share disk and
/// processor anyway. A guess.
const SYNCS_AT_ONCE: usize = 8;

/// Syncs with several clinics, and reports in their order.
pub async fn sync_all(node: &Node, clinics: Vec<ClinicId>) -> Vec<SyncReport> {
    together(clinics, |clinic| sync_with(node, clinic)).await
}

/// Does something with each of these, [`SYNCS_AT_ONCE`] at a time, and returns what came of it in their order.
async fn together<T, R, F: Future<Output = R>>(each: Vec<T>, work: impl Fn(T) -> F) -> Vec<R> {
    futures_util::stream::iter(each)
        .map(work)
        .buffered(SYNCS_AT_ONCE)
        .collect()
        .await
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
    // What was written here a moment ago is to be part of it.
    if let Ok(core) = node.core() {
        let passed_on = lock(&core).flush_notices();
        passed_on.notified().await;
    }
    let begun = std::time::Instant::now();
    match tokio::time::timeout(SYNC_TIMEOUT, mesh.sync(clinic)).await {
        Ok(Ok(stats)) => {
            report.sent = stats.sent;
            report.received = stats.received;
            report.refused = stats.refused;
            report.bytes = stats.bytes_sent + stats.bytes_received;
            report.unresolved = stats.unresolved;
            // What merely is not shared any more is no failure: nothing was refused, and nothing waits.
            if stats.unresolved > 0 && stats.refused + stats.pending > 0 {
                report.error = Some(format!(
                    "{} logs still differ: entries in them wait for others, were refused, or the other clinic no longer shares them",
                    stats.unresolved
                ));
            }
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
        Some(mesh) => mesh.peers().await,
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
                behind: status.and_then(|s| s.behind).unwrap_or(0),
                last_error: status.and_then(|s| s.last_error.clone()),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn those_that_are_away_are_waited_for_together_and_not_all_at_once() {
        // Each goes on only once as many wait: one after the other nobody ever would.
        let all = tokio::sync::Barrier::new(SYNCS_AT_ONCE);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let numbers: Vec<usize> = (0..SYNCS_AT_ONCE * 3).collect();
        let work = async |number| {
            let here = now.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(here, Ordering::Relaxed);
            all.wait().await;
            now.fetch_sub(1, Ordering::Relaxed);
            number
        };
        let done = together(numbers.clone(), work);
        let done = tokio::time::timeout(Duration::from_secs(60), done).await;
        assert_eq!(done.unwrap(), numbers);
        assert_eq!(most.into_inner(), SYNCS_AT_ONCE);
    }
}
