//! The same entries give the same log, in whatever order they arrive.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::*;
use crate::*;

/// One step of a history: who does what.
type Step = (u8, u8, u8);

/// Three clinics write on replicas that meet now and then; some of what they write is not allowed.
fn history(steps: &[Step]) -> (Vec<Entry>, Vec<Entry>) {
    let w = World::new();
    let mut third = Clinic::new(50);
    let eve = third.hire(60, &[Role::Physician]);
    let rosters_log: Vec<Entry> = [&w.harbour, &w.hill, &third]
        .iter()
        .flat_map(|clinic| clinic.entries.clone())
        .collect();
    let rosters = rosters(&[&w.harbour, &w.hill, &third]);
    let mut clinics = [w.harbour, w.hill, third];
    let people = [[&w.ada, &w.nils], [&w.bo, &w.bo], [&eve, &eve]];
    let mut replicas = [w.state.clone(), w.state.clone(), w.state.clone()];
    let mut entries = w.entries.clone();
    for (who, what, whom) in steps {
        let (who, whom) = (usize::from(who % 3), usize::from(whom % 3));
        let person = people[who][usize::from(what >> 7)];
        let state = replicas[who].clone();
        let entry = match what % 8 {
            0..=2 => clinics[who].edit(&state, person, Scope::Observation),
            3 => clinics[who].edit(&state, person, Scope::Clinical),
            4 => clinics[who].view(&state, person),
            5 => {
                let clinic = clinics[whom].id;
                clinics[who].grant(&state, person, clinic, Right::Write)
            }
            _ => {
                // The two meet: one learns everything that the other has.
                let known = replicas[whom].clone();
                for meta in known.entries() {
                    let entry = entries
                        .iter()
                        .find(|entry| entry.hash() == meta.hash)
                        .unwrap();
                    let _ = replicas[who].admit(entry, &rosters);
                }
                continue;
            }
        };
        match replicas[who].admit(&entry, &rosters) {
            Verdict::Accepted => {}
            Verdict::Refused(_) => {
                // It was written all the same, and the chain ends here: to go on is to equivocate. What
                // follows comes from a chain that nobody certified.
                clinics[who].chain = key([200, 201, 202][who]);
            }
            other => panic!("{other:?}"),
        }
        entries.push(entry);
    }
    (rosters_log, entries)
}

/// Delivers in this order, keeping what cannot be judged until it can.
fn deliver(log: LogId, rosters: &[Entry], entries: &[Entry], order: &[usize]) -> LogState {
    let mut known = Rosters::new();
    let mut state = LogState::new(log);
    let mut pending: Vec<&Entry> = Vec::new();
    let all: Vec<&Entry> = rosters.iter().chain(entries).collect();
    let mut shuffled: Vec<usize> = (0..all.len()).collect();
    for (at, swap) in order.iter().enumerate() {
        shuffled.swap(at % all.len(), swap % all.len());
    }
    for at in shuffled {
        pending.push(all[at]);
        let mut progress = true;
        while progress {
            progress = false;
            pending.retain(|entry| {
                let verdict = if entry.header().log == log {
                    state.admit(entry, &known)
                } else {
                    known.admit(entry)
                };
                progress |= verdict == Verdict::Accepted;
                assert!(!matches!(verdict, Verdict::Equivocation { .. }));
                matches!(verdict, Verdict::Pending { .. })
            });
        }
    }
    state
}

