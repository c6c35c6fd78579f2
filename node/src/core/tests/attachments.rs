//! Attachments in the log: what a lying peer leaves out or names, what an erasure takes, who may have which blob.

use std::collections::BTreeSet;

use salus_audit::{Attachment, BlobHash, Entry, Kind, SealedBlob};

use super::*;
use crate::core::{NewAttachment, What};

pub(super) fn file(name: &str, n: u8) -> NewAttachment {
    NewAttachment {
        attachment: Attachment {
            id: format!("file-{n}"),
            name: name.into(),
            mime: "image/png".into(),
            sha256: [n; 32],
            blake3: [n; 32],
            content: SealedBlob {
                key: [n; 32],
                len: 1_000,
            },
            preview: None,
            about: None,
            facts: String::new(),
        },
        blobs: vec![blob(n)],
    }
}

fn blob(n: u8) -> BlobHash {
    BlobHash::from_bytes([n; 32])
}

/// The blobs of the tests, all of them held.
pub(super) fn all() -> BTreeSet<BlobHash> {
    (0..=u8::MAX).map(blob).collect()
}

impl Clinic {
    fn attach(&self, log: LogId, name: &str, n: u8) {
        self.with(|core, who| core.attach(who, log, vec![file(name, n)], &all()))
            .unwrap();
    }

    fn names(&self, log: LogId) -> Vec<String> {
        let files = self.with(|core, _| core.attached(log)).unwrap();
        files
            .into_iter()
            .map(|file| match file.what {
                What::Blobs { attachment, .. } => attachment.name,
                What::Inline { name, .. } => name,
                What::Erased { reason } => format!("erased: {reason}"),
            })
            .collect()
    }

    /// What somebody else would be sent of a log, all of it.
    fn sent_to(&self, other: &Clinic, log: LogId) -> Vec<Vec<u8>> {
        let them = other.with(|core, _| core.me());
        let here = CoreLedger::new(Arc::clone(&self.core));
        let loaded = here.load(them, log, &Heights::new(), usize::MAX);
        loaded.unwrap().entries
    }

    fn take(&self, from: &Clinic, entries: Vec<Vec<u8>>) -> salus_sync::Committed {
        let peer = from.with(|core, _| core.me());
        let here = CoreLedger::new(Arc::clone(&self.core));
        here.commit(peer, entries, Vec::new()).unwrap()
    }
}

/// The same entries, those of a kind without their payloads.
fn without(entries: Vec<Vec<u8>>, kind: Kind) -> Vec<Vec<u8>> {
    let strip = |bytes: Vec<u8>| {
        let entry = Entry::decode(&bytes).unwrap();
        match entry.header().kind == kind {
            true => entry.without_payload().encode(),
            false => bytes,
        }
    };
    entries.into_iter().map(strip).collect()
}

#[test]
fn a_peer_that_leaves_out_what_an_entry_says_cannot_hide_it() {
    for kind in [Kind::Edit, Kind::Attach] {
        let (_dir, a, b) = two();
        let log = a.new_patient("Okafor");
        a.attach(log, "scan.png", 1);
        let them = b.with(|core, _| core.me());
        a.with(|core, who| core.grant(who, log, them, Right::Read))
            .unwrap();
        a.with(|core, who| core.note(who, log, "seen")).unwrap();
        let entries = without(a.sent_to(&b, log), kind);
        let committed = b.take(&a, entries);
        assert_eq!(committed.accepted, 0, "{kind}");
        assert!(committed.refused + committed.pending > 0, "{kind}");
        assert!(b.with(|core, _| core.logs.summary(&log).is_none()));
        a.carry_to(&b);
        assert_eq!(a.heights(log), b.heights(log));
        assert_eq!(b.names(log), ["scan.png"]);
    }
}

