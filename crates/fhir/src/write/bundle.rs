//! The export: one Bundle with everything that the record's types cover.

use std::collections::{HashMap, HashSet};

use salus_record::model::*;

use crate::date::instant_of_ms;
use crate::ids::{is_id, is_uuid, stable_id, stable_uuid};
use crate::urls;
use crate::write::datatypes::{Forms, absent, concept, optional_timing, required_timing};
use crate::write::json::Object;
use crate::write::patient::patient;

/// What an export needs beside the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// When it is made, milliseconds since 1970-01-01 UTC: the Bundle's timestamp.
    pub time_ms: u64,
}

/// Writes the record as a FHIR R4 Bundle of type `collection`, which [`crate::read_bytes`] reads as the same
/// content.
///
/// What R4 requires and the record does not say is written as HL7's `data-absent-reason`. An item whose id is
/// no FHIR id gets a stable one. Notes are DocumentReferences with inline plain text.
pub fn export_bundle(content: &RecordContent, options: &ExportOptions) -> String {
    let links = Links::new(content, Form::Collection);
    let mut out = String::with_capacity(1024 * (1 + content.observations.len()));
    Object::write(&mut out, |o| {
        o.str("resourceType", "Bundle");
        o.str("type", "collection");
        o.str("timestamp", &instant_of_ms(options.time_ms));
        let mut entries = vec![None];
        entries.extend(resources(content).map(Some));
        o.list("entry", &entries, |o, resource| match resource {
            None => links.patient_entry(o, content),
            Some(resource) => links.entry(o, resource),
        });
    });
    out
}

/// What a Bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Everything, as R4 alone asks for it.
    Collection,
    /// An International Patient Summary, whose profiles ask for more.
    Ips,
}

/// The resource types that an export writes beside the Patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    AllergyIntolerance,
    Condition,
    MedicationRequest,
    MedicationStatement,
    Observation,
    DiagnosticReport,
    Immunization,
    Procedure,
    Encounter,
    DocumentReference,
}

impl Type {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AllergyIntolerance => "AllergyIntolerance",
            Self::Condition => "Condition",
            Self::MedicationRequest => "MedicationRequest",
            Self::MedicationStatement => "MedicationStatement",
            Self::Observation => "Observation",
            Self::DiagnosticReport => "DiagnosticReport",
            Self::Immunization => "Immunization",
            Self::Procedure => "Procedure",
            Self::Encounter => "Encounter",
            Self::DocumentReference => "DocumentReference",
        }
    }
}

