//! Stored samples to a picture for the eye (PS3.3, C.11 and C.7.6.3; the grayscale pipeline of PS3.4, N.2).

use dicom_dictionary_std::tags;

use super::dataset::{DataSet, Lut};
use super::frames::{Stored, number};
use super::metadata::DicomMetadata;
use super::{damaged, unsupported};
use crate::codec::Samples;
use crate::options::Window;
use crate::{ImageError, Picture};

/// Share of the samples, at either end, that may lie outside a window that was made for want of one: 1/200. A guess
/// that leaves burnt-in labels and dead pixels out.
const OUTLIERS: usize = 200;

/// Air in a CT, in Hounsfield units, with some noise: nothing in a body is less dense.
const AIR: f64 = -1_024.0;

/// Turns stored samples into pictures, by what the file says of windows, tables and palettes.
pub(super) struct Renderer {
    width: u32,
    height: u32,
    modality: Modality,
    grey: Grey,
    inverted: bool,
    palette: Option<Palette>,
    /// A sample value that stands for no picture.
    padding: Option<u16>,
    /// Values that lie below all that is of interest, which lossy coding makes of padding.
    floor: Option<f64>,
}

/// From stored samples to those that windows speak of.
enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Table),
}

/// From modality values to grey.
enum Grey {
    Window(Shades),
    Table(Table),
    /// 8-bit samples as they are, others from their darkest to their brightest.
    Own,
}

/// A window and its function.
#[derive(Debug, Clone, Copy)]
struct Shades {
    centre: f64,
    width: f64,
    function: Function,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Linear,
    Exact,
    Sigmoid,
}

impl Renderer {
    pub(super) fn new(data_set: &DataSet<'_>, metadata: &DicomMetadata, window: Window) -> Self {
        let modality = Table::of(data_set, data_set.modality_lut, metadata.signed).map_or_else(
            || {
                let (slope, intercept) = metadata.rescale.unwrap_or((1.0, 0.0));
                // A slope of 0 would leave nothing to see.
                let slope = if slope == 0.0 { 1.0 } else { slope };
                Modality::Linear { slope, intercept }
            },
            Modality::Table,
        );
        let function = match data_set.text(tags::VOILUT_FUNCTION).as_deref() {
            Some("LINEAR_EXACT") => Function::Exact,
            Some("SIGMOID") => Function::Sigmoid,
            _ => Function::Linear,
        };
        let shades = |(centre, width)| Shades {
            centre,
            width,
            function,
        };
        let usable = |(_, width): &(f64, f64)| *width > 0.0;
        let grey = match window {
            Window::Fixed { centre, width } => Grey::Window(Shades {
                centre,
                width,
                function: Function::Linear,
            }),
            Window::Auto => Grey::Own,
            Window::File => match metadata.window.filter(usable) {
                Some(window) => Grey::Window(shades(window)),
                None => Table::of(data_set, data_set.voi_lut, metadata.signed)
                    .map_or(Grey::Own, Grey::Table),
            },
        };
        Self {
            width: metadata.columns,
            height: metadata.rows,
            modality,
            grey,
            inverted: metadata.photometric == "MONOCHROME1",
            palette: (metadata.photometric == "PALETTE COLOR").then(|| Palette::of(data_set)),
            padding: data_set.short(tags::PIXEL_PADDING_VALUE),
            floor: (metadata.modality.as_deref() == Some("CT") && metadata.rescale.is_some())
                .then_some(AIR),
        }
    }

    pub(super) fn picture(&self, frame: &Stored) -> Result<Picture, ImageError> {
        let pixels = self.width as usize * self.height as usize;
        let samples = match &frame.samples {
            Samples::U8(samples) => samples.len(),
            Samples::U16(samples) => samples.len(),
            Samples::U32(samples) => samples.len(),
        };
        let picture = if let Some(palette) = &self.palette {
            let rgb = match &frame.samples {
                Samples::U8(samples) => palette.colours(samples.iter().map(|s| u16::from(*s))),
                Samples::U16(samples) => palette.colours(samples.iter().copied()),
                Samples::U32(_) => {
                    return Err(unsupported(
                        "a palette for 32-bit samples",
                        "export it in RGB",
                    ));
                }
            };
            Picture::rgb(self.width, self.height, rgb)
        } else if samples == pixels * 3 {
            let rgb = match &frame.samples {
                Samples::U8(samples) => samples.clone(),
                Samples::U16(samples) => {
                    let shift = frame.bits.saturating_sub(8);
                    let eight = |sample: &u16| (sample >> shift).to_le_bytes()[0];
                    samples.iter().map(eight).collect()
                }
                Samples::U32(_) => {
                    return Err(unsupported(
                        "colours of 32 bits",
                        "export it in RGB of 8 bits",
                    ));
                }
            };
            Picture::rgb(self.width, self.height, rgb)
        } else {
            Picture::grey(self.width, self.height, self.shade(frame))
        };
        picture.ok_or_else(|| damaged("samples are missing"))
    }

