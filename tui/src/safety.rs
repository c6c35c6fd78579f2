//! Keys in, state out: what was merged, what was, who is the same person, and who may see it.

use salus_api::{ApiError, Event, Request, Right};

use crate::fixtures::{concerns, patients};
use crate::keymap::Context;
use crate::keys::{Code, Key};
use crate::msg::{Msg, Size};
use crate::testing::{SIZES, Script};

fn script() -> Script {
    Script::signed_in(SIZES[0])
}

#[test]
fn a_conflict_is_settled_by_number_after_a_question() {
    let mut s = script();
    s.press("ama<enter>c2");
    assert!(s.screen().contains("Telephone: keep “+49 30 5550 811”?"));
    assert!(s.node.written.is_empty());
    s.press("y");
    let [
        Request::Resolve {
            path, value, why, ..
        },
    ] = s.node.written.as_slice()
    else {
        panic!("nothing settled")
    };
    assert_eq!(
        (path.as_str(), value, why),
        (
            "patient/phone",
            &serde_json::json!("+49 30 5550 811"),
            &None
        )
    );
    s.press("j<enter>n");
    assert_eq!(s.node.written.len(), 1, "no means no");
    s.press("<enter>y");
    assert!(s.screen().contains("No conflicts"));
}

/// A record with something to look at in it.
fn with_concerns(size: Size) -> Script {
    let mut s = Script::signed_in(size);
    s.node.record.concerns = concerns();
    s.press("ama<enter>");
    s
}

#[test]
fn a_merge_stands_only_with_a_reason_that_the_node_has_stored() {
    let mut s = with_concerns(SIZES[0]);
    assert!(s.screen().contains("2 concerns · 2 conflicts"));
    s.press("ca<enter>");
    assert!(s.screen().contains("Write why"), "{}", s.screen());
    assert!(s.node.written.is_empty());
    s.press("Checked with Tom");
    s.node.failure = Some(ApiError::failed("The disk is full."));
    s.press("<enter>");
    assert!(
        s.screen().contains("The disk is full.") && s.screen().contains("Checked with Tom"),
        "what was typed stays"
    );
    s.node.failure = None;
    s.press("<esc><enter>");
    let [Request::Acknowledge { concern, why, .. }] = s.node.written.as_slice() else {
        panic!("nothing noted")
    };
    assert_eq!(
        (concern.as_str(), why.as_str()),
        ("5d1f00aa9c3e", "Checked with Tom")
    );
    assert!(s.screen().contains("1 concern ") && s.screen().contains("Noted."));
    s.press("<esc>");
    assert!(s.screen().contains("1 concern · 2 conflicts"));
}

#[test]
fn nobody_lets_a_merge_stand_that_has_changed_under_their_hands() {
    let mut s = with_concerns(SIZES[0]);
    s.press("caSeen");
    s.node.record.concerns[0].writers[0].value = serde_json::json!("40 tablets");
    let changed = Event::PatientsChanged(vec![patients()[0].id.clone()]);
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.tell(Msg::Event(stream, changed.clone()));
    // While the news are on their way nothing is sent.
    s.key(Key::new(Code::Enter));
    s.answer();
    assert!(s.node.written.is_empty());
    assert!(s.screen().contains("look again") && s.screen().contains("40 tablets"));
    s.node.record.concerns.clear();
    s.tell(Msg::Event(stream, changed));
    s.answer();
    assert!(s.screen().contains("settled elsewhere"));
    assert!(s.screen().contains("2 conflicts"));
}

#[test]
fn a_concerns_item_is_one_key_away() {
    let mut s = with_concerns(SIZES[0]);
    s.press("c<enter>");
    assert_eq!(s.pages(), ["patients", "record"]);
    assert!(s.screen().contains("Ordered"), "{}", s.screen());
    s.press("<esc>cj<enter>");
    assert!(s.screen().contains("Peanut"));
    // An item that a merge removed is shown by nobody.
    s.node.record.content.allergies.clear();
    s.press("<esc>r");
    s.press("cj<enter>");
    assert!(s.screen().contains("shows this item no more"));
}

#[test]
fn another_value_needs_a_reason_and_keeps_its_type() {
    let mut s = script();
    s.press("ama<enter>co<enter><enter>");
    assert!(s.screen().contains("Write the value.") && s.screen().contains("Write why"));
    s.press("+49 30 1<enter>Rang her<enter>");
    s.press("joone a day<tab>As she takes it<enter>");
    let sent: Vec<_> = s
        .node
        .written
        .iter()
        .map(|r| match r {
            Request::Resolve {
                path, value, why, ..
            } => (path.as_str(), value.clone(), why.clone()),
            _ => panic!("not asked for"),
        })
        .collect();
    let why = |text: &str| Some(text.to_owned());
    assert_eq!(
        sent,
        [
            (
                "patient/phone",
                serde_json::json!("+49 30 1"),
                why("Rang her")
            ),
            (
                "medications/m0/dosage",
                serde_json::json!([{"text": "one a day"}]),
                why("As she takes it")
            ),
        ]
    );
    assert!(s.screen().contains("No conflicts"));
}

