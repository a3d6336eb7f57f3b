//! The front end: takes a hop of samples at a time, gives the features of the frame that ends there.

use super::mel::{self, FilterBank};
use super::{AudioConfig, AudioError, spectrum, transform, window};

/// Computes features of sound, hop by hop, in memory that the caller lends it.
///
/// ```
/// use trishift::audio::{AudioConfig, AudioFrontEnd};
/// # fn main() -> Result<(), trishift::audio::AudioError> {
/// const CONFIG: AudioConfig =
///     AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 32, low: 60, high: 3800 };
/// let mut memory = [0; AudioFrontEnd::memory_len(&CONFIG)]; // firmware: a `StaticCell`
/// let mut front_end = AudioFrontEnd::new(CONFIG, &mut memory)?;
/// let samples = [0i16; CONFIG.hop as usize]; // from a microphone
/// let mut features = [0u16; CONFIG.bands as usize];
/// front_end.hop(&samples, &mut features)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AudioFrontEnd<'m> {
    config: AudioConfig,
    /// The frame, its transform, its powers: N/2 words.
    spectrum: &'m mut [u32],
    /// The samples of the next frame that are here already.
    history: &'m mut [i16],
    window: &'m [i16],
    bank: FilterBank<'m>,
}

impl<'m> AudioFrontEnd<'m> {
    /// Words of memory that a front end needs: N/2 for the transform, the window and what of it is history in half words,
    /// a weight for each bin between `low` and `high` and a count for each band and one more in half words.
    pub const fn memory_len(config: &AudioConfig) -> usize {
        let [spectrum, samples, bank] = Self::layout(config);
        spectrum + samples + bank
    }

    /// Words for the transform, for history and window, for the filter bank.
    const fn layout(config: &AudioConfig) -> [usize; 3] {
        let bins = mel::range(config);
        let history = config.window.saturating_sub(config.hop) as usize;
        let samples = history + config.window as usize;
        [
            config.transform_len() / 2,
            samples.div_ceil(2),
            (bins.end - bins.start + config.bands as usize + 1).div_ceil(2),
        ]
    }

    /// A front end that has heard nothing yet. What the memory holds does not matter; of a longer one the rest is unused.
    ///
    /// # Errors
    /// [`AudioError`] for a configuration that [`AudioConfig::validate`] refuses, and for too little memory.
    pub fn new(config: AudioConfig, memory: &'m mut [u32]) -> Result<Self, AudioError> {
        config.check_ranges()?;
        let error = AudioError::MemoryLength { found: memory.len(), needed: Self::memory_len(&config) };
        let [spectrum, samples, bank] = Self::layout(&config);
        let (spectrum, rest) = memory.split_at_mut_checked(spectrum).ok_or(error)?;
        let (samples, rest) = rest.split_at_mut_checked(samples).ok_or(error)?;
        let bank = halves::<u16>(rest.get_mut(..bank).ok_or(error)?);
        let history = usize::from(config.window - config.hop);
        let (history, window) = halves::<i16>(samples).split_at_mut_checked(history).ok_or(error)?;
        let window = window.get_mut(..config.window.into()).ok_or(error)?;
        let (weights, counts) = bank.split_at_mut_checked(mel::range(&config).len()).ok_or(error)?;
        let counts = counts.get_mut(..=config.bands.into()).ok_or(error)?;
        history.fill(0);
        window::fill(window);
        let bank = FilterBank::new(&config, weights, counts)?;
        Ok(Self { config, spectrum, history, window, bank })
    }

    /// What it was made of.
    pub const fn config(&self) -> &AudioConfig {
        &self.config
    }

    /// Forgets all samples: the next frame begins with zeros.
    pub fn reset(&mut self) {
        self.history.fill(0);
    }

    /// Takes the next `hop` samples, and gives the `bands` features of the frame whose last samples they are.
    ///
    /// A feature is 32·log₂ of a band's energy, rounded; 0 is silence and all that is weaker than a tone of 1/64 of a
    /// sample's unit. A tone of full scale is 1344.
    ///
    /// # Errors
    /// [`AudioError`] where a slice has another length; nothing is taken then.
    pub fn hop(&mut self, samples: &[i16], features: &mut [u16]) -> Result<(), AudioError> {
        let [hop, bands] = [self.config.hop.into(), self.config.bands.into()];
        if samples.len() != hop {
            return Err(AudioError::SamplesLength { found: samples.len(), needed: hop });
        }
        if features.len() != bands {
            return Err(AudioError::FeaturesLength { found: features.len(), needed: bands });
        }
        let (old, new) = self.window.split_at_checked(self.history.len()).unwrap_or_default();
        let parts = [(&*self.history, old), (samples, new)];
        let exponent = window::apply(parts, halves(self.spectrum)) + transform::transform(self.spectrum);
        spectrum::powers(self.spectrum);
        self.bank.features(self.spectrum, exponent, features);
        self.remember(samples);
        Ok(())
    }

    /// Keeps the last samples of history and `samples` as the history of the next frame.
    fn remember(&mut self, samples: &[i16]) {
        let cells = core::cell::Cell::from_mut(&mut *self.history).as_slice_of_cells();
        let kept = cells.len().saturating_sub(samples.len());
        for (cell, later) in cells.iter().zip(cells.iter().skip(samples.len())) {
            cell.set(later.get());
        }
        let new = cells.iter().skip(kept);
        let skipped = samples.len() - new.len();
        for (cell, sample) in new.zip(samples.iter().skip(skipped)) {
            cell.set(*sample);
        }
    }
}

/// Words as what they are made of.
fn halves<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(words: &mut [u32]) -> &mut [T] {
    // Nothing here is larger than a word, or wants to be aligned more.
    bytemuck::try_cast_slice_mut(words).unwrap_or_default()
}

/// The features of a whole recording, [frames, bands]: what [`AudioFrontEnd::hop`] gives for one hop after the other. Samples
/// behind the last whole hop are dropped.
///
/// # Errors
/// [`AudioError`] for a configuration that [`AudioConfig::validate`] refuses.
#[cfg(feature = "std")]
pub fn features(samples: &[i16], config: AudioConfig) -> Result<std::vec::Vec<u16>, AudioError> {
    config.check_ranges()?;
    let mut memory = std::vec![0; AudioFrontEnd::memory_len(&config)];
    let mut front_end = AudioFrontEnd::new(config, &mut memory)?;
    let [hop, bands] = [config.hop.into(), config.bands.into()];
    let mut features = std::vec![0; samples.len() / hop * bands];
    for (samples, features) in samples.chunks_exact(hop).zip(features.chunks_exact_mut(bands)) {
        front_end.hop(samples, features)?;
    }
    Ok(features)
}
