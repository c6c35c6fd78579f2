//! What is accepted can be read again from each patient's raw part, and gives the same.

use super::{PATIENT, bundle, of_p, read};
use crate::{Import, ImportError, Limits, PatientImport, read_bytes};

const OTHER_PATIENT: &str = r#"{"resourceType":"Patient","id":"q","name":[{"family":"Noor"}]}"#;

fn of_q(resource_type: &str, id: &str, more: &str) -> String {
    of_p(resource_type, id, more).replace("Patient/p", "Patient/q")
}

/// Reads every raw part and compares.
fn check_again(import: &Import, limits: &Limits, about: &str) {
    for one in &import.patients {
        let again = match read_bytes(&one.raw, limits) {
            Ok(again) => again,
            Err(error) => panic!("{about}: {error}"),
        };
        let [same] = &again.patients[..] else {
            panic!("{about}: {again:?}")
        };
        assert_eq!(same.source_id, one.source_id, "{about}");
        assert_eq!(same.source_hash, one.source_hash, "{about}");
        assert_eq!(same.content, one.content, "{about}");
        assert_eq!(same.report, one.report, "{about}");
        assert_eq!(same.raw, one.raw, "{about}");
    }
}

fn broken(text: &str) -> String {
    match read(text) {
        Err(error @ ImportError::BrokenReference { .. }) => error.to_string(),
        other => panic!("{other:?}\n{text}"),
    }
}

