//! Two clinics, one record.

use std::collections::HashMap;

use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT, ReadDoc};

use super::*;

#[test]
fn passages_written_into_one_note_apart_both_stay() {
    let (mut a, mut b) = pair();
    edit(
        &mut a,
        Edit::NewNote(note("n1", "Coughs since Monday. Fever 38.")),
    );
    exchange(&mut a, &mut b);
    let text = |t: &str| Edit::EditNote {
        id: "n1".into(),
        text: t.into(),
    };
    edit(&mut a, text("Coughs since last Monday. Fever 38."));
    edit(&mut b, text("Coughs since Monday. Fever 38.5, sweats."));
    edit(
        &mut b,
        Edit::AppendNote {
            id: "n1".into(),
            text: "Ærlig: 😀 better".into(),
        },
    );
    exchange(&mut a, &mut b);
    let merged = "Coughs since last Monday. Fever 38.5, sweats.\nÆrlig: 😀 better";
    assert_eq!(a.view().content.notes[0].text, merged);
    assert_eq!(a.conflicts(), []);
}

#[test]
fn a_conflict_is_seen_on_both_sides_and_gone_on_both_once_settled() {
    let (mut a, mut b) = pair();
    edit(&mut a, set("phone", "555-0"));
    exchange(&mut a, &mut b);
    let from_a = edit(&mut a, set("phone", "555-1"));
    let from_b = edit(&mut b, set("phone", "555-2"));
    exchange(&mut a, &mut b);

    let [conflict] = &a.conflicts()[..] else {
        panic!("one conflict")
    };
    assert_eq!(
        (conflict.path.as_str(), conflict.label.as_str()),
        ("patient/phone", "phone")
    );
    let found: HashMap<[u8; 32], (String, Vec<u8>)> = conflict
        .values
        .iter()
        .map(|v| {
            (
                v.change,
                (v.value.as_str().unwrap().to_owned(), v.actor.clone()),
            )
        })
        .collect();
    assert_eq!(found[&from_a.hash], ("555-1".to_owned(), actor(0).to_vec()));
    assert_eq!(found[&from_b.hash], ("555-2".to_owned(), actor(1).to_vec()));
    let shown = a.view().content.patient.phone.unwrap();
    assert!(conflict.values[0].winner && conflict.values[0].value == shown);

    // Settling for the winner, for the loser and for a third value all work.
    for choice in ["555-1", "555-2", "555-3"] {
        let (mut a, mut b) = (a.clone(), b.clone());
        edit(
            &mut b,
            Edit::Resolve {
                path: "patient/phone".into(),
                choice: choice.into(),
            },
        );
        exchange(&mut a, &mut b);
        assert_eq!(a.conflicts(), []);
        assert_eq!(a.view().content.patient.phone.as_deref(), Some(choice));
    }
    edit(
        &mut a,
        Edit::Resolve {
            path: "patient/phone".into(),
            choice: serde_json::Value::Null,
        },
    );
    exchange(&mut a, &mut b);
    assert_eq!(
        (b.conflicts().len(), b.view().content.patient.phone),
        (0, None)
    );
}

#[test]
fn two_doses_written_apart_are_a_conflict_of_whole_doses() {
    let (mut a, mut b) = pair();
    edit(&mut a, Edit::Put(Item::Medication(medication("m1", "500"))));
    exchange(&mut a, &mut b);
    edit(&mut a, Edit::Put(Item::Medication(medication("m1", "850"))));
    edit(
        &mut b,
        Edit::Put(Item::Medication(medication("m1", "1000"))),
    );
    exchange(&mut a, &mut b);
    let conflicts = a.conflicts();
    assert_eq!(conflicts[0].path, "medications/m1/dosage");
    assert_eq!(conflicts[0].label, "dosage of medication Metformin");
    let doses: Vec<String> = conflicts[0]
        .values
        .iter()
        .map(|v| v.value[0]["dose"]["value"].to_string())
        .collect();
    assert!(doses.contains(&"850".to_owned()) && doses.contains(&"1000".to_owned()));

    let choice = conflicts[0].values[1].value.clone();
    let path = conflicts[0].path.clone();
    let wrong = Edit::Resolve {
        path: path.clone(),
        choice: "ten".into(),
    };
    assert!(matches!(
        a.edit(&[wrong], 0),
        Err(EditError::Invalid { .. })
    ));
    edit(
        &mut a,
        Edit::Resolve {
            path,
            choice: choice.clone(),
        },
    );
    exchange(&mut a, &mut b);
    assert_eq!(b.conflicts(), []);
    let shown = serde_json::to_value(&b.view().content.medications[0].dosage).unwrap();
    assert_eq!(shown, choice);
}

