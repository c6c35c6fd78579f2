//! The high-water mark: a small file beside the store that has seen its last commit.
//!
//! One flipped bit of redb's header, or one file copied back, gives an earlier state of the store in
//! which everything verifies. A node that went on from there would sign other entries at positions
//! that it has signed already. The mark makes the store say so instead.
//!
//! It is made with the store. After each commit it is written without waiting for the disk: after a
//! power cut it may lag behind the store, never run ahead of it. It does not help where the whole
//! folder was put back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use salus_vault::StorageKey;

use crate::error::Problem;
use crate::medium::owner_only;

/// What stands in front of the file's end in the mark's associated data.
const AAD: &[u8] = b"salus/store/v1/mark";
/// Bytes that are read: nonce, count (u64, little-endian), tag.
const MARK_BYTES: u64 = 24 + 8 + 16;

/// The finding that a mark is gone, cut short, changed or another store's.
pub(crate) const LOST: Problem = Problem::new(
    "mark",
    "it is gone or does not open: whether the store was set back can't be told",
);

/// The file `<store>.mark`.
pub(crate) struct Mark {
    path: PathBuf,
    file: Option<File>,
}

impl Mark {
    /// Looks for the mark, and says what it has seen: none where there is no mark that opens.
    pub(crate) fn open(store: &Path, key: &StorageKey) -> (Self, Option<u64>) {
        let mut name = store.as_os_str().to_owned();
        name.push(".mark");
        let path = PathBuf::from(name);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.or_else(|_| File::open(&path)).ok();
        let mut sealed = Vec::new();
        let read = file
            .as_ref()
            .map(|file| file.take(MARK_BYTES).read_to_end(&mut sealed));
        let seen = read.and_then(|_| key.open(AAD, &sealed).ok());
        let seen = seen.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        (Self { path, file }, seen)
    }

    /// Writes the mark and waits until it is on the disk: once an opening, so that it is there and
    /// always has its length.
    pub(crate) fn make(&mut self, key: &StorageKey, commits: u64) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        owner_only(&mut options);
        let mut file = options.open(&self.path)?;
        write(&mut file, key, commits)?;
        file.sync_all()?;
        self.file = Some(file);
        Ok(())
    }

    /// Raises the mark. An error is no error of the commit: that is on the disk.
    pub(crate) fn set(&mut self, key: &StorageKey, commits: u64) {
        let written = self.file.as_mut().map(|file| write(file, key, commits));
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "the store's high-water mark was not written");
        }
    }

    /// Waits until the mark is on the disk.
    pub(crate) fn sync(&self) {
        if let Some(Err(error)) = self.file.as_ref().map(File::sync_all) {
            tracing::warn!(%error, "the store's high-water mark was not written");
        }
    }

    /// Whether somebody took the mark away since it was opened.
    pub(crate) fn is_gone(&self) -> bool {
        self.file.is_some() && !self.path.exists()
    }
}

fn write(file: &mut File, key: &StorageKey, commits: u64) -> std::io::Result<()> {
    let sealed = key.seal(AAD, &commits.to_le_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&sealed)
}
