//! Clinical bodies: what is inside a sealed payload, once it has been opened.

use std::fmt;

use crate::attachment::Attachment;
use crate::cbor::{DecodeError, Reader, Writer};
use crate::header::MAX_PAYLOAD_BYTES;
use crate::id::{EntryHash, LogId};
use crate::inference::{Decision, Inference};
use crate::kind::Kind;

/// Longest single Automerge change in bytes. A typical one has 142 (`p2p-stack.md` section 4); the
/// largest in the sample data, a whole imported patient, stays well below.
pub const MAX_CHANGE_BYTES: usize = 1024 * 1024;
/// Most Automerge changes in one entry (a guess: what belongs together, an import in a few entries).
pub const MAX_CHANGES: usize = 1024;
/// Longest summary, purpose or file name in bytes (a guess: a line on a screen, several times over).
pub const MAX_LINE_BYTES: usize = 1024;
/// Longest attachment in bytes once inflated: 16 times the longest payload, so that a small entry
/// cannot ask for an unbounded buffer.
pub const MAX_ATTACHMENT_BYTES: u64 = 16 * MAX_PAYLOAD_BYTES as u64;

const WHAT: &str = "clinical body";

/// How the bytes of an inline attachment are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// As they are.
    Identity = 0,
    /// Raw DEFLATE (RFC 1951).
    Deflate = 1,
}

/// What a clinical entry says. `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Changes of the record's document.
    Edit {
        /// Automerge changes (`Change::raw_bytes`), in order.
        changes: Vec<Vec<u8>>,
        /// What was done, in a line for people.
        summary: String,
    },
    /// A look at the record.
    View {
        /// Why, in a line for people.
        purpose: String,
    },
    /// An attachment small enough to travel in the entry.
    Attach {
        /// The id that the record's DocumentReference names.
        id: String,
        /// File name.
        name: String,
        /// Media type (RFC 6838).
        mime: String,
        /// How `inline` is packed.
        encoding: Encoding,
        /// Length of the attachment once unpacked.
        bytes_len: u64,
        /// The attachment, packed.
        inline: Vec<u8>,
    },
    /// An attachment whose bytes are blobs that the header names.
    Attachment(Box<Attachment>),
    /// This record and another one are shown as one.
    Link {
        /// The other record's log.
        other: LogId,
    },
    /// They are no longer.
    Unlink {
        /// The other record's log.
        other: LogId,
    },
    /// A model answered.
    Inference(Box<Inference>),
    /// A clinician decided about an answer.
    Verdict {
        /// The entry of the inference, in the same log and in this entry's causal past: whoever opens the body
        /// checks that, and a verdict about anything else says nothing.
        inference: EntryHash,
        /// What was decided.
        decision: Decision,
    },
}

