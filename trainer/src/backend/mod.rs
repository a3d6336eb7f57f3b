//! The seam between what is trained and what computes it.
//!
//! A [`Backend`] owns everything a step touches: the samples, the order of an epoch, the state of every layer. The loop
//! above it only says "go on to step n" and, rarely, asks for totals, state or logits; a backend on another device may
//! run far behind these calls and synchronise only when one of the asking ones comes. Nothing here passes a layer's
//! activations or gradients through the host.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;

pub use device::{Device, DeviceError, Resolved};

use crate::checkpoint::{CheckpointError, Totals};
use crate::parallel::ExchangeError;
use crate::rule::LayerState;
use thiserror::Error;

/// Why a backend could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A state that does not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The other workers of the run.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

#[cfg(feature = "cuda")]
impl From<cuda::CudaError> for BackendError {
    fn from(error: cuda::CudaError) -> Self {
        Self::Device(error.into())
    }
}

impl From<trishift_format::write::WriteError> for BackendError {
    fn from(error: trishift_format::write::WriteError) -> Self {
        Self::Checkpoint(error.into())
    }
}

/// Bytes on the device that computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// What lasts: the state of every layer.
    pub state: usize,
    /// What a step makes and drops for each weight.
    pub scratch: usize,
    /// What a step makes and drops for each sample.
    pub activations: usize,
}

/// A range of updates with their schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Number of the first update.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Position of the first batch in the epoch's order, in batches.
    pub first_batch: u64,
    /// Updates of the whole run.
    pub total: u64,
    /// Updates of it before λ falls.
    pub warm_up: u64,
    /// The epoch, from 0.
    pub epoch: u64,
}

/// Trains a network on one device.
///
/// Every call may fail for the device, with [`BackendError::Device`].
pub trait Backend {
    /// Sets the order of the samples for the epoch: numbers of training samples, batch after batch.
    ///
    /// # Errors
    /// [`BackendError`].
    fn set_order(&mut self, order: Vec<u32>) -> Result<(), BackendError>;

    /// Does updates. May return before they are done.
    ///
    /// # Errors
    /// [`BackendError`].
    fn train(&mut self, steps: Steps) -> Result<(), BackendError>;

    /// Waits, then returns the sums over the samples trained on since the last call.
    ///
    /// # Errors
    /// [`BackendError`].
    fn take_totals(&mut self) -> Result<Totals, BackendError>;

    /// Waits, then gives the state of every layer.
    ///
    /// # Errors
    /// [`BackendError`].
    fn layers(&mut self) -> Result<&[Box<dyn LayerState>], BackendError>;

    /// Logits of `samples` (int8, [n, inputs]) by the training forward pass, [n, outputs], in output steps.
    ///
    /// # Errors
    /// [`BackendError`].
    fn logits(&mut self, samples: &[i8]) -> Result<Vec<f32>, BackendError>;

    /// Takes every layer's state from a checkpoint.
    ///
    /// # Errors
    /// [`BackendError::Checkpoint`] where the checkpoint is of another network.
    fn load(&mut self, reader: &crate::checkpoint::StateReader<'_>) -> Result<(), BackendError>;

    /// Bytes on the device.
    fn memory(&self) -> MemoryUse;

    /// Bytes that a worker gives to the others in every step, statistics of norms and totals apart.
    fn exchanged(&self) -> usize {
        0
    }
}
