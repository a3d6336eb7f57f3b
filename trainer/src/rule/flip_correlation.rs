//! Integer flip + correlation, the rule to use: matches straight-through training with integers alone.
//!
//! Per layer, D the weight gradient of the mean loss, λ the schedule, all roundings half to even:
//!
//! 1. Weights: `W = T·2^clamp(E + ((corr + 2^12) >> 13), −14, 15)`: what is trained is what is exported.
//! 2. Scale: `s = 2^round(log2 rms(D))` over the layer, never below 2^−8 of the largest s so far. Votes:
//!    `q = clip(round(4·λ·D/s), ±127)`; a gradient of zero abstains.
//! 3. Flips: `acc = clip(acc − q, −128, 127)`; where acc > 63, T moves up by one and acc = 0; where acc < −63, T moves
//!    down by one and acc = 0; T stays within ±1.
//! 4. Correlation: `corr = clip(corr − max(1, round(16·λ))·Σ_group q·T, ±2^15)`, T as before the flips.
//! 5. E stays as initialised; the last layer starts 2 higher.
//!
//! State per weight: one trit, one int8; per group: int8 and a correlation within ±2^15.

use super::bias::VotedBias;
use super::gradient::{
    Gradient, PANEL_ROWS, from_bfloat16, ordered_sum, rounded_log2_of_root, sum_of_squares, to_bfloat16, with_buffer,
};
use super::initial::{self, Draw};
use super::{EXPONENT_LIMITS, LayerState, Step, Ternary, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// A trit moves where the accumulator's magnitude exceeds this.
const FLIP_THRESHOLD: i32 = 63;

/// Votes of a gradient of one scale at λ = 1.
const VOTE_GAIN: f32 = 4.0;

/// Correlation step at λ = 1.
const CORRELATION_STEP: f32 = 16.0;

/// The correlation counts 2^13 to one exponent.
const CORRELATION_BITS: u32 = 13;

/// Four exponents up or down.
const CORRELATION_LIMIT: i64 = 4 << CORRELATION_BITS;

/// Added to the last layer's initial exponents.
const LAST_LAYER_GAIN: i8 = 2;

/// Largest gradient (in weights) kept whole between finding the scale and voting; larger ones are computed twice.
const DENSE_LIMIT: usize = 1 << 21;

/// The scale of a layer's votes: a power of two that follows the gradient, with a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoteScale {
    /// Largest exponent so far; `i8::MIN` before the first.
    largest: i8,
}

impl VoteScale {
    /// The floor lies this many powers of two below the largest scale so far.
    const FLOOR: i32 = 8;

    pub(super) const fn new() -> Self {
        Self { largest: i8::MIN }
    }

    /// The exponent of the scale for this mean square; `None` where the gradient is zero, and nobody votes.
    pub(super) fn next(&mut self, mean_square: f64) -> Option<i32> {
        let exponent = rounded_log2_of_root(mean_square)?.clamp(-126, 126);
        self.largest = self.largest.max(exponent as i8);
        Some(exponent.max(i32::from(self.largest) - Self::FLOOR))
    }

    pub(super) fn save(&self, name: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        writer.push(name, 1, StateValues::I8(&[self.largest]))
    }

    pub(super) fn load(&mut self, name: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        for value in reader.i8s(name, 1)? {
            self.largest = value;
        }
        Ok(())
    }
}

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct FlipCorrelation {
    stage: Stage,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    corr: Vec<i64>,
    flips: Vec<i8>,
    scale: VoteScale,
    bias: VotedBias,
    /// Gradients between the two passes, in bfloat16; scratch, not state.
    dense: Vec<u16>,
    /// Sums of squares of the rows; scratch.
    row_squares: Vec<f64>,
    /// Largest layer whose gradient is kept whole.
    dense_limit: usize,
}

