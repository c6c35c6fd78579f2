//! FHIR `Patient`.

use salus_record::model::*;

use crate::ids::is_id;
use crate::urls;
use crate::write::bundle::Form;
use crate::write::datatypes::{absent, concept, optional_concept};
use crate::write::json::Object;

/// Writes the elements of a Patient. A patient summary must have a name and a date of birth, or say that they are
/// unknown (IPS profile `Patient-uv-ips`).
pub(crate) fn patient(o: &mut Object<'_>, patient: &Patient, form: Form) {
    o.str("resourceType", "Patient");
    match patient.source_id.as_deref() {
        Some(id) if is_id(id) => o.str("id", id),
        Some(other) => {
            o.list("extension", &[other], |e, id| {
                e.str("url", urls::EXT_SOURCE_ID);
                e.str("valueString", id);
            });
        }
        None => {}
    }
    let mrn = patient.mrn.iter().map(|mrn| Identifier {
        system: None,
        value: Some(mrn.clone()),
        kind: Some(CodeableConcept {
            coding: vec![Coding {
                system: Some(urls::IDENTIFIER_TYPE.to_owned()),
                code: Some("MR".to_owned()),
                display: Some("Medical record number".to_owned()),
            }],
            text: None,
        }),
    });
    let identifiers: Vec<Identifier> = mrn.chain(patient.identifiers.iter().cloned()).collect();
    o.list("identifier", &identifiers, |o, identifier| {
        optional_concept(o, "type", identifier.kind.as_ref());
        o.opt("system", identifier.system.as_deref());
        o.opt("value", identifier.value.as_deref());
    });
    let is_ips = form == Form::Ips;
    o.list("name", &[patient], |o, patient| {
        if is_ips {
            if patient.family.is_some() || !patient.given.is_empty() {
                o.str("text", &whole_name(patient));
            } else {
                o.object("_text", absent);
            }
        }
        o.opt("family", patient.family.as_deref());
        o.strs("given", &patient.given);
        o.strs("prefix", &patient.prefix);
        o.strs("suffix", &patient.suffix);
    });
    let telecom = [("phone", &patient.phone), ("email", &patient.email)];
    o.list("telecom", &telecom, |o, (system, value)| {
        if let Some(value) = value.as_deref().filter(|v| !v.is_empty()) {
            o.str("system", system);
            o.str("value", value);
        }
    });
    o.str("gender", patient.sex.as_str());
    match patient.birth_date.as_deref() {
        None if is_ips => {
            o.object("_birthDate", absent);
        }
        date => o.opt("birthDate", date),
    }
    match patient.deceased.as_deref() {
        Some("true") => o.boolean("deceasedBoolean", Some(true)),
        at => o.opt("deceasedDateTime", at),
    }
    o.list("address", patient.address.as_slice(), |o, address| {
        o.strs("line", &address.line);
        o.opt("city", address.city.as_deref());
        o.opt("state", address.state.as_deref());
        o.opt("postalCode", address.postal_code.as_deref());
        o.opt("country", address.country.as_deref());
    });
    optional_concept(o, "maritalStatus", patient.marital_status.as_ref());
    o.list(
        "communication",
        patient.language.as_slice(),
        |o, language| {
            o.object("language", |o| concept(o, language));
        },
    );
}

/// The name as people say it, all parts of it.
pub(crate) fn whole_name(patient: &Patient) -> String {
    let parts = patient
        .prefix
        .iter()
        .chain(&patient.given)
        .chain(&patient.family)
        .chain(&patient.suffix);
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    parts.join(" ")
}
