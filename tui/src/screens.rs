//! Every screen as it is seen, at both sizes. Looked at before they were accepted.

use salus_api::{ApiError, ErrorKind, Right};

use crate::fixtures::{concerns, files, suggestions};

use crate::msg::{Msg, Size};
use crate::testing::{SIZES, Script};
use crate::theme::Theme;

/// Compares the screen at both sizes with what was accepted.
fn seen(name: &str, keys: &str, prepare: impl Fn(&mut Script)) {
    for size in SIZES {
        let mut script = Script::signed_in(size);
        prepare(&mut script);
        script.answer();
        script.press(keys);
        check(name, &script);
    }
}

fn check(name: &str, script: &Script) {
    let Size { width, height } = script.model.desk.size;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{name}-{width}x{height}"), script.screen());
    });
}

fn plain(name: &str, keys: &str) {
    seen(name, keys, |_| {});
}

#[test]
fn signing_in() {
    for size in SIZES {
        check("unlock", &Script::locked(size));
        let mut script = Script::locked(size);
        script.press("wrong<enter>");
        check("unlock-wrong", &script);
    }
}

#[test]
fn the_patient_list() {
    plain("patients", "");
    plain("patients-search", "smith alex");
    plain("patients-nobody", "xyz");
    plain("patients-walking", "<esc>jj");
}

#[test]
fn a_record_section_by_section() {
    let open = |key: char| format!("oka amara<enter>{key}");
    plain("record-summary", &open('1'));
    plain("record-allergies", &open('2'));
    plain("record-conditions", &open('3'));
    plain("record-medications", &open('4'));
    plain("record-observations", &open('5'));
    plain("record-reports", &open('6'));
    plain("record-immunizations", &open('7'));
    plain("record-procedures", &open('8'));
    plain("record-encounters", &open('9'));
    plain("record-notes", &open('0'));
    plain("record-attachments", &open('-'));
}

#[test]
fn an_item_by_itself() {
    plain("item-series", "oka amara<enter>5<enter>");
    plain("item-laboratory", "oka amara<enter>5jjj<enter>");
    plain("item-report", "oka amara<enter>6<enter>");
    plain("item-note", "oka amara<enter>0<enter>");
    plain("item-person", "oka amara<enter>G<enter>");
    plain("record-filter", "oka amara<enter>5/body");
}

#[test]
fn a_record_that_cannot_be_relied_on() {
    seen("record-unreliable", "oka amara<enter>", |script| {
        let record = &mut script.node.record;
        record.verified = false;
        record.held_out = 3;
        record.right = Right::Read;
        record.synced_ms = None;
        record.problems = vec!["A procedure of a later version is not shown.".into()];
        record.content.patient.deceased = Some("2026-11-01".into());
        record.content.allergies.clear();
    });
}

#[test]
fn a_record_with_warnings_and_a_link() {
    seen("record-warnings", "oka amara<enter>", |script| {
        let linked = script.node.duplicates[0].row.clone();
        let record = &mut script.node.record;
        record.warnings = vec![
            "Hillside Practice showed two histories of this record; both are kept as evidence"
                .into(),
            "2 entries no longer count: the history says which and why".into(),
        ];
        record.verified = false;
        record.held_out = 2;
        record.concerns = concerns();
        record.linked = vec![linked];
    });
}

#[test]
fn a_record_as_it_was() {
    plain("past", "oka amara<enter>t2026-06-01<enter>");
    plain("past-entry", "oka amara<enter>ajjt");
    plain("past-refused", "oka amara<enter>t2026-06-01<enter>b");
    plain("past-prompt", "oka amara<enter>t2026-06-0");
}

#[test]
fn concerns_before_conflicts() {
    let put = |script: &mut Script| script.node.record.concerns = concerns();
    seen("concerns", "oka amara<enter>c", put);
    seen("concerns-second", "oka amara<enter>cj", put);
    seen("concerns-acknowledge", "oka amara<enter>ca<enter>", put);
    plain(
        "conflicts-other",
        "oka amara<enter>cjjoonce a day<enter><enter>",
    );
}

