//! Made-up people, records and clinics for the tests.

use std::path::PathBuf;

use salus_api::record::*;
use salus_api::*;

/// 2026-11-22 12:00:00 UTC.
pub(crate) const NOW_MS: u64 = 1_795_348_800_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

fn row(n: u64, family: &str, given: &str, born: &str, sex: &str, ago_ms: u64) -> PatientRow {
    PatientRow {
        id: format!(
            "{:08x}{}",
            0x3fa9_c2d1_u64.wrapping_mul(2 * n + 1) & 0xffff_ffff,
            "0".repeat(56)
        ),
        mrn: format!("204-{}", 118 + n),
        family: family.into(),
        given: given.into(),
        birth_date: born.into(),
        sex: sex.into(),
        updated_ms: NOW_MS - ago_ms,
    }
}

/// Made-up people.
pub(crate) fn patients() -> Vec<PatientRow> {
    vec![
        row(
            0,
            "Okafor",
            "Amara Chidinma",
            "1984-05-17",
            "female",
            12 * MINUTE_MS,
        ),
        row(
            1,
            "Okafor",
            "Chike",
            "2025-11-02",
            "male",
            26 * 60 * MINUTE_MS,
        ),
        row(
            2,
            "Lindqvist",
            "Sven",
            "1951-02-28",
            "male",
            3 * 60 * MINUTE_MS,
        ),
        row(
            3,
            "Nguyễn",
            "Thị Minh Khai",
            "1990-12-01",
            "female",
            2 * DAY_MS,
        ),
        row(4, "山田", "花子", "1979-08-09", "female", 5 * DAY_MS),
        row(
            5,
            "de la Fuente y Ortiz-Montenegro",
            "María del Carmen",
            "1962",
            "female",
            9 * DAY_MS,
        ),
        row(6, "Haddad", "Yusuf", "2026-10-20", "male", 20 * DAY_MS),
        row(7, "Smith", "Alex", "2001-07-30", "other", 90 * DAY_MS),
        row(
            8,
            "Smith",
            "Alexandra",
            "2001-07-30",
            "female",
            400 * DAY_MS,
        ),
    ]
}

fn loinc(code: &str, display: &str) -> CodeableConcept {
    CodeableConcept::code("http://loinc.org", code, display)
}

fn amount(value: &str, unit: &str) -> Quantity {
    Quantity {
        value: Some(value.parse().unwrap()),
        unit: Some(unit.into()),
        ..Quantity::default()
    }
}

fn at(date: &str) -> Option<Timing> {
    Some(Timing::DateTime(date.into()))
}

fn measured(
    id: &str,
    code: &CodeableConcept,
    category: &str,
    value: Quantity,
    date: &str,
) -> Observation {
    Observation {
        id: id.into(),
        status: Some("final".into()),
        category: vec![CodeableConcept::code("", category, category)],
        code: code.clone(),
        value: Some(ObservationValue::Quantity(value)),
        effective: at(date),
        ..Observation::default()
    }
}

