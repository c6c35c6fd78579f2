//! What entries about suggestions say, in a line of the log.

use salus_audit::{Decision, EntryHash, Inference, Model, Output};

use super::form::probability;

/// Hex digits of an id in a line.
const SHORT: usize = 12;

/// What an inference says, in a line of the log.
pub(in crate::core) fn inference_line(inference: &Inference) -> String {
    let Model { name, version, .. } = &inference.model;
    let of = match inference.input.name.as_str() {
        "" => String::new(),
        name => format!(" of {name}"),
    };
    let said = match inference.top().filter(|_| !inference.uncertain) {
        None => "not assessed".to_owned(),
        Some(Output { label, p, .. }) => p.map_or_else(
            || label.clone(),
            |p| format!("{label}, p = {}", probability(p)),
        ),
    };
    format!("{name} {version} suggests{of}: {said}")
}

/// What a verdict says, in a line of the log.
pub(in crate::core) fn verdict_line(inference: &EntryHash, decision: &Decision) -> String {
    let about = short(&inference.to_string());
    match decision {
        Decision::Accept { label: None } => format!("suggestion {about} accepted"),
        Decision::Accept { label: Some(label) } => {
            format!("suggestion {about} accepted as {label}")
        }
        Decision::Reject { why } => format!("suggestion {about} rejected: {why}"),
    }
}

/// The beginning of an id: enough to tell a record's few apart.
pub(super) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}
