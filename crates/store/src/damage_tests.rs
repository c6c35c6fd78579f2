//! A copy of the disk edited by hand: everything changed is found, named and kept out.

use redb::{Database, ReadableDatabase, ReadableTable};

use crate::fixture::{Folder, Truth, Writer, index_key, log_id, storage_key};
use crate::tables::{
    CACHES, HASHES, HEADERS, LOGS, MANIFEST_ROW, META, PAYLOADS, REFUSED, STATEMENTS, Sealer,
    TABLES, TREE, Table, VERSION_ROW, entry_key,
};
use crate::{Batch, Store, StoreError};

fn filled() -> (Folder, Truth) {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    store.close().unwrap();
    (folder, truth)
}

type Row = (Vec<u8>, Vec<u8>);

fn rows_of(folder: &Folder, table: Table) -> Vec<Row> {
    let database = Database::open(folder.path()).unwrap();
    let rows = database
        .begin_read()
        .unwrap()
        .open_table(table.definition())
        .unwrap();
    rows.iter()
        .unwrap()
        .map(|row| {
            let (key, value) = row.unwrap();
            (key.value().to_vec(), value.value().to_vec())
        })
        .collect()
}

/// Edits the file as somebody would who knows redb: every page's checksum is right afterwards.
fn edit(folder: &Folder, table: Table, put: &[Row], remove: &[&[u8]]) {
    let database = Database::open(folder.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(table.definition()).unwrap();
        for key in remove {
            rows.remove(*key).unwrap();
        }
        for (key, value) in put {
            rows.insert(key.as_slice(), value.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// Opens a store that was edited: it refuses, or it names the table among its problems, and none of
/// its answers is wrong.
fn found(folder: &Folder, truth: &Truth, table: Table, what: &str) {
    let store = match folder.open() {
        Ok(store) => store,
        Err(StoreError::Corrupt { what: problem }) => {
            assert_eq!(problem.table, table.name, "{what}: {problem}");
            return;
        }
        // Without a manifest there is no telling: see the test of its own.
        Err(error) => panic!("{what} in {}: {error}", table.name),
    };
    let problems = store.check_integrity().unwrap();
    assert!(
        problems.iter().any(|problem| problem.table == table.name),
        "{what} in {} was not found: {problems:?}",
        table.name
    );
    truth.check(&store);
}

/// All tables with a row of each kind of value in it.
fn kinds(folder: &Folder) -> Vec<(Table, Row)> {
    let mut kinds = Vec::new();
    for table in TABLES {
        let rows = rows_of(folder, table);
        let step = (rows.len() / 2).max(1);
        kinds.extend(rows.into_iter().step_by(step).map(|row| (table, row)));
        if table == META {
            kinds.extend(rows_of(folder, META).into_iter().map(|row| (META, row)));
        }
    }
    kinds.retain(|(_, (key, _))| key != VERSION_ROW);
    kinds
}

#[test]
fn each_kind_of_value_flipped_is_found_and_named_and_never_given() {
    let (folder, truth) = filled();
    for (table, (key, value)) in kinds(&folder) {
        for at in [0, value.len() / 2, value.len() - 1] {
            let copy = folder.copy_with(&folder.bytes());
            let mut changed = value.clone();
            changed[at] ^= 1;
            edit(&copy, table, &[(key.clone(), changed)], &[]);
            found(&copy, &truth, table, "a flipped byte");
        }
    }
}

#[test]
fn each_kind_of_value_swapped_between_rows_is_found() {
    let (folder, truth) = filled();
    for table in TABLES {
        let rows: Vec<Row> = rows_of(&folder, table)
            .into_iter()
            .filter(|(key, _)| key != VERSION_ROW)
            .collect();
        let pairs = [(0, 1), (0, rows.len() - 1)];
        for (one, two) in pairs.into_iter().filter(|(one, two)| one != two) {
            let copy = folder.copy_with(&folder.bytes());
            let swapped = [
                (rows[one].0.clone(), rows[two].1.clone()),
                (rows[two].0.clone(), rows[one].1.clone()),
            ];
            edit(&copy, table, &swapped, &[]);
            found(&copy, &truth, table, "two values swapped");
        }
    }
}

#[test]
fn each_kind_of_row_taken_out_or_put_in_is_found() {
    let (folder, truth) = filled();
    for (table, (key, value)) in kinds(&folder) {
        let copy = folder.copy_with(&folder.bytes());
        edit(&copy, table, &[], &[&key]);
        found(&copy, &truth, table, "a row taken out");
        // Moved to a key of its own: the counts are right, the rows are not.
        let mut moved = key.clone();
        *moved.last_mut().unwrap() ^= 0x55;
        if table != HASHES {
            edit(&copy, table, &[(moved.clone(), value.clone())], &[]);
            found(&copy, &truth, table, "a row moved");
        }
        let copy = folder.copy_with(&folder.bytes());
        edit(&copy, table, &[(moved, value)], &[]);
        found(&copy, &truth, table, "a row put in");
    }
}

/// The one thing that opening does not see, where the checksums were made right again.
#[test]
fn an_entry_hidden_from_find_is_found_by_the_check_and_stays_in_its_log() {
    let (folder, truth) = filled();
    let (key, value) = rows_of(&folder, HASHES).remove(3);
    let mut moved = key.clone();
    moved[0] ^= 1;
    edit(&folder, HASHES, &[(moved, value)], &[&key]);
    let store = folder.open().unwrap();
    assert_eq!(store.problems(), []);
    let problems = store.check_integrity().unwrap();
    let [problem] = problems[..] else {
        panic!("{problems:?}")
    };
    assert_eq!(
        (problem.table, problem.what),
        (HASHES.name, "it can't be found by its hash")
    );
    let (log, chain) = (problem.log.unwrap(), problem.chain.unwrap());
    let entry = store
        .entry(log, chain, problem.seq.unwrap())
        .unwrap()
        .unwrap();
    assert!(truth.lines().any(|(_, one)| *one == entry));
    let hidden = store.find(&entry.hash());
    assert!(hidden.is_err(), "it is not said to be unknown: {hidden:?}");
}

#[test]
fn each_kind_of_row_put_back_from_before_is_found() {
    let (folder, mut truth) = filled();
    let before: Vec<(Table, Vec<Row>)> = [LOGS, CACHES, META]
        .map(|table| (table, rows_of(&folder, table)))
        .into();
    let store = folder.open().unwrap();
    // Every row that is ever replaced is replaced, with the same content.
    let mut writer = Writer::new(log_id(1), 0x14);
    truth.entries.insert(17, writer.next(b"one more"));
    let again = truth.batch();
    store
        .commit(Batch {
            refused: Vec::new(),
            ..again
        })
        .unwrap();
    store.close().unwrap();
    for (table, rows) in before {
        for (key, value) in rows.into_iter().filter(|(key, _)| key != VERSION_ROW) {
            let copy = folder.copy_with(&folder.bytes());
            edit(&copy, table, &[(key.clone(), value)], &[]);
            if key == MANIFEST_ROW {
                // An older manifest: the mark beside the file knows better, and so do the rows.
                let store = folder.copy_with(&copy.bytes()).open().unwrap();
                assert!(!store.problems().is_empty());
                assert!(matches!(
                    store.commit(Batch::default()),
                    Err(StoreError::ReadOnly)
                ));
            } else {
                found(&copy, &truth, table, "a row put back");
            }
        }
    }
}

#[test]
fn a_problem_names_log_chain_and_position() {
    let (folder, truth) = filled();
    let entry = &truth.entries[14];
    let header = entry.header();
    let (headers, payloads) = (rows_of(&folder, HEADERS), rows_of(&folder, PAYLOADS));
    // One batch numbers its chains by their ids.
    let number = u32::from(header.chain > truth.entries[0].header().chain);
    let tag = Sealer::new(&storage_key()).log_tag(&header.log);
    let key = entry_key(&tag, number, header.seq);
    for (table, rows) in [(HEADERS, headers), (PAYLOADS, payloads)] {
        let (key, mut value) = rows.into_iter().find(|(other, _)| *other == key).unwrap();
        let copy = folder.copy_with(&folder.bytes());
        value[30] ^= 1;
        edit(&copy, table, &[(key, value)], &[]);
        let store = copy.open().unwrap();
        let problems = store.check_integrity().unwrap();
        let named = problems
            .iter()
            .find(|problem| problem.table == table.name)
            .unwrap();
        assert_eq!(
            (named.log, named.chain, named.seq),
            (Some(header.log), Some(header.chain), Some(header.seq))
        );
        let error = store
            .entry(header.log, header.chain, header.seq)
            .unwrap_err();
        let StoreError::Corrupt { what } = error else {
            panic!("{error}")
        };
        assert_eq!(what.to_string(), named.to_string());
        // The rest of the store is as usable as before, for writing too.
        assert_eq!(store.log_headers(log_id(2)).unwrap().len(), 8);
        store
            .commit(Batch {
                meta: vec![("x".into(), vec![1])],
                ..Batch::default()
            })
            .unwrap();
        if table == HEADERS {
            let (intact, problems) = store.log_headers_intact(header.log).unwrap();
            assert_eq!((intact.len(), problems.len()), (22, 1));
        }
    }
}

#[test]
fn a_damaged_row_of_the_index_leaves_the_others_readable() {
    let (folder, truth) = filled();
    let (key, mut value) = rows_of(&folder, CACHES).remove(0);
    value[40] ^= 1;
    edit(&folder, CACHES, &[(key, value)], &[]);
    let index = folder.open().unwrap().index_rows(&index_key()).unwrap();
    assert_eq!((index.rows.len(), index.damaged.len()), (2, 1));
    assert!(index.rows.iter().all(|row| truth.index_rows.contains(row)));
}

#[test]
fn a_lost_manifest_leaves_the_rows_readable_and_takes_no_more() {
    let (folder, truth) = filled();
    let (_, mut value) = rows_of(&folder, META)
        .into_iter()
        .find(|(key, _)| key == MANIFEST_ROW)
        .unwrap();
    value[30] ^= 1;
    edit(&folder, META, &[(MANIFEST_ROW.to_vec(), value)], &[]);
    let store = folder.open().unwrap();
    assert!(
        store
            .problems()
            .iter()
            .any(|problem| problem.what.contains("manifest"))
    );
    truth.check(&store);
    let last = &truth.entries[27];
    let header = last.header();
    let found = store.entry(header.log, header.chain, header.seq).unwrap();
    assert_eq!(found.as_ref(), Some(last));
    assert!(matches!(
        store.commit(Batch::default()),
        Err(StoreError::ReadOnly)
    ));
}

#[test]
fn a_newer_version_is_named_and_left_alone() {
    let (folder, _) = filled();
    edit(
        &folder,
        META,
        &[(VERSION_ROW.to_vec(), 3_u32.to_be_bytes().to_vec())],
        &[],
    );
    let error = folder.open().unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Version {
                found: 3,
                expected: 2
            }
        ),
        "{error}"
    );
}

#[test]
fn a_store_put_back_from_a_copy_is_found_and_opens_for_a_new_incarnation_only() {
    let (folder, truth) = filled();
    let copy = folder.bytes();
    let store = folder.open().unwrap();
    store
        .commit(Batch {
            meta: vec![("later".into(), vec![1])],
            ..Batch::default()
        })
        .unwrap();
    store.close().unwrap();
    std::fs::write(folder.path(), &copy).unwrap();
    let error = folder.open().unwrap_err();
    assert!(
        matches!(error, StoreError::SetBack { held: 2, seen: 3 }),
        "{error}"
    );
    let store = Store::open_restored(&folder.path(), &storage_key()).unwrap();
    assert_eq!(truth.check(&store), 0);
    drop(store);
    assert!(folder.open().is_ok(), "the mark is that of the copy now");
}

#[test]
fn a_mark_that_is_gone_is_said_until_a_new_incarnation_begins() {
    let gone = |store: &Store| {
        let mark = |problems: Vec<crate::Problem>| problems.iter().any(|one| one.table == "mark");
        let said = mark(store.problems());
        assert_eq!(mark(store.check_integrity().unwrap()), said);
        said
    };
    let (folder, truth) = filled();
    for remove in [true, false] {
        let store = folder.open().unwrap();
        assert!(!gone(&store));
        store.close().unwrap();
        match remove {
            true => std::fs::remove_file(folder.mark()).unwrap(),
            false => std::fs::write(folder.mark(), b"something else").unwrap(),
        }
        for _ in 0..2 {
            // There is a mark again, and what its loss means is not forgotten.
            let store = folder.open().unwrap();
            assert!(gone(&store) && !store.is_read_only());
            assert_eq!(truth.check(&store), 0);
            store.commit(Batch::default()).unwrap();
        }
        let store = Store::open_restored(&folder.path(), &storage_key()).unwrap();
        assert!(!gone(&store));
    }
    // While the store is open, too.
    let store = folder.open().unwrap();
    std::fs::remove_file(folder.mark()).unwrap();
    let problems = store.check_integrity().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    drop(store);
    assert!(gone(&folder.open().unwrap()));
}

/// Positions in the file: all of redb's header with the slots of its two last commits, and a spread
/// over the pages that hold something.
fn positions(bytes: &[u8], spread: usize) -> Vec<usize> {
    let used: Vec<usize> = (0..bytes.len() / 4_096)
        .filter(|page| bytes[page * 4_096..][..4_096].iter().any(|&byte| byte != 0))
        .collect();
    let mut seed = 42_u64;
    let rest = (0..spread).map(|_| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = usize::try_from(seed >> 33).unwrap();
        used[random % used.len()] * 4_096 + random / used.len() % 4_096
    });
    (0..320).chain(rest).collect()
}

fn flip_everywhere(
    folder: &Folder,
    truth: &Truth,
    bytes: &[u8],
    positions: &[usize],
) -> [usize; 3] {
    let mut seen = [0; 3];
    for (n, &at) in positions.iter().enumerate() {
        let mut changed = bytes.to_vec();
        changed[at] ^= if n % 2 == 0 { 1 << (n / 2 % 8) } else { 0xff };
        match folder.copy_with(&changed).open() {
            Ok(store) => {
                let damaged = !store.problems().is_empty();
                let read = truth.check(&store) > 0;
                seen[usize::from(damaged || read)] += 1;
                // Writing on may spread what is damaged, and makes no answer wrong.
                let more = vec![("more".into(), vec![1])];
                let done = store.commit(Batch {
                    meta: more,
                    ..Batch::default()
                });
                if done.is_ok() && n % 4 == 0 {
                    truth.check(&store);
                }
                if n % 16 == 0 || damaged || read {
                    // What reading finds, the check finds too, and then nothing more is written.
                    let problems = store.check_integrity().unwrap();
                    assert!(!problems.is_empty() || !damaged && !read, "byte {at}");
                    truth.check(&store);
                }
            }
            Err(
                StoreError::Corrupt { .. }
                | StoreError::SetBack { .. }
                | StoreError::Version { .. }
                | StoreError::WrongKey,
            ) => seen[2] += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    seen
}

#[test]
fn a_byte_flipped_anywhere_never_panics_and_never_gives_a_wrong_answer() {
    let (folder, truth) = filled();
    let bytes = folder.bytes();
    let [sound, damaged, refused] =
        flip_everywhere(&folder, &truth, &bytes, &positions(&bytes, 120));
    println!("closed: {sound} flips did not matter, {damaged} read-only, {refused} refused");
    assert!(damaged > 10 && refused > 10 && sound > 10);
}

/// The same for a file that was never closed, as a crash leaves it.
#[test]
fn a_byte_flipped_in_a_crashed_file_never_panics_and_never_gives_a_wrong_answer() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store
        .commit(Batch {
            meta: vec![("first".into(), vec![1])],
            ..Batch::default()
        })
        .unwrap();
    store.commit(truth.batch()).unwrap();
    let bytes = folder.bytes();
    let some: Vec<usize> = positions(&bytes, 90).into_iter().step_by(3).collect();
    let [sound, damaged, refused] = flip_everywhere(&folder, &truth, &bytes, &some);
    println!("crashed: {sound} flips did not matter, {damaged} read-only, {refused} refused");
    assert!(refused > 10 && sound > 10);
    drop(store);
}

/// One bit of redb's header chooses between the last commit and the one before.
#[test]
fn a_crashed_file_set_back_by_one_bit_is_found() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store
        .commit(Batch {
            meta: vec![("first".into(), vec![1])],
            ..Batch::default()
        })
        .unwrap();
    store.commit(truth.batch()).unwrap();
    let mut bytes = folder.bytes();
    assert_eq!(truth.check(&folder.copy_with(&bytes).open().unwrap()), 0);
    bytes[9] ^= 1;
    let error = folder.copy_with(&bytes).open().unwrap_err();
    assert!(
        matches!(error, StoreError::SetBack { held: 2, seen: 3 }),
        "{error}"
    );
}

/// Pages that change under an open store.
#[cfg(unix)]
#[test]
fn bytes_flipped_under_an_open_store_are_found() {
    use std::os::unix::fs::FileExt;
    let (folder, truth) = filled();
    let bytes = folder.bytes();
    let mut found = 0;
    for at in positions(&bytes, 20).split_off(320) {
        let copy = folder.copy_with(&bytes);
        let store = copy.open().unwrap();
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(copy.path())
            .unwrap();
        file.write_all_at(&[bytes[at] ^ 0x10], at as u64).unwrap();
        truth.check(&store);
        found += usize::from(!store.check_integrity().unwrap().is_empty());
        truth.check(&store);
    }
    println!("{found} of 20 flips hit something");
    assert!(found > 5);
}

#[test]
fn the_last_table_is_covered_by_these_tests() {
    assert_eq!(
        TABLES,
        [
            META, LOGS, HEADERS, PAYLOADS, HASHES, CACHES, TREE, REFUSED, STATEMENTS
        ]
    );
}
