//! Which entries count: people who were cut off, and people who were not. Whatever is claimed here holds
//! for everybody who holds the same entries, in whatever order they came ([`everybody`]).

use super::dice::Dice;
use super::world::*;
use crate::*;

/// World's two clinics and a third one, Lake, which may write.
struct Three {
    w: World,
    lake: Clinic,
    /// Lake's physician.
    eve: SigningKey,
}

fn three() -> Three {
    let mut w = World::new();
    let mut lake = Clinic::new(50);
    let eve = lake.hire(60, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &lake]);
    let grant = w.harbour.grant(&w.state, &w.ada, lake.id, Right::Write);
    w.accept(grant);
    Three { w, lake, eve }
}

impl Three {
    fn know(&mut self) {
        self.w.rosters = rosters(&[&self.w.harbour, &self.w.hill, &self.lake]);
        self.w.state.settle(&self.w.rosters);
    }

    /// Adds the entries to a copy of this state.
    fn seen(&self, state: &LogState, entries: &[&Entry]) -> LogState {
        let mut state = state.clone();
        for entry in entries {
            let verdict = state.admit(entry, &self.w.rosters);
            assert!(
                matches!(verdict, Verdict::Accepted | Verdict::Forked { .. }),
                "{verdict:?}"
            );
        }
        state
    }

    /// What everybody finds who has all of World's entries and these.
    fn everybody(&self, entries: &[&Entry]) -> LogState {
        let all: Vec<&Entry> = self
            .w
            .entries
            .iter()
            .chain(entries.iter().copied())
            .collect();
        everybody(self.w.state.log(), &self.w.rosters, &all)
    }

    /// Harbour ends a clinic's grants at what it holds of it.
    fn revoke(&mut self, state: &LogState, clinic: ClinicId) -> Entry {
        let roster = self.w.rosters.get(clinic).unwrap();
        let cuts = state.cuts_for(roster.incarnations().map(|life| life.chain));
        let control = Control::Revoke { clinic, cuts };
        self.w.harbour.control(state, &self.w.ada, &control)
    }
}

/// The state of somebody who gets these entries in many orders, the same every time.
fn everybody(log: LogId, rosters: &Rosters, entries: &[&Entry]) -> LogState {
    let mut dice = Dice::new(1);
    let mut states = (0..20).map(|_| {
        let (mut state, mut open) = (LogState::new(log), entries.to_vec());
        dice.shuffle(&mut open);
        while !open.is_empty() {
            let before = open.len();
            open.retain(|entry| matches!(state.admit(entry, rosters), Verdict::Pending { .. }));
            assert!(open.len() < before);
        }
        state
    });
    let first = states.next().unwrap();
    for state in states {
        assert_eq!(state.digest(), first.digest());
        assert_eq!(state.void_digest(), first.void_digest());
        assert!(state.voids().eq(first.voids()));
    }
    first
}

#[test]
fn a_revoked_clinic_that_sets_its_clock_back_is_not_believed() {
    for clock_ms in [0, NOON_MS, 2 * NOON_MS] {
        let mut t = three();
        let before = t.w.state.clone();
        let honest = t.w.hill.edit(&before, &t.w.bo, Scope::Note);
        let seen = t.seen(&before, &[&honest]);
        let revoke = t.revoke(&seen, t.w.hill.id);
        t.w.hill.clock_ms = clock_ms;
        let late = t.w.hill.edit(&seen, &t.w.bo, Scope::Note);
        let state = t.everybody(&[&honest, &revoke, &late]);
        assert_eq!(state.void(&honest.hash()), None);
        assert_eq!(state.void(&late.hash()), Some(Void::Revoked));
        assert_eq!(state.right_of(t.w.hill.id), None);
        assert_eq!(state.voids().len(), 1);
        assert_ne!(state.void_digest(), [0; 32]);
        // Whoever shows to know of the revocation is not even held.
        let mut knowing = t.seen(&seen, &[&revoke]);
        let open = t.w.hill.edit(&knowing, &t.w.bo, Scope::Note);
        let verdict = knowing.admit(&open, &t.w.rosters);
        assert_eq!(verdict, Verdict::Refused(Refusal::Right));
    }
}

