//! What of a file is shown before the file is, or without it.
//!
//! ```text
//! preview   u8 version 1 | u8 kind, and by it
//!   0       picture: u32 width | u32 height | a PNG file of that size
//!   1       waveform: u64 milliseconds | u16 n | n x (i8 least, i8 most)
//!   2       text: u8 1 if that is all, else 0 | UTF-8
//! ```
//!
//! Numbers are little endian. Previews come from other clinics, too: [`Preview::decode`] takes what [`Preview::encode`] writes and
//! nothing else.

use std::fmt;

use salus_imaging::{DecodeOptions, Picture, Size};

use crate::facts::is_obeyed;
use crate::text::is_shown;
use crate::{MAX_PEAKS, MAX_PREVIEW_BYTES, MAX_PREVIEW_SIDE, MAX_PREVIEW_TEXT};

const VERSION: u8 = 1;
const PICTURE: u8 = 0;
const WAVEFORM: u8 = 1;
const TEXT: u8 = 2;
/// Signature, length and name of the first chunk, and the two sides in it (ISO/IEC 15948, 5.2 and 11.2.1).
const PNG_BEGINS: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// What of a file is shown before the file is, or without it.
#[derive(Clone, PartialEq, Eq)]
pub enum Preview {
    /// A small picture.
    Picture {
        /// Width in pixels, from 1 to [`MAX_PREVIEW_SIDE`].
        width: u32,
        /// Height in pixels, from 1 to [`MAX_PREVIEW_SIDE`].
        height: u32,
        /// A PNG file of that size, grey or in colour.
        png: Vec<u8>,
    },
    /// The outline of sound.
    Waveform {
        /// How long it is, in milliseconds.
        duration_ms: u64,
        /// The least and the greatest sample of each of at most [`MAX_PEAKS`] equal parts; 127 is full scale.
        peaks: Vec<(i8, i8)>,
    },
    /// The beginning of text.
    Text {
        /// At most [`MAX_PREVIEW_TEXT`] bytes, without control characters but tab and line ends.
        text: String,
        /// Whether that is all.
        whole: bool,
    },
}

impl fmt::Debug for Preview {
    /// Nothing that is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picture { width, height, png } => {
                write!(f, "Picture({width} x {height}, {} bytes)", png.len())
            }
            Self::Waveform { duration_ms, peaks } => {
                write!(f, "Waveform({duration_ms} ms, {} peaks)", peaks.len())
            }
            Self::Text { text, whole } => {
                write!(f, "Text({} bytes, whole: {whole})", text.len())
            }
        }
    }
}

impl Preview {
    /// The preview as bytes, at most [`MAX_PREVIEW_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Picture { width, height, png } => {
                out.push(PICTURE);
                out.extend(width.to_le_bytes());
                out.extend(height.to_le_bytes());
                out.extend(png);
            }
            Self::Waveform { duration_ms, peaks } => {
                out.push(WAVEFORM);
                out.extend(duration_ms.to_le_bytes());
                let count = u16::try_from(peaks.len()).unwrap_or(u16::MAX);
                out.extend(count.to_le_bytes());
                let peaks = peaks.iter().take(usize::from(count));
                out.extend(
                    peaks.flat_map(|(low, high)| [low, high].map(|peak| peak.to_le_bytes()[0])),
                );
            }
            Self::Text { text, whole } => {
                out.push(TEXT);
                out.push(u8::from(*whole));
                out.extend(text.as_bytes());
            }
        }
        out
    }

    /// The preview that these bytes are; `None` where they are none. Of a picture the header is read alone: see
    /// [`picture`](Self::picture).
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_PREVIEW_BYTES {
            return None;
        }
        let ([VERSION, kind], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        match *kind {
            PICTURE => picture(rest),
            WAVEFORM => waveform(rest),
            TEXT => text(rest),
            _ => None,
        }
    }

    /// The pixels of a picture, decoded in this process: they are few, and the decoder is bounded. `None` for other previews, and
    /// where the file in it is broken or of another size than it says.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        let Self::Picture { width, height, png } = self else {
            return None;
        };
        let options = DecodeOptions {
            size: Size::Full,
            scans_only: true,
            max_pixels: Some(MAX_PREVIEW_SIDE * MAX_PREVIEW_SIDE),
            ..DecodeOptions::default()
        };
        let picture = salus_imaging::decode(png, &options).ok()?.pictures.pop()?;
        ((picture.width, picture.height) == (*width, *height)).then_some(picture)
    }
}

fn picture(rest: &[u8]) -> Option<Preview> {
    let (width, rest) = rest.split_first_chunk()?;
    let (height, png) = rest.split_first_chunk()?;
    let sides = [u32::from_le_bytes(*width), u32::from_le_bytes(*height)];
    let said = png.strip_prefix(PNG_BEGINS)?;
    let said = [said.get(..4)?, said.get(4..8)?];
    let same = said == sides.map(u32::to_be_bytes).each_ref().map(|side| &side[..]);
    let possible = sides
        .iter()
        .all(|side| (1..=MAX_PREVIEW_SIDE).contains(side));
    (same && possible).then(|| Preview::Picture {
        width: sides[0],
        height: sides[1],
        png: png.to_vec(),
    })
}

