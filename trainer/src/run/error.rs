//! Why a run stopped.

use super::folder::FolderError;
use crate::backend::{BackendError, DeviceError};
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::data::DataError;
use crate::evaluate::EvaluateError;
use crate::export::ExportError;
use crate::network::NetworkError;
use crate::parallel::ShareError;
use crate::teacher::TeacherError;
use thiserror::Error;

/// Why a run stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The layers.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The backend.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The run's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The workers' parts of a step.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The export.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The exported model.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The network whose answers are to be learned.
    #[error(transparent)]
    Teacher(#[from] Box<TeacherError>),
    /// Weights of classes, which no kernel of a card takes.
    #[error("classes cannot be weighed on a card yet; use --device cpu, or leave class-weights out")]
    ClassWeightsOnCard,
    /// The loss is not a number any more.
    #[error("the loss is no longer finite at step {step}; lower the learning rate or use the rule flip-correlation")]
    Diverged {
        /// The step.
        step: u64,
    },
}
