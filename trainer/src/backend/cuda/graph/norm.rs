//! From the sums of a convolution to int8 and back: shift batch norm, or a bias alone.
//!
//! The state of a norm is defined in [`crate::rule::batch_norm`]; kernels follow it there integer for integer. Its running
//! statistics follow a step's batch in the backward pass, after the last use of the shifts.

use super::columns::{ColumnSums, Matrix};
use crate::backend::BackendError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, Span, arguments};
use crate::backend::cuda::layer::Shared;
use crate::backend::cuda::rule::{BiasSums, NormBias};
use crate::backend::cuda::together::{Ballot, Together, Turn};
use crate::checkpoint::StateReader;
use trishift_format::write::{CheckpointWriter, StateValues};
use trishift_kernels::cuda::BATCH_NORM;

/// Floats of a channel: `Channel` of the kernels.
const CHANNEL: usize = 8;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// An update: norms use the batch's own statistics or the running ones, as the step says.
    Training,
    /// The beginning of a run: norms use the running statistics, and the batch's own are found beside.
    Calibration,
    /// What the exported model gives.
    Inference,
}

/// What makes int8 of sums, channel by channel.
#[derive(Debug)]
pub(super) struct Channels {
    matrix: Matrix,
    /// Channels without padding.
    own: usize,
    relu: bool,
    channels: Buffer<f32>,
    sums: ColumnSums,
    /// Gradients of the biases and their squares, [shards, pitch].
    gradients: Buffer<f64>,
    squares: Buffer<f64>,
    /// Equal parts of the rows, one for each shard of this card.
    shards: usize,
    /// Sums over shards, as integers.
    totals: Buffer<i64>,
    norm: Option<Norm>,
}

/// A shift batch norm.
#[derive(Debug)]
struct Norm {
    shifts: Buffer<i8>,
    means: Buffer<i32>,
    variances: Buffer<i64>,
    bias: NormBias,
    /// Mean and variance of every channel of the batch.
    moments: Buffer<f64>,
}

impl Channels {
    pub(super) fn new(
        card: &Card,
        (matrix, shards): (Matrix, usize),
        own: usize,
        relu: bool,
        is_normed: bool,
    ) -> Result<Self, CudaError> {
        let pitch = matrix.pitch;
        let of_shard = Matrix { rows: matrix.rows / shards, pitch };
        let norm = || -> Result<Norm, CudaError> {
            Ok(Norm {
                shifts: card.zeros("a norm's shifts", pitch)?,
                means: card.zeros("a norm's means", pitch)?,
                variances: card.zeros("a norm's variances", pitch)?,
                bias: NormBias::new(card, pitch, own)?,
                moments: card.zeros("a batch's statistics", 2 * pitch)?,
            })
        };
        Ok(Self {
            matrix,
            own,
            relu,
            channels: card.zeros("a layer's channels", CHANNEL * pitch)?,
            sums: ColumnSums::new(card, of_shard)?,
            gradients: card.zeros("a layer's bias gradient", shards * pitch)?,
            squares: card.zeros("a layer's bias gradient", shards * pitch)?,
            shards,
            totals: card.zeros("a layer's sums over shards", 2 * pitch)?,
            norm: if is_normed { Some(norm()?) } else { None },
        })
    }

    pub(super) fn is_normed(&self) -> bool {
        self.norm.is_some()
    }

    /// Enqueues putting the norm's shifts into the weights, [rows, weights' pitch], whose units are at `smallest`; without a
    /// norm, taking the layer's rounded biases.
    pub(super) fn prepare(
        &self,
        card: &Card,
        weights: (&Buffer<u16>, usize),
        smallest: &Buffer<u32>,
        bias: Option<&Buffer<f32>>,
    ) -> Result<(), CudaError> {
        let Some(norm) = &self.norm else {
            let arguments = arguments![bias, self.own as i32, &self.channels];
            return card.launch(Kernel::new(BATCH_NORM, "plain"), Grid::covering(self.own, 256), arguments);
        };
        let (weights, weights_pitch) = weights;
        let arguments = arguments![
            weights,
            self.own,
            (weights_pitch / 8) as i32,
            smallest,
            &norm.shifts,
            &norm.means,
            norm.bias.values(),
            &self.channels,
        ];
        card.launch(Kernel::new(BATCH_NORM, "fold"), Grid::covering(self.own * 32, 256), arguments)
    }

