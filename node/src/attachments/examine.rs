//! Whether the sealed files that are held are whole, and bringing again those that are not.

use std::collections::BTreeSet;
use std::sync::Arc;

use salus_api::ApiError;
use salus_audit::{BlobHash, ClinicId, LogId};
use salus_mesh::blobs::{BlobError, Mended, Presence};

use super::bring::ensure;
use super::seal::blob_error;
use crate::network::sync_with;
use crate::node::Node;

/// What was found of the sealed files.
#[derive(Debug, Default)]
pub struct Health {
    /// Held, read and hashed.
    pub whole: u64,
    /// Named by a record and not here, as others have them.
    pub elsewhere: u64,
    /// Held, with other bytes than were stored.
    pub damaged: Vec<BlobHash>,
    /// Attached here and not here any more.
    pub lost: Vec<BlobHash>,
    /// Damaged or lost, and brought again now.
    pub brought: u64,
}

/// Reads every sealed file that a record names; `repair` brings again what is damaged or lost.
pub async fn examine(node: &Arc<Node>, repair: bool) -> Result<Health, ApiError> {
    let (named, own) = node
        .with_core(|core| Ok((core.named_blobs(), core.own_blobs()?)))
        .await?;
    let mut health = Health::default();
    if named.is_empty() {
        return Ok(health);
    }
    let store = node.blobs.get(node).await?;
    let mut wrong = Vec::new();
    for blob in named {
        match store.presence(blob).await {
            Ok(Presence::Complete { .. }) => match store.verify(blob).await {
                Ok(_) => health.whole += 1,
                Err(BlobError::Damaged { .. } | BlobError::Absent { .. }) => {
                    wrong.push((blob, true));
                }
                Err(error) => return Err(blob_error(&error)),
            },
            Ok(_) if own.contains(&blob) => wrong.push((blob, false)),
            Ok(_) => health.elsewhere += 1,
            Err(error) => return Err(blob_error(&error)),
        }
    }
    for (blob, damaged) in wrong {
        if repair && again(node, blob, damaged).await.is_ok() {
            health.brought += 1;
            health.whole += 1;
        } else if damaged {
            health.damaged.push(blob);
        } else {
            health.lost.push(blob);
        }
    }
    Ok(health)
}

/// Drops what is damaged, and brings it from another clinic.
async fn again(node: &Arc<Node>, blob: BlobHash, damaged: bool) -> Result<(), ApiError> {
    let store = node.blobs.get(node).await?;
    let logs = node
        .with_core(move |core| Ok(core.logs_naming(&blob)))
        .await?;
    if damaged {
        // What is damaged may be all there is of it: it goes only where somebody can be asked for it.
        if !reachable(node, &logs).await? {
            return Err(ApiError::not_found(
                "no clinic that may have it can be reached",
            ));
        }
        if let Mended::Sound | Mended::Restored =
            store.mend(blob).await.map_err(|error| blob_error(&error))?
        {
            return Ok(());
        }
    }
    let mut last = ApiError::not_found("no record names it");
    for log in logs {
        match ensure(node, &store, log, blob, u64::MAX, None).await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a clinic that may hold one of these records can be reached now.
async fn reachable(node: &Arc<Node>, logs: &[LogId]) -> Result<bool, ApiError> {
    let logs = logs.to_vec();
    let holders = node
        .with_core(move |core| {
            let holders = logs.iter().flat_map(|log| core.holders(*log));
            Ok(holders.collect::<BTreeSet<ClinicId>>())
        })
        .await?;
    for clinic in holders {
        if sync_with(node, clinic).await.error.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sealed files that are here in full, of those that a record names.
pub async fn all_held(node: &Arc<Node>) -> Result<Vec<(BlobHash, u64)>, ApiError> {
    let named = node.with_core(|core| Ok(core.named_blobs())).await?;
    let mut held = Vec::new();
    if named.is_empty() {
        return Ok(held);
    }
    let store = node.blobs.get(node).await?;
    for blob in named {
        if let Ok(Presence::Complete { size }) = store.presence(blob).await {
            held.push((blob, size));
        }
    }
    Ok(held)
}
