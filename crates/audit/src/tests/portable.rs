//! A portable proof, and what a stranger makes of it.

use super::world::*;
use crate::*;

/// Harbour's proof about an edit of its physician, made with all that harbour has.
pub(super) struct Story {
    pub(super) w: World,
    pub(super) edit: Entry,
}

impl Story {
    pub(super) fn new() -> Story {
        let mut w = World::new();
        let edit = w.harbour.edit(&w.state, &w.ada, Scope::Clinical);
        w.accept(edit.clone());
        for _ in 0..6 {
            let view = w.harbour.view(&w.state, &w.nils);
            w.accept(view);
        }
        Story { w, edit }
    }

    /// The leaves of harbour's present chain.
    pub(super) fn leaves(&self) -> Vec<TreeHash> {
        leaves(&self.w)
    }

    pub(super) fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let tree: Tree = self.leaves().into_iter().take(size).collect();
        let chain = &self.w.harbour.chain;
        Checkpoint::of(chain.chain(), &tree).sign(chain).unwrap()
    }

    pub(super) fn now(&self) -> SignedCheckpoint {
        self.checkpoint(self.leaves().len())
    }

    pub(super) fn build(&self, entry: Option<&Entry>) -> Result<Proof, BuildFault> {
        let roster = &self.w.harbour.entries;
        Proof::build(roster, entry, &self.now(), None, self.leaves())
    }

    pub(super) fn proof(&self) -> Proof {
        self.build(Some(&self.edit)).unwrap()
    }

    pub(super) fn proof_since(&self, size: usize) -> Proof {
        let (roster, old) = (&self.w.harbour.entries, self.checkpoint(size));
        let (entry, leaves) = (Some(&self.edit), self.leaves());
        Proof::build(roster, entry, &self.now(), Some(&old), leaves).unwrap()
    }
}

fn leaves(w: &World) -> Vec<TreeHash> {
    let chain = w.harbour.chain.chain();
    let all = w.harbour.entries.iter().chain(&w.entries);
    let mut own: Vec<&Entry> = all.filter(|entry| entry.header().chain == chain).collect();
    own.sort_by_key(|entry| entry.header().tree_index);
    assert!(
        (0..)
            .zip(&own)
            .all(|(index, entry)| entry.header().tree_index == index)
    );
    own.into_iter().map(Entry::leaf).collect()
}

pub(super) fn fault(proof: &Proof) -> ProofFault {
    // What a file says is what the value says.
    let decoded = Proof::decode(&proof.encode()).unwrap();
    assert_eq!(&decoded, proof);
    decoded.check(None).unwrap_err()
}

/// The entry with the last byte of its actor's signature changed.
pub(super) fn forged(entry: &Entry) -> Entry {
    let mut signature = *entry.actor_sig();
    signature[20] ^= 1;
    let payload = entry.payload().map(<[u8]>::to_vec);
    Entry::from_parts(
        entry.header_bytes().to_vec(),
        signature,
        *entry.chain_sig(),
        payload,
    )
    .unwrap()
}

#[test]
fn a_proof_is_checked_with_the_clinics_id_alone() {
    let story = Story::new();
    let bytes = story.proof_since(4).encode();
    let checked = Proof::decode(&bytes)
        .unwrap()
        .check(Some(story.w.harbour.id))
        .unwrap();
    assert_eq!(checked.clinic, story.w.harbour.id);
    assert_eq!(checked.clinic_name, "Clinic 10");
    assert_eq!(checked.checkpoint, story.now().verify().unwrap());
    assert_eq!(checked.older, story.checkpoint(4).verify().ok());
    assert_eq!(checked.closed, None);
    let (entry, header) = (checked.entry.unwrap(), story.edit.header());
    assert_eq!(
        (entry.hash, entry.log, entry.seq),
        (story.edit.hash(), header.log, header.seq)
    );
    assert_eq!(
        (entry.kind, entry.scope),
        (Kind::Edit, Some(Scope::Clinical))
    );
    assert_eq!(
        (entry.tree_index, entry.time_ms),
        (header.tree_index, header.time_ms)
    );
    assert_eq!(entry.payload_hash, header.payload_hash);
    assert_eq!(
        (entry.actor, &*entry.actor_name),
        (story.w.ada.actor(), "Staff 30")
    );
    assert_eq!(entry.roles, [Role::Physician, Role::Admin]);
    assert_eq!(
        (entry.by_root, entry.retired, entry.void),
        (false, false, None)
    );
    assert!(!checked.forked);
    // Nothing of the payload travels.
    let payload = story.edit.payload().unwrap();
    assert!(!bytes.windows(payload.len()).any(|part| part == payload));
}