/// Two patients with something of everything, by id: theirs, shared, and what names both.
fn two_patients() -> Vec<String> {
    vec![
        PATIENT.to_owned(),
        OTHER_PATIENT.to_owned(),
        of_p("Encounter", "ep", ""),
        of_q("Encounter", "eq", ""),
        of_p("Condition", "cp", r#""code":{"text":"a"}"#),
        of_q("Condition", "cq", r#""code":{"text":"a"}"#),
        of_p("Observation", "op", r#""code":{"text":"a"}"#),
        of_q("Observation", "oq", r#""code":{"text":"a"}"#),
        of_q("CarePlan", "kq", ""),
        of_q("DocumentReference", "dq", ""),
        r#"{"resourceType":"Organization","id":"h","name":"Quay"}"#.to_owned(),
        r#"{"resourceType":"Device","id":"v","owner":{"reference":"Organization/h"}}"#.to_owned(),
        r#"{"resourceType":"Medication","id":"m","code":{"text":"b"}}"#.to_owned(),
        r#"{"resourceType":"Medication","id":"mq","code":{"text":"b"},"extension":[{"url":"x","valueReference":{"reference":"Patient/q"}}]}"#.to_owned(),
        r#"{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/p"}},{"entity":{"reference":"Patient/q"}}]}"#.to_owned(),
        r#"{"resourceType":"Group","id":"gq","member":[{"entity":{"reference":"Patient/q"}}]}"#.to_owned(),
        // About a group and a device: nobody's.
        r#"{"resourceType":"Encounter","id":"eg","subject":{"reference":"Group/g"}}"#.to_owned(),
        r#"{"resourceType":"Encounter","id":"ev","subject":{"reference":"urn:uuid:v"}}"#.to_owned(),
    ]
}

/// The targets that do not go with patient `p`.
const ELSEWHERE: [&str; 9] = ["q", "eq", "cq", "oq", "kq", "dq", "mq", "g", "gq"];

/// The ways to name a resource that [`bundle`] gave a fullUrl.
fn names(resource: &str) -> [(String, String); 3] {
    let value: serde_json::Value = serde_json::from_str(resource).unwrap();
    let id = value["id"].as_str().unwrap();
    let resource_type = value["resourceType"].as_str().unwrap();
    [
        format!("{resource_type}/{id}"),
        format!("urn:uuid:{id}"),
        id.to_owned(),
    ]
    .map(|name| (id.to_owned(), name))
}

/// Every element whose reference is read, with `@` for the reference.
const ELEMENTS: [(&str, &str); 17] = [
    ("DiagnosticReport", r#""result":[{"reference":"@"}]"#),
    ("DiagnosticReport", r#""encounter":{"reference":"@"}"#),
    ("Observation", r#""hasMember":[{"reference":"@"}]"#),
    ("Observation", r#""encounter":{"reference":"@"}"#),
    ("Condition", r#""encounter":{"reference":"@"}"#),
    ("AllergyIntolerance", r#""encounter":{"reference":"@"}"#),
    ("Immunization", r#""encounter":{"reference":"@"}"#),
    ("Procedure", r#""encounter":{"reference":"@"}"#),
    ("Procedure", r#""reasonReference":[{"reference":"@"}]"#),
    ("Encounter", r#""reasonReference":[{"reference":"@"}]"#),
    (
        "MedicationRequest",
        r#""medicationCodeableConcept":{"text":"b"},"encounter":{"reference":"@"}"#,
    ),
    (
        "MedicationRequest",
        r#""medicationCodeableConcept":{"text":"b"},"reasonReference":[{"reference":"@"}]"#,
    ),
    (
        "MedicationStatement",
        r#""medicationCodeableConcept":{"text":"b"},"context":{"reference":"@"}"#,
    ),
    (
        "MedicationRequest",
        r#""medicationReference":{"reference":"@","display":"b"}"#,
    ),
    (
        "DocumentReference",
        r#""content":[{"attachment":{"contentType":"text/plain","data":"YQ=="}}],"context":{"encounter":[{"reference":"@"}]}"#,
    ),
    // In a contained resource.
    (
        "Observation",
        r##""contained":[{"resourceType":"Condition","id":"i","code":{"text":"a"},"encounter":{"reference":"@"}}]"##,
    ),
    (
        "Observation",
        r##""contained":[{"resourceType":"Condition","id":"i","subject":{"reference":"@"}}]"##,
    ),
];

#[test]
fn a_link_to_what_does_not_go_with_the_patient_is_refused_and_any_other_is_read_again() {
    let world = two_patients();
    let mut accepted = 0;
    for (resource_type, element) in ELEMENTS {
        for (id, name) in world.iter().flat_map(|resource| names(resource)) {
            let more = element.replace('@', &name);
            let resource = of_p(resource_type, "x", &more);
            let mut all: Vec<&str> = world.iter().map(String::as_str).collect();
            all.push(&resource);
            let text = bundle("collection", &all);
            // A group's encounter leads to the group, and to no other's record by itself.
            let refused = ELSEWHERE.contains(&id.as_str()) || id == "eg";
            if refused {
                let said = broken(&text);
                assert!(
                    said.contains("it belongs to another patient")
                        || said.contains("it names several patients"),
                    "{said}"
                );
                continue;
            }
            match read(&text) {
                Ok(import) => {
                    accepted += 1;
                    check_again(&import, &Limits::default(), &more);
                }
                Err(error) => assert!(
                    matches!(error, ImportError::BrokenReference { .. }),
                    "{more}: {error}"
                ),
            }
        }
    }
    // Most of what belongs to the patient or to nobody.
    assert!(accepted > 250, "{accepted}");
}

#[test]
fn what_is_about_another_patients_group_is_read_again_or_refused() {
    let world = two_patients();
    for (resource_type, more) in [
        ("CarePlan", r#""author":{"reference":"Patient/p"}"#),
        (
            "DocumentReference",
            r#""author":[{"reference":"Patient/p"}]"#,
        ),
        ("Condition", r#""recorder":{"reference":"Patient/p"}"#),
    ] {
        for (id, name) in world.iter().flat_map(|resource| names(resource)) {
            let resource = of_p(resource_type, "x", more).replacen("Patient/p", &name, 1);
            let mut all: Vec<&str> = world.iter().map(String::as_str).collect();
            all.push(&resource);
            match read(&bundle("collection", &all)) {
                Ok(import) => check_again(&import, &Limits::default(), &resource),
                Err(error) => {
                    assert!(
                        error
                            .to_string()
                            .contains(".subject is a broken reference, "),
                        "{resource}: {error}"
                    );
                    assert!(!["p", "op", "h", "v"].contains(&id.as_str()), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_contained_condition_of_another_patient_is_refused() {
    let family = of_p(
        "Observation",
        "o",
        r#""contained":[{"resourceType":"Condition","id":"i","subject":{"reference":"Patient/q"}}]"#,
    );
    let said = broken(&bundle("collection", &[PATIENT, OTHER_PATIENT, &family]));
    assert!(
        said.ends_with(
            "Condition.subject is a broken reference, \"Patient/q\": it belongs to another patient"
        ),
        "{said}"
    );
}

#[test]
fn another_patients_name_is_not_copied() {
    let by_mother = of_p(
        "Observation",
        "o",
        r#""performer":[{"reference":"Patient/q"}]"#,
    );
    let import = read(&bundle("collection", &[PATIENT, OTHER_PATIENT, &by_mother])).unwrap();
    let [p, _] = &import.patients[..] else {
        panic!("{import:?}")
    };
    let performer = format!("{:?}", p.content.observations[0].performer);
    assert!(performer.contains("Patient/q"), "{performer}");
    assert!(!performer.contains("Noor"), "{performer}");
    check_again(&import, &Limits::default(), "a mother");
}

#[test]
fn what_is_repeated_under_another_url_can_still_be_named_by_it() {
    let condition = of_p(
        "Condition",
        "c",
        r#""encounter":{"reference":"urn:uuid:2"}"#,
    )
    .replace("Patient/p", "urn:uuid:1");
    let encounter = of_p("Encounter", "e", "");
    let entry =
        |url: &str, resource: &str| format!(r#"{{"fullUrl":"{url}","resource":{resource}}}"#);
    for others in ["", OTHER_PATIENT] {
        let mut entries = vec![
            entry("urn:uuid:a", PATIENT),
            entry("urn:uuid:b", &encounter),
            entry("urn:uuid:1", PATIENT),
            entry("urn:uuid:2", &encounter),
            entry("urn:uuid:2", &encounter),
            format!(r#"{{"resource":{condition}}}"#),
        ];
        if !others.is_empty() {
            entries.push(format!(r#"{{"resource":{others}}}"#));
        }
        let text = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#,
            entries.join(",")
        );
        let import = read(&text).unwrap();
        let PatientImport { content, raw, .. } = &import.patients[0];
        assert_eq!(content.conditions[0].encounter.as_deref(), Some("e"));
        // Once for each name.
        let raw = String::from_utf8(raw.clone()).unwrap();
        assert_eq!(raw.matches(r#""Encounter""#).count(), 2, "{raw}");
        check_again(&import, &Limits::default(), "repeats");
    }
}

#[test]
fn an_id_that_several_resources_have_is_nobodys() {
    let said = broken(&bundle(
        "collection",
        &[
            &PATIENT.replace("\"p\"", "\"x\""),
            OTHER_PATIENT,
            r#"{"resourceType":"Group","id":"x2","member":[{"entity":{"reference":"Patient/q"}}]}"#,
            r#"{"resourceType":"DocumentReference","id":"d","subject":{"reference":"x"},"status":5}"#,
        ],
    )
    .replace("\"id\":\"x2\"", "\"id\":\"x\""));
    assert!(
        said.ends_with("\"x\": several resources have that id"),
        "{said}"
    );
}

/// A Patient with an element that nests so deep that the whole does `levels`.
fn deep(levels: usize) -> String {
    let [open, close] = ["[", "]"].map(|bracket| bracket.repeat(levels - 1));
    format!(r#"{{"resourceType":"Patient","id":"p","x":{open}{close}}}"#)
}

#[test]
fn a_resource_alone_may_nest_as_deep_as_in_the_bundle_that_keeps_it() {
    let limits = Limits::default();
    let deepest = limits.max_depth - 3;
    let in_bundle = |levels| bundle("collection", &[&deep(levels)]);
    for text in [
        deep(deepest),
        format!("\n{}\n", deep(deepest)),
        in_bundle(deepest),
    ] {
        check_again(&read(&text).unwrap(), &limits, "as deep as may be");
    }
    let alone = read(&format!("\u{feff}\n{}", deep(deepest + 1))).unwrap_err();
    assert_eq!(
        alone.to_string(),
        // 39 bytes, then the 61st bracket.
        "JSON nested deeper than 61 levels at line 2 column 100"
    );
    assert!(matches!(
        read(&in_bundle(deepest + 1)),
        Err(ImportError::TooDeep { limit: 64, .. })
    ));
}

#[test]
fn what_would_not_fit_the_limits_once_kept_is_refused() {
    let text = deep(3);
    let with = |max_bytes| Limits {
        max_bytes,
        ..Limits::default()
    };
    let needed = read(&text).unwrap().patients[0].raw.len() as u64;
    let limits = with(needed);
    check_again(
        &read_bytes(text.as_bytes(), &limits).unwrap(),
        &limits,
        "it just fits",
    );
    assert!(matches!(
        read_bytes(text.as_bytes(), &with(needed - 1)),
        Err(ImportError::PatientTooLarge { .. })
    ));
}