#[test]
fn what_models_suggest() {
    let put = |script: &mut Script| script.node.record.suggestions = suggestions();
    seen("suggestions", "oka amara<enter>=", put);
    seen("suggestions-disputed", "oka amara<enter>=jj<enter>", put);
    seen("suggestions-one", "oka amara<enter>=<enter>", put);
    seen("suggestions-accept", "oka amara<enter>=y", put);
    seen(
        "suggestions-not-assessed",
        "oka amara<enter>=jy<enter>",
        put,
    );
    seen("suggestions-reject", "oka amara<enter>=x<enter>", put);
    seen("suggestions-summary", "oka amara<enter>", put);
    plain("suggestions-none", "oka amara<enter>=");
}

#[test]
fn an_image_and_what_a_model_says_about_it() {
    let coloured = |script: &mut Script| script.model.desk.theme = Theme::Dark;
    plain("image-chooser", "oka amara<enter>i");
    plain("image-filter", "oka amara<enter>iches");
    plain("image-above", "oka amara<enter>i<backspace>");
    plain("image-absent", "oka amara<enter>iabsent.png<enter>");
    plain("image", "oka amara<enter>i<down><enter>");
    seen("image-coloured", "oka amara<enter>i<down><enter>", coloured);
    seen("image-heat", "oka amara<enter>i<down><enter>m", coloured);
    plain("image-heat-plain", "oka amara<enter>i<down><enter>m");
    plain("image-not-assessed", "oka amara<enter>iholi<enter>");
    plain("image-accept", "oka amara<enter>i<down><enter>y");
    plain("image-reject", "oka amara<enter>i<down><enter>x<enter>");
    plain("image-done", "oka amara<enter>i<down><enter>y<enter>");
}

#[test]
fn the_files_of_a_record() {
    let put = |script: &mut Script| script.node.record.attachments = files();
    let coloured = |script: &mut Script| {
        put(script);
        script.model.desk.theme = Theme::Dark;
    };
    let open = |row: usize| format!("oka amara<enter>-{}<enter>", "j".repeat(row));
    seen("files", "oka amara<enter>-", put);
    seen("file-ct", &open(0), put);
    seen("file-ct-lung", &(open(0) + "1."), coloured);
    seen("file-ct-whole", &(open(0) + "m"), put);
    seen("file-recording", &open(1), put);
    seen("file-text", &open(2), put);
    seen("file-coming", &open(3), put);
    seen("file-nothing", &open(4), put);
    seen("file-erased", &open(5), put);
    seen("file-write", &(open(0) + "w"), put);
    seen("file-replace", &(open(0) + "w<enter>"), |script| {
        put(script);
        script.node.taken = vec!["/home/ines/scans/thorax.dcm".into()];
    });
    seen("file-outside", &(open(0) + "o"), put);
    seen("file-keep", &(open(0) + "p"), put);
    seen("file-erase", &(open(0) + "x<enter>"), put);
    seen("file-attach", &(open(0) + "a"), put);
    seen(
        "file-attach-question",
        &(open(0) + "achest-2026-11-21<enter>"),
        put,
    );
    seen(
        "file-attach-done",
        &(open(0) + "achest-2026-11-21<enter>y"),
        put,
    );
}

#[test]
fn the_same_person() {
    plain("duplicates", "oka amara<enter>d");
    plain("duplicates-question", "oka amara<enter>ds");
    plain("duplicates-linked", "oka amara<enter>dsy");
    seen("duplicates-none", "oka amara<enter>d", |script| {
        script.node.duplicates.clear();
    });
}

