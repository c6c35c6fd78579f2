//! The least store that answers an engine's tasks: entries are bytes that say their own place.

use std::collections::BTreeMap;

use salus_audit::{ChainId, ClinicId, EntryHash, Height, Heights, LogId, digest};
use salus_sync::{CatalogAnswer, CatalogItem, Changed, Committed, Input, Loaded, Output};

/// Log, chain and position come first in an entry; what follows is its content.
const HEAD_BYTES: usize = 32 + 32 + 8;

/// An entry's place, and its bytes.
struct Held {
    chain: ChainId,
    height: Height,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Ledger {
    logs: BTreeMap<LogId, (bool, Vec<Held>)>,
    /// Who is served.
    peers: Vec<ClinicId>,
    version: u64,
}

impl Ledger {
    pub(super) fn new(peers: &[ClinicId]) -> Self {
        Self {
            peers: peers.to_vec(),
            ..Self::default()
        }
    }

    /// Adds the next entry of a chain.
    pub(super) fn write(&mut self, log: LogId, is_roster: bool, chain: ChainId, content: &[u8]) {
        let seq = self.next(log, chain);
        let place = [log.as_bytes().as_slice(), chain.as_bytes()].concat();
        let bytes = [&place, seq.to_be_bytes().as_slice(), content].concat();
        self.keep(log, chain, seq, bytes);
        if let Some((roster, _)) = self.logs.get_mut(&log) {
            *roster = is_roster;
        }
    }

    fn keep(&mut self, log: LogId, chain: ChainId, seq: u64, bytes: Vec<u8>) {
        let hash = EntryHash::from_bytes(blake3::hash(&bytes).into());
        let height = Height { seq, hash };
        let (_, held) = self.logs.entry(log).or_default();
        held.push(Held {
            chain,
            height,
            bytes,
        });
    }

    fn heights(&self, log: LogId) -> Heights {
        let held = self.logs.get(&log).into_iter().flat_map(|(_, held)| held);
        // Later ones are higher.
        held.map(|held| (held.chain, held.height)).collect()
    }

    fn next(&self, log: LogId, chain: ChainId) -> u64 {
        let heights = self.heights(log);
        heights.get(&chain).map_or(0, |height| height.seq + 1)
    }

    /// The answer to a task; nothing for an event.
    pub(super) fn answer(&mut self, output: Output) -> Option<Input> {
        Some(match output {
            Output::NeedCatalog { task, .. } => {
                let logs = self.logs.iter();
                let items = logs.map(|(log, (is_roster, _))| CatalogItem {
                    log: *log,
                    digest: digest(*log, &self.heights(*log)),
                    is_roster: *is_roster,
                });
                let catalog = CatalogAnswer {
                    version: self.version,
                    items: items.collect(),
                };
                Input::Catalog { task, catalog }
            }
            Output::NeedHeights { task, logs, .. } => {
                let heights = logs.iter().map(|log| self.heights(*log)).collect();
                Input::Heights { task, heights }
            }
            Output::Load {
                task, log, theirs, ..
            } => {
                let loaded = self.load(log, theirs);
                Input::Loaded { task, loaded }
            }
            Output::Commit { task, entries, .. } => {
                let committed = self.commit(&entries);
                Input::Committed { task, committed }
            }
            _ => return None,
        })
    }

    fn load(&self, log: LogId, theirs: Heights) -> Loaded {
        let ours = self.heights(log);
        let held = self.logs.get(&log).into_iter().flat_map(|(_, held)| held);
        let lacking = held.filter(|held| {
            let known = theirs.get(&held.chain);
            known.is_none_or(|known| known.seq < held.height.seq)
        });
        let mut loaded = Loaded {
            reached: theirs.clone(),
            ours,
            ..Loaded::default()
        };
        for held in lacking {
            loaded.entries.push(held.bytes.clone());
            loaded.reached.insert(held.chain, held.height);
        }
        loaded
    }

    fn commit(&mut self, entries: &[Vec<u8>]) -> Committed {
        let mut committed = Committed::default();
        for bytes in entries {
            let Some((log, chain, seq)) = place(bytes) else {
                committed.refused += 1;
                continue;
            };
            let next = self.next(log, chain);
            if seq < next {
                committed.duplicate += 1;
            } else if seq > next {
                committed.pending += 1;
                committed.waiting.push(log);
            } else {
                self.keep(log, chain, seq, bytes.clone());
                committed.accepted += 1;
                self.version += 1;
                committed.changed.push(self.changed(log));
            }
        }
        committed
    }

    fn changed(&self, log: LogId) -> Changed {
        Changed {
            log,
            digest: digest(log, &self.heights(log)),
            is_roster: self.logs.get(&log).is_some_and(|(roster, _)| *roster),
            audience: self.peers.clone(),
            version: self.version,
        }
    }
}

fn place(bytes: &[u8]) -> Option<(LogId, ChainId, u64)> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let log = *head.first_chunk::<32>()?;
    let chain = *head.get(32..)?.first_chunk::<32>()?;
    let seq = *head.get(64..)?.first_chunk::<8>()?;
    Some((
        LogId::from_bytes(log),
        ChainId::from_bytes(chain),
        u64::from_be_bytes(seq),
    ))
}
