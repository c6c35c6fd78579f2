//! Finding models.

use std::fs;
use std::path::Path;

use super::{quick, write_images};
use crate::imaging::train::{Request, Silent, train};
use crate::manifest::Manifest;
use crate::registry::{Found, Origin, Registry};
use crate::{MANIFEST_FILE, ModelError};

fn model(folder: &Path, output: &Path, version: &str) {
    let images = folder.join("images");
    if !images.exists() {
        write_images(&images, 8, 0);
    }
    let mut settings = quick();
    settings.stages[0].epochs = 1;
    train(
        &Request {
            images: &images,
            base: &super::base(),
            settings: &settings,
            state: &folder.join("state"),
            output,
            version,
            now_ms: 1,
        },
        &Silent,
    )
    .unwrap();
}

#[test]
fn a_folder_given_first_goes_before_the_others_and_a_broken_one_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (
        folder.path().join("mine"),
        folder.path().join("models/imaging"),
    );
    model(folder.path(), &first, "mine");
    model(folder.path(), &second, "clinic's");
    let folders = vec![
        first.clone(),
        folder.path().join("models"),
        folder.path().join("none"),
    ];
    let registry = Registry::new(folders);
    let found = registry.find("imaging").unwrap();
    assert_eq!(found.manifest.version, "mine");
    assert_eq!(found.origin, Origin::Folder(first.clone()));
    found.verify().unwrap();
    let versions: Vec<_> = registry
        .list()
        .unwrap()
        .into_iter()
        .filter_map(|found| match found {
            Found::Model(entry) => Some(entry.manifest.version),
            Found::Broken { .. } => None,
        })
        .collect();
    assert_eq!(versions[..2], ["mine", "clinic's"]);

    let error = registry.find("speech").unwrap_err().to_string();
    assert!(
        error.contains("\"speech\"") && error.contains("imaging"),
        "{error}"
    );

    fs::write(second.join(MANIFEST_FILE), "{").unwrap();
    let registry = Registry::new(vec![folder.path().join("models")]);
    assert!(matches!(
        registry.find("imaging"),
        Err(ModelError::Manifest(_))
    ));
    assert!(matches!(registry.list().unwrap()[0], Found::Broken { .. }));
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("model");
    model(folder.path(), &output, "1");
    let text = fs::read_to_string(output.join(MANIFEST_FILE)).unwrap();
    Manifest::parse(text.as_bytes()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = |pointer: &str, new: serde_json::Value| {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = new;
        Manifest::parse(value.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(changed("/format", 2.into()).contains("format 2"));
    assert!(changed("/categories", serde_json::json!(["one"])).contains("number of categories"));
    assert!(changed("/preprocessing/deviation", 0.into()).contains("preprocessing"));
    assert!(changed("/temperature", 0.into()).contains("temperature"));
    assert!(changed("/usual/features", 9.into()).contains("usual"));
    assert!(changed("/architecture/input_px", 100_000_000.into()).contains("network"));
    assert!(changed("/weights/file", "../other".into()).contains("plain name"));
    assert!(changed("/weights/file", "/etc/hosts".into()).contains("plain name"));
}