#[test]
fn a_past_is_unmistakable_and_refuses_every_change() {
    let mut s = script();
    s.press("ama<enter>t2026-06-01<enter>");
    let screen = s.screen();
    assert!(
        screen.contains("◀ AS IT WAS at 2026-06-01 23:59")
            && screen.contains("12 later entries not shown"),
        "{screen}"
    );
    for key in ["b", "n", "c", "w", "d"] {
        s.press(key);
        assert_eq!(s.pages(), ["patients", "record"], "{key}");
        assert!(s.screen().contains("Come back to the present first: esc."));
        s.press("<esc>");
        assert!(s.screen().contains("AS IT WAS"));
    }
    // What changes meanwhile does not bring the present back.
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.tell(Msg::Event(
        stream,
        Event::PatientsChanged(vec![patients()[0].id.clone()]),
    ));
    s.wait(2);
    assert!(s.screen().contains("AS IT WAS"));
    s.press("<esc>");
    assert!(!s.screen().contains("AS IT WAS"));
    s.press("b");
    assert_eq!(s.pages().last(), Some(&"blood pressure"));
}

#[test]
fn a_time_without_a_record_leaves_what_is_shown() {
    let mut s = script();
    s.press("ama<enter>t<enter>");
    assert!(s.screen().contains("Write a date."));
    s.press("1999-01-01<enter>");
    assert!(s.screen().contains("did not exist then") && s.screen().contains("1999-01-01"));
    s.press("<esc><esc>");
    assert!(!s.screen().contains("AS IT WAS") && s.screen().contains("Metformin"));
    s.press("n");
    assert_eq!(
        s.pages().last(),
        Some(&"note"),
        "the present can be written to"
    );
    s.press("<esc>t2026-06-01<enter>t2026-06-01<enter>");
    assert!(
        s.screen().contains("Metformin"),
        "the same time again closes the prompt too"
    );
    // Whoever turns round on the way to another time stays where they were.
    s.press("t2026-07-01");
    s.key(Key::new(Code::Enter));
    s.key(Key::new(Code::Esc));
    s.answer();
    assert!(s.screen().contains("AS IT WAS at 2026-06-01"));
    // A present that does not come holds nobody.
    s.key(Key::new(Code::Esc));
    s.key(Key::new(Code::Esc));
    assert_eq!(s.pages(), ["patients"]);
}

#[test]
fn the_audit_trail_shows_the_record_as_it_was_at_an_entry() {
    let mut s = script();
    s.press("ama<enter>ajj");
    let hash = s.node.audit[2].hash.clone();
    s.press("t");
    assert_eq!(s.pages(), ["patients", "record"]);
    let after = format!(", entry {}", crate::subject::short_id(&hash));
    assert!(s.screen().contains(&after), "{}", s.screen());
}

#[test]
fn who_saw_a_record_is_a_view_of_its_audit_trail() {
    let mut s = script();
    s.press("ama<enter>aw");
    let screen = s.screen();
    assert!(screen.contains("Who saw, received or exported") && screen.contains("2 entries"));
    assert!(!screen.contains("Telephone"));
    s.press("w");
    assert!(s.screen().contains("Who did what") && s.screen().contains("6 entries"));
}

#[test]
fn an_entry_that_does_not_count_says_so_everywhere() {
    let mut s = script();
    s.node.audit[2].void = Some("revoked".into());
    s.press("ama<enter>a");
    assert!(s.screen().contains("! does not count"));
    s.press("/not count<enter>");
    assert!(s.screen().contains("1 entry") && s.screen().contains("does not count: revoked"));
    s.press("<enter>");
    assert!(s.screen().contains("DOES NOT COUNT"));
}

#[test]
fn two_records_become_one_after_a_question_that_names_both_and_two_again() {
    let mut s = script();
    s.press("ama<enter>du");
    assert!(s.screen().contains("are not shown as one"));
    s.press("<esc>s");
    let screen = s.screen();
    assert!(screen.contains("Show Okafor, Amara Chidinma and Okafor, Amara C."));
    assert!(screen.contains("MRN 204-118") && screen.contains("MRN 991-20"));
    s.press("n");
    assert!(s.node.written.is_empty());
    s.press("sy");
    assert!(
        s.screen().contains("⇄ as one") && s.screen().contains("Both records are shown as one.")
    );
    s.press("<esc>");
    assert!(
        s.screen().contains("shown as one with Okafor, Amara C."),
        "{}",
        s.screen()
    );
    s.press("duy");
    let [
        Request::Link { patient, other },
        Request::Unlink {
            patient: same,
            other: again,
        },
    ] = s.node.written.as_slice()
    else {
        panic!("{}", s.node.written.len())
    };
    assert_eq!((patient, other), (same, again));
    assert_eq!(*other, s.node.duplicates[0].row.id);
    s.press("<enter>");
    assert_eq!(s.pages().last(), Some(&"record"), "the other can be read");
}

