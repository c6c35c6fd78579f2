//! Taking in what an unusable index knew: the files that are left, and what can be read of the index itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use iroh_blobs::api::blobs::{AddPathOptions, ImportMode};
use iroh_blobs::{BlobFormat, Hash};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use salus_audit::BlobHash;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::blob;
use super::durable::blocking;
use super::error::BlobError;
use super::repair::salvage;
use super::store::BlobStore;

/// iroh-blobs' table of blobs that live in the index.
const INLINE: TableDefinition<Hash, &[u8]> = TableDefinition::new("inline-data-0");

/// Blobs that were read from the old index and not written to the new one yet.
const READ_AHEAD: usize = 16;

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

    async fn salvage_file(&self, path: &Path) -> Result<bool, BlobError> {
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(named) = name.and_then(|name| name.parse::<BlobHash>().ok()) else {
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
    let database = Database::open(index)?;
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
