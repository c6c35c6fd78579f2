//! Codes that say that something is absent or not known, in the place where the code of an item stands.
//!
//! A patient summary without allergies holds an AllergyIntolerance that says so. Read as an item it would be an
//! allergy, and a record with such an item would no longer be empty, so it is never one. What a clinician said in a
//! code of SNOMED CT ("No known allergy", 716186003) is an item like others: it is a finding about the patient, and
//! what a patient summary of ours repeats.

use salus_record::model::{CodeableConcept, Coding};

use crate::urls;

/// SNOMED CT: "No information available (situation)", which the International Patient Summary 2.0 recommends.
const NO_INFORMATION: &str = "1287211007";

/// Whether a concept says nothing but that something is absent or not known. A concept that also has another code is
/// not one of these: an allergy must not be lost to a contradiction.
pub(crate) fn is_absence(concept: &CodeableConcept) -> bool {
    let says_absent = |coding: &Coding| match coding.system.as_deref() {
        Some(urls::IPS_ABSENT) => true,
        Some(urls::SNOMED) => coding.code.as_deref() == Some(NO_INFORMATION),
        _ => false,
    };
    !concept.coding.is_empty() && concept.coding.iter().all(says_absent)
}

/// The concept for a section of a patient summary about which the record says nothing, in the codes of both
/// versions: 1.0 and 1.1 have codes of their own, 2.0 took them out and recommends SNOMED CT's.
pub(crate) fn no_information(code: &str, display: &str) -> CodeableConcept {
    let coding = |system: &str, code: &str, display: &str| Coding {
        system: Some(system.to_owned()),
        code: Some(code.to_owned()),
        display: Some(display.to_owned()),
    };
    CodeableConcept {
        coding: vec![
            coding(urls::IPS_ABSENT, code, display),
            coding(
                urls::SNOMED,
                NO_INFORMATION,
                "No information available (situation)",
            ),
        ],
        text: Some(display.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_concept_that_says_nothing_else_is_an_absence() {
        let coded = CodeableConcept::code;
        assert!(is_absence(&coded(
            urls::IPS_ABSENT,
            "no-known-allergies",
            ""
        )));
        let mut both = no_information("no-allergy-info", "No information about allergies");
        assert!(is_absence(&both));
        both.coding.push(Coding {
            system: Some(urls::SNOMED.into()),
            code: Some("764146007".into()),
            display: Some("Penicillin".into()),
        });
        assert!(!is_absence(&both));
        assert!(!is_absence(&coded(
            urls::SNOMED,
            "716186003",
            "No known allergy"
        )));
        assert!(!is_absence(&CodeableConcept::text("no-known-allergies")));
        assert!(!is_absence(&CodeableConcept::default()));
    }
}
