//! What a person or an import wants changed, in typed form.

use serde::{Deserialize, Serialize};

use crate::concern::item_path;
use crate::model::{Item, Note, Patient, RecordContent};
use crate::schema::{Collection, FieldPath, Scope};

/// One edit of a record. Only what differs is written, so an edit that says what the record already says
/// changes nothing, and two clinics that edit different fields of one item do not conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "most edits are items; a box for each would cost more"
)]
pub enum Edit {
    /// Writes the patient's fields that differ; those that are empty here are removed.
    Patient(Patient),
    /// Sets or (with `None`) removes one of the patient's fields. [`PATIENT_PATHS`] lists the paths.
    SetPatient {
        /// The field, for instance `phone` or `address.city`.
        path: String,
        /// Its value as a person types it.
        value: Option<String>,
    },
    /// Adds an item, or writes the fields of an existing one that differ and removes those empty here.
    Put(Item),
    /// Begins a note (an existing one with this id is brought to the given state).
    NewNote(Note),
    /// Adds a paragraph at the end of a note.
    AppendNote {
        /// The note.
        id: String,
        /// What to add; a line break is put before it.
        text: String,
    },
    /// Brings a note to a new text; only the differences are written, so concurrent edits merge.
    EditNote {
        /// The note.
        id: String,
        /// The whole new text.
        text: String,
    },
    /// Ends something: a medication is stopped, a condition or an allergy resolved.
    Stop {
        /// `medications`, `conditions` or `allergies`.
        collection: Collection,
        /// The item.
        id: String,
        /// When it ended: a FHIR date or instant.
        at: String,
        /// Why, in words.
        why: Option<String>,
    },
    /// Settles a conflict: writes the chosen value over all concurrent ones. `null` removes the field. A value that
    /// the writer did not know of is not among those: where it arrives later, it is a conflict with the choice.
    Resolve {
        /// The conflict's path.
        path: String,
        /// The value that shall stand, named by itself and not by its place in a list: one of the conflict's, or
        /// another that an ordinary edit of the field would take. Why another, says the entry's summary.
        choice: serde_json::Value,
    },
    /// Says that somebody saw what was written apart to these items, and lets it stand: settles the
    /// [`crate::Concern`]s about them, as far as this record knows of their writes.
    Acknowledge {
        /// The concern's items, `<collection>/<id>`; at least one.
        items: Vec<String>,
    },
    /// Marks a source as imported. It has the scope of the change it travels with.
    Source {
        /// BLAKE3 hash of the source.
        hash: [u8; 32],
        /// What it was called, for instance the file's name.
        name: String,
        /// When it was imported, milliseconds since 1970-01-01 UTC.
        time_ms: u64,
    },
}

/// The paths that [`Edit::SetPatient`] takes.
pub const PATIENT_PATHS: [&str; 17] = [
    "family",
    "given",
    "prefix",
    "suffix",
    "birth_date",
    "sex",
    "mrn",
    "phone",
    "email",
    "deceased",
    "marital_status",
    "language",
    "address.line",
    "address.city",
    "address.state",
    "address.postal_code",
    "address.country",
];

impl Edit {
    /// The scope of the change that this edit makes; `None` for a source mark, which goes with any.
    ///
    /// # Errors
    /// If the path of a [`Edit::Resolve`] names no field, or those of an [`Edit::Acknowledge`] no items.
    pub fn scope(&self) -> Result<Option<Scope>, EditError> {
        Ok(match self {
            Self::Patient(_) | Self::SetPatient { .. } => Some(Scope::Demographics),
            Self::Put(item) => item.collection().scope(),
            Self::NewNote(_) | Self::AppendNote { .. } | Self::EditNote { .. } => Some(Scope::Note),
            Self::Stop { collection, .. } => collection.scope(),
            Self::Resolve { path, .. } => FieldPath::parse(path)
                .ok_or(EditError::UnknownPath)?
                .collection
                .scope(),
            Self::Acknowledge { items } => {
                let mut scope = None;
                for item in items {
                    let (collection, _) = item_path(item).ok_or(EditError::UnknownPath)?;
                    scope = collection.scope();
                }
                Some(scope.ok_or(EditError::UnknownPath)?)
            }
            Self::Source { .. } => None,
        })
    }

    /// The edits that bring a record to contain all of this (nothing is removed but fields of the same items).
    pub fn all(content: RecordContent) -> Vec<Self> {
        fn put<T>(items: Vec<T>, item: fn(T) -> Item) -> impl Iterator<Item = Edit> {
            items.into_iter().map(move |i| Edit::Put(item(i)))
        }
        let mut edits = vec![Self::Patient(content.patient)];
        edits.extend(put(content.allergies, Item::Allergy));
        edits.extend(put(content.conditions, Item::Condition));
        edits.extend(put(content.medications, Item::Medication));
        edits.extend(put(content.immunizations, Item::Immunization));
        edits.extend(put(content.procedures, Item::Procedure));
        edits.extend(put(content.encounters, Item::Encounter));
        edits.extend(put(content.observations, Item::Observation));
        edits.extend(put(content.diagnostic_reports, Item::DiagnosticReport));
        edits.extend(content.notes.into_iter().map(Self::NewNote));
        edits
    }
}

/// The one scope of several edits; source marks alone count as demographics.
pub(crate) fn scope_of(edits: &[Edit]) -> Result<Scope, EditError> {
    let mut scope = None;
    for edit in edits {
        match (scope, edit.scope()?) {
            (_, None) => {}
            (None, some) => scope = some,
            (Some(first), Some(other)) if first != other => {
                return Err(EditError::MixedScopes { first, other });
            }
            _ => {}
        }
    }
    Ok(scope.unwrap_or(Scope::Demographics))
}

/// Why an edit was not made. The record is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The document has no collections yet.
    #[error("the record has not been created yet, or its first change has not arrived")]
    NotCreated,
    /// One change has one scope.
    #[error("one change cannot write both {first} and {other}")]
    MixedScopes {
        /// Scope of an earlier edit.
        first: Scope,
        /// Scope of a later one.
        other: Scope,
    },
    /// No such field of the patient.
    #[error("no such field; the fields are {}", PATIENT_PATHS.join(", "))]
    UnknownPatientPath,
    /// No such place in a record.
    #[error("no such field: a path is patient/<field> or <collection>/<id>/<field>")]
    UnknownPath,
    /// A field's value is not what the field takes.
    #[error("{path} must be {wanted}")]
    Invalid {
        /// The field.
        path: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
    /// An id that cannot be one.
    #[error(
        "an id must have 1 to {} characters and no control characters",
        crate::MAX_ID_BYTES
    )]
    InvalidId,
    /// The item is not there.
    #[error("no such {}", .collection.singular())]
    NoSuchItem {
        /// Where it was looked for.
        collection: Collection,
    },
    /// These items do not end by being stopped.
    #[error("a {} cannot be stopped; medications, conditions and allergies can", .collection.singular())]
    CannotStop {
        /// The items.
        collection: Collection,
    },
    /// One field or note is too long.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// All edits together are too much for one change.
    #[error(
        "these edits are too many for one change of at most {} bytes",
        crate::MAX_CHANGE_BYTES
    )]
    TooLarge,
    /// Automerge refused or broke.
    #[error("the merge engine could not make this edit")]
    Engine,
}

impl From<automerge::AutomergeError> for EditError {
    /// The cause is dropped: its text may hold values of the record.
    fn from(_: automerge::AutomergeError) -> Self {
        Self::Engine
    }
}

impl From<serde_json::Error> for EditError {
    fn from(_: serde_json::Error) -> Self {
        Self::Engine
    }
}
