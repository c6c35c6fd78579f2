//! What a model said in the log's form and in the faces': numbers are whole there and fractions here.

use salus_api::{ApiError, InferenceOutput, InputName, ModelName};
use salus_audit::{Inference, Input, MAX_DISTANCE, MAX_LABEL_BYTES, MILLION, Model, Output};

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// Millionths as a probability from 0 to 1.
pub(in crate::core) fn probability(millionths: u32) -> f64 {
    f64::from(millionths) / f64::from(MILLION)
}

/// A clinician's label: one line.
pub(super) fn own_label(label: &str) -> Result<String, ApiError> {
    let label = label.trim();
    if label.is_empty() || label.len() > MAX_LABEL_BYTES || label.chars().any(char::is_control) {
        return Err(ApiError::usage(format!(
            "a label is one line of 1 to {MAX_LABEL_BYTES} bytes"
        )));
    }
    Ok(label.to_owned())
}

/// What a model said, in the log's form.
pub(super) fn checked(said: salus_api::Inference) -> Result<Inference, ApiError> {
    let hash = |what: &str, text: &str| {
        let hash = blake3::Hash::from_hex(text.trim());
        hash.map(|hash| *hash.as_bytes())
            .map_err(|_| ApiError::usage(format!("the {what} is not a BLAKE3 hash in hex")))
    };
    let outputs = said.outputs.into_iter().map(|output| {
        let p = output.p.map(|p| scaled(p, MILLION, MILLION.into()));
        let p = p.transpose()?.map(u32::try_from).transpose();
        Ok(Output {
            what: output.what,
            label: output.label,
            p: p.map_err(|_| not_writable("probability"))?,
            note: output.note,
        })
    });
    let distance = said.distance.map(|d| {
        // What lies still farther away is as foreign.
        let most = 1e6;
        scaled(if d > most { most } else { d }, 1_000, MAX_DISTANCE)
    });
    let inference = Inference {
        component: said.component,
        model: Model {
            name: said.model.name,
            version: said.model.version,
            weights: hash("hash of the weights", &said.model.weights)?,
        },
        input: Input {
            hash: hash("hash of the input", &said.input.hash)?,
            media_type: said.input.media_type,
            name: said.input.name,
        },
        outputs: outputs.collect::<Result<_, ApiError>>()?,
        uncertain: said.uncertain,
        distance: distance.transpose()?,
        explanation: said.explanation,
    };
    inference
        .check()
        .map_err(|error| not_writable(&error.to_string()))?;
    Ok(inference)
}

fn not_writable(what: &str) -> ApiError {
    ApiError::usage(format!("this cannot be written as a suggestion: {what}"))
}

/// A number in whole parts of one, from 0 to `most`.
fn scaled(number: f64, parts: u32, most: u64) -> Result<u64, ApiError> {
    let parts = (number * f64::from(parts)).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and what is out of range is refused"
    )]
    let whole = parts as u64;
    if parts >= 0.0 && whole <= most {
        Ok(whole)
    } else {
        Err(not_writable("a number is out of range"))
    }
}

/// What a model said, as faces show it.
pub(super) fn shown(inference: &Inference) -> salus_api::Inference {
    let outputs = inference.outputs.iter().map(|output| InferenceOutput {
        what: output.what.clone(),
        label: output.label.clone(),
        p: output.p.map(probability),
        note: output.note.clone(),
    });
    #[expect(
        clippy::cast_precision_loss,
        reason = "a distance is bounded far below 2^53"
    )]
    let distance = inference
        .distance
        .map(|thousandths| thousandths as f64 / 1_000.0);
    salus_api::Inference {
        component: inference.component.clone(),
        model: ModelName {
            name: inference.model.name.clone(),
            version: inference.model.version.clone(),
            weights: hex(&inference.model.weights),
        },
        input: InputName {
            hash: hex(&inference.input.hash),
            media_type: inference.input.media_type.clone(),
            name: inference.input.name.clone(),
        },
        outputs: outputs.collect(),
        uncertain: inference.uncertain,
        distance,
        explanation: inference.explanation.clone(),
    }
}
