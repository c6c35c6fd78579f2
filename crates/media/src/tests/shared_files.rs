//! Real files beside the project, where there are some: what they hold against what other programs read in them.

use std::fs;
use std::path::PathBuf;

use super::builders::look_with;
use crate::{InspectOptions, MediaError, Preview};

/// Where shared data lie: by environment, or beside the project.
fn folder(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("SALUS_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data").join(name);
    if !folder.is_dir() {
        println!("SKIPPED: no shared/data/{name} beside the project, and SALUS_SHARED names none");
        return None;
    }
    Some(folder)
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
fn real_dicom_files_say_what_other_programs_read_in_them() {
    let Some(folder) = folder("dicom") else {
        return;
    };
    let table = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut lines = table.lines();
    let names = fields(lines.next().unwrap());
    let options = InspectOptions {
        statistics: true,
        ..InspectOptions::default()
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
        let found = match look_with(&fs::read(folder.join(file)).unwrap(), &options) {
            Ok(found) => found,
            // Its scan header is not as the standard has it.
            Err(MediaError::Refused { .. }) if file.contains("12bit") => continue,
            Err(error) => panic!("{file}: {error}"),
        };
        let dicom = found.facts.dicom.unwrap();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        assert_eq!(f64::from(dicom.rows), number("rows"), "{file}");
        assert_eq!(f64::from(dicom.columns), number("cols"), "{file}");
        assert_eq!(f64::from(dicom.frames), number("frames"), "{file}");
        assert_eq!(
            f64::from(dicom.bits_stored),
            number("bits_stored"),
            "{file}"
        );
        assert_eq!(text(&dicom.modality), get("modality"), "{file}");
        assert_eq!(text(&dicom.patient_id), get("patient_id"), "{file}");
        assert_eq!(text(&dicom.study_date), get("study_date"), "{file}");
        assert_eq!(
            dicom.transfer_syntax_uid,
            get("transfer_syntax_uid"),
            "{file}"
        );
        let counted = dicom.statistics.unwrap();
        let (extremes, mean) = if get("lossy") == "1" {
            (4.0, 2.0)
        } else {
            (0.0, 5e-6)
        };
        #[expect(clippy::cast_precision_loss, reason = "samples of at most 32 bits")]
        for (ours, name, tolerance) in [
            (counted.min as f64, "px_min", extremes),
            (counted.max as f64, "px_max", extremes),
            (counted.mean, "px_mean", mean),
        ] {
            assert!(
                (ours - number(name)).abs() <= tolerance,
                "{file}: {name} {ours}"
            );
        }
        let picture = found.preview.unwrap().picture().unwrap();
        let seen = picture.pixels.bytes();
        assert!(seen.iter().any(|sample| *sample != seen[0]), "{file}");
        checked += 1;
    }
    assert!(checked >= 20, "{checked} files");
    println!("{checked} files of {}", folder.display());
}

#[test]
fn real_recordings_have_a_length_and_an_outline() {
    let Some(folder) = folder("speech") else {
        return;
    };
    let mut checked = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "flac") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let found = look_with(&bytes, &InspectOptions::default()).unwrap();
        let audio = found.facts.audio.unwrap();
        let Some(Preview::Waveform { duration_ms, peaks }) = found.preview else {
            panic!("{}: {:?}", path.display(), found.note);
        };
        assert_eq!(audio.duration_ms, Some(duration_ms));
        assert!(
            peaks.iter().any(|(low, high)| *high > 10 && *low < -10),
            "{}",
            path.display()
        );
        // Its checksum is of its samples: no byte of a frame may change.
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 4;
        assert!(
            look_with(&changed, &InspectOptions::default()).is_err(),
            "{}",
            path.display()
        );
        println!(
            "{}: {duration_ms} ms, {} Hz, {} channels",
            path.display(),
            audio.sample_rate,
            audio.channels
        );
        checked += 1;
        if checked == 2 {
            break;
        }
    }
    assert!(checked > 0, "no recording in {}", folder.display());
}
