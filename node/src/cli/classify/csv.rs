//! Answers as lines of a CSV file.

use std::fmt::Write as _;
use std::path::Path;

use salus_api::Inference;
use salus_models::imaging::classifier::Ranked;

use super::answer::{Answer, OfFrame, name};

/// Categories in a line.
const CATEGORIES: usize = 3;

pub fn head() -> String {
    let mut head = "file,image,uncertain,why".to_owned();
    for n in 1..=CATEGORIES {
        let _ = write!(head, ",label_{n},p_{n}");
    }
    head.push_str(",error,frame,answers\n");
    head
}

/// A file that gave no answer.
pub fn failed(csv: &mut String, path: &Path, error: &str) {
    let mut cells = vec![name(path)];
    cells.resize(4 + 2 * CATEGORIES, String::new());
    cells.extend([error.to_owned(), String::new(), String::new()]);
    line(csv, &cells);
}

/// A file's answer: one line, or one for each frame, of which one answers for the file.
pub fn answered(csv: &mut String, path: &Path, inference: &Inference, answer: &Answer) {
    let (file, hash) = (name(path), inference.input.hash.as_str());
    let number = answer.scan.frame.map(|frame| frame.number);
    if answer.frames.is_empty() {
        let why = &inference.explanation;
        let why = if inference.uncertain { why } else { "" };
        let cells = cells(&file, hash, inference.uncertain, why, &answer.said.top);
        push(csv, cells, number, true);
    }
    for OfFrame {
        number: own,
        top,
        doubt,
        ..
    } in &answer.frames
    {
        let cells = cells(&file, hash, doubt.is_some(), doubt.unwrap_or_default(), top);
        push(csv, cells, Some(*own), number == Some(*own));
    }
}

fn cells(file: &str, hash: &str, uncertain: bool, why: &str, top: &[Ranked]) -> Vec<String> {
    let mut cells = vec![
        file.to_owned(),
        hash.to_owned(),
        uncertain.to_string(),
        why.to_owned(),
    ];
    for n in 0..CATEGORIES {
        let ranked = top.get(n);
        cells.push(ranked.map(|r| r.label.clone()).unwrap_or_default());
        cells.push(ranked.map(|r| format!("{:.6}", r.p)).unwrap_or_default());
    }
    cells
}

fn push(csv: &mut String, mut cells: Vec<String>, frame: Option<u32>, answers: bool) {
    let frame = frame.map(|number| number.to_string()).unwrap_or_default();
    cells.extend([String::new(), frame, answers.to_string()]);
    line(csv, &cells);
}

fn line(csv: &mut String, cells: &[String]) {
    let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    csv.push_str(&quoted.join(","));
    csv.push('\n');
}

/// A cell as RFC 4180 has it; what a spreadsheet would take for a formula begins with an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = match cell.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{cell}"),
        _ => cell.to_owned(),
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        assert_eq!(quoted("chest.png"), "chest.png");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"a\""), "\"say \"\"a\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }
}
