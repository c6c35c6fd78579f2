//! FHIR files: read, written and read again.

use salus_fhir::{ExportOptions, Import, Limits, export_bundle, read_bytes};
use serde_json::Value;

use super::{Target, same};
use crate::mutate::deflate;
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const FHIR: Target = Target {
    name: "fhir",
    about: "read_bytes of Bundles, resources and NDJSON; what is read is exported and read again",
    form: Form::Json,
    max_bytes: 64 * 1024,
    make: |_| Box::new(Files { gzip: false }),
};

pub(super) const GZIP: Target = Target {
    name: "fhir-gzip",
    about: "read_bytes of compressed files",
    form: Form::Gzip,
    max_bytes: 64 * 1024,
    make: |_| Box::new(Files { gzip: true }),
};

/// A Bundle with a resource of each type that is read.
pub(super) const BUNDLE: &str = include_str!("bundle.json");

/// 2026-09-21.
const TIME_MS: u64 = 1_790_000_000_000;

struct Files {
    gzip: bool,
}

/// Everything by default, but for the size of what is inflated.
fn limits() -> Limits {
    Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// The same as lines, one resource each.
fn lines() -> Vec<u8> {
    let bundle: Value = serde_json::from_str(BUNDLE).unwrap_or_default();
    let entries = bundle.get("entry").and_then(Value::as_array);
    let resources = entries.into_iter().flatten().filter_map(|entry| {
        let resource = entry.get("resource")?;
        // References by number belong to a Bundle.
        let names = [("1", "Patient/p1"), ("2", "Practitioner/d1")];
        let mut text = resource.to_string();
        for (number, name) in names {
            let number = format!("urn:uuid:00000000-0000-4000-8000-00000000000{number}");
            text = text.replace(&number, name);
        }
        Some(text)
    });
    resources.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Small ones, of which thousands are read in a second.
const SMALL: [&str; 4] = [
    r#"{"resourceType":"Patient","id":"p1","name":[{"family":"Hopkins"}],"birthDate":"1970-01-31"}"#,
    r##"{"resourceType":"Patient","id":"p1","contained":[{"resourceType":"Organization","id":"o","name":"Quay"}],"managingOrganization":{"reference":"#o"},"deceasedBoolean":true}"##,
    r#"{"resourceType":"Bundle","type":"searchset","total":2,"entry":[{"fullUrl":"http://h.example/Patient/p1","resource":{"resourceType":"Patient","id":"p1"}},{"search":{"mode":"include"},"resource":{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"Weight"},"subject":{"reference":"http://h.example/Patient/p1"},"valueQuantity":{"value":70.50,"unit":"kg"}}}]}"#,
    r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","id":"p1"}},{"resource":{"resourceType":"Patient","id":"p2"}},{"resource":{"resourceType":"Condition","subject":{"reference":"Patient/p2"},"code":{"text":"Cough"},"onsetAge":{"value":3,"unit":"a"}}}]}"#,
];

impl Subject for Files {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds: Vec<Vec<u8>> = SMALL.iter().map(|text| text.as_bytes().to_vec()).collect();
        seeds.push(BUNDLE.into());
        seeds.push(lines());
        if let Ok(Import { patients, .. }) = read_bytes(BUNDLE.as_bytes(), &limits()) {
            let options = ExportOptions { time_ms: TIME_MS };
            let exported = patients.iter().map(|p| export_bundle(&p.content, &options));
            seeds.extend(exported.map(String::into_bytes));
        }
        if self.gzip {
            seeds.iter_mut().for_each(|seed| *seed = deflate(seed));
        }
        seeds
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let import = match read_bytes(input, &limits()) {
            Ok(import) => import,
            Err(error) => {
                let _ = error.hint();
                return Ok(Outcome::refused(class(&error)));
            }
        };
        for patient in &import.patients {
            let options = ExportOptions { time_ms: TIME_MS };
            let text = export_bundle(&patient.content, &options);
            let again = read_bytes(text.as_bytes(), &Limits::default())
                .map_err(|error| format!("an export is read again: {}", class(&error)))?;
            let one = again.patients.first().map(|patient| &patient.content);
            same(&one, &Some(&patient.content), "an export reads as the same")?;
            let raw = read_bytes(&patient.raw, &Limits::default())
                .map_err(|error| format!("the raw part is read again: {}", class(&error)))?;
            let hash = raw.patients.first().map(|patient| patient.source_hash);
            same(
                &hash,
                &Some(patient.source_hash),
                "the raw part is the same source",
            )?;
        }
        let types = import
            .patients
            .iter()
            .map(|p| format!("{:?} {:?}", p.report.kept_raw, p.report.unmodelled));
        // Every set of unmodelled elements is a path through the reader; beyond a few letters they repeat.
        let what: String = types.collect::<String>().chars().take(120).collect();
        Ok(Outcome::accepted(what))
    }
}

/// An error without what it quotes and where it is.
fn class(error: &salus_fhir::ImportError) -> String {
    let text = error.to_string();
    let said = text.split('"').step_by(2).take(3);
    let letters = |c: &char| !c.is_ascii_digit();
    said.flat_map(str::chars).filter(letters).collect()
}

/// How much a seed inflates to; for a test.
#[cfg(test)]
fn inflated(seed: &[u8]) -> usize {
    use std::io::Read;
    let mut text = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(seed);
    decoder.read_to_end(&mut text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_has_an_item_of_every_type() {
        let import = read_bytes(BUNDLE.as_bytes(), &limits()).unwrap();
        let content = &import.patients[0].content;
        let counts = [
            content.allergies.len(),
            content.conditions.len(),
            content.medications.len(),
            content.observations.len(),
            content.diagnostic_reports.len(),
            content.immunizations.len(),
            content.procedures.len(),
            content.encounters.len(),
            content.notes.len(),
        ];
        assert_eq!(counts, [1, 1, 2, 3, 1, 1, 1, 1, 1]);
        let seeds = Files { gzip: true }.seeds();
        assert!(seeds.iter().all(|seed| inflated(seed) > 50));
    }
}
