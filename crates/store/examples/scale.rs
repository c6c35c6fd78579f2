//! Figures of a large store, each in a process of its own so that memory can be told apart:
//!
//! ```sh
//! cargo run --release -p salus-store --example scale -- make /tmp/scale 50000 20
//! cargo run --release -p salus-store --example scale -- open /tmp/scale
//! ```
//!
//! `make` fills a store (logs, entries in each), `open` opens and reads what a node reads at its
//! start, `check` verifies everything, `entries` reads all logs, `commit` adds batches and single
//! rows, `backup` and `restore` copy it, `crash` leaves it as a killed process does and opens it.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::unwrap_used, reason = "what goes wrong ends it")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use salus_audit::{Draft, Entry, EntryHash, Kind, LogId, Position, Scope, SigningKey};
use salus_store::{Batch, Store};
use salus_vault::{IndexKey, StorageKey};

/// Entries of one batch.
const BATCH: usize = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(&args[1]);
    let number = |at: usize, default: u64| args.get(at).map_or(default, |n| n.parse().unwrap());
    let path = folder.join("store.redb");
    match args[0].as_str() {
        "make" => make(&path, number(2, 50_000), number(3, 20)),
        "open" => open(&path),
        "check" => check(&path),
        "entries" => entries(&path),
        "commit" => commit(&path),
        "backup" => backup(&path, &folder.join("backup")),
        "restore" => restore(&folder.join("restored.redb"), &folder.join("backup")),
        "crash" => crash(&path, &folder.join("crashed.redb")),
        other => println!("unknown: {other}"),
    }
    println!("most memory: {} MB", status("VmHWM") / 1024);
}

fn storage_key() -> StorageKey {
    StorageKey::from_bytes([1; 32])
}

fn index_key() -> IndexKey {
    IndexKey::from_bytes([2; 32])
}

/// A line of this process's status, in KB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.map_or(0, |number| number.parse().unwrap())
}

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = act();
    println!(
        "{what}: {:.3} s, memory {} MB",
        start.elapsed().as_secs_f64(),
        status("VmRSS") / 1024
    );
    done
}

/// The entries of a log from `from` on, of one chain.
fn entries_of(log: u64, from: &[Entry], count: u64, keys: &[SigningKey; 2]) -> Vec<Entry> {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&log.to_be_bytes());
    let mut position = Position {
        chain: keys[1].chain(),
        seq: from.len() as u64,
        prev: from.last().map(Entry::hash),
        tree_index: log * 1_000 + from.len() as u64,
    };
    (0..count)
        .map(|n| {
            let draft = Draft {
                log: LogId::from_bytes(id),
                parents: Vec::new(),
                authority: vec![EntryHash::from_bytes([3; 32])],
                kind: Kind::Edit,
                scope: Some(Scope::Note),
                epoch: Some(EntryHash::from_bytes([4; 32])),
                blobs: Vec::new(),
                time_ms: 1_700_000_000_000 + n,
                actor: keys[0].actor(),
            };
            let entry = draft
                .sign(position, vec![5; 296], &keys[0], &keys[1])
                .unwrap();
            position.seq += 1;
            position.tree_index += 1;
            position.prev = Some(entry.hash());
            entry
        })
        .collect()
}

fn batch_of(logs: std::ops::Range<u64>, count: u64, leaves: u64) -> Batch {
    let keys = [1, 2].map(|n| SigningKey::from_seed([n; 32]));
    let half = logs.start + (logs.end - logs.start) / 2;
    let make = |logs: std::ops::Range<u64>| -> Vec<Entry> {
        logs.flat_map(|log| entries_of(log, &[], count, &keys))
            .collect()
    };
    let entries = std::thread::scope(|scope| {
        let second = scope.spawn(|| make(half..logs.end));
        let mut first = make(logs.start..half);
        first.extend(second.join().unwrap());
        first
    });
    let mut ids: Vec<LogId> = entries.iter().map(|entry| entry.header().log).collect();
    ids.dedup();
    let rows = |bytes: usize| ids.iter().map(|log| (*log, Some(vec![7; bytes]))).collect();
    Batch {
        own_leaves: (leaves..).zip(entries.iter().map(Entry::leaf)).collect(),
        entries,
        summaries: ids.iter().map(|log| (*log, vec![6; 150])).collect(),
        index_rows: rows(160),
        snapshots: rows(1_500),
        index_key: Some(index_key()),
        ..Batch::default()
    }
}

