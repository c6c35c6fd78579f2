//! Power cuts: a disk that loses, or tears, any of the writes that it was not told to keep yet.

use std::collections::BTreeSet;
use std::fs;

use salus_audit::Entry;

use crate::fixture::{Disk, Folder, Op, Truth, Writer, log_id, storage_key};
use crate::medium::Medium;
use crate::{Batch, Store, restore, v1_tests};

/// What a disk writes whole, in bytes.
const SECTOR: usize = 512;

/// Commits that are cut.
const ROUNDS: u64 = 9;

/// The states that a power cut can leave, each at most once.
struct Cuts {
    kept: Vec<u8>,
    loose: Vec<Op>,
    seed: u64,
    seen: BTreeSet<[u8; 32]>,
}

impl Cuts {
    fn new(start: Vec<u8>) -> Self {
        Self {
            kept: start,
            loose: Vec::new(),
            seed: 1,
            seen: BTreeSet::new(),
        }
    }

    fn chance(&mut self) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.seed >> 33).unwrap()
    }

    /// The disk does one thing more.
    fn step(&mut self, op: &Op) {
        match op {
            Op::Sync => {
                for op in std::mem::take(&mut self.loose) {
                    apply(&mut self.kept, &op);
                }
            }
            op => self.loose.push(op.clone()),
        }
    }

    /// What may be there after a cut now: all loose writes lost, all there, some of them, and some of
    /// them with torn ones among them.
    fn images(&mut self) -> Vec<Vec<u8>> {
        let mut images = Vec::new();
        for lost in 0..4 {
            let mut image = self.kept.clone();
            for op in self.loose.clone() {
                let there = lost == 1 || lost > 1 && self.chance().is_multiple_of(2);
                match op {
                    Op::Write(offset, data) if lost == 3 && there => {
                        // A part of its sectors, from the front or from the back.
                        let sectors = data.len().div_ceil(SECTOR);
                        let cut = self.chance() % (sectors + 1) * SECTOR;
                        let cut = cut.min(data.len());
                        match self.chance().is_multiple_of(2) {
                            true => apply(&mut image, &Op::Write(offset, data[..cut].to_vec())),
                            false => apply(
                                &mut image,
                                &Op::Write(offset + cut as u64, data[cut..].to_vec()),
                            ),
                        }
                    }
                    op if there => apply(&mut image, &op),
                    _ => {}
                }
            }
            if self.seen.insert(*blake3::hash(&image).as_bytes()) {
                images.push(image);
            }
        }
        images
    }
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, data) => {
            let start = usize::try_from(*offset).unwrap();
            let end = start + data.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[start..end].copy_from_slice(data);
        }
        Op::SetLen(len) => image.resize(usize::try_from(*len).unwrap(), 0),
        Op::Sync | Op::Promise(_) => {}
    }
}

/// A folder with this image as its store and a mark that saw so many commits.
fn folder_with(image: &[u8], mark: &[u8]) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path(), image).unwrap();
    fs::write(folder.mark(), mark).unwrap();
    folder
}

