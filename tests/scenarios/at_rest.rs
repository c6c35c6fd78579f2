//! What is on the disk: nothing readable, and nothing that can be changed unnoticed.

use std::fs;
use std::path::Path;

use crate::process::Clinic;

pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

pub fn contains(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn no_name_and_no_word_of_a_record_is_readable_in_the_data_folder() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Zanzibarclinic");
    let id = clinic.patient("Quatermain", "Hortensia");
    clinic.ok(&["patient", "note", &id, "Xylophobia since childhood"]);
    clinic.ok(&["add", "condition", &id, "--name", "Hyperkalaemia"]);
    for file in files(&clinic.folder) {
        for secret in [
            "Zanzibar",
            "Quatermain",
            "Hortensia",
            "Xylophobia",
            "Hyperkalaemia",
            "correct horse",
        ] {
            assert!(
                !contains(&file, secret),
                "{secret} is readable in {}",
                file.display()
            );
        }
        for word in clinic
            .words
            .split_whitespace()
            // These are also names of settings; pairs of words, below, are nobody's.
            .filter(|word| word.len() > 6 && !matches!(*word, "network" | "classify"))
        {
            assert!(
                !contains(&file, word),
                "a recovery word is in {}",
                file.display()
            );
        }
        let words: Vec<&str> = clinic.words.split_whitespace().collect();
        for pair in words.windows(2) {
            assert!(
                !contains(&file, &pair.join(" ")),
                "recovery words are in {}",
                file.display()
            );
        }
    }
}

#[test]
fn a_changed_byte_is_found_and_never_changes_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let id = clinic.patient("Okafor", "Ada");
    clinic.ok(&["patient", "note", &id, "Cough for three days."]);
    let store = clinic.folder.join("store.redb");
    let good = fs::read(&store).unwrap();
    let truth = clinic.json(&["patient", "show", &id])["notes"].clone();
    let sound = fs::read(&store).unwrap();
    assert_ne!(good, sound, "the look was logged");
    let mark = clinic.folder.join("store.redb.mark");
    let sound_mark = fs::read(&mark).unwrap();
    let mut found = 0;
    // Every 1,021st byte, a prime, so that all places within a page are met.
    for at in (0..sound.len()).step_by(1_021 * 8) {
        let mut bad = sound.clone();
        bad[at] ^= 0x40;
        fs::write(&store, &bad).unwrap();
        let verify = clinic.run(&["--json", "audit", "verify", "--all"]);
        let code = verify.status.code().unwrap();
        assert!(code == 0 || code == 5, "byte {at}: exit code {code}");
        let report: serde_json::Value = serde_json::from_slice(&verify.stdout).unwrap();
        assert_eq!(report["ok"], code == 0, "byte {at}");
        found += usize::from(code == 5);
        let show = clinic.run(&["--json", "patient", "show", &id]);
        if show.status.success() {
            let view: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
            assert_eq!(view["notes"], truth, "byte {at} changed an answer");
        }
        fs::write(&store, &sound).unwrap();
        fs::write(&mark, &sound_mark).unwrap();
    }
    assert!(found > 0, "no changed byte was found at all");
    assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    // The mark is what tells that a store was set back: that it is gone is told, too.
    fs::remove_file(&mark).unwrap();
    assert_eq!(
        clinic.run(&["audit", "verify", "--all"]).status.code(),
        Some(5)
    );
}
