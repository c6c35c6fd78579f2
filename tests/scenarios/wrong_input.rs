//! What bad input gets: a clear error, the exit code of the contract, and nothing half-done.

use std::fs;
use std::io::Write;

use crate::process::Clinic;

#[test]
fn errors_say_what_to_do_and_exit_as_the_contract_says() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    clinic.patient("Okafor", "Ada");
    clinic.patient("Okafor", "Ada");
    let said = clinic.fails(4, &["patient", "show", "nobody"]);
    assert!(said.contains("hint:"), "{said}");
    let said = clinic.fails(2, &["patient", "show", "Okafor, Ada"]);
    assert!(said.contains("2 patients"), "{said}");
    clinic.fails(
        2,
        &[
            "patient",
            "new",
            "--family",
            "A",
            "--given",
            "B",
            "--birth-date",
            "31.12.1980",
            "--sex",
            "male",
        ],
    );
    clinic.fails(4, &["sync"]);
    clinic.fails(1, &["init", "--clinic", "Again", "--staff", "Again"]);
    assert_eq!(clinic.run(&["no-such-command"]).status.code(), Some(2));

    let elsewhere = Clinic {
        folder: dir.path().join("nothing-here"),
        name: "Nowhere".into(),
        id: String::new(),
        words: String::new(),
    };
    let said = elsewhere.fails(4, &["patient", "list"]);
    assert!(said.contains("salus init"), "{said}");
}

#[test]
fn a_wrong_passphrase_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let output = clinic
        .command(&["patient", "list"])
        .env("SALUS_PASSPHRASE", "not this one")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let output = clinic
        .command(&["patient", "list"])
        .env_remove("SALUS_PASSPHRASE")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_colleague_acts_under_their_own_name_and_role() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let id = clinic.patient("Okafor", "Ada");
    let secret = dir.path().join("joy.passphrase");
    fs::write(&secret, "an own passphrase for joy\n").unwrap();
    let secret = secret.to_str().unwrap();
    clinic.ok(&[
        "--staff",
        "Dr. Alphason",
        "staff",
        "add",
        "Nurse Joy",
        "--role",
        "nurse",
        "--new-passphrase-file",
        secret,
    ]);
    let as_joy = |args: &[&str]| {
        let mut all = vec!["--staff", "Nurse Joy", "--passphrase-file", secret];
        all.extend(args);
        clinic
            .command(&all)
            .env_remove("SALUS_PASSPHRASE")
            .output()
            .unwrap()
    };
    assert!(
        as_joy(&["patient", "note", &id, "Slept well."])
            .status
            .success()
    );
    assert_eq!(
        as_joy(&["add", "condition", &id, "--name", "Asthma"])
            .status
            .code(),
        Some(3)
    );
    assert_eq!(
        as_joy(&[
            "staff",
            "add",
            "Eve",
            "--role",
            "admin",
            "--new-passphrase-file",
            secret
        ])
        .status
        .code(),
        Some(3)
    );
    let history = clinic.lines(&["--staff", "Dr. Alphason", "patient", "history", &id]);
    assert!(
        history
            .iter()
            .any(|row| row["actor"] == "Nurse Joy" && row["kind"] == "edit")
    );
    clinic.fails(2, &["patient", "list"]);
}

#[test]
fn a_folder_in_use_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let lock = fs::File::options()
        .write(true)
        .open(clinic.folder.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let said = clinic.fails(1, &["patient", "list"]);
    assert!(said.contains("in use"), "{said}");
    // A daemon waits as long, and says so.
    let said = clinic.fails(1, &["node"]);
    assert!(
        said.contains("waiting") && said.contains("in use"),
        "{said}"
    );
    drop(lock);
    let _daemon = clinic.daemon();
    let said = clinic.fails(1, &["node"]);
    assert!(said.contains("a daemon runs already"), "{said}");
    assert!(!said.contains("waiting"), "{said}");
}

