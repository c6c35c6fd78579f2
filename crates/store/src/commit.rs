//! One transaction: from a batch to rows.

use std::collections::BTreeMap;

use redb::WriteTransaction;
use salus_audit::{LogId, MAX_TREE_SIZE, Tree};

use crate::batch::{Batch, MAX_META_ROWS, MAX_REFUSED};
use crate::db::get;
use crate::entries::{self, Tables};
use crate::error::{Problem, StoreError, redb_error};
use crate::load::{Facts, open_log_row};
use crate::manifest::Manifest;
use crate::rows::{LogRow, MAX_CHAINS, Pin, encode_refused};
use crate::tables::{
    CACHES, Cache, HASHES, HEADERS, LOGS, MANIFEST_ROW, META, PAYLOADS, REFUSED, STATEMENTS,
    Sealer, Sum, TREE, Table, Tag, seal_index,
};

pub(crate) type RedbTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// What the facts in memory become.
pub(crate) struct Applied {
    pub manifest: Manifest,
    /// The logs that were touched, and whether they are dirty.
    pub logs: Vec<(LogId, bool)>,
}

/// Writes all of a batch, or fails before the transaction is committed.
pub(crate) fn apply(
    transaction: &WriteTransaction,
    sealer: &Sealer,
    facts: &Facts,
    batch: &Batch,
) -> Result<Applied, StoreError> {
    let open = |table: Table| {
        transaction
            .open_table(table.definition())
            .map_err(redb_error)
    };
    let manifest = Manifest {
        commits: facts.manifest.commits + 1,
        ..facts.manifest.clone()
    };
    let mut logs = Logs {
        table: open(LOGS)?,
        sealer,
        facts,
        touched: BTreeMap::new(),
    };
    let mut commit = Commit { sealer, manifest };

    let mut tables = Tables {
        headers: open(HEADERS)?,
        payloads: open(PAYLOADS)?,
        hashes: open(HASHES)?,
    };
    entries::put(batch, sealer, &mut commit.manifest, &mut logs, &mut tables)?;
    entries::detach(&batch.detach, sealer, &mut commit.manifest, &mut tables)?;
    commit.statements(batch, &mut logs, open(STATEMENTS)?)?;
    commit.caches(batch, &mut logs, open(CACHES)?)?;
    for (log, summary) in &batch.summaries {
        logs.touch(log)?.row.summary = Some(summary.clone());
    }
    for log in &batch.dirty {
        logs.touch(log)?.row.dirty = true;
    }
    for log in &batch.clean {
        logs.touch(log)?.row.dirty = false;
    }
    commit.leaves(batch, open(TREE)?)?;
    commit.refused(batch, open(REFUSED)?)?;
    let touched = logs.write(&mut commit.manifest)?;
    commit.meta(batch, open(META)?)?;
    Ok(Applied {
        manifest: commit.manifest,
        logs: touched,
    })
}

/// The rows of `logs` that a batch touches, each read once and written once.
pub(crate) struct Logs<'a, 't> {
    table: RedbTable<'t>,
    sealer: &'a Sealer,
    facts: &'a Facts,
    touched: BTreeMap<LogId, Touched>,
}

pub(crate) struct Touched {
    pub tag: Tag,
    pub row: LogRow,
    /// What the row was in the sum over the table.
    before: Option<Sum>,
}

impl Logs<'_, '_> {
    pub(crate) fn touch(&mut self, log: &LogId) -> Result<&mut Touched, StoreError> {
        use std::collections::btree_map::Entry as Slot;
        match self.touched.entry(*log) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let tag = self.sealer.log_tag(log);
                let (row, before) = match get(&self.table, &tag)? {
                    Some(sealed) => (
                        open_log_row(self.sealer, &tag, &sealed)?,
                        Some(self.sealer.sum(LOGS, &tag, &sealed)),
                    ),
                    None if self.facts.logs.contains_key(log) => {
                        return Err(Problem::new(LOGS.name, "its row is missing")
                            .log(*log)
                            .into());
                    }
                    None => (LogRow::new(*log), None),
                };
                Ok(slot.insert(Touched { tag, row, before }))
            }
        }
    }

    fn write(mut self, manifest: &mut Manifest) -> Result<Vec<(LogId, bool)>, StoreError> {
        let mut logs = Vec::with_capacity(self.touched.len());
        for (log, Touched { tag, row, before }) in self.touched {
            let sealed = self.sealer.seal(LOGS, &tag, &row.encode());
            match before {
                Some(before) => manifest.logs_sum.toggle(before),
                None => manifest.logs += 1,
            }
            manifest
                .logs_sum
                .toggle(self.sealer.sum(LOGS, &tag, &sealed));
            insert(&mut self.table, &tag, &sealed)?;
            logs.push((log, row.dirty));
        }
        Ok(logs)
    }
}

struct Commit<'a> {
    sealer: &'a Sealer,
    manifest: Manifest,
}

