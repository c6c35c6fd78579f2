//! Who may keep a roster.

use super::world::*;
use crate::*;

fn refusal(clinic: &mut Clinic, actor: &SigningKey, control: &Control) -> Option<Refusal> {
    let entry = clinic.draft_roster(actor, control);
    match clinic.roster.admit(&entry, &Rosters::new()) {
        Verdict::Accepted => None,
        Verdict::Refused(refusal) => Some(refusal),
        other => panic!("{other:?}"),
    }
}

fn certify(seed: u8, roles: &[Role]) -> Control {
    let (key, name) = (key(seed).actor(), format!("Staff {seed}"));
    Control::Certify {
        key,
        name,
        roles: roles.to_vec(),
    }
}

#[test]
fn a_roster_tells_who_a_clinic_is() {
    let clinic = Clinic::new(10);
    let roster = clinic.roster.roster().unwrap();
    assert_eq!(roster.clinic(), clinic.id);
    assert_eq!(roster.name(), "Clinic 10");
    assert_eq!(roster.root(), clinic.root.actor());
    assert_eq!(roster.heads(), [clinic.entries[0].hash()]);
    let life = roster.current().unwrap();
    assert_eq!(
        (life.chain, life.endpoint, life.hpke),
        (key(11).chain(), [12; 32], [13; 32])
    );
    assert!(clinic.roster.right_of(clinic.id).is_none());
    let rosters = rosters(&[&clinic]);
    assert_eq!(rosters.clinic_of(key(11).chain()), Some(clinic.id));
    assert_eq!(rosters.clinics().collect::<Vec<_>>(), [clinic.id]);
    assert_eq!(rosters.log(roster.log()).map(LogState::len), Some(1));
}

#[test]
fn an_admin_keeps_everybody_but_admins() {
    let mut clinic = Clinic::new(10);
    let admin = clinic.hire(30, &[Role::Admin]);
    let nurse = clinic.hire(31, &[Role::Nurse]);
    assert_eq!(
        refusal(&mut clinic, &admin, &certify(32, &[Role::Physician])),
        None
    );
    let promote = certify(31, &[Role::Nurse, Role::Admin]);
    assert_eq!(refusal(&mut clinic, &admin, &promote), Some(Refusal::Role));
    let demote = certify(30, &[Role::Nurse]);
    assert_eq!(refusal(&mut clinic, &admin, &demote), Some(Refusal::Role));
    let fire = Control::Retire {
        key: admin.actor(),
        cuts: vec![],
    };
    assert_eq!(refusal(&mut clinic, &admin, &fire), Some(Refusal::Role));
    assert_eq!(
        refusal(&mut clinic, &nurse, &certify(33, &[Role::Nurse])),
        Some(Refusal::Role)
    );
    let stranger = key(99);
    let hire = certify(33, &[Role::Nurse]);
    assert_eq!(refusal(&mut clinic, &stranger, &hire), Some(Refusal::Actor));
    let fire = Control::Retire {
        key: nurse.actor(),
        cuts: vec![(key(11).chain(), 4)],
    };
    assert_eq!(refusal(&mut clinic, &admin, &fire), None);
    let roster = clinic.roster.roster().unwrap();
    let member = roster.staff(nurse.actor()).unwrap();
    assert!(member.retired);
    assert_eq!(member.cuts, [(key(11).chain(), 4)]);
    assert_eq!(roster.staff_list().count(), 3);
}

#[test]
fn a_retired_key_stays_retired() {
    let mut clinic = Clinic::new(10);
    let (root, admin) = (clinic.root.clone(), clinic.hire(30, &[Role::Admin]));
    clinic.hire(31, &[Role::Nurse]);
    clinic.keep(&Control::Retire {
        key: key(31).actor(),
        cuts: vec![],
    });
    clinic.keep(&Control::Retire {
        key: admin.actor(),
        cuts: vec![],
    });
    let again = certify(31, &[Role::Nurse]);
    assert_eq!(
        refusal(&mut clinic, &root, &again),
        Some(Refusal::ActorRetired)
    );
    let hire = certify(33, &[Role::Nurse]);
    assert_eq!(
        refusal(&mut clinic, &admin, &hire),
        Some(Refusal::ActorRetired)
    );
    let cut = Control::Retire {
        key: key(30).actor(),
        cuts: vec![(key(77).chain(), 1)],
    };
    assert_eq!(refusal(&mut clinic, &root, &cut), Some(Refusal::Unknown));
    let as_staff = certify(10, &[Role::Physician]);
    assert_eq!(
        refusal(&mut clinic, &root, &as_staff),
        Some(Refusal::RootKey)
    );
    let unknown = Control::Retire {
        key: key(77).actor(),
        cuts: vec![],
    };
    assert_eq!(
        refusal(&mut clinic, &root, &unknown),
        Some(Refusal::Unknown)
    );
}

