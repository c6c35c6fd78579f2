//! redb, kept at arm's length: run so that no page can make us panic, and opened again after the
//! operating system failed it.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    WriteTransaction,
};

use crate::error::{Problem, StoreError, redb_error};
use crate::medium::{Medium, Opened, ReadOnly, Verify};
use crate::tables::Table;

/// The database file.
pub(crate) struct Db {
    medium: Medium,
    /// None where opening it again failed; the next use tries again.
    backing: RwLock<Backing>,
}

type Backing = Option<Arc<Opened>>;

impl Db {
    /// Makes a new, empty database; nothing may be there yet.
    pub(crate) fn create(medium: Medium) -> Result<Self, StoreError> {
        let database = medium.create()?;
        Ok(Self {
            medium,
            backing: RwLock::new(Some(Arc::new(Opened::Live(database)))),
        })
    }

    /// Opens a database. Where pages are found damaged and the file was closed in good order, or
    /// where it may not be written, it is opened for reading only ([`Db::read_only`]).
    pub(crate) fn open(medium: Medium) -> Result<Self, StoreError> {
        let backing = medium.open(Verify::Least)?;
        Ok(Self {
            medium,
            backing: RwLock::new(Some(Arc::new(backing))),
        })
    }

    /// Why nothing can be written, where that is so.
    pub(crate) fn read_only(&self) -> Option<ReadOnly> {
        match self.shared().as_deref() {
            Some(Opened::ReadOnly(_, why)) => Some(*why),
            _ => None,
        }
    }

    /// Runs `read` on one snapshot of the database.
    pub(crate) fn read<T>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.retry(|backing| read_in(backing, &read))
    }

    /// The same for what takes long and must not be begun again: what hands rows on while it reads.
    /// Nothing waits for it.
    pub(crate) fn read_once<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read(|_| Ok(()))?;
        let backing = self.shared().clone();
        read_in(backing.as_deref(), read)
    }

    /// Runs `write` in one transaction, and has all of it on the disk before returning.
    pub(crate) fn write<T>(
        &self,
        write: impl Fn(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.retry(|backing| match backing {
            Some(Opened::Live(database)) => guard(|| transact(database, &write)),
            Some(Opened::ReadOnly(_, why)) => Err((*why).into()),
            None => Err(StoreError::Closed),
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

    /// Verifies every page on the disk, where that is possible, by closing the file and opening it. (redb's own check
    /// leaves a damaged file as after a crash, and such a file can't be opened for reading.)
    pub(crate) fn verify_file(&self) -> Result<(), StoreError> {
        if self.read_only() == Some(ReadOnly::NotWritable) {
            return Ok(()); // redb verifies pages only where it may mend them.
        }
        let mut backing = self.exclusive();
        match &*backing {
            // A backup holds the file: rows can be verified meanwhile, pages can't.
            Some(opened) if Arc::strong_count(opened) > 1 => Ok(()),
            _ => self.open_again(&mut backing, Verify::Pages),
        }
    }

    /// Writes what redb keeps for a quick opening, and lets go of the file.
    pub(crate) fn close(self) -> Result<(), StoreError> {
        let backing = self.exclusive().take();
        // Whoever still reads borrows the store, which is gone here.
        guard(|| match backing.and_then(Arc::into_inner) {
            Some(Opened::Live(database)) => database.close().map_err(redb_error),
            Some(Opened::ReadOnly(database, _)) => database.close().map_err(redb_error),
            None => Ok(()),
        })
    }

    /// Runs `act`, and once more on a file opened anew if redb had already given up on it.
    fn retry<T>(
        &self,
        act: impl Fn(Option<&Opened>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match act(self.shared().as_deref()) {
            Err(StoreError::Closed) => {
                self.reopen()?;
                act(self.shared().as_deref())
            }
            done => done,
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut backing = self.exclusive();
        if let Some(Opened::Live(database)) = backing.as_deref()
            && guard(|| database.try_begin_write().map(drop).map_err(redb_error)).is_ok()
        {
            return Ok(()); // Another thread has opened it already.
        }
        self.open_again(&mut backing, Verify::Least)
    }

    fn open_again(&self, backing: &mut Backing, verify: Verify) -> Result<(), StoreError> {
        // The old handle holds the file's lock until it is dropped.
        let old = backing.take();
        let _ = guard(|| {
            drop(old);
            Ok(())
        });
        *backing = Some(Arc::new(self.medium.open(verify)?));
        Ok(())
    }

    fn shared(&self) -> RwLockReadGuard<'_, Backing> {
        self.backing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Backing> {
        self.backing.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// redb writes when it is dropped, and panics where it can't.
impl Drop for Db {
    fn drop(&mut self) {
        let backing = self.exclusive().take();
        let _ = guard(|| {
            drop(backing);
            Ok(())
        });
    }
}

fn read_in<T>(
    backing: Option<&Opened>,
    read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    guard(|| {
        let transaction = match backing {
            Some(Opened::Live(database)) => database.begin_read(),
            Some(Opened::ReadOnly(database, _)) => database.begin_read(),
            None => return Err(StoreError::Closed),
        };
        read(&transaction.map_err(redb_error)?)
    })
}

/// One transaction. Two-phase commit (a second fsync, 4 ms here) because without it redb falls back
/// to the commit before where a page of the last one does not verify after a crash: an acknowledged
/// entry would be gone without a word, and its place in our chain signed twice. Quick repair, which
/// writes down with each commit which pages are in use, because without it a store that was not
/// closed is read three times before it opens (2 GB: 6 s, with it 1 s; measured 2026-11-22).
fn transact<T>(
    database: &Database,
    write: impl Fn(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(redb_error)?;
    transaction
        .set_durability(Durability::Immediate)
        .map_err(redb_error)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
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
pub(crate) fn guard<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
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
