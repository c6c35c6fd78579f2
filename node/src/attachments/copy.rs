//! Sealed files into a backup and out of it.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use salus_api::ApiError;
use salus_audit::BlobHash;
use salus_mesh::blobs::{BlobGuard, BlobOptions, BlobStore};
use salus_vault::{MAX_BLOB_BYTES, sealed_blob_len};
use tokio::runtime::Handle;

use super::seal::blob_error;
use crate::folder::not_written;
use crate::node::Node;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Reads a sealed file to see that it is whole, and keeps it from being collected.
pub async fn guarded(node: &Arc<Node>, blob: BlobHash) -> Result<BlobGuard, ApiError> {
    let store = node.blobs.get(node).await?;
    let guard = store.guard(blob).await;
    store
        .verify(blob)
        .await
        .map_err(|error| blob_error(&error))?;
    Ok(guard)
}

/// Copies a sealed file as it is.
pub async fn copy_out(
    node: &Arc<Node>,
    blob: BlobHash,
    out: &mut impl Write,
) -> Result<(), ApiError> {
    let store = node.blobs.get(node).await?;
    let reader = store.reader(blob, 0..u64::MAX).await;
    let mut pieces = std::pin::pin!(reader.map_err(|error| blob_error(&error))?);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| blob_error(&error))?;
        out.write_all(&piece)
            .map_err(|error| not_written("the backup", &error))?;
    }
    Ok(())
}

/// Makes the folder of blobs anew from what [`copy_out`] wrote of each, each after its length and its address, and 0 at the end. Must be called on a
/// thread of a runtime where blocking is allowed.
pub fn copy_in(data: &Path, mut from: &mut (dyn Read + Send)) -> Result<(), ApiError> {
    let runtime = Handle::current();
    let cut = |e: std::io::Error| ApiError::failed(format!("the sealed files are cut off: {e}"));
    let mut store: Option<BlobStore> = None;
    loop {
        let mut number = [0; 8];
        from.read_exact(&mut number).map_err(cut)?;
        let len = u64::from_le_bytes(number);
        if len == 0 {
            break;
        }
        let mut address = [0; 32];
        from.read_exact(&mut address).map_err(cut)?;
        if len > sealed_blob_len(MAX_BLOB_BYTES).unwrap_or(u64::MAX) {
            return Err(ApiError::failed("a sealed file is longer than any may be"));
        }
        let store = match &mut store {
            Some(store) => store,
            empty => {
                // Nothing is collected: which are needed is known when the node runs.
                let options = BlobOptions::new(Arc::new(|| None));
                let opened = runtime.block_on(BlobStore::open(&super::folder(data), options));
                empty.insert(opened.map_err(|error| blob_error(&error))?)
            }
        };
        let mut left = (&mut from).take(len);
        let pieces = std::iter::from_fn(|| {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut left).take(PIECE_BYTES as u64).read_to_end(&mut piece);
            match read {
                Ok(0) => None,
                Ok(_) => Some(Ok(Bytes::from(piece))),
                Err(error) => Some(Err(error)),
            }
        });
        let added = runtime.block_on(store.add(stream::iter(pieces)));
        let added = added.map_err(|error| blob_error(&error))?;
        if added.size != len {
            return Err(ApiError::failed("the sealed files are cut off"));
        }
        if added.hash != BlobHash::from_bytes(address) {
            return Err(ApiError::integrity(
                "a sealed file is not the one that was saved",
            ));
        }
    }
    if let Some(store) = store {
        runtime.block_on(store.shutdown());
    }
    Ok(())
}
