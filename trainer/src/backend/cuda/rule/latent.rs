//! Integer latent weights on a card; see `rule/latent.rs` for the definition.
//!
//! State for each weight: two int16; for each row and column: an int32. Sums of squared votes over rows and columns are
//! integers, so that the order in which blocks add to them does not matter.

use super::bias::VotedBias;
use super::matrix::Matrix;
use super::scale::VoteScale;
use super::{BallotKind, CardRule, Update};
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::network::Stage;
use crate::rule::initial::stage_deviation;
use crate::rule::latent::VOTE_GAIN;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::LATENT;

/// Rows that a block adds up: `SUMMED_ROWS` of the kernels.
const SUMMED_ROWS: usize = 32;

/// Threads of a block that follows moments.
const THREADS: u32 = 256;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Latent {
    extent: Extent,
    /// Of the initial weights.
    deviation: f32,
    latent: Matrix<i16>,
    momentum: Matrix<i16>,
    rows: Moments,
    columns: Moments,
    /// The sum of the rows' moments.
    total: Buffer<u64>,
    scale: VoteScale,
    bias: VotedBias,
}

/// Second moments of the rows, or the columns, with padding.
#[derive(Debug)]
struct Moments {
    /// How many there are without padding.
    count: usize,
    moments: Buffer<i32>,
    /// What a step adds up; zeros between steps.
    sums: Buffer<u64>,
    /// The roots of a step.
    roots: Buffer<f32>,
}

impl Moments {
    fn new(card: &Card, count: usize, padded: usize) -> Result<Self, CudaError> {
        Ok(Self {
            count,
            moments: card.zeros("a layer's moments", padded)?,
            sums: card.zeros("a layer's sums of squared votes", padded)?,
            roots: card.zeros("a layer's roots of moments", padded)?,
        })
    }

    fn bytes(&self) -> usize {
        self.moments.bytes() + self.sums.bytes() + self.roots.bytes()
    }

    fn save(&self, card: &Card, name: &str, rows: usize, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let moments = card.read(&self.moments)?;
        Ok(writer.push(name, rows, StateValues::I32(&moments[..self.count]))?)
    }

    fn load(&mut self, card: &Card, name: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        Ok(card.write(&mut self.moments, &reader.i32s(name, self.count)?)?)
    }
}

impl Latent {
    pub(super) fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        Ok(Self {
            extent,
            deviation: stage_deviation(stage),
            latent: Matrix::of_weights(card, "a layer's latent weights", extent)?,
            momentum: Matrix::of_weights(card, "a layer's momentum", extent)?,
            rows: Moments::new(card, extent.rows, extent.padded_rows())?,
            columns: Moments::new(card, extent.columns, extent.pitch())?,
            total: card.zeros("a layer's sum of moments", 1)?,
            scale: VoteScale::new(card)?,
            bias: VotedBias::new(card, stage)?,
        })
    }

    fn kernel(&self, name: &'static str) -> Kernel {
        Kernel::of_group(LATENT, self.extent.group, name)
    }

    /// Enqueues following the second moments with this step's votes, from which `kernel` makes squares.
    fn follow_moments(&self, card: &Card, kernel: &'static str, votes: Span<'_>) -> Result<(), CudaError> {
        let Self { extent, rows, columns, total, .. } = self;
        let (scale, words) = (self.scale.fields(), extent.words());
        let threads = words.next_multiple_of(32).min(THREADS as usize);
        let blocks = [extent.rows.div_ceil(SUMMED_ROWS) as u32, words.div_ceil(threads) as u32];
        let grid = Grid { blocks, threads: threads as u32, shared: 0 };
        let arguments = arguments![votes, scale, extent.rows, words as i32, &rows.sums, &columns.sums, total];
        card.launch(self.kernel(kernel), grid, arguments)?;
        let shape = (rows.count, columns.count);
        let arguments = arguments![scale, shape.0, shape.1, &rows.sums, &rows.moments, total, &rows.roots];
        card.launch(self.kernel("follow_rows"), Grid::covering(rows.count, THREADS), arguments)?;
        let arguments = arguments![scale, shape.0, shape.1, &columns.sums, &columns.moments, total, &columns.roots];
        card.launch(self.kernel("follow_columns"), Grid::covering(columns.count, THREADS), arguments)
    }
}

impl Latent {
    /// Enqueues moving momenta and latents with this step's votes and moments.
    fn move_latents(
        &self,
        card: &Card,
        kernel: &'static str,
        votes: Span<'_>,
        step: &Buffer<Step>,
    ) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        let arguments = arguments![
            votes,
            self.scale.fields(),
            step,
            &self.rows.roots,
            &self.columns.roots,
            extent.words() as i32,
            extent.words_per_block() as i32,
            &self.momentum.values,
            &self.latent.values,
        ];
        card.launch(self.kernel(kernel), extent.row_grid(extent.rows), arguments)
    }
}

impl CardRule for Latent {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let Self { extent, deviation, .. } = self;
        let arguments = arguments![
            &self.latent.values,
            *deviation,
            extent.columns as i32,
            extent.words() as i32,
            extent.words_per_block() as i32,
            weights,
        ];
        card.launch(self.kernel("expand"), extent.row_grid(extent.padded_rows()), arguments)
    }

    fn round_bias(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.bias.round(card, weights)
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        self.scale.find(card, &self.extent, update)?;
        self.follow_moments(card, "square_votes", update.gradient.into())?;
        self.move_latents(card, "update", update.gradient.into(), update.step)?;
        self.bias.update(card, update)
    }

    fn ballot(&self) -> Option<BallotKind> {
        Some(BallotKind::Weights)
    }

    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError> {
        // These votes do not go with λ: the momentum does.
        let gain = (ballot.shards.mean_gain(VOTE_GAIN), false);
        self.scale.vote(card, &self.extent, update, gain, (ballot, turn))?;
        self.bias.vote(card, update, ballot, turn)
    }

    fn apply(&self, card: &Card, ballot: &Ballot<'_>, step: &Buffer<Step>) -> Result<(), CudaError> {
        self.scale.follow(card, ballot)?;
        self.follow_moments(card, "square_shard_votes", ballot.votes)?;
        self.move_latents(card, "apply", ballot.votes, step)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        let Self { latent, momentum, rows, columns, total, scale, bias, .. } = self;
        let moments = rows.bytes() + columns.bytes() + total.bytes();
        latent.bytes() + momentum.bytes() + moments + scale.fields().bytes() + bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let rows = self.extent.rows;
        writer.push(&format!("{prefix}.latent"), rows, StateValues::I16(&self.latent.read(card)?))?;
        writer.push(&format!("{prefix}.momentum"), rows, StateValues::I16(&self.momentum.read(card)?))?;
        self.rows.save(card, &format!("{prefix}.row_moments"), rows, writer)?;
        self.columns.save(card, &format!("{prefix}.column_moments"), 1, writer)?;
        self.scale.save(card, &format!("{prefix}.scale"), writer)?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let latent = reader.i16s(&format!("{prefix}.latent"), self.latent.len())?;
        self.latent.write(card, &latent)?;
        let momentum = reader.i16s(&format!("{prefix}.momentum"), self.momentum.len())?;
        self.momentum.write(card, &momentum)?;
        self.rows.load(card, &format!("{prefix}.row_moments"), reader)?;
        self.columns.load(card, &format!("{prefix}.column_moments"), reader)?;
        self.scale.load(card, &format!("{prefix}.scale"), reader)?;
        self.bias.load(card, prefix, reader)
    }
}
