//! Changing an input: blindly, byte by byte, or with an eye for what it is made of.

mod bytes;
mod cbor;
mod frames;
mod json;

use std::io::{Read, Write};

use crate::rng::Rng;
use crate::subject::Form;

pub(crate) use frames::{join, split};

/// Changes an input in place. `other` is another input of the same subject, to take parts from. The result has at
/// most `max_bytes`.
pub fn mutate(form: Form, input: &mut Vec<u8>, other: &[u8], rng: &mut Rng, max_bytes: usize) {
    for _ in 0..rounds(rng) {
        match form {
            Form::Bytes => bytes::mutate(input, other, rng),
            Form::Cbor => cbor_or_bytes(input, other, rng),
            Form::TaggedCbor => tagged(input, other, rng),
            Form::Frames => frames::mutate(input, other, rng),
            Form::Json => json_or_bytes(input, other, rng),
            Form::Gzip => gzip(input, other, rng),
        }
        input.truncate(max_bytes);
    }
}

/// How many changes are made at once: mostly one, rarely many.
fn rounds(rng: &mut Rng) -> usize {
    match rng.below(8) {
        0..=4 => 1,
        5 | 6 => 1 + rng.below(4),
        _ => 1 + rng.below(16),
    }
}

fn cbor_or_bytes(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if rng.one_in(4) || !cbor::mutate(input, other, rng) {
        bytes::mutate(input, other, rng);
    }
}

fn tagged(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let Some((tag, rest)) = input.split_first() else {
        input.push(rng.byte());
        return;
    };
    let (mut tag, mut rest) = (*tag, rest.to_vec());
    if rng.one_in(16) {
        tag = rng.byte() % 128;
    } else {
        cbor_or_bytes(&mut rest, other.get(1..).unwrap_or_default(), rng);
    }
    input.clear();
    input.push(tag);
    input.append(&mut rest);
}

fn json_or_bytes(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if rng.one_in(5) || !json::mutate(input, other, rng) {
        bytes::mutate(input, other, rng);
    }
}

/// What an input may inflate to before it is changed inside.
const MAX_INFLATED_BYTES: u64 = 1 << 20;

fn gzip(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if rng.one_in(3) {
        bytes::mutate(input, other, rng);
        return;
    }
    let mut text = inflate(input);
    json_or_bytes(&mut text, &inflate(other), rng);
    *input = deflate(&text);
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // What came until an error is good enough.
    let _ = flate2::read::MultiGzDecoder::new(bytes)
        .take(MAX_INFLATED_BYTES)
        .read_to_end(&mut text);
    text
}

/// Gzip, quickly.
pub(crate) fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_anything_and_keeps_to_its_size() {
        let mut rng = Rng::new(5, "mutate");
        let forms = [
            Form::Bytes,
            Form::Cbor,
            Form::TaggedCbor,
            Form::Frames,
            Form::Json,
            Form::Gzip,
        ];
        for form in forms {
            let mut input = Vec::new();
            for round in 0..300 {
                let len = round % 40;
                let other = rng.bytes(len);
                mutate(form, &mut input, &other, &mut rng, 500);
                assert!(input.len() <= 500);
                if round % 50 == 0 {
                    input.clear();
                }
            }
        }
    }
}
