//! The formats, told apart by their first bytes.

pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod tiff;

use std::fmt;

use crate::exif::Orientation;
use crate::{ImageError, MAX_SIDE, Picture};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics (ISO/IEC 15948).
    Png,
    /// JPEG: baseline, extended or progressive, Huffman coded, 8 bits a sample (ITU-T T.81).
    Jpeg,
    /// TIFF 6.0, uncompressed, deflate, LZW or PackBits.
    Tiff,
    /// DICOM part 10 file (PS3.10).
    Dicom,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
            Self::Dicom => "DICOM",
        })
    }
}

impl Format {
    /// The format that the first bytes of a file stand for; 132 of them are enough. `None` for any other.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
        if bytes.starts_with(PNG) {
            Some(Self::Png)
        } else if bytes.get(128..132) == Some(b"DICM") {
            // Before JPEG and TIFF: a DICOM file's first 128 bytes are free, and may look like a TIFF file's.
            Some(Self::Dicom)
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if TIFF.iter().any(|magic| bytes.starts_with(magic)) {
            Some(Self::Tiff)
        } else {
            None
        }
    }
}

/// A picture as the file has it, before it is turned, made grey or scaled.
pub(crate) struct Raw {
    pub(crate) picture: Picture,
    pub(crate) orientation: Orientation,
    /// Pages, or frames of an animation.
    pub(crate) frames: u32,
    /// What no scanner writes, where there is something.
    pub(crate) oddity: Option<&'static str>,
}

/// Refuses a header that names no pixels, or too many, before anything is allocated for them.
pub(crate) fn check_size(
    format: Format,
    width: u32,
    height: u32,
    most: u64,
) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::ZeroSize {
            format,
            width,
            height,
        });
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > most {
        return Err(ImageError::TooLarge {
            format,
            width,
            height,
            most,
        });
    }
    Ok(())
}

/// Makes `N` interleaved bytes of each `M`, in place: there is never a second buffer. `N <= M`.
pub(crate) fn repack<const M: usize, const N: usize>(
    mut bytes: Vec<u8>,
    of: impl Fn([u8; M]) -> [u8; N],
) -> Vec<u8> {
    let pixels = bytes.len() / M;
    for pixel in 0..pixels {
        let from = pixel * M;
        let mut samples = [0; M];
        samples.copy_from_slice(&bytes[from..from + M]);
        bytes[pixel * N..(pixel + 1) * N].copy_from_slice(&of(samples));
    }
    bytes.truncate(pixels * N);
    bytes.shrink_to_fit();
    bytes
}

/// A sample over black by its alpha, rounded.
pub(crate) fn over_black(sample: u8, alpha: u8) -> u8 {
    multiply(sample, alpha)
}

/// `a * b / 255`, rounded.
pub(crate) fn multiply(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 127;
    (product / 255).to_le_bytes()[0]
}

/// Red, green and blue of four inks, each 0 for none.
pub(crate) fn inks_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| multiply(255 - ink, 255 - black))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_content() {
        let mut dicom = vec![0; 140];
        dicom[128..132].copy_from_slice(b"DICM");
        assert_eq!(Format::of(&dicom), Some(Format::Dicom));
        dicom[..4].copy_from_slice(b"II*\0");
        assert_eq!(Format::of(&dicom), Some(Format::Dicom));
        assert_eq!(Format::of(b"MM\0*"), Some(Format::Tiff));
        assert_eq!(Format::of(&[0xff, 0xd8, 0xff, 0xe0]), Some(Format::Jpeg));
        assert_eq!(Format::of(b"\x89PNG\r\n\x1a\n"), Some(Format::Png));
        for nothing in [&b""[..], b"GIF89a", b"%PDF-1.7", &[0; 200]] {
            assert_eq!(Format::of(nothing), None);
        }
    }

    #[test]
    fn inks_become_colours() {
        assert_eq!(inks_to_rgb([0, 0, 0, 0]), [255, 255, 255]);
        assert_eq!(inks_to_rgb([0, 0, 0, 255]), [0, 0, 0]);
        assert_eq!(inks_to_rgb([255, 0, 0, 0]), [0, 255, 255]);
    }
}
