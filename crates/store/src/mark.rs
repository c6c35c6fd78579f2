//! The high-water mark: a small file beside the store that has seen its last commit.
//!
//! One flipped bit of redb's header, or one file copied back, gives an earlier state of the store in
//! which everything verifies. A node that went on from there would sign other entries at positions
//! that it has signed already. The mark makes the store say so instead.
//!
//! It is written after each commit without waiting for the disk: after a power cut it may lag behind
//! the store, never run ahead of it. It does not help where the whole folder was put back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use salus_vault::StorageKey;

/// What stands in front of the file's end in the mark's associated data.
const AAD: &[u8] = b"salus/store/v1/mark";
/// Bytes that are read: nonce, count (u64, little-endian), tag.
const MARK_BYTES: u64 = 24 + 8 + 16;

/// The file `<store>.mark`.
pub(crate) struct Mark {
    file: Option<File>,
}

impl Mark {
    fn path(store: &Path) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(".mark");
        name.into()
    }

    /// Opens or makes the mark, and says what it has seen: none where it is new, cut short, changed
    /// or of another store.
    pub(crate) fn open(store: &Path, key: &StorageKey) -> (Self, Option<u64>) {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(Self::path(store)) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "the store's high-water mark can't be opened");
                return (Self { file: None }, None);
            }
        };
        let mut sealed = Vec::new();
        let read = (&file).take(MARK_BYTES).read_to_end(&mut sealed);
        let seen = read.ok().and_then(|_| key.open(AAD, &sealed).ok());
        let seen = seen.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        if seen.is_none() && !sealed.is_empty() {
            tracing::warn!("the store's high-water mark was not readable");
        }
        (Self { file: Some(file) }, seen)
    }

    /// Raises the mark. An error is no error of the commit: that is on the disk.
    pub(crate) fn set(&mut self, key: &StorageKey, commits: u64) {
        let sealed = key.seal(AAD, &commits.to_le_bytes());
        if let Some(file) = &mut self.file {
            let written = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.write_all(&sealed));
            if let Err(error) = written {
                tracing::warn!(%error, "the store's high-water mark was not written");
            }
        }
    }

    /// Waits until the mark is on the disk: once an opening, so that it always has its length.
    pub(crate) fn sync(&self) {
        if let Some(Err(error)) = self.file.as_ref().map(File::sync_all) {
            tracing::warn!(%error, "the store's high-water mark was not written");
        }
    }
}
