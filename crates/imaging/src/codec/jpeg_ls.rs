//! JPEG-LS, lossless and near-lossless (ITU-T T.87), 2 to 16 bits a sample.

use super::huffman::low;
use super::{CUT_OFF, Frame, Refusal, Samples, Segments, Shape};

const SOF55: u8 = 0xf7;
const LSE: u8 = 0xf8;
const SOS: u8 = 0xda;
const DRI: u8 = 0xdd;
const BROKEN: Refusal = "a JPEG-LS header is damaged";

/// Contexts of regular mode: 9 x 9 x 9 gradients, halved by symmetry (A.3.4).
const REGULAR: usize = 365;
/// Orders of run lengths (A.2.1).
const RUN_ORDERS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// Decodes a stream whose size must be `shape`.
pub(crate) fn decode(stream: &[u8], shape: Shape) -> Result<Frame, Refusal> {
    let mut segments = Segments::new(stream).ok_or("a frame is no JPEG-LS stream")?;
    let mut preset = Preset::default();
    let mut header: Option<(u32, Vec<u8>)> = None;
    let mut samples = Vec::new();
    let mut decoded = 0;
    while let Some((marker, content)) = segments.advance() {
        match marker {
            LSE => preset = Preset::read(content)?,
            DRI if content.iter().any(|byte| *byte != 0) => {
                return Err("restarts in JPEG-LS are not decoded here");
            }
            SOF55 if header.is_none() => {
                header = Some(read_header(content, shape)?);
                samples = vec![0; shape.samples()];
            }
            0xc0..=0xc3 | 0xc5..=0xcf => {
                return Err("a frame is not coded as the transfer syntax says");
            }
            SOS => {
                let (precision, components) = header.as_ref().ok_or(BROKEN)?;
                let scan = Scan::read(content, components)?;
                let coder = Coder::new(&preset, *precision, scan.near)?;
                let rest = coder.decode(segments.rest(), &scan, &mut samples, shape)?;
                segments.resume(rest);
                decoded += scan.channels.len();
            }
            _ => {}
        }
    }
    match header {
        Some((bits, _)) if decoded >= shape.channels => Ok(Frame {
            samples: Samples::U16(samples),
            bits,
        }),
        _ => Err(CUT_OFF),
    }
}

/// Precision, and the identifier of each component.
fn read_header(content: &[u8], shape: Shape) -> Result<(u32, Vec<u8>), Refusal> {
    let [precision, y1, y0, x1, x0, count, ref parts @ ..] = *content else {
        return Err(CUT_OFF);
    };
    let width = u32::from(u16::from_be_bytes([x1, x0]));
    let height = u32::from(u16::from_be_bytes([y1, y0]));
    shape.admits(width, height, usize::from(count))?;
    let (parts, _) = parts.as_chunks::<3>();
    if parts.len() != usize::from(count) || !(2..=16).contains(&precision) {
        return Err(BROKEN);
    }
    let components = parts.iter().map(|part| part[0]).collect();
    Ok((u32::from(precision), components))
}

/// Parameters that a file may set (C.2.4.1.1); 0 for the usual value.
#[derive(Default)]
struct Preset {
    most: i32,
    thresholds: [i32; 3],
    reset: i32,
}

impl Preset {
    fn read(content: &[u8]) -> Result<Self, Refusal> {
        let [1, ref values @ ..] = *content else {
            return Err("mapping tables in JPEG-LS are not decoded here");
        };
        let (values, _) = values.as_chunks::<2>();
        let mut values = values
            .iter()
            .map(|value| i32::from(u16::from_be_bytes(*value)));
        let mut next = || values.next().ok_or(BROKEN);
        Ok(Self {
            most: next()?,
            thresholds: [next()?, next()?, next()?],
            reset: next()?,
        })
    }
}

struct Scan {
    channels: Vec<usize>,
    /// How far a sample may be off.
    near: i32,
    /// Channels are interleaved by sample; otherwise by line, which for one channel is the same as not at all.
    by_sample: bool,
}

impl Scan {
    fn read(content: &[u8], components: &[u8]) -> Result<Self, Refusal> {
        let (count, rest) = content.split_first().ok_or(BROKEN)?;
        let count = usize::from(*count);
        let (parts, rest) = rest.split_at_checked(count * 2).ok_or(BROKEN)?;
        let [near, interleave, transform, ..] = *rest else {
            return Err(BROKEN);
        };
        let (parts, _) = parts.as_chunks::<2>();
        if parts.iter().any(|part| part[1] != 0) || transform & 15 != 0 {
            return Err("mapping tables and point transforms in JPEG-LS are not decoded here");
        }
        let channels = parts
            .iter()
            .map(|[id, _]| components.iter().position(|known| known == id))
            .collect::<Option<Vec<_>>>()
            .ok_or(BROKEN)?;
        let fits = match interleave {
            0 => count == 1,
            1 | 2 => count >= 1,
            _ => false,
        };
        if !fits {
            return Err(BROKEN);
        }
        Ok(Self {
            channels,
            near: i32::from(near),
            by_sample: interleave == 2 && count > 1,
        })
    }
}

