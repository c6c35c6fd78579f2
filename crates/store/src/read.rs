//! Reading: what is intact, or an error that names what is not.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, RangeBounds, RangeInclusive};
use std::sync::atomic::Ordering;

use salus_audit::{ChainId, Entry, EntryHash, LogId, Tree};
use salus_vault::IndexKey;

use crate::db::{ALL, Step, get, walk};
use crate::error::{Problem, StoreError};
use crate::load::{leaf, sum_of};
use crate::rows::decode_refused;
use crate::store::Store;
use crate::tables::{
    CACHES, Cache, CacheKey, EntryKey, HASHES, HEADERS, META, PAYLOADS, REFUSED, TREE, Tag,
    entry_key, open_index, split_entry_key,
};
use crate::view::{View, open_header};

/// How far a line of a log is held: a chain's trunk, or a fork of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The position of its first entry: 0 for a trunk.
    pub from: u64,
    /// The position after its last entry's.
    pub next: u64,
    /// The hash of its last entry.
    pub tip: EntryHash,
}

/// The intact entries of a log, each with the line that it stands on, and what is wrong with others.
pub type IntactEntries = (Vec<(ChainId, Entry)>, Vec<Problem>);

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

    /// How far each line of a log is held. A chain's trunk has the chain's id, a fork the id that it
    /// was committed with.
    pub fn heights(&self, log: LogId) -> Result<BTreeMap<ChainId, Line>, StoreError> {
        let row = self.view(|view| Ok(view.log(log)?.map(|(_, row)| row)))?;
        let lines = row.map(|row| row.lines).unwrap_or_default();
        Ok(lines
            .into_iter()
            .map(|row| {
                let (from, next, tip) = (row.from, row.next, row.tip);
                (row.line, Line { from, next, tip })
            })
            .collect())
    }

    /// All entries of a log, without payloads, each with the line that it stands on; none where there
    /// is no such log. Each line in order, and a fork after the line that it leaves.
    pub fn log_headers(&self, log: LogId) -> Result<Vec<(ChainId, Entry)>, StoreError> {
        let (entries, problems) = self.log_headers_intact(log)?;
        match problems.first() {
            Some(&problem) => Err(problem.into()),
            None => Ok(entries),
        }
    }

    /// What is intact of a log's entries, without payloads, and what is not. After a gap, a line's
    /// entries are still given.
    pub fn log_headers_intact(&self, log: LogId) -> Result<IntactEntries, StoreError> {
        let distrusted = self.facts().distrusted;
        let (entries, mut problems) = self.view(|view| match view.log_as_found(log)? {
            Some((tag, row)) => view.headers(&tag, &row),
            None => Ok((Vec::new(), Vec::new())),
        })?;
        problems.extend(distrusted);
        let entries = entries.into_iter();
        Ok((
            entries.map(|(line, entry, _)| (line, entry)).collect(),
            problems,
        ))
    }

    /// A log's entries as [`log_headers`](Self::log_headers) gives them, with the payloads that its
    /// state is folded from: those of control entries, where they are held.
    pub fn log_entries_for_replay(&self, log: LogId) -> Result<Vec<(ChainId, Entry)>, StoreError> {
        let distrusted = self.facts().distrusted;
        if let Some(problem) = distrusted {
            return Err(problem.into());
        }
        self.view(|view| {
            let Some((tag, row)) = view.log_as_found(log)? else {
                return Ok(Vec::new());
            };
            let (entries, problems) = view.headers(&tag, &row)?;
            if let Some(&problem) = problems.first() {
                return Err(problem.into());
            }
            let payloads = view.rows(PAYLOADS)?;
            let whole = entries.into_iter().map(|(line, entry, payload)| {
                if !payload || !entry.header().kind.is_clear() {
                    return Ok((line, entry));
                }
                let Some((number, row)) = row.line(&line) else {
                    return Ok((line, entry));
                };
                let key = entry_key(&tag, number, entry.header().seq);
                Ok((line, view.with_payload(&payloads, &key, entry, row)?))
            });
            whole.collect()
        })
    }

    /// One entry, with its payload where that is held.
    pub fn entry(&self, log: LogId, line: ChainId, seq: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries(log, line, seq..=seq, 0)?.pop())
    }

    /// Entries of a line, in order, with the payloads that are held, until they take `max_bytes`
    /// encoded; the first is given whatever its size.
    pub fn entries(
        &self,
        log: LogId,
        line: ChainId,
        seqs: RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.view(|view| {
            let Some((tag, row)) = view.log_as_found(log)? else {
                return Ok(Vec::new());
            };
            let held = row.line(&line);
            let (from, next) = held.map_or((0, 0), |(_, held)| (held.from, held.next));
            let first = from.max(*seqs.start());
            let end = next.min(seqs.end().saturating_add(1));
            let distrusted = self.facts().distrusted;
            if let Some(problem) = distrusted.filter(|_| end <= *seqs.end()) {
                // There may be more than this row says.
                return Err(problem.into());
            }
            let Some((number, held)) = held else {
                return Ok(Vec::new());
            };
            let (headers, payloads) = (view.rows(HEADERS)?, view.rows(PAYLOADS)?);
            let (mut entries, mut bytes) = (Vec::new(), 0_usize);
            for seq in first..end {
                let key = entry_key(&tag, number, seq);
                let entry = view.entry(&headers, &payloads, &key, (log, held, seq))?;
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
        line: ChainId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entry(log, line, seq)?.and_then(Entry::into_payload))
    }

    /// Where an entry stands: its log, its line and its position. The first time after opening that
    /// nothing is found, all hashes are read once (60 bytes for each entry held), so that it means
    /// that nothing is there.
    pub fn find(&self, hash: &EntryHash) -> Result<Option<(LogId, ChainId, u64)>, StoreError> {
        let unsound = self.is_unsound();
        self.view(|view| {
            let Some(key) = get(&view.rows(HASHES)?, &view.sealer.hash_tag(hash))? else {
                let lost = Problem::new(HASHES.name, "a row may be missing");
                return match !unsound && self.hashes_are_whole(view)? {
                    true => Ok(None),
                    false => Err(lost.into()),
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
            let number = split_entry_key(&key).and_then(|(_, number, _)| number.try_into().ok());
            let row = view.log_as_found(header.log)?;
            let line = row
                .zip(number)
                .and_then(|((_, row), number): (_, usize)| Some(row.lines.get(number)?.line))
                .ok_or(misled)?;
            Ok(Some((header.log, line, header.seq)))
        })
    }

    /// Whether `hashes` has the rows that were put in, and no other.
    fn hashes_are_whole(&self, view: &View<'_>) -> Result<bool, StoreError> {
        if self.hashes_summed.load(Ordering::Acquire) {
            return Ok(true);
        }
        // The manifest of the same snapshot: others may commit meanwhile.
        let Some(manifest) = view.manifest()? else {
            return Ok(false);
        };
        let found = sum_of(view.transaction, view.sealer, HASHES)?;
        let whole = found == (manifest.entries, manifest.hashes_sum);
        self.hashes_summed.store(whole, Ordering::Release);
        Ok(whole)
    }

    /// What another clinic last said of its chain in a log, as it came.
    pub fn statement(&self, log: LogId, chain: ChainId) -> Result<Option<Vec<u8>>, StoreError> {
        self.view(|view| {
            let Some((tag, row)) = view.log(log)? else {
                return Ok(None);
            };
            match row.statement(&chain) {
                Some(pin) => view.statement(&tag, log, chain, pin).map(Some),
                None => Ok(None),
            }
        })
    }

    /// The statements that are kept of a log, by the chains that they are of.
    pub fn statements(&self, log: LogId) -> Result<Vec<(ChainId, Vec<u8>)>, StoreError> {
        self.view(|view| {
            let Some((tag, row)) = view.log(log)? else {
                return Ok(Vec::new());
            };
            let statements = row
                .statements
                .iter()
                .map(|&(chain, pin)| Ok((chain, view.statement(&tag, log, chain, pin)?)));
            statements.collect()
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
            let mut wanted = BTreeMap::new();
            view.each_log(|tag, row| {
                if let Some(pin) = row.index {
                    wanted.insert(Cache::Index.key(&tag), (row.log, pin));
                }
            })?;
            let mut index = IndexRows::default();
            let (first, last) = (Cache::Index.key(&[0; 16]), Cache::Index.key(&[0xff; 16]));
            let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
            let walked = view.rows(CACHES).and_then(|rows| {
                walk(&rows, CACHES, range, |row, sealed| {
                    let found = row
                        .try_into()
                        .ok()
                        .and_then(|row| wanted.remove::<CacheKey>(&row));
                    let Some((log, pin)) = found else {
                        return Ok(Step::On); // It belongs to no log: the check says so.
                    };
                    match view.open_cache(key, row, sealed, (log, pin)) {
                        Ok(value) => index.rows.push((log, value)),
                        Err(_) => index.damaged.push(log),
                    }
                    Ok(Step::On)
                })
            });
            match walked {
                Ok(()) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
            // What did not come by.
            index
                .damaged
                .extend(wanted.into_values().map(|(log, _)| log));
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
        self.facts().manifest.tree.size()
    }

    /// This incarnation's own tree, to append to and to tell the root of.
    pub fn own_tree(&self) -> Result<Tree, StoreError> {
        let facts = self.facts();
        match facts.tree_lost {
            Some(problem) => Err(problem.into()),
            None => Ok(facts.manifest.tree.clone()),
        }
    }

    /// Leaves of this incarnation's own tree, in order: those of the range that it has.
    pub fn own_leaves(&self, range: impl RangeBounds<u64>) -> Result<Vec<[u8; 32]>, StoreError> {
        let mut leaves = Vec::new();
        self.each_own_leaf(range, |_, leaf| {
            leaves.push(leaf);
            ControlFlow::Continue(())
        })?;
        Ok(leaves)
    }

    /// The same one by one, with their indices, so that all of them never stand in memory.
    pub fn each_own_leaf(
        &self,
        range: impl RangeBounds<u64>,
        mut visit: impl FnMut(u64, [u8; 32]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let size = self.own_tree()?.size();
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1).min(size),
            Bound::Excluded(&end) => end.min(size),
            Bound::Unbounded => size,
        };
        if start >= end {
            return Ok(());
        }
        self.view_once(|view| {
            let mut next = start;
            let mut stopped = false;
            let (first, last) = (start.to_be_bytes(), end.to_be_bytes());
            let range = (Bound::Included(&first[..]), Bound::Excluded(&last[..]));
            walk(&view.rows(TREE)?, TREE, range, |key, sealed| {
                let leaf = leaf(view.sealer, next, key, sealed)?;
                stopped = visit(next, leaf).is_break();
                next += 1;
                Ok(if stopped { Step::Stop } else { Step::On })
            })?;
            if stopped || next == end {
                return Ok(());
            }
            Err(Problem::new(TREE.name, "a leaf is missing")
                .seq(next)
                .into())
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
        // Whether some are missing was said already.
        let unsound = self.is_unsound();
        self.view(|view| {
            let (mut refused, mut next) = (Vec::new(), None);
            walk(&view.rows(REFUSED)?, REFUSED, ALL, |key, sealed| {
                let number = key.try_into().map_or(0, u64::from_be_bytes);
                let opened = view.sealer.open(REFUSED, key, sealed).ok();
                let row = opened.and_then(|row| decode_refused(&row));
                let damaged = Problem::new(REFUSED.name, "a row does not open").seq(number);
                refused.push(row.ok_or(damaged)?);
                if next.is_some_and(|next| next != number) && !unsound {
                    return Err(Problem::new(REFUSED.name, "a row is missing")
                        .seq(number)
                        .into());
                }
                next = Some(number + 1);
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

    /// Runs `read` on one snapshot, once.
    pub(crate) fn view_once<T>(
        &self,
        read: impl FnOnce(&View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.read_once(|transaction| {
            read(&View {
                store: self,
                sealer: &self.sealer,
                transaction,
            })
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