impl FlipCorrelation {
    pub(super) fn new(stage: &Stage, draw: Draw, is_last: bool) -> Self {
        let Ternary { trits, mut exponents } = initial::ternary(stage, &initial::normal_weights(stage, draw));
        if is_last {
            for exponent in &mut exponents {
                *exponent = exponent.saturating_add(LAST_LAYER_GAIN);
            }
        }
        Self {
            stage: *stage,
            corr: vec![0; exponents.len()],
            flips: vec![0; trits.len()],
            trits,
            exponents,
            scale: VoteScale::new(),
            bias: VotedBias::new(stage.rows, stage.bias),
            dense: Vec::new(),
            row_squares: vec![0.0; stage.rows],
            dense_limit: DENSE_LIMIT,
        }
    }

    /// The mean of D², and D itself in `self.dense` where the layer is small enough.
    fn mean_square(&mut self, gradient: &Gradient<'_>) -> f64 {
        let columns = self.stage.columns;
        let keep = self.stage.weights() <= self.dense_limit;
        if keep {
            self.dense.resize(self.stage.weights(), 0);
            let panels = self.dense.par_chunks_mut(PANEL_ROWS * columns);
            panels.zip(self.row_squares.par_chunks_mut(PANEL_ROWS)).enumerate().for_each(
                |(panel, (dense, squares))| {
                    votes_of_panel(gradient, panel, dense);
                    for (square, row) in squares.iter_mut().zip(dense.chunks(columns)) {
                        *square = sum_of_squares(row);
                    }
                },
            );
        } else {
            self.row_squares.par_chunks_mut(PANEL_ROWS).enumerate().for_each(|(panel, squares)| {
                let mut dense = vec![0; squares.len() * columns];
                votes_of_panel(gradient, panel, &mut dense);
                for (square, row) in squares.iter_mut().zip(dense.chunks(columns)) {
                    *square = sum_of_squares(row);
                }
            });
        }
        ordered_sum(&self.row_squares) / self.stage.weights() as f64
    }

    /// Steps 3 and 4 for every weight, given the votes' factor 4·λ/s.
    fn vote(&mut self, gradient: &Gradient<'_>, factor: f32, correlation_step: i64) {
        let (columns, groups, group) = (self.stage.columns, self.stage.groups(), self.stage.group.get());
        let dense = &self.dense;
        let kept = self.stage.weights() <= self.dense_limit;
        let trits = self.trits.par_chunks_mut(PANEL_ROWS * columns);
        let flips = self.flips.par_chunks_mut(PANEL_ROWS * columns);
        let corr = self.corr.par_chunks_mut(PANEL_ROWS * groups);
        trits.zip(flips).zip(corr).enumerate().for_each(|(panel, ((trits, flips), corr))| {
            let recomputed = if kept {
                Vec::new()
            } else {
                let mut dense = vec![0; trits.len()];
                votes_of_panel(gradient, panel, &mut dense);
                dense
            };
            let start = panel * PANEL_ROWS * columns;
            let panel_gradient = if kept { &dense[start..start + trits.len()] } else { &recomputed };
            let mut products = vec![0i16; columns];
            let rows = trits.chunks_mut(columns).zip(flips.chunks_mut(columns)).zip(corr.chunks_mut(groups));
            for (((trits, flips), corr), gradient) in rows.zip(panel_gradient.chunks(columns)) {
                flip_row(gradient, factor, trits, flips, &mut products);
                for (corr, products) in corr.iter_mut().zip(products.chunks(group)) {
                    let score: i32 = products.iter().map(|product| i32::from(*product)).sum();
                    *corr = (*corr - correlation_step * i64::from(score)).clamp(-CORRELATION_LIMIT, CORRELATION_LIMIT);
                }
            }
        });
    }
}

/// Rows of one panel of D, in bfloat16.
fn votes_of_panel(gradient: &Gradient<'_>, panel: usize, dense: &mut [u16]) {
    let first = panel * PANEL_ROWS;
    let rows = first..first + dense.len() / gradient.columns().max(1);
    with_buffer(dense.len(), |buffer| {
        gradient.panel(rows, buffer);
        for (dense, value) in dense.iter_mut().zip(buffer) {
            *dense = to_bfloat16(*value);
        }
    });
}

