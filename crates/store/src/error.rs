//! What can go wrong, and where.

use std::fmt;
use std::io;

use salus_audit::{ChainId, LogId};

use crate::medium::ReadOnly;

/// One thing that is wrong in the store, and where. It names tables and ids, never content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The table, or `file` for the file around them, or `mark` for the one beside it.
    pub table: &'static str,
    /// The log, where it is known.
    pub log: Option<LogId>,
    /// The chain, or the line of a fork, where it is known.
    pub chain: Option<ChainId>,
    /// The position: `seq` in a chain, or the number of a leaf or a refused entry.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
}

impl Problem {
    pub(crate) const fn new(table: &'static str, what: &'static str) -> Self {
        Self {
            table,
            log: None,
            chain: None,
            seq: None,
            what,
        }
    }

    pub(crate) const fn log(mut self, log: LogId) -> Self {
        self.log = Some(log);
        self
    }

    pub(crate) const fn chain(mut self, chain: ChainId) -> Self {
        self.chain = Some(chain);
        self
    }

    pub(crate) const fn seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table)?;
        if let Some(log) = self.log {
            write!(f, ", log {log}")?;
        }
        if let Some(chain) = self.chain {
            write!(f, ", chain {chain}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, ", number {seq}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another handle in this one, has the file open.
    #[error("the store is in use by another process")]
    InUse,
    /// [`Store::create`](crate::Store::create) found something where the file should go.
    #[error("there already is a store")]
    Exists,
    /// The key opens nothing in the file.
    #[error("the storage key does not open this store")]
    WrongKey,
    /// Something on the disk is not what was written.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What, and where.
        what: Problem,
    },
    /// The store was found damaged when it was opened, and takes no more changes.
    #[error("the store is damaged and open for reading only")]
    ReadOnly,
    /// The file is an earlier one than this node has written: it was put back from a copy. Going on
    /// would sign two histories; the node has to begin a new incarnation
    /// ([`Store::open_restored`](crate::Store::open_restored)).
    #[error("the store was set back: it holds commit {held}, and commit {seen} was written")]
    SetBack {
        /// The commits in the file.
        held: u64,
        /// The commits known to have been made.
        seen: u64,
    },
    /// The disk, or the quota on it, is full. Nothing of the batch was kept.
    #[error("the disk is full")]
    Full,
    /// The operating system reported an error.
    #[error("the store's file could not be read or written")]
    Io(#[source] io::Error),
    /// The system lets us read the store's file and not write it.
    #[error("the store's file may not be written: it is open for reading only")]
    NotWritable,
    /// A newer program has written the store. Nothing was changed.
    #[error(
        "the store has version {found} and this program reads up to version {expected}: open it with \
         the newer program that wrote it"
    )]
    Version {
        /// The file's version.
        found: u32,
        /// The newest version that this program reads.
        expected: u32,
    },
    /// A backup can't be restored: it is cut short, changed, or none.
    #[error("the backup can't be restored: {0}")]
    Backup(&'static str),
    /// An entry does not follow the last one held of its line, or its line begins nowhere.
    #[error("an entry of log {log} does not follow on its chain: {seq} was given, {next} is next")]
    OutOfOrder {
        /// The log.
        log: LogId,
        /// The chain, or the fork's line.
        chain: ChainId,
        /// The entry's position.
        seq: u64,
        /// The position that the line has next.
        next: u64,
    },
    /// Another entry stands at an entry's position already; neither replaces the other.
    #[error("log {log} already holds another entry at {seq} of its chain")]
    Conflict {
        /// The log.
        log: LogId,
        /// The chain, or the fork's line.
        chain: ChainId,
        /// The position.
        seq: u64,
    },
    /// A batch asks for something outside the bounds, or that its key is missing for.
    #[error("a batch can't be kept: {0}")]
    Invalid(&'static str),
    /// The file is not open: it could not be opened again after an error. The next call tries again.
    #[error("the store is closed")]
    Closed,
}

impl From<ReadOnly> for StoreError {
    fn from(why: ReadOnly) -> Self {
        match why {
            ReadOnly::Damaged => Self::ReadOnly,
            ReadOnly::NotWritable => Self::NotWritable,
        }
    }
}

impl From<Problem> for StoreError {
    fn from(what: Problem) -> Self {
        Self::Corrupt { what }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::Full,
            // Both are what reading pages gives where the file is shorter or other than it says.
            Kind::InvalidData | Kind::UnexpectedEof => {
                Problem::new("file", "it is no store, or a part of one").into()
            }
            Kind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

/// Turns any of redb's errors into ours. What redb says of a damaged page goes to the log.
pub(crate) fn redb_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreError::InUse,
        // Set after an error of the operating system, until the file is opened again.
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => StoreError::Closed,
        redb::Error::UpgradeRequired(_) => Problem::new("file", "an older redb wrote it").into(),
        redb::Error::ValueTooLarge(_) => StoreError::Invalid("a value is too large"),
        other => {
            tracing::debug!(error = %other, "redb refuses the store's file");
            Problem::new("file", "its pages are damaged").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_short_file_are_told_from_other_errors() {
        let of = |kind: io::ErrorKind| StoreError::from(io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::StorageFull), StoreError::Full));
        assert!(matches!(of(io::ErrorKind::QuotaExceeded), StoreError::Full));
        assert!(matches!(
            of(io::ErrorKind::UnexpectedEof),
            StoreError::Corrupt { .. }
        ));
        assert!(matches!(
            of(io::ErrorKind::PermissionDenied),
            StoreError::Io(_)
        ));
        // ENOSPC as Linux reports it.
        let full = StoreError::from(io::Error::from_raw_os_error(28));
        assert!(cfg!(not(target_os = "linux")) || matches!(full, StoreError::Full));
    }

    #[test]
    fn a_problem_says_where_it_is() {
        let problem = Problem::new("headers", "it does not open")
            .log(LogId::from_bytes([0xaa; 32]))
            .chain(ChainId::from_bytes([0xbb; 32]))
            .seq(7);
        let text = problem.to_string();
        assert_eq!(
            text,
            format!(
                "headers, log {}, chain {}, number 7: it does not open",
                "aa".repeat(32),
                "bb".repeat(32)
            )
        );
    }
}
