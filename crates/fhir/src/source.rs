//! From the bytes of a file to text that is safe to parse: inflated, UTF-8, not too large, not too deep.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{ImportError, Position};

/// How much of a file is accepted.
///
/// Memory while importing stays below six times the file's (inflated) bytes (the text and its growth, the raw
/// parts that are handed on, the strings of the record), 16 MiB, 600 bytes a resource and 1 KiB an element. Measured
/// (`cost_of_imports`, 2026-11-22, allocator's reserves included): 1.0 to 15 times the file, at most 55 % of that
/// bound, most where 300,000 resources have hardly anything in them. Time grows with the size alone, also of documents
/// whose Composition and resources all refer to each other: 20,000 resources take 0.18 s, 80,000 take 0.73 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of JSON, once inflated. 512 MiB: a Synthea patient is 0.4 MB (mean of the 40 of the sample data),
    /// so a file may hold a thousand patients.
    pub max_bytes: u64,
    /// Levels of arrays and objects, of which the three of the Bundle around a resource count also where it stands
    /// alone. 64: a resource nests 10 to 20 deep (a guess from the sample data's 11).
    pub max_depth: usize,
    /// Resources, contained ones included. 1,000,000: at 512 bytes each they fill `max_bytes`.
    pub max_entries: usize,
    /// JSON objects inside the resources that become typed. 8,000,000: an Observation has about 10.
    pub max_elements: u64,
    /// Bytes of one patient's resources, once inflated, as [`PatientImport::raw`](crate::PatientImport::raw)
    /// keeps them; never more than `max_bytes`, so that they can be read again. 64 MiB: what the log keeps of one
    /// attachment, and 160 mean Synthea patients.
    pub max_patient_source_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 512 * 1024 * 1024,
            max_depth: 64,
            max_entries: 1_000_000,
            max_elements: 8_000_000,
            max_patient_source_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The bytes of a file, of which no more than the limit are ever read.
pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImportError> {
    let file = File::open(path).map_err(ImportError::Io)?;
    let meta = file.metadata().map_err(ImportError::Io)?;
    if meta.is_dir() {
        return Err(ImportError::Io(io::ErrorKind::IsADirectory.into()));
    }
    bounded(file, limits.max_bytes)
        .map_err(ImportError::Io)?
        .ok_or(ImportError::TooLarge {
            limit_bytes: limits.max_bytes,
            inflated: false,
        })
}

/// The text of a file: inflated if it is gzip, without a byte order mark, checked for size, encoding and depth.
pub(crate) fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, ImportError> {
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let inflated = bounded(MultiGzDecoder::new(bytes), limits.max_bytes)
            .map_err(ImportError::Gzip)?
            .ok_or(ImportError::TooLarge {
                limit_bytes: limits.max_bytes,
                inflated: true,
            })?;
        sniff(&inflated)?;
        let text = String::from_utf8(inflated)
            .map_err(|e| not_utf8(e.as_bytes(), e.utf8_error().valid_up_to()))?;
        Cow::Owned(text)
    } else {
        if u64::try_from(bytes.len()).is_ok_and(|len| len > limits.max_bytes) {
            return Err(ImportError::TooLarge {
                limit_bytes: limits.max_bytes,
                inflated: false,
            });
        }
        sniff(bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|e| not_utf8(bytes, e.valid_up_to()))?;
        Cow::Borrowed(text)
    };
    if let Some(offset) = too_deep(text.as_bytes(), limits.max_depth) {
        return Err(ImportError::TooDeep {
            limit: limits.max_depth,
            position: Position::of(text.as_bytes(), offset),
        });
    }
    Ok(text)
}

/// Everything of a source, or `None` if it is longer than the limit.
fn bounded(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(u64::try_from(read)
        .is_ok_and(|read| read <= limit)
        .then_some(bytes))
}

