//! The rows of the conflicts page: concerns first, then conflicts, each with every value, its author, clinic and
//! claimed time.

use salus_api::{ConcernView, ConcernWriter, ConflictChoice, ConflictView};

use super::values::plain;
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::text;
use crate::theme::Tone;

/// Longest value shown, columns; the record shows it whole.
const MAX_VALUE_COLUMNS: usize = 400;
/// Lines of a concern's sentence.
const MAX_SENTENCE_LINES: usize = 3;
/// Lines of a value.
const MAX_VALUE_LINES: usize = 3;
/// Columns before a value.
const INDENT: u16 = 6;

/// What the cursor can stand on.
#[derive(Clone, Copy)]
pub(super) enum Stop<'a> {
    /// A merge that needs a clinician's eye.
    Concern(&'a ConcernView),
    /// One value of a conflict.
    Value(&'a ConflictView, &'a ConflictChoice),
}

/// One row as drawn.
pub(super) enum Drawn<'a> {
    Blank,
    Heading(String, &'static str),
    Sentence {
        line: String,
        first: bool,
        selected: bool,
    },
    Written {
        line: String,
        selected: bool,
    },
    Writer {
        writer: &'a ConcernWriter,
        selected: bool,
    },
    Label(&'a str, String),
    Value {
        value: &'a ConflictChoice,
        line: String,
        first: bool,
        selected: bool,
    },
    Origin {
        value: &'a ConflictChoice,
        selected: bool,
    },
}

/// The part of an item that was written, `dosage` of `medications/<id>/dosage`, or the item itself.
fn part(path: &str) -> String {
    match path.splitn(3, '/').nth(2) {
        Some(field) => field.replace('_', " "),
        None => "item".to_owned(),
    }
}

/// The rows of one concern.
pub(super) fn concern(concern: &ConcernView, selected: bool, columns: usize) -> Vec<Drawn<'_>> {
    let room = columns.saturating_sub(usize::from(INDENT) + 1);
    let sentence = text::wrap(&concern.text, room, MAX_SENTENCE_LINES);
    let mut rows: Vec<Drawn<'_>> = (sentence.into_iter().enumerate())
        .map(|(n, line)| Drawn::Sentence {
            line,
            first: n == 0,
            selected,
        })
        .collect();
    for writer in &concern.writers {
        let value = match &writer.value {
            serde_json::Value::Null => "(removed)".to_owned(),
            value => plain(value),
        };
        let words = format!("{}: {value}", part(&writer.path));
        let words = text::clean(&words, MAX_VALUE_COLUMNS);
        let lines = text::wrap(&words, room, MAX_VALUE_LINES);
        rows.extend(
            lines
                .into_iter()
                .map(|line| Drawn::Written { line, selected }),
        );
        rows.push(Drawn::Writer { writer, selected });
    }
    rows
}

/// The rows of one value.
pub(super) fn value(value: &ConflictChoice, selected: bool, columns: usize) -> Vec<Drawn<'_>> {
    let room = columns.saturating_sub(usize::from(INDENT) + 1);
    let words = text::clean(&plain(&value.value), MAX_VALUE_COLUMNS);
    let mut rows: Vec<Drawn<'_>> = text::wrap(&words, room, MAX_VALUE_LINES)
        .into_iter()
        .enumerate()
        .map(|(n, line)| Drawn::Value {
            value,
            line,
            first: n == 0,
            selected,
        })
        .collect();
    rows.push(Drawn::Origin { value, selected });
    rows
}

