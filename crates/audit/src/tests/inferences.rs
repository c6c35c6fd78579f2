//! Answers of models: who may write them and decide about them, and which bodies are refused.

use super::world::*;
use crate::*;

/// Two categories of an image, the likelier one unreliable.
pub(super) fn inference() -> Inference {
    let output = |label: &str, p, note: Option<&str>| Output {
        what: "category".into(),
        label: label.into(),
        p: Some(p),
        note: note.map(str::to_owned),
    };
    Inference {
        component: "imaging".into(),
        model: Model {
            name: "imaging".into(),
            version: "1.0.0".into(),
            weights: [6; 32],
        },
        input: Input {
            hash: [7; 32],
            media_type: "image/png".into(),
            name: "chest.png".into(),
        },
        outputs: vec![
            output("pneumonia", 912_345, Some("told by its origin")),
            output("normal", 87_655, None),
        ],
        uncertain: false,
        distance: Some(412),
        explanation: "opacity at the right base".into(),
    }
}

#[test]
fn a_reading_clinics_physician_infers_and_decides_and_nobody_else_does() {
    let mut w = World::new();
    let mut third = Clinic::new(50);
    let eve = third.hire(60, &[Role::Physician]);
    w.rosters = rosters(&[&w.harbour, &w.hill, &third]);
    let grant = w
        .harbour
        .grant(&w.state, &w.ada, third.id, Right::Custodian);
    w.accept(grant);
    for kind in [Kind::Inference, Kind::Verdict] {
        let write = |state: &LogState, clinic: &mut Clinic, actor: &SigningKey| {
            let write = Write {
                actor,
                kind,
                scope: Some(Scope::Ai),
                epoch: state.current_epoch(),
                authority: clinic.heads(),
                payload: vec![1; 64],
            };
            clinic.write(state, write)
        };
        let by_custodian = write(&w.state, &mut third, &eve);
        assert_eq!(w.refused(&by_custodian), Refusal::Right);
        let by_nurse = {
            let (state, nils) = (w.state.clone(), w.nils.clone());
            write(&state, &mut w.harbour, &nils)
        };
        assert_eq!(w.refused(&by_nurse), Refusal::Role);
    }
    let grant = w.harbour.grant(&w.state, &w.ada, third.id, Right::Read);
    w.accept(grant);
    for kind in [Kind::Inference, Kind::Verdict] {
        let write = Write {
            actor: &eve,
            kind,
            scope: Some(Scope::Ai),
            epoch: w.state.current_epoch(),
            authority: third.heads(),
            payload: vec![1; 64],
        };
        let entry = third.write(&w.state, write);
        w.accept(entry);
    }
}

#[test]
fn what_contradicts_itself_or_a_bound_is_no_inference() {
    type Change = fn(&mut Inference);
    type Text = fn(&mut Inference) -> &mut String;
    let long = |bytes: usize| "x".repeat(bytes);
    assert_eq!(inference().check(), Ok(()));
    let changes: &[(&str, Change)] = &[
        ("component in capitals", |i| i.component = "Imaging".into()),
        ("no component", |i| i.component.clear()),
        ("long component", |i| {
            i.component = "x".repeat(MAX_WORD_BYTES + 1)
        }),
        ("no model", |i| i.model.name.clear()),
        ("no version", |i| i.model.version.clear()),
        ("nothing said, and certain", |i| i.outputs.clear()),
        ("more than certain", |i| i.outputs[0].p = Some(MILLION + 1)),
        ("rising", |i| i.outputs[1].p = Some(912_346)),
        ("a number after none", |i| i.outputs[0].p = None),
        ("one label twice", |i| {
            i.outputs[1].label = i.outputs[0].label.clone()
        }),
        ("no label", |i| i.outputs[1].label.clear()),
        ("an empty note", |i| i.outputs[1].note = Some(String::new())),
        ("a sort with a blank", |i| i.outputs[0].what = "a b".into()),
        ("too far", |i| i.distance = Some(MAX_DISTANCE + 1)),
        ("too many outputs", |i| {
            let one = i.outputs[1].clone();
            i.outputs = (0..=MAX_OUTPUTS)
                .map(|n| Output {
                    label: n.to_string(),
                    ..one.clone()
                })
                .collect();
        }),
    ];
    for (what, change) in changes {
        let mut wrong = inference();
        change(&mut wrong);
        assert!(wrong.check().is_err(), "{what}");
        let bytes = Body::Inference(Box::new(wrong)).encode();
        assert!(Body::decode(Kind::Inference, &bytes).is_err(), "{what}");
    }
    let texts: &[(usize, Text)] = &[
        (MAX_LABEL_BYTES, |i| &mut i.model.name),
        (MAX_LABEL_BYTES, |i| &mut i.model.version),
        (MAX_LABEL_BYTES, |i| &mut i.input.media_type),
        (MAX_FILE_NAME_BYTES, |i| &mut i.input.name),
        (MAX_LABEL_BYTES, |i| &mut i.outputs[0].label),
        (MAX_EXPLANATION_BYTES, |i| &mut i.explanation),
    ];
    for (most, text) in texts {
        let mut fits = inference();
        *text(&mut fits) = long(*most);
        let bytes = Body::Inference(Box::new(fits)).encode();
        assert!(Body::decode(Kind::Inference, &bytes).is_ok());
        let mut wrong = inference();
        *text(&mut wrong) = long(most + 1);
        let bytes = Body::Inference(Box::new(wrong)).encode();
        assert!(Body::decode(Kind::Inference, &bytes).is_err());
    }
    // Different sorts stand beside each other, each in its own order.
    let mut two_sorts = inference();
    two_sorts.outputs[1].what = "urgency".into();
    two_sorts.outputs[1].p = Some(MILLION);
    assert_eq!(two_sorts.check(), Ok(()));
}

#[test]
fn a_later_version_is_told_from_a_broken_body() {
    let later = |kind, first: u8| {
        // A longer array of a version that nobody knows yet.
        Body::decode(kind, &[0x89, first, 0, 0, 0, 0, 0, 0, 0, 0])
    };
    for kind in [Kind::Inference, Kind::Verdict] {
        assert!(matches!(later(kind, 2), Err(DecodeError::Version(_))));
        assert!(matches!(later(kind, 1), Err(DecodeError::Malformed(_))));
        assert!(Body::decode(kind, &[0x80]).is_err());
    }
}

#[test]
fn a_verdict_says_why_or_which() {
    let verdict = |decision| Body::Verdict {
        inference: EntryHash::from_bytes([1; 32]),
        decision,
    };
    let refused = [
        Decision::Reject { why: String::new() },
        Decision::Reject {
            why: "x".repeat(MAX_LINE_BYTES + 1),
        },
        Decision::Accept {
            label: Some(String::new()),
        },
        Decision::Accept {
            label: Some("x".repeat(MAX_LABEL_BYTES + 1)),
        },
    ];
    for decision in refused {
        assert!(decision.check().is_err());
        let bytes = verdict(decision).encode();
        assert!(Body::decode(Kind::Verdict, &bytes).is_err());
    }
    let body = verdict(Decision::Accept { label: None });
    assert_eq!(Body::decode(Kind::Verdict, &body.encode()), Ok(body));
}

#[test]
fn debug_shows_nothing_of_what_was_said() {
    let body = Body::Inference(Box::new(inference()));
    let shown = format!("{body:?} {:?} {:?}", inference().input, inference().outputs);
    assert!(
        !shown.contains("pneumonia") && !shown.contains("chest"),
        "{shown}"
    );
}
