//! Temperature scaling (C. Guo et al., ICML 2017): one number that makes probabilities mean what they say.

/// Probabilities of logits divided by `temperature`.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| (f64::from(logit - most) / temperature).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Mean of `-ln p(truth)` at this temperature; `logits` and `truth` in the same order.
pub fn log_loss(logits: &[Vec<f32>], truth: &[usize], temperature: f64) -> f64 {
    let sum: f64 = logits
        .iter()
        .zip(truth)
        .map(|(logits, truth)| -softmax(logits, temperature)[*truth].max(1e-300).ln())
        .sum();
    sum / truth.len().max(1) as f64
}

/// The temperature from 0.1 to 10 with the least log-loss: it has one minimum, found by golden section on its logarithm.
///
/// The logits must come from images that the network was not trained on.
pub fn temperature(logits: &[Vec<f32>], truth: &[usize]) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let loss = |logarithm: f64| log_loss(logits, truth, logarithm.exp());
    let (mut from, mut to) = (0.1_f64.ln(), 10.0_f64.ln());
    let (mut low, mut high) = (to - GOLDEN * (to - from), from + GOLDEN * (to - from));
    let (mut at_low, mut at_high) = (loss(low), loss(high));
    for _ in 0..40 {
        if at_low < at_high {
            (to, high, at_high) = (high, low, at_low);
            low = to - GOLDEN * (to - from);
            at_low = loss(low);
        } else {
            (from, low, at_low) = (low, high, at_high);
            high = from + GOLDEN * (to - from);
            at_high = loss(high);
        }
    }
    ((from + to) / 2.0).exp()
}

/// The value that this share of the values does not exceed, between two of them on the straight line; NaN where there
/// are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share.clamp(0.0, 1.0) * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place lies from 0 to the last index"
    )]
    let below = place as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    /// Logits whose softmax at temperature 1 is the truth's distribution, times `sharpness`.
    fn drawn(sharpness: f32) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut draws = Draws::new(2, "calibration", &[]);
        let mut all = Vec::new();
        let mut truth = Vec::new();
        for _ in 0..4000 {
            let logits: Vec<f32> = (0..4).map(|_| draws.between_f32(-2.0, 2.0)).collect();
            let mut left = draws.unit();
            let mut category = 0;
            for (index, p) in softmax(&logits, 1.0).into_iter().enumerate() {
                category = index;
                left -= p;
                if left < 0.0 {
                    break;
                }
            }
            truth.push(category);
            all.push(logits.into_iter().map(|logit| logit * sharpness).collect());
        }
        (all, truth)
    }

    #[test]
    fn the_temperature_undoes_what_made_logits_too_sure() {
        let (logits, truth) = drawn(3.0);
        let found = temperature(&logits, &truth);
        assert!((found - 3.0).abs() < 0.25, "{found}");
        assert!(log_loss(&logits, &truth, found) < log_loss(&logits, &truth, 1.0));
    }

    #[test]
    fn probabilities_sum_to_one_however_large_the_logits() {
        let p = softmax(&[1e30, -1e30, 1e30], 1.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!((quantile(&values, 0.5) - 2.5).abs() < 1e-12);
        assert!((quantile(&values, 1.0) - 4.0).abs() < 1e-12);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