fn observations() -> Vec<Observation> {
    let mut all = Vec::new();
    let dates = [
        "2025-09-01",
        "2025-12-04",
        "2026-03-02",
        "2026-06-15",
        "2026-10-02",
    ];
    let pressures = [(150, 96), (146, 94), (142, 90), (138, 88), (134, 86)];
    for (n, (date, (upper, lower))) in dates.iter().zip(pressures).enumerate() {
        let Item::Observation(mut bp) =
            salus_api::blood_pressure(upper, lower, Some(format!("{date}T09:30:00Z")))
        else {
            panic!("a blood pressure is an observation")
        };
        bp.id = format!("bp{n}");
        all.push(bp);
    }
    let weight = loinc("29463-7", "Body weight");
    for (n, (date, kg)) in dates
        .iter()
        .zip(["84.2", "83.0", "82.5", "80.9", "79.4"])
        .enumerate()
    {
        all.push(measured(
            &format!("w{n}"),
            &weight,
            "vital-signs",
            amount(kg, "kg"),
            date,
        ));
    }
    let a1c = loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood");
    for (n, (date, percent)) in dates
        .iter()
        .zip(["8.1", "7.9", "7.4", "7.1", "7.2"])
        .enumerate()
    {
        let mut o = measured(
            &format!("a{n}"),
            &a1c,
            "laboratory",
            amount(percent, "%"),
            date,
        );
        o.interpretation = vec![CodeableConcept::code("", "H", "High")];
        o.reference_range = vec![ReferenceRange {
            low: Some(amount("4.0", "%")),
            high: Some(amount("5.6", "%")),
            text: None,
        }];
        all.push(o);
    }
    let creatinine = loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma");
    all.push(measured(
        "c0",
        &creatinine,
        "laboratory",
        amount("0.90", "mg/dL"),
        "2026-10-02",
    ));
    let mut smoking = measured(
        "s0",
        &loinc("72166-2", "Tobacco smoking status"),
        "social-history",
        amount("0", ""),
        "2025-09-01",
    );
    smoking.value = Some(ObservationValue::Concept(CodeableConcept::text(
        "Never smoked tobacco",
    )));
    all.push(smoking);
    all
}

/// A made-up record with something of everything.
pub(crate) fn content() -> RecordContent {
    RecordContent {
        patient: Patient {
            mrn: Some("204-118".into()),
            family: Some("Okafor".into()),
            given: vec!["Amara".into(), "Chidinma".into()],
            birth_date: Some("1984-05-17".into()),
            sex: Sex::Female,
            phone: Some("+49 30 5550 118".into()),
            email: Some("amara@example.org".into()),
            address: Some(Address {
                line: vec!["Uferstraße 12".into()],
                city: Some("Berlin".into()),
                postal_code: Some("13357".into()),
                country: Some("DE".into()),
                ..Address::default()
            }),
            language: Some(CodeableConcept::text("German")),
            ..Patient::default()
        },
        allergies: vec![
            AllergyIntolerance {
                id: "al1".into(),
                code: CodeableConcept::text("Peanut"),
                clinical_status: Some("active".into()),
                ..AllergyIntolerance::default()
            },
            AllergyIntolerance {
                id: "al0".into(),
                code: CodeableConcept::code("http://snomed.info/sct", "764146007", "Penicillin G"),
                clinical_status: Some("active".into()),
                verification_status: Some("confirmed".into()),
                criticality: Some("high".into()),
                category: vec!["medication".into()],
                onset: at("1999"),
                reactions: vec![Reaction {
                    manifestation: vec![CodeableConcept::text("Anaphylaxis")],
                    severity: Some("severe".into()),
                    description: None,
                }],
                ..AllergyIntolerance::default()
            },
            AllergyIntolerance {
                id: "al2".into(),
                code: CodeableConcept::text("Egg"),
                clinical_status: Some("resolved".into()),
                ..AllergyIntolerance::default()
            },
        ],
        conditions: vec![
            condition("c0", "Essential hypertension", "active", "2019-03-11", None),
            condition("c1", "Type 2 diabetes mellitus", "active", "2021-06-02", None),
            condition("c2", "Acute bronchitis", "resolved", "2024-01-09", Some("2024-01-23")),
        ],
        medications: vec![
            medication("m0", "Metformin 500 mg oral tablet", "active", "2021-06-02", "1 tablet", 2),
            medication("m1", "Lisinopril 10 mg oral tablet", "active", "2019-03-11", "1 tablet", 1),
            medication("m2", "Amoxicillin 500 mg capsule", "completed", "2024-01-09", "1 capsule", 3),
        ],
        observations: observations(),
        diagnostic_reports: vec![DiagnosticReport {
            id: "r0".into(),
            status: Some("final".into()),
            code: loinc("51990-0", "Basic metabolic panel"),
            effective: at("2026-10-02T09:40:00Z"),
            results: vec!["a4".into(), "c0".into(), "lost".into()],
            conclusion: Some("Glycaemia close to the goal; kidneys unremarkable.".into()),
            performer: vec!["Lab Wedding".into()],
            ..DiagnosticReport::default()
        }],
        immunizations: vec![Immunization {
            id: "i0".into(),
            status: Some("completed".into()),
            code: CodeableConcept::text("Influenza, seasonal, injectable"),
            occurrence: at("2026-10-02"),
            lot_number: Some("AB-1201".into()),
            ..Immunization::default()
        }],
        procedures: vec![Procedure {
            id: "p0".into(),
            status: Some("completed".into()),
            code: CodeableConcept::text("Retinal photography"),
            performed: at("2026-03-02"),
            reason: vec![CodeableConcept::text("Diabetes screening")],
            ..Procedure::default()
        }],
        encounters: vec![Encounter {
            id: "e0".into(),
            status: Some("finished".into()),
            class: Some(Coding { code: Some("AMB".into()), display: Some("ambulatory".into()), system: None }),
            code: CodeableConcept::text("Follow-up visit"),
            period: Some(Period {
                start: Some("2026-10-02T09:20:00Z".into()),
                end: Some("2026-10-02T09:50:00Z".into()),
            }),
            reason_conditions: vec!["c0".into(), "c1".into()],
            participants: vec!["Ines Falk".into()],
            ..Encounter::default()
        }],
        notes: vec![
            Note {
                id: "n0".into(),
                created_ms: NOW_MS - 51 * DAY_MS,
                author: "Ines Falk".into(),
                text: "Feels well. Walks half an hour a day, sleeps better.\n\nPlan: go on as before, \
                       blood pressure at home twice a week, next visit in three months."
                    .into(),
                ..Note::default()
            },
            Note {
                id: "n1".into(),
                created_ms: NOW_MS - 160 * DAY_MS,
                author: "Tom Berg".into(),
                text: "Telephone: asks about the tablets; explained.".into(),
                ..Note::default()
            },
        ],
    }
}