#[test]
fn roles_change_and_old_entries_keep_theirs() {
    let mut w = World::new();
    let before = w.harbour.edit(&w.state, &w.nils, Scope::Observation);
    w.harbour.keep(&certify(31, &[Role::Registrar]));
    w.know();
    let staff = w.rosters.staff(w.harbour.id, w.nils.actor()).unwrap();
    assert_eq!(staff.roles, [Role::Registrar]);
    w.accept(before);
    let after = w.harbour.edit(&w.state, &w.nils, Scope::Observation);
    assert_eq!(w.refused(&after), Refusal::Role);
    let after = w.harbour.edit(&w.state, &w.nils, Scope::Demographics);
    w.accept(after);
}

#[test]
fn a_restored_clinic_goes_on_under_a_new_chain() {
    let mut w = World::new();
    let old = w.harbour.chain.clone();
    let closed = w.harbour.tree_size - 1;
    let incarnation = Control::Incarnation {
        chain: key(15).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![(old.chain(), closed)],
    };
    // The old chain cannot speak for the new one, and only the root may cut anything off.
    let root = w.harbour.root.clone();
    assert_eq!(
        refusal(&mut w.harbour, &root, &incarnation),
        Some(Refusal::Chain)
    );
    w.harbour.chain = key(15);
    w.harbour.tree_size = 0;
    let by_admin = refusal(&mut w.harbour, &w.ada, &incarnation);
    assert_eq!(by_admin, Some(Refusal::Role));
    w.harbour.keep(&incarnation);
    w.know();
    let roster = w.rosters.get(w.harbour.id).unwrap();
    assert_eq!(
        roster.current().map(|life| life.chain),
        Some(key(15).chain())
    );
    assert_eq!(
        roster.incarnation(old.chain()).unwrap().closed,
        Some(closed)
    );
    let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
    w.accept(edit);
    // The old chain is refused once it relies on the roster that closed it.
    w.harbour.chain = old;
    w.harbour.tree_size = closed + 1;
    let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
    assert_eq!(w.refused(&edit), Refusal::ChainClosed);
    assert_eq!(
        refusal(&mut w.harbour, &root, &certify(35, &[Role::Nurse])),
        Some(Refusal::ChainClosed)
    );
}

#[test]
fn a_clinic_cannot_claim_the_chain_of_another() {
    let mut clinic = Clinic::new(10);
    let root = clinic.root.clone();
    let stolen = Control::Incarnation {
        chain: key(21).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![],
    };
    assert_eq!(refusal(&mut clinic, &root, &stolen), Some(Refusal::Chain));
}

#[test]
fn a_key_that_anybody_can_sign_for_is_not_certified() {
    let mut clinic = Clinic::new(10);
    let root = clinic.root.clone();
    let mut identity = [0; 32];
    identity[0] = 1;
    let (key, name) = (ActorId::from_bytes(identity), "Nobody".to_owned());
    let weak = Control::Certify {
        key,
        name,
        roles: vec![Role::Physician],
    };
    assert_eq!(refusal(&mut clinic, &root, &weak), Some(Refusal::WeakKey));
}

#[test]
fn no_clinic_begins_with_a_key_that_anybody_can_sign_for() {
    let clinic = Clinic::new(10);
    let honest = clinic.entries[0].header().clone();
    for (weak_root, weak_chain) in [(true, false), (false, true)] {
        let weak = [0; 32];
        let root = ActorId::from_bytes(if weak_root { weak } else { key(10).public() });
        let chain = ChainId::from_bytes(if weak_chain { weak } else { key(11).public() });
        let (name, endpoint, hpke) = ("Nobody".to_owned(), [1; 32], [2; 32]);
        let control = Control::RosterGenesis {
            name,
            root,
            chain,
            endpoint,
            hpke,
        };
        let (log, body) = (control.log_id(chain).unwrap(), control.encode());
        let payload_hash = *blake3::hash(&body).as_bytes();
        let payload_len = body.len() as u64;
        let actor = root;
        let header = Header {
            log,
            chain,
            actor,
            payload_hash,
            payload_len,
            ..honest.clone()
        };
        let entry = Entry::from_parts(header.encode(), [0; 64], [0; 64], Some(body)).unwrap();
        let verdict = LogState::new(log).admit(&entry, &Rosters::new());
        assert_eq!(verdict, Verdict::Refused(Refusal::WeakKey));
    }
}

