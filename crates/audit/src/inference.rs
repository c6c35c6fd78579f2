//! What a model made of an input, and what a clinician made of that: the bodies of inference and verdict
//! entries.
//!
//! One shape serves every component (images, conversations, guidance, risk): a model looked at one input and
//! gave outputs, each of a sort of its own ("category", "symptom", "urgency"). Probabilities are whole
//! millionths, so that one answer has one encoding on every machine.

use std::fmt;

use crate::cbor::{DecodeError, Reader, Writer};
use crate::id::EntryHash;

/// The only version of both bodies so far. A reader that meets a later one says so and shows the rest.
pub const INFERENCE_VERSION: u64 = 1;
/// Most outputs of one inference (a guess: the symptoms, medicines and steps of a long conversation).
pub const MAX_OUTPUTS: usize = 64;
/// Longest name of a component or of a sort of outputs, bytes.
pub const MAX_WORD_BYTES: usize = 32;
/// Longest label, note, model name or version, bytes (a guess: a line on a screen, twice over).
pub const MAX_LABEL_BYTES: usize = 200;
/// Longest file name of an input, bytes: what file systems allow.
pub const MAX_FILE_NAME_BYTES: usize = 255;
/// Longest explanation, bytes (a guess: a screenful).
pub const MAX_EXPLANATION_BYTES: usize = 4096;
/// Certainty, in the unit of [`Output::p`].
pub const MILLION: u32 = 1_000_000;
/// Greatest [`Inference::distance`]: a million times what the model refuses.
pub const MAX_DISTANCE: u64 = 1_000_000_000;

const WHAT: &str = "inference";
const VERDICT: &str = "verdict";

/// Which model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name, for instance `imaging`.
    pub name: String,
    /// Its version, as its manifest says.
    pub version: String,
    /// BLAKE3 of its weights.
    pub weights: [u8; 32],
}

/// What the model was shown. The body is sealed: a file name stays among those who may read the record.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    /// BLAKE3 of the bytes of the file.
    pub hash: [u8; 32],
    /// Media type (RFC 6838), or "".
    pub media_type: String,
    /// File name without folders, or "".
    pub name: String,
}

/// One thing that the model said.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The sort of thing: lower-case letters, digits and hyphens, for instance `category`.
    pub what: String,
    /// What it said.
    pub label: String,
    /// Calibrated probability in millionths, where the model gives one.
    pub p: Option<u32>,
    /// Why less may be made of it than the number says, for instance that the category is unreliable.
    pub note: Option<String>,
}

/// An answer of a model. `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Inference {
    /// The component: lower-case letters, digits and hyphens, for instance `imaging`.
    pub component: String,
    /// Which model.
    pub model: Model,
    /// What it was shown.
    pub input: Input,
    /// What it said. Of one sort, no label stands twice, and probabilities do not rise.
    pub outputs: Vec<Output>,
    /// "Not assessed": the model is unsure, or the input is foreign to it. Nothing it says then is a finding.
    pub uncertain: bool,
    /// How far the input lies from what the model was trained on, in thousandths of the distance from which on
    /// the model refuses; from 1,000 on the input is foreign to it.
    pub distance: Option<u64>,
    /// Why the model said so, in words; "" where it says nothing.
    pub explanation: String,
}

/// What a clinician decided about an inference.
#[derive(Clone, PartialEq, Eq)]
pub enum Decision {
    /// It holds, as the model said or with the clinician's own label.
    Accept {
        /// The clinician's label, where it is not the model's.
        label: Option<String>,
    },
    /// It does not.
    Reject {
        /// Why, in a line for people.
        why: String,
    },
}

impl Inference {
    /// What the model thinks most likely of the sort that comes first; `None` where it said nothing.
    pub fn top(&self) -> Option<&Output> {
        self.outputs.first()
    }

