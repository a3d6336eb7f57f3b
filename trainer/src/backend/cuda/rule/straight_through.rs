//! The floating-point baseline on a card; see `rule/straight_through.rs` for the definition.
//!
//! State for each weight: three floats. A layer's weights are trits, or int8 with an exponent for each row.

use super::bias::FloatBias;
use super::matrix::Matrix;
use super::{BallotKind, CardRule, Update};
use crate::backend::BackendError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::backend::cuda::extent::Extent;
use crate::backend::cuda::together::{Ballot, Turn};
use crate::backend::cuda::{CudaError, Step};
use crate::checkpoint::StateReader;
use crate::config::Precision;
use crate::network::Stage;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::STRAIGHT_THROUGH;

/// Threads of a block.
const THREADS: u32 = 256;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct StraightThrough {
    extent: Extent,
    learning_rate: f32,
    /// Bits of every row's unit, [padded rows], made with the weights; of int8 weights alone.
    units: Option<Buffer<u32>>,
    values: Matrix<f32>,
    means: Matrix<f32>,
    squares: Matrix<f32>,
    bias: FloatBias,
}

impl StraightThrough {
    pub(super) fn new(card: &Card, stage: &Stage, learning_rate: f32) -> Result<Self, CudaError> {
        let extent = Extent::of(stage);
        let units = || card.zeros("a layer's units", extent.padded_rows());
        Ok(Self {
            extent,
            learning_rate,
            units: if stage.precision == Precision::Int8 { Some(units()?) } else { None },
            values: Matrix::of_weights(card, "a layer's latent weights", extent)?,
            means: Matrix::of_weights(card, "a layer's mean gradients", extent)?,
            squares: Matrix::of_weights(card, "a layer's squared gradients", extent)?,
            bias: FloatBias::new(card, stage)?,
        })
    }
}

impl CardRule for StraightThrough {
    fn expand(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        if let Some(units) = &self.units {
            let rows = extent.padded_rows();
            let arguments = arguments![&self.values.values, rows, (extent.pitch() / 8) as i32, weights, units];
            let kernel = Kernel::of_group(STRAIGHT_THROUGH, extent.group, "expand_int8");
            return card.launch(kernel, Grid::covering(rows * 32, THREADS), arguments);
        }
        let arguments = arguments![
            &self.values.values,
            extent.columns as i32,
            extent.words() as i32,
            extent.words_per_block() as i32,
            weights,
        ];
        let kernel = Kernel::of_group(STRAIGHT_THROUGH, extent.group, "expand");
        card.launch(kernel, extent.row_grid(extent.padded_rows()), arguments)
    }

    fn round_bias(&self, card: &Card, weights: &Buffer<u16>) -> Result<(), CudaError> {
        match &self.units {
            Some(units) => self.bias.round_to(card, units),
            None => self.bias.round(card, weights),
        }
    }

    fn bias(&self) -> Option<&Buffer<f32>> {
        self.bias.rounded()
    }

    fn units(&self) -> Option<&Buffer<u32>> {
        self.units.as_ref()
    }

    fn update(&self, card: &Card, update: &Update<'_>) -> Result<(), CudaError> {
        let Self { extent, .. } = self;
        let vectors = extent.rows * extent.pitch() / 4;
        let arguments = arguments![
            update.gradient,
            update.step,
            self.learning_rate,
            vectors,
            &self.values.values,
            &self.means.values,
            &self.squares.values,
        ];
        let kernel = Kernel::of_group(STRAIGHT_THROUGH, extent.group, "update");
        card.launch(kernel, Grid::covering(vectors, THREADS), arguments)?;
        self.bias.update(card, update, self.learning_rate)
    }

    fn ballot(&self) -> Option<BallotKind> {
        None
    }

    /// Nobody votes under this rule.
    fn vote(&self, _: &Card, _: &Update<'_>, _: &Ballot<'_>, _: Turn) -> Result<(), CudaError> {
        Ok(())
    }

    fn apply(&self, _: &Card, _: &Ballot<'_>, _: &Buffer<Step>) -> Result<(), CudaError> {
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let units = self.units.as_ref().map_or(0, Buffer::bytes);
        self.values.bytes() + self.means.bytes() + self.squares.bytes() + units + self.bias.bytes()
    }

    fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        for (name, matrix) in [("values", &self.values), ("first", &self.means), ("second", &self.squares)] {
            let values = matrix.read(card)?;
            writer.push(&format!("{prefix}.latent.{name}"), self.extent.rows, StateValues::F32(&values))?;
        }
        self.bias.save(card, prefix, writer)
    }

    fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let Self { values, means, squares, bias, .. } = self;
        for (name, matrix) in [("values", values), ("first", means), ("second", squares)] {
            let values = reader.f32s(&format!("{prefix}.latent.{name}"), matrix.len())?;
            matrix.write(card, &values)?;
        }
        bias.load(card, prefix, reader)
    }
}
