//! Two nodes in step: how long their engines take from a new connection until both know it.
//!
//! `cargo run --release -p salus-sync --example in_step -- 100000`

use std::time::{Duration, Instant};

use salus_audit::{ClinicId, LogId};
use salus_sync::{CatalogAnswer, CatalogItem, Config, Engine, Input, Output, Timestamp};

/// Catalogs are made anew so often; the median counts.
const TIMES: usize = 21;

fn items(count: u32) -> Vec<CatalogItem> {
    let mut items: Vec<_> = (0..count)
        .map(|n| CatalogItem {
            log: LogId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes()),
            digest: *blake3::hash(&[1]).as_bytes(),
            is_roster: n % 10_000 == 0,
        })
        .collect();
    items.sort_by_key(|item| item.log);
    items
}

/// One session between two nodes that hold the same: what each engine took, and how many frames there were.
fn session(items: &[CatalogItem]) -> ([Duration; 2], usize) {
    let now = Timestamp::from_millis(0);
    let clinics = [1, 2].map(|n| ClinicId::from_bytes([n; 32]));
    let mut engines = clinics.map(|clinic| Engine::new(clinic, Config::default(), [0; 32]));
    let mut took = [Duration::ZERO; 2];
    let mut frames = 0;
    for n in [0, 1] {
        let peer = clinics[1 - n];
        let initiator = n == 0;
        engines[n].handle(now, Input::PeerConnected { peer, initiator });
        let Some(Output::NeedCatalog { task, .. }) = engines[n].poll_output() else {
            continue;
        };
        let items = items.to_vec();
        let catalog = CatalogAnswer { version: 1, items };
        let began = Instant::now();
        engines[n].handle(now, Input::Catalog { task, catalog });
        took[n] += began.elapsed();
    }
    loop {
        let before = frames;
        for n in [0, 1] {
            loop {
                let began = Instant::now();
                let frame = engines[n].poll_transmit(clinics[1 - n], now);
                took[n] += began.elapsed();
                let Some(frame) = frame else { break };
                frames += 1;
                let (peer, bytes) = (clinics[n], frame.into_bytes());
                let began = Instant::now();
                engines[1 - n].handle(now, Input::Received { peer, bytes });
                took[1 - n] += began.elapsed();
            }
        }
        if frames == before {
            return (took, frames);
        }
    }
}

fn main() {
    let count = std::env::args().nth(1);
    let count = count
        .and_then(|count| count.parse().ok())
        .unwrap_or(100_000);
    let items = items(count);
    let mut times: Vec<_> = (0..TIMES).map(|_| session(&items)).collect();
    times.sort_by_key(|(took, _)| took[0] + took[1]);
    let ([first, second], frames) = times[TIMES / 2];
    let [first, second] = [first, second].map(|took| took.as_secs_f64() * 1e3);
    let worst = times[TIMES - 1].0.map(|took| took.as_secs_f64() * 1e3);
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        println!(
            "{count} logs in step: {first:.1} ms where it was dialled, {second:.1} ms at the other side, \
             {frames} frames; at worst {:.1} and {:.1} ms",
            worst[0], worst[1]
        );
    }
}
