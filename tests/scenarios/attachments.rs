//! Files of a record: sealed at one clinic, looked at in another, out of reach of a third, gone once they are erased.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::at_rest::{contains, files as files_of};
use crate::images::png;
use crate::process::{Clinic, two};

/// What is fetched in the background has come within this time, or does not come.
const COMES_WITHIN: Duration = Duration::from_secs(30);
/// A word that is in a file and must be nowhere else.
const CANARY: &str = "xanthogranuloma";

/// A report in plain text.
fn report(dir: &Path) -> PathBuf {
    let path = dir.join("report.txt");
    std::fs::write(&path, format!("Histology: {CANARY}.\n").repeat(200)).unwrap();
    path
}

/// A DICOM file (explicit VR, little endian): 8 x 8 samples of 16 bits, of this patient.
fn dicom(dir: &Path, name: &str, patient: &str, birth: &str) -> PathBuf {
    let path = dir.join(name);
    let pixels: Vec<u8> = (0..64_u16).flat_map(|n| (n * 10).to_le_bytes()).collect();
    std::fs::write(&path, dicom_of(patient, birth, (8, 1), &pixels)).unwrap();
    path
}

/// The same of so many frames with sides of so many pixels.
fn dicom_of(patient: &str, birth: &str, (side, frames): (u16, u16), pixels: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    let element = |group: u16, tag: u16, vr: &str, value: &[u8]| {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&group.to_le_bytes());
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(vr.as_bytes());
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        if matches!(vr, "OB" | "OW") {
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        bytes.extend_from_slice(&value);
        bytes
    };
    let number = |n: u16| n.to_le_bytes().to_vec();
    let syntax = element(2, 0x10, "UI", b"1.2.840.10008.1.2.1");
    let class = element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.2");
    let instance = element(2, 3, "UI", b"1.2.3.4");
    let meta = [class, instance, syntax].concat();
    let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
    file.extend(element(2, 0, "UL", &length));
    file.extend(meta);
    for part in [
        element(8, 0x16, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
        element(8, 0x18, "UI", b"1.2.3.4"),
        element(8, 0x20, "DA", b"20260102"),
        element(8, 0x60, "CS", b"CT"),
        element(0x10, 0x10, "PN", patient.as_bytes()),
        element(0x10, 0x30, "DA", birth.as_bytes()),
        element(0x20, 0xd, "UI", b"1.2.3"),
        element(0x28, 2, "US", &number(1)),
        element(0x28, 4, "CS", b"MONOCHROME2"),
        element(0x28, 8, "IS", frames.to_string().as_bytes()),
        element(0x28, 0x10, "US", &number(side)),
        element(0x28, 0x11, "US", &number(side)),
        element(0x28, 0x100, "US", &number(16)),
        element(0x28, 0x101, "US", &number(16)),
        element(0x28, 0x102, "US", &number(15)),
        element(0x28, 0x103, "US", &number(0)),
        element(0x7fe0, 0x10, "OW", pixels),
    ] {
        file.extend(part);
    }
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until the list of a record's files is as wished.
fn until(clinic: &Clinic, patient: &str, wish: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let files = clinic.lines(&["attachments", patient]);
        if wish(&files) {
            return files;
        }
        assert!(begun.elapsed() < COMES_WITHIN, "{files:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_file_is_seen_where_it_is_granted_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let c = Clinic::found(dir.path(), "Gamma");
    a.know(&c);
    c.know(&a);
    let id = a.patient("Okafor", "Ada");
    let (report, picture) = (report(dir.path()), dir.path().join("skin.png"));
    png(&picture, 64, |x, y| x * 3 + y);
    a.ok(&["attach", &id, text(&report), text(&picture)]);
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    let _serves = a.daemon();
    b.ok(&["sync"]);
    c.ok(&["sync"]);
    // A command that syncs brings what the policy says before it ends.
    let files = b.lines(&["attachments", &id]);
    let names: Vec<&str> = files.iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["report.txt", "skin.png"]);
    for file in &files {
        assert_eq!(file["available"], true, "{file}");
        assert_eq!(file["clinic"], "Alpha");
    }
    assert_eq!(files[1]["mime"], "image/png");
    assert_eq!(files[1]["facts"]["width"], 64);
    assert_eq!(files[1]["preview"], true);
    let copy = dir.path().join("copy.txt");
    b.ok(&["fetch", &id, "report.txt", "-o", text(&copy)]);
    assert_eq!(
        std::fs::read(&copy).unwrap(),
        std::fs::read(&report).unwrap()
    );
    let said = b.fails(1, &["fetch", &id, "report.txt", "-o", text(&copy)]);
    assert!(said.contains("there already"), "{said}");
    let out = b.run(&["fetch", &id, "skin.png", "-o", "-"]);
    assert_eq!(out.stdout, std::fs::read(&picture).unwrap());
    // Who has no grant gets neither bytes nor the fact that they exist.
    let said = c.fails(4, &["attachments", &id]);
    assert!(!said.contains("report"), "{said}");
    let blobs: Vec<&str> = files.iter().map(|f| f["blob"].as_str().unwrap()).collect();
    for path in files_of(&c.folder.join("blobs")) {
        for blob in &blobs {
            assert!(!path.to_string_lossy().contains(blob));
            assert!(!contains(&path, blob));
        }
    }
    // Every export is an entry of the log.
    let log = b.ok(&["audit", "log", &id]);
    let exported = format!("file exported: {}", files[0]["id"].as_str().unwrap());
    assert!(log.contains(&exported), "{log}");
}

#[test]
fn nothing_readable_of_a_file_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    a.ok(&["attach", &id, text(&report(dir.path()))]);
    let scan = dicom(dir.path(), "scan.dcm", "Okafor^Ada", "19800229");
    a.ok(&["attach", &id, text(&scan)]);
    a.ok(&["backup", text(&dir.path().join("all.backup"))]);
    let mut all = files_of(&a.folder);
    all.push(dir.path().join("all.backup"));
    assert!(all.len() > 6);
    for path in all {
        for word in [CANARY, "report.txt", "scan.dcm", "DICM", "Okafor"] {
            assert!(!contains(&path, word), "{word} in {}", path.display());
            assert!(!path.to_string_lossy().contains(word));
        }
    }
}

#[test]
fn a_scan_of_another_person_is_refused_unless_that_is_confirmed_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let own = dicom(dir.path(), "own.dcm", "OKAFOR^ADA", "19800229");
    let other = dicom(dir.path(), "other.dcm", "Smith^John", "19700101");
    // All of them, or none.
    let said = a.fails(3, &["attach", &id, text(&own), text(&other)]);
    assert!(
        said.contains("other.dcm") && said.contains("birth date"),
        "{said}"
    );
    assert!(a.lines(&["attachments", &id]).is_empty());
    a.ok(&["attach", &id, text(&own)]);
    let said = a.lines(&["--yes", "attach", &id, text(&other)]);
    assert_eq!(said[0]["added"], true);
    let files = a.lines(&["attachments", &id]);
    let tags = &files[0]["dicom"];
    assert_eq!(
        (&tags["modality"], &tags["rows"], &tags["columns"]),
        (&"CT".into(), &8.into(), &8.into())
    );
    assert_eq!((&tags["px_min"], &tags["px_max"]), (&0.into(), &630.into()));
    let warned = files[1]["facts"]["warnings"][0].as_str().unwrap();
    assert!(warned.contains("confirmed"), "{warned}");
    // Again is no change.
    let said = a.lines(&["attach", &id, text(&own)]);
    assert_eq!(said[0]["added"], false);
    assert_eq!(a.lines(&["attachments", &id]).len(), 2);
    // A folder is imported, each file by itself.
    let folder = dir.path().join("study");
    std::fs::create_dir(&folder).unwrap();
    dicom(&folder, "1", "OKAFOR^ADA", "19800229");
    dicom(&folder, "2", "Smith^John", "19700101");
    std::fs::write(folder.join("README"), "text").unwrap();
    let said = a.fails(3, &["import", text(&folder), "--patient", &id]);
    assert!(said.contains("name another person"), "{said}");
    assert_eq!(
        a.lines(&["attachments", &id]).len(),
        2,
        "1 is own.dcm by its bytes"
    );
}

