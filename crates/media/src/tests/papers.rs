//! PDF.

use super::builders::{look, pdf, refusal};
use crate::{MAX_PREVIEW_TEXT, Preview};

fn text(file: &[u8]) -> (String, bool) {
    match look(file).unwrap().preview {
        Some(Preview::Text { text, whole }) => (text, whole),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pdf_is_read_line_by_line_and_page_by_page() {
    let file = pdf(&[
        &["Discharge letter", "Okafor, Ada", "", "HbA1c 7.9 %"],
        &["Second page"],
    ]);
    let found = look(&file).unwrap();
    assert_eq!(found.facts.pages, Some(2));
    assert_eq!(found.note, None);
    let all = "Discharge letter\nOkafor, Ada\n\nHbA1c 7.9 %\n\nSecond page";
    assert_eq!(text(&file), (all.to_owned(), true));
}

#[test]
fn what_stands_beside_each_other_stays_so_and_words_apart_are_apart() {
    // The right column first, as writers may; and words that are moved instead of separated by a blank.
    let file = pdf(&[&["left) Tj 300 0 Td (right) Tj -300 -14 Td [(two) -400 (words)] TJ ("]]);
    assert_eq!(text(&file), ("left  right\ntwo words".to_owned(), true));
}

#[test]
fn a_page_that_lies_on_its_side_is_read_as_whoever_turns_it_does() {
    let lines: &[&str] = &["Okafor, Ada", "HbA1c 7.9 %"];
    let upright = String::from_utf8(pdf(&[lines])).unwrap();
    for turn in ["90", "180", "270"] {
        // Every offset behind it would be wrong by this: readers look for the objects then.
        let turned = upright.replace("/Contents", &format!("/Rotate {turn} /Contents"));
        assert_eq!(text(turned.as_bytes()), (lines.join("\n"), true), "{turn}");
    }
}

#[test]
fn of_a_long_pdf_the_beginning_is_read() {
    let line = "The quick brown fox jumps over the lazy dog, again and again.";
    let page: &[&str] = &[line; 45];
    let (beginning, whole) = text(&pdf(&[page; 39]));
    assert!(beginning.len() <= MAX_PREVIEW_TEXT && beginning.starts_with(line));
    assert!(!whole);
    let short: &[&str] = &["short"];
    let (_, whole) = text(&pdf(&[short; 41]));
    assert!(!whole, "not every page was looked at");
}

#[test]
fn a_pdf_without_words_says_so_and_one_that_cannot_be_read_is_kept() {
    let empty = look(&pdf(&[&[], &[]])).unwrap();
    assert_eq!((empty.facts.pages, empty.preview), (Some(2), None));
    assert!(empty.note.unwrap().contains("without text"));
    let strange = look(b"%PDF-1.7\nnothing that is known\nstartxref\n9\n%%EOF\n").unwrap();
    assert_eq!((strange.facts.pages, strange.preview), (None, None));
    assert!(strange.note.is_some());
}

#[test]
fn what_a_terminal_would_obey_is_not_in_the_text() {
    let file = pdf(&[&["a\\033[2Jb"]]);
    let (text, _) = text(&file);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_pdf_that_draws_without_end_is_kept_without_being_drawn_to_the_end() {
    // Ten forms, each of which draws the next one ten times.
    let mut file = "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
        2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj\n\
        3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources <</XObject <</X 5 0 R>>>>>> endobj\n\
        4 0 obj <</Length 5>> stream\n/X Do\nendstream endobj\n"
        .to_owned();
    let drawn = "/X Do ".repeat(10);
    for form in 5..15 {
        let next = form + 1;
        file.push_str(&format!(
            "{form} 0 obj <</Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length {} /Resources <</XObject <</X {next} 0 R>>>>>> stream\n{drawn}\nendstream endobj\n",
            drawn.len()
        ));
    }
    file.push_str("trailer <</Root 1 0 R>>\nstartxref\n9\n%%EOF\n");
    let found = look(file.as_bytes()).unwrap();
    assert_eq!((found.facts.pages, found.preview), (Some(1), None));
}

#[test]
fn a_pdf_without_its_end_is_refused() {
    let file = pdf(&[&["one"], &["two"]]);
    for end in (9..file.len() - 7).step_by(31) {
        assert!(refusal(&file[..end]).contains("cut off"), "{end}");
    }
    let start = file.len() - b"xxxx\n%%EOF\n".len();
    let far = [&file[..start], b"99999\n%%EOF"].concat();
    assert!(refusal(&far).contains("table"), "{}", refusal(&far));
    let no_number = b"%PDF-1.4 startxref %%EOF";
    assert!(refusal(no_number).contains("end is broken"));
}
