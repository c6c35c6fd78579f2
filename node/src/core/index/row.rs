//! One patient's row: what is kept of a record for lists, search and the comparison of patients.

use std::fmt;

use minicbor::{Decode, Encode};
use salus_api::PatientRow;
use salus_audit::{ID_BYTES, LogId};
use salus_record::Patient;

use super::IndexedImage;
use super::fold::{compact, fold};

/// Identifiers beside the record number that a row keeps. A guess: passport, social security, licence and insurers.
const MAX_IDENTIFIERS: usize = 16;

/// One patient's row as it is kept (CBOR array, sealed).
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct IndexRow {
    /// Medical record number.
    #[n(0)]
    pub mrn: Option<String>,
    /// Family name.
    #[n(1)]
    pub family: Option<String>,
    /// Given names, blank-separated.
    #[n(2)]
    pub given: String,
    /// Date of birth.
    #[n(3)]
    pub birth_date: Option<String>,
    /// FHIR code of the administrative sex.
    #[n(4)]
    pub sex: String,
    /// Telephone.
    #[n(5)]
    pub phone: Option<String>,
    /// Id of the Patient resource where it was imported from.
    #[n(6)]
    pub source_id: Option<String>,
    /// Claimed time of the newest edit, milliseconds since 1970-01-01 UTC.
    #[n(7)]
    pub updated_ms: u64,
    /// Records that a signed link shows as one with this.
    #[n(8)]
    #[cbor(default)]
    pub linked: Vec<LogId>,
    /// All other identifiers, each as the first 64 bits of BLAKE3 over system and value: enough to see that two are
    /// equal, and of a passport's number nothing else is kept.
    #[n(9)]
    #[cbor(default)]
    pub identifiers: Vec<u64>,
    /// Images that a model put into a category. A row of a version that knew none has none: its log held no inference.
    #[n(10)]
    #[cbor(default)]
    pub images: Vec<IndexedImage>,
}

impl IndexRow {
    /// The row of a patient; the caller adds what is linked by [`with_linked`](Self::with_linked).
    pub fn of(patient: &Patient, updated_ms: u64) -> Self {
        Self {
            mrn: patient.mrn.clone(),
            family: patient.family.clone(),
            given: patient.given.join(" "),
            birth_date: patient.birth_date.clone(),
            sex: patient.sex.as_str().to_owned(),
            phone: patient.phone.clone(),
            source_id: patient.source_id.clone(),
            updated_ms,
            linked: Vec::new(),
            identifiers: identifiers(patient),
            images: Vec::new(),
        }
    }

    /// The row with the images that a model put into a category.
    pub fn with_images(mut self, images: Vec<IndexedImage>) -> Self {
        self.images = images;
        self
    }

    /// The row with the records that a signed link shows as one with it.
    pub fn with_linked(mut self, linked: Vec<LogId>) -> Self {
        self.linked = linked;
        self
    }

    /// The row as faces show it.
    pub fn view(&self, log: LogId) -> PatientRow {
        PatientRow {
            id: hex(&log),
            mrn: self.mrn.clone().unwrap_or_default(),
            family: self.family.clone().unwrap_or_default(),
            given: self.given.clone(),
            birth_date: self.birth_date.clone().unwrap_or_default(),
            sex: self.sex.clone(),
            updated_ms: self.updated_ms,
        }
    }

    /// `Family, Given`, or the MRN, or "".
    pub fn name(&self) -> String {
        match (self.family.as_deref().unwrap_or(""), self.given.as_str()) {
            ("", "") => self.mrn.clone().unwrap_or_default(),
            (family, "") => family.to_owned(),
            ("", given) => given.to_owned(),
            (family, given) => format!("{family}, {given}"),
        }
    }

    /// Whether both are found, sorted and compared alike: only what is linked and the time may differ.
    pub(super) fn is_found_like(&self, other: &Self) -> bool {
        self.mrn == other.mrn
            && self.family == other.family
            && self.given == other.given
            && self.birth_date == other.birth_date
            && self.phone == other.phone
            && self.source_id == other.source_id
    }
}

/// The id as `Display` writes it, in a tenth of the time: a list has one for each of fifty thousand rows.
fn hex(log: &LogId) -> String {
    let mut text = String::with_capacity(2 * ID_BYTES);
    let digits = log.as_bytes().iter().flat_map(|b| [b >> 4, b & 15]);
    text.extend(digits.filter_map(|d| char::from_digit(d.into(), 16)));
    text
}

