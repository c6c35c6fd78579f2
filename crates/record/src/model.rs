//! The typed record: what a patient's document says, in the words of FHIR R4 (4.0.1).
//!
//! Every struct is plain data. A field that FHIR treats as one value (a [`CodeableConcept`], a [`Quantity`],
//! a [`Period`]) is *one* value here too: it is written and merged whole, because a dose whose number came
//! from one clinic and whose unit came from another is worse than a conflict.
//!
//! Dates and times are FHIR strings (`YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a full instant with its zone), kept
//! exactly as they were written, because their precision is part of what they say.

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// A code in a code system (FHIR `Coding`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Coding {
    /// URI of the code system, for instance `http://loinc.org`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The code itself, for instance `8480-6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How the code system writes it for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// A concept: any number of codings that mean the same, and the words used (FHIR `CodeableConcept`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeableConcept {
    /// The codings, first one preferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coding: Vec<Coding>,
    /// The concept in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl CodeableConcept {
    /// A concept that is only words.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            coding: Vec::new(),
            text: Some(text.into()),
        }
    }

    /// A concept with one coding.
    pub fn code(
        system: impl Into<String>,
        code: impl Into<String>,
        display: impl Into<String>,
    ) -> Self {
        let display = display.into();
        Self {
            coding: vec![Coding {
                system: Some(system.into()),
                code: Some(code.into()),
                display: Some(display.clone()),
            }],
            text: Some(display),
        }
    }

    /// What to show a person: the words, else the first display, else the first code, else "".
    pub fn label(&self) -> &str {
        self.text
            .as_deref()
            .or_else(|| self.coding.iter().find_map(|c| c.display.as_deref()))
            .or_else(|| self.coding.iter().find_map(|c| c.code.as_deref()))
            .unwrap_or("")
    }

    /// Whether one of the codings is this code of this system.
    pub fn has(&self, system: &str, code: &str) -> bool {
        self.coding
            .iter()
            .any(|c| c.system.as_deref() == Some(system) && c.code.as_deref() == Some(code))
    }
}

/// A measured amount (FHIR `Quantity`); the unit is part of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantity {
    /// The number, with the digits it was written with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// `<`, `<=`, `>=` or `>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparator: Option<String>,
    /// The unit as people write it, for instance `mmHg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// URI of the unit's code system, nearly always `http://unitsofmeasure.org` (UCUM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The unit's code, for instance `mm[Hg]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A stretch of time (FHIR `Period`); an open end means it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Period {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// A time that FHIR lets be an instant, a period, or words (`onset[x]`, `performed[x]`, `effective[x]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// A date, or a date and time.
    DateTime(String),
    /// From when to when.
    Period(Period),
    /// An age at the time, in words or as a quantity.
    Age(Quantity),
    /// Anything that was only said in words.
    Text(String),
}

impl Timing {
    /// The date or time to sort and show by: the instant, else the start, else the end, else the words.
    pub fn when(&self) -> &str {
        match self {
            Self::DateTime(at) | Self::Text(at) => at,
            Self::Period(p) => p.start.as_deref().or(p.end.as_deref()).unwrap_or(""),
            Self::Age(q) => q.unit.as_deref().unwrap_or(""),
        }
    }
}

/// Administrative sex (FHIR `administrative-gender`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Neither.
    Other,
    /// Not known, or not asked.
    #[default]
    Unknown,
}

impl Sex {
    /// The FHIR code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for Sex {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "male" => Ok(Self::Male),
            "female" => Ok(Self::Female),
            "other" => Ok(Self::Other),
            "unknown" => Ok(Self::Unknown),
            _ => Err(()),
        }
    }
}

/// A number or code that some office gave to the patient (FHIR `Identifier`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identifier {
    /// Whose numbering it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What kind of number: medical record number, passport, social security number.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CodeableConcept>,
}

/// A postal address (FHIR `Address`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// Street lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub line: Vec<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State or region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// Who the record is about (FHIR `Patient`). Scope: demographics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// Medical record number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mrn: Option<String>,
    /// The id that the resource had where it was imported from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Given names, first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// `Mrs.`, `Dr.` and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
    /// `Jr.`, `PhD` and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suffix: Vec<String>,
    /// Date of birth, `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// Administrative sex.
    pub sex: Sex,
    /// `true`, or when the patient died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deceased: Option<String>,
    /// Telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Electronic mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Home address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Marital status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marital_status: Option<CodeableConcept>,
    /// Preferred language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<CodeableConcept>,
    /// All other identifiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
}

