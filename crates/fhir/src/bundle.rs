//! From text to resources: Bundles, single resources and NDJSON are all just resources here.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{ImportError, Place, Position, quoted};
use crate::raw::{Fields, Name, items, kind, string};
use crate::source::{BOM, BUNDLE_LEVELS, Limits, content_hash, too_deep};

/// Contained resources of one resource. 1,000: a guess; the sample data has 2.
const MAX_CONTAINED: usize = 1_000;

/// Longest fullUrl, in bytes. 4,096: a guess; servers refuse longer URLs.
const MAX_URL_BYTES: usize = 4_096;

/// Longest name of a resource type, in bytes (R4's longest is 38).
const MAX_TYPE_BYTES: usize = 64;

/// What this crate does with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Patient,
    AllergyIntolerance,
    Condition,
    MedicationRequest,
    MedicationStatement,
    Observation,
    DiagnosticReport,
    Immunization,
    Procedure,
    Encounter,
    /// Becomes a note if it is plain text.
    DocumentReference,
    /// Is looked up by the medications that refer to it.
    Medication,
    /// Kept as it came.
    Other,
}

impl Kind {
    pub(crate) fn of(resource_type: &str) -> Self {
        match resource_type {
            "Patient" => Self::Patient,
            "AllergyIntolerance" => Self::AllergyIntolerance,
            "Condition" => Self::Condition,
            "MedicationRequest" => Self::MedicationRequest,
            "MedicationStatement" => Self::MedicationStatement,
            "Observation" => Self::Observation,
            "DiagnosticReport" => Self::DiagnosticReport,
            "Immunization" => Self::Immunization,
            "Procedure" => Self::Procedure,
            "Encounter" => Self::Encounter,
            "DocumentReference" => Self::DocumentReference,
            "Medication" => Self::Medication,
            _ => Self::Other,
        }
    }

    /// Whether it must say whose it is.
    pub(crate) fn is_clinical(self) -> bool {
        !matches!(
            self,
            Self::Patient | Self::DocumentReference | Self::Medication | Self::Other
        )
    }

    /// Whether it may become part of the record.
    pub(crate) fn is_typed(self) -> bool {
        !matches!(self, Self::Medication | Self::Other)
    }

    /// The element that says whose it is.
    pub(crate) fn subject(self) -> &'static str {
        match self {
            Self::AllergyIntolerance | Self::Immunization => "patient",
            _ => "subject",
        }
    }
}

/// One resource of the file.
pub(crate) struct Node<'a> {
    pub(crate) raw: &'a RawValue,
    pub(crate) resource_type: Cow<'a, str>,
    pub(crate) kind: Kind,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) full_url: Option<Cow<'a, str>>,
    /// Its `subject` or `patient`.
    pub(crate) subject: Option<&'a RawValue>,
    /// Number in the file, from 1.
    pub(crate) entry: usize,
    /// The resource that contains it.
    pub(crate) container: Option<usize>,
    /// Hash of its content, white space aside.
    pub(crate) hash: [u8; 32],
}

/// All resources of a file.
pub(crate) struct Nodes<'a> {
    pub(crate) text: &'a str,
    /// A resource's contained resources follow it directly.
    pub(crate) nodes: Vec<Node<'a>>,
    /// A search result: it may refer to what stayed on the server.
    pub(crate) partial: bool,
    /// Entries met so far.
    entries: usize,
}

