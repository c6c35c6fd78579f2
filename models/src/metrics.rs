//! How good a classifier is, with how sure that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{grouped, intervals};

/// Bins of the expected calibration error.
const ECE_BINS: usize = 15;

/// One judged image.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What it is.
    pub truth: usize,
    /// One probability for each category.
    pub p: Vec<f64>,
    /// Patient or stand-in; images of one group are drawn together.
    pub group: String,
    /// Where it comes from.
    pub source: Option<String>,
    /// The classifier said "not assessed". It still counts by its probabilities; the share is stated beside.
    pub refused: bool,
}

impl Judged {
    /// The category with the highest probability, the first of equals.
    pub fn said(&self) -> usize {
        let mut best = 0;
        for (category, p) in self.p.iter().enumerate() {
            if *p > self.p[best] {
                best = category;
            }
        }
        best
    }

    fn right(&self) -> bool {
        self.said() == self.truth
    }
}

/// Numbers over all images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// Share that was right.
    pub accuracy: f64,
    /// Mean recall of the categories that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 of the categories that occur.
    pub macro_f1: f64,
    /// F1 over all decisions, which equals the accuracy where every image has one category.
    pub micro_f1: f64,
    /// Share with the truth among the three most likely.
    pub top3: f64,
    /// Mean area under the ROC curve, each category against all others; `None` where only one category occurs.
    pub auroc: Option<f64>,
    /// Mean over images of the squared errors of all probabilities, summed: 0 to 2.
    pub brier: f64,
    /// Expected calibration error: images are sorted into 15 bins of equal width by their highest probability; the
    /// mean, weighted by the bins' counts, of the difference between the bin's accuracy and its mean probability.
    pub ece: f64,
    /// Share that "not assessed" was said of.
    pub refused: f64,
    /// Accuracy among those that were assessed; `None` where none was.
    pub accuracy_assessed: Option<f64>,
}

/// Numbers of one category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfClass {
    /// Share of what was said to be this that is. 0 where it was never said.
    pub precision: f64,
    /// Share of what is this that was found.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Images.
    pub n: usize,
}

/// Numbers of one family or source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfPart {
    /// Share that was right.
    pub accuracy: f64,
    /// Mean recall of the categories that occur in it.
    pub balanced_accuracy: f64,
    /// Images.
    pub n: usize,
    /// 95 % confidence interval of the accuracy.
    pub ci95: (f64, f64),
}

/// What `models eval` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Images.
    pub n: usize,
    /// Groups (patients or their stand-ins).
    pub groups: usize,
    /// Over all images.
    pub metrics: Overall,
    /// By category.
    pub per_class: BTreeMap<String, OfClass>,
    /// By family: the first two words of the category ("brain-mri").
    pub per_family: BTreeMap<String, OfPart>,
    /// By source, where sources are known.
    pub per_source: BTreeMap<String, OfPart>,
    /// 95 % confidence intervals: percentiles of 1,000 bootstrap samples of whole groups.
    pub ci95: BTreeMap<String, (f64, f64)>,
    /// The categories in the order of the confusion.
    pub categories: Vec<String>,
    /// `confusion[truth][said]` images.
    pub confusion: Vec<Vec<usize>>,
}

/// The first two words of a category: body part and modality.
pub fn family(category: &str) -> &str {
    category
        .match_indices('-')
        .nth(1)
        .map_or(category, |(at, _)| &category[..at])
}

