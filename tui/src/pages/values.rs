//! Values of conflicts: as a person reads them, and as a person types another one.

use salus_api::record::Dosage;
use serde_json::{Value, json};

use crate::rows;

/// Fields of an item that tell a reader nothing.
const SILENT: [&str; 4] = ["id", "kind", "system", "sequence"];

/// A value as a person reads it: a concept by its words, an amount with its unit, a dose as an instruction, an item by
/// its name and what it says; anything else field by field.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".into(),
        Value::String(s) if s.is_empty() => "(empty)".into(),
        Value::String(s) => s.clone(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::Number(n) => n.to_string(),
        Value::Array(items) if items.is_empty() => "(none)".into(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => object(value, fields),
    }
}

fn object(value: &Value, fields: &serde_json::Map<String, Value>) -> String {
    let string = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = string("text").or_else(|| string("display")) {
        return text;
    }
    if fields.contains_key("dose") || fields.contains_key("frequency") {
        let dose = serde_json::from_value::<Dosage>(value.clone()).map(|d| rows::dose(&d));
        if let Ok(dose) = dose
            && !dose.is_empty()
        {
            return dose;
        }
    }
    if let Some(Value::Array(codings)) = fields.get("coding") {
        return codings.first().map(plain).unwrap_or_default();
    }
    if let Some(amount) = fields.get("value") {
        let unit = string("unit").or_else(|| string("code"));
        let amount = format!("{} {}", plain(amount), unit.unwrap_or_default());
        return amount.trim_end().into();
    }
    if let Some(code) = string("code") {
        return code;
    }
    let said = |(name, v): (&String, &Value)| {
        let empty = v.is_null() || v.as_array().is_some_and(Vec::is_empty);
        let told = !empty && name != "code" && !SILENT.contains(&name.as_str());
        told.then(|| format!("{}: {}", name.replace('_', " "), plain(v)))
    };
    let mut parts: Vec<String> = fields.get("code").map(plain).into_iter().collect();
    parts.extend(fields.iter().filter_map(said));
    if parts.is_empty() {
        return "(nothing)".into();
    }
    parts.join(", ")
}

/// What kind of value a field takes, as far as the values that are in it show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Words.
    Words,
    /// A number.
    Number,
    /// Yes or no.
    YesNo,
    /// A number with a unit.
    Amount,
    /// A concept or the like: words stand for it.
    Concept,
    /// A list of concepts or the like: words stand for one.
    Concepts,
    /// A list of words.
    List,
    /// Anything else: only JSON says it.
    Json,
}

impl Shape {
    /// The kind of value that these are.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut shapes = values.into_iter().filter_map(|value| match value {
            Value::Null => None,
            Value::String(_) => Some(Self::Words),
            Value::Number(_) => Some(Self::Number),
            Value::Bool(_) => Some(Self::YesNo),
            Value::Object(fields) => Some(Self::of_object(fields)),
            Value::Array(items) => match items.first() {
                Some(Value::String(_)) => Some(Self::List),
                Some(Value::Object(fields)) => match Self::of_object(fields) {
                    Self::Concept => Some(Self::Concepts),
                    _ => Some(Self::Json),
                },
                Some(_) => Some(Self::Json),
                None => None,
            },
        });
        let Some(first) = shapes.next() else {
            return Self::Words;
        };
        if shapes.all(|other| other == first) {
            first
        } else {
            Self::Json
        }
    }

    fn of_object(fields: &serde_json::Map<String, Value>) -> Self {
        let has = |key: &str| fields.contains_key(key);
        if has("text") || has("coding") || has("dose") || has("frequency") {
            Self::Concept
        } else if has("value") && has("unit") {
            Self::Amount
        } else {
            Self::Json
        }
    }

    /// What may be typed.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Words | Self::Concept | Self::Concepts => "words",
            Self::Number => "a number",
            Self::YesNo => "yes or no",
            Self::Amount => "a number and its unit",
            Self::List => "words, commas between",
            Self::Json => "JSON",
        }
    }

    /// The value that was typed. In a field that takes more than words, what starts with a brace or a bracket is JSON.
    pub fn read(self, typed: &str) -> Result<Value, &'static str> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err("Write the value.");
        }
        let json = !matches!(self, Self::Words | Self::Number | Self::YesNo)
            && typed.starts_with(['{', '[']);
        if json || self == Self::Json {
            return serde_json::from_str(typed).map_err(|_| "This is not JSON.");
        }
        Ok(match self {
            Self::Words | Self::Json => json!(typed),
            Self::Number => number(typed).ok_or("Write a number.")?,
            Self::YesNo => match typed.to_lowercase().as_str() {
                "yes" | "y" | "true" => json!(true),
                "no" | "n" | "false" => json!(false),
                _ => return Err("Write yes or no."),
            },
            Self::Amount => {
                let (amount, unit) = typed
                    .split_once(char::is_whitespace)
                    .ok_or("Write a number, a blank, and its unit: 12.5 mg.")?;
                let amount = number(amount).ok_or("Begin with a number: 12.5 mg.")?;
                json!({ "value": amount, "unit": unit.trim() })
            }
            Self::Concept => json!({ "text": typed }),
            Self::Concepts => json!([{ "text": typed }]),
            Self::List => {
                let parts = typed.split(',').map(str::trim).filter(|p| !p.is_empty());
                json!(parts.collect::<Vec<_>>())
            }
        })
    }
}

