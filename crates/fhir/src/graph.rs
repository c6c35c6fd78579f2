//! How the resources of a file hang together: what a reference names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::value::RawValue;

use crate::bundle::{Kind, Node, Nodes};
use crate::error::ImportError;
use crate::raw::string;

/// The resources of a file, by every name that they go by.
pub(crate) struct Graph<'a> {
    pub(crate) all: Nodes<'a>,
    by_url: HashMap<String, usize>,
    /// By `Type/id`.
    by_name: HashMap<String, usize>,
    /// By id alone; `None` where several resources have it.
    by_id: HashMap<String, Option<usize>>,
    by_container: HashMap<(usize, String), usize>,
    /// Resources that say again what another one says.
    repeats: Vec<bool>,
    /// Of what is repeated under another fullUrl, those repeats: each stands for one name more.
    aliases: HashMap<usize, Vec<usize>>,
}

/// The first resource without a name that says so, by what contains it.
type Nameless = HashMap<(Option<usize>, [u8; 32]), usize>;

impl<'a> Graph<'a> {
    /// Indexes the resources. Two that share a name must say the same.
    pub(crate) fn new(all: Nodes<'a>) -> Result<Self, ImportError> {
        let mut graph = Self {
            by_url: HashMap::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            by_container: HashMap::new(),
            repeats: vec![false; all.nodes.len()],
            aliases: HashMap::new(),
            all,
        };
        let mut nameless = Nameless::new();
        for index in 0..graph.all.nodes.len() {
            graph.insert(index, &mut nameless)?;
        }
        Ok(graph)
    }

    fn insert(&mut self, index: usize, nameless: &mut Nameless) -> Result<(), ImportError> {
        let nodes = &self.all.nodes;
        let node = &nodes[index];
        let same = |other: usize| nodes[other].hash == node.hash;
        let duplicate = |key| {
            Err(ImportError::Duplicate {
                place: self.all.place(node),
                key,
            })
        };
        if let Some(container) = node.container {
            if let Some(id) = &node.id {
                match self
                    .by_container
                    .entry((container, id.clone().into_owned()))
                {
                    Entry::Vacant(slot) => drop(slot.insert(index)),
                    Entry::Occupied(_) => return duplicate("id"),
                }
            }
            let twice = node.id.is_none() && {
                let first = nameless.entry((Some(container), node.hash));
                *first.or_insert(index) != index
            };
            // What a repeated resource contains is repeated too.
            self.repeats[index] = twice || self.repeats[container];
            return Ok(());
        }
        let mut first = None;
        if let Some(id) = &node.id {
            match self.by_name.entry(format!("{}/{id}", node.resource_type)) {
                Entry::Vacant(slot) => {
                    slot.insert(index);
                    self.by_id
                        .entry(id.clone().into_owned())
                        .and_modify(|other| *other = None)
                        .or_insert(Some(index));
                }
                Entry::Occupied(other) if same(*other.get()) => first = Some(*other.get()),
                Entry::Occupied(_) => return duplicate("id"),
            }
        } else if node.full_url.is_none() {
            first = nameless.get(&(None, node.hash)).copied();
            nameless.entry((None, node.hash)).or_insert(index);
        }
        if let Some(url) = &node.full_url {
            match self.by_url.entry(url.clone().into_owned()) {
                Entry::Vacant(slot) => {
                    slot.insert(first.unwrap_or(index));
                    if let Some(first) = first {
                        self.aliases.entry(first).or_default().push(index);
                    }
                }
                Entry::Occupied(other) if same(*other.get()) => first = Some(*other.get()),
                Entry::Occupied(_) => return duplicate("fullUrl"),
            }
        }
        self.repeats[index] = first.is_some();
        Ok(())
    }

