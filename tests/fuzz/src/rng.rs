//! The generator of everything random here: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Small and repeatable;
//! nothing secret comes from it.

/// A generator with 64 bits of state.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The same seed and label give the same numbers.
    pub fn new(seed: u64, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(label.as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self(u64::from_le_bytes(bytes))
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this; 0 below 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.u64() % bound).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.u64().to_le_bytes()[0]
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// 32 bytes, for keys and hashes.
    pub fn array32(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.byte())
    }

    /// One of these, if there is one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// A stretch of something of this length: where it begins, and where it ends.
    pub fn stretch(&mut self, len: usize) -> std::ops::Range<usize> {
        if len == 0 {
            return 0..0;
        }
        let from = self.below(len);
        // Mostly short.
        let most = if self.one_in(4) { len } else { 16 };
        let to = from + 1 + self.below((len - from).min(most));
        from..to.min(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_another_others() {
        let numbers = |seed, label| {
            let mut rng = Rng::new(seed, label);
            (rng.u64(), rng.u64(), rng.bytes(5))
        };
        assert_eq!(numbers(1, "a"), numbers(1, "a"));
        assert_ne!(numbers(1, "a"), numbers(2, "a"));
        assert_ne!(numbers(1, "a"), numbers(1, "b"));
    }

    #[test]
    fn stretches_lie_within_their_bounds() {
        let mut rng = Rng::new(3, "stretch");
        for len in 0..200 {
            let stretch = rng.stretch(len);
            assert!(stretch.start <= stretch.end && stretch.end <= len);
            assert_eq!(stretch.is_empty(), len == 0);
        }
    }
}
