//! Files for the tests.

use std::io::Cursor;

use tiff::encoder::{TiffEncoder, colortype};

use crate::{DecodeOptions, Decoded, ImageError, decode};

/// A TIFF directory, little endian, as Exif has it: a maker's name, and an orientation.
pub(crate) fn directory(orientation: u8) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0\x02\0".to_vec();
    bytes.extend([0x0f, 1, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    bytes
}

pub(super) fn plainly(bytes: &[u8]) -> Result<Decoded, ImageError> {
    decode(bytes, &DecodeOptions::default())
}

/// What the only picture of a file holds.
pub(super) fn samples(bytes: &[u8]) -> Vec<u8> {
    let decoded = plainly(bytes).unwrap();
    assert_eq!(decoded.pictures.len(), 1);
    decoded.pictures[0].pixels.bytes().to_vec()
}

/// A smooth pattern, which survives lossy coding.
pub(super) fn slope(width: u16, height: u16, channels: u16) -> Vec<u8> {
    let (across, down) = (u32::from(width.max(2)) - 1, u32::from(height.max(2)) - 1);
    let mut out = Vec::new();
    for y in 0..u32::from(height) {
        for x in 0..u32::from(width) {
            for channel in 0..u32::from(channels) {
                let value = match channel {
                    0 => x * 200 / across,
                    1 => y * 200 / down,
                    _ => (x * 100 / across) + (y * 100 / down),
                };
                out.push(u8::try_from(value + 20).unwrap());
            }
        }
    }
    out
}

pub(super) fn png(
    (width, height): (u32, u32),
    colour: png::ColorType,
    depth: png::BitDepth,
    data: &[u8],
    set: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    set(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    // Without data it is a header and an end.
    if !data.is_empty() {
        writer.write_image_data(data).unwrap();
    }
    drop(writer);
    file
}

pub(super) fn jpeg(
    (width, height): (u16, u16),
    colour: jpeg_encoder::ColorType,
    data: &[u8],
    set: impl FnOnce(&mut jpeg_encoder::Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 95);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    set(&mut encoder);
    encoder.encode(data, width, height, colour).unwrap();
    file
}

/// A grey TIFF of as many pages, each of 3 x 2 pixels.
pub(super) fn tiff_pages(pages: usize) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    for page in 0..pages {
        let data = [1, 2, 3, 4, 5, u8::try_from(page).unwrap()];
        encoder
            .write_image::<colortype::Gray8>(3, 2, &data)
            .unwrap();
    }
    file.into_inner()
}

/// A TIFF with these tags, each a SHORT or LONG of one value, and the strip of data behind them.
pub(super) fn tiff(tags: &[(u16, u32)], data: &[u8]) -> Vec<u8> {
    const STRIP_OFFSETS: u16 = 273;
    const STRIP_BYTES: u16 = 279;
    let mut tags = tags.to_vec();
    let offset = 8 + 2 + 12 * (tags.len() + 2) + 4;
    tags.push((STRIP_OFFSETS, u32::try_from(offset).unwrap()));
    tags.push((STRIP_BYTES, u32::try_from(data.len()).unwrap()));
    tags.sort_unstable();
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend(u16::try_from(tags.len()).unwrap().to_le_bytes());
    for (tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend(4_u16.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(data);
    file
}

pub(super) const WIDTH: u16 = 256;
pub(super) const HEIGHT: u16 = 257;
pub(super) const BITS: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const ORIENTATION: u16 = 274;
pub(super) const SAMPLES: u16 = 277;
pub(super) const ROWS_PER_STRIP: u16 = 278;

/// A DICOM file in explicit VR, little endian unless said otherwise.
#[derive(Clone)]
pub(super) struct Dicom {
    transfer_syntax: String,
    big_endian: bool,
    elements: Vec<u8>,
}

impl Dicom {
    /// An empty data set in this transfer syntax.
    pub(super) fn new(transfer_syntax: &str) -> Self {
        Self {
            transfer_syntax: transfer_syntax.to_owned(),
            big_endian: transfer_syntax == "1.2.840.10008.1.2.2",
            elements: Vec::new(),
        }
    }

    /// A picture of one frame without its samples.
    pub(super) fn picture(rows: u16, columns: u16, bits: u16, photometric: &str) -> Self {
        let colours = if photometric.starts_with("MONO") || photometric.starts_with("PAL") {
            1
        } else {
            3
        };
        Self::new("1.2.840.10008.1.2.1")
            .text(0x0008_0060, "CS", "OT")
            .short(0x0028_0002, colours)
            .text(0x0028_0004, "CS", photometric)
            .short(0x0028_0010, rows)
            .short(0x0028_0011, columns)
            .short(0x0028_0100, bits)
            .short(0x0028_0101, bits)
            .short(0x0028_0103, 0)
    }

    fn two(&self, value: u16) -> [u8; 2] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn four(&self, value: u32) -> [u8; 4] {
        if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    /// Tag, VR and a length, which may be a lie.
    pub(super) fn header(mut self, tag: u32, vr: &str, length: u32) -> Self {
        let [high, low] = [tag >> 16, tag & 0xffff].map(|part| u16::try_from(part).unwrap());
        self.elements.extend(self.two(high));
        self.elements.extend(self.two(low));
        self.elements.extend(vr.as_bytes());
        if ["OB", "OW", "SQ", "UN", "UT", "OF"].contains(&vr) {
            self.elements.extend([0, 0]);
            self.elements.extend(self.four(length));
        } else {
            let short = u16::try_from(length).unwrap();
            self.elements.extend(self.two(short));
        }
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.elements.extend(bytes);
        self
    }

    pub(super) fn element(self, tag: u32, vr: &str, value: &[u8]) -> Self {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
        }
        self.header(tag, vr, u32::try_from(value.len()).unwrap())
            .raw(&value)
    }

    pub(super) fn text(self, tag: u32, vr: &str, value: &str) -> Self {
        self.element(tag, vr, value.as_bytes())
    }

    pub(super) fn short(self, tag: u32, value: u16) -> Self {
        let value = self.two(value);
        self.element(tag, "US", &value)
    }

    /// Pixel data of 16 bits.
    pub(super) fn words(self, samples: &[u16]) -> Self {
        let bytes: Vec<u8> = samples.iter().flat_map(|word| self.two(*word)).collect();
        self.element(0x7fe0_0010, "OW", &bytes)
    }

    /// Pixel data of 8 bits.
    pub(super) fn bytes(self, samples: &[u8]) -> Self {
        self.element(0x7fe0_0010, "OB", samples)
    }

    /// The start of an item, without its end.
    pub(super) fn item(self, length: u32) -> Self {
        let length = self.four(length);
        self.raw(&[0xfe, 0xff, 0x00, 0xe0]).raw(&length)
    }

    /// Pixel data in fragments, an empty offset table before them.
    pub(super) fn fragments(mut self, fragments: &[Vec<u8>]) -> Self {
        self = self.header(0x7fe0_0010, "OB", u32::MAX).item(0);
        for fragment in fragments {
            let padding = fragment.len() % 2;
            let length = fragment.len() + padding;
            self = self
                .item(u32::try_from(length).unwrap())
                .raw(fragment)
                .raw(&[0][..padding]);
        }
        self.raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
    }

    /// The same data set in another transfer syntax of the same byte order.
    pub(super) fn named(mut self, transfer_syntax: &str) -> Self {
        transfer_syntax.clone_into(&mut self.transfer_syntax);
        self
    }

    /// The data set alone.
    pub(super) fn data_set(&self) -> &[u8] {
        &self.elements
    }

    pub(super) fn file(&self) -> Vec<u8> {
        self.file_with(&self.elements)
    }

    /// A file with this meta group and other bytes for its data set.
    pub(super) fn file_with(&self, data_set: &[u8]) -> Vec<u8> {
        let meta = Self::new("").text(0x0002_0010, "UI", &self.transfer_syntax);
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        file.extend(meta.elements);
        file.extend(data_set);
        file
    }
}
