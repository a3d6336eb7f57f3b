//! Magnitude votes: a layer's weight gradient divided by a power of two that follows its root mean square, as integers.
//!
//! The scale needs the whole gradient before the first vote. Small layers keep it, in bfloat16, between the two passes;
//! large ones compute it twice, so that no dense [rows, columns] matrix is ever stored. Both give the same votes.

use super::ballot::{Ballot, Dither, SILENT, scale_of, shared_scale};
use super::gradient::{
    Gradient, PANEL_ROWS, from_bfloat16, ordered_sum, rounded_log2_of_root, sum_of_squares, to_bfloat16, with_buffer,
};
use super::power_of_two;
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Largest gradient (in weights) kept whole between finding the scale and voting; larger ones are computed twice.
const DENSE_LIMIT: usize = 1 << 21;

/// What lasts of the scale of a layer's votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScaleState {
    /// Largest exponent so far; [`SILENT`] before the first.
    pub(crate) largest: i8,
    /// The exponent that shards share; [`SILENT`] before the first update, and where there is one shard.
    pub(crate) shared: i8,
}

impl ScaleState {
    /// Adds it to a checkpoint: one number, or two where shards share one.
    pub(crate) fn save(self, name: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let values = [self.largest, self.shared];
        let count = if self.shared == SILENT { 1 } else { 2 };
        writer.push(name, 1, StateValues::I8(&values[..count]))
    }

    /// Takes it from a checkpoint.
    pub(crate) fn load(name: &str, reader: &StateReader<'_>) -> Result<Self, CheckpointError> {
        let values = reader.i8s(name, 2).or_else(|_| reader.i8s(name, 1))?;
        let value = |index: usize| values.get(index).map_or(SILENT, |value| *value);
        Ok(Self { largest: value(0), shared: value(1) })
    }
}

/// The scale of a layer's votes: a power of two that follows the gradient, with a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoteScale {
    state: ScaleState,
}

impl VoteScale {
    /// The floor lies this many powers of two below the largest scale so far.
    const FLOOR: i32 = 8;

    pub(super) const fn new() -> Self {
        Self { state: ScaleState { largest: SILENT, shared: SILENT } }
    }

    /// The exponent of the scale for this mean square; `None` where the gradient is zero, and nobody votes.
    pub(super) fn next(&mut self, mean_square: f64) -> Option<i32> {
        let exponent = rounded_log2_of_root(mean_square)?.clamp(-126, 126);
        self.state.largest = self.state.largest.max(exponent as i8);
        Some(self.floored(exponent))
    }

    fn floored(&self, exponent: i32) -> i32 {
        exponent.max(i32::from(self.state.largest) - Self::FLOOR)
    }

    /// The factor of a shard's votes, given the mean square of its gradient, whose exponent is noted; `None` where nobody votes.
    pub(super) fn of_shard(&self, mean_square: f64, gain: f32, lambda: f32, scale: Option<&mut i8>) -> Option<f32> {
        let exponent = scale_of(mean_square);
        scale.into_iter().for_each(|scale| *scale = exponent);
        if exponent == SILENT {
            return None;
        }
        let exponent = if self.state.shared == SILENT { exponent } else { self.state.shared };
        Some(gain * lambda * power_of_two(-self.floored(exponent.into())))
    }

    /// Follows the scales of all shards after an update.
    pub(super) fn follow(&mut self, scales: &[i8]) {
        self.state.largest = scales.iter().copied().fold(self.state.largest, i8::max);
        self.state.shared = shared_scale(scales).unwrap_or(self.state.shared);
    }

    pub(super) fn save(&self, name: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        self.state.save(name, writer)
    }

    pub(super) fn load(&mut self, name: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.state = ScaleState::load(name, reader)?;
        Ok(())
    }
}

/// A layer's gradient on its way to votes.
#[derive(Debug)]
pub(super) struct MagnitudeVotes {
    columns: usize,
    weights: usize,
    scale: VoteScale,
    /// The gradient between the two passes, in bfloat16; scratch, not state.
    dense: Vec<u16>,
    /// Sums of squares of the rows; scratch.
    row_squares: Vec<f64>,
    dense_limit: usize,
}

impl MagnitudeVotes {
    pub(super) fn new(stage: &Stage) -> Self {
        Self {
            columns: stage.columns,
            weights: stage.weights(),
            scale: VoteScale::new(),
            dense: Vec::new(),
            row_squares: vec![0.0; stage.rows],
            dense_limit: DENSE_LIMIT,
        }
    }

    /// Never keeps the gradient whole.
    #[cfg(test)]
    pub(super) fn always_stream(&mut self) {
        self.dense_limit = 0;
    }

    fn keeps(&self) -> bool {
        self.weights <= self.dense_limit
    }

