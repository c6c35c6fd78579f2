//! Looking at every row.

use std::collections::{BTreeMap, BTreeSet};

use salus_audit::{EntryHash, LogId};

use crate::db::{ALL, Step, get, walk};
use crate::error::{Problem, StoreError};
use crate::rows::{LogRow, Pin, decode_refused};
use crate::store::{Store, open_log_row};
use crate::tables::{
    CACHES, Cache, HASHES, HEADERS, LOGS, PAYLOADS, REFUSED, Sealer, TREE, Table, Tag,
};
use crate::view::{Expected, View, open_header_of};

/// The most problems that are listed; a check ends there.
pub const MAX_PROBLEMS: usize = 1_000;

impl Store {
    /// Verifies every page and every row, and lists what is wrong: rows that don't open, that are
    /// missing, moved or put back, chains with gaps or broken links, entries that can't be found by
    /// their hash, payloads that are not the ones that were signed. An empty list means that the
    /// store is what was committed last.
    ///
    /// It needs no index key. Writers and readers wait while the pages are verified, and from then
    /// on the store takes no more changes if pages, logs or settings are damaged.
    pub fn check_integrity(&self) -> Result<Vec<Problem>, StoreError> {
        let mut check = Check {
            problems: self.problems(),
            sealer: &self.sealer,
        };
        check.extend(self.verify_file()?);
        let logs = check.logs(self)?;
        check.headers(self, &logs)?;
        check.caches(self, &logs)?;
        check.numbered(self, TREE, |row| row.len() == 32)?;
        check.numbered(self, REFUSED, |row| decode_refused(row).is_some())?;
        Ok(check.problems)
    }
}

struct Check<'a> {
    problems: Vec<Problem>,
    sealer: &'a Sealer,
}

type Logs = BTreeMap<Tag, LogRow>;

impl Check<'_> {
    fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// What a table's walk found. Damage that ends the walk is one more problem, so that the other
    /// tables are looked at.
    fn walked<T: Default>(
        &mut self,
        walked: Result<(T, Vec<Problem>), StoreError>,
    ) -> Result<T, StoreError> {
        match walked {
            Ok((value, problems)) => {
                self.extend(problems);
                Ok(value)
            }
            Err(StoreError::Corrupt { what }) => {
                self.extend([what]);
                Ok(T::default())
            }
            Err(error) => Err(error),
        }
    }

    fn logs(&mut self, store: &Store) -> Result<Logs, StoreError> {
        let walked = store.view(|view| {
            let (mut logs, mut problems) = (Logs::new(), Vec::new());
            walk(&view.rows(LOGS)?, LOGS, ALL, |key, sealed| {
                match (open_log_row(self.sealer, key, sealed), key.try_into()) {
                    (Ok(row), Ok(tag)) => drop(logs.insert(tag, row)),
                    (Err(problem), _) => problems.push(problem),
                    (Ok(row), Err(_)) => {
                        problems.push(Problem::new(LOGS.name, "its key is damaged").log(row.log));
                    }
                }
                Ok(stop_after(&problems))
            })?;
            Ok((logs, problems))
        });
        self.walked(walked)
    }

    fn headers(&mut self, store: &Store, logs: &Logs) -> Result<(), StoreError> {
        let walked = store.view(|view| {
            let mut walk_of = HeaderWalk::new(view, self.sealer)?;
            walk(&view.rows(HEADERS)?, HEADERS, ALL, |key, sealed| {
                walk_of.row(key, sealed, logs)?;
                Ok(stop_after(&walk_of.problems))
            })?;
            Ok(((), walk_of.finish(logs)))
        });
        self.walked(walked)
    }

    /// Index rows and snapshots are compared with their pins, which takes no index key.
    fn caches(&mut self, store: &Store, logs: &Logs) -> Result<(), StoreError> {
        let walked = store.view(|view| {
            let mut expected: BTreeMap<_, (LogId, Pin)> = BTreeMap::new();
            for (tag, row) in logs {
                expected.extend(row.index.map(|pin| (Cache::Index.key(tag), (row.log, pin))));
                expected.extend(
                    row.snapshot
                        .map(|pin| (Cache::Snapshot.key(tag), (row.log, pin))),
                );
            }
            let mut problems = Vec::new();
            walk(&view.rows(CACHES)?, CACHES, ALL, |key, sealed| {
                let found = key
                    .try_into()
                    .ok()
                    .and_then(|key| expected.remove::<[u8; 17]>(&key));
                match found {
                    Some((_, pin)) if pin == Pin::of(sealed) => {}
                    Some((log, _)) => problems.push(
                        Problem::new(CACHES.name, "its row was changed or put back").log(log),
                    ),
                    None => problems.push(Problem::new(CACHES.name, "a row belongs to no log")),
                }
                Ok(stop_after(&problems))
            })?;
            let missing = Problem::new(CACHES.name, "its row is missing");
            problems.extend(expected.into_values().map(|(log, _)| missing.log(log)));
            Ok(((), problems))
        });
        self.walked(walked)
    }

    /// A table whose rows are numbered without gaps, each of which has to open.
    fn numbered(
        &mut self,
        store: &Store,
        table: Table,
        sound: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let manifest = store.facts().manifest.clone();
        let numbers = match table {
            REFUSED => manifest.refused_first..manifest.refused_next,
            _ => 0..manifest.leaves,
        };
        let walked = store.view(|view| {
            let (mut next, mut problems) = (numbers.start, Vec::new());
            walk(&view.rows(table)?, table, ALL, |key, sealed| {
                let number = key.try_into().map_or(u64::MAX, u64::from_be_bytes);
                if number != next {
                    let lost = if number > next { next } else { number };
                    problems.push(Problem::new(table.name, "a row is missing or extra").seq(lost));
                }
                let opened = self.sealer.open(table, key, sealed);
                if !opened.is_ok_and(|row| sound(&row)) {
                    problems.push(Problem::new(table.name, "a row does not open").seq(number));
                }
                next = number.saturating_add(1);
                Ok(stop_after(&problems))
            })?;
            if next < numbers.end {
                problems.push(Problem::new(table.name, "the last rows are missing").seq(next));
            }
            Ok(((), problems))
        });
        self.walked(walked)
    }
}