#[test]
fn a_proof_of_another_clinics_roster_is_refused() {
    let story = Story::new();
    let found = story.w.harbour.id;
    let other = story.proof().check(Some(story.w.hill.id));
    assert_eq!(other, Err(ProofFault::OtherClinic { found }));
    // Hill's roster does not stand behind harbour's entry or checkpoint.
    let mut swapped = story.proof();
    swapped.roster.clone_from(&story.w.hill.entries);
    assert_eq!(fault(&swapped), ProofFault::AuthorityGap);
    assert_eq!(fault(&swapped.without_entry()), ProofFault::CheckpointChain);
    // A clinic that makes up the same names has another id.
    let mut pretender = Story::new();
    pretender.w.harbour = Clinic::with_chain(10, key(99));
    let checkpoint = pretender.w.harbour.chain.clone();
    let tree: Tree = pretender
        .w
        .harbour
        .entries
        .iter()
        .map(Entry::leaf)
        .collect();
    let now = Checkpoint::of(checkpoint.chain(), &tree)
        .sign(&checkpoint)
        .unwrap();
    let roster = &pretender.w.harbour.entries;
    let proof = Proof::build(roster, None, &now, None, roster.iter().map(Entry::leaf)).unwrap();
    assert_eq!(proof.check(None).unwrap().clinic_name, "Clinic 10");
    assert!(matches!(
        proof.check(Some(found)),
        Err(ProofFault::OtherClinic { .. })
    ));
}

#[test]
fn a_checkpoint_can_be_kept_without_an_entry() {
    let story = Story::new();
    let kept = story.build(None).unwrap();
    assert_eq!(kept.entry(), None);
    // The genesis alone certifies the first chain: no staff is named.
    assert_eq!(kept.roster(), &story.w.harbour.entries[..1]);
    let checked = Proof::decode(&kept.encode())
        .unwrap()
        .check(Some(story.w.harbour.id))
        .unwrap();
    assert_eq!((checked.entry, checked.older), (None, None));
    assert_eq!(checked.checkpoint.size, story.leaves().len() as u64);
    assert_eq!(
        story
            .proof()
            .without_entry()
            .check(None)
            .unwrap()
            .checkpoint,
        checked.checkpoint
    );
    assert_eq!(
        Proof::compare(&kept, &story.proof()),
        Ok(Comparison::Consistent)
    );
}

#[test]
fn names_and_roles_are_those_of_the_time() {
    let mut story = Story::new();
    let by_nurse = story.w.entries.last().unwrap().clone();
    let (name, roles) = ("Nils, retrained".to_owned(), vec![Role::Physician]);
    let nils = story.w.nils.actor();
    story.w.harbour.keep(&Control::Certify {
        key: nils,
        name,
        roles,
    });
    story.w.know();
    let after = story
        .w
        .harbour
        .edit(&story.w.state, &story.w.nils, Scope::Clinical);
    story.w.accept(after.clone());
    let told = |entry| {
        story
            .build(Some(entry))
            .unwrap()
            .check(None)
            .unwrap()
            .entry
            .unwrap()
    };
    let (before, after) = (told(&by_nurse), told(&after));
    assert_eq!(
        (&*before.actor_name, &before.roles[..]),
        ("Staff 31", &[Role::Nurse][..])
    );
    assert_eq!(
        (&*after.actor_name, &after.roles[..]),
        ("Nils, retrained", &[Role::Physician][..])
    );
}

