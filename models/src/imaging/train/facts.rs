//! What follows from the images alone: what the manifest says of them, and how much each category weighs.

use std::collections::{BTreeMap, BTreeSet};

use crate::imaging::dataset::Dataset;
use crate::manifest::Data;
use crate::metrics::family;

/// Rare categories weigh more: the `balance`-th power of how much rarer than the mean they are.
pub fn category_weights(dataset: &Dataset, balance: f32) -> Vec<f32> {
    let counts = dataset.counts();
    let all: usize = counts.iter().sum();
    counts
        .iter()
        .map(|count| (all as f32 / (counts.len() * count.max(&1)) as f32).powf(balance))
        .collect()
}

fn groups(dataset: &Dataset) -> usize {
    let groups: BTreeSet<&str> = dataset
        .items
        .iter()
        .map(|item| item.group.as_str())
        .collect();
    groups.len()
}

fn sources(dataset: &Dataset) -> BTreeMap<String, usize> {
    let mut sources = BTreeMap::new();
    for source in dataset.items.iter().filter_map(|item| item.source.clone()) {
        *sources.entry(source).or_default() += 1;
    }
    sources
}

/// Categories all of whose images come from sources that gave no other category of the family: a network can tell them
/// by where they come from, and nothing in the data shows whether it does.
pub fn unreliable(dataset: &Dataset) -> BTreeMap<String, String> {
    let mut of_category: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for item in &dataset.items {
        if let Some(source) = &item.source {
            of_category.entry(item.category).or_default().insert(source);
        }
    }
    let name = |category: &usize| dataset.categories[*category].as_str();
    let mut found = BTreeMap::new();
    for (category, sources) in &of_category {
        let mut others = of_category.iter().filter(|(other, _)| {
            *other != category && family(name(other)) == family(name(category))
        });
        let has_family = others.clone().next().is_some();
        if has_family && others.all(|(_, other)| other.is_disjoint(sources)) {
            found.insert(
                name(category).to_owned(),
                "all its training images come from sources that gave no other category of its family: \
                 the network may tell the origin, not the disease"
                    .to_owned(),
            );
        }
    }
    found
}

/// What the manifest says of the images.
pub fn stated(dataset: &Dataset, blake3: String, broken: usize) -> Data {
    let names = dataset.categories.iter().cloned();
    Data {
        blake3,
        images: names.zip(dataset.counts()).collect(),
        groups: groups(dataset),
        sources: sources(dataset),
        licences: dataset.licences(),
        left_out: dataset.left_out,
        broken,
    }
}