fn number(typed: &str) -> Option<Value> {
    let number: serde_json::Number = typed.parse().ok()?;
    Some(Value::Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_words() {
        let table = [
            (json!("+49 30 1234"), "+49 30 1234"),
            (json!(null), "(nothing)"),
            (json!({"value": 12.5, "unit": "mg"}), "12.5 mg"),
            (
                json!({"coding": [{"code": "1", "display": "Asthma"}]}),
                "Asthma",
            ),
            (json!({"text": "Asthma", "coding": []}), "Asthma"),
            (json!({"start": "2026", "end": null}), "start: 2026"),
            (json!(["a", true]), "a, yes"),
            (
                json!([{"dose": {"value": 2, "unit": "tablet"}, "frequency": 2, "period": 1, "period_unit": "d"}]),
                "2 tablet, 2×/day",
            ),
            (
                json!({"id": "m0", "code": {"text": "Metformin"}, "dosage": [], "status": "active",
                       "authored_on": "2021-06-02"}),
                "Metformin, authored on: 2021-06-02, status: active",
            ),
            (json!({}), "(nothing)"),
            (json!([]), "(none)"),
        ];
        for (value, words) in table {
            assert_eq!(plain(&value), words);
        }
    }

    #[test]
    fn another_value_is_read_as_the_field_takes_it() {
        let table = [
            (vec![json!("a"), json!(null)], "b", json!("b")),
            (vec![json!("a")], "{not json}", json!("{not json}")),
            (vec![], "b", json!("b")),
            (vec![json!(1), json!(2)], " 3 ", json!(3)),
            (vec![json!(true), json!(false)], "No", json!(false)),
            (
                vec![json!({"value": 1, "unit": "mg"})],
                "12.5 mg",
                json!({"value": 12.5, "unit": "mg"}),
            ),
            (
                vec![json!({"coding": []})],
                "Asthma",
                json!({"text": "Asthma"}),
            ),
            (
                vec![json!([{"frequency": 2}]), json!([{"text": "x"}])],
                "once a day",
                json!([{"text": "once a day"}]),
            ),
            (vec![json!(["a"])], "Ada, Chi", json!(["Ada", "Chi"])),
            (
                vec![json!({"start": "2026"})],
                r#"{"start": "2025"}"#,
                json!({"start": "2025"}),
            ),
        ];
        for (values, typed, expected) in table {
            assert_eq!(
                Shape::of(&values).read(typed),
                Ok(expected),
                "{values:?} {typed}"
            );
        }
        for (value, typed) in [
            (json!(1), "many"),
            (json!(true), "maybe"),
            (json!({"value": 1, "unit": "mg"}), "mg"),
            (json!({"value": 1, "unit": "mg"}), "12.5"),
            (json!({"start": "2026"}), "soon"),
            (json!("a"), "  "),
        ] {
            assert!(Shape::of([&value]).read(typed).is_err(), "{value} {typed}");
        }
    }
}