fn make(path: &Path, logs: u64, count: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let store = Store::create(path, &storage_key()).unwrap();
    let step = (BATCH as u64 / count).max(1);
    let (mut seconds, mut at) = (0.0, 0);
    let mut slowest: f64 = 0.0;
    while at < logs {
        let end = logs.min(at + step);
        let batch = batch_of(at..end, count, store.own_tree_size());
        let start = Instant::now();
        store.commit(batch).unwrap();
        let took = start.elapsed().as_secs_f64();
        seconds += took;
        slowest = slowest.max(took);
        at = end;
    }
    let entries = (logs * count) as f64;
    println!(
        "commit: {:.0} entries/s, slowest {slowest:.3} s",
        entries / seconds
    );
    timed("close", || store.close().unwrap());
    let size = std::fs::metadata(path).unwrap().len();
    println!(
        "file: {} MB, {:.0} bytes an entry",
        size / 1_000_000,
        size as f64 / entries
    );
}

fn open(path: &Path) {
    let store = timed("open", || Store::open(path, &storage_key()).unwrap());
    println!("problems: {:?}", store.problems());
    timed("summaries", || store.summaries().unwrap().len());
    timed("index rows", || {
        store.index_rows(&index_key()).unwrap().rows.len()
    });
    timed("own tree", || store.own_tree().unwrap().size());
    timed("a miss", || {
        store.find(&EntryHash::from_bytes([0; 32])).unwrap()
    });
    timed("a second miss", || {
        store.find(&EntryHash::from_bytes([0; 32])).unwrap()
    });
    timed("close", || store.close().unwrap());
}

fn check(path: &Path) {
    let store = timed("open", || Store::open(path, &storage_key()).unwrap());
    let mut entries = 0;
    let start = Instant::now();
    let problems = store
        .check_integrity_with(|_, log| {
            entries += log.len();
            ControlFlow::Continue(())
        })
        .unwrap();
    let took = start.elapsed().as_secs_f64();
    println!(
        "check: {took:.1} s, {:.0} entries/s, {problems:?}",
        entries as f64 / took
    );
    let start = Instant::now();
    store
        .each_own_leaf(.., |_, _| ControlFlow::Continue(()))
        .unwrap();
    println!("leaves: {:.1} s", start.elapsed().as_secs_f64());
}

fn entries(path: &Path) {
    let store = timed("open", || Store::open(path, &storage_key()).unwrap());
    let logs = store.logs();
    let start = Instant::now();
    let count: usize = logs
        .iter()
        .map(|log| store.log_entries_for_replay(*log).unwrap().len())
        .sum();
    let took = start.elapsed().as_secs_f64();
    println!("entries: {took:.1} s, {:.0}/s", count as f64 / took);
}

fn commit(path: &Path) {
    let store = timed("open", || Store::open(path, &storage_key()).unwrap());
    let first = store.logs().len() as u64 + 1_000_000;
    let rounds = 6;
    let mut seconds = 0.0;
    for round in 0..rounds {
        let logs = first + round * 250..first + (round + 1) * 250;
        let batch = batch_of(logs, 20, store.own_tree_size());
        let start = Instant::now();
        store.commit(batch).unwrap();
        seconds += start.elapsed().as_secs_f64();
    }
    println!("commit: {:.0} entries/s", (rounds * 5_000) as f64 / seconds);
    let mut batches: Vec<Batch> = (0..200)
        .map(|n| batch_of(first + 10_000 + n..first + 10_001 + n, 1, 0))
        .collect();
    let start = Instant::now();
    for mut batch in batches.drain(..) {
        batch.own_leaves[0].0 = store.own_tree_size();
        store.commit(batch).unwrap();
    }
    println!(
        "commits of one entry: {:.0}/s",
        200.0 / start.elapsed().as_secs_f64()
    );
}

fn backup(path: &Path, to: &Path) {
    let store = timed("open", || Store::open(path, &storage_key()).unwrap());
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(to).unwrap());
    let stats = timed("backup", || store.backup(&mut out).unwrap());
    println!("{stats:?}");
}

fn restore(path: &Path, from: &Path) {
    let _ = std::fs::remove_file(path);
    let file = std::fs::File::open(from).unwrap();
    let mut input = std::io::BufReader::with_capacity(1 << 20, file);
    let store = timed("restore", || {
        Store::restore(path, &storage_key(), &mut input).unwrap()
    });
    println!("{} entries, {:?}", store.entry_count(), store.problems());
    drop(store);
    println!(
        "file: {} MB",
        std::fs::metadata(path).unwrap().len() / 1_000_000
    );
}

fn crash(path: &Path, copy: &Path) {
    let store = Store::open(path, &storage_key()).unwrap();
    let first = 2_000_000 + store.entry_count();
    store
        .commit(batch_of(first..first + 1, 20, store.own_tree_size()))
        .unwrap();
    std::fs::copy(path, copy).unwrap();
    let mark = |path: &Path| PathBuf::from(format!("{}.mark", path.display()));
    std::fs::copy(mark(path), mark(copy)).unwrap();
    let opened = timed("open after a crash", || {
        Store::open(copy, &storage_key()).unwrap()
    });
    println!("problems: {:?}", opened.problems());
}
