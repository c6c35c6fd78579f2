//! Files on their way into blobs and out of them: sealed or opened a segment at a time, hashed as they pass.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use salus_api::ApiError;
use salus_audit::{BlobHash, LogId, SealedBlob};
use salus_mesh::blobs::{Added, BlobError, BlobStore};
use salus_vault::{
    BLOB_HEAD_BYTES, BlobHead, BlobKey, OpeningWriter, SealingReader, blob_belongs_to,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::folder::not_written;
use crate::node::blocking;
use crate::source;

/// Sealed bytes that are handed over at a time: four segments.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that may be under way between two threads.
const PIECES: usize = 4;

/// What passed of a file.
pub struct Passed {
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// BLAKE3 of it.
    pub blake3: [u8; 32],
}

/// Hashes what is read or written through it, and tells how far it has come.
struct Hashing<T, P> {
    inner: T,
    sha256: Sha256,
    blake3: blake3::Hasher,
    done: u64,
    progress: P,
}

impl<T, P> Hashing<T, P> {
    fn new(inner: T, progress: P) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            blake3: blake3::Hasher::new(),
            done: 0,
            progress,
        }
    }

    fn passed(self) -> (T, Passed) {
        let passed = Passed {
            sha256: self.sha256.finalize().into(),
            blake3: self.blake3.finalize().into(),
        };
        (self.inner, passed)
    }
}

impl<T, P: FnMut(u64)> Hashing<T, P> {
    fn count(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        self.done += bytes.len() as u64;
        (self.progress)(self.done);
    }
}

impl<R: Read, P: FnMut(u64)> Read for Hashing<R, P> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.count(out.get(..n).unwrap_or_default());
        Ok(n)
    }
}

impl<W: Write, P: FnMut(u64)> Write for Hashing<W, P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Seals the `len` bytes of a file for a record and stores them, durably.
pub async fn seal_file(
    store: &BlobStore,
    log: LogId,
    name: &str,
    (file, len): (impl Read + Send + 'static, u64),
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<(Added, SealedBlob, Passed), ApiError> {
    let key = BlobKey::generate();
    let failed = |error: &io::Error| {
        ApiError::failed(format!("{name} could not be read: {error}"))
            .hint("nothing of it was attached; try again when no other program writes to it")
    };
    let hashing = Hashing::new(file, progress);
    let sealing = SealingReader::new(hashing, len, &key, log.as_bytes()).map_err(|e| failed(&e))?;
    let (pieces, taken) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let reading = tokio::task::spawn_blocking(move || read_all(sealing, &pieces));
    let taken = stream::unfold(taken, |mut taken| async move {
        let piece = taken.recv().await?;
        Some((piece, taken))
    });
    let added = store.add(taken).await;
    let read = reading
        .await
        .map_err(|_| ApiError::failed(format!("{name} could not be sealed: an internal error")))?;
    let passed = match (read, &added) {
        (Err(error), _) => return Err(failed(&error)),
        (Ok(sealing), _) => sealing.into_inner().passed().1,
    };
    let added = added.map_err(|error| blob_error(&error))?;
    let sealed = SealedBlob {
        key: *key.to_bytes(),
        len,
    };
    Ok((added, sealed, passed))
}

/// Hands over all that a reader gives; the reader is given back. Whoever takes no more has a reason of its own.
fn read_all<R: Read>(mut reader: R, pieces: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<R> {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = (&mut reader)
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece);
        if let Err(error) = read {
            let told = io::Error::new(error.kind(), error.to_string());
            let _nobody_waits = pieces.blocking_send(Err(told));
            return Err(error);
        }
        if piece.is_empty() || pieces.blocking_send(Ok(piece.into())).is_err() {
            return Ok(reader);
        }
    }
}

/// Opens a blob that is held in full, and writes the file to `to`.
pub async fn open_blob<W: Write + Send + 'static>(
    store: &BlobStore,
    log: LogId,
    (blob, sealed): (BlobHash, &SealedBlob),
    to: W,
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<(W, Passed), ApiError> {
    let key = BlobKey::from_bytes(sealed.key);
    let refused = |error: &io::Error| match error.kind() {
        io::ErrorKind::InvalidData => ApiError::integrity(format!("blob {blob}: {error}"))
            .hint("`salus doctor --repair` brings it again from another clinic"),
        _ => not_written("the file", error),
    };
    let hashing = Hashing::new(to, progress);
    let mut opening = OpeningWriter::new(hashing, sealed.len, &key, log.as_bytes())
        .map_err(|error| refused(&error))?;
    let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES);
    let writing = blocking(move || {
        while let Some(piece) = taken.blocking_recv() {
            if let Err(error) = opening.write_all(&piece) {
                return Ok(Err(error));
            }
        }
        Ok(opening.finish())
    });
    let reading = async {
        let mut reader = std::pin::pin!(store.reader(blob, 0..u64::MAX).await?);
        while let Some(piece) = reader.next().await {
            if pieces.send(piece?).await.is_err() {
                break;
            }
        }
        drop(pieces);
        Ok::<(), BlobError>(())
    };
    let (written, read) = tokio::join!(writing, reading);
    read.map_err(|error| blob_error(&error))?;
    let hashing = written?.map_err(|error| refused(&error))?;
    Ok(hashing.passed())
}

