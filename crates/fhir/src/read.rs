//! From one resource to one item of the record.

mod clinical;
mod datatypes;
mod medication;
mod observation;
mod patient;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use salus_record::model::*;

use crate::absence::is_absence;
use crate::base64;
use crate::bundle::Kind;
use crate::graph::{Graph, reference_name};
use crate::ids::is_id;
use crate::json::{At, Bad, Fault, MAX_STRING_BYTES, Object, Tally};
use crate::owner::Owner;
use crate::urls;

pub(crate) use datatypes::human_name;

/// What a resource became.
pub(crate) enum Read {
    Item(Box<Item>),
    Note(Note),
    /// Nothing that the record models: it is only kept.
    Kept,
    /// The statement that something is absent or not known, in the form of an item.
    Absent,
}

/// What reading one resource needs to know of the others.
pub(crate) struct Cx<'g, 'a> {
    pub(crate) graph: &'g Graph<'a>,
    pub(crate) owners: &'g [Owner],
    /// Ids of the typed items by resource.
    pub(crate) ids: &'g HashMap<usize, String>,
    pub(crate) lookups: &'g Lookups,
    /// What goes with the patient, sorted: all that its resources may speak of.
    pub(crate) part: &'g [usize],
    /// The resource being read.
    pub(crate) index: usize,
}

/// What was taken from other resources, by resource, so that each is read once however often it is named.
#[derive(Default)]
pub(crate) struct Lookups {
    /// Names of people and organisations.
    names: RefCell<HashMap<usize, Option<String>>>,
    /// Codes of Medications.
    codes: RefCell<HashMap<usize, Option<CodeableConcept>>>,
}

