//! What models suggest: who may, what becomes of it, and who finds the images.

use salus_api::{
    Inference, InferenceOutput, InputName, ModelName, SuggestionState, SuggestionView,
};
use salus_audit::{Body, Decision, EntryHash, Kind, Scope};

use super::*;
use crate::core::Said;

fn inference(name: &str, label: &str, p: f64) -> Inference {
    let output = |label: &str, p, note: Option<&str>| InferenceOutput {
        what: "category".into(),
        label: label.into(),
        p: Some(p),
        note: note.map(str::to_owned),
    };
    Inference {
        component: "imaging".into(),
        model: ModelName {
            name: "mobilenet".into(),
            version: "1.0".into(),
            weights: "ab".repeat(32),
        },
        input: InputName {
            hash: blake3::hash(name.as_bytes()).to_hex().to_string(),
            media_type: "image/png".into(),
            name: name.into(),
        },
        outputs: vec![
            output(label, p, Some("told by its origin")),
            output("other", 1.0 - p, None),
        ],
        uncertain: false,
        distance: Some(0.4),
        explanation: "opacity at the right base".into(),
    }
}

fn not_assessed(name: &str) -> Inference {
    Inference {
        outputs: Vec::new(),
        uncertain: true,
        distance: Some(7.25),
        ..inference(name, "pneumonia", 0.9)
    }
}

impl Clinic {
    fn infer(&self, log: LogId, inference: Inference) -> String {
        let id = self.with(|core, who| core.infer(who, log, inference));
        id.unwrap().to_string()
    }

    fn suggestions(&self, log: LogId) -> Vec<SuggestionView> {
        let found = self.with(|core, _| core.suggestions(log)).unwrap();
        assert_eq!(found.left_out, 0);
        found.suggestions
    }

    fn accept(&self, log: LogId, id: &str, label: Option<&str>) -> String {
        self.with(|core, who| core.accept(who, log, id, label))
            .unwrap()
    }

    fn reject(&self, log: LogId, id: &str, why: &str) -> String {
        self.with(|core, who| core.reject(who, log, id, why))
            .unwrap()
    }

    fn reports(&self, log: LogId) -> Vec<salus_record::DiagnosticReport> {
        let view = self.with(|core, _| core.show(log)).unwrap();
        view.content.diagnostic_reports
    }

    fn images(&self, category: &str) -> Vec<salus_api::ImageView> {
        let found = self.with(|core, who| core.find_images(who, category, None));
        found.unwrap().images
    }

    fn of_kind(&self, log: LogId, kind: Kind) -> usize {
        self.with(|core, _| {
            let state = core.log(log).unwrap();
            state.entries().filter(|meta| meta.kind == kind).count()
        })
    }
}

