//! Chains that show two histories.

use super::world::*;
use crate::*;

/// Hill writes two entries for one place and shows one to each of two others, who build on it.
struct Forked {
    w: World,
    lake: Clinic,
    eve: SigningKey,
    one: Entry,
    two: Entry,
    /// What harbour and lake hold.
    views: [LogState; 2],
}

fn forked() -> Forked {
    let mut w = World::new();
    let mut lake = Clinic::new(50);
    let eve = lake.hire(60, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &lake]);
    let grant = w.harbour.grant(&w.state, &w.ada, lake.id, Right::Write);
    w.accept(grant);
    let common = w.hill.edit(&w.state, &w.bo, Scope::Note);
    w.accept(common);
    let one = w.hill.edit(&w.state, &w.bo, Scope::Note);
    let two = w.hill.edit(&w.state, &w.bo, Scope::Clinical);
    let mut views = [w.state.clone(), w.state.clone()];
    for (view, entry) in views.iter_mut().zip([&one, &two]) {
        assert_eq!(view.admit(entry, &w.rosters), Verdict::Accepted);
    }
    Forked {
        w,
        lake,
        eve,
        one,
        two,
        views,
    }
}

/// Gives `to` what it lacks of `from`, as sync does.
fn give(from: &LogState, to: &mut LogState, rosters: &Rosters, entries: &[&Entry]) -> usize {
    let lacking = from.lacking(to.heights());
    let count = lacking.entries.len();
    for (_, _, hash) in lacking.entries {
        let entry = entries.iter().find(|entry| entry.hash() == hash).unwrap();
        let verdict = to.admit(entry, rosters);
        let fine = matches!(
            verdict,
            Verdict::Accepted | Verdict::Forked { .. } | Verdict::Duplicate
        );
        assert!(fine, "{verdict:?}");
    }
    count
}

#[test]
fn a_forked_chain_cuts_no_honest_clinic_off() {
    let mut f = forked();
    let by_harbour = f.w.harbour.edit(&f.views[0], &f.w.ada, Scope::Note);
    let by_lake = f.lake.edit(&f.views[1], &f.eve, Scope::Note);
    for (view, entry) in f.views.iter_mut().zip([&by_harbour, &by_lake]) {
        assert_eq!(view.admit(entry, &f.w.rosters), Verdict::Accepted);
    }
    let mut all: Vec<&Entry> = f.w.entries.iter().collect();
    all.extend([&f.one, &f.two, &by_harbour, &by_lake]);
    let [mut harbour, mut lake] = f.views.clone();
    assert_eq!(
        harbour.lacking(lake.heights()).forked,
        [f.w.hill.chain.chain()]
    );
    assert!(give(&harbour.clone(), &mut lake, &f.w.rosters, &all) > 0);
    assert!(give(&lake, &mut harbour, &f.w.rosters, &all) > 0);
    assert_eq!(harbour.digest(), lake.digest());
    assert_eq!(give(&lake, &mut harbour, &f.w.rosters, &all), 0);
    assert_eq!(harbour.len(), all.len());
    // Both see the evidence; what the honest wrote counts, and what they built on in good faith.
    for view in [&harbour, &lake] {
        let forks: Vec<Fork> = view.forks().collect();
        let mut entries = vec![f.one.hash(), f.two.hash()];
        entries.sort();
        let chain = f.w.hill.chain.chain();
        let seq = 1;
        assert_eq!(
            forks,
            [Fork {
                chain,
                seq,
                entries
            }]
        );
        assert_eq!(view.voids().len(), 0);
    }
    // The physical lines differ, the canonical ones do not.
    let meta = |view: &LogState, entry: &Entry| view.entry_meta(&entry.hash()).unwrap().line;
    assert_ne!(meta(&harbour, &f.one), meta(&lake, &f.one));
    let line = ChainId::fork(f.w.hill.chain.chain(), f.one.hash());
    assert_eq!(harbour.line_of(&f.one.hash()), Some(line));
    assert_eq!(lake.line_of(&f.one.hash()), Some(line));
    // They go on together; nothing that the liar adds counts, and nobody builds on it.
    let next = f.w.harbour.edit(&harbour, &f.w.ada, Scope::Note);
    let late = f.w.hill.edit(&f.views[0], &f.w.bo, Scope::Note);
    for view in [&mut harbour, &mut lake] {
        assert_eq!(view.admit(&next, &f.w.rosters), Verdict::Accepted);
        assert_eq!(view.admit(&late, &f.w.rosters), Verdict::Accepted);
        assert_eq!(view.void(&late.hash()), Some(Void::Forked));
        assert_eq!(view.void(&next.hash()), None);
        let parents = view.parents(f.lake.chain.chain());
        assert_eq!(parents, [next.hash()]);
    }
    assert_eq!(harbour.digest(), lake.digest());
}

