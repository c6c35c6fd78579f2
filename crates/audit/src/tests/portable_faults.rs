//! Files that are not what they should be: each is refused, and says why.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::portable::{Story, fault, forged};
use super::world::*;
use crate::*;

#[test]
fn a_roster_that_does_not_hold_is_refused() {
    let mut story = Story::new();
    let proof = story.proof();
    let with = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut changed = proof.clone();
        change(&mut changed.roster);
        fault(&changed)
    };
    let unsigned = with(&|roster| roster[2] = forged(&roster[2]));
    assert_eq!(
        unsigned,
        ProofFault::RosterSignature(Refusal::ActorSignature)
    );
    let body = with(&|roster| roster[2] = roster[2].without_payload());
    assert_eq!(body, ProofFault::RosterGap);
    assert_eq!(
        with(&|roster| drop(roster.remove(1))),
        ProofFault::RosterGap
    );
    assert_eq!(with(&|roster| roster.swap(1, 2)), ProofFault::RosterGap);
    assert_eq!(with(&|roster| roster.clear()), ProofFault::AuthorityGap);
    let twice = with(&|roster| roster.push(roster[0].clone()));
    assert_eq!(twice, ProofFault::RosterTwice);
    assert_eq!(with(&|roster| drop(roster.pop())), ProofFault::AuthorityGap);
    let root = story.w.harbour.root.clone();
    let certify = |seed| Control::Certify {
        key: key(seed).actor(),
        name: "Two".to_owned(),
        roles: vec![Role::Nurse],
    };
    let nils = story.w.nils.clone();
    let by_nurse = story.w.harbour.draft_roster(&nils, &certify(52));
    let by_root = story.w.harbour.draft_roster(&root, &certify(50));
    let both = [by_root, by_nurse.clone()];
    let forked = with(&|roster| roster.extend(both.iter().cloned()));
    assert_eq!(forked, ProofFault::RosterForked);
    let refused = with(&|roster| roster.push(by_nurse.clone()));
    assert_eq!(refused, ProofFault::RosterEntry(Refusal::Role));
}

#[test]
fn an_entry_that_the_roster_does_not_stand_behind_is_refused() {
    let mut story = Story::new();
    let prove = |story: &Story, entry: &Entry| {
        let mut all = story.leaves();
        all.push(entry.leaf());
        let tree: Tree = all.iter().copied().collect();
        let chain = &story.w.harbour.chain;
        let now = Checkpoint::of(chain.chain(), &tree).sign(chain).unwrap();
        Proof::build(&story.w.harbour.entries, Some(entry), &now, None, all).unwrap_err()
    };
    let stranger = story.w.harbour.edit(&story.w.state, &key(77), Scope::Note);
    let refused = BuildFault::Refused(ProofFault::Authority(Refusal::Actor));
    assert_eq!(prove(&story, &stranger), refused);
    story.w.harbour.tree_size -= 1;
    let nils = story.w.nils.clone();
    let (key, cuts) = (nils.actor(), Vec::new());
    story.w.harbour.keep(&Control::Retire { key, cuts });
    let view = story.w.harbour.view(&story.w.state, &nils);
    let retired = BuildFault::Refused(ProofFault::Authority(Refusal::ActorRetired));
    assert_eq!(prove(&story, &view), retired);
}

