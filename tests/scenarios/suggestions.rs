//! What a model says goes from one clinic to the other, and into the record only by a person's word.

use salus_api::{
    Auth, Inference, InferenceOutput, InputName, ModelName, Passphrase, Request, Response,
};

use crate::process::{Clinic, PASSPHRASE, two};

/// Writes an inference as the program's own classifier would, through the API.
fn infer(clinic: &Clinic, patient: &str, name: &str, uncertain: bool) -> String {
    let output = InferenceOutput {
        what: "category".into(),
        label: "pneumonia".into(),
        p: Some(0.9),
        note: Some("told by its origin".into()),
    };
    let inference = Inference {
        component: "imaging".into(),
        model: ModelName {
            name: "imaging".into(),
            version: "1.0".into(),
            weights: "ab".repeat(32),
        },
        input: InputName {
            hash: "cd".repeat(32),
            media_type: "image/png".into(),
            name: name.into(),
        },
        outputs: if uncertain { Vec::new() } else { vec![output] },
        uncertain,
        distance: Some(0.5),
        explanation: String::new(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = salus::connect::OpenOptions::default();
        let connection = salus::connect::open(&clinic.folder, &options)
            .await
            .unwrap();
        let auth = Auth::Passphrase {
            staff: None,
            passphrase: Passphrase::new(PASSPHRASE.to_owned()),
        };
        let request = Request::Infer {
            patient: patient.to_owned(),
            inference: Box::new(inference),
        };
        let Response::Added { id } = connection.client.call(auth, request).await.unwrap() else {
            unreachable!("an inference is answered with its id");
        };
        connection.close().await;
        id
    })
}

#[test]
fn a_suggestion_travels_and_enters_the_record_by_a_persons_word() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    let daemon = a.daemon();
    b.ok(&["sync"]);
    drop(daemon);
    let suggestion = infer(&b, &id, "chest.png", false);
    let unsure = infer(&b, &id, "holiday.jpg", true);
    // Through a daemon, as by a desk.
    let daemon = a.daemon();
    b.ok(&["sync"]);
    let found = a.lines(&["ai", "suggestions", &id]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1]["id"], suggestion.as_str());
    assert_eq!(
        (&found[1]["state"], &found[1]["label"], &found[1]["clinic"]),
        (&"open".into(), &"pneumonia".into(), &"Beta".into())
    );
    assert_eq!(found[0]["uncertain"], true);
    let before = a.json(&["patient", "show", &id]);
    assert!(before["diagnostic_reports"].as_array().unwrap().is_empty());
    assert_eq!(before["suggestions"].as_array().unwrap().len(), 2);

    a.fails(4, &["ai", "accept", &id, "0000"]);
    let said = a.fails(2, &["ai", "accept", &id, &unsure]);
    assert!(said.contains("--label"), "{said}");
    assert_eq!(
        a.run(&["ai", "reject", &id, &unsure]).status.code(),
        Some(2)
    );
    a.ok(&["ai", "reject", &id, &unsure[..12], "--why", "no x-ray"]);
    let said = a.ok(&["ai", "accept", &id, &suggestion[..12]]);
    assert!(said.contains("in the record now"), "{said}");
    let said = a.ok(&["ai", "accept", &id, &suggestion[..12]]);
    assert!(said.contains("Nothing to change"), "{said}");
    let view = a.json(&["patient", "show", &id]);
    let report = &view["diagnostic_reports"][0];
    assert_eq!(report["conclusion"], "pneumonia");
    let bundle = a.ok(&["export", &id]);
    assert!(bundle.contains("DiagnosticReport") && bundle.contains("pneumonia"));
    drop(daemon);

    let images = a.lines(&["images", "find", "--category", "Pneumonia"]);
    assert_eq!(images.len(), 1);
    assert_eq!(
        (&images[0]["state"], &images[0]["image"]),
        (&"accepted".into(), &"cd".repeat(32).into())
    );
    assert!(
        a.lines(&["images", "find", "--category", "normal"])
            .is_empty()
    );
    let log = a.ok(&["audit", "log", &id]);
    for words in ["suggests of chest.png: pneumonia", "rejected: no x-ray"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
}
