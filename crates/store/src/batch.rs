//! What goes into the store in one piece.

use salus_audit::{ChainId, Entry, EntryHash, LogId};
use salus_vault::IndexKey;

use crate::error::StoreError;

/// The longest summary of a log in bytes: a few digests, and 36 bytes for each clinic that may hold it, of which there are
/// about 1,000 at most, more only where several wrote their grants apart.
pub const MAX_SUMMARY_BYTES: usize = 1024 * 1024;
/// The largest index row or snapshot in bytes (a guess: documents stay below 1 MiB).
pub const MAX_CACHED_BYTES: usize = 256 * 1024 * 1024;
/// The largest setting or secret in bytes (a guess).
pub const MAX_META_BYTES: usize = 1024 * 1024;
/// The most settings and secrets together (a guess): they are read when the store is opened.
pub const MAX_META_ROWS: u64 = 10_000;
/// The most refused entries that are kept; the oldest go first.
pub const MAX_REFUSED: u64 = 1_024;
/// The longest refused entry's row in bytes: the reason and as much of it as is worth keeping.
pub const MAX_REFUSED_BYTES: usize = 16 * 1024;

/// The longest statement in bytes: five ids and numbers, and a signature, take about 230.
pub const MAX_STATEMENT_BYTES: usize = 512;

/// Everything of one transaction. All of it is on the disk when [`Store::commit`] returns, or
/// nothing of it is.
///
/// A batch may be committed again: what is held already is left as it is.
///
/// [`Store::commit`]: crate::Store::commit
#[derive(Default)]
pub struct Batch {
    /// Accepted entries of the chains' trunks, in any order. Each follows the last one held of its
    /// chain, or another one of this batch, or is one that is held already; one that is held without
    /// its payload gets it.
    pub entries: Vec<Entry>,
    /// Accepted entries of forks, in any order, each with the id of its line. A line begins with
    /// `seq` 0, or after an entry of the same chain that is held, or that this batch brings, on
    /// whatever line; from there on it grows as a trunk does.
    pub forks: Vec<(ChainId, Entry)>,
    /// Entries whose payloads are destroyed, held before or brought by this batch; the entries stay. What is not held is left out.
    pub detach: Vec<EntryHash>,
    /// Leaves of this incarnation's own tree, with their indices: the next ones, in order.
    pub own_leaves: Vec<(u64, [u8; 32])>,
    /// A new incarnation begins: the leaves held are those of another tree, and go first.
    pub restart_tree: bool,
    /// What other clinics said of their chains in a log; each replaces the chain's last one.
    pub statements: Vec<(LogId, ChainId, Vec<u8>)>,
    /// What a locked node shows and compares of a log.
    pub summaries: Vec<(LogId, Vec<u8>)>,
    /// Rows of the patient index, in the clear; none takes the row out. Needs `index_key`.
    pub index_rows: Vec<(LogId, Option<Vec<u8>>)>,
    /// Saved documents, in the clear; none takes the snapshot out. Needs `index_key`.
    pub snapshots: Vec<(LogId, Option<Vec<u8>>)>,
    /// What index rows, snapshots and secrets are sealed under.
    pub index_key: Option<IndexKey>,
    /// Logs whose document and index row no longer fit their entries.
    pub dirty: Vec<LogId>,
    /// Logs whose document and index row fit again; where a log is in both, it is clean.
    pub clean: Vec<LogId>,
    /// Entries that were refused, with the reason, for a bounded list of them.
    pub refused: Vec<(EntryHash, Vec<u8>)>,
    /// Settings: what a locked node may read.
    pub meta: Vec<(String, Vec<u8>)>,
    /// Settings that only an unlocked node may read. Needs `index_key`.
    pub secrets: Vec<(String, Vec<u8>)>,
}

impl Batch {
    /// Checks what can be checked before the transaction begins.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |what| Err(StoreError::Invalid(what));
        let needs_key = self
            .index_rows
            .iter()
            .chain(&self.snapshots)
            .any(|(_, row)| row.is_some())
            || !self.secrets.is_empty();
        if needs_key && self.index_key.is_none() {
            return invalid("index rows, snapshots and secrets need the index key");
        }
        if self
            .summaries
            .iter()
            .any(|(_, summary)| summary.len() > MAX_SUMMARY_BYTES)
        {
            return invalid("a summary is too long");
        }
        if self
            .statements
            .iter()
            .any(|(.., statement)| statement.len() > MAX_STATEMENT_BYTES)
        {
            return invalid("a statement is too long");
        }
        let caches = self.index_rows.iter().chain(&self.snapshots);
        if caches
            .flat_map(|(_, row)| row)
            .any(|row| row.len() > MAX_CACHED_BYTES)
        {
            return invalid("an index row or a snapshot is too large");
        }
        if self
            .meta
            .iter()
            .chain(&self.secrets)
            .any(|(_, value)| value.len() > MAX_META_BYTES)
        {
            return invalid("a setting is too large");
        }
        if self
            .refused
            .iter()
            .any(|(_, reason)| reason.len() > MAX_REFUSED_BYTES)
        {
            return invalid("a refused entry's reason is too long");
        }
        Ok(())
    }
}

/// Counts and sizes, never content.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("entries", &self.entries.len())
            .field("forks", &self.forks.len())
            .field("detach", &self.detach.len())
            .field("statements", &self.statements.len())
            .field("own_leaves", &self.own_leaves.len())
            .field("summaries", &self.summaries.len())
            .field("index_rows", &self.index_rows.len())
            .field("snapshots", &self.snapshots.len())
            .field("dirty", &self.dirty.len())
            .field("clean", &self.clean.len())
            .field("refused", &self.refused.len())
            .field("meta", &self.meta.len())
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}