impl Patient {
    /// `Family, Given Given`.
    pub fn name(&self) -> String {
        let family = self.family.as_deref().unwrap_or("");
        let given = self.given.join(" ");
        match (family.is_empty(), given.is_empty()) {
            (false, false) => format!("{family}, {given}"),
            (false, true) => family.to_owned(),
            (true, _) => given,
        }
    }
}

/// One way an allergy showed itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reaction {
    /// What was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifestation: Vec<CodeableConcept>,
    /// `mild`, `moderate` or `severe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// FHIR `AllergyIntolerance`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllergyIntolerance {
    /// Id of the item within the record.
    pub id: String,
    /// The substance or class.
    pub code: CodeableConcept,
    /// `active`, `inactive` or `resolved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `confirmed`, `refuted` or `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<String>,
    /// `allergy` or `intolerance`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `food`, `medication`, `environment`, `biologic`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// `low`, `high` or `unable-to-assess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criticality: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<Timing>,
    /// When it was first recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_date: Option<String>,
    /// How it showed itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// Id of the encounter it was found in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// FHIR `Condition`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Id of the item within the record.
    pub id: String,
    /// What it is.
    pub code: CodeableConcept,
    /// `active`, `recurrence`, `relapse`, `inactive`, `remission` or `resolved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clinical_status: Option<String>,
    /// `unconfirmed`, `provisional`, `differential`, `confirmed`, `refuted` or `entered-in-error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<String>,
    /// Problem-list item, encounter diagnosis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<CodeableConcept>,
    /// How severe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<CodeableConcept>,
    /// Where in the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub body_site: Vec<CodeableConcept>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<Timing>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abatement: Option<Timing>,
    /// When it was first recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_date: Option<String>,
    /// Id of the encounter it was found in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether a medicine was ordered here or is known to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MedicationKind {
    /// FHIR `MedicationRequest`: an order.
    #[default]
    MedicationRequest,
    /// FHIR `MedicationStatement`: what the patient takes.
    MedicationStatement,
}

/// How to take a medicine (FHIR `Dosage`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dosage {
    /// The instruction in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How much each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose: Option<Quantity>,
    /// How often: times in a period, for instance `2` in `1 d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<u32>,
    /// Length of the period that `frequency` counts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Decimal>,
    /// Unit of `period` (UCUM): `s`, `min`, `h`, `d`, `wk`, `mo`, `a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_unit: Option<String>,
    /// By mouth, into a vein, and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<CodeableConcept>,
    /// Only when needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_needed: Option<bool>,
    /// Place in the order of several instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
}

/// FHIR `MedicationRequest` or `MedicationStatement`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Medication {
    /// Id of the item within the record.
    pub id: String,
    /// Order or statement.
    pub kind: MedicationKind,
    /// The medicine.
    pub code: CodeableConcept,
    /// `active`, `on-hold`, `stopped`, `completed`, `cancelled`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why the status is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// `order`, `plan`, `proposal`, … (requests only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// When it was ordered (`authoredOn`) or asserted (`dateAsserted`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored_on: Option<String>,
    /// From when to when it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timing>,
    /// How to take it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dosage: Vec<Dosage>,
    /// What for, in words or codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<CodeableConcept>,
    /// Ids of the conditions it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason_conditions: Vec<String>,
    /// Who ordered it, as written at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// Id of the encounter it was ordered in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What was observed (FHIR `value[x]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationValue {
    /// A measured amount.
    Quantity(Quantity),
    /// A concept.
    Concept(CodeableConcept),
    /// Words.
    String(String),
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A date or time.
    DateTime(String),
    /// A time of day, `hh:mm:ss`.
    Time(String),
    /// A period.
    Period(Period),
    /// From, to.
    Range {
        /// Lower end.
        low: Option<Quantity>,
        /// Upper end.
        high: Option<Quantity>,
    },
    /// One amount to another.
    Ratio {
        /// Above the line.
        numerator: Option<Quantity>,
        /// Below the line.
        denominator: Option<Quantity>,
    },
}

/// One part of an observation, for instance the systolic part of a blood pressure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObservationComponent {
    /// What was measured.
    pub code: CodeableConcept,
    /// What came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ObservationValue>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_absent_reason: Option<CodeableConcept>,
    /// High, low, normal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpretation: Vec<CodeableConcept>,
}

