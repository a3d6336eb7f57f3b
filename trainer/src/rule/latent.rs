//! Integer latent weights: for noisy gradients and networks that underfit, where a trit's count of votes remembers too
//! little.
//!
//! Per weight an int16 latent L and an int16 momentum m with 4 fractional bits; per row and per column an int32 second
//! moment with 12 fractional bits. Floats are made from these integers within a step and dropped. Roundings are half to
//! even.
//!
//! - Start: `L = clip(round(4096·w/σ), ±32767)`, w the initial weights, σ their deviation.
//! - Weights: a = mean |L| of the group, `T = clip(round(L/a), ±1)`, `E = clamp(round(log2(a·σ/4096)), −14, 15)`.
//! - Votes: `q = clip(round(16·D/s), ±127)`, s as in `flip-correlation`.
//! - Momentum: `m += round((16·q − m)/8)`.
//! - Second moments: `v_row += round((mean q² of the row − v_row)/128)`, `v_col` likewise over columns; a weight's is
//!   `√v = √v_row·√(v_col/mean(v_row))`, both roots rounded to single precision before they are multiplied.
//! - Update: `L = clip(L − round(256·λ·(m/16)/2^round(log2(√v + 0.1))), ±32767)`.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::gradient::{Gradient, PANEL_ROWS};
use super::initial::{self, Draw};
use super::magnitude::{MagnitudeVotes, vote};
use super::{LayerState, Step, Ternary, clamp_exponent, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Latents of one standard deviation of the initial weights.
const UNIT: f32 = 4096.0;

/// Votes of a gradient of one scale.
pub(crate) const VOTE_GAIN: f32 = 16.0;

/// Latents that momentum of one root second moment moves at λ = 1.
const STEP: f32 = 256.0;

/// Second moments count 2^12 to one.
const MOMENT_UNIT: f64 = 4096.0;

/// Steps that a second moment remembers.
const MOMENT_MEMORY: f64 = 128.0;

/// Keeps the quotient of the update finite.
const EPSILON: f32 = 0.1;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Latent {
    stage: Stage,
    latent: Vec<i16>,
    momentum: Vec<i16>,
    row_moments: Vec<i32>,
    column_moments: Vec<i32>,
    votes: MagnitudeVotes,
    bias: VotedBias,
}

impl Latent {
    pub(super) fn new(stage: &Stage, draw: Draw) -> Self {
        let scale = UNIT / initial::stage_deviation(stage);
        let latent = |w: f32| (w * scale).round_ties_even().clamp(-32767.0, 32767.0) as i16;
        Self {
            stage: *stage,
            latent: initial::normal_weights(stage, draw).into_iter().map(latent).collect(),
            momentum: vec![0; stage.weights()],
            row_moments: vec![0; stage.rows],
            column_moments: vec![0; stage.columns],
            votes: MagnitudeVotes::new(stage),
            bias: VotedBias::new(stage.rows, stage.bias),
        }
    }

    /// Exponent of a group, from the sum of its latents' magnitudes.
    fn exponent(&self, sum: i64, len: usize) -> i32 {
        let mean = (sum as f64 / len.max(1) as f64).max(1.0);
        let scale = mean * f64::from(initial::stage_deviation(&self.stage)) / f64::from(UNIT);
        clamp_exponent(rounded_log2(scale))
    }

    /// Follows the second moments with this step's votes.
    fn follow_moments(&mut self, votes: &Votes<'_, '_>) {
        let (rows, columns) = (self.stage.rows, self.stage.columns);
        let source = &self.votes;
        let sums: Vec<(Vec<i64>, Vec<i64>)> = (0..rows.div_ceil(PANEL_ROWS))
            .into_par_iter()
            .map(|panel| {
                let panel_rows = PANEL_ROWS.min(rows - panel * PANEL_ROWS);
                votes.with_panel(source, panel, (panel_rows, columns), |votes| {
                    let mut of_columns = vec![0i64; columns];
                    let of_rows = votes.chunks(columns).map(|row| {
                        let squares = row.iter().zip(&mut of_columns).map(|(vote, column)| {
                            let square = i64::from(*vote).pow(2);
                            *column += square;
                            square
                        });
                        squares.sum()
                    });
                    (of_rows.collect(), of_columns)
                })
            })
            .collect();
        let of_rows = sums.iter().flat_map(|(rows, _)| rows.iter().copied());
        for (moment, sum) in self.row_moments.iter_mut().zip(of_rows) {
            follow(moment, sum, columns);
        }
        for (column, moment) in self.column_moments.iter_mut().enumerate() {
            let sum = sums.iter().filter_map(|(_, columns)| columns.get(column)).sum();
            follow(moment, sum, rows);
        }
    }

    fn move_latents(&mut self, votes: &Votes<'_, '_>, lambda: f32) {
        let columns = self.stage.columns;
        let mean = self.row_moments.iter().map(|v| f64::from(*v)).sum::<f64>() / self.stage.rows as f64;
        let root = |value: f64| value.sqrt() as f32;
        let of_columns: Vec<f32> =
            self.column_moments.iter().map(|v| if mean > 0.0 { root(f64::from(*v) / mean) } else { 0.0 }).collect();
        let of_rows: Vec<f32> = self.row_moments.iter().map(|v| root(f64::from(*v) / MOMENT_UNIT)).collect();
        let source = &self.votes;
        let latent = self.latent.par_chunks_mut(PANEL_ROWS * columns);
        let momentum = self.momentum.par_chunks_mut(PANEL_ROWS * columns);
        latent.zip(momentum).enumerate().for_each(|(panel, (latent, momentum))| {
            votes.with_panel(source, panel, (latent.len() / columns, columns), |votes| {
                let rows = latent.chunks_mut(columns).zip(momentum.chunks_mut(columns)).zip(votes.chunks(columns));
                for (((latent, momentum), votes), of_row) in rows.zip(of_rows.iter().skip(panel * PANEL_ROWS)) {
                    let weights = latent.iter_mut().zip(momentum).zip(votes).zip(&of_columns);
                    for (((latent, momentum), vote), of_column) in weights {
                        *momentum = followed_momentum(*momentum, i32::from(*vote));
                        *latent = moved_latent(*latent, *momentum, of_row * of_column, lambda);
                    }
                }
            });
        });
    }
}

/// Where the votes of an update come from.
enum Votes<'a, 'b> {
    /// A whole batch's gradient and the factor that makes votes of it.
    Gradient(&'a Gradient<'b>, f32),
    /// The sums of all shards.
    Ballot(&'a [i8]),
}

impl Votes<'_, '_> {
    /// Calls `f` with the votes of panel number `panel`, [rows, columns].
    fn with_panel<T>(
        &self,
        source: &MagnitudeVotes,
        panel: usize,
        (rows, columns): (usize, usize),
        f: impl FnOnce(&[i8]) -> T,
    ) -> T {
        let len = rows * columns;
        match self {
            Self::Gradient(gradient, factor) => source.with_panel(gradient, panel, len, |gradient| {
                let votes: Vec<i8> = gradient.iter().map(|d| vote(*d, *factor) as i8).collect();
                f(&votes)
            }),
            Self::Ballot(votes) => {
                let first = panel * PANEL_ROWS * columns;
                f(votes.get(first..first + len).unwrap_or_default())
            }
        }
    }
}

/// m + round((16·q − m)/8): at most 16·127 in magnitude.
fn followed_momentum(momentum: i16, vote: i32) -> i16 {
    let momentum = i32::from(momentum);
    let change = ((16 * vote - momentum) as f32 / 8.0).round_ties_even();
    (momentum + change as i32) as i16
}

/// L − round(256·λ·(m/16)/2^round(log2(√v + 0.1))), clipped.
fn moved_latent(latent: i16, momentum: i16, root: f32, lambda: f32) -> i16 {
    let scale = power_of_two(-rounded_log2(f64::from(root + EPSILON)));
    let change = (STEP * lambda * (f32::from(momentum) / 16.0) * scale).round_ties_even();
    (f32::from(latent) - change).clamp(-32767.0, 32767.0) as i16
}

/// Moves a moment towards sum/count.
fn follow(moment: &mut i32, sum: i64, count: usize) {
    let target = sum as f64 * MOMENT_UNIT / count.max(1) as f64;
    // Targets stay below 127²·2^12 < 2^26.
    *moment += ((target - f64::from(*moment)) / MOMENT_MEMORY).round_ties_even() as i32;
}

/// round(log2(value)) of a positive normal number by its bits: √2 parts one power from the next.
pub(super) fn rounded_log2(value: f64) -> i32 {
    let bits = value.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    let root_two = std::f64::consts::SQRT_2.to_bits() & ((1 << 52) - 1);
    (bits >> 52) as i32 - 1023 + i32::from(mantissa >= root_two)
}

impl LayerState for Latent {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let (columns, group) = (self.stage.columns, self.stage.group.get());
        let rows = self.latent.chunks(columns).skip(first_row);
        for (weights, latent) in weights.chunks_mut(columns).zip(rows) {
            for (weights, latent) in weights.chunks_mut(group).zip(latent.chunks(group)) {
                let sum = magnitude(latent);
                let scale = power_of_two(self.exponent(sum, latent.len()));
                for (weight, value) in weights.iter_mut().zip(latent) {
                    *weight = f32::from(trit(*value, sum, latent.len())) * scale;
                }
            }
        }
    }

    fn ternary(&self) -> Ternary {
        let group = self.stage.group.get();
        let rows = || self.latent.chunks(self.stage.columns).flat_map(|row| row.chunks(group));
        let trits = rows().flat_map(|latent| {
            let sum = magnitude(latent);
            latent.iter().map(move |value| trit(*value, sum, latent.len()))
        });
        let exponents = rows().map(|latent| self.exponent(magnitude(latent), latent.len()) as i8);
        Ternary { trits: trits.collect(), exponents: exponents.collect() }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        if let Some(exponent) = self.votes.find_scale(gradient) {
            let factor = VOTE_GAIN * power_of_two(-exponent);
            self.follow_moments(&Votes::Gradient(gradient, factor));
            self.move_latents(&Votes::Gradient(gradient, factor), step.lambda);
        }
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, self.stage.weights(), 0, self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        self.votes.vote(gradient, (ballot.shards.mean_gain(VOTE_GAIN), 1.0), (shard, step.index), ballot);
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, step: Step) {
        self.votes.follow(ballot);
        if ballot.has_votes() {
            self.follow_moments(&Votes::Ballot(&ballot.votes));
            self.move_latents(&Votes::Ballot(&ballot.votes), step.lambda);
        }
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.latent"), rows, StateValues::I16(&self.latent))?;
        writer.push(&format!("{prefix}.momentum"), rows, StateValues::I16(&self.momentum))?;
        writer.push(&format!("{prefix}.row_moments"), rows, StateValues::I32(&self.row_moments))?;
        writer.push(&format!("{prefix}.column_moments"), 1, StateValues::I32(&self.column_moments))?;
        self.votes.save(prefix, writer)?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let count = self.latent.len();
        self.latent = reader.i16s(&format!("{prefix}.latent"), count)?;
        self.momentum = reader.i16s(&format!("{prefix}.momentum"), count)?;
        self.row_moments = reader.i32s(&format!("{prefix}.row_moments"), self.stage.rows)?;
        self.column_moments = reader.i32s(&format!("{prefix}.column_moments"), self.stage.columns)?;
        self.votes.load(prefix, reader)?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        (self.latent.len() + self.row_moments.len() + self.column_moments.len()) * 4 + self.bias.state_bytes()
    }
}

/// Σ |L| of a group.
fn magnitude(latent: &[i16]) -> i64 {
    latent.iter().map(|value| i64::from(value.unsigned_abs())).sum()
}

/// clip(round(L/mean), ±1), halves to even: ±1 where |L| exceeds half the mean, by integers alone.
fn trit(latent: i16, sum: i64, len: usize) -> i8 {
    let exceeds = 2 * i64::from(latent.unsigned_abs()) * len as i64 > sum;
    if exceeds { latent.signum() as i8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trits_round_by_the_mean_of_their_group() {
        let latent = [100, -49, 51, -300, 0];
        let sum = magnitude(&latent);
        assert_eq!(sum, 500);
        assert_eq!(latent.map(|value| trit(value, sum, 5)), [1, 0, 1, -1, 0]);
        assert_eq!(trit(50, 500, 5), 0);
        assert_eq!(trit(0, 0, 5), 0);
    }

    #[test]
    fn momentum_and_latent_follow_their_formulas() {
        assert_eq!(followed_momentum(0, 10), 20);
        // (−2032 − 20)/8 = −256.5 goes to −256.
        assert_eq!(followed_momentum(20, -127), -236);
        // √v = 1.9 → 2^1; 256·½·(20/16)/2 = 80.
        assert_eq!(moved_latent(1000, 20, 1.9, 0.5), 920);
        assert_eq!(moved_latent(-32700, 2032, 0.0, 1.0), -32767);
    }

    #[test]
    fn moments_follow_the_mean() {
        let mut moment = 0;
        for _ in 0..2000 {
            follow(&mut moment, 300, 100);
        }
        assert!((moment - 3 * 4096).abs() <= 64, "{moment}");
    }

    proptest! {
        #[test]
        fn logarithms_round_like_floating_point(value in 1e-9f64..1e9) {
            prop_assert_eq!(rounded_log2(value), value.log2().round() as i32);
        }
    }
}