#[test]
fn the_same_value_written_twice_is_no_conflict() {
    let (mut a, mut b) = pair();
    edit(&mut a, set("phone", "555"));
    edit(&mut b, set("phone", "555"));
    exchange(&mut a, &mut b);
    assert_eq!(a.conflicts(), []);
}

#[test]
fn one_bundle_imported_at_two_clinics_is_one_record() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    let mut other = content();
    other.conditions[0].clinical_status = Some("remission".into());
    other.conditions[0].severity = Some(CodeableConcept::text("mild"));
    other.notes[0].text = "Feels ill.".into();
    b.import(Edit::all(other), NOW_MS + 1).unwrap();
    exchange(&mut a, &mut b);

    let view = a.view();
    assert_eq!(view.content.conditions.len(), 1);
    assert_eq!(
        view.content.conditions[0].severity,
        Some(CodeableConcept::text("mild"))
    );
    assert_eq!(view.problems, []);
    let conflicts = a.conflicts();
    let paths: Vec<&str> = conflicts.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["conditions/c1/clinical_status", "notes/n1/text"]);
    for conflict in &conflicts {
        let choice = conflict.values[1].value.clone();
        edit(
            &mut b,
            Edit::Resolve {
                path: conflict.path.clone(),
                choice,
            },
        );
    }
    exchange(&mut a, &mut b);
    assert_eq!(a.conflicts(), []);

    // An edit of a field brings it into one place; a removal removes it in both.
    let mut item = a.view().content.conditions[0].clone();
    item.severity = None;
    item.onset = Some(Timing::DateTime("1999".into()));
    edit(&mut a, Edit::Put(Item::Condition(item.clone())));
    exchange(&mut a, &mut b);
    assert_eq!(b.view().content.conditions, [item]);
    assert_eq!(b.conflicts(), []);
}

#[test]
fn what_a_later_version_wrote_is_kept() {
    let (mut a, mut b) = pair();
    edit(
        &mut a,
        Edit::Put(Item::Observation(content().observations.remove(0))),
    );
    exchange(&mut a, &mut b);
    // The later version, at B: a field, a collection and a kind of value that we do not know.
    let mut doc = b.doc.clone();
    let mut tx = doc.transaction();
    let plans = tx.put_object(ROOT, "care_plans", ObjType::Map).unwrap();
    tx.put(&plans, "p1", "rest").unwrap();
    let (_, all) = tx.get(ROOT, "observations").unwrap().unwrap();
    let (_, item) = tx.get(&all, "o1").unwrap().unwrap();
    tx.put(&item, "device", "thermometer 7").unwrap();
    tx.put(&item, "value", br#"{"sampled_data":[1,2]}"#.to_vec())
        .unwrap();
    tx.commit();
    let new = doc.get_changes(&b.doc.get_heads())[0].raw_bytes().to_vec();
    a.apply([(new, Some(Scope::Observation))], Trust::Foreign)
        .unwrap();
    assert_eq!(a.view().problems[0].path, "observations/o1/value");

    let mut item = a.view().content.observations[0].clone();
    assert_eq!(item.value, None);
    item.status = Some("amended".into());
    edit(&mut a, Edit::Put(Item::Observation(item)));
    let text = format!("{:?}", a.doc.hydrate(None));
    for kept in ["care_plans", "rest", "thermometer 7"] {
        assert!(text.contains(kept), "{kept}");
    }
    assert_eq!(a.view().problems.len(), 1);
    assert_eq!(
        a.view().content.observations[0].status.as_deref(),
        Some("amended")
    );
}

fn resolve(path: &str, choice: impl Into<serde_json::Value>) -> Edit {
    Edit::Resolve {
        path: path.into(),
        choice: choice.into(),
    }
}

#[test]
fn a_value_that_the_resolver_did_not_know_stays_a_conflict() {
    let [mut a, mut b, mut c] = <[Record; 3]>::try_from(replicas(3)).unwrap();
    edit(&mut a, set("phone", "555-1"));
    edit(&mut b, set("phone", "555-2"));
    edit(&mut c, set("phone", "555-3"));
    exchange(&mut a, &mut b);
    edit(&mut a, resolve("patient/phone", "555-2"));
    exchange(&mut a, &mut b);
    assert_eq!(b.conflicts(), []);
    send(&c, &mut b);
    exchange(&mut a, &mut b);
    send(&a, &mut c);
    for record in [&a, &b, &c] {
        let conflicts = record.conflicts();
        let values = conflicts[0]
            .values
            .iter()
            .map(|v| v.value.as_str().unwrap());
        let mut values: Vec<&str> = values.collect();
        values.sort_unstable();
        assert_eq!(values, ["555-2", "555-3"]);
    }
    // The same for two who choose apart, and for who removes.
    edit(&mut a, resolve("patient/phone", serde_json::Value::Null));
    edit(&mut b, resolve("patient/phone", "555-4"));
    exchange(&mut a, &mut b);
    assert_eq!(a.view().content.patient.phone.as_deref(), Some("555-4"));
    assert_eq!(a.conflicts(), []);
}

#[test]
fn another_value_is_held_to_the_rules_of_an_ordinary_edit() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    exchange(&mut a, &mut b);
    for record in [&mut a, &mut b] {
        let mut item = record.view().content.conditions[0].clone();
        let heads = record.actor()[0];
        item.onset = Some(Timing::DateTime(format!("20{:02}", heads % 90 + 10)));
        record.edit(&[Edit::Put(Item::Condition(item))], 0).unwrap();
    }
    edit(&mut a, set("birth_date", "1931-05-18"));
    edit(&mut b, set("birth_date", "1932-05-17"));
    // An older program let this through.
    let odd = super::hostile::crafted(&b, 1, |tx| {
        let (_, patient) = tx.get(ROOT, "patient").unwrap().unwrap();
        tx.put(&patient, "email", "nobody").unwrap();
    });
    b.apply([odd], Trust::Foreign).unwrap();
    edit(&mut a, set("email", "ada@example.org"));
    exchange(&mut a, &mut b);
    assert_eq!(a.conflicts().len(), 3);

    let timing = |at: &str| serde_json::json!({ "date_time": at });
    for (path, bad) in [
        ("patient/birth_date", "1931-02-30".into()),
        ("patient/birth_date", " 1931-02-28".into()),
        ("patient/birth_date", 1931.into()),
        ("patient/email", "somebody".into()),
        ("patient/phone", "1\n2".into()),
        ("patient/given", serde_json::json!(["Ada", "Lou\tise"])),
        ("patient/address", serde_json::json!({ "city": " " })),
        ("conditions/c1/onset", timing("last spring")),
        (
            "conditions/c1/onset",
            serde_json::json!({ "period": { "start": "2026-13" } }),
        ),
        ("conditions/c1/recorded_date", "yesterday".into()),
        ("conditions/c1/note", serde_json::json!(["x"])),
    ] {
        let error = a.edit(&[resolve(path, bad.clone())], 0).unwrap_err();
        assert!(
            matches!(error, EditError::Invalid { .. }),
            "{path} {bad}: {error}"
        );
    }
    for (path, good) in [
        ("patient/birth_date", "1931-05-19".into()),
        ("patient/email", "nobody".into()),
        ("patient/given", serde_json::json!(["Ada", "Louise"])),
        (
            "patient/address",
            serde_json::json!({ "city": "Bergen", "line": ["Gate 1"] }),
        ),
        ("conditions/c1/onset", timing("2019-03")),
        (
            "conditions/c1/onset",
            serde_json::json!({ "text": "last spring" }),
        ),
    ] {
        let made = a.edit(&[resolve(path, good.clone())], 0);
        assert!(matches!(made, Ok(Some(_))), "{path} {good}: {made:?}");
    }
    exchange(&mut a, &mut b);
    assert_eq!(b.conflicts(), []);
    assert_eq!(
        b.view().content.patient.birth_date.as_deref(),
        Some("1931-05-19")
    );
}