#[test]
fn a_retired_nurse_with_her_old_key_is_not_believed() {
    let mut t = three();
    let old = t.w.harbour.heads();
    let (key, nils) = (t.w.nils.actor(), t.w.nils.clone());
    let before = t.w.harbour.edit(&t.w.state, &nils, Scope::Observation);
    let seen = t.seen(&t.w.state, &[&before]);
    let cuts = vec![(t.w.harbour.chain.chain(), t.w.harbour.tree_size - 1)];
    // At the node itself, with the roster and the clock of yesterday.
    t.w.harbour.keep(&Control::Retire { key, cuts });
    t.w.harbour.clock_ms = 0;
    let write = Write {
        actor: &nils,
        kind: Kind::Edit,
        scope: Some(Scope::Observation),
        epoch: seen.current_epoch(),
        authority: old,
        payload: vec![1; 64],
    };
    let late = t.w.harbour.write(&seen, write);
    t.know();
    let state = t.everybody(&[&before, &late]);
    assert_eq!(state.void(&before.hash()), None);
    assert_eq!(state.void(&late.hash()), Some(Void::Retired));
    // A colleague writes after her; another clinic builds on that, and so on hers. What the colleague
    // relied on knew of the retirement: nobody who has it in the past is unknowing.
    let held = t.seen(&seen, &[&late]);
    let next = t.w.harbour.edit(&held, &t.w.ada, Scope::Note);
    let held = t.seen(&held, &[&next]);
    let above = t.w.hill.edit(&held, &t.w.bo, Scope::Note);
    let state = t.everybody(&[&before, &late, &next, &above]);
    assert_eq!(state.is_ancestor(&late.hash(), &above.hash()), Some(true));
    assert_eq!(state.void(&late.hash()), Some(Void::Retired));
    assert_eq!(state.voids().len(), 1);
}

#[test]
fn honest_work_that_others_built_on_survives_a_late_revocation() {
    let mut t = three();
    let base = t.w.state.clone();
    let work = t.w.hill.edit(&base, &t.w.bo, Scope::Clinical);
    let seen = t.seen(&base, &[&work]);
    let above = t.lake.edit(&seen, &t.eve, Scope::Note);
    let later =
        t.w.hill
            .edit(&t.seen(&seen, &[&above]), &t.w.bo, Scope::Note);
    // Harbour had none of it when it cut hill off.
    let revoke = t.revoke(&base, t.w.hill.id);
    let state = t.everybody(&[&work, &above, &later, &revoke]);
    assert_eq!(state.void(&work.hash()), None);
    assert_eq!(state.void(&above.hash()), None);
    assert_eq!(state.void(&later.hash()), Some(Void::Revoked));
    // A look holds nothing up, and neither does who knew of the revocation.
    let look = t.lake.view(&seen, &t.eve);
    let state = t.everybody(&[&work, &look, &revoke]);
    assert_eq!(state.void(&work.hash()), Some(Void::Revoked));
    let knowing = t.seen(&seen, &[&revoke]);
    assert!(!knowing.parents(t.lake.chain.chain()).contains(&work.hash()));
    let parents = vec![work.hash(), revoke.hash()];
    let stubborn = t.lake.edit_on(&knowing, &t.eve, parents);
    let state = t.everybody(&[&work, &stubborn, &revoke]);
    assert_eq!(state.void(&stubborn.hash()), None);
    assert_eq!(state.void(&work.hash()), Some(Void::Revoked));
}

#[test]
fn two_accomplices_cannot_hold_each_other_up() {
    let mut t = three();
    let base = t.w.state.clone();
    let revoke = t.revoke(&base, t.w.hill.id);
    // Hill, cut off, lets in a friend, who builds on it; and hill on that.
    let mut pond = Clinic::new(70);
    let mal = pond.hire(80, &[Role::Physician]);
    t.w.rosters = rosters(&[&t.w.harbour, &t.w.hill, &t.lake, &pond]);
    let grant = t.w.hill.grant(&base, &t.w.bo, pond.id, Right::Write);
    let held = t.seen(&base, &[&grant]);
    let friend = pond.edit(&held, &mal, Scope::Clinical);
    let held = t.seen(&held, &[&friend]);
    let again = t.w.hill.edit(&held, &t.w.bo, Scope::Clinical);
    let state = t.everybody(&[&revoke, &grant, &friend, &again]);
    assert_eq!(state.void(&grant.hash()), Some(Void::Revoked));
    assert_eq!(state.void(&friend.hash()), Some(Void::Ungranted));
    assert_eq!(state.void(&again.hash()), Some(Void::Revoked));
    assert_eq!(state.right_of(pond.id), None);
    // Two that are both cut off do no better.
    let mut t = three();
    let base = t.w.state.clone();
    let first = t.revoke(&base, t.w.hill.id);
    let both = t.seen(&base, &[&first]);
    let second = t.revoke(&both, t.lake.id);
    let one = t.w.hill.edit(&base, &t.w.bo, Scope::Note);
    let held = t.seen(&base, &[&one]);
    let two = t.lake.edit(&held, &t.eve, Scope::Note);
    let held = t.seen(&held, &[&two]);
    let three = t.w.hill.edit(&held, &t.w.bo, Scope::Note);
    let state = t.everybody(&[&first, &second, &one, &two, &three]);
    for entry in [&one, &two, &three] {
        assert_eq!(state.void(&entry.hash()), Some(Void::Revoked));
    }
}

