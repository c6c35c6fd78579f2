//! Stories of one and two clinics, without any network: entries are carried by hand.

mod attachments;
mod erasures;
mod saved;
mod suggestions;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use salus_api::{ErrorKind, NetworkMode, NewPatient, Passphrase};
use salus_audit::{Heights, LogId, Right, Role};
use salus_mesh::Ledger;
use salus_record::{CodeableConcept, Condition, Item};
use salus_store::Store;
use salus_vault::{Argon2Params, Unlocked, VaultFile, generate_signing_key};
use tokio::sync::mpsc;

use super::{Core, CoreLedger, Imported, Notice, Prepared, Source, Staff, ToImport, verify_all};
use crate::folder::Folder;
use crate::made_up;
use crate::setup::{InitOptions, init};

struct Clinic {
    core: Arc<Mutex<Core>>,
    physician: Staff,
    unlocked: Unlocked,
    folder: Folder,
    vault: VaultFile,
    now: Arc<AtomicU64>,
    _notices: mpsc::UnboundedReceiver<Notice>,
}

const PASSPHRASE: &str = "correct horse battery";

impl Clinic {
    fn found(root: &Path, name: &str) -> Self {
        let data_dir = root.join(name);
        init(InitOptions {
            data_dir: data_dir.clone(),
            clinic: name.to_owned(),
            staff: format!("Dr. {name}"),
            role: salus_api::Role::Physician,
            passphrase: Passphrase::new(PASSPHRASE.to_owned()),
            network: NetworkMode::Loopback,
            test_kdf: true,
        })
        .unwrap();
        Self::open(Folder::new(data_dir))
    }

    fn open(folder: Folder) -> Self {
        let vault = VaultFile::decode(&folder.read_vault().unwrap()).unwrap();
        let unlocked = vault.unlock(None, PASSPHRASE).unwrap();
        let store = Store::open(&folder.store(), &unlocked.secrets.storage).unwrap();
        let now = Arc::new(AtomicU64::new(1_790_000_000_000));
        let ticking = Arc::clone(&now);
        let (sender, notices) = mpsc::unbounded_channel();
        let clock = Arc::new(move || ticking.fetch_add(1, Ordering::Relaxed));
        let mut core = Core::open(store, unlocked.secrets.chain.clone(), clock, sender).unwrap();
        core.unlock(&unlocked.secrets).unwrap();
        let physician = Staff {
            name: unlocked.staff_name.clone(),
            key: unlocked.staff_key.clone(),
        };
        let core = Arc::new(Mutex::new(core));
        Self {
            core,
            physician,
            unlocked,
            folder,
            vault,
            now,
            _notices: notices,
        }
    }

    fn reopen(self) -> Self {
        let folder = self.folder.clone();
        drop(self);
        Self::open(folder)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Core, &Staff) -> T) -> T {
        work(&mut self.core.lock().unwrap(), &self.physician)
    }

    fn new_patient(&self, family: &str) -> LogId {
        let new = NewPatient {
            family: family.into(),
            given: "Ada".into(),
            birth_date: "1980-02-29".into(),
            sex: "female".into(),
            ..NewPatient::default()
        };
        self.with(|core, who| core.register(who, new))
            .unwrap()
            .id
            .parse()
            .unwrap()
    }

    fn enrol(&mut self, name: &str, role: Role) -> Staff {
        let key = generate_signing_key();
        let params = Argon2Params::insecure_for_tests();
        self.vault
            .add_staff(&self.unlocked, name, PASSPHRASE, key.clone(), params)
            .unwrap();
        self.with(|core, who| core.certify(&who.key, name, key.actor(), vec![role]))
            .unwrap();
        Staff {
            name: name.to_owned(),
            key,
        }
    }

    /// Carries what `other` lacks from here to there, a log at a time.
    fn carry_to(&self, other: &Clinic) {
        let (here, there) = (
            CoreLedger::new(Arc::clone(&self.core)),
            CoreLedger::new(Arc::clone(&other.core)),
        );
        let me = self.with(|core, _| core.me());
        let them = other.with(|core, _| core.me());
        let mut catalog = here.catalog(them).unwrap().items;
        // Rosters first, as the engine does.
        catalog.sort_by_key(|item| !item.is_roster);
        for item in catalog {
            let theirs = there.heights(me, &[item.log]).unwrap().remove(0);
            let loaded = here.load(them, item.log, &theirs, usize::MAX).unwrap();
            let committed = there.commit(me, loaded.entries, Vec::new()).unwrap();
            assert_eq!((committed.refused, committed.pending), (0, 0));
        }
        other.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    }

    /// The same clinic a second time, from a copy of its store.
    fn twin(&self, folder: &std::path::Path) -> Clinic {
        std::fs::create_dir_all(folder).unwrap();
        for entry in std::fs::read_dir(self.folder.root()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        Self::open(Folder::new(folder))
    }

    fn heights(&self, log: LogId) -> Heights {
        self.with(|core, _| core.log(log).unwrap().heights().clone())
    }
}

