//! Reading: what is intact, or an error that names what is not.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use salus_audit::{ChainId, Entry, EntryHash, LogId};
use salus_vault::IndexKey;

use crate::db::{ALL, Step, get, walk};
use crate::error::{Problem, StoreError};
use crate::rows::decode_refused;
use crate::store::Store;
use crate::tables::{
    CACHES, Cache, EntryKey, HASHES, HEADERS, META, PAYLOADS, REFUSED, TREE, Tag, entry_key,
    open_index,
};
use crate::view::{View, open_header};

/// The patient index as it comes from the disk.
#[derive(Default)]
pub struct IndexRows {
    /// A row for each record that has one and whose row is intact.
    pub rows: Vec<(LogId, Vec<u8>)>,
    /// Records whose row is damaged: to be made again from their entries.
    pub damaged: Vec<LogId>,
}

/// Counts, never content.
impl std::fmt::Debug for IndexRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "IndexRows({} rows, {} damaged)",
            self.rows.len(),
            self.damaged.len()
        )
    }
}

impl Store {
    /// Every log.
    pub fn logs(&self) -> Vec<LogId> {
        self.facts().logs.keys().copied().collect()
    }

    /// How many entries are held, in all logs.
    pub fn entry_count(&self) -> u64 {
        self.facts().manifest.entries
    }

    /// How many entries are held of each chain of a log, and the hash of the last one.
    pub fn heights(&self, log: LogId) -> Result<BTreeMap<ChainId, (u64, EntryHash)>, StoreError> {
        let row = self.view(|view| Ok(view.log(log)?.map(|(_, row)| row)))?;
        let chains = row.map(|row| row.chains).unwrap_or_default();
        Ok(chains
            .into_iter()
            .map(|row| (row.chain, (row.count, row.tip)))
            .collect())
    }

    /// All entries of a log, without payloads, each chain in order; none where there is no such log.
    pub fn log_headers(&self, log: LogId) -> Result<Vec<Entry>, StoreError> {
        let (entries, problems) = self.log_headers_intact(log)?;
        match problems.first() {
            Some(&problem) => Err(problem.into()),
            None => Ok(entries),
        }
    }

    /// What is intact of a log's entries, without payloads, and what is not. After a gap, a chain's
    /// entries are still given.
    pub fn log_headers_intact(&self, log: LogId) -> Result<(Vec<Entry>, Vec<Problem>), StoreError> {
        let distrusted = self.facts().distrusted;
        let (entries, mut problems) = self.view(|view| match view.log_as_found(log)? {
            Some((tag, row)) => view.headers(&tag, &row),
            None => Ok((Vec::new(), Vec::new())),
        })?;
        problems.extend(distrusted);
        Ok((entries, problems))
    }

