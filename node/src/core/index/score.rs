//! How likely two rows are one patient's.
//!
//! Each field adds a weight in bits, log2(m / u): m is how often the field agrees so for two records of one patient, u
//! how often for two of different patients (Fellegi and Sunter, "A Theory for Record Linkage", JASA 64, 1969). What one
//! of both does not know adds nothing. The sum less the prior odds is a log-odds, and the score is its probability.
//!
//! All m and u here are guesses for a clinic of some ten thousand patients, none is fitted; the order of the candidates matters more than the
//! number. The fields are taken as independent, which twins are not: they share date, family, telephone and often half of their given
//! name by nature. Where these agree and the given names differ, the score is held below [`DUPLICATE_SCORE`].

use super::IndexRow;
use super::alike::Alike;
use super::edit::differ_by_one;
use super::fold::words;
use super::keys::Folded;
use super::number::Phone;

/// Score, 0 to 1, from which on two records are called duplicates: as likely as not. A person decides; below it a pair is only worth a look.
pub const DUPLICATE_SCORE: f64 = 0.5;

/// Least weight of a pair that is shown at all, a score of 0.2.
pub(super) const SHOWN: i32 = PRIOR - 20;

/// Weights are tenths of a bit: whole numbers, so that the order is the same on every machine.
type Tenths = i32;

/// Odds against two records of 50,000 being one patient's, where one patient in fifty has two: 2^20. Fixed, so that a pair's score does not change as others come.
const PRIOR: Tenths = 200;

/// Highest weight of what may be twins: a score of 0.4.
const TWINS: Tenths = PRIOR - 6;

// m 0.97; u 1/29,200 (a day of 80 years).
const DATE_SAME: Tenths = 148;
// The first of January stands for an unknown day in many registries: u 1/500.
const DATE_NEW_YEAR: Tenths = 90;
// m 0.02, u 1/1,000 (some thirty dates are one digit away, one has day and month swapped).
const DATE_SWAPPED: Tenths = 60;
const DATE_DIGIT: Tenths = 43;
// Year and month, or the year, of a date that one of both knows no better: u 1/960, 1/80.
const DATE_SAME_MONTH: Tenths = 98;
const DATE_SAME_YEAR_ONLY: Tenths = 62;
// m 0.005, u 1/80.
const DATE_SAME_YEAR: Tenths = -13;
const DATE_DIFFERS: Tenths = -80;

// m 0.9, u 1/800 and 1/200: few names are common, and the common ones are very common.
const FAMILY: NameWeights = NameWeights {
    same: 95,
    one_letter: 65,
    similar: 45,
    part: 60,
    initial: 10,
    differs: -40,
};
const GIVEN: NameWeights = NameWeights {
    same: 75,
    one_letter: 50,
    similar: 40,
    part: 60,
    initial: 15,
    differs: -50,
};
// Family as given and given as family: m 0.01, u the product of both names' u.
const NAMES_SWAPPED: Tenths = 107;

// m 0.98, u 1/2; and m 0.02.
const SEX_SAME: Tenths = 10;
const SEX_DIFFERS: Tenths = -50;

// m 0.6, u 1/250: a household shares one, and households are what this is asked about.
const PHONE_SAME: Tenths = 70;

// m 0.9, u 1/30,000: one office gives one number to one person, but for slips.
const IDENTIFIER_SAME: Tenths = 150;
// A row does not know who gave the record number: clinics count alike, long numbers less so.
const MRN_SAME: Tenths = 60;
const MRN_SHORT: Tenths = 10;
const MRN_LONG: usize = 5;
// A FHIR id says who somebody is on one server; 16 characters on, it is random (a UUID).
const SOURCE_SAME: Tenths = 140;
const SOURCE_SHORT: Tenths = 10;
const SOURCE_RANDOM: usize = 16;

struct NameWeights {
    same: Tenths,
    one_letter: Tenths,
    similar: Tenths,
    part: Tenths,
    initial: Tenths,
    differs: Tenths,
}

/// What of a row is compared.
#[derive(Default)]
pub(super) struct Facts {
    /// Folded words, blank-separated; as the next.
    pub(super) family: String,
    pub(super) given: String,
    pub(super) date: String,
    sex: String,
    phone: Option<Phone>,
    mrn: String,
    source: String,
    identifiers: Vec<u64>,
}

