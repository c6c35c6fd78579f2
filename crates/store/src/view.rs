//! One snapshot, with the checks that every answer passes.

use std::ops::Bound;

use redb::ReadTransaction;
use salus_audit::{ChainId, Entry, LogId};
use salus_vault::IndexKey;

use crate::db::{ALL, Rows, Step, get, rows, walk};
use crate::error::{Problem, StoreError};
use crate::load::open_log_row;
use crate::manifest::Manifest;
use crate::rows::{LineRow, LogRow, Pin, decode_header};
use crate::store::Store;
use crate::tables::{
    CACHES, CacheKey, EntryKey, HEADERS, LOGS, MANIFEST_ROW, META, PAYLOADS, STATEMENTS, Sealer,
    Table, Tag, entry_key, open_index, split_entry_key,
};

/// One snapshot of the store.
pub(crate) struct View<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sealer: &'a Sealer,
    pub(crate) transaction: &'a ReadTransaction,
}

impl View<'_> {
    pub(crate) fn rows(&self, table: Table) -> Result<Rows, StoreError> {
        rows(self.transaction, table)
    }

    /// The manifest of this snapshot; none where it does not open.
    pub(crate) fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        {
            let facts = self.store.facts();
            if facts.version == 1 {
                // Nothing is written to such a store: the one in memory has what the row lacks.
                return Ok(Some(facts.manifest.clone()));
            }
        }
        let sealed = get(&self.rows(META)?, MANIFEST_ROW)?;
        let opened = sealed.and_then(|row| self.sealer.open(META, MANIFEST_ROW, &row).ok());
        Ok(opened.and_then(|row| Manifest::decode(&row)))
    }

    /// A log's tag and row. None means that there is no such log: at opening, the sum over all rows
    /// said that none was missing.
    pub(crate) fn log(&self, log: LogId) -> Result<Option<(Tag, LogRow)>, StoreError> {
        let distrusted = self.store.facts().distrusted;
        match distrusted {
            Some(problem) => Err(problem.into()),
            None => self.log_as_found(log),
        }
    }

    /// The same where rows may be from before: what it lists is there, and there may be more.
    pub(crate) fn log_as_found(&self, log: LogId) -> Result<Option<(Tag, LogRow)>, StoreError> {
        {
            let facts = self.store.facts();
            if !facts.logs.contains_key(&log) {
                // Without a sound manifest, too, there is no telling whether a row is missing.
                let lost = facts
                    .problems
                    .iter()
                    .find(|problem| [LOGS.name, META.name].contains(&problem.table));
                return lost.map_or(Ok(None), |&problem| Err(problem.into()));
            }
        }
        let tag = self.sealer.log_tag(&log);
        match get(&self.rows(LOGS)?, &tag)? {
            Some(sealed) => Ok(Some((tag, open_log_row(self.sealer, &tag, &sealed)?))),
            None => Err(Problem::new(LOGS.name, "its row is missing")
                .log(log)
                .into()),
        }
    }

    /// Every log whose row is intact. A row that is not is an error, unless it is known since the
    /// opening, and listed there.
    pub(crate) fn each_log(&self, mut each: impl FnMut(Tag, LogRow)) -> Result<(), StoreError> {
        let known = {
            let facts = self.store.facts();
            if let Some(problem) = facts.distrusted {
                return Err(problem.into());
            }
            !facts.problems.is_empty()
        };
        walk(&self.rows(LOGS)?, LOGS, ALL, |key, sealed| {
            match (open_log_row(self.sealer, key, sealed), key.try_into()) {
                (Ok(row), Ok(tag)) => each(tag, row),
                (Err(problem), _) if !known => return Err(problem.into()),
                _ => {}
            }
            Ok(Step::On)
        })
    }

    pub(crate) fn cache(
        &self,
        table: &Rows,
        index: &IndexKey,
        key: CacheKey,
        (log, pin): (LogId, Pin),
    ) -> Result<Vec<u8>, StoreError> {
        let missing = Problem::new(CACHES.name, "its row is missing");
        let sealed = get(table, &key)?.ok_or(missing.log(log))?;
        Ok(self.open_cache(index, &key, &sealed, (log, pin))?)
    }

    pub(crate) fn open_cache(
        &self,
        index: &IndexKey,
        key: &[u8],
        sealed: &[u8],
        (log, pin): (LogId, Pin),
    ) -> Result<Vec<u8>, Problem> {
        let damaged = |what| Problem::new(CACHES.name, what).log(log);
        if Pin::of(sealed) != pin {
            return Err(damaged("its row was changed or put back"));
        }
        open_index(index, CACHES, key, sealed).map_err(|_| damaged("its row does not open"))
    }

    pub(crate) fn statement(
        &self,
        tag: &Tag,
        log: LogId,
        chain: ChainId,
        pin: Pin,
    ) -> Result<Vec<u8>, StoreError> {
        let damaged = |what| {
            let problem = Problem::new(STATEMENTS.name, what).log(log);
            StoreError::from(problem.chain(chain))
        };
        let key = self.sealer.statement_key(tag, &chain);
        let sealed = get(&self.rows(STATEMENTS)?, &key)?.ok_or_else(|| damaged("it is missing"))?;
        if Pin::of(&sealed) != pin {
            return Err(damaged("it was changed or put back"));
        }
        let opened = self.sealer.open(STATEMENTS, &key, &sealed);
        opened.map_err(|_| damaged("it does not open"))
    }

    pub(crate) fn entry(
        &self,
        headers: &Rows,
        payloads: &Rows,
        key: &EntryKey,
        (log, line, seq): (LogId, &LineRow, u64),
    ) -> Result<Entry, StoreError> {
        let missing = Problem::new(HEADERS.name, "it is missing");
        let sealed = get(headers, key)?.ok_or(missing.log(log).chain(line.line).seq(seq))?;
        let (entry, payload) = open_header_of(self.sealer, key, &sealed, log, line)?;
        match payload {
            true => self.with_payload(payloads, key, entry, line),
            false => Ok(entry),
        }
    }

    /// Adds the payload that an entry's row says is held.
    pub(crate) fn with_payload(
        &self,
        payloads: &Rows,
        key: &[u8],
        entry: Entry,
        line: &LineRow,
    ) -> Result<Entry, StoreError> {
        let (log, seq) = (entry.header().log, entry.header().seq);
        let problem = |what| {
            let problem = Problem::new(PAYLOADS.name, what).log(log);
            StoreError::from(problem.chain(line.line).seq(seq))
        };
        let sealed = get(payloads, key)?.ok_or_else(|| problem("it is missing"))?;
        let payload = self.sealer.open(PAYLOADS, key, &sealed);
        let payload = payload.map_err(|_| problem("it does not open"))?;
        entry
            .with_payload(Some(payload))
            .map_err(|_| problem("it is another entry's"))
    }

    /// The entries of a log without payloads, each with its line and whether its payload is held,
    /// and what is wrong with them.
    pub(crate) fn headers(
        &self,
        tag: &Tag,
        row: &LogRow,
    ) -> Result<(Vec<HeldHeader>, Vec<Problem>), StoreError> {
        let mut expected = Expected::new(row);
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        let (first, last) = (entry_key(tag, 0, 0), entry_key(tag, u32::MAX, u64::MAX));
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        walk(&self.rows(HEADERS)?, HEADERS, range, |key, sealed| {
            match expected.check(key, &mut problems) {
                Some(line) => match open_header_of(self.sealer, key, sealed, row.log, line) {
                    Ok((entry, payload)) => entries.push((line.line, entry, payload)),
                    Err(problem) => problems.push(problem),
                },
                None => problems
                    .push(Problem::new(HEADERS.name, "a row is no entry of its log").log(row.log)),
            }
            Ok(Step::On)
        })?;
        expected.finish(&mut problems);
        Ok((entries, problems))
    }
}

