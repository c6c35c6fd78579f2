//! The handle, how it is opened, and what it keeps in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::ReadableTableMetadata;
use salus_audit::LogId;
use salus_vault::StorageKey;

use crate::batch::Batch;
use crate::commit::{Applied, apply};
use crate::db::{ALL, Db, Medium, Step, get, rows, walk};
use crate::error::{Problem, StoreError, redb_error};
use crate::mark::Mark;
use crate::rows::{LogRow, Manifest};
use crate::tables::{
    CACHES, HASHES, HEADERS, LOGS, MANIFEST_ROW, META, PAYLOADS, REFUSED, Sealer, Sum, TABLES,
    TREE, Tag, VERSION, VERSION_ROW,
};

/// The store of one clinic. It may be shared by threads: one commits at a time, and readers see the
/// last commit without waiting for the next.
///
/// Reading gives what is intact or an error that names what is not, never anything else: a missing
/// answer (`None`, an empty list) means that there is nothing.
pub struct Store {
    pub(crate) db: Db,
    pub(crate) sealer: Sealer,
    facts: RwLock<Facts>,
    writer: Mutex<Writer>,
    key: StorageKey,
}

/// What is known without reading: replaced after each commit.
#[derive(Default)]
pub(crate) struct Facts {
    pub manifest: Manifest,
    /// Every log, and whether its document has to be rebuilt. About 100 bytes of memory for each.
    pub logs: BTreeMap<LogId, bool>,
    /// What was found wrong at opening.
    pub problems: Vec<Problem>,
    /// Every row of `logs` opens, and they are not the ones that were written last: some are from
    /// before, and there is no telling which. What rests on them alone is not given then.
    pub distrusted: Option<Problem>,
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
        Self::create_in(Medium::File(path.to_owned()), path, key)
    }

    /// Opens a store, reading the file once to verify its pages (about 1 GB/s). A damaged one opens
    /// for reading only: see [`Store::problems`].
    pub fn open(path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        Self::open_in(Medium::File(path.to_owned()), path, key, false)
    }

    /// Opens a store that was put back from a copy, where [`Store::open`] says
    /// [`StoreError::SetBack`]. The caller begins a new incarnation before it signs anything.
    pub fn open_restored(path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        Self::open_in(Medium::File(path.to_owned()), path, key, true)
    }

    pub(crate) fn create_in(
        medium: Medium,
        path: &Path,
        key: &StorageKey,
    ) -> Result<Self, StoreError> {
        let db = Db::create(medium)?;
        Self::fill(db, path, key).inspect_err(|_| {
            // It was not there before, and is no store yet: the next attempt starts afresh.
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(%error, "a store that was not finished is left behind");
            }
        })
    }

    fn fill(db: Db, path: &Path, key: &StorageKey) -> Result<Self, StoreError> {
        let sealer = Sealer::new(key);
        let manifest = Manifest {
            commits: 1,
            ..Manifest::default()
        };
        db.write(|transaction| {
            for table in TABLES {
                transaction
                    .open_table(table.definition())
                    .map_err(redb_error)?;
            }
            let mut meta = transaction
                .open_table(META.definition())
                .map_err(redb_error)?;
            let sealed = sealer.seal(META, MANIFEST_ROW, &manifest.encode());
            meta.insert(VERSION_ROW, &VERSION.to_be_bytes()[..])
                .map_err(redb_error)?;
            meta.insert(MANIFEST_ROW, sealed.as_slice())
                .map_err(redb_error)?;
            Ok(())
        })?;
        let (mut mark, _) = Mark::open(path, key);
        mark.set(key, manifest.commits);
        mark.sync();
        sync_folder_of(path)?;
        let facts = Facts {
            manifest,
            ..Facts::default()
        };
        Ok(Self::with(db, sealer, facts, mark, key))
    }

    pub(crate) fn open_in(
        medium: Medium,
        path: &Path,
        key: &StorageKey,
        restored: bool,
    ) -> Result<Self, StoreError> {
        let db = Db::open(medium)?;
        let sealer = Sealer::new(key);
        let facts = load(&db, &sealer)?;
        let held = facts.manifest.commits;
        let (mut mark, seen) = Mark::open(path, key);
        if let Some(seen) = seen.filter(|&seen| seen > held && !restored)
            && facts.problems.is_empty()
        {
            return Err(StoreError::SetBack { held, seen });
        }
        if facts.problems.is_empty() {
            mark.set(key, held);
            mark.sync();
        } else {
            tracing::error!(problems = facts.problems.len(), "the store is damaged");
        }
        Ok(Self::with(db, sealer, facts, mark, key))
    }

    fn with(db: Db, sealer: Sealer, facts: Facts, mark: Mark, key: &StorageKey) -> Self {
        Self {
            db,
            sealer,
            facts: RwLock::new(facts),
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
                use StoreError::{Conflict, Invalid, OutOfOrder};
                if !matches!(error, Invalid(_) | OutOfOrder { .. } | Conflict { .. }) {
                    // A disk that fails between the two halves of a commit leaves either state.
                    writer.stale = self.reload().is_err();
                }
                Err(error)
            }
        }
    }

    /// What was found wrong when the store was opened: pages, rows of logs and settings, counts.
    /// Where there is anything, the store takes no more changes. [`Store::check_integrity`] looks at
    /// every row.
    pub fn problems(&self) -> Vec<Problem> {
        self.facts().problems.clone()
    }

    /// Lets go of the file in good order. Dropping the store does the same and tells no errors.
    pub fn close(self) -> Result<(), StoreError> {
        self.lock_writer().mark.sync();
        self.db.close()
    }

    /// Verifies the file as opening it does.
    pub(crate) fn verify_file(&self) -> Result<Vec<Problem>, StoreError> {
        let _writer = self.lock_writer();
        self.db.verify_file()?;
        self.reload()?;
        Ok(self.problems())
    }

    /// Whether a row may be missing without having been missed.
    pub(crate) fn is_unsound(&self) -> bool {
        self.db.is_damaged() || !self.facts().problems.is_empty()
    }

    /// Reads the facts from the disk again.
    fn reload(&self) -> Result<(), StoreError> {
        let facts = load(&self.db, &self.sealer)?;
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

/// Puts the names of new files on the disk: without it a power cut can take a whole store away.
fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) {
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Reads what has to be known before anything else, and compares it with what the manifest says.
pub(crate) fn load(db: &Db, sealer: &Sealer) -> Result<Facts, StoreError> {
    let mut problems = Vec::new();
    if db.is_damaged() {
        problems.push(Problem::new("file", "its pages are damaged"));
    }
    let manifest = match load_manifest(db, sealer) {
        Err(StoreError::Corrupt { what }) if db.is_damaged() => {
            problems.push(what);
            None
        }
        manifest => manifest?,
    };
    let logs = found(
        &mut problems,
        db.read(|transaction| {
            let mut scan = Scan::default();
            let table = rows(transaction, LOGS)?;
            walk(&table, LOGS, ALL, |key, sealed| {
                scan.sum.toggle(sealer.sum(LOGS, key, sealed));
                scan.rows += 1;
                match open_log_row(sealer, key, sealed) {
                    Ok(row) => drop(scan.logs.insert(row.log, row.dirty)),
                    Err(problem) => scan.problems.push(problem),
                }
                Ok(Step::On)
            })?;
            Ok(scan)
        }),
    )?;
    problems.extend_from_slice(&logs.problems);
    let Some(manifest) = manifest else {
        if logs.logs.is_empty() {
            // Nothing opens: that is what a wrong key looks like, or too much damage.
            return Err(match problems.first() {
                Some(&problem) if db.is_damaged() => problem.into(),
                _ => StoreError::WrongKey,
            });
        }
        problems.push(Problem::new(META.name, "the manifest does not open"));
        return Ok(Facts {
            logs: logs.logs,
            problems,
            ..Facts::default()
        });
    };
    let mut distrusted = None;
    if (logs.rows, logs.sum) != (manifest.logs, manifest.logs_sum) {
        let changed = Problem::new(LOGS.name, "rows were taken out, put in or put back");
        distrusted = problems.is_empty().then_some(changed);
        problems.push(changed);
    }
    let metas = found(
        &mut problems,
        db.read(|transaction| {
            let mut scan = Scan::default();
            walk(&rows(transaction, META)?, META, ALL, |key, sealed| {
                if key != VERSION_ROW && key != MANIFEST_ROW {
                    scan.sum.toggle(sealer.sum(META, key, sealed));
                    scan.rows += 1;
                }
                Ok(Step::On)
            })?;
            Ok(scan)
        }),
    )?;
    if (metas.rows, metas.sum) != (manifest.metas, manifest.metas_sum) {
        problems.push(Problem::new(
            META.name,
            "rows were taken out, put in or put back",
        ));
    }
    let refused = manifest.refused_next.wrapping_sub(manifest.refused_first);
    for (table, expected) in [
        (HEADERS, manifest.entries),
        (HASHES, manifest.entries),
        (PAYLOADS, manifest.payloads),
        (CACHES, manifest.caches),
        (TREE, manifest.leaves),
        (REFUSED, refused),
    ] {
        let count = db.read(|transaction| rows(transaction, table)?.len().map_err(redb_error));
        let count = found(&mut problems, count)?;
        if count != expected {
            problems.push(Problem::new(table.name, "rows were taken out or put in"));
        }
    }
    Ok(Facts {
        manifest,
        logs: logs.logs,
        problems,
        distrusted,
    })
}

#[derive(Default)]
struct Scan {
    logs: BTreeMap<LogId, bool>,
    rows: u64,
    sum: Sum,
    problems: Vec<Problem>,
}

/// Notes what is damaged and goes on with nothing; other errors end it.
fn found<T: Default>(
    problems: &mut Vec<Problem>,
    read: Result<T, StoreError>,
) -> Result<T, StoreError> {
    match read {
        Err(StoreError::Corrupt { what }) => {
            problems.push(what);
            Ok(T::default())
        }
        read => read,
    }
}

/// None where the manifest does not open.
fn load_manifest(db: &Db, sealer: &Sealer) -> Result<Option<Manifest>, StoreError> {
    db.read(|transaction| {
        let meta = rows(transaction, META)?;
        let version = get(&meta, VERSION_ROW)?
            .and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
            .ok_or(Problem::new(META.name, "the version is missing"))?;
        if version != VERSION {
            return Err(StoreError::Version {
                found: version,
                expected: VERSION,
            });
        }
        let sealed =
            get(&meta, MANIFEST_ROW)?.ok_or(Problem::new(META.name, "the manifest is missing"))?;
        let manifest = sealer.open(META, MANIFEST_ROW, &sealed).ok();
        Ok(manifest.and_then(|bytes| Manifest::decode(&bytes)))
    })
}

/// Opens a row of `logs` that stands under `key`.
pub(crate) fn open_log_row(sealer: &Sealer, key: &[u8], sealed: &[u8]) -> Result<LogRow, Problem> {
    let opened = sealer.open(LOGS, key, sealed);
    let row = opened.map_err(|_| Problem::new(LOGS.name, "a row does not open"))?;
    let row = LogRow::decode(&row).ok_or(Problem::new(LOGS.name, "a row has another layout"))?;
    let tag: Tag = sealer.log_tag(&row.log);
    if tag == key {
        Ok(row)
    } else {
        Err(Problem::new(LOGS.name, "a row stands under another log's key").log(row.log))
    }
}
