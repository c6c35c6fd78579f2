//! Rights that end: a revoked clinic, a retired nurse, a stolen key, each tried with the old keys.

use crate::process::{Clinic, two};

fn meet(from: &Clinic, to: &Clinic) {
    let daemon = to.daemon();
    from.ok(&["sync"]);
    drop(daemon);
}

#[test]
fn a_revoked_clinic_receives_nothing_more_and_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    meet(&b, &a);
    b.ok(&["patient", "note", &id, "Written while entitled."]);
    meet(&b, &a);

    a.ok(&["revoke", &id, "Beta"]);
    a.ok(&["patient", "note", &id, "Written after the revocation."]);
    // Beta does not know yet and goes on writing with its old right. It is told that one log no longer goes through, and no more.
    b.ok(&["patient", "note", &id, "Written after the cut."]);
    for (from, to) in [(&b, &a), (&a, &b)] {
        let _daemon = to.daemon();
        from.run(&["sync"]);
    }

    let at_a = a.json(&["patient", "show", &id]);
    let texts: Vec<&str> = at_a["notes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|note| note["text"].as_str())
        .collect();
    assert!(texts.contains(&"Written while entitled."), "{texts:?}");
    assert!(!texts.contains(&"Written after the cut."), "{texts:?}");
    let at_b = b.ok(&["--json", "patient", "show", &id]);
    assert!(!at_b.contains("Written after the revocation."));
    let grants = a.lines(&["grants", &id]);
    assert!(
        grants
            .iter()
            .any(|grant| grant["name"] == "Beta" && !grant["ended"].is_null()),
        "{grants:?}"
    );
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
    // Only the home clinic revokes.
    b.fails(3, &["revoke", &id, "Alpha"]);
}

#[test]
fn what_a_revoked_clinic_wrote_reaches_nobody_by_way_of_a_third() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let c = Clinic::found(dir.path(), "Gamma");
    for (x, y) in [(&a, &c), (&c, &a), (&b, &c), (&c, &b)] {
        x.know(y);
    }
    let daemon = a.daemon();
    c.ok(&["sync", &a.id]);
    drop(daemon);
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    a.ok(&["grant", &id, "Gamma", "--role", "write"]);
    for clinic in [&b, &c] {
        let daemon = a.daemon();
        clinic.ok(&["sync", &a.id]);
        drop(daemon);
    }
    a.ok(&["revoke", &id, "Beta"]);
    // The new epoch was granted to Gamma, too: it is told once what each may do.
    let mut told: Vec<(String, bool)> = a
        .lines(&["grants", &id])
        .iter()
        .map(|grant| (grant["name"].to_string(), grant["ended"].is_null()))
        .collect();
    told.sort();
    let expected = [("Alpha", true), ("Beta", false), ("Gamma", true)];
    assert_eq!(
        told,
        expected.map(|(name, live)| (format!("{name:?}"), live))
    );
    b.ok(&["patient", "note", &id, "Written after the cut."]);
    // Gamma has not heard of the revocation: it takes the note and shows it.
    let daemon = b.daemon();
    c.ok(&["sync", &b.id]);
    drop(daemon);
    assert!(
        c.ok(&["--json", "patient", "show", &id])
            .contains("Written after the cut.")
    );
    // Then it hears of it: the note no longer counts, at either clinic, and both say so.
    let daemon = a.daemon();
    c.ok(&["sync", &a.id]);
    drop(daemon);
    for clinic in [&a, &c] {
        let view = clinic.json(&["patient", "show", &id]);
        assert_eq!(
            view["notes"].as_array().unwrap().len(),
            0,
            "{}",
            clinic.name
        );
        assert!(!view["warnings"].as_array().unwrap().is_empty());
        let history = clinic.lines(&["patient", "history", &id]);
        assert_eq!(
            history.iter().filter(|row| !row["void"].is_null()).count(),
            1,
            "{}",
            clinic.name
        );
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    }
    let (at_a, at_c) = (
        a.json(&["patient", "show", &id]),
        c.json(&["patient", "show", &id]),
    );
    assert_eq!(at_a["patient"], at_c["patient"]);
}

#[test]
fn a_reader_that_was_granted_late_reads_the_whole_history() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    a.ok(&["patient", "note", &id, "First epoch."]);
    a.ok(&["revoke", &id, "Beta"]);
    a.ok(&["patient", "note", &id, "Second epoch."]);
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    a.ok(&["patient", "note", &id, "Again entitled."]);
    meet(&b, &a);
    let view = b.json(&["patient", "show", &id]);
    assert_eq!(view["notes"].as_array().unwrap().len(), 3);
    assert_eq!(view["verified"], true);
}

