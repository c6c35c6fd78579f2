//! Blobs between real endpoints on loopback, each with a folder of its own.

mod damage;
mod fetching;
mod hostile;
mod many;
mod resuming;
mod serving;
mod sharing;
mod storing;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use salus_audit::{BlobHash, ClinicId};
use tempfile::TempDir;

use super::{Node, config};
use crate::blobs::{BlobFetchError, BlobOptions, BlobStore, FetchOptions, FetchStats, Wanted};
use crate::config::MeshConfig;

/// Above every size that a test expects.
const ENOUGH: u64 = 1 << 40;

/// What the node's database names; none where it does not answer.
type Needed = Arc<Mutex<Option<HashSet<BlobHash>>>>;

struct Keeper {
    node: Node,
    store: BlobStore,
    needed: Needed,
    folder: TempDir,
}

fn options(needed: &Needed) -> BlobOptions {
    let needed = needed.clone();
    BlobOptions::new(Arc::new(move || needed.lock().unwrap().clone()))
}

async fn open(folder: &TempDir, needed: &Needed) -> BlobStore {
    BlobStore::open(folder.path(), options(needed))
        .await
        .unwrap()
}

fn needed() -> Needed {
    Arc::new(Mutex::new(Some(HashSet::new())))
}

impl Keeper {
    async fn start(n: u8) -> Self {
        Self::with(config(n)).await
    }

    async fn with(config: MeshConfig) -> Self {
        let (folder, needed) = (tempfile::tempdir().unwrap(), needed());
        let store = open(&folder, &needed).await;
        let node = Node::start(MeshConfig {
            blobs: Some(store.clone()),
            ..config
        })
        .await;
        Self {
            node,
            store,
            needed,
            folder,
        }
    }

    fn clinic(&self) -> ClinicId {
        self.node.clinic
    }

    /// Adds bytes that are named from then on.
    async fn hold(&self, bytes: &Bytes) -> BlobHash {
        let added = self.store.add_bytes(bytes.clone()).await.unwrap();
        self.need(added.hash);
        added.hash
    }

    fn need(&self, blob: BlobHash) {
        self.needed.lock().unwrap().as_mut().unwrap().insert(blob);
    }

    fn grant(&self, to: &Keeper, blob: BlobHash) {
        self.node.ledger.grant(to.clinic(), blob);
    }

    async fn fetch(&self, blob: BlobHash, from: &[&Keeper]) -> Result<FetchStats, BlobFetchError> {
        let wanted = wanted(blob, from);
        self.node.mesh.fetch(&wanted, &quick(), None).await
    }

    async fn holds(&self, blob: BlobHash, bytes: &Bytes) -> bool {
        let read = self.store.read(blob, 0..u64::MAX).await;
        read.is_ok_and(|read| read == *bytes)
    }

    async fn end(self) {
        self.node.mesh.shutdown().await;
        self.store.shutdown().await;
    }
}

fn wanted(blob: BlobHash, from: &[&Keeper]) -> Wanted {
    Wanted {
        blob,
        providers: from.iter().map(|keeper| keeper.clinic()).collect(),
        max_bytes: ENOUGH,
    }
}

/// Fetches that give up soon, and not because the machine is busy.
fn quick() -> FetchOptions {
    FetchOptions {
        stall: Duration::from_secs(8),
        ..FetchOptions::default()
    }
}

/// Two who know each other.
async fn two() -> (Keeper, Keeper) {
    let (a, b) = (Keeper::start(1).await, Keeper::start(2).await);
    a.node.knows(&[&b.node]);
    b.node.knows(&[&a.node]);
    (a, b)
}

/// Three who know each other.
async fn three() -> [Keeper; 3] {
    let all = [
        Keeper::start(1).await,
        Keeper::start(2).await,
        Keeper::start(3).await,
    ];
    let [a, b, c] = &all;
    a.node.knows(&[&b.node, &c.node]);
    b.node.knows(&[&a.node, &c.node]);
    c.node.knows(&[&a.node, &b.node]);
    all
}

/// Bytes that nothing compresses, and that are others for each seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash::from_bytes(*blake3::hash(bytes).as_bytes())
}
