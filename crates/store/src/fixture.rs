//! What the tests of this crate share: a writer of entries, a filled store, a disk to play with.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use redb::backends::FileBackend;
use salus_audit::{ChainId, Draft, Entry, EntryHash, Kind, LogId, Position, Scope, SigningKey};
use salus_vault::{IndexKey, StorageKey};

use crate::batch::Batch;
use crate::error::StoreError;
use crate::medium::Medium;
use crate::read::Line;
use crate::store::Store;

pub(crate) fn log_id(n: u8) -> LogId {
    LogId::from_bytes([n; 32])
}

pub(crate) fn storage_key() -> StorageKey {
    StorageKey::from_bytes([0x51; 32])
}

pub(crate) fn index_key() -> IndexKey {
    IndexKey::from_bytes([0x52; 32])
}

/// Writes one chain of one log.
pub(crate) struct Writer {
    log: LogId,
    actor: SigningKey,
    chain: SigningKey,
    position: Position,
}

impl Writer {
    pub(crate) fn new(log: LogId, chain: u8) -> Self {
        let chain = SigningKey::from_seed([chain; 32]);
        let position = Position {
            chain: chain.chain(),
            seq: 0,
            prev: None,
            tree_index: 0,
        };
        Self {
            log,
            actor: SigningKey::from_seed([0xac; 32]),
            chain,
            position,
        }
    }

    /// A writer that goes on after an entry of the same chain, as one that lies does.
    pub(crate) fn after(chain: u8, before: &Entry) -> Self {
        let mut writer = Self::new(before.header().log, chain);
        assert_eq!(writer.position.chain, before.header().chain);
        writer.position.seq = before.header().seq + 1;
        writer.position.tree_index = before.header().tree_index + 1;
        writer.position.prev = Some(before.hash());
        writer
    }

    pub(crate) fn next(&mut self, payload: &[u8]) -> Entry {
        self.next_of(Kind::Edit, payload)
    }

    pub(crate) fn next_of(&mut self, kind: Kind, payload: &[u8]) -> Entry {
        let sealed = !kind.is_clear();
        let draft = Draft {
            log: self.log,
            parents: Vec::new(),
            authority: Vec::new(),
            kind,
            scope: sealed.then_some(Scope::Note),
            epoch: sealed.then_some(EntryHash::from_bytes([0xe0; 32])),
            blobs: Vec::new(),
            time_ms: 1_700_000_000_000,
            actor: self.actor.actor(),
        };
        let entry = draft
            .sign(self.position, payload.to_vec(), &self.actor, &self.chain)
            .unwrap();
        self.position.seq += 1;
        self.position.tree_index += 1;
        self.position.prev = Some(entry.hash());
        entry
    }

    pub(crate) fn many(&mut self, count: usize, payload_bytes: usize) -> Vec<Entry> {
        (0..count)
            .map(|n| self.next(&vec![n.to_le_bytes()[0] | 1; payload_bytes]))
            .collect()
    }
}

/// A folder with a store in it, gone when dropped.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        // In memory where the system has a folder there: hundreds of stores are opened, and each
        // waits for the disk several times.
        let in_memory = tempfile::tempdir_in("/dev/shm");
        Self {
            folder: in_memory.or_else(|_| tempfile::tempdir()).unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.redb")
    }

    pub(crate) fn mark(&self) -> PathBuf {
        self.folder.path().join("store.redb.mark")
    }

    pub(crate) fn create(&self) -> Store {
        Store::create(&self.path(), &storage_key()).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.path(), &storage_key())
    }

    /// Another folder with these bytes as its store, and the same mark.
    pub(crate) fn copy_with(&self, bytes: &[u8]) -> Folder {
        let copy = Folder::new();
        std::fs::write(copy.path(), bytes).unwrap();
        std::fs::copy(self.mark(), copy.mark()).unwrap();
        copy
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
}

/// What a store was given, to compare with what it gives.
#[derive(Default)]
pub(crate) struct Truth {
    pub entries: Vec<Entry>,
    pub forks: Vec<(ChainId, Entry)>,
    pub statements: Vec<(LogId, ChainId, Vec<u8>)>,
    pub summaries: Vec<(LogId, Vec<u8>)>,
    pub index_rows: Vec<(LogId, Vec<u8>)>,
    pub snapshots: Vec<(LogId, Vec<u8>)>,
    pub dirty: Vec<LogId>,
    pub leaves: Vec<[u8; 32]>,
    pub refused: Vec<(EntryHash, Vec<u8>)>,
    pub meta: Vec<(String, Vec<u8>)>,
    pub secrets: Vec<(String, Vec<u8>)>,
}