#[test]
fn a_reading_clinic_infers_and_home_accepts() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Read);
    let id = b.infer(log, inference("chest.png", "pneumonia", 0.912_345_4));
    // A verdict of a clinic that may only read puts nothing into the record, and says so.
    let said = b.accept(log, &id[..10], None);
    assert!(said.contains("may not write"), "{said}");
    assert!(b.reports(log).is_empty());
    assert!(
        b.accept(log, &id, None)
            .starts_with("nothing to change: pneumonia")
    );
    b.carry_to(&a);
    assert!(a.reports(log).is_empty(), "nothing enters without home");
    let seen = &a.suggestions(log)[0];
    assert_eq!(seen.id, id);
    assert_eq!((seen.clinic.as_str(), seen.p), ("Beta", Some(0.912_345)));
    assert_eq!(seen.state, SuggestionState::Accepted);

    let said = a.accept(log, &id, None);
    assert!(said.contains("in the record now"), "{said}");
    let report = &a.reports(log)[0];
    assert_eq!(report.conclusion.as_deref(), Some("pneumonia"));
    assert_eq!(report.status.as_deref(), Some("final"));
    let text = report.text.as_deref().unwrap();
    for part in [
        "mobilenet 1.0",
        "0.912345",
        "told by its origin",
        "chest.png",
        id.as_str(),
        &"ab".repeat(32),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(report.performer[0].contains("Dr. Alpha"));
    // Export carries it, with its provenance, and reads back.
    let view = a.with(|core, _| core.show(log)).unwrap();
    let options = salus_fhir::ExportOptions { time_ms: 0 };
    let bundle = salus_fhir::export_bundle(&view.content, &options);
    assert!(bundle.contains("\"conclusion\":\"pneumonia\""));
    let again = a.accept(log, &id, None);
    assert!(again.starts_with("nothing to change"), "{again}");
    a.carry_to(&b);
    assert_eq!(a.heights(log), b.heights(log));
    assert_eq!(a.reports(log), b.reports(log));
    assert_eq!(a.suggestions(log), b.suggestions(log));
    assert_eq!(a.suggestions(log)[0].verdicts.len(), 2);
    let report = verify_all(&b.core, |_, _| {}).unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

#[test]
fn a_models_word_enters_no_record_without_a_persons_acceptance() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let before = clinic.with(|core, _| core.show(log)).unwrap();
    let certain = clinic.infer(log, inference("a.png", "pneumonia", 1.0));
    let unsure = clinic.infer(log, not_assessed("b.png"));
    let after = clinic.with(|core, _| core.show(log)).unwrap();
    assert_eq!(before.content, after.content);
    assert_eq!(after.suggestions.len(), 2);
    clinic.reject(log, &certain, "artefact");
    assert!(clinic.reports(log).is_empty());
    // What the model did not assess has no finding, and is accepted with a person's own label only.
    let view = &clinic.suggestions(log)[0];
    assert_eq!(
        (view.id.as_str(), view.label.as_deref()),
        (unsure.as_str(), None)
    );
    assert_eq!(view.inference.distance, Some(7.25));
    let refused = clinic.with(|core, who| core.accept(who, log, &unsure, None));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Usage);
    for label in ["", " ", "two\nlines", &"x".repeat(201)] {
        let refused = clinic.with(|core, who| core.accept(who, log, &unsure, Some(label)));
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Usage, "{label:?}");
    }
    assert!(clinic.images("pleural effusion").is_empty());
    clinic.accept(log, &unsure, Some("Pleural effusion"));
    let reports = clinic.reports(log);
    assert_eq!(reports[0].conclusion.as_deref(), Some("Pleural effusion"));
    let text = reports[0].text.as_deref().unwrap();
    assert!(text.contains("not assessed"), "{text}");
    assert_eq!(clinic.images("pleural effusion").len(), 1);
}

#[test]
fn what_is_not_there_is_not_found_and_what_cannot_be_written_is_refused() {
    let mut clinic = Clinic::found(tempfile::tempdir().unwrap().path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let id = clinic.infer(log, inference("a.png", "pneumonia", 0.9));
    let kind = |clinic: &Clinic, id: &str| {
        let error = clinic.with(|core, who| core.accept(who, log, id, None));
        error.unwrap_err().kind
    };
    for wrong in ["", "zz", &id[1..], &"0".repeat(64)] {
        assert_eq!(kind(&clinic, wrong), ErrorKind::NotFound, "{wrong}");
    }
    let why = clinic.with(|core, who| core.reject(who, log, &id, " "));
    assert_eq!(why.unwrap_err().kind, ErrorKind::Usage);
    type Change = fn(&mut Inference);
    let changes: [Change; 9] = [
        |i| i.outputs[0].p = Some(f64::NAN),
        |i| i.outputs[0].p = Some(-0.1),
        |i| i.outputs[0].p = Some(1.1),
        |i| i.outputs[1].p = Some(0.95),
        |i| i.outputs.clear(),
        |i| i.distance = Some(-1.0),
        |i| i.model.weights = "ab".into(),
        |i| i.input.hash = String::new(),
        |i| i.explanation = "x".repeat(4097),
    ];
    let before = clinic.of_kind(log, Kind::Inference);
    for change in changes {
        let mut wrong = inference("a.png", "pneumonia", 0.9);
        change(&mut wrong);
        let refused = clinic.with(|core, who| core.infer(who, log, wrong));
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Usage);
    }
    assert_eq!(clinic.of_kind(log, Kind::Inference), before);
    // Only a physician puts a model to work or decides.
    for role in [Role::Nurse, Role::Registrar] {
        let somebody = clinic.enrol(role.as_str(), role);
        let refused = [
            clinic.with(|core, _| {
                core.infer(&somebody, log, inference("b.png", "normal", 0.9))
                    .map(|_| ())
            }),
            clinic.with(|core, _| core.accept(&somebody, log, &id, None).map(|_| ())),
            clinic.with(|core, _| core.reject(&somebody, log, &id, "no").map(|_| ())),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind, ErrorKind::Refused);
        }
    }
    assert_eq!(clinic.suggestions(log)[0].state, SuggestionState::Open);
    assert!(clinic.reports(log).is_empty());
}