#[test]
fn who_may_see_a_record() {
    plain("rights", "oka amara<enter>wj");
    plain("rights-grant", "oka amara<enter>wG<enter>");
    plain("rights-question", "oka amara<enter>wjx");
    plain("rights-erase", "oka amara<enter>wXasked for");
    plain(
        "rights-erase-question",
        "oka amara<enter>wXasked for<enter>",
    );
    plain("rights-erased", "oka amara<enter>wXasked for<enter>y");
}

#[test]
fn writing() {
    plain(
        "note",
        "oka amara<enter>nFeels well. Sleeps better since the new dose, no more cough at night.<enter><enter>Plan: as before.",
    );
    plain("note-question", "oka amara<enter>nFeels well.<esc>");
    plain("pressure", "oka amara<enter>b128");
    plain("pressure-wrong", "oka amara<enter>b80/120<enter>");
    plain("register", "<ctrl-n>Smith<enter>Alex<enter>20010730<enter>");
    plain("register-wrong", "<ctrl-n><down>Ada<enter>20990101<ctrl-s>");
}

#[test]
fn conflicts() {
    plain("conflicts", "oka amara<enter>c");
    plain("conflicts-question", "oka amara<enter>cjj2");
    seen("conflicts-none", "oka amara<enter>c", |script| {
        script.node.record.conflicts.clear()
    });
}

#[test]
fn the_audit_trail() {
    plain("audit-record", "oka amara<enter>a");
    plain("audit-everything", "<esc>aj");
    plain("audit-entry", "oka amara<enter>ajjj<enter>");
    plain("audit-verified", "<esc>av");
    plain("audit-filter", "<esc>a/tom");
    plain("audit-accesses", "oka amara<enter>aw");
    let void = |script: &mut Script| {
        script.node.audit[2].void =
            Some("the clinic's access was revoked, and this was written beyond the cut".to_owned());
    };
    seen("audit-void", "oka amara<enter>ajj", void);
    seen("audit-void-entry", "oka amara<enter>ajj<enter>", void);
}

#[test]
fn the_other_clinics() {
    plain("sync", "<esc>s");
    plain("sync-done", "<esc>ss");
    seen("sync-alone", "<esc>s", |script| {
        script.node.peers.clear();
        script.wait(31);
    });
}

#[test]
fn what_lies_over_a_page() {
    plain("help", "<f1>");
    plain("palette", "oka amara<enter>:");
    plain("palette-search", "oka amara<enter>:bl");
    plain("quit-question", "<esc>q");
}

#[test]
fn failures() {
    let failure = ApiError::new(
        ErrorKind::Failed,
        "The disk is full: /var/lib/salus/store.redb could not grow.",
    )
    .hint("Free some space; what was saved before is safe, and nothing of this was kept.");
    for size in SIZES {
        let mut script = Script::signed_in(size);
        script.press("oka amara<enter>nFeels well.");
        script.node.failure = Some(failure.clone());
        script.press("<ctrl-s>");
        check("failure-note", &script);
        let mut script = Script::signed_in(size);
        let stream = script.model.desk.stream.expect("somebody is signed in");
        script.tell(Msg::StreamEnded(stream, None));
        check("lost", &script);
    }
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    for (width, height) in [(79, 24), (80, 23), (40, 10), (12, 2), (1, 1)] {
        let mut script = Script::signed_in(SIZES[0]);
        script.press("oka amara<enter>");
        script.tell(Msg::Resize(Size { width, height }));
        check("small", &script);
    }
    let mut script = Script::signed_in(SIZES[0]);
    script.press("oka amara<enter>i<down><enter>");
    script.tell(Msg::Resize(Size {
        width: 70,
        height: 20,
    }));
    check("small-image", &script);
    script.press("y<enter>");
    assert_eq!(script.node.written.len(), 1, "nobody accepts blind");
    let mut script = Script::signed_in(SIZES[0]);
    script.press("oka amara<enter>wjx");
    script.tell(Msg::Resize(Size {
        width: 60,
        height: 20,
    }));
    check("small-question", &script);
    script.press("y");
    assert!(script.node.written.is_empty(), "nobody revokes blind");
}
