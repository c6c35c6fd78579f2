//! How the resources of a file hang together: what a reference names, and whose each resource is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::value::RawValue;

use crate::bundle::{Kind, Node, Nodes, position};
use crate::error::{ImportError, Place, quoted};
use crate::raw::{Fields, string};

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
}

impl<'a> Graph<'a> {
    /// Indexes the resources. Two that share a name must say the same.
    pub(crate) fn new(all: Nodes<'a>) -> Result<Self, ImportError> {
        let mut graph = Self {
            by_url: HashMap::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            by_container: HashMap::new(),
            repeats: vec![false; all.nodes.len()],
            all,
        };
        let mut nameless: HashMap<[u8; 32], usize> = HashMap::new();
        for index in 0..graph.all.nodes.len() {
            graph.insert(index, &mut nameless)?;
        }
        Ok(graph)
    }

    fn insert(
        &mut self,
        index: usize,
        nameless: &mut HashMap<[u8; 32], usize>,
    ) -> Result<(), ImportError> {
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
            // What a repeated resource contains is repeated too.
            self.repeats[index] = self.repeats[container];
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
            first = nameless.get(&node.hash).copied();
            nameless.entry(node.hash).or_insert(index);
        }
        if let Some(url) = &node.full_url {
            match self.by_url.entry(url.clone().into_owned()) {
                Entry::Vacant(slot) => drop(slot.insert(first.unwrap_or(index))),
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

    /// Whose the resources are.
    pub(crate) fn owners(&self) -> Result<Vec<Owner>, ImportError> {
        let patients = self.patients();
        let only = match patients.as_slice() {
            [] => return Err(ImportError::NoPatient),
            [only] => Some(*only),
            _ => None,
        };
        let mut owners: Vec<Owner> = Vec::with_capacity(self.all.nodes.len());
        let mut unclear = Vec::new();
        for index in 0..self.all.nodes.len() {
            let node = self.node(index);
            let owner = if self.is_repeat(index) {
                Owner::Repeat
            } else if node.kind == Kind::Patient {
                Owner::Subject(index)
            } else if let Some(container) = node.container {
                let outer = owners[container];
                match (node.kind.is_clinical(), outer) {
                    (true, Owner::Subject(patient)) => match self.subject(index, false)? {
                        None => outer,
                        Some(Some(other)) if other == patient => outer,
                        Some(_) => Owner::Kept(patient),
                    },
                    _ => outer,
                }
            } else {
                match (
                    self.subject(index, node.kind.is_clinical())?.flatten(),
                    only,
                ) {
                    (Some(patient), _) => Owner::Subject(patient),
                    (None, Some(only)) => Owner::Kept(only),
                    (None, None) => {
                        unclear.push(index);
                        Owner::Shared
                    }
                }
            };
            owners.push(owner);
        }
        // What names no patient itself belongs to the patient whose resources it names, if that is only one.
        let direct = owners.clone();
        for index in unclear {
            for reference in references(self.node(index).raw.get()) {
                let named = self.resolve(index, &reference).map(|named| direct[named]);
                let Some(patient) = named.and_then(Owner::patient) else {
                    continue;
                };
                owners[index] = match owners[index] {
                    Owner::Shared => Owner::Kept(patient),
                    Owner::Kept(other) if other == patient => continue,
                    _ => Owner::Several,
                };
            }
        }
        Ok(owners)
    }

    /// The Patient that a resource says it is about: `None` if it does not say, `Some(None)` if it is about
    /// something else. Clinical resources must be about a Patient of the file.
    fn subject(&self, index: usize, needed: bool) -> Result<Option<Option<usize>>, ImportError> {
        let node = self.node(index);
        let clinical = node.kind.is_clinical();
        let path = || format!("{}.{}", node.resource_type, node.kind.subject());
        let wrong = |at: &RawValue, what: &str| ImportError::Element {
            place: self.place(node, at),
            path: path(),
            what: what.to_owned(),
        };
        let Some(subject) = node.subject else {
            return if needed {
                Err(wrong(
                    node.raw,
                    "is missing, so nobody can tell whose it is",
                ))
            } else {
                Ok(None)
            };
        };
        let broken = |reference: &str, why| ImportError::BrokenReference {
            place: self.place(node, subject),
            path: path(),
            reference: quoted(reference),
            why,
        };
        let fields: Option<Fields<'_>> = serde_json::from_str(subject.get()).ok();
        let reference = match fields.map(|f| f.get("reference").map(string)) {
            Some(Some(Some(reference))) => reference,
            _ if !clinical => return Ok(Some(None)),
            Some(None) => return Err(broken("", "it names no resource")),
            _ => return Err(wrong(subject, "should be a reference")),
        };
        match self.resolve(index, &reference) {
            Some(found) if self.node(found).kind == Kind::Patient => Ok(Some(Some(found))),
            Some(found) if self.node(found).resource_type == "Patient" => Err(broken(
                &reference,
                "the Patient is contained in a resource, and a record needs one of its own",
            )),
            // About a device, a place or a group: kept, but not as clinical data.
            Some(_) => Ok(Some(None)),
            None if clinical || reference.contains("Patient/") || reference.starts_with("urn:") => {
                Err(broken(&reference, "no such Patient in the file"))
            }
            None => Ok(Some(None)),
        }
    }

    fn place(&self, node: &Node<'_>, at: &RawValue) -> Place {
        Place {
            position: position(self.all.text, at),
            ..self.all.place(node)
        }
    }
}

/// Whose a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It is about this Patient (by number), and may become typed.
    Subject(usize),
    /// It is kept with this Patient.
    Kept(usize),
    /// Nobody's: goes with every patient whose resources refer to it.
    Shared,
    /// It names several patients: kept with none of them, since each would show the others.
    Several,
    /// An earlier resource says the same.
    Repeat,
}

impl Owner {
    /// The one patient that it goes with.
    pub(crate) fn patient(self) -> Option<usize> {
        match self {
            Self::Subject(patient) | Self::Kept(patient) => Some(patient),
            _ => None,
        }
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