/// What a context has learnt (A.8).
#[derive(Clone, Copy)]
struct Context {
    /// Sum of magnitudes.
    magnitudes: i64,
    /// Sum of errors, kept small by `correction`.
    bias: i64,
    correction: i32,
    count: i64,
}

/// What a context of run interruptions has learnt.
#[derive(Clone, Copy)]
struct RunContext {
    magnitudes: i64,
    negatives: i64,
    count: i64,
}

struct Coder {
    most: i32,
    near: i32,
    /// `2 NEAR + 1`: the step of errors.
    step: i32,
    range: i32,
    error_bits: u32,
    limit: u32,
    thresholds: [i32; 3],
    reset: i64,
    contexts: Vec<Context>,
    run_contexts: [RunContext; 2],
}

/// No error of 16-bit samples is coded by more than this.
const MOST_ERROR: i32 = 1 << 17;

impl Coder {
    fn new(preset: &Preset, precision: u32, near: i32) -> Result<Self, Refusal> {
        let full = (1 << precision) - 1;
        let most = if preset.most == 0 { full } else { preset.most };
        if most > full || near > most / 2 {
            return Err(BROKEN);
        }
        let step = 2 * near + 1;
        let range = (most + 2 * near) / step + 1;
        let sample_bits = bits_for(most + 1).max(2);
        let start = i64::from((range + 32) / 64).max(2);
        let reset = if preset.reset == 0 { 64 } else { preset.reset };
        if reset < 3 {
            return Err(BROKEN);
        }
        Ok(Self {
            most,
            near,
            step,
            range,
            error_bits: bits_for(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
            thresholds: thresholds(preset.thresholds, most, near)?,
            reset: i64::from(reset),
            contexts: vec![
                Context {
                    magnitudes: start,
                    bias: 0,
                    correction: 0,
                    count: 1,
                };
                REGULAR
            ],
            run_contexts: [RunContext {
                magnitudes: start,
                negatives: 0,
                count: 1,
            }; 2],
        })
    }

    /// Decodes the channels of a scan into `samples`, and gives back what follows.
    fn decode<'a>(
        mut self,
        data: &'a [u8],
        scan: &Scan,
        samples: &mut [u16],
        shape: Shape,
    ) -> Result<&'a [u8], Refusal> {
        let mut bits = Bits::new(data);
        // A line has a sample before its first, and one after its last, for the neighbours there.
        let padded = shape.width + 2;
        let count = scan.channels.len();
        let mut above = vec![vec![0_i32; padded]; count];
        let mut lines = above.clone();
        let mut run_indices = vec![0; if scan.by_sample { 1 } else { count }];
        for row in 0..shape.height {
            for (line, above) in lines.iter_mut().zip(&mut above) {
                line[0] = above[1];
                above[padded - 1] = above[padded - 2];
            }
            if scan.by_sample {
                self.line(&mut bits, &above, &mut lines, &mut run_indices[0])?;
            } else {
                for channel in 0..count {
                    let (above, line) = (&above[channel..=channel], &mut lines[channel..=channel]);
                    self.line(&mut bits, above, line, &mut run_indices[channel])?;
                }
            }
            for (line, channel) in lines.iter().zip(&scan.channels) {
                let start = row * shape.width * shape.channels + channel;
                let places = samples[start..].iter_mut().step_by(shape.channels);
                for (place, value) in places.zip(&line[1..=shape.width]) {
                    *place = to_u16(*value);
                }
            }
            std::mem::swap(&mut above, &mut lines);
        }
        Ok(bits.at_marker())
    }

    /// One line of channels that run together.
    fn line(
        &mut self,
        bits: &mut Bits<'_>,
        above: &[Vec<i32>],
        lines: &mut [Vec<i32>],
        run_index: &mut usize,
    ) -> Result<(), Refusal> {
        let end = lines.first().map_or(0, Vec::len) - 1;
        let mut at = 1;
        while at < end {
            let runs = above.iter().zip(lines.iter()).all(|(above, line)| {
                let (d1, d2, d3) = gradients(above, line, at);
                [d1, d2, d3].iter().all(|d| d.abs() <= self.near)
            });
            if !runs {
                for (above, line) in above.iter().zip(lines.iter_mut()) {
                    line[at] = self.regular(bits, above, line, at)?;
                }
                at += 1;
                continue;
            }
            let length = run_length(bits, end - at, run_index)?;
            for line in lines.iter_mut() {
                let value = line[at - 1];
                line[at..at + length].fill(value);
            }
            at += length;
            if at == end {
                break;
            }
            let together = lines.len() > 1;
            let order = RUN_ORDERS[*run_index];
            for (above, line) in above.iter().zip(lines.iter_mut()) {
                line[at] = self.interruption(bits, line[at - 1], above[at], order, together)?;
            }
            *run_index = run_index.saturating_sub(1);
            at += 1;
        }
        Ok(())
    }

    fn quantise(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let magnitude = match gradient.abs() {
            d if d <= self.near => 0,
            d if d < t1 => 1,
            d if d < t2 => 2,
            d if d < t3 => 3,
            _ => 4,
        };
        magnitude * gradient.signum()
    }

    /// A sample of regular mode (A.4 to A.6).
    fn regular(
        &mut self,
        bits: &mut Bits<'_>,
        above: &[i32],
        line: &[i32],
        at: usize,
    ) -> Result<i32, Refusal> {
        let (d1, d2, d3) = gradients(above, line, at);
        let merged = 81 * self.quantise(d1) + 9 * self.quantise(d2) + self.quantise(d3);
        // One context for both signs. Zero is possible only beside other channels that do not run.
        let sign = if merged < 0 { -1 } else { 1 };
        let index = usize::try_from(merged.abs()).unwrap_or(0);
        let mut context = self.contexts[index];

        let median = predict(line[at - 1], above[at], above[at - 1]);
        let predicted = (median + sign * context.correction).clamp(0, self.most);
        let order = order(context.count, context.magnitudes)?;
        let mapped = bits.golomb(order, self.limit, self.error_bits)?;
        let turned = order == 0 && self.near == 0 && 2 * context.bias <= -context.count;
        let half = mapped >> 1;
        let error = match (mapped & 1 == 1, turned) {
            (false, false) | (true, true) => half,
            (true, false) | (false, true) => -half - 1,
        };

        context.bias += i64::from(error * self.step);
        context.magnitudes += i64::from(error.abs());
        if context.count == self.reset {
            context.magnitudes >>= 1;
            context.bias >>= 1;
            context.count >>= 1;
        }
        context.count += 1;
        context.learn();
        self.contexts[index] = context;
        Ok(self.reconstruct(predicted, sign * error))
    }

    /// The sample that ended a run (A.7.2).
    fn interruption(
        &mut self,
        bits: &mut Bits<'_>,
        left: i32,
        above: i32,
        run_order: u32,
        together: bool,
    ) -> Result<i32, Refusal> {
        // Channels that run together take one context, as if their neighbours differed.
        let alike = !together && (left - above).abs() <= self.near;
        let kind = usize::from(alike);
        let flat = i32::from(alike);
        let mut context = self.run_contexts[kind];
        let sum = context.magnitudes + if alike { context.count >> 1 } else { 0 };
        let order = order(context.count, sum)?;
        let mapped = bits.golomb(order, self.limit - run_order - 1, self.error_bits)?;
        let folded = mapped + flat;
        let magnitude = (folded + 1) >> 1;
        let odd = folded & 1 == 1;
        let negative = (order != 0 || 2 * context.negatives >= context.count) == odd;
        let error = if negative { -magnitude } else { magnitude };
        if error < 0 {
            context.negatives += 1;
        }
        context.magnitudes += i64::from((mapped + 1 - flat) >> 1);
        if context.count == self.reset {
            context.magnitudes >>= 1;
            context.negatives >>= 1;
            context.count >>= 1;
        }
        context.count += 1;
        self.run_contexts[kind] = context;
        let predicted = if alike { left } else { above };
        let sign = if !alike && left > above { -1 } else { 1 };
        Ok(self.reconstruct(predicted, sign * error))
    }

    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let period = self.range * self.step;
        let mut value = predicted + error * self.step;
        if value < -self.near {
            value += period;
        } else if value > self.most + self.near {
            value -= period;
        }
        value.clamp(0, self.most)
    }
}

