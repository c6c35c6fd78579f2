//! What can be wrong with weights or input.

/// Why a network could not be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A tensor that the architecture needs is not among the weights.
    #[error("the weights have no tensor {0}: this is not the file of this network")]
    Missing(String),
    /// A tensor has another shape than the architecture's.
    #[error(
        "tensor {name} is {found:?}, the network needs {wanted:?}: this is not the file of this network"
    )]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the architecture.
        wanted: Vec<usize>,
        /// Its shape in the weights.
        found: Vec<usize>,
    },
    /// A weight is infinite or not a number.
    #[error(
        "tensor {0} holds values that are infinite or not numbers: the file is damaged or training failed"
    )]
    NotFinite(String),
    /// A tensor could not be read as f32.
    #[error("tensor {name} could not be read as 32-bit floats")]
    Unreadable {
        /// The tensor's name.
        name: String,
        /// What candle says.
        source: candle_core::Error,
    },
    /// Blocks to tap that the network has not, or not in rising order.
    #[error("blocks {found:?} cannot be tapped: name some of 1 to {last} in rising order")]
    Taps {
        /// What was asked for.
        found: Vec<usize>,
        /// The network's last block.
        last: usize,
    },
    /// The input is not a whole number of images of the network's size.
    #[error("the input has {found} values, but an image has {image}")]
    InputSize {
        /// Values of the input.
        found: usize,
        /// Values of one image.
        image: usize,
    },
    /// The input is infinite or not a number somewhere.
    #[error("the input holds values that are infinite or not numbers")]
    InputNotFinite,
}

impl From<KernelError> for candle_core::Error {
    fn from(error: KernelError) -> Self {
        candle_core::Error::wrap(error)
    }
}
