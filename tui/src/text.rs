//! Text from elsewhere, made fit for a terminal.
//!
//! Names, notes and error texts come from other clinics, from files and from people who paste. All of it passes
//! through this module on its way to the screen (`canvas.rs` is the only caller that draws), so that no text can
//! move the cursor, turn the reading direction, hide characters or push its neighbours out of their columns.

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

/// What stands where text was cut.
pub(crate) const ELLIPSIS: char = '…';

/// Combining marks kept on one character. Vietnamese needs 2, pointed Hebrew 3; piles of marks climb over the
/// lines above (a guess, on the safe side).
const MAX_MARKS: usize = 4;

/// Characters looked at for each column that can be filled, so that a text of megabytes costs no more than its
/// first line (one base and its marks, rounded up).
const MAX_CHARS_PER_COLUMN: usize = 8;

/// What is done with one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Drawn as it is.
    Keep,
    /// Drawn as a blank: white space of any kind.
    Blank,
    /// Drawn as U+FFFD, so that a reader sees that something was there.
    Mark,
    /// Left out: invisible, and harmless once it is gone.
    Drop,
}

/// Judges one character. Sources: Unicode 16 `Cc`, `Cf`, `Zl`, `Zp`, `Default_Ignorable_Code_Point`;
/// "Trojan Source" (Boucher and Anderson 2021) for the bidirectional controls.
fn judge(c: char) -> Verdict {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Verdict::Blank,
        c if c.is_control() => Verdict::Mark,
        // Bidirectional embeddings, overrides, isolates and marks.
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}' => Verdict::Mark,
        // Interlinear annotation, object replacement, language tags, noncharacters.
        '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e007f}' | '\u{fdd0}'..='\u{fdef}' => {
            Verdict::Mark
        }
        c if u32::from(c) & 0xfffe == 0xfffe => Verdict::Mark,
        // Fillers that look like nothing but take a column or two.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => Verdict::Mark,
        // Zero-width spaces and joiners, soft hyphen, variation selectors, invisible operators.
        '\u{ad}' | '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => Verdict::Drop,
        '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' => Verdict::Drop,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Verdict::Drop,
        _ => Verdict::Keep,
    }
}

/// The first `max_chars` characters of a text on one line, with nothing left in it that a terminal obeys.
fn clean_bounded(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars));
    let mut marks = 0;
    for c in text.chars().take(max_chars) {
        match judge(c) {
            Verdict::Keep => {
                let mut bytes = [0; 4];
                let zero_width = !c.is_ascii() && c.encode_utf8(&mut bytes).cell_width() == 0;
                marks = if zero_width { marks + 1 } else { 0 };
                if marks <= MAX_MARKS {
                    out.push(c);
                }
            }
            Verdict::Blank => out.push(' '),
            Verdict::Mark => out.push(char::REPLACEMENT_CHARACTER),
            Verdict::Drop => {}
        }
    }
    out
}

/// A text on one line with nothing left in it that a terminal obeys, cut after what `columns` could ever hold.
pub(crate) fn clean(text: &str, columns: usize) -> String {
    clean_bounded(
        text,
        columns
            .saturating_add(1)
            .saturating_mul(MAX_CHARS_PER_COLUMN),
    )
}

/// Columns that a clean text fills.
pub(crate) fn width(clean: &str) -> usize {
    clean.graphemes(true).map(grapheme_width).sum()
}

/// Columns of one grapheme as ratatui counts them.
pub(crate) fn grapheme_width(grapheme: &str) -> usize {
    if grapheme.bytes().all(|b| b.is_ascii_control()) {
        return 0;
    }
    usize::from(grapheme.cell_width())
}

/// A text on one line, at most `columns` wide; where it is cut it ends in an ellipsis.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let clean = clean(text, columns);
    let mut out = String::with_capacity(clean.len());
    let mut used = 0;
    // How much of `out` still leaves a column for the ellipsis.
    let mut keep = 0;
    for grapheme in clean.graphemes(true) {
        let wide = grapheme_width(grapheme);
        if used + wide > columns {
            out.truncate(keep);
            if columns > 0 {
                out.push(ELLIPSIS);
            }
            return out;
        }
        out.push_str(grapheme);
        used += wide;
        if used < columns {
            keep = out.len();
        }
    }
    out
}

/// A text of several lines, broken at blanks where it can be; at most `max_lines`, the last of which then ends in an
/// ellipsis.
pub(crate) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        if lines.len() > max_lines {
            break;
        }
        let room = columns.saturating_mul(max_lines.saturating_sub(lines.len()) + 1);
        let clean = clean(paragraph.trim_end_matches('\r'), room);
        for (start, end) in breaks(&clean, columns) {
            lines.push(clean.get(start..end).unwrap_or("").trim_end().to_owned());
            if lines.len() > max_lines {
                break;
            }
        }
    }
    if lines.len() > max_lines {
        lines.truncate(max_lines);
        if let Some(last) = lines.last_mut() {
            let cut = fit(last, columns.saturating_sub(1));
            *last = if cut.ends_with(ELLIPSIS) {
                cut
            } else {
                format!("{cut}{ELLIPSIS}")
            };
        }
    }
    lines
}

