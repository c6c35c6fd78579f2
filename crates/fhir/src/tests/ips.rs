//! The patient summary: what it carries, what it says, and that it comes back.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use salus_record::model::*;
use serde_json::Value;

use super::arbitrary::content;
use super::made_up::{bare, full, hostile, measurement};
use super::read;
use crate::{IpsOptions, export_ips, ips_content};

fn options() -> IpsOptions {
    IpsOptions {
        time_ms: 1_763_800_000_123,
        clinic: "North & South <Clinic>".into(),
        practitioner: Some("Dr. Ada Ng".into()),
        per_code: 1,
    }
}

fn json(content: &RecordContent) -> Value {
    serde_json::from_str(&export_ips(content, &options())).unwrap()
}

/// Every `reference` below a value.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(url) if name == "reference" => found.push(url),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// What holds of every summary, whatever the record.
fn check_document(bundle: &Value) {
    assert_eq!(bundle["type"], "document");
    assert_eq!(bundle["timestamp"], "2025-11-22T08:26:40.123Z");
    assert_eq!(bundle["identifier"]["system"], "urn:ietf:rfc:3986");
    let entries = bundle["entry"].as_array().unwrap();
    let by_url: HashMap<&str, &Value> = entries
        .iter()
        .map(|e| (e["fullUrl"].as_str().unwrap(), &e["resource"]))
        .collect();
    assert_eq!(by_url.len(), entries.len(), "a fullUrl twice");
    let composition = &entries[0]["resource"];
    assert_eq!(composition["resourceType"], "Composition");
    assert_eq!(composition["type"]["coding"][0]["code"], "60591-5");
    assert_eq!(composition["status"], "final");
    let subject = composition["subject"]["reference"].as_str().unwrap();
    assert_eq!(by_url[subject]["resourceType"], "Patient");
    let author = composition["author"][0]["reference"].as_str().unwrap();
    assert_eq!(by_url[author]["resourceType"], "Practitioner");
    let custodian = composition["custodian"]["reference"].as_str().unwrap();
    assert_eq!(by_url[custodian]["resourceType"], "Organization");
    let codes: Vec<&str> = composition["section"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| {
            assert!(!section["entry"].as_array().unwrap().is_empty());
            let div = section["text"]["div"].as_str().unwrap();
            assert!(div.starts_with("<div xmlns=\"http://www.w3.org/1999/xhtml\">"));
            assert!(!div.contains("<script"));
            section["code"]["coding"][0]["code"].as_str().unwrap()
        })
        .collect();
    assert!(
        ["10160-0", "48765-2", "11450-4"]
            .iter()
            .all(|c| codes.contains(c))
    );
    assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
    // Everything is referred to from the Composition on, and every reference leads somewhere.
    let mut reached = HashSet::new();
    let mut ahead = vec![entries[0]["fullUrl"].as_str().unwrap()];
    while let Some(url) = ahead.pop() {
        if reached.insert(url) {
            references(
                by_url
                    .get(url)
                    .unwrap_or_else(|| panic!("{url} is not there")),
                &mut ahead,
            );
        }
    }
    assert_eq!(reached.len(), entries.len());
}

/// The section with this LOINC code.
fn section<'b>(bundle: &'b Value, code: &str) -> Option<&'b Value> {
    let sections = bundle["entry"][0]["resource"]["section"]
        .as_array()
        .unwrap();
    sections
        .iter()
        .find(|s| s["code"]["coding"][0]["code"] == code)
}

/// The resources of that section.
fn held<'b>(bundle: &'b Value, code: &str) -> Vec<&'b Value> {
    let Some(section) = section(bundle, code) else {
        return Vec::new();
    };
    let entries = section["entry"].as_array().unwrap();
    let all = bundle["entry"].as_array().unwrap();
    entries
        .iter()
        .map(|e| &all.iter().find(|r| r["fullUrl"] == e["reference"]).unwrap()["resource"])
        .collect()
}

fn ids<'b>(bundle: &'b Value, code: &str) -> Vec<&'b str> {
    held(bundle, code)
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_summary_reads_back_as_what_it_carries(content in content(), per_code in 0..3usize) {
        let options = IpsOptions { per_code, ..options() };
        let text = export_ips(&content, &options);
        check_document(&serde_json::from_str(&text).unwrap());
        let import = read(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(import.patients.len(), 1);
        prop_assert_eq!(&import.patients[0].content, &ips_content(&content, &options), "{}", text);
        // A summary of the summary is the same: nothing is lost or added by passing it on.
        prop_assert_eq!(export_ips(&import.patients[0].content, &options), text);
    }
}

