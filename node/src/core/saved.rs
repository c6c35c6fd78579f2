//! Saved documents on their way back into memory: first a worker of the sandbox loads them, within its limits.
//!
//! A snapshot is sealed by this node, yet whoever has its keys, or a defect of its own, can seal bytes that make the merge
//! engine take all memory. What ends the worker, or what it refuses, is a damaged snapshot: a lost cache, and the
//! entries make the document again. Where no worker can be had nothing is loaded, and nothing is called damaged:
//! the document is made of its entries for now, and those of other clinics say that they could not be tried.
//!
//! It costs 0.4 ms for a new record and 1 ms for one of 200 changes, the first time that it is opened (`load_saved` in
//! `node/examples`, 2026-11-23, two busy cores), and a command of its own the start of a worker, 4 to 8 ms.

use std::num::NonZeroUsize;

use lru::LruCache;
use salus_audit::LogId;
use salus_record::{LoadProof, Record};
use salus_sandbox::{Sandbox, SandboxError};

use crate::hostile::RECORD_LOAD;

/// Snapshots of which it is remembered how they loaded, some 100 bytes each: a document that the cache let go is not
/// proved a second time, and one that broke a worker breaks no other.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(8_192).unwrap();

/// How snapshots loaded in the sandbox, by their hash. `None`: they did not.
pub struct LoadProofs(LruCache<[u8; 32], Option<LoadProof>>);

/// What became of a saved document.
pub enum Restored {
    /// The record.
    Record(Box<Record>),
    /// It cannot be loaded, now or later.
    Damaged,
    /// Nobody was there to try it.
    Untried,
}

impl Default for LoadProofs {
    fn default() -> Self {
        Self(LruCache::new(MAX_REMEMBERED))
    }
}

impl LoadProofs {
    /// Loads a saved document if a worker could. `log` is for the program's log only.
    pub fn restore(
        &mut self,
        sandbox: &Sandbox,
        log: LogId,
        saved: &[u8],
        actor: [u8; 16],
    ) -> Restored {
        let hash = *blake3::hash(saved).as_bytes();
        let proof = match self.0.get(&hash) {
            Some(known) => *known,
            None => {
                let Some(found) = prove(sandbox, log, saved) else {
                    return Restored::Untried;
                };
                self.0.put(hash, found);
                found
            }
        };
        proof
            .and_then(|proof| Record::load(saved, actor, &proof).ok())
            .map_or(Restored::Damaged, |record| {
                Restored::Record(Box::new(record))
            })
    }
}

/// Has a worker load it. `None` where there is no worker.
fn prove(sandbox: &Sandbox, log: LogId, saved: &[u8]) -> Option<Option<LoadProof>> {
    let mut unavailable = false;
    let proof = LoadProof::ask(saved, |request| match sandbox.run(RECORD_LOAD, request) {
        Ok(answer) => Some(answer),
        Err(error @ (SandboxError::Unavailable(_) | SandboxError::NotAWorker)) => {
            tracing::warn!(%log, %error, "a saved document could not be tried and is made again from its entries");
            unavailable = true;
            None
        }
        Err(error) => {
            tracing::warn!(%log, %error, "a saved document broke its trial and is made again from its entries");
            None
        }
    });
    (!unavailable).then_some(proof.ok())
}
