//! What to make of a file.

use crate::{ImageError, MAX_PIXELS, MAX_SIDE};

/// How large the pictures of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// As large as in the file.
    #[default]
    Full,
    /// Scaled down until the longer side has at most this many pixels, the shape kept; never scaled up.
    Fit(u32),
    /// Exactly this width and height in pixels, whatever the shape was.
    Exact(u32, u32),
}

/// Which frames of a DICOM file become pictures. Other formats have one picture here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Frames {
    /// The one in the middle, which of a volume or a loop shows most.
    #[default]
    Middle,
    /// The one of this index, from 0.
    One(u32),
    /// Each, in the order of the file, as far as [`MAX_FRAMES`](crate::MAX_FRAMES) and the size of the result allow.
    All,
    /// None: metadata alone. Of formats without metadata the size and the number of pictures, once they are decoded.
    None,
}

/// How the greys of a DICOM file are spread over a screen's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Window {
    /// As the file says: its first window, else its VOI table, else [`Window::Auto`].
    #[default]
    File,
    /// All of an 8-bit range; of other ranges what the picture uses, without 0.5 % outliers at each end and padding; of a CT
    /// nothing below -1,024 Hounsfield units.
    Auto,
    /// This window, in units of the modality (Hounsfield units of a CT), linear (PS3.3, C.11.2.1.2.1).
    Fixed {
        /// The value in the middle.
        centre: f64,
        /// From black to white; 1 or less is a threshold.
        width: f64,
    },
}

/// What is asked of [`decode`](crate::decode).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodeOptions {
    /// How large the pictures are made.
    pub size: Size,
    /// Colour becomes grey, by [`luma`](crate::luma), before anything is scaled.
    pub grey: bool,
    /// Refuse what no scanner writes: several pages, animations, CMYK, one bit a pixel. For a classifier, which would
    /// find something in them, too.
    pub scans_only: bool,
    /// Which frames of a DICOM file.
    pub frames: Frames,
    /// How the greys of a DICOM file are spread.
    pub window: Window,
    /// Count the stored samples of all frames of a DICOM file; every frame is decoded for it.
    pub statistics: bool,
    /// Refuse a picture, or a frame, of more pixels; [`MAX_PIXELS`] are the most in any case. For callers with less memory than
    /// [`JOB_MEMORY_BYTES`](crate::JOB_MEMORY_BYTES).
    pub max_pixels: Option<u32>,
}

impl DecodeOptions {
    /// What a classifier takes: grey, of exactly this size, and nothing that no scanner writes.
    #[must_use]
    pub fn classifier(width: u32, height: u32) -> Self {
        Self {
            size: Size::Exact(width, height),
            grey: true,
            scans_only: true,
            ..Self::default()
        }
    }

    /// What a file says, without pictures.
    #[must_use]
    pub fn metadata() -> Self {
        Self {
            frames: Frames::None,
            ..Self::default()
        }
    }

    /// A preview with the longer side at most `max_side` pixels.
    #[must_use]
    pub fn preview(max_side: u32) -> Self {
        Self {
            size: Size::Fit(max_side),
            ..Self::default()
        }
    }
}

impl DecodeOptions {
    /// The most pixels that a picture may have.
    pub(crate) fn most_pixels(&self) -> u64 {
        self.max_pixels
            .map_or(MAX_PIXELS, u64::from)
            .min(MAX_PIXELS)
    }
}

impl Size {
    /// Refuses a size that cannot be made, before anything is decoded for it.
    pub(crate) fn check(self) -> Result<(), ImageError> {
        let (width, height) = match self {
            Self::Full => return Ok(()),
            Self::Fit(side) => (side, 1),
            Self::Exact(width, height) => (width, height),
        };
        let sides = 1..=MAX_SIDE;
        // `Fit` never enlarges, so that only 0 is wrong with it.
        let possible = match self {
            Self::Fit(side) => side > 0,
            _ => {
                sides.contains(&width)
                    && sides.contains(&height)
                    && u64::from(width) * u64::from(height) <= MAX_PIXELS
            }
        };
        possible
            .then_some(())
            .ok_or(ImageError::Size { width, height })
    }

    /// Width and height that a picture of `width` x `height`, at least 1 each, gets.
    #[must_use]
    pub fn of(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::Full => (width, height),
            Self::Exact(to_width, to_height) => (to_width, to_height),
            Self::Fit(max_side) => {
                let longer = width.max(height);
                if longer <= max_side {
                    return (width, height);
                }
                (
                    shrink(width, max_side, longer),
                    shrink(height, max_side, longer),
                )
            }
        }
    }
}

/// `side * max_side / longer`, rounded, at least 1. `side <= longer` and `max_side < longer`.
fn shrink(side: u32, max_side: u32, longer: u32) -> u32 {
    let exact = u64::from(side) * u64::from(max_side);
    let rounded = (exact + u64::from(longer / 2)) / u64::from(longer.max(1));
    u32::try_from(rounded).unwrap_or(max_side).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_fitted_with_its_shape_and_never_enlarged() {
        assert_eq!(Size::Fit(100).of(400, 200), (100, 50));
        assert_eq!(Size::Fit(100).of(200, 400), (50, 100));
        assert_eq!(Size::Fit(100).of(60, 40), (60, 40));
        assert_eq!(Size::Fit(100).of(65_535, 1), (100, 1));
        assert_eq!(Size::Full.of(3, 4), (3, 4));
        assert_eq!(Size::Exact(5, 6).of(3, 4), (5, 6));
    }

    #[test]
    fn a_size_that_cannot_be_made_is_refused() {
        assert!(Size::Exact(224, 224).check().is_ok());
        assert!(Size::Fit(u32::MAX).check().is_ok());
        for size in [
            Size::Fit(0),
            Size::Exact(0, 1),
            Size::Exact(65_535, 65_535),
            Size::Exact(65_536, 1),
        ] {
            assert!(size.check().is_err(), "{size:?}");
        }
    }
}
