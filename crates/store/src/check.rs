//! Looking at every row.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use salus_audit::{ChainId, Entry, LogId, Tree};

use crate::db::{ALL, Rows, Step, guard, walk};
use crate::error::{Problem, StoreError};
use crate::header_walk::HeaderWalk;
use crate::load::open_log_row;
use crate::manifest::Manifest;
use crate::rows::{LogRow, Pin, decode_refused};
use crate::store::Store;
use crate::tables::{
    CACHES, Cache, HEADERS, LOGS, REFUSED, STATEMENTS, StatementKey, TREE, Table, Tag,
};
use crate::view::View;

/// The most problems that are listed; a check ends there.
pub const MAX_PROBLEMS: usize = 1_000;

impl Store {
    /// Verifies every page and every row, and lists what is wrong: rows that don't open, that are
    /// missing, moved or put back, lines with gaps or broken links, entries that can't be found by
    /// their hash, payloads that are not the ones that were signed, leaves that don't make the tree,
    /// a mark that is gone. An empty list means that the store is what was committed last.
    ///
    /// It needs no index key. Writers and readers wait while the pages are verified, and from then
    /// on the store takes no more changes if pages, logs or settings are damaged. Pages are not
    /// verified where the file may not be written, or is being backed up.
    pub fn check_integrity(&self) -> Result<Vec<Problem>, StoreError> {
        self.check_integrity_with(|_, _| ControlFlow::Continue(()))
    }

    /// The same, which also hands over each log's entries as they come by, so that who judges them
    /// need not read them again: those that are intact, each with the line that it stands on, control
    /// entries with their payloads and the others, whose payloads were compared with their hashes,
    /// without. Each log comes once, in the order of the table, whole; logs of which no row is left
    /// don't come. A `Break` ends the check.
    pub fn check_integrity_with(
        &self,
        mut visit: impl FnMut(LogId, Vec<(ChainId, Entry)>) -> ControlFlow<()>,
    ) -> Result<Vec<Problem>, StoreError> {
        let mut problems = self.problems();
        problems.extend(self.verify_file()?);
        // One snapshot: others may commit meanwhile.
        self.view_once(|view| {
            let mut check = Check {
                problems: Vec::new(),
                view,
                manifest: view.manifest()?.unwrap_or_default(),
            };
            check.extend(problems);
            check.all(&mut visit)?;
            Ok(check.problems)
        })
    }
}

struct Check<'a> {
    problems: Vec<Problem>,
    view: &'a View<'a>,
    manifest: Manifest,
}

/// The rows of `logs`, without their summaries.
pub(crate) type LogRows = BTreeMap<Tag, LogRow>;

