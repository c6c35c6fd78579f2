//! Seeded draws: the same seed and purpose give the same numbers on every machine (ChaCha8).

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of draws for one purpose.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of `seed` for `purpose` (a name) and `index` (an image, an epoch): streams of different purposes or
    /// indices have nothing in common.
    pub fn new(seed: u64, purpose: &str, index: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("salus models draws 1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(&[0]);
        for part in index {
            hasher.update(&part.to_le_bytes());
        }
        Draws(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        // 53 bits: as many as an f64 holds.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[from, to)`.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// As [`Draws::between`], in `f32`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to the nearest f32 is meant"
    )]
    pub fn between_f32(&mut self, from: f32, to: f32) -> f32 {
        self.between(f64::from(from), f64::from(to)) as f32
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Uniform in `0..below`; 0 where that is empty. (The bias of the product is below `below` / 2^64.)
    pub fn below(&mut self, below: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * below as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// All orders alike likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_and_an_index_have_their_own_stream() {
        let first = |purpose: &str, index: &[u64]| Draws::new(7, purpose, index).unit();
        assert_eq!(first("a", &[1]).to_bits(), first("a", &[1]).to_bits());
        assert_ne!(first("a", &[1]).to_bits(), first("a", &[2]).to_bits());
        assert_ne!(first("a", &[1]).to_bits(), first("b", &[1]).to_bits());
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        let mut draws = Draws::new(1, "moments", &[]);
        let n = 20_000;
        let uniform: Vec<f64> = (0..n).map(|_| draws.between(2.0, 4.0)).collect();
        let normal: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let variance = |values: &[f64]| {
            let centre = mean(values);
            values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / values.len() as f64
        };
        // Five standard errors.
        assert!((mean(&uniform) - 3.0).abs() < 0.021);
        assert!((variance(&uniform) - 1.0 / 3.0).abs() < 0.011);
        assert!(mean(&normal).abs() < 0.036);
        assert!((variance(&normal) - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_shuffle_loses_nothing_and_below_stays_below() {
        let mut draws = Draws::new(3, "shuffle", &[]);
        let mut items: Vec<usize> = (0..100).collect();
        draws.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        assert!((0..1000).all(|_| draws.below(3) < 3));
        assert_eq!(draws.below(0), 0);
    }
}
