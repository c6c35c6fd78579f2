//! Patients that nobody is: with everything, with hardly anything, and with text that means harm.

use salus_record::model::*;

const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

fn quantity(value: &str, unit: &str) -> Quantity {
    Quantity {
        value: Some(value.parse().unwrap()),
        comparator: None,
        unit: Some(unit.into()),
        system: Some("http://unitsofmeasure.org".into()),
        code: Some(unit.into()),
    }
}

fn at(date: &str) -> Option<Timing> {
    Some(Timing::DateTime(date.into()))
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A measurement of a category, with a value.
pub(super) fn measurement(
    id: &str,
    category: &str,
    loinc: &str,
    date: &str,
    value: &str,
) -> Observation {
    Observation {
        id: id.into(),
        status: words("final"),
        category: vec![CodeableConcept::code(CATEGORY, category, category)],
        code: CodeableConcept::code(LOINC, loinc, id),
        value: Some(ObservationValue::Quantity(quantity(value, "mmol/L"))),
        effective: at(date),
        ..Observation::default()
    }
}

/// A patient with items of every type.
pub(super) fn full() -> RecordContent {
    let mut pressure = measurement("pressure", "vital-signs", "85354-9", "2026-03-01", "1");
    pressure.value = None;
    pressure.components = [("8480-6", "Systolic", "120"), ("8462-4", "Diastolic", "80")]
        .map(|(code, name, value)| ObservationComponent {
            code: CodeableConcept::code(LOINC, code, name),
            value: Some(ObservationValue::Quantity(quantity(value, "mm[Hg]"))),
            ..ObservationComponent::default()
        })
        .to_vec();
    let mut smoker = measurement("smoking", "social-history", "72166-2", "2026-03-01", "1");
    smoker.value = Some(ObservationValue::Concept(CodeableConcept::code(
        SNOMED,
        "8517006",
        "Ex-smoker",
    )));
    let mut old = measurement(
        "potassium-old",
        "laboratory",
        "2823-3",
        "2020-01-01",
        "5.10",
    );
    old.performer = vec!["Laboratory North".into()];
    let mut undated = measurement("sodium", "laboratory", "2951-2", "2020", "141");
    undated.effective = None;
    undated.issued = words("2020-02-02");
    RecordContent {
        patient: Patient {
            mrn: words("MRN-7"),
            source_id: words("0f8fad5b-d9cb-469f-a165-70867728950e"),
            family: words("Okafor"),
            given: vec!["Ada".into(), "Maria".into()],
            prefix: vec!["Dr.".into()],
            birth_date: words("1961-04-05"),
            sex: Sex::Female,
            phone: words("+41 44 555 01 00"),
            address: Some(Address {
                line: vec!["1 Long Lane".into()],
                city: words("Northport"),
                ..Address::default()
            }),
            language: Some(CodeableConcept::code("urn:ietf:bcp:47", "en", "English")),
            ..Patient::default()
        },
        allergies: vec![
            AllergyIntolerance {
                id: "penicillin".into(),
                code: CodeableConcept::code(SNOMED, "764146007", "Penicillin"),
                clinical_status: words("active"),
                verification_status: words("confirmed"),
                kind: words("allergy"),
                category: vec!["medication".into()],
                criticality: words("high"),
                onset: Some(Timing::Age(quantity("7", "a"))),
                reactions: vec![Reaction {
                    manifestation: vec![CodeableConcept::code(SNOMED, "247472004", "Hives")],
                    severity: words("severe"),
                    description: None,
                }],
                ..AllergyIntolerance::default()
            },
            AllergyIntolerance {
                id: "nuts".into(),
                code: CodeableConcept::text("Nuts"),
                clinical_status: words("active"),
                verification_status: words("entered-in-error"),
                ..AllergyIntolerance::default()
            },
        ],
        conditions: vec![
            Condition {
                id: "diabetes".into(),
                code: CodeableConcept::code(SNOMED, "44054006", "Diabetes mellitus type 2"),
                clinical_status: words("active"),
                verification_status: words("confirmed"),
                onset: at("2009"),
                encounter: words("visit"),
                ..Condition::default()
            },
            Condition {
                id: "fracture".into(),
                code: CodeableConcept::text("Broken arm"),
                clinical_status: words("resolved"),
                onset: at("1999-02"),
                abatement: at("1999-05"),
                ..Condition::default()
            },
            Condition {
                id: "refuted".into(),
                code: CodeableConcept::text("Asthma"),
                clinical_status: words("active"),
                verification_status: words("refuted"),
                ..Condition::default()
            },
        ],
        medications: vec![
            Medication {
                id: "metformin".into(),
                kind: MedicationKind::MedicationRequest,
                code: CodeableConcept::code(SNOMED, "372567009", "Metformin"),
                status: words("active"),
                intent: words("order"),
                authored_on: words("2024-01-02"),
                dosage: vec![Dosage {
                    text: words("1 tablet twice a day"),
                    dose: Some(quantity("500", "mg")),
                    frequency: Some(2),
                    period: Some("1".parse().unwrap()),
                    period_unit: words("d"),
                    ..Dosage::default()
                }],
                reason_conditions: vec!["diabetes".into()],
                requester: words("Dr. Ng"),
                ..Medication::default()
            },
            Medication {
                id: "iron".into(),
                kind: MedicationKind::MedicationStatement,
                code: CodeableConcept::text("Iron"),
                status: words("completed"),
                effective: Some(Timing::Text("as a child".into())),
                ..Medication::default()
            },
        ],
        observations: vec![
            pressure,
            smoker,
            old,
            measurement("potassium", "laboratory", "2823-3", "2026-01-01", "4.20"),
            undated,
        ],
        diagnostic_reports: vec![DiagnosticReport {
            id: "panel".into(),
            status: words("final"),
            code: CodeableConcept::code(LOINC, "24326-1", "Electrolytes"),
            effective: at("2020-01-01"),
            results: vec!["potassium-old".into(), "not-here".into()],
            conclusion: words("normal"),
            text: words("Everything as expected.\n"),
            ..DiagnosticReport::default()
        }],
        immunizations: vec![Immunization {
            id: "tetanus".into(),
            status: words("completed"),
            code: CodeableConcept::code("http://hl7.org/fhir/sid/cvx", "113", "Td"),
            lot_number: words("-7"),
            primary_source: Some(true),
            ..Immunization::default()
        }],
        procedures: vec![
            Procedure {
                id: "colonoscopy".into(),
                status: words("completed"),
                code: CodeableConcept::code(SNOMED, "73761001", "Colonoscopy"),
                performed: Some(Timing::Period(Period {
                    start: words("2021-05-06T09:00:00+02:00"),
                    end: words("2021-05-06T09:30:00+02:00"),
                })),
                ..Procedure::default()
            },
            Procedure {
                id: "earlier".into(),
                status: words("completed"),
                code: CodeableConcept::code(SNOMED, "73761001", "Colonoscopy"),
                ..Procedure::default()
            },
        ],
        encounters: vec![Encounter {
            id: "visit".into(),
            status: words("finished"),
            code: CodeableConcept::text("Check up"),
            period: Some(Period {
                start: words("2009-01-01"),
                end: None,
            }),
            ..Encounter::default()
        }],
        notes: vec![Note {
            id: "note".into(),
            created_ms: 1_700_000_000_000,
            author: "Dr. Ng".into(),
            encounter: words("visit"),
            text: "Feels well.\nComes back in May.".into(),
        }],
    }
}

/// A patient of whom hardly anything is known: items with nothing but their ids.
pub(super) fn bare() -> RecordContent {
    let id = |word: &str| word.to_owned();
    RecordContent {
        allergies: vec![AllergyIntolerance {
            id: id("a"),
            ..Default::default()
        }],
        conditions: vec![Condition {
            id: id("c"),
            ..Default::default()
        }],
        medications: vec![
            Medication {
                id: id("m"),
                ..Default::default()
            },
            Medication {
                id: id("s"),
                kind: MedicationKind::MedicationStatement,
                ..Default::default()
            },
        ],
        observations: vec![Observation {
            id: id("o"),
            ..Default::default()
        }],
        diagnostic_reports: vec![DiagnosticReport {
            id: id("r"),
            ..Default::default()
        }],
        immunizations: vec![Immunization {
            id: id("i"),
            ..Default::default()
        }],
        procedures: vec![Procedure {
            id: id("p"),
            ..Default::default()
        }],
        encounters: vec![Encounter {
            id: id("e"),
            ..Default::default()
        }],
        notes: vec![Note {
            id: id("n"),
            ..Default::default()
        }],
        ..RecordContent::default()
    }
}

/// A patient whose every text would do harm where it is taken for more than text.
pub(super) fn hostile() -> RecordContent {
    let text =
        "=HYPERLINK(\"http://x.example\")</td></div><script>alert(1)</script>&amp;'\"\\,\r\n]]>";
    let mut content = full();
    content.patient.family = words(text);
    content.patient.given = vec![text.into()];
    for item in &mut content.allergies {
        item.code = CodeableConcept::text(text);
        item.note = words(text);
    }
    for item in &mut content.conditions {
        item.code.text = words(text);
        item.note = words(text);
    }
    for item in &mut content.medications {
        item.code = CodeableConcept::text(text);
        item.requester = words(text);
        item.note = words(text);
    }
    for item in &mut content.observations {
        item.value = Some(ObservationValue::String(text.into()));
        item.performer = vec![text.into()];
    }
    content.notes[0].text = text.into();
    content
}
