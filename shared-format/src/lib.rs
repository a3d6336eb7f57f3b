//! The trishift file: ternary weights, their power-of-two exponents, the graph that uses them.
//!
//! A network's weights are W = T·2^E: trits T ∈ {−1, 0, 1}, five to a byte, and one int8 exponent E per group of
//! neighbouring columns of a row. This crate says how such a network lies in a file, checks a file once, and then
//! reads it in place: no copy, no heap, no panic. `docs/format.md` describes the bytes for readers in other languages.
//!
//! - [`Model::parse`] checks everything there is to check; after it, accessors cannot fail.
//! - [`Checkpoint::parse`] does the same for the training state, a second kind of file in the same container.
//! - With the feature `alloc`, [`mod@write`] makes both.
//!
//! The crate knows nothing of arithmetic beyond [`bound`], the proof that a row cannot overflow int32.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod bound;
pub mod checkpoint;
mod checksum;
pub mod container;
mod error;
mod exponents;
mod fields;
mod group;
mod int8_matrix;
mod layout;
mod matrix;
mod model;
mod operands;
mod operator;
mod plan;
mod scaling;
#[cfg(feature = "std")]
mod screen;
pub mod sentence;
mod tensor;
pub mod trits;
mod window;
#[cfg(feature = "alloc")]
pub mod write;

pub use checkpoint::Checkpoint;
pub use error::{MatrixFault, ParseError, PlanFault};
pub use exponents::ExponentEncoding;
pub use group::{GroupSize, UnknownGroupSize};
pub use int8_matrix::{Int8Matrix, Int8Record, Int8Row};
pub use layout::Layout;
pub use matrix::{Bias, Block, Blocks, Group, MatrixRecord, Row, TernaryMatrix};
pub use model::{Labels, Model, Operators, Properties};
pub use operator::{
    Add, ArgMax, Concat, Conv2d, Embedding, Linear, Operator, OperatorKind, Pad, Pool2d, Relu, Requantize, Reshape,
    RmsNorm, ShiftNorm, Slide, Softmax,
};
pub use scaling::InputScale;
pub use tensor::{DataType, Tensor, TensorClass};
pub use window::Window;