fn condition(id: &str, name: &str, status: &str, from: &str, until: Option<&str>) -> Condition {
    Condition {
        id: id.into(),
        code: CodeableConcept::text(name),
        clinical_status: Some(status.into()),
        onset: at(from),
        abatement: until.and_then(at),
        ..Condition::default()
    }
}

fn medication(
    id: &str,
    name: &str,
    status: &str,
    from: &str,
    dose: &str,
    times: u32,
) -> Medication {
    let (value, unit) = dose.split_once(' ').unwrap();
    Medication {
        id: id.into(),
        code: CodeableConcept::text(name),
        status: Some(status.into()),
        authored_on: Some(from.into()),
        dosage: vec![Dosage {
            dose: Some(amount(value, unit)),
            frequency: Some(times),
            period: Some(1.into()),
            period_unit: Some("d".into()),
            ..Dosage::default()
        }],
        ..Medication::default()
    }
}

fn choice(
    choice: u32,
    value: serde_json::Value,
    author: &str,
    clinic: &str,
    shown: bool,
) -> ConflictChoice {
    let time_ms = NOW_MS - u64::from(choice) * 47 * MINUTE_MS;
    ConflictChoice {
        choice,
        value,
        author: author.into(),
        clinic: clinic.into(),
        time_ms,
        shown,
    }
}

