//! Sequential JPEG with one component and 12 bits a sample (ITU-T T.81, process 4), which ordinary decoders refuse.

use std::f32::consts::PI;

use super::huffman::{Bits, Table};
use super::lossless::read_interval;
use super::{CUT_OFF, Frame, Refusal, Samples, Segments, Shape};

const DHT: u8 = 0xc4;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const SOF0: u8 = 0xc0;
const SOF1: u8 = 0xc1;
const SOS: u8 = 0xda;
const BLOCK: usize = 64;
const SIDE: usize = 8;

/// Where the coefficients of a block stand in the order in which they are coded (figure A.6).
const ZIGZAG: [u8; BLOCK] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Decodes a stream of one component whose size must be `shape`.
pub(crate) fn decode(stream: &[u8], shape: Shape) -> Result<Frame, Refusal> {
    let mut segments = Segments::new(stream).ok_or("a frame is no JPEG stream")?;
    let mut tables: [[Option<Table>; 4]; 2] = Default::default();
    let mut quantisers: [Option<[f32; BLOCK]>; 4] = [None; 4];
    let mut interval = 0;
    let mut frame: Option<(u32, usize)> = None;
    while let Some((marker, content)) = segments.advance() {
        match marker {
            DHT => Table::read_all(content, &mut tables)?,
            DQT => read_quantisers(content, &mut quantisers)?,
            DRI => interval = read_interval(content)?,
            SOF0 | SOF1 if frame.is_none() => {
                let [precision, y1, y0, x1, x0, count, _, _, quantiser, ..] = *content else {
                    return Err(CUT_OFF);
                };
                let width = u32::from(u16::from_be_bytes([x1, x0]));
                let height = u32::from(u16::from_be_bytes([y1, y0]));
                shape.admits(width, height, usize::from(count))?;
                if count != 1 || !matches!(precision, 8 | 12) {
                    return Err("a 12-bit JPEG frame has colours");
                }
                frame = Some((u32::from(precision), usize::from(quantiser)));
            }
            0xc0..=0xcf => return Err("a frame is not coded as the transfer syntax says"),
            SOS => {
                let (precision, quantiser) = frame.ok_or("a scan stands before its frame")?;
                let [_, _, selectors, ..] = *content else {
                    return Err(CUT_OFF);
                };
                let scan = Scan {
                    dc: table(&tables[0], selectors >> 4)?,
                    ac: table(&tables[1], selectors & 15)?,
                    quantiser: quantisers
                        .get(quantiser)
                        .and_then(Option::as_ref)
                        .ok_or("a quantisation table is missing")?,
                    precision,
                };
                // One component: the first scan is all there is.
                return scan.decode(Bits::new(segments.rest()), shape, interval);
            }
            _ => {}
        }
    }
    Err(CUT_OFF)
}

fn table(tables: &[Option<Table>; 4], id: u8) -> Result<&Table, Refusal> {
    tables
        .get(usize::from(id))
        .and_then(Option::as_ref)
        .ok_or("a Huffman table is missing")
}

fn read_quantisers(
    mut content: &[u8],
    quantisers: &mut [Option<[f32; BLOCK]>; 4],
) -> Result<(), Refusal> {
    const BROKEN: Refusal = "a quantisation table is damaged";
    while let Some((precision_and_id, rest)) = content.split_first() {
        let wide = precision_and_id >> 4 == 1;
        let length = if wide { BLOCK * 2 } else { BLOCK };
        let (entries, rest) = rest.split_at_checked(length).ok_or(BROKEN)?;
        let mut quantiser = [0.0; BLOCK];
        for (index, entry) in quantiser.iter_mut().enumerate() {
            *entry = if wide {
                f32::from(u16::from_be_bytes([
                    entries[index * 2],
                    entries[index * 2 + 1],
                ]))
            } else {
                f32::from(entries[index])
            };
        }
        *quantisers
            .get_mut(usize::from(precision_and_id & 15))
            .ok_or(BROKEN)? = Some(quantiser);
        content = rest;
    }
    Ok(())
}

struct Scan<'a> {
    dc: &'a Table,
    ac: &'a Table,
    quantiser: &'a [f32; BLOCK],
    precision: u32,
}

