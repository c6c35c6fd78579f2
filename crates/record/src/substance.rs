//! Whether two concepts name the same medicine or substance: by a code that both have, or by their words.
//!
//! Imported medicines are coded as products and allergies as ingredients, so codes alone rarely meet; the words do.
//! Strengths, units, dosage forms and the words around a substance are set aside, what remains must be the same. Which
//! misses synonyms and brands, and rarely takes two things for one.

use crate::model::CodeableConcept;

/// Most words of one name that are looked at. A guess: names of products with five ingredients have about thirty.
const MAX_WORDS: usize = 48;
/// Most names of one concept: its text and what its codings display.
const MAX_NAMES: usize = 8;

/// Units, dosage forms, and what surrounds a substance in names of products and of allergies.
const NOT_SUBSTANCES: [&str; 68] = [
    "mg",
    "g",
    "kg",
    "mcg",
    "ug",
    "ng",
    "ml",
    "l",
    "dl",
    "iu",
    "unt",
    "unit",
    "units",
    "meq",
    "mmol",
    "actuat",
    "hr",
    "h",
    "day",
    "tablet",
    "tablets",
    "tab",
    "tabs",
    "capsule",
    "capsules",
    "cap",
    "caps",
    "oral",
    "solution",
    "suspension",
    "injection",
    "injectable",
    "inhaler",
    "inhalation",
    "cream",
    "ointment",
    "gel",
    "patch",
    "drops",
    "spray",
    "syrup",
    "powder",
    "topical",
    "film",
    "coated",
    "product",
    "containing",
    "precisely",
    "only",
    "in",
    "to",
    "of",
    "the",
    "and",
    "form",
    "allergy",
    "allergic",
    "intolerance",
    "hypersensitivity",
    "reaction",
    "adverse",
    "substance",
    "disorder",
    "finding",
    "drug",
    "medication",
    "medicine",
    "class",
];

/// The ATC system's URI in FHIR (R4 section 4.3.0.1) and its class of penicillins (WHO ATC index, J01C).
const ATC: &str = "http://www.whocc.no/atc";
const ATC_PENICILLINS: &str = "J01C";
/// Names of all penicillins end so and no other substance's do (WHO, stems for international nonproprietary names).
const PENICILLIN_STEM: &str = "cillin";

/// What a concept names.
pub(crate) struct Substance {
    /// (system, code) of its codings.
    codes: Vec<(String, String)>,
    /// Its names, as the words that make the substance.
    names: Vec<Vec<String>>,
}

impl Substance {
    pub(crate) fn of(concept: &CodeableConcept) -> Self {
        let codes = concept.coding.iter().filter_map(|coding| {
            let (system, code) = (coding.system.as_ref()?, coding.code.as_ref()?);
            (!code.is_empty()).then(|| (system.clone(), code.clone()))
        });
        let displays = concept.coding.iter().filter_map(|c| c.display.as_deref());
        let mut names: Vec<Vec<String>> = concept
            .text
            .as_deref()
            .into_iter()
            .chain(displays)
            .take(MAX_NAMES)
            .map(words)
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        names.dedup();
        Self {
            codes: codes.take(MAX_NAMES).collect(),
            names,
        }
    }

    /// Whether both are the same medicine, whatever the strength.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.codes.iter().any(|code| other.codes.contains(code))
            || self.names.iter().any(|name| other.names.contains(name))
    }

    /// Whether a medicine is, or has in it, what an allergy is to.
    pub(crate) fn is_in(&self, medicine: &Self) -> bool {
        let named = |name: &Vec<String>| {
            let inside = |other: &Vec<String>| other.windows(name.len()).any(|part| part == name);
            medicine.names.iter().any(inside)
        };
        self.same(medicine)
            || self.names.iter().any(named)
            || (self.is_penicillins() && medicine.is_a_penicillin())
    }

    /// Whether it is the class and not one of it.
    fn is_penicillins(&self) -> bool {
        let class = |code: &(String, String)| code.0 == ATC && code.1 == ATC_PENICILLINS;
        let word = |name: &Vec<String>| matches!(name.as_slice(), [one] if one == "penicillin" || one == "penicillins");
        self.codes.iter().any(class) || self.names.iter().any(word)
    }

    fn is_a_penicillin(&self) -> bool {
        let coded = |code: &(String, String)| code.0 == ATC && code.1.starts_with(ATC_PENICILLINS);
        self.codes.iter().any(coded)
            || (self.names.iter().flatten()).any(|word| word.ends_with(PENICILLIN_STEM))
    }
}

/// The words of a name that make its substance.
fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric())
        .take(MAX_WORDS * 2)
        .map(str::to_lowercase)
        .filter(|word| word.starts_with(char::is_alphabetic))
        .filter(|word| !NOT_SUBSTANCES.contains(&word.as_str()))
        .take(MAX_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Substance {
        Substance::of(&CodeableConcept::text(text))
    }

    #[test]
    fn a_medicine_is_the_same_whatever_its_strength_and_form() {
        assert!(named("Metformin 500 mg").same(&named("metformin 850mg tablets")));
        assert!(named("24 HR metFORMIN Oral Tablet").same(&named("Metformin")));
        assert!(!named("Metformin 500 mg").same(&named("Glipizide 500 mg")));
        assert!(!named("Amoxicillin").same(&named("Amoxicillin / Clavulanate")));
        let rxnorm = |code: &str, name: &str| {
            let system = "http://www.nlm.nih.gov/research/umls/rxnorm";
            Substance::of(&CodeableConcept::code(system, code, name))
        };
        assert!(rxnorm("860975", "Glucophage").same(&rxnorm("860975", "metformin XR")));
        assert!(!rxnorm("860975", "").same(&rxnorm("860974", "")));
        assert!(!named("500 mg tablet").same(&named("250 mg capsule")));
    }

    #[test]
    fn an_allergy_is_to_what_the_medicine_has_in_it() {
        let to = |allergy: &str, medicine: &str| named(allergy).is_in(&named(medicine));
        assert!(to("Allergy to aspirin", "Aspirin 81 MG Oral Tablet"));
        assert!(to(
            "Clavulanate",
            "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet"
        ));
        assert!(to(
            "Penicillin",
            "Penicillin V Potassium 250 MG Oral Tablet"
        ));
        assert!(to("Penicillins (substance)", "Piperacillin 4 g"));
        assert!(!to("Amoxicillin", "Ampicillin"));
        assert!(!to("Penicillin", "Cefalexin 500 mg"));
        assert!(!to("Sulfa", "Sulfamethoxazole"));
        assert!(!to("Drug allergy", "Aspirin"));
        let atc = Substance::of(&CodeableConcept::code(ATC, "J01CA04", "Amoxil"));
        assert!(named("penicillin").is_in(&atc));
        assert!(!named("aspirin").is_in(&atc));
    }
}
