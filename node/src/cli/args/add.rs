//! `salus add`: typed items with their codes and units.

use clap::{Args, Subcommand};

use super::PatientArg;
use super::values::{
    AllergyKind, Category, ConditionStatus, Criticality, EncounterClass, Severity, Verification,
};

/// `salus add`.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A code is written SYSTEM|CODE, where SYSTEM is a URI or one of loinc, snomed, rxnorm, icd10, icd10cm, atc, cvx, cpt.
A bare code is LOINC in an observation (like 8480-6), SNOMED CT in an allergy, condition or procedure (digits).
Dates are YYYY-MM-DD, or a time with its zone like 2026-11-22T11:39:35Z; an absent date is now.")]
pub enum Add {
    /// An allergy or intolerance
    Allergy(AllergyArgs),
    /// A problem or diagnosis
    Condition(ConditionArgs),
    /// A medicine: an order, or with --statement one that the patient takes
    Medication(MedicationArgs),
    /// A measurement or finding
    Observation(ObservationArgs),
    /// A vaccination
    Immunization(ImmunizationArgs),
    /// Something that was done
    Procedure(ProcedureArgs),
    /// A visit
    Encounter(EncounterArgs),
}

impl Add {
    /// Whose record it is for.
    pub fn patient(&self) -> &str {
        let arg = match self {
            Self::Allergy(args) => &args.patient,
            Self::Condition(args) => &args.patient,
            Self::Medication(args) => &args.patient,
            Self::Observation(args) => &args.patient,
            Self::Immunization(args) => &args.patient,
            Self::Procedure(args) => &args.patient,
            Self::Encounter(args) => &args.patient,
        };
        &arg.patient
    }
}

/// `salus add allergy`.
#[derive(Debug, Args)]
pub struct AllergyArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// The substance in words
    #[arg(long, visible_alias = "name", required_unless_present = "code")]
    pub substance: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// How dangerous the next reaction may be
    #[arg(long, value_enum)]
    pub criticality: Option<Criticality>,
    /// How it showed itself; may be given again
    #[arg(long, value_name = "TEXT")]
    pub reaction: Vec<String>,
    /// How severe the reaction was
    #[arg(long, value_enum, requires = "reaction")]
    pub severity: Option<Severity>,
    /// What kind of substance; may be given again
    #[arg(long, value_enum)]
    pub category: Vec<Category>,
    /// Allergy or intolerance
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<AllergyKind>,
    /// How sure
    #[arg(long, value_enum)]
    pub verification: Option<Verification>,
    /// When it began
    #[arg(long, value_name = "DATE")]
    pub onset: Option<String>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add condition`.
#[derive(Debug, Args)]
pub struct ConditionArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// What it is, in words
    #[arg(long, visible_alias = "display", required_unless_present = "code")]
    pub name: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// When it began
    #[arg(long, value_name = "DATE")]
    pub onset: Option<String>,
    /// Whether it is present
    #[arg(long, value_enum, default_value = "active")]
    pub status: ConditionStatus,
    /// How sure
    #[arg(long, value_enum)]
    pub verification: Option<Verification>,
    /// How severe
    #[arg(long, value_enum)]
    pub severity: Option<Severity>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add medication`.
#[derive(Debug, Args)]
pub struct MedicationArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// The medicine with its strength, for instance "Amoxicillin 500 mg"
    #[arg(long, visible_alias = "display", required_unless_present = "code")]
    pub name: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// How to take it
    #[arg(long, value_name = "TEXT")]
    pub dose: Option<String>,
    /// The patient takes it; it is not an order from here
    #[arg(long)]
    pub statement: bool,
    /// When it was ordered, or heard of
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// Since when it is taken
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add observation`: a blood pressure, a vital sign by its short name, or anything by its code.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true).args(["bp", "vital", "code", "display"]),
    after_help = "Names for --vital, with their units: weight (kg), height (cm), temperature (°C),\n\
                  heart-rate (/min), respiratory-rate (/min), spo2 (%), glucose (mg/dL), hba1c (%).\n\n\
                  salus add observation 3f9a --bp 120/80\n\
                  salus add observation 3f9a --vital weight 72.5\n\
                  salus add observation 3f9a --code 8480-6 --display \"Systolic blood pressure\" --value 120 --unit mmHg"
)]
pub struct ObservationArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// A blood pressure in mmHg
    #[arg(long, value_name = "SYSTOLIC/DIASTOLIC", conflicts_with_all = ["vital", "code", "display", "value", "unit"])]
    pub bp: Option<String>,
    /// A vital sign in its usual unit
    #[arg(
        long,
        num_args = 2,
        value_names = ["NAME", "VALUE"],
        allow_negative_numbers = true,
        conflicts_with_all = ["code", "display", "value", "unit"]
    )]
    pub vital: Option<Vec<String>>,
    /// What was observed, as a code
    #[arg(long)]
    pub code: Option<String>,
    /// What was observed, in words
    #[arg(long, visible_alias = "name")]
    pub display: Option<String>,
    /// What came out: a number, or words; `<5` and the like are understood
    #[arg(long, allow_negative_numbers = true)]
    pub value: Option<String>,
    /// The unit of the number
    #[arg(long, requires = "value")]
    pub unit: Option<String>,
    /// When it was so
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add immunization`.
#[derive(Debug, Args)]
pub struct ImmunizationArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// The vaccine in words
    #[arg(long, visible_alias = "name", required_unless_present = "code")]
    pub vaccine: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// When it was given
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// Lot number
    #[arg(long, value_name = "NUMBER")]
    pub lot: Option<String>,
    /// Where in the body
    #[arg(long, value_name = "TEXT")]
    pub site: Option<String>,
    /// How it was given
    #[arg(long, value_name = "TEXT")]
    pub route: Option<String>,
    /// How much, for instance "0.5 mL"
    #[arg(long, value_name = "AMOUNT")]
    pub dose: Option<String>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add procedure`.
#[derive(Debug, Args)]
pub struct ProcedureArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// What was done, in words
    #[arg(long, visible_alias = "display", required_unless_present = "code")]
    pub name: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// When
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What came of it
    #[arg(long, value_name = "TEXT")]
    pub outcome: Option<String>,
    /// Remark
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `salus add encounter`.
#[derive(Debug, Args)]
pub struct EncounterArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// What kind of visit, in words
    #[arg(long, visible_alias = "display", required_unless_present = "code")]
    pub name: Option<String>,
    /// Its code
    #[arg(long)]
    pub code: Option<String>,
    /// Where the patient was seen
    #[arg(long, value_enum, default_value = "ambulatory")]
    pub class: EncounterClass,
    /// When it began
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// When it ended
    #[arg(long, value_name = "DATE", requires = "at")]
    pub end: Option<String>,
    /// It goes on
    #[arg(long, conflicts_with = "end")]
    pub ongoing: bool,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who saw the patient; may be given again
    #[arg(long = "with", value_name = "NAME")]
    pub with: Vec<String>,
}