    /// Enqueues int8 activations, [rows, pitch] bfloat16, from sums.
    pub(super) fn forward(
        &self,
        shared: &Shared<'_>,
        pass: Pass,
        sums: &Buffer<f32>,
        activations: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Shared { card, step, .. } = *shared;
        let Self { matrix, .. } = self;
        let [pitch, tile] = [matrix.pitch, matrix.tile()].map(|size| size as i32);
        if let (Some(norm), false, Some(together)) = (&self.norm, pass == Pass::Inference, shared.together) {
            let of_shard = self.of_shard();
            for shard in 0..self.shards {
                let arguments = arguments![
                    self.rows_from(sums, shard),
                    of_shard.rows,
                    pitch,
                    tile,
                    self.own as i32,
                    i32::from(shard > 0),
                    &self.sums.partial,
                    &self.sums.blocks,
                    &self.totals,
                ];
                card.launch(Kernel::new(BATCH_NORM, "shard_statistics"), of_shard.sum_grid(), arguments)?;
            }
            together.sum_moments(&self.totals)?;
            let arguments = arguments![
                &self.totals,
                matrix.rows * together.share.world,
                self.own as i32,
                norm.bias.values(),
                step,
                i32::from(pass == Pass::Calibration),
                &norm.moments,
                &self.channels,
            ];
            card.launch(Kernel::new(BATCH_NORM, "take_statistics"), Grid::covering(self.own, 256), arguments)?;
        } else if let (Some(norm), false) = (&self.norm, pass == Pass::Inference) {
            let arguments = arguments![
                sums,
                matrix.rows,
                pitch,
                tile,
                self.own as i32,
                norm.bias.values(),
                step,
                i32::from(pass == Pass::Calibration),
                &self.sums.partial,
                &self.sums.blocks,
                &norm.moments,
                &self.channels,
            ];
            card.launch(Kernel::new(BATCH_NORM, "statistics"), matrix.sum_grid(), arguments)?;
        }
        let arguments = arguments![sums, matrix.rows, pitch, tile, i32::from(self.relu), &self.channels, activations];
        card.launch(Kernel::new(BATCH_NORM, "normalize"), matrix.value_grid(), arguments)
    }

    /// Rows of one shard.
    fn of_shard(&self) -> Matrix {
        Matrix { rows: self.matrix.rows / self.shards, pitch: self.matrix.pitch }
    }

