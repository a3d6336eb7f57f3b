//! Integer arithmetic of ternary networks.
//!
//! Every operator has its place in one file, and the scalar function there is the operator's *definition*, written for
//! reading: additions and shifts, but for RMS norm and softmax, which multiply each element and divide once a sample, and
//! for layers with int8 weights. An implementation for an instruction set is another function of the same signature that
//! gives the same integers, bit for bit, for every input; it joins by an entry in a [`Kernels`] table, and the tests hold
//! it against the scalar one.
//!
//! The crate trusts [`trishift_format::Model::parse`]: a matrix from a parsed model cannot overflow int32, so hot loops
//! carry no checks. Slices of the wrong length give a shorter result, never a panic.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "add")]
pub mod add;
#[cfg(feature = "argmax")]
pub mod argmax;
#[cfg(any(
    feature = "conv2d",
    feature = "depthwise-conv2d",
    feature = "int8-conv2d",
    feature = "int8-depthwise-conv2d"
))]
pub mod conv2d;
#[cfg(feature = "cuda")]
pub mod cuda;
mod dispatch;
#[cfg(feature = "embedding")]
pub mod embedding;
pub mod geometry;
#[cfg(feature = "int8-linear")]
pub mod int8_linear;
#[cfg(feature = "linear")]
pub mod linear;
#[cfg(any(feature = "max-pool", feature = "avg-pool"))]
pub mod pool;
#[cfg(any(feature = "concat", feature = "pad", feature = "slide"))]
pub mod rearrange;
#[cfg(feature = "relu")]
pub mod relu;
pub mod requantize;
#[cfg(feature = "rms-norm")]
pub mod rms_norm;
#[cfg(feature = "shift-norm")]
pub mod shift_norm;
#[cfg(not(all(small_core, feature = "linear")))]
pub mod simd;
#[cfg(feature = "linear")]
mod small_core;
#[cfg(feature = "softmax")]
pub mod softmax;
mod values;

#[cfg(feature = "conv2d")]
pub use dispatch::ConvolutionWay;
#[cfg(feature = "linear")]
pub use dispatch::PORTABLE;
pub use dispatch::{Kernels, SCALAR, SCRATCH, Scratch, available, best, by_name};
#[cfg(feature = "std")]
pub use dispatch::{Unavailable, VARIABLE, from_environment, select};
#[cfg(any(
    feature = "conv2d",
    feature = "depthwise-conv2d",
    feature = "int8-linear",
    feature = "int8-conv2d",
    feature = "int8-depthwise-conv2d",
    feature = "embedding",
    feature = "softmax"
))]
pub use values::Outputs;
pub use values::Values;
