//! A store made again from a backup: all of it or nothing.

use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::WriteTransaction;
use salus_vault::StorageKey;

use crate::backup::{END, MAGIC};
use crate::batch::MAX_CACHED_BYTES;
use crate::db::Db;
use crate::error::{StoreError, redb_error};
use crate::load::{load, version_of};
use crate::medium::{Medium, sync_folder_of};
use crate::store::Store;
use crate::tables::{MANIFEST_ROW, META, Sealer, TABLES, Table, VERSION_ROW};

/// The longest key in bytes: those of `statements` have 32.
const MAX_KEY_BYTES: u32 = 64;
/// The longest value in bytes: a snapshot, padded by 12 % at most, and sealed.
const MAX_VALUE_BYTES: usize = MAX_CACHED_BYTES / 8 * 9 + 1024;
/// How much is put in with one transaction, in bytes (a guess: some hundred pages for each table).
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

impl Store {
    /// Makes a store at `path`, where nothing may be yet, from what [`Store::backup`] wrote, and opens
    /// it as [`Store::open_restored`] does: the caller begins a new incarnation before it signs
    /// anything. Memory holds 16 MiB of rows, or one that is larger.
    ///
    /// The store stands at `path` when everything has come, is what was backed up, and opens under
    /// the key; until then it is built beside it, in `path` with `.restoring` behind its name, which
    /// an attempt that failed or was cut short does not leave in the way of the next. A backup of a
    /// damaged store gives that store, with its [`Store::problems`].
    pub fn restore(
        path: &Path,
        key: &StorageKey,
        input: &mut dyn Read,
    ) -> Result<Self, StoreError> {
        Self::restore_in(Medium::File(path.to_owned()), key, input)
    }

    pub(crate) fn restore_in(
        medium: Medium,
        key: &StorageKey,
        input: &mut dyn Read,
    ) -> Result<Self, StoreError> {
        if medium.path().try_exists()? {
            return Err(StoreError::Exists);
        }
        let mut name = medium.path().as_os_str().to_owned();
        name.push(".restoring");
        let part = PathBuf::from(name);
        remove(&part)?;
        let built = build(medium.beside(part.clone()), key, input).and_then(|()| {
            std::fs::rename(&part, medium.path())?;
            sync_folder_of(medium.path())
        });
        if let Err(error) = built {
            if let Err(error) = remove(&part) {
                tracing::warn!(%error, "a store that was not restored is left behind");
            }
            return Err(error);
        }
        Self::open_in(medium, key, true)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn build(
    medium: Medium,
    key: &StorageKey,
    input: &mut dyn Read,
) -> Result<(), StoreError> {
    let sealer = Sealer::new(key);
    let mut backup = Backup {
        input,
        hasher: blake3::Hasher::new(),
        rows: 0,
        last: None,
    };
    backup.magic()?;
    let db = Db::create(medium)?;
    db.write(|transaction| {
        for table in TABLES {
            transaction
                .open_table(table.definition())
                .map_err(redb_error)?;
        }
        Ok(())
    })?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while let Some(row) = backup.row()? {
        check_head(&row, &sealer)?;
        bytes += row.key.len() + row.value.len();
        chunk.push(row);
        if bytes >= CHUNK_BYTES {
            db.write(|transaction| insert(transaction, &chunk))?;
            chunk.clear();
            bytes = 0;
        }
    }
    db.write(|transaction| insert(transaction, &chunk))?;
    drop(chunk);
    // What does not open at all is not put in the place of a store.
    load(&db, &sealer)?;
    db.close()
}

/// A newer version and another key are noticed at the rows that tell them.
fn check_head(row: &Row, sealer: &Sealer) -> Result<(), StoreError> {
    if row.table != META {
        return Ok(());
    }
    match &row.key[..] {
        VERSION_ROW => version_of(Some(&row.value)).map(drop),
        MANIFEST_ROW => match sealer.open(META, MANIFEST_ROW, &row.value) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::WrongKey),
        },
        _ => Ok(()),
    }
}

fn insert(transaction: &WriteTransaction, rows: &[Row]) -> Result<(), StoreError> {
    for rows in rows.chunk_by(|one, two| one.table == two.table) {
        let Some(first) = rows.first() else { continue };
        let mut table = transaction
            .open_table(first.table.definition())
            .map_err(redb_error)?;
        let mut cursor = table
            .upper_bound_mut(Bound::<&[u8]>::Unbounded)
            .map_err(redb_error)?;
        for row in rows {
            cursor
                .insert_before(&row.key[..], &row.value[..])
                .map_err(redb_error)?;
        }
        cursor.close().map_err(redb_error)?;
    }
    Ok(())
}

struct Row {
    table: Table,
    key: Vec<u8>,
    value: Vec<u8>,
}

struct Backup<'a> {
    input: &'a mut dyn Read,
    hasher: blake3::Hasher,
    rows: u64,
    /// The table and the key of the row before.
    last: Option<(u8, Vec<u8>)>,
}

impl Backup<'_> {
    fn magic(&mut self) -> Result<(), StoreError> {
        match self.fixed::<16>() {
            Ok(magic) if magic == *MAGIC => Ok(()),
            Ok(magic) if magic.starts_with(&MAGIC[..14]) => {
                Err(StoreError::Backup("a newer program has written it"))
            }
            Ok(_) | Err(StoreError::Backup(_)) => Err(StoreError::Backup("it is no backup")),
            Err(error) => Err(error),
        }
    }

    /// The next row; none after the last, when the whole was compared with its hash.
    fn row(&mut self) -> Result<Option<Row>, StoreError> {
        let [number] = self.fixed()?;
        if number == END {
            return self.end().map(|()| None);
        }
        let changed = StoreError::Backup("it was changed");
        let Some(table) = TABLES.get(usize::from(number) - 1) else {
            return Err(changed);
        };
        let key_bytes = u32::from_be_bytes(self.fixed()?);
        let value_bytes = u32::from_be_bytes(self.fixed()?);
        let too_long = usize::try_from(value_bytes).map_or(true, |bytes| bytes > MAX_VALUE_BYTES);
        if key_bytes > MAX_KEY_BYTES || too_long {
            return Err(changed);
        }
        let key = self.bytes(key_bytes)?;
        let value = self.bytes(value_bytes)?;
        let place = (number, key);
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(changed);
        }
        let key = place.1.clone();
        self.last = Some(place);
        self.rows += 1;
        Ok(Some(Row {
            table: *table,
            key,
            value,
        }))
    }

    fn end(&mut self) -> Result<(), StoreError> {
        let rows = u64::from_be_bytes(self.fixed()?);
        let expected = self.hasher.finalize();
        let found: [u8; 32] = self.fixed()?;
        // BLAKE3's own comparison; there is no secret in it.
        if rows != self.rows || expected != blake3::Hash::from_bytes(found) {
            return Err(StoreError::Backup("it was changed"));
        }
        Ok(())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(read_error)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    /// As many bytes, allocated as they come.
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut input = (&mut *self.input).take(u64::from(count));
        input.read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() as u64 != u64::from(count) {
            return Err(StoreError::Backup("it is cut short"));
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

fn read_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::Backup("it is cut short"),
        _ => StoreError::Io(error),
    }
}