#[test]
fn a_summary_has_the_sections_of_what_the_record_holds() {
    let bundle = json(&full());
    check_document(&bundle);
    assert_eq!(ids(&bundle, "48765-2"), ["penicillin"]);
    assert_eq!(ids(&bundle, "11450-4"), ["diabetes"]);
    assert_eq!(ids(&bundle, "11348-0"), ["fracture"]);
    assert_eq!(ids(&bundle, "10160-0"), ["metformin"]);
    assert_eq!(ids(&bundle, "11369-6"), ["tetanus"]);
    assert_eq!(ids(&bundle, "47519-4"), ["colonoscopy"]);
    assert_eq!(ids(&bundle, "8716-3"), ["pressure"]);
    assert_eq!(ids(&bundle, "29762-2"), ["smoking"]);
    // The old value comes with the report that it is a result of; the report's other result is not in the record.
    let results = ["potassium-old", "potassium", "sodium", "panel"];
    assert_eq!(ids(&bundle, "30954-2"), results);
    let div = section(&bundle, "8716-3").unwrap()["text"]["div"]
        .as_str()
        .unwrap();
    assert!(
        div.contains("Systolic 120 mm[Hg]; Diastolic 80 mm[Hg]"),
        "{div}"
    );
    let title = &bundle["entry"][0]["resource"]["custodian"]["display"];
    assert_eq!(title, "North & South <Clinic>");
}

#[test]
fn an_order_is_told_as_a_statement_and_comes_back_as_an_order() {
    let bundle = json(&full());
    let medicine = held(&bundle, "10160-0")[0];
    assert_eq!(medicine["resourceType"], "MedicationStatement");
    assert_eq!(
        medicine["_effectiveDateTime"]["extension"][0]["valueCode"],
        "unknown"
    );
    assert_eq!(medicine["dateAsserted"], "2024-01-02");
    let again = read(&export_ips(&full(), &options())).unwrap();
    let medicine = &again.patients[0].content.medications[0];
    assert_eq!(*medicine, full().medications[0]);
    // The report counts no extension of ours as something that was not understood.
    assert_eq!(
        again.patients[0]
            .report
            .unmodelled
            .get("MedicationStatement.extension"),
        0
    );
}

#[test]
fn an_empty_record_says_that_nothing_is_known_and_never_that_nothing_is_there() {
    for empty in [RecordContent::default(), {
        let mut only_errors = RecordContent::default();
        only_errors.allergies.push(full().allergies[1].clone());
        only_errors.conditions.push(full().conditions[2].clone());
        only_errors
    }] {
        let bundle = json(&empty);
        check_document(&bundle);
        for (code, said) in [
            ("48765-2", "no-allergy-info"),
            ("11450-4", "no-problem-info"),
            ("10160-0", "no-medication-info"),
        ] {
            let only = held(&bundle, code);
            assert_eq!(only.len(), 1);
            let code = if only[0]["code"].is_null() {
                &only[0]["medicationCodeableConcept"]
            } else {
                &only[0]["code"]
            };
            assert_eq!(
                code["coding"][0]["system"],
                "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
            );
            assert_eq!(code["coding"][0]["code"], said);
        }
        let text = bundle.to_string();
        assert!(
            !text.contains("no-known") && !text.contains("No known"),
            "{text}"
        );
        // The profile of the Patient wants a name and a date of birth.
        let patient = &bundle["entry"][1]["resource"];
        assert!(patient["name"][0]["_text"]["extension"].is_array());
        assert!(patient["_birthDate"]["extension"].is_array());
        // None of it is an item when it is read.
        let again = read(&text).unwrap().patients.remove(0);
        assert_eq!(again.content, RecordContent::default());
        assert_eq!(again.report.absent.total(), 3);
        assert_eq!(again.report.absent.get("AllergyIntolerance"), 1);
        assert_eq!(again.report.kept_raw.get("AllergyIntolerance"), 1);
    }
}

