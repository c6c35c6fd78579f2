//! What is fuzzed: something that takes bytes.

use std::fmt::Display;

/// How the bytes of a subject are made up, which says how they are best changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing is known.
    Bytes,
    /// One byte that says how to read the rest, then CBOR.
    TaggedCbor,
    /// CBOR.
    Cbor,
    /// One byte of options, then frames of CBOR, each after its length as 3 bytes, big endian.
    Frames,
    /// JSON texts, one after the other.
    Json,
    /// JSON, compressed.
    Gzip,
}

/// What an input came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the subject took the input for what it should be.
    pub accepted: bool,
    /// Stands for what happened: inputs with new ones are kept.
    pub feature: u64,
}

impl Outcome {
    /// It was taken in; `what` tells kinds of it apart.
    pub fn accepted(what: impl Display) -> Self {
        Self {
            accepted: true,
            feature: feature(&what.to_string()),
        }
    }

    /// It was refused with this error.
    pub fn refused(error: impl Display) -> Self {
        Self {
            accepted: false,
            feature: feature(&error.to_string()),
        }
    }
}

/// A promise that did not hold, in words.
pub type Broken = String;

/// Something that takes bytes from elsewhere.
pub trait Subject {
    /// Valid inputs: each of them is accepted.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Takes an input.
    ///
    /// # Errors
    /// If something that the subject promises of every input does not hold.
    fn run(&self, input: &[u8]) -> Result<Outcome, Broken>;

    /// Mends what else would hide everything behind it, a checksum for instance.
    fn repair(&self, _input: &mut Vec<u8>) {}
}

/// A number that stands for a text; its digits, which may count bytes or lines, don't matter.
fn feature(text: &str) -> u64 {
    // FNV-1a, 64 bits.
    text.bytes()
        .filter(|byte| !byte.is_ascii_digit())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_numbers_only_are_one_feature() {
        let (a, b) = (Outcome::refused("line 1"), Outcome::refused("line 22"));
        assert_eq!(a, b);
        assert_ne!(a, Outcome::refused("column 1"));
    }
}