fn not_utf8(bytes: &[u8], offset: usize) -> ImportError {
    ImportError::NotUtf8 {
        offset,
        position: Position::of(bytes, offset),
    }
}

/// The byte order mark that some systems put before UTF-8. JSON has none, so it is skipped.
pub(crate) const BOM: &str = "\u{feff}";

/// Refuses what is recognisably another kind of file, with its name instead of a parser's complaint.
fn sniff(bytes: &[u8]) -> Result<(), ImportError> {
    let found = |what: &str| {
        Err(ImportError::NotFhir {
            found: what.to_owned(),
        })
    };
    const MAGIC: [(&[u8], &str); 8] = [
        (b"\x89PNG", "it is a PNG image"),
        (b"\xff\xd8\xff", "it is a JPEG image"),
        (b"%PDF", "it is a PDF document"),
        (b"PK\x03\x04", "it is a ZIP archive; unpack it first"),
        (b"RIFF", "it is a RIFF file (audio or video)"),
        (b"\x1f\x8b", "it is gzip inside gzip; unpack it once"),
        (b"\xff\xfe", "it is UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16 text; save it as UTF-8"),
    ];
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return found(what);
    }
    if bytes.get(128..132) == Some(b"DICM") {
        return found("it is a DICOM file");
    }
    let text = bytes.strip_prefix(BOM.as_bytes()).unwrap_or(bytes);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        None => Err(ImportError::Empty),
        Some(b'{') => Ok(()),
        Some(b'<') => found("it looks like XML; export it as JSON"),
        Some(b'[') => found("it is a JSON array; a Bundle, a resource or NDJSON is expected"),
        Some(_) => {
            // Damaged text is reported as such: what it starts with means nothing.
            std::str::from_utf8(bytes).map_err(|e| not_utf8(bytes, e.valid_up_to()))?;
            found("it does not start with a JSON object")
        }
    }
}

/// Levels of a Bundle around its resources: itself, the array of entries, and the entry.
pub(crate) const BUNDLE_LEVELS: usize = 3;

/// Where arrays and objects nest deeper than `limit`, without recursion: later parsers may rely on it.
pub(crate) fn too_deep(text: &[u8], limit: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut bytes = text.iter().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Some(offset);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The hash of one JSON value, whatever white space stands between its tokens.
///
/// This is what "the same resource" means: a file that was compressed, indented, split into lines or put in
/// another order holds the same resources. `json` must be valid JSON.
pub(crate) fn content_hash(json: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("salus/fhir/resource/v1");
    // Indented JSON comes in pieces of a few bytes; the hash wants kilobytes.
    let mut held = Vec::with_capacity(PIECE_BYTES);
    let mut add = |piece: &[u8]| {
        if held.len() + piece.len() > PIECE_BYTES {
            hasher.update(&held);
            held.clear();
        }
        if piece.len() > PIECE_BYTES {
            hasher.update(piece);
        } else {
            held.extend_from_slice(piece);
        }
    };
    let bytes = json.as_bytes();
    let (mut from, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = bytes.get(at) {
                    match byte {
                        b'"' => break,
                        b'\\' => at += 2,
                        _ => at += 1,
                    }
                }
                at += 1;
            }
            b' ' | b'\n' | b'\r' | b'\t' => {
                add(bytes.get(from..at).unwrap_or_default());
                at += 1;
                from = at;
            }
            _ => at += 1,
        }
    }
    add(bytes.get(from..).unwrap_or_default());
    hasher.update(&held);
    *hasher.finalize().as_bytes()
}

