//! The handle, and how it is opened.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use salus_vault::StorageKey;

use crate::batch::Batch;
use crate::commit::{Applied, apply};
use crate::db::Db;
use crate::error::{Problem, StoreError};
use crate::load::{Facts, load, write_head};
use crate::manifest::Manifest;
use crate::mark::{LOST, Mark};
use crate::medium::{Medium, ReadOnly, sync_folder_of};
use crate::tables::{Sealer, VERSION};

/// The store of one clinic. It may be shared by threads: one commits at a time, and readers see the
/// last commit without waiting for the next.
///
/// Reading gives what is intact or an error that names what is not, never anything else: a missing
/// answer (`None`, an empty list) means that there is nothing.
pub struct Store {
    pub(crate) db: Db,
    pub(crate) sealer: Sealer,
    facts: RwLock<Facts>,
    /// Whether `hashes` was compared with its sum since the file was opened.
    pub(crate) hashes_summed: AtomicBool,
    writer: Mutex<Writer>,
    key: StorageKey,
}

struct Writer {
    mark: Mark,
    /// An error left open whether the last commit is on the disk.
    stale: bool,
}

impl Store {
    /// Makes a new store. The folder must exist and `path` must not; beside it goes `path` with
    /// `.mark` behind its name.
    pub fn create(path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        Self::create_in(Medium::File(path.to_owned()), key)
    }

    /// Opens a store, and brings one of an older version to the present version. What it reads grows
    /// with the logs, not with the entries: rows are verified when they are read, and all of the
    /// file only where something does not fit or redb was not able to keep its books. A damaged
    /// store, and one whose file may not be written, open for reading only: see [`Store::problems`].
    pub fn open(path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        Self::open_in(Medium::File(path.to_owned()), key, false)
    }

    /// Opens a store that was put back from a copy, where [`Store::open`] says
    /// [`StoreError::SetBack`]. The caller begins a new incarnation before it signs anything.
    pub fn open_restored(path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        Self::open_in(Medium::File(path.to_owned()), key, true)
    }

    pub(crate) fn create_in(medium: Medium, key: &StorageKey) -> Result<Self, StoreError> {
        let path = medium.path().to_owned();
        let db = Db::create(medium.clone())?;
        Self::fill(db, &path, key).inspect_err(|_| medium.remove())
    }

    fn fill(db: Db, path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        let sealer = Sealer::new(key);
        let manifest = Manifest {
            commits: 1,
            ..Manifest::default()
        };
        // The mark first: from the first commit on, a store without one has lost it.
        let (mut mark, _) = Mark::open(path, key);
        mark.make(key, manifest.commits)?;
        sync_folder_of(path)?;
        db.write(|transaction| write_head(transaction, &sealer, &manifest))?;
        let facts = Facts {
            manifest,
            version: VERSION,
            ..Facts::default()
        };
        Ok(Self::with(db, sealer, facts, mark, key))
    }

