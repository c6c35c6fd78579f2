//! Small files of every kind, made here: for the tests of this crate, of those above it, and for the fuzzer. Lengths that do not fit
//! their place become the largest that do.

fn short(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn long(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A WAV file of 16 bits at 8 kHz with these samples of one channel.
#[must_use]
pub fn wav(samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    wav_of(1, 1, 8_000, 16, &data)
}

/// A WAV file of this coding.
#[must_use]
pub fn wav_of(coding: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let length = long(data.len());
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
pub struct Dicom {
    transfer_syntax: String,
    elements: Vec<u8>,
}

/// Explicit VR, little endian.
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

impl Dicom {
    /// An empty data set.
    pub fn new(transfer_syntax: &str) -> Self {
        Self {
            transfer_syntax: transfer_syntax.to_owned(),
            elements: Vec::new(),
        }
    }

    /// Who is in it, of which study. Elements go in the order of their tags.
    pub fn patient(transfer_syntax: &str, class: &str) -> Self {
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
    pub fn grey(self, rows: u16, columns: u16, frames: u16) -> Self {
        self.short(0x0028_0002, 1)
            .text(0x0028_0004, "CS", "MONOCHROME2")
            .text(0x0028_0008, "IS", &frames.to_string())
            .short(0x0028_0010, rows)
            .short(0x0028_0011, columns)
            .short(0x0028_0100, 8)
            .short(0x0028_0101, 8)
            .short(0x0028_0103, 0)
    }

    /// The same data set in another transfer syntax of the same byte order.
    #[must_use]
    pub fn named(mut self, transfer_syntax: &str) -> Self {
        transfer_syntax.clone_into(&mut self.transfer_syntax);
        self
    }

    /// Any element.
    pub fn element(mut self, tag: u32, vr: &str, value: &[u8]) -> Self {
        let mut value = value.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
        }
        let length = long(value.len());
        self = self.header(tag, vr, length);
        self.elements.extend(value);
        self
    }

    /// Tag, VR and a length, which may be a lie.
    pub fn header(mut self, tag: u32, vr: &str, length: u32) -> Self {
        for part in [tag >> 16, tag & 0xffff] {
            self.elements.extend(short(part).to_le_bytes());
        }
        self.elements.extend(vr.as_bytes());
        if ["OB", "OW", "SQ", "UN"].contains(&vr) {
            self.elements.extend([0, 0]);
            self.elements.extend(length.to_le_bytes());
        } else {
            self.elements.extend(short(length).to_le_bytes());
        }
        self
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.elements.extend(bytes);
        self
    }

    /// An element of text.
    pub fn text(self, tag: u32, vr: &str, value: &str) -> Self {
        self.element(tag, vr, value.as_bytes())
    }

    /// An element of 16 bits.
    pub fn short(self, tag: u32, value: u16) -> Self {
        self.element(tag, "US", &value.to_le_bytes())
    }

    /// Uncompressed pixel data.
    pub fn samples(self, samples: &[u8]) -> Self {
        self.element(0x7fe0_0010, "OB", samples)
    }

    /// Pixel data in fragments, an empty offset table before them.
    pub fn fragments(mut self, fragments: &[&[u8]]) -> Self {
        const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
        self = self
            .header(0x7fe0_0010, "OB", u32::MAX)
            .raw(&ITEM)
            .raw(&[0; 4]);
        for fragment in fragments {
            let length = long(fragment.len());
            self = self.raw(&ITEM).raw(&length.to_le_bytes()).raw(fragment);
        }
        self.raw(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])
    }

    /// The data set alone.
    pub fn data_set(&self) -> &[u8] {
        &self.elements
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        self.file_with(&self.elements)
    }

    /// A file with this meta group and other bytes for its data set.
    pub fn file_with(&self, data_set: &[u8]) -> Vec<u8> {
        let meta = Self::new("").text(0x0002_0010, "UI", &self.transfer_syntax);
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        file.extend(meta.elements);
        file.extend(data_set);
        file
    }
}

/// Writes numbers bit by bit.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
    lowest_first: bool,
}

impl Bits {
    fn put(&mut self, value: u64, bits: u32) {
        for step in 0..bits {
            let bit = if self.lowest_first {
                value >> step
            } else {
                value >> (bits - 1 - step)
            } & 1;
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let place = if self.lowest_first {
                self.used % 8
            } else {
                7 - self.used % 8
            };
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(bit == 1) << place;
            }
            self.used += 1;
        }
    }
}