#[test]
fn a_path_or_checkpoint_that_does_not_hold_is_refused() {
    let story = Story::new();
    let proof = story.proof_since(4);
    let with = |change: &dyn Fn(&mut Proof)| {
        let mut changed = proof.clone();
        change(&mut changed);
        fault(&changed)
    };
    let inclusion = |change: &dyn Fn(&mut InclusionProof)| {
        with(&|proof| change(&mut proof.subject.as_mut().unwrap().1))
    };
    assert_eq!(inclusion(&|path| path.index += 1), ProofFault::EntryIndex);
    assert_eq!(inclusion(&|path| path.size += 1), ProofFault::TreeSize);
    assert_eq!(
        inclusion(&|path| path.path[0][0] ^= 1),
        ProofFault::NotIncluded
    );
    assert_eq!(
        inclusion(&|path| path.path.truncate(1)),
        ProofFault::NotIncluded
    );
    let unsigned = |signed: &SignedCheckpoint| {
        let mut bytes = signed.encode();
        *bytes.last_mut().unwrap() ^= 1;
        SignedCheckpoint::decode(&bytes).unwrap()
    };
    let now = with(&|proof| proof.checkpoint = unsigned(&proof.checkpoint));
    assert_eq!(now, ProofFault::CheckpointSignature);
    let entry =
        with(&|proof| proof.subject.as_mut().unwrap().0 = forged(&story.edit.without_payload()));
    assert_eq!(entry, ProofFault::EntrySignature(Refusal::ActorSignature));
    let older = |change: &dyn Fn(&mut SignedCheckpoint, &mut ConsistencyProof)| {
        with(&|proof| {
            let (checkpoint, path) = proof.older.as_mut().unwrap();
            change(checkpoint, path);
        })
    };
    assert_eq!(
        older(&|then, _| *then = unsigned(then)),
        ProofFault::OlderSignature
    );
    assert_eq!(
        older(&|then, _| *then = story.checkpoint(5)),
        ProofFault::TreeSize
    );
    assert_eq!(older(&|_, path| path.new_size += 1), ProofFault::TreeSize);
    assert_eq!(
        older(&|_, path| path.path[0][0] ^= 1),
        ProofFault::NotConsistent
    );
    let hills = Checkpoint {
        origin: key(21).chain(),
        size: 4,
        root: [0; 32],
    };
    let hills = hills.sign(&key(21)).unwrap();
    assert_eq!(
        older(&|then, _| *then = hills.clone()),
        ProofFault::OlderChain
    );
    // Another true tree of the clinic's, which does not hold the entry.
    let mut other = story.proof();
    other.checkpoint = Checkpoint {
        origin: story.w.harbour.chain.chain(),
        size: story.leaves().len() as u64,
        root: [0; 32],
    }
    .sign(&story.w.harbour.chain)
    .unwrap();
    assert_eq!(fault(&other), ProofFault::NotIncluded);
}

