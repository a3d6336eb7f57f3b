//! From a microphone to a light: samples come as bytes, become features, go through a model that streams, and what the
//! detector finds is shown and logged.
//!
//! A microphone is whatever implements [`embedded_io::Read`] and gives samples of 16 bits, little-endian, one channel, at the
//! model's rate: a driver of an ADC, of I²S or of PDM, a serial line, a file. The same code runs on every board, on the
//! host, and in QEMU on recordings. [`Spotter::step`] takes one hop of samples.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod listen;
mod queue;
mod spotter;

pub use listen::{Hardware, listen};
pub use queue::{QueueMicrophone, SampleQueue, Sampler, SamplesLost};
pub use spotter::{Found, Memory, SpotError, Spotter, SpotterMemory};