impl Context {
    /// A.6.2: keeps the mean error within half of one.
    fn learn(&mut self) {
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }
}

/// Above right less above, above less corner, corner less left.
fn gradients(above: &[i32], line: &[i32], at: usize) -> (i32, i32, i32) {
    let (left, corner) = (line[at - 1], above[at - 1]);
    (above[at + 1] - above[at], above[at] - corner, corner - left)
}

/// The median of left, above, and the plane through the three neighbours (A.4.1).
fn predict(left: i32, above: i32, corner: i32) -> i32 {
    let (low, high) = (left.min(above), left.max(above));
    if corner >= high {
        low
    } else if corner <= low {
        high
    } else {
        left + above - corner
    }
}

/// The Golomb order by which the mean magnitude is coded (A.5.1).
fn order(count: i64, magnitudes: i64) -> Result<u32, Refusal> {
    (0..24)
        .find(|order| count << order >= magnitudes)
        .ok_or("a JPEG-LS frame has impossible errors")
}

/// How many samples go on as the one before (A.7.1); `left` are there in the line.
fn run_length(bits: &mut Bits<'_>, left: usize, index: &mut usize) -> Result<usize, Refusal> {
    let mut length = 0;
    while bits.read(1)? == 1 {
        let chunk = 1 << RUN_ORDERS[*index];
        if chunk > left - length {
            return Ok(left);
        }
        length += chunk;
        *index = (*index + 1).min(RUN_ORDERS.len() - 1);
        if length == left {
            return Ok(left);
        }
    }
    length += bits.read(RUN_ORDERS[*index])? as usize;
    if length >= left {
        return Err("a JPEG-LS frame runs beyond its line");
    }
    Ok(length)
}