#[test]
fn a_finding_that_is_rejected_later_is_marked_as_entered_in_error() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let id = clinic.infer(log, inference("a.png", "pneumonia", 0.9));
    clinic.accept(log, &id, Some("atelectasis"));
    let said = clinic.reject(log, &id, "old image");
    assert!(said.contains("entered in error"), "{said}");
    let reports = clinic.reports(log);
    assert_eq!(reports[0].status.as_deref(), Some("entered-in-error"));
    assert!(
        clinic
            .reject(log, &id, "again")
            .starts_with("nothing to change")
    );
    // Decided anew, in the model's own words: the same report.
    clinic.accept(log, &id, None);
    let reports = clinic.reports(log);
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (
            reports[0].status.as_deref(),
            reports[0].conclusion.as_deref()
        ),
        (Some("final"), Some("pneumonia"))
    );
    let view = &clinic.suggestions(log)[0];
    let stand: Vec<_> = view
        .verdicts
        .iter()
        .map(|v| (v.accepted, v.stands))
        .collect();
    assert_eq!(stand, [(true, false), (false, false), (true, true)]);
    // The log says all of it in words.
    let rows = clinic.with(|core, _| core.history(log, 100, true)).unwrap();
    let lines: Vec<&str> = rows
        .iter()
        .flat_map(|row| &row.summary)
        .map(String::as_str)
        .collect();
    for part in [
        "mobilenet 1.0 suggests of a.png: pneumonia, p = 0.9",
        "accepted as atelectasis",
        "rejected: old image",
        "finding taken back",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "{part}: {lines:?}"
        );
    }
    let kinds = rows.iter().filter(|row| row.kind == "inference").count();
    assert_eq!(kinds, 1);
    assert!(
        rows.iter()
            .any(|row| row.kind == "verdict" && row.scope.as_deref() == Some("ai"))
    );
    // And who put a model to work on the record is among its accesses.
    let accesses = clinic
        .with(|core, _| core.accesses(log, 100, true))
        .unwrap();
    assert!(accesses.iter().any(|row| row.kind == "inference"));
}

#[test]
fn clinicians_who_decide_apart_and_differently_are_shown_as_such() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let id = a.infer(log, inference("a.png", "pneumonia", 0.9));
    a.carry_to(&b);
    a.accept(log, &id, None);
    b.reject(log, &id, "artefact");
    a.carry_to(&b);
    b.carry_to(&a);
    for clinic in [&a, &b] {
        let view = &clinic.suggestions(log)[0];
        assert_eq!(view.state, SuggestionState::Disputed);
        let by: Vec<_> = view.verdicts.iter().filter(|v| v.stands).collect();
        assert_eq!(by.len(), 2);
        assert!(by.iter().any(|v| v.clinic == "Alpha" && v.accepted));
        assert!(by.iter().any(|v| v.why.as_deref() == Some("artefact")));
        assert_eq!(clinic.images("pneumonia")[0].state, view.state);
    }
    assert_eq!(a.suggestions(log), b.suggestions(log));
    // Whoever decides next knows of both, and settles it.
    b.reject(log, &id, "seen together: artefact");
    b.carry_to(&a);
    let view = &a.suggestions(log)[0];
    assert_eq!(view.state, SuggestionState::Rejected);
    assert_eq!(view.verdicts.len(), 3);
    assert_eq!(a.images("pneumonia")[0].state, SuggestionState::Rejected);
    assert_eq!(
        a.reports(log)[0].status.as_deref(),
        Some("entered-in-error")
    );
}