fn conflicts() -> Vec<ConflictView> {
    use serde_json::json;
    vec![
        ConflictView {
            path: "patient/phone".into(),
            label: "Telephone".into(),
            values: vec![
                choice(
                    1,
                    json!("+49 30 5550 118"),
                    "Ines Falk",
                    "Riverside Clinic",
                    true,
                ),
                choice(
                    2,
                    json!("+49 30 5550 811"),
                    "Tom Berg",
                    "Hillside Practice",
                    false,
                ),
            ],
        },
        ConflictView {
            path: "medications/m0/dosage".into(),
            label: "Metformin 500 mg oral tablet: dose".into(),
            values: vec![
                choice(
                    1,
                    json!([{"text": "1 tablet twice a day"}]),
                    "Ines Falk",
                    "Riverside Clinic",
                    false,
                ),
                choice(
                    2,
                    json!([{"text": "2 tablets twice a day"}]),
                    "Tom Berg",
                    "Hillside Practice",
                    true,
                ),
                choice(3, json!(null), "Lena Okoye", "Harbour Clinic", false),
            ],
        },
    ]
}

/// Merges that were made quietly.
pub(crate) fn concerns() -> Vec<ConcernView> {
    use serde_json::json;
    let writer = |n: u64, author: &str, clinic: &str, path: &str, value| ConcernWriter {
        author: author.into(),
        clinic: clinic.into(),
        time_ms: NOW_MS - n * 31 * MINUTE_MS,
        path: path.into(),
        value,
    };
    vec![
        ConcernView {
            id: "5d1f00aa9c3e".into(),
            code: "dose_differs".into(),
            text: "Metformin 500 mg oral tablet is active twice, with different dosages.".into(),
            paths: vec!["medications/m0".into(), "medications/m9".into()],
            writers: vec![
                writer(
                    1,
                    "Ines Falk",
                    "Riverside Clinic",
                    "medications/m0/dosage",
                    json!([{"dose": {"value": 1, "unit": "tablet"}, "frequency": 2, "period": 1, "period_unit": "d"}]),
                ),
                writer(
                    2,
                    "Tom Berg",
                    "Hillside Practice",
                    "medications/m9",
                    json!({"id": "m9", "kind": "order", "code": {"text": "Metformin 500 mg oral tablet"}, "status": "active",
                           "dosage": [{"dose": {"value": 2, "unit": "tablet"}, "frequency": 2, "period": 1, "period_unit": "d"}]}),
                ),
            ],
        },
        ConcernView {
            id: "77c2d40b8f10".into(),
            code: "allergy_ended".into(),
            text: "The allergy to Peanut was ended while a reaction to it was recorded elsewhere."
                .into(),
            paths: vec!["allergies/al1".into()],
            writers: vec![
                writer(
                    3,
                    "Lena Okoye",
                    "Harbour Clinic",
                    "allergies/al1/clinical_status",
                    json!("resolved"),
                ),
                writer(
                    4,
                    "Tom Berg",
                    "Hillside Practice",
                    "allergies/al1/reactions",
                    json!([{"manifestation": [{"text": "Urticaria"}], "severity": "moderate"}]),
                ),
            ],
        },
    ]
}

