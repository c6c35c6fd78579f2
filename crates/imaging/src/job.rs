//! Decoding as a job of a sandbox: a request of bytes, a response of bytes.
//!
//! ```text
//! request   u8 version | size: u8 kind, 2 x u32 | u8 flags | u32 most pixels | frames: u8 kind, u32 | window: u8 kind, 2 x f64 | the file
//! response  u8 version | u8 status
//!   done      u8 format | u32 width | u32 height | u32 frames | u32 n | n pictures | u8 1 and DICOM metadata, or u8 0
//!   refused   u8 kind | u8 format | 3 x u32 | 2 texts
//! picture   u32 width | u32 height | u8 channels | samples
//! text      u32 length | UTF-8; an optional one after u8 1, or u8 0
//! ```
//!
//! Numbers are little endian. A response comes from a process that read hostile bytes, and is believed in nothing: it is read as
//! strictly as a file.

mod wire;

use crate::dicom::{DicomMetadata, RawStatistics};
use crate::options::{Frames, Size, Window};
use crate::picture::Pixels;
use crate::{DecodeOptions, Decoded, Format, ImageError, Picture, decode};
use wire::{Reader, Writer};

/// The name by which a sandbox knows [`job`].
pub const JOB: &str = "image";

const VERSION: u8 = 1;
const GREY: u8 = 1;
const SCANS_ONLY: u8 = 2;
const STATISTICS: u8 = 4;
const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// The request to decode a file so.
#[must_use]
pub fn request(file: &[u8], options: &DecodeOptions) -> Vec<u8> {
    let mut request = request_head(options);
    request.extend_from_slice(file);
    request
}

/// The beginning of a request to decode a file so: the file follows it, to the end of the request.
#[must_use]
pub fn request_head(options: &DecodeOptions) -> Vec<u8> {
    let mut out = Writer::with_room(64);
    out.byte(VERSION);
    let (kind, first, second) = match options.size {
        Size::Full => (0, 0, 0),
        Size::Fit(side) => (1, side, 0),
        Size::Exact(width, height) => (2, width, height),
    };
    out.byte(kind);
    out.number(first);
    out.number(second);
    let mut flags = 0;
    for (set, flag) in [
        (options.grey, GREY),
        (options.scans_only, SCANS_ONLY),
        (options.statistics, STATISTICS),
    ] {
        flags |= if set { flag } else { 0 };
    }
    out.byte(flags);
    out.number(options.max_pixels.unwrap_or(u32::MAX));
    let (kind, index) = match options.frames {
        Frames::Middle => (0, 0),
        Frames::One(index) => (1, index),
        Frames::All => (2, 0),
        Frames::None => (3, 0),
    };
    out.byte(kind);
    out.number(index);
    let (kind, centre, width) = match options.window {
        Window::File => (0, 0.0, 0.0),
        Window::Auto => (1, 0.0, 0.0),
        Window::Fixed { centre, width } => (2, centre, width),
    };
    out.byte(kind);
    out.real(centre);
    out.real(width);
    out.finish()
}

/// Options and file of a request.
fn read_request(request: &[u8]) -> Option<(DecodeOptions, &[u8])> {
    let mut input = Reader::new(request);
    if input.byte()? != VERSION {
        return None;
    }
    let size = (input.byte()?, input.number()?, input.number()?);
    let size = match size {
        (0, ..) => Size::Full,
        (1, side, _) => Size::Fit(side),
        (2, width, height) => Size::Exact(width, height),
        _ => return None,
    };
    let flags = input.byte()?;
    let max_pixels = Some(input.number()?).filter(|most| *most < u32::MAX);
    let frames = match (input.byte()?, input.number()?) {
        (0, _) => Frames::Middle,
        (1, index) => Frames::One(index),
        (2, _) => Frames::All,
        (3, _) => Frames::None,
        _ => return None,
    };
    let window = match (input.byte()?, input.real()?, input.real()?) {
        (0, ..) => Window::File,
        (1, ..) => Window::Auto,
        (2, centre, width) => Window::Fixed { centre, width },
        _ => return None,
    };
    let options = DecodeOptions {
        size,
        grey: flags & GREY != 0,
        scans_only: flags & SCANS_ONLY != 0,
        frames,
        window,
        statistics: flags & STATISTICS != 0,
        max_pixels,
    };
    Some((options, input.rest()))
}