#[test]
fn no_known_allergy_is_repeated_where_the_record_says_so() {
    let mut content = RecordContent::default();
    content.allergies.push(AllergyIntolerance {
        id: "none".into(),
        code: CodeableConcept::code("http://snomed.info/sct", "716186003", "No known allergy"),
        clinical_status: Some("active".into()),
        ..AllergyIntolerance::default()
    });
    let bundle = json(&content);
    assert_eq!(ids(&bundle, "48765-2"), ["none"]);
    assert!(!bundle.to_string().contains("no-allergy-info"));
    let again = read(&bundle.to_string()).unwrap();
    assert_eq!(again.patients[0].content.allergies, content.allergies);
}

#[test]
fn medicines_that_are_over_are_told_only_where_none_is_current() {
    let taken = |id: &str, status: &str, date: &str| Medication {
        id: id.into(),
        code: CodeableConcept::text("Iron"),
        status: Some(status.into()),
        authored_on: Some(date.into()),
        ..Medication::default()
    };
    let mut content = RecordContent {
        medications: vec![
            taken("first", "stopped", "2001"),
            taken("last", "completed", "2003-04-05T00:00:00-08:00"),
            taken("middle", "completed", "2003-04-05T00:00:00+02:00"),
            taken("never", "cancelled", "2020"),
        ],
        ..RecordContent::default()
    };
    assert_eq!(ids(&json(&content), "10160-0"), ["last"]);
    let two = IpsOptions {
        per_code: 2,
        ..options()
    };
    let names = |content: &RecordContent| -> Vec<String> {
        ips_content(content, &two)
            .medications
            .into_iter()
            .map(|m| m.id)
            .collect()
    };
    assert_eq!(names(&content), ["last", "middle"]);
    content.medications.push(taken("now", "active", "1999"));
    assert_eq!(names(&content), ["now"]);
}

#[test]
fn the_latest_of_each_measurement_is_carried_with_the_parts_of_its_panel() {
    let of = |id: &str, date: &str| measurement(id, "laboratory", "2823-3", date, "1");
    let mut panel = measurement("panel", "laboratory", "24326-1", "2019", "1");
    panel.value = None;
    panel.members = vec!["before".into(), "panel".into(), "gone".into()];
    let mut wrong = of("wrong", "2026");
    wrong.status = Some("entered-in-error".into());
    let mut silent = of("silent", "2026");
    silent.value = None;
    let content = RecordContent {
        observations: vec![
            of("oldest", "1955-01-01"),
            of("before", "2019"),
            of("latest", "2020-06-01"),
            of("same day", "2020-06-01"),
            panel,
            wrong,
            silent,
        ],
        ..RecordContent::default()
    };
    let names = |per_code| -> Vec<String> {
        let options = IpsOptions {
            per_code,
            ..options()
        };
        let items = ips_content(&content, &options).observations;
        items.into_iter().map(|o| o.id).collect()
    };
    assert_eq!(names(0), ["before", "latest", "panel"]);
    assert_eq!(names(2), ["before", "latest", "same day", "panel"]);
    assert_eq!(names(9).len(), 5);
}

#[test]
fn every_conclusion_of_reports_without_results_is_carried() {
    let report = |id: &str, says: &str, issued: &str| DiagnosticReport {
        id: id.into(),
        status: Some("final".into()),
        code: CodeableConcept::code("http://loinc.org", "18748-4", "Diagnostic imaging study"),
        conclusion: Some(says.into()),
        issued: Some(issued.into()),
        ..DiagnosticReport::default()
    };
    let mut wrong = report("wrong", "fracture", "2026-01-01T00:00:00Z");
    wrong.status = Some("entered-in-error".into());
    let content = RecordContent {
        diagnostic_reports: vec![
            report("old", "pneumonia", "2024-01-01T00:00:00Z"),
            report("new", "pneumonia", "2025-01-01T00:00:00Z"),
            report("other", "atelectasis", "2023-01-01T00:00:00Z"),
            wrong,
        ],
        ..RecordContent::default()
    };
    let carried = ips_content(&content, &options()).diagnostic_reports;
    let ids: Vec<&str> = carried.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["new", "other"]);
}