/// The line that an entry stands on, the entry without its payload, whether that is held.
pub(crate) type HeldHeader = (ChainId, Entry, bool);

/// Opens a row of `headers`.
pub(crate) fn open_header(
    sealer: &Sealer,
    key: &[u8],
    sealed: &[u8],
) -> Result<(Entry, bool), Problem> {
    let row = sealer.open(HEADERS, key, sealed);
    let row = row.map_err(|_| Problem::new(HEADERS.name, "it does not open"))?;
    decode_header(&row).ok_or(Problem::new(HEADERS.name, "it is no entry"))
}

/// Opens a row of `headers` that should be an entry of this line at the position in its key.
pub(crate) fn open_header_of(
    sealer: &Sealer,
    key: &[u8],
    sealed: &[u8],
    log: LogId,
    line: &LineRow,
) -> Result<(Entry, bool), Problem> {
    let seq = split_entry_key(key).map_or(0, |(.., seq)| seq);
    let place = |problem: Problem| problem.log(log).chain(line.line).seq(seq);
    let (entry, payload) = open_header(sealer, key, sealed).map_err(place)?;
    let header = entry.header();
    if (header.log, header.chain, header.seq) == (log, line.chain, seq) {
        Ok((entry, payload))
    } else {
        Err(place(Problem::new(
            HEADERS.name,
            "another entry stands in its place",
        )))
    }
}

/// The keys that a log's rows should have, compared with those that come.
pub(crate) struct Expected<'a> {
    row: &'a LogRow,
    /// The place in `row.lines` and the position that should come next, if not before the line.
    at: (usize, u64),
}

impl<'a> Expected<'a> {
    pub(crate) fn new(row: &'a LogRow) -> Self {
        Self { row, at: (0, 0) }
    }

    /// The line that the row under this key belongs to, noting what should have come before it.
    pub(crate) fn check(&mut self, key: &[u8], problems: &mut Vec<Problem>) -> Option<&'a LineRow> {
        let (_, number, seq) = split_entry_key(key)?;
        let number = usize::try_from(number).ok()?;
        let line = self.row.lines.get(number);
        let line = line.filter(|line| (line.from..line.next).contains(&seq))?;
        self.advance((number, seq), problems);
        self.at = (number, seq + 1);
        Some(line)
    }

    /// Notes what should have come and did not.
    pub(crate) fn finish(mut self, problems: &mut Vec<Problem>) {
        self.advance((self.row.lines.len(), 0), problems);
    }

    fn advance(&mut self, to: (usize, u64), problems: &mut Vec<Problem>) {
        while self.at < to {
            let (number, seq) = self.at;
            let line = &self.row.lines[number];
            let start = seq.max(line.from);
            let end = if number == to.0 { to.1 } else { line.next };
            if start < end {
                let what = match end - start {
                    1 => "it is missing",
                    _ => "this one and others after it are missing",
                };
                let problem = Problem::new(HEADERS.name, what).log(self.row.log);
                problems.push(problem.chain(line.line).seq(start));
            }
            self.at = if number == to.0 { to } else { (number + 1, 0) };
        }
    }
}
