//! What has to be known of a store before anything else: read when it is opened, and compared with
//! what the manifest says.

use std::collections::BTreeMap;

use redb::{ReadableTableMetadata, WriteTransaction};
use salus_audit::{LogId, Tree};

use crate::db::{ALL, Db, Step, get, rows, walk};
use crate::error::{Problem, StoreError, redb_error};
use crate::manifest::{Manifest, ManifestV1};
use crate::medium::ReadOnly;
use crate::rows::LogRow;
use crate::tables::{
    CACHES, HASHES, HEADERS, LOGS, MANIFEST_ROW, META, OLDEST_VERSION, PAYLOADS, REFUSED,
    STATEMENTS, Sealer, Sum, TABLES, TREE, Table, Tag, VERSION, VERSION_ROW,
};

/// What is known without reading: replaced after each commit.
#[derive(Default)]
pub(crate) struct Facts {
    pub manifest: Manifest,
    /// The version of the file; an older one is brought to the present one where it can be written.
    pub version: u32,
    /// Every log, and whether its document has to be rebuilt. About 100 bytes of memory for each.
    pub logs: BTreeMap<LogId, bool>,
    /// What was found wrong at opening.
    pub problems: Vec<Problem>,
    /// Every row of `logs` opens, and they are not the ones that were written last: some are from
    /// before, and there is no telling which. What rests on them alone is not given then.
    pub distrusted: Option<Problem>,
    /// Why the own tree is not known.
    pub tree_lost: Option<Problem>,
}

/// Reads the facts.
pub(crate) fn load(db: &Db, sealer: &Sealer) -> Result<Facts, StoreError> {
    let mut problems = Vec::new();
    let damaged = db.read_only() == Some(ReadOnly::Damaged);
    if damaged {
        problems.push(Problem::new("file", "its pages are damaged"));
    }
    let head = match load_head(db, sealer) {
        Err(StoreError::Corrupt { what }) if damaged => {
            problems.push(what);
            Head::Lost
        }
        head => head?,
    };
    let logs = found(&mut problems, load_logs(db, sealer))?;
    problems.extend_from_slice(&logs.problems);
    let (manifest, version, tree_lost) = match head {
        Head::Now(manifest) => (manifest, VERSION, None),
        Head::V1(old) => {
            let (manifest, lost) = from_v1(db, sealer, old)?;
            problems.extend(lost);
            (manifest, 1, lost)
        }
        Head::Lost if logs.logs.is_empty() => {
            // Nothing opens: that is what a wrong key looks like, or too much damage.
            return Err(match problems.first() {
                Some(&problem) if damaged => problem.into(),
                _ => StoreError::WrongKey,
            });
        }
        Head::Lost => {
            let lost = Problem::new(META.name, "the manifest does not open");
            problems.push(lost);
            return Ok(Facts {
                logs: logs.logs,
                problems,
                tree_lost: Some(lost),
                ..Facts::default()
            });
        }
    };
    let mut distrusted = None;
    if (logs.rows, logs.sum) != (manifest.logs, manifest.logs_sum) {
        let changed = Problem::new(LOGS.name, "rows were taken out, put in or put back");
        distrusted = problems.is_empty().then_some(changed);
        problems.push(changed);
    }
    let metas = found(&mut problems, load_metas(db, sealer))?;
    if metas != (manifest.metas, manifest.metas_sum) {
        problems.push(Problem::new(
            META.name,
            "rows were taken out, put in or put back",
        ));
    }
    for (table, expected) in counts(&manifest) {
        if [LOGS, META].contains(&table) || table == STATEMENTS && version == 1 {
            continue;
        }
        let count = db.read(|transaction| rows(transaction, table)?.len().map_err(redb_error));
        let count = found(&mut problems, count)?;
        if count != expected {
            problems.push(Problem::new(table.name, "rows were taken out or put in"));
        }
    }
    Ok(Facts {
        manifest,
        version,
        logs: logs.logs,
        problems,
        distrusted,
        tree_lost,
    })
}

/// How many rows each table should have; `meta` besides version and manifest.
pub(crate) fn counts(manifest: &Manifest) -> [(Table, u64); 9] {
    [
        (META, manifest.metas),
        (LOGS, manifest.logs),
        (HEADERS, manifest.entries),
        (PAYLOADS, manifest.payloads),
        (HASHES, manifest.entries),
        (CACHES, manifest.caches),
        (TREE, manifest.tree.size()),
        (REFUSED, manifest.refused()),
        (STATEMENTS, manifest.statements),
    ]
}