/// What is normal for a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceRange {
    /// Lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Quantity>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Quantity>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// FHIR `Observation`. Scope: observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// Id of the item within the record.
    pub id: String,
    /// `registered`, `preliminary`, `final`, `amended`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Vital signs, laboratory, survey, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<CodeableConcept>,
    /// What was measured.
    pub code: CodeableConcept,
    /// What came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ObservationValue>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_absent_reason: Option<CodeableConcept>,
    /// When it was true of the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timing>,
    /// When the result was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<String>,
    /// High, low, normal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpretation: Vec<CodeableConcept>,
    /// What is normal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_range: Vec<ReferenceRange>,
    /// Parts, for instance systolic and diastolic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ObservationComponent>,
    /// Ids of the observations of this panel (`hasMember`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Where in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_site: Option<CodeableConcept>,
    /// How it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<CodeableConcept>,
    /// Who measured it, as written at the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performer: Vec<String>,
    /// Id of the encounter it was made in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// FHIR `DiagnosticReport`. Scope: observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiagnosticReport {
    /// Id of the item within the record.
    pub id: String,
    /// `registered`, `partial`, `final`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Laboratory, radiology, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<CodeableConcept>,
    /// Which report.
    pub code: CodeableConcept,
    /// When it was true of the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timing>,
    /// When it was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<String>,
    /// Ids of its results among the record's observations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<String>,
    /// The conclusion in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// The conclusion in codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conclusion_codes: Vec<CodeableConcept>,
    /// Who made it, as written at the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub performer: Vec<String>,
    /// The report's own text, where it came as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Id of the encounter it was made in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
}

/// FHIR `Immunization`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Immunization {
    /// Id of the item within the record.
    pub id: String,
    /// `completed`, `entered-in-error` or `not-done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The vaccine.
    pub code: CodeableConcept,
    /// When it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<Timing>,
    /// Lot number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot_number: Option<String>,
    /// Where in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<CodeableConcept>,
    /// How it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<CodeableConcept>,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose: Option<Quantity>,
    /// Whether the record comes from whoever gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_source: Option<bool>,
    /// Id of the encounter it was given in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// FHIR `Procedure`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Procedure {
    /// Id of the item within the record.
    pub id: String,
    /// `preparation`, `in-progress`, `completed`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What was done.
    pub code: CodeableConcept,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performed: Option<Timing>,
    /// What for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<CodeableConcept>,
    /// Ids of the conditions it was for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason_conditions: Vec<String>,
    /// Where in the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub body_site: Vec<CodeableConcept>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CodeableConcept>,
    /// Id of the encounter it was done in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// FHIR `Encounter`. Scope: clinical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Encounter {
    /// Id of the item within the record.
    pub id: String,
    /// `planned`, `arrived`, `in-progress`, `finished`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Ambulatory, emergency, inpatient, … (v3 ActCode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Coding>,
    /// What kind of encounter.
    pub code: CodeableConcept,
    /// From when to when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// What for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<CodeableConcept>,
    /// Ids of the conditions it was for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason_conditions: Vec<String>,
    /// Who saw the patient, as written at the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<String>,
    /// Where, as written at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_provider: Option<String>,
}

/// A free-text note. Its text merges character by character. Scope: note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// Id of the item within the record.
    pub id: String,
    /// When it was begun, milliseconds since 1970-01-01 UTC, as the writer's clock claimed.
    pub created_ms: u64,
    /// Who began it, as known to the writer's clinic.
    pub author: String,
    /// Id of the encounter it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// What it says.
    pub text: String,
}

/// Everything the record's types cover: what an import brings, what a view shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordContent {
    /// Who it is about.
    pub patient: Patient,
    /// Allergies and intolerances.
    pub allergies: Vec<AllergyIntolerance>,
    /// Problems and diagnoses.
    pub conditions: Vec<Condition>,
    /// Orders and statements.
    pub medications: Vec<Medication>,
    /// Measurements.
    pub observations: Vec<Observation>,
    /// Reports.
    pub diagnostic_reports: Vec<DiagnosticReport>,
    /// Vaccinations.
    pub immunizations: Vec<Immunization>,
    /// What was done.
    pub procedures: Vec<Procedure>,
    /// Visits.
    pub encounters: Vec<Encounter>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// One of the record's items, whatever its type.
#[expect(
    clippy::large_enum_variant,
    reason = "items are moved, not kept: each is taken apart on arrival"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// An allergy.
    Allergy(AllergyIntolerance),
    /// A condition.
    Condition(Condition),
    /// A medicine.
    Medication(Medication),
    /// An observation.
    Observation(Observation),
    /// A report.
    DiagnosticReport(DiagnosticReport),
    /// A vaccination.
    Immunization(Immunization),
    /// A procedure.
    Procedure(Procedure),
    /// A visit.
    Encounter(Encounter),
}
