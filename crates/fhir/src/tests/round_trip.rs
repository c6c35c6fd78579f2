use proptest::prelude::*;
use salus_record::model::*;

use super::arbitrary::content;
use super::read;
use crate::{ExportOptions, Limits, export_bundle, read_bytes};

const OPTIONS: ExportOptions = ExportOptions {
    time_ms: 1_763_800_000_123,
};

proptest! {
    // 256 records of about 15 items (a second, unoptimised); `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_reads_back_as_the_same_record(content in content()) {
        let text = export_bundle(&content, &OPTIONS);
        let import = read(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(import.patients.len(), 1);
        prop_assert_eq!(&import.patients[0].content, &content, "{}", text);
        // And the raw part of that import reads back too.
        let again = read_bytes(&import.patients[0].raw, &Limits::default()).unwrap();
        prop_assert_eq!(&again.patients[0].content, &content);
        prop_assert_eq!(again.patients[0].source_hash, import.patients[0].source_hash);
    }

    #[test]
    fn what_is_exported_holds_what_r4_requires(content in content()) {
        let text = export_bundle(&content, &OPTIONS);
        let bundle: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&bundle["timestamp"], "2025-11-22T08:26:40.123Z");
        let mut urls = std::collections::HashSet::new();
        for entry in bundle["entry"].as_array().unwrap() {
            prop_assert!(urls.insert(entry["fullUrl"].as_str().unwrap().to_owned()));
            let resource = entry["resource"].as_object().unwrap();
            // R4's elements of cardinality 1..1 and 1..*, by resource.
            let required: &[&str] = match resource["resourceType"].as_str().unwrap() {
                "Patient" => &[],
                "AllergyIntolerance" => &["patient"],
                "Condition" => &["subject"],
                "MedicationRequest" => &["status", "intent", "medicationCodeableConcept", "subject"],
                "MedicationStatement" => &["status", "medicationCodeableConcept", "subject"],
                "Observation" | "DiagnosticReport" => &["status", "code"],
                "Immunization" => &["status", "vaccineCode", "patient"],
                "Procedure" => &["status", "subject"],
                "Encounter" => &["status", "class"],
                "DocumentReference" => &["status", "content"],
                other => return Err(TestCaseError::fail(other.to_owned())),
            };
            for name in required {
                prop_assert!(
                    resource.contains_key(*name) || resource.contains_key(&format!("_{name}")),
                    "{} lacks {}", resource["resourceType"], name
                );
            }
        }
    }

    #[test]
    fn random_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_bytes(&bytes, &Limits::default());
    }

    #[test]
    fn changed_exports_give_an_answer(
        content in content(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = export_bundle(&content, &OPTIONS).into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read_bytes(&bytes, &Limits::default());
    }
}

#[test]
fn ids_that_are_not_fhirs_and_times_out_of_range_are_written_as_valid_r4() {
    let content = RecordContent {
        conditions: vec![Condition {
            id: "a b/c".into(),
            ..Condition::default()
        }],
        procedures: vec![Procedure {
            id: "x".into(),
            reason_conditions: vec!["a b/c".into()],
            ..Procedure::default()
        }],
        notes: vec![Note {
            id: "n".into(),
            created_ms: u64::MAX,
            ..Note::default()
        }],
        ..RecordContent::default()
    };
    let import = read(&export_bundle(&content, &OPTIONS)).unwrap();
    let back = &import.patients[0].content;
    assert!(crate::ids::is_id(&back.conditions[0].id));
    assert_eq!(
        back.procedures[0].reason_conditions,
        [back.conditions[0].id.as_str()]
    );
    assert_eq!(back.notes[0].created_ms, 253_402_207_200_999);
}

#[test]
fn an_item_and_the_patient_may_have_one_uuid() {
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned();
    let content = RecordContent {
        patient: Patient {
            source_id: Some(id.clone()),
            ..Patient::default()
        },
        conditions: vec![Condition {
            id,
            ..Condition::default()
        }],
        ..RecordContent::default()
    };
    assert_eq!(
        read(&export_bundle(&content, &OPTIONS)).unwrap().patients[0].content,
        content
    );
}

#[test]
fn what_a_resource_contains_twice_without_an_id_is_one_item() {
    let inner = r#"{"resourceType":"Observation","code":{"text":"weight"}}"#;
    let text = format!(r#"{{"resourceType":"Patient","id":"p","contained":[{inner},{inner}]}}"#);
    let import = crate::read_bytes(text.as_bytes(), &crate::Limits::default()).unwrap();
    let content = &import.patients[0].content;
    assert_eq!(content.observations.len(), 1);
    let options = crate::ExportOptions { time_ms: 0 };
    let exported = crate::export_bundle(content, &options);
    let again = crate::read_bytes(exported.as_bytes(), &crate::Limits::default()).unwrap();
    assert_eq!(&again.patients[0].content, content);
}
