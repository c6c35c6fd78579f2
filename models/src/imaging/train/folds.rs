//! Cross-validation folds that keep what belongs together on one side.
//!
//! Slices of one scan look alike, and a set without patient numbers often still has its scans' order in the files' names.
//! So each category of each source is cut into runs of neighbours, and a run is held out as a whole: folds of single
//! slices would ask what the network remembers of a patient, and not what it learnt. A group that a run would cut stays
//! with its first image.

use std::collections::BTreeMap;

use crate::imaging::dataset::Item;

/// Runs that each fold holds out of each category of each source. More than one, so that a fold is not one hospital's
/// year; few, so that few neighbours are parted.
const RUNS_PER_FOLD: usize = 2;

/// Which fold each image is held out in: 0 to `folds - 1`.
pub fn assign(items: &[Item], folds: usize) -> Vec<usize> {
    let folds = folds.max(1);
    let mut parts: BTreeMap<(usize, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let part = (item.category, item.source.as_deref());
        parts.entry(part).or_default().push(index);
    }
    let mut fold_of_group: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fold_of = vec![0; items.len()];
    for mut part in parts.into_values() {
        part.sort_by_cached_key(|index| natural(&items[*index].name));
        let runs = folds * RUNS_PER_FOLD;
        for (place, index) in part.iter().enumerate() {
            let own = place * runs / part.len() % folds;
            fold_of[*index] = *fold_of_group.entry(&items[*index].group).or_insert(own);
        }
    }
    fold_of
}

/// A name's parts, so that 9 comes before 10.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (text, numbered) = rest.split_at(digits);
        let end = numbered
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(numbered.len());
        let (number, behind) = numbered.split_at(end);
        // A number too long for an integer is as good as the largest: the order of such names says nothing.
        let number = if number.is_empty() {
            0
        } else {
            number.parse().unwrap_or(u64::MAX)
        };
        parts.push((text.to_owned(), number));
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(category: usize, number: usize, group: String) -> Item {
        Item {
            path: "".into(),
            category,
            group,
            source: None,
            licence: None,
            name: format!("scan ({number}).jpg"),
        }
    }

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["a (10).jpg", "a (9).jpg", "a.jpg", "a (100).jpg"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a (9).jpg", "a (10).jpg", "a (100).jpg", "a.jpg"]);
        assert_eq!(natural("99999999999999999999999").len(), 1);
    }

    #[test]
    fn neighbours_and_groups_stay_together_and_folds_are_alike() {
        let mut items = Vec::new();
        for category in 0..3 {
            for number in 0..120 {
                items.push(item(category, number, format!("{category} {}", number / 4)));
            }
        }
        let fold_of = assign(&items, 3);
        let mut fold_of_group = BTreeMap::new();
        for (item, fold) in items.iter().zip(&fold_of) {
            assert_eq!(fold_of_group.entry(&item.group).or_insert(*fold), fold);
        }
        for category in 0..3 {
            for fold in 0..3 {
                let count = items
                    .iter()
                    .zip(&fold_of)
                    .filter(|(item, of)| item.category == category && **of == fold)
                    .count();
                assert_eq!(count, 40);
            }
        }
        let changes = fold_of.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 3 * 6, "{changes}");
    }

    #[test]
    fn a_group_of_two_categories_is_in_one_fold() {
        let items: Vec<Item> = (0..40)
            .map(|i| item(i % 2, i / 2, format!("patient {}", i / 2)))
            .collect();
        let fold_of = assign(&items, 4);
        assert!(fold_of.chunks(2).all(|pair| pair[0] == pair[1]));
        assert!((0..4).all(|fold| fold_of.contains(&fold)));
    }
}
