//! Equal sets of entries give equal states, whatever the order of arrival, whoever lied: random histories
//! in random orders, compared with each other and with the oracle.
//!
//! A failure names its seed: `SALUS_SEED=<seed>` runs that history alone, `SALUS_SEEDS=<n>` runs more.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::oracle::*;
use super::sim::*;
use crate::*;

const SEEDS: u64 = 2000;
const ORDERS: u64 = 8;

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("SALUS_SEED"), number("SALUS_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(SEEDS)).collect(),
    }
}

/// Says which seed it was when a check fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this history again: SALUS_SEED={}", self.0);
        }
    }
}

/// Somebody who starts with nothing and is given everything, in some order.
struct Newcomer {
    record: LogState,
    rosters: Rosters,
}

impl Newcomer {
    fn new(log: LogId) -> Newcomer {
        Newcomer {
            record: LogState::new(log),
            rosters: Rosters::new(),
        }
    }

    fn take(&mut self, entry: &Entry) -> Verdict {
        if entry.header().log == self.record.log() {
            self.record.admit(entry, &self.rosters)
        } else {
            let verdict = self.rosters.admit(entry);
            self.record.settle(&self.rosters);
            verdict
        }
    }

    fn take_all<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
        mut check: impl FnMut(&Newcomer),
    ) {
        let mut waiting: BTreeMap<EntryHash, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            let mut ready = vec![entry];
            while let Some(entry) = ready.pop() {
                match self.take(entry) {
                    Verdict::Pending { missing } => {
                        waiting.entry(missing[0]).or_default().push(entry)
                    }
                    Verdict::Accepted | Verdict::Forked { .. } => {
                        ready.extend(waiting.remove(&entry.hash()).unwrap_or_default());
                    }
                    _ => {}
                }
            }
            check(self);
        }
    }
}

/// Everything that must not depend on the order.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    heights: Heights,
    digest: [u8; 32],
    heads: Vec<EntryHash>,
    counting_heads: Vec<EntryHash>,
    forks: Vec<Fork>,
    void_digest: [u8; 32],
    judgement: Judgement,
    depths: BTreeMap<EntryHash, (u64, Vec<(ChainId, u64)>)>,
    rosters: Vec<Vec<String>>,
}

fn summary(newcomer: &Newcomer, clinics: &[ClinicId]) -> Summary {
    let Newcomer { record, rosters } = newcomer;
    let depths = record
        .entries()
        .map(|meta| (meta.hash, (meta.depth, record.clock(&meta.hash).unwrap())));
    let rosters = clinics.iter().map(|clinic| {
        let (state, roster) = (
            rosters.state(*clinic).unwrap(),
            rosters.get(*clinic).unwrap(),
        );
        let staff = roster.staff_list().map(|one| {
            format!(
                "{:?} {:?} {} {:?}",
                one.key, one.roles, one.retired, one.cuts
            )
        });
        let lives = roster
            .incarnations()
            .map(|life| format!("{:?} {:?} {}", life.chain, life.closed, life.counts()));
        let state = format!(
            "{:?} {:?} {:?} {:?}",
            state.digest(),
            roster.heads(),
            state.voids().collect::<Vec<_>>(),
            state.forks().collect::<Vec<_>>()
        );
        staff.chain(lives).chain([state]).collect()
    });
    let rights = clinics
        .iter()
        .filter_map(|clinic| Some((*clinic, record.right_of(*clinic)?)));
    Summary {
        heights: record.heights().clone(),
        digest: record.digest(),
        heads: record.heads().iter().copied().collect(),
        counting_heads: record.parents(ChainId::from_bytes([0; 32])),
        forks: record.forks().collect(),
        void_digest: record.void_digest(),
        judgement: Judgement {
            voids: record.voids().collect(),
            live: record.grants().map(|grant| grant.entry).collect(),
            epochs: record.epochs().map(|epoch| epoch.id).collect(),
            rights: rights.collect(),
            erased: record.erased_entries(),
        },
        depths: depths.collect(),
        rosters: rosters.collect(),
    }
}

#[test]
fn every_order_of_arrival_gives_the_same_standing_and_the_one_that_the_rules_say() {
    let (mut cases, mut void, mut rescued, mut forked, mut erased) = (0, 0, 0, 0, 0);
    let mut reasons: BTreeMap<Void, usize> = BTreeMap::new();
    for seed in seeds() {
        let _named = Named(seed);
        let history = Sim::run(seed);
        let clinics: Vec<ClinicId> = history.clinics.iter().map(|clinic| clinic.id).collect();
        let mut dice = Dice::new(seed ^ 0xabcd);
        let mut first: Option<Summary> = None;
        for order in 0..ORDERS {
            let mut entries: Vec<&Entry> = history.entries.iter().collect();
            if order > 0 {
                dice.shuffle(&mut entries);
            }
            let mut newcomer = Newcomer::new(history.log);
            newcomer.take_all(entries, |newcomer| {
                // What is kept up to date entry by entry is what settling from nothing finds.
                if dice.one_in(40) {
                    let mut anew = newcomer.record.clone();
                    anew.settle_anew(&newcomer.rosters);
                    let (voids, anew): (Vec<_>, Vec<_>) =
                        (newcomer.record.voids().collect(), anew.voids().collect());
                    assert_eq!(voids, anew);
                }
            });
            let found = summary(&newcomer, &clinics);
            if let Some(first) = &first {
                assert_eq!(found, *first, "order {order}");
                cases += 1;
                continue;
            }
            check_with_oracle(&history, &newcomer, &found, &clinics);
            check_replay(&history, &newcomer, &found, &clinics);
            void += found.judgement.voids.len();
            forked += found.forks.len();
            erased += found.judgement.erased.len();
            for reason in found.judgement.voids.values() {
                *reasons.entry(*reason).or_default() += 1;
            }
            rescued += count_rescued(&history, &newcomer);
            first = Some(found);
            cases += 1;
        }
    }
    println!(
        "{cases} cases, {void} void, {rescued} rescued, {forked} forks, {erased} erased, {reasons:?}"
    );
}