fn two() -> (tempfile::TempDir, Clinic, Clinic) {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (
        Clinic::found(dir.path(), "Alpha"),
        Clinic::found(dir.path(), "Beta"),
    );
    a.carry_to(&b);
    b.carry_to(&a);
    (dir, a, b)
}

fn share(from: &Clinic, to: &Clinic, log: LogId, right: Right) {
    let clinic = to.with(|core, _| core.me());
    assert!(
        from.with(|core, who| core.grant(who, log, clinic, right))
            .unwrap()
    );
    from.carry_to(to);
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    clinic
        .with(|core, who| core.note(who, log, "Cough for three days."))
        .unwrap();
    clinic
        .with(|core, who| core.set(who, log, "phone", "555-0101"))
        .unwrap();
    let before = clinic.heights(log);
    let clinic = clinic.reopen();
    assert_eq!(clinic.heights(log), before);
    let view = clinic.with(|core, _| core.show(log)).unwrap();
    assert_eq!(view.content.notes[0].text, "Cough for three days.");
    assert_eq!(view.content.patient.phone.as_deref(), Some("555-0101"));
    assert_eq!(view.row.family, "Okafor");
    assert!(view.verified);
    let report = verify_all(&clinic.core, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

#[test]
fn a_look_is_logged_once_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let entries = |clinic: &Clinic| {
        clinic
            .with(|core, _| core.history(log, 100, true))
            .unwrap()
            .len()
    };
    let before = entries(&clinic);
    for _ in 0..3 {
        clinic
            .with(|core, who| core.log_look(who, log, "record shown"))
            .unwrap();
    }
    assert_eq!(entries(&clinic), before + 1);
    clinic.now.fetch_add(3_600_000, Ordering::Relaxed);
    clinic
        .with(|core, who| core.log_look(who, log, "record shown"))
        .unwrap();
    assert_eq!(entries(&clinic), before + 2);
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_hides_no_look() {
    const YEAR_MS: u64 = 365 * 86_400_000;
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let looks = |clinic: &Clinic| {
        clinic
            .with(|core, who| core.log_look(who, log, "record shown"))
            .unwrap();
        let rows = clinic.with(|core, _| core.history(log, 100, true)).unwrap();
        rows.iter().filter(|row| row.kind == "view").count()
    };
    assert_eq!(looks(&a), 1);
    let hour_of_the_look = a.now.load(Ordering::Relaxed);
    a.now.fetch_add(YEAR_MS, Ordering::Relaxed);
    a.with(|core, who| core.note(who, log, "A year ahead."))
        .unwrap();
    b.now.fetch_sub(YEAR_MS, Ordering::Relaxed);
    b.with(|core, who| core.note(who, log, "A year behind."))
        .unwrap();
    // Back in the hour that has a look already: this is another one.
    a.now.store(hour_of_the_look, Ordering::Relaxed);
    assert_eq!(looks(&a), 2);
    assert_eq!(looks(&a), 2);
    a.with(|core, who| core.note(who, log, "Back again."))
        .unwrap();
    a.carry_to(&b);
    b.carry_to(&a);
    let (a, b) = (a.reopen(), b.reopen());
    for clinic in [&a, &b] {
        let expected = ["A year ahead.", "A year behind.", "Back again."];
        assert_eq!(notes(clinic, log), expected);
        let report = verify_all(&clinic.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
    assert_eq!(a.heights(log), b.heights(log));
}

#[test]
fn two_clinics_edit_apart_and_converge() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    a.with(|core, who| core.set(who, log, "phone", "555-0101"))
        .unwrap();
    b.with(|core, who| core.set(who, log, "phone", "555-0202"))
        .unwrap();
    a.with(|core, who| core.note(who, log, "From Alpha."))
        .unwrap();
    b.with(|core, who| core.note(who, log, "From Beta."))
        .unwrap();
    a.carry_to(&b);
    b.carry_to(&a);
    assert_eq!(a.heights(log), b.heights(log));
    let (at_a, at_b) = (
        a.with(|core, _| core.show(log)).unwrap(),
        b.with(|core, _| core.show(log)).unwrap(),
    );
    assert_eq!(at_a.content, at_b.content);
    assert_eq!(at_a.content.notes.len(), 2);
    assert_eq!(at_a.conflicts, at_b.conflicts);
    let values = &at_a.conflicts[0].values;
    let authors: Vec<_> = values
        .iter()
        .map(|v| (v.author.as_str(), v.clinic.as_str()))
        .collect();
    assert!(authors.contains(&("Dr. Alpha", "Alpha")) && authors.contains(&("Dr. Beta", "Beta")));
    let choice = at_b.conflicts[0].values[0].value.clone();
    b.with(|core, who| core.resolve(who, log, "patient/phone", choice, None))
        .unwrap();
    b.carry_to(&a);
    let settled = a.with(|core, _| core.show(log)).unwrap();
    assert!(settled.conflicts.is_empty());
    assert_eq!(
        serde_json::json!(settled.content.patient.phone),
        at_b.conflicts[0].values[0].value
    );
    for clinic in [&a, &b] {
        let report = verify_all(&clinic.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
}

#[test]
fn a_clinic_without_a_grant_is_told_nothing() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let ledger = CoreLedger::new(Arc::clone(&a.core));
    let them = b.with(|core, _| core.me());
    let catalog = ledger.catalog(them).unwrap();
    assert!(
        catalog
            .items
            .iter()
            .all(|item| item.is_roster && item.log != log)
    );
    let unknown = LogId::from_bytes([9; 32]);
    let answers = ledger.heights(them, &[log, unknown]).unwrap();
    assert_eq!(answers[0], answers[1]);
    let nothing = |log| ledger.load(them, log, &Heights::new(), usize::MAX).unwrap();
    assert_eq!(nothing(log), nothing(unknown));
    assert!(nothing(log).entries.is_empty());
}

#[test]
fn entries_of_a_record_that_was_not_granted_are_not_kept() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let me = a.with(|core, _| core.me());
    let entries = a
        .with(|core, _| core.load_for(me, log, &Heights::new(), usize::MAX))
        .unwrap();
    assert!(!entries.entries.is_empty());
    let there = CoreLedger::new(Arc::clone(&b.core));
    let committed = there.commit(me, entries.entries, Vec::new()).unwrap();
    assert_eq!(committed.accepted, 0);
    assert!(b.with(|core, _| core.log(log).unwrap().is_empty()));
}

#[test]
fn a_large_record_arrives_though_its_grant_comes_frames_later() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    for n in 0..20 {
        a.with(|core, who| core.note(who, log, &format!("Note {n}.")))
            .unwrap();
    }
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    a.with(|core, who| core.grant(who, log, them, Right::Write))
        .unwrap();
    let (here, there) = (
        CoreLedger::new(Arc::clone(&a.core)),
        CoreLedger::new(Arc::clone(&b.core)),
    );
    let mut reached = Heights::new();
    let mut frames = 0;
    loop {
        // One entry a frame: the grant is in the last one.
        let loaded = here.load(them, log, &reached, 1).unwrap();
        reached = loaded.reached;
        let committed = there.commit(me, loaded.entries, Vec::new()).unwrap();
        assert_eq!(committed.refused, 0);
        frames += 1;
        if !loaded.more {
            break;
        }
    }
    assert!(frames > 20);
    assert_eq!(a.heights(log), b.heights(log));
}

#[test]
fn a_look_in_between_skips_no_edit_that_came_by_sync() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, _| core.show(log)).unwrap();
    a.with(|core, who| core.note(who, log, "From Alpha."))
        .unwrap();
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    let theirs = b.heights(log);
    let here = CoreLedger::new(Arc::clone(&a.core));
    let there = CoreLedger::new(Arc::clone(&b.core));
    let loaded = here.load(them, log, &theirs, usize::MAX).unwrap();
    there.commit(me, loaded.entries, Vec::new()).unwrap();
    // Stored and not digested yet: a look must not pass over it.
    b.with(|core, who| core.log_look(who, log, "history shown"))
        .unwrap();
    b.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    let view = b.with(|core, _| core.show(log)).unwrap();
    assert_eq!(view.content.notes.len(), 1);
}