#[test]
fn two_who_accept_apart_write_one_report() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    let same = a.infer(log, inference("a.png", "pneumonia", 0.9));
    let other = a.infer(log, inference("b.png", "pneumonia", 0.8));
    a.carry_to(&b);
    a.accept(log, &same, None);
    b.accept(log, &same, None);
    a.accept(log, &other, None);
    b.accept(log, &other, Some("atelectasis"));
    a.carry_to(&b);
    b.carry_to(&a);
    let view = a.with(|core, _| core.show(log)).unwrap();
    assert_eq!(view.content.diagnostic_reports.len(), 2);
    let state = |id: &str| {
        let of = |view: &&SuggestionView| view.id == id;
        view.suggestions.iter().find(of).unwrap().state
    };
    assert_eq!(state(&same), SuggestionState::Accepted);
    assert_eq!(state(&other), SuggestionState::Disputed);
    // What they disagree about is a conflict like any other: the finding, and who accepted.
    let paths: Vec<&str> = view
        .conflicts
        .iter()
        .filter_map(|conflict| conflict.path.rsplit('/').next())
        .collect();
    let count = |field: &str| paths.iter().filter(|path| **path == field).count();
    assert_eq!(count("conclusion"), 1, "{paths:?}");
    assert_eq!(count("performer"), 2, "{paths:?}");
    assert_eq!(paths.len(), 3, "{paths:?}");
}

#[test]
fn a_revocation_that_comes_late_takes_the_suggestion_and_its_image_away() {
    let (_dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Read);
    let early = b.infer(log, inference("early.png", "pneumonia", 0.9));
    b.carry_to(&a);
    a.with(|core, who| core.revoke(who, log, core_id(&b)))
        .unwrap();
    // Beta does not know yet.
    b.infer(log, inference("late.png", "pneumonia", 0.8));
    assert_eq!(b.images("pneumonia").len(), 2);
    let (me, them) = (a.with(|core, _| core.me()), b.with(|core, _| core.me()));
    let heights = a.heights(log);
    let loaded = b.with(|core, _| core.load_for(me, log, &heights, usize::MAX));
    let there = CoreLedger::new(Arc::clone(&a.core));
    there
        .commit(them, loaded.unwrap().entries, Vec::new())
        .unwrap();
    a.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    assert_eq!(a.of_kind(log, Kind::Inference), 2, "it is held");
    let ids: Vec<String> = a.suggestions(log).into_iter().map(|s| s.id).collect();
    assert_eq!(ids, [early], "and does not count");
    assert_eq!(a.images("pneumonia").len(), 1);
    // Beta hears of it: whoever has no right any more finds nothing.
    let heights = b.heights(log);
    let loaded = a.with(|core, _| core.load_for(me, log, &heights, usize::MAX));
    let there = CoreLedger::new(Arc::clone(&b.core));
    there
        .commit(me, loaded.unwrap().entries, Vec::new())
        .unwrap();
    b.with(|core, _| while core.digest_dirty(100).unwrap() > 0 {});
    assert!(b.images("pneumonia").is_empty());
}

fn core_id(clinic: &Clinic) -> salus_audit::ClinicId {
    clinic.with(|core, _| core.me())
}

