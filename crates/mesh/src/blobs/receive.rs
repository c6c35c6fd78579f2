//! Receiving: one request to one clinic, verified as it comes, stored as it is verified.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use bao_tree::io::BaoContentItem;
use bytes::BytesMut;
use iroh::endpoint::{Connection, ReadError};
use iroh_blobs::get::fsm::{
    AtBlobContent, AtBlobHeaderNextError, AtConnected, BlobContentNext, ConnectedNext, DecodeError,
    RequestCounters,
};
use iroh_blobs::protocol::{ChunkRanges, GetRequest};
use salus_audit::BlobHash;
use tokio::time::{Instant, timeout};

use super::address;
use super::error::{BlobError, ProviderError};
use super::limit::RateLimit;
use super::serve::Code;
use super::store::BlobStore;

/// Pieces that were verified and not stored yet, of 16 KiB.
const UNSTORED: usize = 64;

/// After so many bytes the disk begins to write them.
const FLUSH_BYTES: u64 = 32 * 1024 * 1024;

/// A request.
pub(crate) struct Asked<'a> {
    pub store: &'a BlobStore,
    pub connection: &'a Connection,
    pub blob: BlobHash,
    pub ranges: ChunkRanges,
    /// What the whole blob may have.
    pub max_bytes: u64,
    pub stall: Duration,
    pub limit: &'a RateLimit,
}

/// Why a request came to no end.
pub(crate) enum Stopped {
    Provider(ProviderError),
    Store(BlobError),
}

impl From<ProviderError> for Stopped {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<BlobError> for Stopped {
    fn from(error: BlobError) -> Self {
        Self::Store(error)
    }
}

impl Asked<'_> {
    /// Asks for it, and stores what comes. `received` is told of each piece that was verified.
    pub(crate) async fn receive(&self, mut received: impl FnMut(u64)) -> Result<(), Stopped> {
        let (content, size) = self.begin().await?;
        let whole = self.ranges == ChunkRanges::all();
        if whole && size.get() <= self.store.inner.inline_bytes {
            return self.take_at_once(content, size, received).await;
        }
        let store = &self.store.inner.store;
        let import = store.import_bao(address(self.blob), size, UNSTORED).await;
        let import = import.map_err(|error| self.store.failed(error))?;
        let mut came = Ok(());
        let mut content = content;
        let mut unflushed = 0;
        loop {
            let item = match self.next(content).await {
                Ok(Some((next, item))) => {
                    content = next;
                    item
                }
                Ok(None) => break,
                Err(error) => {
                    came = Err(error);
                    break;
                }
            };
            let bytes = leaf_bytes(&item);
            if import.tx.send(item).await.is_err() {
                break;
            }
            if bytes > 0 {
                received(bytes);
                unflushed += bytes;
                self.limit
                    .pass(usize::try_from(bytes).unwrap_or(usize::MAX))
                    .await;
            }
            if unflushed >= FLUSH_BYTES {
                unflushed = 0;
                self.store.flush_early(self.blob);
            }
        }
        // What came before it broke off is stored, too.
        drop(import.tx);
        match import.rx.await {
            Ok(Ok(())) => Ok(came?),
            Ok(Err(iroh_blobs::api::Error::Io(error))) => {
                let folder = &self.store.inner.folder;
                Err(BlobError::io("write a blob in", folder, error).into())
            }
            Err(error) => Err(self.store.failed(error).into()),
        }
    }

    /// A small blob is added as a whole, so that it goes into the index at once.
    async fn take_at_once(
        &self,
        content: AtBlobContent,
        size: NonZeroU64,
        mut received: impl FnMut(u64),
    ) -> Result<(), Stopped> {
        let mut content = content;
        let mut bytes = BytesMut::with_capacity(usize::try_from(size.get()).unwrap_or(0));
        while let Some((next, item)) = self.next(content).await? {
            content = next;
            if let BaoContentItem::Leaf(leaf) = item {
                bytes.extend_from_slice(&leaf.data);
                received(leaf.data.len() as u64);
                self.limit.pass(leaf.data.len()).await;
            }
        }
        let added = self.store.inner.store.add_bytes(bytes.freeze());
        let tag = added.temp_tag().await;
        let tag = tag.map_err(|error| self.store.failed(error))?;
        if tag.hash() == address(self.blob) {
            Ok(())
        } else {
            Err(ProviderError::Lied.into())
        }
    }

