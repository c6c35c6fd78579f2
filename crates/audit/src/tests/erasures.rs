//! Attachments and their erasure: who may, what it takes away, and that it changes nothing else.

use crate::tests::world::{NOON_MS, World, stored};
use crate::{
    Attachment, BlobHash, Body, Control, DecodeError, Draft, Entry, EntryHash, Kind, LogState,
    MAX_BLOB_ATTACHMENT_BYTES, MAX_FACTS_BYTES, Refusal, Right, Scope, SealedBlob, SigningKey,
};

const CONTENT: BlobHash = BlobHash::from_bytes([1; 32]);
const PREVIEW: BlobHash = BlobHash::from_bytes([2; 32]);

/// What an attach entry may say.
pub(super) fn attachment() -> Attachment {
    Attachment {
        id: "0123456789abcdef".to_owned(),
        name: "chest.dcm".to_owned(),
        mime: "application/dicom".to_owned(),
        sha256: [1; 32],
        blake3: [2; 32],
        content: SealedBlob {
            key: [3; 32],
            len: 526_336,
        },
        preview: Some(SealedBlob {
            key: [4; 32],
            len: 20_000,
        }),
        about: Some("report-1".to_owned()),
        facts: "{\"width\":512}".to_owned(),
    }
}

/// An attachment by Harbour or by Hill.
fn attach(w: &mut World, at_hill: bool) -> Entry {
    let (clinic, actor) = if at_hill {
        (&mut w.hill, &w.bo)
    } else {
        (&mut w.harbour, &w.ada)
    };
    let draft = Draft {
        log: w.state.log(),
        parents: w.state.parents(clinic.chain.chain()),
        authority: clinic.heads(),
        kind: Kind::Attach,
        scope: Some(Scope::Attachment),
        epoch: w.state.current_epoch(),
        blobs: vec![CONTENT, PREVIEW],
        time_ms: NOON_MS,
        actor: actor.actor(),
    };
    let position = w.state.position(clinic.chain.chain(), clinic.tree_size);
    clinic.tree_size += 1;
    draft
        .sign(position, vec![3; 64], actor, &clinic.chain)
        .unwrap()
}

fn erase(entries: &[EntryHash]) -> Control {
    let mut entries = entries.to_vec();
    entries.sort_unstable();
    Control::Erase {
        entries,
        reason: "of another patient".to_owned(),
    }
}

fn named(state: &LogState) -> Vec<BlobHash> {
    state
        .blobs()
        .flat_map(|(_, blobs)| blobs)
        .copied()
        .collect()
}

#[test]
fn home_erases_what_others_attached_and_others_only_what_is_theirs() {
    let mut w = World::new();
    let ours = attach(&mut w, false);
    w.accept(ours.clone());
    let theirs = attach(&mut w, true);
    w.accept(theirs.clone());
    let bo = w.bo.clone();
    let entry = w.hill.control(&w.state, &bo, &erase(&[ours.hash()]));
    w.hill.tree_size -= 1;
    assert_eq!(w.refused(&entry), Refusal::Unknown);
    let entry = w.hill.control(&w.state, &bo, &erase(&[theirs.hash()]));
    w.accept(entry.clone());
    let erasure = w.state.erased(&theirs.hash(), Kind::Attach).unwrap();
    assert_eq!(
        (erasure.entry, erasure.reason.as_str()),
        (entry.hash(), "of another patient")
    );
    assert_eq!(w.state.erased(&ours.hash(), Kind::Attach), None);
    let ada = w.ada.clone();
    let both = erase(&[ours.hash(), theirs.hash()]);
    let entry = w.harbour.control(&w.state, &ada, &both);
    w.accept(entry);
    assert!(w.state.erased(&ours.hash(), Kind::Attach).is_some());
    assert!(named(&w.state).is_empty());
    assert_eq!(w.state.blobs_of(&ours.hash()), [CONTENT, PREVIEW]);
}

#[test]
fn only_attachments_of_the_past_are_erased_and_only_by_those_who_may() {
    let mut w = World::new();
    let file = attach(&mut w, false);
    w.accept(file.clone());
    let (ada, nils) = (w.ada.clone(), w.nils.clone());
    let edit = w.harbour.edit(&w.state, &ada, Scope::Note);
    w.accept(edit.clone());
    let mut refused = |actor: &SigningKey, named: EntryHash| {
        let entry = w.harbour.control(&w.state, actor, &erase(&[named]));
        w.harbour.tree_size -= 1;
        w.refused(&entry)
    };
    assert_eq!(refused(&ada, edit.hash()), Refusal::Unknown);
    assert_eq!(
        refused(&ada, EntryHash::from_bytes([9; 32])),
        Refusal::Unknown
    );
    assert_eq!(refused(&nils, file.hash()), Refusal::Role);
    let reader = w.harbour.grant(&w.state, &ada, w.hill.id, Right::Read);
    w.accept(reader);
    assert_eq!(named(&w.state), [CONTENT, PREVIEW]);
}

