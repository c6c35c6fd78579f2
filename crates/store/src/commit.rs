//! One transaction: from a batch to rows.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{CursorError, WriteTransaction};
use salus_audit::{Entry, LogId};

use crate::batch::{Batch, MAX_META_ROWS, MAX_REFUSED};
use crate::db::get;
use crate::error::{Problem, StoreError, redb_error};
use crate::rows::{
    ChainRow, LogRow, MAX_CHAINS, Manifest, Pin, decode_header, encode_header, encode_refused,
};
use crate::store::{Facts, open_log_row};
use crate::tables::{
    CACHES, Cache, EntryKey, HASHES, HEADERS, LOGS, MANIFEST_ROW, META, PAYLOADS, REFUSED, Sealer,
    Sum, TREE, Table, Tag, entry_key, seal_index,
};

type RedbTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

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

    commit.entries(
        &batch.entries,
        &mut logs,
        open(HEADERS)?,
        open(PAYLOADS)?,
        open(HASHES)?,
    )?;
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
struct Logs<'a, 't> {
    table: RedbTable<'t>,
    sealer: &'a Sealer,
    facts: &'a Facts,
    touched: BTreeMap<LogId, Touched>,
}

struct Touched {
    tag: Tag,
    row: LogRow,
    /// What the row was in the sum over the table.
    before: Option<Sum>,
}

