//! Writing files (feature `alloc`): [`ModelWriter`] and [`CheckpointWriter`].
//!
//! A writer returns bytes that the matching parser has already accepted; what is written can be read.

mod checkpoint;
mod container;
mod model;

pub use checkpoint::{CheckpointWriter, StateValues};
pub use model::{MatrixValues, ModelWriter, Region};

use crate::ParseError;
use thiserror::Error;

/// Why something could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file breaks a rule of the format.
    #[error("the file would not be valid: {0}")]
    Invalid(#[from] ParseError),
    /// The numbers of trits or exponents do not match rows, columns and group size.
    #[error("{what}: {found} values where {expected} are needed")]
    Count {
        /// Which values.
        what: &'static str,
        /// Values given.
        found: usize,
        /// Values needed.
        expected: usize,
    },
    /// More than a section may hold (4 GiB of weights, or what memory can address).
    #[error("the file would be larger than the format allows")]
    TooLarge,
    /// A record could not be encoded.
    #[error("a record could not be encoded")]
    Encoding,
}

impl From<postcard::Error> for WriteError {
    fn from(_: postcard::Error) -> Self {
        Self::Encoding
    }
}