#[test]
fn a_retirement_since_is_told() {
    let mut story = Story::new();
    let view = story.w.entries.last().unwrap().clone();
    let chain = story.w.harbour.chain.chain();
    let nils = story.w.nils.actor();
    let last = view.header().tree_index - 1;
    story.w.harbour.keep(&Control::Retire {
        key: nils,
        cuts: vec![(chain, last)],
    });
    let told = |entry| {
        story
            .build(Some(entry))
            .unwrap()
            .check(None)
            .unwrap()
            .entry
            .unwrap()
    };
    let beyond = told(&view);
    assert_eq!((beyond.retired, beyond.void), (true, Some(Void::Retired)));
    let within = told(&story.w.entries[story.w.entries.len() - 2]);
    assert_eq!((within.retired, within.void), (true, None));
    let other = told(&story.edit);
    assert_eq!((other.retired, other.void), (false, None));
}

#[test]
fn a_chain_that_was_closed_since_is_told() {
    let mut story = Story::new();
    let (old, size) = (story.w.harbour.chain.clone(), story.leaves().len());
    let (view, last) = (
        story.w.entries.last().unwrap().clone(),
        story.edit.header().tree_index,
    );
    let (old_leaves, checkpoint) = (story.leaves(), story.checkpoint(size));
    let kept = story.proof();
    story.w.harbour.chain = key(15);
    story.w.harbour.tree_size = 0;
    story.w.harbour.keep(&Control::Incarnation {
        chain: key(15).chain(),
        endpoint: [1; 32],
        hpke: [2; 32],
        closes: vec![(old.chain(), last)],
    });
    let roster = &story.w.harbour.entries;
    let told = |entry| {
        let proof = Proof::build(roster, Some(entry), &checkpoint, None, old_leaves.clone());
        proof.unwrap().check(None).unwrap()
    };
    assert_eq!(told(&story.edit).closed, Some(last));
    assert_eq!(told(&story.edit).entry.unwrap().void, None);
    assert_eq!(told(&view).entry.unwrap().void, Some(Void::ChainClosed));
    // The new life has a tree of its own, and its roster says what became of the old one.
    let now = Proof::build(roster, None, &story.now(), None, story.leaves()).unwrap();
    assert_eq!(now.check(None).unwrap().checkpoint.origin, key(15).chain());
    let closed = Comparison::OtherIncarnation { closed: Some(last) };
    assert_eq!(Proof::compare(&kept, &now), Ok(closed));
    let unknown = Comparison::OtherIncarnation { closed: None };
    assert_eq!(Proof::compare(&now, &kept), Ok(unknown));
    let since = Some(&checkpoint);
    let joined = Proof::build(roster, None, &story.now(), since, story.leaves());
    assert_eq!(joined, Err(BuildFault::OlderChain));
}

