//! What can go wrong with a model, its weights, or the images that it is trained on.

use std::path::PathBuf;

/// Why a model could not be read, used or trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file or folder could not be read or written.
    #[error("{} could not be used", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no model of this name.
    #[error("there is no model {name:?} here; known: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are, separated by commas.
        known: String,
    },
    /// A manifest that is not one, or that this version does not read.
    #[error("the manifest cannot be used: {0}")]
    Manifest(String),
    /// The weights are not those that the manifest names.
    #[error(
        "the weights' BLAKE3 is {found}, but the manifest names {expected}: the file was changed or damaged; \
         put the original back, or train again"
    )]
    HashMismatch {
        /// The hash in the manifest, in hex.
        expected: String,
        /// The hash of the bytes that were read, in hex.
        found: String,
    },
    /// Weights that cannot be those of this network.
    #[error("the weights cannot be used: {0}")]
    Weights(String),
    /// Images for training or evaluation that cannot be used.
    #[error("the images cannot be used: {0}")]
    Dataset(String),
    /// Settings that contradict each other or the images.
    #[error("the settings cannot be used: {0}")]
    Settings(String),
    /// A picture that the classifier cannot take.
    #[error("the picture cannot be used: {0}")]
    Picture(String),
    /// An operation on tensors failed: a defect, or too little memory.
    #[error("an operation on tensors failed")]
    Tensor(#[from] candle_core::Error),
    /// The observer asked to stop; what was finished is kept, and the next run goes on from there.
    #[error("stopped on request; the same command goes on from the last checkpoint")]
    Stopped,
}

impl ModelError {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> ModelError {
        let path = path.into();
        move |source| ModelError::File { path, source }
    }
}
