//! Nothing is lost: backup and restore, power cuts in a loop, folders that cannot be written, proofs that outlast a rewrite.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::process::{Clinic, PASSPHRASE, two};
use crate::rights::copy_folder;

#[test]
fn a_restored_backup_is_a_new_life_and_others_give_back_what_came_after() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    let backup = dir.path().join("alpha.backup");
    let backup = backup.to_str().unwrap();
    a.ok(&["backup", backup]);
    a.fails(2, &["backup", backup]);
    // After the backup a note is written, and reaches Beta; then the disk dies.
    a.ok(&["patient", "note", &id, "Written after the backup."]);
    let daemon = a.daemon();
    b.ok(&["sync"]);
    drop(daemon);
    std::fs::rename(&a.folder, dir.path().join("dead")).unwrap();

    let wrong = dir.path().join("wrong");
    std::fs::write(&wrong, "not the passphrase\n").unwrap();
    a.fails(
        3,
        &[
            "--passphrase-file",
            wrong.to_str().unwrap(),
            "restore",
            backup,
        ],
    );
    a.ok(&["restore", backup]);
    a.fails(1, &["restore", backup]);
    assert_eq!(
        a.json(&["patient", "show", &id])["notes"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    a.ok(&["patient", "note", &id, "Written in the new life."]);
    let daemon = b.daemon();
    a.ok(&["sync"]);
    drop(daemon);
    for clinic in [&a, &b] {
        let view = clinic.json(&["patient", "show", &id]);
        assert_eq!(
            view["notes"].as_array().unwrap().len(),
            2,
            "{}: {view}",
            clinic.name
        );
        assert_eq!(view["verified"], true, "nothing forked");
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    }
    // The old life, should it ever run again, learns that it is over and writes nothing more.
    let old = Clinic {
        folder: dir.path().join("dead"),
        name: "Alpha".into(),
        id: a.id.clone(),
        words: String::new(),
    };
    let daemon = b.daemon();
    old.ok(&["sync"]);
    drop(daemon);
    old.fails(3, &["patient", "note", &id, "Written by the dead."]);
    assert_eq!(old.run(&["doctor"]).status.code(), Some(1));
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    a.patient("Okafor", "Ada");
    let backup = dir.path().join("alpha.backup");
    a.ok(&["backup", backup.to_str().unwrap()]);
    let whole = std::fs::read(&backup).unwrap();
    let target = Clinic {
        folder: dir.path().join("target"),
        name: "Alpha".into(),
        id: a.id.clone(),
        words: String::new(),
    };
    let broken = dir.path().join("broken.backup");
    for cut in [0, 10, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&broken, &whole[..cut]).unwrap();
        assert_ne!(
            target
                .run(&["restore", broken.to_str().unwrap()])
                .status
                .code(),
            Some(0)
        );
        assert!(!target.folder.join("vault.salus").exists());
    }
    let step = (whole.len() / 40).max(1);
    for at in (0..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        std::fs::write(&broken, &changed).unwrap();
        let outcome = target.run(&["restore", broken.to_str().unwrap()]);
        assert_ne!(
            outcome.status.code(),
            Some(0),
            "byte {at} of {}",
            whole.len()
        );
        assert!(!target.folder.join("vault.salus").exists());
    }
    std::fs::write(&broken, b"").unwrap();
    target.ok(&["restore", backup.to_str().unwrap()]);
}

#[test]
fn every_acknowledged_note_survives_two_hundred_kills() {
    const KILLS: u32 = 200;
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let mut acknowledged = 0u64;
    // A fixed sequence of waits from 0 to 60 ms after the first acknowledgement: somewhere in a commit, mostly.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..KILLS {
        let mut writer = Command::new(env!("CARGO_BIN_EXE_salus-crash-writer"))
            .args([a.folder.to_str().unwrap(), &id, &acknowledged.to_string()])
            .env("SALUS_PASSPHRASE", PASSPHRASE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let first = lines.next();
        let Some(Ok(first)) = first else {
            let output = writer.wait_with_output().unwrap();
            panic!("kill {kill}: {}", String::from_utf8_lossy(&output.stderr));
        };
        assert_eq!(first, format!("holds {acknowledged}"), "kill {kill}");
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(std::time::Duration::from_micros(state % 60_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            acknowledged = line.strip_prefix("wrote ").unwrap().parse().unwrap();
        }
    }
    assert!(
        acknowledged > u64::from(KILLS),
        "{acknowledged} were written"
    );
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
    println!("{KILLS} kills, {acknowledged} acknowledged notes, none lost");
}

#[test]
fn a_folder_that_cannot_be_written_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let store = a.folder.join("store.redb");
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o400)).unwrap();
    // Root writes everywhere: then there is nothing to try.
    if std::fs::OpenOptions::new().write(true).open(&store).is_ok() {
        eprintln!("SKIPPED: this user may write read-only files");
        return;
    }
    a.fails(1, &["patient", "note", &id, "nowhere to go"]);
}