#[test]
fn a_concurrent_grant_does_not_outlive_a_revocation() {
    let mut t = three();
    let base = t.w.state.clone();
    let revoke = t.revoke(&base, t.w.hill.id);
    let grant = t.lake.grant(&base, &t.eve, t.w.hill.id, Right::Write);
    let held = t.seen(&base, &[&grant]);
    let late = t.w.hill.edit(&held, &t.w.bo, Scope::Note);
    let state = t.everybody(&[&revoke, &grant, &late]);
    assert_eq!(state.void(&grant.hash()), None);
    assert_eq!(state.right_of(t.w.hill.id), None);
    assert_eq!(state.void(&late.hash()), Some(Void::Revoked));
    let live: Vec<ClinicId> = state.grants().map(|grant| grant.clinic).collect();
    assert_eq!(live, [t.lake.id]);
    assert_eq!(state.all_grants().len(), 3);
    // Nor does it help to know of both.
    let mut knowing = t.seen(&held, &[&revoke]);
    let open = t.w.hill.edit(&knowing, &t.w.bo, Scope::Note);
    let verdict = knowing.admit(&open, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Right));
}

#[test]
fn a_clinic_that_is_admitted_again_writes_again() {
    let mut t = three();
    let base = t.w.state.clone();
    let revoke = t.revoke(&base, t.w.hill.id);
    let held = t.seen(&base, &[&revoke]);
    let lost = t.w.hill.edit(&base, &t.w.bo, Scope::Note);
    let again =
        t.w.harbour
            .grant(&held, &t.w.ada, t.w.hill.id, Right::Write);
    let mut held = t.seen(&held, &[&again, &lost]);
    assert_eq!(held.void(&lost.hash()), Some(Void::Revoked));
    let back = t.w.hill.edit(&held, &t.w.bo, Scope::Note);
    assert_eq!(held.admit(&back, &t.w.rosters), Verdict::Accepted);
    let state = t.everybody(&[&revoke, &lost, &again, &back]);
    assert_eq!(state.void(&back.hash()), None);
    assert_eq!(state.void(&lost.hash()), Some(Void::Revoked));
    assert_eq!(state.right_of(t.w.hill.id), Some(Right::Write));
    // And is cut off again.
    let twice = t.revoke(&state, t.w.hill.id);
    let late = t.w.hill.edit(&state, &t.w.bo, Scope::Note);
    let state = t.everybody(&[&revoke, &lost, &again, &back, &twice, &late]);
    assert_eq!(state.void(&back.hash()), None);
    assert_eq!(state.void(&late.hash()), Some(Void::Revoked));
}

#[test]
fn a_revocation_that_is_itself_beyond_a_cut_ends_nothing() {
    let mut t = three();
    let base = t.w.state.clone();
    let old = t.w.harbour.heads();
    let (key, nils) = (t.w.nils.actor(), t.w.nils.clone());
    // The nurse was made registrar, left, and revokes hill with her old key.
    let (name, roles) = ("Nils".to_owned(), vec![Role::Registrar]);
    t.w.harbour.keep(&Control::Certify { key, name, roles });
    let mut authority = t.w.harbour.heads();
    let cuts = vec![(t.w.harbour.chain.chain(), t.w.harbour.tree_size - 1)];
    t.w.harbour.keep(&Control::Retire { key, cuts });
    t.know();
    let (clinic, cuts) = (t.w.hill.id, vec![]);
    let write = |authority| Write {
        actor: &nils,
        kind: Kind::Revoke,
        scope: None,
        epoch: None,
        authority,
        payload: Control::Revoke {
            clinic,
            cuts: cuts.clone(),
        }
        .encode(),
    };
    let as_nurse = t.w.harbour.write(&base, write(old));
    let verdict = base.clone().admit(&as_nurse, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Role));
    authority.sort();
    let revoke = t.w.harbour.write(&base, write(authority));
    let edit = t.w.hill.edit(&base, &t.w.bo, Scope::Note);
    let state = t.everybody(&[&revoke, &edit]);
    assert_eq!(state.void(&revoke.hash()), Some(Void::Retired));
    assert_eq!(state.void(&edit.hash()), None);
    assert_eq!(state.right_of(t.w.hill.id), Some(Right::Write));
}

