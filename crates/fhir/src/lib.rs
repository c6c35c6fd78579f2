//! FHIR R4 (4.0.1) to and from the record.
//!
//! [`read_file`] and [`read_bytes`] turn a Bundle, a document, a resource or NDJSON (plain or gzip) into the
//! [`RecordContent`](salus_record::model::RecordContent) of each of its patients. It goes out again in three forms:
//!
//! | | what it is for | what of the record | read again |
//! | --- | --- | --- | --- |
//! | [`export_bundle`] | another Salus, another system | everything | as the same content |
//! | [`export_ips`] | a doctor who does not know the patient | what [`ips_content`] takes of it | as what it carries |
//! | [`export_csv`] | people with a spreadsheet | a row for each item | no |
//!
//! The crate knows nothing of stores, logs or networks, and it is no validator: it reads what the record models and
//! keeps the rest as it came. What it writes is validated by somebody else's program (`tests/validate_fhir.py`).
//!
//! Invariants
//! - A file is read whole or not at all: the first thing that is wrong with it is an [`ImportError`] that names
//!   its place.
//! - No bytes make it panic, recurse deeply, or allocate beyond what [`Limits`] says.
//! - Nothing is guessed: a clinical resource goes to the Patient that it names or to nobody, an order *not* to
//!   give a medicine and whatever carries a modifier extension are only kept, never typed.
//! - What becomes an item keeps its digits, its dates as they were written, and its id.
//! - A statement that something is absent or not known, in the codes that patient summaries have for it, is never
//!   an item; and an export says that nothing is known, never that nothing is there, unless the record says so.
//! - The same patient imported again has the same `source_hash`, whatever the order, white space, compression
//!   or container of the resources.
//!
//! ```
//! use salus_fhir::{ExportOptions, IpsOptions, Limits, export_bundle, export_ips, read_bytes};
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
//!
//! let clinic = IpsOptions { clinic: "North Clinic".into(), ..IpsOptions::default() };
//! let summary = read_bytes(export_ips(content, &clinic).as_bytes(), &Limits::default())?;
//! assert_eq!(summary.patients[0].content.conditions, content.conditions);
//! assert!(summary.patients[0].content.allergies.is_empty()); // it said that nothing is known of any
//! # Ok::<(), salus_fhir::ImportError>(())
//! ```

mod absence;
mod base64;
mod bundle;
mod counts;
mod date;
mod error;
mod graph;
mod ids;
mod import;
mod json;
mod owner;
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
pub use write::{
    CsvOptions, ExportOptions, IpsOptions, export_bundle, export_csv, export_ips, ips_content,
};