/// A checksum of as many bits as `width`, the highest first, as FLAC and Ogg have them.
fn checksum(bytes: &[u8], polynomial: u32, width: u32) -> u32 {
    let mask = u32::MAX >> (32 - width);
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << (width - 8)), |sum: u32, _| {
            let carry = (sum >> (width - 1)) & 1;
            ((sum << 1) ^ (polynomial * carry)) & mask
        })
    })
}

/// A FLAC file of one channel of 16 bits at 8 kHz: frames of 192 samples, as they are.
#[must_use]
pub fn flac(samples: &[i16]) -> Vec<u8> {
    let frames: Vec<Vec<u8>> = samples
        .chunks(192)
        .zip(0_u8..)
        .map(|(samples, number)| {
            let mut bits = Bits::default();
            bits.put(0b1111_1111_1111_1000, 16);
            // The number of samples follows, less one, in 8 bits; 8 kHz; one channel; 16 bits.
            bits.put(0b0110_0100_0000_1000, 16);
            bits.put(u64::from(number & 0x7f), 8);
            bits.put(samples.len() as u64 - 1, 8);
            bits.put(u64::from(checksum(&bits.bytes, 7, 8)), 8);
            bits.put(0b0000_0010, 8);
            let mut frame = bits.bytes;
            frame.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
            let sum = checksum(&frame, 0x8005, 16);
            frame.extend(short(sum).to_be_bytes());
            frame
        })
        .collect();
    flac_of(samples.len() as u64, &frames.concat())
}

/// A FLAC file of so many frames, fewer than 55,296, of 65,535 equal samples of 16 bits in stereo at 48 kHz, 17 bytes each.
#[must_use]
pub fn flac_silence(frames: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for number in 0..frames {
        let mut bits = Bits::default();
        bits.put(0b1111_1111_1111_1000, 16);
        // The number of samples follows, less one, in 16 bits; 48 kHz; two channels; 16 bits.
        bits.put(0b0111_1010_0001_1000, 16);
        let mut coded = [0; 4];
        // Numbers are coded as UTF-8 codes characters (RFC 9639, 9.1.5).
        let number = char::from_u32(number).unwrap_or_default();
        for byte in number.encode_utf8(&mut coded).bytes() {
            bits.put(u64::from(byte), 8);
        }
        bits.put(65_534, 16);
        bits.put(u64::from(checksum(&bits.bytes, 7, 8)), 8);
        for _ in 0..2 {
            // One value for all samples.
            bits.put(0, 8);
            bits.put(0, 16);
        }
        let mut frame = bits.bytes;
        let sum = checksum(&frame, 0x8005, 16);
        frame.extend(short(sum).to_be_bytes());
        all.extend(frame);
    }
    flac_with((65_535, 48_000, 2), u64::from(frames) * 65_535, &all)
}

/// A FLAC file that says that it has so many samples, with these frames.
#[must_use]
pub fn flac_of(samples: u64, frames: &[u8]) -> Vec<u8> {
    flac_with((192, 8_000, 1), samples, frames)
}

fn flac_with((block, rate, channels): (u64, u64, u64), samples: u64, frames: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(block, 16);
    bits.put(block, 16);
    bits.put(0, 48);
    bits.put(rate, 20);
    bits.put(channels - 1, 3);
    bits.put(15, 5);
    bits.put(samples, 36);
    bits.put(0, 64);
    bits.put(0, 64);
    [b"fLaC\x80\0\0\x22", &bits.bytes[..], frames].concat()
}

