//! Backups: all of it comes back, or nothing does.

use std::io::{self, Write};

use salus_vault::StorageKey;

use crate::fixture::{Folder, Truth, Writer, log_id, storage_key};
use crate::{Batch, Store, StoreError, v1_tests};

fn filled() -> (Folder, Truth, Store) {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    (folder, truth, store)
}

fn backup(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    let stats = store.backup(&mut out).unwrap();
    assert_eq!(stats.bytes, out.len() as u64);
    assert_eq!(stats.entries, store.entry_count());
    out
}

fn restore(folder: &Folder, mut bytes: &[u8]) -> Result<Store, StoreError> {
    Store::restore(&folder.path(), &storage_key(), &mut bytes)
}

/// Nothing is left of an attempt.
fn is_empty(folder: &Folder) -> bool {
    let parent = folder.path().parent().unwrap().to_owned();
    std::fs::read_dir(parent).unwrap().next().is_none()
}

#[test]
fn a_restored_store_is_the_one_that_was_backed_up() {
    let (_folder, truth, store) = filled();
    let bytes = backup(&store);
    let other = Folder::new();
    let restored = restore(&other, &bytes).unwrap();
    assert_eq!(truth.check(&restored), 0);
    assert_eq!(restored.problems(), []);
    assert_eq!(restored.check_integrity().unwrap(), []);
    let again = restore(&other, &bytes);
    assert!(matches!(again, Err(StoreError::Exists)));
    restored.close().unwrap();
    let restored = other.open().unwrap();
    assert_eq!(truth.check(&restored), 0);
    assert_eq!(backup(&restored), bytes, "rows are copied as they are");
}

#[test]
fn a_backup_is_of_one_moment_and_others_write_meanwhile() {
    struct Busy<'a>(&'a Store, Writer, Vec<u8>);
    impl Write for Busy<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.2.len().is_multiple_of(3) {
                let entries = self.1.many(1, 10);
                let batch = Batch {
                    entries,
                    ..Batch::default()
                };
                self.0.commit(batch).unwrap();
            }
            self.2.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_folder, truth, store) = filled();
    let before = store.entry_count();
    let mut busy = Busy(&store, Writer::new(log_id(3), 0x77), Vec::new());
    let stats = store.backup(&mut busy).unwrap();
    assert_eq!(stats.entries, before);
    assert!(store.entry_count() > before + 10);
    let other = Folder::new();
    let restored = restore(&other, &busy.2).unwrap();
    assert_eq!(truth.check(&restored), 0);
    assert_eq!(restored.check_integrity().unwrap(), []);
}

#[test]
fn a_backup_that_is_cut_short_or_changed_restores_nothing() {
    let (_folder, _, store) = filled();
    let bytes = backup(&store);
    let refused = |bytes: &[u8], what: &str| {
        let folder = Folder::new();
        let error = restore(&folder, bytes).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Backup(_) | StoreError::WrongKey | StoreError::Version { .. }
            ),
            "{what}: {error}"
        );
        assert!(is_empty(&folder), "{what}");
    };
    for end in [
        0,
        1,
        15,
        16,
        17,
        25,
        bytes.len() / 2,
        bytes.len() - 33,
        bytes.len() - 1,
    ] {
        refused(&bytes[..end], &format!("cut at {end}"));
    }
    let step = bytes.len() / 60;
    for at in (0..80).chain((80..bytes.len()).step_by(step)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        refused(&changed, &format!("byte {at}"));
    }
    // A row less, and a hash that fits again: the manifest knows better.
    let folder = Folder::new();
    let wrong = StorageKey::from_bytes([9; 32]);
    let error = Store::restore(&folder.path(), &wrong, &mut &bytes[..]).unwrap_err();
    assert!(matches!(error, StoreError::WrongKey), "{error}");
    assert!(is_empty(&folder));
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    let mut bytes = b"salus/backup/v1\n".to_vec();
    bytes.extend_from_slice(&[1, 0, 0, 0, 7, 0x0f, 0xff, 0xff, 0xff]);
    bytes.extend_from_slice(b"version");
    let folder = Folder::new();
    let error = restore(&folder, &bytes).unwrap_err();
    assert!(matches!(error, StoreError::Backup(_)), "{error}");
    assert!(is_empty(&folder));
}

#[test]
fn a_place_without_room_for_the_backup_harms_nothing() {
    struct Room(usize);
    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(io::Error::from(io::ErrorKind::StorageFull)),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_folder, truth, store) = filled();
    let whole = backup(&store).len();
    for room in (0..whole).step_by(whole / 40) {
        let error = store.backup(&mut Room(room)).unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error}");
    }
    assert_eq!(truth.check(&store), 0);
    store.backup(&mut Room(whole)).unwrap();
    store.commit(Batch::default()).unwrap();
}

#[test]
fn an_attempt_that_was_cut_short_is_not_in_the_way() {
    let (_folder, truth, store) = filled();
    let bytes = backup(&store);
    let other = Folder::new();
    let mut part = other.path().into_os_string();
    part.push(".restoring");
    std::fs::write(part, b"half a store").unwrap();
    assert_eq!(truth.check(&restore(&other, &bytes).unwrap()), 0);
}

#[test]
fn a_backup_of_a_store_of_version_1_is_restored() {
    let (folder, truth) = (v1_tests::folder(), v1_tests::truth());
    let disk = crate::fixture::Disk::new();
    disk.set_read_only();
    let store = Store::open_in(disk.medium(&folder.path()), &storage_key(), false).unwrap();
    let bytes = backup(&store);
    let other = Folder::new();
    let restored = restore(&other, &bytes).unwrap();
    assert_eq!(truth.check(&restored), 0);
    assert_eq!(restored.check_integrity().unwrap(), []);
}