impl Facts {
    pub(super) fn of(row: &IndexRow) -> Self {
        let folded = Folded::of(row);
        let joined = |text: &str| words(text).collect::<Vec<_>>().join(" ");
        Self {
            family: joined(&folded.family),
            given: joined(&folded.given),
            date: row.birth_date.clone().unwrap_or_default(),
            sex: row.sex.clone(),
            phone: folded.phone,
            mrn: folded.mrn,
            source: row.source_id.clone().unwrap_or_default(),
            identifiers: row.identifiers.clone(),
        }
    }
}

/// How alike two rows are.
pub(super) struct Likeness {
    pub(super) weight: Tenths,
    pub(super) possible_twins: bool,
    pub(super) reasons: Vec<&'static str>,
}

impl Likeness {
    /// The probability, 0 to 1, that both are one patient's.
    pub(super) fn score(&self) -> f64 {
        let bits = f64::from(self.weight - PRIOR) / 10.0;
        1.0 / (1.0 + (-bits).exp2())
    }

    fn add(&mut self, weight: Tenths, reason: &'static str) {
        self.weight += weight;
        self.reasons.push(reason);
    }
}

/// Compares two rows; the order of both does not matter.
pub(super) fn compare(a: &Facts, b: &Facts) -> Likeness {
    let mut found = Likeness {
        weight: 0,
        possible_twins: false,
        reasons: Vec::new(),
    };
    let has_identifier = numbers(a, b, &mut found);
    let date = dates(&a.date, &b.date);
    if let Some((weight, reason)) = date {
        found.add(weight, reason);
    }
    let is_swapped = !a.family.is_empty()
        && !a.given.is_empty()
        && a.family == b.given
        && a.given == b.family
        && a.family != a.given;
    let family = Alike::of(&a.family, &b.family);
    let given = Alike::of(&a.given, &b.given);
    if is_swapped {
        found.add(NAMES_SWAPPED, "family and given name swapped");
    } else {
        add_name(family, &FAMILY, &FAMILY_WORDS, &mut found);
        add_name(given, &GIVEN, &GIVEN_WORDS, &mut found);
    }
    let knows_sex = |facts: &Facts| !matches!(facts.sex.as_str(), "" | "unknown");
    let sex_differs = knows_sex(a) && knows_sex(b) && a.sex != b.sex;
    if sex_differs {
        found.add(SEX_DIFFERS, "sex differs");
    } else if knows_sex(a) && knows_sex(b) {
        found.weight += SEX_SAME;
    }
    // Maria and Mario: one letter, and two people.
    let given_differs = given == Alike::Differs
        || (sex_differs && matches!(given, Alike::OneLetter | Alike::Similar));
    let is_family = matches!(family, Alike::Same | Alike::OneLetter | Alike::Part);
    let same_day = date.is_some_and(|(weight, _)| weight == DATE_SAME || weight == DATE_NEW_YEAR);
    if same_day && is_family && given_differs && !is_swapped && !has_identifier {
        found.possible_twins = true;
        found.weight = found.weight.min(TWINS);
        found
            .reasons
            .push("possible twins: one family and birth date, other given names");
    }
    found
}

/// Numbers that agree; whether one of them was given to one person by somebody known.
fn numbers(a: &Facts, b: &Facts, found: &mut Likeness) -> bool {
    let mut has_identifier = false;
    if a.identifiers.iter().any(|one| b.identifiers.contains(one)) {
        found.add(IDENTIFIER_SAME, "same identifier");
        has_identifier = true;
    }
    if !a.source.is_empty() && a.source == b.source {
        let is_random = a.source.len() >= SOURCE_RANDOM;
        has_identifier |= is_random;
        found.add(
            if is_random { SOURCE_SAME } else { SOURCE_SHORT },
            "same id where they were imported from",
        );
    }
    if !a.mrn.is_empty() && a.mrn == b.mrn {
        let is_long = a.mrn.len() >= MRN_LONG;
        found.add(
            if is_long { MRN_SAME } else { MRN_SHORT },
            "same record number",
        );
    }
    if let (Some(one), Some(other)) = (&a.phone, &b.phone)
        && one.is_same(&other.key())
    {
        found.add(PHONE_SAME, "same telephone");
    }
    has_identifier
}

