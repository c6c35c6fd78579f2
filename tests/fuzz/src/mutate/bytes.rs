//! Changes that need to know nothing of what the bytes mean.

use crate::rng::Rng;

/// Numbers at which something may change: lengths of CBOR heads, limits, signs.
pub(super) const EDGES: [u64; 20] = [
    0,
    1,
    2,
    23,
    24,
    31,
    32,
    33,
    64,
    127,
    128,
    255,
    256,
    1024,
    65_535,
    65_536,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Makes one change.
pub(super) fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if input.is_empty() {
        let len = 1 + rng.below(8);
        *input = rng.bytes(len);
        return;
    }
    let at = rng.below(input.len());
    match rng.below(13) {
        0 | 1 => flip(input, at, rng),
        2 => set(input, at, rng.byte()),
        3 => set(input, at, 0),
        4 => {
            let step = rng.byte() % 16;
            let old = input.get(at).copied().unwrap_or_default();
            let new = if rng.one_in(2) {
                old.wrapping_add(step)
            } else {
                old.wrapping_sub(step)
            };
            set(input, at, new);
        }
        5 => {
            let stretch = rng.stretch(input.len());
            input.drain(stretch);
        }
        6 => {
            let stretch = rng.stretch(input.len());
            let copy = input.get(stretch).unwrap_or_default().to_vec();
            insert(input, at, copy);
        }
        7 => {
            let len = 1 + rng.below(8);
            let bytes = rng.bytes(len);
            insert(input, at, bytes);
        }
        8 => {
            let copy = other.get(rng.stretch(other.len())).unwrap_or_default();
            insert(input, at, copy.to_vec());
        }
        9 => {
            // The beginning of one and the end of the other.
            let from = rng.below(other.len());
            input.truncate(at);
            input.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        10 => number(input, at, rng),
        11 => {
            let stretch = rng.stretch(input.len());
            let byte = rng.byte();
            if let Some(stretch) = input.get_mut(stretch) {
                stretch.fill(byte);
            }
        }
        _ => input.truncate(at),
    }
}

fn set(input: &mut [u8], at: usize, new: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = new;
    }
}

fn flip(input: &mut [u8], at: usize, rng: &mut Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: Vec<u8>) {
    let at = at.min(input.len());
    input.splice(at..at, bytes);
}

/// Writes an edge over what is there, in 1, 2, 4 or 8 bytes, from either end.
fn number(input: &mut [u8], at: usize, rng: &mut Rng) {
    let number = rng.pick(&EDGES).copied().unwrap_or_default();
    let len = 1_usize << rng.below(4);
    let mut bytes = number.to_le_bytes().get(..len).unwrap_or_default().to_vec();
    if rng.one_in(2) {
        bytes.reverse();
    }
    for (old, new) in input.iter_mut().skip(at).zip(bytes) {
        *old = new;
    }
}
