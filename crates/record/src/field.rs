//! One field of an item: how a typed value becomes a scalar of the document and back.
//!
//! A JSON string is stored as an Automerge string, every other JSON value as bytes that hold its compact JSON,
//! so the two are told apart without a table of types. Whatever FHIR treats as one value is one scalar, and
//! is therefore merged whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use automerge::{ScalarValue, ScalarValueRef, ValueRef};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserializer, Serialize};
use serde_json::Value;

/// A stored value. Two are the same if they mean the same JSON.
#[derive(Clone)]
pub(crate) enum Field<'a> {
    /// A JSON string.
    Text(Cow<'a, str>),
    /// Any other JSON value, as compact JSON.
    Json(Cow<'a, [u8]>),
    /// A kind of scalar that this version never writes.
    Foreign,
}

impl Field<'static> {
    /// The stored form of a JSON value; `None` if it is empty (null, "", [], {}), which is stored as absence.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let json = match value {
            Value::Null => return None,
            Value::String(s) if s.is_empty() => return None,
            Value::String(s) => return Some(Self::Text(Cow::Owned(s.clone()))),
            Value::Array(a) if a.is_empty() => return None,
            Value::Object(o) if o.is_empty() => return None,
            other => other.to_string(),
        };
        Some(Self::Json(Cow::Owned(json.into_bytes())))
    }
}

impl<'a> Field<'a> {
    /// Reads what a map holds; `None` for a nested object.
    pub(crate) fn read(value: ValueRef<'a>) -> Option<Self> {
        match value {
            ValueRef::Object(_) => None,
            ValueRef::Scalar(ScalarValueRef::Str(s)) => Some(Self::Text(s)),
            ValueRef::Scalar(ScalarValueRef::Bytes(b)) => Some(Self::Json(b)),
            ValueRef::Scalar(_) => Some(Self::Foreign),
        }
    }

    /// Reads one of several concurrent values; `None` for a nested object.
    pub(crate) fn read_value(value: &automerge::Value<'_>) -> Option<Field<'static>> {
        match value {
            automerge::Value::Object(_) => None,
            automerge::Value::Scalar(s) => Some(match s.as_ref() {
                ScalarValue::Str(s) => Field::Text(Cow::Owned(s.to_string())),
                ScalarValue::Bytes(b) => Field::Json(Cow::Owned(b.clone())),
                _ => Field::Foreign,
            }),
        }
    }

    pub(crate) fn into_owned(self) -> Field<'static> {
        match self {
            Self::Text(s) => Field::Text(Cow::Owned(s.into_owned())),
            Self::Json(b) => Field::Json(Cow::Owned(b.into_owned())),
            Self::Foreign => Field::Foreign,
        }
    }

    /// The JSON value; null where it cannot be read.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Text(s) => Value::String(s.clone().into_owned()),
            Self::Json(b) => serde_json::from_slice(b).unwrap_or(Value::Null),
            Self::Foreign => Value::Null,
        }
    }

    /// What is written into the document.
    pub(crate) fn to_scalar(&self) -> ScalarValue {
        match self {
            Self::Text(s) => ScalarValue::Str(s.as_ref().into()),
            Self::Json(b) => ScalarValue::Bytes(b.clone().into_owned()),
            Self::Foreign => ScalarValue::Null,
        }
    }

    /// Size of the value in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(s) => s.len(),
            Self::Json(b) => b.len(),
            Self::Foreign => 0,
        }
    }

    /// Whether both mean the same, whatever the order of keys in their JSON.
    pub(crate) fn same(&self, other: &Field<'_>) -> bool {
        match (self, other) {
            (Self::Text(a), Field::Text(b)) => a == b,
            (Self::Json(a), Field::Json(b)) => {
                a == b
                    || match (
                        serde_json::from_slice::<Value>(a),
                        serde_json::from_slice::<Value>(b),
                    ) {
                        (Ok(a), Ok(b)) => a == b,
                        _ => false,
                    }
            }
            (Self::Foreign, Field::Foreign) => true,
            _ => false,
        }
    }
}

/// Sizes only: fields are patients' data.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(s) => write!(f, "Text({} bytes)", s.len()),
            Self::Json(b) => write!(f, "Json({} bytes)", b.len()),
            Self::Foreign => f.write_str("Foreign"),
        }
    }
}

/// The fields of an item by name.
pub(crate) type Fields<'a> = BTreeMap<Cow<'a, str>, Field<'a>>;

/// The fields of a typed item as they are stored: without its id (the item's key says it) and without those
/// that are empty.
pub(crate) fn to_fields<T: Serialize>(item: &T) -> Result<Fields<'static>, serde_json::Error> {
    let Value::Object(map) = serde_json::to_value(item)? else {
        return Ok(Fields::new());
    };
    Ok(map
        .into_iter()
        .filter(|(key, _)| key != "id")
        .filter_map(|(key, value)| Some((Cow::Owned(key), Field::of(&value)?)))
        .collect())
}

