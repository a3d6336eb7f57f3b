//! Integer arithmetic of ternary networks.
//!
//! Every operator has one file, and the scalar function in it is the operator's *definition*: additions and shifts,
//! written for reading. An implementation for an instruction set is another function of the same signature that gives
//! the same integers, bit for bit, for every input; it joins by an entry in a [`Kernels`] table, and the tests hold it
//! against the scalar one.
//!
//! The crate trusts [`trishift_format::Model::parse`]: a matrix from a parsed model cannot overflow int32, so hot loops
//! carry no checks. Slices of the wrong length give a shorter result, never a panic.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "add")]
pub mod add;
#[cfg(feature = "argmax")]
pub mod argmax;
mod dispatch;
#[cfg(feature = "linear")]
pub mod linear;
#[cfg(feature = "relu")]
pub mod relu;
pub mod requantize;
#[cfg(feature = "shift-norm")]
pub mod shift_norm;

pub use dispatch::{Kernels, SCALAR, available, best, by_name};