#[test]
fn a_restored_node_is_no_fork() {
    let mut t = three();
    let base = t.w.state.clone();
    // Harbour writes, hill sees it, and harbour's disk is lost and restored to the state before.
    let lost = t.w.harbour.edit(&base, &t.w.ada, Scope::Clinical);
    let seen = t.seen(&base, &[&lost]);
    let above = t.w.hill.edit(&seen, &t.w.bo, Scope::Note);
    let old = t.w.harbour.chain.chain();
    (t.w.harbour.chain, t.w.harbour.tree_size) = (key(15), 0);
    t.w.harbour.keep(&Control::Incarnation {
        chain: key(15).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![(old, MAX_TREE_SIZE)],
    });
    t.know();
    let new = t.w.harbour.edit(&base, &t.w.ada, Scope::Clinical);
    let state = t.everybody(&[&lost, &above, &new]);
    assert_eq!(state.forks().count(), 0);
    assert_eq!(state.voids().len(), 0);
    assert_eq!(state.heights().len(), 3);
    // Nothing written by one who knows of the new life counts for the old one.
    (t.w.harbour.chain, t.w.harbour.tree_size) = (key(11), 90);
    let ghost = t.w.harbour.edit(&state, &t.w.ada, Scope::Note);
    let verdict = state.clone().admit(&ghost, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::ChainClosed));
}

#[test]
fn a_closed_chain_counts_up_to_its_close_and_no_further() {
    let mut t = three();
    let old = t.w.harbour.heads();
    let kept = t.w.harbour.edit(&t.w.state, &t.w.ada, Scope::Note);
    let last = t.w.harbour.tree_size - 1;
    let seen = t.seen(&t.w.state, &[&kept]);
    let write = Write {
        actor: &t.w.ada,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: seen.current_epoch(),
        authority: old,
        payload: vec![1; 64],
    };
    let stolen = t.w.harbour.write(&seen, write);
    let chain = t.w.harbour.chain.chain();
    (t.w.harbour.chain, t.w.harbour.tree_size) = (key(15), 0);
    t.w.harbour.keep(&Control::Incarnation {
        chain: key(15).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![(chain, last)],
    });
    t.know();
    let state = t.everybody(&[&kept, &stolen]);
    assert_eq!(state.void(&kept.hash()), None);
    assert_eq!(state.void(&stolen.hash()), Some(Void::ChainClosed));
}

#[test]
fn a_quarantined_edit_is_void_for_all() {
    let mut t = three();
    let base = t.w.state.clone();
    let broken = t.w.hill.edit(&base, &t.w.bo, Scope::Clinical);
    let held = t.seen(&base, &[&broken]);
    let above = t.lake.edit(&held, &t.eve, Scope::Note);
    let quarantine = |entries| Control::Quarantine {
        entries,
        reason: "the document cannot be loaded".to_owned(),
    };
    let control = quarantine(vec![broken.hash()]);
    let entry = t.w.harbour.control(&held, &t.w.ada, &control);
    let state = t.everybody(&[&broken, &above, &entry]);
    assert_eq!(state.void(&broken.hash()), Some(Void::Quarantined));
    assert_eq!(state.void(&above.hash()), None);
    // Only home holds out, only edits, only what it has seen.
    let by_hill = t.w.hill.control(&held, &t.w.bo, &control);
    let verdict = held.clone().admit(&by_hill, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Right));
    for unknown in [t.w.entries[1].hash(), above.hash()] {
        let control = quarantine(vec![unknown]);
        let entry = t.w.harbour.control(&held, &t.w.ada, &control);
        let verdict = held.clone().admit(&entry, &t.w.rosters);
        assert_eq!(verdict, Verdict::Refused(Refusal::Unknown));
    }
}