/// Decodes what a [`request`] asks for; [`read_response`] reads what it answers.
#[must_use]
pub fn job(request: &[u8]) -> Vec<u8> {
    let outcome = match read_request(request) {
        Some((options, file)) => decode(file, &options),
        None => Err(ImageError::Job),
    };
    match outcome {
        Ok(decoded) => write_done(&decoded),
        Err(error) => write_refused(&error),
    }
}

/// What a [`job`] answered.
///
/// # Errors
/// The error of [`decode`], or [`ImageError::Job`] where the response is none.
pub fn read_response(response: &[u8]) -> Result<Decoded, ImageError> {
    let mut input = Reader::new(response);
    let header = input.byte().zip(input.byte());
    let read = match header {
        Some((VERSION, DONE)) => read_done(&mut input).map(Ok),
        Some((VERSION, REFUSED)) => read_refused(&mut input).map(Err),
        _ => None,
    };
    read.filter(|_| input.rest().is_empty())
        .unwrap_or(Err(ImageError::Job))
}

fn write_done(decoded: &Decoded) -> Vec<u8> {
    let samples = decoded
        .pictures
        .iter()
        .map(|picture| picture.pixels.bytes().len() + 16)
        .sum::<usize>();
    let mut out = Writer::with_room(samples + 4_096);
    out.byte(VERSION);
    out.byte(DONE);
    out.byte(format_code(decoded.format));
    out.number(decoded.width);
    out.number(decoded.height);
    out.number(decoded.frames);
    out.count(decoded.pictures.len());
    for picture in &decoded.pictures {
        out.number(picture.width);
        out.number(picture.height);
        out.byte(match picture.pixels {
            Pixels::Grey8(_) => 1,
            Pixels::Rgb8(_) => 3,
        });
        out.bytes(picture.pixels.bytes());
    }
    out.byte(u8::from(decoded.dicom.is_some()));
    if let Some(dicom) = &decoded.dicom {
        write_dicom(&mut out, dicom);
    }
    out.finish()
}

fn read_done(input: &mut Reader<'_>) -> Option<Decoded> {
    let format = format_of(input.byte()?)?;
    let (width, height, frames) = (input.number()?, input.number()?, input.number()?);
    let count = input.number()?;
    let mut pictures = Vec::new();
    for _ in 0..count {
        let (width, height, channels) = (input.number()?, input.number()?, input.byte()?);
        let pixels = (width as usize).checked_mul(height as usize)?;
        let samples = input.take(pixels.checked_mul(usize::from(channels))?)?;
        if samples.is_empty() {
            return None;
        }
        pictures.push(match channels {
            1 => Picture::grey(width, height, samples.to_vec())?,
            3 => Picture::rgb(width, height, samples.to_vec())?,
            _ => return None,
        });
    }
    let dicom = match input.byte()? {
        0 => None,
        1 => Some(read_dicom(input)?),
        _ => return None,
    };
    Some(Decoded {
        format,
        width,
        height,
        frames,
        pictures,
        dicom,
    })
}

fn write_dicom(out: &mut Writer, dicom: &DicomMetadata) {
    for text in [
        &dicom.transfer_syntax_uid,
        &dicom.transfer_syntax,
        &dicom.photometric,
    ] {
        out.text(text);
    }
    for text in [
        &dicom.sop_class_uid,
        &dicom.sop_instance_uid,
        &dicom.study_instance_uid,
        &dicom.series_instance_uid,
        &dicom.modality,
        &dicom.study_date,
        &dicom.study_description,
        &dicom.series_description,
        &dicom.series_number,
        &dicom.instance_number,
        &dicom.body_part,
        &dicom.patient_name,
        &dicom.patient_id,
        &dicom.patient_birth_date,
        &dicom.patient_sex,
    ] {
        out.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            out.text(text);
        }
    }
    for number in [dicom.columns, dicom.rows, dicom.frames] {
        out.number(number);
    }
    for number in [
        dicom.samples_per_pixel,
        dicom.bits_allocated,
        dicom.bits_stored,
    ] {
        out.number(u32::from(number));
    }
    out.byte(u8::from(dicom.signed));
    out.byte(u8::from(dicom.planar));
    for pair in [dicom.window, dicom.rescale] {
        out.byte(u8::from(pair.is_some()));
        if let Some((first, second)) = pair {
            out.real(first);
            out.real(second);
        }
    }
    out.byte(u8::from(dicom.statistics.is_some()));
    if let Some(raw) = dicom.statistics {
        out.bytes(&raw.min.to_le_bytes());
        out.bytes(&raw.max.to_le_bytes());
        out.real(raw.mean);
        out.bytes(&raw.samples.to_le_bytes());
    }
}