#[test]
fn broken_files_are_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let good = r#"{"resourceType":"Bundle","type":"collection","entry":[
        {"fullUrl":"urn:uuid:5f1b6d0e-0000-4000-8000-000000000001",
         "resource":{"resourceType":"Patient","id":"p1","name":[{"family":"Okafor","given":["Ada"]}],"gender":"female","birthDate":"1980-02-29"}},
        {"resource":{"resourceType":"Condition","id":"c1","code":{"text":"Asthma"},
         "subject":{"reference":"urn:uuid:5f1b6d0e-0000-4000-8000-000000000001"}}}]}"#;
    let deep = "[".repeat(200_000);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("truncated.json", good.as_bytes()[..good.len() / 2].to_vec()),
        ("deep.json", deep.into_bytes()),
        (
            "not-utf8.json",
            vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}'],
        ),
        ("empty.json", Vec::new()),
        ("picture.json", b"\x89PNG\r\n\x1a\n0000".to_vec()),
        (
            "broken-reference.json",
            good.replace("0001\"}}}", "0002\"}}}").into_bytes(),
        ),
        ("not-fhir.json", b"{\"hello\":\"world\"}".to_vec()),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        let output = clinic.run(&["import", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name), "{name} is named: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(
        clinic.lines(&["patient", "list"]).is_empty(),
        "nothing was half-imported"
    );

    let path = dir.path().join("good.json");
    fs::write(&path, good).unwrap();
    let path = path.to_str().unwrap();
    clinic.ok(&["import", path]);
    let before = clinic.json(&["audit", "verify", "--all"])["entries"]
        .as_u64()
        .unwrap();
    clinic.ok(&["import", path]);
    let after = clinic.json(&["audit", "verify", "--all"])["entries"]
        .as_u64()
        .unwrap();
    assert_eq!(before, after, "importing again changes nothing");
    let exported = dir.path().join("out.json");
    clinic.ok(&["export", "Okafor, Ada", "-o", exported.to_str().unwrap()]);
    let other = Clinic::found(dir.path(), "Beta");
    other.ok(&["import", exported.to_str().unwrap()]);
    let (here, there) = (
        clinic.json(&["patient", "show", "Okafor, Ada"]),
        other.json(&["patient", "show", "Okafor, Ada"]),
    );
    for part in ["patient", "conditions", "observations", "medications"] {
        assert_eq!(here[part], there[part], "{part}");
    }
}

/// Runs it where no file may grow beyond 2 MiB, which a program is told of as of a full disk.
#[cfg(unix)]
fn on_a_full_disk(clinic: &Clinic, args: &[&str]) -> String {
    let plain = clinic.command(args);
    let output = std::process::Command::new("sh")
        // In units of 512 bytes; without the signal, which a full disk does not send either.
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env("SALUS_PASSPHRASE", crate::process::PASSPHRASE)
        .env_remove("SALUS_DATA_DIR")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "salus {args:?} said: {said}");
    assert!(said.contains("free some space"), "{said}");
    said
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_file_keeps_nothing_of_it_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let patient = clinic.patient("Okafor", "Ada");
    let large = dir.path().join("large.txt");
    fs::write(&large, "A line of a long report.\n".repeat(200_000)).unwrap();
    let large = large.to_str().unwrap();
    on_a_full_disk(&clinic, &["attach", &patient, large]);
    assert!(clinic.lines(&["attachments", &patient]).is_empty());
    clinic.ok(&["audit", "verify", "--all"]);
    clinic.ok(&["attach", &patient, large]);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let copy = out.join("copy.txt");
    let copy = copy.to_str().unwrap();
    on_a_full_disk(&clinic, &["fetch", &patient, "large.txt", "-o", copy]);
    let backup = out.join("clinic.backup");
    on_a_full_disk(&clinic, &["backup", backup.to_str().unwrap()]);
    // Neither a part of a file nor what it was to become.
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    clinic.ok(&["audit", "verify", "--all"]);
    clinic.ok(&["fetch", &patient, "large.txt", "-o", copy]);
    assert_eq!(fs::read(copy).unwrap(), fs::read(large).unwrap());
    clinic.ok(&["backup", backup.to_str().unwrap()]);
}
