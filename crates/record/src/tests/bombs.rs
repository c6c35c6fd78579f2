//! Changes that are small and would like to be large.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU64;
use std::process::{Command, Stdio};

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, Change as AmChange, ExpandedChange, ObjId, ObjType, ScalarValue};

use super::*;
use crate::read::Roots;

/// A change by actor 1 on top of a record.
fn crafted(record: &Record, operations: Vec<Op>) -> Vec<u8> {
    let head = record.heads()[0];
    let start = record.change_meta(&head).unwrap().max_op + 1;
    let change = ExpandedChange {
        operations,
        actor_id: ActorId::from(actor(1).as_slice()),
        hash: None,
        seq: 1,
        start_op: NonZeroU64::new(start).unwrap(),
        time: 0,
        message: None,
        author: None,
        deps: vec![automerge::ChangeHash(head)],
        extra_bytes: Vec::new(),
    };
    AmChange::from(change).raw_bytes().to_vec()
}

fn op(action: OpType, obj: ObjectId, key: Key, pred: Vec<OpId>) -> Op {
    let insert = false;
    let pred: SortedVec<OpId> = pred.into();
    Op {
        action,
        obj,
        key,
        pred,
        insert,
    }
}

/// The worst that passes: by name, with as many operations as the bounds let through.
fn bombs(record: &Record) -> Vec<(&'static str, Vec<u8>)> {
    let me = ActorId::from(actor(1).as_slice());
    let start = record.change_meta(&record.heads()[0]).unwrap().max_op + 1;
    let own = |n: u64| OpId(start + n, me.clone());
    let roots = Roots::of(&record.doc).unwrap();
    let root = |collection| match roots.get(collection) {
        ObjId::Id(counter, by, _) => ObjectId::Id(OpId(*counter, by.clone())),
        ObjId::Root => panic!("no root"),
    };
    let key = |k: &str| Key::Map(k.into());
    let few = MAX_CHANGE_VALUES;
    let objects = MAX_CHANGE_OBJECTS;
    let null = || OpType::Put(ScalarValue::Null);
    let make = |kind| OpType::Make(kind);
    let mut bombs = Vec::new();
    // One key, overwritten again and again.
    let chain = (0..few).map(|n| {
        let pred = n.checked_sub(1).map(own).into_iter().collect();
        op(null(), ObjectId::Root, key("x"), pred)
    });
    bombs.push(("overwritten", crafted(record, chain.collect())));
    // One field with very many concurrent values.
    let item = || {
        op(
            make(ObjType::Map),
            root(Collection::Conditions),
            key("c"),
            Vec::new(),
        )
    };
    let field = |k: &str| op(null(), ObjectId::Id(own(0)), key(k), Vec::new());
    let values = std::iter::once(item()).chain((1..few).map(|_| field("note")));
    bombs.push(("values", crafted(record, values.collect())));
    // One item that was created very many times.
    let items = (0..objects).map(|_| item());
    bombs.push(("twins", crafted(record, items.collect())));
    // Very many allergies and medicines, each with a code.
    for (name, collection) in [
        ("items", Collection::Medications),
        ("allergies", Collection::Allergies),
    ] {
        let items = (0..objects).flat_map(|n| {
            let code = OpType::Put(ScalarValue::Str("x".into()));
            let id = format!("{n:x}");
            [
                op(make(ObjType::Map), root(collection), key(&id), Vec::new()),
                op(code, ObjectId::Id(own(2 * n)), key("status"), Vec::new()),
            ]
        });
        bombs.push((name, crafted(record, items.collect())));
    }
    // A text, and another that is written and removed.
    let text = |count: u64, letter: &'static str| {
        let note = op(
            make(ObjType::Map),
            root(Collection::Notes),
            key("n"),
            Vec::new(),
        );
        let text = op(
            make(ObjType::Text),
            ObjectId::Id(own(0)),
            key("text"),
            Vec::new(),
        );
        let letters = (0..count).map(move |n| Op {
            insert: true,
            ..op(
                OpType::Put(ScalarValue::Str(letter.into())),
                ObjectId::Id(own(1)),
                Key::Seq(match n {
                    0 => ElementId::Head,
                    n => ElementId::Id(own(1 + n)),
                }),
                Vec::new(),
            )
        });
        vec![note, text].into_iter().chain(letters)
    };
    bombs.push(("text", crafted(record, text(few - 2, "a").collect())));
    let half = few - 2;
    let removed = (0..half).map(|n| {
        let letter = own(2 + n);
        let at = Key::Seq(ElementId::Id(letter.clone()));
        op(OpType::Delete, ObjectId::Id(own(1)), at, vec![letter])
    });
    bombs.push((
        "removed",
        crafted(record, text(half, "ab").chain(removed).collect()),
    ));
    // Long keys in very many maps: longest key, most of them, and beyond both.
    let keys = |length: usize, count: u64| {
        let long = key(&"k".repeat(length));
        let maps = (0..count).flat_map(|n| {
            [
                op(make(ObjType::Map), ObjectId::Root, long.clone(), Vec::new()),
                op(null(), ObjectId::Id(own(2 * n)), long.clone(), Vec::new()),
            ]
        });
        crafted(record, maps.collect())
    };
    bombs.push(("keys", keys(1024, 1023)));
    bombs.push(("short keys", keys(60, objects)));
    bombs.push(("longer keys", keys(1025, 1)));
    bombs.push(("more keys", keys(1024, 1100)));
    // One operation that overwrites very many.
    let mut gathered: Vec<Op> = (0..few - 1)
        .map(|_| op(null(), ObjectId::Root, key("x"), Vec::new()))
        .collect();
    gathered.push(op(
        null(),
        ObjectId::Root,
        key("x"),
        (0..few - 1).map(own).collect(),
    ));
    bombs.push(("gathered", crafted(record, gathered)));
    bombs
}