fn read_dicom(input: &mut Reader<'_>) -> Option<DicomMetadata> {
    Some(DicomMetadata {
        transfer_syntax_uid: input.text()?,
        transfer_syntax: input.text()?,
        photometric: input.text()?,
        sop_class_uid: input.optional(Reader::text)?,
        sop_instance_uid: input.optional(Reader::text)?,
        study_instance_uid: input.optional(Reader::text)?,
        series_instance_uid: input.optional(Reader::text)?,
        modality: input.optional(Reader::text)?,
        study_date: input.optional(Reader::text)?,
        study_description: input.optional(Reader::text)?,
        series_description: input.optional(Reader::text)?,
        series_number: input.optional(Reader::text)?,
        instance_number: input.optional(Reader::text)?,
        body_part: input.optional(Reader::text)?,
        patient_name: input.optional(Reader::text)?,
        patient_id: input.optional(Reader::text)?,
        patient_birth_date: input.optional(Reader::text)?,
        patient_sex: input.optional(Reader::text)?,
        columns: input.number()?,
        rows: input.number()?,
        frames: input.number()?,
        samples_per_pixel: input.short()?,
        bits_allocated: input.short()?,
        bits_stored: input.short()?,
        signed: input.flag()?,
        planar: input.flag()?,
        window: input.optional(Reader::pair)?,
        rescale: input.optional(Reader::pair)?,
        statistics: input.optional(|input| {
            Some(RawStatistics {
                min: i64::from_le_bytes(input.array()?),
                max: i64::from_le_bytes(input.array()?),
                mean: input.real()?,
                samples: u64::from_le_bytes(input.array()?),
            })
        })?,
    })
}

fn format_code(format: Format) -> u8 {
    match format {
        Format::Png => 0,
        Format::Jpeg => 1,
        Format::Tiff => 2,
        Format::Dicom => 3,
    }
}

fn format_of(code: u8) -> Option<Format> {
    [Format::Png, Format::Jpeg, Format::Tiff, Format::Dicom]
        .into_iter()
        .find(|format| format_code(*format) == code)
}

fn write_refused(error: &ImageError) -> Vec<u8> {
    use ImageError as E;
    let none = Format::Png;
    let (kind, format, numbers, texts): (u8, _, [u32; 3], [&str; 2]) = match error {
        E::Empty => (0, none, [0; 3], [""; 2]),
        E::UnknownFormat => (1, none, [0; 3], [""; 2]),
        E::FileTooLarge { bytes } => {
            let bytes = u32::try_from(*bytes).unwrap_or(u32::MAX);
            (2, none, [bytes, 0, 0], [""; 2])
        }
        E::ZeroSize {
            format,
            width,
            height,
        } => (3, *format, [*width, *height, 0], [""; 2]),
        E::TooLarge {
            format,
            width,
            height,
            most,
        } => {
            let most = u32::try_from(*most).unwrap_or(u32::MAX);
            (4, *format, [*width, *height, most], [""; 2])
        }
        E::Damaged { format, reason } => (5, *format, [0; 3], [reason, ""]),
        E::Unsupported {
            format,
            what,
            instead,
        } => (6, *format, [0; 3], [what, instead]),
        E::NoScan { format, what } => (7, *format, [0; 3], [what, ""]),
        E::NoPixels => (8, none, [0; 3], [""; 2]),
        E::TransferSyntax { name, uid } => (9, none, [0; 3], [name, uid]),
        E::Inflates => (10, none, [0; 3], [""; 2]),
        E::NoSuchFrame { index, frames } => (11, none, [*index, *frames, 0], [""; 2]),
        E::TooManyFrames { frames } => (12, none, [*frames, 0, 0], [""; 2]),
        E::Size { width, height } => (13, none, [*width, *height, 0], [""; 2]),
        E::Job => (14, none, [0; 3], [""; 2]),
    };
    let mut out = Writer::with_room(256);
    out.byte(VERSION);
    out.byte(REFUSED);
    out.byte(kind);
    out.byte(format_code(format));
    numbers.iter().for_each(|number| out.number(*number));
    texts.iter().for_each(|text| out.text(text));
    out.finish()
}