/// One resource to write.
#[derive(Clone, Copy)]
pub(crate) enum Resource<'c> {
    Encounter(&'c Encounter),
    Condition(&'c Condition),
    Allergy(&'c AllergyIntolerance),
    Medication(&'c Medication),
    Observation(&'c Observation),
    DiagnosticReport(&'c DiagnosticReport),
    Immunization(&'c Immunization),
    Procedure(&'c Procedure),
    Note(&'c Note),
}

/// Everything to write beside the Patient; what others refer to comes first.
pub(crate) fn resources(content: &RecordContent) -> impl Iterator<Item = Resource<'_>> {
    (content.encounters.iter().map(Resource::Encounter))
        .chain(content.conditions.iter().map(Resource::Condition))
        .chain(content.allergies.iter().map(Resource::Allergy))
        .chain(content.medications.iter().map(Resource::Medication))
        .chain(content.observations.iter().map(Resource::Observation))
        .chain(
            content
                .diagnostic_reports
                .iter()
                .map(Resource::DiagnosticReport),
        )
        .chain(content.immunizations.iter().map(Resource::Immunization))
        .chain(content.procedures.iter().map(Resource::Procedure))
        .chain(content.notes.iter().map(Resource::Note))
}

impl<'c> Resource<'c> {
    /// Type and id.
    pub(crate) fn name(&self) -> (Type, &'c str) {
        match *self {
            Self::Encounter(i) => (Type::Encounter, &i.id),
            Self::Condition(i) => (Type::Condition, &i.id),
            Self::Allergy(i) => (Type::AllergyIntolerance, &i.id),
            Self::Medication(i) => (medication_type(i), &i.id),
            Self::Observation(i) => (Type::Observation, &i.id),
            Self::DiagnosticReport(i) => (Type::DiagnosticReport, &i.id),
            Self::Immunization(i) => (Type::Immunization, &i.id),
            Self::Procedure(i) => (Type::Procedure, &i.id),
            Self::Note(i) => (Type::DocumentReference, &i.id),
        }
    }
}

fn medication_type(item: &Medication) -> Type {
    match item.kind {
        MedicationKind::MedicationRequest => Type::MedicationRequest,
        MedicationKind::MedicationStatement => Type::MedicationStatement,
    }
}

/// The fullUrls of a Bundle's resources, and so what its references say.
pub(crate) struct Links<'c> {
    form: Form,
    patient: String,
    urls: HashMap<(Type, &'c str), String>,
}

impl<'c> Links<'c> {
    pub(crate) fn new(content: &'c RecordContent, form: Form) -> Self {
        let patient = match content.patient.source_id.as_deref() {
            Some(id) if is_uuid(id) => format!("urn:uuid:{id}"),
            _ => {
                // Two patients without an id must not get the same one, should their files be put together.
                let mut text = String::new();
                Object::write(&mut text, |o| {
                    patient(o, &content.patient, Form::Collection)
                });
                format!("urn:uuid:{}", stable_uuid(&["Patient", &text]))
            }
        };
        let mut taken = HashSet::from([patient.clone()]);
        let mut urls = HashMap::new();
        for resource in resources(content) {
            let (item_type, id) = resource.name();
            let mut url = format!("urn:uuid:{id}");
            if !is_uuid(id) || taken.contains(&url) {
                url = format!("urn:uuid:{}", stable_uuid(&[item_type.as_str(), id]));
            }
            taken.insert(url.clone());
            urls.insert((item_type, id), url);
        }
        Self {
            form,
            patient,
            urls,
        }
    }

    /// Whether this is a patient summary.
    pub(crate) fn is_ips(&self) -> bool {
        self.form == Form::Ips
    }

    /// The Patient's fullUrl.
    pub(crate) fn patient_url(&self) -> &str {
        &self.patient
    }

    /// A resource's fullUrl.
    pub(crate) fn url(&self, resource: &Resource<'c>) -> Option<&str> {
        self.urls.get(&resource.name()).map(String::as_str)
    }

    /// The Bundle entry of the Patient.
    pub(crate) fn patient_entry(&self, o: &mut Object<'_>, content: &RecordContent) {
        o.str("fullUrl", &self.patient);
        o.object("resource", |o| patient(o, &content.patient, self.form));
    }

    /// The Bundle entry of another resource.
    pub(crate) fn entry(&self, o: &mut Object<'_>, resource: &Resource<'c>) {
        o.opt("fullUrl", self.url(resource));
        o.object("resource", |o| self.resource(o, resource));
    }

    /// A code that a patient summary must have.
    pub(crate) fn code(&self, o: &mut Object<'_>, code: &CodeableConcept) {
        if !o.object("code", |o| concept(o, code)) && self.is_ips() {
            o.object("code", absent);
        }
    }

    /// A time that a patient summary must have.
    pub(crate) fn timing(
        &self,
        o: &mut Object<'_>,
        base: &str,
        forms: Forms,
        value: Option<&Timing>,
    ) {
        if self.is_ips() {
            required_timing(o, base, forms, value);
        } else {
            optional_timing(o, base, forms, value);
        }
    }

    fn resource(&self, o: &mut Object<'_>, resource: &Resource<'_>) {
        match resource {
            Resource::Encounter(item) => self.encounter(o, item),
            Resource::Condition(item) => self.condition(o, item),
            Resource::Allergy(item) => self.allergy_intolerance(o, item),
            Resource::Medication(item) => self.medication(o, item),
            Resource::Observation(item) => self.observation(o, item),
            Resource::DiagnosticReport(item) => self.diagnostic_report(o, item),
            Resource::Immunization(item) => self.immunization(o, item),
            Resource::Procedure(item) => self.procedure(o, item),
            Resource::Note(item) => self.note(o, item),
        }
    }

    /// Type and id.
    pub(crate) fn head(&self, o: &mut Object<'_>, item_type: Type, id: &str) {
        o.str("resourceType", item_type.as_str());
        if is_id(id) {
            o.str("id", id);
        } else {
            o.str("id", &stable_id(&[item_type.as_str(), id]));
        }
    }

    /// The reference to the Patient.
    pub(crate) fn patient(&self, o: &mut Object<'_>, name: &str) {
        o.object(name, |r| r.str("reference", &self.patient));
    }

    /// A reference to an item. One that the record does not hold is named by an identifier, since a reference
    /// to nothing is broken.
    fn reference(&self, r: &mut Object<'_>, item_type: Type, id: &str) {
        match self.urls.get(&(item_type, id)) {
            Some(url) => r.str("reference", url),
            None => {
                r.str("type", item_type.as_str());
                r.object("identifier", |i| {
                    i.str("system", urls::ITEM);
                    i.str("value", id);
                });
            }
        }
    }

    /// A reference that may be absent.
    pub(crate) fn link(&self, o: &mut Object<'_>, name: &str, item_type: Type, id: Option<&str>) {
        if let Some(id) = id {
            o.object(name, |r| self.reference(r, item_type, id));
        }
    }

    /// References.
    pub(crate) fn links(&self, o: &mut Object<'_>, name: &str, item_type: Type, ids: &[String]) {
        o.list(name, ids, |r, id| self.reference(r, item_type, id));
    }
}
