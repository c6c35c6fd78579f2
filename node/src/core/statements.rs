//! What this node states about the logs that it serves, and what others stated to it.
//!
//! Two statements of one chain that cannot both be true are evidence, whoever holds them. They are kept and shown; nothing is decided by them.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use salus_api::ApiError;
use salus_audit::{ClinicId, LogId, SignedStatement, Statement};

use super::{Core, Pending, documents, failure};

/// Where the store keeps the time that this node may have stated, and no statement claims an earlier one.
const META_STATED: &str = "stated-ms";
/// How far ahead that time is set each time it is stored, so that serving does not mean writing: an hour, milliseconds.
const STATED_AHEAD_MS: u64 = 3_600_000;
/// Where the store keeps statements that contradict each other.
const META_CONTRADICTIONS: &str = "contradictions";
/// Contradictions that are kept, the first ones: one is enough to hold against a clinic.
const MAX_CONTRADICTIONS: usize = 64;
/// Of one clinic, so that none crowds out what others did.
const MAX_OF_ONE_CLINIC: usize = 4;

/// Statements of one chain that cannot both be true (CBOR array, sealed by the storage key).
#[derive(Clone, Debug, Encode, Decode)]
pub struct Contradicted {
    /// The one that was held.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub held: Vec<u8>,
    /// The one that came.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub came: Vec<u8>,
    /// What they show, in words.
    #[n(2)]
    pub what: String,
    /// The clinic that signed both.
    #[n(3)]
    pub clinic: ClinicId,
}

/// The time that statements claim.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatedTime {
    last_ms: u64,
    stored_ms: u64,
}

impl StatedTime {
    pub(super) fn load(store: &salus_store::Store) -> Result<Self, ApiError> {
        let stored = store.meta(META_STATED).map_err(failure::store)?;
        let stored_ms = stored
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map_or(0, u64::from_be_bytes);
        Ok(Self {
            last_ms: stored_ms,
            stored_ms,
        })
    }
}

impl Core {
    /// What this node states about a log that it just served whole; nothing where it wrote nothing in it.
    pub(super) fn state_of(&mut self, log: LogId) -> Result<Option<Vec<u8>>, ApiError> {
        let chain = self.chain_id();
        let Some(height) = self.log(log)?.heights().get(&chain).copied() else {
            return Ok(None);
        };
        let statement = Statement {
            log,
            chain,
            seq: height.seq,
            hash: height.hash,
            tree_size: self.tree.size(),
            time_ms: self.stated_time()?,
        };
        // A forked chain of our own has nothing to state.
        let signed = SignedStatement::sign(statement, &self.chain).ok();
        Ok(signed.map(|signed| signed.encode()))
    }

    /// The time now, but never before one that was stated, whatever the clock does.
    fn stated_time(&mut self) -> Result<u64, ApiError> {
        let now = self.now_ms().max(self.stated.last_ms);
        if now > self.stated.stored_ms {
            let ahead = now.saturating_add(STATED_AHEAD_MS);
            self.transact(|_, pending| {
                let bytes = ahead.to_be_bytes().to_vec();
                pending.batch.meta.push((META_STATED.to_owned(), bytes));
                Ok(())
            })?;
            self.stated.stored_ms = ahead;
        }
        self.stated.last_ms = now;
        Ok(now)
    }

    /// Keeps what a clinic stated about logs, and what contradicts an earlier statement of the same chain.
    pub(super) fn keep_statements(
        &mut self,
        peer: ClinicId,
        statements: &[(LogId, Statement, Vec<u8>)],
        pending: &mut Pending,
    ) -> Result<(), ApiError> {
        let mut found = Vec::new();
        // Of several about one log in one commit the last one is kept.
        let mut latest = BTreeMap::new();
        for (log, statement, bytes) in statements {
            let theirs = self.rosters.clinic_of(statement.chain) == Some(peer);
            let held_here = self.logs.summary(log).is_some() || pending.touched.contains(log);
            if !theirs || !held_here || statement.log != *log {
                continue;
            }
            let held = self
                .store
                .statement(*log, statement.chain)
                .map_err(failure::store)?;
            let before = held
                .as_deref()
                .and_then(|bytes| SignedStatement::decode(bytes).ok())
                .and_then(|signed| signed.verify().ok());
            if let (Some(held), Some(before)) = (held, before) {
                let Some(contradiction) = before.contradicts(statement) else {
                    // An older one that is sent again replaces nothing.
                    if statement.tree_size >= before.tree_size {
                        latest.insert((*log, statement.chain), bytes.clone());
                    }
                    continue;
                };
                tracing::warn!(clinic = %peer, %log, %contradiction, "a clinic contradicts what it stated before");
                found.push(Contradicted {
                    held,
                    came: bytes.clone(),
                    what: contradiction.to_string(),
                    clinic: peer,
                });
                // The first one stays: it is what the clinic is held to.
                continue;
            }
            latest.insert((*log, statement.chain), bytes.clone());
        }
        let kept = latest
            .into_iter()
            .map(|((log, chain), bytes)| (log, chain, bytes));
        pending.batch.statements.extend(kept);
        if !found.is_empty() {
            let mut all = self.contradictions()?;
            for new in found {
                let same = all.iter().filter(|old| old.clinic == new.clinic).count();
                if same < MAX_OF_ONE_CLINIC && all.len() < MAX_CONTRADICTIONS {
                    all.push(new);
                }
            }
            let bytes = documents::encoded(&all);
            pending
                .batch
                .meta
                .push((META_CONTRADICTIONS.to_owned(), bytes));
        }
        Ok(())
    }

    /// Statements of other clinics that cannot both be true.
    pub fn contradictions(&self) -> Result<Vec<Contradicted>, ApiError> {
        let bytes = self
            .store
            .meta(META_CONTRADICTIONS)
            .map_err(failure::store)?;
        Ok(bytes
            .and_then(|bytes| minicbor::decode(&bytes).ok())
            .unwrap_or_default())
    }
}
