//! From the record to FHIR, and to a table.

mod bundle;
mod clinical;
mod csv;
mod datatypes;
mod ips;
pub(crate) mod json;
mod line;
mod medication;
mod observation;
mod patient;

pub use bundle::{ExportOptions, export_bundle};
pub use csv::{CsvOptions, export_csv};
pub use ips::{IpsOptions, export_ips, ips_content};
