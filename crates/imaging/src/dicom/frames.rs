//! The frames of a file as stored samples.

use super::dataset::{DataSet, PixelData};
use super::metadata::DicomMetadata;
use super::{damaged, unsupported};
use crate::codec::{self, Frame, Refusal, Samples, Shape};
use crate::format::{check_size, jpeg};
use crate::picture::Pixels;
use crate::{Format, ImageError};

/// Samples of a frame that are decoded: 2^26, which is 22 million pixels in colour.
const MAX_SAMPLES: usize = 1 << 26;

/// Where the frames are and what they must look like.
pub(super) struct Source<'a> {
    coding: Coding,
    shape: Shape,
    /// Bytes a sample: 1, 2 or 4, or 1 for one bit.
    bytes: usize,
    bits_stored: u32,
    signed: bool,
    planar: bool,
    colours: Colours,
    big_endian: bool,
    place: Place<'a>,
}

enum Place<'a> {
    Native {
        data: &'a [u8],
        frame_bytes: usize,
    },
    /// Bytes in words of which the second one comes first: 8 bits a sample as OW, big endian (PS3.5, annex D).
    Swapped {
        data: &'a [u8],
        frame_bytes: usize,
    },
    /// One bit a sample, the lowest first, frame after frame without gaps (PS3.5, 8.1.1).
    Packed {
        data: &'a [u8],
        swapped: bool,
    },
    /// Each frame is one or more fragments.
    Fragments(Vec<Vec<&'a [u8]>>),
}

/// How a frame is coded, by transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Native,
    RunLengths,
    Jpeg,
    LosslessJpeg,
    JpegLs,
    Jpeg2000,
    JpegXl,
}

/// What three samples stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Rgb,
    /// Full range (PS3.3, C.7.6.3.1.2).
    Ybr,
    /// The same, with one pair of colours for two neighbours.
    Ybr422,
}

/// Samples of one frame, channels interleaved; colours are red, green and blue.
pub(super) struct Stored {
    pub(super) samples: Samples,
    /// Bits that count: what lies above them is no part of the sample.
    pub(super) bits: u32,
    pub(super) signed: bool,
}

impl Stored {
    /// Every sample as a number.
    pub(super) fn each(&self, mut visit: impl FnMut(i64)) {
        let (bits, signed) = (self.bits, self.signed);
        let mut see = |raw: u32| visit(number(raw, bits, signed));
        match &self.samples {
            Samples::U8(samples) => samples.iter().for_each(|raw| see(u32::from(*raw))),
            Samples::U16(samples) => samples.iter().for_each(|raw| see(u32::from(*raw))),
            Samples::U32(samples) => samples.iter().for_each(|raw| see(*raw)),
        }
    }
}

/// The low `bits`, 1 to 32, as a number.
pub(super) fn number(raw: u32, bits: u32, signed: bool) -> i64 {
    let unused = 32 - bits;
    if signed {
        i64::from((raw << unused).cast_signed() >> unused)
    } else {
        i64::from(raw << unused >> unused)
    }
}

impl Shape {
    /// Samples that an uncompressed frame has.
    fn native_samples(self, colours: Colours) -> usize {
        match colours {
            Colours::Ybr422 => self.width.next_multiple_of(2) * self.height * 2,
            _ => self.samples(),
        }
    }
}

/// Refuses uncompressed samples that are fewer than the header says, also those that are not decoded here.
pub(super) fn check_length(
    data_set: &DataSet<'_>,
    metadata: &DicomMetadata,
) -> Result<(), ImageError> {
    let length = match &data_set.pixel_data {
        PixelData::Native(data) | PixelData::Float(data) => data.len() as u64,
        PixelData::Behind(Some(length)) => *length,
        PixelData::Behind(None) | PixelData::Missing | PixelData::Encapsulated(_) => return Ok(()),
    };
    // Half of the colours of 4:2:2, three quarters of 4:2:0, are not there.
    let samples = match metadata.photometric.as_str() {
        "YBR_FULL_422" | "YBR_PARTIAL_422" => 2,
        "YBR_PARTIAL_420" => 1,
        _ => u128::from(metadata.samples_per_pixel),
    };
    let pixels = u128::from(metadata.rows) * u128::from(metadata.columns);
    let bits = pixels * u128::from(metadata.frames) * samples * u128::from(metadata.bits_allocated);
    if bits.div_ceil(8) > u128::from(length) {
        return Err(damaged(
            "there are fewer samples than rows, columns and frames say",
        ));
    }
    Ok(())
}