impl Scan<'_> {
    fn decode(&self, mut bits: Bits<'_>, shape: Shape, interval: usize) -> Result<Frame, Refusal> {
        let cosines = cosines();
        let across = shape.width.div_ceil(SIDE);
        let mut samples = vec![0; shape.samples()];
        let mut predicted = 0;
        for block in 0..across * shape.height.div_ceil(SIDE) {
            if interval > 0 && block > 0 && block.is_multiple_of(interval) {
                bits.restart()?;
                predicted = 0;
            }
            let coefficients = self.coefficients(&mut bits, &mut predicted)?;
            let (left, top) = (block % across * SIDE, block / across * SIDE);
            let values = self.samples(&coefficients, &cosines);
            let rows = values.as_chunks::<SIDE>().0;
            for (row, values) in (top..shape.height).zip(rows) {
                let start = row * shape.width;
                let end = start + shape.width.min(left + SIDE);
                for (sample, value) in samples[start + left..end].iter_mut().zip(values) {
                    *sample = *value;
                }
            }
        }
        Ok(Frame {
            samples: Samples::U16(samples),
            bits: self.precision,
        })
    }

    fn coefficients(
        &self,
        bits: &mut Bits<'_>,
        predicted: &mut i32,
    ) -> Result<[f32; BLOCK], Refusal> {
        const BROKEN: Refusal = "a block is damaged";
        let mut block = [0.0; BLOCK];
        let category = u32::from(bits.decode(self.dc)?);
        if category > 15 {
            return Err(BROKEN);
        }
        *predicted = predicted.saturating_add(bits.difference(category)?);
        block[0] = small(*predicted) * self.quantiser[0];
        let mut index = 1;
        while index < BLOCK {
            let run_and_category = bits.decode(self.ac)?;
            let (run, category) = (run_and_category >> 4, run_and_category & 15);
            if category == 0 {
                if run < 15 {
                    break;
                }
                index += 16;
                continue;
            }
            index += usize::from(run);
            let place = usize::from(*ZIGZAG.get(index).ok_or(BROKEN)?);
            let value = bits.difference(u32::from(category))?;
            block[place] = small(value) * self.quantiser[index];
            index += 1;
        }
        Ok(block)
    }

    /// The inverse transform of A.3.3, shifted to unsigned samples.
    fn samples(&self, block: &[f32; BLOCK], cosines: &[[f32; SIDE]; SIDE]) -> [u16; BLOCK] {
        let mut columns = [0.0; BLOCK];
        for v in 0..SIDE {
            for (x, cosines) in cosines.iter().enumerate() {
                let row = &block[v * SIDE..(v + 1) * SIDE];
                columns[v * SIDE + x] = row.iter().zip(cosines).map(|(a, b)| a * b).sum();
            }
        }
        let middle = f32::from(1_u16 << (self.precision - 1));
        let most = middle * 2.0 - 1.0;
        let mut out = [0; BLOCK];
        for (y, cosines) in cosines.iter().enumerate() {
            for x in 0..SIDE {
                let sum: f32 = cosines
                    .iter()
                    .enumerate()
                    .map(|(v, cosine)| columns[v * SIDE + x] * cosine)
                    .sum();
                out[y * SIDE + x] = to_sample((sum + middle).round().clamp(0.0, most));
            }
        }
        out
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "differences of 15 bits; a sum of many, in a hostile file, may lose its last bits"
)]
fn small(value: i32) -> f32 {
    value as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=4095 before"
)]
fn to_sample(value: f32) -> u16 {
    value as u16
}

/// `cos((2x + 1) u pi / 16) C(u) / 2`, by `x`, then `u`.
fn cosines() -> [[f32; SIDE]; SIDE] {
    let mut table = [[0.0; SIDE]; SIDE];
    for (x, row) in (0_u8..).zip(&mut table) {
        for (u, entry) in (0_u8..).zip(row) {
            let scale = if u == 0 { 0.125_f32.sqrt() } else { 0.5 };
            *entry = (f32::from((2 * x + 1) * u) * PI / 16.0).cos() * scale;
        }
    }
    table
}