#[test]
fn a_retired_nurse_can_do_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let pass = dir.path().join("nils");
    std::fs::write(&pass, "nils has his own words\n").unwrap();
    let pass = pass.to_str().unwrap();
    a.ok(&[
        "staff",
        "add",
        "Nils",
        "--role",
        "nurse",
        "--new-passphrase-file",
        pass,
    ]);
    let as_nils = ["--staff", "Nils", "--passphrase-file", pass];
    fn by<'a>(who: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
        [who, args].concat()
    }
    macro_rules! nils {
        ($args:expr) => {
            by(&as_nils, $args)
        };
    }
    a.ok(&nils!(&["patient", "note", &id, "Slept well."]));
    // A nurse retires nobody, and nobody retires themselves.
    a.fails(3, &nils!(&["staff", "retire", "Dr. Alphason"]));
    let as_admin = ["--staff", "Dr. Alphason"];
    a.fails(
        2,
        &[
            &as_admin[..],
            &[
                "staff",
                "retire",
                "Dr. Alphason",
                "--recovery",
                words(dir.path(), "Alpha").as_str(),
            ],
        ]
        .concat(),
    );
    a.ok(&[&as_admin[..], &["staff", "retire", "Nils"]].concat());
    a.fails(
        3,
        &nils!(&["patient", "note", &id, "With an old passphrase."]),
    );
    let view = a.json(&[&as_admin[..], &["patient", "show", &id]].concat());
    assert_eq!(
        view["notes"].as_array().unwrap().len(),
        1,
        "what was written before stays"
    );
    // The name is free again, with another key and passphrase.
    a.ok(&[
        &as_admin[..],
        &[
            "staff",
            "add",
            "Nils",
            "--role",
            "nurse",
            "--new-passphrase-file",
            pass,
        ],
    ]
    .concat());
    a.ok(&nils!(&["patient", "note", &id, "Back at work."]));
    assert_eq!(
        a.json(&[&as_admin[..], &["audit", "verify", "--all"]].concat())["ok"],
        true
    );
}

fn words(root: &std::path::Path, clinic: &str) -> String {
    root.join(format!("{clinic}.words"))
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_passphrase_can_be_changed_and_an_administrator_needs_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let new = dir.path().join("new");
    std::fs::write(&new, "another good passphrase\n").unwrap();
    let new = new.to_str().unwrap();
    let admin = [
        "staff",
        "add",
        "Bo",
        "--role",
        "admin",
        "--new-passphrase-file",
        new,
    ];
    a.fails(3, &admin);
    a.ok(&[
        &admin[..],
        &["--recovery", words(dir.path(), "Alpha").as_str()],
    ]
    .concat());
    let me = ["--staff", "Dr. Alphason"];
    a.ok(&[
        &me[..],
        &["staff", "passphrase", "--new-passphrase-file", new],
    ]
    .concat());
    a.fails(3, &[&me[..], &["patient", "list"]].concat());
    a.ok(&[&me[..], &["--passphrase-file", new, "patient", "list"]].concat());
}

#[test]
fn a_node_whose_keys_were_replaced_goes_on_and_the_old_ones_are_worth_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    meet(&b, &a);
    // A thief copies the folder, keys and all, and knows the passphrase.
    let stolen = Clinic {
        folder: dir.path().join("stolen"),
        name: "Alpha".into(),
        id: a.id.clone(),
        words: String::new(),
    };
    copy_folder(&a.folder, &stolen.folder);
    a.ok(&[
        "clinic",
        "rotate-key",
        "--recovery",
        &words(dir.path(), "Alpha"),
    ]);
    a.ok(&["patient", "note", &id, "Written with the new keys."]);
    // Beta was not connected: it is given the new address.
    b.know(&a);
    meet(&b, &a);
    assert!(
        b.ok(&["--json", "patient", "show", &id])
            .contains("Written with the new keys.")
    );
    stolen.ok(&["patient", "note", &id, "Written by the thief."]);
    // Beta knows the new keys: the thief's node is a stranger.
    let daemon = b.daemon();
    assert_ne!(stolen.run(&["sync"]).status.code(), Some(0));
    drop(daemon);
    for clinic in [&a, &b] {
        assert!(
            !clinic
                .ok(&["--json", "patient", "show", &id])
                .contains("thief")
        );
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    }
}

pub fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}
