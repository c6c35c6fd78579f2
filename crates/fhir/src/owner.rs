//! Whose each resource of a file is.

use serde_json::value::RawValue;

use crate::bundle::{Kind, Node, position};
use crate::error::{ImportError, Place, quoted};
use crate::graph::{Graph, references};
use crate::raw::{Fields, string};

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

    /// Why a patient's resource must not name a resource of this owner.
    pub(crate) fn why_elsewhere(owner: Option<&Self>) -> &'static str {
        match owner {
            Some(Self::Subject(_) | Self::Kept(_)) => "it belongs to another patient",
            Some(Self::Several) => "it names several patients, so it goes with none of them",
            _ => "nobody can tell whose it is",
        }
    }
}

impl Graph<'_> {
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

    /// Refuses what is about something that does not go with its patient (`part`, sorted): kept without it, the
    /// resource could not be read again. Only where `subject` could not do without it: what may be about
    /// something on another server may be about something in another record.
    pub(crate) fn check_subject(
        &self,
        index: usize,
        owners: &[Owner],
        part: &[usize],
    ) -> Result<(), ImportError> {
        let node = self.node(index);
        let asked = match node.container {
            None => node.kind != Kind::Patient,
            // See `owners`: inside what is only kept, nobody asks.
            Some(container) => {
                node.kind.is_clinical() && matches!(owners.get(container), Some(Owner::Subject(_)))
            }
        };
        let (true, Some(subject)) = (asked, node.subject) else {
            return Ok(());
        };
        let fields: Option<Fields<'_>> = serde_json::from_str(subject.get()).ok();
        let Some(reference) = fields.and_then(|f| f.get("reference").and_then(string)) else {
            return Ok(());
        };
        match self.resolve(index, &reference) {
            Some(found)
                if must_be_here(node.kind, &reference) && part.binary_search(&found).is_err() =>
            {
                Err(ImportError::BrokenReference {
                    place: self.place(node, subject),
                    path: format!("{}.{}", node.resource_type, node.kind.subject()),
                    reference: quoted(&reference),
                    why: Owner::why_elsewhere(owners.get(found)),
                })
            }
            _ => Ok(()),
        }
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
            None if self.is_ambiguous(&reference) => {
                Err(broken(&reference, "several resources have that id"))
            }
            None if must_be_here(node.kind, &reference) => {
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

/// Whether a `subject` that names nothing in the file is an error.
fn must_be_here(kind: Kind, reference: &str) -> bool {
    kind.is_clinical() || reference.contains("Patient/") || reference.starts_with("urn:")
}