/// What models suggested: open with a reservation, not assessed, disputed, accepted.
pub(crate) fn suggestions() -> Vec<SuggestionView> {
    let output = |label: &str, p, note: Option<&str>| InferenceOutput {
        what: "category".into(),
        label: label.into(),
        p: Some(p),
        note: note.map(str::to_owned),
    };
    let verdict = |accepted, who: (&str, &str)| VerdictView {
        entry: "7e".repeat(32),
        accepted,
        label: None,
        why: (!accepted).then(|| "motion artefact".to_owned()),
        actor: who.0.into(),
        clinic: who.1.into(),
        time_ms: NOW_MS - DAY_MS,
        stands: true,
    };
    let here = ("Ines Falk", "Riverside Clinic");
    let there = ("Tom Berg", "Hillside Practice");
    let one = SuggestionView {
        id: "5a".repeat(32),
        state: SuggestionState::Open,
        label: Some("pneumonia".into()),
        p: Some(0.912_345),
        inference: Inference {
            component: "imaging".into(),
            model: ModelName {
                name: "mobilenet".into(),
                version: "1.0".into(),
                weights: "cd".repeat(32),
            },
            input: InputName {
                hash: "ef".repeat(32),
                media_type: "image/png".into(),
                name: "chest-2026-11-20.png".into(),
            },
            outputs: vec![
                output(
                    "pneumonia",
                    0.912_345,
                    Some("unreliable: told by where the image comes from"),
                ),
                output("normal", 0.087_655, None),
            ],
            uncertain: false,
            distance: Some(0.41),
            explanation: "Opacity at the right base.".into(),
        },
        actor: "Ines Falk".into(),
        clinic: "Riverside Clinic".into(),
        time_ms: NOW_MS - 20 * MINUTE_MS,
        verdicts: Vec::new(),
    };
    let mut unsure = one.clone();
    unsure.id = "6b".repeat(32);
    (unsure.label, unsure.p) = (None, None);
    unsure.inference.uncertain = true;
    unsure.inference.outputs.clear();
    unsure.inference.distance = Some(7.2);
    unsure.inference.explanation.clear();
    unsure.inference.input.name = "holiday.jpg".into();
    unsure.time_ms -= DAY_MS;
    let mut disputed = one.clone();
    disputed.id = "7c".repeat(32);
    disputed.state = SuggestionState::Disputed;
    disputed.label = Some("fracture of the wrist".into());
    disputed.inference.outputs = vec![output("fracture of the wrist", 0.7, None)];
    disputed.p = Some(0.7);
    disputed.verdicts = vec![verdict(true, here), verdict(false, there)];
    disputed.time_ms -= 2 * DAY_MS;
    let mut accepted = disputed.clone();
    accepted.id = "8d".repeat(32);
    accepted.state = SuggestionState::Accepted;
    accepted.label = Some("normal".into());
    accepted.p = None;
    accepted.verdicts.truncate(1);
    accepted.time_ms -= 3 * DAY_MS;
    vec![one, unsure, disputed, accepted]
}

/// A made-up chest: a light disk with a dark one in it, and the same with a warm place. Not square, so that its shape is seen.
fn phantom(heat: bool) -> PictureView {
    let (width, height) = (60_u32, 48_u32);
    let within = |x: u32, y: u32, (cx, cy): (u32, u32), radius: u32| {
        x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) <= radius.pow(2)
    };
    let pixel = |x: u32, y: u32| {
        let grey = match () {
            () if within(x, y, (38, 28), 7) => 90,
            () if within(x, y, (30, 24), 22) => 210,
            () => u8::try_from(x).unwrap(),
        };
        match heat && within(x, y, (38, 28), 9) {
            true => [255, 140, 0],
            false => [grey; 3],
        }
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    PictureView {
        width,
        height,
        rgb: places.flat_map(|(x, y)| pixel(x, y)).collect(),
    }
}

/// Image files that the made-up node can read, and what its model says about them.
pub(crate) fn images() -> Vec<(PathBuf, ClassifiedView)> {
    let output = |label: &str, p: f64, note: Option<&str>| InferenceOutput {
        what: "category".into(),
        label: label.into(),
        p: Some(p),
        note: note.map(str::to_owned),
    };
    let mut said = suggestions().remove(0).inference;
    said.explanation.clear();
    said.outputs = vec![
        output("pneumonia", 0.912_345, None),
        output(
            "COVID-19",
            0.051_2,
            Some("unreliable: told by where the image comes from"),
        ),
        output("normal", 0.021, None),
        output(
            "tuberculosis of the upper lobes with a long name",
            0.010_1,
            None,
        ),
        output("breast-ultrasound-malignant", 0.005_4, None),
    ];
    let assessed = ClassifiedView {
        inference: said.clone(),
        ms: 141.6,
        picture: phantom(false),
        heat: Some(phantom(true)),
        suggestion: None,
    };
    let mut foreign = assessed.clone();
    foreign.inference.uncertain = true;
    foreign.inference.distance = Some(7.2);
    foreign.inference.explanation =
        "the image is unlike those that the model was trained on".into();
    foreign.inference.input.name = "holiday.jpg".into();
    foreign.heat = None;
    let file = |name: &str| PathBuf::from("/home/ines/scans").join(name);
    vec![
        (file("chest-2026-11-20.png"), assessed),
        (file("holiday.jpg"), foreign),
    ]
}