#[test]
fn a_new_epoch_is_made_by_home_and_names_the_one_before() {
    let mut t = three();
    let first = t.w.state.current_epoch().unwrap();
    let rotate = |previous| Control::Rotate {
        commitment: [5; 32],
        previous,
        sealed_previous: vec![3; 72],
    };
    let by_hill = t.w.hill.control(&t.w.state, &t.w.bo, &rotate(first));
    let verdict = t.w.state.clone().admit(&by_hill, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Right));
    t.w.hill.tree_size -= 1;
    let unknown = rotate(t.w.entries[1].hash());
    let unknown = t.w.harbour.control(&t.w.state, &t.w.ada, &unknown);
    let verdict = t.w.state.clone().admit(&unknown, &t.w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Epoch));
    let entry = t.w.harbour.control(&t.w.state, &t.w.ada, &rotate(first));
    let state = t.everybody(&[&entry]);
    assert_eq!(state.current_epoch(), Some(entry.hash()));
    assert_eq!(state.commitment(&entry.hash()), Some([5; 32]));
    let epochs: Vec<_> = state.epochs().collect();
    assert_eq!((epochs.len(), epochs[0].id), (2, first));
    assert_eq!(epochs[1].previous, Some((first, vec![3; 72])));
    // Who has not seen it yet goes on with the old one.
    let edit = t.w.hill.edit(&t.w.state, &t.w.bo, Scope::Note);
    assert_eq!(edit.header().epoch, Some(first));
    t.everybody(&[&entry, &edit]);
}

#[test]
fn records_are_linked_by_those_who_keep_demographics() {
    let mut t = three();
    for (kind, actor, ok) in [
        (Kind::Link, t.w.ada.clone(), true),
        (Kind::Unlink, t.w.ada.clone(), true),
        (Kind::Link, t.w.nils.clone(), false),
    ] {
        let write = Write {
            actor: &actor,
            kind,
            scope: None,
            epoch: t.w.state.current_epoch(),
            authority: t.w.harbour.heads(),
            payload: vec![1; 64],
        };
        let entry = t.w.harbour.write(&t.w.state, write);
        if ok {
            t.w.accept(entry);
        } else {
            assert_eq!(t.w.refused(&entry), Refusal::Role);
        }
    }
}

#[test]
fn only_home_revokes_and_never_itself() {
    let mut t = three();
    let revoke = |clinic| Control::Revoke {
        clinic,
        cuts: vec![],
    };
    let by_hill = t.w.hill.control(&t.w.state, &t.w.bo, &revoke(t.lake.id));
    assert_eq!(t.w.refused(&by_hill), Refusal::Right);
    let itself =
        t.w.harbour
            .control(&t.w.state, &t.w.ada, &revoke(t.w.harbour.id));
    assert_eq!(t.w.refused(&itself), Refusal::Right);
    let nurse =
        t.w.harbour
            .control(&t.w.state, &t.w.nils, &revoke(t.w.hill.id));
    assert_eq!(t.w.refused(&nurse), Refusal::Role);
}

#[test]
fn nobody_builds_on_what_is_void_and_nothing_else_is_lost_with_it() {
    let mut t = three();
    let base = t.w.state.clone();
    let note = t.lake.edit(&base, &t.eve, Scope::Note);
    let revoke = t.revoke(&base, t.w.hill.id);
    // Hill merged lake's note: the only head but for the revocation.
    let late =
        t.w.hill
            .edit(&t.seen(&base, &[&note]), &t.w.bo, Scope::Note);
    let state = t.everybody(&[&note, &revoke, &late]);
    assert_eq!(state.heads().len(), 2);
    assert!(state.heads().contains(&late.hash()));
    let mut expected = vec![note.hash(), revoke.hash()];
    expected.sort();
    assert_eq!(state.parents(ChainId::from_bytes([1; 32])), expected);
    // Its own chain goes on from it all the same.
    let position = state.position(t.w.hill.chain.chain(), 9);
    assert_eq!(position.prev, Some(late.hash()));
}

#[test]
fn a_late_retirement_takes_force_from_what_was_held_before() {
    let mut t = three();
    let late = t.w.harbour.edit(&t.w.state, &t.w.nils, Scope::Note);
    t.w.accept(late.clone());
    assert_eq!(t.w.state.void(&late.hash()), None);
    let (key, version) = (t.w.nils.actor(), t.w.rosters.version());
    let cuts = vec![(t.w.harbour.chain.chain(), late.header().tree_index - 1)];
    t.w.harbour.keep(&Control::Retire { key, cuts });
    t.know();
    assert!(t.w.rosters.version() > version);
    assert_eq!(t.w.state.void(&late.hash()), Some(Void::Retired));
    assert!(Void::Retired.to_string().contains("retired"));
}
