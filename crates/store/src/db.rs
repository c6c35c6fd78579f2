//! redb, kept at arm's length: opened with every page verified, run so that no page can make us
//! panic, and opened again after the operating system failed it.

use std::fs::{File, OpenOptions};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction,
    ReadableDatabase, ReadableTable, WriteTransaction,
};

use crate::error::{Problem, StoreError, redb_error};
use crate::tables::Table;

/// Memory in bytes for pages (redb's own default is 1 GiB): holds the branches of every table and
/// the leaves of some thousand records in use (a guess).
pub const PAGE_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Where the file is.
#[derive(Debug)]
pub(crate) enum Medium {
    File(PathBuf),
    /// A file on a disk that a test fills or takes pictures of.
    #[cfg(test)]
    Test(PathBuf, std::sync::Arc<crate::fixture::Disk>),
}

enum Backing {
    Live(Database),
    /// Some page is damaged: what can be read is read, and nothing is written.
    Damaged(ReadOnlyDatabase),
    /// Opening it again failed; the next use tries again.
    Closed,
}

/// The database file.
pub(crate) struct Db {
    medium: Medium,
    backing: RwLock<Backing>,
}

impl Db {
    /// Makes a new, empty database; nothing may be there yet.
    pub(crate) fn create(medium: Medium) -> Result<Self, StoreError> {
        let file = medium.options().create_new(true).open(medium.path())?;
        let database = guard(|| medium.database(file))?;
        Ok(Self {
            medium,
            backing: RwLock::new(Backing::Live(database)),
        })
    }

    /// Opens a database, verifying the checksum of every page. Where one is wrong and the file was
    /// closed in good order, it is opened for reading only ([`Db::is_damaged`]).
    pub(crate) fn open(medium: Medium) -> Result<Self, StoreError> {
        let backing = medium.open()?;
        Ok(Self {
            medium,
            backing: RwLock::new(backing),
        })
    }

    pub(crate) fn is_damaged(&self) -> bool {
        matches!(&*self.shared(), Backing::Damaged(_))
    }