#[test]
fn the_same_record_gives_the_same_document_and_another_one_another_name() {
    let first = export_ips(&full(), &options());
    assert_eq!(first, export_ips(&full(), &options()));
    let name = |text: &str| -> Value {
        let bundle: Value = serde_json::from_str(text).unwrap();
        bundle["identifier"]["value"].clone()
    };
    let mut other = full();
    other.allergies[0].criticality = Some("low".into());
    assert_ne!(name(&first), name(&export_ips(&other, &options())));
    let later = IpsOptions {
        time_ms: 1,
        ..options()
    };
    assert_ne!(name(&first), name(&export_ips(&full(), &later)));
    // Items keep their fullUrl from summary to summary.
    let urls = |text: &str| -> HashSet<String> {
        let bundle: Value = serde_json::from_str(text).unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        entries
            .iter()
            .skip(1)
            .map(|e| e["fullUrl"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(urls(&first), urls(&export_ips(&full(), &later)));
}

#[test]
fn without_a_practitioner_the_clinic_is_the_author() {
    let options = IpsOptions {
        clinic: "North".into(),
        ..IpsOptions::default()
    };
    let bundle: Value = serde_json::from_str(&export_ips(&bare(), &options)).unwrap();
    let composition = &bundle["entry"][0]["resource"];
    assert_eq!(composition["author"][0], composition["custodian"]);
    let kinds: Vec<&Value> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["resource"]["resourceType"])
        .collect();
    assert!(!kinds.iter().any(|k| *k == "Practitioner"));
    // A clinic without a name is told as one.
    let nameless: Value =
        serde_json::from_str(&export_ips(&bare(), &IpsOptions::default())).unwrap();
    assert!(nameless["entry"][2]["resource"]["_name"]["extension"].is_array());
}

#[test]
fn text_that_means_harm_stays_text() {
    let content = hostile();
    check_document(&json(&content));
    let again = read(&export_ips(&content, &options())).unwrap();
    assert_eq!(again.patients[0].content, ips_content(&content, &options()));
}

#[test]
fn statements_of_absence_from_elsewhere_are_no_items() {
    let absent = |code: &str| {
        format!(
            r#"{{"coding":[{{"system":"http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips","code":"{code}"}}]}}"#
        )
    };
    let resource = |kind: &str, id: &str, rest: &str| {
        let who = if kind == "Condition" || kind.starts_with("Medication") || kind == "Procedure" {
            "subject"
        } else {
            "patient"
        };
        format!(
            r#"{{"fullUrl":"urn:uuid:{id}","resource":{{"resourceType":"{kind}","id":"{id}","{who}":{{"reference":"urn:uuid:p"}},{rest}}}}}"#
        )
    };
    let entries = [
        r#"{"fullUrl":"urn:uuid:c","resource":{"resourceType":"Composition","status":"final","subject":{"reference":"urn:uuid:p"},
            "section":[{"entry":[{"reference":"urn:uuid:a"},{"reference":"urn:uuid:m"}]}]}}"#.to_owned(),
        r#"{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient"}}"#.to_owned(),
        resource("AllergyIntolerance", "a", &format!(r#""code":{}"#, absent("no-known-allergies"))),
        resource("MedicationStatement", "m", r#""status":"unknown","medicationReference":{"reference":"urn:uuid:x"}"#),
        format!(r#"{{"fullUrl":"urn:uuid:x","resource":{{"resourceType":"Medication","code":{}}}}}"#, absent("no-medication-info")),
        resource("Condition", "k", r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"1287211007"}],"text":"No information"}"#),
        resource("Immunization", "i", &format!(r#""status":"completed","vaccineCode":{}"#, absent("no-immunization-info"))),
        resource("Procedure", "o", &format!(r#""status":"unknown","code":{}"#, absent("no-known-procedures"))),
        resource("Condition", "real", r#""code":{"text":"Asthma"}"#),
        resource("Procedure", "why", r#""reasonReference":[{"reference":"urn:uuid:k"},{"reference":"urn:uuid:real"}]"#),
    ];
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"document","entry":[{}]}}"#,
        entries.join(",")
    );
    let one = read(&text).unwrap().patients.remove(0);
    let content = &one.content;
    assert!(
        content.allergies.is_empty()
            && content.medications.is_empty()
            && content.immunizations.is_empty()
    );
    assert_eq!(content.conditions.len(), 1);
    assert_eq!(content.procedures.len(), 1);
    // What refers to such a statement does not refer to an item.
    assert_eq!(content.procedures[0].reason_conditions, ["real"]);
    let absent: Vec<_> = one.report.absent.iter().collect();
    let kinds = [
        "AllergyIntolerance",
        "Condition",
        "Immunization",
        "MedicationStatement",
        "Procedure",
    ];
    assert_eq!(absent, kinds.map(|kind| (kind, 1)));
    // They are kept as they came.
    assert!(
        String::from_utf8(one.raw)
            .unwrap()
            .contains("no-known-allergies")
    );
}
