//! Changes by members who mean harm.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, ObjType, ROOT, ReadDoc};

use super::*;

#[test]
fn a_change_outside_its_scope_is_refused_even_where_it_would_lose() {
    let (mut a, mut b) = pair();
    for n in 0..5 {
        edit(&mut a, set("phone", &n.to_string()));
    }
    // Written at B without A's edits, so it loses and shows in no patch at A.
    let hidden = edit(&mut b, set("phone", "evil"));
    let heads = a.heads();
    let error = a
        .apply([(hidden.bytes.clone(), Some(Scope::Note))], Trust::Foreign)
        .unwrap_err();
    assert_eq!(
        error.fault,
        Fault::OutOfScope {
            scope: Scope::Note,
            collection: Collection::Patient
        }
    );
    assert_eq!(a.heads(), heads);
    assert_eq!(
        a.scopes_touched(&hidden.bytes).unwrap(),
        [Scope::Demographics].into()
    );
    let declared = Incoming::new(hidden.bytes.clone(), Scope::Demographics, actor(1));
    a.apply([declared], Trust::Foreign).unwrap();
    let forged = Incoming::new(hidden.bytes, Scope::Demographics, actor(2));
    assert_eq!(
        b.apply([forged], Trust::Foreign).unwrap_err().fault,
        Fault::Actor
    );
}

/// A change by `n` on top of `record`, made with Automerge itself.
pub(super) fn crafted(
    record: &Record,
    n: u8,
    make: impl FnOnce(&mut automerge::transaction::Transaction<'_>),
) -> Vec<u8> {
    let mut doc = record
        .doc
        .clone()
        .with_actor(ActorId::from(actor(n).as_slice()));
    let mut tx = doc.transaction();
    make(&mut tx);
    let (hash, _) = tx.commit_with(CommitOptions::default());
    doc.get_change_by_hash(&hash.unwrap())
        .unwrap()
        .raw_bytes()
        .to_vec()
}

#[test]
fn nobody_replaces_removes_or_begins_again() {
    let (a, _) = pair();
    let fault = |bytes: Vec<u8>| a.clone().apply([bytes], Trust::Foreign).unwrap_err().fault;
    let replaced = crafted(&a, 1, |tx| {
        tx.put_object(ROOT, "patient", ObjType::Map).unwrap();
    });
    assert_eq!(fault(replaced), Fault::Collections);
    let removed = crafted(&a, 1, |tx| tx.delete(ROOT, "notes").unwrap());
    assert_eq!(fault(removed), Fault::Collections);
    let (_, second) = Record::create(actor(1), NOW_MS).unwrap();
    assert_eq!(fault(second.bytes), Fault::SecondBeginning);
    let other = crafted(&Record::new(actor(1)), 1, |tx| {
        tx.put(ROOT, "x", 1).unwrap()
    });
    let error = Record::new(actor(2))
        .apply([other], Trust::Foreign)
        .unwrap_err();
    assert_eq!(error.fault, Fault::Collections);
}

#[test]
fn a_missing_dependency_is_reported_and_nothing_is_queued() {
    let (mut a, mut b) = pair();
    let one = edit(&mut a, set("phone", "1"));
    let two = edit(&mut a, set("phone", "2"));
    let error = b.apply([two.bytes.clone()], Trust::Foreign).unwrap_err();
    assert_eq!(
        error.fault,
        Fault::MissingDependencies {
            missing: vec![one.hash]
        }
    );
    b.apply([one.bytes.clone()], Trust::Foreign).unwrap();
    assert!(!b.has_change(&two.hash));
    let applied = b.apply([two.bytes, one.bytes], Trust::Foreign).unwrap();
    assert_eq!((applied.changes, applied.duplicates), (vec![two.hash], 1));
}

#[test]
fn the_bad_one_of_many_changes_is_named() {
    let (mut a, b) = pair();
    let mut changes: Vec<Vec<u8>> = (0..20)
        .map(|n| edit(&mut a, set("phone", &n.to_string())).bytes)
        .collect();
    changes[13][40] ^= 1;
    let mut c = b.clone();
    assert_eq!(
        c.apply(changes.clone(), Trust::Foreign).unwrap_err().index,
        13
    );
    assert_eq!(c.apply(changes, Trust::Own).unwrap_err().index, 13);
    assert_eq!(c.heads(), b.heads());
}

/// Gives a chunk the checksum that fits its body, as a malicious member can.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    // Automerge computes the hash itself when it parses, and tells.
    if let Ok(change) = automerge::Change::try_from(&bytes[..]) {
        bytes[4..8].copy_from_slice(&change.hash().0[..4]);
    }
    bytes
}

