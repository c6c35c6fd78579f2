//! Durability. iroh-blobs itself writes data files without flushing them, and tells of an index entry before it is
//! committed. Whoever adds or fetches here is told when the bytes, their names and the index are on the disk.
//!
//! A crash may leave an index that names bytes which never reached the disk. So a mark is laid down before a blob is
//! fetched into files, and taken away when all is on the disk; at the next start, marked blobs are verified.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A file that names blobs which may be in the index before their bytes are on the disk.
pub(crate) struct Mark(PathBuf);

fn marks(folder: &Path) -> PathBuf {
    folder.join("fresh")
}

/// The blobs that are marked, and the marks. Lines that are none were written when the power failed: nothing had
/// begun yet.
pub(crate) fn marked(folder: &Path) -> Result<Vec<(Mark, Vec<BlobHash>)>, BlobError> {
    let folder = marks(folder);
    fs::create_dir_all(&folder).map_err(|error| BlobError::io("make", &folder, error))?;
    let files = fs::read_dir(&folder).map_err(|error| BlobError::io("read", &folder, error))?;
    let mut marked = Vec::new();
    for file in files {
        let path = file
            .map_err(|error| BlobError::io("read", &folder, error))?
            .path();
        let lines = fs::read(&path).map_err(|error| BlobError::io("read", &path, error))?;
        let lines = String::from_utf8_lossy(&lines);
        let blobs = lines.lines().filter_map(|line| line.parse().ok());
        marked.push((Mark(path), blobs.collect()));
    }
    Ok(marked)
}

fn remove(path: &Path) -> Result<(), BlobError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BlobError::io("remove", path, error))
        }
        _ => Ok(()),
    }
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

    /// Marks blobs as on their way into files.
    pub(crate) async fn mark(&self, blobs: &[BlobHash]) -> Result<Mark, BlobError> {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        let folder = marks(&self.inner.folder);
        let name = MARKS.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{name}", std::process::id()));
        let lines: Vec<String> = blobs.iter().map(|blob| format!("{blob}\n")).collect();
        let mark = Mark(path.clone());
        blocking(move || {
            let written = File::create(&path).and_then(|mut file| {
                file.write_all(lines.concat().as_bytes())?;
                file.sync_all()
            });
            written.map_err(|error| BlobError::io("write", &path, error))?;
            flush_folder(&folder)
        })
        .await?;
        Ok(mark)
    }

    /// Removes the files of a blob that came in parts, and is so small that it lives in the index now.
    pub(crate) async fn forget_files(&self, blob: BlobHash, size: u64) -> Result<(), BlobError> {
        if size > self.inner.inline_bytes {
            return Ok(());
        }
        let folder = self.inner.folder.clone();
        blocking(move || {
            for name in PARTS {
                remove(&part(&folder, blob, name))?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn unmark(&self, mark: Mark) -> Result<(), BlobError> {
        blocking(move || remove(&mark.0)).await
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
