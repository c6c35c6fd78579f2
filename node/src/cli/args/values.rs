//! Words with a fixed choice, and what they are in the API.

use clap::ValueEnum;
use salus_api::{ExportFormat, NetworkMode, Right, Role, Stoppable};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// A choice of words, each with its value elsewhere.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident => $target:ty { $($(#[$case_doc:meta])* $case:ident => $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum $name {
            $($(#[$case_doc])* $case,)+
        }

        impl $name {
            /// What it is in the API or in FHIR.
            pub fn value(self) -> $target {
                match self {
                    $(Self::$case => $value,)+
                }
            }
        }
    };
}

words! {
    /// What a person of the staff may do.
    #[derive(Default)]
    StaffRole => Role {
        /// Edits everything
        #[default]
        Physician => Role::Physician,
        /// Observations and notes
        Nurse => Role::Nurse,
        /// Demographics and appointments
        Registrar => Role::Registrar,
        /// Reads logs
        Auditor => Role::Auditor,
        /// Enrols and retires staff
        Admin => Role::Admin,
    }
}

words! {
    /// Where a node may look for others.
    #[derive(Default)]
    Network => NetworkMode {
        /// This machine only
        #[default]
        Loopback => NetworkMode::Loopback,
        /// The local network
        Lan => NetworkMode::Lan,
        /// Anywhere, by address
        Internet => NetworkMode::Internet,
    }
}

words! {
    /// What can be granted.
    Grantable => Right {
        /// Read and edit
        Write => Right::Write,
        /// Read
        Read => Right::Read,
        /// Keep and serve, without being able to read
        Custodian => Right::Custodian,
    }
}

words! {
    /// What can be stopped.
    StoppableKind => Stoppable {
        /// A medicine
        Medication => Stoppable::Medication,
        /// A condition
        Condition => Stoppable::Condition,
        /// An allergy
        Allergy => Stoppable::Allergy,
    }
}

words! {
    /// Forms of an export.
    #[derive(Default)]
    Form => ExportFormat {
        /// FHIR R4 Bundle
        #[default]
        Fhir => ExportFormat::Fhir,
        /// International Patient Summary (FHIR R4 document)
        Ips => ExportFormat::Ips,
        /// One table
        Csv => ExportFormat::Csv,
    }
}

words! {
    /// FHIR `administrative-gender`.
    Sex => &'static str {
        /// Male
        Male => "male",
        /// Female
        Female => "female",
        /// Neither
        Other => "other",
        /// Not known, or not asked
        Unknown => "unknown",
    }
}

words! {
    /// FHIR `allergy-intolerance-criticality`.
    Criticality => &'static str {
        /// Not life-threatening
        Low => "low",
        /// May be life-threatening
        High => "high",
        /// Not known
        UnableToAssess => "unable-to-assess",
    }
}

words! {
    /// FHIR `reaction-event-severity`.
    Severity => &'static str {
        /// Mild
        Mild => "mild",
        /// Moderate
        Moderate => "moderate",
        /// Severe
        Severe => "severe",
    }
}

words! {
    /// FHIR `allergy-intolerance-category`.
    Category => &'static str {
        /// Something eaten
        Food => "food",
        /// A medicine
        Medication => "medication",
        /// Something in the surroundings
        Environment => "environment",
        /// A biological preparation
        Biologic => "biologic",
    }
}

words! {
    /// FHIR `allergy-intolerance-type`.
    AllergyKind => &'static str {
        /// An immune response
        Allergy => "allergy",
        /// Another adverse response
        Intolerance => "intolerance",
    }
}

words! {
    /// FHIR `condition-clinical`.
    ConditionStatus => &'static str {
        /// Present
        Active => "active",
        /// Back again
        Recurrence => "recurrence",
        /// Worse again
        Relapse => "relapse",
        /// Not present
        Inactive => "inactive",
        /// Not present for now
        Remission => "remission",
        /// Over
        Resolved => "resolved",
    }
}

words! {
    /// FHIR `condition-ver-status` and `allergyintolerance-verification`, as far as both go.
    Verification => &'static str {
        /// Not yet confirmed
        Unconfirmed => "unconfirmed",
        /// Confirmed
        Confirmed => "confirmed",
        /// Ruled out
        Refuted => "refuted",
    }
}

words! {
    /// HL7 v3 `ActCode`, as FHIR's `Encounter.class` uses it: the code and its display.
    EncounterClass => (&'static str, &'static str) {
        /// In the practice or outpatient department
        Ambulatory => ("AMB", "ambulatory"),
        /// In the emergency department
        Emergency => ("EMER", "emergency"),
        /// Admitted
        Inpatient => ("IMP", "inpatient encounter"),
        /// At the patient's home
        Home => ("HH", "home health"),
        /// By telephone or video
        Virtual => ("VR", "virtual"),
    }
}