    /// Whether it can be written: everything within its bounds, and no field at odds with another.
    pub fn check(&self) -> Result<(), DecodeError> {
        let line = |text: &str, least: usize, most: usize, what: &'static str| match text.len() {
            len if len > most => Err(DecodeError::TooLong(what)),
            len if len < least => Err(DecodeError::Impossible(what)),
            _ => Ok(()),
        };
        word(&self.component, "component")?;
        line(&self.model.name, 1, MAX_LABEL_BYTES, "model name")?;
        line(&self.model.version, 1, MAX_LABEL_BYTES, "model version")?;
        line(&self.input.media_type, 0, MAX_LABEL_BYTES, "media type")?;
        line(&self.input.name, 0, MAX_FILE_NAME_BYTES, "file name")?;
        line(&self.explanation, 0, MAX_EXPLANATION_BYTES, "explanation")?;
        if self.outputs.len() > MAX_OUTPUTS {
            return Err(DecodeError::TooLong("outputs"));
        }
        if self.outputs.is_empty() && !self.uncertain {
            return Err(DecodeError::Impossible("outputs"));
        }
        if self
            .distance
            .is_some_and(|distance| distance > MAX_DISTANCE)
        {
            return Err(DecodeError::Impossible("distance"));
        }
        for (n, output) in self.outputs.iter().enumerate() {
            word(&output.what, "sort of output")?;
            line(&output.label, 1, MAX_LABEL_BYTES, "label")?;
            if let Some(note) = &output.note {
                line(note, 1, MAX_LABEL_BYTES, "note")?;
            }
            if output.p.is_some_and(|p| p > MILLION) {
                return Err(DecodeError::Impossible("probability"));
            }
            let earlier = self.outputs.iter().take(n);
            for other in earlier.filter(|other| other.what == output.what) {
                if other.label == output.label {
                    return Err(DecodeError::Impossible("label"));
                }
                // What has no probability comes last.
                if other.p < output.p {
                    return Err(DecodeError::Impossible("order of outputs"));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let texts: usize = self.outputs.iter().map(Output::len).sum();
        let mut w = Writer::with_capacity(texts + self.explanation.len() + 512);
        w.array(8).u64(INFERENCE_VERSION).text(&self.component);
        let Model {
            name,
            version,
            weights,
        } = &self.model;
        w.array(3).text(name).text(version).bytes(weights);
        let Input {
            hash,
            media_type,
            name,
        } = &self.input;
        w.array(3).bytes(hash).text(media_type).text(name);
        w.array(self.outputs.len());
        for output in &self.outputs {
            w.array(4).text(&output.what).text(&output.label);
            number(&mut w, output.p.map(u64::from));
            line(&mut w, output.note.as_deref());
        }
        w.u64(u64::from(self.uncertain));
        number(&mut w, self.distance);
        w.text(&self.explanation);
        w.finish()
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let inference = Self::fields(r)?;
        inference.check()?;
        Ok(inference)
    }

    fn fields(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        versioned(r, 8, WHAT)?;
        let text = |r: &mut Reader<'_>, max| r.text(max).map(str::to_owned);
        let component = text(r, MAX_WORD_BYTES)?;
        r.array(3)?;
        let model = Model {
            name: text(r, MAX_LABEL_BYTES)?,
            version: text(r, MAX_LABEL_BYTES)?,
            weights: r.array_of()?,
        };
        r.array(3)?;
        let input = Input {
            hash: r.array_of()?,
            media_type: text(r, MAX_LABEL_BYTES)?,
            name: text(r, MAX_FILE_NAME_BYTES)?,
        };
        let outputs = r.list(MAX_OUTPUTS, |r| {
            r.array(4)?;
            let what = text(r, MAX_WORD_BYTES)?;
            let label = text(r, MAX_LABEL_BYTES)?;
            let p = r.optional(Reader::u64)?;
            let p = p.map(u32::try_from).transpose();
            Ok(Output {
                what,
                label,
                p: p.map_err(|_| DecodeError::Impossible("probability"))?,
                note: r.optional(|r| text(r, MAX_LABEL_BYTES))?,
            })
        })?;
        let uncertain = match r.u64()? {
            0 => false,
            1 => true,
            _ => return Err(r.malformed()),
        };
        Ok(Self {
            component,
            model,
            input,
            outputs,
            uncertain,
            distance: r.optional(Reader::u64)?,
            explanation: text(r, MAX_EXPLANATION_BYTES)?,
        })
    }
}

impl Output {
    fn len(&self) -> usize {
        let note = self.note.as_ref().map_or(0, String::len);
        self.what.len() + self.label.len() + note + 16
    }
}

impl Decision {
    /// Whether it can be written.
    pub fn check(&self) -> Result<(), DecodeError> {
        let (text, most, what) = match self {
            Self::Accept { label: None } => return Ok(()),
            Self::Accept { label: Some(label) } => (label, MAX_LABEL_BYTES, "label"),
            Self::Reject { why } => (why, crate::body::MAX_LINE_BYTES, "reason"),
        };
        match text.len() {
            0 => Err(DecodeError::Impossible(what)),
            len if len > most => Err(DecodeError::TooLong(what)),
            _ => Ok(()),
        }
    }

    pub(crate) fn encode(&self, inference: &EntryHash) -> Vec<u8> {
        let mut w = Writer::with_capacity(128);
        w.array(4)
            .u64(INFERENCE_VERSION)
            .bytes(inference.as_bytes());
        match self {
            Self::Reject { why } => w.u64(0).text(why),
            Self::Accept { label } => {
                w.u64(1);
                line(&mut w, label.as_deref());
                &mut w
            }
        };
        w.finish()
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<(EntryHash, Self), DecodeError> {
        versioned(r, 4, VERDICT)?;
        let inference = EntryHash::from_bytes(r.array_of()?);
        let decision = match r.u64()? {
            0 => Self::Reject {
                why: r.text(crate::body::MAX_LINE_BYTES)?.to_owned(),
            },
            1 => Self::Accept {
                label: r.optional(|r| r.text(MAX_LABEL_BYTES).map(str::to_owned))?,
            },
            _ => return Err(r.malformed()),
        };
        decision.check()?;
        Ok((inference, decision))
    }
}

/// An array that begins with the version. A later version's may be longer: it is known by its number alone.
fn versioned(r: &mut Reader<'_>, len: u64, what: &'static str) -> Result<(), DecodeError> {
    let held = r.any_array()?;
    if held == 0 {
        return Err(r.malformed());
    }
    if r.u64()? != INFERENCE_VERSION {
        return Err(DecodeError::Version(what));
    }
    if held == len {
        Ok(())
    } else {
        Err(r.malformed())
    }
}

fn word(text: &str, what: &'static str) -> Result<(), DecodeError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.len() > MAX_WORD_BYTES {
        Err(DecodeError::TooLong(what))
    } else if text.is_empty() || !text.bytes().all(fits) {
        Err(DecodeError::Impossible(what))
    } else {
        Ok(())
    }
}

fn number(w: &mut Writer, value: Option<u64>) {
    match value {
        Some(value) => w.u64(value),
        None => w.null(),
    };
}

fn line(w: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => w.text(text),
        None => w.null(),
    };
}

impl fmt::Debug for Inference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inference({} outputs)", self.outputs.len())
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept { label: None } => "Accept",
            Self::Accept { label: Some(_) } => "Accept(edited)",
            Self::Reject { .. } => "Reject",
        })
    }
}