#[test]
fn a_right_is_granted_to_a_known_clinic_and_ended() {
    let mut s = script();
    s.press("ama<enter>wG");
    assert!(
        s.screen()
            .contains("c5510a9e is known here, and gets nothing")
    );
    s.press("<enter>w<enter>");
    s.press("gj");
    assert!(s.screen().contains("Hillside Practice reads and edits."));
    s.press("x");
    assert!(s.screen().contains("End every right of Hillside Practice"));
    assert!(s.screen().contains("What it wrote up to now stays"));
    s.press("y");
    let [
        Request::Grant { clinic, right, .. },
        Request::Revoke { clinic: ended, .. },
    ] = s.node.written.as_slice()
    else {
        panic!("{}", s.node.written.len())
    };
    assert_eq!((clinic.as_str(), *right), ("c5510a9e", Right::Write));
    assert_eq!(ended, "b802f7c1");
    assert!(s.screen().contains("ended: revoked"));
    // Refused in the node's own words.
    s.press("gxy");
    assert!(s.screen().contains("home clinic cannot be revoked"));
    assert_eq!(s.node.written.len(), 2);
}

#[test]
fn a_record_is_erased_only_with_a_reason_and_a_yes_and_nothing_of_it_stays_on_the_screen() {
    let mut s = script();
    s.press("ama<enter>wX<enter>");
    assert!(s.screen().contains("Write why"));
    s.press("asked for<enter>");
    assert!(s.screen().contains("Erase this record for good?"));
    s.press("n");
    assert!(s.node.written.is_empty());
    s.press("<enter>y");
    let erase = Request::Erase {
        patient: patients()[0].id.clone(),
        attachment: None,
        reason: "asked for".into(),
    };
    assert_eq!(s.node.written, [erase]);
    let screen = s.screen();
    assert!(screen.contains("Erased the record here."), "{screen}");
    assert!(!screen.contains("Amara"), "{screen}");
}

#[test]
fn a_record_that_was_erased_elsewhere_leaves_the_screen() {
    let mut s = script();
    s.press("ama<enter>");
    let id = patients()[0].id.clone();
    s.node.patients.retain(|row| row.id != id);
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.tell(Msg::Event(stream, Event::PatientsChanged(vec![id])));
    s.wait(2);
    let screen = s.screen();
    assert!(screen.contains("No such patient"), "{screen}");
    assert!(!screen.contains("Amara"), "{screen}");
}

#[test]
fn a_right_that_is_only_looked_at_is_the_least() {
    let mut s = script();
    s.press("ama<enter>wG<enter><enter>");
    assert!(matches!(
        s.node.written.as_slice(),
        [Request::Grant {
            right: Right::Read,
            ..
        }]
    ));
    // A refused grant leaves the question open.
    s.press("<enter>");
    s.node.failure = Some(ApiError::usage("the clinic's keys are not known here yet"));
    s.press("<enter>");
    assert!(s.screen().contains("Grant a right to") && s.screen().contains("not known here yet"));
}

#[test]
fn warnings_stand_over_every_page_about_the_record() {
    let mut s = script();
    s.node.record.warnings = vec![
        "Hillside Practice showed two histories of this record; both are kept as evidence".into(),
        "2 entries no longer count: the history says which and why".into(),
    ];
    s.press("ama<enter>");
    for keys in ["", "a", "<esc>n", "<esc>w", "<esc>d", "<esc>c"] {
        s.press(keys);
        let screen = s.screen();
        assert!(
            screen.contains("! Hillside Practice showed two histories")
                && screen.contains("+1 more"),
            "{keys}: {screen}"
        );
    }
}

#[test]
fn where_keys_go_follows_from_what_is_shown() {
    let table = [
        ("", Context::Record),
        ("t", Context::Prompt),
        ("t2026-06-01<enter>", Context::Past),
        ("t2026-06-01<enter>/", Context::Filter),
        ("t2026-06-01<enter><enter>", Context::Item),
        ("t2026-06-01<enter><esc>", Context::Record),
        ("t2026-06-01<enter>a", Context::RecordAudit),
        ("a", Context::RecordAudit),
        ("at", Context::Past),
        ("c", Context::Concerns),
        ("cjj", Context::Conflicts),
        ("ca", Context::Prompt),
        ("cjjo", Context::Prompt),
        ("cjjo<esc>", Context::Conflicts),
        ("cjj<enter>", Context::Question),
        ("d", Context::Duplicates),
        ("ds", Context::Question),
        ("d<enter>", Context::Record),
        ("w", Context::Rights),
        ("w<enter>", Context::Prompt),
        ("wjx", Context::Question),
    ];
    for (keys, context) in table {
        let mut s = with_concerns(SIZES[0]);
        s.press(keys);
        assert_eq!(s.model.context(), context, "{keys}");
    }
}
