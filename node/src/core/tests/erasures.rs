//! Erasing a record: what goes, where it goes, who may; and, over many random histories, that all replicas destroy the same and nothing else.

use std::collections::BTreeSet;

use salus_audit::{EntryHash, Kind};

use super::attachments::{all, file};
use super::*;

impl Clinic {
    /// The sealed entries of a log of which this clinic has the payload, and those of which it has not.
    fn payloads(&self, log: LogId) -> (BTreeSet<EntryHash>, BTreeSet<EntryHash>) {
        self.with(|core, _| {
            let metas: Vec<_> = core.log(log).unwrap().entries().cloned().collect();
            let sealed = metas.into_iter().filter(|meta| !meta.kind.is_clear());
            let (held, bare): (Vec<_>, Vec<_>) = sealed
                .map(|meta| core.store().entry(log, meta.line, meta.seq))
                .map(|entry| entry.unwrap().unwrap())
                .partition(|entry| entry.payload().is_some());
            let hashes = |entries: Vec<salus_audit::Entry>| {
                entries.iter().map(salus_audit::Entry::hash).collect()
            };
            (hashes(held), hashes(bare))
        })
    }

    fn erased(&self, log: LogId) -> BTreeSet<EntryHash> {
        self.with(|core, _| core.log(log).unwrap().erased_entries())
    }

    /// Hands over what `other` lacks of a log, whatever becomes of it.
    fn give(&self, other: &Clinic, log: LogId) {
        let (here, there) = (
            CoreLedger::new(Arc::clone(&self.core)),
            CoreLedger::new(Arc::clone(&other.core)),
        );
        let me = self.with(|core, _| core.me());
        let them = other.with(|core, _| core.me());
        let theirs = there.heights(me, &[log]).unwrap().remove(0);
        let loaded = here.load(them, log, &theirs, usize::MAX).unwrap();
        there.commit(me, loaded.entries, Vec::new()).unwrap();
        other.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    }