    pub(crate) fn open_in(
        medium: Medium,
        key: &StorageKey,
        restored: bool,
    ) -> Result<Self, StoreError> {
        let path = medium.path().to_owned();
        let db = Db::open(medium)?;
        let sealer = Sealer::new(key);
        let mut facts = match load(&db, &sealer) {
            Ok(facts) if facts.problems.is_empty() => facts,
            Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::WrongKey) => {
                // Something does not fit: every page is looked at before it is said what.
                db.verify_file()?;
                load(&db, &sealer)?
            }
            Err(error) => return Err(error),
        };
        let held = facts.manifest.commits;
        let (mut mark, seen) = Mark::open(&path, key);
        if !facts.problems.is_empty() {
            tracing::error!(problems = facts.problems.len(), "the store is damaged");
            return Ok(Self::with(db, sealer, facts, mark, key));
        }
        if let Some(seen) = seen.filter(|&seen| seen > held && !restored) {
            return Err(StoreError::SetBack { held, seen });
        }
        let mark_lost = !restored && (facts.manifest.mark_lost || seen.is_none());
        let changed = mark_lost != facts.manifest.mark_lost;
        facts.manifest.mark_lost = mark_lost;
        if db.read_only().is_none() {
            // What a lost mark means outlasts this opening: the next one finds a mark again.
            if facts.version < VERSION || changed {
                facts.manifest.commits += 1;
                db.write(|transaction| write_head(transaction, &sealer, &facts.manifest))?;
                facts.version = VERSION;
            }
            if let Err(error) = mark.make(key, facts.manifest.commits) {
                tracing::warn!(%error, "the store's high-water mark was not written");
            }
        }
        Ok(Self::with(db, sealer, facts, mark, key))
    }

    fn with(db: Db, sealer: Sealer, facts: Facts, mark: Mark, key: &StorageKey) -> Self {
        Self {
            db,
            sealer,
            facts: RwLock::new(facts),
            hashes_summed: AtomicBool::new(false),
            writer: Mutex::new(Writer { mark, stale: false }),
            key: key.clone(),
        }
    }

    /// Puts a batch on the disk, whole, or leaves the store as it was. When it returns `Ok`, a power
    /// cut takes nothing of it away.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut writer = self.lock_writer();
        if writer.stale {
            self.reload()?;
            writer.stale = false;
        }
        let applied = {
            // Nobody else changes the facts while the writer is locked; readers go on.
            let facts = self.facts();
            if !facts.problems.is_empty() {
                return Err(StoreError::ReadOnly);
            }
            self.db
                .write(|transaction| apply(transaction, &self.sealer, &facts, &batch))
        };
        match applied {
            Ok(Applied { manifest, logs }) => {
                writer.mark.set(&self.key, manifest.commits);
                let mut facts = self.facts_mut();
                facts.manifest = manifest;
                facts.logs.extend(logs);
                Ok(())
            }
            Err(error) => {
                use StoreError::{Conflict, Invalid, NotWritable, OutOfOrder};
                if !matches!(
                    error,
                    Invalid(_) | OutOfOrder { .. } | Conflict { .. } | NotWritable
                ) {
                    // A disk that fails between the two halves of a commit leaves either state.
                    writer.stale = self.reload().is_err();
                }
                Err(error)
            }
        }
    }

    /// What was found wrong when the store was opened: pages, rows of logs and settings, counts. The
    /// store takes no more changes then ([`Store::is_read_only`]), unless it is only the mark beside
    /// it that is gone: that is said until [`Store::open_restored`].
    /// [`Store::check_integrity`] looks at every row.
    pub fn problems(&self) -> Vec<Problem> {
        let facts = self.facts();
        let mut problems = facts.problems.clone();
        if facts.manifest.mark_lost {
            problems.push(LOST);
        }
        if self.db.read_only() == Some(ReadOnly::NotWritable) {
            problems.push(Problem::new("file", "it may not be written: reading only"));
        }
        problems
    }

    /// Whether the store takes no changes: it is damaged, or its file may not be written.
    pub fn is_read_only(&self) -> bool {
        self.db.read_only().is_some() || !self.facts().problems.is_empty()
    }

    /// Lets go of the file in good order. Dropping the store does the same and tells no errors.
    pub fn close(self) -> Result<(), StoreError> {
        self.lock_writer().mark.sync();
        self.db.close()
    }

    /// Verifies every page of the file.
    pub(crate) fn verify_file(&self) -> Result<Vec<Problem>, StoreError> {
        let writer = self.lock_writer();
        self.db.verify_file()?;
        self.reload()?;
        let mut problems = self.problems();
        if writer.mark.is_gone() && !problems.contains(&LOST) {
            problems.push(LOST);
        }
        Ok(problems)
    }

    /// Whether a row may be missing without having been missed.
    pub(crate) fn is_unsound(&self) -> bool {
        self.db.read_only() == Some(ReadOnly::Damaged) || !self.facts().problems.is_empty()
    }

    /// Reads the facts from the disk again.
    fn reload(&self) -> Result<(), StoreError> {
        let facts = load(&self.db, &self.sealer)?;
        self.hashes_summed.store(false, Ordering::Release);
        *self.facts_mut() = facts;
        Ok(())
    }

    pub(crate) fn facts(&self) -> RwLockReadGuard<'_, Facts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts_mut(&self) -> RwLockWriteGuard<'_, Facts> {
        self.facts.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} logs)", self.facts().logs.len())
    }
}
