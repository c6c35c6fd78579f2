//! Reading: bytes are verified each time they are read.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use iroh_blobs::api::blobs::EncodedItem;
use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt};
use salus_audit::BlobHash;

use super::address;
use super::error::BlobError;
use super::store::{BlobStore, Presence};

impl BlobStore {
    /// The bytes of a range of a complete blob, as far as it reaches. All of them are in memory at once.
    ///
    /// # Errors
    /// When it is not held in full, or damaged.
    pub async fn read(&self, blob: BlobHash, range: Range<u64>) -> Result<Bytes, BlobError> {
        let mut pieces = std::pin::pin!(self.reader(blob, range).await?);
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.freeze())
    }

    /// The bytes of a range of a complete blob, as far as it reaches, in pieces of at most 16 KiB, in flat memory.
    ///
    /// # Errors
    /// When it is not held in full; each piece tells whether it is damaged.
    pub async fn reader(
        &self,
        blob: BlobHash,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, BlobError>> + Send + use<>, BlobError> {
        let Presence::Complete { size } = self.presence(blob).await? else {
            return Err(BlobError::Absent { blob });
        };
        let range = range.start.min(size)..range.end.min(size);
        let wanted = if range.is_empty() {
            None
        } else {
            let ranges = ChunkRanges::bytes(range.start..range.end);
            let items = self.inner.store.export_bao(address(blob), ranges).stream();
            Some(Box::pin(items))
        };
        let at = range.start;
        let state = (wanted, at);
        Ok(stream::unfold(state, move |(mut items, mut at)| {
            let range = range.clone();
            async move {
                let damaged = |why: String| Err(BlobError::Damaged { blob, why });
                let stream = items.as_mut()?;
                if at >= range.end {
                    return None;
                }
                loop {
                    let piece = match stream.next().await {
                        Some(EncodedItem::Leaf(leaf)) => {
                            let from = at.saturating_sub(leaf.offset);
                            let to = range.end.saturating_sub(leaf.offset);
                            let len = leaf.data.len();
                            let from = usize::try_from(from).map_or(len, |from| from.min(len));
                            let to = usize::try_from(to).map_or(len, |to| to.min(len));
                            if from >= to {
                                continue;
                            }
                            at += (to - from) as u64;
                            Ok(leaf.data.slice(from..to))
                        }
                        Some(EncodedItem::Size(found)) if found != size => {
                            damaged(format!("{found} bytes instead of {size}"))
                        }
                        Some(EncodedItem::Size(_) | EncodedItem::Parent(_)) => continue,
                        Some(EncodedItem::Error(error)) => damaged(error.to_string()),
                        Some(EncodedItem::Done) | None => damaged("it ends too early".to_owned()),
                    };
                    let next = if piece.is_ok() { items } else { None };
                    return Some((piece, (next, at)));
                }
            }
        }))
    }

    /// Reads all of a blob and hashes it: its size, if it is sound.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] if it is not what its address says; [`discard`](Self::discard) it and fetch it again.
    pub async fn verify(&self, blob: BlobHash) -> Result<u64, BlobError> {
        let mut pieces = std::pin::pin!(self.reader(blob, 0..u64::MAX).await?);
        let mut size = 0;
        while let Some(piece) = pieces.next().await {
            size += piece?.len() as u64;
        }
        Ok(size)
    }
}
