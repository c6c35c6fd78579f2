//! Who may write what in a record.

use super::world::*;
use crate::*;

#[test]
fn a_granted_clinic_edits_and_home_sees_it() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Clinical);
    w.accept(edit.clone());
    assert_eq!(w.state.heads().iter().collect::<Vec<_>>(), [&edit.hash()]);
    assert_eq!(w.state.kind(), Some(LogKind::Record));
    assert_eq!(w.state.home(), Some(w.harbour.id));
    assert_eq!(w.state.right_of(w.hill.id), Some(Right::Write));
    assert_eq!(w.state.right_of(w.harbour.id), Some(Right::Home));
    assert_eq!(w.admit(&edit), Verdict::Duplicate);
    let clock = w.state.clock(&edit.hash()).unwrap();
    assert_eq!(clock.len(), 2);
    assert!(clock.contains(&(w.harbour.chain.chain(), 1)));
    assert!(clock.contains(&(w.hill.chain.chain(), 0)));
    let first = w.entries[0].hash();
    assert_eq!(w.state.is_ancestor(&first, &edit.hash()), Some(true));
    assert_eq!(w.state.is_ancestor(&edit.hash(), &first), Some(false));
}

#[test]
fn a_nurse_may_not_edit_clinical_facts() {
    let mut w = World::new();
    let edit = w.harbour.edit(&w.state, &w.nils, Scope::Clinical);
    assert_eq!(w.refused(&edit), Refusal::Role);
    let edit = w.harbour.edit(&w.state, &w.nils, Scope::Observation);
    w.accept(edit);
}

#[test]
fn an_edit_without_a_grant_is_refused() {
    let mut w = World::new();
    let mut stranger = Clinic::new(50);
    let eve = stranger.hire(60, &[Role::Physician]);
    let edit = stranger.edit(&w.state, &eve, Scope::Note);
    assert!(
        matches!(w.admit(&edit), Verdict::Pending { .. }),
        "its roster is unknown"
    );
    w.rosters = rosters(&[&w.harbour, &w.hill, &stranger]);
    assert_eq!(w.refused(&edit), Refusal::Right);
}

#[test]
fn a_right_counts_only_where_it_was_known() {
    let mut w = World::new();
    let mut late = Clinic::new(50);
    let eve = late.hire(60, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &late]);
    // Written before the grant, though it arrives after it.
    let early = late.edit(&w.state, &eve, Scope::Note);
    let grant = w.harbour.grant(&w.state, &w.ada, late.id, Right::Write);
    w.accept(grant);
    assert_eq!(w.refused(&early), Refusal::Right);
    let after = late.edit(&w.state, &eve, Scope::Note);
    w.accept(after);
}

#[test]
fn a_reader_looks_and_does_not_edit_and_a_custodian_does_neither() {
    let mut w = World::new();
    let mut third = Clinic::new(50);
    let eve = third.hire(60, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &third]);
    let grant = w
        .harbour
        .grant(&w.state, &w.ada, third.id, Right::Custodian);
    w.accept(grant);
    assert_eq!(w.state.right_of(third.id), Some(Right::Custodian));
    let look = third.view(&w.state, &eve);
    assert_eq!(w.refused(&look), Refusal::Right);
    let grant = w.harbour.grant(&w.state, &w.ada, third.id, Right::Read);
    w.accept(grant);
    let edit = third.edit(&w.state, &eve, Scope::Note);
    assert_eq!(w.refused(&edit), Refusal::Right);
    let grant = third.grant(&w.state, &eve, third.id, Right::Write);
    assert_eq!(w.refused(&grant), Refusal::Right);
    let look = third.view(&w.state, &eve);
    w.accept(look);
}

#[test]
fn a_write_holder_grants_up_to_write_and_never_home() {
    let mut w = World::new();
    let third = ClinicId::from_bytes([77; 32]);
    let home = w.hill.grant(&w.state, &w.bo, third, Right::Home);
    assert_eq!(w.refused(&home), Refusal::Right);
    let home = w.hill.grant(&w.state, &w.bo, w.hill.id, Right::Home);
    assert_eq!(w.refused(&home), Refusal::Right);
    let write = w.hill.grant(&w.state, &w.bo, third, Right::Write);
    w.accept(write);
    assert_eq!(w.state.right_of(third), Some(Right::Write));
    let home = w.harbour.grant(&w.state, &w.ada, third, Right::Home);
    assert_eq!(w.refused(&home), Refusal::Right);
    let itself = w.harbour.grant(&w.state, &w.ada, w.harbour.id, Right::Home);
    w.accept(itself);
    assert_eq!(w.state.grants().count(), 3);
}

