//! Taking in what an unusable index knew: the files that are left, and what can be read of the index itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use iroh_blobs::api::blobs::{AddPathOptions, ImportMode};
use iroh_blobs::{BlobFormat, Hash};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use salus_audit::BlobHash;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::blob;
use super::durable::{blocking, part};
use super::error::BlobError;
use super::repair::{open_index, salvage};
use super::store::{BlobStore, Presence};

/// iroh-blobs' table of blobs that live in the index.
const INLINE: TableDefinition<Hash, &[u8]> = TableDefinition::new("inline-data-0");

/// Blobs that were read from the old index and not written to the new one yet.
const READ_AHEAD: usize = 16;

/// What became of a blob that was looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// Nothing was the matter.
    Sound,
    /// Its bytes are sound, and complete again.
    Restored,
    /// It was damaged, and nothing is held of it any more: fetch it again.
    Dropped,
}

/// The blob that a file belongs to.
fn named(path: &Path) -> Option<BlobHash> {
    path.file_stem()?.to_str()?.parse().ok()
}

impl BlobStore {
    /// Takes in what is left; how many blobs that was. What does not fit its address is left behind.
    pub(crate) async fn salvage(&self, index: Option<&Path>) -> Result<u64, BlobError> {
        let mut recovered = 0;
        if let Some(index) = index {
            recovered += self.salvage_inline(index.to_owned()).await?;
        }
        let folder = salvage(&self.inner.folder);
        let files = fs::read_dir(&folder).map_err(|error| BlobError::io("read", &folder, error))?;
        for file in files {
            let path = file
                .map_err(|error| BlobError::io("read", &folder, error))?
                .path();
            if self.salvage_file(&path).await? {
                recovered += 1;
            }
            fs::remove_file(&path).map_err(|error| BlobError::io("remove", &path, error))?;
        }
        self.settle(Vec::new()).await?;
        Ok(recovered)
    }

    /// Moves files aside that the index does not know, to be taken in.
    pub(crate) async fn set_strangers_aside(&self) -> Result<(), BlobError> {
        let data = self.inner.folder.join("data");
        let files = fs::read_dir(&data).map_err(|error| BlobError::io("read", &data, error))?;
        for file in files {
            let path = file
                .map_err(|error| BlobError::io("read", &data, error))?
                .path();
            let known = match named(&path) {
                Some(blob) => self.presence(blob).await? != Presence::Absent,
                None => false,
            };
            if !known {
                self.set_file_aside(&path)?;
            }
        }
        Ok(())
    }

    /// Moves a data file to those to be taken in; removes what makes sense to an index only.
    fn set_file_aside(&self, path: &Path) -> Result<(), BlobError> {
        let is_data = path.extension().is_some_and(|part| part == "data");
        let done = match path.file_name().filter(|_| is_data) {
            Some(name) => fs::rename(path, salvage(&self.inner.folder).join(name)),
            None => fs::remove_file(path),
        };
        done.map_err(|error| BlobError::io("move", path, error))
    }

    /// Verifies a complete blob, and does what can be done about damage: where its data are sound and what belongs to
    /// them is not, they are taken in again; otherwise what is held of it is dropped, to be fetched again.
    ///
    /// # Errors
    /// When it is not held in full, or in use, or the disk fails.
    pub async fn mend(&self, blob: BlobHash) -> Result<Mended, BlobError> {
        match self.verify(blob).await {
            Ok(_) => return Ok(Mended::Sound),
            Err(BlobError::Damaged { why, .. }) => {
                tracing::warn!(%blob, %why, "the bytes of a blob are damaged");
            }
            Err(error) => return Err(error),
        }
        let data = part(&self.inner.folder, blob, "data");
        let aside = salvage(&self.inner.folder).join(format!("{blob}.data"));
        // Where the file system has no links, there must be room for a copy.
        let linked = fs::hard_link(&data, &aside);
        let kept = linked
            .or_else(|_| fs::copy(&data, &aside).map(drop))
            .is_ok();
        let dropped = self.discard(blob).await;
        let restored = match &dropped {
            Ok(()) if kept => self.salvage_file(&aside).await,
            _ => Ok(false),
        };
        if kept {
            fs::remove_file(&aside).map_err(|error| BlobError::io("remove", &aside, error))?;
        }
        dropped?;
        Ok(if restored? {
            Mended::Restored
        } else {
            Mended::Dropped
        })
    }

    async fn salvage_file(&self, path: &Path) -> Result<bool, BlobError> {
        let Some(named) = named(path) else {
            return Ok(false);
        };
        let found = {
            let path = path.to_owned();
            blocking(move || hash_of(&path).map_err(|error| BlobError::io("read", &path, error)))
                .await?
        };
        if found != named {
            tracing::warn!(blob = %named, "what is left of a blob is not all of it: fetch it again");
            return Ok(false);
        }
        let options = AddPathOptions {
            path: absolute(path)?,
            format: BlobFormat::Raw,
            mode: ImportMode::Copy,
        };
        let added = self.inner.store.add_path_with_opts(options);
        let tag = added.temp_tag().await;
        let tag = tag.map_err(|error| BlobError::io("copy", path, io::Error::other(error)))?;
        self.settle(vec![blob(tag.hash())]).await?;
        Ok(true)
    }

    async fn salvage_inline(&self, index: PathBuf) -> Result<u64, BlobError> {
        let (found, mut rows) = mpsc::channel(READ_AHEAD);
        let reading = spawn_blocking(move || {
            let read = || read_inline(&index, &found);
            match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the old index ends here"),
                Err(_) => tracing::warn!("the old index cannot be read on"),
            }
        });
        let mut recovered = 0;
        while let Some((named, bytes)) = rows.recv().await {
            if Hash::new(&bytes) != named {
                continue;
            }
            let added = self.inner.store.add_bytes(bytes).temp_tag().await;
            drop(added.map_err(|error| self.failed(error))?);
            recovered += 1;
        }
        let _read_what_there_was = reading.await;
        Ok(recovered)
    }
}

fn read_inline(index: &Path, found: &mpsc::Sender<(Hash, Bytes)>) -> Result<(), redb::Error> {
    let database = open_index(index)?;
    let reading = database.begin_read()?;
    for row in reading.open_table(INLINE)?.iter()? {
        let (hash, bytes) = row?;
        let bytes = Bytes::copy_from_slice(bytes.value());
        if found.blocking_send((hash.value(), bytes)).is_err() {
            break;
        }
    }
    Ok(())
}

fn hash_of(path: &Path) -> io::Result<BlobHash> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            len => hasher.update(piece.get(..len).unwrap_or_default()),
        };
    }
    Ok(BlobHash::from_bytes(*hasher.finalize().as_bytes()))
}

fn absolute(path: &Path) -> Result<PathBuf, BlobError> {
    std::path::absolute(path).map_err(|error| BlobError::io("find", path, error))
}