impl Logs<'_, '_> {
    fn touch(&mut self, log: &LogId) -> Result<&mut Touched, StoreError> {
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
    fn entries(
        &mut self,
        entries: &[Entry],
        logs: &mut Logs<'_, '_>,
        mut headers: RedbTable<'_>,
        mut payloads: RedbTable<'_>,
        mut hashes: RedbTable<'_>,
    ) -> Result<(), StoreError> {
        let place_of = |entry: &Entry| {
            let header = entry.header();
            (header.log, header.chain, header.seq)
        };
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        // Of one entry given twice, the one with its payload comes first.
        sorted.sort_by_key(|entry| (place_of(entry), entry.hash(), entry.payload().is_none()));
        let mut new_headers: Vec<(EntryKey, Vec<u8>)> = Vec::with_capacity(sorted.len());
        let mut new_payloads: Vec<(EntryKey, &[u8])> = Vec::with_capacity(sorted.len());
        let mut new_hashes: Vec<(Tag, EntryKey)> = Vec::with_capacity(sorted.len());
        let mut last: Option<&Entry> = None;
        for entry in sorted {
            if let Some(last) = last.replace(entry)
                && place_of(last) == place_of(entry)
            {
                if last.hash() == entry.hash() {
                    continue;
                }
                let (log, chain, seq) = place_of(entry);
                return Err(StoreError::Conflict { log, chain, seq });
            }
            let Touched { tag, row, .. } = logs.touch(&entry.header().log)?;
            let (number, seq, held) = place(row, entry)?;
            let key = entry_key(tag, number, seq);
            if !held {
                new_headers.push((key, encode_header(entry, entry.payload().is_some())));
                new_hashes.push((self.sealer.hash_tag(&entry.hash()), key));
                self.manifest.entries += 1;
            } else if !self.is_held(&headers, &key, entry)? {
                // It was held without its payload.
                new_headers.push((key, encode_header(entry, true)));
            } else {
                continue;
            }
            if let Some(payload) = entry.payload() {
                new_payloads.push((key, payload));
                self.manifest.payloads += 1;
            }
        }
        new_headers.sort_unstable_by_key(|&(key, _)| key);
        new_payloads.sort_unstable_by_key(|&(key, _)| key);
        new_hashes.sort_unstable();
        self.insert_runs(HEADERS, &mut headers, &new_headers)?;
        self.insert_runs(PAYLOADS, &mut payloads, &new_payloads)?;
        for (tag, key) in new_hashes {
            insert(&mut hashes, &tag, &key)?;
        }
        Ok(())
    }

    /// Seals rows and puts them in by rising key. Runs of one chain go through a cursor, which fills
    /// redb's pages where single insertions leave them half empty.
    fn insert_runs(
        &self,
        name: Table,
        table: &mut RedbTable<'_>,
        rows: &[(EntryKey, impl AsRef<[u8]>)],
    ) -> Result<(), StoreError> {
        for run in rows.chunk_by(|(one, _), (two, _)| one[..20] == two[..20]) {
            let mut rest = run;
            let first = run.first().map(|(key, _)| &key[..]);
            if let Some(first) = first.filter(|_| run.len() > 1) {
                let mut cursor = table
                    .lower_bound_mut(Bound::Included(first))
                    .map_err(redb_error)?;
                while let Some(((key, value), others)) = rest.split_first() {
                    let sealed = self.sealer.seal(name, key, value.as_ref());
                    match cursor.insert_before(&key[..], sealed.as_slice()) {
                        Ok(()) => rest = others,
                        // A row is there already: it is one that gets its payload.
                        Err(CursorError::UnorderedKey) => break,
                        Err(error) => return Err(redb_error(error)),
                    }
                }
                cursor.close().map_err(redb_error)?;
            }
            for (key, value) in rest {
                insert(table, key, &self.sealer.seal(name, key, value.as_ref()))?;
            }
        }
        Ok(())
    }

    /// Whether all of this entry is held; an error where another one is in its place.
    fn is_held(
        &self,
        headers: &RedbTable<'_>,
        key: &EntryKey,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        let header = entry.header();
        let damaged = |what| {
            let problem = Problem::new(HEADERS.name, what).log(header.log);
            StoreError::from(problem.chain(header.chain).seq(header.seq))
        };
        let sealed = get(headers, key)?.ok_or_else(|| damaged("it is missing"))?;
        let (held, payload) = self
            .sealer
            .open(HEADERS, key, &sealed)
            .ok()
            .and_then(|row| decode_header(&row))
            .ok_or_else(|| damaged("it does not open"))?;
        if held.hash() != entry.hash() {
            let (log, chain, seq) = (header.log, header.chain, header.seq);
            return Err(StoreError::Conflict { log, chain, seq });
        }
        Ok(payload || entry.payload().is_none())
    }

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

    fn leaves(&mut self, batch: &Batch, mut table: RedbTable<'_>) -> Result<(), StoreError> {
        if batch.restart_tree {
            table.retain(|_, _| false).map_err(redb_error)?;
            self.manifest.leaves = 0;
        }
        for (index, leaf) in &batch.own_leaves {
            let key = index.to_be_bytes();
            if *index < self.manifest.leaves {
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
            if *index > self.manifest.leaves {
                return Err(StoreError::Invalid("a leaf of the tree would be left out"));
            }
            insert(&mut table, &key, &self.sealer.seal(TREE, &key, leaf))?;
            self.manifest.leaves += 1;
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

/// Where an entry goes: its chain's number and its position, and whether the position is taken. A
/// chain takes its next entry only, and only one that names the last one held.
fn place(row: &mut LogRow, entry: &Entry) -> Result<(u32, u64, bool), StoreError> {
    let header = entry.header();
    let (log, chain, seq) = (header.log, header.chain, header.seq);
    let at = row.chains.iter().position(|row| row.chain == chain);
    let next = at.map_or(0, |at| row.chains[at].count);
    let number =
        |at: usize| u32::try_from(at).map_err(|_| StoreError::Invalid("a log has too many chains"));
    if let Some(at) = at.filter(|_| seq < next) {
        return Ok((number(at)?, seq, true));
    }
    let tip = at.map(|at| row.chains[at].tip);
    if seq > next || header.prev != tip {
        return Err(StoreError::OutOfOrder {
            log,
            chain,
            seq,
            next,
        });
    }
    let at = match at {
        Some(at) => {
            row.chains[at].count += 1;
            row.chains[at].tip = entry.hash();
            at
        }
        None if row.chains.len() >= MAX_CHAINS => {
            return Err(StoreError::Invalid("a log has too many chains"));
        }
        None => {
            row.chains.push(ChainRow {
                chain,
                count: 1,
                tip: entry.hash(),
            });
            row.chains.len() - 1
        }
    };
    Ok((number(at)?, seq, false))
}

fn insert(table: &mut RedbTable<'_>, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    table.insert(key, value).map(drop).map_err(redb_error)
}