#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_promised() {
    let (folder, disk) = (Folder::new(), Disk::new());
    let store = Store::create_in(disk.medium(&folder.path()), &storage_key()).unwrap();
    let mut marks = vec![fs::read(folder.mark()).unwrap()];
    disk.log(Op::Promise(0));
    let mut writer = Writer::new(log_id(1), 1);
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        let more = writer.many(20, 700);
        let own_leaves = (all.len() as u64..)
            .zip(more.iter().map(Entry::leaf))
            .collect();
        store
            .commit(Batch {
                entries: more.clone(),
                own_leaves,
                ..Batch::default()
            })
            .unwrap();
        all.extend(more);
        marks.push(fs::read(folder.mark()).unwrap());
        disk.log(Op::Promise(round));
    }
    drop(store);
    let ops = disk.ops.lock().unwrap().clone();

    let mut cuts = Cuts::new(Vec::new());
    let (mut promised, mut points) = (None, 0);
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Promise(rounds) => promised = Some(usize::try_from(*rounds).unwrap()),
            op => cuts.step(op),
        }
        let Some(promised) = promised else { continue };
        for image in cuts.images() {
            points += 1;
            // The mark may lag behind, and never runs ahead.
            let mark = &marks[promised.saturating_sub(points % 2)];
            let cut = folder_with(&image, mark);
            let store = cut
                .open()
                .unwrap_or_else(|error| panic!("cut {at}: {error}"));
            assert_eq!(store.problems(), [], "cut {at}");
            let held = store.log_headers(log_id(1)).unwrap().len();
            assert!(
                held >= 20 * promised && held.is_multiple_of(20),
                "cut {at}: {held} entries"
            );
            let leaves: Vec<_> = all[..held].iter().map(Entry::leaf).collect();
            assert_eq!(store.own_leaves(..).unwrap(), leaves);
            let tree = leaves.iter().copied().collect();
            assert_eq!(store.own_tree().unwrap(), tree);
            if points % 8 == 0 {
                let entries = all.clone();
                store
                    .commit(Batch {
                        entries,
                        ..Batch::default()
                    })
                    .unwrap();
                assert_eq!(
                    store.log_headers(log_id(1)).unwrap().len() as u64,
                    20 * ROUNDS
                );
                assert_eq!(store.check_integrity().unwrap(), []);
            }
        }
    }
    println!("{points} states");
    assert!(points > 500, "{points}");
}

#[test]
fn a_power_cut_at_any_moment_of_an_upgrade_leaves_a_store_of_either_version() {
    let (folder, disk) = (v1_tests::folder(), Disk::new());
    let (start, mark) = (folder.bytes(), fs::read(folder.mark()).unwrap());
    drop(Store::open_in(disk.medium(&folder.path()), &storage_key(), false).unwrap());
    let mut cuts = Cuts::new(start);
    let mut points = 0;
    for op in disk.ops.lock().unwrap().iter() {
        cuts.step(op);
        for image in cuts.images() {
            points += 1;
            let cut = folder_with(&image, &mark);
            let store = cut.open().unwrap();
            assert_eq!(v1_tests::truth().check(&store), 0);
            if points % 4 == 0 {
                assert_eq!(store.check_integrity().unwrap(), []);
            }
        }
    }
    println!("{points} states");
    assert!(points > 30, "{points}");
}

#[test]
fn a_power_cut_during_a_restore_leaves_nothing_or_all_of_it() {
    let (folder, truth) = (Folder::new(), Truth::example());
    let store = folder.create();
    store.commit(truth.batch()).unwrap();
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    // Everything is on the disk before the file gets the store's name.
    let (other, disk) = (Folder::new(), Disk::new());
    let medium: Medium = disk.medium(&other.path());
    restore::build(medium, &storage_key(), &mut &backup[..]).unwrap();
    let ops = disk.ops.lock().unwrap().clone();
    let mut cuts = Cuts::new(Vec::new());
    ops.iter().for_each(|op| cuts.step(op));
    let built = folder_with(&cuts.kept, &[]);
    let store = Store::open_restored(&built.path(), &storage_key()).unwrap();
    assert_eq!(truth.check(&store), 0);
    assert_eq!(store.check_integrity().unwrap(), []);
    // Whatever a cut leaves of the unfinished file is not taken for a store, and not in the way.
    let mut cuts = Cuts::new(Vec::new());
    let mut points = 0;
    for (at, op) in ops.iter().enumerate() {
        cuts.step(op);
        for image in cuts.images().into_iter().filter(|_| at % 5 == 0) {
            points += 1;
            let folder = Folder::new();
            let mut part = folder.path().into_os_string();
            part.push(".restoring");
            fs::write(part, &image).unwrap();
            assert!(folder.open().is_err());
            let restored =
                Store::restore(&folder.path(), &storage_key(), &mut &backup[..]).unwrap();
            assert_eq!(truth.check(&restored), 0);
        }
    }
    assert!(points > 20, "{points}");
}

#[test]
fn a_backup_writes_nothing_to_the_store() {
    let (folder, disk) = (Folder::new(), Disk::new());
    let store = Store::create_in(disk.medium(&folder.path()), &storage_key()).unwrap();
    store.commit(Truth::example().batch()).unwrap();
    let before = disk.ops.lock().unwrap().len();
    store.backup(&mut Vec::new()).unwrap();
    assert_eq!(disk.ops.lock().unwrap().len(), before);
}