/// Nothing of the patient: a row may come into an error's or a trace's text.
impl fmt::Debug for IndexRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexRow")
            .field("updated_ms", &self.updated_ms)
            .field("linked", &self.linked.len())
            .field("images", &self.images.len())
            .finish_non_exhaustive()
    }
}

/// What stands for each identifier that has a system and a value. Without its system a number says nothing: `17` is a patient of every server.
fn identifiers(patient: &Patient) -> Vec<u64> {
    let mut found: Vec<u64> = patient
        .identifiers
        .iter()
        .filter_map(|identifier| {
            let system = identifier.system.as_deref()?.trim();
            let value = compact(&fold(identifier.value.as_deref()?));
            (!system.is_empty() && !value.is_empty()).then(|| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(system.as_bytes());
                hasher.update(b"|");
                hasher.update(value.as_bytes());
                let mut first = [0; 8];
                first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
                u64::from_be_bytes(first)
            })
        })
        .take(MAX_IDENTIFIERS)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use salus_record::Identifier;

    use super::*;

    fn row() -> IndexRow {
        IndexRow {
            mrn: Some("A-1".into()),
            family: Some("Núñez".into()),
            given: "Ana María".into(),
            birth_date: Some("1980-02-29".into()),
            sex: "female".into(),
            updated_ms: 7,
            ..IndexRow::default()
        }
    }

    #[test]
    fn the_id_is_the_one_that_is_read() {
        let mut bytes = [0; 32];
        for (n, byte) in (0..).zip(&mut bytes) {
            *byte = 9_u8.wrapping_mul(n);
        }
        let log = LogId::from_bytes(bytes);
        assert_eq!(row().view(log).id.parse(), Ok(log));
        assert_eq!(row().view(log).id, log.to_string());
    }

    #[test]
    fn a_row_comes_back_as_kept() {
        let row = IndexRow {
            identifiers: vec![3, u64::MAX],
            ..row().with_linked(vec![LogId::from_bytes([9; 32])])
        };
        let bytes = minicbor::to_vec(&row).unwrap();
        assert!(minicbor::decode::<IndexRow>(&bytes).unwrap() == row);
    }

    #[test]
    fn a_row_of_the_first_version_is_read_and_is_linked_to_nothing() {
        #[derive(Encode)]
        struct First {
            #[n(0)]
            mrn: Option<String>,
            #[n(1)]
            family: Option<String>,
            #[n(2)]
            given: String,
            #[n(3)]
            birth_date: Option<String>,
            #[n(4)]
            sex: String,
            #[n(5)]
            phone: Option<String>,
            #[n(6)]
            source_id: Option<String>,
            #[n(7)]
            updated_ms: u64,
        }
        let now = row();
        let bytes = minicbor::to_vec(First {
            mrn: now.mrn.clone(),
            family: now.family.clone(),
            given: now.given.clone(),
            birth_date: now.birth_date.clone(),
            sex: now.sex.clone(),
            phone: now.phone.clone(),
            source_id: now.source_id.clone(),
            updated_ms: now.updated_ms,
        })
        .unwrap();
        assert!(minicbor::decode::<IndexRow>(&bytes).unwrap() == now);
    }

    #[test]
    fn an_identifier_counts_by_its_system_and_however_it_is_punctuated() {
        let of = |system: Option<&str>, value: &str| {
            let identifier = Identifier {
                system: system.map(str::to_owned),
                value: Some(value.to_owned()),
                kind: None,
            };
            let patient = Patient {
                identifiers: vec![identifier],
                ..Patient::default()
            };
            IndexRow::of(&patient, 0).identifiers
        };
        let ssn = of(Some("http://hl7.org/fhir/sid/us-ssn"), "999-12-3456");
        assert_eq!(ssn.len(), 1);
        assert_eq!(ssn, of(Some("http://hl7.org/fhir/sid/us-ssn"), "999123456"));
        assert_ne!(ssn, of(Some("urn:elsewhere"), "999123456"));
        assert_eq!(of(None, "999123456"), [0_u64; 0]);
        assert_eq!(of(Some("urn:elsewhere"), " - "), [0_u64; 0]);
    }

    #[test]
    fn debug_shows_nothing_of_the_patient() {
        let shown = format!("{:?}", row());
        assert!(!shown.contains("Ana") && !shown.contains("1980"), "{shown}");
    }
}