    /// Runs `read` on one snapshot of the database.
    pub(crate) fn read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.retry(|backing| {
            guard(|| {
                let transaction = match backing {
                    Backing::Live(database) => database.begin_read(),
                    Backing::Damaged(database) => database.begin_read(),
                    Backing::Closed => return Err(StoreError::Closed),
                };
                read(&transaction.map_err(redb_error)?)
            })
        })
    }

    /// Runs `write` in one transaction, and has all of it on the disk before returning.
    pub(crate) fn write<T>(
        &self,
        write: impl Fn(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.retry(|backing| match backing {
            Backing::Live(database) => guard(|| transact(database, &write)),
            Backing::Damaged(_) => Err(StoreError::ReadOnly),
            Backing::Closed => Err(StoreError::Closed),
        });
        // redb takes nothing more after an error of the operating system, reading included.
        if matches!(
            done,
            Err(StoreError::Full | StoreError::Io(_) | StoreError::Corrupt { .. })
        ) && let Err(error) = self.reopen()
        {
            tracing::warn!(%error, "the store's file does not open again yet");
        }
        done
    }

    /// Verifies every page on the disk again, by closing the file and opening it. (redb's own check
    /// leaves a damaged file as after a crash, and such a file can't be opened for reading.)
    pub(crate) fn verify_file(&self) -> Result<(), StoreError> {
        self.open_again(&mut self.exclusive())
    }

    /// Writes what redb keeps for a quick opening, and lets go of the file.
    pub(crate) fn close(self) -> Result<(), StoreError> {
        let backing = self
            .backing
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        guard(|| match backing {
            Backing::Live(database) => database.close().map_err(redb_error),
            Backing::Damaged(database) => database.close().map_err(redb_error),
            Backing::Closed => Ok(()),
        })
    }

    /// Runs `act`, and once more on a file opened anew if redb had already given up on it.
    fn retry<T>(&self, act: impl Fn(&Backing) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match act(&self.shared()) {
            Err(StoreError::Closed) => {
                self.reopen()?;
                act(&self.shared())
            }
            done => done,
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut backing = self.exclusive();
        if let Backing::Live(database) = &*backing
            && guard(|| database.try_begin_write().map(drop).map_err(redb_error)).is_ok()
        {
            return Ok(()); // Another thread has opened it already.
        }
        self.open_again(&mut backing)
    }

    fn open_again(&self, backing: &mut Backing) -> Result<(), StoreError> {
        // The old handle holds the file's lock until it is dropped.
        let old = std::mem::replace(backing, Backing::Closed);
        let _ = guard(|| {
            drop(old);
            Ok(())
        });
        *backing = self.medium.open()?;
        Ok(())
    }

    fn shared(&self) -> RwLockReadGuard<'_, Backing> {
        self.backing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Backing> {
        self.backing.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium {
    fn path(&self) -> &PathBuf {
        match self {
            Self::File(path) => path,
            #[cfg(test)]
            Self::Test(path, _) => path,
        }
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
    }

    fn open(&self) -> Result<Backing, StoreError> {
        let file = self.options().open(self.path())?;
        if file.metadata()?.len() == 0 {
            // redb would take an empty file for a wish to make a database.
            return Err(Problem::new("file", "it is empty").into());
        }
        match guard(|| self.database(file)) {
            Err(StoreError::Corrupt { what }) => {
                let file = self.options().open(self.path())?;
                guard(|| self.read_only(file)).map_err(|error| match error {
                    StoreError::InUse | StoreError::Io(_) => error,
                    _ => what.into(),
                })
            }
            opened => opened.map(Backing::Live),
        }
    }

    fn database(&self, file: File) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder
            .set_cache_size(PAGE_CACHE_BYTES)
            .set_check_integrity_on_open(true);
        self.with_backend(file, |backend| match backend {
            Backend::File(backend) => builder.create_with_backend(backend),
            #[cfg(test)]
            Backend::Test(backend) => builder.create_with_backend(backend),
        })
    }

    fn read_only(&self, file: File) -> Result<Backing, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(PAGE_CACHE_BYTES);
        self.with_backend(file, |backend| match backend {
            Backend::File(backend) => builder.open_read_only_with_backend(backend),
            #[cfg(test)]
            Backend::Test(backend) => builder.open_read_only_with_backend(backend),
        })
        .map(Backing::Damaged)
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

/// One transaction. Two-phase commit (a second fsync, 4 ms here) because without it redb falls back
/// to the commit before where a page of the last one does not verify after a crash: an acknowledged
/// entry would be gone without a word, and its place in our chain signed twice.
fn transact<T>(
    database: &Database,
    write: impl Fn(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(redb_error)?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(redb_error)?;
    transaction.set_two_phase_commit(true);
    let done = match write(&transaction) {
        Ok(done) => done,
        Err(error) => {
            // What the batch did wrong is what to say, even if the abort fails too.
            let _ = transaction.abort();
            return Err(error);
        }
    };
    transaction.commit().map_err(redb_error)?;
    Ok(done)
}

/// Runs redb so that a panic over a damaged page is an error like any other.
fn guard<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // What a panic leaves half done is redb's transaction, which is then dropped or poisoned.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
        tracing::error!("redb panicked over the store's file");
        Err(Problem::new("file", "its pages are damaged").into())
    })
}

pub(crate) type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Opens a table for reading; all of them were made with the file.
pub(crate) fn rows(transaction: &ReadTransaction, table: Table) -> Result<Rows, StoreError> {
    transaction
        .open_table(table.definition())
        .map_err(|error| match error {
            redb::TableError::Storage(error) => redb_error(error),
            _ => Problem::new(table.name, "the table is missing or another").into(),
        })
}

/// The value of a row.
pub(crate) fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let value = table.get(key).map_err(redb_error)?;
    Ok(value.map(|value| value.value().to_vec()))
}

/// Whether a walk goes on.
pub(crate) enum Step {
    On,
    Stop,
}

/// Walks the rows of a range in order. Keys that do not rise end it: in a damaged file, branches can
/// lead round in a circle.
pub(crate) fn walk(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    name: Table,
    range: (Bound<&[u8]>, Bound<&[u8]>),
    mut each: impl FnMut(&[u8], &[u8]) -> Result<Step, StoreError>,
) -> Result<(), StoreError> {
    let mut last: Option<Vec<u8>> = None;
    for row in table.range::<&[u8]>(range).map_err(redb_error)? {
        let (key, value) = row.map_err(redb_error)?;
        let key = key.value();
        match &mut last {
            Some(last) if last.as_slice() >= key => {
                return Err(Problem::new(name.name, "its rows are out of order").into());
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => last = Some(key.to_vec()),
        }
        if let Step::Stop = each(key, value.value())? {
            break;
        }
    }
    Ok(())
}

/// Every row.
pub(crate) const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);
