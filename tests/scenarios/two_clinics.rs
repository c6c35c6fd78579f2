//! Two data folders in two processes hold one record.

use crate::process::{Clinic, two};

fn without_look(view: &serde_json::Value) -> serde_json::Value {
    let mut view = view.clone();
    // Which clinic's right it is, and when it was last in step, differ by nature.
    for local in ["right", "synced_ms", "heights", "entries"] {
        view.as_object_mut().unwrap().remove(local);
    }
    view
}

fn sync(from: &Clinic, to: &Clinic) {
    let daemon = to.daemon();
    let reports = from.lines(&["sync"]);
    assert_eq!(reports[0]["refused"], 0, "{reports:?}");
    drop(daemon);
}

#[test]
fn edits_made_apart_converge_to_equal_records_and_equal_heights() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    sync(&b, &a);
    assert_eq!(b.lines(&["patient", "list"])[0]["family"], "Okafor");

    a.ok(&["patient", "set", &id, "phone", "555-0101"]);
    a.ok(&["patient", "note", &id, "Written at Alpha."]);
    b.ok(&["patient", "set", &id, "phone", "555-0202"]);
    b.ok(&["add", "observation", &id, "--bp", "142/91"]);
    sync(&b, &a);
    let (at_a, at_b) = (
        a.json(&["patient", "show", &id]),
        b.json(&["patient", "show", &id]),
    );
    assert_eq!(without_look(&at_a), without_look(&at_b));
    assert_eq!(at_a["conflicts"].as_array().unwrap().len(), 1);
    assert_eq!(at_a["notes"].as_array().unwrap().len(), 1);
    assert_eq!(at_a["observations"].as_array().unwrap().len(), 1);

    b.ok(&["patient", "resolve", &id, "patient/phone", "1"]);
    sync(&b, &a);
    sync(&a, &b);
    let (at_a, at_b) = (
        a.json(&["patient", "show", &id]),
        b.json(&["patient", "show", &id]),
    );
    assert_eq!(at_a["heights"], at_b["heights"]);
    assert_eq!(at_a["patient"], at_b["patient"]);
    assert!(at_a["conflicts"].as_array().unwrap().is_empty());
    for clinic in [&a, &b] {
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    }
}

#[test]
fn a_daemon_that_is_killed_comes_back_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    let daemon = a.daemon();
    a.ok(&["patient", "note", &id, "Acknowledged before the power cut."]);
    // Dropping kills it at once, as a power cut would.
    drop(daemon);
    let daemon = a.daemon();
    b.ok(&["sync"]);
    let view = b.json(&["patient", "show", &id]);
    assert_eq!(
        view["notes"][0]["text"],
        "Acknowledged before the power cut."
    );
    assert_eq!(
        daemon.terminate(),
        Some(0),
        "SIGTERM stops a daemon cleanly"
    );
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
}

#[test]
fn running_daemons_pass_edits_on_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    let (_a, _b) = (a.daemon(), b.daemon());
    a.ok(&["patient", "note", &id, "Seen live."]);
    let begun = std::time::Instant::now();
    loop {
        let output = b.run(&["--json", "patient", "show", &id]);
        if String::from_utf8_lossy(&output.stdout).contains("Seen live.") {
            break;
        }
        assert!(
            begun.elapsed().as_secs() < 60,
            "the note never reached the other clinic"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_third_clinic_without_a_grant_learns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let c = Clinic::found(dir.path(), "Gamma");
    a.know(&c);
    c.know(&a);
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    sync(&b, &a);
    sync(&c, &a);
    assert_eq!(b.lines(&["patient", "list"]).len(), 1);
    assert!(c.lines(&["patient", "list"]).is_empty());
    c.fails(4, &["patient", "show", &id]);
    b.fails(3, &["patient", "note", &id, "a reader writes nothing"]);
}

#[test]
fn a_clinic_that_is_not_known_is_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (
        Clinic::found(dir.path(), "Alpha"),
        Clinic::found(dir.path(), "Beta"),
    );
    b.know(&a);
    let _daemon = a.daemon();
    let said = b.run(&["sync"]);
    assert_eq!(
        said.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}
