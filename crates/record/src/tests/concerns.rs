//! What two clinics write apart and Automerge merges without a word.

use automerge::ReadDoc;
use automerge::transaction::Transactable;

use super::hostile::crafted;
use super::*;

fn kinds(record: &Record) -> Vec<(ConcernKind, Vec<String>)> {
    let concerns = record.concerns();
    concerns.into_iter().map(|c| (c.kind, c.items)).collect()
}

/// Both see the same concerns, whoever applied what first.
fn meet(a: &mut Record, b: &mut Record) -> Vec<(ConcernKind, Vec<String>)> {
    exchange(a, b);
    assert_eq!(a.concerns(), b.concerns());
    let mut third = Record::new(actor(9));
    third.apply(a.changes_since(&[]), Trust::Foreign).unwrap();
    assert_eq!(third.concerns(), a.concerns());
    kinds(a)
}

fn one(kind: ConcernKind, items: &[&str]) -> Vec<(ConcernKind, Vec<String>)> {
    vec![(kind, items.iter().map(|i| (*i).to_owned()).collect())]
}

fn named(id: &str, words: &str, dose: &str) -> Edit {
    let mut item = medication(id, dose);
    item.code = CodeableConcept::text(words);
    Edit::Put(Item::Medication(item))
}

fn allergy(id: &str, words: &str) -> AllergyIntolerance {
    AllergyIntolerance {
        id: id.into(),
        code: CodeableConcept::text(words),
        clinical_status: Some("active".into()),
        ..AllergyIntolerance::default()
    }
}

fn put(item: AllergyIntolerance) -> Edit {
    Edit::Put(Item::Allergy(item))
}

fn stop(collection: Collection, id: &str) -> Edit {
    Edit::Stop {
        collection,
        id: id.into(),
        at: "2026-11-22".into(),
        why: Some("asked to".into()),
    }
}

fn acknowledge(items: &[String]) -> Edit {
    Edit::Acknowledge {
        items: items.to_vec(),
    }
}

#[test]
fn one_medicine_ordered_apart_with_two_doses_is_a_concern_that_says_who_wrote_what() {
    let (mut a, mut b) = pair();
    let from_a = edit(&mut a, named("m1", "Metformin 500 mg", "500"));
    let from_b = edit(&mut b, named("m2", "metformin 850 MG tablet", "850"));
    assert_eq!((a.concerns(), b.concerns()), (vec![], vec![]));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(
            ConcernKind::DoseDiffers,
            &["medications/m1", "medications/m2"]
        )
    );
    assert_eq!(a.conflicts(), []);
    let concern = &a.concerns()[0];
    assert!(
        concern.sentence.contains("Metformin 500 mg"),
        "{}",
        concern.sentence
    );
    let dosage = |path: &str| concern.writes.iter().find(|w| w.path == path).unwrap();
    let (first, second) = (
        dosage("medications/m1/dosage"),
        dosage("medications/m2/dosage"),
    );
    assert_eq!(
        (first.change, &first.actor[..]),
        (from_a.hash, &actor(0)[..])
    );
    assert_eq!(
        (second.change, &second.actor[..]),
        (from_b.hash, &actor(1)[..])
    );
    assert_eq!(second.value[0]["dose"]["value"].to_string(), "850");

    // The same dose twice is another finding; the same dose at one place known to the other is none.
    let (mut a, mut b) = pair();
    edit(&mut a, named("m1", "Metformin", "500"));
    edit(&mut b, named("m2", "Metformin", "500"));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(
            ConcernKind::MedicineTwice,
            &["medications/m1", "medications/m2"]
        )
    );
    edit(&mut b, named("m3", "Metformin", "1000"));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(
            ConcernKind::MedicineTwice,
            &["medications/m1", "medications/m2"]
        )
    );
}