/// Folders of the made-up machine: names, and whether each is a folder.
pub(crate) fn folders() -> Vec<(PathBuf, Vec<(String, bool)>)> {
    let of = |folder: &str, names: &[(&str, bool)]| {
        let names = names
            .iter()
            .map(|(name, folder)| ((*name).to_owned(), *folder));
        (PathBuf::from(folder), names.collect())
    };
    vec![
        of("/", &[("home", true)]),
        of("/home", &[("ines", true)]),
        of(
            "/home/ines",
            &[
                ("notes.txt", false),
                ("scans", true),
                (".cache", true),
                ("Old", true),
            ],
        ),
        of(
            "/home/ines/scans",
            &[
                ("chest-2026-11-20.png", false),
                ("chest-2026-11-21.dcm", false),
                ("holiday.jpg", false),
                ("letter.pdf", false),
                ("archive", true),
            ],
        ),
        of("/home/ines/scans/archive", &[]),
    ]
}

/// Records that are like the made-up one.
pub(crate) fn duplicates() -> Vec<DuplicateView> {
    let people = patients();
    let other = PatientRow {
        id: format!("5e{}", "1".repeat(62)),
        mrn: "991-20".into(),
        family: "Okafor".into(),
        given: "Amara C.".into(),
        birth_date: "1984-05-17".into(),
        sex: "female".into(),
        updated_ms: NOW_MS - 200 * DAY_MS,
    };
    vec![
        DuplicateView {
            of: people[0].clone(),
            row: other,
            score: 0.934,
            reasons: vec![
                "same family name".into(),
                "same birth date".into(),
                "given names begin alike".into(),
            ],
            linked: false,
        },
        DuplicateView {
            of: people[0].clone(),
            row: people[1].clone(),
            score: 0.41,
            reasons: vec!["same family name".into()],
            linked: false,
        },
    ]
}

/// Who is and was entitled to the made-up record.
pub(crate) fn grants() -> Vec<GrantView> {
    let grant = |clinic: &str, name: &str, right, days: u64, ended: Option<&str>| GrantView {
        clinic: clinic.into(),
        name: name.into(),
        right,
        by: "Ines Falk".into(),
        time_ms: NOW_MS - days * DAY_MS,
        ended: ended.map(Into::into),
    };
    vec![
        grant("9f31ac02", "Riverside Clinic", Right::Home, 900, None),
        grant(
            "d00db01d",
            "Harbour Clinic",
            Right::Read,
            400,
            Some("revoked"),
        ),
        grant("b802f7c1", "Hillside Practice", Right::Write, 120, None),
    ]
}

/// A made-up record as the node answers it.
pub(crate) fn record() -> PatientView {
    PatientView {
        row: patients().remove(0),
        content: content(),
        attachments: vec![AttachmentView {
            id: "at0".into(),
            name: "retina-left.jpg".into(),
            mime: "image/jpeg".into(),
            bytes: 1_482_113,
            added_ms: NOW_MS - 265 * DAY_MS,
            clinic: "Hillside Practice".into(),
            available: true,
            entry: "9b".repeat(32),
            ..AttachmentView::default()
        }],
        conflicts: conflicts(),
        concerns: Vec::new(),
        suggestions: Vec::new(),
        linked: Vec::new(),
        at: None,
        warnings: Vec::new(),
        heights: Default::default(),
        home: "Riverside Clinic".into(),
        right: Right::Home,
        verified: true,
        entries: 87,
        held_out: 0,
        synced_ms: Some(NOW_MS - 3 * MINUTE_MS),
        problems: Vec::new(),
    }
}

/// The facts of a made-up file, or its tags.
fn facts(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    value.as_object().cloned().unwrap()
}

