//! The table: that it is one, and that nothing of it is run.

use proptest::prelude::*;

use super::arbitrary::content;
use super::made_up::{bare, full, hostile};
use crate::{CsvOptions, export_csv};

/// Reads RFC 4180 strictly: lines end in CR LF, a quote opens only at the start of a cell, and after the quote that
/// closes it nothing comes but the cell's end.
fn parse(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    let mut closed = false;
    while let Some(c) = chars.next() {
        let cell = rows.last_mut().unwrap().last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => (quoted, closed) = (false, true),
            c if quoted => cell.push(c),
            '"' => {
                assert!(cell.is_empty() && !closed, "a quote inside a cell");
                quoted = true;
            }
            ',' => {
                closed = false;
                rows.last_mut().unwrap().push(String::new());
            }
            '\r' => {
                assert_eq!(chars.next(), Some('\n'), "a CR without LF");
                closed = false;
                rows.push(vec![String::new()]);
            }
            c => {
                assert!(!closed && c != '\n', "text after a cell, or a bare LF");
                cell.push(c);
            }
        }
    }
    assert!(!quoted, "a cell that does not end");
    assert_eq!(
        rows.pop(),
        Some(vec![String::new()]),
        "the last line ends in CR LF"
    );
    rows
}

fn items(content: &salus_record::RecordContent) -> usize {
    content.allergies.len()
        + content.conditions.len()
        + content.medications.len()
        + content.observations.len()
        + content.diagnostic_reports.len()
        + content.immunizations.len()
        + content.procedures.len()
        + content.encounters.len()
        + content.notes.len()
}

fn check(content: &salus_record::RecordContent) -> Vec<Vec<String>> {
    let rows = parse(&export_csv(content, &CsvOptions::default()));
    assert_eq!(rows.len(), 2 + items(content));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    for cell in rows.iter().flatten() {
        let first = cell.chars().next();
        let is_number = cell.parse::<f64>().is_ok();
        assert!(
            is_number || !matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r')),
            "{cell:?}"
        );
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_a_table_with_a_row_for_each_item(content in content()) {
        check(&content);
    }
}

#[test]
fn a_row_says_what_the_item_is() {
    let content = full();
    let rows = check(&content);
    let column = |name: &str| rows[0].iter().position(|c| c == name).unwrap();
    let cell = |id: &str, name: &str| -> String {
        let row = rows.iter().find(|row| row[1] == id).unwrap();
        row[column(name)].clone()
    };
    assert_eq!(rows[1][column("display")], "Dr. Ada Maria Okafor");
    assert_eq!(rows[1][column("date")], "1961-04-05");
    assert_eq!(cell("potassium", "value"), "4.20");
    assert_eq!(cell("potassium", "unit"), "mmol/L");
    assert_eq!(cell("potassium", "code"), "2823-3");
    assert_eq!(cell("potassium", "code_system"), "http://loinc.org");
    assert_eq!(
        cell("pressure", "value"),
        "Systolic 120 mm[Hg]; Diastolic 80 mm[Hg]"
    );
    assert_eq!(cell("metformin", "resource"), "MedicationRequest");
    assert_eq!(cell("metformin", "date"), "2024-01-02");
    assert!(cell("metformin", "detail").starts_with("1 tablet twice a day, 500 mg, 2 in 1 d"));
    assert_eq!(cell("fracture", "end_date"), "1999-05");
    assert_eq!(cell("penicillin", "date"), "at age 7 a");
    assert_eq!(
        cell("penicillin", "detail"),
        "allergy; confirmed; criticality high; reaction Hives, severe"
    );
    assert_eq!(cell("tetanus", "detail"), "lot -7");
    assert_eq!(cell("note", "by"), "Dr. Ng");
    assert_eq!(cell("note", "note"), "Feels well.\nComes back in May.");
    assert_eq!(cell("diabetes", "encounter"), "visit");
}

#[test]
fn hostile_and_empty_records_are_tables_too() {
    check(&bare());
    let rows = check(&hostile());
    assert!(
        rows.iter()
            .flatten()
            .any(|cell| cell.starts_with("'=HYPERLINK"))
    );
    let marked = export_csv(
        &bare(),
        &CsvOptions {
            byte_order_mark: true,
        },
    );
    assert!(marked.starts_with("\u{feff}resource,id,"));
}
