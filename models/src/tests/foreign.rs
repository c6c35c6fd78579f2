//! The built-in model and drawn images that it should say nothing about.

use std::collections::BTreeSet;

use crate::imaging::foreign::{Foreign, KINDS};
use crate::registry::Registry;

#[test]
fn drawn_images_differ_by_kind_and_number_and_are_the_same_every_time() {
    let mut seen = BTreeSet::new();
    for kind in KINDS {
        for number in 0..3 {
            let levels = kind.draw(number, 64);
            assert_eq!(levels.len(), 64 * 64);
            assert_eq!(levels, kind.draw(number, 64));
            assert!(seen.insert(levels), "{kind:?} {number} is there already");
        }
    }
}

#[test]
fn the_built_in_model_says_nothing_about_drawn_images() {
    let classifier = Registry::default()
        .find("imaging")
        .unwrap()
        .load(None)
        .unwrap();
    let mut found = Foreign::default();
    classifier.foreign_drawn(8, &mut found).unwrap();
    assert_eq!(found.kinds.len(), KINDS.len());
    assert_eq!(found.all.n, 8 * KINDS.len());
    assert_eq!(
        found.all.assessed,
        found.all.taken_for.values().sum::<usize>()
    );
    assert!(found.all.assessed * 20 <= found.all.n, "{found:?}");
}