    /// A matrix [rows, pitch] from a shard's rows on.
    fn rows_from<'b, T>(&self, matrix: &'b Buffer<T>, shard: usize) -> Span<'b> {
        matrix.from(shard * self.of_shard().rows * self.matrix.pitch)
    }

    /// Enqueues the sums of every shard's gradients, and with a norm what they mean over all shards.
    fn sum_shards(
        &self,
        shared: &Shared<'_>,
        together: &Together,
        sums: &Buffer<f32>,
        gradient: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let Shared { card, step, .. } = *shared;
        let (of_shard, norm) = (self.of_shard(), self.norm.as_ref());
        for shard in 0..self.shards {
            let BiasSums { gradients, squares } = self.bias_sums(shard);
            let arguments = arguments![
                self.rows_from(sums, shard),
                self.rows_from(gradient, shard),
                of_shard.rows,
                of_shard.pitch as i32,
                of_shard.tile() as i32,
                self.own as i32,
                i32::from(self.relu),
                i32::from(shard > 0),
                &self.sums.partial,
                &self.sums.blocks,
                &self.channels,
                norm.map(|_| &self.totals),
                gradients,
                squares,
            ];
            card.launch(Kernel::new(BATCH_NORM, "shard_gradient_sums"), of_shard.sum_grid(), arguments)?;
        }
        together.sum_bias_gradient(card, &self.gradients, &self.squares, self.own)?;
        let Some(norm) = norm else { return Ok(()) };
        together.sum_moments(&self.totals)?;
        let arguments = arguments![
            &self.totals,
            self.matrix.rows * together.share.world,
            self.own as i32,
            step,
            &norm.moments,
            &self.channels,
            &norm.shifts,
            &norm.means,
            &norm.variances,
        ];
        card.launch(Kernel::new(BATCH_NORM, "take_gradient_sums"), Grid::covering(self.own, 256), arguments)
    }

    /// Enqueues the way back: `gradient` becomes the one with respect to the sums, the norm's state follows the batch and,
    /// unless shards do, its biases vote. `learns` says that the layer has biases of its own, whose gradients are then at
    /// [`Channels::bias_sums`].
    pub(super) fn backward(
        &self,
        shared: &Shared<'_>,
        sums: &Buffer<f32>,
        gradient: &Buffer<u16>,
        learns: bool,
    ) -> Result<(), CudaError> {
        let Shared { card, step, .. } = *shared;
        let Self { matrix, .. } = self;
        let [pitch, tile, relu] = [matrix.pitch as i32, matrix.tile() as i32, i32::from(self.relu)];
        let norm = self.norm.as_ref();
        let by_shards = shared.together.is_some_and(|together| together.share.has_ballots());
        if let (true, Some(together)) = (norm.is_some() || learns, shared.together) {
            self.sum_shards(shared, together, sums, gradient)?;
        } else if norm.is_some() || learns {
            let arguments = arguments![
                sums,
                gradient,
                matrix.rows,
                pitch,
                tile,
                self.own as i32,
                relu,
                step,
                &self.sums.partial,
                &self.sums.blocks,
                norm.map(|norm| &norm.moments),
                &self.channels,
                norm.map(|norm| &norm.shifts),
                norm.map(|norm| &norm.means),
                norm.map(|norm| &norm.variances),
                &self.gradients,
                &self.squares,
            ];
            card.launch(Kernel::new(BATCH_NORM, "gradient_sums"), matrix.sum_grid(), arguments)?;
        }
        if let (Some(norm), false) = (norm, by_shards) {
            norm.bias.vote(card, self.bias_sums(0), step)?;
        }
        let arguments = arguments![sums, matrix.rows, pitch, tile, relu, &self.channels, gradient];
        card.launch(Kernel::new(BATCH_NORM, "sum_gradient"), matrix.value_grid(), arguments)
    }

    /// The gradient of every bias, over this card's shard number `own`, after [`Channels::backward`].
    pub(super) fn bias_sums(&self, own: usize) -> BiasSums<'_> {
        let first = own * self.matrix.pitch;
        BiasSums { gradients: self.gradients.from(first), squares: self.squares.from(first) }
    }

    /// Enqueues the votes of this card's shard number `own` on the norm's biases, if there is a norm.
    pub(super) fn vote(
        &self,
        shared: &Shared<'_>,
        own: usize,
        ballot: &Ballot<'_>,
        turn: Turn,
    ) -> Result<(), CudaError> {
        let Some(norm) = &self.norm else { return Ok(()) };
        norm.bias.vote_of_shard(shared.card, self.bias_sums(own), shared.step, (ballot, turn))
    }

    /// Enqueues moving the norm's biases by the votes of all shards.
    pub(super) fn apply(&self, card: &Card, ballot: &Ballot<'_>) -> Result<(), CudaError> {
        self.norm.as_ref().map_or(Ok(()), |norm| norm.bias.apply(card, ballot))
    }

    /// Mean and variance of every channel of the last batch; none without a norm.
    pub(super) fn moments(&self, card: &Card) -> Result<Option<Vec<[f64; 2]>>, CudaError> {
        let Some(norm) = &self.norm else { return Ok(None) };
        Ok(Some(card.read(&norm.moments)?.as_chunks().0[..self.own].to_vec()))
    }

    pub(super) fn bytes(&self) -> usize {
        let of_norm = |norm: &Norm| norm.moments.bytes();
        self.channels.bytes()
            + self.sums.bytes()
            + self.gradients.bytes()
            + self.squares.bytes()
            + self.totals.bytes()
            + self.norm.as_ref().map_or(0, of_norm)
    }

    pub(super) fn state_bytes(&self) -> usize {
        let bytes = |norm: &Norm| norm.shifts.bytes() + norm.means.bytes() + norm.variances.bytes() + norm.bias.bytes();
        self.norm.as_ref().map_or(0, bytes)
    }

    pub(super) fn save(&self, card: &Card, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), BackendError> {
        let (Some(norm), own) = (&self.norm, self.own) else { return Ok(()) };
        writer.push(&format!("{prefix}.norm_shift"), 1, StateValues::I8(&card.read(&norm.shifts)?[..own]))?;
        writer.push(&format!("{prefix}.norm_mean"), 1, StateValues::I32(&card.read(&norm.means)?[..own]))?;
        writer.push(&format!("{prefix}.norm_variance"), 1, StateValues::I64(&card.read(&norm.variances)?[..own]))?;
        norm.bias.save(card, &format!("{prefix}.norm_bias"), writer)
    }

    pub(super) fn load(&mut self, card: &Card, prefix: &str, reader: &StateReader<'_>) -> Result<(), BackendError> {
        let (Some(norm), own) = (&mut self.norm, self.own) else { return Ok(()) };
        card.write(&mut norm.shifts, &reader.i8s(&format!("{prefix}.norm_shift"), own)?)?;
        card.write(&mut norm.means, &reader.i32s(&format!("{prefix}.norm_mean"), own)?)?;
        card.write(&mut norm.variances, &reader.i64s(&format!("{prefix}.norm_variance"), own)?)?;
        norm.bias.load(card, &format!("{prefix}.norm_bias"), reader)
    }
}