/// Made-up files, newest first: a scan, a recording, a text, one on its way, one elsewhere, one erased.
pub(crate) fn files() -> Vec<AttachmentView> {
    use serde_json::json;
    let file =
        |n: u64, name: &str, mime: &str, bytes: u64, known: serde_json::Value| AttachmentView {
            id: format!("f{n}{}", "4b".repeat(7)),
            name: name.into(),
            mime: mime.into(),
            bytes,
            sha256: "c0ffee12".repeat(8),
            added_ms: NOW_MS - n * DAY_MS,
            clinic: "Riverside Clinic".into(),
            actor: "Ines Falk".into(),
            available: true,
            preview: true,
            facts: facts(known),
            entry: format!("{n}{}b", "9b".repeat(31)),
            ..AttachmentView::default()
        };
    let tags = json!({
        "modality": "CT", "rows": 512, "columns": 512, "frames": 10, "bits": 12,
        "study_date": "20261002", "study_description": "Thorax", "series_number": "3",
        "series_description": "Lung 1.0", "body_part": "CHEST", "patient_name": "Okafor^Amara",
        "patient_id": "204-118", "patient_birth_date": "19840517",
        "window_centre": 40.0, "window_width": 400.0,
    });
    vec![
        AttachmentView {
            dicom: Some(facts(tags)),
            about: Some("r0".into()),
            ..file(
                1,
                "thorax.dcm",
                "application/dicom",
                5_243_904,
                json!({"kind": "DICOM", "warnings": ["thorax.dcm: a warning that was given when it was attached"]}),
            )
        },
        file(
            2,
            "visit.wav",
            "audio/wav",
            6_560_044,
            json!({"kind": "WAV", "duration_ms": 205_000, "sample_rate": 16_000, "channels": 1, "codec": "PCM"}),
        ),
        file(
            3,
            "letter.txt",
            "text/plain",
            80_000,
            json!({"kind": "text", "lines": 900}),
        ),
        AttachmentView {
            available: false,
            held: 12_200_000,
            clinic: "Hillside Practice".into(),
            actor: "Tom Berg".into(),
            ..file(
                4,
                "knee.tif",
                "image/tiff",
                30_000_000,
                json!({"kind": "TIFF", "width": 2000, "height": 3000}),
            )
        },
        AttachmentView {
            available: false,
            preview: false,
            ..file(
                5,
                "report.pdf",
                "application/pdf",
                240_000,
                json!({"kind": "PDF", "pages": 4}),
            )
        },
        AttachmentView {
            available: false,
            preview: false,
            erased: Some("attached to the wrong patient".into()),
            bytes: 0,
            sha256: String::new(),
            ..file(6, "", "", 0, json!({}))
        },
    ]
}

/// What can be looked at of them.
pub(crate) fn previews() -> Vec<PreviewView> {
    let (width, height) = (48_u32, 48_u32);
    let ring = |x: u32, y: u32| {
        let (x, y) = (x.abs_diff(24), y.abs_diff(24));
        let far = x * x + y * y;
        let level = match far {
            521.. => 0,
            381.. => 230,
            _ => 40 + 3 * (x + y),
        };
        [u8::try_from(level).unwrap(); 3]
    };
    let rgb = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| ring(x, y)))
        .collect();
    let picture = PictureView { width, height, rgb };
    let wave = |n: i32| {
        let loud =
            i8::try_from((n * 7 % 61 + n * 13 % 47) * (100 - (n - 100).abs() / 2) / 100).unwrap();
        (-loud, loud)
    };
    let text = "Dear colleague,\n\nthank you for sending Mrs Okafor, whom we saw for her eyes.\n\nFundi without \
                haemorrhages; next look in a year.\n";
    vec![
        PreviewView::Picture {
            picture: picture.clone(),
            from_file: false,
            frame: (4, 10),
            window: Some((40.0, 400.0)),
        },
        PreviewView::Waveform {
            duration_ms: 205_000,
            peaks: (0..200).map(wave).collect(),
        },
        PreviewView::Text {
            text: text.repeat(9),
            whole: false,
        },
        PreviewView::Picture {
            picture,
            from_file: false,
            frame: (0, 1),
            window: None,
        },
        PreviewView::None("nothing of this file can be shown here".into()),
        PreviewView::None("erased".into()),
    ]
}

