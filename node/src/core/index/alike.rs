//! How alike two names are.

use super::edit::differ_by_one;

/// Jaro-Winkler similarity, 0 to 1, from which on names are similar; a guess in common use.
const SIMILAR: f64 = 0.92;

/// Letters below which one letter makes another name.
const ONE_LETTER_FROM: usize = 4;

/// How alike two names are, from the best on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alike {
    /// One of both has none.
    Unknown,
    /// Letter by letter.
    Same,
    /// One slip apart, in four letters or more.
    OneLetter,
    /// By Jaro and Winkler.
    Similar,
    /// All words of one are among the other's.
    Part,
    /// One begins with the other's initial.
    Initial,
    /// None of these.
    Differs,
}

impl Alike {
    /// How alike two names are, each of folded words with one blank between.
    pub(super) fn of(a: &str, b: &str) -> Self {
        if a.is_empty() || b.is_empty() {
            return Self::Unknown;
        }
        if a == b {
            return Self::Same;
        }
        let is_one_letter = |a: &str, b: &str| {
            a.chars().count().max(b.chars().count()) >= ONE_LETTER_FROM && differ_by_one(a, b)
        };
        if is_one_letter(a, b) {
            return Self::OneLetter;
        }
        let is_part = |few: &str, many: &str| {
            few.split(' ')
                .all(|word| many.split(' ').any(|w| w == word))
                && few.chars().count() > 1
        };
        if is_part(a, b) || is_part(b, a) {
            return Self::Part;
        }
        let (Some(first_a), Some(first_b)) = (a.split(' ').next(), b.split(' ').next()) else {
            return Self::Differs;
        };
        let is_initial = |short: &str, long: &str| {
            let mut letters = short.chars();
            let first = letters.next();
            letters.as_str().is_empty() && first == long.chars().next()
        };
        if is_initial(first_a, first_b) || is_initial(first_b, first_a) {
            return Self::Initial;
        }
        if strsim::jaro_winkler(a, b) >= SIMILAR {
            Self::Similar
        } else {
            Self::Differs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_alike_as_a_reader_would_say() {
        for (a, b, alike) in [
            ("", "okafor", Alike::Unknown),
            ("okafor", "okafor", Alike::Same),
            ("okafor", "okaofr", Alike::OneLetter),
            ("lee", "leo", Alike::Differs),
            ("anna", "ana", Alike::OneLetter),
            ("garcia marquez", "marquez", Alike::Part),
            ("ada ngozi", "ngozi ada", Alike::Part),
            ("a", "ada", Alike::Initial),
            ("a ngozi", "ada", Alike::Initial),
            ("papadopoulos", "papadopoulou", Alike::OneLetter),
            ("papadopoulos", "papadopulu", Alike::Similar),
            ("okafor", "smith", Alike::Differs),
        ] {
            assert_eq!(Alike::of(a, b), alike, "{a} {b}");
            assert_eq!(Alike::of(b, a), alike, "{b} {a}");
        }
    }
}
