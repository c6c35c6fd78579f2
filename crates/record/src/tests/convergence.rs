//! Replicas converge: random histories, random exchange.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Phone(u8),
    City(Option<u8>),
    Condition {
        id: u8,
        status: u8,
        note: Option<u8>,
    },
    Dose {
        id: u8,
        mg: u8,
    },
    NewNote {
        id: u8,
    },
    EditNote {
        id: u8,
        at: usize,
        cut: usize,
        put: String,
    },
    AppendNote {
        id: u8,
        text: String,
    },
    Stop {
        id: u8,
    },
    Settle {
        which: usize,
        value: usize,
    },
    Source(u8),
    Receive {
        from: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u8..3;
    prop_oneof![
        any::<u8>().prop_map(Step::Phone),
        proptest::option::of(0_u8..4).prop_map(Step::City),
        (id.clone(), 0_u8..3, proptest::option::of(0_u8..3))
            .prop_map(|(id, status, note)| Step::Condition { id, status, note }),
        (id.clone(), 1_u8..5).prop_map(|(id, mg)| Step::Dose { id, mg }),
        id.clone().prop_map(|id| Step::NewNote { id }),
        (id.clone(), 0_usize..30, 0_usize..5, "[a-zå😀 ]{0,6}")
            .prop_map(|(id, at, cut, put)| Step::EditNote { id, at, cut, put }),
        (id.clone(), "[a-z]{1,4}").prop_map(|(id, text)| Step::AppendNote { id, text }),
        id.clone().prop_map(|id| Step::Stop { id }),
        (0_usize..4, 0_usize..4).prop_map(|(which, value)| Step::Settle { which, value }),
        id.prop_map(Step::Source),
        (0_usize..3).prop_map(|from| Step::Receive { from }),
    ]
}

/// The edit of a step, if it makes sense in this record.
fn edit_of(step: &Step, record: &Record) -> Option<Edit> {
    Some(match step {
        Step::Phone(n) => set("phone", &n.to_string()),
        Step::City(n) => Edit::SetPatient {
            path: "address.city".into(),
            value: n.map(|n| format!("City {n}")),
        },
        Step::Condition { id, status, note } => {
            let mut item = condition(&format!("c{id}"), "Asthma");
            item.clinical_status =
                Some(["active", "remission", "resolved"][*status as usize].into());
            item.note = note.map(|n| format!("remark {n}"));
            Edit::Put(Item::Condition(item))
        }
        Step::Dose { id, mg } => Edit::Put(Item::Medication(medication(
            &format!("m{id}"),
            &format!("{mg}.50"),
        ))),
        Step::NewNote { id } => Edit::NewNote(note(&format!("n{id}"), "Begun")),
        Step::EditNote { id, at, cut, put } => {
            let id = format!("n{id}");
            let notes = record.view().content.notes;
            let old = notes.iter().find(|n| n.id == id)?.text.clone();
            let mut text: String = old.chars().take(*at).collect();
            text.push_str(put);
            text.extend(old.chars().skip(*at + *cut));
            Edit::EditNote { id, text }
        }
        Step::AppendNote { id, text } => Edit::AppendNote {
            id: format!("n{id}"),
            text: text.clone(),
        },
        Step::Stop { id } => Edit::Stop {
            collection: Collection::Medications,
            id: format!("m{id}"),
            at: "2026-11-22".into(),
            why: None,
        },
        Step::Settle { which, value } => {
            let conflicts = record.conflicts();
            let conflict = conflicts.get(*which)?;
            let choice = conflict.values.get(*value)?.value.clone();
            Edit::Resolve {
                path: conflict.path.clone(),
                choice,
            }
        }
        Step::Source(n) => Edit::Source {
            hash: [*n; 32],
            name: format!("{n}.json"),
            time_ms: 1,
        },
        Step::Receive { .. } => return None,
    })
}

proptest! {
    #[test]
    fn replicas_converge_whatever_is_edited_and_however_changes_travel(
        steps in proptest::collection::vec((0_usize..3, step()), 1..40),
        order in any::<u64>(),
    ) {
        let mut all = replicas(3);
        let mut scopes = HashMap::new();
        for (at, step) in &steps {
            if let Step::Receive { from } = step {
                if from != at {
                    let source = all[*from].clone();
                    send(&source, &mut all[*at]);
                }
                continue;
            }
            let Some(edit) = edit_of(step, &all[*at]) else { continue };
            let before = all[*at].heads();
            match all[*at].edit(&[edit], NOW_MS) {
                Ok(Some(change)) => {
                    prop_assert_eq!(all[*at].heads(), vec![change.hash]);
                    scopes.insert(change.hash, change.scope);
                }
                Ok(None) | Err(EditError::NoSuchItem { .. }) => {
                    prop_assert_eq!(all[*at].heads(), before);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        for round in 0..2 {
            for n in 0..3 {
                let source = all[(n + 1 + round) % 3].clone();
                send(&source, &mut all[n]);
            }
        }
        let first = all[0].clone();
        for other in &all[1..] {
            prop_assert_eq!(other.heads(), first.heads());
            prop_assert_eq!(other.view(), first.view());
            prop_assert_eq!(other.conflicts(), first.conflicts());
        }
        prop_assert_eq!(first.view().problems, vec![]);

        // A newcomer gets everything in any order, each change in its declared scope, in two parts.
        let mut changes: Vec<Vec<u8>> = first.changes_since(&[]);
        let half = changes.len() / 2;
        let mut rest = changes.split_off(half);
        shuffle(&mut changes, order);
        shuffle(&mut rest, order.rotate_left(7));
        let mut newcomer = Record::new(actor(9));
        for part in [changes, rest] {
            let declared = part.into_iter().map(|bytes| {
                let meta = inspect_change(&bytes).unwrap();
                let by: [u8; 16] = meta.actor.clone().try_into().unwrap();
                match scopes.get(&meta.hash) {
                    Some(scope) => Incoming::new(bytes, *scope, by),
                    None => Incoming::from(bytes),
                }
            });
            newcomer.apply(declared, Trust::Foreign).unwrap();
        }
        prop_assert_eq!(newcomer.heads(), first.heads());
        prop_assert_eq!(newcomer.view(), first.view());
        prop_assert_eq!(newcomer.conflicts(), first.conflicts());

        // Once all conflicts are settled at one place, none is left anywhere.
        let mut settled = first;
        while let Some(conflict) = settled.conflicts().first() {
            let choice = conflict.values[0].value.clone();
            let before = settled.conflicts().len();
            settled.edit(&[Edit::Resolve { path: conflict.path.clone(), choice }], 0).unwrap();
            prop_assert!(settled.conflicts().len() < before);
        }
        send(&settled, &mut newcomer);
        prop_assert_eq!(newcomer.conflicts(), vec![]);
        let loaded = load(&newcomer.save(), actor(9)).unwrap();
        prop_assert_eq!(loaded.view(), settled.view());
    }
}

/// Fisher-Yates with a linear congruential generator (Knuth's MMIX constants).
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, usize::try_from(seed >> 33).unwrap() % (at + 1));
    }
}
