use salus_record::model::*;

use super::{PATIENT, bundle, of_p, read};
use crate::{PatientImport, read_bytes};

/// Reads a collection of patient `p` and these resources.
fn p_with(resources: &[&str]) -> PatientImport {
    let all = [&[PATIENT], resources].concat();
    let mut import = read(&bundle("collection", &all)).unwrap();
    assert!(import.left_out.is_empty());
    import.patients.remove(0)
}

#[test]
fn a_patient_is_read_whole() {
    let import = read(
        r#"{"resourceType":"Patient","id":"p-1",
            "extension":[{"url":"http://x"}],
            "identifier":[
                {"system":"http://a","value":"A1"},
                {"system":"http://h","value":"MRN7","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]}}],
            "name":[{"use":"maiden","family":"Old"},
                {"use":"official","family":"Ünal","given":["Ayşe",null],"_given":[null,{"extension":[]}],"prefix":["Dr."]}],
            "telecom":[{"system":"email","value":"a@b"},{"system":"phone","use":"home","value":"1"},{"system":"phone","value":"2"}],
            "gender":"female","birthDate":"1970-01","deceasedBoolean":true,
            "address":[{"use":"work","city":"Here"},{"use":"home","line":["1 Way"],"postalCode":"00100"}],
            "maritalStatus":{"text":"M"},
            "communication":[{"language":{"text":"tr"}},{"language":{"text":"de"},"preferred":true}],
            "photo":[{"data":"AAAA"}]}"#,
    )
    .unwrap();
    let one = &import.patients[0];
    assert_eq!(one.source_id, "p-1");
    assert_eq!(
        one.content.patient,
        Patient {
            mrn: Some("MRN7".into()),
            source_id: Some("p-1".into()),
            family: Some("Ünal".into()),
            given: vec!["Ayşe".into()],
            prefix: vec!["Dr.".into()],
            birth_date: Some("1970-01".into()),
            sex: Sex::Female,
            deceased: Some("true".into()),
            phone: Some("1".into()),
            email: Some("a@b".into()),
            address: Some(Address {
                line: vec!["1 Way".into()],
                postal_code: Some("00100".into()),
                ..Address::default()
            }),
            marital_status: Some(CodeableConcept::text("M")),
            language: Some(CodeableConcept::text("de")),
            identifiers: vec![Identifier {
                system: Some("http://a".into()),
                value: Some("A1".into()),
                kind: None,
            }],
            ..Patient::default()
        }
    );
    let unmodelled: Vec<_> = one.report.unmodelled.iter().collect();
    assert_eq!(
        unmodelled,
        [
            ("Patient.address", 1),
            ("Patient.communication", 1),
            ("Patient.extension", 1),
            ("Patient.identifier.system", 1),
            ("Patient.name", 1),
            ("Patient.name._given", 1),
            ("Patient.photo", 1),
            ("Patient.telecom", 1),
        ]
    );
}

#[test]
fn every_value_of_an_observation_is_read_with_its_digits() {
    let q = |value: &str| Quantity {
        value: Some(value.parse().unwrap()),
        ..Quantity::default()
    };
    for (more, value) in [
        (
            r#""valueQuantity":{"value":120.50}"#,
            ObservationValue::Quantity(q("120.50")),
        ),
        (
            r#""valueQuantity":{"value":-1E-3}"#,
            ObservationValue::Quantity(q("-1E-3")),
        ),
        (
            r#""valueCodeableConcept":{"text":"A+"}"#,
            ObservationValue::Concept(CodeableConcept::text("A+")),
        ),
        (
            r#""valueString":"x\ny""#,
            ObservationValue::String("x\ny".into()),
        ),
        (r#""valueBoolean":false"#, ObservationValue::Boolean(false)),
        (r#""valueInteger":-7"#, ObservationValue::Integer(-7)),
        (
            r#""valueDateTime":"2020-01""#,
            ObservationValue::DateTime("2020-01".into()),
        ),
        (
            r#""valueTime":"10:11:12""#,
            ObservationValue::Time("10:11:12".into()),
        ),
        (
            r#""valuePeriod":{"start":"2020"}"#,
            ObservationValue::Period(Period {
                start: Some("2020".into()),
                end: None,
            }),
        ),
        (
            r#""valueRange":{"low":{"value":1.0}}"#,
            ObservationValue::Range {
                low: Some(q("1.0")),
                high: None,
            },
        ),
        (
            r#""valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}"#,
            ObservationValue::Ratio {
                numerator: Some(q("1")),
                denominator: Some(q("128")),
            },
        ),
    ] {
        let one = p_with(&[&of_p("Observation", "o", more)]);
        assert_eq!(one.content.observations[0].value, Some(value), "{more}");
        assert!(one.report.unmodelled.is_empty());
    }
    let one = p_with(&[&of_p(
        "Observation",
        "o",
        r#""status":"final","dataAbsentReason":{"text":"refused"},
            "interpretation":[{"text":"H"}],"referenceRange":[{"low":{"value":1},"text":"1 up"},{"appliesTo":[{"text":"all"}]}],
            "component":[{"code":{"text":"s"},"valueQuantity":{"value":1,"comparator":"<"},"dataAbsentReason":{"text":"r"}}],
            "valueSampledData":{"origin":{"value":0}},"effectiveInstant":"2020-01-01T10:00:00Z""#,
    )]);
    let o = &one.content.observations[0];
    assert_eq!(o.data_absent_reason, Some(CodeableConcept::text("refused")));
    assert_eq!(o.interpretation, [CodeableConcept::text("H")]);
    assert_eq!(o.reference_range.len(), 1);
    assert_eq!(
        o.components[0].data_absent_reason,
        Some(CodeableConcept::text("r"))
    );
    assert_eq!(
        o.effective,
        Some(Timing::DateTime("2020-01-01T10:00:00Z".into()))
    );
    assert_eq!(one.report.unmodelled.get("Observation.valueSampledData"), 1);
    assert_eq!(
        one.report
            .unmodelled
            .get("Observation.referenceRange.appliesTo"),
        1
    );
}

#[test]
fn a_report_brings_its_results_contained_or_referenced() {
    let one = p_with(&[
        &of_p("Observation", "o1", r#""code":{"text":"bundled"}"#),
        &of_p(
            "DiagnosticReport",
            "d",
            r##""contained":[
                {"resourceType":"Observation","id":"in","code":{"text":"contained"},"hasMember":[{"reference":"#two"}]},
                {"resourceType":"Observation","id":"two","code":{"text":"nested"}}],
            "result":[{"reference":"#in"},{"reference":"Observation/o1","display":"x"}],
            "presentedForm":[{"contentType":"application/pdf","data":"AAAA"},{"contentType":"text/plain","data":"T0s="}],
            "performer":[{"reference":"#org-nowhere"},{"display":"Lab"}]"##,
        ),
    ]);
    let names: Vec<_> = one
        .content
        .observations
        .iter()
        .map(|o| o.code.label())
        .collect();
    assert_eq!(names, ["bundled", "contained", "nested"]);
    let ids: Vec<_> = one
        .content
        .observations
        .iter()
        .map(|o| o.id.as_str())
        .collect();
    let report = &one.content.diagnostic_reports[0];
    assert_eq!(report.results, [ids[1], "o1"]);
    assert_eq!(one.content.observations[1].members, [ids[2]]);
    assert_eq!(report.text.as_deref(), Some("OK"));
    assert_eq!(report.performer, ["#org-nowhere", "Lab"]);
    assert_eq!(one.report.typed.get("Observation"), 3);
    assert_eq!(one.report.kept_raw.total(), 0);
}

#[test]
fn a_medicine_is_found_wherever_it_is_named() {
    let medication = r#"{"resourceType":"Medication","id":"m","code":{"text":"Aspirin"},"form":{"text":"pill"}}"#;
    let bundled = of_p(
        "MedicationRequest",
        "r",
        r#""medicationReference":{"reference":"urn:uuid:m"}"#,
    );
    let contained = of_p(
        "MedicationStatement",
        "s",
        r##""contained":[{"resourceType":"Medication","id":"x","ingredient":[{"itemCodeableConcept":{"text":"Iron"}}]}],
            "medicationReference":{"reference":"#x"},"dosage":[{"asNeededCodeableConcept":{"text":"pain"}},{"patientInstruction":"x"}],
            "dateAsserted":"2020","informationSource":{"reference":"Practitioner/elsewhere"}"##,
    );
    let named = of_p(
        "MedicationStatement",
        "t",
        r#""medicationReference":{"reference":"https://a.example/Medication/9","display":"Zinc"}"#,
    );
    let one = p_with(&[medication, &bundled, &contained, &named]);
    let names: Vec<_> = one
        .content
        .medications
        .iter()
        .map(|m| m.code.label())
        .collect();
    assert_eq!(names, ["Aspirin", "Iron", "Zinc"]);
    let statement = &one.content.medications[1];
    assert_eq!(statement.kind, MedicationKind::MedicationStatement);
    assert_eq!(statement.dosage.len(), 1);
    assert_eq!(statement.dosage[0].as_needed, Some(true));
    assert_eq!(
        statement.requester.as_deref(),
        Some("Practitioner/elsewhere")
    );
    assert_eq!(one.report.kept_raw.get("Medication"), 1);
}

#[test]
fn what_must_not_be_misread_is_only_kept() {
    let one = p_with(&[
        &of_p(
            "MedicationRequest",
            "not",
            r#""doNotPerform":true,"medicationCodeableConcept":{"text":"Penicillin"}"#,
        ),
        &of_p(
            "MedicationRequest",
            "do",
            r#""doNotPerform":false,"medicationCodeableConcept":{"text":"Iron"}"#,
        ),
        &of_p(
            "Condition",
            "c1",
            r#""modifierExtension":[{"url":"http://x/not"}],"code":{"text":"Cancer"}"#,
        ),
        &of_p(
            "Encounter",
            "e",
            r#""modifierExtension":[{"url":"http://x/not"}]"#,
        ),
        &of_p(
            "Observation",
            "o1",
            r#""component":[{"modifierExtension":[{"url":"u"}],"code":{"text":"a"}}]"#,
        ),
        &of_p(
            "Observation",
            "o2",
            r#""encounter":{"reference":"Encounter/e"},"code":{"text":"b"}"#,
        ),
        r#"{"resourceType":"Group","id":"g"}"#,
        r#"{"resourceType":"Observation","id":"o3","subject":{"reference":"Group/g"},"code":{"text":"c"}}"#,
    ]);
    assert_eq!(one.content.medications.len(), 1);
    assert_eq!(one.content.medications[0].code.label(), "Iron");
    assert!(one.content.conditions.is_empty() && one.content.encounters.is_empty());
    assert_eq!(one.content.observations.len(), 1);
    assert_eq!(one.content.observations[0].encounter, None);
    assert_eq!(one.report.kept_raw.get("MedicationRequest"), 1);
    assert_eq!(one.report.kept_raw.get("Observation"), 2);
    assert!(String::from_utf8(one.raw).unwrap().contains("Penicillin"));
}

#[test]
fn people_and_places_are_kept_by_name() {
    let one = p_with(&[
        r#"{"resourceType":"Practitioner","id":"d","name":[{"prefix":["Dr."],"given":["Ada"],"family":"Ng"}]}"#,
        r#"{"resourceType":"Organization","id":"h","name":"Hospital"}"#,
        r#"{"resourceType":"PractitionerRole","id":"r","practitioner":{"reference":"Practitioner/d"}}"#,
        &of_p(
            "Encounter",
            "e",
            r#""participant":[{"individual":{"reference":"Practitioner/d"}},{"individual":{"reference":"PractitionerRole/r"}},
                {"individual":{"reference":"urn:uuid:d","display":"as written"}},{"individual":{"identifier":{"value":"NPI1"}}},
                {"individual":{"reference":"Practitioner?identifier=1"}}],
            "serviceProvider":{"reference":"Organization/h"}"#,
        ),
    ]);
    let encounter = &one.content.encounters[0];
    assert_eq!(
        encounter.participants,
        [
            "Dr. Ada Ng",
            "Dr. Ada Ng",
            "as written",
            "NPI1",
            "Practitioner?identifier=1"
        ]
    );
    assert_eq!(encounter.service_provider.as_deref(), Some("Hospital"));
}

#[test]
fn times_come_in_all_their_forms() {
    let onset = |more: &str| {
        p_with(&[&of_p("Condition", "c", more)])
            .content
            .conditions
            .remove(0)
            .onset
    };
    let years = |n: &str| Quantity {
        value: Some(n.parse().unwrap()),
        unit: Some("a".into()),
        ..Quantity::default()
    };
    assert_eq!(
        onset(r#""onsetDateTime":"2020""#),
        Some(Timing::DateTime("2020".into()))
    );
    assert_eq!(
        onset(r#""onsetString":"as a child""#),
        Some(Timing::Text("as a child".into()))
    );
    assert_eq!(
        onset(r#""onsetAge":{"value":7,"unit":"a"}"#),
        Some(Timing::Age(years("7")))
    );
    assert_eq!(
        onset(r#""onsetRange":{"low":{"value":7,"unit":"a"},"high":{"value":9,"unit":"a"}}"#),
        Some(Timing::Text("7 a – 9 a".into()))
    );
    let once = of_p(
        "Observation",
        "o",
        r#""effectiveTiming":{"event":["2020-01-02"]}"#,
    );
    assert_eq!(
        p_with(&[&once]).content.observations[0].effective,
        Some(Timing::DateTime("2020-01-02".into()))
    );
}

#[test]
fn absent_and_unknown_data_come_in_as_what_they_are() {
    let one = p_with(&[
        &of_p(
            "AllergyIntolerance",
            "a",
            r#""clinicalStatus":{"coding":[{"code":"active"}]},"code":{"coding":[{"system":"http://snomed.info/sct","code":"716186003","display":"No known allergy",
            "_display":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/translation"}]}}]}"#,
        ),
        &of_p(
            "MedicationStatement",
            "m",
            r#""_status":{"extension":[{"url":"u"}]},"medicationCodeableConcept":{"coding":[{"code":"no-medication-info"}]},
            "effectivePeriod":{"_start":{"extension":[{"url":"u"}]}}"#,
        ),
    ]);
    let allergy = &one.content.allergies[0];
    assert!(allergy.code.has("http://snomed.info/sct", "716186003"));
    assert_eq!(allergy.clinical_status.as_deref(), Some("active"));
    let medication = &one.content.medications[0];
    assert_eq!(
        (medication.status.as_deref(), &medication.effective),
        (None, &None)
    );
    assert_eq!(
        one.report
            .unmodelled
            .get("AllergyIntolerance.code.coding._display"),
        1
    );
}

#[test]
fn references_of_every_form_are_followed() {
    let text = r#"{"resourceType":"Bundle","type":"searchset","entry":[
        {"fullUrl":"https://a.example/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
        {"fullUrl":"https://a.example/fhir/Encounter/e","resource":{"resourceType":"Encounter","id":"e","subject":{"reference":"https://a.example/fhir/Patient/1/_history/2"}}},
        {"fullUrl":"https://a.example/fhir/Condition/c1","resource":{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/1"},"encounter":{"reference":"Encounter/e"}}},
        {"fullUrl":"https://a.example/fhir/Condition/c2","resource":{"resourceType":"Condition","id":"c2","subject":{"reference":"https://b.example/Patient/1"},"encounter":{"reference":"Encounter/on-the-server"}}},
        {"fullUrl":"https://a.example/fhir/Condition/c3","resource":{"resourceType":"Condition","id":"c3","subject":{"reference":"1"},"encounter":{"reference":"urn:uuid:e"}}}]}"#;
    let import = read(text).unwrap();
    let one = &import.patients[0];
    let encounters: Vec<_> = one
        .content
        .conditions
        .iter()
        .map(|c| c.encounter.as_deref())
        .collect();
    assert_eq!(encounters, [Some("e"), None, Some("e")]);
    assert_eq!(one.report.unmodelled.get("Condition.encounter"), 1);
    // The raw part reads as the same again.
    let again = read_bytes(&one.raw, &crate::Limits::default()).unwrap();
    assert_eq!(again.patients[0].content, one.content);
    assert_eq!(again.patients[0].source_hash, one.source_hash);
}

#[test]
fn ids_are_unique_stable_and_fit() {
    let long = "x".repeat(65);
    let resources = [
        of_p("Condition", "same", ""),
        of_p("Procedure", "same", ""),
        of_p("Condition", "with/slash", ""),
        of_p("Condition", &long, ""),
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/p"},"code":{"text":"nameless"}}"#.to_owned(),
    ];
    let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
    let ids = |one: &PatientImport| {
        let c = one.content.conditions.iter().map(|c| c.id.clone());
        let mut ids: Vec<_> = c
            .chain(one.content.procedures.iter().map(|p| p.id.clone()))
            .collect();
        ids.sort();
        ids
    };
    let p_with = |resources: &[&str]| {
        let lines = [&[PATIENT], resources].concat().join("\n");
        read(&lines).unwrap().patients.remove(0)
    };
    let first = ids(&p_with(&resources));
    assert_eq!(first.len(), 5);
    assert!(first.windows(2).all(|w| w[0] != w[1]));
    assert!(
        first
            .iter()
            .all(|id| crate::ids::is_id(id) && id.len() == 32),
        "{first:?}"
    );
    let reversed: Vec<&str> = resources.iter().rev().copied().collect();
    assert_eq!(ids(&p_with(&reversed)), first);
    let url = r#"{"resourceType":"Bundle","type":"batch","entry":[
        {"fullUrl":"urn:uuid:aa-1","resource":{"resourceType":"Patient"}},
        {"fullUrl":"http://a/Condition/c9","resource":{"resourceType":"Condition","subject":{"reference":"urn:uuid:aa-1"}}}]}"#;
    let import = read(url).unwrap();
    assert_eq!(import.patients[0].source_id, "aa-1");
    assert_eq!(import.patients[0].content.patient.source_id, None);
    assert_eq!(import.patients[0].content.conditions[0].id, "c9");
}

#[test]
fn several_patients_are_taken_apart() {
    let of_q = |resource_type: &str, id: &str| {
        of_p(resource_type, id, "").replace("Patient/p", "Patient/q")
    };
    let text = [
        PATIENT,
        r#"{"resourceType":"Patient","id":"q"}"#,
        &of_p("Condition", "c", r#""recorder":{"reference":"Practitioner/d"}"#),
        &of_q("Condition", "k"),
        r#"{"resourceType":"Practitioner","id":"d","extension":[{"valueReference":{"reference":"Organization/h"}}]}"#,
        r#"{"resourceType":"Organization","id":"h"}"#,
        r#"{"resourceType":"Organization","id":"nobodys"}"#,
        r#"{"resourceType":"Provenance","id":"v","target":[{"reference":"Condition/k"}]}"#,
        r#"{"resourceType":"List","id":"l","entry":[{"item":{"reference":"Condition/k"}},{"item":{"reference":"Condition/c"}}]}"#,
    ]
    .join("\n");
    let import = read(&text).unwrap();
    let [p, q] = &import.patients[..] else {
        panic!("{import:?}")
    };
    assert_eq!((p.source_id.as_str(), q.source_id.as_str()), ("p", "q"));
    assert_eq!(
        (
            p.content.conditions[0].id.as_str(),
            q.content.conditions[0].id.as_str()
        ),
        ("c", "k")
    );
    let kept = |one: &PatientImport| {
        one.report
            .kept_raw
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(p), ["Organization 1", "Practitioner 1"]);
    assert_eq!(kept(q), ["Provenance 1"]);
    let left: Vec<_> = import.left_out.iter().collect();
    assert_eq!(left, [("List", 1), ("Organization", 1)]);
    // The patient alone, in another container and order, is the same source.
    let alone = [
        r#"{"resourceType":"Organization","id":"h"}"#,
        r#"{"resourceType":"Practitioner","id":"d","extension":[{"valueReference":{"reference":"Organization/h"}}]}"#,
        &of_p(
            "Condition",
            "c",
            r#""recorder":{"reference":"Practitioner/d"}"#,
        ),
        PATIENT,
    ];
    let alone = read(&bundle("transaction", &alone).replace("\":", "\" :\n ")).unwrap();
    assert_eq!(alone.patients[0].source_hash, p.source_hash);
    assert_ne!(p.source_hash, q.source_hash);
}

#[test]
fn plain_text_documents_become_notes_and_others_are_kept() {
    let document = |id: &str, content: &str| {
        of_p(
            "DocumentReference",
            id,
            &format!(
                r#""status":"current","date":"2020-01-01T00:00:00Z","author":[{{"display":"Dr. Ng"}}],"content":[{{"attachment":{content}}}]"#
            ),
        )
    };
    let one = p_with(&[
        &document(
            "a",
            r#"{"contentType":"text/plain;charset=utf-8","data":"SMOkbA=="}"#,
        ),
        &document("b", r#"{"contentType":"application/pdf","data":"AAAA"}"#),
        &document(
            "c",
            r#"{"contentType":"text/plain","url":"http://a/x.txt"}"#,
        ),
        &document("d", r#"{"contentType":"text/plain","data":"!!"}"#),
        &document("e", r#"{"contentType":"text/plain","data":"/w=="}"#),
        &document("f", r#"{"contentType":"text/plain","data":"QQ=="}"#)
            .replace("current", "superseded"),
    ]);
    assert_eq!(
        one.content.notes,
        [Note {
            id: "a".into(),
            created_ms: 1_577_836_800_000,
            author: "Dr. Ng".into(),
            encounter: None,
            text: "Häl".into(),
        }]
    );
    assert_eq!(one.report.kept_raw.get("DocumentReference"), 5);
    assert!(
        one.report.unmodelled.is_empty(),
        "{:?}",
        one.report.unmodelled
    );
}