impl<'a> Nodes<'a> {
    /// All resources of a text that [`crate::source::text`] let through.
    pub(crate) fn collect(text: &'a str, limits: &Limits) -> Result<Self, ImportError> {
        let text = text.strip_prefix(BOM).unwrap_or(text);
        let mut all = Self {
            text,
            nodes: Vec::new(),
            partial: false,
            entries: 0,
        };
        // JSON values one after the other: a file of one value is a Bundle or a resource, of several NDJSON.
        for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            let value = value.map_err(|error| syntax(text, &error))?;
            let not_fhir = |what: &str| {
                let found = format!("{what} ({})", position(text, value));
                ImportError::NotFhir { found }
            };
            if kind(value) != "an object" {
                return Err(not_fhir(&format!(
                    "it holds {} for a resource",
                    kind(value)
                )));
            }
            let head = Head::of(value).map_err(|what| not_fhir(&format!("its object {what}")))?;
            match head.resource_type.as_deref() {
                None => return Err(not_fhir("its object has no resourceType")),
                Some("Bundle") => all.bundle(value, limits)?,
                Some(_) => {
                    // It is kept in a Bundle, which is read within the same limit.
                    let limit = limits.max_depth.saturating_sub(BUNDLE_LEVELS);
                    if let Some(offset) = too_deep(value.get().as_bytes(), limit) {
                        let position = position_of(text, value.get().as_ptr().addr() + offset);
                        return Err(ImportError::TooDeep { limit, position });
                    }
                    all.entries += 1;
                    all.push(value, head, None, limits)?;
                }
            }
        }
        Ok(all)
    }

    fn bundle(&mut self, value: &'a RawValue, limits: &Limits) -> Result<(), ImportError> {
        let bundle: Fields<'a> = serde_json::from_str(value.get())
            .map_err(|_| self.wrong(value, "Bundle", "has an element twice or too many"))?;
        let bundle_type = match bundle.get("type") {
            None => None,
            Some(value) => Some(
                string(value)
                    .ok_or_else(|| self.wrong(value, "Bundle.type", "should be a string"))?,
            ),
        };
        match bundle_type.as_deref() {
            Some("transaction" | "batch" | "collection" | "document") => {}
            Some("searchset") => self.partial = true,
            other => {
                let found = other.map_or_else(|| "(none)".to_owned(), quoted);
                return Err(ImportError::BundleType { found });
            }
        }
        let Some(entries) = bundle.get("entry") else {
            return Ok(());
        };
        if kind(entries) != "an array" {
            return Err(self.wrong(entries, "Bundle.entry", "should be an array"));
        }
        let too_many = || ImportError::TooManyEntries {
            limit: limits.max_entries,
        };
        for value in items(entries, limits.max_entries).ok_or_else(too_many)? {
            self.entries += 1;
            if kind(value) != "an object" {
                return Err(self.wrong(value, "Bundle.entry", "should be an object"));
            }
            let entry: Fields<'a> = serde_json::from_str(value.get()).map_err(|_| {
                self.wrong(value, "Bundle.entry", "has an element twice or too many")
            })?;
            // A transaction may also delete, and an answer may be empty: nothing to import there.
            let Some(resource) = entry.get("resource") else {
                continue;
            };
            let full_url = match entry.get("fullUrl") {
                None => None,
                Some(url) => Some(
                    string(url)
                        .filter(|u| u.len() <= MAX_URL_BYTES)
                        .ok_or_else(|| {
                            let what =
                                format!("should be a string of at most {MAX_URL_BYTES} bytes");
                            self.wrong(url, "Bundle.entry.fullUrl", &what)
                        })?,
                ),
            };
            let head = Head::of(resource)
                .map_err(|what| self.wrong(resource, "Bundle.entry.resource", what))?;
            if head.resource_type.is_none() {
                return Err(self.wrong(
                    resource,
                    "Bundle.entry.resource.resourceType",
                    "is missing",
                ));
            }
            self.push(resource, head, full_url, limits)?;
        }
        Ok(())
    }

    /// A complaint about the Bundle around the resources.
    fn wrong(&self, at: &RawValue, path: &str, what: &str) -> ImportError {
        ImportError::Element {
            place: Place {
                entry: self.entries,
                resource_type: "Bundle".to_owned(),
                position: position(self.text, at),
            },
            path: path.to_owned(),
            what: what.to_owned(),
        }
    }

    fn push(
        &mut self,
        raw: &'a RawValue,
        head: Head<'a>,
        full_url: Option<Cow<'a, str>>,
        limits: &Limits,
    ) -> Result<(), ImportError> {
        let container = self.nodes.len();
        let contained = head.contained;
        let resource_type = head.resource_type.unwrap_or_default();
        let node = Node {
            raw,
            kind: Kind::of(&resource_type),
            resource_type,
            id: head.id,
            full_url,
            subject: head.subject,
            entry: self.entries,
            container: None,
            hash: content_hash(raw.get()),
        };
        // What a resource that is only kept contains is kept inside it.
        let contained = contained.filter(|_| node.kind != Kind::Other);
        self.add(node, limits)?;
        let Some(contained) = contained else {
            return Ok(());
        };
        let resources = if kind(contained) == "an array" {
            items(contained, MAX_CONTAINED)
        } else {
            None
        };
        let Some(resources) = resources else {
            let what = format!("should be an array of at most {MAX_CONTAINED} resources");
            return Err(self.wrong(contained, "contained", &what));
        };
        for raw in resources {
            let head = Head::of(raw).map_err(|what| self.wrong(raw, "contained", what))?;
            let Some(resource_type) = head.resource_type else {
                return Err(self.wrong(raw, "contained.resourceType", "is missing"));
            };
            let kind = match Kind::of(&resource_type) {
                // Whose record would it be? It has no identity outside its container.
                Kind::Patient | Kind::DocumentReference => Kind::Other,
                kind => kind,
            };
            self.add(
                Node {
                    raw,
                    kind,
                    resource_type,
                    id: head.id,
                    full_url: None,
                    subject: head.subject,
                    entry: self.entries,
                    container: Some(container),
                    hash: content_hash(raw.get()),
                },
                limits,
            )?;
        }
        Ok(())
    }

    fn add(&mut self, node: Node<'a>, limits: &Limits) -> Result<(), ImportError> {
        if self.nodes.len() >= limits.max_entries {
            return Err(ImportError::TooManyEntries {
                limit: limits.max_entries,
            });
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Where a resource is, for complaints.
    pub(crate) fn place(&self, node: &Node<'_>) -> Place {
        Place {
            entry: node.entry,
            resource_type: node.resource_type.clone().into_owned(),
            position: position(self.text, node.raw),
        }
    }
}

/// What must be known of every resource; the rest of it is skipped.
struct Head<'a> {
    resource_type: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    subject: Option<&'a RawValue>,
    contained: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    fn of(raw: &'a RawValue) -> Result<Self, &'static str> {
        if kind(raw) != "an object" {
            return Err("should be an object");
        }
        let HeadFields(found) =
            serde_json::from_str(raw.get()).map_err(|_| "has an element twice or a bad name")?;
        let [resource_type, id, subject, patient, contained] = found;
        let resource_type = match resource_type {
            None => None,
            Some(value) => match string(value) {
                Some(name)
                    if (1..=MAX_TYPE_BYTES).contains(&name.len())
                        && name.bytes().all(|b| b.is_ascii_alphabetic()) =>
                {
                    Some(name)
                }
                _ => return Err("should have a resourceType that names a FHIR resource"),
            },
        };
        let id = match id {
            None => None,
            Some(value) => Some(string(value).ok_or("should have an id that is a string")?),
        };
        Ok(Self {
            resource_type,
            id: id.filter(|id| !id.is_empty()),
            subject: subject.or(patient),
            contained,
        })
    }
}

struct HeadFields<'a>([Option<&'a RawValue>; 5]);

