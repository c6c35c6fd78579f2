//! Two nodes that hold the same, over real endpoints on loopback: how long a sync takes, connection included, and on a
//! connection that stands.
//!
//! `cargo run --release -p salus-mesh --example in_step_connected -- 100000`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_audit::{BlobHash, ClinicId, Heights, LogId};
use salus_mesh::{Ledger, LedgerError, Mesh, MeshConfig, Network, PeerAddress};
use salus_sync::{CatalogAnswer, CatalogItem, Committed, Loaded};

/// Syncs that are timed; the median counts.
const TIMES: usize = 11;

/// A ledger that holds some logs and knows one peer.
struct Fixed {
    items: Vec<CatalogItem>,
    peer: ([u8; 32], ClinicId),
}

impl Ledger for Fixed {
    fn clinic_of(&self, endpoint: [u8; 32]) -> Option<ClinicId> {
        (endpoint == self.peer.0).then_some(self.peer.1)
    }

    fn catalog(&self, _: ClinicId) -> Result<CatalogAnswer, LedgerError> {
        Ok(CatalogAnswer {
            version: 1,
            items: self.items.clone(),
        })
    }

    fn heights(&self, _: ClinicId, logs: &[LogId]) -> Result<Vec<Heights>, LedgerError> {
        Ok(vec![Heights::new(); logs.len()])
    }

    fn load(&self, _: ClinicId, _: LogId, _: &Heights, _: usize) -> Result<Loaded, LedgerError> {
        Ok(Loaded::default())
    }

    fn commit(
        &self,
        _: ClinicId,
        _: Vec<Vec<u8>>,
        _: Vec<(LogId, Vec<u8>)>,
    ) -> Result<Committed, LedgerError> {
        Ok(Committed::default())
    }

    fn may_fetch(&self, _: ClinicId, _: BlobHash) -> bool {
        false
    }
}

fn items(count: u32) -> Vec<CatalogItem> {
    let mut items: Vec<_> = (0..count)
        .map(|n| CatalogItem {
            log: LogId::from_bytes(hash(&n.to_be_bytes())),
            digest: [1; 32],
            is_roster: n % 10_000 == 0,
        })
        .collect();
    items.sort_by_key(|item| item.log);
    items
}

/// Any function that spreads: ids of logs are hashes.
fn hash(bytes: &[u8]) -> [u8; 32] {
    let log = LogId::from_bytes([7; 32]);
    let chain = salus_audit::ChainId::from_bytes([8; 32]);
    let first = salus_audit::EntryHash::from_bytes(std::array::from_fn(|n| {
        bytes.get(n).copied().unwrap_or(0)
    }));
    let height = salus_audit::Height {
        seq: 1,
        hash: first,
    };
    salus_audit::digest(log, &[(chain, height)].into())
}

async fn node(n: u8, items: &[CatalogItem]) -> Result<Mesh, Box<dyn Error>> {
    let [me, peer] = [n, 3 - n].map(|n| ClinicId::from_bytes([n; 32]));
    let endpoint = salus_audit::SigningKey::from_seed([3 - n; 32]).public();
    let ledger = Fixed {
        items: items.to_vec(),
        peer: (endpoint, peer),
    };
    let config = MeshConfig::new([n; 32], me, ([127, 0, 0, 1], 0).into(), Network::Loopback);
    Ok(Mesh::start(config, Arc::new(ledger)).await?)
}

fn median(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |place: usize| {
        times
            .get(place)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1);
    let count = count
        .and_then(|count| count.parse().ok())
        .unwrap_or(100_000);
    let items = items(count);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let (a, b) = (node(1, &items).await?, node(2, &items).await?);
        let clinic = ClinicId::from_bytes([2; 32]);
        a.set_peers(vec![PeerAddress {
            clinic,
            endpoint: b.endpoint_id(),
            addresses: b.addresses(),
        }]);
        let began = Instant::now();
        a.sync(clinic).await?;
        first.push(began.elapsed());
        let began = Instant::now();
        a.sync(clinic).await?;
        again.push(began.elapsed());
        a.shutdown().await;
        b.shutdown().await;
    }
    let ((first, first_worst), (again, again_worst)) = (median(first), median(again));
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        println!(
            "{count} logs in step: {first:.1} ms with the connection (at worst {first_worst:.1}), \
             {again:.1} ms on one that stands (at worst {again_worst:.1})"
        );
    }
    Ok(())
}