impl Truth {
    /// Three logs, two chains in the first, forks of one, everything that can be kept.
    pub(crate) fn example() -> Self {
        let mut entries = Writer::new(log_id(1), 0x11).many(12, 300);
        entries.extend(Writer::new(log_id(1), 0x12).many(5, 2_000));
        entries.extend(Writer::new(log_id(2), 0x11).many(8, 40));
        entries.extend(Writer::new(log_id(3), 0x13).many(3, 9_000));
        let logs = [1, 2, 3].map(log_id);
        let line = |n| ChainId::from_bytes([n; 32]);
        let fork = |n, entries: Vec<Entry>| entries.into_iter().map(move |entry| (line(n), entry));
        let first = Writer::after(0x11, &entries[4]).many(3, 100);
        let second = Writer::after(0x11, &first[1]).many(2, 50);
        let mut forks: Vec<_> = fork(0xf1, first).chain(fork(0xf2, second)).collect();
        forks.extend(fork(0xf3, Writer::new(log_id(1), 0x12).many(1, 60)));
        let text = |what: &str, log: &LogId| format!("{what} of {log}: Maria Musterfrau").into();
        Self {
            leaves: entries.iter().map(Entry::leaf).collect(),
            statements: vec![
                (logs[0], entries[0].header().chain, b"a statement".to_vec()),
                (logs[0], line(9), b"another statement".to_vec()),
                (logs[1], entries[0].header().chain, vec![7; 512]),
            ],
            entries,
            forks,
            summaries: logs
                .iter()
                .map(|log| (*log, text("summary", log)))
                .collect(),
            index_rows: logs
                .iter()
                .map(|log| (*log, text("index row", log)))
                .collect(),
            snapshots: logs[..2]
                .iter()
                .map(|log| (*log, text("snapshot", log)))
                .collect(),
            dirty: vec![logs[2]],
            refused: (0..3)
                .map(|n| (EntryHash::from_bytes([n; 32]), vec![n; 10]))
                .collect(),
            meta: vec![
                ("peers".into(), b"a list".to_vec()),
                ("name".into(), b"Praxis".to_vec()),
            ],
            secrets: vec![("drafts".into(), b"Maria Musterfrau".to_vec())],
        }
    }

    pub(crate) fn batch(&self) -> Batch {
        let some = |rows: &[(LogId, Vec<u8>)]| {
            rows.iter()
                .map(|(log, row)| (*log, Some(row.clone())))
                .collect()
        };
        Batch {
            entries: self.entries.clone(),
            forks: self.forks.clone(),
            statements: self.statements.clone(),
            detach: Vec::new(),
            own_leaves: (0..).zip(self.leaves.iter().copied()).collect(),
            restart_tree: false,
            summaries: self.summaries.clone(),
            index_rows: some(&self.index_rows),
            snapshots: some(&self.snapshots),
            index_key: Some(index_key()),
            dirty: self.dirty.clone(),
            clean: Vec::new(),
            refused: self.refused.clone(),
            meta: self.meta.clone(),
            secrets: self.secrets.clone(),
        }
    }