#[test]
fn a_read_grant_does_not_let_a_clinic_edit() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Read);
    b.with(|core, _| core.show(log)).unwrap();
    let error = b
        .with(|core, who| core.note(who, log, "may I?"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    let view = b.with(|core, _| core.show(log)).unwrap();
    assert!(
        view.content.notes.is_empty(),
        "what was refused is not shown either"
    );
}

#[test]
fn a_custodian_stores_and_cannot_read() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Custodian);
    assert_eq!(a.heights(log), b.heights(log));
    assert!(b.with(|core, _| core.patients()).unwrap().is_empty());
    assert_eq!(
        b.with(|core, _| core.show(log)).unwrap_err().kind,
        ErrorKind::Refused
    );
}

#[test]
fn a_nurse_writes_notes_and_no_diagnosis() {
    let dir = tempfile::tempdir().unwrap();
    let mut clinic = Clinic::found(dir.path(), "Alpha");
    let nurse = clinic.enrol("Nurse Joy", Role::Nurse);
    let log = clinic.new_patient("Okafor");
    clinic
        .with(|core, _| core.note(&nurse, log, "Slept well."))
        .unwrap();
    let diagnosis = Item::Condition(Condition {
        code: CodeableConcept::text("Asthma"),
        ..Condition::default()
    });
    let error = clinic
        .with(|core, _| core.add(&nurse, log, diagnosis))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    let view = clinic.with(|core, _| core.show(log)).unwrap();
    assert!(view.content.conditions.is_empty());
    assert_eq!(view.content.notes.len(), 1);
    let report = verify_all(&clinic.core, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

#[test]
fn importing_again_changes_nothing_and_newer_files_update() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let import = |content: salus_record::RecordContent| {
        let options = salus_fhir::ExportOptions { time_ms: 0 };
        let text = salus_fhir::export_bundle(&content, &options);
        let read = salus_fhir::read_bytes(text.as_bytes(), &salus_fhir::Limits::default()).unwrap();
        let patient = read.patients.into_iter().next().unwrap();
        let source = Source::pack(&patient, "made-up.json").unwrap();
        clinic.with(|core, who| {
            let work = match core
                .known_source(&patient.source_id, &patient.content.patient)
                .unwrap()
            {
                Some(log) => ToImport::Known(log, Box::new(patient.content), source),
                None => ToImport::New(
                    patient.source_id,
                    Box::new(
                        Prepared::new_record(
                            patient.content,
                            Some(source),
                            core.me(),
                            core.chain_id(),
                            core.now_ms(),
                        )
                        .unwrap(),
                    ),
                ),
            };
            core.import(who, vec![work]).unwrap().pop().unwrap()
        })
    };
    let mut content = made_up::patient(1, 1);
    let Imported::Created(log) = import(content.clone()) else {
        panic!("a new patient")
    };
    let heights = clinic.heights(log);
    assert_eq!(import(content.clone()), Imported::Unchanged(log));
    assert_eq!(clinic.heights(log), heights);
    clinic
        .with(|core, who| core.note(who, log, "written here"))
        .unwrap();
    content.patient.phone = Some("555-0142".into());
    assert_eq!(import(content), Imported::Updated(log));
    let view = clinic.with(|core, _| core.show(log)).unwrap();
    assert_eq!(view.content.patient.phone.as_deref(), Some("555-0142"));
    assert!(
        view.content
            .notes
            .iter()
            .any(|note| note.text == "written here")
    );
    assert_eq!(
        view.attachments.len(),
        2,
        "both sources are kept as received"
    );
    let report = verify_all(&clinic.core, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

#[test]
fn a_locked_core_shows_nothing_and_still_takes_entries_in() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, _| core.lock());
    a.with(|core, who| core.note(who, log, "while Beta was locked"))
        .unwrap();
    a.carry_to(&b);
    assert_eq!(a.heights(log), b.heights(log));
    assert_eq!(
        b.with(|core, _| core.show(log)).unwrap_err().kind,
        ErrorKind::Refused
    );
    assert_eq!(
        b.with(|core, _| core.patients()).unwrap_err().kind,
        ErrorKind::Refused
    );
    b.with(|core, _| core.unlock(&b.unlocked.secrets)).unwrap();
    b.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    let view = b.with(|core, _| core.show(log)).unwrap();
    assert_eq!(view.content.notes[0].text, "while Beta was locked");
}

/// What one clinic holds of a log, as its peer gets it.
fn all_of(clinic: &Clinic, log: LogId) -> Vec<Vec<u8>> {
    let me = clinic.with(|core, _| core.me());
    clinic
        .with(|core, _| core.load_for(me, log, &Heights::new(), usize::MAX))
        .unwrap()
        .entries
}

fn notes(clinic: &Clinic, log: LogId) -> Vec<String> {
    let view = clinic.with(|core, _| core.show(log)).unwrap();
    let mut texts: Vec<String> = view.content.notes.into_iter().map(|n| n.text).collect();
    texts.sort();
    texts
}

#[test]
fn a_revoked_clinic_that_sets_its_clock_back_is_not_believed() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, who| core.note(who, log, "entitled")).unwrap();
    b.carry_to(&a);
    let them = b.with(|core, _| core.me());
    assert!(a.with(|core, who| core.revoke(who, log, them)).unwrap());
    // A year back: the note claims to be older than the grant itself.
    b.now.fetch_sub(365 * 86_400_000, Ordering::Relaxed);
    b.with(|core, who| core.note(who, log, "back-dated"))
        .unwrap();
    let me = b.with(|core, _| core.me());
    let there = CoreLedger::new(Arc::clone(&a.core));
    there.commit(me, all_of(&b, log), Vec::new()).unwrap();
    a.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    assert_eq!(notes(&a, log), ["entitled"]);
    let rows = a.with(|core, _| core.history(log, 100, true)).unwrap();
    assert_eq!(rows.iter().filter(|row| row.void.is_some()).count(), 1);
    let clinic = &a;
    let report = verify_all(&clinic.core, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.problems);
    // Nothing that is written now leaves for it, and it could not read it.
    a.with(|core, who| core.note(who, log, "for others"))
        .unwrap();
    let ledger = CoreLedger::new(Arc::clone(&a.core));
    assert!(ledger.heights(them, &[log]).unwrap()[0].is_empty());
    let stolen = CoreLedger::new(Arc::clone(&b.core));
    stolen
        .commit(a.with(|core, _| core.me()), all_of(&a, log), Vec::new())
        .unwrap();
    b.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    let epochs = b.with(|core, _| core.log(log).unwrap().epochs().count());
    assert_eq!(epochs, 2);
    let readable = b.with(|core, _| core.newest_key(log).unwrap().0);
    let newest = b.with(|core, _| core.log(log).unwrap().current_epoch().unwrap());
    assert_ne!(readable, newest, "the new epoch is unreadable to it");
}

