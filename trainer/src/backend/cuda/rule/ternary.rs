//! Trits and exponents on a card, which most rules have.

use super::Update;
use super::matrix::Matrix;
use crate::backend::BackendError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::checkpoint::StateReader;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::{EXPAND, SCORES};

/// Trits, two bits each, and exponents, an int8 for each group.
#[derive(Debug)]
pub(super) struct TernaryState {
    pub(super) extent: Extent,
    /// [padded rows, words].
    pub(super) trits: Buffer<u32>,
    pub(super) exponents: Matrix<i8>,
}

impl TernaryState {
    pub(super) fn new(card: &Card, extent: Extent) -> Result<Self, CudaError> {
        Ok(Self {
            extent,
            trits: card.zeros("a layer's trits", extent.padded_rows() * extent.words())?,
            exponents: Matrix::of_groups(card, "a layer's exponents", extent)?,
        })
    }

    /// Enqueues writing T·2^e, the exponents bent by correlations where there are some, and clamped.
    pub(super) fn expand(
        &self,
        card: &Card,
        correlations: Option<&Matrix<i32>>,
        weights: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        let arguments = arguments![
            &self.trits,
            &self.exponents.values,
            correlations.map(|correlations| &correlations.values),
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            weights,
        ];
        card.launch(Kernel::of_group(EXPAND, extent.group, "expand"), extent.half_word_grid(), arguments)
    }

    /// Enqueues adding the scores of a shard's sign votes.
    pub(super) fn score_signs(
        &self,
        card: &Card,
        update: &Update<'_>,
        ballot: &Ballot<'_>,
        turn: Turn,
    ) -> Result<(), CudaError> {
        let Self { extent, trits, .. } = self;
        let arguments = arguments![
            update.gradient,
            extent.words() as i32,
            extent.words_per_block() as i32,
            extent.groups() as i32,
            trits,
            i32::from(!turn.is_first),
            ballot.scores,
            ballot.narrow(),
        ];
        card.launch(Kernel::of_group(SCORES, extent.group, "score_signs"), extent.row_grid(extent.rows), arguments)
    }

    pub(super) fn bytes(&self) -> usize {
        self.trits.bytes() + self.exponents.bytes()
    }

    pub(super) fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let rows = self.extent.rows;
        let trits = self.extent.unpack_trits(&card.read(&self.trits)?);
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&trits))?;
        Ok(writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents.read(card)?))?)
    }

    pub(super) fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let trits = reader.trits(&format!("{prefix}.trits"), self.extent.rows * self.extent.columns)?;
        card.write(&mut self.trits, &self.extent.pack_trits(&trits))?;
        let exponents = reader.i8s(&format!("{prefix}.exponents"), self.exponents.len())?;
        Ok(self.exponents.write(card, &exponents)?)
    }
}
