//! A crate may use only those above it: the allowed edges are data, here.

use std::fs;
use std::path::Path;

/// Every crate with its folder and the crates of the product that it may use.
const LAYERS: &[(&str, &str, &[&str])] = &[
    ("salus-record", "crates/record", &[]),
    ("salus-audit", "crates/audit", &[]),
    ("salus-vault", "crates/vault", &["salus-audit"]),
    ("salus-fhir", "crates/fhir", &["salus-record"]),
    ("salus-sync", "crates/sync", &["salus-audit"]),
    (
        "salus-store",
        "crates/store",
        &["salus-audit", "salus-vault"],
    ),
    ("salus-sandbox", "crates/sandbox", &[]),
    ("salus-kernels", "crates/kernels", &[]),
    ("salus-imaging", "crates/imaging", &[]),
    ("salus-media", "crates/media", &["salus-imaging"]),
    (
        "salus-models",
        "models",
        &["salus-kernels", "salus-imaging"],
    ),
    ("salus-mesh", "crates/mesh", &["salus-audit", "salus-sync"]),
    ("salus-api", "crates/api", &["salus-record"]),
    ("salus-tui", "tui", &["salus-api"]),
    (
        "salus",
        "node",
        &[
            "salus-record",
            "salus-audit",
            "salus-vault",
            "salus-fhir",
            "salus-sync",
            "salus-store",
            "salus-sandbox",
            "salus-imaging",
            "salus-media",
            "salus-models",
            "salus-mesh",
            "salus-api",
            "salus-tui",
        ],
    ),
];

/// Crates that must stay pure: no runtime, no network, no files of their own.
const PURE: &[&str] = &[
    "salus-record",
    "salus-audit",
    "salus-vault",
    "salus-fhir",
    "salus-sync",
    "salus-imaging",
    "salus-media",
];
/// What a pure crate must not depend on.
const IMPURE: &[&str] = &[
    "tokio", "iroh", "redb", "tempfile", "dirs", "clap", "ratatui",
];

fn dependencies(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside {
            let name: String = line
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_')
                .collect();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn a_crate_uses_only_those_above_it() {
    for (name, folder, allowed) in LAYERS {
        for dependency in dependencies(folder) {
            if dependency.starts_with("salus") {
                assert!(
                    allowed.contains(&dependency.as_str()),
                    "{name} must not use {dependency}"
                );
            }
            if PURE.contains(name) {
                assert!(
                    !IMPURE.contains(&dependency.as_str()),
                    "{name} is pure and must not use {dependency}"
                );
            }
        }
    }
}

#[test]
fn every_crate_has_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let folder = format!("crates/{name}");
        assert!(
            LAYERS.iter().any(|(_, f, _)| *f == folder),
            "{folder} is not in the table"
        );
    }
}