/// Bytes that are gathered before they are hashed: BLAKE3's full speed starts at some kilobytes (its paper,
/// section 5.2).
const PIECE_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_the_budget() {
        let limits = Limits {
            max_bytes: 1024 * 1024,
            ..Limits::default()
        };
        let mut bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        let stopped = |bytes: &[u8]| {
            matches!(
                text(bytes, &limits),
                Err(ImportError::TooLarge {
                    limit_bytes: 1_048_576,
                    inflated: true
                })
            )
        };
        assert!(stopped(&bomb));
        // Several members, each below the budget, are counted together.
        bomb = gzip(&vec![b' '; 800_000]).repeat(3);
        assert!(stopped(&bomb));
    }

    #[test]
    fn damaged_gzip_is_named() {
        let good = gzip(b"{\"resourceType\":\"Patient\"}");
        assert!(text(&good, &Limits::default()).is_ok());
        for len in 2..good.len() {
            let cut = text(&good[..len], &Limits::default());
            assert!(
                matches!(cut, Err(ImportError::Gzip(_) | ImportError::Empty)),
                "{len}: {cut:?}"
            );
        }
        let mut flipped = good.clone();
        flipped[15] ^= 0x10;
        assert!(text(&flipped, &Limits::default()).is_err());
        let twice = text(&gzip(&good), &Limits::default()).unwrap_err();
        assert!(twice.to_string().contains("gzip inside gzip"), "{twice}");
    }

    #[test]
    fn nesting_is_counted_outside_strings_only() {
        let limits = Limits {
            max_depth: 3,
            ..Limits::default()
        };
        assert!(text(br#"{"a":[[1]],"b":"[[[[[[ \"[[[["}"#, &limits).is_ok());
        let deep = text(b"{\n\"a\":[[[1]]]}", &limits).unwrap_err();
        assert_eq!(
            deep.to_string(),
            "JSON nested deeper than 3 levels at line 2 column 7"
        );
        let many = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(matches!(
            text(many.as_bytes(), &Limits::default()),
            Err(ImportError::TooDeep { limit: 64, .. })
        ));
    }

    #[test]
    fn other_kinds_of_file_are_called_by_their_name() {
        let said = |bytes: &[u8]| text(bytes, &Limits::default()).unwrap_err().to_string();
        assert!(said(b"\x89PNG\r\n\x1a\n....").contains("PNG"));
        assert!(said(b"<Patient xmlns=\"http://hl7.org/fhir\"/>").contains("XML"));
        assert!(said(b"[1]").contains("array"));
        assert!(said(b"id;name\n").contains("does not start with a JSON object"));
        assert!(said(&[b"\0".repeat(128), b"DICM".to_vec()].concat()).contains("DICOM"));
        assert_eq!(said(b" \n"), "the file is empty");
        assert_eq!(said(b""), "the file is empty");
        assert_eq!(
            said(b"{\"a\":\n\"\xff\"}"),
            "not UTF-8 at byte 7 (line 2 column 2)"
        );
        assert_eq!(said(b"\xc3("), "not UTF-8 at byte 0 (line 1 column 1)");
    }

    #[test]
    fn white_space_between_tokens_does_not_change_the_hash() {
        let plain = content_hash(r#"{"a":[1,2],"b":"x \" y"}"#);
        assert_eq!(
            content_hash("{ \"a\" : [ 1,\n2 ],\t\"b\":\"x \\\" y\" }\r\n"),
            plain
        );
        assert_ne!(content_hash(r#"{"a":[1,2],"b":"x \"  y"}"#), plain);
    }

    #[test]
    fn a_file_over_the_limit_is_not_read_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b' '; 100]).unwrap();
        let limits = Limits {
            max_bytes: 99,
            ..Limits::default()
        };
        assert!(matches!(
            read(file.path(), &limits),
            Err(ImportError::TooLarge { .. })
        ));
        let limits = Limits {
            max_bytes: 100,
            ..Limits::default()
        };
        assert_eq!(read(file.path(), &limits).unwrap().len(), 100);
        assert!(matches!(
            read(Path::new("/nowhere/at/all"), &limits),
            Err(ImportError::Io(_))
        ));
        assert!(matches!(
            read(Path::new("/"), &limits),
            Err(ImportError::Io(_))
        ));
    }
}