#[test]
fn an_entry_without_what_it_says_holds_up_nobody_elses_work() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let them = b.with(|core, _| core.me());
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    a.carry_to(&b);
    // Beta attaches, and sends the entry without its payload; Alpha's own work goes on.
    b.attach(log, "hidden.png", 3);
    let bare = without(b.sent_to(&a, log), Kind::Attach);
    let attach = |bytes: &Vec<u8>| Entry::decode(bytes).unwrap().header().kind == Kind::Attach;
    let bare: Vec<Vec<u8>> = bare.into_iter().filter(attach).collect();
    assert_eq!(bare.len(), 1);
    let committed = a.take(&b, bare.clone());
    assert_eq!((committed.accepted, committed.pending), (0, 1));
    a.with(|core, who| core.note(who, log, "seen")).unwrap();
    a.carry_to(&b);
    b.with(|core, who| core.note(who, log, "also seen"))
        .unwrap();
    a.take(&b, bare);
    // Whole it is taken, with what was built on it.
    b.carry_to(&a);
    assert_eq!(a.heights(log), b.heights(log));
    assert_eq!(a.names(log), ["hidden.png"]);
}

#[test]
fn an_erasure_that_comes_to_count_no_more_cuts_nobody_off() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    a.carry_to(&b);
    b.attach(log, "theirs.png", 3);
    b.carry_to(&a);
    let whole = a.sent_to(&b, log);
    // Beta erases its own file while Alpha revokes Beta, apart.
    b.with(|core, who| core.erase_file(who, log, "theirs.png", "mine"))
        .unwrap();
    let erasure: Vec<Vec<u8>> = {
        let here = CoreLedger::new(Arc::clone(&b.core));
        let heights = a.heights(log);
        here.load(me, log, &heights, usize::MAX).unwrap().entries
    };
    a.with(|core, who| core.revoke(who, log, them)).unwrap();
    a.take(&b, erasure);
    assert_eq!(
        a.names(log),
        ["theirs.png"],
        "the erasure is beyond the cut"
    );
    assert!(b.names(log)[0].starts_with("erased"));
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    a.carry_to(&b);
    assert_eq!(a.heights(log), b.heights(log));
    assert!(
        b.names(log)[0].contains("counts no more"),
        "{:?}",
        b.names(log)
    );
    // Who still has it gives it back.
    b.take(&a, whole);
    assert_eq!(b.names(log), ["theirs.png"]);
}

#[test]
fn who_attaches_without_end_displaces_nobody_else() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let them = b.with(|core, _| core.me());
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    a.carry_to(&b);
    a.attach(log, "one.png", 1);
    b.with(|core, who| {
        let many = (0..9_000_u32).map(|n| {
            let mut new = file("flood.png", 2);
            new.attachment.id = format!("flood-{n}");
            new.attachment.sha256[..4].copy_from_slice(&n.to_le_bytes());
            let mut blob = [9; 32];
            blob[..4].copy_from_slice(&n.to_le_bytes());
            new.blobs = vec![BlobHash::from_bytes(blob)];
            new
        });
        let (some, rest): (Vec<_>, Vec<_>) = many.partition(|new| new.blobs[0].as_bytes()[1] < 16);
        core.attach(who, log, some, &all()).unwrap();
        let refused = core.attach(
            who,
            log,
            rest.into_iter().chain([file("x", 5)]).collect(),
            &all(),
        );
        // A node that keeps to the rules has half of the room.
        assert!(refused.is_err());
    });
    b.carry_to(&a);
    assert!(a.with(|core, _| core.named_blobs().contains(&blob(1))));
}