#[test]
fn only_a_custodian_is_granted_no_key() {
    let mut w = World::new();
    let epoch = w.state.current_epoch().unwrap();
    let clinic = ClinicId::from_bytes([77; 32]);
    for (right, wrapped) in [(Right::Read, vec![]), (Right::Custodian, vec![1])] {
        let grant = Control::Grant {
            clinic,
            right,
            epoch,
            wrapped,
        };
        let entry = w.harbour.control(&w.state, &w.ada, &grant);
        assert_eq!(w.refused(&entry), Refusal::Shape("wrapped key"));
    }
    let grant = Control::Grant {
        clinic,
        right: Right::Read,
        epoch: w.entries[1].hash(),
        wrapped: vec![1],
    };
    let entry = w.harbour.control(&w.state, &w.ada, &grant);
    assert_eq!(w.refused(&entry), Refusal::Epoch);
}

#[test]
fn a_nurse_grants_nothing() {
    let mut w = World::new();
    let grant = w.harbour.grant(
        &w.state,
        &w.nils,
        ClinicId::from_bytes([7; 32]),
        Right::Read,
    );
    assert_eq!(w.refused(&grant), Refusal::Role);
}

#[test]
fn a_retired_person_writes_nothing_that_relies_on_the_retirement() {
    let mut w = World::new();
    let cuts = vec![(w.harbour.chain.chain(), w.harbour.tree_size)];
    w.harbour.keep(&Control::Retire {
        key: w.nils.actor(),
        cuts,
    });
    w.know();
    let edit = w.harbour.edit(&w.state, &w.nils, Scope::Observation);
    assert_eq!(w.refused(&edit), Refusal::ActorRetired);
}

#[test]
fn a_chain_does_not_go_back_to_an_older_roster() {
    let mut w = World::new();
    let old = w.harbour.heads();
    w.harbour.keep(&Control::Retire {
        key: w.nils.actor(),
        cuts: Vec::new(),
    });
    w.know();
    let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
    w.accept(edit);
    let write = Write {
        actor: &w.nils,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        authority: old,
        payload: vec![1; 64],
    };
    let back = w.harbour.write(&w.state, write);
    assert_eq!(w.refused(&back), Refusal::AuthorityShrank);
}

#[test]
fn an_entry_waits_for_the_roster_that_it_relies_on() {
    let mut w = World::new();
    let new = w.hill.hire(33, &[Role::Physician]);
    let edit = w.hill.edit(&w.state, &new, Scope::Note);
    let missing = w.hill.heads();
    assert_eq!(w.admit(&edit), Verdict::Pending { missing });
    w.know();
    w.accept(edit);
}

#[test]
fn a_clinic_cannot_use_the_other_ones_staff() {
    let mut w = World::new();
    let edit = w.harbour.edit(&w.state, &w.bo, Scope::Note);
    assert_eq!(w.refused(&edit), Refusal::Actor);
    // Nor by relying on the other's roster as well.
    let mut authority = w.harbour.heads();
    authority.extend(w.hill.heads());
    let write = Write {
        actor: &w.bo,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        authority,
        payload: vec![1; 64],
    };
    let edit = w.harbour.write(&w.state, write);
    assert_eq!(w.refused(&edit), Refusal::Actor);
}

#[test]
fn a_header_that_does_not_fit_its_kind_is_refused() {
    let mut w = World::new();
    let epoch = w.state.current_epoch();
    let authority = w.harbour.heads();
    let cases = [
        (Kind::Edit, None, epoch, Refusal::Shape("scope")),
        (Kind::Edit, Some(Scope::Note), None, Refusal::Shape("epoch")),
        (
            Kind::Edit,
            Some(Scope::Note),
            Some(w.entries[1].hash()),
            Refusal::Epoch,
        ),
        (
            Kind::View,
            Some(Scope::Note),
            epoch,
            Refusal::Shape("scope"),
        ),
        (
            Kind::Attach,
            Some(Scope::Note),
            epoch,
            Refusal::Shape("scope"),
        ),
        (Kind::Grant, None, epoch, Refusal::Shape("epoch")),
        (Kind::Genesis, None, None, Refusal::Shape("parents")),
        (Kind::Consent, None, None, Refusal::NotSupported),
        (Kind::Revoke, None, epoch, Refusal::Shape("epoch")),
        (Kind::Link, None, None, Refusal::Shape("epoch")),
        (
            Kind::Link,
            Some(Scope::Demographics),
            epoch,
            Refusal::Shape("scope"),
        ),
        (
            Kind::Inference,
            Some(Scope::Observation),
            epoch,
            Refusal::Shape("scope"),
        ),
        (Kind::Verdict, None, epoch, Refusal::Shape("scope")),
        (
            Kind::Verdict,
            Some(Scope::Ai),
            None,
            Refusal::Shape("epoch"),
        ),
        (Kind::Share, None, epoch, Refusal::NotSupported),
        (Kind::Create, None, None, Refusal::NotSupported),
    ];
    for (kind, scope, epoch, refusal) in cases {
        let (authority, payload) = (authority.clone(), vec![0x80; 64]);
        let write = Write {
            actor: &w.ada,
            kind,
            scope,
            epoch,
            authority,
            payload,
        };
        let entry = w.harbour.write(&w.state, write);
        assert_eq!(w.refused(&entry), refusal, "{kind}");
    }
    let certify = Control::Certify {
        key: key(99).actor(),
        name: "X".into(),
        roles: vec![Role::Nurse],
    };
    let entry = w.harbour.control(&w.state, &w.ada, &certify);
    assert_eq!(w.refused(&entry), Refusal::WrongKind);
}

