//! Which files are brought without being asked for: previews always, whole files up to a size, all of a record that is pinned.
//!
//! A task looks at records whose logs changed, and at all of them when the network comes up, and brings what is missing from whoever
//! may hold the record. What nobody gives now is tried again when a clinic is next in step.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use salus_api::{ApiError, Event};
use salus_audit::{BlobHash, LogId};
use salus_mesh::blobs::{BlobFetchError, Presence, ProviderError, Wanted};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::bring;
use crate::node::{Node, lock};

/// The longest preview, sealed, with room.
const MAX_PREVIEW_BYTES: u64 = 8 << 20;
/// Free bytes below which nothing is brought unasked: the store needs them for edits.
const RESERVE_BYTES: u64 = 1 << 30;
/// How long the task rests when nothing wakes it.
const REST: Duration = Duration::from_secs(60);

/// What is brought without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Files whose sealed form is at most this long are brought at once, bytes.
    pub eager_below: u64,
    /// Bytes a second that attachments may take, each way; no limit where absent.
    #[serde(default)]
    pub bytes_per_s: Option<u64>,
    /// Whether images that are attached here are classified at once.
    #[serde(default)]
    pub classify: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // A photograph, a page, a CT slice: what a consultation needs.
            eager_below: 8 << 20,
            bytes_per_s: None,
            classify: false,
        }
    }
}

/// What the task is to look at.
#[derive(Default)]
pub struct Keeper {
    wake: Notify,
    due: Mutex<Due>,
}

#[derive(Default)]
struct Due {
    all: bool,
    logs: BTreeSet<LogId>,
    /// Records of which something is missing that nobody gave.
    missing: BTreeSet<LogId>,
    /// Files that are longer than the policy takes, or another record's: not asked for again until something is pinned.
    left: BTreeSet<BlobHash>,
}

impl Keeper {
    /// A record's log changed.
    pub fn changed(&self, log: LogId) {
        lock(&self.due).logs.insert(log);
        self.wake.notify_one();
    }

    /// What was missing may be to be had now.
    pub fn retry(&self) {
        let mut due = lock(&self.due);
        let missing = std::mem::take(&mut due.missing);
        if !missing.is_empty() {
            due.logs.extend(missing);
            self.wake.notify_one();
        }
    }

    /// Every record is to be looked at: the network has come up.
    pub fn look_at_all(&self) {
        lock(&self.due).all = true;
        self.wake.notify_one();
    }
}

/// Keeps a record's files here in full, or leaves it to the policy again.
pub async fn pin(node: &Arc<Node>, patient: String, pin: bool) -> Result<String, ApiError> {
    let (log, changed) = node
        .with_core(move |core| {
            let log = core.patient_or_erased(&patient)?;
            Ok((log, core.pin(log, pin)?))
        })
        .await?;
    lock(&node.keeper.due).left.clear();
    node.keeper.changed(log);
    let what = if pin {
        "all files of this record are kept here in full"
    } else {
        "files of this record are brought as the policy says"
    };
    Ok(if changed {
        what.to_owned()
    } else {
        format!("nothing to change: {what}")
    })
}

/// The task: until the node is gone.
pub async fn keep(node: Weak<Node>) {
    loop {
        let Some(keeper) = node.upgrade().map(|node| Arc::clone(&node.keeper)) else {
            return;
        };
        let _timed_out = tokio::time::timeout(REST, keeper.wake.notified()).await;
        let Some(node) = node.upgrade() else { return };
        if node.mesh().await.is_none() {
            continue;
        }
        let (all, logs) = {
            let mut due = lock(&keeper.due);
            (std::mem::take(&mut due.all), std::mem::take(&mut due.logs))
        };
        let logs = if all {
            match node.with_core(|core| Ok(core.record_logs())).await {
                Ok(all) => all,
                Err(_) => continue,
            }
        } else {
            logs.into_iter().collect()
        };
        bring_missing(&node, &logs).await;
        let erased = match all {
            true => node.with_core(|core| Ok(core.logs_with_erasures())).await,
            false => Ok(logs),
        };
        remove_erased(&node, &erased.unwrap_or_default()).await;
    }
}

/// Brings what is missing of every record now: for a command that ends when it is done.
pub async fn catch_up(node: &Arc<Node>) {
    let logs = node.with_core(|core| Ok(core.record_logs())).await;
    bring_missing(node, &logs.unwrap_or_default()).await;
    let erased = node.with_core(|core| Ok(core.logs_with_erasures())).await;
    remove_erased(node, &erased.unwrap_or_default()).await;
}