impl Commit<'_> {
    fn caches(
        &mut self,
        batch: &Batch,
        logs: &mut Logs<'_, '_>,
        mut table: RedbTable<'_>,
    ) -> Result<(), StoreError> {
        let kinds = [
            (Cache::Index, &batch.index_rows),
            (Cache::Snapshot, &batch.snapshots),
        ];
        for (kind, rows) in kinds {
            for (log, value) in rows {
                let touched = logs.touch(log)?;
                let key = kind.key(&touched.tag);
                let pin = match (value, &batch.index_key) {
                    (Some(value), Some(index)) => {
                        let sealed = seal_index(index, CACHES, &key, value);
                        insert(&mut table, &key, &sealed)?;
                        Some(Pin::of(&sealed))
                    }
                    (Some(_), None) => return Err(StoreError::Invalid("the index key is missing")),
                    (None, _) => {
                        table.remove(&key[..]).map_err(redb_error)?;
                        None
                    }
                };
                let pinned = match kind {
                    Cache::Index => &mut touched.row.index,
                    Cache::Snapshot => &mut touched.row.snapshot,
                };
                let before = u64::from(pinned.is_some());
                *pinned = pin;
                self.manifest.caches =
                    self.manifest.caches.saturating_sub(before) + u64::from(pin.is_some());
            }
        }
        Ok(())
    }

    fn statements(
        &mut self,
        batch: &Batch,
        logs: &mut Logs<'_, '_>,
        mut table: RedbTable<'_>,
    ) -> Result<(), StoreError> {
        for (log, chain, statement) in &batch.statements {
            let Touched { tag, row, .. } = logs.touch(log)?;
            let key = self.sealer.statement_key(tag, chain);
            let sealed = self.sealer.seal(STATEMENTS, &key, statement);
            insert(&mut table, &key, &sealed)?;
            let pin = Pin::of(&sealed);
            if let Some((_, pinned)) = row.statements.iter_mut().find(|(of, _)| of == chain) {
                *pinned = pin;
            } else if row.statements.len() >= MAX_CHAINS {
                return Err(StoreError::Invalid("a log has too many statements"));
            } else {
                row.statements.push((*chain, pin));
                self.manifest.statements += 1;
            }
        }
        Ok(())
    }

    fn leaves(&mut self, batch: &Batch, mut table: RedbTable<'_>) -> Result<(), StoreError> {
        let tree = &mut self.manifest.tree;
        if batch.restart_tree {
            table.retain(|_, _| false).map_err(redb_error)?;
            *tree = Tree::new();
        }
        for (index, leaf) in &batch.own_leaves {
            let key = index.to_be_bytes();
            if *index < tree.size() {
                let held =
                    get(&table, &key)?.and_then(|row| self.sealer.open(TREE, &key, &row).ok());
                match held {
                    Some(held) if held == leaf => continue,
                    Some(_) => return Err(StoreError::Invalid("a leaf of the tree would change")),
                    None => {
                        return Err(Problem::new(TREE.name, "a leaf is damaged")
                            .seq(*index)
                            .into());
                    }
                }
            }
            if *index > tree.size() {
                return Err(StoreError::Invalid("a leaf of the tree would be left out"));
            }
            if tree.size() >= MAX_TREE_SIZE {
                return Err(StoreError::Invalid("the tree is full"));
            }
            insert(&mut table, &key, &self.sealer.seal(TREE, &key, leaf))?;
            tree.append(*leaf);
        }
        Ok(())
    }

    fn refused(&mut self, batch: &Batch, mut table: RedbTable<'_>) -> Result<(), StoreError> {
        let manifest = &mut self.manifest;
        for (hash, reason) in &batch.refused {
            let key = manifest.refused_next.to_be_bytes();
            let row = encode_refused(hash, reason);
            insert(&mut table, &key, &self.sealer.seal(REFUSED, &key, &row))?;
            manifest.refused_next += 1;
            if manifest.refused_next - manifest.refused_first > MAX_REFUSED {
                let oldest = manifest.refused_first.to_be_bytes();
                table.remove(&oldest[..]).map_err(redb_error)?;
                manifest.refused_first += 1;
            }
        }
        Ok(())
    }

    /// Settings and secrets, and then the manifest: everything that it counts is done.
    fn meta(&mut self, batch: &Batch, mut table: RedbTable<'_>) -> Result<(), StoreError> {
        for (name, value) in &batch.meta {
            let key = self.sealer.meta_tag(name);
            self.meta_row(&mut table, &key, self.sealer.seal(META, &key, value))?;
        }
        for (name, value) in &batch.secrets {
            let key = self.sealer.secret_tag(name);
            let index = batch.index_key.as_ref();
            let index = index.ok_or(StoreError::Invalid("the index key is missing"))?;
            self.meta_row(&mut table, &key, seal_index(index, META, &key, value))?;
        }
        let sealed = self
            .sealer
            .seal(META, MANIFEST_ROW, &self.manifest.encode());
        insert(&mut table, MANIFEST_ROW, &sealed)
    }

    fn meta_row(
        &mut self,
        table: &mut RedbTable<'_>,
        key: &Tag,
        sealed: Vec<u8>,
    ) -> Result<(), StoreError> {
        match get(table, key)? {
            Some(before) => self
                .manifest
                .metas_sum
                .toggle(self.sealer.sum(META, key, &before)),
            None if self.manifest.metas >= MAX_META_ROWS => {
                return Err(StoreError::Invalid("there are too many settings"));
            }
            None => self.manifest.metas += 1,
        }
        self.manifest
            .metas_sum
            .toggle(self.sealer.sum(META, key, &sealed));
        insert(table, key, &sealed)
    }
}

pub(crate) fn insert(
    table: &mut RedbTable<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<(), StoreError> {
    table.insert(key, value).map(drop).map_err(redb_error)
}
