//! Typed edits of one record, and what its history says of them.

use super::*;

#[test]
fn what_is_imported_is_what_the_view_shows_and_importing_again_changes_nothing() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    let mut edits = Edit::all(content());
    edits.push(Edit::Source {
        hash: [7; 32],
        name: "ada.json".into(),
        time_ms: 5,
    });
    let changes = record.import(edits.clone(), NOW_MS).unwrap();
    assert_eq!(
        changes.iter().map(|c| c.scope).collect::<Vec<_>>(),
        [
            Scope::Demographics,
            Scope::Clinical,
            Scope::Observation,
            Scope::Note
        ]
    );
    let view = record.view();
    assert_eq!(view.content, content());
    assert!(view.has_source(&[7; 32]) && view.problems.is_empty());
    assert_eq!(view.sources[0].name, "ada.json");

    assert_eq!(record.import(edits.clone(), NOW_MS + 9).unwrap(), []);
    for edit in edits {
        assert_eq!(record.edit(&[edit], NOW_MS + 9).unwrap(), None);
    }
}

#[test]
fn an_edit_writes_only_what_differs_and_removes_what_became_empty() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    edit(
        &mut record,
        Edit::Put(Item::Condition(condition("c1", "Asthma"))),
    );
    let mut changed = condition("c1", "Asthma");
    changed.clinical_status = Some("remission".into());
    changed.onset = None;
    let change = edit(&mut record, Edit::Put(Item::Condition(changed.clone())));
    assert_eq!(change.ops, 2);
    assert_eq!(record.view().content.conditions, [changed]);
}

#[test]
fn edits_of_two_scopes_make_no_change() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    let heads = record.heads();
    let edits = [
        set("phone", "1"),
        Edit::Put(Item::Condition(condition("c", "x"))),
    ];
    let error = record.edit(&edits, 0).unwrap_err();
    assert_eq!(
        error,
        EditError::MixedScopes {
            first: Scope::Demographics,
            other: Scope::Clinical
        }
    );
    assert_eq!(record.heads(), heads);
}

#[test]
fn a_failing_edit_takes_the_others_of_its_change_with_it() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    let before = record.save();
    for bad in [
        set("birth_date", "1931-02-30"),
        set("planet", "Mars"),
        Edit::Resolve {
            path: "patient/planet".into(),
            choice: "x".into(),
        },
    ] {
        assert!(record.edit(&[set("phone", "1"), bad], 0).is_err());
        assert_eq!(record.save(), before);
    }
    edit(&mut record, set("phone", "1"));
    assert_eq!(record.view().content.patient.phone.as_deref(), Some("1"));
}

#[test]
fn stopping_says_so_in_the_words_of_each_type() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    record.import(Edit::all(content()), NOW_MS).unwrap();
    let stop = |collection, id: &str| Edit::Stop {
        collection,
        id: id.into(),
        at: "2026-11-22".into(),
        why: Some("side effects".into()),
    };
    edit(&mut record, stop(Collection::Medications, "m1"));
    edit(&mut record, stop(Collection::Conditions, "c1"));
    edit(&mut record, stop(Collection::Allergies, "a1"));
    let content = record.view().content;
    assert_eq!(content.medications[0].status.as_deref(), Some("stopped"));
    assert_eq!(
        content.medications[0].status_reason.as_deref(),
        Some("side effects")
    );
    assert_eq!(
        content.medications[0].effective,
        Some(Timing::Period(Period {
            start: None,
            end: Some("2026-11-22".into())
        }))
    );
    assert_eq!(
        content.conditions[0].clinical_status.as_deref(),
        Some("resolved")
    );
    assert_eq!(
        content.conditions[0].abatement,
        Some(Timing::DateTime("2026-11-22".into()))
    );
    assert_eq!(
        content.allergies[0].note.as_deref(),
        Some("resolved 2026-11-22: side effects")
    );
    let refused = |edit| record.clone().edit(&[edit], 0).unwrap_err();
    assert_eq!(
        refused(stop(Collection::Medications, "nope")),
        EditError::NoSuchItem {
            collection: Collection::Medications
        }
    );
    assert_eq!(
        refused(stop(Collection::Procedures, "p1")),
        EditError::CannotStop {
            collection: Collection::Procedures
        }
    );
}