#[test]
fn nothing_after_two_histories_counts_by_itself() {
    let mut f = forked();
    let [mut state, _] = f.views.clone();
    let verdict = state.admit(&f.two, &f.w.rosters);
    let other = f.one.hash();
    assert_eq!(verdict, Verdict::Forked { other });
    for entry in [&f.one, &f.two] {
        assert_eq!(state.void(&entry.hash()), Some(Void::Forked));
    }
    // The heights tell the line before and both after.
    let chain = f.w.hill.chain.chain();
    let heights = state.heights();
    assert_eq!(heights[&chain].seq, 0);
    for entry in [&f.one, &f.two] {
        let line = ChainId::fork(chain, entry.hash());
        let (seq, hash) = (1, entry.hash());
        assert_eq!(heights.get(&line), Some(&Height { seq, hash }));
    }
    // Who goes on from both lies to himself.
    let parents = vec![f.two.hash()];
    let bo = f.w.bo.clone();
    let both = f.w.hill.edit_on(&f.views[0], &bo, parents);
    assert!(both.header().prev == Some(f.one.hash()));
    assert_eq!(
        state.admit(&both, &f.w.rosters),
        Verdict::Refused(Refusal::Frozen)
    );
}

#[test]
fn a_history_that_fails_a_check_is_evidence_and_is_not_kept() {
    let mut f = forked();
    let nils = f.w.nils.clone();
    let [state, _] = &mut f.views;
    f.w.hill.tree_size = 50;
    let wrong = f.w.hill.edit(&f.w.state, &nils, Scope::Note);
    let before = state.digest();
    let other = f.one.hash();
    let verdict = state.admit(&wrong, &f.w.rosters);
    assert_eq!(verdict, Verdict::Equivocation { other });
    assert_eq!((state.digest(), state.forks().count()), (before, 0));
}

