//! Durability. iroh-blobs itself writes data files without flushing them, and tells of an index entry before it is
//! committed. Whoever adds or fetches here is told when the bytes, their names and the index are on the disk.
//!
//! A crash may leave an index that names bytes which never reached the disk. So a mark is laid down before a blob is
//! fetched into files, and taken away when all is on the disk; at the next start, marked blobs are verified.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use salus_audit::BlobHash;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::error::BlobError;
use super::store::BlobStore;

/// The files of a blob that must reach the disk.
const PARTS: [&str; 2] = ["data", "obao4"];

type Waiter = (Vec<BlobHash>, oneshot::Sender<Result<(), BlobError>>);

/// Those who wait for the disk. One of them flushes for all who came before it began.
#[derive(Default)]
pub(crate) struct Settling {
    waiting: Mutex<Vec<Waiter>>,
    turn: tokio::sync::Mutex<()>,
}

impl Settling {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where iroh-blobs keeps a part of a blob.
pub(crate) fn part(folder: &Path, blob: BlobHash, part: &str) -> PathBuf {
    folder.join("data").join(format!("{blob}.{part}"))
}

pub(crate) fn marks(folder: &Path) -> PathBuf {
    folder.join("fresh")
}

impl BlobStore {
    /// Waits until these blobs are on the disk, with all that happened to the index before.
    pub(crate) async fn settle(&self, blobs: Vec<BlobHash>) -> Result<(), BlobError> {
        let (done, mut answer) = oneshot::channel();
        let settling = &self.inner.settling;
        settling.waiting().push((blobs.clone(), done));
        let turn = settling.turn.lock().await;
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
        let waiting = std::mem::take(&mut *settling.waiting());
        let all = waiting.iter().flat_map(|(blobs, _)| blobs).copied();
        let mut all: Vec<BlobHash> = all.collect();
        // Whoever took this one along may have given up in the middle.
        all.extend(blobs);
        all.sort();
        all.dedup();
        let result = self.flush(all).await;
        drop(turn);
        for (_, done) in waiting {
            let _gone = done.send(result.clone());
        }
        result
    }

    async fn flush(&self, blobs: Vec<BlobHash>) -> Result<(), BlobError> {
        let folder = self.inner.folder.clone();
        blocking(move || {
            let mut files = false;
            for blob in blobs {
                for name in PARTS {
                    files |= flush_file(&part(&folder, blob, name))?;
                }
            }
            if files {
                flush_folder(&folder.join("data"))?;
            }
            Ok(())
        })
        .await?;
        let synced = self.inner.store.sync_db().await;
        synced.map_err(|error| self.failed(error))
    }

    /// Starts writing out what came of a blob, so that less is left for the end.
    pub(crate) fn flush_early(&self, blob: BlobHash) {
        let path = part(&self.inner.folder, blob, "data");
        // What fails here fails again when it counts.
        spawn_blocking(move || flush_file(&path));
    }

    /// Marks a blob as on its way into files.
    pub(crate) async fn mark(&self, blob: BlobHash) -> Result<(), BlobError> {
        let folder = marks(&self.inner.folder);
        blocking(move || {
            let path = folder.join(blob.to_string());
            File::create(&path).map_err(|error| BlobError::io("create", &path, error))?;
            flush_folder(&folder)
        })
        .await
    }

    /// Removes the files of a blob that came in parts, and is so small that it lives in the index now.
    pub(crate) async fn forget_files(&self, blob: BlobHash, size: u64) -> Result<(), BlobError> {
        if size > self.inner.inline_bytes {
            return Ok(());
        }
        let folder = self.inner.folder.clone();
        blocking(move || {
            for name in PARTS {
                let path = part(&folder, blob, name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(BlobError::io("remove", &path, error));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn unmark(&self, blob: BlobHash) -> Result<(), BlobError> {
        let path = marks(&self.inner.folder).join(blob.to_string());
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BlobError::io("remove", &path, error))
            }
            _ => Ok(()),
        })
        .await
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(work).await.unwrap_or(Err(BlobError::Closed))
}

/// Whether there is such a file.
fn flush_file(path: &Path) -> Result<bool, BlobError> {
    let flushed = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| file.sync_all());
    match flushed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BlobError::io("write", path, error)),
    }
}

/// Has the names in a folder on the disk, where the system lets a folder be flushed.
pub(crate) fn flush_folder(path: &Path) -> Result<(), BlobError> {
    if cfg!(unix) {
        let flushed = File::open(path).and_then(|folder| folder.sync_all());
        flushed.map_err(|error| BlobError::io("write", path, error))?;
    }
    Ok(())
}
