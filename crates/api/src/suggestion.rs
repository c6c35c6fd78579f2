//! What models say about patients, and what clinicians make of it.

use serde::{Deserialize, Serialize};

use crate::response::PatientRow;

/// An answer of a model, to be written into a record's log as a suggestion. Nothing of it enters the record
/// until somebody accepts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// The component: lower-case letters, digits and hyphens, for instance `imaging`.
    pub component: String,
    /// Which model.
    pub model: ModelName,
    /// What it was shown.
    pub input: InputName,
    /// What it said; of one sort the likeliest first. The very first is the finding that is suggested.
    pub outputs: Vec<InferenceOutput>,
    /// "Not assessed": the model is unsure, or the input is foreign to it.
    pub uncertain: bool,
    /// How far the input lies from what the model was trained on, as a multiple of the distance from which on
    /// the model refuses: 1 and more is foreign. Kept in thousandths.
    pub distance: Option<f64>,
    /// Why the model said so, in words; "" where it says nothing.
    pub explanation: String,
}

/// Which model answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// BLAKE3 of its weights, hex.
    pub weights: String,
}

/// What a model was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputName {
    /// BLAKE3 of the bytes of the file, hex.
    pub hash: String,
    /// Media type (RFC 6838), or "".
    pub media_type: String,
    /// File name without folders, or "".
    pub name: String,
}

/// One thing that a model said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InferenceOutput {
    /// The sort of thing: lower-case letters, digits and hyphens, for instance `category`.
    pub what: String,
    /// What it said.
    pub label: String,
    /// Calibrated probability, 0 to 1, where the model gives one. Kept in millionths.
    pub p: Option<f64>,
    /// Why less may be made of it than the number says, for instance that the category is unreliable.
    pub note: Option<String>,
}

/// What became of a suggestion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuggestionState {
    /// Nobody has decided.
    #[default]
    Open,
    /// It was accepted.
    Accepted,
    /// It was rejected.
    Rejected,
    /// Clinicians who did not know of each other decided differently; whoever decides next settles it.
    Disputed,
}

impl SuggestionState {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Disputed => "disputed",
        }
    }
}

/// One decision about a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictView {
    /// The entry, hex.
    pub entry: String,
    /// Whether it accepts.
    pub accepted: bool,
    /// The clinician's own label, where it accepts with one.
    pub label: Option<String>,
    /// Why it rejects.
    pub why: Option<String>,
    /// Whose decision.
    pub actor: String,
    /// Where.
    pub clinic: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// Whether it stands: nobody who knew of it decided anew.
    pub stands: bool,
}

/// An answer of a model with what clinicians made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuggestionView {
    /// To accept or reject it by: the entry of the inference, hex.
    pub id: String,
    /// What became of it.
    pub state: SuggestionState,
    /// The finding: what was accepted, else what the model suggests; none where it was not assessed.
    pub label: Option<String>,
    /// The model's probability of that label, where it gave one.
    pub p: Option<f64>,
    /// What the model said, whole.
    pub inference: Inference,
    /// Who put the model to work.
    pub actor: String,
    /// Where.
    pub clinic: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// Every decision about it, the oldest first.
    pub verdicts: Vec<VerdictView>,
}

/// The suggestions of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuggestionsView {
    /// Each, the newest first.
    pub suggestions: Vec<SuggestionView>,
    /// Entries that are not shown: more than are read at once, sealed under a key that is not here, or written
    /// by a later version.
    pub left_out: u64,
}

/// An image that a model saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageView {
    /// Whose.
    pub patient: PatientRow,
    /// The suggestion that names it, hex.
    pub suggestion: String,
    /// BLAKE3 of the image file's bytes, hex.
    pub image: String,
    /// Its file name, or "".
    pub name: String,
    /// Its category: what was accepted, else what the model suggests.
    pub label: String,
    /// The model's probability of it, where it gave one.
    pub p: Option<f64>,
    /// Whether the category is unreliable or the model had other reservations.
    pub note: Option<String>,
    /// What clinicians made of it.
    pub state: SuggestionState,
    /// Name and version of the model.
    pub model: String,
    /// Where it was put to work.
    pub clinic: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// The id of the file in the record, where it is attached there.
    pub attachment: Option<String>,
}

/// Images of one category.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImagesView {
    /// Each; accepted ones first, then by probability.
    pub images: Vec<ImageView>,
    /// Images that are not shown: more than one answer holds, or of a record that takes no entry of this look.
    pub left_out: u64,
}
