//! What the mesh asks of a node: the ledger that holds the logs and judges who may have them.

use std::error::Error;
use std::sync::Arc;

use salus_audit::{BlobHash, ClinicId, Heights, LogId};
use salus_sync::{CatalogAnswer, Committed, Loaded};

/// The ledger of a clinic. Its methods may block: they run on two threads of their own, one for reads and one
/// for commits, and [`clinic_of`](Self::clinic_of) on tokio's threads for blocking work.
///
/// Digests are [`salus_audit::digest`] of the heights. Digest, audience and version of a change are taken under one lock, so
/// that versions rise in the order of the changes: news overtakes news on its way here.
pub trait Ledger: Send + Sync + 'static {
    /// The clinic whose node has this endpoint id, if it may speak with this one. The only authority on that: whoever
    /// is not known here is turned away right after the handshake, and is not dialled.
    fn clinic_of(&self, endpoint: [u8; 32]) -> Option<ClinicId>;

    /// The logs that are held and that this peer may hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn catalog(&self, peer: ClinicId) -> Result<CatalogAnswer, LedgerError>;

    /// What is held of each of these logs, in their order; nothing of a log that the peer may not hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn heights(&self, peer: ClinicId, logs: &[LogId]) -> Result<Vec<Heights>, LedgerError>;

    /// What the owner of these heights lacks of a log, each entry after its parents: about `max_bytes`, and one entry
    /// at least. The default, [`Loaded::default`], for a log that the peer may not hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(
        &self,
        peer: ClinicId,
        log: LogId,
        theirs: &Heights,
        max_bytes: usize,
    ) -> Result<Loaded, LedgerError>;

    /// Decodes, verifies, authorises and stores entries from a peer, in one transaction. When it returns, what was
    /// accepted is durable: the peer is told so. Bad entries are refused and counted, which is no error.
    ///
    /// `statements` are what the peer's ledger gave as [`Loaded::statement`] for the logs named beside them, of which nothing more
    /// comes for now: this commit and those before it brought all. They are as the peer sent them, at most
    /// [`MAX_STATEMENT_BYTES`](salus_sync::MAX_STATEMENT_BYTES) each, and not verified. There may be some without entries.
    ///
    /// # Errors
    /// When nothing could be stored; the connection ends and nothing is acknowledged.
    fn commit(
        &self,
        peer: ClinicId,
        entries: Vec<Vec<u8>>,
        statements: Vec<(LogId, Vec<u8>)>,
    ) -> Result<Committed, LedgerError>;

    /// Whether this clinic may have the bytes of this blob now. Asked for each request, and from time to time while one
    /// is served; called where it may block. What is not known here, or cannot be looked up, is not given.
    fn may_fetch(&self, peer: ClinicId, blob: BlobHash) -> bool;
}

/// Why a ledger could not do its part. Says nothing of what is in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the own store failed")]
pub struct LedgerError {
    source: Arc<dyn Error + Send + Sync>,
}

impl LedgerError {
    /// Keeps the reason.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self {
            source: source.into(),
        }
    }
}
