//! Decoded pixels.

/// A picture of 8 bits a sample.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The samples, row by row from the top left.
    pub pixels: Pixels,
}

/// The samples of a [`Picture`]; 0 is black, 255 white or full.
#[derive(Clone, PartialEq, Eq)]
pub enum Pixels {
    /// One byte a pixel.
    Grey8(Vec<u8>),
    /// Three bytes a pixel: red, green, blue (as encoded, which for nearly all files is sRGB).
    Rgb8(Vec<u8>),
}

impl Pixels {
    /// Bytes a pixel: 1 or 3.
    #[must_use]
    pub fn channels(&self) -> usize {
        match self {
            Self::Grey8(_) => 1,
            Self::Rgb8(_) => 3,
        }
    }

    /// The samples, interleaved.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Grey8(bytes) | Self::Rgb8(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.pixels {
            Pixels::Grey8(_) => "grey",
            Pixels::Rgb8(_) => "rgb",
        };
        write!(f, "Picture({} x {} {kind})", self.width, self.height)
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({} bytes)", self.bytes().len())
    }
}

/// Luma of ITU-R BT.601-7, section 2.5.1 (0.299 R + 0.587 G + 0.114 B), in 16-bit fixed point and rounded, as Pillow's
/// `convert("L")` has it.
#[must_use]
pub fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471;
    ((sum + 0x8000) >> 16).to_le_bytes()[0]
}

impl Picture {
    /// A grey picture. `None` unless there is one byte a pixel.
    #[must_use]
    pub fn grey(width: u32, height: u32, bytes: Vec<u8>) -> Option<Self> {
        Self::checked(width, height, Pixels::Grey8(bytes))
    }

    /// A picture in colour. `None` unless there are three bytes a pixel.
    #[must_use]
    pub fn rgb(width: u32, height: u32, bytes: Vec<u8>) -> Option<Self> {
        Self::checked(width, height, Pixels::Rgb8(bytes))
    }

    fn checked(width: u32, height: u32, pixels: Pixels) -> Option<Self> {
        let samples = (width as usize)
            .checked_mul(height as usize)?
            .checked_mul(pixels.channels())?;
        (samples == pixels.bytes().len()).then_some(Self {
            width,
            height,
            pixels,
        })
    }

    /// The same in grey, by [`luma`].
    #[must_use]
    pub fn to_grey(&self) -> Self {
        self.clone().into_grey()
    }

    /// The same in grey, by [`luma`]; what is grey already is not copied.
    #[must_use]
    pub fn into_grey(self) -> Self {
        let pixels = match self.pixels {
            Pixels::Grey8(grey) => Pixels::Grey8(grey),
            Pixels::Rgb8(rgb) => Pixels::Grey8(
                rgb.as_chunks::<3>()
                    .0
                    .iter()
                    .map(|[red, green, blue]| luma(*red, *green, *blue))
                    .collect(),
            ),
        };
        Self { pixels, ..self }
    }

    /// The same in colour; grey becomes three equal samples.
    #[must_use]
    pub fn into_rgb(self) -> Self {
        let pixels = match self.pixels {
            Pixels::Rgb8(rgb) => Pixels::Rgb8(rgb),
            Pixels::Grey8(grey) => {
                Pixels::Rgb8(grey.iter().flat_map(|value| [*value; 3]).collect())
            }
        };
        Self { pixels, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) of Pillow 13.0.
        for (colour, grey) in [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([255, 255, 255], 255),
            ([12, 200, 77], 130),
            ([1, 1, 1], 1),
        ] {
            let picture = Picture::rgb(1, 1, colour.to_vec()).unwrap();
            assert_eq!(picture.to_grey().pixels.bytes(), [grey], "{colour:?}");
        }
    }

    #[test]
    fn a_picture_has_as_many_bytes_as_its_size_says() {
        assert!(Picture::grey(2, 2, vec![0; 4]).is_some());
        assert!(Picture::grey(2, 2, vec![0; 5]).is_none());
        assert!(Picture::rgb(2, 2, vec![0; 4]).is_none());
        assert!(Picture::rgb(u32::MAX, u32::MAX, vec![0; 4]).is_none());
    }

    #[test]
    fn grey_to_colour_and_back_is_the_same() {
        let grey = Picture::grey(4, 64, (0..=255).collect()).unwrap();
        assert_eq!(grey.clone().into_rgb().into_grey(), grey);
    }
}