/// Judges a classifier by what it said; confidence intervals are drawn from `seed`.
pub fn evaluate(judged: &[Judged], categories: &[String], seed: u64) -> Evaluation {
    let all: Vec<&Judged> = judged.iter().collect();
    let mut confusion = vec![vec![0; categories.len()]; categories.len()];
    for one in judged {
        confusion[one.truth][one.said()] += 1;
    }
    let metrics = overall(&all, categories.len());
    let per_class = categories
        .iter()
        .enumerate()
        .map(|(index, name)| (name.clone(), of_class(&confusion, index)))
        .collect();
    let mut families: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
    let mut sources: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
    for one in judged {
        let name = family(&categories[one.truth]).to_owned();
        families.entry(name).or_default().push(one);
        if let Some(source) = &one.source {
            sources.entry(source.clone()).or_default().push(one);
        }
    }
    let parts = |parts: BTreeMap<String, Vec<&Judged>>| {
        parts
            .into_iter()
            .map(|(name, part)| {
                let numbers = overall(&part, categories.len());
                let ci = bootstrap(&part, seed, &|sample| vec![accuracy(sample)]);
                let of = OfPart {
                    accuracy: numbers.accuracy,
                    balanced_accuracy: numbers.balanced_accuracy,
                    n: part.len(),
                    ci95: ci[0],
                };
                (name, of)
            })
            .collect()
    };
    let names = [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "micro_f1",
        "top3",
        "auroc",
        "brier",
        "ece",
        "refused",
    ];
    let intervals = bootstrap(&all, seed, &|sample| {
        let o = overall(sample, categories.len());
        vec![
            o.accuracy,
            o.balanced_accuracy,
            o.macro_f1,
            o.micro_f1,
            o.top3,
            o.auroc.unwrap_or(f64::NAN),
            o.brier,
            o.ece,
            o.refused,
        ]
    });
    Evaluation {
        n: judged.len(),
        groups: by_group(&all).len(),
        per_class,
        per_family: parts(families),
        per_source: parts(sources),
        ci95: names
            .into_iter()
            .zip(intervals)
            .filter(|(_, (low, _))| low.is_finite())
            .map(|(name, interval)| (name.to_owned(), interval))
            .collect(),
        metrics,
        categories: categories.to_vec(),
        confusion,
    }
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

fn accuracy(judged: &[&Judged]) -> f64 {
    share(
        judged.iter().filter(|one| one.right()).count(),
        judged.len(),
    )
}

fn of_class(confusion: &[Vec<usize>], class: usize) -> OfClass {
    let n: usize = confusion[class].iter().sum();
    let said: usize = confusion.iter().map(|row| row[class]).sum();
    let right = confusion[class][class];
    OfClass {
        precision: share(right, said),
        recall: share(right, n),
        f1: share(2 * right, n + said),
        n,
    }
}

fn overall(judged: &[&Judged], categories: usize) -> Overall {
    let mut confusion = vec![vec![0; categories]; categories];
    let (mut top3, mut brier) = (0, 0.0);
    let (mut refused, mut right_assessed) = (0, 0);
    let mut bins = [(0_usize, 0.0_f64, 0_usize); ECE_BINS];
    for one in judged {
        let said = one.said();
        confusion[one.truth][said] += 1;
        let own = one.p[one.truth];
        let above = |(other, p): (usize, &f64)| *p > own || (*p == own && other < one.truth);
        let rank = one.p.iter().enumerate().filter(|pair| above(*pair)).count();
        top3 += usize::from(rank < 3);
        brier += one
            .p
            .iter()
            .enumerate()
            .map(|(category, p)| (p - f64::from(u8::from(category == one.truth))).powi(2))
            .sum::<f64>();
        if one.refused {
            refused += 1;
        } else {
            right_assessed += usize::from(one.right());
        }
        let confidence = one.p[said].clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability times the number of bins"
        )]
        let bin = ((confidence * ECE_BINS as f64) as usize).min(ECE_BINS - 1);
        bins[bin].0 += 1;
        bins[bin].1 += confidence;
        bins[bin].2 += usize::from(one.right());
    }
    let n = judged.len();
    let ece = bins
        .iter()
        .map(|(_, confidence, right)| (confidence - *right as f64).abs())
        .sum::<f64>()
        / n.max(1) as f64;
    let classes: Vec<OfClass> = (0..categories)
        .map(|class| of_class(&confusion, class))
        .filter(|class| class.n > 0)
        .collect();
    let mean =
        |of: fn(&OfClass) -> f64| classes.iter().map(of).sum::<f64>() / classes.len().max(1) as f64;
    let accuracy = accuracy(judged);
    Overall {
        accuracy,
        balanced_accuracy: mean(|class| class.recall),
        macro_f1: mean(|class| class.f1),
        micro_f1: accuracy,
        top3: share(top3, n),
        auroc: auroc(judged, categories),
        brier: brier / n.max(1) as f64,
        ece,
        refused: share(refused, n),
        accuracy_assessed: (refused < n).then(|| share(right_assessed, n - refused)),
    }
}

/// Mean over categories of the chance that an image of it gets a higher probability for it than another image (ties
/// count half): Mann and Whitney's statistic.
fn auroc(judged: &[&Judged], categories: usize) -> Option<f64> {
    let mut areas = Vec::new();
    for category in 0..categories {
        let mut scores: Vec<(f64, bool)> = judged
            .iter()
            .map(|one| (one.p[category], one.truth == category))
            .collect();
        let positives = scores.iter().filter(|(_, is)| *is).count();
        let negatives = scores.len() - positives;
        if positives == 0 || negatives == 0 {
            continue;
        }
        scores.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks = 0.0;
        let mut start = 0;
        while start < scores.len() {
            let equal = scores[start..]
                .iter()
                .take_while(|(p, _)| *p == scores[start].0)
                .count();
            // Ranks from 1; equals share their mean rank.
            let rank = start as f64 + (equal as f64 + 1.0) / 2.0;
            let own = scores[start..start + equal]
                .iter()
                .filter(|(_, is)| *is)
                .count();
            ranks += rank * own as f64;
            start += equal;
        }
        let p = positives as f64;
        areas.push((ranks - p * (p + 1.0) / 2.0) / (p * negatives as f64));
    }
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

fn by_group<'a>(judged: &[&'a Judged]) -> Vec<Vec<&'a Judged>> {
    grouped(judged.iter().map(|one| (one.group.as_str(), *one)))
}