    fn verifies(&self) {
        let report = verify_all(&self.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
}

fn three() -> (tempfile::TempDir, [Clinic; 3]) {
    let (dir, a, b) = two();
    let c = Clinic::found(dir.path(), "Gamma");
    for other in [&a, &b] {
        c.carry_to(other);
        other.carry_to(&c);
    }
    (dir, [a, b, c])
}

#[test]
fn an_erased_record_is_gone_at_every_clinic_and_the_log_still_verifies() {
    let (_dir, [a, b, c]) = three();
    let log = a.new_patient("Okafor");
    let id = log.to_string();
    share(&a, &b, log, Right::Write);
    a.with(|core, who| core.note(who, log, "seen")).unwrap();
    a.with(|core, who| core.attach(who, log, vec![file("scan.png", 1)], &all()))
        .unwrap();
    // Gamma may read, and has never been reached.
    let gamma = c.with(|core, _| core.me());
    a.with(|core, who| core.grant(who, log, gamma, Right::Read))
        .unwrap();
    a.carry_to(&b);
    let whole = a.with(|core, _| core.load_for(gamma, log, &Heights::new(), usize::MAX));
    let whole = whole.unwrap().entries;
    // Beta does not know yet and goes on writing.
    b.with(|core, who| core.note(who, log, "and again"))
        .unwrap();
    let said = a.with(|core, who| core.erase_record(who, log, "the patient asked for it"));
    assert!(said.unwrap().starts_with("erased the record"));
    b.carry_to(&a);
    a.carry_to(&b);
    a.carry_to(&c);
    let reached = a.heights(log);
    let clinics = [a.reopen(), b, c];
    for clinic in &clinics {
        let (held, bare) = clinic.payloads(log);
        assert!(held.is_empty(), "{held:?}");
        assert!(bare.len() >= 4, "{bare:?}");
        assert_eq!(clinic.heights(log), reached);
        clinic.with(|core, who| {
            assert!(core.patients().unwrap().is_empty());
            assert!(core.search("Okafor", 10).unwrap().is_empty());
            assert!(core.named_blobs().is_empty());
            let error = core.patient(&id).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound);
            for told in ["erased on 2026-", "Dr. Alpha", "the patient asked for it"] {
                assert!(error.message.contains(told), "{}", error.message);
            }
            assert_eq!(core.show(log).unwrap_err().kind, ErrorKind::NotFound);
            assert!(core.note(who, log, "more").is_err());
            // That it was, who wrote in it and who destroyed it stays, and who looks is still written down.
            let log = core.patient_or_erased(&id[..8]).unwrap();
            core.log_look(who, log, "audit log shown").unwrap();
            let rows = core.history(log, 100, true).unwrap();
            let told = |text: &str| rows.iter().any(|row| row.summary.iter().any(|s| s == text));
            assert!(told("the whole record erased: the patient asked for it"));
            assert!(told("erased since"));
        });
        assert!(
            clinic.payloads(log).0.is_empty(),
            "looks say nothing either"
        );
        clinic.verifies();
    }
    // Who kept a copy of before cannot bring it back.
    let peer = clinics[1].with(|core, _| core.me());
    let ledger = CoreLedger::new(Arc::clone(&clinics[2].core));
    ledger.commit(peer, whole, Vec::new()).unwrap();
    assert!(clinics[2].payloads(log).0.is_empty());
}

#[test]
fn only_its_home_erases_a_record_and_only_who_may() {
    let (_dir, mut a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let refused = b.with(|core, who| core.erase_record(who, log, "mine"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
    let nurse = a.enrol("Nils", Role::Nurse);
    let refused = a.with(|core, _| core.erase_record(&nurse, log, "mine"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
    let refused = a.with(|core, who| core.erase_record(who, log, " \n"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Usage);
    assert!(a.erased(log).is_empty());
    a.with(|core, who| core.erase_record(who, log, "asked for"))
        .unwrap();
    let again = a.with(|core, who| core.erase_record(who, log, "asked for"));
    assert!(again.unwrap().starts_with("nothing to change"));
}

#[test]
fn a_locked_node_destroys_what_it_is_told_to() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Read);
    assert!(!b.payloads(log).0.is_empty());
    a.with(|core, who| core.erase_record(who, log, "asked for"))
        .unwrap();
    b.with(|core, _| core.lock());
    a.give(&b, log);
    assert!(b.payloads(log).0.is_empty());
    let b = b.reopen();
    assert!(b.with(|core, _| core.patients()).unwrap().is_empty());
    b.verifies();
}

/// A small deterministic generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap()
    }
}

#[test]
fn all_replicas_destroy_what_counts_and_nothing_else_in_every_order() {
    let (mut erased, mut records, mut forked, mut vain) = (0, 0, 0, 0);
    // Each history waits for the disk some hundred times; more by `SALUS_SEEDS`.
    let seeds = std::env::var("SALUS_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(9);
    for seed in 0..seeds {
        let (dir, clinics) = three();
        let mut dice = Dice(seed);
        let mut clinics: Vec<Clinic> = clinics.into();
        let log = clinics[0].new_patient("Okafor");
        let ids: Vec<_> = clinics
            .iter()
            .map(|clinic| clinic.with(|core, _| core.me()))
            .collect();
        for id in &ids[1..] {
            clinics[0]
                .with(|core, who| core.grant(who, log, *id, Right::Write))
                .unwrap();
        }
        for _ in 0..40 {
            let at = dice.below(clinics.len());
            let n = u8::try_from(dice.below(200)).unwrap();
            let file = (dice.below(8), file(&format!("{n}.png"), n));
            let clinic = &clinics[at];
            // What a clinic may not do, or not any more, it does not do.
            match dice.below(16) {
                0..=2 => {
                    let _ = clinic.with(|core, who| core.note(who, log, &format!("note {n}")));
                }
                3..=5 => {
                    let _ = clinic.with(|core, who| core.attach(who, log, vec![file.1], &all()));
                }
                6 | 7 => {
                    let names: Vec<String> = clinic
                        .with(|core, _| core.attached(log))
                        .into_iter()
                        .flatten()
                        .map(|file| file.id())
                        .collect();
                    if let Some(name) = names.get(file.0 % names.len().max(1)) {
                        let _ = clinic.with(|core, who| {
                            core.erase_file(who, log, name, "of another patient")
                        });
                    }
                }
                8 if dice.below(4) == 0 => {
                    let _ = clinic.with(|core, who| core.erase_record(who, log, "asked for"));
                }
                9 if seed % 3 == 1 => {
                    let other = ids[1 + dice.below(2)];
                    let _ = clinic.with(|core, who| core.revoke(who, log, other));
                    let _ = clinic.with(|core, who| core.grant(who, log, other, Right::Write));
                }
                10 if seed % 3 == 2 && clinics.len() == 3 => {
                    let twin = clinics[dice.below(2)].twin(&dir.path().join("twin"));
                    clinics.push(twin);
                }
                _ => clinic.give(&clinics[dice.below(clinics.len())], log),
            }
        }
        for _ in 0..4 {
            for (at, from) in clinics.iter().enumerate() {
                for (other, to) in clinics.iter().enumerate() {
                    if at != other {
                        from.give(to, log);
                    }
                }
            }
        }
        let (first, rest) = clinics.split_first().unwrap();
        let destroyed = first.erased(log);
        for clinic in rest {
            let id = clinic.with(|core, _| core.me());
            if first.with(|core, _| core.log(log).unwrap().right_of(id).is_none()) {
                // Nobody is entitled again to a record that was erased.
                assert!(first.with(|core, _| core.log(log).unwrap().record_erased().is_some()));
                continue;
            }
            assert_eq!(clinic.heights(log), first.heights(log), "seed {seed}");
            assert_eq!(clinic.erased(log), destroyed, "seed {seed}");
        }
        for clinic in &clinics {
            let (held, bare) = clinic.payloads(log);
            assert!(held.is_disjoint(&clinic.erased(log)), "seed {seed}");
            clinic.with(|core, _| {
                let state = core.log(log).unwrap();
                for hash in &bare {
                    let kind = state.entry_meta(hash).unwrap().kind;
                    assert!(state.may_be_bare(hash, kind), "seed {seed}: {kind}");
                }
                if state.record_erased().is_some() {
                    assert!(core.patients().unwrap().is_empty(), "seed {seed}");
                }
            });
            vain += bare.difference(&destroyed).count();
            if clinics.len() == 3 && bare.is_subset(&destroyed) {
                clinic.verifies();
            }
        }
        first.with(|core, _| {
            let state = core.log(log).unwrap();
            records += usize::from(state.record_erased().is_some());
            forked += usize::from(state.forks().next().is_some());
            let files = state.entries().filter(|meta| meta.kind == Kind::Attach);
            let files: Vec<EntryHash> = files.map(|meta| meta.hash).collect();
            erased += files
                .iter()
                .filter(|hash| destroyed.contains(*hash))
                .count();
        });
    }
    println!("{erased} files and {records} records erased, {forked} forked, {vain} in vain");
    assert!(erased > 5 && records > 0 && forked > 0);
}

#[test]
fn nobody_keeps_home_from_erasing_by_erasing_without_end() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, who| {
        core.attach(who, log, vec![file("theirs.png", 1)], &all())
            .unwrap();
        let attached = core.attached(log).unwrap()[0].meta.hash;
        let control = salus_audit::Control::Erase {
            entries: vec![attached],
            reason: "mine".into(),
        };
        core.transact(|core, pending| {
            for _ in 0..salus_audit::MAX_ERASURES {
                let said = super::super::Said::Clear(&control);
                core.append(pending, &who.key, log, None, said)?;
            }
            Ok(())
        })
        .unwrap();
        let one_more = core.transact(|core, pending| {
            let said = super::super::Said::Clear(&control);
            core.append(pending, &who.key, log, None, said)
        });
        assert!(one_more.is_err(), "what one chain may write is bounded");
    });
    b.carry_to(&a);
    a.with(|core, who| core.attach(who, log, vec![file("ours.png", 2)], &all()))
        .unwrap();
    a.with(|core, who| core.erase_file(who, log, "ours.png", "a mistake"))
        .unwrap();
    a.with(|core, who| core.erase_record(who, log, "asked for"))
        .unwrap();
    assert!(a.payloads(log).0.is_empty());
}

#[test]
fn what_only_an_erasure_that_counts_no_more_took_is_named_by_verification() {
    let (dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, who| core.attach(who, log, vec![file("theirs.png", 1)], &all()))
        .unwrap();
    b.carry_to(&a);
    // Two of Beta's nodes at once: what either writes beyond counts for nothing, and the erasure is one of that.
    let twin = b.twin(&dir.path().join("twin"));
    b.with(|core, who| core.erase_file(who, log, "theirs.png", "mine"))
        .unwrap();
    twin.with(|core, who| core.note(who, log, "forked"))
        .unwrap();
    twin.give(&a, log);
    b.give(&a, log);
    a.give(&b, log);
    assert!(a.erased(log).is_empty() && b.erased(log).is_empty());
    assert_eq!((a.payloads(log).1.len(), b.payloads(log).1.len()), (0, 1));
    let report = b.with(|core, _| core.verify_record(log)).unwrap();
    assert!(
        report
            .problems
            .iter()
            .any(|found| found.what.contains("counts no more")),
        "{:?}",
        report.problems
    );
    // Home erases it for good, though it looks erased at Beta already.
    a.with(|core, who| core.erase_file(who, log, "theirs.png", "of another patient"))
        .unwrap();
    assert_eq!(a.payloads(log).1.len(), 1);
}

#[test]
fn a_record_longer_than_what_may_wait_in_memory_reaches_a_newcomer() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    a.with(|core, who| core.attach(who, log, vec![file("wrong.png", 1)], &all()))
        .unwrap();
    // More than there is room for before the grant and the erasure come.
    a.with(|core, who| {
        let (epoch, key) = core.newest_key(log).unwrap();
        for n in 0..10 {
            let part = salus_audit::Body::Attach {
                id: format!("source-{n}"),
                name: "source.json".into(),
                mime: "application/fhir+json".into(),
                encoding: salus_audit::Encoding::Identity,
                bytes_len: 4_000_000,
                inline: vec![n; 4_000_000],
            };
            let said = super::super::Said::Sealed(&part, epoch, &key);
            let scope = Some(salus_audit::Scope::Attachment);
            core.transact(|core, pending| core.append(pending, &who.key, log, scope, said))
                .unwrap();
        }
        core.erase_file(who, log, "wrong.png", "other patient")
            .unwrap();
        let them = b.with(|core, _| core.me());
        core.grant(who, log, them, Right::Read).unwrap();
    });
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    let (here, there) = (
        CoreLedger::new(Arc::clone(&a.core)),
        CoreLedger::new(Arc::clone(&b.core)),
    );
    let (mut reached, mut frames) = (Heights::new(), 0);
    loop {
        let loaded = here.load(them, log, &reached, 1 << 20).unwrap();
        reached = loaded.reached;
        let committed = there.commit(me, loaded.entries, Vec::new()).unwrap();
        assert_eq!(committed.refused, 0);
        frames += 1;
        if !loaded.more {
            break;
        }
    }
    assert!(frames > 8, "{frames}");
    assert_eq!(a.heights(log), b.heights(log));
    b.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    assert_eq!(b.with(|core, _| core.patients()).unwrap().len(), 1);
    b.verifies();
}

#[test]
fn a_promise_by_who_was_never_promised_anything_is_none() {
    let (_dir, [a, b, c]) = three();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let (me, them) = (b.with(|core, _| core.me()), c.with(|core, _| core.me()));
    b.with(|core, who| core.grant(who, log, them, Right::Read))
        .unwrap();
    let loaded = b.with(|core, _| core.load_for(them, log, &Heights::new(), 1));
    let first = loaded.unwrap().entries;
    let grants =
        |bytes: &Vec<u8>| salus_audit::Entry::decode(bytes).unwrap().header().kind == Kind::Grant;
    let (ahead, genesis): (Vec<_>, Vec<_>) = first.into_iter().partition(grants);
    assert_eq!((ahead.len(), genesis.len()), (2, 1));
    // Which of both is home's, is known to who has the rosters only: alone neither is enough.
    let ledger = CoreLedger::new(Arc::clone(&c.core));
    for promise in &ahead {
        let frame = vec![promise.clone(), genesis[0].clone()];
        assert_eq!(ledger.commit(me, frame, Vec::new()).unwrap().accepted, 0);
        assert!(c.with(|core, _| core.logs.summary(&log).is_none()));
    }
    let frame = [ahead, genesis].concat();
    assert_eq!(ledger.commit(me, frame, Vec::new()).unwrap().accepted, 1);
    b.carry_to(&c);
    assert_eq!(c.heights(log), b.heights(log));
}

#[test]
fn an_explanation_by_who_may_not_erase_hides_nothing() {
    let (_dir, [a, b, c]) = three();
    let log = a.new_patient("Okafor");
    for other in [&b, &c] {
        share(&a, other, log, Right::Write);
    }
    a.with(|core, who| core.attach(who, log, vec![file("scan.png", 1)], &all()))
        .unwrap();
    a.give(&b, log);
    // Beta signs an erasure of Alpha's file, on top of what Gamma lacks, and sends it ahead of the file without its payload.
    let them = c.with(|core, _| core.me());
    let (me, at_gamma) = (b.with(|core, _| core.me()), c.heights(log));
    let loaded = b.with(|core, _| core.load_for(them, log, &at_gamma, usize::MAX));
    let entries: Vec<_> = loaded.unwrap().entries;
    let attach = salus_audit::Entry::decode(&entries[0]).unwrap();
    assert_eq!(attach.header().kind, Kind::Attach);
    let erase = b.with(|core, who| {
        let (chain, size) = (core.chain_id(), core.tree.size());
        let draft = salus_audit::Draft {
            log,
            parents: core.log(log).unwrap().parents(chain),
            authority: attach.header().authority.clone(),
            kind: Kind::Erase,
            scope: None,
            epoch: None,
            blobs: Vec::new(),
            time_ms: 1_790_000_000_000,
            actor: who.key.actor(),
        };
        let control = salus_audit::Control::Erase {
            entries: vec![attach.hash()],
            reason: "hidden".into(),
        };
        let position = core.log(log).unwrap().position(chain, size + 7);
        draft
            .sign(position, control.encode(), &who.key, &core.chain)
            .unwrap()
    });
    let frame = vec![erase.encode(), attach.without_payload().encode()];
    let ledger = CoreLedger::new(Arc::clone(&c.core));
    assert_eq!(ledger.commit(me, frame, Vec::new()).unwrap().accepted, 0);
    assert_eq!(c.heights(log), at_gamma);
    b.give(&c, log);
    assert_eq!(c.heights(log), b.heights(log));
    assert!(c.payloads(log).1.is_empty());
}