#[test]
fn an_erased_file_is_gone_at_every_clinic_and_the_log_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["attach", &id, text(&report(dir.path()))]);
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    let serves = a.daemon();
    b.ok(&["sync"]);
    let file = &b.lines(&["attachments", &id])[0];
    let (blob, own) = (file["blob"].as_str().unwrap(), file["id"].as_str().unwrap());
    assert_eq!(file["available"], true);
    // Beta may write, and did not attach it.
    b.fails(3, &["erase", &id, own, "--reason", "a mistake"]);
    a.ok(&["erase", &id, own, "--reason", "of another patient"]);
    b.ok(&["sync"]);
    drop(serves);
    let receives = b.daemon();
    for clinic in [&a, &b] {
        let files = until(clinic, &id, |files| !files[0]["erased"].is_null());
        assert_eq!(files[0]["erased"], "of another patient");
        assert_eq!(files[0]["name"], "");
        clinic.fails(4, &["fetch", &id, own, "-o", text(&dir.path().join("x"))]);
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
    }
    drop(receives);
    b.ok(&["doctor"]);
    for clinic in [&a, &b] {
        for path in files_of(&clinic.folder.join("blobs/data")) {
            assert!(!path.to_string_lossy().contains(blob), "{}", path.display());
            assert!(!contains(&path, CANARY));
        }
    }
    // A newcomer gets the log without what was erased, and goes on from it.
    let c = Clinic::found(dir.path(), "Gamma");
    a.know(&c);
    c.know(&a);
    let serves = a.daemon();
    c.ok(&["sync"]);
    a.ok(&["grant", &id, "Gamma", "--role", "read"]);
    c.ok(&["sync"]);
    let files = c.lines(&["attachments", &id]);
    assert_eq!(files[0]["erased"], "of another patient");
    assert_eq!(c.json(&["audit", "verify", "--all"])["ok"], true);
    drop(serves);
}