fn bootstrap(
    judged: &[&Judged],
    seed: u64,
    numbers: &dyn Fn(&[&Judged]) -> Vec<f64>,
) -> Vec<(f64, f64)> {
    intervals(&by_group(judged), seed, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(truth: usize, p: [f64; 3]) -> Judged {
        Judged {
            truth,
            p: p.to_vec(),
            group: format!("{truth} {p:?}"),
            source: (truth == 0).then(|| "here".to_owned()),
            refused: false,
        }
    }

    fn names() -> Vec<String> {
        ["brain-mri-a", "brain-mri-b", "head-ct-c"]
            .map(str::to_owned)
            .to_vec()
    }

    fn five() -> Vec<Judged> {
        vec![
            judged(0, [0.7, 0.2, 0.1]),
            judged(0, [0.5, 0.3, 0.2]),
            judged(0, [0.2, 0.7, 0.1]),
            judged(1, [0.1, 0.8, 0.1]),
            judged(2, [0.6, 0.3, 0.1]),
        ]
    }

    #[test]
    fn numbers_are_those_counted_by_hand() {
        let found = evaluate(&five(), &names(), 1);
        assert_eq!(found.confusion, [[2, 1, 0], [0, 1, 0], [1, 0, 0]]);
        let metrics = &found.metrics;
        assert!((metrics.accuracy - 0.6).abs() < 1e-12);
        assert!((metrics.balanced_accuracy - (2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        // F1: 4/6, 2/3 and 0.
        assert!((metrics.macro_f1 - (4.0 / 6.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((metrics.top3 - 1.0).abs() < 1e-12);
        // Squares: .14 + .38 + 1.14 + .06 + 1.26.
        assert!(
            (metrics.brier - 2.98 / 5.0).abs() < 1e-12,
            "{}",
            metrics.brier
        );
        // Bins of 1/15: .7 twice (one right), .5, .8, .6: |1.4 - 1| + |.5 - 1| + |.8 - 1| + |.6 - 0|.
        assert!((metrics.ece - 1.7 / 5.0).abs() < 1e-12, "{}", metrics.ece);
        // Category 0: 3 x 2 pairs, won .7 > both, .5 > .1, .2 > .1 = 4; category 1: all 4 pairs; category 2: ties with
        // three (.1), loses to one (.2): 1.5 of 4.
        let areas: f64 = (4.0 / 6.0 + 1.0 + 1.5 / 4.0) / 3.0;
        assert!(
            (metrics.auroc.unwrap() - areas).abs() < 1e-12,
            "{:?}",
            metrics.auroc
        );
        let class = &found.per_class["brain-mri-b"];
        assert!((class.precision - 0.5).abs() < 1e-12 && (class.recall - 1.0).abs() < 1e-12);
        assert_eq!(found.per_family["brain-mri"].n, 4);
        assert!((found.per_family["brain-mri"].accuracy - 0.75).abs() < 1e-12);
        assert_eq!(found.per_source["here"].n, 3);
    }

    #[test]
    fn refused_images_are_counted_beside() {
        let mut judged = five();
        judged[2].refused = true;
        let metrics = evaluate(&judged, &names(), 1).metrics;
        assert!((metrics.refused - 0.2).abs() < 1e-12);
        assert!((metrics.accuracy - 0.6).abs() < 1e-12);
        assert!((metrics.accuracy_assessed.unwrap() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn intervals_hold_the_value_follow_from_the_seed_and_widen_with_groups() {
        let many: Vec<Judged> = (0..200)
            .map(|index| {
                let mut one = judged(index % 2, [0.6, 0.4, 0.0]);
                one.group = index.to_string();
                one
            })
            .collect();
        let mut grouped = many.clone();
        for (index, one) in grouped.iter_mut().enumerate() {
            one.group = format!("{} {}", index % 2, index / 50);
        }
        let interval = |judged: &[Judged], seed| evaluate(judged, &names(), seed).ci95["accuracy"];
        let (low, high) = interval(&many, 1);
        assert!(low < 0.5 && 0.5 < high && high - low < 0.2);
        assert_eq!(interval(&many, 1), (low, high));
        let (wide_low, wide_high) = interval(&grouped, 1);
        assert!(wide_high - wide_low > 2.0 * (high - low));
    }

    #[test]
    fn nothing_judged_gives_no_numbers_that_are_none() {
        let found = evaluate(&[], &names(), 1);
        assert_eq!(found.n, 0);
        assert!(found.metrics.auroc.is_none() && found.metrics.accuracy_assessed.is_none());
        assert!(found.metrics.accuracy.abs() < 1e-12);
        serde_json::to_string(&found).unwrap();
    }
}
