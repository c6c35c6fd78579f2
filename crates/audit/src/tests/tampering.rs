//! A clinic's own administrator, who has every key, deletes or rewrites what was written and signs the
//! tree anew; and somebody else kept an older proof.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::*;
use crate::*;

/// What becomes of an entry when the past is told anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    IsRewritten,
    Vanishes,
}

/// A clinic's world, told by the entries of harbour's chain in the order of its tree.
struct Tale {
    world: World,
    entries: Vec<Entry>,
}

/// The first places of every tale: roster genesis, two staff, record genesis, grant.
const PROLOGUE: usize = 5;

impl Tale {
    fn new(entries: usize) -> Tale {
        let mut world = World::new();
        while usize::try_from(world.harbour.tree_size).unwrap() < entries {
            let entry = if world.harbour.tree_size.is_multiple_of(3) {
                world.harbour.view(&world.state, &world.nils)
            } else {
                world.harbour.edit(&world.state, &world.ada, Scope::Note)
            };
            world.accept(entry);
        }
        let chain = world.harbour.chain.chain();
        let all = world.harbour.entries.iter().chain(&world.entries);
        let mut own: Vec<Entry> = all.filter(|e| e.header().chain == chain).cloned().collect();
        own.sort_by_key(|entry| entry.header().tree_index);
        assert!(
            (0..)
                .zip(&own)
                .all(|(index, e)| e.header().tree_index == index)
        );
        Tale {
            world,
            entries: own,
        }
    }

    fn leaves(&self) -> impl Iterator<Item = TreeHash> {
        self.entries.iter().map(Entry::leaf)
    }

    fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let tree: Tree = self.leaves().take(size).collect();
        let chain = &self.world.harbour.chain;
        Checkpoint::of(chain.chain(), &tree).sign(chain).unwrap()
    }

    /// The proof of the entry at `index`, or of the checkpoint alone, as the clinic stood at `size`.
    fn prove(&self, index: Option<usize>, size: usize) -> Proof {
        let roster = &self.world.harbour.entries;
        let entry = index.map(|index| &self.entries[index]);
        Proof::build(roster, entry, &self.checkpoint(size), None, self.leaves()).unwrap()
    }

    fn prove_since(&self, older: &Proof) -> Result<Proof, BuildFault> {
        let (size, last) = (self.entries.len(), self.entries.last());
        let (roster, now) = (&self.world.harbour.entries, self.checkpoint(size));
        Proof::build(roster, last, &now, Some(older.checkpoint()), self.leaves())
    }

    /// The same clinic with the same keys and another past: every later entry is signed again on top of
    /// it, so that the new past is without a flaw. `more` entries are written afterwards.
    fn retold(&self, fate: impl Fn(usize) -> Fate, more: usize) -> Tale {
        let mut world = World::new();
        let mut names = BTreeMap::new();
        let mut entries: Vec<Entry> = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let header = entry.header();
            if at < PROLOGUE {
                entries.push(entry.clone());
                continue;
            }
            let mut payload = entry.payload().unwrap().to_vec();
            match fate(at) {
                Fate::Vanishes => continue,
                Fate::IsRewritten => payload[0] ^= 0xff,
                Fate::Stays => {}
            }
            let actor = if header.actor == world.nils.actor() {
                &world.nils
            } else {
                &world.ada
            };
            let draft = Draft {
                log: header.log,
                parents: header
                    .parents
                    .iter()
                    .map(|p| *names.get(p).unwrap_or(p))
                    .collect(),
                authority: header.authority.clone(),
                kind: header.kind,
                scope: header.scope,
                epoch: header.epoch,
                blobs: Vec::new(),
                time_ms: header.time_ms,
                actor: actor.actor(),
            };
            let chain = &world.harbour.chain;
            let position = world.state.position(chain.chain(), entries.len() as u64);
            let again = draft.sign(position, payload, actor, chain).unwrap();
            assert_eq!(verify_entry(&again), Ok(()));
            names.insert(entry.hash(), again.hash());
            entries.push(again.clone());
            // Whoever never saw the old past believes the new one.
            world.accept(again);
        }
        world.harbour.tree_size = entries.len() as u64;
        for _ in 0..more {
            // Not what would have been written in the old past: it has one patient's note less.
            let edit = world
                .harbour
                .edit(&world.state, &world.ada, Scope::Clinical);
            entries.push(edit.clone());
            world.accept(edit);
        }
        Tale { world, entries }
    }
}