impl Check<'_> {
    fn all(
        &mut self,
        visit: &mut dyn FnMut(LogId, Vec<(ChainId, Entry)>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let logs = self.logs()?;
        if self.headers(&logs, visit)? == Stopped::Yes {
            return Ok(());
        }
        self.caches(&logs)?;
        self.statements(&logs)?;
        self.tree()?;
        self.refused()
    }

    fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Damage that ends a table's walk is one more problem, so that the other tables are looked at.
    fn walked(&mut self, walked: Result<(), StoreError>) -> Result<(), StoreError> {
        match walked {
            Err(StoreError::Corrupt { what }) => {
                self.extend([what]);
                Ok(())
            }
            walked => walked,
        }
    }

    fn logs(&mut self) -> Result<LogRows, StoreError> {
        let sealer = self.view.sealer;
        let (mut logs, mut problems) = (LogRows::new(), Vec::new());
        let walked = guarded(self.view, LOGS, |rows| {
            walk(rows, LOGS, ALL, |key, sealed| {
                match (open_log_row(sealer, key, sealed), key.try_into()) {
                    (Ok(mut row), Ok(tag)) => {
                        row.summary = None;
                        logs.insert(tag, row);
                    }
                    (Err(problem), _) => problems.push(problem),
                    (Ok(row), Err(_)) => {
                        problems.push(Problem::new(LOGS.name, "its key is damaged").log(row.log));
                    }
                }
                Ok(stop_after(&problems))
            })
        });
        self.extend(problems);
        self.walked(walked)?;
        Ok(logs)
    }

    fn headers(
        &mut self,
        logs: &LogRows,
        visit: &mut dyn FnMut(LogId, Vec<(ChainId, Entry)>) -> ControlFlow<()>,
    ) -> Result<Stopped, StoreError> {
        let mut headers = HeaderWalk::new(self.view, logs, visit);
        let finished = guarded(self.view, HEADERS, |rows| {
            walk(rows, HEADERS, ALL, |key, sealed| {
                headers.row(key, sealed)?;
                Ok(match headers.stopped {
                    true => Step::Stop,
                    false => stop_after(&headers.problems),
                })
            })?;
            headers.finish()
        });
        let stopped = headers.stopped;
        self.extend(std::mem::take(&mut headers.problems));
        self.walked(finished)?;
        Ok(if stopped { Stopped::Yes } else { Stopped::No })
    }

    /// Index rows and snapshots are compared with their pins, which takes no index key.
    fn caches(&mut self, logs: &LogRows) -> Result<(), StoreError> {
        let mut expected: BTreeMap<Vec<u8>, (LogId, Pin)> = BTreeMap::new();
        for (tag, row) in logs {
            for (kind, pin) in [(Cache::Index, row.index), (Cache::Snapshot, row.snapshot)] {
                expected.extend(pin.map(|pin| (kind.key(tag).to_vec(), (row.log, pin))));
            }
        }
        self.pinned(CACHES, expected)
    }

    fn statements(&mut self, logs: &LogRows) -> Result<(), StoreError> {
        let mut expected: BTreeMap<Vec<u8>, (LogId, Pin)> = BTreeMap::new();
        for (tag, row) in logs {
            for (chain, pin) in &row.statements {
                let key: StatementKey = self.view.sealer.statement_key(tag, chain);
                expected.insert(key.to_vec(), (row.log, *pin));
            }
        }
        if self.view.store.facts().version < 2 {
            return Ok(());
        }
        self.pinned(STATEMENTS, expected)
    }

    /// A table whose rows are pinned in the logs' rows.
    fn pinned(
        &mut self,
        table: Table,
        mut expected: BTreeMap<Vec<u8>, (LogId, Pin)>,
    ) -> Result<(), StoreError> {
        let mut problems = Vec::new();
        let walked = guarded(self.view, table, |rows| {
            walk(rows, table, ALL, |key, sealed| {
                match expected.remove(key) {
                    Some((_, pin)) if pin == Pin::of(sealed) => {}
                    Some((log, _)) => problems
                        .push(Problem::new(table.name, "its row was changed or put back").log(log)),
                    None => problems.push(Problem::new(table.name, "a row belongs to no log")),
                }
                Ok(stop_after(&problems))
            })
        });
        let missing = Problem::new(table.name, "its row is missing");
        problems.extend(expected.into_values().map(|(log, _)| missing.log(log)));
        self.extend(problems);
        self.walked(walked)
    }

    fn tree(&mut self) -> Result<(), StoreError> {
        let expected = self.manifest.tree.clone();
        let mut tree = Tree::new();
        let before = self.problems.len();
        self.numbered(TREE, 0..expected.size(), |row| {
            let leaf = row.try_into();
            leaf.map(|leaf| tree.append(leaf)).is_ok()
        })?;
        if before == self.problems.len() && tree != expected {
            self.extend([Problem::new(TREE.name, "the leaves do not make the tree")]);
        }
        Ok(())
    }

    fn refused(&mut self) -> Result<(), StoreError> {
        let numbers = self.manifest.refused_first..self.manifest.refused_next;
        self.numbered(REFUSED, numbers, |row| decode_refused(row).is_some())
    }

    /// A table whose rows are numbered without gaps, each of which has to open.
    fn numbered(
        &mut self,
        table: Table,
        numbers: Range<u64>,
        mut sound: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let (mut next, mut problems) = (numbers.start, Vec::new());
        let sealer = self.view.sealer;
        let walked = guarded(self.view, table, |rows| {
            walk(rows, table, ALL, |key, sealed| {
                let number = key.try_into().map_or(u64::MAX, u64::from_be_bytes);
                if number != next {
                    let lost = number.min(next);
                    problems.push(Problem::new(table.name, "a row is missing or extra").seq(lost));
                }
                let opened = sealer.open(table, key, sealed);
                if !opened.is_ok_and(|row| sound(&row)) {
                    problems.push(Problem::new(table.name, "a row does not open").seq(number));
                }
                next = number.saturating_add(1);
                Ok(stop_after(&problems))
            })
        });
        if next < numbers.end && walked.is_ok() && problems.len() < MAX_PROBLEMS {
            problems.push(Problem::new(table.name, "the last rows are missing").seq(next));
        }
        self.extend(problems);
        self.walked(walked)
    }
}

#[derive(PartialEq, Eq)]
enum Stopped {
    Yes,
    No,
}

/// Looks at a table so that a page that redb panics over does not end the whole check.
fn guarded(
    view: &View<'_>,
    table: Table,
    look: impl FnOnce(&Rows) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    guard(|| look(&view.rows(table)?))
}

/// A damaged page can make very many problems of one.
fn stop_after(problems: &[Problem]) -> Step {
    match problems.len() < MAX_PROBLEMS {
        true => Step::On,
        false => Step::Stop,
    }
}
