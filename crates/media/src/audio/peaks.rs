//! The outline of sound whose length is not known before its end.

use crate::MAX_PEAKS;

/// The least and the greatest sample of equal parts, of which there are never more than twice as many as are wanted in the end.
pub(super) struct Outline {
    /// Samples of a channel that a part stands for.
    span: u64,
    parts: Vec<(f32, f32)>,
    /// Samples that the last part has by now.
    filled: u64,
    frames: u64,
}

impl Outline {
    pub(super) fn new() -> Self {
        Self {
            span: 1,
            parts: Vec::with_capacity(2 * MAX_PEAKS),
            filled: 1,
            frames: 0,
        }
    }

    /// Samples of a channel so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Adds samples of all channels, interleaved. `channels` is at least 1.
    pub(super) fn add(&mut self, samples: &[f32], channels: usize) {
        let mut rest = samples;
        while rest.len() >= channels {
            if self.filled == self.span {
                if self.parts.len() == 2 * MAX_PEAKS {
                    self.parts = halved(&self.parts);
                    self.span *= 2;
                }
                self.parts.push((f32::INFINITY, f32::NEG_INFINITY));
                self.filled = 0;
            }
            let room = usize::try_from(self.span - self.filled).unwrap_or(usize::MAX);
            let frames = room.min(rest.len() / channels);
            let (now, later) = rest.split_at(frames * channels);
            let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
            for sample in now {
                low = low.min(*sample);
                high = high.max(*sample);
            }
            if let Some(part) = self.parts.last_mut() {
                *part = (part.0.min(low), part.1.max(high));
            }
            self.filled += frames as u64;
            self.frames += frames as u64;
            rest = later;
        }
    }

    /// At most [`MAX_PEAKS`] parts.
    pub(super) fn finish(self) -> Vec<(i8, i8)> {
        let parts = if self.parts.len() > MAX_PEAKS {
            halved(&self.parts)
        } else {
            self.parts
        };
        let mut peaks: Vec<(i8, i8)> = parts
            .into_iter()
            .map(|(low, high)| (level(low), level(high)))
            .collect();
        // Samples that are no number leave a part without any.
        for peak in peaks.iter_mut().filter(|(low, high)| low > high) {
            *peak = (0, 0);
        }
        peaks
    }
}

fn halved(parts: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let mut out = Vec::with_capacity(2 * MAX_PEAKS);
    out.extend(parts.chunks(2).map(|pair| {
        pair.iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |all, part| {
                (all.0.min(part.0), all.1.max(part.1))
            })
    }));
    out
}

/// A sample from -1 to 1 as a byte; 127 is full scale.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of a byte before; what is no number becomes 0"
)]
fn level(sample: f32) -> i8 {
    (sample * 127.0).round().clamp(-128.0, 127.0) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn an_outline_is_the_same_however_the_samples_come() {
        let samples: Vec<f32> = (0..30_001)
            .map(|n| ((n % 997) as f32 / 500.0) - 1.0)
            .collect();
        let outline = |piece: usize| {
            let mut outline = Outline::new();
            samples.chunks(piece).for_each(|some| outline.add(some, 1));
            assert_eq!(outline.frames(), 30_001);
            outline.finish()
        };
        let whole = outline(usize::MAX);
        assert_eq!(whole, outline(1));
        assert_eq!(whole, outline(1_000));
        assert!(whole.len() <= MAX_PEAKS && whole.len() > MAX_PEAKS / 2);
        assert!(whole.iter().all(|(low, high)| low <= high));
        assert_eq!(whole.iter().map(|peak| peak.0).min(), Some(-127));
    }

    #[test]
    fn few_samples_are_parts_of_their_own() {
        let mut outline = Outline::new();
        outline.add(&[0.5, -0.5, 2.0, f32::NAN], 2);
        assert_eq!(outline.frames(), 2);
        assert_eq!(outline.finish(), [(-64, 64), (127, 127)]);
        let mut nothing = Outline::new();
        nothing.add(&[f32::NAN], 1);
        assert_eq!(nothing.finish(), [(0, 0)]);
    }
}