#[test]
fn an_erased_record_is_gone_at_every_clinic_and_a_backup_of_before_learns_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    a.ok(&["attach", &id, text(&report(dir.path()))]);
    a.ok(&["grant", &id, "Beta", "--role", "write"]);
    let serves = a.daemon();
    b.ok(&["sync"]);
    let blob = b.lines(&["attachments", &id])[0]["blob"].clone();
    let blob = blob.as_str().unwrap();
    // Beta goes on writing, apart; and keeps a backup.
    b.ok(&["patient", "note", &id, "seen at Beta"]);
    let saved = dir.path().join("beta.backup");
    b.ok(&["backup", text(&saved)]);
    b.fails(3, &["erase", &id, "--reason", "a mistake", "--yes"]);
    // A file was meant and not named.
    a.fails(1, &["erase", &id, "--reason", "asked for"]);
    a.ok(&["patient", "show", &id]);
    a.ok(&["erase", &id, "--reason", "asked for", "--yes"]);
    b.ok(&["sync"]);
    for clinic in [&a, &b] {
        let told = clinic.fails(4, &["patient", "show", &id]);
        let named = format!("record {} was erased on", &id[..12]);
        assert!(
            told.contains(&named) && told.contains("asked for"),
            "{told}"
        );
        assert!(
            told.contains(&format!("`salus audit log {}`", &id[..12])),
            "{told}"
        );
        clinic.fails(4, &["patient", "note", &id, "more"]);
        clinic.fails(4, &["patient", "show", "Ada Okafor"]);
        assert!(clinic.lines(&["patient", "list"]).is_empty());
        let rows = clinic.lines(&["audit", "log", &id[..12]]);
        assert!(rows.iter().any(|row| row["kind"] == "erase"), "{rows:?}");
        assert!(!format!("{rows:?}").contains("Okafor"));
        assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
        clinic.ok(&["doctor"]);
        for path in files_of(&clinic.folder.join("blobs/data")) {
            assert!(!path.to_string_lossy().contains(blob), "{}", path.display());
        }
    }
    // What was kept aside has it still, and learns of the erasure with the first sync.
    std::fs::rename(&b.folder, dir.path().join("dead")).unwrap();
    b.ok(&["restore", text(&saved)]);
    b.ok(&["patient", "show", &id]);
    b.ok(&["sync"]);
    b.fails(4, &["patient", "show", &id]);
    assert_eq!(b.json(&["audit", "verify", "--all"])["ok"], true);
    drop(serves);
}

