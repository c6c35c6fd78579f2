//! DICOM's run-length coding: PackBits, each byte of each channel in a segment of its own (PS3.5, annex G).

use super::{CUT_OFF, Frame, Refusal, Samples, Shape};

/// Decodes a frame of samples with `bytes` bytes, 1 or 2.
pub(crate) fn decode(stream: &[u8], shape: Shape, bytes: usize) -> Result<Frame, Refusal> {
    let (header, _) = stream.split_first_chunk::<64>().ok_or(CUT_OFF)?;
    let (words, _) = header.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word) as usize);
    let planes = shape.channels * bytes;
    if words.next() != Some(planes) {
        return Err("a run-length frame has another number of segments than the file says");
    }
    let offsets: Vec<usize> = words.take(planes).collect();
    let ends = offsets.iter().copied().skip(1).chain([stream.len()]);
    let mut interleaved = vec![0; shape.samples() * bytes];
    for (plane, (start, end)) in offsets.iter().copied().zip(ends).enumerate() {
        let segment = stream.get(start..end).ok_or(CUT_OFF)?;
        // Segments go from the most significant byte of each channel to the least.
        let (channel, significance) = (plane / bytes, plane % bytes);
        let first = channel * bytes + (bytes - 1 - significance);
        unpack(segment, &mut interleaved, first, planes)?;
    }
    let samples = if bytes == 1 {
        Samples::U8(interleaved)
    } else {
        let (pairs, _) = interleaved.as_chunks::<2>();
        Samples::U16(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
    };
    Ok(Frame {
        samples,
        bits: if bytes == 1 { 8 } else { 16 },
    })
}

/// Unpacks a segment into every `step`th byte from `first` on.
fn unpack(mut segment: &[u8], out: &mut [u8], first: usize, step: usize) -> Result<(), Refusal> {
    let mut places = out.iter_mut().skip(first).step_by(step);
    let mut left = places.len();
    while left > 0 {
        let (code, rest) = segment.split_first().ok_or(CUT_OFF)?;
        segment = match *code {
            count @ 0..=127 => {
                let (literal, rest) = rest
                    .split_at_checked(usize::from(count) + 1)
                    .ok_or(CUT_OFF)?;
                left = left.saturating_sub(literal.len());
                for (byte, place) in literal.iter().zip(&mut places) {
                    *place = *byte;
                }
                rest
            }
            128 => rest,
            count => {
                let (byte, rest) = rest.split_first().ok_or(CUT_OFF)?;
                let run = 257 - usize::from(count);
                left = left.saturating_sub(run);
                for place in places.by_ref().take(run) {
                    *place = *byte;
                }
                rest
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![u32::try_from(segments.len()).unwrap()];
        let mut offset = 64;
        for segment in segments {
            header.push(offset);
            offset += u32::try_from(segment.len()).unwrap();
        }
        header.resize(16, 0);
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        segments.iter().for_each(|segment| bytes.extend(*segment));
        bytes
    }

    const SHAPE: Shape = Shape {
        width: 5,
        height: 1,
        channels: 1,
    };

    #[test]
    fn runs_and_literals_make_samples() {
        // High bytes: 1 five times. Low bytes: 2, 3, then 9 three times.
        let bytes = stream(&[&[252, 1], &[1, 2, 3, 254, 9]]);
        let frame = decode(&bytes, SHAPE, 2).unwrap();
        let expected = vec![0x102, 0x103, 0x109, 0x109, 0x109];
        assert_eq!(frame.samples, Samples::U16(expected));
    }

    #[test]
    fn what_is_missing_or_too_much_is_refused() {
        let bytes = stream(&[&[252, 1]]);
        assert!(decode(&bytes, SHAPE, 1).is_ok());
        assert!(decode(&bytes, SHAPE, 2).is_err());
        assert_eq!(decode(&bytes[..65], SHAPE, 1), Err(CUT_OFF));
        assert_eq!(decode(&bytes[..10], SHAPE, 1), Err(CUT_OFF));
        let mut wild = bytes;
        wild[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&wild, SHAPE, 1), Err(CUT_OFF));
    }
}
