//! What somebody else says of the exports: `tests/validate_fhir.py`, which uses `fhir.resources` 6.x.
//!
//! `SALUS_PYTHON` names the interpreter; without it, `python3`. Where that one or `fhir.resources` is not there,
//! the test says so on standard error and checks nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use salus_record::model::RecordContent;

use super::made_up::{bare, full, hostile};
use super::samples::{files, samples};
use crate::{ExportOptions, IpsOptions, Limits, export_bundle, export_ips, read_file};

/// Past the test runner, which would hide it.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: no export was validated: {why}");
}

/// What the script says of these files: whether all are valid, and its words. `None` if it cannot be run.
fn validate(paths: &[PathBuf]) -> Option<(bool, String)> {
    let python = std::env::var_os("SALUS_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/validate_fhir.py");
    let output = match Command::new(&python).arg(script).args(paths).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("{} cannot be run: {error}", python.display()));
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Some((true, said)),
        Some(1) => Some((false, said)),
        Some(77) => {
            skipped(
                "fhir.resources 6.x is not installed (pip install 'fhir.resources<7' 'pydantic<2')",
            );
            None
        }
        other => panic!(
            "{other:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// Both forms of a record, in files.
fn write(folder: &Path, name: &str, content: &RecordContent, paths: &mut Vec<PathBuf>) {
    let ips = IpsOptions {
        time_ms: 1_763_800_000_123,
        clinic: "North Clinic".into(),
        practitioner: Some("Dr. Ada Ng".into()),
        per_code: 2,
    };
    let bundle = export_bundle(
        content,
        &ExportOptions {
            time_ms: 1_763_800_000_123,
        },
    );
    for (form, text) in [("bundle", bundle), ("ips", export_ips(content, &ips))] {
        let path = folder.join(format!("{name}.{form}.json"));
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
}

#[test]
fn exports_are_valid_in_somebody_elses_eyes() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, content) in [
        ("full", full()),
        ("bare", bare()),
        ("hostile", hostile()),
        ("empty", RecordContent::default()),
    ] {
        write(folder.path(), name, &content, &mut paths);
    }
    if let Some(samples) = samples() {
        for set in ["synthea_r4", "ips"] {
            for path in files(&samples.join(set)) {
                let import = read_file(&path, &Limits::default()).unwrap();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                write(
                    folder.path(),
                    &name,
                    &import.patients[0].content,
                    &mut paths,
                );
            }
        }
    }
    let Some((valid, said)) = validate(&paths) else {
        return;
    };
    assert!(valid, "{said}");
    let _ = writeln!(
        std::io::stderr(),
        "validated: {}",
        said.lines().last().unwrap_or_default()
    );
}

#[test]
fn the_validation_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let good = export_ips(
        &full(),
        &IpsOptions {
            clinic: "North".into(),
            ..IpsOptions::default()
        },
    );
    let breaks = [
        ("11450-4", "11450-5", "not one section 11450-4"),
        ("\"status\":\"final\"", "\"status\":[1]", "model"),
        ("<thead>", "<thead><script/>", "txt-1"),
        ("</table>", "", "not XML"),
        ("\"_effectiveDateTime\"", "\"_status\"", "no effective[x]"),
        ("60591-5", "60591-6", "type is not 60591-5"),
        (
            "\"reference\":\"urn:uuid:",
            "\"reference\":\"urn:uuid:0",
            "leads nowhere",
        ),
        ("\"birthDate\"", "\"deceasedDateTime\"", "no birthDate"),
    ];
    let path = |i: usize| folder.path().join(format!("{i}.json"));
    for (i, (from, to, _)) in breaks.into_iter().enumerate() {
        assert!(good.contains(from), "{from}");
        std::fs::write(path(i), good.replace(from, to)).unwrap();
    }
    let paths: Vec<PathBuf> = (0..breaks.len()).map(path).collect();
    let Some((valid, said)) = validate(&paths) else {
        return;
    };
    assert!(!valid);
    for (path, (_, _, finding)) in paths.iter().zip(breaks) {
        let path = path.display().to_string();
        let found = |line: &str| line.starts_with(&path) && line.contains(finding);
        assert!(said.lines().any(found), "{finding}: {said}");
    }
}