/// Votes and flips of one row; `products` receives q·T with T as before.
fn flip_row(gradient: &[u16], factor: f32, trits: &mut [i8], flips: &mut [i8], products: &mut [i16]) {
    let lanes = gradient.iter().zip(trits).zip(flips).zip(products);
    for (((gradient, trit), flip), product) in lanes {
        let vote = round_to_even((from_bfloat16(*gradient) * factor).clamp(-127.0, 127.0));
        let old = i32::from(*trit);
        *product = (vote * old) as i16;
        let moved = (i32::from(*flip) - vote).clamp(-128, 127);
        let up = i32::from(moved > FLIP_THRESHOLD);
        let down = i32::from(moved < -FLIP_THRESHOLD);
        *trit = (old + up - down).clamp(-1, 1) as i8;
        *flip = (moved * (1 - up - down)) as i8;
    }
}

/// Rounds |value| ≤ 2^22 to the nearest integer, halves to even, without a library call: adding 1.5·2^23 leaves the
/// integer in the low bits.
#[inline(always)]
fn round_to_even(value: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

/// The exponent that the forward pass uses.
fn effective(exponent: i8, corr: i64) -> i32 {
    let shift = (corr + (1 << (CORRELATION_BITS - 1))) >> CORRELATION_BITS;
    (i32::from(exponent) + shift as i32).clamp(*EXPONENT_LIMITS.start(), *EXPONENT_LIMITS.end())
}

impl LayerState for FlipCorrelation {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let (columns, groups, group) = (self.stage.columns, self.stage.groups(), self.stage.group.get());
        let trits = self.trits[first_row * columns..].chunks(columns);
        let exponents = self.exponents[first_row * groups..].chunks(groups);
        let corr = self.corr[first_row * groups..].chunks(groups);
        for (((weights, trits), exponents), corr) in weights.chunks_mut(columns).zip(trits).zip(exponents).zip(corr) {
            let scales = exponents.iter().zip(corr).map(|(e, corr)| power_of_two(effective(*e, *corr)));
            for ((weights, trits), scale) in weights.chunks_mut(group).zip(trits.chunks(group)).zip(scales) {
                for (weight, trit) in weights.iter_mut().zip(trits) {
                    *weight = f32::from(*trit) * scale;
                }
            }
        }
    }

    fn ternary(&self) -> Ternary {
        let exponents = self.exponents.iter().zip(&self.corr).map(|(e, corr)| effective(*e, *corr) as i8);
        Ternary { trits: self.trits.clone(), exponents: exponents.collect() }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let mean = self.mean_square(gradient);
        if let Some(exponent) = self.scale.next(mean) {
            let factor = VOTE_GAIN * step.lambda * power_of_two(-exponent);
            let correlation_step = (CORRELATION_STEP * step.lambda).round_ties_even().max(1.0) as i64;
            self.vote(gradient, factor, correlation_step);
        }
        self.bias.update(gradient, step);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I64(&self.corr))?;
        writer.push(&format!("{prefix}.flips"), rows, StateValues::I8(&self.flips))?;
        self.scale.save(&format!("{prefix}.scale"), writer)?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let (weights, groups) = (self.trits.len(), self.exponents.len());
        self.trits = reader.trits(&format!("{prefix}.trits"), weights)?;
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), groups)?;
        self.corr = reader.i64s(&format!("{prefix}.corr"), groups)?;
        self.flips = reader.i8s(&format!("{prefix}.flips"), weights)?;
        self.scale.load(&format!("{prefix}.scale"), reader)?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.trits.len() + self.flips.len() + self.exponents.len() + self.corr.len() * 8 + self.bias.state_bytes()
    }
}
