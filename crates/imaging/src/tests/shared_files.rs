//! Real files beside the project, where there are some: what they hold against what other programs read in them.

use std::fs;
use std::path::PathBuf;

use crate::{DecodeOptions, ImageError, Size, decode, dicom_metadata};

/// Where shared data lie: by environment, or beside the project.
fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("SALUS_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data/dicom");
    folder.join("expected.csv").is_file().then_some(folder)
}

/// The fields of a line of comma-separated values; quotes keep commas together.
fn fields(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            _ => out.last_mut().unwrap().push(character),
        }
    }
    out
}

#[test]
fn real_dicom_files_hold_what_other_programs_read_in_them() {
    let Some(folder) = folder() else {
        println!("SKIPPED: no shared/data/dicom beside the project, and SALUS_SHARED names none");
        return;
    };
    let table = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut lines = table.lines();
    let names = fields(lines.next().unwrap());
    let options = DecodeOptions {
        size: Size::Fit(128),
        statistics: true,
        ..DecodeOptions::default()
    };
    let mut checked = 0;
    for line in lines {
        let values = fields(line);
        let get = |name: &str| {
            let column = names.iter().position(|known| known == name).unwrap();
            values[column].as_str()
        };
        let number = |name: &str| get(name).parse::<f64>().unwrap();
        let file = get("file");
        let bytes = fs::read(folder.join(file)).unwrap();
        let decoded = match decode(&bytes, &options) {
            Ok(decoded) => decoded,
            // Its scan header is not as the standard has it.
            Err(ImageError::Damaged { .. }) if file.contains("12bit") => continue,
            Err(error) => panic!("{file}: {error}"),
        };
        let dicom = decoded.dicom.unwrap();
        let same = |ours: f64, name: &str, tolerance: f64| {
            let expected = number(name);
            assert!(
                (ours - expected).abs() <= tolerance,
                "{file}: {name} is {ours}, expected {expected}"
            );
        };
        same(f64::from(dicom.rows), "rows", 0.0);
        same(f64::from(dicom.columns), "cols", 0.0);
        same(f64::from(dicom.frames), "frames", 0.0);
        assert_eq!(
            dicom.modality.as_deref().unwrap(),
            get("modality"),
            "{file}"
        );
        assert_eq!(dicom.patient_id.as_deref().unwrap_or(""), get("patient_id"));
        assert_eq!(dicom.transfer_syntax_uid, get("transfer_syntax_uid"));
        let lossy = get("lossy") == "1";
        let (extremes, mean) = if lossy { (4.0, 2.0) } else { (0.0, 5e-6) };
        let raw = dicom.statistics.unwrap();
        #[expect(clippy::cast_precision_loss, reason = "samples of at most 32 bits")]
        let (min, max) = (raw.min as f64, raw.max as f64);
        same(min, "px_min", extremes);
        same(max, "px_max", extremes);
        same(raw.mean, "px_mean", mean);
        // Something is to be seen, and metadata alone are the same.
        let seen = decoded.pictures[0].pixels.bytes();
        assert!(seen.iter().any(|sample| *sample != seen[0]), "{file}");
        let alone = dicom_metadata(&bytes).unwrap();
        assert_eq!(alone.patient_id, dicom.patient_id);
        checked += 1;
    }
    assert!(checked >= 20, "{checked} files");
    println!("{checked} files of {}", folder.display());
}