/// Nothing that the clinic can sign or send shows that this past continues the one that `kept` is of.
fn no_proof_continues(kept: &Proof, honest: &Tale, retold: &Tale) {
    let refused = retold.prove_since(kept).unwrap_err();
    assert!(
        matches!(refused, BuildFault::OlderDiffers | BuildFault::OlderLarger),
        "{refused}"
    );
    // Paths by hand, each under signatures that hold.
    let old = kept.check(None).unwrap().checkpoint;
    let size = retold.entries.len();
    let forged = retold.prove(Some(size - 1), size);
    let told: Vec<TreeHash> = retold.leaves().collect();
    let true_leaves: Vec<TreeHash> = honest.leaves().collect();
    let (old_size, new_size) = (old.size, size as u64);
    let path_of = |leaves: &[TreeHash], size: u64| {
        let proof = ConsistencyProof::prove(leaves, size.min(leaves.len() as u64)).unwrap();
        proof.path
    };
    let paths = [
        Vec::new(),
        path_of(&told, old_size),
        path_of(&told, old_size.saturating_sub(1)),
        path_of(&true_leaves, old_size),
        vec![old.root],
        vec![old.root, old.root],
    ];
    for path in paths {
        let proof = ConsistencyProof {
            old_size,
            new_size,
            path,
        };
        let attempt = Proof {
            older: Some((kept.checkpoint().clone(), proof)),
            ..forged.clone()
        };
        assert_eq!(attempt.check(None), Err(ProofFault::NotConsistent));
        // And not even a forged file hides behind the comparison.
        let compared = Proof::compare(kept, &attempt);
        assert_eq!(
            compared,
            Err(CompareFault::Newer(ProofFault::NotConsistent))
        );
    }
    // A path of another tree size is not taken for one of these.
    let path = path_of(&told, old_size);
    for (old_size, new_size) in [
        (old_size.saturating_sub(1), new_size),
        (old_size, new_size + 1),
    ] {
        let proof = ConsistencyProof {
            old_size,
            new_size,
            path: path.clone(),
        };
        let older = Some((kept.checkpoint().clone(), proof));
        let attempt = Proof {
            older,
            ..forged.clone()
        };
        assert_eq!(attempt.check(None), Err(ProofFault::TreeSize));
    }
}

fn contradicts(older: &Proof, newer: &Proof) -> Option<Contradiction> {
    // Both files hold on their own and go through the post as bytes.
    let [older, newer] = [older, newer].map(|proof| Proof::decode(&proof.encode()).unwrap());
    let there = Proof::compare(&older, &newer).unwrap();
    let back = Proof::compare(&newer, &older).unwrap();
    match (there, back) {
        (Comparison::Contradiction { contradiction, .. }, Comparison::Contradiction { .. }) => {
            Some(contradiction)
        }
        (one, other) => {
            let accused = |comparison| matches!(comparison, Comparison::Contradiction { .. });
            assert!(!accused(one) && !accused(other));
            assert!(one != Comparison::Consistent && other != Comparison::Consistent);
            None
        }
    }
}

