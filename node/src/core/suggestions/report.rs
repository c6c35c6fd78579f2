//! A finding that was accepted, as the record holds it.

use salus_audit::Inference;
use salus_record::{CodeableConcept, DiagnosticReport};

use super::form::{hex, probability};
use super::{IMAGING, Suggestion};
use crate::core::Staff;
use crate::core::edits::instant;

/// FHIR's status of what should never have been in the record.
pub(super) const IN_ERROR: &str = "entered-in-error";

/// Separates the ids of accepted findings from all other hashes (BLAKE3 `derive_key` context).
const FINDING_DOMAIN: &str = "salus/finding/v1";

/// Outputs of the model that a report repeats.
const MAX_SAID: usize = 5;

/// The report that carries a finding. All but the finding itself and who accepted it follows from the inference: two who accept
/// apart disagree about nothing else.
pub(super) fn report(
    suggestion: &Suggestion,
    finding: &str,
    who: &Staff,
    clinic: &str,
) -> DiagnosticReport {
    let Inference {
        component,
        model,
        input,
        ..
    } = &suggestion.inference;
    let (category, code) = if component == IMAGING {
        (
            vec![CodeableConcept::code(
                "http://terminology.hl7.org/CodeSystem/v2-0074",
                "IMG",
                "Diagnostic Imaging",
            )],
            CodeableConcept::code("http://loinc.org", "18748-4", "Diagnostic imaging study"),
        )
    } else {
        let named = CodeableConcept {
            text: Some(component.clone()),
            ..CodeableConcept::default()
        };
        (Vec::new(), named)
    };
    let mut said: Vec<String> = suggestion
        .inference
        .outputs
        .iter()
        .take(MAX_SAID)
        .map(|output| {
            let p = output.p.map(|p| format!(", p = {}", probability(p)));
            let note = output.note.as_ref().map(|note| format!(" ({note})"));
            let (p, note) = (p.unwrap_or_default(), note.unwrap_or_default());
            format!("{}{p}{note}", output.label)
        })
        .collect();
    if suggestion.inference.uncertain {
        said.insert(0, "not assessed".to_owned());
    }
    let text = format!(
        "A model's suggestion that a clinician accepted. {} {} (weights {}) said of the input {} (BLAKE3 {}): {}. Inference entry {}.",
        model.name,
        model.version,
        hex(&model.weights),
        input.name,
        hex(&input.hash),
        said.join("; "),
        suggestion.meta.hash,
    );
    DiagnosticReport {
        id: suggestion.finding_id(),
        status: Some("final".to_owned()),
        category,
        code,
        issued: Some(instant(suggestion.meta.time_ms)),
        conclusion: Some(finding.to_owned()),
        performer: vec![format!("{}, {clinic}", who.name)],
        text: Some(text),
        ..DiagnosticReport::default()
    }
}

impl Suggestion {
    /// The id of the report that carries its finding: the same at every clinic, so that two who accept apart write one
    /// report and not two.
    pub(super) fn finding_id(&self) -> String {
        let hash = blake3::derive_key(FINDING_DOMAIN, self.meta.hash.as_bytes());
        hash.iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}
