use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{PATIENT, bundle, of_p, read};
use crate::{ImportError, Limits, read_bytes, read_file};

/// A Bundle with one of most things.
fn rich() -> String {
    bundle(
        "transaction",
        &[
            r#"{"resourceType":"Patient","id":"p","name":[{"family":"Ünal","given":["Ay\u015fe"]}],"birthDate":"1970-01-31"}"#,
            &of_p(
                "Encounter",
                "e",
                r#""class":{"code":"AMB"},"period":{"start":"2020-01-01T10:00:00Z"}"#,
            ),
            &of_p(
                "Condition",
                "c",
                r#""code":{"text":"Asthma"},"encounter":{"reference":"urn:uuid:e"}"#,
            ),
            &of_p(
                "Observation",
                "o",
                r#""code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120.50,"unit":"mmHg"}"#,
            ),
            &of_p(
                "DiagnosticReport",
                "d",
                r#""code":{"text":"Panel"},"result":[{"reference":"Observation/o"}]"#,
            ),
            &of_p("Claim", "x", r#""item":[{"sequence":1}]"#),
        ],
    )
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let text = rich();
    assert!(read(&text).is_ok());
    for len in (0..text.len()).filter(|len| text.is_char_boundary(*len)) {
        match read(&text[..len]).unwrap_err() {
            ImportError::Empty => assert_eq!(len, 0),
            ImportError::Truncated(at) => assert_eq!((at.line, at.column), (1, len), "{len}"),
            other => panic!("{len}: {other}"),
        }
    }
    // In the middle of a character.
    let at = text.find('Ü').unwrap() + 1;
    let cut = read_bytes(&text.as_bytes()[..at], &Limits::default()).unwrap_err();
    assert!(matches!(cut, ImportError::NotUtf8 { .. }), "{cut}");
}

#[test]
fn a_compressed_file_cut_off_anywhere_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(rich().as_bytes()).unwrap();
    let file = encoder.finish().unwrap();
    assert!(read_bytes(&file, &Limits::default()).is_ok());
    for len in 0..file.len() {
        assert!(
            read_bytes(&file[..len], &Limits::default()).is_err(),
            "{len}"
        );
    }
}

#[test]
fn any_changed_byte_gives_an_answer_and_no_panic() {
    let text = rich().into_bytes();
    let mut changed = text.clone();
    for at in 0..text.len() {
        for byte in [0u8, b'"', b'{', b'}', b'[', b',', b'9', b'\\', 0xff] {
            changed[at] = byte;
            let _ = read_bytes(&changed, &Limits::default());
        }
        changed[at] = text[at];
    }
}

#[test]
fn broken_syntax_is_placed() {
    let said = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        said("{\"resourceType\":\"Bundle\",\n  \"type\" \"batch\"}"),
        "not valid JSON at line 2 column 10: expected `:`"
    );
    assert!(
        said("{\"resourceType\":\"Patient\"} and more").starts_with("not valid JSON at line 1")
    );
    assert!(said("{\"resourceType\":\"Patient\",}").starts_with("not valid JSON"));
    assert!(said("{\"resourceType\":\"Patient\",\"a\":01}").contains("invalid number"));
}

