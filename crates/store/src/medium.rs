//! Where the database file is, and the ways of opening it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadOnlyDatabase};

use crate::db::guard;
use crate::error::{Problem, StoreError, redb_error};

/// Memory in bytes for pages (redb's own default is 1 GiB): holds the branches of every table and
/// the leaves of some thousand records in use. Half of it is for pages that a commit changes: below,
/// a batch of 5,000 entries in a store of a million writes some pages twice (64 MiB write a quarter
/// less than 32 MiB; measured 2026-11-22).
pub const PAGE_CACHE_BYTES: usize = 48 * 1024 * 1024;

/// Where the file is.
#[derive(Debug, Clone)]
pub(crate) enum Medium {
    File(PathBuf),
    /// A file on a disk that a test fills or takes pictures of.
    #[cfg(test)]
    Test(PathBuf, std::sync::Arc<crate::fixture::Disk>),
}

/// How much of the file is verified when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// What redb needs: nothing after a clean close or a commit of ours, every page otherwise.
    Least,
    /// Every page's checksum, and which pages are in use.
    Pages,
}

/// Why a file is open for reading only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOnly {
    /// Some page is damaged.
    Damaged,
    /// The system lets us read the file and not write it.
    NotWritable,
}

/// An open file.
pub(crate) enum Opened {
    Live(Database),
    ReadOnly(ReadOnlyDatabase, ReadOnly),
}

impl Medium {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            #[cfg(test)]
            Self::Test(path, _) => path,
        }
    }

    /// The same kind of medium at another path.
    pub(crate) fn beside(&self, path: PathBuf) -> Self {
        match self {
            Self::File(_) => Self::File(path),
            #[cfg(test)]
            Self::Test(_, disk) => Self::Test(path, disk.clone()),
        }
    }

    /// Makes a new, empty database; nothing may be there yet.
    pub(crate) fn create(&self) -> Result<Database, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        owner_only(&mut options);
        let file = options.open(self.path())?;
        guard(|| self.database(file, Verify::Least)).inspect_err(|_| self.remove())
    }

    /// Takes a file away that is no database yet, so that the next attempt starts afresh.
    pub(crate) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(self.path()) {
            tracing::warn!(%error, "a store that was not finished is left behind");
        }
    }

    pub(crate) fn open(&self, verify: Verify) -> Result<Opened, StoreError> {
        let file = match self.file(true) {
            Err(error) if is_not_writable(&error) => {
                let file = self.file(false)?;
                return guard(|| self.read_only(file, ReadOnly::NotWritable)).map_err(|error| {
                    match error {
                        // redb refuses a file that it would have to repair first.
                        StoreError::Corrupt { .. } => Problem::new(
                            "file",
                            "it was not closed in good order, and may not be written to mend that",
                        )
                        .into(),
                        error => error,
                    }
                });
            }
            file => file?,
        };
        if file.metadata()?.len() == 0 {
            // redb would take an empty file for a wish to make a database.
            return Err(Problem::new("file", "it is empty").into());
        }
        match guard(|| self.database(file, verify)) {
            // What redb keeps for a quick opening may be what is damaged: it can make that again.
            Err(StoreError::Corrupt { .. }) if verify == Verify::Least => self.open(Verify::Pages),
            Err(StoreError::Corrupt { what }) => {
                let file = self.file(false)?;
                guard(|| self.read_only(file, ReadOnly::Damaged)).map_err(|error| match error {
                    StoreError::InUse | StoreError::Io(_) => error,
                    _ => what.into(),
                })
            }
            opened => opened.map(Opened::Live),
        }
    }

    fn file(&self, write: bool) -> io::Result<File> {
        #[cfg(test)]
        if let Self::Test(_, disk) = self {
            disk.may_open(write)?;
        }
        OpenOptions::new().read(true).write(write).open(self.path())
    }

    fn database(&self, file: File, verify: Verify) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder
            .set_cache_size(PAGE_CACHE_BYTES)
            .set_check_integrity_on_open(verify == Verify::Pages);
        self.with_backend(file, |backend| match backend {
            Backend::File(backend) => builder.create_with_backend(backend),
            #[cfg(test)]
            Backend::Test(backend) => builder.create_with_backend(backend),
        })
    }

    fn read_only(&self, file: File, why: ReadOnly) -> Result<Opened, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(PAGE_CACHE_BYTES);
        self.with_backend(file, |backend| match backend {
            Backend::File(backend) => builder.open_read_only_with_backend(backend),
            #[cfg(test)]
            Backend::Test(backend) => builder.open_read_only_with_backend(backend),
        })
        .map(|database| Opened::ReadOnly(database, why))
    }

    fn with_backend<T>(
        &self,
        file: File,
        open: impl FnOnce(Backend) -> Result<T, redb::DatabaseError>,
    ) -> Result<T, StoreError> {
        let backend = FileBackend::new(file).map_err(redb_error)?;
        let backend = match self {
            Self::File(_) => Backend::File(backend),
            #[cfg(test)]
            Self::Test(_, disk) => {
                Backend::Test(crate::fixture::TestBackend::new(backend, disk.clone()))
            }
        };
        open(backend).map_err(redb_error)
    }
}

enum Backend {
    File(FileBackend),
    #[cfg(test)]
    Test(crate::fixture::TestBackend),
}

/// Nobody else on the machine reads the file.
pub(crate) fn owner_only(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

pub(crate) fn is_not_writable(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem
    )
}

/// Puts the names of new files on the disk: without it a power cut can take a whole store away.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
