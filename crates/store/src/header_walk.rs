//! Verifying the tables of entries in one go: headers, with payloads and hashes beside them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use salus_audit::{ChainId, Entry, EntryHash, LogId};

use crate::check::{LogRows, MAX_PROBLEMS};
use crate::db::{ALL, Step, get, walk};
use crate::error::{Problem, StoreError, redb_error};
use crate::load::sum_of;
use crate::rows::LineRow;
use crate::tables::{HASHES, HEADERS, PAYLOADS, Sum, Table, Tag};
use crate::view::{Expected, View, open_header, open_header_of};

type Visit<'v> = &'v mut dyn FnMut(LogId, Vec<(ChainId, Entry)>) -> ControlFlow<()>;

/// Takes the rows of `headers` in order.
pub(crate) struct HeaderWalk<'a, 'v> {
    view: &'a View<'a>,
    logs: &'a LogRows,
    payloads: Payloads,
    visit: Visit<'v>,
    pub problems: Vec<Problem>,
    /// The visitor wants no more.
    pub stopped: bool,
    current: Option<(Tag, LogId, Expected<'a>)>,
    /// What is intact of the current log.
    entries: Vec<(ChainId, Entry)>,
    seen: BTreeSet<Tag>,
    /// The entry before, where it was intact.
    last: Option<EntryHash>,
    rows: u64,
    hashes: Sum,
}

impl<'a, 'v> HeaderWalk<'a, 'v> {
    pub(crate) fn new(view: &'a View<'a>, logs: &'a LogRows, visit: Visit<'v>) -> Self {
        Self {
            view,
            logs,
            payloads: Payloads::default(),
            visit,
            problems: Vec::new(),
            stopped: false,
            current: None,
            entries: Vec::new(),
            seen: BTreeSet::new(),
            last: None,
            rows: 0,
            hashes: Sum::default(),
        }
    }

    pub(crate) fn row(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        self.rows += 1;
        let tag: Option<Tag> = key.first_chunk().copied();
        let Some((tag, row)) = tag.and_then(|tag| Some((tag, self.logs.get(&tag)?))) else {
            self.problems
                .push(Problem::new(HEADERS.name, "a row belongs to no log"));
            return Ok(());
        };
        if self
            .current
            .as_ref()
            .is_none_or(|(current, ..)| *current != tag)
        {
            self.end_log();
            self.current = Some((tag, row.log, Expected::new(row)));
            self.seen.insert(tag);
        }
        let Some((.., expected)) = &mut self.current else {
            return Ok(());
        };
        let Some(line) = expected.check(key, &mut self.problems) else {
            let what = "a row is no entry of its log";
            self.problems
                .push(Problem::new(HEADERS.name, what).log(row.log));
            return Ok(());
        };
        match open_header_of(self.view.sealer, key, sealed, row.log, line) {
            Ok((entry, payload)) => self.entry(key, line, entry, payload),
            Err(problem) => {
                self.problems.push(problem);
                self.last = None;
                Ok(())
            }
        }
    }

    fn entry(
        &mut self,
        key: &[u8],
        line: &LineRow,
        mut entry: Entry,
        payload: bool,
    ) -> Result<(), StoreError> {
        let header = entry.header();
        let (log, seq, hash) = (header.log, header.seq, entry.hash());
        let mut wrong = |table: Table, what| {
            let problem = Problem::new(table.name, what).log(log);
            self.problems.push(problem.chain(line.line).seq(seq));
        };
        let before = self.last.replace(hash);
        let broken = match (seq, before) {
            (0, _) => header.prev.is_some(),
            // What a fork leaves stands on another line: it is named, and that is all.
            (_, _) if seq == line.from => header.prev.is_none(),
            (_, Some(before)) => header.prev != Some(before),
            // The entry before is a problem of its own.
            (_, None) => false,
        };
        if broken || line.next == seq + 1 && line.tip != hash {
            wrong(HEADERS, "it does not join its chain");
        }
        let sealer = self.view.sealer;
        let tag = sealer.hash_tag(&hash);
        self.hashes.toggle(sealer.sum(HASHES, &tag, key));
        if payload {
            let opened = self.payloads.take(self.view, key, |sealed| {
                let payload = sealer.open(PAYLOADS, key, sealed).ok()?;
                Some((blake3::hash(&payload), payload))
            })?;
            match opened {
                None => wrong(PAYLOADS, "it is missing"),
                Some(None) => wrong(PAYLOADS, "it does not open"),
                Some(Some((hash, _))) if *hash.as_bytes() != header.payload_hash => {
                    wrong(PAYLOADS, "it is not the one that was signed");
                }
                Some(Some((_, payload))) if header.kind.is_clear() => {
                    entry = entry
                        .with_payload(Some(payload))
                        .map_err(|_| Problem::new(PAYLOADS.name, "it is another entry's"))?;
                }
                Some(Some(_)) => {}
            }
        }
        self.entries.push((line.line, entry));
        Ok(())
    }