#[test]
fn a_record_that_has_not_begun_takes_no_edit() {
    let mut record = Record::new(actor(0));
    assert!(!record.is_created());
    assert_eq!(
        record.edit(&[set("phone", "1")], 0).unwrap_err(),
        EditError::NotCreated
    );
    assert_eq!(record.view(), RecordView::default());
    assert_eq!(record.conflicts(), []);
}

#[test]
fn too_much_for_one_change_is_refused_and_an_import_splits_it() {
    let (mut record, _) = Record::create(actor(0), NOW_MS).unwrap();
    let items: Vec<Edit> = (0..40)
        .map(|n| {
            let mut item = condition(&format!("c{n}"), "x");
            item.note = Some("x".repeat(60_000));
            Edit::Put(Item::Condition(item))
        })
        .collect();
    let before = record.heads();
    assert_eq!(record.edit(&items, 0).unwrap_err(), EditError::TooLarge);
    assert_eq!(record.heads(), before);
    let changes = record.import(items, 0).unwrap();
    assert!(changes.len() > 1);
    assert!(changes.iter().all(|c| c.bytes.len() <= MAX_CHANGE_BYTES));
    assert_eq!(record.view().content.conditions.len(), 40);

    let mut long = condition("long", "x");
    long.note = Some("x".repeat(MAX_FIELD_BYTES + 1));
    let long = Edit::Put(Item::Condition(long));
    assert!(matches!(
        record.edit(&[long], 0),
        Err(EditError::TooLong { .. })
    ));
    let long = Edit::NewNote(note("n", &"x".repeat(MAX_NOTE_BYTES + 1)));
    assert!(matches!(
        record.edit(&[long], 0),
        Err(EditError::TooLong { .. })
    ));
    let full: String = ('a'..='z').cycle().take(MAX_NOTE_BYTES).collect();
    edit(&mut record, Edit::NewNote(note("n", &full)));
    let other: String = ('A'..='Z').cycle().take(MAX_NOTE_BYTES).collect();
    let replaced = edit(
        &mut record,
        Edit::EditNote {
            id: "n".into(),
            text: other.clone(),
        },
    );
    assert!(
        replaced.bytes.len() < MAX_CHANGE_BYTES,
        "{}",
        replaced.bytes.len()
    );
    assert_eq!(record.view().content.notes[0].text, other);
}

