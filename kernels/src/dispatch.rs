//! Where instruction sets plug in: a table of functions, chosen once when an engine is made.
//!
//! A new instruction set is one file with functions of these signatures, one [`Kernels`] table, and its place in
//! [`available`], best first.

#[cfg(feature = "embedding")]
use crate::embedding::{Embedding, OutsideTable};

/// One implementation of every operator.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Kernels {
    /// Name of the instruction set, as reports and the command line use it.
    pub name: &'static str,
    /// See [`crate::linear::linear_i8`].
    #[cfg(feature = "linear")]
    pub linear_i8: fn(&crate::linear::LinearI8<'_>, &[i8], &mut [i8]),
    /// See [`crate::linear::linear_i32`].
    #[cfg(feature = "linear")]
    pub linear_i32: fn(&crate::linear::LinearI32<'_>, &[i8], &mut [i32]),
    /// See [`crate::shift_norm::shift_norm`].
    #[cfg(feature = "shift-norm")]
    pub shift_norm: fn(&[i32], usize, bool, &mut [i8]),
    /// See [`crate::requantize::requantize`].
    #[cfg(feature = "requantize")]
    pub requantize: fn(&[i32], i32, bool, &mut [i8]),
    /// See [`crate::relu::relu`].
    #[cfg(feature = "relu")]
    pub relu: fn(&[i8], &mut [i8]),
    /// See [`crate::add::add`].
    #[cfg(feature = "add")]
    pub add: fn(&[i8], &[i8], crate::add::Alignment, bool, &mut [i8]),
    /// See [`crate::argmax::argmax_batch`].
    #[cfg(feature = "argmax")]
    pub argmax_i8: fn(&[i8], usize, &mut [i32]),
    /// See [`crate::argmax::argmax_batch`].
    #[cfg(feature = "argmax")]
    pub argmax_i32: fn(&[i32], usize, &mut [i32]),
    /// See [`crate::rms_norm::rms_norm`].
    #[cfg(feature = "rms-norm")]
    pub rms_norm: fn(&[i32], usize, i32, bool, &mut [i8]),
    /// See [`crate::embedding::embedding_i8`].
    #[cfg(feature = "embedding")]
    pub embedding_i8: fn(&Embedding<'_>, crate::Values<'_>, &mut [i8]) -> Result<(), OutsideTable>,
    /// See [`crate::embedding::embedding_i32`].
    #[cfg(feature = "embedding")]
    pub embedding_i32: fn(&Embedding<'_>, crate::Values<'_>, &mut [i32]) -> Result<(), OutsideTable>,
    /// See [`crate::softmax::softmax_i8`].
    #[cfg(feature = "softmax")]
    pub softmax_i8: fn(crate::Values<'_>, usize, crate::softmax::Exponents, &mut [i8]),
    /// See [`crate::softmax::softmax_i32`].
    #[cfg(feature = "softmax")]
    pub softmax_i32: fn(crate::Values<'_>, usize, crate::softmax::Exponents, &mut [i32]),
}

/// The definitions.
pub static SCALAR: Kernels = Kernels {
    name: "scalar",
    #[cfg(feature = "linear")]
    linear_i8: crate::linear::linear_i8,
    #[cfg(feature = "linear")]
    linear_i32: crate::linear::linear_i32,
    #[cfg(feature = "shift-norm")]
    shift_norm: crate::shift_norm::shift_norm,
    #[cfg(feature = "requantize")]
    requantize: crate::requantize::requantize,
    #[cfg(feature = "relu")]
    relu: crate::relu::relu,
    #[cfg(feature = "add")]
    add: crate::add::add,
    #[cfg(feature = "argmax")]
    argmax_i8: crate::argmax::argmax_batch,
    #[cfg(feature = "argmax")]
    argmax_i32: crate::argmax::argmax_batch,
    #[cfg(feature = "rms-norm")]
    rms_norm: crate::rms_norm::rms_norm,
    #[cfg(feature = "embedding")]
    embedding_i8: crate::embedding::embedding_i8,
    #[cfg(feature = "embedding")]
    embedding_i32: crate::embedding::embedding_i32,
    #[cfg(feature = "softmax")]
    softmax_i8: crate::softmax::softmax_i8,
    #[cfg(feature = "softmax")]
    softmax_i32: crate::softmax::softmax_i32,
};

/// The tables that this machine can run, best first; the last one is [`SCALAR`].
pub fn available() -> impl Iterator<Item = &'static Kernels> {
    core::iter::once(&SCALAR)
}

/// The best table that this machine can run.
pub fn best() -> &'static Kernels {
    available().next().unwrap_or(&SCALAR)
}

/// The table of this name, if this machine can run it.
pub fn by_name(name: &str) -> Option<&'static Kernels> {
    available().find(|kernels| kernels.name == name)
}