#[test]
fn an_erasure_takes_what_was_said_here_and_at_those_who_hear_of_it_late() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    a.attach(log, "wrong.png", 1);
    a.attach(log, "right.png", 2);
    let them = b.with(|core, _| core.me());
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    a.carry_to(&b);
    let whole = a.sent_to(&b, log);
    assert_eq!(b.names(log), ["wrong.png", "right.png"]);
    assert_eq!(
        b.with(|core, _| core.logs_naming_for(them, &blob(1))),
        [log]
    );
    // Beta may write, and neither is it home nor did it attach the file.
    let refused = b.with(|core, who| core.erase_file(who, log, "wrong.png", "a mistake"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
    a.with(|core, who| core.erase_file(who, log, "wrong.png", "other patient"))
        .unwrap();
    a.carry_to(&b);
    for clinic in [&a, &b] {
        assert_eq!(clinic.names(log), ["erased: other patient", "right.png"]);
        assert!(clinic.with(|core, _| !core.named_blobs().contains(&blob(1))));
        assert!(clinic.with(|core, _| core.logs_naming_for(them, &blob(1)).is_empty()));
        let said = clinic.with(|core, _| {
            let erased = *core.log(log).unwrap().erased_entries().first().unwrap();
            let meta = core.log(log).unwrap().entry_meta(&erased).unwrap().clone();
            let entry = core.store().entry(log, meta.line, meta.seq).unwrap();
            entry.unwrap().payload().map(<[u8]>::to_vec)
        });
        assert_eq!(said, None, "the payload is gone from the store");
        let report = verify_all(&clinic.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
    assert_eq!(a.heights(log), b.heights(log));
    // Who kept a copy of before cannot bring it back.
    b.take(&a, whole);
    assert_eq!(b.names(log), ["erased: other patient", "right.png"]);
    let b = b.reopen();
    assert_eq!(b.names(log), ["erased: other patient", "right.png"]);
}

#[test]
fn a_newcomer_takes_a_log_with_erased_files_even_one_entry_at_a_time() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    a.attach(log, "wrong.png", 1);
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    a.with(|core, who| core.grant(who, log, them, Right::Read))
        .unwrap();
    a.with(|core, who| core.note(who, log, "seen")).unwrap();
    a.with(|core, who| core.erase_file(who, log, "wrong.png", "other patient"))
        .unwrap();
    let (here, there) = (
        CoreLedger::new(Arc::clone(&a.core)),
        CoreLedger::new(Arc::clone(&b.core)),
    );
    let mut reached = Heights::new();
    loop {
        let loaded = here.load(them, log, &reached, 1).unwrap();
        reached = loaded.reached;
        let committed = there.commit(me, loaded.entries, Vec::new()).unwrap();
        assert_eq!(committed.refused, 0);
        if !loaded.more {
            break;
        }
    }
    assert_eq!(a.heights(log), b.heights(log));
    assert_eq!(b.names(log), ["erased: other patient"]);
}

#[test]
fn the_same_file_is_attached_once_and_its_name_finds_it() {
    let (_dir, a, _b) = two();
    let log = a.new_patient("Okafor");
    a.attach(log, "one.png", 1);
    let again = a.with(|core, who| core.attach(who, log, vec![file("other-name.png", 1)], &all()));
    assert_eq!(again.unwrap(), [("file-1".to_owned(), false)]);
    a.attach(log, "two.png", 2);
    let find = |text: &str| a.with(|core, _| core.attachment(log, text).map(|file| file.id()));
    assert_eq!(find("file-2").unwrap(), "file-2");
    assert_eq!(find("two.png").unwrap(), "file-2");
    assert_eq!(find("file").unwrap_err().kind, ErrorKind::Usage);
    assert_eq!(find("three").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(find("").unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn files_of_records_that_are_shown_as_one_are_shown_as_one() {
    let (_dir, a, _b) = two();
    let (one, other) = (a.new_patient("Okafor"), a.new_patient("Okafor"));
    a.attach(one, "here.png", 1);
    a.attach(other, "there.png", 2);
    let shown = |log: LogId| {
        let view = a.with(|core, _| core.show(log)).unwrap();
        let names = view.attachments.into_iter().map(|file| file.name);
        names.collect::<Vec<_>>()
    };
    let found = |text: &str| a.with(|core, _| core.attachment_of_person(one, text));
    assert_eq!(shown(one), ["here.png"]);
    assert!(found("there.png").is_err());
    a.with(|core, who| core.link(who, one, other)).unwrap();
    assert_eq!(shown(one), ["here.png", "there.png"]);
    assert_eq!(found("there.png").unwrap().0, other);
    assert_eq!(found("here.png").unwrap().0, one);
    a.with(|core, who| core.erase_file(who, one, "there.png", "a mistake"))
        .unwrap();
    assert_eq!(a.names(other), ["erased: a mistake"]);
    assert_eq!(
        found("nowhere").err().map(|e| e.kind),
        Some(ErrorKind::NotFound)
    );
}

#[test]
fn only_those_who_may_attach_do() {
    let (_dir, mut a, b) = two();
    let log = a.new_patient("Okafor");
    let nurse = a.enrol("Nils", Role::Nurse);
    let refused = a.with(|core, _| core.may_attach(&nurse, log));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
    assert!(a.with(|core, who| core.may_attach(who, log)).is_ok());
    let them = b.with(|core, _| core.me());
    a.with(|core, who| core.grant(who, log, them, Right::Read))
        .unwrap();
    a.carry_to(&b);
    let refused = b.with(|core, who| core.may_attach(who, log));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
    // A custodian keeps and serves what it cannot open.
    assert_eq!(a.with(|core, _| core.holders(log)), [them]);
}

#[test]
fn a_pinned_record_stays_pinned() {
    let (_dir, a, _b) = two();
    let log = a.new_patient("Okafor");
    assert!(a.with(|core, _| core.pin(log, true)).unwrap());
    assert!(!a.with(|core, _| core.pin(log, true)).unwrap());
    let a = a.reopen();
    assert!(a.with(|core, _| core.is_pinned(log)).unwrap());
    assert!(a.with(|core, _| core.pin(log, false)).unwrap());
    assert!(!a.with(|core, _| core.is_pinned(log)).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_names_another_records_blob_gives_nobody_that_blob() {
    use salus_mesh::blobs::{BlobOptions, BlobStore};

    let (dir, a, b) = two();
    let (shared, secret) = (a.new_patient("Okafor"), a.new_patient("Novak"));
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    a.with(|core, who| core.grant(who, shared, them, Right::Write))
        .unwrap();
    let options = BlobOptions::new(Arc::new(|| None));
    let store = BlobStore::open(&dir.path().join("blobs"), options)
        .await
        .unwrap();
    let bytes = b"an image of somebody else".to_vec();
    let len = bytes.len() as u64;
    let from = std::io::Cursor::new(bytes);
    let (added, content, _) =
        crate::attachments::seal_file(&store, secret, "scan", (from, len), |_| ())
            .await
            .unwrap();
    let named = |n: u8, name: &str| {
        let mut new = file(name, n);
        new.attachment.content = content.clone();
        new.blobs = vec![added.hash];
        vec![new]
    };
    a.with(|core, who| core.attach(who, secret, named(1, "scan.png"), &all()))
        .unwrap();
    a.carry_to(&b);
    // Beta learned the address somehow, and names it in a record that it may write to.
    b.with(|core, who| core.attach(who, shared, named(2, "mine.png"), &all()))
        .unwrap();
    b.carry_to(&a);
    assert_eq!(a.names(shared), ["mine.png"]);
    let ledger = Arc::new(CoreLedger::new(Arc::clone(&a.core)).with_blobs(store.clone()));
    let may = |clinic| {
        let (ledger, blob) = (Arc::clone(&ledger), added.hash);
        tokio::task::spawn_blocking(move || ledger.may_fetch(clinic, blob))
    };
    assert!(!may(them).await.unwrap());
    assert!(may(me).await.unwrap(), "home may hold its own record");
    a.with(|core, who| core.grant(who, secret, them, Right::Read))
        .unwrap();
    assert!(may(them).await.unwrap());
    a.with(|core, who| core.revoke(who, secret, them)).unwrap();
    assert!(!may(them).await.unwrap(), "a grant that is taken back");
    store.shutdown().await;
}