fn dates(a: &str, b: &str) -> Option<(Tenths, &'static str)> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let known = a.len().min(b.len());
    if known < 10 {
        return Some(match (a.get(..known) == b.get(..known), known) {
            (true, 7) => (DATE_SAME_MONTH, "same year and month of birth"),
            (true, 4) => (DATE_SAME_YEAR_ONLY, "same year of birth"),
            _ => (DATE_DIFFERS, "birth dates differ"),
        });
    }
    let swapped = |date: &str| -> Option<String> {
        Some(format!(
            "{}-{}-{}",
            date.get(..4)?,
            date.get(8..10)?,
            date.get(5..7)?
        ))
    };
    Some(if a == b && a.ends_with("-01-01") {
        (DATE_NEW_YEAR, "same birth date, the first of January")
    } else if a == b {
        (DATE_SAME, "same birth date")
    } else if swapped(a).as_deref() == Some(b) {
        (DATE_SWAPPED, "day and month of birth swapped")
    } else if a.len() == b.len() && differ_by_one(a, b) {
        (
            DATE_DIGIT,
            "birth dates differ by one digit, or two swapped",
        )
    } else if a.get(..4) == b.get(..4) {
        (DATE_SAME_YEAR, "same year of birth, another day")
    } else {
        (DATE_DIFFERS, "birth dates differ")
    })
}

