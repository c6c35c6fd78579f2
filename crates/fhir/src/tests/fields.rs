//! That the made-up records leave out no field of the model: a field that is never filled is never tested.

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use salus_record::model::*;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde_json::Value;

use super::arbitrary::content;

/// Takes the names of a struct's fields from its `Deserialize`.
struct Names<'n>(&'n mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the names are wanted"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn names<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    let _ = T::deserialize(Names(&mut names));
    assert!(!names.is_empty());
    names
}

/// Counts the names under which something was filled, by where it stands (`observations.components.value`).
fn filled(value: &Value, path: &str, found: &mut BTreeMap<String, usize>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                filled(value, &path, found);
                *found.entry(path).or_default() += 1;
            }
        }
        Value::Array(items) => items.iter().for_each(|item| filled(item, path, found)),
        _ => {}
    }
}

#[test]
fn the_made_up_records_fill_every_field_and_leave_every_optional_one_empty_at_times() {
    let mut runner = TestRunner::deterministic();
    let mut found = BTreeMap::new();
    for _ in 0..300 {
        let content = content().new_tree(&mut runner).unwrap().current();
        filled(&serde_json::to_value(&content).unwrap(), "", &mut found);
    }
    let expected: [(&str, Vec<&str>); 22] = [
        ("", names::<RecordContent>()),
        (".patient", names::<Patient>()),
        (".patient.identifiers", names::<Identifier>()),
        (".patient.address", names::<Address>()),
        (".patient.language", names::<CodeableConcept>()),
        (".patient.language.coding", names::<Coding>()),
        (".allergies", names::<AllergyIntolerance>()),
        (".allergies.reactions", names::<Reaction>()),
        (".allergies.onset.period", names::<Period>()),
        (".conditions", names::<Condition>()),
        (".medications", names::<Medication>()),
        (".medications.dosage", names::<Dosage>()),
        (".medications.dosage.dose", names::<Quantity>()),
        (".observations", names::<Observation>()),
        (".observations.components", names::<ObservationComponent>()),
        (".observations.reference_range", names::<ReferenceRange>()),
        (".observations.value.quantity", names::<Quantity>()),
        (".diagnostic_reports", names::<DiagnosticReport>()),
        (".immunizations", names::<Immunization>()),
        (".procedures", names::<Procedure>()),
        (".encounters", names::<Encounter>()),
        (".notes", names::<Note>()),
    ];
    let mut missing = BTreeSet::new();
    for (path, names) in expected {
        for name in names {
            let path = format!("{path}.{name}");
            if !found.contains_key(&path) {
                missing.insert(path);
            }
        }
    }
    assert!(missing.is_empty(), "never filled: {missing:?}");
    // Every form of a value and of a time is there too.
    for form in [
        "quantity",
        "concept",
        "string",
        "boolean",
        "integer",
        "date_time",
        "time",
        "period",
        "range",
        "ratio",
    ] {
        assert!(
            found.contains_key(&format!(".observations.value.{form}")),
            "{form}"
        );
    }
    for form in ["date_time", "period", "age", "text"] {
        assert!(
            found.contains_key(&format!(".conditions.onset.{form}")),
            "{form}"
        );
    }
}
