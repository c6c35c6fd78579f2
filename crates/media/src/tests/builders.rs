//! Files for the tests.

use salus_imaging::{Picture, encode_png};

pub(super) use crate::test_files::*;
use crate::{InspectOptions, Inspected, MediaError, inspect};

/// Looks into a whole file as it is done by default, and again by way of the job, which must answer the same.
pub(super) fn look(file: &[u8]) -> Result<Inspected, MediaError> {
    look_with(file, &InspectOptions::default())
}

pub(super) fn look_with(file: &[u8], options: &InspectOptions) -> Result<Inspected, MediaError> {
    let total_len = file.len() as u64;
    let found = inspect(file, total_len, options);
    let response = crate::job(&crate::request(file, total_len, options));
    assert_eq!(crate::read_response(&response), found);
    found
}

/// The message of a refusal.
pub(super) fn refusal(file: &[u8]) -> String {
    match look(file) {
        Err(error) => error.to_string(),
        Ok(inspected) => panic!("{inspected:?}"),
    }
}

/// A grey PNG with a slope in it.
pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
    let samples = (0..width * height).map(|n| n.to_le_bytes()[0]).collect();
    encode_png(&Picture::grey(width, height, samples).unwrap())
}

pub(super) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..u32::from(width) * u32::from(height))
        .map(|n| n.to_le_bytes()[0])
        .collect();
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 80)
        .encode(&samples, width, height, jpeg_encoder::ColorType::Luma)
        .unwrap();
    file
}