#[test]
fn one_medicine_ordered_apart_in_two_strengths_is_told_as_two_doses() {
    let order = |id: &str, words: &str| {
        let mut item = medication(id, "1");
        item.code = CodeableConcept::text(words);
        item.dosage.clear();
        Edit::Put(Item::Medication(item))
    };
    let (mut a, mut b) = pair();
    edit(&mut a, order("m1", "Metformin 500 mg"));
    edit(&mut b, order("m2", "metformin 850 MG tablet"));
    let both = ["medications/m1", "medications/m2"];
    let found = meet(&mut a, &mut b);
    assert_eq!(found, one(ConcernKind::DoseDiffers, &both));
    let said = &a.concerns()[0].sentence;
    assert!(said.contains("500 mg") && said.contains("850 MG"), "{said}");
    // One strength, written otherwise, is one order twice.
    let (mut a, mut b) = pair();
    edit(&mut a, order("m1", "Metformin 500 mg"));
    edit(&mut b, order("m2", "Metformin 0.5 g"));
    let found = meet(&mut a, &mut b);
    assert_eq!(found, one(ConcernKind::MedicineTwice, &both));
}

#[test]
fn one_allergy_recorded_apart_with_two_criticalities_is_a_concern() {
    let rated = |id: &str, criticality: &str| {
        let mut item = allergy(id, "Penicillin");
        item.criticality = Some(criticality.into());
        put(item)
    };
    let (mut a, mut b) = pair();
    edit(&mut a, rated("a1", "high"));
    edit(&mut b, rated("a2", "low"));
    let both = ["allergies/a1", "allergies/a2"];
    let found = meet(&mut a, &mut b);
    assert_eq!(found, one(ConcernKind::AllergyDiffers, &both));
    let said = &a.concerns()[0].sentence;
    assert!(said.contains("high") && said.contains("low"), "{said}");
    // Whoever saw both settles it, by rating one anew or by letting both stand.
    let (mut c, mut d) = (a.clone(), b.clone());
    edit(&mut c, rated("a2", "high"));
    assert_eq!(meet(&mut c, &mut d), []);
    edit(&mut a, acknowledge(&found[0].1));
    assert_eq!(meet(&mut a, &mut b), []);
    // The same twice misleads nobody.
    let (mut a, mut b) = pair();
    edit(&mut a, rated("a1", "high"));
    edit(&mut b, rated("a2", "high"));
    assert_eq!(meet(&mut a, &mut b), []);
}

#[test]
fn what_a_clinician_did_knowing_of_the_other_is_not_flagged() {
    let (mut a, mut b) = pair();
    edit(&mut a, named("m1", "Metformin", "500"));
    exchange(&mut a, &mut b);
    edit(&mut b, named("m2", "Metformin", "850"));
    edit(&mut b, put(allergy("a1", "Metformin")));
    assert_eq!(meet(&mut a, &mut b), []);
    // Nor what has nothing to do with each other.
    edit(&mut a, named("m3", "Aspirin 81 mg", "81"));
    edit(&mut b, named("m4", "Ibuprofen", "400"));
    edit(&mut b, set("phone", "1"));
    assert_eq!(meet(&mut a, &mut b), []);
    // The dose of one, changed at A without knowing of the second, is.
    let (mut a, mut b) = pair();
    edit(&mut a, named("m1", "Metformin", "500"));
    exchange(&mut a, &mut b);
    edit(&mut b, named("m2", "Metformin", "850"));
    edit(&mut a, named("m1", "Metformin", "1000"));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(
            ConcernKind::DoseDiffers,
            &["medications/m1", "medications/m2"]
        )
    );
}

