//! Pictures on their way to a screen.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::suggestion::Inference;

/// Longest side of a picture that is taken from a node, pixels: more than any terminal has cells.
const MAX_SIDE: u32 = 4_096;

/// A picture: three bytes a pixel, red, green and blue, row by row from the top. It travels as hex.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PictureView {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl fmt::Debug for PictureView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PictureView({} x {})", self.width, self.height)
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    width: u32,
    height: u32,
    rgb: String,
}

impl Serialize for PictureView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        let digits = self.rgb.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
        Wire {
            width: self.width,
            height: self.height,
            rgb: digits.collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PictureView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { width, height, rgb } = Wire::deserialize(deserializer)?;
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(D::Error::custom("a picture that is too large"));
        }
        let half = |digit: u8| char::from(digit).to_digit(16);
        let bytes: Option<Vec<u8>> = rgb
            .as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [a, b] => u8::try_from(half(a)? << 4 | half(b)?).ok(),
                _ => None,
            })
            .collect();
        let bytes = bytes.ok_or_else(|| D::Error::custom("a picture that is not hex"))?;
        if bytes.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(D::Error::custom("a picture of another size than it says"));
        }
        Ok(Self {
            width,
            height,
            rgb: bytes,
        })
    }
}

/// An image file that a model looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifiedView {
    /// What the model said.
    pub inference: Inference,
    /// From the file to the answer, milliseconds.
    pub ms: f64,
    /// The image, scaled down.
    pub picture: PictureView,
    /// The image with what speaks for the first category; none where it was not assessed.
    pub heat: Option<PictureView>,
    /// The suggestion that it became, hex; none where no patient was named.
    pub suggestion: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_as_it_was_and_a_lying_one_not_at_all() {
        let picture = PictureView {
            width: 2,
            height: 1,
            rgb: vec![0, 1, 0x7f, 0x80, 0xfe, 0xff],
        };
        let text = serde_json::to_string(&picture).unwrap();
        assert_eq!(text, r#"{"width":2,"height":1,"rgb":"00017f80feff"}"#);
        assert_eq!(serde_json::from_str::<PictureView>(&text).unwrap(), picture);
        for wrong in [
            text.replace("\"width\":2", "\"width\":3"),
            text.replace("\"width\":2", "\"width\":4294967295"),
            text.replace("00", "0g"),
            text.replace("00", "0"),
        ] {
            assert!(
                serde_json::from_str::<PictureView>(&wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
