//! Lossless JPEG: sequential prediction with Huffman coding (ITU-T T.81, annex H), 2 to 16 bits a sample.

use super::huffman::{Bits, Table};
use super::{CUT_OFF, Frame, Refusal, Samples, Segments, Shape};

const DHT: u8 = 0xc4;
const DRI: u8 = 0xdd;
const SOF3: u8 = 0xc3;
const SOS: u8 = 0xda;

struct Header {
    precision: u32,
    /// Identifier of each component.
    components: Vec<u8>,
}

/// Decodes a stream whose size must be `shape`.
pub(crate) fn decode(stream: &[u8], shape: Shape) -> Result<Frame, Refusal> {
    let mut segments = Segments::new(stream).ok_or("a frame is no JPEG stream")?;
    let mut tables: [[Option<Table>; 4]; 2] = Default::default();
    let mut interval = 0;
    let mut header = None;
    let mut samples = Vec::new();
    let mut decoded = 0;
    while let Some((marker, content)) = segments.advance() {
        match marker {
            DHT => Table::read_all(content, &mut tables)?,
            DRI => interval = read_interval(content)?,
            SOF3 if header.is_none() => {
                header = Some(read_header(content, shape)?);
                samples = vec![0; shape.samples()];
            }
            0xc0..=0xcf => return Err("a frame is not coded as the transfer syntax says"),
            SOS => {
                let header = header.as_ref().ok_or("a scan stands before its frame")?;
                let scan = Scan::read(content, header, &tables)?;
                let mut bits = Bits::new(segments.rest());
                scan.decode(&mut bits, &mut samples, shape, interval)?;
                segments.resume(bits.at_marker());
                decoded += scan.parts.len();
            }
            _ => {}
        }
    }
    match header {
        Some(header) if decoded >= shape.channels => Ok(Frame {
            samples: Samples::U16(samples),
            bits: header.precision,
        }),
        _ => Err(CUT_OFF),
    }
}

pub(super) fn read_interval(content: &[u8]) -> Result<usize, Refusal> {
    let bytes = content.first_chunk::<2>().ok_or(CUT_OFF)?;
    Ok(usize::from(u16::from_be_bytes(*bytes)))
}

fn read_header(content: &[u8], shape: Shape) -> Result<Header, Refusal> {
    let [precision, y1, y0, x1, x0, count, ref parts @ ..] = *content else {
        return Err(CUT_OFF);
    };
    let width = u32::from(u16::from_be_bytes([x1, x0]));
    let height = u32::from(u16::from_be_bytes([y1, y0]));
    shape.admits(width, height, usize::from(count))?;
    let (parts, _) = parts.as_chunks::<3>();
    let components: Vec<u8> = parts.iter().map(|part| part[0]).collect();
    if components.len() != usize::from(count) || !(2..=16).contains(&precision) {
        return Err("a frame header is damaged");
    }
    // With one component the factors mean nothing.
    if count > 1 && parts.iter().any(|part| part[1] != 0x11) {
        return Err("a lossless frame has subsampled colours");
    }
    Ok(Header {
        precision: u32::from(precision),
        components,
    })
}

/// One scan: which channels it has, each with its table, and how they are predicted.
struct Scan<'a> {
    parts: Vec<(usize, &'a Table)>,
    predictor: u8,
    /// Low bits that are not coded.
    shift: u32,
    /// What the first sample is predicted as.
    start: i32,
}

impl<'a> Scan<'a> {
    fn read(
        content: &[u8],
        header: &Header,
        tables: &'a [[Option<Table>; 4]; 2],
    ) -> Result<Self, Refusal> {
        const BROKEN: Refusal = "a scan header is damaged";
        let (count, rest) = content.split_first().ok_or(BROKEN)?;
        let (parts, rest) = rest
            .split_at_checked(usize::from(*count) * 2)
            .ok_or(BROKEN)?;
        let [predictor, _, approximation, ..] = *rest else {
            return Err(BROKEN);
        };
        let (parts, _) = parts.as_chunks::<2>();
        let parts = parts
            .iter()
            .map(|[id, selectors]| {
                let channel = header.components.iter().position(|known| known == id)?;
                let table = tables[0].get(usize::from(selectors >> 4))?.as_ref()?;
                Some((channel, table))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(BROKEN)?;
        let shift = u32::from(approximation & 15);
        if parts.is_empty() || !(1..=7).contains(&predictor) || shift >= header.precision {
            return Err(BROKEN);
        }
        Ok(Self {
            parts,
            predictor,
            shift,
            start: 1 << (header.precision - shift - 1),
        })
    }

    fn decode(
        &self,
        bits: &mut Bits<'_>,
        samples: &mut [u16],
        shape: Shape,
        interval: usize,
    ) -> Result<(), Refusal> {
        let stride = shape.width * shape.channels;
        // The row where prediction began anew.
        let mut first_row = 0;
        for row in 0..shape.height {
            for column in 0..shape.width {
                let position = row * shape.width + column;
                if interval > 0 && position > 0 && position.is_multiple_of(interval) {
                    bits.restart()?;
                    if column != 0 {
                        return Err("a restart stands inside a row");
                    }
                    first_row = row;
                }
                for (channel, table) in &self.parts {
                    let at = position * shape.channels + channel;
                    let left = || i32::from(samples[at - shape.channels]);
                    let above = || i32::from(samples[at - stride]);
                    let predicted = match (row == first_row, column == 0) {
                        (true, true) => self.start,
                        (true, false) => left(),
                        (false, true) => above(),
                        (false, false) => {
                            let corner = i32::from(samples[at - stride - shape.channels]);
                            predict(self.predictor, left(), above(), corner)
                        }
                    };
                    let difference = match bits.decode(table)? {
                        16 => 0x8000,
                        category @ 0..=15 => bits.difference(u32::from(category))?,
                        _ => return Err("a Huffman code stands for nothing"),
                    };
                    let [low, high, ..] = (predicted + difference).to_le_bytes();
                    samples[at] = u16::from_le_bytes([low, high]);
                }
            }
        }
        if self.shift > 0 {
            for (channel, _) in &self.parts {
                for sample in samples.iter_mut().skip(*channel).step_by(shape.channels) {
                    *sample <<= self.shift;
                }
            }
        }
        Ok(())
    }
}

/// Table H.1.
fn predict(predictor: u8, left: i32, above: i32, corner: i32) -> i32 {
    match predictor {
        1 => left,
        2 => above,
        3 => corner,
        4 => left + above - corner,
        5 => left + ((above - corner) >> 1),
        6 => above + ((left - corner) >> 1),
        _ => (left + above) >> 1,
    }
}
