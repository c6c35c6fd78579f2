//! Whether a typed word is a name with one slip: a wrong, missing, doubled (or other extra) or swapped letter.
//!
//! That is a distance of one by optimal string alignment, decided in one pass: after the first letters that differ
//! the rest must fit under one of the four slips. The tests compare it with `strsim::osa_distance`, which knows no
//! beginnings of words and costs twenty times as much, for every word of every name at every keystroke.

/// Letters below which a word has no neighbours worth showing.
const SHORTEST_WORD: usize = 4;

/// A typed word that may have a slip.
pub(super) struct Slip<'a> {
    typed: &'a str,
    letters: usize,
}

impl<'a> Slip<'a> {
    pub(super) fn of(typed: &'a str) -> Self {
        Self {
            typed,
            letters: typed.chars().count(),
        }
    }

    /// Whether it is `word` with one slip. It may also be the beginning of a longer `word`, where at least four
    /// letters are typed and one of them, after the slip, confirms it.
    pub(super) fn is_of(&self, word: &str) -> bool {
        if self.letters < SHORTEST_WORD - 1 || !has_letters(word, SHORTEST_WORD) {
            return false;
        }
        let (typed, word) = after_common_start(self.typed, word);
        fits(typed, word, self.letters >= SHORTEST_WORD)
    }
}

/// Whether both whole words are one slip apart, or equal.
pub(super) fn differ_by_one(a: &str, b: &str) -> bool {
    let (a, b) = after_common_start(a, b);
    fits(a, b, false)
}

fn has_letters(word: &str, least: usize) -> bool {
    word.len() >= least && word.chars().nth(least - 1).is_some()
}

fn after_common_start<'a>(a: &'a str, b: &'a str) -> (&'a str, &'a str) {
    let bytes = a.bytes().zip(b.bytes());
    let mut common = bytes.take_while(|(x, y)| x == y).count();
    while !(a.is_char_boundary(common) && b.is_char_boundary(common)) {
        common -= 1;
    }
    (&a[common..], &b[common..])
}

/// Whether what is left of both fits under one slip; `word` may go on where it `may_go_on`.
fn fits(typed: &str, word: &str, may_go_on: bool) -> bool {
    let ends = |typed: &str, word: &str| {
        typed == word || (may_go_on && !typed.is_empty() && word.starts_with(typed))
    };
    let mut t = typed.chars();
    let mut w = word.chars();
    let (Some(t0), Some(w0)) = (t.next(), w.next()) else {
        // One of them is at its end: at most one letter more.
        return t.as_str().is_empty() && w.as_str().is_empty();
    };
    let (typed_1, word_1) = (t.as_str(), w.as_str());
    let is_wrong = || ends(typed_1, word_1);
    let is_missing = || ends(typed, word_1);
    let is_extra = || ends(typed_1, word);
    if is_wrong() || is_missing() || is_extra() {
        return true;
    }
    let is_swapped = t.next() == Some(w0) && w.next() == Some(t0);
    let (typed_2, word_2) = (t.as_str(), w.as_str());
    // Both letters are there: nothing more need confirm it.
    is_swapped && (typed_2 == word_2 || (may_go_on && word_2.starts_with(typed_2)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_slip_is_seen_through_and_two_are_not() {
        for typed in [
            "okafpr", "okfor", "okaffor", "okaofr", "kafor", "okafo", "xkafor", "koafor",
        ] {
            assert!(Slip::of(typed).is_of("okafor"), "{typed}");
        }
        for typed in ["okfr", "oakfro", "okaforxy", "oka", "okxx"] {
            assert!(!Slip::of(typed).is_of("okafor"), "{typed}");
        }
        // Beginnings: a letter after the slip is needed.
        assert!(Slip::of("okfo").is_of("okafor"));
        assert!(Slip::of("okxf").is_of("okafor"));
        assert!(!Slip::of("okax").is_of("okafor"));
        // Short words have too many neighbours.
        assert!(Slip::of("ana").is_of("anna"));
        assert!(!Slip::of("ana").is_of("eva"));
        assert!(!Slip::of("lee").is_of("leo"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_distance(a in "[abcé]{0,7}", b in "[abcé]{0,7}") {
            prop_assert_eq!(differ_by_one(&a, &b), strsim::osa_distance(&a, &b) <= 1);
            prop_assert_eq!(differ_by_one(&a, &b), differ_by_one(&b, &a));
        }

        #[test]
        fn a_beginning_with_a_slip_is_one_from_some_beginning(typed in "[abc]{4,6}", word in "[abc]{4,9}") {
            let near = (0..=word.len()).any(|end| strsim::osa_distance(&typed, &word[..end]) <= 1);
            if Slip::of(&typed).is_of(&word) {
                prop_assert!(near);
            }
            // The other way round: near by more than its last letter.
            let but_last = &typed[..typed.len() - 1];
            if near && !word.starts_with(but_last) {
                prop_assert!(Slip::of(&typed).is_of(&word));
            }
        }
    }
}
