//! Deterministic CBOR (RFC 8949 section 4.2.1) over minicbor: definite lengths, shortest integers.
//!
//! The reader checks at every item that its head is the shortest one, so that one value has one form:
//! whatever it accepts is, byte for byte, what the writer makes of it.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

/// Why bytes are not what they should be. They come from a peer or a disk: an input, not an accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The CBOR does not have the shape of this structure.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// More bytes or items than the named limit allows.
    #[error("too many bytes or items in {0}")]
    TooLong(&'static str),
    /// The bytes mean something, but are not its one deterministic encoding.
    #[error("{0} is not in deterministic form")]
    NotCanonical(&'static str),
    /// A version that this program does not know.
    #[error("unknown version of {0}")]
    Version(&'static str),
    /// A field contradicts another one.
    #[error("impossible {0}")]
    Impossible(&'static str),
}

/// Writes one structure into memory.
pub(crate) struct Writer(Encoder<Vec<u8>>);

/// Writing CBOR into a `Vec` cannot fail: its `Write` has no error.
const IN_MEMORY: &str = "writing to memory does not fail";

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(bytes)))
    }

    pub(crate) fn array(&mut self, len: usize) -> &mut Self {
        self.0.array(len as u64).expect(IN_MEMORY);
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.u64(value).expect(IN_MEMORY);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.bytes(value).expect(IN_MEMORY);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.0.str(value).expect(IN_MEMORY);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.0.null().expect(IN_MEMORY);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads one structure; every error names it.
pub(crate) struct Reader<'b> {
    decoder: Decoder<'b>,
    what: &'static str,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], what: &'static str) -> Self {
        let decoder = Decoder::new(bytes);
        Self { decoder, what }
    }

    pub(crate) fn malformed(&self) -> DecodeError {
        DecodeError::Malformed(self.what)
    }

    /// An array of exactly `len` items.
    pub(crate) fn array(&mut self, len: usize) -> Result<(), DecodeError> {
        if self.any_array()? == len as u64 {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// An array whose length tells what it is.
    pub(crate) fn any_array(&mut self) -> Result<u64, DecodeError> {
        let start = self.decoder.position();
        let Ok(Some(len)) = self.decoder.array() else {
            return Err(self.malformed());
        };
        self.shortest(start, head_len(len))?;
        Ok(len)
    }

    /// An array of at most `max` items, each read by `item`.
    pub(crate) fn list<T>(
        &mut self,
        max: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let len = self.any_array()?;
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= max) else {
            return Err(DecodeError::TooLong(self.what));
        };
        // An item takes at least one byte: a length beyond the input allocates nothing.
        let left = self
            .decoder
            .input()
            .len()
            .saturating_sub(self.decoder.position());
        let mut items = Vec::with_capacity(len.min(left));
        for _ in 0..len {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let start = self.decoder.position();
        let value = self.decoder.u64().map_err(|_| self.malformed())?;
        self.shortest(start, head_len(value))?;
        Ok(value)
    }

    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'b [u8], DecodeError> {
        let start = self.decoder.position();
        let bytes = self.decoder.bytes().map_err(|_| self.malformed())?;
        self.shortest(start, string_len(bytes.len()))?;
        if bytes.len() > max {
            return Err(DecodeError::TooLong(self.what));
        }
        Ok(bytes)
    }

    pub(crate) fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes(N)?.try_into().map_err(|_| self.malformed())
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<&'b str, DecodeError> {
        let start = self.decoder.position();
        let text = self.decoder.str().map_err(|_| self.malformed())?;
        self.shortest(start, string_len(text.len()))?;
        if text.len() > max {
            return Err(DecodeError::TooLong(self.what));
        }
        Ok(text)
    }

    /// `null`, or what `item` reads.
    pub(crate) fn optional<T>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.decoder.datatype() {
            Ok(Type::Null) => self
                .decoder
                .null()
                .map(|()| None)
                .map_err(|_| self.malformed()),
            Ok(_) => item(self).map(Some),
            Err(_) => Err(self.malformed()),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.decoder.position() == self.decoder.input().len() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// The item that began at `start` took no more bytes than needed.
    fn shortest(&self, start: usize, len: usize) -> Result<(), DecodeError> {
        if self.decoder.position() == start.saturating_add(len) {
            Ok(())
        } else {
            Err(DecodeError::NotCanonical(self.what))
        }
    }
}

/// The length of the shortest head for this argument (RFC 8949 section 4.2.1).
fn head_len(argument: u64) -> usize {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// The length of the shortest byte or text string that holds `len` bytes.
pub(crate) fn string_len(len: usize) -> usize {
    head_len(len as u64).saturating_add(len)
}