#[test]
fn an_entry_of_the_roster_is_proved_like_any_other() {
    let mut story = Story::new();
    let certify = story.w.harbour.entries[1].clone();
    let entry = story
        .build(Some(&certify))
        .unwrap()
        .check(None)
        .unwrap()
        .entry
        .unwrap();
    assert!(entry.by_root && entry.roles.is_empty());
    assert_eq!(
        (&*entry.actor_name, entry.kind),
        ("Clinic 10", Kind::Certify)
    );
    // By an administrator, with the name of the time.
    let ada = story.w.ada.clone();
    let (key_33, name, roles) = (key(33).actor(), "New".to_owned(), vec![Role::Nurse]);
    let hire = Control::Certify {
        key: key_33,
        name,
        roles,
    };
    let hire = story.w.harbour.draft_roster(&ada, &hire);
    assert_eq!(
        story.w.harbour.roster.admit(&hire, &Rosters::new()),
        Verdict::Accepted
    );
    story.w.harbour.entries.push(hire.clone());
    let entry = story
        .build(Some(&hire))
        .unwrap()
        .check(None)
        .unwrap()
        .entry
        .unwrap();
    assert_eq!((entry.by_root, &*entry.actor_name), (false, "Staff 30"));
    assert_eq!(entry.roles, [Role::Physician, Role::Admin]);
    // Without the entry among the roster's own it has no standing.
    let mut proof = story.build(Some(&hire)).unwrap();
    proof.roster.pop();
    assert_eq!(fault(&proof), ProofFault::AuthorityGap);
}

#[test]
fn another_clinics_entry_is_proved_by_its_own_tree() {
    let mut story = Story::new();
    let edit = story.w.hill.edit(&story.w.state, &story.w.bo, Scope::Note);
    story.w.accept(edit.clone());
    assert_eq!(story.build(Some(&edit)), Err(BuildFault::EntryChain));
    let hill = &story.w.hill;
    let leaves: Vec<TreeHash> = hill
        .entries
        .iter()
        .chain([&edit])
        .map(Entry::leaf)
        .collect();
    let tree: Tree = leaves.iter().copied().collect();
    let now = Checkpoint::of(hill.chain.chain(), &tree)
        .sign(&hill.chain)
        .unwrap();
    let proof = Proof::build(&hill.entries, Some(&edit), &now, None, leaves).unwrap();
    let checked = proof.check(Some(hill.id)).unwrap();
    assert_eq!(checked.entry.unwrap().actor_name, "Staff 32");
    assert_eq!(
        Proof::compare(&story.proof(), &proof),
        Ok(Comparison::Unrelated)
    );
    let mut mixed = story.proof();
    mixed.subject = proof.subject;
    assert_eq!(fault(&mixed), ProofFault::EntryChain);
}

#[test]
fn only_the_roster_entries_that_are_needed_travel() {
    let mut story = Story::new();
    for seed in 50..60 {
        story.w.harbour.hire(seed, &[Role::Nurse]);
    }
    let mut shuffled = story.w.harbour.entries.clone();
    shuffled.reverse();
    shuffled.extend(story.w.hill.entries.iter().cloned());
    let proof = Proof::build(
        &shuffled,
        Some(&story.edit),
        &story.now(),
        None,
        story.leaves(),
    );
    let proof = proof.unwrap();
    assert_eq!(proof.roster(), &story.w.harbour.entries[..3]);
    assert_eq!(proof, story.proof());
    shuffled.retain(|entry| entry.hash() != story.w.harbour.entries[1].hash());
    let gap = Proof::build(
        &shuffled,
        Some(&story.edit),
        &story.now(),
        None,
        story.leaves(),
    );
    let missing = story.w.harbour.entries[1].hash();
    assert_eq!(gap, Err(BuildFault::RosterGap { missing }));
}

