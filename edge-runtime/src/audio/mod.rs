//! Sound becomes features: from 16-bit samples to the logarithms of the energies of mel bands, in integers.
//!
//! [`AudioFrontEnd`] is what a keyword spotter has in front of its network. The trainer computes a recording's features by
//! this very code, so that a device sees what the network was trained on, bit for bit. `docs/audio.md` defines every step;
//! the way of a frame is the order of these files:
//!
//! 1. `window`: the last samples under a raised cosine, normalised to the 16 bits that the transform takes;
//! 2. `transform`: the Fourier transform of half as many complex numbers;
//! 3. `spectrum`: the powers of the samples' own transform;
//! 4. `mel`: the energies of bands, and their logarithms.
//!
//! There is no float, and a hop takes no division. Products fit 32 bits, so that a core whose multiplier gives no more needs
//! one instruction for each.

mod config;
mod error;
mod front_end;
mod log2;
mod mel;
mod quantize;
#[cfg(test)]
#[path = "../../tests/audio_definitions/sine.rs"]
mod sine;
mod spectrum;
mod transform;
mod twiddles;
mod window;

pub use config::AudioConfig;
pub use error::AudioError;
pub use front_end::AudioFrontEnd;
#[cfg(feature = "std")]
pub use front_end::features;
pub use quantize::quantize;
