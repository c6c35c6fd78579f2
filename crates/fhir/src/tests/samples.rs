use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use salus_record::model::*;

use crate::{
    CsvOptions, ExportOptions, IpsOptions, Limits, PatientImport, export_bundle, export_csv,
    export_ips, ips_content, read_bytes, read_file,
};

/// `../shared/data/fhir` beside the workspace. Where it is missing, says so on standard error, past the test
/// runner that would hide it.
pub(super) fn samples() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fhir");
    if folder.is_dir() {
        return Some(folder);
    }
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: the FHIR sample data is not at {}, so nothing was compared with it",
        folder.display()
    );
    None
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn import(path: &Path) -> PatientImport {
    let mut import = read_file(path, &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(import.patients.len(), 1, "{}", path.display());
    assert!(import.left_out.is_empty());
    import.patients.remove(0)
}

/// Export, summary and raw part all read back as what they hold.
fn check_round_trip(one: &PatientImport, name: &str) {
    let text = export_bundle(&one.content, &ExportOptions { time_ms: 0 });
    let again = read_bytes(text.as_bytes(), &Limits::default()).unwrap();
    assert!(
        again.patients[0].content == one.content,
        "{name}: the export differs"
    );
    assert!(again.patients[0].report.kept_raw.is_empty(), "{name}");
    for per_code in [1, 3] {
        let options = IpsOptions {
            clinic: "North Clinic".into(),
            per_code,
            ..IpsOptions::default()
        };
        let summary = read_bytes(
            export_ips(&one.content, &options).as_bytes(),
            &Limits::default(),
        );
        assert!(
            summary.unwrap().patients[0].content == ips_content(&one.content, &options),
            "{name}: the summary differs"
        );
    }
    let table = export_csv(&one.content, &CsvOptions::default());
    assert!(
        table.lines().count() > one.content.observations.len(),
        "{name}"
    );
    let raw = read_bytes(&one.raw, &Limits::default()).unwrap();
    assert!(
        raw.patients[0].content == one.content,
        "{name}: the raw part differs"
    );
    assert_eq!(raw.patients[0].source_hash, one.source_hash, "{name}");
    assert_eq!(raw.patients[0].report, one.report, "{name}");
}

/// The value of the latest observation with this LOINC code, components included; of two at one time the first.
fn latest(content: &RecordContent, loinc: &str) -> Option<f64> {
    let mut best: Option<(&str, f64)> = None;
    for o in &content.observations {
        let own = (&o.code, &o.value);
        let parts = o.components.iter().map(|c| (&c.code, &c.value));
        for (code, value) in std::iter::once(own).chain(parts) {
            let Some(ObservationValue::Quantity(q)) = value else {
                continue;
            };
            let when = o.effective.as_ref().map_or("", Timing::when);
            if code.has("http://loinc.org", loinc) && best.is_none_or(|(at, _)| when > at) {
                best = Some((when, q.value.as_ref().map_or(f64::NAN, |v| v.to_f64())));
            }
        }
    }
    best.map(|(_, value)| value)
}

#[test]
fn the_synthea_patients_come_in_as_expected() {
    let Some(folder) = samples() else { return };
    let table = std::fs::read_to_string(folder.join("expected_synthea.csv")).unwrap();
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut compared = 0;
    for line in lines {
        let row: HashMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        let file = row["file"];
        let one = import(&folder.join(file));
        let content = &one.content;
        let text = |name: &str| Some(row[name].to_owned()).filter(|v| !v.is_empty());
        let number = |name: &str| row[name].parse::<u64>().unwrap();
        assert_eq!(one.source_id, row["patient_id"]);
        assert_eq!(
            content.patient.source_id.as_deref(),
            Some(row["patient_id"])
        );
        assert_eq!(content.patient.sex.as_str(), row["gender"]);
        assert_eq!(content.patient.birth_date, text("birth_date"));
        assert_eq!(
            content.patient.deceased.is_some(),
            text("deceased").is_some(),
            "{file}"
        );
        assert!(content.patient.mrn.is_some() && content.patient.family.is_some());
        let typed = [
            ("Encounter", content.encounters.len()),
            ("Condition", content.conditions.len()),
            ("Observation", content.observations.len()),
            ("DiagnosticReport", content.diagnostic_reports.len()),
            ("Procedure", content.procedures.len()),
            ("MedicationRequest", content.medications.len()),
            ("Immunization", content.immunizations.len()),
            ("AllergyIntolerance", content.allergies.len()),
        ];
        for (name, n) in typed {
            assert_eq!(
                (n as u64, one.report.typed.get(name)),
                (number(name), number(name)),
                "{file} {name}"
            );
        }
        for name in [
            "CarePlan",
            "Goal",
            "ImagingStudy",
            "Claim",
            "ExplanationOfBenefit",
        ] {
            assert_eq!(one.report.kept_raw.get(name), number(name), "{file} {name}");
        }
        let all = one.report.typed.total() + one.report.kept_raw.total();
        assert_eq!(all, number("entries"), "{file}");
        let active = |status: &Option<String>| status.as_deref() == Some("active");
        let conditions = content
            .conditions
            .iter()
            .filter(|c| active(&c.clinical_status))
            .count();
        assert_eq!(conditions as u64, number("active_conditions"), "{file}");
        let requests = content
            .medications
            .iter()
            .filter(|m| active(&m.status))
            .count();
        assert_eq!(
            requests as u64,
            number("active_medication_requests"),
            "{file}"
        );
        for (name, loinc) in [
            ("last_sbp", "8480-6"),
            ("last_bmi", "39156-5"),
            ("last_hba1c", "4548-4"),
            ("last_total_chol", "2093-3"),
            ("last_egfr", "33914-3"),
            ("last_weight_kg", "29463-7"),
            ("last_height_cm", "8302-2"),
        ] {
            let expected = text(name).map(|v| v.parse::<f64>().unwrap());
            assert_eq!(latest(content, loinc), expected, "{file} {name}");
        }
        // Every link leads to an item, and every name was found.
        let ids: std::collections::HashSet<&str> =
            content.observations.iter().map(|o| o.id.as_str()).collect();
        let results = content.diagnostic_reports.iter().flat_map(|r| &r.results);
        assert!(results.clone().count() > 0 || content.diagnostic_reports.is_empty());
        assert!(results.into_iter().all(|id| ids.contains(id.as_str())));
        assert!(content.observations.iter().all(|o| o.encounter.is_some()));
        assert!(content.encounters.iter().all(|e| {
            e.service_provider
                .as_ref()
                .is_some_and(|name| !name.contains("urn:"))
                && e.participants.iter().all(|name| !name.contains("urn:"))
        }));
        check_round_trip(&one, file);
        compared += 1;
    }
    assert_eq!(compared, files(&folder.join("synthea_r4")).len());
}

#[test]
fn the_ips_documents_come_in_whole() {
    let Some(folder) = samples() else { return };
    let mut items = HashMap::new();
    for path in files(&folder.join("ips")) {
        let one = import(&path);
        check_round_trip(&one, &path.display().to_string());
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        items.insert(name, one.content);
    }
    let full = &items["ips_bundle_01"];
    assert_eq!(
        (
            full.conditions.len(),
            full.medications.len(),
            full.allergies.len(),
            full.observations.len()
        ),
        (2, 2, 2, 7)
    );
    assert!(full.medications.iter().all(|m| !m.code.label().is_empty()));
    let panel = full
        .observations
        .iter()
        .find(|o| !o.members.is_empty())
        .unwrap();
    assert_eq!(panel.members.len(), 4);
    assert_eq!(
        items["bundle_no_info_required_sections"]
            .immunizations
            .len(),
        2
    );
    assert_eq!(items["bundle_minimal"].allergies.len(), 1);
}

#[test]
fn a_sample_is_the_same_source_in_every_container() {
    let Some(folder) = samples() else { return };
    let path = files(&folder.join("synthea_r4"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "json"))
        .unwrap();
    let plain = std::fs::read(&path).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    let hash =
        |bytes: &[u8]| read_bytes(bytes, &Limits::default()).unwrap().patients[0].source_hash;
    let first = hash(&plain);
    assert_eq!(hash(&gz.finish().unwrap()), first);
    // Names are sorted by serde_json's map, so indentation is tried on its own output.
    let sorted = hash(value.to_string().as_bytes());
    assert_eq!(
        hash(serde_json::to_string_pretty(&value).unwrap().as_bytes()),
        sorted
    );
}

/// `cargo test -p salus-fhir --release -- --ignored --nocapture mb_per_second`
#[test]
#[ignore = "a measurement, not a check"]
fn mb_per_second() {
    let Some(folder) = samples() else { return };
    let mut texts = Vec::new();
    for path in files(&folder.join("synthea_r4")) {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            flate2::read::GzDecoder::new(&bytes[..])
                .read_to_end(&mut text)
                .unwrap();
        } else {
            text = bytes;
        }
        texts.push(text);
    }
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let mut best = f64::MAX;
    let mut written = (0usize, f64::MAX);
    for _ in 0..5 {
        let start = Instant::now();
        let imports: Vec<_> = texts
            .iter()
            .map(|text| read_bytes(text, &Limits::default()).unwrap())
            .collect();
        best = best.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut len = 0;
        for import in &imports {
            len += export_bundle(&import.patients[0].content, &ExportOptions::default()).len();
        }
        written = (len, written.1.min(start.elapsed().as_secs_f64()));
    }
    eprintln!(
        "import: {:.1} MB of JSON in {:.3} s = {:.1} MB/s; export: {:.1} MB in {:.3} s = {:.1} MB/s \
         (one thread, best of 5)",
        bytes as f64 / 1e6,
        best,
        bytes as f64 / 1e6 / best,
        written.0 as f64 / 1e6,
        written.1,
        written.0 as f64 / 1e6 / written.1,
    );
}