#[test]
fn an_erasure_that_does_not_count_gives_the_names_back() {
    let mut w = World::new();
    let theirs = attach(&mut w, true);
    w.accept(theirs.clone());
    let before = w.state.cuts_for([w.hill.chain.chain()]);
    let bo = w.bo.clone();
    let apart = w.state.clone();
    let entry = w.hill.control(&apart, &bo, &erase(&[theirs.hash()]));
    // Revoked at what was held before the erasure, which comes later.
    let ada = w.ada.clone();
    let revoke = Control::Revoke {
        clinic: w.hill.id,
        cuts: before,
    };
    let revoke = w.harbour.control(&w.state, &ada, &revoke);
    w.accept(revoke);
    w.accept(entry);
    assert_eq!(w.state.erased(&theirs.hash(), Kind::Attach), None);
    assert_eq!(named(&w.state), [CONTENT, PREVIEW]);
}

#[test]
fn an_erasure_is_the_same_after_a_replay_without_payloads() {
    let mut w = World::new();
    let file = attach(&mut w, false);
    w.accept(file.clone());
    let ada = w.ada.clone();
    let entry = w.harbour.control(&w.state, &ada, &erase(&[file.hash()]));
    w.accept(entry);
    let bare = w.entries.iter().map(|entry| match entry.header().kind {
        Kind::Attach => stored(&entry.without_payload()),
        _ => stored(entry),
    });
    let mut again = LogState::replay(w.state.log(), bare);
    again.settle(&w.rosters);
    assert_eq!(again.digest(), w.state.digest());
    let taken = |state: &LogState| state.erased(&file.hash(), Kind::Attach).cloned();
    assert_eq!(taken(&again), taken(&w.state));
    assert!(taken(&again).is_some());
    assert!(named(&again).is_empty());
}

#[test]
fn an_erased_record_says_nothing_more_whoever_wrote_it_and_whenever() {
    let mut w = World::new();
    let file = attach(&mut w, true);
    w.accept(file.clone());
    let (ada, bo, nils) = (w.ada.clone(), w.bo.clone(), w.nils.clone());
    // Only home, and only who may erase.
    let entry = w.hill.control(&w.state, &bo, &erase(&[]));
    w.hill.tree_size -= 1;
    assert_eq!(w.refused(&entry), Refusal::Right);
    let entry = w.harbour.control(&w.state, &nils, &erase(&[]));
    w.harbour.tree_size -= 1;
    assert_eq!(w.refused(&entry), Refusal::Role);
    let apart = w.state.clone();
    let entry = w.harbour.control(&w.state, &ada, &erase(&[]));
    w.accept(entry.clone());
    assert_eq!(w.state.record_erased().unwrap().entry, entry.hash());
    assert!(named(&w.state).is_empty());
    // What Hill wrote without knowing goes the same way; what rights are judged by stays.
    let late = w.hill.edit(&apart, &bo, Scope::Clinical);
    w.accept(late.clone());
    let erased = w.state.erased_entries();
    for entry in &w.entries {
        let kind = entry.header().kind;
        assert_eq!(erased.contains(&entry.hash()), !kind.is_clear(), "{kind}");
        assert_eq!(w.state.may_be_bare(&entry.hash(), kind), !kind.is_clear());
    }
    assert!(erased.contains(&late.hash()));
}

#[test]
fn an_attachment_out_of_bounds_is_not_read() {
    let wrong = |change: &dyn Fn(&mut Attachment)| {
        let mut attachment = attachment();
        change(&mut attachment);
        let body = Body::Attachment(Box::new(attachment));
        Body::decode(Kind::Attach, &body.encode()).is_err()
    };
    assert!(!wrong(&|_| ()));
    assert!(wrong(&|a| a.id.clear()));
    assert!(wrong(&|a| a.name = "x".repeat(1025)));
    assert!(wrong(&|a| a.mime.clear()));
    assert!(wrong(&|a| a.about = Some(String::new())));
    assert!(wrong(&|a| a.content.len = MAX_BLOB_ATTACHMENT_BYTES + 1));
    assert!(wrong(&|a| a.facts = "x".repeat(MAX_FACTS_BYTES + 1)));
    let later = Body::Attachment(Box::new(attachment())).encode();
    assert_eq!(later[1], 2);
    let later = [&later[..1], &[3], &later[2..]].concat();
    assert_eq!(
        Body::decode(Kind::Attach, &later),
        Err(DecodeError::Version("attachment"))
    );
}