#[test]
fn an_allergy_refuted_here_and_confirmed_there_is_a_concern() {
    let (mut a, mut b) = pair();
    edit(&mut a, put(allergy("a1", "Penicillin")));
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Allergies, "a1"));
    let mut confirmed = allergy("a1", "Penicillin");
    confirmed.verification_status = Some("confirmed".into());
    edit(&mut b, put(confirmed));
    assert_eq!(
        meet(&mut a, &mut b),
        one(ConcernKind::AllergyEnded, &["allergies/a1"])
    );
    assert_eq!(a.conflicts(), []);

    // Recorded anew as another item while ended.
    let (mut a, mut b) = pair();
    edit(&mut a, put(allergy("a1", "Penicillin")));
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Allergies, "a1"));
    edit(&mut b, put(allergy("a2", "penicillin")));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(ConcernKind::AllergyEnded, &["allergies/a1", "allergies/a2"])
    );

    // Ended at both: agreed.
    let (mut a, mut b) = pair();
    edit(&mut a, put(allergy("a1", "Penicillin")));
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Allergies, "a1"));
    edit(&mut b, stop(Collection::Allergies, "a1"));
    assert_eq!(meet(&mut a, &mut b), []);
}

#[test]
fn a_condition_resolved_here_and_worsened_there_is_a_concern() {
    let (mut a, mut b) = pair();
    edit(
        &mut a,
        Edit::Put(Item::Condition(condition("c1", "Asthma"))),
    );
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Conditions, "c1"));
    let mut worse = condition("c1", "Asthma");
    worse.severity = Some(CodeableConcept::text("severe"));
    edit(&mut b, Edit::Put(Item::Condition(worse)));
    assert_eq!(
        meet(&mut a, &mut b),
        one(ConcernKind::ConditionEnded, &["conditions/c1"])
    );
    let concern = &a.concerns()[0];
    let paths: Vec<&str> = concern.writes.iter().map(|w| w.path.as_str()).collect();
    let expected = [
        "conditions/c1/abatement",
        "conditions/c1/clinical_status",
        "conditions/c1/severity",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_medicine_stopped_here_and_its_dose_changed_there_is_a_concern() {
    let (mut a, mut b) = pair();
    edit(&mut a, named("m1", "Warfarin", "5"));
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Medications, "m1"));
    edit(&mut b, named("m1", "Warfarin", "7.5"));
    assert_eq!(
        meet(&mut a, &mut b),
        one(ConcernKind::MedicineStopped, &["medications/m1"])
    );

    let (mut a, mut b) = pair();
    edit(&mut a, named("m1", "Warfarin", "5"));
    exchange(&mut a, &mut b);
    edit(&mut a, stop(Collection::Medications, "m1"));
    edit(&mut b, named("m2", "Warfarin 5 mg", "5"));
    let found = meet(&mut a, &mut b);
    assert_eq!(
        found,
        one(
            ConcernKind::MedicineStopped,
            &["medications/m1", "medications/m2"]
        )
    );
}

#[test]
fn a_medicine_ordered_while_an_allergy_to_it_is_recorded_elsewhere_is_a_concern() {
    for (words, medicine) in [
        ("Penicillin", "Amoxicillin 500 mg capsule"),
        (
            "Allergy to amoxicillin",
            "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet",
        ),
    ] {
        let (mut a, mut b) = pair();
        edit(&mut a, put(allergy("a1", words)));
        edit(&mut b, named("m1", medicine, "500"));
        let found = meet(&mut a, &mut b);
        assert_eq!(
            found,
            one(
                ConcernKind::AllergyToMedicine,
                &["allergies/a1", "medications/m1"]
            )
        );
    }
    let (mut a, mut b) = pair();
    edit(&mut a, put(allergy("a1", "Penicillin")));
    edit(&mut b, named("m1", "Doxycycline 100 mg", "100"));
    assert_eq!(meet(&mut a, &mut b), []);
}

