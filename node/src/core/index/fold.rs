//! One spelling of each letter: what is compared, never what is shown.
//!
//! Text is decomposed by Unicode's compatibility form (NFKD, UAX #15) and in lower case; accents and vowel points
//! go, by their canonical combining class. The marks that make another letter stay: the voicing of kana, nukta and
//! virama of the Indic scripts, the vowels of Thai.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// Characters of a word or number that are kept for search. A guess: longer than any real one.
const MAX_KEY_CHARS: usize = 64;

/// The text folded, in one line; blanks and punctuation stay, and the ends are trimmed.
pub(super) fn fold(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() && !text.contains(|c: char| c.is_ascii_control()) {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase).nfkd() {
        push(c, &mut out);
    }
    // NFKD may end in blanks that were not there, as for a lone accent.
    if out.trim().len() < out.len() {
        out = out.trim().to_owned();
    }
    out
}

fn push(c: char, out: &mut String) {
    match c {
        // Letters that Unicode does not decompose, as they are typed on a plain keyboard.
        'ø' => out.push('o'),
        'ł' => out.push('l'),
        'đ' | 'ð' => out.push('d'),
        'þ' => out.push_str("th"),
        'ß' => out.push_str("ss"),
        'æ' => out.push_str("ae"),
        'œ' => out.push_str("oe"),
        'ı' => out.push('i'),
        'ħ' => out.push('h'),
        'ŋ' => out.push('n'),
        'ŧ' => out.push('t'),
        'ς' => out.push('σ'),
        // Arabic letters that are written one for the other in names, and their Persian forms.
        'ى' | 'ی' => out.push('ي'),
        'ة' => out.push('ه'),
        'ک' => out.push('ك'),
        // Arabic-Indic, extended Arabic-Indic and Devanagari digits.
        '٠'..='٩' => out.push(digit(c, '٠')),
        '۰'..='۹' => out.push(digit(c, '۰')),
        '०'..='९' => out.push(digit(c, '०')),
        c if c.is_control() => out.push(' '),
        // Invisible: soft hyphen, tatweel, joiners, marks of direction, variation selectors, byte order mark.
        '\u{ad}' | '\u{640}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {}
        '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => {}
        c if is_accent(c) => {}
        // Again, for compatibility forms that decompose into capitals.
        c => out.extend(c.to_lowercase()),
    }
}

fn digit(c: char, zero: char) -> char {
    u32::from(c)
        .checked_sub(u32::from(zero))
        .and_then(|value| char::from_digit(value, 10))
        .unwrap_or(c)
}

/// Overlays (class 1), the points of Hebrew, Arabic and Syriac (10 to 36), and marks above and below (from 200).
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 1 | 10..=36 | 200..)
}

/// Whether a folded character belongs to a word: letters, digits and the marks that stayed.
fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// The words of folded text: `smith-jones, o'brien` has four.
pub(super) fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded
        .split(|c| !is_of_a_word(c))
        .filter(|word| !word.is_empty())
}

/// Folded text without blanks and punctuation.
pub(super) fn compact(folded: &str) -> String {
    folded.chars().filter(|c| is_of_a_word(*c)).collect()
}

/// As much of a word or number as is kept for search and looked for.
pub(super) fn key(text: &str) -> &str {
    // Most are shorter in bytes already.
    if text.len() <= MAX_KEY_CHARS {
        return text;
    }
    let end = text.char_indices().nth(MAX_KEY_CHARS);
    end.map_or(text, |(at, _)| &text[..at])
}

/// Whether it is written in a script that puts no blank between family and given name: Han, kana or Hangul (as jamo).
pub(super) fn is_unspaced(folded: &str) -> bool {
    folded.chars().any(|c| {
        matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_case_go_and_letters_stay() {
        for (text, folded) in [
            (" Núñez ", "nunez"),
            ("Łukasz Ørsted-Þór", "lukasz orsted-thor"),
            ("GROẞ Straße Æsir Œuvre", "gross strasse aesir oeuvre"),
            ("İbrahim Işık", "ibrahim isik"),
            ("Nguyễn Đức", "nguyen duc"),
            ("Ştefan Țuță", "stefan tuta"),
            ("Семёнов", "семенов"),
            ("Άγγελος", "αγγελοσ"),
            ("مُحَمَّد", "محمد"),
            ("أحمد", "احمد"),
            ("منى", "مني"),
            ("１２３ ｱ", "123 ア"),
            ("٠١٢", "012"),
            ("O\u{ad}Brien", "obrien"),
            ("e\u{301}", "e"),
            ("a\nB", "a b"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
        // A voiced kana is another letter, and so is a syllable with another vowel.
        assert_ne!(fold("が"), fold("か"));
        assert_ne!(fold("कि"), fold("की"));
        assert_eq!(fold(&fold("Ǻ")), fold("Ǻ"));
    }

    #[test]
    fn words_end_at_punctuation_and_marks_do_not_end_them() {
        let list = |text: &str| -> Vec<String> { words(&fold(text)).map(str::to_owned).collect() };
        assert_eq!(
            list("Smith-Jones, O'Brien"),
            ["smith", "jones", "o", "brien"]
        );
        assert_eq!(list("विकास शर्मा").len(), 2);
        assert_eq!(list(" -- "), [""; 0]);
        assert_eq!(compact(&fold("A-1 / b")), "a1b");
        assert!(is_unspaced("王") && is_unspaced(&fold("김")) && !is_unspaced("wang"));
    }
}
