//! Update rules on a card: the same definitions as [`crate::rule`], on the card's layouts.
//!
//! A rule is one file here, with kernels of its own where it needs some. Its state goes to the card and back as the named
//! tensors of a checkpoint, so that what it is called, and what a checkpoint holds, is the business of [`crate::rule`]
//! alone.

mod bias;
mod correlation;
mod exponent;
mod flip;
mod flip_correlation;
mod int8;
mod integrating_correlation;
mod latent;
mod matrix;
mod scale;
mod straight_through;
mod ternary;

pub use bias::BiasSums;
pub(super) use bias::{NormBias, find_units};

use super::card::{Buffer, Card, Span};
use super::together::{Ballot, Together, Turn};
use super::{CudaError, Step};
use crate::backend::BackendError;
use crate::checkpoint::StateReader;
use crate::config::{Precision, TrainingConfig};
use crate::network::Stage;
use crate::rule::RuleName;
use trishift_format::write::CheckpointWriter;

/// What an update is made from.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The layer's weight gradient in bfloat16, [padded rows, pitch].
    pub gradient: &'a Buffer<u16>,
    /// The gradient with respect to the accumulators in bfloat16, [batch, padded rows], from which a bias learns; none for
    /// an embedding.
    pub output: Option<Span<'a>>,
    /// The bias gradient, where it has been summed already.
    pub bias_sums: Option<BiasSums<'a>>,
    /// Rows of `output`: samples, or windows of samples.
    pub batch: usize,
    /// The step's parameters.
    pub step: &'a Buffer<Step>,
    /// Memory for a sum of squares for each row of the largest layer.
    pub row_squares: &'a Buffer<f64>,
    /// Through what the gradients of biases are summed over cards, if at all.
    pub(super) together: Option<&'a Together>,
}

impl<'a> Update<'a> {
    /// Of a layer whose gradients these are, the bias gradient not summed, on this card alone.
    pub fn new(
        (gradient, output): (&'a Buffer<u16>, &'a Buffer<u16>),
        batch: usize,
        step: &'a Buffer<Step>,
        row_squares: &'a Buffer<f64>,
    ) -> Self {
        Self { gradient, output: Some(output.into()), bias_sums: None, batch, step, row_squares, together: None }
    }
}

/// What shards vote on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BallotKind {
    /// Every weight.
    Weights,
    /// Every group, by the sum of votes times trits, votes up to this.
    Groups(i32),
}

/// Weights T·2^clamp(E + ((corr + 2^12) >> 13)) on a card.
#[derive(Clone, Copy, Debug)]
pub struct TernaryView<'a> {
    /// Trits, [padded rows, words].
    pub trits: &'a Buffer<u32>,
    /// Exponents, [padded rows, groups].
    pub exponents: &'a Buffer<i8>,
    /// Correlations, [padded rows, groups]; none where exponents stand alone.
    pub correlations: Option<&'a Buffer<i32>>,
}

/// One layer's state on a card.
pub trait CardRule: Send + Sync + std::fmt::Debug {
    /// Enqueues writing W of the forward pass to `weights`, bfloat16, [padded rows, pitch].
    ///
    /// # Errors
    /// [`CudaError`].
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError>;

    /// Enqueues rounding the biases to accumulator units of `weights`, what [`CardRule::expand`] wrote.
    ///
    /// # Errors
    /// [`CudaError`].
    fn round_bias(&self, _card: &Card, _weights: &Buffer<u16>) -> Result<(), CudaError> {
        Ok(())
    }

    /// The rounded biases in output steps, [padded rows]; none for a layer without.
    fn bias(&self) -> Option<&Buffer<f32>> {
        None
    }

    /// Bits of the power of two that every row's weights count in, 0 for a row of zeros, [padded rows], after
    /// [`CardRule::expand`]; none where it is the row's smallest weight.
    fn units(&self) -> Option<&Buffer<u32>> {
        None
    }

    /// The weights as the card holds them, where they are trits and integer exponents.
    fn ternary(&self) -> Option<TernaryView<'_>> {
        None
    }

    /// Enqueues one update.
    ///
    /// # Errors
    /// [`CudaError`].
    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError>;

    /// What shards vote on; none under a rule without votes.
    fn ballot(&self) -> Option<BallotKind>;

    /// Whether [`CardRule::apply`] itself adds up the parts of a ballot without biases.
    fn adds_parts(&self) -> bool {
        false
    }

    /// Enqueues adding the votes of a shard, whose gradient the update is made from.
    ///
    /// # Errors
    /// [`CudaError`].
    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError>;

    /// Enqueues one update by the votes of all shards.
    ///
    /// # Errors
    /// [`CudaError`].
    fn apply(&self, card: &Card, ballot: &Ballot<'_>, step: &Buffer<Step>) -> Result<(), CudaError>;

    /// Bytes of the state on the card.
    fn state_bytes(&self) -> usize;

    /// Adds the state's tensors, named as [`crate::rule::LayerState::save`] names them.
    ///
    /// # Errors
    /// [`BackendError`].
    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError>;

    /// Takes the state's tensors.
    ///
    /// # Errors
    /// [`BackendError`].
    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError>;
}

/// Whether a stage under this rule has trits and integer exponents while it trains: [`CardRule::ternary`].
pub(super) fn is_ternary(rule: RuleName, stage: &Stage) -> bool {
    matches!(rule, RuleName::FlipCorrelation) && stage.precision == Precision::Ternary
}

/// Memory on the card for a stage under the configuration's rule; its state is loaded after.
///
/// # Errors
/// [`CudaError`].
pub fn create(card: &Card, training: &TrainingConfig, stage: &Stage) -> Result<Box<dyn CardRule>, CudaError> {
    Ok(match training.rule {
        RuleName::StraightThrough => {
            Box::new(straight_through::StraightThrough::new(card, stage, training.learning_rate as f32)?)
        }
        // One rule for all others: integers that move by votes.
        _ if stage.precision == Precision::Int8 => Box::new(int8::Int8Weights::new(card, stage)?),
        RuleName::FlipCorrelation => Box::new(flip_correlation::FlipCorrelation::new(card, stage)?),
        RuleName::Latent => Box::new(latent::Latent::new(card, stage)?),
        RuleName::IntegratingCorrelation => {
            Box::new(integrating_correlation::IntegratingCorrelation::new(card, stage)?)
        }
        RuleName::Correlation => {
            Box::new(correlation::Correlation::new(card, stage, training.correlation_strength as f32)?)
        }
        RuleName::Flip => Box::new(flip::Flip::new(card, stage, training.flip_threshold)?),
        RuleName::Exponent => Box::new(exponent::Exponent::new(card, stage, training.exponent_threshold)?),
    })
}