/// An MP3 file of so many silent frames in stereo, 1,152 samples each at 44.1 kHz.
#[must_use]
pub fn mp3(frames: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x04];
    frame.resize(417, 0);
    frame.repeat(frames)
}

/// A page of an Ogg file.
#[must_use]
pub fn ogg_page(flags: u8, position: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(position.to_le_bytes());
    page.extend(77_u32.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    let mut segments = Vec::new();
    for packet in packets {
        let mut left = packet.len();
        while left >= 255 {
            segments.push(255);
            left -= 255;
        }
        segments.push(left.to_le_bytes()[0]);
    }
    page.push(segments.len().to_le_bytes()[0]);
    page.extend(segments);
    page.extend(packets.concat());
    let sum = checksum(&page, 0x04c1_1db7, 32);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// An Ogg file of silent Vorbis, one channel at 8 kHz: 128 samples a packet, but the first.
#[must_use]
pub fn vorbis(packets: usize) -> Vec<u8> {
    let mut first = b"\x01vorbis\0\0\0\0\x01".to_vec();
    first.extend(8_000_u32.to_le_bytes());
    first.extend([0; 12]);
    first.extend([0x88, 1]);
    let comment = b"\x03vorbis\0\0\0\0\0\0\0\0\x01";
    let mut bits = Bits {
        lowest_first: true,
        ..Bits::default()
    };
    for (value, width) in [
        // One codebook: of one dimension, two entries of one bit, no values.
        (0, 8),
        (0x56_4342, 24),
        (1, 16),
        (2, 24),
        (0, 2),
        (0, 5),
        (0, 5),
        (0, 4),
        // No time domain transform; a floor of no partitions.
        (0, 6),
        (0, 16),
        (0, 6),
        (1, 16),
        (0, 5),
        (0, 2),
        (7, 4),
        // A residue of nothing.
        (0, 6),
        (0, 16),
        (0, 24),
        (0, 24),
        (0, 24),
        (0, 6),
        (0, 8),
        (0, 4),
        // One mapping, one mode, the end.
        (0, 6),
        (0, 16),
        (0, 4),
        (0, 24),
        (0, 6),
        (0, 1),
        (0, 16),
        (0, 16),
        (0, 8),
        (1, 1),
    ] {
        bits.put(value, width);
    }
    let setup = [b"\x05vorbis", &bits.bytes[..]].concat();
    let sound = vec![&[0_u8][..]; packets];
    let position = 128 * packets.saturating_sub(1) as u64;
    [
        ogg_page(2, 0, 0, &[&first]),
        ogg_page(0, 0, 1, &[comment, &setup]),
        ogg_page(4, position, 2, &sound),
    ]
    .concat()
}

/// An Ogg file of Opus in stereo that is said to last so many samples at 48 kHz.
#[must_use]
pub fn opus(samples: u64) -> Vec<u8> {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let tags = b"OpusTags\0\0\0\0\0\0\0\0";
    [
        ogg_page(2, 0, 0, &[head]),
        ogg_page(0, 0, 1, &[tags]),
        ogg_page(4, samples + 312, 2, &[&[0xfc, 0xff, 0xfe][..]; 50]),
    ]
    .concat()
}

/// A box of an ISO base media file.
#[must_use]
pub fn mp4_box(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&long(content.len() + 8).to_be_bytes()[..], name, content].concat()
}

/// An M4A file of so many silent frames of AAC, one channel at 8 kHz, 1,024 samples each; its track is of this kind, `soun` for sound.
#[must_use]
pub fn m4a(frames: u32, handler: &[u8; 4], coding: &[u8; 4]) -> Vec<u8> {
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
    let brand = mp4_box(b"ftyp", b"M4A \0\0\0\0M4A isom");
    let data = mp4_box(b"mdat", &[0, 0, 0, 7].repeat(frames as usize));
    let (scale, duration) = (8_000, frames * 1_024);
    let mvhd = [
        words(&[0, 0, 0, scale, duration, 0x1_0000, 0x100_0000]),
        vec![0; 72],
    ]
    .concat();
    let tkhd = [words(&[7, 0, 0, 1, 0, duration]), vec![0; 60]].concat();
    let mdhd = words(&[0, 0, 0, scale, duration, 0x55c4_0000]);
    let hdlr = [&[0; 8], &handler[..], &[0; 13]].concat();
    // Descriptors of the stream, its decoder (AAC), and what that is told: AAC-LC, 8 kHz, one channel.
    let esds = [
        &[0, 0, 0, 0, 3, 25, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0][..],
        &[0; 8],
        &[5, 2, 0x15, 0x88, 6, 1, 2],
    ]
    .concat();
    let sound = [
        words(&[0, 1, 0, 0, 0x1_0010, 0, scale << 16]),
        mp4_box(b"esds", &esds),
    ]
    .concat();
    let stsd = [words(&[0, 1]), mp4_box(coding, &sound)].concat();
    let stbl = |offset: u32| {
        [
            mp4_box(b"stsd", &stsd),
            mp4_box(b"stts", &words(&[0, 1, frames, 1_024])),
            mp4_box(b"stsc", &words(&[0, 1, 1, frames, 1])),
            mp4_box(b"stsz", &words(&[0, 4, frames])),
            mp4_box(b"stco", &words(&[0, 1, offset])),
        ]
        .concat()
    };
    let movie = |offset: u32| {
        let minf = [mp4_box(b"smhd", &[0; 8]), mp4_box(b"stbl", &stbl(offset))].concat();
        let mdia = [
            mp4_box(b"mdhd", &mdhd),
            mp4_box(b"hdlr", &hdlr),
            mp4_box(b"minf", &minf),
        ]
        .concat();
        let trak = [mp4_box(b"tkhd", &tkhd), mp4_box(b"mdia", &mdia)].concat();
        mp4_box(
            b"moov",
            &[mp4_box(b"mvhd", &mvhd), mp4_box(b"trak", &trak)].concat(),
        )
    };
    let offset = long(brand.len() + movie(0).len() + 8);
    [brand, movie(offset), data].concat()
}

/// A PDF file of pages with these lines on them.
#[must_use]
pub fn pdf(pages: &[&[&str]]) -> Vec<u8> {
    let mut objects = vec![
        "<</Type /Catalog /Pages 2 0 R>>".to_owned(),
        String::new(),
        "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding>>"
            .to_owned(),
    ];
    let mut kids = Vec::new();
    for lines in pages {
        let mut drawn = "BT /F1 12 Tf 72 720 Td 14 TL".to_owned();
        for line in *lines {
            drawn.push_str(&format!(" ({line}) Tj T*"));
        }
        drawn.push_str(" ET");
        objects.push(format!(
            "<</Length {}>> stream\n{drawn}\nendstream",
            drawn.len()
        ));
        let content = objects.len();
        objects.push(format!(
            "<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R /Resources <</Font <</F1 3 0 R>>>>>>"
        ));
        kids.push(format!("{} 0 R", objects.len()));
    }
    objects[1] = format!(
        "<</Type /Pages /Kids [{}] /Count {}>>",
        kids.join(" "),
        pages.len()
    );
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (at, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.extend(format!("{} 0 obj {object} endobj\n", at + 1).into_bytes());
    }
    let start = file.len();
    file.extend(table.into_bytes());
    let size = objects.len() + 1;
    file.extend(
        format!("trailer <</Root 1 0 R /Size {size}>>\nstartxref\n{start}\n%%EOF\n").into_bytes(),
    );
    file
}
