//! What an attach entry says of a file whose bytes travel as a blob of their own.

use std::fmt;

use crate::body::MAX_LINE_BYTES;
use crate::cbor::{DecodeError, Reader, Writer};

/// The version of an attachment's body. It stands where the body of an inline attachment has a text.
pub const ATTACHMENT_VERSION: u64 = 2;
/// Longest facts, bytes (a guess: the tags of a DICOM file that are kept take some 2 KB).
pub const MAX_FACTS_BYTES: usize = 16 * 1024;
/// Longest attachment whose bytes travel as a blob: 1 TiB, what the vault seals.
pub const MAX_BLOB_ATTACHMENT_BYTES: u64 = 1 << 40;

/// A file of a record. Its entry's header names the blob of its bytes and then, where there is one, the blob of its preview.
///
/// `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its id within the record.
    pub id: String,
    /// File name, without folders.
    pub name: String,
    /// Media type (RFC 6838), by the content.
    pub mime: String,
    /// SHA-256 of the file. It stands inside the seal only: outside it would tell who holds the same file.
    pub sha256: [u8; 32],
    /// BLAKE3 of the file, by which an inference knows its input.
    pub blake3: [u8; 32],
    /// The file itself.
    pub content: SealedBlob,
    /// Something small to look at before the file is here.
    pub preview: Option<SealedBlob>,
    /// The id of the item of the record that it belongs to: a report, an encounter, a note.
    pub about: Option<String>,
    /// What was read from the file when it was attached, as a JSON object; "" for nothing.
    pub facts: String,
}

/// How a blob is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBlob {
    /// The blob's key.
    pub key: [u8; 32],
    /// Length of what is in it, bytes.
    pub len: u64,
}

impl Attachment {
    /// Blobs that the entry's header names.
    pub fn blobs(&self) -> usize {
        1 + usize::from(self.preview.is_some())
    }

    /// Whether it can be written: everything within its bounds.
    pub fn check(&self) -> Result<(), DecodeError> {
        let lines = [
            (self.id.as_str(), 1, "attachment id"),
            (&self.name, 1, "file name"),
            (&self.mime, 1, "media type"),
            (self.about.as_deref().unwrap_or("-"), 1, "item"),
        ];
        for (line, least, what) in lines {
            if line.len() > MAX_LINE_BYTES {
                return Err(DecodeError::TooLong(what));
            }
            if line.len() < least {
                return Err(DecodeError::Impossible(what));
            }
        }
        if self.facts.len() > MAX_FACTS_BYTES {
            return Err(DecodeError::TooLong("facts"));
        }
        let blobs = self.preview.iter().chain([&self.content]);
        if blobs
            .into_iter()
            .any(|blob| blob.len > MAX_BLOB_ATTACHMENT_BYTES)
        {
            return Err(DecodeError::TooLong("attachment"));
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let lines = self.id.len() + self.name.len() + self.mime.len() + self.facts.len();
        let mut w = Writer::with_capacity(lines + 320);
        w.array(10).u64(ATTACHMENT_VERSION).text(&self.id);
        w.text(&self.name).text(&self.mime);
        w.bytes(&self.sha256).bytes(&self.blake3);
        self.content.write(&mut w);
        match &self.preview {
            Some(preview) => preview.write(&mut w),
            None => {
                w.null();
            }
        }
        match &self.about {
            Some(about) => w.text(about),
            None => w.null(),
        };
        w.text(&self.facts);
        w.finish()
    }

    /// What follows the head of the array.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u64()? != ATTACHMENT_VERSION {
            return Err(DecodeError::Version("attachment"));
        }
        let line = |r: &mut Reader<'_>| r.text(MAX_LINE_BYTES).map(str::to_owned);
        let attachment = Self {
            id: line(r)?,
            name: line(r)?,
            mime: line(r)?,
            sha256: r.array_of()?,
            blake3: r.array_of()?,
            content: SealedBlob::read(r)?,
            preview: r.optional(SealedBlob::read)?,
            about: r.optional(line)?,
            facts: r.text(MAX_FACTS_BYTES)?.to_owned(),
        };
        attachment.check()?;
        Ok(attachment)
    }
}

impl SealedBlob {
    fn write(&self, w: &mut Writer) {
        w.array(2).bytes(&self.key).u64(self.len);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array(2)?;
        Ok(Self {
            key: r.array_of()?,
            len: r.u64()?,
        })
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({} bytes)", self.content.len)
    }
}

impl fmt::Debug for SealedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBlob({} bytes)", self.len)
    }
}
