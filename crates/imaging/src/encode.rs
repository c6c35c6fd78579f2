//! Pictures to PNG files.

use png::{BitDepth, ColorType, Compression, Encoder};

use crate::Picture;
use crate::picture::Pixels;

/// A PNG file of the picture. A picture without pixels, or with another number of samples than its sides say, gives an empty file.
#[must_use]
pub fn encode_png(picture: &Picture) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, picture.width, picture.height);
    encoder.set_color(match picture.pixels {
        Pixels::Grey8(_) => ColorType::Grayscale,
        Pixels::Rgb8(_) => ColorType::Rgb,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(picture.pixels.bytes()));
    if written.is_err() {
        return Vec::new();
    }
    file
}
