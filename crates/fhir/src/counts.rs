//! How often something was met, by name.

use std::collections::BTreeMap;

use serde::Serialize;

/// Different names that are counted apart; the rest are counted together. A file can make up names.
const MAX_NAMES: usize = 512;

/// Longest name that is counted under itself, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// What the names beyond the limits are counted under.
pub const OTHER: &str = "(other)";

/// How often something was met, by name, in the order of the names. In JSON, an object of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts one more.
    pub(crate) fn add(&mut self, name: &str) {
        self.add_many(name, 1);
    }

    fn add_many(&mut self, name: &str, n: u64) {
        if let Some(count) = self.0.get_mut(name) {
            *count += n;
            return;
        }
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._()-".contains(&b));
        let name = if self.0.len() < MAX_NAMES && name.len() <= MAX_NAME_BYTES && plain {
            name
        } else {
            OTHER
        };
        *self.0.entry(name.to_owned()).or_default() += n;
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (name, n) in other.iter() {
            self.add_many(name, n);
        }
    }

    /// How often this name was met.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All of them, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, n)| (name.as_str(), *n))
    }

    /// Of all names together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether nothing was met.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_counted_together() {
        let mut counts = Counts::default();
        for i in 0..2 * MAX_NAMES {
            counts.add(&format!("Observation.x{i}"));
        }
        counts.add("\u{1b}[31m");
        counts.add(&"x".repeat(1000));
        assert_eq!(counts.total(), 2 * MAX_NAMES as u64 + 2);
        assert!(counts.iter().count() <= MAX_NAMES + 1);
        assert!(counts.get(OTHER) >= 2);
    }
}
