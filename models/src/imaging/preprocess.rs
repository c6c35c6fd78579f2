//! From a decoded picture to the network's input.

use candle_core::{Device, Tensor};
use salus_imaging::{Picture, Pixels, resize_bilinear};
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// How a picture becomes the network's input; part of the manifest, because weights are good for one way only.
///
/// Grey (luma of ITU-R BT.601), then scaled to `side` x `side` whatever its shape was, by a triangle filter that is
/// antialiased on reduction; then `(value - mean) / deviation`, the same in all three channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// The side of the square in pixels.
    pub side: usize,
    /// In grey levels, 0 to 255.
    pub mean: f32,
    /// In grey levels, above 0.
    pub deviation: f32,
}

impl Preprocessing {
    /// To `[-1, 1]`, as the ImageNet base was trained (TensorFlow's MobileNetV2).
    pub fn standard(side: usize) -> Self {
        Preprocessing {
            side,
            mean: 127.5,
            deviation: 127.5,
        }
    }

    /// Square grey pictures, `side * side` bytes each, as `[n, 3, side, side]`.
    ///
    /// # Errors
    ///
    /// Another number of bytes.
    pub fn tensor(&self, squares: &[&[u8]]) -> Result<Tensor, ModelError> {
        let area = self.side * self.side;
        let mut values = Vec::with_capacity(squares.len() * 3 * area);
        for square in squares {
            if square.len() != area {
                return Err(ModelError::Picture(format!(
                    "{} pixels instead of {area}",
                    square.len()
                )));
            }
            for _ in 0..3 {
                values.extend(
                    square
                        .iter()
                        .map(|level| (f32::from(*level) - self.mean) / self.deviation),
                );
            }
        }
        Ok(Tensor::from_vec(
            values,
            (squares.len(), 3, self.side, self.side),
            &Device::Cpu,
        )?)
    }
}

/// A picture in grey, scaled to a square of `side` pixels.
///
/// # Errors
///
/// A picture without pixels.
pub fn square(picture: &Picture, side: usize) -> Result<Vec<u8>, ModelError> {
    let grey = picture.to_grey();
    let (width, height) = (grey.width as usize, grey.height as usize);
    let Pixels::Grey8(levels) = grey.pixels else {
        return Err(ModelError::Picture("it is not grey".to_owned()));
    };
    if levels.is_empty() || levels.len() != width * height {
        return Err(ModelError::Picture("it has no pixels".to_owned()));
    }
    if (width, height) == (side, side) {
        return Ok(levels);
    }
    Ok(resize_bilinear(&levels, width, height, side, side))
}
