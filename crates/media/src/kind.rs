//! The kinds of files that are attached, told apart by their content.

use std::fmt;

use salus_imaging::Format;

use crate::{audio, pdf, text};

/// What a file is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode,
)]
#[cbor(index_only)]
pub enum MediaType {
    /// DICOM part 10 file (PS3.10).
    #[n(0)]
    Dicom,
    /// Portable Network Graphics (ISO/IEC 15948).
    #[n(1)]
    Png,
    /// JPEG (ITU-T T.81).
    #[n(2)]
    Jpeg,
    /// TIFF 6.0.
    #[n(3)]
    Tiff,
    /// RIFF WAVE, and RF64 or BW64 of the same (EBU Tech 3306, ITU-R BS.2088).
    #[n(4)]
    Wav,
    /// Free Lossless Audio Codec in its own container (RFC 9639).
    #[n(5)]
    Flac,
    /// MPEG-1, -2 and -2.5 audio, layer III (ISO/IEC 11172-3, 13818-3).
    #[n(6)]
    Mp3,
    /// Ogg (RFC 3533) with one stream of audio.
    #[n(7)]
    Ogg,
    /// ISO base media file (ISO/IEC 14496-12) with sound alone.
    #[n(8)]
    M4a,
    /// PDF (ISO 32000).
    #[n(9)]
    Pdf,
    /// Text in UTF-8, or in UTF-16 with a byte order mark.
    #[n(10)]
    Text,
}

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Dicom,
        Self::Png,
        Self::Jpeg,
        Self::Tiff,
        Self::Wav,
        Self::Flac,
        Self::Mp3,
        Self::Ogg,
        Self::M4a,
        Self::Pdf,
        Self::Text,
    ];

    /// What a file of `total_len` bytes is that begins so; [`HEAD_BYTES`](crate::HEAD_BYTES) of it are enough. `None` for any other
    /// kind, and for an empty file. It says what the file means to be: [`inspect`](crate::inspect) says whether it is whole.
    #[must_use]
    pub fn of(head: &[u8], total_len: u64) -> Option<Self> {
        let whole = head.len() as u64 >= total_len;
        match Format::of(head) {
            Some(Format::Dicom) => return Some(Self::Dicom),
            Some(Format::Png) => return Some(Self::Png),
            Some(Format::Jpeg) => return Some(Self::Jpeg),
            Some(Format::Tiff) => return Some(Self::Tiff),
            None => {}
        }
        if let Some(audio) = audio::kind(head) {
            Some(audio)
        } else if pdf::is_pdf(head) {
            Some(Self::Pdf)
        } else if text::Encoding::of(head, whole).is_some() {
            Some(Self::Text)
        } else {
            None
        }
    }

    /// Its registered media type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Dicom => "application/dicom",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Tiff => "image/tiff",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Mp3 => "audio/mpeg",
            Self::Ogg => "audio/ogg",
            Self::M4a => "audio/mp4",
            Self::Pdf => "application/pdf",
            Self::Text => "text/plain",
        }
    }

    /// The kind of this media type, as [`mime`](Self::mime) writes it.
    #[must_use]
    pub fn of_mime(mime: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.mime() == mime)
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dicom => "DICOM",
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::Ogg => "OGG",
            Self::M4a => "M4A",
            Self::Pdf => "PDF",
            Self::Text => "text",
        }
    }

    /// What names of such files usually end with, in lower case and without the dot; the first is the commonest.
    #[must_use]
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Dicom => &["dcm", "dicom"],
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg", "jpe"],
            Self::Tiff => &["tif", "tiff"],
            Self::Wav => &["wav", "wave"],
            Self::Flac => &["flac"],
            Self::Mp3 => &["mp3"],
            Self::Ogg => &["ogg", "oga", "opus", "spx"],
            Self::M4a => &["m4a", "m4b", "mp4"],
            Self::Pdf => &["pdf"],
            Self::Text => &["txt", "text", "md", "csv"],
        }
    }

    /// The other kind that a file's name says it were, which is worth telling and no error: the content decides.
    #[must_use]
    pub fn extension_differs(self, name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        let said = Self::ALL.into_iter().find(|kind| {
            kind.extensions()
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        })?;
        (said != self).then_some(said)
    }

    /// Whether it is a picture, or several.
    #[must_use]
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Dicom | Self::Png | Self::Jpeg | Self::Tiff)
    }

    /// Whether it is sound.
    #[must_use]
    pub fn is_audio(self) -> bool {
        matches!(
            self,
            Self::Wav | Self::Flac | Self::Mp3 | Self::Ogg | Self::M4a
        )
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
