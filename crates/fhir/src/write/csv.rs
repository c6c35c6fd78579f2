//! The export as a table (RFC 4180): one row for each item, for people with a spreadsheet.

use salus_record::decimal::Decimal;
use salus_record::model::*;

use crate::write::bundle::resources;
use crate::write::line::Line;

/// How a table is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// Begin with a byte order mark. Excel needs it to see that the text is UTF-8; most other programs show it as
    /// a part of the first column's name.
    pub byte_order_mark: bool,
}

/// The columns' names, in order.
const COLUMNS: [&str; 16] = [
    "resource",
    "id",
    "code_system",
    "code",
    "display",
    "value",
    "unit",
    "status",
    "date",
    "end_date",
    "category",
    "detail",
    "by",
    "encounter",
    "note",
    "other_codes",
];

/// Writes the record as one table in the form of RFC 4180: UTF-8, commas, lines that end in CR LF, a first line of
/// names, then the patient, then each item.
///
/// It is for reading and counting, and is not imported again: of an item's nested parts it shows the words. Dates
/// stay as they were written. A cell that a spreadsheet would take for a formula starts with `'`; other characters
/// stay as they are, except control characters, which become U+FFFD. What it costs: a cell like `-` or `+41 44 …` has
/// the mark too. It is to be opened as a table with commas: a program that splits it at semicolons cuts cells apart
/// after their first character, where no mark stands.
pub fn export_csv(content: &RecordContent, options: &CsvOptions) -> String {
    let mut out = String::with_capacity(256 * (2 + content.observations.len()));
    if options.byte_order_mark {
        out.push('\u{feff}');
    }
    out.push_str(&COLUMNS.join(","));
    out.push_str("\r\n");
    row(&mut out, &Line::of_patient(&content.patient));
    for resource in resources(content) {
        row(&mut out, &Line::of(&resource));
    }
    out
}

fn row(out: &mut String, line: &Line<'_>) {
    let codings = line.code.map_or(&[][..], |concept| &concept.coding);
    let first = codings.iter().position(|c| c.code.is_some()).unwrap_or(0);
    let part = |part: Option<&Option<String>>| {
        part.and_then(|p| p.as_deref())
            .unwrap_or_default()
            .to_owned()
    };
    let system = part(codings.get(first).map(|c| &c.system));
    let code = part(codings.get(first).map(|c| &c.code));
    let others: Vec<String> = codings
        .iter()
        .enumerate()
        .filter(|(i, c)| *i != first && c.code.is_some())
        .map(|(_, c)| {
            let system = c.system.as_deref().unwrap_or_default();
            format!("{system}|{}", c.code.as_deref().unwrap_or_default())
        })
        .collect();
    let others = others.join(" ");
    let cells: [&str; COLUMNS.len()] = [
        line.resource,
        line.id,
        &system,
        &code,
        &line.display,
        &line.value,
        line.unit,
        line.status,
        &line.date,
        &line.end_date,
        &line.category,
        &line.detail,
        &line.by,
        line.encounter,
        line.note,
        &others,
    ];
    for (i, text) in cells.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        cell(out, text);
    }
    out.push_str("\r\n");
}

/// Whether a spreadsheet would take a cell that starts like this for a formula (OWASP, "CSV Injection"; the wide
/// forms because spreadsheets in East Asian languages take them too).
fn starts_formula(text: &str) -> bool {
    let first = text.trim_start_matches(' ').chars().next();
    matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
    )
}

fn cell(out: &mut String, text: &str) {
    let is_number = || text.parse::<Decimal>().is_ok();
    let defused = starts_formula(text) && !is_number();
    let is_odd = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n');
    let quoted = defused
        || text.contains([',', ';', '"', '\r', '\n', '\t'])
        || text.starts_with(' ')
        || text.ends_with(' ');
    if quoted {
        out.push('"');
    }
    if defused {
        out.push('\'');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\"\""),
            c if is_odd(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    if quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        cell(&mut out, text);
        out
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_defused_and_numbers_stay_numbers() {
        for (text, cell) in [
            ("=1+1", "\"'=1+1\""),
            (" =cmd|' /C calc'!A0", "\"' =cmd|' /C calc'!A0\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("+41 44", "\"'+41 44\""),
            ("-", "\"'-\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("＝1", "\"'＝1\""),
            ("-1+1", "\"'-1+1\""),
            ("-1.50", "-1.50"),
            ("-1.20E-3", "-1.20E-3"),
            ("7", "7"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(written(text), cell, "{text:?}");
        }
    }

    #[test]
    fn quotes_commas_and_lines_are_quoted() {
        assert_eq!(written("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(written("a\r\nb"), "\"a\r\nb\"");
        assert_eq!(written("a;b"), "\"a;b\"");
        assert_eq!(written("a\u{0}\u{1b}b"), "a\u{fffd}\u{fffd}b");
        assert_eq!(written("é😀"), "é😀");
    }
}
