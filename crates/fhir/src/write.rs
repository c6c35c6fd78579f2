//! From the record to FHIR.

mod bundle;
mod clinical;
mod datatypes;
pub(crate) mod json;
mod medication;
mod observation;
mod patient;

pub use bundle::{ExportOptions, export_bundle};