    fn shade(&self, frame: &Stored) -> Vec<u8> {
        let shade = |raw: u32, own: Shades| {
            let value = self.modality.apply(number(raw, frame.bits, frame.signed));
            let grey = match &self.grey {
                Grey::Window(shades) => shades.apply(value),
                Grey::Table(table) => table.grey(value),
                Grey::Own => own.apply(value),
            };
            if self.inverted { 255 - grey } else { grey }
        };
        let own = self.own_window(frame);
        match &frame.samples {
            Samples::U8(samples) => {
                let table: Vec<u8> = (0..=255).map(|raw| shade(raw, own)).collect();
                samples.iter().map(|raw| table[usize::from(*raw)]).collect()
            }
            Samples::U16(samples) => {
                let table: Vec<u8> = (0..=0xffff).map(|raw| shade(raw, own)).collect();
                samples.iter().map(|raw| table[usize::from(*raw)]).collect()
            }
            Samples::U32(samples) => samples.iter().map(|raw| shade(*raw, own)).collect(),
        }
    }

    /// The window of a frame that has none of its own.
    fn own_window(&self, frame: &Stored) -> Shades {
        let (low, high) = match &frame.samples {
            _ if !matches!(self.grey, Grey::Own) => (0, 255),
            Samples::U8(_) if frame.bits == 1 => (0, 1),
            Samples::U8(_) if matches!(self.modality, Modality::Linear { .. }) => {
                let (low, high) = if frame.signed { (-128, 127) } else { (0, 255) };
                (low, high)
            }
            Samples::U8(samples) => self.usual(frame, samples.iter().map(|raw| u32::from(*raw))),
            Samples::U16(samples) => self.usual(frame, samples.iter().map(|raw| u32::from(*raw))),
            Samples::U32(samples) => samples
                .iter()
                .map(|raw| number(*raw, frame.bits, frame.signed))
                .fold((i64::MAX, i64::MIN), |(low, high), value| {
                    (low.min(value), high.max(value))
                }),
        };
        let (low, high) = (self.modality.apply(low), self.modality.apply(high));
        let low = match self.floor {
            Some(floor) if floor < high => low.max(floor),
            _ => low,
        };
        Shades {
            centre: (low + high) / 2.0,
            width: (high - low).abs().max(1.0),
            function: Function::Exact,
        }
    }

    /// The range of the samples without outliers and padding; `raw` has at most 16 bits.
    fn usual(&self, frame: &Stored, raw: impl Iterator<Item = u32>) -> (i64, i64) {
        let padding = self.padding.map(|padding| {
            let mask = u32::MAX >> (32 - frame.bits);
            u32::from(padding) & mask
        });
        let (bits, signed) = (frame.bits.min(16), frame.signed);
        let lowest = if signed { -(1_i64 << (bits - 1)) } else { 0 };
        let mut counts = vec![0_usize; 1 << bits];
        let mut total = 0;
        let mask = u32::MAX >> (32 - bits);
        for raw in raw
            .map(|raw| raw & mask)
            .filter(|raw| Some(*raw) != padding)
        {
            let place = number(raw, bits, signed) - lowest;
            counts[usize::try_from(place).unwrap_or(0)] += 1;
            total += 1;
        }
        let reach = |seen: &mut usize, count: &usize| {
            *seen += count;
            Some(*seen > total / OUTLIERS)
        };
        let low = counts.iter().scan(0, reach).position(|reached| reached);
        let high = counts
            .iter()
            .rev()
            .scan(0, reach)
            .position(|reached| reached);
        let low = low.unwrap_or(0);
        let high = counts.len() - 1 - high.unwrap_or(0);
        let value = |place: usize| lowest + i64::try_from(place).unwrap_or(0);
        (value(low), value(high.max(low)))
    }
}

impl Modality {
    #[expect(clippy::cast_precision_loss, reason = "samples have at most 32 bits")]
    fn apply(&self, sample: i64) -> f64 {
        match self {
            Self::Linear { slope, intercept } => sample as f64 * slope + intercept,
            Self::Table(table) => f64::from(table.entry(sample as f64)),
        }
    }
}

