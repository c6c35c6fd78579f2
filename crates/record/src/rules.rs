//! What a value must be to be typed over a conflict: the same that an ordinary edit of the field demands.
//!
//! One of the conflict's own values is always allowed: somebody wrote it already. Another one is held to the rules of
//! [`crate::Edit::SetPatient`] for the patient's fields, and to FHIR's for dates (R4 section 2.24.0.1); that it is of
//! the field's type, and not too long, has been checked before.

use serde_json::Value;

use crate::date::is_date_time;
use crate::edit::{EditError, PATIENT_PATHS};
use crate::model::{Patient, Timing};
use crate::patient::{self, DATE};
use crate::schema::Collection;

/// Fields of items that are dates or instants.
const DATES: [&str; 3] = ["recorded_date", "authored_on", "issued"];
/// Fields of items that are a [`Timing`].
const TIMINGS: [&str; 5] = ["onset", "abatement", "effective", "occurrence", "performed"];
/// Fields of the patient that hold several words.
const WORDS: [&str; 3] = ["given", "prefix", "suffix"];

/// Checks a value for a field that does not hold it yet.
pub(crate) fn check(collection: Collection, field: &str, value: &Value) -> Result<(), EditError> {
    match collection {
        Collection::Patient => patient_field(field, value),
        _ if DATES.contains(&field) => match value {
            Value::String(text) => date(text),
            _ => Ok(()),
        },
        _ if TIMINGS.contains(&field) => match serde_json::from_value(value.clone()) {
            Ok(Timing::DateTime(at)) => date(&at),
            Ok(Timing::Period(period)) => {
                let ends = [period.start, period.end];
                ends.iter().flatten().try_for_each(|at| date(at))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn date(text: &str) -> Result<(), EditError> {
    match is_date_time(text) {
        true => Ok(()),
        false => Err(EditError::Invalid {
            path: "the choice",
            wanted: DATE,
        }),
    }
}

fn patient_field(field: &str, value: &Value) -> Result<(), EditError> {
    match value {
        Value::String(text) => typed(field, text),
        Value::Array(parts) if WORDS.contains(&field) => {
            let words = parts.iter().filter_map(Value::as_str);
            // As one of several, each is a line like any other.
            words.into_iter().try_for_each(|word| typed("family", word))
        }
        Value::Object(parts) if field == "address" => parts.iter().try_for_each(|(part, value)| {
            let path = format!("address.{part}");
            match value {
                Value::Array(lines) => {
                    let mut lines = lines.iter().filter_map(Value::as_str);
                    lines.try_for_each(|line| typed(&path, line))
                }
                Value::String(text) => typed(&path, text),
                _ => Ok(()),
            }
        }),
        _ => Ok(()),
    }
}

/// Checks what was typed into a path, if it is one that can be typed into.
fn typed(path: &str, text: &str) -> Result<(), EditError> {
    if !PATIENT_PATHS.contains(&path) {
        return Ok(());
    }
    if text.trim() != text || text.is_empty() {
        return Err(EditError::Invalid {
            path: "the choice",
            wanted: "a value without blanks around it",
        });
    }
    patient::set(&mut Patient::default(), path, Some(text))
}
