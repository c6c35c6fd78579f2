//! What is done to a folder before it is used: after a crash, and where the index cannot be read.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, StorageError};
use salus_audit::BlobHash;

use super::add::empty;
use super::durable::{Mark, flush_folder, marked};
use super::error::BlobError;
use super::salvage::Mended;
use super::store::{BlobStore, Presence};

/// iroh-blobs' index.
pub(crate) const INDEX: &str = "blobs.db";

/// A file that is there from the start to an end in good order.
const OPEN: &str = "open";
/// Memory in bytes for pages of the index while it is walked over once: redb's own default is 1 GiB, and an index with small blobs fills
/// it.
const WALK_CACHE_BYTES: usize = 16 << 20;

/// What was found when a store was opened, and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Where the index was put that could not be used, and why it could not.
    pub index_set_aside: Option<(PathBuf, String)>,
    /// Blobs that were found and taken into the new index, each verified.
    pub recovered: u64,
    /// Blobs that were on their way when the last run ended, and were found damaged: what was held of them was dropped.
    pub dropped: Vec<BlobHash>,
}

/// A folder that may be used now.
pub(crate) struct Prepared {
    pub lock: File,
    pub left: Left,
}

/// What is to be done once the index is open.
#[derive(Default)]
pub(crate) struct Left {
    pub index_set_aside: Option<(PathBuf, String)>,
    /// Whether there may be files that the index does not know.
    pub thorough: bool,
    pub marked: Vec<(Mark, Vec<BlobHash>)>,
}

/// What is the matter with an index.
enum Unfit {
    InUse,
    Failed(io::Error),
    Damaged(String),
}

pub(crate) fn prepare(folder: &Path, examined: bool) -> Result<Prepared, BlobError> {
    for path in [folder.to_owned(), salvage(folder)] {
        fs::create_dir_all(&path).map_err(|error| BlobError::io("make", &path, error))?;
    }
    let lock = lock(folder)?;
    empty(&folder.join("temp"));
    let open = folder.join(OPEN);
    let thorough = examined || open.exists();
    let index = folder.join(INDEX);
    let mut left = Left {
        thorough,
        ..Left::default()
    };
    match examine(&index, thorough) {
        Ok(()) => {}
        Err(Unfit::InUse) => {
            let folder = folder.to_owned();
            return Err(BlobError::InUse { folder });
        }
        Err(Unfit::Failed(error)) => return Err(BlobError::io("open", &index, error)),
        Err(Unfit::Damaged(why)) => {
            let aside = set_aside(folder)?;
            tracing::error!(%why, aside = %aside.display(), "the index of blobs is set aside");
            left.index_set_aside = Some((aside, why));
        }
    }
    // Without an index, whatever is in the folder is unknown to it.
    if !index.exists() {
        move_away(folder)?;
    }
    left.marked = marked(folder)?;
    File::create(&open).map_err(|error| BlobError::io("create", &open, error))?;
    flush_folder(folder)?;
    Ok(Prepared { lock, left })
}

/// Notes that nothing is to be examined next time.
pub(crate) fn closed_in_order(folder: &Path) -> Result<(), BlobError> {
    let open = folder.join(OPEN);
    fs::remove_file(&open).map_err(|error| BlobError::io("remove", &open, error))
}

fn lock(folder: &Path) -> Result<File, BlobError> {
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(|error| BlobError::io("create", &path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let folder = folder.to_owned();
            Err(BlobError::InUse { folder })
        }
        Err(TryLockError::Error(error)) => Err(BlobError::io("lock", &path, error)),
    }
}

/// Whether redb reads the index. After a crash, every page's checksum is compared; otherwise those on the way to each
/// table's rows are read.
fn examine(index: &Path, thorough: bool) -> Result<(), Unfit> {
    if !index.exists() {
        return Ok(());
    }
    let walk = || {
        let mut database = open_index(index).map_err(unfit)?;
        if thorough {
            database.check_integrity().map_err(unfit)?;
        }
        let reading = database.begin_read().map_err(damaged)?;
        for table in reading.list_tables().map_err(damaged)? {
            use redb::ReadableTableMetadata;
            let table = reading.open_untyped_table(table).map_err(damaged)?;
            table.stats().map_err(damaged)?;
        }
        Ok(())
    };
    let walked = catch_unwind(AssertUnwindSafe(walk));
    walked.unwrap_or_else(|_| Err(Unfit::Damaged("reading it broke off".to_owned())))
}

/// Opens the index to walk over it once: what was read of it is not wanted again.
pub(super) fn open_index(index: &Path) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(WALK_CACHE_BYTES);
    builder.open(index)
}

fn damaged(error: impl std::fmt::Display) -> Unfit {
    Unfit::Damaged(error.to_string())
}

fn unfit(error: DatabaseError) -> Unfit {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        DatabaseError::DatabaseAlreadyOpen => Unfit::InUse,
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(error.kind(), InvalidData | UnexpectedEof) =>
        {
            Unfit::Failed(error)
        }
        error => damaged(error),
    }
}

/// A free name beside the index.
fn set_aside(folder: &Path) -> Result<PathBuf, BlobError> {
    let index = folder.join(INDEX);
    let names = (1..1_000).map(|n| folder.join(format!("{INDEX}.damaged-{n}")));
    let aside = names.into_iter().find(|path| !path.exists());
    let aside = aside.unwrap_or_else(|| folder.join(format!("{INDEX}.damaged")));
    fs::rename(&index, &aside).map_err(|error| BlobError::io("set aside", &index, error))?;
    Ok(aside)
}

pub(crate) fn salvage(folder: &Path) -> PathBuf {
    folder.join("salvage")
}

/// Moves whole data files out of iroh-blobs' sight, to be taken in again; removes what only an index makes sense of.
fn move_away(folder: &Path) -> Result<(), BlobError> {
    for file in fs::read_dir(folder.join("data")).into_iter().flatten() {
        let path = match file {
            Ok(file) => file.path(),
            Err(error) => return Err(BlobError::io("read", folder.join("data"), error)),
        };
        let done = match (path.extension(), path.file_name()) {
            (Some(part), Some(name)) if part == "data" => {
                fs::rename(&path, salvage(folder).join(name))
            }
            _ => fs::remove_file(&path),
        };
        done.map_err(|error| BlobError::io("move", &path, error))?;
    }
    Ok(())
}

impl BlobStore {
    /// Does what is left to do when the index is open.
    pub(crate) async fn finish(&self, left: Left) -> Result<Repairs, BlobError> {
        self.clean_temp().await?;
        let mut repairs = Repairs::default();
        if left.thorough {
            self.set_strangers_aside().await?;
        }
        let index = left.index_set_aside.as_ref();
        let index = index.map(|(path, _)| path.as_path());
        repairs.recovered = self.salvage(index).await?;
        repairs.index_set_aside = left.index_set_aside;
        for (mark, blobs) in left.marked {
            for blob in blobs {
                let complete = matches!(self.presence(blob).await?, Presence::Complete { .. });
                // A part is verified when it is opened, by iroh-blobs itself.
                if complete && self.mend(blob).await? == Mended::Dropped {
                    repairs.dropped.push(blob);
                }
            }
            self.unmark(mark).await?;
        }
        Ok(repairs)
    }
}