impl Shades {
    /// C.11.2.1.2 and C.11.2.1.3, from 0 to 255.
    fn apply(&self, value: f64) -> u8 {
        let Self { centre, width, .. } = *self;
        let part = match self.function {
            // With a width of 1 or less this is a threshold, as the standard has it.
            Function::Linear if width > 1.0 => (value - (centre - 0.5)) / (width - 1.0) + 0.5,
            Function::Linear => f64::from(value > centre - 0.5),
            Function::Exact => (value - centre) / width + 0.5,
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        };
        to_grey(part)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=255 before; what is no number becomes 0"
)]
fn to_grey(part: f64) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// A lookup table (C.11.1.1 and C.11.2.1.1).
struct Table {
    /// The value of the first entry.
    first: f64,
    entries: Vec<u16>,
    /// The largest value that an entry can have.
    most: u16,
}

impl Table {
    fn of(data_set: &DataSet<'_>, lut: Lut<'_>, signed: bool) -> Option<Self> {
        let descriptor: Vec<u16> = data_set.shorts(lut.descriptor?).take(3).collect();
        let [count, first, bits] = *descriptor else {
            return None;
        };
        // 0 stands for 65,536.
        let count = if count == 0 {
            1 << 16
        } else {
            usize::from(count)
        };
        let data = lut.data?;
        let entries: Vec<u16> = if data.len() == count && bits == 8 {
            data.iter().map(|byte| u16::from(*byte)).collect()
        } else {
            data_set.shorts(data).take(count).collect()
        };
        // Some writers say 16 bits and use fewer, so that all would be dark.
        let used = entries.iter().copied().max().filter(|most| *most > 0)?;
        let claimed = match bits {
            1..=15 => (1 << bits) - 1,
            _ => u16::MAX,
        };
        Some(Self {
            first: if signed {
                f64::from(first.cast_signed())
            } else {
                f64::from(first)
            },
            most: if used > claimed { u16::MAX } else { claimed },
            entries,
        })
    }

    /// The entry for a value; the first and the last reach on.
    fn entry(&self, value: f64) -> u16 {
        let last = self.entries.len().saturating_sub(1);
        let index = to_index(value - self.first).min(last);
        self.entries.get(index).copied().unwrap_or(0)
    }

    fn grey(&self, value: f64) -> u8 {
        to_grey(f64::from(self.entry(value)) / f64::from(self.most))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is meant"
)]
fn to_index(distance: f64) -> usize {
    distance.round() as usize
}

/// Colours of a palette (C.7.6.3.1.5 and C.7.6.3.1.6).
struct Palette {
    first: u16,
    red: Vec<u8>,
    green: Vec<u8>,
    blue: Vec<u8>,
}

impl Palette {
    fn of(data_set: &DataSet<'_>) -> Self {
        let channel = |descriptor, data| {
            let describes = data_set.elements.get(&descriptor).copied()?;
            let bits = data_set.shorts(describes).nth(2)?;
            let count = data_set.shorts(describes).next()?;
            let count = if count == 0 {
                1 << 16
            } else {
                usize::from(count)
            };
            let bytes = *data_set.elements.get(&data)?;
            Some(if bits <= 8 && bytes.len() < count * 2 {
                bytes.to_vec()
            } else {
                let entries = data_set.shorts(bytes).take(count);
                // Entries of 8 bits in words of 16, or of 16 bits: of these the upper half is seen.
                entries
                    .map(|entry| entry.to_be_bytes()[usize::from(bits <= 8)])
                    .collect()
            })
        };
        let red = tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR;
        let first = data_set
            .elements
            .get(&red)
            .and_then(|value| data_set.shorts(value).nth(1));
        Self {
            first: first.unwrap_or(0),
            red: channel(red, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA).unwrap_or_default(),
            green: channel(
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            )
            .unwrap_or_default(),
            blue: channel(
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            )
            .unwrap_or_default(),
        }
    }

    fn colours(&self, indices: impl Iterator<Item = u16>) -> Vec<u8> {
        let entry = |channel: &[u8], index: u16| {
            let place = usize::from(index.saturating_sub(self.first));
            let place = place.min(channel.len().saturating_sub(1));
            channel.get(place).copied().unwrap_or(0)
        };
        indices
            .flat_map(|index| {
                [&self.red, &self.green, &self.blue].map(|channel| entry(channel, index))
            })
            .collect()
    }
}