    fn end_log(&mut self) {
        self.last = None;
        if let Some((_, log, expected)) = self.current.take() {
            expected.finish(&mut self.problems);
            let entries = std::mem::take(&mut self.entries);
            self.stopped |= (self.visit)(log, entries).is_break();
        }
    }

    /// What is wrong with the tables as a whole, and with the logs of which no row came.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        if self.stopped || self.problems.len() >= MAX_PROBLEMS {
            return Ok(());
        }
        self.end_log();
        for (tag, row) in self.logs {
            if !self.seen.contains(tag) && row.entries() > 0 {
                Expected::new(row).finish(&mut self.problems);
            }
        }
        if self.payloads.has_extra(self.view)? {
            self.problems
                .push(Problem::new(PAYLOADS.name, "rows belong to no entry"));
        }
        // With every header intact they say what `hashes` should be; otherwise the manifest does.
        let found = sum_of(self.view.transaction, self.view.sealer, HASHES)?;
        let manifest = self.view.manifest()?.unwrap_or_default();
        let by_headers = found == (self.rows, self.hashes);
        let by_manifest = found == (manifest.entries, manifest.hashes_sum);
        let intact = !self.problems.iter().any(|one| one.table == HEADERS.name);
        if !by_headers && (intact || !by_manifest) {
            self.name_hidden()?;
        }
        Ok(())
    }

    /// Names the entries that `hashes` does not lead to, one by one.
    fn name_hidden(&mut self) -> Result<(), StoreError> {
        let (view, sealer) = (self.view, self.view.sealer);
        let hashes = view.rows(HASHES)?;
        let before = self.problems.len();
        walk(&view.rows(HEADERS)?, HEADERS, ALL, |key, sealed| {
            let Ok((entry, _)) = open_header(sealer, key, sealed) else {
                return Ok(Step::On);
            };
            let header = entry.header();
            if get(&hashes, &sealer.hash_tag(&entry.hash()))?.as_deref() != Some(key) {
                let problem = Problem::new(HASHES.name, "it can't be found by its hash");
                let problem = problem.log(header.log).chain(header.chain);
                self.problems.push(problem.seq(header.seq));
            }
            Ok(match self.problems.len() < MAX_PROBLEMS {
                true => Step::On,
                false => Step::Stop,
            })
        })?;
        if self.problems.len() == before {
            self.problems
                .push(Problem::new(HASHES.name, "rows belong to no entry"));
        }
        Ok(())
    }
}

/// The rows of `payloads` in order, taken as the headers come to them.
#[derive(Default)]
struct Payloads {
    /// None before the first is asked for.
    rows: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    next: Option<(Guard, Guard)>,
    /// There are rows that no header asked for.
    extra: bool,
}

type Guard = redb::AccessGuard<'static, &'static [u8]>;

impl Payloads {
    /// Reads the value under `key`, if it is there.
    fn take<T>(
        &mut self,
        view: &View<'_>,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        self.begin(view)?;
        while let Some((found, value)) = &self.next {
            match found.value().cmp(key) {
                std::cmp::Ordering::Less => {
                    self.extra = true;
                    self.step()?;
                }
                std::cmp::Ordering::Equal => {
                    let read = read(value.value());
                    self.step()?;
                    return Ok(Some(read));
                }
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Whether there are rows that no header asked for.
    fn has_extra(&mut self, view: &View<'_>) -> Result<bool, StoreError> {
        self.begin(view)?;
        Ok(self.extra || self.next.is_some())
    }

    fn begin(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        if self.rows.is_none() {
            let table = view.rows(PAYLOADS)?;
            self.rows = Some(table.range::<&[u8]>(..).map_err(redb_error)?);
            self.step()?;
        }
        Ok(())
    }

    /// Goes on to the next row; keys that do not rise are damage, and could go round in a circle.
    fn step(&mut self) -> Result<(), StoreError> {
        let next = self.rows.as_mut().and_then(Iterator::next);
        let next = next.transpose().map_err(redb_error)?;
        if let (Some((last, _)), Some((key, _))) = (&self.next, &next)
            && last.value() >= key.value()
        {
            return Err(Problem::new(PAYLOADS.name, "its rows are out of order").into());
        }
        self.next = next;
        Ok(())
    }
}