#[test]
fn what_does_not_fit_together_is_not_built() {
    let story = Story::new();
    let (roster, edit, leaves) = (&story.w.harbour.entries, &story.edit, story.leaves());
    let build = |now: &SignedCheckpoint, since: Option<&SignedCheckpoint>, leaves: &[TreeHash]| {
        Proof::build(roster, Some(edit), now, since, leaves.iter().copied()).unwrap_err()
    };
    let now = story.now();
    assert_eq!(
        build(&story.checkpoint(5), None, &leaves),
        BuildFault::EntryIndex
    );
    assert_eq!(
        build(&now, None, &leaves[..leaves.len() - 1]),
        BuildFault::Leaves
    );
    let mut changed = leaves.clone();
    changed[2][0] ^= 1;
    assert_eq!(build(&now, None, &changed), BuildFault::Root);
    assert_eq!(
        build(&now, Some(&story.checkpoint(4)), &changed),
        BuildFault::OlderDiffers
    );
    assert_eq!(
        build(&story.checkpoint(7), Some(&now), &leaves),
        BuildFault::OlderLarger
    );
    let mut unsigned = now.encode();
    *unsigned.last_mut().unwrap() ^= 1;
    let unsigned = SignedCheckpoint::decode(&unsigned).unwrap();
    assert_eq!(build(&unsigned, None, &leaves), BuildFault::Checkpoint);
    assert_eq!(
        build(&now, Some(&unsigned), &leaves),
        BuildFault::Checkpoint
    );
    let none = Proof::build(&story.w.hill.entries, None, &now, None, leaves.clone());
    assert_eq!(none, Err(BuildFault::Chain));
    let odd = forged(edit);
    let forged = Proof::build(roster, Some(&odd), &now, None, leaves).unwrap_err();
    let refused = ProofFault::EntrySignature(Refusal::ActorSignature);
    assert_eq!(forged, BuildFault::Refused(refused));
}

#[test]
fn a_certificate_that_does_not_count_is_told() {
    let mut story = Story::new();
    // An administrator hires somebody who writes, and the root then cuts the administrator off before.
    let ada = story.w.ada.clone();
    let chain = story.w.harbour.chain.chain();
    let last = story.w.harbour.tree_size - 1;
    let (cleo, name, roles) = (key(33), "Cleo".to_owned(), vec![Role::Physician]);
    let hire = Control::Certify {
        key: cleo.actor(),
        name,
        roles,
    };
    let hire = story.w.harbour.draft_roster(&ada, &hire);
    let verdict = story.w.harbour.roster.admit(&hire, &Rosters::new());
    assert_eq!(verdict, Verdict::Accepted);
    story.w.harbour.entries.push(hire.clone());
    story.w.know();
    let edit = story.w.harbour.edit(&story.w.state, &cleo, Scope::Note);
    story.w.accept(edit.clone());
    let told = |story: &Story, entry: &Entry| {
        let proof = story.build(Some(entry)).unwrap();
        proof.check(None).unwrap().entry.unwrap()
    };
    assert_eq!(told(&story, &edit).void, None);
    let without = story.build(Some(&edit)).unwrap();
    story.w.harbour.keep(&Control::Retire {
        key: ada.actor(),
        cuts: vec![(chain, last)],
    });
    // The retirement is not the actor's, but of who certified the actor.
    let with = story.build(Some(&edit)).unwrap();
    assert_eq!(with.roster().len(), without.roster().len() + 1);
    let entry = told(&story, &edit);
    assert_eq!(
        (&*entry.actor_name, entry.void),
        ("Cleo", Some(Void::Uncertified))
    );
    let hired = told(&story, &hire);
    assert_eq!((hired.retired, hired.void), (true, Some(Void::Retired)));
}

#[test]
fn a_roster_with_two_histories_is_told() {
    let mut story = Story::new();
    let root = story.w.harbour.root.clone();
    let certify = |seed| Control::Certify {
        key: key(seed).actor(),
        name: "Two".to_owned(),
        roles: vec![Role::Nurse],
    };
    let two = [50, 51].map(|seed| story.w.harbour.draft_roster(&root, &certify(seed)));
    let mut proof = story.proof();
    proof.roster.extend(two.iter().cloned());
    let checked = Proof::decode(&proof.encode()).unwrap().check(None).unwrap();
    assert!(checked.forked);
    assert_eq!(checked.entry.unwrap().void, None);
    // The file alone is the evidence.
    let evidence = Comparison::Contradiction {
        chain: story.w.harbour.chain.chain(),
        contradiction: Contradiction::LogPlace {
            seq: two[0].header().seq,
        },
    };
    assert_eq!(Proof::compare(&story.proof(), &proof), Ok(evidence));
}