#[test]
fn a_chain_shows_so_many_histories_and_no_more() {
    let mut f = forked();
    let [mut state, _] = f.views.clone();
    for at in 1..=MAX_FORKS {
        f.w.hill.tree_size = 10 + at as u64;
        let entry = f.w.hill.edit(&f.w.state, &f.w.bo, Scope::Note);
        match state.admit(&entry, &f.w.rosters) {
            Verdict::Forked { .. } => assert!(at < MAX_FORKS),
            Verdict::Equivocation { .. } => assert_eq!(at, MAX_FORKS),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(state.forks().next().unwrap().entries.len(), MAX_FORKS);
}

#[test]
fn a_stolen_node_key_forks_a_roster_and_the_root_goes_on() {
    let mut clinic = Clinic::new(10);
    let admin = clinic.hire(30, &[Role::Admin]);
    let certify = |seed: u8| Control::Certify {
        key: key(seed).actor(),
        name: format!("Staff {seed}"),
        roles: vec![Role::Nurse],
    };
    let root = clinic.root.clone();
    let base = clinic.roster.clone();
    let honest = clinic.draft_roster(&admin, &certify(40));
    let thief = clinic.draft_roster(&admin, &certify(41));
    let mut states = [[&honest, &thief], [&thief, &honest]].map(|order| {
        let mut state = base.clone();
        let verdict = state.admit(order[0], &Rosters::new());
        assert_eq!(verdict, Verdict::Accepted);
        let other = order[0].hash();
        let verdict = state.admit(order[1], &Rosters::new());
        assert_eq!(verdict, Verdict::Forked { other });
        state
    });
    assert_eq!(states[0].digest(), states[1].digest());
    clinic.roster = states[0].clone();
    // What the root signs counts wherever it stands.
    let by_root = clinic.draft_roster(&root, &certify(42));
    let mut chain = key(15);
    std::mem::swap(&mut chain, &mut clinic.chain);
    clinic.tree_size = 0;
    let control = Control::Incarnation {
        chain: key(15).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![(chain.chain(), honest.header().tree_index - 1)],
    };
    let life = clinic.draft_roster(&root, &control);
    for state in &mut states {
        for entry in [&honest, &thief] {
            assert_eq!(state.void(&entry.hash()), Some(Void::Forked));
        }
        let verdict = state.admit(&by_root, &Rosters::new());
        assert_eq!(verdict, Verdict::Accepted);
        assert_eq!(state.admit(&life, &Rosters::new()), Verdict::Accepted);
        let roster = state.roster().unwrap();
        let has_role = |seed: u8| {
            let member = roster.staff(key(seed).actor());
            member.is_some_and(|member| member.has_role(Role::Nurse))
        };
        assert_eq!([40, 41, 42].map(has_role), [false, false, true]);
        assert_eq!(roster.current().unwrap().chain, key(15).chain());
        let mut heads = vec![by_root.hash(), life.hash()];
        heads.sort();
        assert_eq!(roster.heads(), heads);
    }
    assert_eq!(states[0].digest(), states[1].digest());
}

#[test]
fn a_retired_admin_certifies_nobody_any_more() {
    let mut w = World::new();
    let admin = w.hill.hire(33, &[Role::Admin]);
    let before = w.hill.roster.clone();
    // A second node of hill's, whose key the admin took along.
    let (chain, size) = (w.hill.chain.clone(), w.hill.tree_size);
    (w.hill.chain, w.hill.tree_size) = (key(25), 0);
    w.hill.keep(&Control::Incarnation {
        chain: key(25).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![],
    });
    let taken = w.hill.roster.clone();
    let friend = Control::Certify {
        key: key(70).actor(),
        name: "A friend".to_owned(),
        roles: vec![Role::Physician],
    };
    let certify = w.hill.draft_roster(&admin, &friend);
    let mut theirs = taken.clone();
    assert_eq!(theirs.admit(&certify, &Rosters::new()), Verdict::Accepted);
    // The friend writes on the taken node, relying on that.
    let write = Write {
        actor: &key(70),
        kind: Kind::Edit,
        scope: Some(Scope::Clinical),
        epoch: w.state.current_epoch(),
        authority: vec![certify.hash()],
        payload: vec![1; 64],
    };
    let edit = w.hill.write(&w.state, write);
    // The root retires the admin, who had written nothing that counts there.
    (w.hill.chain, w.hill.tree_size) = (chain, size);
    let cuts = vec![(w.hill.chain.chain(), size)];
    let key = admin.actor();
    w.hill.keep(&Control::Retire { key, cuts });
    assert!(before.len() < w.hill.roster.len());
    w.hill.entries.push(certify.clone());
    w.know();
    let roster = w.rosters.state(w.hill.id).unwrap();
    assert_eq!(roster.void(&certify.hash()), Some(Void::Retired));
    let member = w.rosters.staff(w.hill.id, super::world::key(70).actor());
    assert_eq!(member.map(|member| member.roles.len()), Some(0));
    w.accept(edit.clone());
    assert_eq!(w.state.void(&edit.hash()), Some(Void::Uncertified));
}