impl<'a> Cx<'_, 'a> {
    /// Reads the Patient.
    pub(crate) fn patient(&self, tally: &Tally) -> Result<Patient, Bad> {
        self.read(tally, patient::patient)
    }

    /// Reads the resource as what its kind says.
    pub(crate) fn item(&self, tally: &Tally) -> Result<Read, Bad> {
        let kind = self.graph.node(self.index).kind;
        self.read(tally, |o| {
            o.skip("contained");
            let item = match kind {
                Kind::AllergyIntolerance => Item::Allergy(self.allergy_intolerance(o)?),
                Kind::Condition => Item::Condition(self.condition(o)?),
                Kind::Immunization => Item::Immunization(self.immunization(o)?),
                Kind::Procedure => Item::Procedure(self.procedure(o)?),
                Kind::Encounter => Item::Encounter(self.encounter(o)?),
                Kind::MedicationRequest => match self.medication_request(o)? {
                    Some(medication) => Item::Medication(medication),
                    None => return Ok(Read::Kept),
                },
                Kind::MedicationStatement => Item::Medication(self.medication_statement(o)?),
                Kind::Observation => Item::Observation(self.observation(o)?),
                Kind::DiagnosticReport => Item::DiagnosticReport(self.diagnostic_report(o)?),
                Kind::DocumentReference => {
                    return Ok(self.note(o)?.map_or(Read::Kept, Read::Note));
                }
                Kind::Patient | Kind::Medication | Kind::Other => return Ok(Read::Kept),
            };
            let code = match &item {
                Item::Allergy(item) => &item.code,
                Item::Condition(item) => &item.code,
                Item::Medication(item) => &item.code,
                Item::Immunization(item) => &item.code,
                Item::Procedure(item) => &item.code,
                _ => return Ok(Read::Item(Box::new(item))),
            };
            if is_absence(code) {
                return Ok(Read::Absent);
            }
            Ok(Read::Item(Box::new(item)))
        })
    }

    fn read<T>(
        &self,
        tally: &Tally,
        read: impl FnOnce(&mut Object<'a, '_>) -> Result<T, Bad>,
    ) -> Result<T, Bad> {
        let node = self.graph.node(self.index);
        Object::read(node.raw, At::root(&node.resource_type, tally), |o| {
            o.skip("resourceType");
            o.skip("id");
            o.skip(node.kind.subject());
            read(o)
        })
    }

    /// Id of this item.
    fn id(&self) -> String {
        self.ids.get(&self.index).cloned().unwrap_or_default()
    }

    /// Ids of the items of these kinds that a list of references names. What is of another kind, or stayed on
    /// another server, is left to the raw part.
    fn links(
        &self,
        o: &mut Object<'a, '_>,
        name: &str,
        wanted: &[Kind],
    ) -> Result<Vec<String>, Bad> {
        let links = o.list(name, |r| self.link_of(r, wanted))?;
        Ok(links.into_iter().flatten().collect())
    }

    /// The same of a single reference.
    fn link(
        &self,
        o: &mut Object<'a, '_>,
        name: &str,
        wanted: &[Kind],
    ) -> Result<Option<String>, Bad> {
        Ok(o.object(name, |r| self.link_of(r, wanted))?.flatten())
    }

    fn link_of(&self, r: &mut Object<'a, '_>, wanted: &[Kind]) -> Result<Option<String>, Bad> {
        let reference = Reference::read(r)?;
        let Some(target) = reference.reference else {
            // The way in which our own exports name an item that the record does not hold.
            let dangling = reference
                .identifier
                .filter(|i| i.system.as_deref() == Some(urls::ITEM))
                .and_then(|i| i.value)
                .filter(|id| is_id(id));
            if dangling.is_none() {
                r.unmodelled_self();
            }
            return Ok(dangling);
        };
        if let Some(found) = self.resolve(r, &target)? {
            let fits = wanted.contains(&self.graph.node(found).kind);
            let id = self.ids.get(&found).filter(|_| fits);
            if id.is_none() {
                r.unmodelled_self();
            }
            return Ok(id.cloned());
        }
        if self.must_be_here(&target, wanted) {
            return Err(broken(r, &target, "nothing of that name is in the file"));
        }
        r.unmodelled_self();
        Ok(None)
    }

    /// The resource that a reference names. What does not go with this patient is refused, whatever it is: it is
    /// not this record's, and kept without it the reference would lead nowhere.
    fn resolve(&self, r: &Object<'a, '_>, target: &str) -> Result<Option<usize>, Bad> {
        match self.graph.resolve(self.index, target) {
            Some(found) if !self.is_here(found) => Err(broken(
                r,
                target,
                Owner::why_elsewhere(self.owners.get(found)),
            )),
            found => Ok(found),
        }
    }

    /// Whether a resource goes with this patient.
    fn is_here(&self, index: usize) -> bool {
        self.part.binary_search(&index).is_ok()
    }

    /// Whether a reference that names nothing in the file is broken. What is on another server, or is of a
    /// type that is only kept, may be missing.
    fn must_be_here(&self, reference: &str, wanted: &[Kind]) -> bool {
        if reference.starts_with('#') || reference.starts_with("urn:") {
            return true;
        }
        if reference.contains("://") || self.graph.all.partial {
            return false;
        }
        match reference_name(reference).and_then(|name| name.split('/').next()) {
            Some(resource_type) => wanted.contains(&Kind::of(resource_type)),
            None => true,
        }
    }

    /// Whom or what a reference names, in words: as the reference itself says it, else by the name of what it
    /// names, else the reference as it stands.
    fn words(&self, o: &mut Object<'a, '_>, name: &str) -> Result<Option<String>, Bad> {
        Ok(o.object(name, |r| self.words_of(r))?.flatten())
    }

    fn words_list(&self, o: &mut Object<'a, '_>, name: &str) -> Result<Vec<String>, Bad> {
        let words = o.list(name, |r| self.words_of(r))?;
        Ok(words.into_iter().flatten().collect())
    }

    fn words_of(&self, r: &mut Object<'a, '_>) -> Result<Option<String>, Bad> {
        let reference = Reference::read(r)?;
        if let Some(display) = reference.display {
            return Ok(Some(display.into_owned()));
        }
        let Some(target) = reference.reference else {
            return Ok(reference.identifier.and_then(|i| i.value));
        };
        let named = self
            .graph
            .resolve(self.index, &target)
            // Another patient's name, a mother's for instance, is not this record's to tell.
            .filter(|found| self.is_here(*found))
            .and_then(|found| self.name_of(found, MAX_NAME_STEPS));
        Ok(named.or_else(|| Some(target.into_owned())))
    }

    /// The name of a person, organisation or place. A resource that has none, or not in the right form, has
    /// no name here; it is kept in any case.
    fn name_of(&self, index: usize, steps: u8) -> Option<String> {
        if let Some(name) = self.lookups.names.borrow().get(&index) {
            return name.clone();
        }
        let node = self.graph.node(index);
        let tally = Tally::default();
        tally.elements_left.set(MAX_NAME_ELEMENTS);
        let at = At::root(&node.resource_type, &tally);
        let name = match node.resource_type.as_ref() {
            "Practitioner" | "Patient" | "RelatedPerson" | "Person" => {
                Object::read(node.raw, at, |o| o.list("name", human_name))
                    .ok()
                    .and_then(|names| names.into_iter().next())
                    .map(|name| name.whole())
            }
            "PractitionerRole" if steps > 0 => {
                let target = Object::read(node.raw, at, |o| {
                    let practitioner = o.object("practitioner", Reference::read)?;
                    let organization = o.object("organization", Reference::read)?;
                    Ok(practitioner.or(organization))
                });
                target.ok().flatten().and_then(|r| {
                    r.display.map(Cow::into_owned).or_else(|| {
                        let found = self.graph.resolve(index, r.reference.as_deref()?)?;
                        // Wherever the role goes, its practitioner must go, too: the name is looked up once.
                        let patient_of = |i: usize| self.owners.get(i).and_then(|o| o.patient());
                        let goes_along = match self.owners.get(found)? {
                            Owner::Shared => true,
                            owner => owner
                                .patient()
                                .is_some_and(|p| patient_of(index) == Some(p)),
                        };
                        goes_along.then(|| self.name_of(found, steps - 1)).flatten()
                    })
                })
            }
            _ => Object::read(node.raw, at, |o| o.string("name"))
                .ok()
                .flatten(),
        };
        let name = name.filter(|name| !name.is_empty()).map(|mut name| {
            if let Some((cut, _)) = name.char_indices().nth(MAX_NAME_CHARS) {
                name.truncate(cut);
                name.push('…');
            }
            name
        });
        self.lookups.names.borrow_mut().insert(index, name.clone());
        name
    }

    /// FHIR `Annotation`s as one text, paragraph by paragraph.
    fn remarks(&self, o: &mut Object<'a, '_>, name: &str) -> Result<Option<String>, Bad> {
        let texts = o.list(name, |n| n.string("text"))?;
        let text = texts.into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        Ok((!text.is_empty()).then_some(text))
    }

    /// A DocumentReference that is one piece of plain text.
    fn note(&self, o: &mut Object<'a, '_>) -> Result<Option<Note>, Bad> {
        let status = o.str("status")?;
        if status.is_some_and(|status| status != "current") {
            return Ok(None);
        }
        let mut texts = o.list("content", |c| c.object("attachment", plain_text))?;
        let (Some(Some(Some(text))), true) = (texts.pop(), texts.is_empty()) else {
            return Ok(None);
        };
        let kind = datatypes::optional_concept(o, "type")?;
        if kind.is_some_and(|kind| !kind.has(urls::LOINC, urls::LOINC_NOTE)) {
            o.unmodelled("type");
        }
        let date = o.date_time("date")?;
        let created_ms = date.as_deref().and_then(crate::date::ms_of);
        if date.is_some() && created_ms.is_none() {
            o.unmodelled("date");
        }
        let mut authors = self.words_list(o, "author")?.into_iter();
        let author = authors.next().unwrap_or_default();
        if authors.next().is_some() {
            o.unmodelled("author");
        }
        let encounter = o
            .object("context", |c| {
                self.links(c, "encounter", &[Kind::Encounter])
            })?
            .and_then(|ids| ids.into_iter().next());
        Ok(Some(Note {
            id: self.id(),
            created_ms: created_ms.unwrap_or(0),
            author,
            encounter,
            text,
        }))
    }
}

