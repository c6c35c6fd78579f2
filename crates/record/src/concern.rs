//! What was written apart and merged without a conflict, though a clinician should see it.
//!
//! A conflict is two values of one field. Where two clinics write *different* fields or items, Automerge merges and
//! nobody is asked: an allergy refuted here and confirmed there, one medicine ordered at both. Those are found here,
//! over the merged document, from what stands in it and which changes wrote it.
//!
//! - **Only what was written apart counts.** Each [`Concern`] rests on writes of which some are concurrent: neither
//!   change is in the other's past. What one clinician did knowing of the other is theirs to decide.
//! - **A concern is settled by whoever saw it**: once a change that has both concurrent writes in its past writes any
//!   field of one of the items, or acknowledges just these items ([`crate::Edit::Acknowledge`]), it is gone, on every
//!   replica. A write that this one did not know of raises it anew.
//! - It is a function of the document alone: equal heads, equal concerns.
//!
//! An acknowledgement is a key at the root of the document, `acknowledged/<collection>/<id>`, for two items both paths with a `+`
//! between them: it lets this merge stand and no other one of the same item. It stands at the root so that one can be given
//! for an item that is gone; its value is a hash of the heads that its writer saw. It needs its collection's scope.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::Collection;

/// What is unsafe about a merge. A code for machines: [`ConcernKind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConcernKind {
    /// A medicine was ordered or kept while an allergy to it was recorded elsewhere.
    AllergyToMedicine,
    /// One medicine is active twice, with different dosages or in different strengths.
    DoseDiffers,
    /// One medicine is active twice, with the same dosage.
    MedicineTwice,
    /// A medicine was stopped while its dose was changed, or the same medicine ordered, elsewhere.
    MedicineStopped,
    /// An allergy was ended or refuted while it was changed, or recorded anew, elsewhere.
    AllergyEnded,
    /// One allergy was recorded twice, with different criticalities.
    AllergyDiffers,
    /// A condition was ended or refuted while it was changed elsewhere.
    ConditionEnded,
    /// An item was removed while it was changed elsewhere: the merge shows neither.
    ItemRemoved,
}

impl ConcernKind {
    /// Its code: that of its serde form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllergyToMedicine => "allergy_to_medicine",
            Self::DoseDiffers => "dose_differs",
            Self::MedicineTwice => "medicine_twice",
            Self::MedicineStopped => "medicine_stopped",
            Self::AllergyEnded => "allergy_ended",
            Self::AllergyDiffers => "allergy_differs",
            Self::ConditionEnded => "condition_ended",
            Self::ItemRemoved => "item_removed",
        }
    }
}

/// Something that was written apart and merged quietly, though it is unsafe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concern {
    /// What is unsafe.
    pub kind: ConcernKind,
    /// The items that it is about, one or two: `medications/<id>`. [`crate::Edit::Acknowledge`] takes them.
    pub items: Vec<String>,
    /// What happened, as a sentence for people.
    pub sentence: String,
    /// The writes that were made apart, by path, then change.
    pub writes: Vec<ConcernWrite>,
}

/// One of the writes that a concern rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConcernWrite {
    /// What was written: `medications/<id>/dosage`, or the item where that was removed.
    pub path: String,
    /// The value; null if this version cannot read it, or if it was removed.
    pub value: Value,
    /// Hash of the change that wrote it: its entry says who and when.
    pub change: [u8; 32],
    /// Automerge actor that wrote it.
    pub actor: Vec<u8>,
}

/// Most concerns listed. A guess: more than anybody settles one by one.
pub const MAX_CONCERNS: usize = 256;

/// Before the path of an item, at the root of the document: that somebody saw what was written apart there.
pub(crate) const ACKNOWLEDGED: &str = "acknowledged/";

/// The collection that a key at the root acknowledges an item of.
pub(crate) fn acknowledged(key: &str) -> Option<Collection> {
    item_path(key.strip_prefix(ACKNOWLEDGED)?).map(|(collection, _)| collection)
}

/// What an acknowledgement of a concern about these items is kept under, after [`ACKNOWLEDGED`].
pub(crate) fn acknowledgement(items: &[&str]) -> String {
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    items.join("+")
}

/// The path of an item that can be of concern, taken apart.
pub(crate) fn item_path(path: &str) -> Option<(Collection, &str)> {
    let (name, id) = path.split_once('/')?;
    let collection = Collection::from_name(name)?;
    let concerned = matches!(
        collection,
        Collection::Allergies | Collection::Conditions | Collection::Medications
    );
    (concerned && !id.is_empty()).then_some((collection, id))
}