/// Makes the tables and the first rows of a new store, or brings an older one to the present
/// version: rows that version 1 wrote are read as they are, and written anew when they change.
pub(crate) fn write_head(
    transaction: &WriteTransaction,
    sealer: &Sealer,
    manifest: &Manifest,
) -> Result<(), StoreError> {
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
}

enum Head {
    Now(Manifest),
    V1(ManifestV1),
    /// The manifest does not open.
    Lost,
}

fn load_head(db: &Db, sealer: &Sealer) -> Result<Head, StoreError> {
    db.read(|transaction| {
        let meta = rows(transaction, META)?;
        let version = version_of(get(&meta, VERSION_ROW)?.as_deref())?;
        let sealed =
            get(&meta, MANIFEST_ROW)?.ok_or(Problem::new(META.name, "the manifest is missing"))?;
        let Ok(bytes) = sealer.open(META, MANIFEST_ROW, &sealed) else {
            return Ok(Head::Lost);
        };
        let head = match version {
            VERSION => Manifest::decode(&bytes).map(Head::Now),
            _ => Manifest::decode_v1(&bytes).map(Head::V1),
        };
        // A version row that does not fit the manifest is damage too.
        Ok(head.unwrap_or(Head::Lost))
    })
}

/// The version in the row `version`.
pub(crate) fn version_of(row: Option<&[u8]>) -> Result<u32, StoreError> {
    let version = row
        .and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
        .filter(|&version| version >= OLDEST_VERSION)
        .ok_or(Problem::new(META.name, "the version is missing"))?;
    if version > VERSION {
        return Err(StoreError::Version {
            found: version,
            expected: VERSION,
        });
    }
    Ok(version)
}

/// What a manifest of version 1 did not have: the tree's edge and the sum over `hashes`.
fn from_v1(
    db: &Db,
    sealer: &Sealer,
    old: ManifestV1,
) -> Result<(Manifest, Option<Problem>), StoreError> {
    let ManifestV1 {
        mut manifest,
        leaves,
    } = old;
    let tree = db.read(|transaction| {
        let mut tree = Tree::new();
        walk(&rows(transaction, TREE)?, TREE, ALL, |key, sealed| {
            tree.append(leaf(sealer, tree.size(), key, sealed)?);
            Ok(Step::On)
        })?;
        if tree.size() == leaves {
            Ok(tree)
        } else {
            Err(Problem::new(TREE.name, "rows were taken out or put in").into())
        }
    });
    let mut problems = Vec::new();
    manifest.tree = found(&mut problems, tree)?;
    let lost = problems.pop();
    let (_, sum) = found(&mut problems, db.read(|view| sum_of(view, sealer, HASHES)))?;
    manifest.hashes_sum = sum;
    Ok((manifest, lost.or(problems.pop())))
}

/// The leaf in a row of `tree`, which should be the one with this index.
pub(crate) fn leaf(
    sealer: &Sealer,
    index: u64,
    key: &[u8],
    sealed: &[u8],
) -> Result<[u8; 32], Problem> {
    (key == index.to_be_bytes())
        .then(|| sealer.open(TREE, key, sealed).ok())
        .flatten()
        .and_then(|leaf| leaf.try_into().ok())
        .ok_or(Problem::new(TREE.name, "a leaf is damaged or missing").seq(index))
}

/// The rows of a table, counted and summed up.
pub(crate) fn sum_of(
    transaction: &redb::ReadTransaction,
    sealer: &Sealer,
    table: Table,
) -> Result<(u64, Sum), StoreError> {
    let (mut count, mut sum) = (0, Sum::default());
    walk(&rows(transaction, table)?, table, ALL, |key, value| {
        sum.toggle(sealer.sum(table, key, value));
        count += 1;
        Ok(Step::On)
    })?;
    Ok((count, sum))
}

#[derive(Default)]
struct Scan {
    logs: BTreeMap<LogId, bool>,
    rows: u64,
    sum: Sum,
    problems: Vec<Problem>,
}

fn load_logs(db: &Db, sealer: &Sealer) -> Result<Scan, StoreError> {
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
    })
}

fn load_metas(db: &Db, sealer: &Sealer) -> Result<(u64, Sum), StoreError> {
    db.read(|transaction| {
        let (mut count, mut sum) = (0, Sum::default());
        walk(&rows(transaction, META)?, META, ALL, |key, sealed| {
            if key != VERSION_ROW && key != MANIFEST_ROW {
                sum.toggle(sealer.sum(META, key, sealed));
                count += 1;
            }
            Ok(Step::On)
        })?;
        Ok((count, sum))
    })
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