/// A PractitionerRole names a Practitioner or an Organization: one step.
const MAX_NAME_STEPS: u8 = 1;

/// Longest name that is copied to everything that a person did. 200: a guess.
const MAX_NAME_CHARS: usize = 200;

/// Elements that are read to find a name.
const MAX_NAME_ELEMENTS: u64 = 1_000;

/// A FHIR `Reference`.
struct Reference<'a> {
    reference: Option<Cow<'a, str>>,
    display: Option<Cow<'a, str>>,
    identifier: Option<Identifier>,
}

impl<'a> Reference<'a> {
    fn read(r: &mut Object<'a, '_>) -> Result<Self, Bad> {
        r.skip("type");
        Ok(Self {
            reference: r.str("reference")?,
            display: r.str("display")?,
            identifier: r.object("identifier", datatypes::identifier)?,
        })
    }
}

fn broken(r: &Object<'_, '_>, reference: &str, why: &'static str) -> Bad {
    r.bad_self(Fault::Broken {
        reference: reference.to_owned(),
        why,
    })
}

/// The text of an inline plain-text attachment; `None` for any other.
fn plain_text(attachment: &mut Object<'_, '_>) -> Result<Option<String>, Bad> {
    let plain = attachment.str("contentType")?.is_some_and(|t| {
        let t = t.split(';').next().unwrap_or_default().trim();
        t.eq_ignore_ascii_case("text/plain")
    });
    if !plain {
        attachment.unmodelled("contentType");
        return Ok(None);
    }
    let data = attachment.long_str("data")?;
    if attachment.unsigned("size")? == Some(0) && data.is_none() {
        return Ok(Some(String::new()));
    }
    let text = data
        .as_deref()
        .and_then(base64::decode)
        .filter(|bytes| bytes.len() <= MAX_STRING_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    if text.is_none() {
        attachment.unmodelled("data");
    }
    Ok(text)
}

/// What one of our own extensions says. Where there are none, extensions are left alone.
pub(crate) fn own_extension<'a, T>(
    o: &mut Object<'a, '_>,
    url: &str,
    read: impl Fn(&mut Object<'a, '_>) -> Result<Option<T>, Bad>,
) -> Result<Option<T>, Bad> {
    if !o.mentions("extension", urls::EXTENSION) {
        return Ok(None);
    }
    let found = o.list("extension", |e| {
        let theirs = e.str("url")?.unwrap_or_default();
        if theirs == url {
            return read(e);
        }
        // Another one of ours is somebody else's to read.
        if !theirs.starts_with(urls::EXTENSION) {
            e.unmodelled_self();
        }
        Ok(None)
    })?;
    Ok(found.into_iter().flatten().next())
}