impl<'de> Deserialize<'de> for HeadFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadVisitor;
        impl<'de> Visitor<'de> for HeadVisitor {
            type Value = HeadFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a resource")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = [None; 5];
                while let Some(Name(name)) = map.next_key()? {
                    let slot = match name.as_ref() {
                        "resourceType" => 0,
                        "id" => 1,
                        "subject" => 2,
                        "patient" => 3,
                        "contained" => 4,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    let value: &RawValue = map.next_value()?;
                    let Some(slot @ None) = found.get_mut(slot) else {
                        return Err(A::Error::custom("an element twice"));
                    };
                    *slot = (value.get() != "null").then_some(value);
                }
                Ok(HeadFields(found))
            }
        }
        deserializer.deserialize_map(HeadVisitor)
    }
}

/// Where a part of the text starts.
pub(crate) fn position(text: &str, part: &RawValue) -> Position {
    position_of(text, part.get().as_ptr().addr())
}

/// The same by address.
pub(crate) fn position_of(text: &str, address: usize) -> Position {
    Position::of(
        text.as_bytes(),
        address.saturating_sub(text.as_ptr().addr()),
    )
}

/// What the JSON parser says. Its messages about syntax are fixed words; they quote nothing of the text.
fn syntax(text: &str, error: &serde_json::Error) -> ImportError {
    let position = Position {
        line: error.line(),
        column: error.column(),
    };
    // A number that lost its last digits is no number, and the parser does not say why.
    let at_end = Position::of(text.as_bytes(), text.len().saturating_sub(1)) == position;
    let number_cut_off = at_end && text.ends_with(['-', '+', '.', 'e', 'E']);
    if error.classify() == Category::Eof || number_cut_off {
        return ImportError::Truncated(position);
    }
    let said = error.to_string();
    let what = said
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned();
    ImportError::Syntax { position, what }
}
