//! Why a file is not attached, in words that say what to do.

use salus_imaging::ImageError;

use crate::MediaType;

/// What to do about most that is wrong with a file.
pub(crate) const COPY_AGAIN: &str = "copy it again from where it came from, or export it again";

/// Why a file is not attached. No text of the file is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// There is not a byte in it.
    #[error("the file is empty: copy it again from where it came from")]
    Empty,
    /// It is of none of the kinds.
    #[error(
        "not a kind of file that Salus attaches (the content decides, not the name): {}",
        kinds()
    )]
    UnknownKind,
    /// It is of a kind, and broken, a lie, or more than is read.
    #[error("the {media} file {reason}: {instead}")]
    Refused {
        /// What the file is, or means to be.
        media: MediaType,
        /// What is wrong with it, a verb first.
        reason: String,
        /// What to do about it.
        instead: String,
    },
    /// The process that looks into files was asked, or answered, in a way that is not known here.
    #[error(
        "the process that looks into files did not answer as it should: try again, and report it if it happens again"
    )]
    Job,
}

impl MediaError {
    /// What is wrong, without what to do.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Empty => "the file is empty".to_owned(),
            Self::UnknownKind => {
                "not a kind of file that Salus attaches (the content decides, not the name)"
                    .to_owned()
            }
            Self::Refused { media, reason, .. } => format!("the {media} file {reason}"),
            Self::Job => "the process that looks into files did not answer as it should".to_owned(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => COPY_AGAIN.to_owned(),
            Self::UnknownKind => format!("attached are {}", kinds()),
            Self::Refused { instead, .. } => instead.clone(),
            Self::Job => "try again, and report it if it happens again".to_owned(),
        }
    }

    pub(crate) fn refused(media: MediaType, reason: impl Into<String>, instead: &str) -> Self {
        Self::Refused {
            media,
            reason: reason.into(),
            instead: instead.to_owned(),
        }
    }

    /// Broken or cut off.
    pub(crate) fn damaged(media: MediaType, reason: &str) -> Self {
        Self::refused(
            media,
            format!("is damaged or cut off ({reason})"),
            COPY_AGAIN,
        )
    }

    pub(crate) fn of_image(media: MediaType, error: &ImageError) -> Self {
        match error {
            ImageError::Empty => Self::Empty,
            ImageError::Damaged { reason, .. } => Self::damaged(media, reason),
            ImageError::ZeroSize { width, height, .. } => Self::refused(
                media,
                format!("says that it has {width} x {height} pixels: there is nothing to see"),
                "export it again",
            ),
            ImageError::TooLarge {
                width,
                height,
                most,
                ..
            } => Self::refused(
                media,
                format!("says that it has {width} x {height} pixels; at most {most} are decoded"),
                "scale it down first, or export it in parts",
            ),
            ImageError::Inflates => Self::refused(
                media,
                format!(
                    "inflates to more than {} bytes",
                    salus_imaging::MAX_INFLATED_BYTES
                ),
                "export it uncompressed",
            ),
            ImageError::Unsupported { what, instead, .. } => Self::refused(
                media,
                format!("holds {what}, which is not read here"),
                instead,
            ),
            other => Self::refused(media, format!("is not read ({other})"), "export it again"),
        }
    }
}

/// All kinds in a sentence.
fn kinds() -> String {
    let names = MediaType::ALL.map(MediaType::name).join(", ");
    format!("{names}; text has to be UTF-8, or UTF-16 with a byte order mark")
}