#[test]
fn a_change_is_found_by_its_place_in_its_chain() {
    let (mut a, mut b) = pair();
    let first = a.heads()[0];
    let one = edit(&mut a, set("phone", "1"));
    let two = edit(&mut b, set("phone", "2"));
    let three = edit(&mut a, set("phone", "3"));
    exchange(&mut a, &mut b);
    assert_eq!(b.change_place(&first), Some((actor(0), 1)));
    assert_eq!(b.change_place(&one.hash), Some((actor(0), 2)));
    assert_eq!(b.change_place(&two.hash), Some((actor(1), 1)));
    assert_eq!(b.change_place(&three.hash), Some((actor(0), 3)));
    assert_eq!(b.change_place(&[7; 32]), None);
}

#[test]
fn a_record_of_some_of_the_changes_is_the_record_as_it_was() {
    let (mut a, mut b) = pair();
    a.import(Edit::all(content()), NOW_MS).unwrap();
    exchange(&mut a, &mut b);
    let mut then = Vec::new();
    for n in 0..30 {
        let record = if n % 3 == 0 { &mut b } else { &mut a };
        edit(record, set("phone", &n.to_string()));
        if n % 5 == 0 {
            exchange(&mut a, &mut b);
        }
        then.push((
            a.changes_since(&[]),
            a.heads(),
            a.view(),
            a.conflicts(),
            a.concerns(),
        ));
    }
    for (changes, heads, view, conflicts, concerns) in then {
        let mut record = Record::new(actor(5));
        record.apply(changes, Trust::Own).unwrap();
        assert_eq!(record.heads(), heads);
        assert_eq!((record.view(), record.conflicts()), (view, conflicts));
        assert_eq!(record.concerns(), concerns);
    }
}
