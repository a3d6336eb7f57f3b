//! Exponent stepping on a card; see `rule/exponent.rs` for the definition.
//!
//! State for each weight: two bits of a trit; for each group: two int8.

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
use trishift_kernels::cuda::EXPONENT;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Exponent {
    threshold: i32,
    state: TernaryState,
    votes: Matrix<i8>,
    bias: VotedBias,
}

impl Exponent {
    pub(super) fn new(card: &Card, stage: &Stage, threshold: u8) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        Ok(Self {
            threshold: i32::from(threshold),
            state: TernaryState::new(card, extent)?,
            votes: Matrix::of_groups(card, "a layer's votes", extent)?,
            bias: VotedBias::new(card, stage)?,
        })
    }
}

impl CardRule for Exponent {
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
        let TernaryState { extent, trits, exponents } = &self.state;
        let arguments = arguments![
            update.gradient,
            self.threshold,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            trits,
            &exponents.values,
            &self.votes.values,
        ];
        card.launch(Kernel::of_group(EXPONENT, extent.group, "update"), extent.row_grid(extent.rows), arguments)?;
        self.bias.update(card, update)
    }

    fn ballot(&self) -> Option<BallotKind> {
        Some(BallotKind::Groups(1))
    }

    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError> {
        self.state.score_signs(card, update, ballot, turn)?;
        self.bias.vote(card, update, ballot, turn)
    }

    fn apply(&self, card: &Card, ballot: &Ballot<'_>, _step: &Buffer<Step>) -> Result<(), CudaError> {
        let TernaryState { extent, exponents, .. } = &self.state;
        let groups = extent.rows * extent.groups();
        let (narrow, votes) = (ballot.narrow(), &self.votes.values);
        let arguments = arguments![ballot.scores, narrow, self.threshold, groups, &exponents.values, votes];
        let kernel = Kernel::of_group(EXPONENT, extent.group, "apply_scores");
        card.launch(kernel, Grid::covering(groups, 256), arguments)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        self.state.bytes() + self.votes.bytes() + self.bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        self.state.save(card, prefix, writer)?;
        let votes = self.votes.read(card)?;
        writer.push(&format!("{prefix}.exponent_votes"), self.state.extent.rows, StateValues::I8(&votes))?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        self.state.load(card, prefix, reader)?;
        let votes = reader.i8s(&format!("{prefix}.exponent_votes"), self.votes.len())?;
        self.votes.write(card, &votes)?;
        self.bias.load(card, prefix, reader)
    }
}