/// Peak of this process's memory in KiB, and what it has now, where the system says so.
fn memory_kib() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmHWM:")?, field("VmRSS:")?))
}

/// What no change may take, whatever its bytes.
const MOST_KIB: u64 = 64 << 10;

/// Runs in a process of its own: applies the change that comes in, and prints what it took.
#[test]
#[ignore = "run by the test below"]
fn child() {
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request).unwrap();
    let (length, rest) = request.split_first_chunk::<8>().unwrap();
    let (first, bomb) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let mut record = Record::new(actor(2));
    record.apply([first.to_vec()], Trust::Foreign).unwrap();
    let Some((_, before)) = memory_kib() else {
        return;
    };
    let begin = std::time::Instant::now();
    let outcome = match record.apply([bomb.to_vec()], Trust::Foreign) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.fault.to_string(),
    };
    let took = begin.elapsed().as_millis();
    let (peak, _) = memory_kib().unwrap();
    println!("\nBOMB {} {took} ms {outcome}", peak.saturating_sub(before));
}

#[test]
fn no_change_takes_more_than_64_mib_whatever_its_bytes() {
    let (record, first) = Record::create(actor(0), NOW_MS).unwrap();
    for (name, bomb) in bombs(&record) {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::bombs::child", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin
            .write_all(&(first.bytes.len() as u64).to_le_bytes())
            .unwrap();
        stdin.write_all(&first.bytes).unwrap();
        stdin.write_all(&bomb).unwrap();
        drop(stdin);
        let output = process.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {text}");
        let Some(line) = text.lines().find(|l| l.starts_with("BOMB")) else {
            continue;
        };
        println!("{name}, {} bytes: {line}", bomb.len());
        let kib: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(kib < MOST_KIB, "{name}: {line}");
        let refused = ["longer keys", "more keys"].contains(&name);
        assert_eq!(line.ends_with("accepted"), !refused, "{name}: {line}");
    }
}
