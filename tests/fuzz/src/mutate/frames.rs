//! Changes to a conversation: frames left out, said twice, in another order, taken from elsewhere, or changed themselves.

use crate::rng::Rng;

/// Takes an input apart: one byte of options, then frames after their lengths. What does not fit is one frame more.
pub(crate) fn split(input: &[u8]) -> (u8, Vec<&[u8]>) {
    let Some((options, mut rest)) = input.split_first() else {
        return (0, Vec::new());
    };
    let mut frames = Vec::new();
    while let Some(([a, b, c], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (frame, after) = after.split_at(len.min(after.len()));
        frames.push(frame);
        rest = after;
    }
    (*options, frames)
}

/// The opposite. A frame of more than 16 MiB is cut.
pub(crate) fn join<F: AsRef<[u8]>>(options: u8, frames: &[F]) -> Vec<u8> {
    let mut out = vec![options];
    for frame in frames {
        let frame = frame.as_ref();
        let len = u32::try_from(frame.len())
            .unwrap_or(u32::MAX)
            .min(0xff_ffff);
        out.extend_from_slice(&len.to_be_bytes()[1..]);
        out.extend_from_slice(frame.get(..len as usize).unwrap_or_default());
    }
    out
}

pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let (mut options, frames) = split(input);
    let mut frames: Vec<Vec<u8>> = frames.into_iter().map(<[u8]>::to_vec).collect();
    let (_, others) = split(other);
    let at = rng.below(frames.len());
    let donor = rng.pick(&others).copied().unwrap_or_default();
    match rng.below(10) {
        0 => options ^= 1 << rng.below(8),
        1 => frames.insert(at, donor.to_vec()),
        2 if !frames.is_empty() => {
            frames.remove(at);
        }
        3 if !frames.is_empty() => {
            let second = rng.below(frames.len());
            frames.swap(at, second);
        }
        4 if !frames.is_empty() => frames.insert(at, frames.get(at).cloned().unwrap_or_default()),
        _ => match frames.get_mut(at) {
            Some(frame) => super::cbor_or_bytes(frame, donor, rng),
            None => frames.push(donor.to_vec()),
        },
    }
    *input = join(options, &frames);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_as_they_were_joined() {
        let frames: [&[u8]; 3] = [b"one", b"", b"three"];
        let input = join(7, &frames);
        assert_eq!(split(&input), (7, frames.to_vec()));
        // A length beyond the end takes what is there.
        let cut = &input[..input.len() - 1];
        assert_eq!(split(cut).1.last(), Some(&b"thre".as_slice()));
    }
}