/// All rows for an area of this size, and which of them is the first of the cursor's.
pub(super) fn rows<'a>(
    concerns: &'a [ConcernView],
    conflicts: &'a [ConflictView],
    at: usize,
    (columns, height): (usize, usize),
) -> (Vec<Drawn<'a>>, usize) {
    let (mut rows, mut selected, mut nth) = (Vec::new(), 0, 0);
    let mut here = |len: usize| {
        let here = nth == at;
        if here {
            selected = len;
        }
        nth += 1;
        here
    };
    if !concerns.is_empty() {
        let heading = match concerns.len() {
            1 => "1 concern".to_owned(),
            n => format!("{n} concerns"),
        };
        rows.push(Drawn::Heading(
            heading,
            "merged quietly, and unsafe until somebody has looked",
        ));
    }
    for found in concerns {
        let selected = here(rows.len());
        rows.extend(concern(found, selected, columns));
        rows.push(Drawn::Blank);
    }
    if !conflicts.is_empty() {
        let heading = match conflicts.len() {
            1 => "1 conflict".to_owned(),
            n => format!("{n} conflicts"),
        };
        rows.push(Drawn::Heading(
            heading,
            "written apart, and different: choose what is right",
        ));
    }
    for (n, conflict) in conflicts.iter().enumerate() {
        if n > 0 {
            rows.push(Drawn::Blank);
        }
        let of = format!("{} of {}", n + 1, conflicts.len());
        rows.push(Drawn::Label(&conflict.label, of));
        for choice in &conflict.values {
            let selected = here(rows.len());
            rows.extend(value(choice, selected, columns));
        }
    }
    // Air below each heading where there is room for it.
    let is_heading = |row: &Drawn<'_>| matches!(row, Drawn::Heading(..));
    let headings = rows.iter().filter(|row| is_heading(row)).count();
    if rows.len() + headings <= height {
        for n in (0..rows.len())
            .rev()
            .filter(|n| is_heading(&rows[*n]))
            .collect::<Vec<_>>()
        {
            rows.insert(n + 1, Drawn::Blank);
            selected += usize::from(n < selected);
        }
    }
    (rows, selected)
}

/// Who wrote something, where and when.
fn origin(author: &str, clinic: &str, time_ms: u64, desk: &Desk) -> String {
    format!("{author} · {clinic} · {}", desk.clock.at(time_ms))
}

impl Drawn<'_> {
    pub fn view(&self, canvas: &mut Canvas<'_>, y: u16, desk: &Desk, busy: bool) {
        let end = canvas.width();
        let marked = match self {
            Self::Blank => false,
            Self::Heading(text, hint) => {
                canvas.put(1, y, text, Tone::Accent);
                canvas.put_right(end, y, hint, Tone::Dim);
                false
            }
            Self::Sentence {
                line,
                first,
                selected,
            } => {
                if *first {
                    canvas.put(3, y, "!", Tone::Danger);
                }
                canvas.put(INDENT, y, line, Tone::Danger);
                *selected
            }
            Self::Written { line, selected } => {
                canvas.put(INDENT, y, line, Tone::Text);
                *selected
            }
            Self::Writer { writer, selected } => {
                let origin = origin(&writer.author, &writer.clinic, writer.time_ms, desk);
                canvas.put(INDENT, y, &origin, Tone::Dim);
                *selected
            }
            Self::Label(label, of) => {
                let at = canvas.put_right(end, y, of, Tone::Dim);
                canvas.put_within(1, y, at.saturating_sub(3), label, Tone::Strong);
                false
            }
            Self::Value {
                value,
                line,
                first,
                selected,
            } => {
                if *first {
                    canvas.put(3, y, &value.choice.to_string(), Tone::Accent);
                }
                canvas.put(INDENT, y, line, Tone::Text);
                *selected
            }
            Self::Origin { value, selected } => {
                let origin = origin(&value.author, &value.clinic, value.time_ms, desk);
                let x = canvas.put(INDENT, y, &origin, Tone::Dim);
                if value.shown {
                    canvas.put(x, y, " · shown until then", Tone::Caution);
                }
                *selected
            }
        };
        if marked {
            canvas.select(y, !busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_said_by_its_field() {
        assert_eq!(part("medications/m0/dosage"), "dosage");
        assert_eq!(part("allergies/a/clinical_status"), "clinical status");
        assert_eq!(part("medications/m0"), "item");
        assert_eq!(part(""), "item");
    }
}
