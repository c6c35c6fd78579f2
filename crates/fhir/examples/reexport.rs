//! Reads FHIR files and writes what the record understood of them, one text a patient, to standard output:
//! `cargo run -p salus-fhir --example reexport -- [--ips | --csv] FILE…`. What became of the resources goes to
//! standard error.

use std::io::Write;
use std::path::Path;

use salus_fhir::{
    CsvOptions, ExportOptions, IpsOptions, Limits, export_bundle, export_csv, export_ips, read_file,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let (forms, paths): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let ips = IpsOptions {
        clinic: "Example Clinic".to_owned(),
        ..IpsOptions::default()
    };
    for path in paths {
        let import = read_file(Path::new(&path), &Limits::default())
            .map_err(|error| format!("{path}: {error}; {}", error.hint()))?;
        for patient in &import.patients {
            eprintln!("{path}: {:?}", patient.report);
            let text = match forms.first().map(String::as_str) {
                None => export_bundle(&patient.content, &ExportOptions { time_ms: 0 }),
                Some("--ips") => export_ips(&patient.content, &ips),
                Some("--csv") => export_csv(&patient.content, &CsvOptions::default()),
                Some(other) => return Err(format!("{other} is no form: --ips or --csv").into()),
            };
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}
