//! Text from elsewhere, made safe and measured for a terminal.
//!
//! Names, notes and codes come from other clinics and from files: a control character in them could move the cursor,
//! hide a line or rename the window, and a bidirectional override could turn a dose around. Such characters are shown
//! as `\u{…}` escapes; everything else is left as it is.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Characters that a terminal obeys or that change the order of others without being seen: C0, C1 and DEL;
/// bidirectional embeddings, overrides and isolates (Unicode UAX #9, section 2); line separators; interlinear
/// annotations; the byte order mark; tag characters. Joiners and direction *marks* stay: scripts need them.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text on one line: line breaks and tabs become blanks, hostile characters are escaped.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => safe.push(' '),
            c if is_hostile(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// How many terminal columns a clean text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The first characters of an id: enough to tell ids apart on one screen and to name one in a command.
pub fn short(id: &str) -> &str {
    /// 48 bits of a random id: two of 10,000 share them with a chance of about 2 in 10 million.
    const SHORT_ID_CHARS: usize = 12;
    id.get(..SHORT_ID_CHARS).unwrap_or(id)
}

/// Breaks a text into lines of at most `columns`, at blanks where it can, between graphemes where it must.
/// Line breaks in the text are kept; always at least one line.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let paragraph = clean(paragraph.trim_end_matches('\r'));
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_word_bounds() {
            let wide = width(word);
            if used + wide <= columns {
                line.push_str(word);
                used += wide;
                continue;
            }
            if word.chars().all(char::is_whitespace) {
                lines.push(std::mem::take(&mut line));
                used = 0;
                continue;
            }
            if used > 0 {
                // A stop or comma stays with its word where moving the last word down makes room for both.
                let carried = carry(&mut line, wide, columns);
                lines.push(std::mem::replace(&mut line, carried));
                used = width(&line);
            }
            for grapheme in word.graphemes(true) {
                let wide = width(grapheme);
                if used + wide > columns && used > 0 {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push_str(grapheme);
                used += wide;
            }
        }
        lines.push(line);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Takes the end of `line` after its last blank, where that leaves something and fits before `more` columns.
fn carry(line: &mut String, more: usize, columns: usize) -> String {
    let Some(blank) = line.rfind(' ') else {
        return String::new();
    };
    let tail = &line[blank + 1..];
    if tail.is_empty() || width(tail) + more > columns || line[..blank].trim().is_empty() {
        return String::new();
    }
    line.split_off(blank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_overrides_are_shown_not_obeyed() {
        assert_eq!(clean("Ng\u{1b}[2J"), "Ng\\u{1b}[2J");
        assert_eq!(clean("5\u{202e}gm 01"), "5\\u{202e}gm 01");
        assert_eq!(clean("a\u{9b}b\u{2066}"), "a\\u{9b}b\\u{2066}");
        assert_eq!(clean("two\r\nlines\tand"), "two  lines and");
        assert!(matches!(clean("Müller, 李 👩‍⚕️"), Cow::Borrowed(_)));
    }

    #[test]
    fn width_counts_columns_not_characters() {
        assert_eq!(width("李明"), 4);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(width("Ng"), 2);
    }

    #[test]
    fn lines_break_at_blanks_and_long_words_break_anywhere() {
        assert_eq!(
            wrap("take one tablet twice a day", 10),
            ["take one", "tablet", "twice a", "day"]
        );
        assert_eq!(wrap("abcdefghijkl mn", 5), ["abcde", "fghij", "kl mn"]);
        assert_eq!(wrap("一二三四", 5), ["一二", "三四"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        assert_eq!(wrap("has pain, mild", 9), ["has pain,", "mild"]);
        assert_eq!(wrap("has pain, mild", 8), ["has", "pain,", "mild"]);
    }

    #[test]
    fn wrapped_text_never_exceeds_its_columns_and_loses_nothing_but_blanks() {
        let text = "Patient reports chest-pain (7/10), radiating; 李医生 saw him. See https://example.org/a/b/c";
        for columns in 2..60 {
            let lines = wrap(text, columns);
            assert!(lines.iter().all(|l| width(l) <= columns), "{columns}");
            let squeezed = |s: &str| s.replace(' ', "");
            assert_eq!(squeezed(&lines.concat()), squeezed(text), "{columns}");
        }
    }
}
