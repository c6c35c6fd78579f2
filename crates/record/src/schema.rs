//! The document's shape: collections, and which scope each belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which part of a record a change may write. Mirrors the audit log's scopes, in the same order and with the
/// same numbers; this crate does not depend on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Scope {
    /// Who the patient is.
    Demographics = 0,
    /// Allergies, conditions, medications, immunizations, procedures, encounters.
    Clinical = 1,
    /// Observations and diagnostic reports.
    Observation = 2,
    /// Free-text notes.
    Note = 3,
    /// Attachments (they live in the log; no collection of the document has this scope).
    Attachment = 4,
    /// What models suggested (it lives in the log; no collection of the document has this scope).
    Ai = 5,
}

impl Scope {
    /// Lowercase name, as in errors and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demographics => "demographics",
            Self::Clinical => "clinical",
            Self::Observation => "observation",
            Self::Note => "note",
            Self::Attachment => "attachment",
            Self::Ai => "ai",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the maps at the root of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// Who the record is about: the one collection whose fields are directly in it.
    Patient,
    /// Allergies and intolerances.
    Allergies,
    /// Problems and diagnoses.
    Conditions,
    /// Orders and statements.
    Medications,
    /// Measurements.
    Observations,
    /// Reports.
    DiagnosticReports,
    /// Vaccinations.
    Immunizations,
    /// What was done.
    Procedures,
    /// Visits.
    Encounters,
    /// Notes.
    Notes,
    /// Which sources were imported.
    Sources,
}

impl Collection {
    /// All of them, in the order in which a new record creates them.
    pub const ALL: [Self; 11] = [
        Self::Patient,
        Self::Allergies,
        Self::Conditions,
        Self::Medications,
        Self::Observations,
        Self::DiagnosticReports,
        Self::Immunizations,
        Self::Procedures,
        Self::Encounters,
        Self::Notes,
        Self::Sources,
    ];

    /// Its key at the root of the document, and the first part of its paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Allergies => "allergies",
            Self::Conditions => "conditions",
            Self::Medications => "medications",
            Self::Observations => "observations",
            Self::DiagnosticReports => "diagnostic_reports",
            Self::Immunizations => "immunizations",
            Self::Procedures => "procedures",
            Self::Encounters => "encounters",
            Self::Notes => "notes",
            Self::Sources => "sources",
        }
    }

    /// One of its items, in words.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Allergies => "allergy",
            Self::Conditions => "condition",
            Self::Medications => "medication",
            Self::Observations => "observation",
            Self::DiagnosticReports => "diagnostic report",
            Self::Immunizations => "immunization",
            Self::Procedures => "procedure",
            Self::Encounters => "encounter",
            Self::Notes => "note",
            Self::Sources => "source",
        }
    }

    /// Several of its items, in words.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::DiagnosticReports => "diagnostic reports",
            other => other.as_str(),
        }
    }

    /// The collection with this key at the root; `None` for one that only a later version knows.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }

    /// The scope that a change needs to write here. `None` for [`Collection::Sources`], whose marks travel
    /// with the change that imported something, whatever its scope.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Patient => Some(Scope::Demographics),
            Self::Allergies
            | Self::Conditions
            | Self::Medications
            | Self::Immunizations
            | Self::Procedures
            | Self::Encounters => Some(Scope::Clinical),
            Self::Observations | Self::DiagnosticReports => Some(Scope::Observation),
            Self::Notes => Some(Scope::Note),
            Self::Sources => None,
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where one field is: `patient/<field>` or `<collection>/<id>/<field>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FieldPath {
    pub(crate) collection: Collection,
    /// Id of the item; empty for the patient.
    pub(crate) id: String,
    pub(crate) field: String,
}

impl FieldPath {
    /// Reads a path. An id may contain slashes (only the first and the last one of a path separate).
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (name, rest) = path.split_once('/')?;
        let collection = Collection::from_name(name)?;
        let (id, field) = match collection {
            Collection::Patient => ("", rest),
            _ => rest.rsplit_once('/')?,
        };
        if field.is_empty() || (id.is_empty() && collection != Collection::Patient) {
            return None;
        }
        Some(Self {
            collection,
            id: id.to_owned(),
            field: field.to_owned(),
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.collection {
            Collection::Patient => write!(f, "patient/{}", self.field),
            collection => write!(f, "{collection}/{}/{}", self.id, self.field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_paths_keep_slashes_in_ids() {
        for c in Collection::ALL {
            assert_eq!(Collection::from_name(c.as_str()), Some(c));
            assert_eq!(serde_json::to_value(c).unwrap(), c.as_str());
        }
        for text in [
            "patient/phone",
            "conditions/a/b/clinical_status",
            "notes/n1/text",
        ] {
            assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(FieldPath::parse("conditions/a/b/code").unwrap().id, "a/b");
        for text in [
            "",
            "patient",
            "patient/",
            "conditions/x",
            "conditions//x",
            "nothing/x/y",
        ] {
            assert_eq!(FieldPath::parse(text), None, "{text}");
        }
    }
}
