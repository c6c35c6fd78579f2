//! A saved document is a cache: whatever it holds, it is never worth more than its entries, and never costs more.

use std::process::Command;

use salus::folder::Folder;
use salus_record::Record;
use salus_store::{Batch, Store};
use salus_vault::VaultFile;

use crate::process::{Clinic, PASSPHRASE};

/// A saved document of 1.9 kB with a fitting checksum that Automerge 0.12 loads until memory ends.
const NEVER_ENDS: &str = include_str!("../fuzz/regressions/snapshot-never-ends.hex");

fn never_ends() -> Vec<u8> {
    let digits: String = NEVER_ENDS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Puts these bytes in the place of a record's saved document, sealed as the node seals them: its owner has the keys.
fn replace_document(clinic: &Clinic, record: &str, document: &[u8]) {
    let folder = Folder::new(&clinic.folder);
    let vault = VaultFile::decode(&folder.read_vault().unwrap()).unwrap();
    let secrets = vault.unlock(None, PASSPHRASE).unwrap().secrets;
    let store = Store::open(&folder.store(), &secrets.storage).unwrap();
    let log = record.parse().unwrap();
    let held = store.snapshot(log, &secrets.index).unwrap().unwrap();
    // An array; the document is its third item.
    let mut decoder = minicbor::Decoder::new(&held);
    decoder.array().unwrap();
    decoder.skip().unwrap();
    decoder.skip().unwrap();
    let from = decoder.position();
    assert!(Record::new([0; 16]).save()[..4] == decoder.bytes().unwrap()[..4]);
    let to = decoder.position();
    let sealed = minicbor::to_vec(<&minicbor::bytes::ByteSlice>::from(document)).unwrap();
    let snapshot = [&held[..from], &sealed, &held[to..]].concat();
    store
        .commit(Batch {
            snapshots: vec![(log, Some(snapshot))],
            index_key: Some(secrets.index.clone()),
            ..Batch::default()
        })
        .unwrap();
}

#[test]
fn a_saved_document_that_would_take_all_memory_is_a_lost_cache() {
    let dir = tempfile::tempdir().unwrap();
    let clinic = Clinic::found(dir.path(), "Alpha");
    let id = clinic.patient("Okafor", "Ada");
    clinic.ok(&["patient", "note", &id, "Cough for three days."]);
    let truth = clinic.json(&["patient", "show", &id])["notes"].clone();
    assert_eq!(truth.as_array().unwrap().len(), 1);

    // By way of a shell with a limit, so that a node without the sandbox ends and not the machine.
    let show = || {
        let salus = clinic.command(&["--json", "patient", "show", &id]);
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 3000000; exec \"$@\"", "sh"])
            .arg(salus.get_program())
            .args(salus.get_args())
            .env("SALUS_PASSPHRASE", PASSPHRASE)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        view["notes"].clone()
    };
    assert_eq!(show(), truth, "so much memory is enough without an attack");
    for document in [never_ends(), never_ends()[..900].to_vec()] {
        replace_document(&clinic, &id, &document);
        assert_eq!(show(), truth);
    }
    // The next edit is written on top of what the entries say, and the cache is made again.
    clinic.ok(&["patient", "note", &id, "Better today."]);
    let notes = show();
    assert_eq!(notes.as_array().unwrap().len(), 2);
    assert_eq!(clinic.json(&["audit", "verify", "--all"])["ok"], true);
}
