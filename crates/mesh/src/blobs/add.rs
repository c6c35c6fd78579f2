//! Adding: a stream of ciphertext becomes a blob, in flat memory.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use iroh_blobs::api::{RequestError, TempTag};
use salus_audit::BlobHash;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::blob;
use super::durable::blocking;
use super::error::{BlobError, is_full};
use super::guards::BlobGuard;
use super::store::BlobStore;

/// Pieces that were read and not written yet.
const READ_AHEAD: usize = 4;

/// Bytes of a piece when a reader is added.
const PIECE_BYTES: usize = 256 * 1024;

/// A blob that was added. It is not collected before this is dropped, nor as long as the node names it.
#[derive(Debug)]
pub struct Added {
    /// Its address.
    pub hash: BlobHash,
    /// Its bytes.
    pub size: u64,
    /// Keeps it until the node's database names it.
    pub guard: BlobGuard,
}

/// How many are being added; what a failed one left is removed when none is.
#[derive(Default)]
pub(crate) struct Adding(Mutex<(usize, bool)>);

impl Adding {
    fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
    }

    /// Whether to clean up.
    fn end(&self, failed: bool) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, left) = &mut *state;
        *count = count.saturating_sub(1);
        *left |= failed;
        *count == 0 && std::mem::take(left)
    }
}

/// Counts an addition until its end, also where it is given up.
struct Counted<'a> {
    store: &'a BlobStore,
    failed: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.store.inner.adding.end(self.failed) {
            let inner = self.store.inner.clone();
            let temp = inner.folder.join("temp");
            tokio::task::spawn_blocking(move || {
                // Nobody begins meanwhile: a file of somebody else's may not go.
                let state = inner.adding.0.lock();
                let state = state.unwrap_or_else(PoisonError::into_inner);
                if state.0 == 0 {
                    empty(&temp);
                }
            });
        }
    }
}

/// Removes the files in a folder, as far as that goes.
pub(crate) fn empty(folder: &std::path::Path) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Err(error) = fs::remove_file(file.path()) {
            tracing::warn!(%error, "a file that was left over stays");
        }
    }
}

impl BlobStore {
    /// Adds what a stream gives. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When the stream fails or the disk is full: nothing is kept then.
    pub async fn add<S>(&self, source: S) -> Result<Added, BlobError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        self.inner.adding.begin();
        let mut counted = Counted {
            store: self,
            failed: true,
        };
        let (pieces, taken) = mpsc::channel::<io::Result<Bytes>>(READ_AHEAD);
        let turn = self.inner.turn.clone();
        let give = async move {
            let mut source = std::pin::pin!(source);
            let mut size = 0;
            while let Some(piece) = source.next().await {
                size += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                let failed = piece.as_ref().err().map(copy_of);
                if pieces.send(piece).await.is_err() || failed.is_some() {
                    return Err(failed);
                }
            }
            // No collection between the blob's coming to be and its guard.
            Ok((size, turn.read_owned().await))
        };
        let taken = stream::unfold(taken, |mut taken| async move {
            let piece = taken.recv().await?;
            Some((piece, taken))
        });
        let take = async {
            let progress = self.inner.store.add_stream(taken).await;
            progress.temp_tag().await
        };
        let (given, added) = tokio::join!(give, take);
        let (size, no_collection) = match given {
            Ok(given) => given,
            Err(Some(source)) => {
                let source = Arc::new(source);
                return Err(BlobError::Source { source });
            }
            Err(None) => return Err(self.not_added(added)),
        };
        let tag = match added {
            Ok(tag) => tag,
            failed => return Err(self.not_added(failed)),
        };
        let hash = blob(tag.hash());
        let guard = self.inner.guards.guard(hash);
        drop(no_collection);
        self.settle(vec![hash]).await?;
        counted.failed = false;
        drop(tag);
        Ok(Added { hash, size, guard })
    }

    /// Adds what a reader gives, as [`add`](Self::add).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_reader(
        &self,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<Added, BlobError> {
        self.add(stream::try_unfold(reader, |mut reader| async move {
            let mut piece = vec![0; PIECE_BYTES];
            let mut len = 0;
            while len < piece.len() {
                let room = piece.get_mut(len..).unwrap_or_default();
                match reader.read(room).await? {
                    0 => break,
                    read => len += read,
                }
            }
            piece.truncate(len);
            Ok((len > 0).then(|| (Bytes::from(piece), reader)))
        }))
        .await
    }

    /// Adds bytes that are in memory, as [`add`](Self::add).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_bytes(&self, bytes: Bytes) -> Result<Added, BlobError> {
        self.add(stream::iter([Ok(bytes)])).await
    }

    fn not_added(&self, added: Result<TempTag, RequestError>) -> BlobError {
        match added {
            Err(RequestError::Inner { source, .. }) => {
                let iroh_blobs::api::Error::Io(source) = source;
                if is_full(&source) {
                    BlobError::Full
                } else {
                    BlobError::io("write a blob in", &self.inner.folder, source)
                }
            }
            Err(error) => self.failed(error),
            Ok(_) => self.failed("a blob was added before its end"),
        }
    }

    /// Removes what additions left that another process did not finish.
    pub(crate) async fn clean_temp(&self) -> Result<(), BlobError> {
        let temp = self.inner.folder.join("temp");
        blocking(move || {
            empty(&temp);
            Ok(())
        })
        .await
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