/// Keys and texts went with the entry that erased; the bytes go now.
async fn remove_erased(node: &Arc<Node>, logs: &[LogId]) {
    let Ok(store) = node.blobs.get(node).await else {
        return;
    };
    for log in logs.iter().copied() {
        let erased = node.with_core(move |core| core.erased_blobs(log)).await;
        for blob in erased.unwrap_or_default() {
            if !matches!(store.presence(blob).await, Ok(Presence::Absent)) {
                if let Err(error) = super::collect(node).await {
                    tracing::warn!(%error, "files that were erased could not be removed");
                }
                return;
            }
        }
    }
}

/// Brings what is missing of these records: the previews of all of them before the first large file.
async fn bring_missing(node: &Arc<Node>, logs: &[LogId]) {
    for wish in [Wish::Previews, Wish::Contents] {
        for log in logs {
            let free = crate::folder::free_bytes(node.folder.root());
            if free.is_some_and(|free| free < RESERVE_BYTES) {
                tracing::warn!(
                    "the disk is nearly full: files of other clinics are left where they are"
                );
                return;
            }
            if let Err(error) = bring_of(node, *log, wish).await {
                tracing::debug!(%log, %error, "files of a record were not brought");
            }
        }
    }
}

/// Which blobs of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Previews,
    Contents,
}

/// Brings what is missing of a record.
async fn bring_of(node: &Arc<Node>, log: LogId, wish: Wish) -> Result<(), ApiError> {
    let keeper = &node.keeper;
    let (named, sizes, pinned) = node
        .with_core(move |core| {
            let sizes = core.blob_sizes(log);
            Ok((core.blobs_of_log(log)?, sizes, core.is_pinned(log)?))
        })
        .await?;
    if named.is_empty() {
        return Ok(());
    }
    let store = node.blobs.get(node).await?;
    let most = if pinned {
        u64::MAX
    } else {
        node.settings.attachments.eager_below
    };
    let providers = node.with_core(move |core| Ok(core.holders(log))).await?;
    let mut wanted = Vec::new();
    for (content, preview) in named {
        let (blob, most) = match wish {
            Wish::Previews => match preview {
                Some(preview) => (preview, MAX_PREVIEW_BYTES),
                None => continue,
            },
            Wish::Contents => (content, most),
        };
        if lock(&keeper.due).left.contains(&blob) {
            continue;
        }
        // Where the size is known, more is a lie; where it is not, more is left for when somebody asks.
        let max_bytes = sizes.get(&blob).copied().unwrap_or(most);
        let held = matches!(store.presence(blob).await, Ok(Presence::Complete { .. }));
        if max_bytes <= most && !held {
            wanted.push(Wanted {
                blob,
                providers: providers.clone(),
                max_bytes,
            });
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(mesh) = node.mesh().await else {
        return Ok(());
    };
    let mut arrived = false;
    let blobs: Vec<BlobHash> = wanted.iter().map(|wanted| wanted.blob).collect();
    let options = bring::options(node);
    let answers = mesh.fetch_many(wanted, &options, None).await;
    for (blob, answer) in blobs.into_iter().zip(answers) {
        match answer {
            Ok(_) => match bring::keep_own(node, &store, log, blob).await {
                Ok(()) => arrived = true,
                Err(error) => {
                    lock(&keeper.due).left.insert(blob);
                    tracing::warn!(%error, "a file was not kept");
                }
            },
            Err(error) => {
                let mut due = lock(&keeper.due);
                if !sizes.contains_key(&blob) && is_too_long(&error) {
                    // It is there, and stays there until somebody asks for it.
                    due.left.insert(blob);
                } else {
                    due.missing.insert(log);
                }
                drop(due);
                tracing::debug!(%blob, %error, "a file was not brought");
            }
        }
    }
    if arrived {
        node.tell(Event::PatientsChanged(vec![log.to_string()]));
    }
    Ok(())
}

/// Whether a clinic says that it is more than the policy takes.
fn is_too_long(error: &BlobFetchError) -> bool {
    match error {
        BlobFetchError::Failed { tried, .. } => tried
            .iter()
            .any(|(_, why)| matches!(why, ProviderError::TooLarge { .. })),
        _ => false,
    }
}