#[test]
fn an_attachment_needs_a_physician_and_a_write_grant() {
    let mut w = World::new();
    let attach = |w: &mut World, by_nurse: bool| {
        let write = Write {
            actor: if by_nurse { &w.nils } else { &w.ada },
            kind: Kind::Attach,
            scope: Some(Scope::Attachment),
            epoch: w.state.current_epoch(),
            authority: w.harbour.heads(),
            payload: vec![1; 64],
        };
        w.harbour.write(&w.state, write)
    };
    let entry = attach(&mut w, true);
    assert_eq!(w.refused(&entry), Refusal::Role);
    let entry = attach(&mut w, false);
    w.accept(entry);
}

#[test]
fn what_was_written_before_a_retirement_was_known_counts() {
    let mut w = World::new();
    let before = w.harbour.edit(&w.state, &w.nils, Scope::Observation);
    w.harbour.keep(&Control::Retire {
        key: w.nils.actor(),
        cuts: vec![],
    });
    w.know();
    w.accept(before);
}

#[test]
fn a_chain_counts_only_where_its_roster_entry_was_relied_on() {
    let mut w = World::new();
    let before = w.harbour.heads();
    let (endpoint, hpke, closes) = ([1; 32], [2; 32], vec![]);
    w.harbour.chain = key(15);
    w.harbour.tree_size = 0;
    let chain = key(15).chain();
    w.harbour.keep(&Control::Incarnation {
        chain,
        endpoint,
        hpke,
        closes,
    });
    w.know();
    let write = Write {
        actor: &w.ada,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        authority: before,
        payload: vec![1; 64],
    };
    let edit = w.harbour.write(&w.state, write);
    assert_eq!(w.refused(&edit), Refusal::Chain);
}

#[test]
fn a_chain_that_two_relied_on_rosters_certify_speaks_for_neither() {
    let mut w = World::new();
    let mut twin = Clinic::with_chain(90, key(21));
    twin.hire(32, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &twin]);
    let chain = key(21).chain();
    assert_eq!(w.rosters.clinic_of(chain), Some(w.hill.id.min(twin.id)));
    let mut authority = w.hill.heads();
    authority.extend(twin.heads());
    let write = Write {
        actor: &w.bo,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        authority,
        payload: vec![1; 64],
    };
    let edit = w.hill.write(&w.state, write);
    assert_eq!(w.refused(&edit), Refusal::Chain);
}

#[test]
fn a_nurse_begins_no_record() {
    let mut w = World::new();
    let nils = w.nils.clone();
    let (log, genesis) = w.harbour.begin_record(&nils, 42);
    let verdict = LogState::new(log).admit(&genesis, &w.rosters);
    assert_eq!(verdict, Verdict::Refused(Refusal::Role));
}

#[test]
fn blobs_belong_to_attachments_and_control_bodies_are_short() {
    let mut w = World::new();
    let draft = Draft {
        log: w.state.log(),
        parents: w.state.parents(w.hill.chain.chain()),
        authority: w.hill.heads(),
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        blobs: vec![BlobHash::from_bytes([1; 32])],
        time_ms: NOON_MS,
        actor: w.bo.actor(),
    };
    let position = w.state.position(w.hill.chain.chain(), w.hill.tree_size);
    let entry = draft
        .clone()
        .sign(position, vec![1; 64], &w.bo, &w.hill.chain)
        .unwrap();
    assert_eq!(w.refused(&entry), Refusal::Shape("blobs"));
    let draft = Draft {
        kind: Kind::Grant,
        scope: None,
        epoch: None,
        blobs: Vec::new(),
        ..draft
    };
    let long = vec![0; MAX_CONTROL_BYTES + 1];
    let entry = draft.sign(position, long, &w.bo, &w.hill.chain).unwrap();
    assert_eq!(w.refused(&entry), Refusal::Shape("payload length"));
}
