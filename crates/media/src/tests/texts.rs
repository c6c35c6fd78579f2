//! Text.

use super::builders::look;
use crate::{HEAD_BYTES, InspectOptions, MAX_PREVIEW_TEXT, Preview, inspect};

fn text(file: &[u8]) -> (String, bool, Option<u64>) {
    let found = look(file).unwrap();
    match found.preview {
        Some(Preview::Text { text, whole }) => (text, whole, found.facts.lines),
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_shown_whatever_its_encoding_and_line_ends() {
    let shown = "Größe\n\tgut".to_owned();
    let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}Größe\n\tgut"
            .encode_utf16()
            .flat_map(bytes)
            .collect()
    };
    for file in [
        shown.as_bytes().to_vec(),
        "\u{feff}Größe\n\tgut".as_bytes().to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ] {
        assert_eq!(text(&file), (shown.clone(), true, Some(2)));
    }
    for (file, lines) in [
        ("a", 1),
        ("a\n", 1),
        ("a\r\nb", 2),
        ("\r\r", 2),
        ("\n\nx", 3),
    ] {
        assert_eq!(text(file.as_bytes()).2, Some(lines), "{file:?}");
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    for (file, bytes) in [
        ("ä".repeat(MAX_PREVIEW_TEXT), MAX_PREVIEW_TEXT),
        (
            format!("a{}", "ä".repeat(MAX_PREVIEW_TEXT)),
            MAX_PREVIEW_TEXT - 1,
        ),
    ] {
        let (shown, whole, _) = text(file.as_bytes());
        assert_eq!((shown.len(), whole), (bytes, false));
        assert!(file.starts_with(&shown));
    }
    let exact = "b".repeat(MAX_PREVIEW_TEXT);
    assert_eq!(text(exact.as_bytes()), (exact, true, Some(1)));
    let wide: Vec<u8> = "\u{feff}山"
        .repeat(20_000)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(!text(&wide).1);
}

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let (shown, _, _) = text("a\u{9b}31mb\u{202e}c".as_bytes());
    assert_eq!(shown, "a\u{fffd}31mb\u{fffd}c");
}

#[test]
fn of_a_text_too_large_to_read_the_beginning_is_shown() {
    let mut head = "ä".repeat(HEAD_BYTES / 2);
    head.pop();
    head.push('x');
    let mut head = head.into_bytes();
    // A character is cut where the head ends.
    head.push(0xc3);
    assert_eq!(head.len(), HEAD_BYTES);
    let found = inspect(&head, 1 << 30, &InspectOptions::default()).unwrap();
    assert_eq!(found.facts.lines, None);
    assert!(matches!(
        found.preview,
        Some(Preview::Text { whole: false, .. })
    ));
}
