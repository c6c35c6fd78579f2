//! Items that more than one face fills in, with their codes.

use salus_record::model::{
    CodeableConcept, Item, Observation, ObservationComponent, ObservationValue, Quantity, Timing,
};

/// A blood pressure in mmHg, as FHIR's vital-signs profile has it (LOINC 85354-9 with 8480-6 and 8462-4).
///
/// `at` is a FHIR date or time; the node fills in now where it is absent.
pub fn blood_pressure(systolic: u16, diastolic: u16, at: Option<String>) -> Item {
    const LOINC: &str = "http://loinc.org";
    let component = |code: &str, display: &str, value: u16| ObservationComponent {
        code: CodeableConcept::code(LOINC, code, display),
        value: Some(ObservationValue::Quantity(Quantity {
            value: Some(i64::from(value).into()),
            unit: Some("mmHg".into()),
            system: Some("http://unitsofmeasure.org".into()),
            code: Some("mm[Hg]".into()),
            ..Quantity::default()
        })),
        ..ObservationComponent::default()
    };
    Item::Observation(Observation {
        status: Some("final".into()),
        category: vec![CodeableConcept::code(
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "vital-signs",
            "Vital Signs",
        )],
        code: CodeableConcept::code(
            LOINC,
            "85354-9",
            "Blood pressure panel with all children optional",
        ),
        effective: at.map(Timing::DateTime),
        components: vec![
            component("8480-6", "Systolic blood pressure", systolic),
            component("8462-4", "Diastolic blood pressure", diastolic),
        ],
        ..Observation::default()
    })
}
