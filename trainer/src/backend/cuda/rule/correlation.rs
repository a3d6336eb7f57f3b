//! The original rule on a card; see `rule/correlation.rs` for the definition.
//!
//! State for each weight: two bits of a trit; for each group: an int8, an int64; for the layer: how many updates it has had,
//! on the card, so that a captured step counts them. Weights, whose exponents are fractional, are rounded to bfloat16.

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
use trishift_kernels::cuda::CORRELATION;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Correlation {
    strength: f32,
    state: TernaryState,
    correlations: Matrix<i64>,
    steps: Buffer<i64>,
    bias: VotedBias,
}

impl Correlation {
    pub(super) fn new(card: &Card, stage: &Stage, strength: f32) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        Ok(Self {
            strength,
            state: TernaryState::new(card, extent)?,
            correlations: Matrix::of_groups(card, "a layer's correlations", extent)?,
            steps: card.zeros("a layer's steps", 1)?,
            bias: VotedBias::new(card, stage)?,
        })
    }
}

impl CardRule for Correlation {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let TernaryState { extent, trits, exponents } = &self.state;
        let arguments = arguments![
            trits,
            &exponents.values,
            &self.correlations.values,
            &self.steps,
            self.strength,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            weights,
        ];
        let kernel = Kernel::of_group(CORRELATION, extent.group, "expand");
        card.launch(kernel, extent.row_grid(extent.padded_rows()), arguments)
    }

    fn round_bias(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.bias.round(card, weights)
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let TernaryState { extent, trits, .. } = &self.state;
        let kernel = |name| Kernel::of_group(CORRELATION, extent.group, name);
        let arguments = arguments![
            update.gradient,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            trits,
            &self.correlations.values,
        ];
        card.launch(kernel("update"), extent.row_grid(extent.rows), arguments)?;
        card.launch(kernel("count_steps"), Grid::new(1, 1), arguments![1, &self.steps])?;
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
        let TernaryState { extent, .. } = &self.state;
        let kernel = |name| Kernel::of_group(CORRELATION, extent.group, name);
        let groups = extent.rows * extent.groups();
        let arguments = arguments![ballot.scores, ballot.narrow(), groups, &self.correlations.values];
        card.launch(kernel("apply_scores"), Grid::covering(groups, 256), arguments)?;
        let arguments = arguments![ballot.shards.count() as i32, &self.steps];
        card.launch(kernel("count_steps"), Grid::new(1, 1), arguments)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        let Self { state, correlations, steps, bias, .. } = self;
        state.bytes() + correlations.bytes() + steps.bytes() + bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        self.state.save(card, prefix, writer)?;
        let correlations = self.correlations.read(card)?;
        writer.push(&format!("{prefix}.corr"), self.state.extent.rows, StateValues::I64(&correlations))?;
        writer.push(&format!("{prefix}.step"), 1, StateValues::I64(&card.read(&self.steps)?))?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        self.state.load(card, prefix, reader)?;
        let correlations = reader.i64s(&format!("{prefix}.corr"), self.correlations.len())?;
        self.correlations.write(card, &correlations)?;
        card.write(&mut self.steps, &reader.i64s(&format!("{prefix}.step"), 1)?)?;
        self.bias.load(card, prefix, reader)
    }
}
