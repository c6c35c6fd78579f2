//! Tests over whole files, made here; the sample data is read where it is there, and never copied.

mod again;
mod arbitrary;
mod bad_input;
mod cost;
mod csv;
mod fields;
mod ips;
mod made_up;
mod mapping;
mod round_trip;
mod samples;
mod validation;

use crate::{Import, ImportError, Limits, read_bytes};

/// Reads a text with the default limits.
fn read(text: &str) -> Result<Import, ImportError> {
    read_bytes(text.as_bytes(), &Limits::default())
}

/// A Bundle of these resources, with `urn:uuid:` and the resource's id as fullUrl where it has one.
fn bundle(bundle_type: &str, resources: &[&str]) -> String {
    let entries: Vec<String> = resources
        .iter()
        .map(|resource| {
            let value: Option<serde_json::Value> = serde_json::from_str(resource).ok();
            match value.as_ref().and_then(|v| v["id"].as_str()) {
                Some(id) => format!(r#"{{"fullUrl":"urn:uuid:{id}","resource":{resource}}}"#),
                None => format!(r#"{{"resource":{resource}}}"#),
            }
        })
        .collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"{bundle_type}","entry":[{}]}}"#,
        entries.join(",")
    )
}

/// A Patient called `p`.
const PATIENT: &str = r#"{"resourceType":"Patient","id":"p"}"#;

/// A resource of patient `p` with these elements more.
fn of_p(resource_type: &str, id: &str, more: &str) -> String {
    let subject = match resource_type {
        "AllergyIntolerance" | "Immunization" => "patient",
        _ => "subject",
    };
    let comma = if more.is_empty() { "" } else { "," };
    format!(
        r#"{{"resourceType":"{resource_type}","id":"{id}","{subject}":{{"reference":"Patient/p"}}{comma}{more}}}"#
    )
}