    /// First pass: the exponent of the scale s; `None` where the gradient is zero, and nobody votes.
    pub(super) fn find_scale(&mut self, gradient: &Gradient<'_>) -> Option<i32> {
        let columns = self.columns;
        let squares = self.row_squares.par_chunks_mut(PANEL_ROWS);
        let sum = |dense: &[u16], squares: &mut [f64]| {
            for (square, row) in squares.iter_mut().zip(dense.chunks(columns)) {
                *square = sum_of_squares(row);
            }
        };
        if self.weights <= self.dense_limit {
            self.dense.resize(self.weights, 0);
            let panels = self.dense.par_chunks_mut(PANEL_ROWS * columns).zip(squares).enumerate();
            panels.for_each(|(panel, (dense, squares))| {
                rounded_panel(gradient, panel, dense);
                sum(dense, squares);
            });
        } else {
            squares.enumerate().for_each(|(panel, squares)| {
                let mut dense = vec![0; squares.len() * columns];
                rounded_panel(gradient, panel, &mut dense);
                sum(&dense, squares);
            });
        }
        self.scale.next(ordered_sum(&self.row_squares) / self.weights as f64)
    }

    /// Second pass: calls `f` with panel number `panel` of the gradient, `len` values in bfloat16, row after row.
    pub(super) fn with_panel<T>(
        &self,
        gradient: &Gradient<'_>,
        panel: usize,
        len: usize,
        f: impl FnOnce(&[u16]) -> T,
    ) -> T {
        let start = panel * PANEL_ROWS * self.columns;
        match self.dense.get(start..start + len) {
            Some(kept) if self.keeps() => f(kept),
            _ => {
                let mut dense = vec![0; len];
                rounded_panel(gradient, panel, &mut dense);
                f(&dense)
            }
        }
    }

    /// One shard's gradient, in bfloat16, and its votes' factor, whose scale is noted in the ballot; `None` where nobody votes.
    pub(super) fn of_shard(
        &self,
        gradient: &Gradient<'_>,
        (gain, lambda): (f32, f32),
        scale: Option<&mut i8>,
    ) -> Option<(Vec<u16>, f32)> {
        let mut dense = vec![0; self.weights];
        let mut squares = vec![0.0; self.row_squares.len()];
        let panels = dense.par_chunks_mut(PANEL_ROWS * self.columns).zip(squares.par_chunks_mut(PANEL_ROWS));
        panels.enumerate().for_each(|(panel, (dense, squares))| {
            rounded_panel(gradient, panel, dense);
            for (square, row) in squares.iter_mut().zip(dense.chunks(self.columns)) {
                *square = sum_of_squares(row);
            }
        });
        let factor = self.scale.of_shard(ordered_sum(&squares) / self.weights as f64, gain, lambda, scale)?;
        Some((dense, factor))
    }

    /// Adds one shard's votes on weights to a ballot, of the gain that the rule has for a shard's and the λ that goes with it.
    pub(super) fn vote(
        &self,
        gradient: &Gradient<'_>,
        gain: (f32, f32),
        (shard, index): (usize, u64),
        ballot: &mut Ballot,
    ) {
        let limit = ballot.shards.limit() as f32;
        let dither = Dither::new(ballot.shards, shard, index);
        let Some((dense, factor)) = self.of_shard(gradient, gain, ballot.scales.get_mut(shard)) else { return };
        let rows = ballot.votes.par_chunks_mut(self.columns).zip(dense.par_chunks(self.columns)).enumerate();
        rows.for_each(|(row, (votes, gradient))| {
            dither.row(row, votes.iter_mut().zip(gradient), |(sum, gradient), chance| {
                *sum = sum.wrapping_add(vote_within(*gradient, factor, limit, chance) as i8);
            });
        });
    }

    /// Follows the scales of all shards after an update.
    pub(super) fn follow(&mut self, ballot: &Ballot) {
        self.scale.follow(&ballot.scales);
    }

    pub(super) fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        self.scale.save(&format!("{prefix}.scale"), writer)
    }

    pub(super) fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.scale.load(&format!("{prefix}.scale"), reader)
    }
}

/// Rows of one panel of the gradient, in bfloat16.
fn rounded_panel(gradient: &Gradient<'_>, panel: usize, dense: &mut [u16]) {
    let first = panel * PANEL_ROWS;
    let rows = first..first + dense.len() / gradient.columns().max(1);
    with_buffer(dense.len(), |buffer| {
        gradient.panel(rows, buffer);
        for (dense, value) in dense.iter_mut().zip(buffer) {
            *dense = to_bfloat16(*value);
        }
    });
}

/// The vote of one gradient: clip(round(d·factor), ±127), halves to even.
///
/// Without a library call: adding 1.5·2^23 leaves the integer in the low bits.
#[inline(always)]
pub(super) fn vote(gradient: u16, factor: f32) -> i32 {
    vote_within(gradient, factor, 127.0, 0.0)
}

/// The same within other limits, and moved by chance before it is rounded.
#[inline(always)]
fn vote_within(gradient: u16, factor: f32, limit: f32, chance: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    let value = (from_bfloat16(gradient) * factor).clamp(-limit, limit) + chance;
    (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}
