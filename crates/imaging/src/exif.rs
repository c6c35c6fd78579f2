//! Which way up a picture is: the orientation tag of Exif (CIPA DC-008, section 4.6.5.1) and TIFF 6.0 (section 8).

use crate::Picture;
use crate::ifd::Ifd;
use crate::picture::Pixels;

/// How the stored rows and columns are turned and mirrored to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    /// Rows and columns change places, before the mirrors.
    transposed: bool,
    /// Left and right change places.
    mirrored: bool,
    /// Top and bottom change places.
    flipped: bool,
}

const ORIENTATION: u16 = 0x0112;

impl Orientation {
    /// By the tag's value, 1 to 8; anything else is as stored.
    pub(crate) fn of_tag(value: u16) -> Self {
        let (transposed, mirrored, flipped) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transposed,
            mirrored,
            flipped,
        }
    }

    /// From Exif data as it stands in a JPEG or PNG file: a TIFF header with its first directory. What cannot be read
    /// there leaves the picture as stored: it is no reason to refuse it.
    pub(crate) fn of_exif(exif: &[u8]) -> Self {
        let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        Ifd::first(exif)
            .and_then(|directory| directory.number(ORIENTATION))
            .and_then(|value| u16::try_from(value).ok())
            .map_or(Self::default(), Self::of_tag)
    }

    /// The picture as it is to be looked at.
    pub(crate) fn apply(self, picture: Picture) -> Picture {
        if self == Self::default() {
            return picture;
        }
        let (width, height) = (picture.width as usize, picture.height as usize);
        let pixels = match &picture.pixels {
            Pixels::Grey8(bytes) => Pixels::Grey8(self.turn::<1>(bytes, width, height)),
            Pixels::Rgb8(bytes) => Pixels::Rgb8(self.turn::<3>(bytes, width, height)),
        };
        let (width, height) = if self.transposed {
            (picture.height, picture.width)
        } else {
            (picture.width, picture.height)
        };
        Picture {
            width,
            height,
            pixels,
        }
    }

    fn turn<const N: usize>(self, bytes: &[u8], width: usize, height: usize) -> Vec<u8> {
        let (pixels, _) = bytes.as_chunks::<N>();
        let (to_width, to_height) = if self.transposed {
            (height, width)
        } else {
            (width, height)
        };
        let mut out = Vec::with_capacity(bytes.len());
        for row in 0..to_height {
            let row = if self.flipped {
                to_height - 1 - row
            } else {
                row
            };
            for column in 0..to_width {
                let column = if self.mirrored {
                    to_width - 1 - column
                } else {
                    column
                };
                let (x, y) = if self.transposed {
                    (row, column)
                } else {
                    (column, row)
                };
                out.extend_from_slice(&pixels[y * width + x]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::builders::directory;

    #[test]
    fn each_orientation_turns_as_the_standard_shows() {
        // Rows a b c / d e f, and what is seen for each value of the tag.
        let stored = Picture::grey(3, 2, b"abcdef".to_vec()).unwrap();
        let seen: [(&[u8], u32); 8] = [
            (b"abcdef", 3),
            (b"cbafed", 3),
            (b"fedcba", 3),
            (b"defabc", 3),
            (b"adbecf", 2),
            (b"daebfc", 2),
            (b"fcebda", 2),
            (b"cfbead", 2),
        ];
        for (value, (bytes, width)) in (1..).zip(seen) {
            let turned = Orientation::of_tag(value).apply(stored.clone());
            assert_eq!(turned.pixels.bytes(), bytes, "orientation {value}");
            assert_eq!(turned.width, width, "orientation {value}");
        }
        assert_eq!(Orientation::of_exif(b"no exif"), Orientation::of_tag(1));
        assert_eq!(
            Orientation::of_exif(&directory(200)),
            Orientation::of_tag(1)
        );
    }
}
