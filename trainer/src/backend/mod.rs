//! The seam between what is trained and what computes it.
//!
//! A [`Backend`] owns everything a step touches: the samples, the order of an epoch, the state of every layer. The loop
//! above it only says "go on to step n" and, rarely, asks for totals, state or logits; a backend on another device may
//! run far behind these calls and synchronise only when one of the asking ones comes. Nothing here passes a layer's
//! activations or gradients through the host.

pub mod cpu;

use crate::checkpoint::{CheckpointError, Totals};
use crate::rule::LayerState;
use thiserror::Error;

/// Where a run computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The best there is.
    #[default]
    Auto,
    /// All cores of this machine.
    Cpu,
    /// A CUDA card.
    Cuda,
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not a device.
    #[error("there is no device {name:?}; the devices are auto, cpu, cuda")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// No CUDA.
    #[error("this trishift trains on the CPU only and cannot use a CUDA card; use --device cpu or --device auto")]
    NoCuda,
}

impl std::str::FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            _ => Err(DeviceError::Unknown { name: name.into() }),
        }
    }
}

impl Device {
    /// The device that will be used, by name.
    ///
    /// # Errors
    /// [`DeviceError::NoCuda`] where a card is asked for and none can be used.
    pub fn resolve(self) -> Result<&'static str, DeviceError> {
        match self {
            Self::Auto | Self::Cpu => Ok("cpu"),
            Self::Cuda => Err(DeviceError::NoCuda),
        }
    }
}

/// A range of updates with their schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Number of the first update.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Position of the first batch in the epoch's order, in batches.
    pub first_batch: u64,
    /// Updates of the whole run.
    pub total: u64,
}

/// Trains a network on one device.
pub trait Backend {
    /// Sets the order of the samples for the epoch: numbers of training samples, batch after batch.
    fn set_order(&mut self, order: Vec<u32>);

    /// Does updates. May return before they are done.
    fn train(&mut self, steps: Steps);

    /// Waits, then returns the sums over the samples trained on since the last call.
    fn take_totals(&mut self) -> Totals;

    /// Waits, then gives the state of every layer.
    fn layers(&mut self) -> &[Box<dyn LayerState>];

    /// Logits of `samples` (int8, [n, inputs]) by the training forward pass, [n, outputs], in output steps.
    fn logits(&mut self, samples: &[i8]) -> Vec<f32>;

    /// Takes every layer's state from a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] where the checkpoint is of another network.
    fn load(&mut self, reader: &crate::checkpoint::StateReader<'_>) -> Result<(), CheckpointError>;
}