/// Every way of showing the new past at a size at which the old one was signed gives it away.
fn every_answer_is_evidence(kept: &Proof, retold: &Tale) {
    let size = usize::try_from(kept.check(None).unwrap().checkpoint.size).unwrap();
    if retold.entries.len() >= size {
        // "What stands last under the checkpoint that I have?"
        let answer = retold.prove(Some(size - 1), retold.entries.len());
        assert!(contradicts(kept, &answer).is_some());
        // "Show the checkpoint of that size."
        let answer = retold.prove(None, size);
        assert_eq!(
            contradicts(kept, &answer),
            Some(Contradiction::Root { size: size as u64 })
        );
    }
    let last = retold.entries.len() - 1;
    for index in [0, PROLOGUE.min(last), last] {
        let answer = retold.prove(Some(index), retold.entries.len());
        contradicts(kept, &answer);
    }
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    (1..24usize, 0..24usize, any::<proptest::sample::Index>()).prop_map(|(kept, more, victim)| {
        let kept = PROLOGUE + kept;
        (kept, more, PROLOGUE + victim.index(kept - PROLOGUE))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn who_kept_last_months_checkpoint_can_prove_a_deletion(
        (size, more, victim) in sizes(),
        tail in any::<bool>(),
    ) {
        let honest = Tale::new(size);
        let kept = honest.prove(None, size);
        let goes = |at| if at == victim || tail && at > victim {
            Fate::Vanishes
        } else {
            Fate::Stays
        };
        let retold = honest.retold(goes, more);
        no_proof_continues(&kept, &honest, &retold);
        every_answer_is_evidence(&kept, &retold);
    }

    #[test]
    fn who_kept_last_months_checkpoint_can_prove_a_rewrite((size, more, victim) in sizes()) {
        let honest = Tale::new(size);
        let kept = honest.prove(None, size);
        let rewritten = |at| if at == victim { Fate::IsRewritten } else { Fate::Stays };
        let retold = honest.retold(rewritten, more);
        no_proof_continues(&kept, &honest, &retold);
        every_answer_is_evidence(&kept, &retold);
    }

    #[test]
    fn who_kept_last_months_checkpoint_can_prove_a_split_view(
        (size, more, victim) in sizes(),
        others in 0..10usize,
    ) {
        // Two pasts that part at `victim`, both kept up and both signed.
        let first = Tale::new(size + others);
        let kept = first.prove(None, size);
        let parts = |at| if at >= victim { Fate::Vanishes } else { Fate::Stays };
        let second = first.retold(parts, size - victim + more);
        no_proof_continues(&kept, &first, &second);
        every_answer_is_evidence(&kept, &second);
        let (ours, theirs) = (first.prove(Some(victim), size), second.prove(Some(victim), size));
        prop_assert!(contradicts(&ours, &theirs).is_some());
    }

    #[test]
    fn who_kept_the_proof_of_an_entry_can_prove_that_it_was_replaced((size, more, victim) in sizes()) {
        let honest = Tale::new(size);
        let kept = honest.prove(Some(victim), size);
        for fate in [Fate::IsRewritten, Fate::Vanishes] {
            let retold = honest.retold(|at| if at == victim { fate } else { Fate::Stays }, more + 1);
            let answer = retold.prove(Some(victim), retold.entries.len());
            prop_assert!(contradicts(&kept, &answer).is_some());
        }
    }

    #[test]
    fn an_honest_clinic_is_never_accused(
        (size, more, entry) in sizes(),
        other in any::<proptest::sample::Index>(),
    ) {
        let tale = Tale::new(size + more);
        let now = size + more;
        let kept = tale.prove(Some(entry), size);
        let checkpoint = tale.prove(None, size);
        let since = tale.prove_since(&kept).unwrap();
        let last = tale.prove(Some(size - 1), now);
        for newer in [&since, &last] {
            for older in [&kept, &checkpoint] {
                prop_assert_eq!(Proof::compare(older, newer), Ok(Comparison::Consistent));
                prop_assert_eq!(Proof::compare(newer, older), Ok(Comparison::Consistent));
            }
        }
        let any_entry = tale.prove(Some(other.index(now)), now);
        for (older, newer) in [(&kept, &any_entry), (&checkpoint, &any_entry)] {
            let compared = Proof::compare(older, newer).unwrap();
            let fine = matches!(compared, Comparison::Consistent | Comparison::Unproven);
            prop_assert!(fine, "{:?}", compared);
            let back = Proof::compare(newer, older).unwrap();
            prop_assert!(matches!(back, Comparison::Consistent | Comparison::Smaller));
        }
    }
}

#[test]
fn a_tree_that_is_smaller_than_it_was_is_no_evidence_but_is_noticed() {
    let honest = Tale::new(20);
    let kept = honest.prove(None, 20);
    let cut = honest.retold(
        |at| {
            if at >= 15 {
                Fate::Vanishes
            } else {
                Fate::Stays
            }
        },
        0,
    );
    // The checkpoint of 15 was once true. Only a statement with a later time shows more.
    let answer = cut.prove(Some(14), 15);
    assert_eq!(Proof::compare(&kept, &answer), Ok(Comparison::Smaller));
    assert_eq!(cut.prove_since(&kept).unwrap_err(), BuildFault::OlderLarger);
    let state = |tale: &Tale, time_ms| {
        let last = tale.entries.last().unwrap();
        let (header, hash) = (last.header(), last.hash());
        let (log, chain, seq) = (header.log, header.chain, header.seq);
        let tree_size = tale.entries.len() as u64;
        Statement {
            log,
            chain,
            seq,
            hash,
            tree_size,
            time_ms,
        }
    };
    let (before, after) = (state(&honest, NOON_MS), state(&cut, NOON_MS + 1));
    assert_eq!(before.contradicts(&after), Some(Contradiction::TakenBack));
    let regrown = honest.retold(
        |at| {
            if at >= 15 {
                Fate::Vanishes
            } else {
                Fate::Stays
            }
        },
        9,
    );
    let last = regrown.entries.last().unwrap();
    assert_eq!(
        before.contradicts_entry(last),
        None,
        "there was no such place yet"
    );
    let replaced = regrown
        .entries
        .iter()
        .find(|entry| entry.header().seq == before.seq);
    assert!(before.contradicts_entry(replaced.unwrap()).is_some());
}

#[test]
fn a_broken_path_is_no_evidence_against_the_clinic() {
    let tale = Tale::new(20);
    let kept = tale.prove(None, 12);
    let mut slander = tale.prove_since(&kept).unwrap();
    let (_, path) = slander.older.as_mut().unwrap();
    path.path[0][0] ^= 1;
    let compared = Proof::compare(&kept, &slander);
    assert_eq!(
        compared,
        Err(CompareFault::Newer(ProofFault::NotConsistent))
    );
}

#[test]
fn a_roster_with_two_histories_is_evidence() {
    let mut tale = Tale::new(8);
    // Two versions of who was hired next, shown to different people.
    let mut proofs = Vec::new();
    let (roster, entries) = (
        tale.world.harbour.roster.clone(),
        tale.world.harbour.entries.clone(),
    );
    for role in [Role::Physician, Role::Nurse] {
        tale.world.harbour.roster = roster.clone();
        tale.world.harbour.entries.clone_from(&entries);
        tale.world.harbour.tree_size = 8;
        tale.entries.truncate(8);
        tale.world.harbour.hire(33, &[role]);
        tale.entries
            .push(tale.world.harbour.entries.last().unwrap().clone());
        proofs.push(tale.prove(Some(8), 9));
    }
    let seq = tale.entries[8].header().seq;
    assert_eq!(
        contradicts(&proofs[0], &proofs[1]),
        Some(Contradiction::LogPlace { seq })
    );
}

#[test]
fn one_order_in_a_log_and_another_in_the_tree_is_evidence() {
    let tale = Tale::new(12);
    // Place 10 of the tree again, by an entry further on in the log; the tree is forked to hold it.
    let mut forked = Tale::new(12);
    let (header, payload) = (tale.entries[11].header().clone(), vec![1; 30]);
    let draft = Draft {
        log: header.log,
        parents: header.parents,
        authority: header.authority,
        kind: header.kind,
        scope: header.scope,
        epoch: header.epoch,
        blobs: Vec::new(),
        time_ms: header.time_ms,
        actor: header.actor,
    };
    let chain = &tale.world.harbour.chain;
    let prev = Some(tale.entries[11].hash());
    let position = Position {
        chain: chain.chain(),
        seq: header.seq + 1,
        prev,
        tree_index: 10,
    };
    let by = if header.actor == tale.world.ada.actor() {
        &tale.world.ada
    } else {
        &tale.world.nils
    };
    forked.entries[10] = draft.sign(position, payload, by, chain).unwrap();
    let (ours, theirs) = (tale.prove(Some(11), 12), forked.prove(Some(10), 11));
    assert_eq!(contradicts(&ours, &theirs), Some(Contradiction::Order));
}

#[test]
fn two_proofs_of_other_entries_give_a_rewrite_away_where_their_paths_meet() {
    let honest = Tale::new(20);
    let kept = honest.prove(Some(12), 20);
    let rewritten = |at| {
        if at == 9 {
            Fate::IsRewritten
        } else {
            Fate::Stays
        }
    };
    // Everything from 9 on is another; both paths tell of 8 to 11, of 12 and 13, and of what holds them.
    let answer = honest.retold(rewritten, 8).prove(Some(14), 28);
    let differ = Contradiction::Leaves { from: 12, to: 13 };
    assert_eq!(contradicts(&kept, &answer), Some(differ));
}
