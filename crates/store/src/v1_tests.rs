//! A store of version 1, as that version's program wrote it: `fixtures/version_1.redb`.

use salus_audit::{Entry, EntryHash};

use crate::fixture::{Disk, Folder, Truth, Writer, index_key, log_id, storage_key};
use crate::tables::VERSION_ROW;
use crate::{Batch, Store, StoreError};

const FILE: &[u8] = include_bytes!("../fixtures/version_1.redb");
const MARK: &[u8] = include_bytes!("../fixtures/version_1.redb.mark");

/// What it was given: two logs, two chains in the first, everything that version 1 kept.
pub(crate) fn truth() -> Truth {
    let mut entries = Writer::new(log_id(1), 0x11).many(5, 60);
    entries.extend(Writer::new(log_id(1), 0x12).many(2, 300));
    entries.extend(Writer::new(log_id(2), 0x11).many(3, 40));
    let logs = [1, 2].map(log_id);
    Truth {
        leaves: entries.iter().map(Entry::leaf).collect(),
        entries,
        summaries: logs
            .iter()
            .map(|log| (*log, b"a summary".to_vec()))
            .collect(),
        index_rows: logs
            .iter()
            .map(|log| (*log, b"an index row".to_vec()))
            .collect(),
        snapshots: vec![(logs[0], b"a snapshot".to_vec())],
        dirty: vec![logs[1]],
        refused: (0..3)
            .map(|n| (EntryHash::from_bytes([n; 32]), vec![n; 10]))
            .collect(),
        meta: vec![("peers".into(), b"a list".to_vec())],
        secrets: vec![("drafts".into(), b"a draft".to_vec())],
        ..Truth::default()
    }
}

/// A folder with the store of version 1.
pub(crate) fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.path(), FILE).unwrap();
    std::fs::write(folder.mark(), MARK).unwrap();
    folder
}

fn version_of(folder: &Folder) -> u32 {
    use redb::ReadableDatabase;
    let database = redb::Database::open(folder.path()).unwrap();
    let read = database.begin_read().unwrap();
    let meta = read.open_table(crate::tables::META.definition()).unwrap();
    let row = meta.get(VERSION_ROW).unwrap().unwrap();
    u32::from_be_bytes(row.value().try_into().unwrap())
}

#[test]
fn a_store_of_version_1_is_read_and_brought_to_version_2() {
    let (folder, mut truth) = (folder(), truth());
    assert_eq!(version_of(&folder), 1);
    let store = folder.open().unwrap();
    assert_eq!(truth.check(&store), 0);
    assert_eq!(store.problems(), []);
    assert_eq!(store.check_integrity().unwrap(), []);
    // What version 1 could not keep.
    let more = Truth::example();
    truth.statements = more.statements[..1].to_vec();
    truth.forks = vec![(
        salus_audit::ChainId::from_bytes([0xf0; 32]),
        Writer::after(0x11, &truth.entries[1]).next(b"another"),
    )];
    store
        .commit(Batch {
            forks: truth.forks.clone(),
            statements: truth.statements.clone(),
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(truth.check(&store), 0);
    store.close().unwrap();
    assert_eq!(version_of(&folder), 2);
    let store = folder.open().unwrap();
    assert_eq!(truth.check(&store), 0);
    assert_eq!(store.check_integrity().unwrap(), []);
}

#[test]
fn a_store_of_version_1_that_may_not_be_written_is_read_as_it_is() {
    let (folder, truth, disk) = (folder(), truth(), Disk::new());
    disk.set_read_only();
    let store = Store::open_in(disk.medium(&folder.path()), &storage_key(), false).unwrap();
    assert_eq!(truth.check(&store), 0);
    assert!(store.is_read_only());
    let batch = Batch {
        index_key: Some(index_key()),
        ..truth.batch()
    };
    assert!(matches!(store.commit(batch), Err(StoreError::NotWritable)));
    drop(store);
    assert_eq!(folder.bytes(), FILE);
}