#[test]
fn damaged_files_are_found_and_brought_again_and_backups_hold_them() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = two(dir.path());
    let id = a.patient("Okafor", "Ada");
    // Large enough to be a file of its own in the folder of blobs.
    let big = dir.path().join("big.txt");
    std::fs::write(&big, format!("{CANARY} line of text\n").repeat(20_000)).unwrap();
    a.ok(&["attach", &id, text(&big)]);
    a.ok(&["grant", &id, "Beta", "--role", "read"]);
    let serves = a.daemon();
    b.ok(&["sync"]);
    drop(serves);
    let path = files_of(&b.folder.join("blobs/data"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "data"))
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = b.run(&["doctor"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stdout).contains("1 damaged"));
    let serves = a.daemon();
    let receives = b.daemon();
    b.ok(&["doctor", "--repair"]);
    let copy = dir.path().join("copy.txt");
    b.ok(&["fetch", &id, "big.txt", "-o", text(&copy)]);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&big).unwrap());
    drop((serves, receives));
    let backup = dir.path().join("a.backup");
    a.ok(&["backup", text(&backup)]);
    let again = Clinic {
        folder: dir.path().join("again"),
        name: a.name.clone(),
        id: a.id.clone(),
        words: a.words.clone(),
    };
    again.ok(&["restore", text(&backup)]);
    let copy = dir.path().join("restored.txt");
    again.ok(&["fetch", &id, "big.txt", "-o", text(&copy)]);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&big).unwrap());
}

#[test]
fn what_is_no_file_or_of_no_kind_is_refused_with_a_reason_and_nothing_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let scan = dicom(dir.path(), "whole.dcm", "Okafor^Ada", "19800229");
    let scan = std::fs::read(scan).unwrap();
    for (path, code, why) in [
        (file("empty.png", b""), 1, "empty"),
        (file("tool.exe", b"MZ\x90\0\x03\0\0\0"), 1, "kind"),
        (file("cut.png", b"\x89PNG\r\n\x1a\n\0\0"), 1, "cut off"),
        (file("cut.dcm", &scan[..scan.len() - 40]), 1, "cut.dcm"),
        (dir.path().join("absent"), 4, "absent"),
        (dir.path().to_owned(), 2, "folder"),
    ] {
        let said = a.fails(code, &["attach", &id, text(&path)]);
        assert!(said.contains(why), "{why}: {said}");
    }
    assert!(a.lines(&["attachments", &id]).is_empty());
    let good = file("good.txt", b"good");
    a.fails(4, &["attach", &id, text(&good), "--about", "nothing"]);
    a.fails(4, &["attach", "nobody", text(&good)]);
    a.fails(2, &["attach", &id]);
    // The name says one thing, the content another.
    let wrong = file("note.pdf", b"plain words");
    let said = a.lines(&["attach", &id, text(&wrong)]);
    assert_eq!(said[0]["mime"], "text/plain");
    assert!(!said[0]["warnings"].as_array().unwrap().is_empty());
    a.fails(4, &["erase", &id, "other.txt", "--reason", "x"]);
    a.fails(2, &["erase", &id, "note.pdf", "--reason", " "]);
}