/// The bits that `count` values need.
fn bits_for(count: i32) -> u32 {
    32 - (count - 1).leading_zeros()
}

/// Where gradients change class (C.2.4.1.1.1).
fn thresholds(preset: [i32; 3], most: i32, near: i32) -> Result<[i32; 3], Refusal> {
    let bases = [(3, 2), (7, 3), (21, 4)];
    let mut floor = near + 1;
    let mut out = [0; 3];
    for (index, ((base, least), given)) in (0..).zip(bases.into_iter().zip(preset)) {
        let wide = near * (3 + 2 * index);
        let usual = if most >= 128 {
            let factor = (most.min(4095) + 128) >> 8;
            factor * (base - least) + least + wide
        } else {
            let factor = 256 / (most + 1);
            (base / factor + wide).max(least)
        };
        let usual = if usual > most || usual < floor {
            floor
        } else {
            usual
        };
        let value = if given == 0 { usual } else { given };
        if value < floor || value > most.max(floor) {
            return Err(BROKEN);
        }
        floor = value;
        out[usize::try_from(index).unwrap_or(0)] = value;
    }
    Ok(out)
}

fn to_u16(value: i32) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Bits, most significant first; after a byte 0xff one bit is left out (A.1).
struct Bits<'a> {
    rest: &'a [u8],
    window: u64,
    available: u32,
    after_ff: bool,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            window: 0,
            available: 0,
            after_ff: false,
        }
    }

    /// Takes bytes in until there are at least 25 bits, a marker or the end.
    fn fill(&mut self) {
        while self.available <= 48 {
            let (byte, rest) = match self.rest.split_first() {
                Some((byte, rest)) if !(self.after_ff && *byte >= 0x80) => (*byte, rest),
                _ => return,
            };
            let marker = byte == 0xff && rest.first().is_none_or(|next| *next >= 0x80);
            if marker {
                return;
            }
            let width = if self.after_ff { 7 } else { 8 };
            self.window = self.window << width | u64::from(byte);
            self.available += width;
            self.after_ff = byte == 0xff;
            self.rest = rest;
        }
    }

    /// The next `count` bits, at most 17.
    fn read(&mut self, count: u32) -> Result<u32, Refusal> {
        if self.available < count {
            self.fill();
            if self.available < count {
                return Err(CUT_OFF);
            }
        }
        self.available -= count;
        let bits = self.window >> self.available;
        Ok(low(bits, count))
    }

    /// Zeros before the next one, which is taken as well; at most `most`.
    fn zeros(&mut self, most: u32) -> Result<u32, Refusal> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > most {
                return Err("a JPEG-LS frame is damaged");
            }
        }
        Ok(zeros)
    }

    /// A value in a Golomb code of limited length (A.5.3).
    fn golomb(&mut self, order: u32, limit: u32, error_bits: u32) -> Result<i32, Refusal> {
        let longest = limit.saturating_sub(error_bits + 1);
        let zeros = self.zeros(longest)?;
        let value = if zeros < longest {
            (zeros << order) + self.read_wide(order)?
        } else {
            self.read(error_bits)? + 1
        };
        let value = value.cast_signed();
        if value > MOST_ERROR {
            return Err("a JPEG-LS frame is damaged");
        }
        Ok(value)
    }

    fn read_wide(&mut self, count: u32) -> Result<u32, Refusal> {
        if count <= 16 {
            return self.read(count);
        }
        Ok(self.read(count - 16)? << 16 | self.read(16)?)
    }

    /// What follows the data, from its marker on.
    fn at_marker(&self) -> &'a [u8] {
        let mut rest = self.rest;
        loop {
            match *rest {
                [] | [0xff, 0x80..=0xff, ..] => return rest,
                [_, ref after @ ..] => rest = after,
            }
        }
    }
}
