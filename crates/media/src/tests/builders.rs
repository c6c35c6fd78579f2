//! Files for the tests.

use salus_imaging::{Picture, encode_png};

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

/// A WAV file of 16 bits at 8 kHz with these samples of one channel.
pub(super) fn wav(samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    wav_of(1, 1, 8_000, 16, &data)
}

/// A WAV file of this coding.
pub(super) fn wav_of(coding: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let length = u32::try_from(data.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(coding.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(block)).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}

/// A DICOM file in explicit VR, little endian.
#[derive(Clone)]
pub(super) struct Dicom {
    transfer_syntax: String,
    elements: Vec<u8>,
}

pub(super) const EXPLICIT: &str = "1.2.840.10008.1.2.1";

impl Dicom {
    pub(super) fn new(transfer_syntax: &str) -> Self {
        Self {
            transfer_syntax: transfer_syntax.to_owned(),
            elements: Vec::new(),
        }
    }

    /// Who is in it, of which study. Elements go in the order of their tags.
    pub(super) fn patient(transfer_syntax: &str, class: &str) -> Self {
        Self::new(transfer_syntax)
            .text(0x0008_0016, "UI", class)
            .text(0x0008_0018, "UI", "1.2.3.4.5")
            .text(0x0008_0020, "DA", "20260102")
            .text(0x0008_0060, "CS", "CT")
            .text(0x0008_1030, "LO", "Thorax\u{1b}[31m")
            .text(0x0010_0010, "PN", "Okafor^Ada Chi^B^^")
            .text(0x0010_0020, "LO", "MRN 12")
            .text(0x0010_0030, "DA", "19800229")
            .text(0x0010_0040, "CS", "F")
            .text(0x0020_000d, "UI", "1.2.3.4")
            .text(0x0020_000e, "UI", "1.2.3.4.1")
    }

    /// What a picture of 8 bits says of itself, without its samples.
    pub(super) fn grey(self, rows: u16, columns: u16, frames: u16) -> Self {
        self.short(0x0028_0002, 1)
            .text(0x0028_0004, "CS", "MONOCHROME2")
            .text(0x0028_0008, "IS", &frames.to_string())
            .short(0x0028_0010, rows)
            .short(0x0028_0011, columns)
            .short(0x0028_0100, 8)
            .short(0x0028_0101, 8)
            .short(0x0028_0103, 0)
    }

    pub(super) fn element(mut self, tag: u32, vr: &str, value: &[u8]) -> Self {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
        }
        let length = u32::try_from(value.len()).unwrap();
        self = self.header(tag, vr, length);
        self.elements.extend(value);
        self
    }

    /// Tag, VR and a length, which may be a lie.
    pub(super) fn header(mut self, tag: u32, vr: &str, length: u32) -> Self {
        for part in [tag >> 16, tag & 0xffff] {
            self.elements
                .extend(u16::try_from(part).unwrap().to_le_bytes());
        }
        self.elements.extend(vr.as_bytes());
        if ["OB", "OW", "SQ", "UN"].contains(&vr) {
            self.elements.extend([0, 0]);
            self.elements.extend(length.to_le_bytes());
        } else {
            self.elements
                .extend(u16::try_from(length).unwrap().to_le_bytes());
        }
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.elements.extend(bytes);
        self
    }

    pub(super) fn text(self, tag: u32, vr: &str, value: &str) -> Self {
        self.element(tag, vr, value.as_bytes())
    }

    pub(super) fn short(self, tag: u32, value: u16) -> Self {
        self.element(tag, "US", &value.to_le_bytes())
    }

    pub(super) fn samples(self, samples: &[u8]) -> Self {
        self.element(0x7fe0_0010, "OB", samples)
    }

    /// Pixel data in fragments, an empty offset table before them.
    pub(super) fn fragments(mut self, fragments: &[&[u8]]) -> Self {
        const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
        self = self
            .header(0x7fe0_0010, "OB", u32::MAX)
            .raw(&ITEM)
            .raw(&[0; 4]);
        for fragment in fragments {
            let length = u32::try_from(fragment.len()).unwrap();
            self = self.raw(&ITEM).raw(&length.to_le_bytes()).raw(fragment);
        }
        self.raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
    }

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