#[test]
fn every_changed_byte_of_a_file_is_refused() {
    let story = Story::new();
    for proof in [story.proof_since(4), story.build(None).unwrap()] {
        let bytes = proof.encode();
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            changed[at] ^= 1 << (at % 8);
            let believed = Proof::decode(&changed).is_ok_and(|proof| proof.check(None).is_ok());
            assert!(!believed, "byte {at}");
            changed[at] = bytes[at];
        }
        for len in 0..bytes.len() {
            assert!(Proof::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        changed.push(0);
        assert!(Proof::decode(&changed).is_err());
    }
}

#[test]
fn a_file_is_bounded_and_of_a_known_version() {
    let story = Story::new();
    let bytes = story.proof().encode();
    assert_eq!(bytes[..14], *b"\x86\x6bsalus/proof\x01");
    let mut later = bytes.clone();
    later[13] = 2;
    assert_eq!(
        Proof::decode(&later),
        Err(DecodeError::Version("portable proof"))
    );
    let long = vec![0; MAX_PROOF_BYTES + 1];
    assert_eq!(
        Proof::decode(&long),
        Err(DecodeError::TooLong("portable proof"))
    );
    let mut crowded = story.proof();
    crowded.roster = vec![crowded.roster[0].clone(); MAX_PROOF_ROSTER + 1];
    assert!(crowded.encode().len() < MAX_PROOF_BYTES);
    assert_eq!(
        Proof::decode(&crowded.encode()),
        Err(DecodeError::TooLong("portable proof"))
    );
    let root = &story.w.harbour.root;
    let lives = (0..=MAX_PROOF_CHAINS).map(|life| {
        let chain = key(100 + u8::try_from(life).unwrap());
        let header = story.w.harbour.entries[0].header();
        let position = Position {
            chain: chain.chain(),
            seq: 0,
            prev: None,
            tree_index: 0,
        };
        let draft = Draft {
            log: header.log,
            parents: story.w.harbour.heads(),
            authority: Vec::new(),
            kind: Kind::Incarnation,
            scope: None,
            epoch: None,
            blobs: Vec::new(),
            time_ms: NOON_MS,
            actor: root.actor(),
        };
        let body = Control::Incarnation {
            chain: chain.chain(),
            endpoint: [1; 32],
            hpke: [2; 32],
            closes: Vec::new(),
        };
        draft.sign(position, body.encode(), root, &chain).unwrap()
    });
    let mut lives: Vec<Entry> = lives.collect();
    let mut many = story.proof();
    many.roster.append(&mut lives);
    let crowd = Err(DecodeError::TooLong("portable proof"));
    assert_eq!(Proof::decode(&many.encode()), crowd);
    many.roster.truncate(many.roster.len() - 2);
    assert!(Proof::decode(&many.encode()).unwrap().check(None).is_ok());
    let mut talkative = story.proof();
    talkative.subject.as_mut().unwrap().0 = story.edit.clone();
    let payload = Err(DecodeError::Impossible("payload in a portable proof"));
    assert_eq!(Proof::decode(&talkative.encode()), payload);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_a_proof_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        known in any::<bool>(),
    ) {
        let bytes = if known {
            [b"\x86\x6bsalus/proof\x01".as_slice(), &bytes].concat()
        } else {
            bytes
        };
        if let Ok(proof) = Proof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes);
            prop_assert!(proof.check(None).is_err());
        }
    }

    #[test]
    fn no_patchwork_of_true_proofs_makes_a_false_one(
        cuts in any::<[u16; 4]>(),
        which in any::<[bool; 2]>(),
        noise in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4),
    ) {
        thread_local! {
            static FILES: [Vec<u8>; 2] = {
                let story = Story::new();
                [story.proof_since(4).encode(), story.build(None).unwrap().encode()]
            };
        }
        let files = FILES.with(Clone::clone);
        let [from, into] = which.map(|which| &files[usize::from(which)]);
        let at = |cut: u16, file: &[u8]| usize::from(cut) % (file.len() + 1);
        let (a, b) = (at(cuts[0], from), at(cuts[1], from));
        let (c, d) = (at(cuts[2], into), at(cuts[3], into));
        let piece = &from[a.min(b)..a.max(b)];
        let mut bytes = [&into[..c.min(d)], piece, &into[c.max(d)..]].concat();
        for (place, value) in noise {
            if let Some(byte) = bytes.len().checked_sub(1).map(|last| usize::from(place) % (last + 1)) {
                bytes[byte] = value;
            }
        }
        if let Ok(proof) = Proof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), &bytes[..]);
            prop_assert!(proof.check(None).is_err() || files.contains(&bytes));
        }
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// `docs/formats.md` quotes it. `SALUS_UPDATE_VECTORS=1` writes it anew.
#[test]
fn proofs_and_statements_have_their_known_bytes() {
    let clinic = Clinic::new(10);
    let genesis = &clinic.entries[0];
    let leaves: Vec<TreeHash> = [genesis.leaf(), [1; 32], [2; 32]].to_vec();
    let checkpoint = |size: usize| {
        let tree: Tree = leaves[..size].iter().copied().collect();
        let checkpoint = Checkpoint::of(clinic.chain.chain(), &tree);
        checkpoint.sign(&clinic.chain).unwrap()
    };
    let (now, then) = (checkpoint(3), checkpoint(2));
    let build = |entry, since| {
        Proof::build(&clinic.entries, entry, &now, since, leaves.iter().copied()).unwrap()
    };
    let statement = Statement {
        log: clinic.roster.log(),
        chain: clinic.chain.chain(),
        seq: 0,
        hash: genesis.hash(),
        tree_size: 3,
        time_ms: NOON_MS,
    };
    let statement = SignedStatement::sign(statement, &clinic.chain).unwrap();
    let value = json!({
        "what": "the clinic of roster_genesis.json; its tree goes on with two leaves of 32 equal bytes",
        "clinic": clinic.id,
        "proof_of_genesis_in_3_since_2": hex(build(Some(genesis), Some(&then)).encode()),
        "proof_of_checkpoint_3": hex(build(None, None).encode()),
        "statement": hex(statement.encode()),
    });
    let path = format!("{}/vectors/portable.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SALUS_UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&value).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), value);
}
