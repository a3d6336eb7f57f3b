//! From samples to features: the front end of the runtime, for windows of one length.
//!
//! It is the very code that runs on a device, so that a network is trained on what it will be given.

use super::super::DataError;
use trishift::audio::{AudioConfig, AudioError, features};

/// A front end's configuration, and how many of its frames make a sample of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontEnd {
    /// What frames are, and what becomes of them.
    pub config: AudioConfig,
    /// Frames of a sample, at least 1.
    pub frames: u32,
}

impl FrontEnd {
    /// A front end whose `frames` frames make a sample.
    ///
    /// # Errors
    /// [`DataError::FrontEnd`] for a configuration that is out of range.
    pub fn new(config: AudioConfig, frames: u32) -> Result<Self, DataError> {
        config.validate().map_err(|source| DataError::FrontEnd { source })?;
        Ok(Self { config, frames })
    }

    /// Samples of sound that make one sample of the network: a hop for each frame. The first frames see zeros before them,
    /// as they do on a device that has heard nothing yet.
    pub fn samples(&self) -> usize {
        (self.frames as usize).saturating_mul(self.config.hop.into())
    }

    /// Height, width and channels of a sample: frames, 1, bands.
    pub fn shape(&self) -> [usize; 3] {
        [self.frames as usize, 1, self.config.bands.into()]
    }

    /// The features of [`FrontEnd::samples`] samples, frame after frame.
    ///
    /// # Errors
    /// [`DataError::FrontEnd`] for a configuration that is out of range.
    pub(super) fn features(&self, samples: &[i16]) -> Result<Vec<u16>, DataError> {
        let refused = |source: AudioError| DataError::FrontEnd { source };
        features(samples, self.config).map_err(refused)
    }
}