fn stop_after(problems: &[Problem]) -> Step {
    if problems.len() < MAX_PROBLEMS {
        Step::On
    } else {
        Step::Stop
    }
}

/// The walk over all entries, log by log and chain by chain.
struct HeaderWalk<'a> {
    sealer: &'a Sealer,
    hashes: crate::db::Rows,
    payloads: crate::db::Rows,
    problems: Vec<Problem>,
    current: Option<(Tag, Expected<'a>)>,
    seen: BTreeSet<Tag>,
    /// The entry before, where it was intact.
    last: Option<EntryHash>,
    entries: u64,
    with_payload: u64,
}

impl<'a> HeaderWalk<'a> {
    fn new(view: &View<'_>, sealer: &'a Sealer) -> Result<Self, StoreError> {
        Ok(Self {
            sealer,
            hashes: view.rows(HASHES)?,
            payloads: view.rows(PAYLOADS)?,
            problems: Vec::new(),
            current: None,
            seen: BTreeSet::new(),
            last: None,
            entries: 0,
            with_payload: 0,
        })
    }

    fn row(&mut self, key: &[u8], sealed: &[u8], logs: &'a Logs) -> Result<(), StoreError> {
        self.entries += 1;
        let tag: Option<Tag> = key.first_chunk().copied();
        let Some((tag, row)) = tag.and_then(|tag| Some((tag, logs.get(&tag)?))) else {
            self.problems
                .push(Problem::new(HEADERS.name, "a row belongs to no log"));
            return Ok(());
        };
        if self
            .current
            .as_ref()
            .is_none_or(|(current, _)| *current != tag)
        {
            self.end_log();
            self.current = Some((tag, Expected::new(row)));
            self.seen.insert(tag);
            self.last = None;
        }
        let Some((_, expected)) = &mut self.current else {
            return Ok(());
        };
        let Some(chain) = expected.check(key, &mut self.problems) else {
            let what = "a row is no entry of its log";
            self.problems
                .push(Problem::new(HEADERS.name, what).log(row.log));
            return Ok(());
        };
        let (entry, payload) = match open_header_of(self.sealer, key, sealed, row.log, chain) {
            Ok(opened) => opened,
            Err(problem) => {
                self.problems.push(problem);
                self.last = None;
                return Ok(());
            }
        };
        let seq = entry.header().seq;
        let mut wrong = |table: Table, what| {
            self.problems.push(
                Problem::new(table.name, what)
                    .log(row.log)
                    .chain(chain)
                    .seq(seq),
            );
        };
        let before = self.last.replace(entry.hash());
        let broken = match (seq, before) {
            (0, _) => entry.header().prev.is_some(),
            (_, Some(before)) => entry.header().prev != Some(before),
            // The entry before is a problem of its own.
            (_, None) => false,
        };
        let at_end = row.chain(&chain).filter(|(_, held)| held.count == seq + 1);
        let cut = at_end.is_some_and(|(_, held)| held.tip != entry.hash());
        if broken || cut {
            wrong(HEADERS, "it does not join its chain");
        }
        if get(&self.hashes, &self.sealer.hash_tag(&entry.hash()))?.as_deref() != Some(key) {
            wrong(HASHES, "it can't be found by its hash");
        }
        if payload {
            self.with_payload += 1;
            match get(&self.payloads, key)?.map(|sealed| self.sealer.open(PAYLOADS, key, &sealed)) {
                None => wrong(PAYLOADS, "it is missing"),
                Some(Err(_)) => wrong(PAYLOADS, "it does not open"),
                Some(Ok(payload)) => {
                    if *blake3::hash(&payload).as_bytes() != entry.header().payload_hash {
                        wrong(PAYLOADS, "it is not the one that was signed");
                    }
                }
            }
        }
        Ok(())
    }

    fn end_log(&mut self) {
        if let Some((_, expected)) = self.current.take() {
            expected.finish(&mut self.problems);
        }
    }

    fn finish(mut self, logs: &'a Logs) -> Vec<Problem> {
        self.end_log();
        for (tag, row) in logs {
            if !self.seen.contains(tag) && row.entries() > 0 {
                Expected::new(row).finish(&mut self.problems);
            }
        }
        use redb::ReadableTableMetadata;
        let counts = [
            (HASHES, &self.hashes, self.entries),
            (PAYLOADS, &self.payloads, self.with_payload),
        ];
        for (table, rows, expected) in counts {
            if rows.len().ok().is_none_or(|count| count > expected) {
                self.problems
                    .push(Problem::new(table.name, "rows belong to no entry"));
            }
        }
        self.problems
    }
}
