//! A trained network whose answers another one learns: the run that trained it, on the same samples.
//!
//! It answers as its exported model would, to each batch as it is trained on, changed images included. Its state is the
//! checkpoint of its run; nothing of it is changed.

use crate::checkpoint::{self, CheckpointError, StateReader};
use crate::config::{Config, DistillationConfig};
use crate::data::Prepared;
use crate::network::{Network, NetworkError};
use crate::run::{FolderError, RunFolder};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A run whose network teaches.
#[derive(Debug)]
pub struct Teacher {
    /// The configuration that it was trained by.
    pub config: Config,
    /// Its layers.
    pub network: Network,
    /// Share of the loss that compares with it.
    pub share: f32,
    /// What both answers are divided by before they are compared.
    pub temperature: f32,
    checkpoint: Vec<u8>,
    path: PathBuf,
}

/// Why a run cannot teach.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// Its folder.
    #[error("no teacher")]
    Folder(#[from] FolderError),
    /// Its checkpoint.
    #[error("the teacher in {path} cannot be used", path = path.display())]
    Checkpoint {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: CheckpointError,
    },
    /// It learned from something else.
    #[error(
        "the teacher in {path} was trained on other samples; train it on the same data, split and scaled alike",
        path = path.display()
    )]
    OtherData {
        /// The folder.
        path: PathBuf,
    },
    /// Its layers.
    #[error("the teacher in {path} has no usable network", path = path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Box<NetworkError>,
    },
}

impl Teacher {
    /// The teacher that a configuration names, for these samples; `None` where it names none.
    ///
    /// # Errors
    /// [`TeacherError`].
    pub fn open(settings: &DistillationConfig, data: &Prepared) -> Result<Option<Self>, TeacherError> {
        let Some(path) = &settings.teacher else { return Ok(None) };
        let file = RunFolder::open(path)?.checkpoint();
        let unusable = |source| TeacherError::Checkpoint { path: path.clone(), source };
        let bytes = checkpoint::read(&file).map_err(unusable)?;
        let reader = StateReader::new(&bytes, &file).map_err(unusable)?;
        let config = reader.config().map_err(unusable)?;
        reader.progress(checkpoint::fingerprint(data)).map_err(|error| match error {
            CheckpointError::OtherData => TeacherError::OtherData { path: path.clone() },
            error => unusable(error),
        })?;
        let network = Network::resolve(&config, data.train.shape, data.classes.len())
            .map_err(|source| TeacherError::Network { path: path.clone(), source: source.into() })?;
        let (share, temperature) = (settings.share as f32, settings.temperature as f32);
        Ok(Some(Self { config, network, share, temperature, checkpoint: bytes, path: file }))
    }

    /// The state of its layers.
    ///
    /// # Errors
    /// [`CheckpointError::Parse`], which [`Teacher::open`] would have met.
    pub fn reader(&self) -> Result<StateReader<'_>, CheckpointError> {
        StateReader::new(&self.checkpoint, &self.path)
    }

    /// A number that tells this state from others.
    pub fn fingerprint(&self) -> i64 {
        checkpoint::hash(self.checkpoint.iter().map(|byte| u64::from(*byte)))
    }

    /// Its checkpoint.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