    /// Every entry with its line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (ChainId, &Entry)> {
        let trunks = self
            .entries
            .iter()
            .map(|entry| (entry.header().chain, entry));
        trunks.chain(self.forks.iter().map(|(line, entry)| (*line, entry)))
    }

    fn of(&self, log: LogId) -> impl Iterator<Item = (ChainId, Entry)> {
        self.lines()
            .filter(move |(_, entry)| entry.header().log == log)
            .map(|(line, entry)| (line, entry.clone()))
    }

    pub(crate) fn heights(&self, log: LogId) -> BTreeMap<ChainId, Line> {
        let mut heights = BTreeMap::new();
        for (line, entry) in self.of(log) {
            let seq = entry.header().seq;
            let height = heights.entry(line).or_insert(Line {
                from: seq,
                next: seq,
                tip: entry.hash(),
            });
            if seq >= height.next {
                (height.next, height.tip) = (seq + 1, entry.hash());
            }
            height.from = height.from.min(seq);
        }
        heights
    }

    /// Asks everything; each answer has to be the truth, or an error. Lists may be shorter in a
    /// store that said it is damaged. Gives the number of errors.
    pub(crate) fn check(&self, store: &Store) -> usize {
        let mut errors = 0;
        let damaged = !store.problems().is_empty();
        let mut expect = |right: Result<bool, StoreError>, what: &str| match right {
            Ok(right) => assert!(right, "a wrong answer: {what}"),
            Err(StoreError::Corrupt { .. }) => errors += 1,
            Err(error) => panic!("{what}: {error}"),
        };
        let lookup = |rows: &[(LogId, Vec<u8>)], log: LogId| {
            rows.iter()
                .find(|(of, _)| *of == log)
                .map(|(_, row)| row.clone())
        };
        let list = |found: &[(LogId, Vec<u8>)], truth: &[(LogId, Vec<u8>)]| {
            found.iter().all(|row| truth.contains(row)) && (damaged || found.len() == truth.len())
        };
        let key = index_key();
        for n in 1..=4 {
            let log = log_id(n);
            let bare = by_line(
                self.of(log)
                    .map(|(line, entry)| (line, entry.without_payload())),
            );
            expect(
                store.log_headers(log).map(|found| by_line(found) == bare),
                "headers",
            );
            expect(
                store.log_headers_intact(log).map(|(found, problems)| {
                    found.iter().all(|entry| bare.contains(entry))
                        && (found.len() == bare.len() || !problems.is_empty())
                }),
                "intact headers",
            );
            let replay = by_line(self.of(log).map(|(line, entry)| {
                let clear = entry.header().kind.is_clear();
                let entry = if clear {
                    entry
                } else {
                    entry.without_payload()
                };
                (line, entry)
            }));
            expect(
                store
                    .log_entries_for_replay(log)
                    .map(|found| by_line(found) == replay),
                "entries for replay",
            );
            expect(
                store.heights(log).map(|found| found == self.heights(log)),
                "heights",
            );
            expect(
                store.statements(log).map(|found| {
                    let truth = self.statements.iter().filter(|(of, ..)| *of == log);
                    let truth: Vec<_> = truth.map(|(_, of, said)| (*of, said.clone())).collect();
                    by_line(found) == by_line(truth)
                }),
                "statements",
            );
            expect(
                store
                    .summary(log)
                    .map(|row| row == lookup(&self.summaries, log)),
                "summary",
            );
            expect(
                store
                    .snapshot(log, &key)
                    .map(|row| row == lookup(&self.snapshots, log)),
                "snapshot",
            );
        }
        for (line, entry) in self.lines() {
            let header = entry.header();
            let (log, seq) = (header.log, header.seq);
            let found = store.entry(log, line, seq);
            expect(found.map(|found| found.as_ref() == Some(entry)), "entry");
            let found = store.find(&entry.hash());
            expect(found.map(|found| found == Some((log, line, seq))), "find");
        }
        for (log, chain, said) in &self.statements {
            expect(
                store
                    .statement(*log, *chain)
                    .map(|found| found.as_ref() == Some(said)),
                "statement",
            );
        }
        let nowhere = store.find(&EntryHash::from_bytes([0xee; 32]));
        expect(nowhere.map(|found| found.is_none()), "find nothing");
        expect(
            store.summaries().map(|found| list(&found, &self.summaries)),
            "summaries",
        );
        expect(
            store.index_rows(&key).map(|found| {
                let missing = self.index_rows.len() - found.rows.len();
                found.rows.iter().all(|row| self.index_rows.contains(row))
                    && (damaged || missing == found.damaged.len())
            }),
            "index rows",
        );
        expect(
            store
                .own_leaves(..)
                .map(|found| found == self.leaves || damaged),
            "leaves",
        );
        let tree = self.leaves.iter().copied().collect();
        expect(store.own_tree().map(|found| found == tree), "tree");
        expect(
            store
                .refused()
                .map(|found| found == self.refused || damaged),
            "refused",
        );
        for (name, value) in &self.meta {
            expect(
                store.meta(name).map(|found| found.as_ref() == Some(value)),
                "meta",
            );
        }
        for (name, value) in &self.secrets {
            expect(
                store
                    .secret(name, &key)
                    .map(|found| found.as_ref() == Some(value)),
                "secret",
            );
        }
        expect(
            store.meta("nothing").map(|found| found.is_none()),
            "no meta",
        );
        let dirty = store.dirty_logs();
        assert!(dirty == self.dirty || damaged && dirty.iter().all(|log| self.dirty.contains(log)));
        errors
    }
}

/// Lines come in any order, and each in its own.
pub(crate) fn by_line<T>(rows: impl IntoIterator<Item = (ChainId, T)>) -> Vec<(ChainId, T)> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(line, _)| *line);
    rows
}

/// A disk that is full when a test says so, and that remembers what was written to it.
#[derive(Debug)]
pub(crate) struct Disk {
    room: AtomicU64,
    read_only: AtomicBool,
    pub ops: Mutex<Vec<Op>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// A commit returned: everything before was promised.
    Promise(u64),
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            room: AtomicU64::new(u64::MAX),
            read_only: AtomicBool::new(false),
            ops: Mutex::default(),
        })
    }

    pub(crate) fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    /// What the system would say of opening the file.
    pub(crate) fn may_open(&self, write: bool) -> io::Result<()> {
        match write && self.read_only.load(Ordering::Relaxed) {
            true => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
            false => Ok(()),
        }
    }

    pub(crate) fn medium(self: &Arc<Self>, path: &Path) -> Medium {
        Medium::Test(path.to_owned(), self.clone())
    }

    pub(crate) fn log(&self, op: Op) {
        self.ops.lock().unwrap().push(op);
    }
}

#[derive(Debug)]
pub(crate) struct TestBackend {
    file: FileBackend,
    disk: Arc<Disk>,
}

impl TestBackend {
    pub(crate) fn new(file: FileBackend, disk: Arc<Disk>) -> Self {
        Self { file, disk }
    }

    fn check(&self, end: u64) -> io::Result<()> {
        if end > self.disk.room.load(Ordering::Relaxed) && end > self.file.len()? {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for TestBackend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(len)?;
        self.disk.log(Op::SetLen(len));
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.log(Op::Sync);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset + data.len() as u64)?;
        self.disk.log(Op::Write(offset, data.to_vec()));
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
