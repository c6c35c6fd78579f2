//! A decimal number that keeps its digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest decimal accepted, in characters. FHIR asks for at least 18 significant digits (R4, section 2.24.0.1).
pub const MAX_DECIMAL_CHARS: usize = 64;

/// A number as it was written: `37.50` stays `37.50` (FHIR: precision is part of a decimal's meaning).
///
/// In JSON it is a number with those digits; elsewhere a string. Equality is by digits, not by value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

/// Not a decimal number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct NotADecimal;

impl Decimal {
    /// The digits as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest 64-bit float.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl From<i64> for Decimal {
    fn from(n: i64) -> Self {
        Self(n.to_string())
    }
}

impl FromStr for Decimal {
    type Err = NotADecimal;

    /// Accepts JSON's number grammar: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`, finite as a 64-bit float.
    fn from_str(s: &str) -> Result<Self, NotADecimal> {
        if s.len() > MAX_DECIMAL_CHARS {
            return Err(NotADecimal);
        }
        // serde_json's own grammar check: a number and nothing around it.
        let first = s.bytes().next().ok_or(NotADecimal)?;
        if !(first == b'-' || first.is_ascii_digit()) || s.bytes().any(|b| b.is_ascii_whitespace())
        {
            return Err(NotADecimal);
        }
        let _: serde_json::Number = serde_json::from_str(s).map_err(|_| NotADecimal)?;
        match s.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Self(s.to_owned())),
            _ => Err(NotADecimal),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let number: serde_json::Number =
                serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            number.serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = if deserializer.is_human_readable() {
            serde_json::Number::deserialize(deserializer)?.to_string()
        } else {
            String::deserialize(deserializer)?
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}