fn read_refused(input: &mut Reader<'_>) -> Option<ImageError> {
    use ImageError as E;
    let (kind, format) = (input.byte()?, format_of(input.byte()?)?);
    let [first, second, third] = [input.number()?, input.number()?, input.number()?];
    let [one, other] = [input.text()?, input.text()?];
    let (width, height) = (first, second);
    Some(match kind {
        0 => E::Empty,
        1 => E::UnknownFormat,
        2 => E::FileTooLarge {
            bytes: u64::from(first),
        },
        3 => E::ZeroSize {
            format,
            width,
            height,
        },
        4 => E::TooLarge {
            format,
            width,
            height,
            most: u64::from(third),
        },
        5 => E::Damaged {
            format,
            reason: one,
        },
        6 => E::Unsupported {
            format,
            what: one,
            instead: other,
        },
        7 => E::NoScan { format, what: one },
        8 => E::NoPixels,
        9 => E::TransferSyntax {
            name: one,
            uid: other,
        },
        10 => E::Inflates,
        11 => E::NoSuchFrame {
            index: first,
            frames: second,
        },
        12 => E::TooManyFrames { frames: first },
        13 => E::Size { width, height },
        14 => E::Job,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_arrives() {
        let options = DecodeOptions {
            size: Size::Exact(3, 4),
            grey: true,
            scans_only: false,
            frames: Frames::One(7),
            window: Window::Fixed {
                centre: -600.0,
                width: 1500.5,
            },
            statistics: true,
            max_pixels: Some(70_000),
        };
        for options in [
            options,
            DecodeOptions::default(),
            DecodeOptions::metadata(),
            DecodeOptions::preview(9),
            DecodeOptions::classifier(224, 224),
        ] {
            let request = request(b"file", &options);
            assert_eq!(read_request(&request), Some((options, &b"file"[..])));
        }
    }

    #[test]
    fn every_error_arrives_as_it_was() {
        let format = Format::Dicom;
        let (width, height) = (70_000, 0);
        for error in [
            ImageError::Empty,
            ImageError::UnknownFormat,
            ImageError::FileTooLarge { bytes: 1 << 30 },
            ImageError::ZeroSize {
                format,
                width,
                height,
            },
            ImageError::TooLarge {
                format,
                width,
                height,
                most: 1 << 20,
            },
            ImageError::damaged(Format::Tiff, "a reason"),
            ImageError::unsupported(Format::Jpeg, "what", "instead"),
            ImageError::no_scan(Format::Png, "an animation"),
            ImageError::NoPixels,
            ImageError::TransferSyntax {
                name: "MPEG2".to_owned(),
                uid: "1.2".to_owned(),
            },
            ImageError::Inflates,
            ImageError::NoSuchFrame {
                index: 4,
                frames: 2,
            },
            ImageError::TooManyFrames { frames: 9_999 },
            ImageError::Size { width, height },
            ImageError::Job,
        ] {
            assert_eq!(read_response(&write_refused(&error)), Err(error));
        }
    }

    #[test]
    fn a_result_arrives_and_any_part_of_it_is_refused() {
        let decoded = Decoded {
            format: Format::Dicom,
            width: 4,
            height: 2,
            frames: 3,
            pictures: vec![
                Picture::grey(2, 1, vec![1, 2]).unwrap(),
                Picture::rgb(1, 1, vec![3, 4, 5]).unwrap(),
            ],
            dicom: Some(DicomMetadata {
                modality: Some("CT".to_owned()),
                patient_name: Some("Ä^Ö".to_owned()),
                columns: 4,
                rows: 2,
                frames: 3,
                signed: true,
                window: Some((40.0, 400.0)),
                statistics: Some(RawStatistics {
                    min: -5,
                    max: 70_000,
                    mean: 2.5,
                    samples: 24,
                }),
                ..DicomMetadata::default()
            }),
        };
        let response = write_done(&decoded);
        assert_eq!(read_response(&response), Ok(decoded));
        for end in 0..response.len() {
            assert_eq!(read_response(&response[..end]), Err(ImageError::Job));
        }
        let longer = [&response[..], b"x"].concat();
        assert_eq!(read_response(&longer), Err(ImageError::Job));
        // A picture of four thousand million pixels, and none behind it.
        let mut lying = response;
        lying[19..27].fill(0xff);
        assert_eq!(read_response(&lying), Err(ImageError::Job));
    }

    #[test]
    fn a_request_that_is_none_is_answered() {
        for request in [&b""[..], b"\x02", b"\x01\x09", &[1; 20]] {
            assert_eq!(read_response(&job(request)), Err(ImageError::Job));
        }
    }
}