fn accepted<'a>(history: &'a History, newcomer: &Newcomer) -> Vec<&'a Entry> {
    let held = |entry: &&Entry| {
        let (log, hash) = (entry.header().log, entry.hash());
        let roster = newcomer.rosters.log(log);
        let state = roster.unwrap_or(&newcomer.record);
        state.entry_meta(&hash).is_some()
    };
    history.entries.iter().filter(held).collect()
}

fn check_with_oracle(
    history: &History,
    newcomer: &Newcomer,
    found: &Summary,
    clinics: &[ClinicId],
) {
    let oracle = Oracle::new(accepted(history, newcomer));
    assert_eq!(found.judgement, oracle.judge(history.log, clinics));
    for clinic in clinics {
        let state = newcomer.rosters.state(*clinic).unwrap();
        let voids: BTreeMap<_, _> = state.voids().collect();
        assert_eq!(voids, oracle.roster_voids(state.log()));
    }
    for (hash, void) in &found.judgement.voids {
        // What no cut concerns is never void; and nothing is void where nothing can cut.
        assert!(
            *void == Void::Quarantined || oracle.is_concerned(hash),
            "{void:?}"
        );
        assert!(history.has_cuts || *void == Void::Quarantined);
    }
}

/// Entries beyond a cut that count all the same.
fn count_rescued(history: &History, newcomer: &Newcomer) -> usize {
    let oracle = Oracle::new(accepted(history, newcomer));
    let concerned = newcomer.record.entries().filter(|meta| {
        newcomer.record.void(&meta.hash).is_none() && oracle.is_concerned(&meta.hash)
    });
    concerned.count()
}

/// What the store kept gives the same state again, its lines as they were.
fn check_replay(history: &History, newcomer: &Newcomer, found: &Summary, clinics: &[ClinicId]) {
    let by_hash: BTreeMap<EntryHash, &Entry> = history
        .entries
        .iter()
        .map(|entry| (entry.hash(), entry))
        .collect();
    let replay = |state: &LogState| {
        let stored = state.entries().rev().map(|meta| {
            let entry = by_hash[&meta.hash];
            let entry = if meta.kind.is_clear() {
                entry.clone()
            } else {
                entry.without_payload()
            };
            (meta.line, entry)
        });
        let replayed = LogState::replay(state.log(), stored);
        assert!(replayed.unplaced().is_empty());
        for meta in state.entries() {
            assert_eq!(
                replayed.entry_at(meta.line, meta.seq).map(|meta| meta.hash),
                Some(meta.hash)
            );
        }
        replayed
    };
    let mut again = Newcomer::new(history.log);
    for clinic in clinics {
        let state = replay(newcomer.rosters.state(*clinic).unwrap());
        again.rosters.insert(state).unwrap();
    }
    again.record = replay(&newcomer.record);
    again.record.settle(&again.rosters);
    assert_eq!(summary(&again, clinics), *found);
}

/// Two who hold different parts give each other what the other lacks, a few entries at a time.
#[test]
fn two_replicas_that_hold_anything_reach_the_same_set() {
    for seed in seeds().into_iter().take(400) {
        let _named = Named(seed);
        let history = Sim::run(seed);
        let mut dice = Dice::new(seed ^ 0x1234);
        let rosters: Vec<&Entry> = history
            .entries
            .iter()
            .filter(|entry| entry.header().log != history.log)
            .collect();
        let record: Vec<&Entry> = history
            .entries
            .iter()
            .filter(|entry| entry.header().log == history.log)
            .collect();
        let mut sides = [0, 1].map(|_| {
            let mut side = Newcomer::new(history.log);
            side.take_all(rosters.iter().copied(), |_| {});
            // What builds on something that is left out is left out too.
            let mut some = record.clone();
            let keep = 1 + dice.below(12);
            some.retain(|entry| entry.header().kind == Kind::Genesis || !dice.one_in(keep));
            dice.shuffle(&mut some);
            side.take_all(some, |_| {});
            side
        });
        let union: BTreeSet<EntryHash> = sides
            .iter()
            .flat_map(|side| side.record.entries().map(|meta| meta.hash))
            .collect();
        let mut loads = 0;
        while sides[0].record.digest() != sides[1].record.digest() {
            for from in [0, 1] {
                // One contact: the heights are exchanged once, then load follows load.
                let mut reached = sides[1 - from].record.heights().clone();
                loop {
                    let lacking = sides[from]
                        .record
                        .lacking_first(&reached, 1 + dice.below(5));
                    if lacking.entries.is_empty() {
                        break;
                    }
                    loads += 1;
                    assert!(loads < 2000, "no progress");
                    for (line, seq, hash) in lacking.entries {
                        let giver = &sides[from].record;
                        assert_eq!(giver.entry_at(line, seq).map(|meta| meta.hash), Some(hash));
                        let line = giver.line_of(&hash).unwrap();
                        reached.insert(line, Height { seq, hash });
                        let entry = record.iter().find(|entry| entry.hash() == hash).unwrap();
                        let verdict = sides[1 - from].take(entry);
                        assert!(
                            !matches!(verdict, Verdict::Pending { .. } | Verdict::Refused(_)),
                            "{verdict:?}"
                        );
                    }
                }
            }
        }
        assert_eq!(sides[0].record.len(), union.len());
        let voids = sides
            .each_ref()
            .map(|side| side.record.voids().collect::<Vec<_>>());
        assert_eq!(voids[0], voids[1]);
    }
}
