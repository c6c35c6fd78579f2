//! A node for tests, which answers every call with a function, and things for it to answer.

use salus_api::record::*;
use salus_api::{
    ApiError, Auth, Client, HeightView, LockState, NetworkMode, PatientRow, PatientView, Progress,
    Reply, Request, Response, Right, Status, channel,
};

use super::codes::LOINC;
use super::session::Caller;

/// A node that answers by `answer`, after a word of progress.
pub fn node(
    mut answer: impl FnMut(Auth, Request) -> Result<Response, ApiError> + Send + 'static,
) -> Client {
    let (client, mut calls) = channel();
    tokio::spawn(async move {
        while let Some(envelope) = calls.recv().await {
            let step = Progress {
                what: "working".to_owned(),
                done: 1,
                total: 2,
            };
            let _ = envelope.replies.send(Reply::Progress(step)).await;
            let done = Reply::Done(answer(envelope.call.auth, envelope.call.request));
            let _ = envelope.replies.send(done).await;
        }
    });
    client
}

/// The same with somebody who asks.
pub fn caller(
    answer: impl FnMut(Auth, Request) -> Result<Response, ApiError> + Send + 'static,
) -> Caller {
    Caller {
        client: node(answer),
        auth: Auth::Nobody,
    }
}

/// A status to change a field of.
pub fn status() -> Status {
    Status {
        clinic: Some("c1".repeat(32)),
        name: Some("North Clinic".to_owned()),
        state: LockState::Locked,
        staff: None,
        daemon: true,
        network: NetworkMode::Loopback,
        addresses: vec![format!("{}@127.0.0.1:4433", "e1".repeat(32))],
        patients: None,
        logs: 41,
        entries: 12_345,
        connected: 1,
        version: "0.1.0".to_owned(),
    }
}

fn observation(loinc: &str, name: &str, value: &str, unit: &str, at: &str) -> Observation {
    Observation {
        id: format!("{loinc}-{at}"),
        status: Some("final".to_owned()),
        code: CodeableConcept::code(LOINC, loinc, name),
        value: Some(ObservationValue::Quantity(Quantity {
            value: Some(value.parse().unwrap()),
            unit: Some(unit.to_owned()),
            ..Quantity::default()
        })),
        effective: Some(Timing::DateTime(at.to_owned())),
        ..Observation::default()
    }
}

fn content() -> RecordContent {
    let words = |w: &str| Some(w.to_owned());
    let Item::Observation(pressure) =
        salus_api::blood_pressure(142, 91, words("2026-11-20T09:30:00+01:00"))
    else {
        panic!("no observation");
    };
    RecordContent {
        patient: Patient {
            mrn: words("M-7"),
            family: words("Ng"),
            given: vec!["Wei".to_owned(), "Ling".to_owned()],
            birth_date: words("1956-02-03"),
            sex: Sex::Female,
            phone: words("+49 431 1"),
            address: Some(Address {
                line: vec!["Hafenstr. 1".to_owned()],
                city: words("Kiel"),
                ..Address::default()
            }),
            ..Patient::default()
        },
        allergies: vec![AllergyIntolerance {
            id: "a1".to_owned(),
            code: CodeableConcept::text("Penicillin"),
            clinical_status: words("active"),
            criticality: words("high"),
            reactions: vec![Reaction {
                manifestation: vec![CodeableConcept::text("Rash")],
                severity: words("moderate"),
                ..Reaction::default()
            }],
            ..AllergyIntolerance::default()
        }],
        conditions: vec![
            Condition {
                id: "c1".to_owned(),
                code: CodeableConcept::text("Essential hypertension"),
                clinical_status: words("active"),
                onset: Some(Timing::DateTime("2012-05-01".to_owned())),
                ..Condition::default()
            },
            Condition {
                id: "c2".to_owned(),
                code: CodeableConcept::text("Sinusitis"),
                clinical_status: words("resolved"),
                abatement: Some(Timing::DateTime("2020-01-09".to_owned())),
                ..Condition::default()
            },
        ],
        medications: vec![Medication {
            id: "m1".to_owned(),
            code: CodeableConcept::text("Lisinopril 10 mg oral tablet"),
            status: words("active"),
            authored_on: words("2020-02-03"),
            dosage: vec![Dosage {
                frequency: Some(1),
                period: Some(1.into()),
                period_unit: words("d"),
                as_needed: Some(true),
                ..Dosage::default()
            }],
            ..Medication::default()
        }],
        observations: vec![
            observation("2093-3", "Total cholesterol", "190", "mg/dL", "2026-11-21"),
            observation("29463-7", "Body weight", "74.0", "kg", "2019-01-01"),
            observation("29463-7", "Body weight", "72.50", "kg", "2026-11-20"),
            pressure,
        ],
        encounters: vec![Encounter {
            id: "e1".to_owned(),
            status: words("finished"),
            code: CodeableConcept::text("Check-up"),
            period: Some(Period {
                start: words("2026-11-20T09:20:00+01:00"),
                end: None,
            }),
            ..Encounter::default()
        }],
        notes: vec![Note {
            id: "n1".to_owned(),
            created_ms: 1_795_347_575_123,
            author: "Dr. Ann Onym".to_owned(),
            text: "Feels well.\nBlood pressure to be watched at home every morning for two weeks."
                .to_owned(),
            ..Note::default()
        }],
        ..RecordContent::default()
    }
}

/// A record with a little of everything.
pub fn record() -> PatientView {
    let id = "3f9a".repeat(16);
    PatientView {
        row: PatientRow {
            id,
            mrn: "M-7".to_owned(),
            family: "Ng".to_owned(),
            given: "Wei Ling".to_owned(),
            birth_date: "1956-02-03".to_owned(),
            sex: "female".to_owned(),
            updated_ms: 1_795_347_575_123,
        },
        content: content(),
        attachments: Vec::new(),
        conflicts: Vec::new(),
        suggestions: Vec::new(),
        concerns: Vec::new(),
        linked: Vec::new(),
        at: None,
        warnings: Vec::new(),
        heights: [(
            "cc".repeat(32),
            HeightView {
                seq: 41,
                hash: "ab".repeat(32),
            },
        )]
        .into(),
        home: "c1".repeat(32),
        right: Right::Home,
        verified: true,
        entries: 42,
        held_out: 0,
        synced_ms: None,
        problems: Vec::new(),
    }
}