#[test]
fn a_second_genesis_is_refused_and_so_is_one_under_a_foreign_id() {
    let mut w = World::new();
    // Hill tries to begin a log under the record's id.
    let control = Control::RecordGenesis {
        home: w.hill.id,
        commitment: [1; 32],
    };
    let empty = LogState::new(w.state.log());
    let stolen = w.hill.control(&empty, &w.bo, &control);
    assert_eq!(w.refused(&stolen), Refusal::Genesis);
    let mut fresh = LogState::new(w.state.log());
    assert_eq!(
        fresh.admit(&stolen, &w.rosters),
        Verdict::Refused(Refusal::Genesis)
    );
    assert!(fresh.is_empty());
    // A record of one's own cannot be begun in another's name.
    let control = Control::RecordGenesis {
        home: w.harbour.id,
        commitment: [1; 32],
    };
    let mut log = LogState::new(control.log_id(w.hill.chain.chain()).unwrap());
    let forged = w.hill.control(&log, &w.bo, &control);
    assert_eq!(
        log.admit(&forged, &w.rosters),
        Verdict::Refused(Refusal::Right)
    );
}

#[test]
fn rosters_take_entries_in_any_order_and_only_rosters() {
    let mut clinic = Clinic::new(10);
    let ada = clinic.hire(30, &[Role::Physician]);
    let mut rosters = Rosters::new();
    let missing = vec![clinic.entries[0].hash()];
    assert_eq!(
        rosters.admit(&clinic.entries[1]),
        Verdict::Pending { missing }
    );
    let (_, record) = clinic.begin_record(&ada, 1);
    assert!(!matches!(rosters.admit(&record), Verdict::Accepted));
    assert_eq!(rosters.clinics().count(), 0);
    assert_eq!(rosters.admit(&clinic.entries[0]), Verdict::Accepted);
    assert_eq!(rosters.admit(&clinic.entries[1]), Verdict::Accepted);
    assert_eq!(rosters.admit(&clinic.entries[1]), Verdict::Duplicate);
    let log = clinic.roster.log();
    let rebuilt = LogState::replay(log, clinic.entries.iter().rev().map(stored));
    assert_eq!(rebuilt.digest(), clinic.roster.digest());
    let mut again = Rosters::new();
    assert_eq!(again.insert(rebuilt).unwrap(), clinic.id);
    assert!(again.staff(clinic.id, ada.actor()).is_some());
    assert!(again.insert(LogState::new(log)).is_err());
}

#[test]
fn a_roster_is_begun_by_the_root_on_the_chain_that_it_names() {
    let begin = |actor: &SigningKey, named: &SigningKey| {
        let (root, chain) = (key(10), key(11));
        let control = genesis(10, &root, named);
        let log = control.log_id(chain.chain()).unwrap();
        let draft = Draft {
            log,
            parents: vec![],
            authority: vec![],
            kind: Kind::Genesis,
            scope: None,
            epoch: None,
            blobs: vec![],
            time_ms: NOON_MS,
            actor: actor.actor(),
        };
        let position = LogState::new(log).position(chain.chain(), 0);
        let entry = draft
            .sign(position, control.encode(), actor, &chain)
            .unwrap();
        LogState::new(log).admit(&entry, &Rosters::new())
    };
    assert_eq!(begin(&key(10), &key(11)), Verdict::Accepted);
    assert_eq!(begin(&key(9), &key(11)), Verdict::Refused(Refusal::Actor));
    assert_eq!(begin(&key(10), &key(12)), Verdict::Refused(Refusal::Chain));
}

