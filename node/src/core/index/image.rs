//! Images that a model saw, as a patient's row keeps them: enough to answer which there are of a category without
//! opening a record.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use salus_api::SuggestionState;
use salus_audit::{ChainId, EntryHash, LogId};

use super::fold::{compact, fold};
use super::{Index, IndexRow};

/// One image as it is kept (CBOR array, within a row).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct IndexedImage {
    /// The entry of the inference.
    #[n(0)]
    pub suggestion: EntryHash,
    /// BLAKE3 of the image file's bytes.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub image: [u8; 32],
    /// Its file name, or "".
    #[n(2)]
    pub name: String,
    /// Its category: what was accepted, else what the model suggests.
    #[n(3)]
    pub label: String,
    /// The model's probability of it, in millionths.
    #[n(4)]
    pub p: Option<u32>,
    /// Why less may be made of it than the number says.
    #[n(5)]
    pub note: Option<String>,
    /// What became of the suggestion.
    #[n(6)]
    #[cbor(encode_with = "encode_state", decode_with = "decode_state")]
    pub state: SuggestionState,
    /// Name and version of the model.
    #[n(7)]
    pub model: String,
    /// The chain that the inference was written on: which clinic.
    #[n(8)]
    pub chain: ChainId,
    /// Claimed time of the inference, milliseconds since 1970-01-01 UTC.
    #[n(9)]
    pub time_ms: u64,
}

/// The states by their numbers in a row.
const STATES: [SuggestionState; 4] = [
    SuggestionState::Open,
    SuggestionState::Accepted,
    SuggestionState::Rejected,
    SuggestionState::Disputed,
];

fn encode_state<C, W: encode::Write>(
    state: &SuggestionState,
    e: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), encode::Error<W::Error>> {
    let number = STATES.iter().position(|known| known == state);
    e.u8(number.and_then(|n| u8::try_from(n).ok()).unwrap_or(0))?
        .ok()
}

fn decode_state<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<SuggestionState, decode::Error> {
    let state = STATES.get(usize::from(d.u8()?));
    state
        .copied()
        .ok_or_else(|| decode::Error::message("state"))
}

impl Index {
    /// The images of a category, each with its patient's row, in the order of the rows' ids.
    pub fn images(&self, category: &str) -> Vec<(LogId, &IndexRow, &IndexedImage)> {
        let wanted = category_key(category);
        let mut found = Vec::new();
        if wanted.is_empty() {
            return found;
        }
        for (log, slot) in &self.by_log {
            let Some(held) = self.held(*slot) else {
                continue;
            };
            let images = held.row.images.iter();
            let of_it = images.filter(|image| category_key(&image.label) == wanted);
            found.extend(of_it.map(|image| (*log, &held.row, image)));
        }
        found
    }
}

/// A category however it is written: `Chest_X-ray`, `chest x ray`, `chestxray`.
fn category_key(category: &str) -> String {
    compact(&fold(category))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(label: &str, state: SuggestionState) -> IndexedImage {
        IndexedImage {
            suggestion: EntryHash::from_bytes([1; 32]),
            image: [2; 32],
            name: "chest.png".into(),
            label: label.into(),
            p: Some(900_000),
            note: None,
            state,
            model: "imaging 1.0".into(),
            chain: ChainId::from_bytes([3; 32]),
            time_ms: 4,
        }
    }

    #[test]
    fn a_category_is_found_however_it_is_written() {
        let row = |label: &str| IndexRow {
            images: vec![image(label, SuggestionState::Open)],
            ..IndexRow::default()
        };
        let mut index = Index::default();
        index.set(LogId::from_bytes([1; 32]), row("Chest_X-ray"));
        index.set(LogId::from_bytes([2; 32]), row("chest"));
        index.set(LogId::from_bytes([3; 32]), IndexRow::default());
        for (category, found) in [
            ("chest x ray", 1),
            ("CHEST X-RAY", 1),
            ("chestxray", 1),
            ("Chest", 1),
            ("xray", 0),
            ("", 0),
            ("--", 0),
        ] {
            assert_eq!(index.images(category).len(), found, "{category}");
        }
        index.remove(&LogId::from_bytes([1; 32]));
        assert!(index.images("chest x ray").is_empty());
    }

    #[test]
    fn every_state_is_kept() {
        for state in STATES {
            let kept = image("normal", state);
            let bytes = minicbor::to_vec(&kept).unwrap();
            let read: IndexedImage = minicbor::decode(&bytes).unwrap();
            assert!(read == kept);
        }
        let mut unknown = minicbor::to_vec(image("normal", SuggestionState::Open)).unwrap();
        let at = unknown.len() - 48;
        assert_eq!(unknown[at], 0);
        unknown[at] = 4;
        assert!(minicbor::decode::<IndexedImage>(&unknown).is_err());
    }
}