/// What is said of a name: same, one letter, similar, part, initial, differs.
type NameWords = [&'static str; 6];

const FAMILY_WORDS: NameWords = [
    "same family name",
    "family names differ by one letter",
    "similar family names",
    "one family name is a part of the other",
    "same initial of the family name",
    "family names differ",
];

const GIVEN_WORDS: NameWords = [
    "same given names",
    "given names differ by one letter",
    "similar given names",
    "some given names are the same",
    "same initial of the given name",
    "given names differ",
];

fn add_name(alike: Alike, weights: &NameWeights, say: &NameWords, found: &mut Likeness) {
    match alike {
        Alike::Unknown => {}
        Alike::Same => found.add(weights.same, say[0]),
        Alike::OneLetter => found.add(weights.one_letter, say[1]),
        Alike::Similar => found.add(weights.similar, say[2]),
        Alike::Part => found.add(weights.part, say[3]),
        Alike::Initial => found.add(weights.initial, say[4]),
        Alike::Differs => found.add(weights.differs, say[5]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(family: &str, given: &str, date: &str, sex: &str, phone: &str) -> Facts {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Facts::of(&IndexRow {
            family: some(family),
            given: given.into(),
            birth_date: some(date),
            sex: sex.into(),
            phone: some(phone),
            ..IndexRow::default()
        })
    }

    fn score(a: &Facts, b: &Facts) -> f64 {
        let (there, back) = (compare(a, b), compare(b, a));
        assert_eq!(there.weight, back.weight, "a pair has one score");
        assert_eq!(there.reasons, back.reasons);
        there.score()
    }

    fn ada() -> Facts {
        person(
            "Okafor",
            "Ada Ngozi",
            "1980-02-03",
            "female",
            "+234 803 555 0199",
        )
    }

    #[test]
    fn what_is_one_person_for_a_receptionist_is_a_duplicate() {
        for (what, other) in [
            (
                "again",
                person("OKAFOR", "Ada Ngozi", "1980-02-03", "female", ""),
            ),
            (
                "first given name only",
                person("Okafor", "Ada", "1980-02-03", "female", ""),
            ),
            (
                "typo in the family",
                person("Okafer", "Ada Ngozi", "1980-02-03", "female", ""),
            ),
            (
                "typo in the given",
                person("Okafor", "Ada Ngzoi", "1980-02-03", "unknown", ""),
            ),
            (
                "swapped names",
                person("Ada Ngozi", "Okafor", "1980-02-03", "female", ""),
            ),
            (
                "day and month",
                person("Okafor", "Ada Ngozi", "1980-03-02", "female", ""),
            ),
            (
                "one digit",
                person("Okafor", "Ada Ngozi", "1980-02-08", "female", ""),
            ),
            (
                "no date, one phone",
                person("Okafor", "Ada Ngozi", "", "female", "0803 555 0199"),
            ),
            (
                "married, one phone",
                person("Eze", "Ada Ngozi", "1980-02-03", "female", "08035550199"),
            ),
            (
                "only the year",
                person("Okafor", "Ada Ngozi", "1980", "female", ""),
            ),
            (
                "initial",
                person("Okafor", "A.", "1980-02-03", "female", ""),
            ),
        ] {
            let score = score(&ada(), &other);
            assert!(score >= DUPLICATE_SCORE, "{what}: {score}");
        }
    }

    #[test]
    fn who_only_shares_something_is_not_a_duplicate() {
        let phone = "+234 803 555 0199";
        for (what, other) in [
            (
                "nobody",
                person("Smith", "John", "1951-11-30", "male", "+1 555 010 9999"),
            ),
            (
                "same birthday",
                person("Smith", "Jane", "1980-02-03", "female", ""),
            ),
            (
                "namesake",
                person("Okafor", "Ada Ngozi", "1954-07-19", "female", ""),
            ),
            (
                "mother of the same name",
                person("Okafor", "Ada Ngozi", "1955-06-12", "female", phone),
            ),
            (
                "brother",
                person("Okafor", "Chidi", "1983-09-11", "male", phone),
            ),
            (
                "husband",
                person("Okafor", "Emeka", "1979-12-24", "male", phone),
            ),
            (
                "housemate",
                person("Bello", "Fatima", "1980-05-06", "female", phone),
            ),
            ("all unknown", person("", "", "", "unknown", "")),
            (
                "same names, sex and year",
                person("Okafor", "Ada Ngozi", "1980-11-27", "female", ""),
            ),
        ] {
            let score = score(&ada(), &other);
            assert!(score < DUPLICATE_SCORE, "{what}: {score}");
        }
    }

    #[test]
    fn twins_are_flagged_and_never_called_duplicates() {
        let phone = "+234 803 555 0199";
        for (what, other) in [
            (
                "sisters",
                person("Okafor", "Chioma", "1980-02-03", "female", phone),
            ),
            (
                "brother and sister",
                person("Okafor", "Emeka", "1980-02-03", "male", phone),
            ),
        ] {
            let found = compare(&ada(), &other);
            assert!(found.possible_twins, "{what}");
            assert!(found.score() < DUPLICATE_SCORE, "{what}: {}", found.score());
            assert!(found.weight >= SHOWN);
        }
        let (maria, mario) = (
            person("Rossi", "Maria", "2019-06-07", "female", phone),
            person("Rossi", "Mario", "2019-06-07", "male", phone),
        );
        assert!(compare(&maria, &mario).possible_twins);
        // One passport is one person, whatever the names.
        let (mut a, mut b) = (
            ada(),
            person("Okafor", "Chioma", "1980-02-03", "female", phone),
        );
        a.identifiers = vec![7, 8];
        b.identifiers = vec![8];
        assert!(score(&a, &b) >= DUPLICATE_SCORE && !compare(&a, &b).possible_twins);
    }

    #[test]
    fn reasons_are_words_for_a_person() {
        let found = compare(
            &ada(),
            &person("Okafer", "Ada", "1980-03-02", "male", "0803 555 0199"),
        );
        assert_eq!(
            found.reasons,
            [
                "same telephone",
                "day and month of birth swapped",
                "family names differ by one letter",
                "some given names are the same",
                "sex differs",
            ]
        );
    }

    #[test]
    fn a_short_number_of_another_clinic_says_little() {
        let with = |source: &str, mrn: &str, family: &str| {
            Facts::of(&IndexRow {
                family: Some(family.into()),
                source_id: Some(source.into()),
                mrn: Some(mrn.into()),
                ..IndexRow::default()
            })
        };
        assert!(score(&with("17", "17", "Okafor"), &with("17", "17", "Smith")) < 0.01);
        let uuid = "0e4bb5d1-7a4e-4c0e-8b5e-3a0f5b8d6c11";
        assert!(
            score(
                &with(uuid, "000123", "Okafor"),
                &with(uuid, "000123", "Okafor")
            ) > 0.9
        );
        // A birth date that stands for "unknown" is not one.
        let jan = |family: &str| person(family, "Ali", "1970-01-01", "male", "");
        assert!(score(&jan("Haddad"), &jan("Khalil")) < 0.2);
    }
}
