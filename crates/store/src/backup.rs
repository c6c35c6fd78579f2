//! A copy of a store as one stream: every row as it is, sealed, in the order of the tables.
//!
//! The form, which `restore.rs` reads, is drawn in `docs/formats.md`: [`MAGIC`]; for each row its
//! table (its place in `TABLES`, from 1, one byte), the lengths of key and value (u32, big-endian),
//! key and value; then a zero byte, the number of rows (u64, big-endian), and BLAKE3 of it all.

use std::io::{self, Write};

use crate::db::{ALL, Step, walk};
use crate::error::{Problem, StoreError};
use crate::load::counts;
use crate::store::Store;
use crate::tables::{META, STATEMENTS, TABLES};
use crate::view::View;

/// What a backup begins with.
pub(crate) const MAGIC: &[u8; 16] = b"salus/backup/v1\n";
/// The byte after the last row, where another row would name its table.
pub(crate) const END: u8 = 0;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupStats {
    /// Bytes written.
    pub bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// The commits that the store had seen: of two backups the one with more is the newer.
    pub commits: u64,
}

impl Store {
    /// Writes every row of one snapshot to `out`, as it is: sealed under this store's keys, so that
    /// it is of use only together with the vault. Other work goes on meanwhile, and memory holds one
    /// row. Buffering `out` is the caller's, and so is putting it on the disk.
    ///
    /// Rows are not opened ([`Store::check_integrity`] does that); that none is missing is checked.
    pub fn backup(&self, out: &mut dyn Write) -> Result<BackupStats, StoreError> {
        let unsound = self.is_unsound();
        self.view_once(|view| {
            let manifest = view.manifest()?;
            let mut copy = Copy {
                out,
                hasher: blake3::Hasher::new(),
                bytes: 0,
                rows: 0,
            };
            copy.put(MAGIC)?;
            for (number, table) in (1_u8..).zip(TABLES) {
                if table == STATEMENTS && self.facts().version < 2 {
                    continue;
                }
                let before = copy.rows;
                copy.table(view, number)?;
                let expected = manifest.as_ref().and_then(|manifest| {
                    let counts = counts(manifest);
                    counts.into_iter().find(|(of, _)| *of == table)
                });
                if let Some((_, expected)) = expected
                    && expected != copy.rows - before - u64::from(table == META) * 2
                    && !unsound
                {
                    return Err(Problem::new(table.name, "rows are missing").into());
                }
            }
            copy.put(&[END])?;
            copy.put(&copy.rows.to_be_bytes())?;
            let hash = copy.hasher.finalize();
            copy.put(hash.as_bytes())?;
            copy.out.flush().map_err(write_error)?;
            let manifest = manifest.unwrap_or_default();
            Ok(BackupStats {
                bytes: copy.bytes,
                rows: copy.rows,
                entries: manifest.entries,
                commits: manifest.commits,
            })
        })
    }
}

struct Copy<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    bytes: u64,
    rows: u64,
}

impl Copy<'_> {
    fn table(&mut self, view: &View<'_>, number: u8) -> Result<(), StoreError> {
        let table = TABLES[usize::from(number) - 1];
        walk(&view.rows(table)?, table, ALL, |key, value| {
            let too_long = |_| Problem::new(table.name, "a row is too long");
            let key_bytes = u32::try_from(key.len()).map_err(too_long)?;
            let value_bytes = u32::try_from(value.len()).map_err(too_long)?;
            self.put(&[number])?;
            self.put(&key_bytes.to_be_bytes())?;
            self.put(&value_bytes.to_be_bytes())?;
            self.put(key)?;
            self.put(value)?;
            self.rows += 1;
            Ok(Step::On)
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(write_error)
    }
}

/// What goes wrong with the place that the backup goes to says nothing of the store.
fn write_error(error: io::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Corrupt { .. } | StoreError::Exists => {
            StoreError::Io(io::Error::other("the backup could not be written"))
        }
        error => error,
    }
}
