//! What can go wrong, in the few kinds that a person or a script tells apart.

use serde::{Deserialize, Serialize};

/// The kind of a failure; it alone decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// It could not be done: a bad file, no space, no peer.
    Failed,
    /// The question itself was wrong.
    Usage,
    /// Locked, not permitted, bad signature, revoked, expired.
    Refused,
    /// No such patient, clinic, item or file.
    NotFound,
    /// Stored data is not what was written.
    Integrity,
}

impl ErrorKind {
    /// The process exit code of `docs/cli.md`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Integrity => 5,
        }
    }
}

/// A failure that a person can act on. Never holds a patient's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which kind of failure.
    pub kind: ErrorKind,
    /// What could not be done, which file or id, and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ApiError {
    /// A failure of a kind, without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The question was wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Not permitted.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Stored data is damaged.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Integrity, message)
    }
}