#[test]
fn bombs_and_other_chunks_are_refused_before_they_are_unpacked() {
    let (mut a, b) = pair();
    let many = (0..50).map(|n| Edit::Put(Item::Condition(condition(&format!("c{n}"), "x"))));
    let change = a.edit(&many.collect::<Vec<_>>(), 0).unwrap().unwrap();
    let fault = |bytes: Vec<u8>| b.clone().apply([bytes], Trust::Own).unwrap_err().fault;
    let mut parsed = automerge::Change::try_from(&change.bytes[..]).unwrap();
    let deflated = parsed.bytes().into_owned();
    assert_eq!(deflated[8], 2);
    assert_eq!(fault(deflated), Fault::NotAChange);
    assert_eq!(fault(a.save()), Fault::NotAChange);
    assert_eq!(fault(Vec::new()), Fault::Malformed("truncated"));
    assert_eq!(fault(vec![0; MAX_CHANGE_BYTES + 1]), Fault::TooLarge);
    let mut two = change.bytes.clone();
    two.extend_from_slice(&change.bytes);
    assert_eq!(fault(two), Fault::Malformed("length"));
    let mut wrong = change.bytes.clone();
    wrong[5] ^= 1;
    assert_eq!(fault(wrong), Fault::Checksum);
    for cut in 0..change.bytes.len() {
        assert!(inspect_change(&change.bytes[..cut]).is_err());
    }
    assert_eq!(inspect_change(&change.bytes).unwrap().len_ops, change.ops);

    // A run of a billion deletions in a dozen bytes: the action column is `run length, action`.
    let deleted = crafted(&b, 1, |tx| tx.put(ROOT, "x", 1).unwrap());
    let at = deleted.windows(2).position(|w| w == [0x42, 2]).unwrap();
    let mut bomb = deleted.clone();
    bomb[at + 1] = 6;
    let data = deleted.windows(2).rposition(|w| w == [0x7f, 1]).unwrap();
    bomb.splice(data..data + 2, [0x80, 0x80, 0x80, 0x80, 0x04, 1]);
    let length = &mut bomb[9];
    *length += 4;
    assert!(matches!(fault(bomb), Fault::TooLarge | Fault::Malformed(_)));
}