impl<'a> Source<'a> {
    /// Checks all that the file says before anything is decoded or allocated.
    pub(super) fn new(
        data_set: &'a DataSet<'a>,
        metadata: &DicomMetadata,
        most: u64,
    ) -> Result<Self, ImageError> {
        if matches!(
            data_set.pixel_data,
            PixelData::Missing | PixelData::Behind(_)
        ) {
            return Err(ImageError::NoPixels);
        }
        check_size(Format::Dicom, metadata.columns, metadata.rows, most)?;
        if matches!(data_set.pixel_data, PixelData::Float(_)) {
            check_length(data_set, metadata)?;
            return Err(unsupported(
                "floating-point samples",
                "export it with integer samples",
            ));
        }
        let coding = coding(metadata)?;
        let bytes = match metadata.bits_allocated {
            1 if coding == Coding::Native && metadata.samples_per_pixel == 1 => 1,
            8 => 1,
            16 => 2,
            32 => 4,
            _ => {
                check_length(data_set, metadata)?;
                return Err(unsupported(
                    "samples of an unusual width (Bits Allocated)",
                    "export it with 8 or 16 bits",
                ));
            }
        };
        if metadata.bits_stored == 0 || metadata.bits_stored > metadata.bits_allocated {
            return Err(damaged("Bits Stored does not fit Bits Allocated"));
        }
        let channels = usize::from(metadata.samples_per_pixel);
        let colours = colours(metadata, coding)?;
        let shape = Shape {
            width: metadata.columns as usize,
            height: metadata.rows as usize,
            channels,
        };
        // JPEG 2000 takes floating-point planes beside its samples.
        let samples = match coding {
            Coding::Jpeg2000 | Coding::JpegXl => MAX_SAMPLES / 2,
            _ => MAX_SAMPLES,
        };
        let most = most.min((samples / shape.channels.max(1)) as u64);
        check_size(Format::Dicom, metadata.columns, metadata.rows, most)?;
        let swapped = data_set.big_endian && data_set.pixel_words && bytes == 1;
        let place = match &data_set.pixel_data {
            PixelData::Native(data) if metadata.bits_allocated == 1 => {
                check_length(data_set, metadata)?;
                Place::Packed { data, swapped }
            }
            PixelData::Native(data) if coding == Coding::Native => {
                let frame_bytes = shape.native_samples(colours) * bytes;
                let all = frame_bytes as u64 * u64::from(metadata.frames);
                if all > data.len() as u64 {
                    return Err(damaged(
                        "there are fewer samples than rows, columns and frames say",
                    ));
                }
                if swapped {
                    Place::Swapped { data, frame_bytes }
                } else {
                    Place::Native { data, frame_bytes }
                }
            }
            PixelData::Encapsulated(fragments) => {
                Place::Fragments(frames_of(fragments, metadata.frames)?)
            }
            _ => return Err(damaged("compressed samples are not in fragments")),
        };
        Ok(Self {
            coding,
            shape,
            bytes,
            bits_stored: u32::from(metadata.bits_stored),
            signed: metadata.signed,
            planar: metadata.planar,
            colours,
            big_endian: data_set.big_endian,
            place,
        })
    }

    /// Decodes the frame of this index.
    pub(super) fn frame(&self, index: u32) -> Result<Stored, ImageError> {
        let index = index as usize;
        let joined;
        let stream = match &self.place {
            Place::Native { data, frame_bytes } => {
                let start = index * frame_bytes;
                data.get(start..start + frame_bytes)
            }
            Place::Swapped { data, frame_bytes } => {
                let bytes = (0..*frame_bytes).map(|n| data.get((index * frame_bytes + n) ^ 1));
                joined = bytes.map(|byte| byte.copied()).collect::<Option<Vec<u8>>>();
                joined.as_deref()
            }
            Place::Packed { data, swapped } => {
                let samples = self.shape.samples();
                let bits = (0..samples).map(|n| {
                    let at = index * samples + n;
                    let byte = data.get((at / 8) ^ usize::from(*swapped))?;
                    Some((byte >> (at % 8)) & 1)
                });
                joined = bits.collect();
                joined.as_deref()
            }
            Place::Fragments(frames) => match frames.get(index).map(Vec::as_slice) {
                Some([one]) => Some(*one),
                Some(several) => {
                    joined = Some(several.concat());
                    joined.as_deref()
                }
                None => None,
            },
        };
        let stream = stream.ok_or_else(|| damaged("a frame is missing"))?;
        let native = self.coding == Coding::Native;
        let mut frame = self.decode(stream).map_err(damaged)?;
        // An ordinary JPEG decoder and JPEG 2000's own transform have made colours of them already.
        if self.shape.channels == 3
            && self.colours == Colours::Ybr
            && !matches!(self.coding, Coding::Jpeg)
        {
            frame.samples = ybr_to_rgb(frame.samples);
        }
        let allocated = match frame.samples {
            Samples::U8(_) => 8,
            Samples::U16(_) => 16,
            Samples::U32(_) => 32,
        };
        Ok(Stored {
            bits: if native {
                self.bits_stored
            } else {
                frame.bits.min(allocated)
            },
            signed: self.signed,
            samples: frame.samples,
        })
    }

