//! From an accelerometer to a light: samples into a ring buffer, overlapping windows, quantised input, the engine, a
//! decision that one odd window does not change, a pin and a duty cycle that show it.
//!
//! Generic over embedded-hal 1.0: the same code runs on every board, on the host against mocks, and in QEMU against
//! recordings. [`Application::step`] takes one sample at most and never waits.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod accelerometer;
mod application;
mod debounce;
mod indicator;
mod watch;
mod windows;

pub use accelerometer::{Accelerometer, AccelerometerError};
pub use application::{Application, SensorError, Step};
pub use debounce::Debounce;
pub use indicator::{Indicator, NoDimmer};
pub use watch::{Hardware, watch};
pub use windows::Windows;

/// Axes of the sensor.
pub const AXES: usize = 3;
/// Samples of a window: a quarter of a second at 100 Hz.
pub const WINDOW: usize = 25;
/// Samples between the starts of two windows: each sample is in two or three of them.
pub const STEP: usize = 10;
/// Values of a window, the input of the model.
pub const INPUTS: usize = WINDOW * AXES;
/// Kinds of motion, the outputs of the model.
pub const CLASSES: usize = 3;
/// Windows that must agree before a decision changes.
pub const AGREEING: u8 = 3;
