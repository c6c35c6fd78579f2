//! Uncompressed samples, and those of G.711, as numbers from -1 to 1.

use super::peaks::Outline;

/// How a sample is written, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// One byte, of which 128 is silence.
    Offset,
    /// Two bytes.
    Short,
    /// Three bytes.
    Packed,
    /// Four bytes.
    Long,
    /// IEEE 754, four bytes.
    Single,
    /// IEEE 754, eight bytes.
    Double,
    /// A-law of ITU-T G.711, one byte.
    ALaw,
    /// Mu-law of ITU-T G.711, one byte.
    MuLaw,
}

impl Sample {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Offset | Self::ALaw | Self::MuLaw => 1,
            Self::Short => 2,
            Self::Packed => 3,
            Self::Long | Self::Single => 4,
            Self::Double => 8,
        }
    }

    /// The sample in exactly as many bytes as it has.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an outline has 8 bits"
    )]
    fn value(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Offset, [byte]) => (f32::from(*byte) - 128.0) / 128.0,
            (Self::ALaw, [byte]) => f32::from(a_law(*byte)) / 32_768.0,
            (Self::MuLaw, [byte]) => f32::from(mu_law(*byte)) / 32_768.0,
            (Self::Short, [low, high]) => f32::from(i16::from_le_bytes([*low, *high])) / 32_768.0,
            (Self::Packed, [low, mid, high]) => {
                i32::from_le_bytes([0, *low, *mid, *high]) as f32 / 2_147_483_648.0
            }
            (Self::Long, [a, b, c, d]) => {
                i32::from_le_bytes([*a, *b, *c, *d]) as f32 / 2_147_483_648.0
            }
            (Self::Single, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
            (Self::Double, [a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as f32
            }
            _ => 0.0,
        }
    }
}

/// The outline of samples that lie one after the other, channels interleaved. `channels` is at least 1.
pub(super) fn outline(data: &[u8], sample: Sample, channels: usize) -> Outline {
    let mut outline = Outline::new();
    let mut samples = Vec::new();
    let frame = sample.bytes() * channels;
    for piece in data.chunks(frame * 4_096) {
        samples.clear();
        let values = piece.chunks_exact(sample.bytes());
        samples.extend(values.map(|bytes| sample.value(bytes)));
        outline.add(&samples, channels);
    }
    outline
}

/// A sample of A-law as 16 bits (ITU-T G.711, table 1: segments of 16 steps, every second bit turned).
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 7;
    let step = i16::from(code & 15) << 4;
    let size = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -size } else { size }
}

/// A sample of mu-law as 16 bits (ITU-T G.711, table 2: segments of 16 steps above a bias of 33, all bits turned).
fn mu_law(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4) & 7;
    let size = (((i16::from(code & 15) << 3) + 0x84) << segment) - 0x84;
    if code & 0x80 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_is_as_its_tables_have_it() {
        // Decoder output values of tables 1a and 2a, in 16 bits: the first and the last of either sign.
        assert_eq!(
            [0xd5, 0x55, 0xaa, 0x2a].map(a_law),
            [8, -8, 32_256, -32_256]
        );
        assert_eq!(
            [0xff, 0x7f, 0x80, 0x00].map(mu_law),
            [0, 0, 32_124, -32_124]
        );
        for code in 0..=127 {
            assert_eq!(a_law(code), -a_law(code | 0x80));
            assert_eq!(mu_law(code), -mu_law(code | 0x80));
        }
    }

    #[test]
    fn samples_of_every_width_have_the_same_scale() {
        let half = [
            (Sample::Offset, vec![192]),
            (Sample::Short, vec![0, 0x40]),
            (Sample::Packed, vec![0, 0, 0x40]),
            (Sample::Long, vec![0, 0, 0, 0x40]),
            (Sample::Single, 0.5_f32.to_le_bytes().to_vec()),
            (Sample::Double, 0.5_f64.to_le_bytes().to_vec()),
        ];
        for (sample, bytes) in half {
            assert_eq!(sample.bytes(), bytes.len());
            assert_eq!(
                outline(&bytes, sample, 1).finish(),
                [(64, 64)],
                "{sample:?}"
            );
        }
    }
}