#[test]
fn hostile_changes_never_panic_and_leave_the_record_as_it_was() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    send(&a, &mut b);
    let mut item = content().conditions.remove(0);
    item.clinical_status = Some("remission".into());
    let victims = [
        edit(&mut a, Edit::Put(Item::Condition(item))).bytes,
        edit(
            &mut a.clone(),
            Edit::EditNote {
                id: "n1".into(),
                text: "Feels bad".into(),
            },
        )
        .bytes,
        edit(&mut a.clone(), Edit::NewNote(note("n2", "Hello"))).bytes,
    ];
    send(&a, &mut b);
    let (mut accepted, mut refused) = (0, 0);
    // Deterministic: every byte, two ways, with the checksum made to fit.
    for victim in &victims {
        for at in 9..victim.len() {
            for flip in [0x01, 0x80, 0x7f] {
                let mut bad = victim.clone();
                bad[at] ^= flip;
                if crate::apply::inspect_change(&bad) == Err(Fault::Unreadable) {
                    refused += 1;
                    continue;
                }
                let mut target = b.clone();
                let Some(bad) = crate::apply::guard(|| with_checksum(bad)) else {
                    continue;
                };
                match target.apply([(bad, None)], Trust::Foreign) {
                    Ok(_) => {
                        accepted += 1;
                        assert!(load(&target.save(), actor(1)).is_ok());
                        target.view();
                    }
                    Err(_) => {
                        refused += 1;
                        assert_eq!(target.heads(), b.heads());
                    }
                }
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(
        accepted > 0 && refused > 100,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn a_verdict_is_the_same_whatever_else_a_replica_holds() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    exchange(&mut a, &mut b);
    // The past of what A writes now, and the same with much that A does not know.
    let past = b.clone();
    let mut rich = b.clone();
    for n in 0..5 {
        let id = format!("n{n}");
        edit(&mut rich, Edit::NewNote(note(&format!("x{id}"), "Well")));
        edit(&mut rich, set("phone", &n.to_string()));
    }
    let text = |text: &str| Edit::EditNote {
        id: "n1".into(),
        text: text.into(),
    };
    edit(&mut rich, text("Feels ill.\nSleeps badly."));
    edit(
        &mut rich,
        Edit::Put(Item::Medication(medication("m1", "850"))),
    );
    let victims = [
        edit(&mut a.clone(), text("Feels well.\nSleeps.")),
        edit(
            &mut a.clone(),
            Edit::Put(Item::Medication(medication("m1", "250"))),
        ),
        edit(&mut a.clone(), set("phone", "9")),
    ];
    let (mut held, mut broke) = (0, 0);
    for victim in victims {
        for at in 9..victim.bytes.len() {
            for flip in [0x01, 0x02, 0x40, 0x7f] {
                let mut bad = victim.bytes.clone();
                bad[at] ^= flip;
                let Some(bad) = crate::apply::guard(|| with_checksum(bad)) else {
                    continue;
                };
                let verdict = |record: &Record| {
                    let mut record = record.clone();
                    let outcome = record.apply([bad.clone()], Trust::Foreign);
                    outcome.map(|a| a.changes).map_err(|e| e.fault)
                };
                let verdict_of_past = verdict(&past);
                assert_eq!(verdict_of_past, verdict(&rich), "byte {at} {flip}");
                held += u32::from(verdict_of_past.is_ok());
                broke += u32::from(verdict_of_past == Err(Fault::Engine));
            }
        }
    }
    // What Automerge would break on is found by judging it, before.
    assert!(held > 20, "{held}");
    assert_eq!(broke, 0);
}

#[test]
fn references_to_what_they_cannot_refer_to_are_refused_before_the_engine_sees_them() {
    let (mut a, _) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    let honest = edit(
        &mut a.clone(),
        Edit::Put(Item::Medication(medication("m1", "850"))),
    );
    let added = edit(
        &mut a.clone(),
        Edit::Put(Item::Condition(condition("c9", "Gout"))),
    );
    let fault = |change: automerge::ExpandedChange| {
        let bytes = automerge::Change::from(change).raw_bytes().to_vec();
        a.clone().apply([bytes], Trust::Foreign).unwrap_err().fault
    };
    let parse = |change: &Change| {
        automerge::Change::try_from(&change.bytes[..])
            .unwrap()
            .decode()
    };
    // Another key than that of the value which it overwrites.
    let mut change = parse(&honest);
    change.operations[0].key = automerge::legacy::Key::Map("status".into());
    assert_eq!(fault(change), Fault::Reference);
    // Overwrites a value of another item, removes nothing, or the same twice.
    let mut change = parse(&added);
    change.operations[1].pred = parse(&honest).operations[0].pred.clone();
    assert_eq!(fault(change), Fault::Reference);
    let mut change = parse(&honest);
    change.operations[0].pred = Vec::new().into();
    change.operations[0].action = automerge::legacy::OpType::Delete;
    assert_eq!(fault(change), Fault::Reference);
    let mut change = parse(&honest);
    let pred: Vec<_> = change.operations[0].pred.iter().cloned().collect();
    change.operations[0].pred = vec![pred[0].clone(), pred[0].clone()].into();
    assert_eq!(fault(change), Fault::Reference);
    // A scalar is no object.
    let mut change = parse(&honest);
    change.operations[0].obj = automerge::legacy::ObjectId::Id(pred[0].clone());
    assert_eq!(fault(change), Fault::Reference);
    // One dependency twice.
    let mut change = parse(&honest);
    change.deps.push(change.deps[0]);
    assert_eq!(fault(change), Fault::Malformed("dependencies"));
}

#[test]
fn nesting_is_bounded() {
    let (a, _) = pair();
    let deep = |levels: usize| {
        crafted(&a, 1, |tx| {
            let mut at = ROOT;
            for _ in 0..levels {
                at = tx.put_object(&at, "x", ObjType::Map).unwrap();
            }
        })
    };
    a.clone().apply([deep(8)], Trust::Foreign).unwrap();
    assert_eq!(
        a.clone()
            .apply([deep(9)], Trust::Foreign)
            .unwrap_err()
            .fault,
        Fault::Nesting
    );
}

#[test]
fn a_change_may_refer_only_to_its_own_past() {
    let (mut a, mut b) = pair();
    edit(
        &mut a,
        Edit::Put(Item::Condition(condition("c1", "Asthma"))),
    );
    exchange(&mut a, &mut b);
    // C writes into an item that A made and names only the beginning as its past.
    let mut c = Record::new(actor(2));
    c.apply(a.changes_since(&[])[..1].to_vec(), Trust::Foreign)
        .unwrap();
    let honest = crafted(&a, 2, |tx| {
        let (_, all) = tx.get(ROOT, "conditions").unwrap().unwrap();
        let (_, item) = tx.get(&all, "c1").unwrap().unwrap();
        tx.put(&item, "note", "x").unwrap();
    });
    let mut change = automerge::Change::try_from(&honest[..]).unwrap().decode();
    let beginning = a
        .change_meta(&inspect_change(&a.changes_since(&[])[0]).unwrap().hash)
        .unwrap();
    change.deps = vec![automerge::ChangeHash(beginning.hash)];
    change.start_op = std::num::NonZeroU64::new(beginning.max_op + 1).unwrap();
    let forged = automerge::Change::from(change.clone()).raw_bytes().to_vec();
    // The same verdict where the item is held and where it is not.
    for record in [&a, &b, &c] {
        let error = record
            .clone()
            .apply([forged.clone()], Trust::Foreign)
            .unwrap_err();
        assert_eq!(error.fault, Fault::Reference);
    }
    change.start_op = std::num::NonZeroU64::new(beginning.max_op + 5).unwrap();
    let forged = automerge::Change::from(change.clone()).raw_bytes().to_vec();
    assert_eq!(
        a.clone().apply([forged], Trust::Foreign).unwrap_err().fault,
        Fault::OperationRange
    );
    change.seq = 3;
    change.start_op = std::num::NonZeroU64::new(beginning.max_op + 1).unwrap();
    let forged = automerge::Change::from(change).raw_bytes().to_vec();
    assert_eq!(
        a.clone().apply([forged], Trust::Foreign).unwrap_err().fault,
        Fault::Sequence
    );
}

#[test]
fn a_change_keeps_its_bytes_when_taken_apart_and_put_together() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    exchange(&mut a, &mut b);
    edit(
        &mut a,
        Edit::EditNote {
            id: "n1".into(),
            text: "Feels so-so.".into(),
        },
    );
    edit(
        &mut b,
        Edit::AppendNote {
            id: "n1".into(),
            text: "More".into(),
        },
    );
    exchange(&mut a, &mut b);
    for bytes in a.changes_since(&[]) {
        let change = automerge::Change::try_from(&bytes[..]).unwrap();
        assert_eq!(automerge::Change::from(change.decode()).raw_bytes(), bytes);
    }
}

/// `cargo test -p salus-record -- --ignored --nocapture many_hostile`: prints what became of 30,000 changes of which up
/// to four bytes were replaced, with the checksum made to fit.
#[test]
#[ignore = "a longer run of the test above"]
fn many_hostile_changes() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    send(&a, &mut b);
    let mut item = content().conditions.remove(0);
    item.clinical_status = Some("remission".into());
    let victims = [
        edit(&mut a.clone(), Edit::Put(Item::Condition(item))).bytes,
        edit(
            &mut a.clone(),
            Edit::EditNote {
                id: "n1".into(),
                text: "Feels bad".into(),
            },
        )
        .bytes,
        edit(&mut a.clone(), Edit::NewNote(note("n2", "Hello"))).bytes,
        edit(
            &mut a.clone(),
            Edit::Put(Item::Medication(medication("m2", "5"))),
        )
        .bytes,
    ];
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..30_000 {
        let mut bad = victims[random(victims.len())].clone();
        for _ in 0..=random(4) {
            let at = 9 + random(bad.len() - 9);
            bad[at] = u8::try_from(random(256)).unwrap();
        }
        let begin = std::time::Instant::now();
        let bad = match inspect_change(&bad) {
            Err(Fault::Checksum) => with_checksum(bad),
            _ => bad,
        };
        let mut target = b.clone();
        let outcome = match target.apply([bad], Trust::Foreign) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.fault.to_string(),
        };
        slowest = slowest.max(begin.elapsed());
        if outcome == "accepted" {
            target.edit(&[set("phone", "1")], 0).unwrap();
            assert!(load(&target.save(), actor(1)).is_ok());
        } else {
            assert_eq!(target.heads(), b.heads());
        }
        *counts.entry(outcome).or_default() += 1;
    }
    println!("{counts:#?}\nslowest {slowest:?}");
}
