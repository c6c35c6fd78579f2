//! What all typed items have in common.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::*;
use crate::schema::Collection;

/// An item of one collection.
pub(crate) trait Stored: Serialize + DeserializeOwned + Default {
    const COLLECTION: Collection;

    fn id(&self) -> &str;

    /// The date or time to sort by; "" if it has none.
    fn when(&self) -> &str;

    /// What to call it; "" if it has no name.
    fn label(&self) -> &str;
}

macro_rules! stored {
    ($type:ident, $collection:ident, |$item:ident| $when:expr) => {
        impl Stored for $type {
            const COLLECTION: Collection = Collection::$collection;

            fn id(&self) -> &str {
                &self.id
            }

            fn when(&self) -> &str {
                let $item = self;
                $when.unwrap_or("")
            }

            fn label(&self) -> &str {
                self.code.label()
            }
        }
    };
}

fn timing(timing: &Option<Timing>) -> Option<&str> {
    timing.as_ref().map(Timing::when)
}

stored!(AllergyIntolerance, Allergies, |a| timing(&a.onset)
    .or(a.recorded_date.as_deref()));
stored!(Condition, Conditions, |c| timing(&c.onset)
    .or(c.recorded_date.as_deref()));
stored!(Medication, Medications, |m| m
    .authored_on
    .as_deref()
    .or(timing(&m.effective)));
stored!(Observation, Observations, |o| timing(&o.effective)
    .or(o.issued.as_deref()));
stored!(DiagnosticReport, DiagnosticReports, |r| timing(
    &r.effective
)
.or(r.issued.as_deref()));
stored!(Immunization, Immunizations, |i| timing(&i.occurrence));
stored!(Procedure, Procedures, |p| timing(&p.performed));
stored!(Encounter, Encounters, |e| e
    .period
    .as_ref()
    .and_then(|p| p.start.as_deref().or(p.end.as_deref())));

impl Stored for Note {
    const COLLECTION: Collection = Collection::Notes;

    fn id(&self) -> &str {
        &self.id
    }

    /// Notes are sorted by their number of milliseconds instead.
    fn when(&self) -> &str {
        ""
    }

    fn label(&self) -> &str {
        &self.author
    }
}

impl Stored for Patient {
    const COLLECTION: Collection = Collection::Patient;

    fn id(&self) -> &str {
        ""
    }

    fn when(&self) -> &str {
        self.birth_date.as_deref().unwrap_or("")
    }

    fn label(&self) -> &str {
        self.family.as_deref().unwrap_or("")
    }
}

/// Calls `$do::<T>(args)` with the type of the items of a collection; `$none` for [`Collection::Sources`].
macro_rules! with_type {
    ($collection:expr, $do:ident ( $($arg:expr),* ), $none:expr) => {
        match $collection {
            $crate::schema::Collection::Patient => $do::<$crate::model::Patient>($($arg),*),
            $crate::schema::Collection::Allergies => {
                $do::<$crate::model::AllergyIntolerance>($($arg),*)
            }
            $crate::schema::Collection::Conditions => $do::<$crate::model::Condition>($($arg),*),
            $crate::schema::Collection::Medications => $do::<$crate::model::Medication>($($arg),*),
            $crate::schema::Collection::Observations => $do::<$crate::model::Observation>($($arg),*),
            $crate::schema::Collection::DiagnosticReports => {
                $do::<$crate::model::DiagnosticReport>($($arg),*)
            }
            $crate::schema::Collection::Immunizations => {
                $do::<$crate::model::Immunization>($($arg),*)
            }
            $crate::schema::Collection::Procedures => $do::<$crate::model::Procedure>($($arg),*),
            $crate::schema::Collection::Encounters => $do::<$crate::model::Encounter>($($arg),*),
            $crate::schema::Collection::Notes => $do::<$crate::model::Note>($($arg),*),
            $crate::schema::Collection::Sources => $none,
        }
    };
}
pub(crate) use with_type;

impl Item {
    /// Id of the item within the record.
    pub fn id(&self) -> &str {
        match self {
            Self::Allergy(i) => &i.id,
            Self::Condition(i) => &i.id,
            Self::Medication(i) => &i.id,
            Self::Observation(i) => &i.id,
            Self::DiagnosticReport(i) => &i.id,
            Self::Immunization(i) => &i.id,
            Self::Procedure(i) => &i.id,
            Self::Encounter(i) => &i.id,
        }
    }

    /// The collection it belongs to.
    pub fn collection(&self) -> Collection {
        match self {
            Self::Allergy(_) => Collection::Allergies,
            Self::Condition(_) => Collection::Conditions,
            Self::Medication(_) => Collection::Medications,
            Self::Observation(_) => Collection::Observations,
            Self::DiagnosticReport(_) => Collection::DiagnosticReports,
            Self::Immunization(_) => Collection::Immunizations,
            Self::Procedure(_) => Collection::Procedures,
            Self::Encounter(_) => Collection::Encounters,
        }
    }

    /// What to call it, in words; "" if it has no name.
    pub fn label(&self) -> &str {
        match self {
            Self::Allergy(i) => i.code.label(),
            Self::Condition(i) => i.code.label(),
            Self::Medication(i) => i.code.label(),
            Self::Observation(i) => i.code.label(),
            Self::DiagnosticReport(i) => i.code.label(),
            Self::Immunization(i) => i.code.label(),
            Self::Procedure(i) => i.code.label(),
            Self::Encounter(i) => i.code.label(),
        }
    }
}