/// The clinics it knows: one in step, one away.
pub(crate) fn peers() -> Vec<PeerView> {
    vec![
        PeerView {
            id: "b802f7c1".into(),
            name: "Hillside Practice".into(),
            addresses: Vec::new(),
            connected: true,
            rtt_ms: Some(1.24),
            synced_ms: Some(NOW_MS - 3 * MINUTE_MS),
            behind: 0,
            last_error: None,
        },
        PeerView {
            id: "c5510a9e".into(),
            name: String::new(),
            addresses: Vec::new(),
            connected: false,
            rtt_ms: None,
            synced_ms: Some(NOW_MS - 4 * DAY_MS),
            behind: 12,
            last_error: Some("no answer from 192.168.4.20:4433 within 5 s".into()),
        },
    ]
}

/// What a sync with both did.
pub(crate) fn sync_reports() -> Vec<SyncReport> {
    vec![
        SyncReport {
            peer: "b802f7c1".into(),
            sent: 12,
            received: 1_040,
            refused: 0,
            bytes: 312_455,
            seconds: 0.42,
            unresolved: 0,
            error: None,
        },
        SyncReport {
            peer: "c5510a9e".into(),
            error: Some("no answer from 192.168.4.20:4433 within 5 s".into()),
            ..SyncReport::default()
        },
    ]
}

/// The newest entries.
pub(crate) fn audit() -> Vec<AuditRow> {
    let of = patients();
    let entry = |n: u64,
                 who: usize,
                 actor: &str,
                 clinic: &str,
                 kind: &str,
                 scope: &str,
                 summary: &[&str]| AuditRow {
        hash: format!(
            "{:08x}{}",
            0x9b1d_0f37_u64 ^ (n * 0x0101_4321),
            "e".repeat(56)
        ),
        log: of[who].id.clone(),
        patient: Some(crate::subject::row_name(&of[who])),
        chain: "c1".repeat(32),
        seq: 40 - n,
        clinic: clinic.into(),
        actor: actor.into(),
        time_ms: NOW_MS - 12 * MINUTE_MS - n * n * 37 * MINUTE_MS,
        kind: kind.into(),
        scope: Some(scope.to_owned()).filter(|s| !s.is_empty()),
        summary: summary.iter().map(|s| (*s).to_owned()).collect(),
        void: None,
    };
    let (here, there) = ("Riverside Clinic", "Hillside Practice");
    vec![
        entry(
            0,
            0,
            "Ines Falk",
            here,
            "edit",
            "observation",
            &["Observation added: Blood pressure 134/86 mmHg"],
        ),
        entry(
            1,
            0,
            "Ines Falk",
            here,
            "view",
            "",
            &["Looked at the record"],
        ),
        entry(
            2,
            0,
            "Tom Berg",
            there,
            "edit",
            "demographics",
            &["Telephone: +49 30 5550 811"],
        ),
        entry(3, 2, "Tom Berg", there, "edit", "note", &["Note added"]),
        entry(
            4,
            0,
            "Tom Berg",
            there,
            "edit",
            "clinical",
            &[
                "Metformin 500 mg oral tablet: dose",
                "Metformin 500 mg oral tablet: status active",
            ],
        ),
        entry(
            5,
            1,
            "Lena Okoye",
            "Harbour Clinic",
            "edit",
            "clinical",
            &[],
        ),
        entry(
            6,
            0,
            "Ines Falk",
            here,
            "grant",
            "",
            &["Hillside Practice may write"],
        ),
        entry(7, 0, "Ines Falk", here, "genesis", "", &["Record created"]),
    ]
}
