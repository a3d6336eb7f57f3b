//! The primitives of ternary training on the CPU: what every update rule and every backend is held against.
//!
//! A ternary matrix has N rows (outputs) and K columns (inputs); G neighbouring columns of a row share an exponent, so
//! a row has R = ⌈K/G⌉ groups, the last of which may be short. Its weights are `W = T·2^e`, with trits T in {−1, 0, 1}
//! and `e = E + corr/max(step·G, 1)·S`. Everything that lasts is an integer ([`TernaryState`]); floats exist only while
//! a step is computed.
//!
//! - [`shape`], [`state`], [`initial`], [`weights`], [`regroup`]: the state, where it comes from, what it means.
//! - [`votes`]: what a batch says about every weight, whole or in panels; [`components`]: how often it counts.
//! - `update`: what the votes do to the state. Every update takes any [`VoteSource`]: a matrix of votes, or the
//!   gradients and inputs of which it makes them without ever holding them all. Both leave the same state.
//! - [`linear`], [`embedding`], [`rms_norm`]: the layers.
//!
//! Integer results are exact and do not depend on the number of threads. Integers that reach the end of their type stay
//! there; nothing wraps and nothing panics.

pub mod components;
pub mod embedding;
mod error;
pub mod initial;
pub mod linear;
#[cfg(test)]
mod naive;
pub mod regroup;
pub mod rms_norm;
pub mod shape;
pub mod state;
mod update;
pub mod votes;
pub mod weights;

use serde::{Deserialize, Serialize};

pub use components::{Component, DeferredVotes};
pub use embedding::Embedding;
pub use error::TernaryError;
pub use linear::Linear;
pub use rms_norm::RmsNorm;
pub use shape::Shape;
pub use state::TernaryState;
pub use update::FlipThreshold;
pub use votes::{VoteSource, Votes};
pub use weights::Element;

/// The correlation strength S unless another is given.
pub const DEFAULT_STRENGTH: f64 = 4.0;

/// How exponents are made from real numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// True means, rounded to nearest; regrouping keeps the weights.
    #[default]
    Standard,
    /// As the first implementation of the algorithm did, integer for integer: a short last group counts as full,
    /// logarithms are truncated, regrouping forgets magnitudes. For comparison with recorded results.
    Compatible,
}