    /// One entry, with its payload where that is held.
    pub fn entry(&self, log: LogId, chain: ChainId, seq: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries(log, chain, seq..=seq, 0)?.pop())
    }

    /// Entries of a chain, in order, with the payloads that are held, until they take `max_bytes`
    /// encoded; the first is given whatever its size.
    pub fn entries(
        &self,
        log: LogId,
        chain: ChainId,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.view(|view| {
            let Some((tag, row)) = view.log_as_found(log)? else {
                return Ok(Vec::new());
            };
            let (number, count) = row
                .chain(&chain)
                .map_or((0, 0), |(at, row)| (at, row.count));
            let (first, end) = (*seqs.start(), count.min(seqs.end().saturating_add(1)));
            let distrusted = self.facts().distrusted;
            if let Some(problem) = distrusted.filter(|_| end <= *seqs.end()) {
                // There may be more than this row says.
                return Err(problem.into());
            }
            let (headers, payloads) = (view.rows(HEADERS)?, view.rows(PAYLOADS)?);
            let (mut entries, mut bytes) = (Vec::new(), 0_usize);
            for seq in first..end {
                let key = entry_key(&tag, number, seq);
                let entry = view.entry(&headers, &payloads, &key, (log, chain, seq))?;
                bytes = bytes.saturating_add(entry.encoded_len());
                if !entries.is_empty() && bytes > max_bytes {
                    break;
                }
                entries.push(entry);
            }
            Ok(entries)
        })
    }

    /// An entry's payload, where it is held.
    pub fn payload(
        &self,
        log: LogId,
        chain: ChainId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let entry = self.entry(log, chain, seq)?;
        Ok(entry.and_then(|entry| entry.payload().map(<[u8]>::to_vec)))
    }

    /// Where an entry stands. Who edits the file and makes its checksums right again can hide an
    /// entry here, until [`Store::check_integrity`]; in its log they can't.
    pub fn find(&self, hash: &EntryHash) -> Result<Option<(LogId, ChainId, u64)>, StoreError> {
        let unsound = self.is_unsound();
        self.view(|view| {
            let Some(key) = get(&view.rows(HASHES)?, &view.sealer.hash_tag(hash))? else {
                // In a sound file the count of rows says that none is missing.
                return if unsound {
                    Err(Problem::new(HASHES.name, "a row may be missing").into())
                } else {
                    Ok(None)
                };
            };
            let misled = Problem::new(HASHES.name, "a row leads to another entry");
            let key: EntryKey = key.try_into().map_err(|_| misled)?;
            let sealed = get(&view.rows(HEADERS)?, &key)?.ok_or(misled)?;
            let (entry, _) = open_header(view.sealer, &key, &sealed).map_err(StoreError::from)?;
            if entry.hash() != *hash {
                return Err(misled.into());
            }
            let header = entry.header();
            Ok(Some((header.log, header.chain, header.seq)))
        })
    }

    /// The summaries of all logs that have one.
    pub fn summaries(&self) -> Result<Vec<(LogId, Vec<u8>)>, StoreError> {
        self.view(|view| {
            let mut summaries = Vec::new();
            view.each_log(|_, row| {
                summaries.extend(row.summary.map(|summary| (row.log, summary)));
            })?;
            Ok(summaries)
        })
    }

    /// A log's summary.
    pub fn summary(&self, log: LogId) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| Ok(view.log(log)?.and_then(|(_, row)| row.summary)))
    }

    /// The patient index.
    pub fn index_rows(&self, key: &IndexKey) -> Result<IndexRows, StoreError> {
        self.view(|view| {
            let mut wanted = Vec::new();
            view.each_log(|tag, row| {
                wanted.extend(row.index.map(|pin| (Cache::Index.key(&tag), row.log, pin)));
            })?;
            wanted.sort_unstable_by_key(|&(key, ..)| key);
            let table = view.rows(CACHES)?;
            let mut index = IndexRows::default();
            for (row, log, pin) in wanted {
                match view.cache(&table, key, row, (log, pin)) {
                    Ok(value) => index.rows.push((log, value)),
                    Err(StoreError::Corrupt { .. }) => index.damaged.push(log),
                    Err(error) => return Err(error),
                }
            }
            Ok(index)
        })
    }

    /// A record's saved document. An error says that it is damaged: make it again from the entries.
    pub fn snapshot(&self, log: LogId, key: &IndexKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| {
            let Some((tag, row)) = view.log(log)? else {
                return Ok(None);
            };
            let Some(pin) = row.snapshot else {
                return Ok(None);
            };
            let table = view.rows(CACHES)?;
            view.cache(&table, key, Cache::Snapshot.key(&tag), (log, pin))
                .map(Some)
        })
    }

    /// The logs whose document and index row have to be made again.
    pub fn dirty_logs(&self) -> Vec<LogId> {
        let facts = self.facts();
        facts
            .logs
            .iter()
            .filter(|&(_, &dirty)| dirty)
            .map(|(log, _)| *log)
            .collect()
    }

    /// How many leaves this incarnation's own tree has.
    pub fn own_tree_size(&self) -> u64 {
        self.facts().manifest.leaves
    }

    /// The leaves of this incarnation's own tree from an index on.
    pub fn own_leaves(&self, from: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        let size = self.own_tree_size();
        self.view(|view| {
            let mut leaves = Vec::new();
            let mut next = from;
            let (start, end) = (from.to_be_bytes(), size.to_be_bytes());
            if from >= size {
                return Ok(leaves);
            }
            let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
            walk(&view.rows(TREE)?, TREE, range, |key, sealed| {
                let damaged = Problem::new(TREE.name, "a leaf is damaged or missing").seq(next);
                let leaf = (key == next.to_be_bytes())
                    .then(|| view.sealer.open(TREE, key, sealed).ok())
                    .flatten()
                    .and_then(|leaf| leaf.try_into().ok())
                    .ok_or(damaged)?;
                leaves.push(leaf);
                next += 1;
                Ok(Step::On)
            })?;
            if next == size {
                Ok(leaves)
            } else {
                Err(Problem::new(TREE.name, "a leaf is missing")
                    .seq(next)
                    .into())
            }
        })
    }

    /// A setting.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.setting(self.sealer.meta_tag(name), None)
    }

    /// A setting that only an unlocked node reads.
    pub fn secret(&self, name: &str, key: &IndexKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.setting(self.sealer.secret_tag(name), Some(key))
    }

    /// The refused entries that are kept, oldest first, with their reasons.
    pub fn refused(&self) -> Result<Vec<(EntryHash, Vec<u8>)>, StoreError> {
        self.view(|view| {
            let mut refused = Vec::new();
            walk(&view.rows(REFUSED)?, REFUSED, ALL, |key, sealed| {
                let number = key.try_into().map_or(0, u64::from_be_bytes);
                let opened = view.sealer.open(REFUSED, key, sealed).ok();
                let row = opened.and_then(|row| decode_refused(&row));
                let damaged = Problem::new(REFUSED.name, "a row does not open").seq(number);
                refused.push(row.ok_or(damaged)?);
                Ok(Step::On)
            })?;
            Ok(refused)
        })
    }

    fn setting(&self, row: Tag, key: Option<&IndexKey>) -> Result<Option<Vec<u8>>, StoreError> {
        let unsound = self.is_unsound();
        self.view(|view| {
            let Some(sealed) = get(&view.rows(META)?, &row)? else {
                // In a sound file the sum over the rows says that none is missing.
                return if unsound {
                    Err(Problem::new(META.name, "a row may be missing").into())
                } else {
                    Ok(None)
                };
            };
            let opened = match key {
                Some(key) => open_index(key, META, &row, &sealed),
                None => view.sealer.open(META, &row, &sealed),
            };
            opened
                .map(Some)
                .map_err(|_| Problem::new(META.name, "a row does not open").into())
        })
    }

    /// Runs `read` on one snapshot.
    pub(crate) fn view<T>(
        &self,
        read: impl Fn(&View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.read(|transaction| {
            read(&View {
                store: self,
                sealer: &self.sealer,
                transaction,
            })
        })
    }
}
