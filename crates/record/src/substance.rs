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
    /// The amounts that its names tell, where they tell any: one list a name, sorted.
    strengths: Vec<Vec<String>>,
}

impl Substance {
    pub(crate) fn of(concept: &CodeableConcept) -> Self {
        let codes = concept.coding.iter().filter_map(|coding| {
            let (system, code) = (coding.system.as_ref()?, coding.code.as_ref()?);
            (!code.is_empty()).then(|| (system.clone(), code.clone()))
        });
        let displays = concept.coding.iter().filter_map(|c| c.display.as_deref());
        let told: Vec<&str> = concept
            .text
            .as_deref()
            .into_iter()
            .chain(displays)
            .take(MAX_NAMES)
            .collect();
        let all = |parts: fn(&str) -> Vec<String>| {
            let mut all: Vec<Vec<String>> = told.iter().map(|name| parts(name)).collect();
            all.retain(|parts| !parts.is_empty());
            all.sort();
            all.dedup();
            all
        };
        Self {
            codes: codes.take(MAX_NAMES).collect(),
            names: all(words),
            strengths: all(amounts),
        }
    }

    /// Whether both are the same medicine, whatever the strength.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.codes.iter().any(|code| other.codes.contains(code))
            || self.names.iter().any(|name| other.names.contains(name))
    }

    /// Whether both say how strong they are, and say otherwise. Of the same medicine only.
    pub(crate) fn in_other_strength(&self, other: &Self) -> bool {
        !self.strengths.is_empty()
            && !other.strengths.is_empty()
            && !self.strengths.iter().any(|s| other.strengths.contains(s))
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

/// Units of strengths, each with what it is told in, and how many of those it is.
const UNITS: [(&str, &str, f64); 15] = [
    ("kg", "mg", 1e6),
    ("g", "mg", 1e3),
    ("mg", "mg", 1.0),
    ("mcg", "mg", 1e-3),
    ("ug", "mg", 1e-3),
    ("µg", "mg", 1e-3),
    ("μg", "mg", 1e-3),
    ("ng", "mg", 1e-6),
    ("l", "ml", 1e3),
    ("ml", "ml", 1.0),
    ("iu", "unit", 1.0),
    ("unt", "unit", 1.0),
    ("unit", "unit", 1.0),
    ("units", "unit", 1.0),
    ("mmol", "mmol", 1.0),
];

/// The amounts in a name, of one form whatever the unit: `0.5 g` and `500mg` are one.
fn amounts(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let parts: Vec<&str> = name
        .split(|c: char| !c.is_alphanumeric() && c != '.' && c != ',')
        .filter(|part| !part.is_empty())
        .take(MAX_WORDS * 2)
        .collect();
    let mut amounts = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let end = part
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')
            .unwrap_or(part.len());
        let (digits, rest) = part.split_at(end);
        let unit = match rest {
            "" => parts.get(place + 1).copied().unwrap_or_default(),
            unit => unit,
        };
        let unit = unit.trim_end_matches(['.', ',']);
        let known = UNITS.iter().find(|(written, ..)| *written == unit);
        if let (Some((_, told_in, times)), Some(number)) = (known, number(digits)) {
            amounts.push(format!("{:.6} {told_in}", number * times));
        }
    }
    amounts.sort();
    amounts
}

/// A number with a decimal point or comma; a comma before three digits parts thousands, but for `0,125`.
fn number(digits: &str) -> Option<f64> {
    let thousands = |(whole, rest): (&str, &str)| rest.len() == 3 && whole != "0";
    let plain = match digits.split_once(',') {
        Some(parts) if thousands(parts) => digits.replace(',', ""),
        _ => digits.replace(',', "."),
    };
    plain.trim_end_matches('.').parse().ok()
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
    fn a_strength_is_the_same_however_it_is_written() {
        let differ = |a: &str, b: &str| {
            let differ = named(a).in_other_strength(&named(b));
            assert_eq!(named(b).in_other_strength(&named(a)), differ);
            differ
        };
        assert!(differ("Metformin 500 mg", "metformin 850mg tablets"));
        assert!(differ("Digoxin 0,125 mg", "Digoxin 0.25 mg"));
        assert!(differ("Amoxicillin 250 MG/5 ML", "Amoxicillin 125 mg/5 ml"));
        assert!(!differ("Metformin 0.5 g", "Metformin 500 mg"));
        assert!(!differ("Levothyroxine 50 µg", "Levothyroxine 0.05 mg"));
        assert!(!differ("Heparin 5,000 UNT", "Heparin 5000 units."));
        // Who says nothing contradicts nobody; hours are no strength.
        assert!(!differ("Metformin", "Metformin 500 mg"));
        assert!(!differ("24 HR Metformin 500 mg", "Metformin 500 mg"));
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