    fn decode(&self, stream: &[u8]) -> Result<Frame, Refusal> {
        match self.coding {
            Coding::Native => self.native(stream),
            Coding::RunLengths => {
                let mut frame = codec::rle::decode(stream, self.shape, self.bytes)?;
                frame.bits = self.bits_stored;
                Ok(frame)
            }
            Coding::Jpeg => self.jpeg(stream),
            Coding::LosslessJpeg => codec::lossless::decode(stream, self.shape),
            Coding::JpegLs => codec::jpeg_ls::decode(stream, self.shape),
            Coding::Jpeg2000 => codec::jpeg2000::decode(stream, self.shape),
            Coding::JpegXl => codec::jpeg_xl::decode(stream, self.shape),
        }
    }

    fn native(&self, stream: &[u8]) -> Result<Frame, Refusal> {
        // A fragment is padded to an even length.
        let stream = stream
            .get(..self.shape.native_samples(self.colours) * self.bytes)
            .ok_or(codec::CUT_OFF)?;
        let big = self.big_endian;
        let samples = match self.bytes {
            1 => Samples::U8(stream.to_vec()),
            2 => Samples::U16(
                (stream.as_chunks().0.iter())
                    .map(|pair| {
                        if big {
                            u16::from_be_bytes(*pair)
                        } else {
                            u16::from_le_bytes(*pair)
                        }
                    })
                    .collect(),
            ),
            _ => Samples::U32(
                (stream.as_chunks().0.iter())
                    .map(|four| {
                        if big {
                            u32::from_be_bytes(*four)
                        } else {
                            u32::from_le_bytes(*four)
                        }
                    })
                    .collect(),
            ),
        };
        let samples = match (samples, self.colours) {
            (Samples::U8(samples), Colours::Ybr422) => Samples::U8(self.spread(&samples)),
            (_, Colours::Ybr422) => return Err("shared colours have more than 8 bits"),
            (samples, _) if self.planar && self.shape.channels == 3 => interleave(samples),
            (samples, _) => samples,
        };
        Ok(Frame {
            samples,
            bits: self.bits_stored,
        })
    }

    /// Two lumas and a pair of colours become two pixels.
    fn spread(&self, samples: &[u8]) -> Vec<u8> {
        let pairs = self.shape.width.div_ceil(2);
        let row_bytes = self.shape.width * 3;
        samples
            .chunks_exact(pairs * 4)
            .flat_map(|row| {
                row.as_chunks::<4>()
                    .0
                    .iter()
                    .flat_map(|[y1, y2, cb, cr]| {
                        [ybr_pixel([*y1, *cb, *cr]), ybr_pixel([*y2, *cb, *cr])]
                    })
                    .flatten()
                    .take(row_bytes)
            })
            .collect()
    }

    fn jpeg(&self, stream: &[u8]) -> Result<Frame, Refusal> {
        let header = jpeg::markers(stream).ok_or("a frame is no JPEG stream")?;
        if header.precision != 8 {
            return codec::extended::decode(stream, self.shape);
        }
        if (header.width as usize, header.height as usize) != (self.shape.width, self.shape.height)
        {
            return Err("a frame has another size than the file says");
        }
        let raw = jpeg::decode(stream, self.shape.samples() as u64)
            .map_err(|_| "a JPEG frame is damaged or cut off")?;
        let samples = match (raw.picture.pixels, self.shape.channels) {
            (Pixels::Grey8(samples), 1) | (Pixels::Rgb8(samples), 3) => samples,
            _ => return Err("a frame has another number of colours than the file says"),
        };
        Ok(Frame {
            samples: Samples::U8(samples),
            bits: 8,
        })
    }
}

fn coding(metadata: &DicomMetadata) -> Result<Coding, ImageError> {
    Ok(match metadata.transfer_syntax_uid.as_str() {
        "1.2.840.10008.1.2"
        | "1.2.840.10008.1.2.1"
        | "1.2.840.10008.1.2.1.98"
        | "1.2.840.10008.1.2.1.99"
        | "1.2.840.10008.1.2.2" => Coding::Native,
        "1.2.840.10008.1.2.5" => Coding::RunLengths,
        "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.51" => Coding::Jpeg,
        "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => Coding::LosslessJpeg,
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => Coding::JpegLs,
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Coding::Jpeg2000,
        "1.2.840.10008.1.2.4.110" | "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => {
            Coding::JpegXl
        }
        _ => {
            return Err(ImageError::TransferSyntax {
                name: metadata.transfer_syntax.clone(),
                uid: metadata.transfer_syntax_uid.clone(),
            });
        }
    })
}