    async fn begin(&self) -> Result<(AtBlobContent, NonZeroU64), ProviderError> {
        let begun = async {
            let opened = self.connection.open_bi().await;
            let (send, recv) = opened.map_err(|error| lost(&error))?;
            let request = GetRequest::blob_ranges(address(self.blob), self.ranges.clone());
            let counters = RequestCounters::default();
            let asked = AtConnected::new(Instant::now(), recv, send, request, counters);
            let next = asked.next().await;
            let next = next.map_err(|error| interrupted(&error))?;
            let ConnectedNext::StartRoot(root) = next else {
                return Err(ProviderError::Incomplete);
            };
            root.next().next().await.map_err(|error| match error {
                AtBlobHeaderNextError::Read { source, .. } => why(&source),
                _ => ProviderError::NotFound,
            })
        };
        let (content, size) = timeout(self.stall, begun)
            .await
            .unwrap_or_else(|_| Err(self.stalled()))?;
        if size > self.max_bytes {
            let max_bytes = self.max_bytes;
            return Err(ProviderError::TooLarge { size, max_bytes });
        }
        let size = NonZeroU64::new(size).ok_or(ProviderError::Lied)?;
        Ok((content, size))
    }

    async fn next(
        &self,
        content: AtBlobContent,
    ) -> Result<Option<(AtBlobContent, BaoContentItem)>, ProviderError> {
        match timeout(self.stall, content.next()).await {
            Ok(BlobContentNext::More((next, Ok(item)))) => Ok(Some((next, item))),
            Ok(BlobContentNext::More((_, Err(error)))) => Err(match error {
                DecodeError::Read { source, .. } => why(&source),
                DecodeError::LeafHashMismatch { .. } | DecodeError::ParentHashMismatch { .. } => {
                    ProviderError::Lied
                }
                _ => ProviderError::Incomplete,
            }),
            Ok(BlobContentNext::Done(_)) => Ok(None),
            Err(_) => Err(self.stalled()),
        }
    }

    fn stalled(&self) -> ProviderError {
        let after_s = self.stall.as_millis().div_ceil(1_000);
        ProviderError::Stalled {
            after_s: u64::try_from(after_s).unwrap_or(u64::MAX),
        }
    }
}

fn leaf_bytes(item: &BaoContentItem) -> u64 {
    match item {
        BaoContentItem::Leaf(leaf) => leaf.data.len() as u64,
        BaoContentItem::Parent(_) => 0,
    }
}

fn interrupted(error: &impl ToString) -> ProviderError {
    let why = error.to_string();
    ProviderError::Interrupted { why }
}

fn lost(error: &iroh::endpoint::ConnectionError) -> ProviderError {
    use crate::event::Ended;
    let why = match crate::link::how(error) {
        Ended::Refused => "it does not know this node".to_owned(),
        Ended::Lost(why) => why,
        _ => "it ended the connection".to_owned(),
    };
    ProviderError::Interrupted { why }
}

/// What a failed read says.
fn why(error: &io::Error) -> ProviderError {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<ReadError>()) {
        Some(ReadError::Reset(code)) if *code == Code::NotFound.into() => ProviderError::NotFound,
        Some(ReadError::Reset(code)) if *code == Code::Busy.into() => ProviderError::Busy,
        Some(ReadError::Reset(code)) if *code == Code::Incomplete.into() => {
            ProviderError::Incomplete
        }
        Some(ReadError::ConnectionLost(error)) => lost(error),
        // It finished the stream.
        None if matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ) =>
        {
            ProviderError::Incomplete
        }
        _ => interrupted(error),
    }
}
