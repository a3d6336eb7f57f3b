//! int8 weights on a card, under every rule but `straight-through`; see `rule/int8.rs` for the definition.
//!
//! State for each weight: an int16; for each row: an int8 that stays.

use super::bias::VotedBias;
use super::matrix::Matrix;
use super::scale::VoteScale;
use super::{BallotKind, CardRule, Update};
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::network::Stage;
use crate::rule::flip_correlation::VOTE_GAIN;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::INT8_WEIGHTS;

/// Threads of a block.
const THREADS: u32 = 256;

/// One layer with int8 weights.
#[derive(Debug)]
pub(super) struct Int8Weights {
    extent: Extent,
    latent: Matrix<i16>,
    /// [padded rows].
    exponents: Buffer<i8>,
    /// Bits of every row's unit, [padded rows]; made with the weights.
    units: Buffer<u32>,
    scale: VoteScale,
    bias: VotedBias,
}

impl Int8Weights {
    pub(super) fn new(card: &Card, stage: &Stage) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        let rows = extent.padded_rows();
        Ok(Self {
            extent,
            latent: Matrix::of_weights(card, "a layer's latent weights", extent)?,
            exponents: card.zeros("a layer's exponents", rows)?,
            units: card.zeros("a layer's units", rows)?,
            scale: VoteScale::new(card)?,
            bias: VotedBias::new(card, stage)?,
        })
    }
}

impl CardRule for Int8Weights {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let rows = self.extent.padded_rows();
        let vectors = (self.extent.pitch() / 8) as i32;
        let arguments = arguments![&self.latent.values, &self.exponents, rows, vectors, weights, &self.units];
        card.launch(Kernel::new(INT8_WEIGHTS, "expand"), Grid::covering(rows * 32, THREADS), arguments)
    }

    fn round_bias(&self, card: &Card, _weights: &Buffer<u16>) -> Result<(), CudaError> {
        self.bias.round_to(card, &self.units)
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn units(&self) -> Option<&Buffer<u32>> {
        Some(&self.units)
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        self.scale.find(card, &self.extent, update)?;
        let vectors = self.extent.rows * self.extent.pitch() / 8;
        let arguments = arguments![update.gradient, self.scale.fields(), update.step, vectors, &self.latent.values];
        card.launch(Kernel::new(INT8_WEIGHTS, "update"), Grid::covering(vectors, THREADS), arguments)?;
        self.bias.update(card, update)
    }

    fn ballot(&self) -> Option<BallotKind> {
        Some(BallotKind::Weights)
    }

    fn vote(&self, card: &Card, update: &Update<'_>, ballot: &Ballot<'_>, turn: Turn) -> Result<(), CudaError> {
        self.scale.vote(card, &self.extent, update, (ballot.shards.gain(VOTE_GAIN), true), (ballot, turn))?;
        self.bias.vote(card, update, ballot, turn)
    }

    fn apply(&self, card: &Card, ballot: &Ballot<'_>, _step: &Buffer<Step>) -> Result<(), CudaError> {
        self.scale.follow(card, ballot)?;
        let vectors = self.extent.rows * self.extent.pitch() / 8;
        let arguments = arguments![ballot.votes, vectors, &self.latent.values];
        card.launch(Kernel::new(INT8_WEIGHTS, "apply"), Grid::covering(vectors, THREADS), arguments)?;
        self.bias.apply(card, ballot)
    }

    fn state_bytes(&self) -> usize {
        let Self { latent, exponents, units, scale, bias, .. } = self;
        latent.bytes() + exponents.bytes() + units.bytes() + scale.fields().bytes() + bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let rows = self.extent.rows;
        writer.push(&format!("{prefix}.latent"), rows, StateValues::I16(&self.latent.read(card)?))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&card.read(&self.exponents)?[..rows]))?;
        self.scale.save(card, &format!("{prefix}.scale"), writer)?;
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let latent = reader.i16s(&format!("{prefix}.latent"), self.latent.len())?;
        self.latent.write(card, &latent)?;
        let exponents = reader.i8s(&format!("{prefix}.exponents"), self.extent.rows)?;
        card.write(&mut self.exponents, &exponents)?;
        self.scale.load(card, &format!("{prefix}.scale"), reader)?;
        self.bias.load(card, prefix, reader)
    }
}
