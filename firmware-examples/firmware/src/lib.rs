//! What every firmware here does alike, on any board: refuses a model by a code, finds a class, blinks a number.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod active_low;
mod blink;
mod classifier;
mod demonstration;
mod refusal;
#[cfg(test)]
#[path = "../../../shared-format/tests/support/seal.rs"]
#[allow(dead_code, reason = "lengths stay as they are here")]
mod seal;

pub use active_low::ActiveLow;
pub use blink::blink;
pub use classifier::Classifier;
pub use demonstration::demonstrate;
pub use refusal::Refusal;