/// What a blob holds that is held in full, to be read: opened as it is read, and never whole in memory.
pub struct OpenedBlob {
    store: BlobStore,
    log: LogId,
    blob: BlobHash,
    sealed: SealedBlob,
    runtime: Handle,
}

impl OpenedBlob {
    /// To be called where the runtime is.
    pub fn new(store: BlobStore, log: LogId, blob: BlobHash, sealed: SealedBlob) -> Self {
        Self {
            store,
            log,
            blob,
            sealed,
            runtime: Handle::current(),
        }
    }
}

impl source::Bytes for OpenedBlob {
    fn length(&self) -> u64 {
        self.sealed.len
    }

    fn read(&self) -> Box<dyn Read + Send> {
        let (pieces, taken) = mpsc::channel(PIECES);
        let (store, log, blob) = (self.store.clone(), self.log, self.blob);
        let sealed = self.sealed.clone();
        self.runtime.spawn(async move {
            let to = ToReader(pieces.clone());
            if let Err(error) = open_blob(&store, log, (blob, &sealed), to, |_| ()).await {
                let _nobody_reads_on = pieces.send(Err(error)).await;
            }
        });
        Box::new(FromWriter {
            taken,
            piece: Bytes::new(),
        })
    }
}

/// What is written to it is read from a [`FromWriter`]. It blocks.
struct ToReader(mpsc::Sender<Result<Bytes, ApiError>>);

impl Write for ToReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        match self.0.blocking_send(Ok(piece)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct FromWriter {
    taken: mpsc::Receiver<Result<Bytes, ApiError>>,
    piece: Bytes,
}

impl Read for FromWriter {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.taken.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let n = self.piece.len().min(out.len());
        let read = self.piece.split_to(n);
        out.get_mut(..n).unwrap_or_default().copy_from_slice(&read);
        Ok(n)
    }
}

/// A blob of something small, opened into memory.
pub async fn open_small(
    store: &BlobStore,
    log: LogId,
    blob: (BlobHash, &SealedBlob),
) -> Result<Vec<u8>, ApiError> {
    let (bytes, _) = open_blob(store, log, blob, Vec::new(), |_| ()).await?;
    Ok(bytes)
}

/// Whether a blob that is held was sealed for this record.
pub async fn belongs_to(store: &BlobStore, blob: BlobHash, log: LogId) -> Result<bool, BlobError> {
    let head = store.read(blob, 0..BLOB_HEAD_BYTES as u64).await?;
    let head: Option<&BlobHead> = head.first_chunk();
    Ok(head.is_some_and(|head| blob_belongs_to(head, log.as_bytes())))
}

/// A failure of the store of blobs, in the API's words.
pub fn blob_error(error: &BlobError) -> ApiError {
    let message = error.to_string();
    match error {
        BlobError::Full => ApiError::failed(message).hint("nothing was attached or lost"),
        BlobError::Damaged { .. } => ApiError::integrity(message)
            .hint("`salus doctor --repair` brings it again from another clinic"),
        BlobError::Absent { .. } => ApiError::not_found(message)
            .hint("it is brought when a clinic that has it can be reached: `salus sync`"),
        _ => ApiError::failed(message).hint("`salus doctor` says what is wrong with the folder"),
    }
}
