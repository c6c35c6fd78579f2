//! Why a file could not be imported.

use std::fmt;
use std::io;

/// A place in a text file, both from 1. Columns count bytes, as `serde_json` and most editors' `goto` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Byte of the line, from 1.
    pub column: usize,
}

impl Position {
    /// The place of a byte offset in a text; past the end means its end.
    pub(crate) fn of(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        Self {
            line,
            column: before.len() - start + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Which resource of the file an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the resource in the file, from 1: of the entry in a Bundle, of the resource in NDJSON.
    pub entry: usize,
    /// Its type, for instance `Observation`.
    pub resource_type: String,
    /// Where the element stands in the (inflated) file.
    pub position: Position,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "entry {} ({}), {}",
            self.entry, self.resource_type, self.position
        )
    }
}

/// Why a file could not be imported. Nothing of such a file is imported.
///
/// The texts name places, elements and references of the file, never the values of a patient's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file could not be read from the disk.
    #[error("cannot read the file")]
    Io(#[source] io::Error),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// More bytes than the limit, as they stand or once inflated.
    #[error("the file holds more than {limit_bytes} bytes{}", if *.inflated { " once inflated" } else { "" })]
    TooLarge {
        /// The limit that was passed.
        limit_bytes: u64,
        /// Whether the bytes were counted after inflating.
        inflated: bool,
    },
    /// The gzip data is damaged or cut off.
    #[error("the gzip data is damaged or cut off")]
    Gzip(#[source] io::Error),
    /// It is some other kind of file.
    #[error("this is not FHIR JSON: {found}")]
    NotFhir {
        /// What it looks like.
        found: String,
    },
    /// Text in another encoding, or damaged.
    #[error("not UTF-8 at byte {offset} ({position})")]
    NotUtf8 {
        /// Offset of the first bad byte, from 0.
        offset: usize,
        /// The same as a place.
        position: Position,
    },
    /// The text ends in the middle of a JSON value.
    #[error("the file is cut off: its JSON ends too early at {0}")]
    Truncated(Position),
    /// Not JSON.
    #[error("not valid JSON at {position}: {what}")]
    Syntax {
        /// Where.
        position: Position,
        /// What the parser says.
        what: String,
    },
    /// Arrays or objects nested deeper than the limit.
    #[error("JSON nested deeper than {limit} levels at {position}")]
    TooDeep {
        /// The limit that was passed.
        limit: usize,
        /// Where.
        position: Position,
    },
    /// More resources than the limit.
    #[error("the file holds more than {limit} resources")]
    TooManyEntries {
        /// The limit that was passed.
        limit: usize,
    },
    /// More elements in the resources that are read than the limit.
    #[error("the file holds more than {limit} elements")]
    TooManyElements {
        /// The limit that was passed.
        limit: u64,
    },
    /// Resources shared by many patients add up to more than the limit.
    #[error("the patients' parts of the file add up to more than {limit_bytes} bytes")]
    TooMuchShared {
        /// The limit that was passed.
        limit_bytes: u64,
    },
    /// One patient's resources are more than can be kept with the record.
    #[error("{place}: the patient's part of the file is larger than {limit_bytes} bytes")]
    PatientTooLarge {
        /// The Patient.
        place: Place,
        /// The limit that was passed.
        limit_bytes: u64,
    },
    /// A Bundle of a type that holds no records.
    #[error("a Bundle of type {found} cannot be imported")]
    BundleType {
        /// The type, quoted, or `(none)`.
        found: String,
    },
    /// An element that is not what FHIR R4 says it is.
    #[error("{place}: {path} {what}")]
    Element {
        /// In which resource.
        place: Place,
        /// The element, for instance `Observation.component[1].valueQuantity`.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A reference that names nothing in the file.
    #[error("{place}: {path} is a broken reference, {reference}: {why}")]
    BrokenReference {
        /// In which resource.
        place: Place,
        /// The element, for instance `Observation.subject`.
        path: String,
        /// The reference, quoted and cut to 80 characters.
        reference: String,
        /// What is broken.
        why: &'static str,
    },
    /// Two resources with one id say different things.
    #[error("{place}: another {} in the file has the same {key} and says something else", .place.resource_type)]
    Duplicate {
        /// The second of them.
        place: Place,
        /// `id` or `fullUrl`.
        key: &'static str,
    },
    /// Nobody's data.
    #[error("there is no Patient resource in the file")]
    NoPatient,
}

impl ImportError {
    /// What somebody who wants the file imported can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "check the path and that you may read it",
            Self::Empty | Self::Gzip(_) | Self::Truncated(_) => {
                "export or copy the file again: it did not arrive whole"
            }
            Self::TooLarge { .. }
            | Self::TooManyEntries { .. }
            | Self::TooManyElements { .. }
            | Self::TooMuchShared { .. } => "split the file, one patient a file",
            Self::PatientTooLarge { .. } => {
                "export again in several files, by year for instance, or without attached images and documents"
            }
            Self::NotFhir { .. } => {
                "give a FHIR R4 Bundle, resource or NDJSON (.json, .ndjson, or either as .gz)"
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8 (FHIR JSON is always UTF-8)",
            Self::Syntax { .. } | Self::TooDeep { .. } => {
                "export the file again: JSON like this is damaged, or was made to do harm"
            }
            Self::BundleType { .. } => {
                "import a transaction, batch, collection, document or searchset Bundle"
            }
            Self::Element { .. } => {
                "check that the file is FHIR R4 (4.0.1), and correct the element at its source"
            }
            Self::BrokenReference { .. } => {
                "export again with everything of the patient that the file refers to"
            }
            Self::Duplicate { .. } => "export again, one version of each resource",
            Self::NoPatient => "export again with the Patient resource included",
        }
    }
}

/// Text of the file made safe to print: quoted, cut to 80 characters, control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        cut.push('…');
    }
    format!("\"{cut}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_bytes_from_one() {
        let text = "ab\ncd\n".as_bytes();
        let at = |offset| Position::of(text, offset);
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 1, column: 3 });
        assert_eq!(at(3), Position { line: 2, column: 1 });
        assert_eq!(at(6), Position { line: 3, column: 1 });
        assert_eq!(at(99), Position { line: 3, column: 1 });
    }

    #[test]
    fn quoted_text_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[31m\"b"), r#""a\u{1b}[31m\"b""#);
        assert!(quoted(&"x".repeat(500)).chars().count() < 90);
    }
}
