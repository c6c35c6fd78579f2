//! Looking into a file as a job of a sandbox: a request of bytes, a response of bytes.
//!
//! ```text
//! request   u8 version | u32 preview side | u32 most pixels | u8 statistics | u8 window kind, 2 x f64 | u64 total length | the file, or its head
//! response  u8 version | u8 status
//!   done      u32 n, facts in CBOR | u16 n, note | preview, where there is one
//!   refused   u8 kind | u8 media | u16 n, reason | u16 n, what to do
//! ```
//!
//! Numbers are little endian, texts UTF-8. A response comes from a process that read hostile bytes, and is believed in nothing: it
//! is read as strictly as a file.

use salus_imaging::Window;

use crate::facts::cleaned;
use crate::{Facts, InspectOptions, Inspected, MediaError, MediaType, Preview, inspect};

/// The name by which a sandbox knows [`job`].
pub const JOB: &str = "media";

const VERSION: u8 = 1;
const DONE: u8 = 0;
const REFUSED: u8 = 1;
/// The longest text of an answer that is no fact, in bytes.
const MAX_WORDS: usize = 512;

/// The beginning of a request to look into a file of `total_len` bytes: as much of the file as [`needed`](crate::needed) says
/// follows it.
#[must_use]
pub fn request_head(total_len: u64, options: &InspectOptions) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend(options.preview_side.to_le_bytes());
    out.extend(options.max_pixels.unwrap_or(u32::MAX).to_le_bytes());
    out.push(u8::from(options.statistics));
    let (kind, centre, width) = match options.window {
        Window::File => (0, 0.0, 0.0),
        Window::Auto => (1, 0.0, 0.0),
        Window::Fixed { centre, width } => (2, centre, width),
    };
    out.push(kind);
    out.extend(centre.to_le_bytes());
    out.extend(width.to_le_bytes());
    out.extend(total_len.to_le_bytes());
    out
}

/// The request to look into a file.
#[must_use]
pub fn request(bytes: &[u8], total_len: u64, options: &InspectOptions) -> Vec<u8> {
    let mut out = request_head(total_len, options);
    out.extend(bytes);
    out
}

/// Takes bytes apart; `None` where there are too few.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn real(&mut self) -> Option<f64> {
        self.array()
            .map(f64::from_le_bytes)
            .filter(|real| real.is_finite())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Words of an answer: short, and nothing that a terminal obeys.
    fn words(&mut self) -> Option<String> {
        let length = usize::from(self.array().map(u16::from_le_bytes)?);
        let words = std::str::from_utf8(self.take(length)?).ok()?;
        let clean = words.is_empty() || cleaned(words).as_deref() == Some(words);
        (clean && length <= MAX_WORDS).then(|| words.to_owned())
    }
}

fn read_request(request: &[u8]) -> Option<(InspectOptions, u64, &[u8])> {
    let mut input = Reader(request);
    if input.byte()? != VERSION {
        return None;
    }
    let preview_side = input.number()?;
    let max_pixels = Some(input.number()?).filter(|most| *most < u32::MAX);
    let statistics = match input.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let window = match (input.byte()?, input.real()?, input.real()?) {
        (0, ..) => Window::File,
        (1, ..) => Window::Auto,
        (2, centre, width) => Window::Fixed { centre, width },
        _ => return None,
    };
    let total_len = input.array().map(u64::from_le_bytes)?;
    let options = InspectOptions {
        preview_side,
        window,
        statistics,
        max_pixels,
    };
    Some((options, total_len, input.0))
}

/// Looks into the file that a [`request`] holds; [`read_response`] reads what it answers.
#[must_use]
pub fn job(request: &[u8]) -> Vec<u8> {
    let outcome = match read_request(request) {
        Some((options, total_len, bytes)) => inspect(bytes, total_len, &options),
        None => Err(MediaError::Job),
    };
    outcome
        .and_then(|inspected| write_done(&inspected))
        .unwrap_or_else(|error| write_refused(&error))
}

/// What a [`job`] answered.
///
/// # Errors
/// The error of [`inspect`], or [`MediaError::Job`] where the response is none.
pub fn read_response(response: &[u8]) -> Result<Inspected, MediaError> {
    let mut input = Reader(response);
    let read = match input.byte().zip(input.byte()) {
        Some((VERSION, DONE)) => read_done(&mut input).map(Ok),
        Some((VERSION, REFUSED)) => read_refused(&mut input).map(Err),
        _ => None,
    };
    read.unwrap_or(Err(MediaError::Job))
}

fn write_words(out: &mut Vec<u8>, words: &str) {
    let mut words = cleaned(words).unwrap_or_default();
    while words.len() > MAX_WORDS || words.ends_with(' ') {
        words.pop();
    }
    let length = u16::try_from(words.len()).unwrap_or(0);
    out.extend(length.to_le_bytes());
    out.extend(words.as_bytes());
}

fn write_done(inspected: &Inspected) -> Result<Vec<u8>, MediaError> {
    let facts = minicbor::to_vec(&inspected.facts).map_err(|_| MediaError::Job)?;
    let mut out = vec![VERSION, DONE];
    let length = u32::try_from(facts.len()).map_err(|_| MediaError::Job)?;
    out.extend(length.to_le_bytes());
    out.extend(facts);
    write_words(&mut out, inspected.note.as_deref().unwrap_or_default());
    out.extend(inspected.preview.iter().flat_map(Preview::encode));
    Ok(out)
}

fn read_done(input: &mut Reader<'_>) -> Option<Inspected> {
    let length = input.number()? as usize;
    let written = input.take(length)?;
    let facts: Facts = minicbor::decode(written).ok()?;
    // Written in one way only: nothing else is in it, and nothing behind it.
    if minicbor::to_vec(&facts).ok()? != written || !facts.is_sound() {
        return None;
    }
    let note = Some(input.words()?).filter(|note| !note.is_empty());
    let preview = match input.0 {
        [] => None,
        bytes => Some(Preview::decode(bytes)?),
    };
    let fits = match &preview {
        None => note.is_some(),
        Some(Preview::Picture { .. }) => facts.media.is_picture(),
        Some(Preview::Waveform { .. }) => facts.media.is_audio(),
        Some(Preview::Text { .. }) => matches!(facts.media, MediaType::Text | MediaType::Pdf),
    };
    fits.then_some(Inspected {
        facts,
        preview,
        note,
    })
}

fn write_refused(error: &MediaError) -> Vec<u8> {
    let mut out = vec![VERSION, REFUSED];
    let (kind, media, reason, instead) = match error {
        MediaError::Empty => (0, MediaType::Text, "", ""),
        MediaError::UnknownKind => (1, MediaType::Text, "", ""),
        MediaError::Job => (2, MediaType::Text, "", ""),
        MediaError::Refused {
            media,
            reason,
            instead,
        } => (3, *media, reason.as_str(), instead.as_str()),
    };
    out.push(kind);
    let media = MediaType::ALL.iter().position(|known| *known == media);
    out.push(
        media
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(0),
    );
    write_words(&mut out, reason);
    write_words(&mut out, instead);
    out
}

fn read_refused(input: &mut Reader<'_>) -> Option<MediaError> {
    let kind = input.byte()?;
    let media = *MediaType::ALL.get(usize::from(input.byte()?))?;
    let (reason, instead) = (input.words()?, input.words()?);
    if !input.0.is_empty() {
        return None;
    }
    Some(match kind {
        0 => MediaError::Empty,
        1 => MediaError::UnknownKind,
        2 => MediaError::Job,
        3 => MediaError::Refused {
            media,
            reason,
            instead,
        },
        _ => return None,
    })
}