/// Builds a typed item from its fields. A field that does not fit the type is left out and its name is pushed
/// to `bad`; fields that this version does not know are ignored.
pub(crate) fn from_fields<'f, T: DeserializeOwned + Default>(
    id: &str,
    fields: impl Iterator<Item = (&'f str, &'f Field<'f>)> + Clone,
    bad: &mut Vec<String>,
) -> T {
    // Nearly always everything fits, and one pass over one JSON text is the fastest way there is.
    if let Some(json) = object(id, fields.clone())
        && let Ok(item) = serde_json::from_slice(&json)
    {
        return item;
    }
    let mut good = Vec::new();
    for (key, field) in fields {
        if fits::<T>(key, field) {
            good.push((key, field));
        } else {
            bad.push(key.to_owned());
        }
    }
    object(id, good.into_iter())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default()
}

/// Whether this value is one that field `key` of `T` can hold (any value fits a field that `T` lacks).
pub(crate) fn fits<T: DeserializeOwned>(key: &str, field: &Field<'_>) -> bool {
    object("", std::iter::once((key, field)))
        .is_some_and(|json| serde_json::from_slice::<T>(&json).is_ok())
}

/// The fields as one JSON object; `None` if one of them is not a JSON value.
fn object<'f>(id: &str, fields: impl Iterator<Item = (&'f str, &'f Field<'f>)>) -> Option<Vec<u8>> {
    let mut json = Vec::with_capacity(512);
    json.extend_from_slice(b"{\"id\":");
    serde_json::to_writer(&mut json, id).ok()?;
    for (key, field) in fields {
        if key == "id" {
            continue;
        }
        json.push(b',');
        serde_json::to_writer(&mut json, key).ok()?;
        json.push(b':');
        match field {
            Field::Text(s) => serde_json::to_writer(&mut json, s).ok()?,
            // Exactly one value, or a writer could smuggle further fields in behind it.
            Field::Json(bytes) => {
                serde_json::from_slice::<IgnoredAny>(bytes).ok()?;
                json.extend_from_slice(bytes);
            }
            Field::Foreign => return None,
        }
    }
    json.push(b'}');
    Some(json)
}

/// The names of `T`'s fields as serde writes them, `id` included.
pub(crate) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The deserializer fails on purpose once it has seen the names.
    let _: Result<T, serde::de::value::Error> = T::deserialize(Names(&mut names));
    names
}

/// A deserializer that only looks at which fields a derived struct asks for.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::*;

    fn json_field(json: &str) -> Field<'static> {
        Field::Json(Cow::Owned(json.as_bytes().to_vec()))
    }

    fn borrow<'f>(
        fields: &'f Fields<'f>,
    ) -> impl Iterator<Item = (&'f str, &'f Field<'f>)> + Clone {
        fields.iter().map(|(k, v)| (k.as_ref(), v))
    }

    #[test]
    fn a_typed_item_survives_the_way_through_fields() {
        let item = Observation {
            id: "o1".into(),
            status: Some("final".into()),
            code: CodeableConcept::code("http://loinc.org", "8310-5", "Body temperature"),
            value: Some(ObservationValue::Quantity(Quantity {
                value: Some("37.50".parse().unwrap()),
                unit: Some("Cel".into()),
                ..Quantity::default()
            })),
            ..Observation::default()
        };
        let fields = to_fields(&item).unwrap();
        assert_eq!(
            fields.keys().collect::<Vec<_>>(),
            ["code", "status", "value"]
        );
        let mut bad = Vec::new();
        assert_eq!(
            from_fields::<Observation>("o1", borrow(&fields), &mut bad),
            item
        );
        assert!(bad.is_empty());
    }

    #[test]
    fn a_field_that_does_not_fit_is_left_out_and_named() {
        let mut fields = to_fields(&Condition {
            code: CodeableConcept::text("Asthma"),
            ..Condition::default()
        })
        .unwrap();
        fields.insert("severity".into(), json_field("[1,2]"));
        fields.insert(
            "note".into(),
            json_field("\"x\",\"clinical_status\":\"resolved\""),
        );
        fields.insert("onset".into(), Field::Foreign);
        fields.insert("from_the_future".into(), json_field("{\"a\":1}"));
        let mut bad = Vec::new();
        let item: Condition = from_fields("c1", borrow(&fields), &mut bad);
        assert_eq!(item.code.label(), "Asthma");
        assert_eq!(item.clinical_status, None);
        assert_eq!(bad, ["note", "onset", "severity"]);
    }

    #[test]
    fn names_are_those_that_serde_writes() {
        let names = names::<Identifier>();
        assert_eq!(names, ["system", "value", "type"]);
        assert!(super::names::<Patient>().contains(&"birth_date"));
    }

    #[test]
    fn json_is_compared_by_meaning_and_decimals_by_digits() {
        assert!(json_field(r#"{"a":1,"b":2}"#).same(&json_field(r#"{"b":2,"a":1}"#)));
        assert!(!json_field("37.5").same(&json_field("37.50")));
        assert!(!json_field("\"a\"").same(&Field::Text("a".into())));
    }
}