/// Where a paragraph (no line ends in it) is broken: byte ranges that follow each other without a gap, at least one.
/// Blanks stay at the end of the line that they close.
pub(crate) fn breaks(paragraph: &str, columns: usize) -> Vec<(usize, usize)> {
    let columns = columns.max(2); // A wide character must fit.
    let mut lines = Vec::new();
    let (mut start, mut used) = (0, 0);
    // The last place after a blank, and the columns used up to there.
    let mut blank: Option<(usize, usize)> = None;
    for (at, grapheme) in paragraph.grapheme_indices(true) {
        let wide = grapheme_width(grapheme);
        if grapheme == " " {
            used += wide;
            blank = Some((at + 1, used));
            continue;
        }
        if used + wide > columns {
            match blank.take() {
                Some((after, before)) => {
                    lines.push((start, after));
                    start = after;
                    used = used.saturating_sub(before);
                }
                None => {
                    lines.push((start, at));
                    start = at;
                    used = 0;
                }
            }
            if used + wide > columns {
                lines.push((start, at));
                start = at;
                used = 0;
            }
        }
        used += wide;
    }
    lines.push((start, paragraph.len()));
    lines
}

/// Typed or pasted text, as it may enter an input: line ends become `\n` or blanks, tabs become blanks, and what a
/// terminal would obey or hide is left out.
pub(crate) fn typed(text: &str, lines: bool) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars()
        .filter_map(|c| match (c, judge(c)) {
            ('\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}', _) => {
                Some(if lines { '\n' } else { ' ' })
            }
            (_, Verdict::Keep) => Some(c),
            (_, Verdict::Blank) => Some(' '),
            // Joiners matter to the scripts that use them; they are kept as typed and left out when drawn.
            ('\u{200c}' | '\u{200d}', _) => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible_marks() {
        assert_eq!(fit("\u{1b}[2J\u{1b}]0;owned\u{7}", 40), "�[2J�]0;owned�");
        assert_eq!(fit("a\u{9b}31mb", 40), "a�31mb");
    }

    #[test]
    fn bidirectional_overrides_cannot_reorder_a_dose() {
        let shown = fit("dose \u{202e}05\u{202c} mg", 40);
        assert_eq!(shown, "dose �05� mg");
        assert!(
            !fit("\u{2067}x\u{2069}\u{200f}", 9)
                .chars()
                .any(|c| judge(c) == Verdict::Mark)
        );
    }

    #[test]
    fn invisible_characters_are_gone() {
        assert_eq!(fit("Ok\u{200b}a\u{ad}for\u{feff}\u{2060}", 40), "Okafor");
        assert_eq!(fit("a\u{fe0f}\u{e0101}b", 40), "ab");
    }

    #[test]
    fn line_ends_are_blanks_on_one_line() {
        assert_eq!(
            fit("one\ntwo\r\tthree\u{2028}four", 40),
            "one two  three four"
        );
    }

    #[test]
    fn wide_characters_are_counted_by_columns() {
        assert_eq!(fit("山田花子", 8), "山田花子");
        assert_eq!(fit("山田花子", 7), "山田花…");
        assert_eq!(fit("山田花子", 6), "山田…");
        assert_eq!(width("山田a"), 5);
        assert!(width(&fit("a山田花子", 4)) <= 4);
    }

    #[test]
    fn a_cut_text_ends_in_an_ellipsis_and_fits() {
        assert_eq!(fit("Okafor", 6), "Okafor");
        assert_eq!(fit("Okafor", 5), "Okaf…");
        assert_eq!(fit("Okafor", 1), "…");
        assert_eq!(fit("Okafor", 0), "");
    }

    #[test]
    fn piles_of_marks_are_flattened() {
        let zalgo = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(fit(&zalgo, 10).chars().count(), 1 + MAX_MARKS);
    }

    #[test]
    fn a_text_of_megabytes_costs_one_line() {
        let huge = "x".repeat(10_000_000);
        let start = std::time::Instant::now();
        assert_eq!(width(&fit(&huge, 40)), 40);
        assert_eq!(wrap(&huge, 40, 3).len(), 3);
        assert!(start.elapsed().as_millis() < 500);
    }

    #[test]
    fn paragraphs_break_at_blanks() {
        assert_eq!(
            wrap("the quick brown fox", 10, 9),
            ["the quick", "brown fox"]
        );
        assert_eq!(wrap("one\n\ntwo", 10, 9), ["one", "", "two"]);
        assert_eq!(wrap("abcdefghijkl", 5, 9), ["abcde", "fghij", "kl"]);
        assert_eq!(wrap("a b c d e f", 3, 2), ["a b", "c…"]);
    }

    #[test]
    fn breaks_cover_the_whole_paragraph() {
        for text in [
            "",
            "a",
            "a  b   c",
            "longwordwithoutblanks x",
            "山田 花子 山田花子山田",
        ] {
            for columns in 0..12 {
                let lines = breaks(text, columns);
                assert_eq!(lines.first().map(|l| l.0), Some(0));
                assert_eq!(lines.last().map(|l| l.1), Some(text.len()));
                assert!(
                    lines.windows(2).all(|w| w[0].1 == w[1].0),
                    "{text:?} {columns}"
                );
            }
        }
    }

    #[test]
    fn pasted_text_keeps_its_lines_and_loses_its_controls() {
        assert_eq!(typed("a\r\nb\tc\u{1b}[0m\u{202e}", true), "a\nb c[0m");
        assert_eq!(typed("a\r\nb", false), "a b");
    }
}
