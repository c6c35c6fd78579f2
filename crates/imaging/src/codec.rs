//! Decoders of single frames, for what medical devices write and ordinary JPEG decoders leave out.

pub(crate) mod extended;
pub(crate) mod huffman;
pub(crate) mod jpeg2000;
pub(crate) mod jpeg_ls;
pub(crate) mod jpeg_xl;
pub(crate) mod lossless;
pub(crate) mod rle;

/// What a frame must turn out to be: the surroundings say so, and a frame that says otherwise is refused before
/// anything is allocated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Channels: 1 or 3.
    pub(crate) channels: usize,
}

impl Shape {
    pub(crate) fn samples(self) -> usize {
        self.width * self.height * self.channels
    }

    /// Whether a frame header's numbers are these.
    fn admits(self, width: u32, height: u32, channels: usize) -> Result<(), Refusal> {
        if (self.width, self.height) == (width as usize, height as usize)
            && self.channels == channels
        {
            Ok(())
        } else {
            Err("a frame has another size than the file says")
        }
    }
}

/// Samples as they are stored, channels interleaved; `bits` of each count, the sign among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) samples: Samples,
    pub(crate) bits: u32,
}

/// The bits of the samples, in the narrowest width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
}

/// Why a frame gave no samples.
pub(crate) type Refusal = &'static str;

/// The frame ended before its last sample.
pub(crate) const CUT_OFF: Refusal = "a frame is cut off";

/// The segments of a JPEG or JPEG-LS stream up to its end: marker, content, and where the content of the next begins.
pub(crate) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// `None` unless the stream begins with a start of image.
    pub(crate) fn new(stream: &'a [u8]) -> Option<Self> {
        let rest = stream.strip_prefix(&[0xff, 0xd8])?;
        Some(Self { rest })
    }

    /// What follows the segment that was read last: after a start of scan, its entropy-coded data.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on after entropy-coded data.
    pub(crate) fn resume(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// The next marker with its content. `None` at the end of the image, or where there is no marker.
    pub(crate) fn advance(&mut self) -> Option<(u8, &'a [u8])> {
        const END_OF_IMAGE: u8 = 0xd9;
        loop {
            let ([0xff, marker], after) = self.rest.split_first_chunk::<2>()? else {
                return None;
            };
            if *marker == 0xff {
                self.rest = &self.rest[1..];
                continue;
            }
            if *marker == END_OF_IMAGE {
                return None;
            }
            let length = usize::from(u16::from_be_bytes(*after.first_chunk::<2>()?));
            let content = after.get(2..length)?;
            self.rest = after.get(length..)?;
            return Some((*marker, content));
        }
    }
}