#[test]
fn images_are_found_across_patients_and_every_find_is_a_look() {
    let (_dir, a, b) = two();
    let (one, two) = (a.new_patient("Okafor"), a.new_patient("Diallo"));
    let other = a.new_patient("Ng");
    let first = a.infer(one, inference("a.png", "chest_xray", 0.7));
    a.infer(two, inference("b.png", "chest_xray", 0.9));
    a.infer(two, not_assessed("c.png"));
    a.infer(other, inference("d.png", "mri", 0.9));
    share(&a, &b, two, Right::Read);
    let looks = |clinic: &Clinic| [one, two, other].map(|log| clinic.of_kind(log, Kind::View));
    assert_eq!(looks(&a), [0, 0, 0]);
    let names = |clinic: &Clinic| {
        let found = clinic.images("Chest X-ray").into_iter();
        found.map(|image| image.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&a), ["b.png", "a.png"]);
    assert_eq!(looks(&a), [1, 1, 0], "only what was shown");
    a.accept(one, &first, None);
    assert_eq!(names(&a), ["a.png", "b.png"], "accepted ones first");
    assert_eq!(looks(&a), [1, 1, 0], "once an hour");
    a.now.fetch_add(3_600_000, Ordering::Relaxed);
    let of_one = a.with(|core, who| core.find_images(who, "chest xray", Some(one)));
    let found = of_one.unwrap().images.remove(0);
    assert_eq!(looks(&a), [2, 1, 0]);
    assert_eq!(found.image, blake3::hash(b"a.png").to_hex().to_string());
    assert_eq!(found.state, SuggestionState::Accepted);
    assert_eq!(found.note.as_deref(), Some("told by its origin"));
    assert!(a.images("xray").is_empty());
    let nothing = a.with(|core, who| core.find_images(who, " ", None));
    assert_eq!(nothing.unwrap_err().kind, ErrorKind::Usage);
    // Another clinic finds what it was granted, and home sees that it looked.
    assert_eq!(names(&b), ["b.png"]);
    b.carry_to(&a);
    assert_eq!(looks(&a), [2, 2, 0]);
    // The index on disk says the same.
    let a = a.reopen();
    assert_eq!(names(&a), ["a.png", "b.png"]);
    a.with(|core, _| core.lock());
    let locked = a.with(|core, who| core.find_images(who, "mri", None));
    assert_eq!(locked.unwrap_err().kind, ErrorKind::Refused);
}

#[test]
fn a_verdict_about_what_its_writer_never_saw_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let unsure = clinic.infer(log, not_assessed("b.png"));
    let genesis = clinic.with(|core, _| core.log(log).unwrap().entries().next().unwrap().hash);
    let accept = Decision::Accept { label: None };
    let reject = Decision::Reject {
        why: "no".to_owned(),
    };
    // Of nothing, of an entry that is no inference, of an inference to come, and of nothing that was said.
    for (about, decision) in [
        (EntryHash::from_bytes([9; 32]), reject.clone()),
        (genesis, reject),
        (unsure.parse().unwrap(), accept),
    ] {
        let body = Body::Verdict {
            inference: about,
            decision,
        };
        clinic.with(|core, who| {
            let (epoch, key) = core.newest_key(log).unwrap();
            core.transact(|core, pending| {
                let said = Said::Sealed(&body, epoch, &key);
                core.append(pending, &who.key, log, Some(Scope::Ai), said)
            })
            .unwrap();
        });
    }
    let found = clinic.suggestions(log);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].state, SuggestionState::Open);
    assert!(found[0].verdicts.is_empty());
}

#[test]
fn a_record_as_it_was_has_the_suggestions_of_then() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let log = clinic.new_patient("Okafor");
    let id = clinic.infer(log, inference("a.png", "pneumonia", 0.9));
    clinic.accept(log, &id, None);
    clinic.infer(log, inference("b.png", "normal", 0.9));
    let then = clinic.with(|core, _| core.show_at(log, &id)).unwrap();
    assert_eq!(then.suggestions.len(), 1);
    assert_eq!(then.suggestions[0].state, SuggestionState::Open);
    assert!(then.content.diagnostic_reports.is_empty());
    let now = clinic.with(|core, _| core.show(log)).unwrap();
    assert_eq!(now.suggestions.len(), 2);
}
