//! What can go wrong with a primitive on a card.

use crate::backend::cuda::CudaError;
use crate::ternary::TernaryError;
use thiserror::Error;

/// Why a primitive was not computed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PrimitiveError {
    /// The card. What it was to change may be half changed.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// An argument that cannot be used; everything is as it was before the call.
    #[error(transparent)]
    Ternary(#[from] TernaryError),
}
