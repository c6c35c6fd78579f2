//! Of many changes some are faulty: the others are taken in, whatever the order and however many come at once.

use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT};
use proptest::prelude::*;

use super::hostile::crafted;
use super::*;

/// Honest and faulty changes of four clinics, in causal order, and the hashes of those that hold.
struct Sent {
    changes: Vec<Incoming>,
    holds: Vec<[u8; 32]>,
}

fn incoming(bytes: Vec<u8>, scope: Scope, n: u8) -> Incoming {
    Incoming::new(bytes, scope, actor(n))
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    inspect_change(bytes).unwrap().hash
}

/// Two changes by clinic `n` on top of one state, the one with the smaller hash first.
fn fork(record: &Record, n: u8) -> [Vec<u8>; 2] {
    let made = |value: &str| {
        crafted(record, n, |tx| {
            tx.put(ROOT, "later", value).unwrap();
        })
    };
    let mut both = [made("left"), made("right")];
    both.sort_by_key(|bytes| hash(bytes));
    both
}

fn sent() -> Sent {
    let [mut a, mut b, mut c, mut d] = <[Record; 4]>::try_from(replicas(4)).unwrap();
    let mut changes = vec![incoming(
        a.changes_since(&[]).remove(0),
        Scope::Demographics,
        0,
    )];
    let mut faulty: Vec<usize> = Vec::new();
    // A and B are honest, apart and then knowing of each other.
    for n in 0..3 {
        let one = edit(&mut a, set("phone", &format!("a{n}")));
        changes.push(incoming(one.bytes, one.scope, 0));
        let id = format!("c{n}");
        let one = edit(&mut b, Edit::Put(Item::Condition(condition(&id, "Asthma"))));
        changes.push(incoming(one.bytes, one.scope, 1));
    }
    exchange(&mut a, &mut b);
    // C writes outside its scope, and goes on; A builds on what C wrote.
    let one = edit(&mut c, set("email", "c@example.org"));
    faulty.push(changes.len());
    changes.push(incoming(one.bytes, Scope::Note, 2));
    let two = edit(&mut c, set("email", "c2@example.org"));
    faulty.push(changes.len());
    changes.push(incoming(two.bytes, two.scope, 2));
    let mut misled = a.clone();
    send(&c, &mut misled);
    let on_c = edit(&mut misled, set("phone", "misled"));
    faulty.push(changes.len());
    changes.push(incoming(on_c.bytes, on_c.scope, 0));
    // D equivocates, and B follows either.
    let [small, large] = fork(&d, 3);
    let followers = [&small, &large].map(|bytes| {
        let mut other = b.clone();
        other.apply([bytes.clone()], Trust::Own).unwrap();
        // Two would be a fork of B's: one of them as E.
        other
    });
    d.apply([small.clone()], Trust::Own).unwrap();
    changes.push(incoming(small, Scope::Note, 3));
    faulty.push(changes.len());
    changes.push(incoming(large, Scope::Note, 3));
    let on_small = edit(&mut followers[0].clone(), set("mrn", "7"));
    changes.push(incoming(on_small.bytes, on_small.scope, 1));
    let on_large = crafted(&followers[1], 4, |tx| tx.put(ROOT, "e", 1).unwrap());
    faulty.push(changes.len());
    changes.push(incoming(on_large, Scope::Note, 4));
    // F replaces a collection; G's bytes are broken; H claims to be A.
    faulty.push(changes.len());
    let replaced = crafted(&a, 5, |tx| {
        drop(tx.put_object(ROOT, "notes", ObjType::Map).unwrap())
    });
    changes.push(incoming(replaced, Scope::Note, 5));
    faulty.push(changes.len());
    let mut broken = crafted(&a, 6, |tx| tx.put(ROOT, "g", 1).unwrap());
    broken[6] ^= 1;
    changes.push(incoming(broken, Scope::Note, 6));
    faulty.push(changes.len());
    let forged = crafted(&a, 7, |tx| tx.put(ROOT, "h", 1).unwrap());
    changes.push(incoming(forged, Scope::Note, 0));
    assert_eq!(changes.len(), CHANGES);
    let holds = (0..changes.len()).filter(|n| !faulty.contains(n));
    let mut holds: Vec<[u8; 32]> = holds.map(|n| hash(&changes[n].bytes)).collect();
    holds.sort_unstable();
    Sent { changes, holds }
}

