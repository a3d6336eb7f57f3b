//! Trit flips by sign votes on a card; see `rule/flip.rs` for the definition.
//!
//! State for each weight: two bits of a trit, an int8; for each group: an int8.

use super::bias::VotedBias;
use super::matrix::Matrix;
use super::ternary::TernaryState;
use super::{BallotKind, CardRule, Update};
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::network::Stage;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::{FLIP, VOTES};

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Flip {
    threshold: i32,
    state: TernaryState,
    flips: Matrix<i8>,
    bias: VotedBias,
}

impl Flip {
    pub(super) fn new(card: &Card, stage: &Stage, threshold: u8) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        Ok(Self {
            threshold: i32::from(threshold),
            state: TernaryState::new(card, extent)?,
            flips: Matrix::of_weights(card, "a layer's votes", extent)?,
            bias: VotedBias::new(card, stage)?,
        })
    }
}

impl CardRule for Flip {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.state.expand(card, None, weights)
    }

    fn round_bias(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.bias.round(card, weights)
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let TernaryState { extent, trits, .. } = &self.state;
        let arguments = arguments![
            update.gradient,
            self.threshold,
            extent.words() as i32,
            extent.words_per_block() as i32,
            trits,
            &self.flips.values,
        ];
        card.launch(Kernel::of_group(FLIP, extent.group, "update"), extent.row_grid(extent.rows), arguments)?;
        self.bias.update(card, update)
    }

    fn ballot(&self) -> Option<BallotKind> {
        Some(BallotKind::Weights)
    }

    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError> {
        let words = self.state.extent.rows * self.state.extent.words();
        let arguments = arguments![update.gradient, words, i32::from(!turn.is_first), ballot.votes];
        card.launch(Kernel::new(VOTES, "vote_signs"), Grid::covering(words, 256), arguments)?;
        self.bias.vote(card, update, ballot, turn)
    }

    fn apply(&self, card: &Card, ballot: &Ballot<'_>, _step: &Buffer<Step>) -> Result<(), CudaError> {
        let TernaryState { extent, trits, .. } = &self.state;
        let arguments = arguments![
            ballot.votes,
            self.threshold,
            extent.words() as i32,
            extent.words_per_block() as i32,
            trits,
            &self.flips.values,
        ];
        card.launch(Kernel::of_group(FLIP, extent.group, "apply"), extent.row_grid(extent.rows), arguments)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        self.state.bytes() + self.flips.bytes() + self.bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        self.state.save(card, prefix, writer)?;
        let flips = self.flips.read(card)?;
        writer.push(&format!("{prefix}.flips"), self.state.extent.rows, StateValues::I8(&flips))?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        self.state.load(card, prefix, reader)?;
        let flips = reader.i8s(&format!("{prefix}.flips"), self.flips.len())?;
        self.flips.write(card, &flips)?;
        self.bias.load(card, prefix, reader)
    }
}