impl Body {
    /// The kind of entry that carries this body.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Edit { .. } => Kind::Edit,
            Body::View { .. } => Kind::View,
            Body::Attach { .. } | Body::Attachment(_) => Kind::Attach,
            Body::Link { .. } => Kind::Link,
            Body::Unlink { .. } => Kind::Unlink,
            Body::Inference(_) => Kind::Inference,
            Body::Verdict { .. } => Kind::Verdict,
        }
    }

    /// The bytes to seal.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Body::Edit { changes, summary } => {
                let bytes: usize = changes.iter().map(|change| change.len() + 5).sum();
                let mut w = Writer::with_capacity(bytes + summary.len() + 16);
                w.array(2).array(changes.len());
                for change in changes {
                    w.bytes(change);
                }
                w.text(summary);
                w.finish()
            }
            Body::View { purpose } => {
                let mut w = Writer::with_capacity(purpose.len() + 8);
                w.array(1).text(purpose);
                w.finish()
            }
            Body::Attach {
                id,
                name,
                mime,
                encoding,
                bytes_len,
                inline,
            } => {
                let lines = id.len() + name.len() + mime.len();
                let mut w = Writer::with_capacity(inline.len() + lines + 32);
                w.array(6).text(id).text(name).text(mime);
                w.u64(u64::from(*encoding as u8))
                    .u64(*bytes_len)
                    .bytes(inline);
                w.finish()
            }
            Body::Attachment(attachment) => attachment.encode(),
            Body::Link { other } | Body::Unlink { other } => {
                let mut w = Writer::with_capacity(40);
                w.array(1).bytes(other.as_bytes());
                w.finish()
            }
            Body::Inference(inference) => inference.encode(),
            Body::Verdict {
                inference,
                decision,
            } => decision.encode(inference),
        }
    }

    /// Reads the opened payload of an entry of this kind; refuses every encoding but the
    /// deterministic one.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Body, DecodeError> {
        if bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(DecodeError::TooLong(WHAT));
        }
        let mut r = Reader::new(bytes, WHAT);
        let line = |r: &mut Reader<'_>| r.text(MAX_LINE_BYTES).map(str::to_owned);
        let body = match kind {
            Kind::Edit => {
                r.array(2)?;
                Body::Edit {
                    changes: r.list(MAX_CHANGES, |r| {
                        r.bytes(MAX_CHANGE_BYTES).map(<[u8]>::to_vec)
                    })?,
                    summary: line(&mut r)?,
                }
            }
            Kind::View => {
                r.array(1)?;
                Body::View {
                    purpose: line(&mut r)?,
                }
            }
            Kind::Link | Kind::Unlink => {
                r.array(1)?;
                let other = LogId::from_bytes(r.array_of()?);
                if kind == Kind::Link {
                    Body::Link { other }
                } else {
                    Body::Unlink { other }
                }
            }
            Kind::Attach => match r.any_array()? {
                10 => Body::Attachment(Box::new(Attachment::read(&mut r)?)),
                6 => Body::Attach {
                    id: line(&mut r)?,
                    name: line(&mut r)?,
                    mime: line(&mut r)?,
                    encoding: match r.u64()? {
                        0 => Encoding::Identity,
                        1 => Encoding::Deflate,
                        _ => return Err(DecodeError::Malformed("encoding")),
                    },
                    bytes_len: r.u64()?,
                    inline: r.bytes(MAX_PAYLOAD_BYTES)?.to_vec(),
                },
                _ => return Err(r.malformed()),
            },
            Kind::Inference => Body::Inference(Box::new(Inference::read(&mut r)?)),
            Kind::Verdict => {
                let (inference, decision) = Decision::read(&mut r)?;
                Body::Verdict {
                    inference,
                    decision,
                }
            }
            _ => return Err(r.malformed()),
        };
        r.end()?;
        body.check()?;
        Ok(body)
    }

    fn check(&self) -> Result<(), DecodeError> {
        match self {
            Body::Edit { changes, .. } if changes.is_empty() => {
                Err(DecodeError::Impossible("changes"))
            }
            Body::Attach {
                encoding,
                bytes_len,
                inline,
                ..
            } => {
                if *bytes_len > MAX_ATTACHMENT_BYTES {
                    return Err(DecodeError::TooLong("attachment"));
                }
                if *encoding == Encoding::Identity && *bytes_len != inline.len() as u64 {
                    return Err(DecodeError::Impossible("attachment length"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Edit { changes, .. } => {
                let bytes: usize = changes.iter().map(Vec::len).sum();
                write!(f, "Edit({} changes, {bytes} bytes)", changes.len())
            }
            Body::View { .. } => f.write_str("View"),
            Body::Attach { inline, .. } => write!(f, "Attach({} bytes)", inline.len()),
            Body::Attachment(attachment) => attachment.fmt(f),
            Body::Link { .. } => f.write_str("Link"),
            Body::Unlink { .. } => f.write_str("Unlink"),
            Body::Inference(inference) => inference.fmt(f),
            Body::Verdict { decision, .. } => write!(f, "Verdict({decision:?})"),
        }
    }
}
