//! How sure a number is that was counted on images, some of which belong together.

use std::collections::BTreeMap;

use crate::calibration::quantile;
use crate::draws::Draws;

const ROUNDS: usize = 1000;

/// What belongs together, by the name of its group.
pub fn grouped<'a, T>(named: impl Iterator<Item = (&'a str, T)>) -> Vec<Vec<T>> {
    let mut groups: BTreeMap<&str, Vec<T>> = BTreeMap::new();
    for (group, one) in named {
        groups.entry(group).or_default().push(one);
    }
    groups.into_values().collect()
}

/// 95 % confidence intervals: the 2.5th and 97.5th percentile of each number over samples of as many groups, drawn with
/// replacement.
pub fn intervals<T: Copy>(
    groups: &[Vec<T>],
    seed: u64,
    numbers: &dyn Fn(&[T]) -> Vec<f64>,
) -> Vec<(f64, f64)> {
    let mut draws = Draws::new(seed, "bootstrap", &[]);
    let mut rounds: Vec<Vec<f64>> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let sample: Vec<T> = (0..groups.len())
            .flat_map(|_| groups[draws.below(groups.len())].iter().copied())
            .collect();
        rounds.push(numbers(&sample));
    }
    let width = rounds.first().map_or(0, Vec::len);
    (0..width)
        .map(|number| {
            let values: Vec<f64> = rounds
                .iter()
                .map(|round| round[number])
                .filter(|value| value.is_finite())
                .collect();
            (quantile(&values, 0.025), quantile(&values, 0.975))
        })
        .collect()
}