#[test]
fn deep_nesting_is_refused_wherever_it_is_and_never_recursed_into() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for text in [
        format!(r#"{{"resourceType":"Patient","name":{deep}}}"#),
        bundle("batch", &[PATIENT]).replace("\"id\":\"p\"", &format!("\"x\":{deep}")),
        format!(r#"{{"resourceType":"Bundle","type":"batch","entry":{deep}}}"#),
    ] {
        assert!(matches!(
            read(&text),
            Err(ImportError::TooDeep { limit: 64, .. })
        ));
    }
}

#[test]
fn what_is_not_fhir_is_called_so() {
    let said = |text: &str| read(text).unwrap_err().to_string();
    assert!(said("{}").contains("no resourceType"));
    assert!(said(r#"{"resourceType":5}"#).contains("not FHIR"));
    assert!(said(r#"{"resourceType":"Patient\u0000"}"#).contains("not FHIR"));
    assert!(
        said("{\"resourceType\":\"Patient\"}\n5")
            .contains("it holds a number for a resource (line 2 column 1)")
    );
    assert_eq!(
        said(r#"{"resourceType":"Bundle","type":"history","entry":[]}"#),
        "a Bundle of type \"history\" cannot be imported"
    );
    assert!(said(r#"{"resourceType":"Bundle"}"#).contains("(none)"));
    assert_eq!(
        said(&bundle("batch", &[])),
        "there is no Patient resource in the file"
    );
    assert_eq!(
        said(r#"{"resourceType":"Organization","name":"x"}"#),
        "there is no Patient resource in the file"
    );
    assert!(
        said(r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#)
            .contains("Bundle.entry should be an array")
    );
    assert!(
        said(r#"{"resourceType":"Bundle","type":"batch","entry":[{},5]}"#)
            .starts_with("entry 2 (Bundle), line 1 column 53")
    );
    assert!(
        said(r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{}}]}"#)
            .contains("resourceType is missing")
    );
}

#[test]
fn a_wrong_type_is_an_error_with_its_path() {
    let said = |resource: &str| {
        read(&bundle("batch", &[PATIENT, resource]))
            .unwrap_err()
            .to_string()
    };
    let patient = read("{\"resourceType\":\"Patient\",\n\"birthDate\":5}").unwrap_err();
    assert_eq!(
        patient.to_string(),
        "entry 1 (Patient), line 2 column 13: Patient.birthDate should be a string and is a number"
    );
    for (more, path) in [
        (
            r#""code":"x""#,
            "Observation.code should be an object and is a string",
        ),
        (
            r#""code":[]"#,
            "Observation.code should be an object and is an array",
        ),
        (r#""code":{}"#, "Observation.code is empty"),
        (
            r#""code":{"coding":{}}"#,
            "Observation.code.coding should be an array",
        ),
        (
            r#""code":{"coding":["x"]}"#,
            "Observation.code.coding[0] should be an object",
        ),
        (
            r#""status":true"#,
            "Observation.status should be a string and is true or false",
        ),
        (
            r#""valueQuantity":{"value":"5"}"#,
            "Observation.valueQuantity.value should be a decimal",
        ),
        (
            r#""valueQuantity":{"value":1e999}"#,
            "Observation.valueQuantity.value should be a decimal",
        ),
        (
            r#""valueInteger":1.5"#,
            "Observation.valueInteger should be a whole number",
        ),
        (
            r#""valueInteger":9223372036854775808"#,
            "Observation.valueInteger should be a whole number",
        ),
        (
            r#""valueBoolean":"true""#,
            "Observation.valueBoolean should be true or false",
        ),
        (
            r#""effectiveDateTime":"2020-02-30""#,
            "Observation.effectiveDateTime is not a dateTime",
        ),
        (
            r#""effectivePeriod":{"end":"soon"}"#,
            "Observation.effectivePeriod.end is not a dateTime",
        ),
        (
            r#""valueTime":"25:00:00""#,
            "Observation.valueTime is not a time",
        ),
        (
            r#""component":[{"code":{"text":"a"}},{"valueQuantity":5}]"#,
            "Observation.component[1].valueQuantity should be",
        ),
        (
            r#""status":"a","status":"b""#,
            "Observation has an element twice",
        ),
        (
            r#""note":[{"text":"\ud800"}]"#,
            "Observation.note[0].text holds escapes that make no text",
        ),
        (r#""contained":{}"#, "contained should be an array"),
    ] {
        let text = said(&of_p("Observation", "o", more));
        assert!(text.starts_with("entry 2 ("), "{text}");
        assert!(text.contains(path), "{text}\nshould contain\n{path}");
    }
    let long = format!("\"1{}\"", "0".repeat(64)).replace('"', "");
    let text = said(&of_p(
        "Observation",
        "o",
        &format!(r#""valueQuantity":{{"value":{long}}}"#),
    ));
    assert!(text.contains("decimal of at most 64 characters"), "{text}");
}

#[test]
fn errors_do_not_repeat_what_the_file_says_of_a_patient() {
    for resource in [
        r#"{"resourceType":"Patient","birthDate":"Geheimnis"}"#,
        r#"{"resourceType":"Patient","name":"Geheimnis"}"#,
        r#"{"resourceType":"Patient","name":[{"given":{"Geheimnis":1}}]}"#,
        r#"{"resourceType":"Patient","telecom":[{"value":["Geheimnis"]}]}"#,
    ] {
        let error = read(resource).unwrap_err();
        assert!(
            !format!("{error} {error:?} {}", error.hint()).contains("Geheimnis"),
            "{error}"
        );
    }
}

#[test]
fn a_broken_reference_is_an_error_that_names_it() {
    let said = |resource: &str| match read(&bundle("collection", &[PATIENT, resource])) {
        Err(error @ ImportError::BrokenReference { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let subject =
        said(r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/q"}}"#);
    assert!(
        subject.starts_with("entry 2 (Condition), line 1 column "),
        "{subject}"
    );
    assert!(
        subject.ends_with(
            "Condition.subject is a broken reference, \"Patient/q\": no such Patient in the file"
        ),
        "{subject}"
    );
    for reference in [
        "urn:uuid:q",
        "https://a.example/Patient/q",
        "q",
        "#q",
        "Patient?identifier=1",
    ] {
        said(&format!(
            r#"{{"resourceType":"Immunization","id":"i","patient":{{"reference":"{reference}"}}}}"#
        ));
    }
    said(r#"{"resourceType":"Condition","id":"c","subject":{"display":"Somebody"}}"#);
    said(r#"{"resourceType":"CarePlan","id":"c","subject":{"reference":"urn:uuid:q"}}"#);
    said(
        r##"{"resourceType":"Condition","id":"c","subject":{"reference":"#q"},
            "contained":[{"resourceType":"Patient","id":"q"}]}"##,
    );
    for (resource_type, more, path) in [
        (
            "Condition",
            r#""encounter":{"reference":"urn:uuid:z"}"#,
            "Condition.encounter",
        ),
        (
            "Condition",
            r#""encounter":{"reference":"Encounter/z"}"#,
            "Condition.encounter",
        ),
        (
            "Condition",
            r##""encounter":{"reference":"#z"}"##,
            "Condition.encounter",
        ),
        (
            "Procedure",
            r#""reasonReference":[{"reference":"Condition/z"}]"#,
            "Procedure.reasonReference[0]",
        ),
        (
            "Observation",
            r#""hasMember":[{"reference":"urn:uuid:z"}]"#,
            "Observation.hasMember[0]",
        ),
        (
            "DiagnosticReport",
            r#""result":[{"reference":"Observation/z"}]"#,
            "DiagnosticReport.result[0]",
        ),
        (
            "MedicationRequest",
            r#""medicationReference":{"reference":"Medication/z"}"#,
            "MedicationRequest.medicationReference",
        ),
    ] {
        let text = said(&of_p(resource_type, "x", more));
        assert!(
            text.contains(&format!("{path} is a broken reference")),
            "{text}"
        );
    }
    let missing = read(&bundle(
        "collection",
        &[PATIENT, r#"{"resourceType":"Condition","id":"c"}"#],
    ));
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("Condition.subject is missing")
    );
}

#[test]
fn a_reference_into_another_patients_record_is_refused() {
    let text = bundle(
        "collection",
        &[
            PATIENT,
            r#"{"resourceType":"Patient","id":"q"}"#,
            &of_p("Encounter", "e", ""),
            r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/q"},"encounter":{"reference":"Encounter/e"}}"#,
        ],
    );
    assert!(
        read(&text)
            .unwrap_err()
            .to_string()
            .contains("it belongs to another patient")
    );
}

#[test]
fn one_id_for_two_things_is_refused_and_repeats_are_not() {
    let a = of_p("Condition", "c", r#""code":{"text":"a"}"#);
    let b = of_p("Condition", "c", r#""code":{"text":"b"}"#);
    let twice = read(&bundle(
        "searchset",
        &[PATIENT, &a, &a.replace(':', " : "), PATIENT],
    ))
    .unwrap();
    assert_eq!(twice.patients.len(), 1);
    assert_eq!(twice.patients[0].content.conditions.len(), 1);
    let error = read(&bundle("searchset", &[PATIENT, &a, &b])).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("entry 3 (Condition), line 1 column"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("has the same id and says something else"),
        "{error}"
    );
    let url = r#"{"resourceType":"Bundle","type":"batch","entry":[
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"}},
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Organization"}}]}"#;
    assert!(
        read(url)
            .unwrap_err()
            .to_string()
            .contains("the same fullUrl")
    );
}

#[test]
fn limits_on_resources_elements_and_bytes_are_kept() {
    let many: Vec<String> = (0..50)
        .map(|i| of_p("Condition", &format!("c{i}"), r#""code":{"text":"a"}"#))
        .collect();
    let mut resources: Vec<&str> = vec![PATIENT];
    resources.extend(many.iter().map(String::as_str));
    let text = bundle("batch", &resources);
    let with = |limits: Limits| read_bytes(text.as_bytes(), &limits);
    assert!(
        with(Limits {
            max_entries: 51,
            max_elements: 101,
            ..Limits::default()
        })
        .is_ok()
    );
    assert!(matches!(
        with(Limits {
            max_entries: 50,
            ..Limits::default()
        }),
        Err(ImportError::TooManyEntries { limit: 50 })
    ));
    assert!(matches!(
        with(Limits {
            max_elements: 100,
            ..Limits::default()
        }),
        Err(ImportError::TooManyElements { limit: 100 })
    ));
    assert!(matches!(
        with(Limits {
            max_bytes: 100,
            ..Limits::default()
        }),
        Err(ImportError::TooLarge {
            limit_bytes: 100,
            inflated: false
        })
    ));
}

#[test]
fn many_patients_sharing_one_large_resource_are_stopped_at_the_budget() {
    let hospital = format!(
        r#"{{"resourceType":"Organization","id":"h","name":"{}"}}"#,
        "x".repeat(100_000)
    );
    let file = |n: usize| {
        let patients = (0..n).map(|i| {
            format!(
                r#"{{"resourceType":"Patient","id":"p{i}","managingOrganization":{{"reference":"Organization/h"}}}}"#
            )
        });
        std::iter::once(hospital.clone())
            .chain(patients)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(read(&file(150)).unwrap().patients.len(), 150);
    // 20 MB from a file of 0.1 MB: more than 16 MiB and twice the file.
    assert!(matches!(
        read(&file(200)),
        Err(ImportError::TooMuchShared { .. })
    ));
}

#[test]
fn a_patient_with_more_than_can_be_kept_is_refused_before_it_is_copied() {
    let other = r#"{"resourceType":"Patient","id":"q"}"#;
    let large = of_p("Basic", "b", &format!(r#""x":"{}""#, "x".repeat(10_000)));
    let text = bundle("collection", &[other, PATIENT, &large]);
    let raw = |max_patient_source_bytes| {
        let limits = Limits {
            max_patient_source_bytes,
            ..Limits::default()
        };
        read_bytes(text.as_bytes(), &limits).map(|import| import.patients[1].raw.len() as u64)
    };
    let needed = raw(u64::MAX).unwrap();
    assert_eq!(raw(needed).unwrap(), needed);
    let error = raw(needed - 1).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("entry 2 (Patient), line 1 column "),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with(&format!("larger than {} bytes", needed - 1)),
        "{error}"
    );
    assert!(error.hint().contains("several files"));
}

#[test]
fn files_that_are_not_there_or_are_folders_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: &std::path::Path| read_file(path, &Limits::default());
    assert!(matches!(read(folder.path()), Err(ImportError::Io(_))));
    assert!(matches!(
        read(&folder.path().join("no.json")),
        Err(ImportError::Io(_))
    ));
    let path = folder.path().join("p.json");
    std::fs::write(&path, PATIENT).unwrap();
    assert_eq!(read(&path).unwrap().patients[0].source_id, "p");
}

/// Resources that are cheap to write and dear to read must cost their size, not its square.
#[test]
fn one_large_thing_named_very_often_is_stopped_or_read_in_linear_time() {
    let text = "x".repeat(200_000);
    let medication =
        format!(r#"{{"resourceType":"Medication","id":"m","code":{{"text":"{text}"}}}}"#);
    let person =
        format!(r#"{{"resourceType":"Practitioner","id":"d","name":[{{"family":"{text}"}}]}}"#);
    let more = r#""medicationReference":{"reference":"Medication/m"},"requester":{"reference":"Practitioner/d"}"#;
    let lines = |n: usize| {
        let requests = (0..n).map(|i| of_p("MedicationRequest", &format!("r{i}"), more));
        let mut lines = vec![PATIENT.to_owned(), medication.clone(), person.clone()];
        lines.extend(requests);
        lines.join("\n")
    };
    let few = read(&lines(3)).unwrap();
    assert_eq!(
        few.patients[0].content.medications[2].code.label().len(),
        200_000
    );
    let requester = few.patients[0].content.medications[0]
        .requester
        .as_deref()
        .unwrap();
    assert_eq!(requester.chars().count(), 201);
    // 200,000 bytes cost 3,126 elements a copy.
    let limits = Limits {
        max_elements: 1_000_000,
        ..Limits::default()
    };
    assert!(matches!(
        read_bytes(lines(2_000).as_bytes(), &limits),
        Err(ImportError::TooManyElements { limit: 1_000_000 })
    ));
    let url = format!(
        r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"fullUrl":"http://a/{text}/Patient/p","resource":{PATIENT}}}]}}"#
    );
    assert!(
        read(&url)
            .unwrap_err()
            .to_string()
            .contains("Bundle.entry.fullUrl should be")
    );
}