#[test]
fn an_allergy_removed_here_and_changed_there_is_found_though_neither_shows() {
    let (mut a, mut b) = pair();
    edit(&mut a, put(allergy("a1", "Penicillin")));
    exchange(&mut a, &mut b);
    let removal = crafted(&a, 0, |tx| {
        let (_, all) = tx.get(automerge::ROOT, "allergies").unwrap().unwrap();
        tx.delete(&all, "a1").unwrap();
    });
    a.apply([(removal.clone(), Some(Scope::Clinical))], Trust::Foreign)
        .unwrap();
    assert_eq!(a.concerns(), []);
    let mut worse = allergy("a1", "Penicillin");
    worse.criticality = Some("high".into());
    let from_b = edit(&mut b, put(worse.clone()));
    assert_eq!(
        meet(&mut a, &mut b),
        one(ConcernKind::ItemRemoved, &["allergies/a1"])
    );
    let concern = &a.concerns()[0];
    assert!(
        concern.sentence.contains("allergy Penicillin"),
        "{}",
        concern.sentence
    );
    let told: Vec<_> = concern
        .writes
        .iter()
        .map(|w| (w.path.as_str(), w.change))
        .collect();
    let removed = inspect_change(&removal).unwrap().hash;
    assert_eq!(
        told,
        [
            ("allergies/a1", removed),
            ("allergies/a1/criticality", from_b.hash)
        ]
    );

    // Settled by recording it again, or by letting the removal stand.
    let (mut c, mut d) = (a.clone(), b.clone());
    edit(&mut d, put(worse));
    assert_eq!(meet(&mut c, &mut d), []);
    edit(&mut a, acknowledge(&["allergies/a1".into()]));
    assert_eq!(meet(&mut a, &mut b), []);
}

#[test]
fn a_concern_is_settled_by_who_saw_it_and_raised_anew_by_who_did_not() {
    let all = replicas(3);
    let [mut a, mut b, mut c] = <[Record; 3]>::try_from(all).unwrap();
    edit(&mut a, named("m1", "Metformin", "500"));
    edit(&mut b, named("m2", "Metformin", "850"));
    let found = meet(&mut a, &mut b);
    // Writing one of the items is enough.
    let (mut x, mut y) = (a.clone(), b.clone());
    edit(&mut x, stop(Collection::Medications, "m1"));
    assert_eq!(meet(&mut x, &mut y), []);
    // So is saying that it shall stand; twice over says nothing more.
    let mark = edit(&mut b, acknowledge(&found[0].1));
    assert_eq!((mark.scope, mark.ops), (Scope::Clinical, 1));
    assert_eq!(
        b.describe_change(&mark.hash),
        [
            "medication Metformin reviewed",
            "medication Metformin reviewed"
        ]
    );
    assert_eq!(meet(&mut a, &mut b), []);
    // C saw neither: its order raises a concern with both.
    edit(&mut c, named("m3", "Metformin", "1000"));
    send(&c, &mut a);
    let items = |x: &str, y: &str| vec![format!("medications/{x}"), format!("medications/{y}")];
    assert_eq!(
        kinds(&a),
        [
            (ConcernKind::DoseDiffers, items("m1", "m3")),
            (ConcernKind::DoseDiffers, items("m2", "m3"))
        ]
    );
    // Two who acknowledge apart do not disturb each other.
    edit(&mut a, acknowledge(&items("m1", "m3")));
    send(&c, &mut b);
    edit(&mut b, acknowledge(&items("m2", "m3")));
    assert_eq!(meet(&mut a, &mut b), []);
    assert_eq!(a.view().problems, []);
}

#[test]
fn an_acknowledgement_needs_the_scope_of_what_it_is_about() {
    let (mut a, mut b) = pair();
    let bad = |items: &[&str]| Edit::Acknowledge {
        items: items.iter().map(|i| (*i).to_owned()).collect(),
    };
    for items in [
        &[][..],
        &["patient/phone"],
        &["notes/n1"],
        &["medications/"],
    ] {
        assert_eq!(
            a.edit(&[bad(items)], 0),
            Err(EditError::UnknownPath),
            "{items:?}"
        );
    }
    let mark = edit(&mut a, bad(&["medications/m1"]));
    let forged = b
        .apply([(mark.bytes.clone(), Some(Scope::Note))], Trust::Foreign)
        .unwrap_err();
    let (scope, collection) = (Scope::Note, Collection::Medications);
    assert_eq!(forged.fault, Fault::OutOfScope { scope, collection });
    b.apply([(mark.bytes, Some(Scope::Clinical))], Trust::Foreign)
        .unwrap();
}

