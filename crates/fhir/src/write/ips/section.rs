//! The sections of a patient summary, and which items belong to which.

use salus_record::model::*;

use crate::urls;
use crate::write::bundle::Resource;

/// A section of the International Patient Summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Medications,
    Allergies,
    Problems,
    Immunizations,
    Procedures,
    Results,
    VitalSigns,
    PastIllness,
    SocialHistory,
    Pregnancy,
}

impl Section {
    /// All of them, in the order in which they are read.
    pub(crate) const ALL: [Self; 10] = [
        Self::Allergies,
        Self::Problems,
        Self::Medications,
        Self::Immunizations,
        Self::Procedures,
        Self::Results,
        Self::VitalSigns,
        Self::PastIllness,
        Self::SocialHistory,
        Self::Pregnancy,
    ];

    /// Where an item belongs; `None` for what a summary does not carry.
    pub(crate) fn of(resource: &Resource<'_>) -> Option<Self> {
        match *resource {
            Resource::Medication(_) => Some(Self::Medications),
            Resource::Allergy(_) => Some(Self::Allergies),
            Resource::Condition(item) if is_over(item) => Some(Self::PastIllness),
            Resource::Condition(_) => Some(Self::Problems),
            Resource::Immunization(_) => Some(Self::Immunizations),
            Resource::Procedure(_) => Some(Self::Procedures),
            Resource::DiagnosticReport(_) => Some(Self::Results),
            Resource::Observation(item) => Some(of_observation(item)),
            Resource::Encounter(_) | Resource::Note(_) => None,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Medications => "Medication Summary",
            Self::Allergies => "Allergies and Intolerances",
            Self::Problems => "Problem List",
            Self::Immunizations => "Immunizations",
            Self::Procedures => "History of Procedures",
            Self::Results => "Results",
            Self::VitalSigns => "Vital Signs",
            Self::PastIllness => "History of Past Illness",
            Self::SocialHistory => "Social History",
            Self::Pregnancy => "History of Pregnancy",
        }
    }

    /// LOINC code and display (IPS profile `Composition-uv-ips`).
    pub(crate) fn loinc(self) -> (&'static str, &'static str) {
        match self {
            Self::Medications => ("10160-0", "History of Medication use Narrative"),
            Self::Allergies => ("48765-2", "Allergies and adverse reactions Document"),
            Self::Problems => ("11450-4", "Problem list - Reported"),
            Self::Immunizations => ("11369-6", "History of Immunization Narrative"),
            Self::Procedures => ("47519-4", "History of Procedures Document"),
            Self::Results => (
                "30954-2",
                "Relevant diagnostic tests/laboratory data Narrative",
            ),
            Self::VitalSigns => ("8716-3", "Vital signs"),
            Self::PastIllness => ("11348-0", "History of Past illness Narrative"),
            Self::SocialHistory => ("29762-2", "Social history Narrative"),
            Self::Pregnancy => ("10162-6", "History of pregnancies Narrative"),
        }
    }

    /// The code (and its display) of the statement that nothing is known, for the sections that must be there.
    pub(crate) fn no_information(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Medications => Some(("no-medication-info", "No information about medications")),
            Self::Allergies => Some(("no-allergy-info", "No information about allergies")),
            Self::Problems => Some(("no-problem-info", "No information about problems")),
            _ => None,
        }
    }

    /// What the first column of its table holds.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Medications => "Medicine",
            Self::Allergies => "Allergy or intolerance",
            Self::Problems | Self::PastIllness => "Problem",
            Self::Immunizations => "Vaccine",
            Self::Procedures => "Procedure",
            Self::Results => "Result",
            Self::VitalSigns => "Measurement",
            Self::SocialHistory | Self::Pregnancy => "Observation",
        }
    }
}

/// Whether a condition is past: by its status or, without one, by its end.
fn is_over(item: &Condition) -> bool {
    match item.clinical_status.as_deref() {
        Some(status) => matches!(status, "inactive" | "remission" | "resolved"),
        None => item.abatement.is_some(),
    }
}

/// LOINC codes of tobacco and alcohol use (IPS profiles `Observation-tobaccouse-uv-ips`, `-alcoholuse-`).
const SOCIAL: [&str; 2] = ["72166-2", "74013-4"];

/// LOINC codes of pregnancy: its state, the expected day of birth, and what came of earlier ones (IPS value sets
/// `pregnancy-status`, `edd-method` and `pregnancies-summary`).
const PREGNANCY: [&str; 13] = [
    "82810-3", "11778-8", "11779-6", "11780-4", "11636-8", "11637-6", "11638-4", "11639-2",
    "11640-0", "11612-9", "11613-7", "11614-5", "33065-4",
];

fn of_observation(item: &Observation) -> Section {
    let coded = |codes: &[&str]| codes.iter().any(|code| item.code.has(urls::LOINC, code));
    let category = |code: &str| {
        let mut codings = item.category.iter().flat_map(|c| &c.coding);
        codings.any(|c| c.code.as_deref() == Some(code))
    };
    if coded(&PREGNANCY) {
        Section::Pregnancy
    } else if coded(&SOCIAL) || category("social-history") {
        Section::SocialHistory
    } else if category("vital-signs") {
        Section::VitalSigns
    } else {
        Section::Results
    }
}