#[test]
fn work_that_a_third_clinic_built_on_survives_the_revocation() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ["Alpha", "Beta", "Gamma"].map(|name| Clinic::found(dir.path(), name));
    for (x, y) in [(&a, &b), (&a, &c), (&b, &a), (&b, &c), (&c, &a), (&c, &b)] {
        x.carry_to(y);
    }
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    share(&a, &c, log, Right::Write);
    a.carry_to(&b);
    let them = b.with(|core, _| core.me());
    a.with(|core, who| core.revoke(who, log, them)).unwrap();
    // Neither Beta nor Gamma knows yet.
    b.with(|core, who| core.note(who, log, "honest")).unwrap();
    b.carry_to(&c);
    c.with(|core, who| core.note(who, log, "built on it"))
        .unwrap();
    b.with(|core, who| core.note(who, log, "nobody built on this"))
        .unwrap();
    b.carry_to(&c);
    a.carry_to(&c);
    c.carry_to(&a);
    for clinic in [&a, &c] {
        assert_eq!(notes(clinic, log), ["built on it", "honest"]);
        let report = verify_all(&clinic.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
    assert_eq!(a.heights(log), c.heights(log));
}

#[test]
fn a_chain_that_shows_two_histories_is_kept_and_told_of_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ["Alpha", "Beta", "Gamma"].map(|name| Clinic::found(dir.path(), name));
    for (x, y) in [(&a, &b), (&a, &c), (&b, &a), (&b, &c), (&c, &a), (&c, &b)] {
        x.carry_to(y);
    }
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    share(&a, &c, log, Right::Write);
    a.carry_to(&b);
    // Gamma's folder is copied, and both copies write.
    let twin = c.twin(&dir.path().join("twin"));
    c.with(|core, who| core.note(who, log, "one history"))
        .unwrap();
    twin.with(|core, who| core.note(who, log, "another"))
        .unwrap();
    c.carry_to(&a);
    twin.carry_to(&b);
    // Both are built on before anybody knows.
    a.with(|core, who| core.note(who, log, "Alpha's")).unwrap();
    b.with(|core, who| core.note(who, log, "Beta's")).unwrap();
    for _ in 0..3 {
        a.carry_to(&b);
        b.carry_to(&a);
    }
    assert_eq!(a.heights(log), b.heights(log));
    assert_eq!(notes(&a, log), notes(&b, log));
    // One history stands in the document, the same one everywhere, with what was built on it; what was built on the other is told of.
    assert_eq!(notes(&a, log).len(), 2);
    for clinic in [&a, &b] {
        let view = clinic.with(|core, _| core.show(log)).unwrap();
        assert!(!view.verified);
        assert!(
            view.warnings
                .iter()
                .any(|text| text.contains("two histories")),
            "{:?}",
            view.warnings
        );
        assert_eq!(view.problems.len(), 2, "{:?}", view.problems);
        let report = verify_all(&clinic.core, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.problems);
    }
    // It holds after a restart.
    let a = a.reopen();
    assert!(!a.with(|core, _| core.show(log)).unwrap().verified);
    assert_eq!(a.heights(log), b.heights(log));
}

