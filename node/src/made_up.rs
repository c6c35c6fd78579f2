//! Made-up patients for the demo, the tests and the benchmarks: nobody real, the same for the same seed.

use salus_record::{
    AllergyIntolerance, CodeableConcept, Condition, Medication, MedicationKind, Observation,
    ObservationValue, Patient, Quantity, Reaction, RecordContent, Sex, Timing,
};

const FAMILIES: [&str; 24] = [
    "Okafor",
    "Lindqvist",
    "Tanaka",
    "Moreau",
    "Haddad",
    "Novak",
    "Silva",
    "Achieng",
    "Fischer",
    "Rossi",
    "Mensah",
    "Kowalska",
    "Nguyen",
    "Iyer",
    "Castillo",
    "Dupont",
    "Eriksen",
    "Farouk",
    "Gashi",
    "Horvat",
    "Ibáñez",
    "Jansen",
    "Karimi",
    "Laurent",
];
const FEMALE: [&str; 12] = [
    "Ada", "Ingrid", "Yuki", "Claire", "Layla", "Petra", "Beatriz", "Grace", "Anna", "Giulia",
    "Efua", "Linh",
];
const MALE: [&str; 12] = [
    "Chidi", "Lars", "Kenji", "Luc", "Omar", "Marek", "Tiago", "Otieno", "Jonas", "Marco", "Kofi",
    "Minh",
];
const CONDITIONS: [(&str, &str); 8] = [
    ("38341003", "Hypertension"),
    ("44054006", "Type 2 diabetes mellitus"),
    ("195967001", "Asthma"),
    ("13645005", "Chronic obstructive pulmonary disease"),
    ("235595009", "Gastro-oesophageal reflux disease"),
    ("40055000", "Chronic sinusitis"),
    ("396275006", "Osteoarthritis"),
    ("37796009", "Migraine"),
];
const MEDICINES: [&str; 6] = [
    "Amlodipine 5 mg",
    "Metformin 500 mg",
    "Salbutamol 100 µg inhaler",
    "Omeprazole 20 mg",
    "Ibuprofen 400 mg",
    "Lisinopril 10 mg",
];
const ALLERGENS: [(&str, &str, &str); 4] = [
    ("91936005", "Penicillin", "Urticaria"),
    ("300916003", "Latex", "Contact dermatitis"),
    ("91935009", "Peanut", "Anaphylaxis"),
    ("419474003", "Mould", "Rhinitis"),
];

/// A small generator of numbers: SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Always the same throws for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.throw().checked_rem(n).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let n = self.below(from.len() as u64);
        from.get(usize::try_from(n).unwrap_or(0))
    }
}

/// The `n`-th made-up patient of a seed, with a few years of history.
pub fn patient(seed: u64, n: u64) -> RecordContent {
    let mut dice = Dice::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(n));
    let female = dice.below(2) == 0;
    let given = dice
        .pick(if female { &FEMALE } else { &MALE })
        .copied()
        .unwrap_or("Ada");
    let family = dice.pick(&FAMILIES).copied().unwrap_or("Okafor");
    let year = 1935 + dice.below(80);
    let birth_date = format!("{year}-{:02}-{:02}", 1 + dice.below(12), 1 + dice.below(28));
    let mut content = RecordContent {
        patient: Patient {
            mrn: Some(format!("MU-{seed}-{n:05}")),
            source_id: Some(format!("made-up-{seed}-{n}")),
            family: Some(family.into()),
            given: vec![given.into()],
            birth_date: Some(birth_date),
            sex: if female { Sex::Female } else { Sex::Male },
            // 555-01xx numbers are set aside for fiction.
            phone: Some(format!("555-01{:02}", dice.below(100))),
            ..Patient::default()
        },
        ..RecordContent::default()
    };
    if dice.below(3) == 0 {
        let (code, name, manifestation) =
            dice.pick(&ALLERGENS)
                .copied()
                .unwrap_or(("91936005", "Penicillin", "Urticaria"));
        content.allergies.push(AllergyIntolerance {
            id: format!("allergy-{n}"),
            code: CodeableConcept::code("http://snomed.info/sct", code, name),
            clinical_status: Some("active".into()),
            verification_status: Some("confirmed".into()),
            criticality: Some("high".into()),
            reactions: vec![Reaction {
                manifestation: vec![CodeableConcept::text(manifestation)],
                ..Reaction::default()
            }],
            ..AllergyIntolerance::default()
        });
    }
    for i in 0..1 + dice.below(3) {
        let (code, name) = dice
            .pick(&CONDITIONS)
            .copied()
            .unwrap_or(("38341003", "Hypertension"));
        content.conditions.push(Condition {
            id: format!("condition-{n}-{i}"),
            code: CodeableConcept::code("http://snomed.info/sct", code, name),
            clinical_status: Some("active".into()),
            verification_status: Some("confirmed".into()),
            onset: Some(Timing::DateTime(format!("{}-05-01", 2010 + dice.below(14)))),
            ..Condition::default()
        });
        let medicine = dice.pick(&MEDICINES).copied().unwrap_or("Amlodipine 5 mg");
        content.medications.push(Medication {
            id: format!("medication-{n}-{i}"),
            kind: MedicationKind::MedicationRequest,
            code: CodeableConcept::text(medicine),
            status: Some("active".into()),
            intent: Some("order".into()),
            authored_on: Some(format!("{}-06-01", 2016 + dice.below(9))),
            ..Medication::default()
        });
    }
    for visit in 0..4 + dice.below(5) {
        let at = format!(
            "{}-{:02}-15T09:30:00Z",
            2020 + visit / 2,
            1 + 6 * (visit % 2)
        );
        let systolic = u16::try_from(108 + dice.below(50)).unwrap_or(120);
        let diastolic = u16::try_from(64 + dice.below(30)).unwrap_or(80);
        if let salus_api::record::Item::Observation(mut pressure) =
            salus_api::blood_pressure(systolic, diastolic, Some(at.clone()))
        {
            pressure.id = format!("bp-{n}-{visit}");
            content.observations.push(pressure);
        }
        content.observations.push(Observation {
            id: format!("weight-{n}-{visit}"),
            status: Some("final".into()),
            code: CodeableConcept::code("http://loinc.org", "29463-7", "Body weight"),
            value: Some(ObservationValue::Quantity(Quantity {
                value: format!("{}.{}", 52 + dice.below(50), dice.below(10))
                    .parse()
                    .ok(),
                unit: Some("kg".into()),
                system: Some("http://unitsofmeasure.org".into()),
                code: Some("kg".into()),
                ..Quantity::default()
            })),
            effective: Some(Timing::DateTime(at)),
            ..Observation::default()
        });
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_people() {
        assert_eq!(patient(7, 3), patient(7, 3));
        assert_ne!(patient(7, 3), patient(7, 4));
        assert_ne!(patient(7, 3), patient(8, 3));
    }
}