fn colours(metadata: &DicomMetadata, coding: Coding) -> Result<Colours, ImageError> {
    let photometric = metadata.photometric.as_str();
    match (metadata.samples_per_pixel, photometric) {
        (1, "MONOCHROME1" | "MONOCHROME2" | "PALETTE COLOR") => Ok(Colours::Rgb),
        (3, "RGB" | "YBR_ICT" | "YBR_RCT") => Ok(Colours::Rgb),
        (3, "YBR_FULL") => Ok(Colours::Ybr),
        (3, "YBR_FULL_422") if coding == Coding::Native => Ok(Colours::Ybr422),
        // A decoder gives every pixel its own colours.
        (3, "YBR_FULL_422") => Ok(Colours::Ybr),
        _ => Err(unsupported(
            "an unusual photometric interpretation",
            "export it in greyscale or RGB",
        )),
    }
}

/// The fragments of each frame (PS3.5, annex A.4). The first of all fragments is the offset table.
fn frames_of<'a>(all: &[&'a [u8]], frames: u32) -> Result<Vec<Vec<&'a [u8]>>, ImageError> {
    let Some((table, fragments)) = all.split_first() else {
        return Err(ImageError::NoPixels);
    };
    let count = frames as usize;
    if count > fragments.len() {
        return Err(damaged("there are fewer fragments than frames"));
    }
    if count == 1 {
        return Ok(vec![fragments.to_vec()]);
    }
    if count == fragments.len() {
        return Ok(fragments.iter().map(|one| vec![*one]).collect());
    }
    let filled = || fragments.iter().filter(|one| !one.is_empty());
    if count == filled().count() {
        return Ok(filled().map(|one| vec![*one]).collect());
    }
    let (offsets, _) = table.as_chunks::<4>();
    let starts: Vec<u64> = offsets
        .iter()
        .map(|offset| u64::from(u32::from_le_bytes(*offset)))
        .collect();
    let mut grouped: Vec<Vec<&[u8]>> = Vec::with_capacity(count);
    let mut position = 0;
    for fragment in fragments {
        // Without a table a frame begins where a stream begins.
        let begins = if starts.len() == count {
            starts.get(grouped.len()) == Some(&position)
        } else {
            fragment.starts_with(&[0xff, 0xd8]) || fragment.starts_with(&[0xff, 0x4f, 0xff, 0x51])
        };
        match grouped.last_mut() {
            Some(frame) if !begins => frame.push(fragment),
            _ => grouped.push(vec![fragment]),
        }
        // An item's tag and length take 8 bytes.
        position += fragment.len() as u64 + 8;
    }
    if grouped.len() == count {
        Ok(grouped)
    } else {
        Err(damaged("its fragments cannot be told apart into frames"))
    }
}

/// Colours that stand one after the other, pixel by pixel.
fn interleave(samples: Samples) -> Samples {
    fn woven<T: Copy>(samples: &[T]) -> Vec<T> {
        let plane = samples.len() / 3;
        (0..plane)
            .flat_map(|at| [samples[at], samples[at + plane], samples[at + 2 * plane]])
            .collect()
    }
    match samples {
        Samples::U8(samples) => Samples::U8(woven(&samples)),
        Samples::U16(samples) => Samples::U16(woven(&samples)),
        Samples::U32(samples) => Samples::U32(woven(&samples)),
    }
}

/// Full-range luma and colour differences of 8 bits as red, green and blue; of more bits they stay as they are.
fn ybr_to_rgb(samples: Samples) -> Samples {
    match samples {
        Samples::U8(mut samples) => {
            for pixel in samples.as_chunks_mut().0 {
                *pixel = ybr_pixel(*pixel);
            }
            Samples::U8(samples)
        }
        Samples::U16(samples) if samples.iter().all(|sample| *sample <= 255) => {
            ybr_to_rgb(Samples::U8(
                samples
                    .iter()
                    .map(|sample| sample.to_le_bytes()[0])
                    .collect(),
            ))
        }
        other => other,
    }
}

/// 16 fractional bits of 1.402, 0.344136, 0.714136 and 1.772 (ITU-T T.871, section 7).
fn ybr_pixel([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (i32::from(y) << 16) + (1 << 15);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [
        y + 91_881 * cr,
        y - 22_554 * cb - 46_802 * cr,
        y + 116_130 * cb,
    ]
    .map(|sample| (sample >> 16).clamp(0, 255).to_le_bytes()[0])
}