    pub(crate) fn node(&self, index: usize) -> &Node<'a> {
        &self.all.nodes[index]
    }

    /// Whether an earlier resource says the same.
    pub(crate) fn is_repeat(&self, index: usize) -> bool {
        self.repeats[index]
    }

    /// The resources that say the same as this one under another fullUrl.
    pub(crate) fn aliases(&self, index: usize) -> &[usize] {
        self.aliases.get(&index).map_or(&[], Vec::as_slice)
    }

    /// Whether several resources have this id, so that the id alone names none of them.
    pub(crate) fn is_ambiguous(&self, id: &str) -> bool {
        matches!(self.by_id.get(id), Some(None))
    }

    /// The resource that a reference in resource `from` names.
    pub(crate) fn resolve(&self, from: usize, reference: &str) -> Option<usize> {
        if let Some(id) = reference.strip_prefix('#') {
            let container = self.node(from).container.unwrap_or(from);
            return if id.is_empty() {
                Some(container)
            } else {
                self.by_container.get(&(container, id.to_owned())).copied()
            };
        }
        let reference = reference.split("/_history/").next().unwrap_or(reference);
        if let Some(found) = self.by_url.get(reference) {
            return Some(*found);
        }
        if let Some(id) = reference
            .strip_prefix("urn:uuid:")
            .or(reference.strip_prefix("urn:oid:"))
        {
            return self.by_id.get(id).copied().flatten();
        }
        let name = match reference_name(reference) {
            Some(name) => name,
            // Some systems write the id alone (the IPS examples among them).
            None => return self.by_id.get(reference).copied().flatten(),
        };
        // A relative reference is relative to the server that its own resource came from.
        if name.len() == reference.len()
            && let Some(base) = self.base(from)
            && let Some(found) = self.by_url.get(&format!("{base}{name}"))
        {
            return Some(*found);
        }
        self.by_name.get(name).copied()
    }

    /// `https://server/fhir/` of the resource's fullUrl.
    fn base(&self, from: usize) -> Option<&str> {
        let from = self.node(from).container.unwrap_or(from);
        let url = self.node(from).full_url.as_deref()?;
        let name = reference_name(url)?;
        url.strip_suffix(name).filter(|base| !base.is_empty())
    }

    /// The Patients of the file, in its order.
    pub(crate) fn patients(&self) -> Vec<usize> {
        (0..self.all.nodes.len())
            .filter(|&i| self.node(i).kind == Kind::Patient && !self.is_repeat(i))
            .collect()
    }
}

/// The `Type/id` at the end of a reference.
pub(crate) fn reference_name(reference: &str) -> Option<&str> {
    let (head, id) = reference.rsplit_once('/')?;
    let resource_type = head.rsplit_once('/').map_or(head, |(_, t)| t);
    let named = !id.is_empty()
        && resource_type.starts_with(|c: char| c.is_ascii_uppercase())
        && resource_type.bytes().all(|b| b.is_ascii_alphabetic());
    named
        .then(|| reference.get(reference.len() - resource_type.len() - 1 - id.len()..))
        .flatten()
}

/// Every reference that a resource makes, wherever it stands.
///
/// In valid JSON the characters `"reference"` followed by a colon can only be a name: inside a string the
/// quotes would be escaped.
pub(crate) fn references(json: &str) -> impl Iterator<Item = Cow<'_, str>> {
    const NAME: &str = "\"reference\"";
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(NAME)?;
            rest = rest.get(at + NAME.len()..)?;
            let Some(value) = rest.trim_start().strip_prefix(':') else {
                continue;
            };
            // Anything else is no reference, and its inside is searched as the text goes on.
            let value = value.trim_start();
            if !value.starts_with('"') {
                continue;
            }
            let mut values = serde_json::Deserializer::from_str(value).into_iter::<&RawValue>();
            if let Some(Ok(value)) = values.next()
                && let Some(reference) = string(value)
            {
                return Some(reference);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_at_the_end_of_a_reference_is_found() {
        for (reference, name) in [
            ("Patient/1", Some("Patient/1")),
            ("https://a.example/fhir/Patient/1", Some("Patient/1")),
            ("urn:uuid:1", None),
            ("AAA1234", None),
            ("Patient/", None),
            ("/1", None),
            ("a/b", None),
        ] {
            assert_eq!(reference_name(reference), name, "{reference}");
        }
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let json = r#"{"a":{"reference" : "A/1"},"b":"\"reference\":\"B/2\"","c":[{"reference":"C\/3"}],
            "d":"reference","e":{"reference":{"reference":"E/5"}}}"#;
        let found: Vec<_> = references(json).collect();
        assert_eq!(found, ["A/1", "C/3", "E/5"]);
    }
}