#[test]
fn a_process_killed_while_it_attaches_leaves_a_whole_file_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let mut whole = 0;
    for (n, after) in [3, 10, 30, 60, 100, 150, 250, 400].into_iter().enumerate() {
        let path = dir.path().join(format!("{n}.txt"));
        let text_of = format!("{n}: {CANARY}\n").repeat(400_000);
        std::fs::write(&path, &text_of).unwrap();
        let mut child = a
            .command(&["attach", &id, text(&path)])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        let files = a.lines(&["attachments", &id]);
        let name = format!("{n}.txt");
        let Some(file) = files.iter().find(|file| file["name"] == name.as_str()) else {
            continue;
        };
        whole += 1;
        assert_eq!(file["available"], true);
        let copy = dir.path().join("copy.txt");
        a.ok(&["--yes", "fetch", &id, &name, "-o", text(&copy)]);
        assert_eq!(std::fs::read(&copy).unwrap(), text_of.as_bytes());
    }
    a.ok(&["doctor"]);
    assert_eq!(a.lines(&["attachments", &id]).len(), whole);
    assert_eq!(a.json(&["audit", "verify", "--all"])["ok"], true);
}

#[cfg(unix)]
#[test]
fn a_link_that_is_named_is_followed_to_a_file_and_to_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let id = a.patient("Okafor", "Ada");
    let link = dir.path().join("link.txt");
    std::os::unix::fs::symlink(report(dir.path()), &link).unwrap();
    let said = a.lines(&["attach", &id, text(&link)]);
    assert_eq!(said[0]["name"], "link.txt");
    let endless = dir.path().join("endless.txt");
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    let said = a.fails(1, &["attach", &id, text(&endless)]);
    assert!(said.contains("not a regular file"), "{said}");
}

/// What a node's memory may grow by, in KiB, while it is given a file of 48 MiB: half of what the product promises for any file.
#[cfg(target_os = "linux")]
const GROWS_BY: u64 = 32 * 1024;

#[cfg(target_os = "linux")]
#[test]
fn a_large_file_whole_or_broken_takes_little_memory_of_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let patient = clinic.patient("Okafor", "Ada");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    // 96 frames of 512 x 512 samples of 16 bits: 48 MiB.
    let pixels = vec![7; 96 * 512 * 512 * 2];
    let scan = dicom_of("Okafor^Ada", "19800229", (512, 96), &pixels);
    let whole = write("whole.dcm", &scan);
    let cut = write("cut.dcm", &scan[..scan.len() - 1_000]);
    drop((scan, pixels));
    let daemon = clinic.daemon();
    // What is opened once is opened: the store of blobs, the sandbox, the model.
    let small = dicom(dir.path(), "small.dcm", "Okafor^Ada", "19800229");
    let classify = |name: &str| {
        let args = [
            "ai",
            "classify",
            "--patient",
            &patient,
            "--attachment",
            name,
        ];
        clinic.ok(&args);
    };
    clinic.ok(&["attach", &patient, text(&small)]);
    classify("small.dcm");
    let before = daemon.memory("VmRSS");
    clinic.ok(&["attach", &patient, text(&whole)]);
    let said = clinic.fails(1, &["attach", &patient, text(&cut)]);
    assert!(said.contains("cut off"), "{said}");
    classify("whole.dcm");
    let grown = daemon.memory("VmHWM").saturating_sub(before);
    assert!(grown < GROWS_BY, "it grew by {grown} KiB");
    assert_eq!(clinic.lines(&["attachments", &patient]).len(), 2);
}