#[test]
fn a_quarantined_edit_is_held_out_at_every_clinic() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, who| core.note(who, log, "rubbish")).unwrap();
    b.carry_to(&a);
    let hash = a.with(|core, _| core.history(log, 1, true)).unwrap()[0]
        .hash
        .clone();
    a.with(|core, who| core.quarantine(who, log, &hash[..12], "rubbish"))
        .unwrap();
    a.carry_to(&b);
    for clinic in [&a, &b] {
        assert!(notes(clinic, log).is_empty());
    }
    let refused = b.with(|core, who| core.quarantine(who, log, &hash[..12], "no home"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
}

#[test]
fn no_flood_of_grants_keeps_a_clinic_from_being_revoked() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    // Beta fills the record with as many grants as it may write.
    b.with(|core, who| {
        let (epoch, key) = core.newest_key(log).unwrap();
        core.transact(|core, pending| {
            for _ in 0..salus_audit::MAX_GRANTS {
                core.grant_in(pending, who, log, (them, Right::Write), (epoch, &key))?;
            }
            let more = core.grant_in(pending, who, log, (them, Right::Write), (epoch, &key));
            assert_eq!(more.unwrap_err().kind, ErrorKind::Failed);
            Ok(())
        })
    })
    .unwrap();
    b.carry_to(&a);
    assert!(a.with(|core, who| core.revoke(who, log, them)).unwrap());
    a.with(|core, who| core.note(who, log, "with a new key"))
        .unwrap();
    let state = a.with(|core, _| core.log(log).unwrap().right_of(them));
    assert_eq!(state, None);
    assert!(
        a.with(|core, _| core.log(log).unwrap().right_of(me))
            .is_some()
    );
}