/// `cargo test -p salus-record -- --ignored --nocapture cost_of_concerns`
#[test]
#[ignore = "prints timings"]
fn cost_of_concerns() {
    let (mut a, mut b) = pair();
    let mut edits: Vec<Edit> = Vec::new();
    for n in 0..40 {
        edits.push(named(
            &format!("m{n}"),
            &format!("Medicine {n} 5 MG Oral Tablet"),
            "5",
        ));
        let words = format!("Condition {n}");
        edits.push(Edit::Put(Item::Condition(condition(
            &format!("c{n}"),
            &words,
        ))));
    }
    edits.extend((0..10).map(|n| put(allergy(&format!("a{n}"), &format!("Substance {n}")))));
    edits.extend((0..160).map(|n| {
        Edit::Put(Item::Observation(Observation {
            id: format!("o{n}"),
            ..content().observations.remove(0)
        }))
    }));
    a.import(edits, NOW_MS).unwrap();
    let time = |what: &str, record: &Record| {
        let best = |run: &dyn Fn()| {
            let once = || {
                let begin = std::time::Instant::now();
                run();
                begin.elapsed()
            };
            (0..20).map(|_| once()).min().unwrap()
        };
        let concerns = best(&|| drop(record.concerns()));
        let conflicts = best(&|| drop(record.conflicts()));
        println!(
            "{what}: concerns {concerns:?}, conflicts {conflicts:?}, {} found",
            record.concerns().len()
        );
    };
    time("250 items, one after another", &a);
    edit(&mut b, set("phone", "1"));
    exchange(&mut a, &mut b);
    time("250 items imported apart from another change", &a);
    for n in 0..10 {
        edit(
            &mut a,
            named(
                &format!("m{n}"),
                &format!("Medicine {n} 5 MG Oral Tablet"),
                "7",
            ),
        );
        edit(&mut b, stop(Collection::Medications, &format!("m{n}")));
    }
    exchange(&mut a, &mut b);
    time("and ten medicines stopped and changed apart", &a);
    for n in 0..500 {
        edit(&mut a, set("phone", &format!("a{n}")));
        edit(&mut b, set("phone", &format!("b{n}")));
    }
    exchange(&mut a, &mut b);
    time("and 1,000 changes apart", &a);
}

#[test]
fn letting_one_merge_stand_silences_no_other_one_of_the_same_item() {
    let (mut a, first) = Record::create(actor_for([1; 32], [9; 32]), 0).unwrap();
    let mut b = Record::new(actor_for([2; 32], [9; 32]));
    let mut c = Record::new(actor_for([3; 32], [9; 32]));
    for other in [&mut b, &mut c] {
        other.apply([first.bytes.clone()], Trust::Foreign).unwrap();
    }
    for (record, id, dose) in [
        (&mut a, "m1", "500"),
        (&mut b, "m2", "850"),
        (&mut c, "m3", "1000"),
    ] {
        record
            .edit(&[named(id, "Sotalol", dose)], 0)
            .unwrap()
            .unwrap();
    }
    meet(&mut a, &mut b);
    meet(&mut a, &mut c);
    let all = kinds(&a);
    assert_eq!(all.len(), 3, "{all:?}");
    let (_, items) = all[0].clone();
    a.edit(&[acknowledge(&items)], 0).unwrap().unwrap();
    assert_eq!(kinds(&a), all[1..]);
    meet(&mut a, &mut b);
    assert_eq!(kinds(&b), all[1..]);
}
