//! What every firmware here does alike, on any board: refuses a model by a code, blinks a number.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod blink;
mod refusal;

pub use blink::blink;
pub use refusal::Refusal;
