//! What can be wrong with a configuration, and with the slices that a caller hands over.

use thiserror::Error;

/// Why a configuration, a memory or a slice was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AudioError {
    /// Some of the properties are there, but not this one.
    #[error("the model's properties describe an audio front end without \"{key}\"; write all six of them, or none")]
    PropertyMissing {
        /// The property's key.
        key: &'static str,
    },
    /// A value that is not a number of its range.
    #[error("the model's property \"{key}\" is not a decimal number from 0 to {largest}")]
    PropertyValue {
        /// The property's key.
        key: &'static str,
        /// The largest number that its field holds.
        largest: u32,
    },
    /// A property of an audio front end that this version does not know, and so cannot follow.
    #[error("property {index} of the model begins with \"audio-\" and is unknown; this version knows {known}", known = super::config::KNOWN)]
    PropertyUnknown {
        /// Its position among the model's properties, from 0.
        index: usize,
    },
    /// The sample rate is out of range.
    #[error("the sample rate is {found} Hz; it must be 8000 to 16000")]
    SampleRate {
        /// Samples a second.
        found: u32,
    },
    /// The window is out of range.
    #[error("the window has {found} samples; it must have 33 to 1024")]
    Window {
        /// Samples.
        found: u16,
    },
    /// The hop is out of range.
    #[error("the hop has {found} samples; it must have 1 to the window's {window}")]
    Hop {
        /// Samples.
        found: u16,
        /// Samples of the window.
        window: u16,
    },
    /// The number of bands is out of range.
    #[error("there are {found} bands; there must be 10 to 40")]
    Bands {
        /// Bands.
        found: u8,
    },
    /// The frequencies are out of order.
    #[error("the bands span {low} to {high} Hz; low must be below high, and high at most half of the {sample_rate} Hz")]
    Frequencies {
        /// Lowest frequency, in Hz.
        low: u16,
        /// Highest frequency, in Hz.
        high: u16,
        /// Samples a second.
        sample_rate: u32,
    },
    /// A band so narrow that it lies between two bins of the transform.
    #[error("band {band} of {bands} has no bin of the transform; take fewer bands or a longer window")]
    EmptyBand {
        /// The first such band, from 0.
        band: u8,
        /// All bands.
        bands: u8,
    },
    /// The memory is too small.
    #[error("the memory holds {found} words, this configuration needs {needed}; `AudioFrontEnd::memory_len` says so")]
    MemoryLength {
        /// Words of 32 bits given.
        found: usize,
        /// Words needed.
        needed: usize,
    },
    /// Not one hop of samples.
    #[error("there are {found} samples; a hop has {needed}")]
    SamplesLength {
        /// Samples given.
        found: usize,
        /// Samples needed.
        needed: usize,
    },
    /// Not one feature for each band, or not one value of a row for each feature.
    #[error("the slice to be filled has {found} elements; it must have {needed}, one for each band")]
    FeaturesLength {
        /// Elements given.
        found: usize,
        /// Elements needed.
        needed: usize,
    },
    /// A frame behind the last one of the model's input.
    #[error("frame {frame} of {bands} bands is not part of the model's input of {inputs} elements")]
    FrameOutside {
        /// The frame, from 0.
        frame: usize,
        /// Bands of a frame.
        bands: usize,
        /// Elements of the model's input.
        inputs: usize,
    },
}
