//! The primitives of ternary training on a card, in f32: what [`crate::ternary`] defines, for matrices of any shape.
//!
//! The training loop has forms of its own of what it needs (padded, bfloat16, cuBLASLt). Here is everything, in plain
//! layouts and one straightforward kernel each, so that the whole algorithm can be held against its definition on the
//! card too: integers are the CPU's, whatever the order in which threads run, and floats are within rounding.
//!
//! - [`state`], [`initial`], [`regroup`], [`weights`]: a matrix on the card ([`CardTernary`]), where it comes from, what it
//!   means.
//! - [`matrix`]: dense matrices on the card.
//! - [`votes`], [`update`]: updates by a matrix of votes, or straight from gradients and inputs without ever storing votes.
//! - [`linear`], [`embedding`], [`rms_norm`]: the layers.
//!
//! Whatever is wrong with arguments is found before anything is sent to the card.

pub mod embedding;
mod error;
pub mod initial;
pub mod linear;
pub mod matrix;
pub mod regroup;
pub mod rms_norm;
pub mod state;
pub mod update;
pub mod votes;
pub mod weights;

pub use embedding::CardEmbedding;
pub use error::PrimitiveError;
pub use linear::CardLinear;
pub use matrix::{CardMatrix, CardVoteMatrix};
pub use rms_norm::CardRmsNorm;
pub use state::CardTernary;
pub use votes::CardVotes;
pub use weights::CardWeights;

use super::CudaError;
use super::card::{Argument, Card, Grid, Kernel};
use trishift_kernels::cuda::Source;

/// Threads of a block.
const THREADS: u32 = 256;

/// Launches a kernel that wants one thread for each of `work` things.
fn launch_each(
    card: &Card,
    source: Source,
    name: &'static str,
    work: usize,
    arguments: &[Argument],
) -> Result<(), CudaError> {
    card.launch(Kernel::new(source, name), Grid::covering(work, THREADS), arguments)
}
