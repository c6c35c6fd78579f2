//! Reads FHIR files and writes what the record understood of them, one Bundle a patient, to standard output:
//! `cargo run -p salus-fhir --example reexport -- FILE…`. What became of the resources goes to standard error.

use std::io::Write;
use std::path::Path;

use salus_fhir::{ExportOptions, Limits, export_bundle, read_file};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args().skip(1) {
        let import = read_file(Path::new(&path), &Limits::default())
            .map_err(|error| format!("{path}: {error}; {}", error.hint()))?;
        for patient in &import.patients {
            eprintln!("{path}: {:?}", patient.report);
            writeln!(
                out,
                "{}",
                export_bundle(&patient.content, &ExportOptions { time_ms: 0 })
            )?;
        }
    }
    Ok(())
}