/// How many changes [`sent`] gives.
const CHANGES: usize = 17;

/// Any order of them.
fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..CHANGES).collect::<Vec<_>>()).prop_shuffle()
}

fn held(record: &Record) -> Vec<[u8; 32]> {
    let mut held: Vec<[u8; 32]> = record.changes_since(&[]).iter().map(|c| hash(c)).collect();
    held.sort_unstable();
    held
}

#[test]
fn all_that_holds_is_taken_in_and_the_rest_is_named() {
    let Sent { changes, holds } = sent();
    for trust in [Trust::Foreign, Trust::Proven] {
        let mut record = Record::new(actor(9)).begun_by(actor(0));
        let part = record.apply_what_holds(changes.clone(), trust);
        assert_eq!(held(&record), holds);
        assert_eq!(part.applied.changes.len(), holds.len());
        assert!(!part.rebuild);
        let faults: Vec<String> = part.held_out.iter().map(|(_, f)| f.to_string()).collect();
        let expected = [
            "writes patient in a change of scope note",
            "follows a change that is held out",
            "follows a change that is held out",
            "its actor wrote another change under the same number",
            "follows a change that is held out",
            "replaces or removes a collection",
            "wrong checksum",
            "by another actor than its entry",
        ];
        assert_eq!(faults, expected);
        // Nothing of it is queued anywhere, and the record goes on.
        edit(&mut record, set("phone", "9"));
        assert!(load(&record.save(), actor(9)).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_holds_does_not_depend_on_order(order in order()) {
        let Sent { changes, holds } = sent();
        let mut record = Record::new(actor(9)).begun_by(actor(0));
        let shuffled: Vec<Incoming> = order.iter().map(|n| changes[*n].clone()).collect();
        let part = record.apply_what_holds(shuffled, Trust::Foreign);
        prop_assert_eq!(held(&record), holds);
        prop_assert!(part.held_out.windows(2).all(|w| w[0].0 < w[1].0));
        prop_assert!(!part.rebuild);
    }

    #[test]
    fn what_holds_does_not_depend_on_how_many_come_at_once(
        cuts in proptest::collection::vec(1_usize..6, CHANGES),
        order in order(),
    ) {
        let Sent { changes, holds } = sent();
        let shuffled: Vec<Incoming> = order.iter().map(|n| changes[*n].clone()).collect();
        let mut record = Record::new(actor(9)).begun_by(actor(0));
        let (mut waiting, mut rest) = (Vec::new(), shuffled.as_slice());
        let mut rebuild = false;
        for cut in cuts {
            // What was held out comes again with what comes later, as from a log.
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            waiting.extend_from_slice(now);
            let part = record.apply_what_holds(waiting.clone(), Trust::Foreign);
            rebuild |= part.rebuild;
            waiting = part.held_out.iter().map(|(n, _)| waiting[*n].clone()).collect();
        }
        prop_assert!(rest.is_empty());
        // Told to rebuild exactly if the fork's other side was there first.
        prop_assert_eq!(rebuild, held(&record) != holds);
        if rebuild {
            let mut anew = Record::new(actor(9)).begun_by(actor(0));
            anew.apply_what_holds(shuffled, Trust::Foreign);
            prop_assert_eq!(held(&anew), holds);
        }
    }
}

#[test]
fn of_two_changes_under_one_number_the_smaller_hash_stands_and_the_caller_learns_what_to_rebuild() {
    let (a, b) = pair();
    let [small, large] = fork(&b, 1);
    let both = |record: &mut Record, first: &[u8], second: &[u8]| {
        record.apply_what_holds([first.to_vec(), second.to_vec()], Trust::Foreign)
    };
    for (first, second, at) in [(&small, &large, 1), (&large, &small, 0)] {
        let mut record = a.clone();
        let part = both(&mut record, first, second);
        assert!(record.has_change(&hash(&small)) && !record.has_change(&hash(&large)));
        let stands = hash(&small);
        assert_eq!(part.held_out, [(at, Fault::Forked { stands })]);
        assert!(!part.rebuild);
    }
    // The larger one is held: it stays, and all that it says is that it would lose.
    let mut record = a.clone();
    record.apply([large.clone()], Trust::Foreign).unwrap();
    let error = record
        .clone()
        .apply([small.clone()], Trust::Foreign)
        .unwrap_err();
    let stands = hash(&large);
    assert_eq!(error.fault, Fault::Forked { stands });
    let part = record.apply_what_holds([small.clone()], Trust::Foreign);
    assert_eq!(part.held_out, [(0, Fault::Forked { stands })]);
    assert!(part.rebuild);
    let mut record = a.clone();
    record.apply([small], Trust::Foreign).unwrap();
    assert!(!record.apply_what_holds([large], Trust::Foreign).rebuild);
}

#[test]
fn only_the_founder_begins_a_record() {
    let (_, first) = Record::create(actor(0), NOW_MS).unwrap();
    let mut others: Vec<Vec<u8>> = (1..20)
        .map(|n| Record::create(actor(n), NOW_MS).unwrap().1.bytes)
        .collect();
    others.push(first.bytes.clone());
    others.sort_by_key(|bytes| hash(bytes));
    assert_ne!(others[0], first.bytes, "a smaller one is among so many");
    let mut record = Record::new(actor(30)).begun_by(actor(0));
    let part = record.apply_what_holds(others.clone(), Trust::Foreign);
    assert_eq!(record.heads(), [first.hash]);
    assert!(
        part.held_out
            .iter()
            .all(|(_, fault)| *fault == Fault::SecondBeginning)
    );
    // Whoever does not know the founder takes the smallest, and would have to begin again.
    let mut record = Record::new(actor(30));
    record.apply_what_holds(others.clone(), Trust::Foreign);
    assert_eq!(record.heads(), [hash(&others[0])]);
    let part = record
        .begun_by(actor(0))
        .apply_what_holds([first.bytes], Trust::Foreign);
    assert!(part.rebuild);
}

#[test]
fn a_change_that_two_entries_carry_is_taken_if_one_of_them_may() {
    let (mut a, b) = pair();
    let one = edit(&mut a, set("phone", "1"));
    let wrong = incoming(one.bytes.clone(), Scope::Note, 0);
    let right = incoming(one.bytes, Scope::Demographics, 0);
    for both in [[wrong.clone(), right.clone()], [right, wrong]] {
        let mut record = b.clone();
        let part = record.apply_what_holds(both, Trust::Foreign);
        assert_eq!((part.held_out.len(), part.applied.duplicates), (0, 1));
        assert!(record.has_change(&one.hash));
    }
}

#[test]
fn more_than_is_tried_at_once_ends_in_the_same_document() {
    let (mut a, b) = pair();
    let long: String = ('a'..='z').cycle().take(60_000).collect();
    let mut changes = Vec::new();
    for n in 0..4 {
        let one = edit(&mut a, Edit::NewNote(note(&format!("n{n}"), &long)));
        changes.push(incoming(one.bytes, one.scope, 0));
        let one = edit(&mut a, set("phone", &n.to_string()));
        changes.push(incoming(one.bytes, one.scope, 0));
    }
    let culprit = changes[5].bytes.clone();
    let mut asked = 0;
    let mut record = b.clone();
    let part = record.apply_proved(changes.clone(), |request| {
        asked += 1;
        Some(trial_job(request))
    });
    assert_eq!((part.held_out, record.heads()), (Vec::new(), a.heads()));
    assert!(asked > 1, "{asked} windows");
    // One that breaks in a later window takes with it what follows, whatever the window.
    let mut record = b.clone();
    let part = record.apply_proved(changes, |request| {
        let dies = request.windows(culprit.len()).any(|w| w == culprit);
        (!dies).then(|| trial_job(request))
    });
    let held_out: Vec<usize> = part.held_out.iter().map(|(n, _)| *n).collect();
    assert_eq!(held_out, [5, 6, 7]);
    assert_eq!(part.held_out[0].1, Fault::Engine);
    assert_eq!(record.view().content.patient.phone.as_deref(), Some("1"));
    assert_eq!(record.view().content.notes.len(), 3);
}