#[test]
fn history_says_in_words_what_a_change_did() {
    let (mut a, mut b) = pair();
    let lines = |record: &Record, change: &Change| record.describe_change(&change.hash);
    assert_eq!(a.describe_change(&a.heads()[0]), ["record created"]);
    let c = edit(&mut a, set("phone", "555-1"));
    assert_eq!(lines(&a, &c), ["phone: 555-1"]);
    let c = edit(&mut a, set("phone", "555-2"));
    assert_eq!(lines(&a, &c), ["phone: 555-1 -> 555-2"]);
    let c = edit(&mut a, Edit::Put(Item::Medication(medication("m1", "500"))));
    assert_eq!(lines(&a, &c), ["medication Metformin added"]);
    let c = edit(&mut a, Edit::Put(Item::Medication(medication("m1", "850"))));
    assert_eq!(
        lines(&a, &c),
        ["medication Metformin, dosage: 500 mg -> 850 mg"]
    );
    let c = edit(&mut a, Edit::NewNote(note("n1", "Well")));
    assert_eq!(lines(&a, &c), ["note of Dr A added, 4 characters"]);
    let c = edit(
        &mut a,
        Edit::AppendNote {
            id: "n1".into(),
            text: "again".into(),
        },
    );
    assert_eq!(
        lines(&a, &c),
        ["note of Dr A edited, 6 characters added, 0 removed"]
    );
    let c = edit(
        &mut a,
        Edit::SetPatient {
            path: "phone".into(),
            value: None,
        },
    );
    assert_eq!(lines(&a, &c), ["phone removed (was 555-2)"]);
    let many = (0..200).map(|n| Edit::Put(Item::Condition(condition(&format!("c{n}"), "x"))));
    let c = a.edit(&many.collect::<Vec<_>>(), 0).unwrap().unwrap();
    assert_eq!(lines(&a, &c), ["200 conditions added"]);
    let stop = |n| Edit::Stop {
        collection: Collection::Conditions,
        id: format!("c{n}"),
        at: "2026".into(),
        why: None,
    };
    let c = a
        .edit(&(0..200).map(stop).collect::<Vec<_>>(), 0)
        .unwrap()
        .unwrap();
    assert_eq!(lines(&a, &c).len(), MAX_DESCRIPTION_LINES);

    // Seen from another clinic, one change at a time, whatever else is concurrent.
    let other = edit(&mut b, set("phone", "777"));
    exchange(&mut a, &mut b);
    assert_eq!(lines(&a, &other), ["phone: 777"]);
    assert_eq!(a.describe(&a.heads(), &a.heads()), Vec::<String>::new());
}

#[test]
fn an_actor_is_one_for_a_chain_and_a_log() {
    assert_eq!(actor_for([1; 32], [2; 32]), actor_for([1; 32], [2; 32]));
    assert_ne!(actor_for([1; 32], [2; 32]), actor_for([2; 32], [1; 32]));
    assert_ne!(actor_for([1; 32], [2; 32]), actor_for([1; 32], [3; 32]));
}

#[test]
fn many_new_items_in_one_change_are_as_if_made_one_by_one() {
    let (empty, _) = Record::create(actor(0), NOW_MS).unwrap();
    let mut edits: Vec<Edit> = (0..30)
        .map(|n| Edit::Put(Item::Condition(condition(&format!("c{n}"), "x"))))
        .collect();
    // The same item again, one that is changed before it was written, and a source.
    edits.push(Edit::Put(Item::Condition(condition("c3", "Asthma"))));
    edits.push(Edit::Put(Item::Medication(medication("m1", "500"))));
    edits.extend((30..50).map(|n| Edit::Put(Item::Condition(condition(&format!("c{n}"), "y")))));
    edits.push(Edit::Stop {
        collection: Collection::Conditions,
        id: "c7".into(),
        at: "2026".into(),
        why: None,
    });
    edits.extend((50..70).map(|n| Edit::Put(Item::Condition(condition(&format!("c{n}"), "z")))));
    edits.push(Edit::Source {
        hash: [1; 32],
        name: "x".into(),
        time_ms: 2,
    });

    let mut together = empty.clone();
    let change = together.edit(&edits, NOW_MS).unwrap().unwrap();
    let mut apart = empty.clone();
    for one in &edits {
        apart.edit(std::slice::from_ref(one), NOW_MS).unwrap();
    }
    assert_eq!(together.view(), apart.view());
    assert_eq!(together.view().content.conditions.len(), 70);
    assert_eq!(together.heads(), [change.hash]);

    // The writer goes on, and others can follow.
    edit(&mut together, set("phone", "1"));
    let mut other = Record::new(actor(1));
    other
        .apply(together.changes_since(&[]), Trust::Foreign)
        .unwrap();
    assert_eq!(other.view(), together.view());
    assert_eq!(together.edit(&edits[..3], NOW_MS).unwrap(), None);
}

#[test]
fn a_record_can_be_used_from_any_thread() {
    fn sendable<T: Send + Sync>(_: &T) {}
    sendable(&Record::new(actor(0)));
}
