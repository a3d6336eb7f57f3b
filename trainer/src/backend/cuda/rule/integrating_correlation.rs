//! Integrating correlation on a card; see `rule/integrating_correlation.rs` for the definition.
//!
//! State for each weight: two bits of a trit; for each group: an int8, an int32: within ±2^15.

use super::bias::VotedBias;
use super::matrix::Matrix;
use super::scale::VoteScale;
use super::ternary::TernaryState;
use super::{BallotKind, CardRule, Update};
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::network::Stage;
use crate::rule::integrating_correlation::{CORRELATION_STEP, VOTE_GAIN};
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::{FLIP_CORRELATION, SCORES};

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct IntegratingCorrelation {
    state: TernaryState,
    correlations: Matrix<i32>,
    scale: VoteScale,
    bias: VotedBias,
}

impl IntegratingCorrelation {
    pub(super) fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        Ok(Self {
            state: TernaryState::new(card, extent)?,
            correlations: Matrix::of_groups(card, "a layer's correlations", extent)?,
            scale: VoteScale::new(card)?,
            bias: VotedBias::new(card, stage)?,
        })
    }
}

impl CardRule for IntegratingCorrelation {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.state.expand(card, Some(&self.correlations), weights)
    }

    fn round_bias(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.bias.round(card, weights)
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let TernaryState { extent, trits, .. } = &self.state;
        self.scale.find(card, extent, update)?;
        let arguments = arguments![
            update.gradient,
            self.scale.fields(),
            update.step,
            VOTE_GAIN,
            CORRELATION_STEP,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            trits,
            &self.correlations.values,
        ];
        let kernel = Kernel::of_group(FLIP_CORRELATION, extent.group, "update_correlations");
        card.launch(kernel, extent.row_grid(extent.rows), arguments)?;
        self.bias.update(card, update)
    }

    fn ballot(&self) -> Option<BallotKind> {
        Some(BallotKind::Groups(127))
    }

    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError> {
        let TernaryState { extent, trits, .. } = &self.state;
        self.scale.find_of_shard(card, extent, update, (ballot, turn))?;
        let arguments = arguments![
            update.gradient,
            self.scale.fields(),
            update.step,
            ballot.shards.gain(VOTE_GAIN),
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            trits,
            i32::from(!turn.is_first),
            ballot.scores,
        ];
        let kernel = Kernel::of_group(SCORES, extent.group, "score");
        card.launch(kernel, extent.row_grid(extent.rows), arguments)?;
        self.bias.vote(card, update, ballot, turn)
    }

    fn apply(&self, card: &Card, ballot: &Ballot<'_>, step: &Buffer<Step>) -> Result<(), CudaError> {
        self.scale.follow(card, ballot)?;
        let extent = &self.state.extent;
        let groups = extent.rows * extent.groups();
        let arguments = arguments![ballot.scores, step, CORRELATION_STEP, groups, &self.correlations.values];
        let kernel = Kernel::of_group(FLIP_CORRELATION, extent.group, "apply_scores");
        card.launch(kernel, Grid::covering(groups, 256), arguments)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        let Self { state, correlations, scale, bias } = self;
        state.bytes() + correlations.bytes() + scale.fields().bytes() + bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let rows = self.state.extent.rows;
        self.state.save(card, prefix, writer)?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I32(&self.correlations.read(card)?))?;
        self.scale.save(card, &format!("{prefix}.scale"), writer)?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        self.state.load(card, prefix, reader)?;
        let correlations = reader.i32s(&format!("{prefix}.corr"), self.correlations.len())?;
        self.correlations.write(card, &correlations)?;
        self.scale.load(card, &format!("{prefix}.scale"), reader)?;
        self.bias.load(card, prefix, reader)
    }
}