fn waveform(rest: &[u8]) -> Option<Preview> {
    let (duration, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (pairs, odd) = rest.as_chunks::<2>();
    let peaks: Vec<(i8, i8)> = pairs
        .iter()
        .map(|pair| pair.map(u8::cast_signed))
        .map(|[low, high]| (low, high))
        .collect();
    let sound = odd.is_empty()
        && peaks.len() == usize::from(u16::from_le_bytes(*count))
        && (1..=MAX_PEAKS).contains(&peaks.len())
        && peaks.iter().all(|(low, high)| low <= high);
    sound.then(|| Preview::Waveform {
        duration_ms: u64::from_le_bytes(*duration),
        peaks,
    })
}

fn text(rest: &[u8]) -> Option<Preview> {
    let (whole, text) = rest.split_first()?;
    let whole = match whole {
        0 => false,
        1 => true,
        _ => return None,
    };
    let text = std::str::from_utf8(text).ok()?;
    let shown = text.chars().all(|c| is_shown(c) || !is_obeyed(c));
    (text.len() <= MAX_PREVIEW_TEXT && shown).then(|| Preview::Text {
        text: text.to_owned(),
        whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use salus_imaging::encode_png;

    fn picture_of(width: u32, height: u32) -> Preview {
        let grey = vec![7; (width * height) as usize];
        Preview::Picture {
            width,
            height,
            png: encode_png(&Picture::grey(width, height, grey).unwrap()),
        }
    }

    fn all() -> [Preview; 4] {
        [
            picture_of(3, 2),
            picture_of(MAX_PREVIEW_SIDE, 1),
            Preview::Waveform {
                duration_ms: 1_234,
                peaks: vec![(-128, 127), (0, 0), (5, 5)],
            },
            Preview::Text {
                text: "Zwei Zeilen:\n\tja\r\n".to_owned(),
                whole: true,
            },
        ]
    }

    #[test]
    fn a_preview_comes_back_as_it_was() {
        for preview in all() {
            let bytes = preview.encode();
            assert_eq!(Preview::decode(&bytes).as_ref(), Some(&preview));
            assert!(bytes.len() <= MAX_PREVIEW_BYTES);
        }
        let pixels = picture_of(3, 2).picture().unwrap();
        assert_eq!(pixels.pixels.bytes(), [7; 6]);
    }

    #[test]
    fn what_is_not_quite_a_preview_is_none() {
        for preview in all() {
            let bytes = preview.encode();
            for end in 0..bytes.len() {
                // A shorter text is a text, and what a PNG holds is seen when it is decoded.
                if let Some(shorter) = Preview::decode(&bytes[..end]) {
                    assert_eq!(shorter.encode(), bytes[..end]);
                    assert!(!matches!(shorter, Preview::Waveform { .. }));
                }
            }
            for version in [0, 2, 255] {
                let mut other = bytes.clone();
                other[0] = version;
                assert_eq!(Preview::decode(&other), None);
            }
        }
        let waveform = |count: u16, peaks: &[u8]| {
            let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(count.to_le_bytes());
            bytes.extend(peaks);
            Preview::decode(&bytes)
        };
        assert!(waveform(1, &[1, 2]).is_some());
        assert!(waveform(1, &[2, 1]).is_none());
        assert!(waveform(2, &[1, 2]).is_none());
        assert!(waveform(1, &[1, 2, 3]).is_none());
        assert!(waveform(0, &[]).is_none());
        assert!(waveform(1_025, &[0; 2_050]).is_none());
        for text in ["\u{1b}[2J", "a\u{9b}1m", "\u{202e}", "\0", "\u{7f}"] {
            let bytes = [&[1, 2, 1], text.as_bytes()].concat();
            assert_eq!(Preview::decode(&bytes), None, "{text:?}");
        }
        assert_eq!(Preview::decode(&[1, 2, 2]), None);
        assert_eq!(Preview::decode(&[1, 2, 1, 0xff]), None);
        let long = [&[1, 2, 0][..], &[b'a'; MAX_PREVIEW_TEXT + 1]].concat();
        assert_eq!(Preview::decode(&long), None);
    }

    #[test]
    fn a_picture_that_says_another_size_is_none() {
        let Preview::Picture { png, .. } = picture_of(3, 2) else {
            unreachable!()
        };
        let lying = Preview::Picture {
            width: 2,
            height: 3,
            png: png.clone(),
        };
        assert_eq!(Preview::decode(&lying.encode()), None);
        let large = picture_of(MAX_PREVIEW_SIDE + 1, 1);
        assert_eq!(Preview::decode(&large.encode()), None);
        let cut = Preview::Picture {
            width: 3,
            height: 2,
            png: png[..40].to_vec(),
        };
        assert_eq!(Preview::decode(&cut.encode()).unwrap().picture(), None);
    }
}