#[test]
fn a_link_that_only_one_record_knows_of_shows_nothing() {
    let (_dir, a, b) = two();
    let (one, other) = (a.new_patient("Okafor"), a.new_patient("Diallo"));
    a.with(|core, who| core.note(who, other, "not for this record"))
        .unwrap();
    share(&a, &b, one, Right::Write);
    // Beta may write into the first record only, and links it with the second.
    b.with(|core, who| {
        let (epoch, key) = core.newest_key(one).unwrap();
        let said = salus_audit::Body::Link { other };
        core.transact(|core, pending| {
            core.append(
                pending,
                &who.key,
                one,
                None,
                super::Said::Sealed(&said, epoch, &key),
            )?;
            Ok(())
        })
    })
    .unwrap();
    b.carry_to(&a);
    let view = a.with(|core, _| core.show(one)).unwrap();
    assert!(view.linked.is_empty() && view.content.notes.is_empty());
    // A link that both say counts, and is taken back by either.
    a.with(|core, who| core.link(who, one, other)).unwrap();
    assert_eq!(
        a.with(|core, _| core.show(one))
            .unwrap()
            .content
            .notes
            .len(),
        1
    );
    a.with(|core, who| core.unlink(who, other, one)).unwrap();
    assert!(a.with(|core, _| core.show(one)).unwrap().linked.is_empty());
}

