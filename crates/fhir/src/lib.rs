//! FHIR R4 (4.0.1) to and from the record.
//!
//! [`read_file`] and [`read_bytes`] turn a Bundle, a resource or NDJSON (plain or gzip) into the
//! [`RecordContent`](salus_record::model::RecordContent) of each of its patients; [`export_bundle`] writes such
//! a content as a Bundle that reads back as the same. It knows nothing of stores, logs or networks, and it is
//! no validator: it reads what the record models and keeps the rest as it came.
//!
//! Invariants
//! - A file is read whole or not at all: the first thing that is wrong with it is an [`ImportError`] that names
//!   its place.
//! - No bytes make it panic, recurse deeply, or allocate beyond what [`Limits`] says.
//! - Nothing is guessed: a clinical resource goes to the Patient that it names or to nobody, an order *not* to
//!   give a medicine and whatever carries a modifier extension are only kept, never typed.
//! - What becomes an item keeps its digits, its dates as they were written, and its id.
//! - The same patient imported again has the same `source_hash`, whatever the order, white space, compression
//!   or container of the resources.
//!
//! ```
//! use salus_fhir::{ExportOptions, Limits, export_bundle, read_bytes};
//!
//! let file = br#"{"resourceType":"Bundle","type":"collection","entry":[
//!     {"fullUrl":"urn:uuid:5f1b6d0e-0000-4000-8000-000000000001",
//!      "resource":{"resourceType":"Patient","id":"p1","birthDate":"1970-01-31"}},
//!     {"resource":{"resourceType":"Condition","id":"c1","code":{"text":"Asthma"},
//!      "subject":{"reference":"urn:uuid:5f1b6d0e-0000-4000-8000-000000000001"}}}]}"#;
//! let import = read_bytes(file, &Limits::default())?;
//! let content = &import.patients[0].content;
//! assert_eq!(content.conditions[0].code.label(), "Asthma");
//!
//! let exported = export_bundle(content, &ExportOptions { time_ms: 1_700_000_000_000 });
//! let again = read_bytes(exported.as_bytes(), &Limits::default())?;
//! assert_eq!(&again.patients[0].content, content);
//! # Ok::<(), salus_fhir::ImportError>(())
//! ```

mod base64;
mod bundle;
mod counts;
mod date;
mod error;
mod graph;
mod ids;
mod import;
mod json;
mod raw;
mod read;
mod source;
mod urls;
mod write;

#[cfg(test)]
mod tests;

pub use counts::{Counts, OTHER};
pub use error::{ImportError, Place, Position};
pub use ids::MAX_ID_CHARS;
pub use import::{Import, PatientImport, Report, read_bytes, read_file};
pub use source::Limits;
pub use write::{ExportOptions, export_bundle};