fn everything(state: &LogState) -> String {
    let mut grants: Vec<_> = state.grants().map(|grant| grant.entry).collect();
    grants.sort();
    let mut clocks: Vec<_> = state
        .entries()
        .map(|meta| (meta.hash, state.clock(&meta.hash), meta.depth))
        .collect();
    clocks.sort();
    format!(
        "{:?} {:?} {grants:?} {clocks:?}",
        state.heights(),
        state.heads()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_order_of_arrival_gives_the_same_log(
        steps in vec(any::<Step>(), 0..40),
        orders in vec(vec(any::<usize>(), 0..80), 3),
    ) {
        let (rosters, entries) = history(&steps);
        let log = entries[0].header().log;
        let first = deliver(log, &rosters, &entries, &[]);
        for order in &orders {
            let other = deliver(log, &rosters, &entries, order);
            prop_assert_eq!(other.digest(), first.digest());
            prop_assert_eq!(everything(&other), everything(&first));
        }
        // And the stored entries, clinical payloads left out, give it again.
        let kept = entries.iter().filter(|entry| first.entry_meta(&entry.hash()).is_some());
        let stored = kept.rev().map(|entry| {
            let line = entry.header().chain;
            let is_clear = entry.header().kind.is_clear();
            (line, if is_clear { entry.clone() } else { entry.without_payload() })
        });
        let replayed = LogState::replay(log, stored);
        prop_assert!(replayed.unplaced().is_empty());
        prop_assert_eq!(everything(&replayed), everything(&first));
    }

    #[test]
    fn a_clock_is_the_causal_past(steps in vec(any::<Step>(), 0..40)) {
        let (rosters, entries) = history(&steps);
        let state = deliver(entries[0].header().log, &rosters, &entries, &[]);
        let named: BTreeMap<EntryHash, Vec<EntryHash>> = entries
            .iter()
            .map(|entry| {
                let header = entry.header();
                (entry.hash(), header.prev.iter().chain(&header.parents).copied().collect())
            })
            .collect();
        for meta in state.entries() {
            let (mut past, mut open) = (BTreeSet::new(), vec![meta.hash]);
            while let Some(hash) = open.pop() {
                if past.insert(hash) {
                    open.extend(&named[&hash]);
                }
            }
            let mut clock = BTreeMap::new();
            for ancestor in past.iter().map(|hash| state.entry_meta(hash).unwrap()) {
                let seq = clock.entry(ancestor.chain).or_insert(0);
                *seq = ancestor.seq.max(*seq);
            }
            let clock: Vec<_> = clock.into_iter().collect();
            prop_assert_eq!(state.clock(&meta.hash), Some(clock));
            prop_assert_eq!(meta.depth, past.len() as u64);
            for other in state.entries() {
                let is_ancestor = state.is_ancestor(&other.hash, &meta.hash);
                prop_assert_eq!(is_ancestor, Some(past.contains(&other.hash)));
            }
        }
    }

    #[test]
    fn two_replicas_name_what_they_lack(steps in vec(any::<Step>(), 0..30), held in any::<usize>()) {
        let (rosters, entries) = history(&steps);
        let log = entries[0].header().log;
        let full = deliver(log, &rosters, &entries, &[]);
        let part: Vec<(ChainId, Entry)> = full
            .entries()
            .take(1 + held % full.len())
            .filter_map(|meta| entries.iter().find(|entry| entry.hash() == meta.hash))
            .map(|entry| (entry.header().chain, entry.clone()))
            .collect();
        let part = LogState::replay(log, part);
        let lacking = full.lacking(part.heights());
        prop_assert!(lacking.forked.is_empty());
        let expected = full.entries().skip(part.len());
        let expected: Vec<_> = expected.map(|meta| (meta.line, meta.seq, meta.hash)).collect();
        prop_assert_eq!(&lacking.entries, &expected);
        let some = full.lacking_first(part.heights(), 3);
        prop_assert_eq!(&some.entries[..], &expected[..3.min(expected.len())]);
        prop_assert!(part.lacking(full.heights()).entries.is_empty());
        prop_assert_eq!(part.digest() == full.digest(), expected.is_empty());
    }
}

#[test]
fn a_store_that_lost_an_entry_is_found_out() {
    let mut w = World::new();
    for _ in 0..3 {
        let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
        w.accept(edit);
    }
    let damaged = w.entries.iter().enumerate().filter(|(at, _)| *at != 3);
    let state = LogState::replay(w.state.log(), damaged.map(|(_, entry)| stored(entry)));
    assert_eq!(state.len(), 3);
    assert_eq!(state.unplaced(), [w.entries[4].hash()]);
    // A control entry that lost its body cannot be placed, nor what builds on it.
    let bare = w
        .entries
        .iter()
        .map(|entry| stored(&entry.without_payload()));
    let state = LogState::replay(w.state.log(), bare);
    assert!(state.is_empty());
    assert_eq!(state.unplaced().len(), w.entries.len());
}

#[test]
fn a_log_with_many_open_heads_is_merged_in_steps() {
    let mut w = World::new();
    let base = w.state.clone();
    let mut twins: Vec<Clinic> = Vec::new();
    for seed in 100..106 + u8::try_from(MAX_PARENTS).unwrap() {
        // All are incarnations of harbour, which writes from many places at once.
        let incarnation = Control::Incarnation {
            chain: key(seed).chain(),
            endpoint: [seed; 32],
            hpke: [seed; 32],
            closes: vec![],
        };
        w.harbour.chain = key(seed);
        w.harbour.tree_size = 0;
        w.harbour.keep(&incarnation);
        twins.push(Clinic {
            chain: key(seed),
            ..Clinic::new(10)
        });
    }
    w.know();
    for twin in &twins {
        w.harbour.chain = twin.chain.clone();
        w.harbour.tree_size = 1;
        let edit = w.harbour.edit(&base, &w.ada, Scope::Note);
        w.accept(edit);
    }
    assert_eq!(w.state.heads().len(), MAX_PARENTS + 6);
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    assert_eq!(edit.header().parents.len(), MAX_PARENTS);
    w.accept(edit);
    assert_eq!(w.state.heads().len(), 7);
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    w.accept(edit);
    assert_eq!(w.state.heads().len(), 1);
}
