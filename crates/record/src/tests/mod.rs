//! Tests over several replicas, and against hostile changes.

mod bombs;
mod concerns;
mod convergence;
mod edits;
mod hostile;
mod merge;
mod saving;
mod sifting;
mod speed;
mod trials;

use crate::*;

const LOG: [u8; 32] = [9; 32];
const NOW_MS: u64 = 1_700_000_000_000;

fn actor(n: u8) -> [u8; 16] {
    actor_for([n; 32], LOG)
}

/// A record at its home clinic and copies at others, all with the first change.
fn replicas(count: u8) -> Vec<Record> {
    let (home, first) = Record::create(actor(0), NOW_MS).unwrap();
    let mut all = vec![home];
    for n in 1..count {
        let mut copy = Record::new(actor(n));
        copy.apply([first.bytes.clone()], Trust::Foreign).unwrap();
        all.push(copy);
    }
    all
}

fn pair() -> (Record, Record) {
    let mut both = replicas(2).into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

fn set(path: &str, value: &str) -> Edit {
    Edit::SetPatient {
        path: path.into(),
        value: Some(value.into()),
    }
}

fn condition(id: &str, words: &str) -> Condition {
    Condition {
        id: id.into(),
        code: CodeableConcept::text(words),
        clinical_status: Some("active".into()),
        onset: Some(Timing::DateTime("2020-01-02".into())),
        ..Condition::default()
    }
}

fn medication(id: &str, dose: &str) -> Medication {
    Medication {
        id: id.into(),
        code: CodeableConcept::text("Metformin"),
        status: Some("active".into()),
        dosage: vec![Dosage {
            dose: Some(Quantity {
                value: Some(dose.parse().unwrap()),
                unit: Some("mg".into()),
                ..Quantity::default()
            }),
            ..Dosage::default()
        }],
        ..Medication::default()
    }
}

fn note(id: &str, text: &str) -> Note {
    Note {
        id: id.into(),
        created_ms: NOW_MS,
        author: "Dr A".into(),
        text: text.into(),
        ..Note::default()
    }
}

fn edit(record: &mut Record, edit: Edit) -> Change {
    record
        .edit(&[edit], NOW_MS)
        .unwrap()
        .expect("something changes")
}

/// Gives `to` what `from` has and it lacks.
fn send(from: &Record, to: &mut Record) {
    let have: Vec<[u8; 32]> = to
        .heads()
        .into_iter()
        .filter(|h| from.has_change(h))
        .collect();
    to.apply(from.changes_since(&have), Trust::Foreign).unwrap();
}

/// Loads without anybody else: these bytes are the test's own.
fn load(saved: &[u8], actor: [u8; 16]) -> Result<Record, LoadError> {
    let proof = LoadProof::ask(saved, |request| Some(load_job(request)))?;
    Record::load(saved, actor, &proof)
}

fn exchange(a: &mut Record, b: &mut Record) {
    send(a, b);
    send(b, a);
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.view(), b.view());
    assert_eq!(a.conflicts(), b.conflicts());
}

fn content() -> RecordContent {
    RecordContent {
        patient: Patient {
            mrn: Some("MRN-1".into()),
            family: Some("Berg".into()),
            given: vec!["Ada".into(), "Lou".into()],
            sex: Sex::Female,
            birth_date: Some("1931-05-17".into()),
            address: Some(Address {
                city: Some("Oslo".into()),
                ..Address::default()
            }),
            ..Patient::default()
        },
        allergies: vec![AllergyIntolerance {
            id: "a1".into(),
            code: CodeableConcept::text("Penicillin"),
            category: vec!["medication".into()],
            ..AllergyIntolerance::default()
        }],
        conditions: vec![condition("c1", "Asthma")],
        medications: vec![medication("m1", "500")],
        observations: vec![Observation {
            id: "o1".into(),
            code: CodeableConcept::code("http://loinc.org", "8310-5", "Body temperature"),
            value: Some(ObservationValue::Quantity(Quantity {
                value: Some("37.50".parse().unwrap()),
                unit: Some("Cel".into()),
                ..Quantity::default()
            })),
            effective: Some(Timing::DateTime("2026-11-22T10:00:00Z".into())),
            ..Observation::default()
        }],
        diagnostic_reports: vec![DiagnosticReport {
            id: "r1".into(),
            results: vec!["o1".into()],
            ..DiagnosticReport::default()
        }],
        immunizations: vec![Immunization {
            id: "i1".into(),
            primary_source: Some(true),
            ..Immunization::default()
        }],
        procedures: vec![Procedure {
            id: "p1".into(),
            ..Procedure::default()
        }],
        encounters: vec![Encounter {
            id: "e1".into(),
            period: Some(Period {
                start: Some("2020".into()),
                end: None,
            }),
            ..Encounter::default()
        }],
        notes: vec![note("n1", "Feels well.\nSleeps badly.")],
    }
}
