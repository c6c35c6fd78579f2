//! Files that are to be attached: all kinds, whole and as heads of larger ones, previews, and the requests and responses of the job.

use salus_imaging::{Picture, encode_png};
use salus_media::{
    HEAD_BYTES, InspectOptions, Inspected, MAX_FILE_BYTES, MediaError, Preview, inspect, job,
    read_response, request, test_files,
};

use super::Target;
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const MEDIA: Target = Target {
    name: "media",
    about: "files to be attached: DICOM, pictures, sound, PDF and text; previews; what the job that looks into them is asked and answers",
    form: Form::Bytes,
    max_bytes: 4 * 1024,
    make: |_| Box::new(Media),
};

struct Media;

/// A decoder's memory grows with what a header says, up to a bound that is too high to find what a byte too many takes.
const MAX_PIXELS: u32 = 1 << 18;
/// Where a request says how large a picture may be, and what follows: side, pixels, statistics, window and total length.
const ASKED: std::ops::Range<usize> = 1..9;
/// The first byte of an input that is the head of a larger file; of a request, a response or a preview it is 1.
const HEAD: u8 = 2;

fn options() -> InspectOptions {
    InspectOptions {
        preview_side: 32,
        statistics: true,
        max_pixels: Some(MAX_PIXELS),
        ..InspectOptions::default()
    }
}

impl Subject for Media {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut files = files();
        let whole = files.clone();
        for file in &whole {
            let asked = request(file, file.len() as u64, &options());
            let answer = job(&asked);
            files.push(asked);
            if let Ok(Inspected {
                preview: Some(preview),
                ..
            }) = read_response(&answer)
            {
                files.push(preview.encode());
            }
            files.push(answer);
            // A head whose file goes on with zeros: of sound and text it is one.
            let head = [&[HEAD], &file[..]].concat();
            if self.run(&head).is_ok_and(|outcome| outcome.accepted) {
                files.push(head);
            }
        }
        files.retain(|input| input.len() <= MEDIA.max_bytes);
        files.retain(|input| self.run(input).is_ok_and(|outcome| outcome.accepted));
        files
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        match input {
            [1, ..] => answered(input),
            [HEAD, head @ ..] => {
                let mut head = head.to_vec();
                head.resize(HEAD_BYTES, 0);
                told(inspect(&head, MAX_FILE_BYTES as u64 + 1, &options()))
            }
            _ => told(inspect(input, input.len() as u64, &options())),
        }
    }
}

/// A response, a preview, or a request.
fn answered(input: &[u8]) -> Result<Outcome, Broken> {
    if let Ok(found) = read_response(input) {
        whole(&found)?;
        return Ok(Outcome::accepted("a response"));
    }
    if let Some(preview) = Preview::decode(input) {
        if preview.encode() != input {
            return Err("a preview is written in one way only".to_owned());
        }
        let seen = preview.picture().is_some();
        return Ok(Outcome::accepted(format!("a preview {seen}")));
    }
    let model = request(&[], 0, &options());
    let mut asked = input.to_vec();
    for place in ASKED {
        if let (Some(byte), Some(wanted)) = (asked.get_mut(place), model.get(place)) {
            *byte = *wanted;
        }
    }
    told(read_response(&job(&asked)))
}

fn told(outcome: Result<Inspected, MediaError>) -> Result<Outcome, Broken> {
    Ok(match outcome {
        Ok(found) => {
            whole(&found)?;
            let codec = found.facts.audio.as_ref().map(|audio| audio.codec.as_str());
            let shown = found.preview.is_some();
            Outcome::accepted(format!("{} {codec:?} {shown}", found.facts.media))
        }
        Err(error) => Outcome::refused(kind(&error)),
    })
}

/// An error without its numbers, of which checksums are written in letters, too.
fn kind(error: &MediaError) -> String {
    let text = error.to_string();
    let words = text.split_whitespace();
    words
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
        .take(24)
        .collect()
}

/// A preview is one that is read again, and a picture in it one that is decoded.
fn whole(found: &Inspected) -> Result<(), Broken> {
    let Some(preview) = &found.preview else {
        return if found.note.is_some() {
            Ok(())
        } else {
            Err("where there is no preview it is said why".to_owned())
        };
    };
    if Preview::decode(&preview.encode()).as_ref() != Some(preview) {
        return Err("a preview is read as it was written".to_owned());
    }
    Ok(())
}

fn files() -> Vec<Vec<u8>> {
    let grey: Vec<u8> = (0..=255).collect();
    let tones: Vec<i16> = (0..500).map(|n| (n % 50) * 300 - 7_000).collect();
    let dicom = test_files::Dicom::patient(test_files::EXPLICIT, "1.2.840.10008.5.1.4.1.1.2");
    let report = test_files::Dicom::patient(test_files::EXPLICIT, "1.2.840.10008.5.1.4.1.1.88.11");
    let mut picture = Vec::new();
    // The encoder cannot fail on a vector.
    let _ = jpeg_encoder::Encoder::new(&mut picture, 50).encode(
        &grey,
        16,
        16,
        jpeg_encoder::ColorType::Luma,
    );
    let mut files = vec![
        dicom.clone().grey(16, 16, 1).samples(&grey).file(),
        dicom
            .named("1.2.840.10008.1.2.4.201")
            .grey(4, 4, 1)
            .fragments(&[&[1, 2]])
            .file(),
        report.file(),
        picture,
        test_files::wav(&tones),
        test_files::wav_of(3, 2, 16_000, 32, &[0; 800]),
        test_files::wav_of(7, 1, 8_000, 8, &grey),
        test_files::flac(&tones),
        test_files::mp3(4),
        test_files::vorbis(20),
        test_files::opus(960),
        test_files::m4a(8, b"soun", b"mp4a"),
        test_files::pdf(&[&["Discharge letter", "Ada"], &["second page"]]),
        "Grüße,\n\tund mehr\r\n".as_bytes().to_vec(),
        vec![0xff, 0xfe, b'a', 0, b'\n', 0, 0x3d, 0xd8, 0, 0xde],
    ];
    files.extend(Picture::grey(16, 16, grey).map(|picture| encode_png(&picture)));
    files
}
