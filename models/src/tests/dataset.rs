//! Folders of images.

use std::fs;

use salus_imaging::encode_png;

use super::{KINDS, SIDE, picture, write_images};
use crate::ModelError;
use crate::imaging::dataset::{Dataset, DatasetOptions, LicencePolicy};

const EACH: &(dyn Fn() -> bool + Sync) = &|| true;

#[test]
fn labels_beside_or_above_say_group_source_and_licence() {
    let folder = tempfile::tempdir().unwrap();
    write_images(&folder.path().join("train"), 2, 0);
    let row = |kind: usize, number: usize, licence: &str| {
        format!(
            "train/{}/{number:03}.png\t{licence}\tpatient {number}\tsomewhere\n",
            KINDS[kind]
        )
    };
    let labels = format!(
        "file\tlicence\tgroup\tsource_repo\n{}{}",
        row(0, 1, "CC BY 4.0 (a page)"),
        row(1, 0, "unverified: CC BY 4.0")
    );
    fs::write(folder.path().join("labels.tsv"), labels).unwrap();

    let all = Dataset::open_split(folder.path(), "train", &DatasetOptions::default()).unwrap();
    assert_eq!(all.categories, KINDS);
    assert_eq!(all.items.len(), 6);
    let known: Vec<_> = all
        .items
        .iter()
        .filter(|item| item.source.is_some())
        .collect();
    assert_eq!(known.len(), 2);
    assert!(known.iter().any(|item| item.group == "patient 1"));
    let groups: std::collections::BTreeSet<_> = all.items.iter().map(|item| &item.group).collect();
    assert_eq!(groups.len(), 6);

    let verified = DatasetOptions {
        licences: LicencePolicy::Verified,
        ..DatasetOptions::default()
    };
    let some = Dataset::open_split(folder.path(), "train", &verified).unwrap();
    assert_eq!((some.items.len(), some.left_out), (1, 5));
    assert_eq!(
        some.licences().into_iter().collect::<Vec<_>>(),
        [("CC BY 4.0 (a page)".to_owned(), 1)]
    );
}

#[test]
fn licences_that_do_not_allow_it_are_told_from_those_that_do() {
    let policy = LicencePolicy::Verified;
    for yes in [
        "MIT",
        "MIT (a card)",
        "CC BY 3.0",
        "CC0 1.0",
        "Apache-2.0",
        "BSD-3-Clause",
    ] {
        assert!(policy.allows(yes), "{yes}");
    }
    for no in [
        "",
        "unknown",
        "unverified: CC BY 4.0",
        "CC BY-NC-SA 4.0",
        "CC BY-ND",
        "MITRE",
        "none",
    ] {
        assert!(!policy.allows(no), "{no}");
        assert!(LicencePolicy::Any.allows(no));
    }
}

#[test]
fn broken_files_are_listed_up_to_a_number() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), 2, 0);
    fs::write(
        folder.path().join(KINDS[0]).join("broken.jpg"),
        b"no picture",
    )
    .unwrap();
    let dataset = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
    let squares = dataset.squares(&[SIDE, 40], 1, EACH).unwrap();
    assert_eq!(squares.broken.len(), 1);
    assert!(squares.broken[0].path.ends_with("broken.jpg"));
    let sizes: Vec<_> = squares
        .levels
        .iter()
        .flatten()
        .map(|levels| levels.iter().map(Vec::len).collect::<Vec<_>>())
        .collect();
    assert_eq!(sizes, vec![vec![SIDE * SIDE, 1600]; 6]);
    let error = dataset.squares(&[SIDE], 0, EACH).unwrap_err().to_string();
    assert!(error.contains("broken.jpg"), "{error}");
    assert!(matches!(
        dataset.squares(&[SIDE], 1, &|| false),
        Err(ModelError::Stopped)
    ));
}

#[test]
fn the_hash_of_the_images_is_that_of_what_they_show_and_are_called_as_category() {
    let hash = |name: &str, kind: usize| {
        let folder = tempfile::tempdir().unwrap();
        write_images(folder.path(), 1, 0);
        let inside = folder.path().join(KINDS[0]);
        fs::remove_file(inside.join("000.png")).unwrap();
        fs::write(inside.join(name), encode_png(&picture(kind, 0))).unwrap();
        let dataset = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
        dataset.squares(&[SIDE], 0, EACH).unwrap().blake3
    };
    assert_eq!(hash("a.png", 0), hash("z.png", 0));
    assert_ne!(hash("a.png", 0), hash("a.png", 1));
}

#[test]
fn folders_that_hold_no_images_are_refused_with_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let options = DatasetOptions::default();
    let said = |result: Result<Dataset, ModelError>| result.unwrap_err().to_string();
    assert!(said(Dataset::open(folder.path(), &options)).contains("expected are folders"));
    assert!(said(Dataset::open(&folder.path().join("none"), &options)).contains("none"));
    write_images(&folder.path().join("val"), 1, 0);
    assert!(
        said(Dataset::open_split(folder.path(), "train", &options)).contains("no folder \"train\"")
    );
    let other = DatasetOptions {
        categories: Some(vec!["other".to_owned()]),
        ..DatasetOptions::default()
    };
    assert!(
        said(Dataset::open(&folder.path().join("val"), &other)).contains("none of the categories")
    );
}

#[test]
fn folders_of_other_categories_are_left_out_where_that_is_asked_and_name_kinds_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path(), 2, 0);
    let two = DatasetOptions {
        categories: Some(vec![KINDS[2].to_owned(), KINDS[0].to_owned()]),
        known_only: true,
        ..DatasetOptions::default()
    };
    let some = Dataset::open(folder.path(), &two).unwrap();
    assert_eq!(some.counts(), [2, 2]);
    assert_eq!(some.others, [KINDS[1]]);
    let none = DatasetOptions {
        categories: Some(vec!["other".to_owned()]),
        ..two
    };
    let error = Dataset::open(folder.path(), &none).unwrap_err().to_string();
    assert!(
        error.contains("other") && error.contains(KINDS[1]),
        "{error}"
    );

    // A list of categories beside the folders is none of kinds.
    fs::write(folder.path().join("categories.txt"), "other\n").unwrap();
    let kinds = Dataset::open_kinds(folder.path()).unwrap();
    assert_eq!(kinds.categories, KINDS);
    assert_eq!(kinds.counts(), [2; 3]);
}