#[test]
fn an_allergy_ended_here_and_confirmed_there_is_told_of() {
    use salus_record::AllergyIntolerance;
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    let allergy = AllergyIntolerance {
        code: CodeableConcept::text("Penicillin"),
        ..AllergyIntolerance::default()
    };
    let id = a
        .with(|core, who| core.add(who, log, Item::Allergy(allergy.clone())))
        .unwrap();
    share(&a, &b, log, Right::Write);
    a.with(|core, who| {
        let kind = salus_api::Stoppable::Allergy;
        core.stop(who, log, kind, "penicillin", Some("tested negative".into()))
    })
    .unwrap();
    let confirmed = AllergyIntolerance {
        id,
        criticality: Some("high".into()),
        verification_status: Some("confirmed".into()),
        clinical_status: Some("active".into()),
        ..allergy
    };
    b.with(|core, who| core.add(who, log, Item::Allergy(confirmed)))
        .unwrap();
    a.carry_to(&b);
    b.carry_to(&a);
    for clinic in [&a, &b] {
        let found = clinic.with(|core, _| core.conflicts(log)).unwrap();
        assert!(
            found
                .concerns
                .iter()
                .any(|concern| concern.code == "allergy_ended"),
            "{found:?}"
        );
    }
}

#[test]
fn what_is_over_is_not_ended_again() {
    use salus_record::AllergyIntolerance;
    let (_dir, a, _b) = two();
    let log = a.new_patient("Okafor");
    let allergy = AllergyIntolerance {
        code: CodeableConcept::text("Penicillin"),
        ..AllergyIntolerance::default()
    };
    let add = || a.with(|core, who| core.add(who, log, Item::Allergy(allergy.clone())));
    let stop = |item: &str| {
        let kind = salus_api::Stoppable::Allergy;
        a.with(|core, who| core.stop(who, log, kind, item, Some("tested negative".into())))
    };
    let first = add().unwrap();
    stop("penicillin").unwrap();
    let before = a.with(|core, _| core.show(log)).unwrap();
    let again = stop("penicillin").unwrap_err();
    assert!(again.message.contains("over already"), "{again:?}");
    let after = a.with(|core, _| core.show(log)).unwrap();
    assert_eq!(before.content.allergies, after.content.allergies);
    // The same words mean the one that is not over.
    let second = add().unwrap();
    stop("penicillin").unwrap();
    assert!(stop(&first).is_err() && stop(&second).is_err());
}