#[test]
fn who_kept_an_older_proof_can_prove_that_a_store_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let before = dir.path().join("before");
    copy_folder(&a.folder, &before);
    a.ok(&["patient", "note", &id, "To be denied later."]);
    let entry = a.lines(&["patient", "history", &id])[0]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (path("old.proof"), path("new.proof"));
    a.ok(&["audit", "prove", &id, &entry, "-o", &old]);
    // Anybody checks it, without a clinic of their own.
    let stranger = Clinic {
        folder: dir.path().join("nothing-here"),
        name: "stranger".into(),
        id: String::new(),
        words: String::new(),
    };
    let checked = stranger.json(&["audit", "check", &old, "--clinic", &a.id]);
    assert_eq!(checked["entry"].as_str(), Some(entry.as_str()));
    assert_eq!(checked["ok"], true);
    let other = Clinic::found(dir.path(), "Beta");
    assert_eq!(
        stranger
            .run(&["audit", "check", &old, "--clinic", &other.id])
            .status
            .code(),
        Some(5)
    );
    // An honest clinic goes on, and proves that nothing was taken out.
    let (honest, fork) = (path("honest.proof"), path("fork.proof"));
    a.ok(&["patient", "note", &id, "Another one."]);
    a.ok(&["audit", "prove", "-o", &honest, "--since", &old]);
    stranger.ok(&[
        "audit",
        "check",
        &honest,
        "--clinic",
        &a.id,
        "--against",
        &old,
    ]);
    // Its administrator puts an old copy back and writes on.
    let rewritten = Clinic {
        folder: before,
        name: "Alpha".into(),
        id: a.id.clone(),
        words: String::new(),
    };
    for n in 0..8 {
        rewritten.ok(&["patient", "note", &id, &format!("Another history {n}.")]);
    }
    assert_eq!(
        rewritten
            .run(&["audit", "prove", "-o", &new, "--since", &old])
            .status
            .code(),
        Some(5)
    );
    rewritten.ok(&["audit", "prove", "-o", &fork]);
    assert_eq!(
        stranger
            .run(&[
                "audit",
                "check",
                &fork,
                "--clinic",
                &a.id,
                "--against",
                &old
            ])
            .status
            .code(),
        Some(5)
    );
    // Rubbish is no proof.
    let mut rubbish = std::fs::File::create(path("rubbish")).unwrap();
    rubbish.write_all(b"salus proof, says who?").unwrap();
    stranger.fails(5, &["audit", "check", &path("rubbish")]);
}

#[test]
fn a_record_is_shown_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    a.ok(&["patient", "note", &id, "First."]);
    let entry = a.lines(&["patient", "history", &id])[0]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    a.ok(&["patient", "note", &id, "Second."]);
    let then = a.json(&["patient", "show", &id, "--at", &entry]);
    assert_eq!(then["notes"].as_array().unwrap().len(), 1);
    assert!(then["at"]["later"].as_u64().unwrap() >= 1);
    assert_eq!(
        a.json(&["patient", "show", &id])["notes"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    a.fails(4, &["patient", "show", &id, "--at", "1999-01-01"]);
    a.fails(2, &["patient", "show", &id, "--at", "once upon a time"]);
}

#[test]
fn two_records_of_one_person_are_found_linked_and_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let (one, two) = (a.patient("Okafor", "Ada"), a.patient("Okafor", "Adda"));
    a.ok(&["patient", "note", &one, "In the first."]);
    a.ok(&["patient", "note", &two, "In the second."]);
    let found = a.lines(&["patient", "duplicates", &one]);
    assert!(
        found
            .iter()
            .any(|duplicate| duplicate["id"] == two.as_str()),
        "{found:?}"
    );
    a.ok(&["patient", "link", &one, &two]);
    for id in [&one, &two] {
        let view = a.json(&["patient", "show", id]);
        assert_eq!(view["notes"].as_array().unwrap().len(), 2);
        assert_eq!(view["linked"].as_array().unwrap().len(), 1);
    }
    a.ok(&["patient", "unlink", &two, &one]);
    assert_eq!(
        a.json(&["patient", "show", &one])["notes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
}
