//! Files of a record: images, scans, recordings, reports.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::picture::PictureView;

/// A file that belongs to a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// Id within the record.
    pub id: String,
    /// File name; "" once it is erased.
    pub name: String,
    /// Media type, by the content; "" once it is erased.
    pub mime: String,
    /// Size as received, bytes.
    pub bytes: u64,
    /// SHA-256 of the file, hex; "" where nobody computed it.
    pub sha256: String,
    /// When it was added.
    pub added_ms: u64,
    /// Clinic that added it.
    pub clinic: String,
    /// Person who added it.
    pub actor: String,
    /// Whether the bytes are here.
    pub available: bool,
    /// Bytes of it that are here, sealed; rises while it is fetched.
    pub held: u64,
    /// Whether there is something to look at before the file is here.
    pub preview: bool,
    /// Tags of a DICOM file: `modality`, `rows`, `columns`, …; null for other files.
    pub dicom: Option<Map<String, Value>>,
    /// What else was read from the file when it was attached: `width`, `height`, `duration_ms`, …
    pub facts: Map<String, Value>,
    /// Id of the item of the record that it belongs to.
    pub about: Option<String>,
    /// Why it was erased, where it was.
    pub erased: Option<String>,
    /// Address of the sealed file, hex; "" for one that travels in the log.
    pub blob: String,
    /// Address of the sealed preview, hex, or "".
    pub preview_blob: String,
    /// The entry that attached it, hex.
    pub entry: String,
}

/// What became of one file that was to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedView {
    /// The file's name, without folders.
    pub file: String,
    /// The attachment; none where it could not be attached.
    pub attachment: Option<AttachmentView>,
    /// Why not.
    pub error: Option<ApiError>,
    /// False where the record had this file already.
    pub added: bool,
    /// What a person should know: tags that name somebody else, a name whose ending says another kind, and the like.
    pub warnings: Vec<String>,
}

/// What can be looked at of a file without another program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewView {
    /// A picture.
    Picture {
        /// The picture.
        picture: PictureView,
        /// Whether it was made from the file itself, rather than when it was attached.
        from_file: bool,
        /// Which frame it is, from 0, and of how many.
        frame: (u32, u32),
        /// The window of a DICOM picture, centre and width in units of its modality.
        window: Option<(f64, f64)>,
    },
    /// A recording.
    Waveform {
        /// Length, milliseconds.
        duration_ms: u64,
        /// Least and greatest sample of each part, -128 to 127.
        peaks: Vec<(i8, i8)>,
    },
    /// The beginning of a text.
    Text {
        /// The text. It came from elsewhere: escape it.
        text: String,
        /// Whether that is all of it.
        whole: bool,
    },
    /// Nothing can be shown; why.
    None(String),
}

/// A file that was written to disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchedView {
    /// The attachment.
    pub attachment: AttachmentView,
    /// Where it is, absolute.
    pub path: String,
    /// Sealed bytes that came from other clinics for it.
    pub received: u64,
    /// Seconds that took.
    pub seconds: f64,
}
