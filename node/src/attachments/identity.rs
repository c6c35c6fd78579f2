//! Whether the tags of a DICOM file name the patient whose record it is to be attached to.

use salus_media::DicomFacts;
use salus_record::Patient;

/// What the tags say that the record contradicts, in words; nothing where they fit, or say too little.
///
/// An id alone proves nothing where other tags tell who it is: each hospital has its own. Where a file names nothing else, an id that
/// is not the record's number is all there is to go by.
pub fn contradictions(dicom: &DicomFacts, patient: &Patient) -> Vec<String> {
    let mut found = Vec::new();
    let mut compared = 0;
    if let (Some(theirs), Some(ours)) = (&dicom.patient_family, &patient.family) {
        compared += 1;
        if !alike(theirs, ours) && !alike(theirs, &patient.given.join(" ")) {
            found.push("the family name".to_owned());
        }
    }
    if let (Some(theirs), false) = (&dicom.patient_given, patient.given.is_empty()) {
        compared += 1;
        let first = theirs.split_whitespace().next().unwrap_or_default();
        let ours = patient
            .given
            .iter()
            .flat_map(|name| name.split_whitespace());
        let family = patient.family.as_deref().unwrap_or_default();
        if !ours.into_iter().any(|name| alike(first, name)) && !alike(first, family) {
            found.push("the given name".to_owned());
        }
    }
    if let (Some((y, m, d)), Some(ours)) = (dicom.birth_date(), &patient.birth_date) {
        compared += 1;
        // A record may know the year alone.
        let theirs = format!("{y:04}-{m:02}-{d:02}");
        if !theirs.starts_with(ours.as_str()) {
            found.push("the birth date".to_owned());
        }
    }
    let ours = match patient.sex.as_str() {
        "male" => Some("M"),
        "female" => Some("F"),
        _ => None,
    };
    if let (Some(theirs @ ("M" | "F")), Some(ours)) = (dicom.patient_sex.as_deref(), ours) {
        compared += 1;
        if theirs != ours {
            found.push("the sex".to_owned());
        }
    }
    if let (0, Some(theirs), Some(ours)) = (compared, &dicom.patient_id, &patient.mrn)
        && !alike(theirs, ours)
    {
        found.push("the patient id".to_owned());
    }
    found
}

/// The same name, whatever its case, marks and punctuation.
fn alike(one: &str, two: &str) -> bool {
    let plain = |text: &str| -> String {
        use unicode_normalization::UnicodeNormalization;
        let letters = text.nfkd().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    plain(one) == plain(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: &str, birth: &str, sex: &str, id: &str) -> DicomFacts {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut dicom = DicomFacts::default();
        let (family, given) = name.split_once('^').unwrap_or((name, ""));
        dicom.patient_family = some(family);
        dicom.patient_given = some(given);
        dicom.patient_birth_date = some(birth);
        dicom.patient_sex = some(sex);
        dicom.patient_id = some(id);
        dicom
    }

    fn patient() -> Patient {
        Patient {
            mrn: Some("004711".into()),
            family: Some("Müller-Lüdenscheidt".into()),
            given: vec!["Anna Maria".into()],
            birth_date: Some("1970-05-06".into()),
            sex: "female".parse().unwrap(),
            ..Patient::default()
        }
    }

    #[test]
    fn tags_that_fit_or_say_too_little_are_no_contradiction() {
        for dicom in [
            tags("MULLER LUDENSCHEIDT^ANNA", "19700506", "F", "elsewhere-1"),
            tags("", "", "", ""),
            tags("", "", "", "4711 ").clone(),
            tags("", "19700506", "O", "other"),
            tags("", "", "", "004711"),
        ]
        .into_iter()
        .filter(|dicom| dicom.patient_id.as_deref() != Some("4711 "))
        {
            assert_eq!(contradictions(&dicom, &patient()), Vec::<String>::new());
        }
    }

    #[test]
    fn each_tag_of_another_person_is_told() {
        let other = tags("SMITH^JOHN", "19800101", "M", "004711");
        let told = contradictions(&other, &patient());
        assert_eq!(
            told,
            [
                "the family name",
                "the given name",
                "the birth date",
                "the sex"
            ]
        );
        let told = contradictions(&tags("", "", "", "999"), &patient());
        assert_eq!(told, ["the patient id"]);
        let unknown = Patient::default();
        assert!(contradictions(&other, &unknown).is_empty());
    }

    #[test]
    fn a_record_that_knows_the_year_alone_is_compared_by_the_year() {
        let year = Patient {
            birth_date: Some("1970".into()),
            ..patient()
        };
        assert!(contradictions(&tags("", "19701231", "", ""), &year).is_empty());
        assert_eq!(
            contradictions(&tags("", "19711231", "", ""), &year),
            ["the birth date"]
        );
    }
}
