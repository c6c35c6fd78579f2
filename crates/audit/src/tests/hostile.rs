//! Entries that were forged, moved, replayed, cut short, or written twice.

use super::world::*;
use crate::*;

/// The same entry with other bytes in places that a liar can change, signed again or not.
fn reassembled(entry: &Entry, header: &Header) -> Entry {
    let payload = entry.payload().map(<[u8]>::to_vec);
    Entry::from_parts(
        header.encode(),
        *entry.actor_sig(),
        *entry.chain_sig(),
        payload,
    )
    .unwrap()
}

#[test]
fn a_forged_signature_is_refused() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    let sigs = (*edit.actor_sig(), *edit.chain_sig());
    let build = |actor_sig, chain_sig| {
        let payload = edit.payload().map(<[u8]>::to_vec);
        Entry::from_parts(edit.header_bytes().to_vec(), actor_sig, chain_sig, payload).unwrap()
    };
    for bit in [0, 200, 300, 511] {
        let mut forged = sigs.0;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            verify_entry(&build(forged, sigs.1)),
            Err(Refusal::ActorSignature)
        );
        let mut forged = sigs.1;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            verify_entry(&build(sigs.0, forged)),
            Err(Refusal::ChainSignature)
        );
    }
    // The chain's signature covers the actor's: one cannot be swapped for another valid one.
    let other = w.hill.edit(&w.state, &w.bo, Scope::Note);
    assert!(verify_entry(&build(*other.actor_sig(), sigs.1)).is_err());
    assert_eq!(verify_entry(&build(sigs.0, sigs.1)), Ok(()));
}

#[test]
fn no_field_can_be_changed_under_the_signatures() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    let original = edit.header();
    let other = EntryHash::from_bytes([9; 32]);
    let changes: Vec<Header> = vec![
        Header {
            log: LogId::from_bytes([9; 32]),
            ..original.clone()
        },
        Header {
            chain: w.harbour.chain.chain(),
            ..original.clone()
        },
        Header {
            seq: 1,
            prev: Some(other),
            tree_index: 9,
            ..original.clone()
        },
        Header {
            parents: vec![other],
            ..original.clone()
        },
        Header {
            authority: vec![other],
            ..original.clone()
        },
        Header {
            tree_index: 7,
            ..original.clone()
        },
        Header {
            actor: w.ada.actor(),
            ..original.clone()
        },
        Header {
            time_ms: 0,
            ..original.clone()
        },
        Header {
            kind: Kind::View,
            ..original.clone()
        },
        Header {
            scope: Some(Scope::Clinical),
            ..original.clone()
        },
        Header {
            epoch: None,
            ..original.clone()
        },
        Header {
            blobs: vec![BlobHash::from_bytes([9; 32])],
            ..original.clone()
        },
        Header {
            payload_hash: [9; 32],
            ..original.clone()
        },
    ];
    for header in &changes {
        assert!(
            verify_entry(&reassembled(&edit, header)).is_err(),
            "{header:?}"
        );
    }
}

#[test]
fn another_payload_is_refused_and_none_is_allowed() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    let mut payload = edit.payload().unwrap().to_vec();
    payload[7] ^= 1;
    let swapped = edit.clone().with_payload(Some(payload.clone())).unwrap();
    assert_eq!(verify_entry(&swapped), Err(Refusal::Payload));
    payload.pop();
    assert!(edit.clone().with_payload(Some(payload)).is_err());
    let detached = edit.without_payload();
    assert_eq!(verify_entry(&detached), Ok(()));
    assert_eq!(detached.leaf(), edit.leaf());
    w.accept(detached);
}

#[test]
fn a_control_entry_without_its_body_waits_for_it() {
    let mut w = World::new();
    let grant = w
        .harbour
        .grant(&w.state, &w.ada, ClinicId::from_bytes([7; 32]), Right::Read);
    let missing = vec![grant.hash()];
    assert_eq!(
        w.admit(&grant.without_payload()),
        Verdict::Pending { missing }
    );
    w.accept(grant);
}

#[test]
fn an_entry_of_another_log_is_refused() {
    let mut w = World::new();
    let (log, genesis) = w.harbour.begin_record(&w.ada, 41);
    let mut other = LogState::new(log);
    assert_eq!(other.admit(&genesis, &w.rosters), Verdict::Accepted);
    let edit = w.harbour.edit(&other, &w.ada, Scope::Note);
    assert_eq!(w.refused(&edit), Refusal::WrongLog);
}

#[test]
fn a_reordered_entry_waits_and_a_replayed_one_changes_nothing() {
    let mut w = World::new();
    let mut ahead = w.state.clone();
    let first = w.hill.edit(&ahead, &w.bo, Scope::Note);
    assert_eq!(ahead.admit(&first, &w.rosters), Verdict::Accepted);
    let second = w.hill.edit(&ahead, &w.bo, Scope::Note);
    let digest = w.state.digest();
    assert_eq!(
        w.admit(&second),
        Verdict::Pending {
            missing: vec![first.hash()]
        }
    );
    assert_eq!(w.state.digest(), digest);
    w.accept(first.clone());
    w.accept(second);
    let digest = w.state.digest();
    assert_eq!(w.admit(&first), Verdict::Duplicate);
    assert_eq!(w.state.digest(), digest);
}

