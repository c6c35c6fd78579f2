//! x
mod error;
pub mod imaging;
pub mod weights;
pub use error::ModelError;
