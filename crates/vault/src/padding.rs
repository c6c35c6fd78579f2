//! Size classes, so that the length of what is sealed tells little of what it is.

use zeroize::Zeroizing;

/// The smallest class in bytes: most notes, vital signs and looks share it (a guess).
pub const MIN_PADDED_BYTES: usize = 256;
/// The length in front of a padded value: u64, little-endian.
const LENGTH_BYTES: usize = 8;

/// The size class in bytes of `len` bytes: Padmé (Nikitin et al., "Reducing Metadata Leakage from
/// Encrypted Files and Communication with PURBs", PoPETs 2019(4), section 4), and at least
/// [`MIN_PADDED_BYTES`].
///
/// A number with E+1 bits keeps its first ⌊log2 E⌋+1 bits after the leading one and is rounded up to
/// the next such number: the size tells O(log log n) bits of itself and grows by 12 % at most.
pub fn padded_len(len: usize) -> usize {
    let len = len.max(MIN_PADDED_BYTES);
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << exponent.saturating_sub(kept)) - 1;
    len.saturating_add(mask) & !mask
}

/// Pads a value to its class before it is sealed: length, value, zeros. (Payloads of entries have a
/// form of their own with a shorter length: [`seal_payload`](crate::seal_payload).)
pub fn pad(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let size = padded_len(LENGTH_BYTES + value.len());
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(size, 0);
    out
}

/// What [`pad`] was given, or none where these are not the bytes that it makes.
pub fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let length = u64::from_le_bytes(*padded.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(LENGTH_BYTES)?;
    let zeros = padded.get(end..)?;
    let right = padded_len(end) == padded.len() && zeros.iter().all(|&byte| byte == 0);
    padded.get(LENGTH_BYTES..end).filter(|_| right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn size_classes_are_those_of_the_paper() {
        // Worked by hand from the paper's algorithm: E = 8, S = 4, so multiples of 16 up to 512.
        for (len, class) in [
            (0, 256),
            (1, 256),
            (256, 256),
            (257, 272),
            (272, 272),
            (273, 288),
        ] {
            assert_eq!(padded_len(len), class, "{len}");
        }
        // E = 9, S = 4: multiples of 32. E = 16, S = 5: multiples of 2,048.
        assert_eq!(padded_len(513), 544);
        assert_eq!(padded_len(65_537), 67_584);
    }

    #[test]
    fn what_is_padded_otherwise_is_refused() {
        let padded = pad(b"Ada");
        assert_eq!(padded.len(), 256);
        assert_eq!(unpad(&padded), Some(&b"Ada"[..]));
        for (at, byte) in [(0, 4), (7, 1), (255, 1), (11, 1)] {
            let mut changed = padded.clone();
            changed[at] ^= byte;
            assert!(unpad(&changed).is_none() || at == 0, "byte {at}");
        }
        assert_eq!(unpad(&padded[..255]), None);
        assert_eq!(unpad(&[&padded[..], &[0; 16]].concat()), None);
        assert_eq!(unpad(&[0xff; 300]), None);
        assert_eq!(unpad(b""), None);
    }

    proptest! {
        #[test]
        fn a_class_covers_its_size_costs_at_most_12_percent_and_is_a_class(
            len in 0_usize..8 * 1024 * 1024,
        ) {
            let class = padded_len(len);
            prop_assert!(class >= len && class >= MIN_PADDED_BYTES);
            prop_assert!(len < MIN_PADDED_BYTES || class * 100 <= len * 112);
            prop_assert_eq!(padded_len(class), class);
            prop_assert!(padded_len(len + 1) >= class);
        }

        #[test]
        fn a_padded_value_comes_back(value in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let padded = pad(&value);
            prop_assert_eq!(unpad(&padded), Some(&value[..]));
        }
    }
}
