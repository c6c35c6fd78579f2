//! JSON objects whose members come in the order of `docs/cli.md`.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// An object under construction. `serde_json::Map` would sort the members, and `#[serde(flatten)]` breaks
/// decimals that keep their digits.
#[derive(Clone, Debug, Default)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// `{}`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member. A value that cannot be JSON becomes null.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.0.push((name.to_owned(), value));
        self
    }

    /// Adds a member where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds all members of a struct that are not there yet.
    #[must_use]
    pub fn merge(mut self, value: impl Serialize) -> Self {
        if let Ok(Value::Object(members)) = serde_json::to_value(value) {
            for (name, value) in members {
                if !self.0.iter().any(|(known, _)| *known == name) {
                    self.0.push((name, value));
                }
            }
        }
        self
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use salus_api::record::{Decimal, Quantity};

    use super::*;

    #[test]
    fn members_keep_their_order_and_decimals_their_digits() {
        let quantity = Quantity {
            value: Some("37.50".parse::<Decimal>().unwrap()),
            ..Quantity::default()
        };
        let object = Object::new()
            .with("z", 1)
            .with("a", &quantity)
            .with_some("none", None::<u8>)
            .merge(&quantity);
        assert_eq!(
            serde_json::to_string(&object).unwrap(),
            r#"{"z":1,"a":{"value":37.50},"value":37.50}"#
        );
    }
}