#[test]
fn a_tree_index_must_rise() {
    let mut w = World::new();
    w.harbour.tree_size = 3;
    let edit = w.harbour.edit(&w.state, &w.ada, Scope::Note);
    assert_eq!(w.refused(&edit), Refusal::TreeIndex);
}

#[test]
fn a_predecessor_from_elsewhere_is_refused() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    w.accept(edit.clone());
    // Harbour names hill's entry as its own predecessor.
    let draft = Draft {
        log: w.state.log(),
        parents: vec![],
        authority: w.harbour.heads(),
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        blobs: vec![],
        time_ms: NOON_MS,
        actor: w.ada.actor(),
    };
    let chain = w.harbour.chain.chain();
    let position = Position {
        chain,
        seq: 2,
        prev: Some(edit.hash()),
        tree_index: 90,
    };
    let entry = draft
        .clone()
        .sign(position, vec![1; 64], &w.ada, &w.harbour.chain)
        .unwrap();
    assert_eq!(w.refused(&entry), Refusal::Prev);
    // Even where the number would fit.
    let second = w.hill.edit(&w.state, &w.bo, Scope::Note);
    w.accept(second.clone());
    let position = Position {
        prev: Some(second.hash()),
        ..position
    };
    let entry = draft
        .clone()
        .sign(position, vec![1; 64], &w.ada, &w.harbour.chain)
        .unwrap();
    assert_eq!(w.refused(&entry), Refusal::Prev);
    // A predecessor that nobody has cannot be judged.
    let unknown = EntryHash::from_bytes([3; 32]);
    let position = Position {
        prev: Some(unknown),
        ..position
    };
    let entry = draft
        .clone()
        .sign(position, vec![1; 64], &w.ada, &w.harbour.chain)
        .unwrap();
    assert_eq!(
        w.admit(&entry),
        Verdict::Pending {
            missing: vec![unknown]
        }
    );
    // A place far ahead, with a predecessor that is held.
    let prev = w.state.heights()[&chain].hash;
    let position = Position {
        seq: 80,
        prev: Some(prev),
        ..position
    };
    let entry = draft
        .sign(position, vec![1; 64], &w.ada, &w.harbour.chain)
        .unwrap();
    assert_eq!(w.refused(&entry), Refusal::Prev);
}

#[test]
fn a_draft_is_not_signed_with_the_wrong_keys() {
    let w = World::new();
    let draft = Draft {
        log: w.state.log(),
        parents: vec![],
        authority: vec![],
        kind: Kind::View,
        scope: None,
        epoch: None,
        blobs: vec![],
        time_ms: MAX_TIME_MS + 1,
        actor: w.ada.actor(),
    };
    let chain = w.harbour.chain.chain();
    let at = Position {
        chain,
        seq: 0,
        prev: None,
        tree_index: 0,
    };
    let sign = |actor: &SigningKey, chain: &SigningKey, payload: usize| {
        draft.clone().sign(at, vec![0; payload], actor, chain).err()
    };
    assert_eq!(sign(&w.bo, &w.harbour.chain, 1), Some(DraftError::ActorKey));
    assert_eq!(sign(&w.ada, &w.hill.chain, 1), Some(DraftError::ChainKey));
    let long = MAX_PAYLOAD_BYTES + 1;
    assert_eq!(
        sign(&w.ada, &w.harbour.chain, long),
        Some(DraftError::Payload)
    );
    let time = DraftError::Header(DecodeError::Impossible("time"));
    assert_eq!(sign(&w.ada, &w.harbour.chain, 1), Some(time));
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let mut w = World::new();
    for payload in [vec![], vec![0x80], vec![0xff; 40]] {
        let write = Write {
            actor: &w.ada,
            kind: Kind::Grant,
            scope: None,
            epoch: None,
            authority: w.harbour.heads(),
            payload,
        };
        let entry = w.harbour.write(&w.state, write);
        assert!(matches!(w.refused(&entry), Refusal::Body(_)));
    }
}

#[test]
fn nothing_clinical_is_shown_by_debug() {
    let mut w = World::new();
    let edit = w.hill.edit(&w.state, &w.bo, Scope::Note);
    let shown = format!("{edit:?} {:?}", w.bo);
    assert!(!shown.contains("payload: ["));
    assert!(!shown.contains(&format!("{:?}", w.bo.to_seed())));
    let body = Body::View {
        purpose: "Ada Lovelace".into(),
    };
    assert_eq!(format!("{body:?}"), "View");
}

#[test]
fn an_entry_that_relies_on_nobody_is_refused() {
    let mut w = World::new();
    let write = Write {
        actor: &w.bo,
        kind: Kind::Edit,
        scope: Some(Scope::Note),
        epoch: w.state.current_epoch(),
        authority: vec![],
        payload: vec![1; 64],
    };
    let entry = w.hill.write(&w.state, write);
    assert_eq!(w.refused(&entry), Refusal::Shape("authority"));
}