#[test]
fn concurrent_changes_of_roles_end_alike_everywhere() {
    let mut clinic = Clinic::new(10);
    clinic.hire(30, &[Role::Nurse]);
    let (chain, endpoint, hpke, closes) = (key(15).chain(), [1; 32], [2; 32], vec![]);
    let first = (clinic.chain.clone(), clinic.tree_size);
    (clinic.chain, clinic.tree_size) = (key(15), 0);
    clinic.keep(&Control::Incarnation {
        chain,
        endpoint,
        hpke,
        closes,
    });
    // Both incarnations change the same person at once; the first one twice.
    let base = clinic.roster.clone();
    let root = clinic.root.clone();
    let one = clinic.draft_roster(&root, &certify(30, &[Role::Registrar]));
    (clinic.chain, clinic.tree_size) = first;
    let two = clinic.keep(&certify(30, &[Role::Physician]));
    let three = clinic.keep(&certify(30, &[Role::Auditor]));
    let orders = [
        [&one, &two, &three],
        [&two, &one, &three],
        [&two, &three, &one],
    ];
    let mut outcomes = orders.map(|order| {
        let mut roster = base.clone();
        for entry in order {
            assert_eq!(roster.admit(entry, &Rosters::new()), Verdict::Accepted);
        }
        roster
    });
    for outcome in &outcomes {
        let member = outcome
            .roster()
            .and_then(|roster| roster.staff(key(30).actor()));
        assert_eq!(
            member.map(|member| member.roles.as_slice()),
            Some(&[Role::Auditor][..])
        );
        assert_eq!(
            outcome.roster().unwrap().heads(),
            outcomes[0].roster().unwrap().heads()
        );
    }
    // Whoever relies on both heads finds the same roles in force.
    for outcome in &outcomes {
        let heads = outcome
            .heads()
            .iter()
            .filter_map(|head| outcome.entry_meta(head));
        let past = crate::clock::Past(heads.collect());
        let standing = outcome.roster().unwrap().standing(key(30).actor(), &past);
        assert_eq!(standing, crate::roster::Standing::Holds(&[Role::Auditor]));
    }
    // Whoever has seen both decides.
    clinic.roster = outcomes[0].clone();
    clinic.keep(&certify(30, &[Role::Nurse]));
    let last = clinic.entries.last().unwrap();
    for outcome in &mut outcomes {
        assert_eq!(outcome.admit(last, &Rosters::new()), Verdict::Accepted);
        let member = outcome.roster().unwrap().staff(key(30).actor()).unwrap();
        assert_eq!(member.roles, [Role::Nurse]);
    }
}

mod restored {
    use super::*;

    fn incarnation(
        clinic: &Clinic,
        state: &LogState,
        signer: &SigningKey,
        new: &SigningKey,
        last: u64,
    ) -> Entry {
        let control = Control::Incarnation {
            chain: new.chain(),
            endpoint: [9; 32],
            hpke: [9; 32],
            closes: vec![(clinic.chain.chain(), last)],
        };
        let draft = Draft {
            log: state.log(),
            parents: state.heads().iter().copied().collect(),
            authority: vec![],
            kind: Kind::Incarnation,
            scope: None,
            epoch: None,
            blobs: vec![],
            time_ms: 0,
            actor: signer.actor(),
        };
        let position = state.position(new.chain(), 0);
        draft.sign(position, control.encode(), signer, new).unwrap()
    }

    #[test]
    fn an_administrator_restores_a_backup_and_takes_nothing_away() {
        let mut clinic = Clinic::new(70);
        let admin = clinic.hire(71, &[Role::Admin]);
        let nurse = clinic.hire(72, &[Role::Nurse]);
        let new = key(73);
        let mut known = rosters(&[&clinic]);
        let state = known.state(clinic.id).unwrap().clone();
        for (signer, last, refusal) in [
            (&nurse, MAX_TREE_SIZE, Refusal::Role),
            (&admin, 1, Refusal::Role),
            (&key(99), MAX_TREE_SIZE, Refusal::Actor),
        ] {
            let entry = incarnation(&clinic, &state, signer, &new, last);
            assert_eq!(known.admit(&entry), Verdict::Refused(refusal));
        }
        let entry = incarnation(&clinic, &state, &admin, &new, MAX_TREE_SIZE);
        assert_eq!(known.admit(&entry), Verdict::Accepted);
        let roster = known.get(clinic.id).unwrap();
        assert_eq!(roster.current().unwrap().chain, new.chain());
        let old = roster.incarnation(clinic.chain.chain()).unwrap();
        assert_eq!(old.closed, Some(MAX_TREE_SIZE));
    }

    #[test]
    fn a_life_that_a_retired_administrator_began_counts_for_nothing() {
        let mut clinic = Clinic::new(70);
        let admin = clinic.hire(71, &[Role::Admin]);
        let new = key(73);
        let mut known = rosters(&[&clinic]);
        let before = known.state(clinic.id).unwrap().clone();
        // The root retires the administrator, who begins a life of an old backup without knowing.
        let retire = clinic.keep(&Control::Retire {
            key: admin.actor(),
            cuts: vec![(clinic.chain.chain(), 100)],
        });
        let stolen = incarnation(&clinic, &before, &admin, &new, MAX_TREE_SIZE);
        let mut other = known.clone();
        assert_eq!(known.admit(&retire), Verdict::Accepted);
        assert_eq!(known.admit(&stolen), Verdict::Accepted);
        assert_eq!(other.admit(&stolen), Verdict::Accepted);
        assert_eq!(
            other.get(clinic.id).unwrap().current().unwrap().chain,
            new.chain()
        );
        assert_eq!(other.admit(&retire), Verdict::Accepted);
        for rosters in [&known, &other] {
            let roster = rosters.get(clinic.id).unwrap();
            assert_eq!(roster.current().unwrap().chain, clinic.chain.chain());
            assert!(!roster.incarnation(new.chain()).unwrap().counts());
        }
    }
}
