//! Shift batch norm: per output channel a power of two that goes into the weights, and an int32 bias. Nothing else of it
//! is left in an exported model.
//!
//! Per channel, in steps of an int8 output: a shift k (int8), the running mean M and the bias B of the convolution's sums
//! (int32, in 1/256), their running variance V (in 1/256). The sums include 2^k and no bias. With e₀ the row's unit, which
//! is its smallest exponent in use:
//!
//! - Shift in force: `k' = min(k, −1 − e₀)`, so that the sums' unit e = e₀ + k' is at most ½; without the limit, channels
//!   that give nothing would raise k for ever.
//! - Bias of the exported layer: `b = round((B − M)/256 / 2^e)`, halves to even.
//! - Start: `M = ⌊256·mean + ½⌋`, `V = round(256·variance)` of one batch, then the step of k below, over and over.
//! - Each update: `M += ⌊(256·mean − M)/16 + ½⌋`, `V += round((256·variance − V)/16)`, mean and variance of the batch; then
//!   with `Δ = round(log2(24/√(V/256)))` within ±12, and not above −1 − e₀ − k (but that never lowers k):
//!   `k += Δ`, `M = round(M·2^Δ)`, `V = round(V·2^2Δ)`. From 70 % of the updates on, k stays as it is.
//! - Bias votes: as those of a layer without a norm (`rule/bias.rs`), from the sums over a channel of the gradient with
//!   respect to the norm's outputs.
//!
//! Up to 75 % of the updates the forward pass of training norms with the batch's own mean and variance, from then on with
//! the running ones, as the exported model does. Which of both is told by the number of the update: nothing about it is
//! stored.

use super::Step;
use super::ballot::{Ballot, BiasBallot, Shards};
use super::bias::{FRACTION_BITS, VotedBias, scaled};
use super::gradient::rounded_log2_of_root;
use crate::checkpoint::{CheckpointError, StateReader};
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Root mean square of a channel's outputs, in output steps.
pub const TARGET: f64 = 24.0;

/// Keeps the quotient by a variance finite.
pub const EPSILON: f64 = 1e-6;

/// Units of means, variances and biases in one output step, or its square.
const UNIT: f64 = (1 << FRACTION_BITS) as f64;

/// Updates that running statistics remember.
const MEMORY: f64 = 16.0;

/// Largest step of k at a time.
const LARGEST_STEP: i32 = 12;

/// Largest magnitude of k: exponents of −14…15 stay far inside int8.
const LARGEST_SHIFT: i32 = 64;

/// Largest variance, which f64 holds exactly.
const LARGEST_VARIANCE: i64 = 1 << 52;

/// Means and variances of a batch, channel by channel, in output steps; the variance is that of the batch itself, divided by
/// its size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Mean of every channel.
    pub means: Vec<f64>,
    /// Variance of every channel.
    pub variances: Vec<f64>,
}

/// What the number of an update says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The shifts k may move.
    pub moves_shifts: bool,
    /// The forward pass norms with the batch's own statistics.
    pub uses_batch: bool,
}

impl Phase {
    /// Of update number `index` out of `total`.
    pub const fn of(index: u64, total: u64) -> Self {
        let (index, total) = (index as u128, total as u128);
        Self { moves_shifts: index * 10 < total * 7, uses_batch: index * 4 < total * 3 }
    }
}

/// The norm of one layer.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    shifts: Vec<i8>,
    means: Vec<i32>,
    variances: Vec<i64>,
    bias: VotedBias,
}

impl BatchNorm {
    /// Changes nothing yet: shifts, means and biases are 0, variances 1.
    pub fn new(channels: usize) -> Self {
        Self {
            shifts: vec![0; channels],
            means: vec![0; channels],
            variances: vec![1 << FRACTION_BITS; channels],
            bias: VotedBias::new(channels, true),
        }
    }

    /// The shifts in force, k', for rows of these units before the shift.
    pub fn shifts(&self, units: &[i32]) -> Vec<i32> {
        self.shifts.iter().zip(units).map(|(shift, unit)| i32::from(*shift).min(-1 - unit)).collect()
    }

    /// The bias of every row, in units of 2^`units[row]` after the shift.
    pub fn offsets(&self, units: &[i32]) -> Vec<i32> {
        let rows = self.bias.values().iter().zip(&self.means).zip(units);
        rows.map(|((bias, mean), unit)| scaled(i64::from(*bias) - i64::from(*mean), -FRACTION_BITS - unit)).collect()
    }

    /// B of every channel in output steps: what the batch's own mean is replaced by in training.
    pub fn biases(&self) -> impl Iterator<Item = f64> {
        self.bias.values().iter().map(|bias| f64::from(*bias) / UNIT)
    }

    /// One step of the calibration before the first update: takes a batch's statistics as they are.
    pub fn calibrate(&mut self, statistics: &Statistics, units: &[i32]) {
        for ((mean, variance), (new_mean, new_variance)) in self.running().zip(statistics.channels()) {
            *mean = (UNIT * new_mean + 0.5).floor() as i32;
            *variance = (UNIT * new_variance).round_ties_even() as i64;
        }
        self.move_shifts(units);
    }

    /// Follows a batch's statistics after an update.
    pub fn follow(&mut self, statistics: &Statistics, units: &[i32], phase: Phase) {
        for ((mean, variance), (new_mean, new_variance)) in self.running().zip(statistics.channels()) {
            let mean_change = ((UNIT * new_mean - f64::from(*mean)) / MEMORY + 0.5).floor();
            *mean = mean.saturating_add(mean_change as i32);
            let variance_change = ((UNIT * new_variance - *variance as f64) / MEMORY).round_ties_even();
            *variance = variance.saturating_add(variance_change as i64).clamp(0, LARGEST_VARIANCE);
        }
        if phase.moves_shifts {
            self.move_shifts(units);
        }
    }

    /// Moves the biases; `gradients` are those of the mean loss with respect to each channel's outputs, summed.
    pub fn vote(&mut self, gradients: &[f64], step: Step) {
        self.bias.vote(gradients, step);
    }

    /// What shards say to the biases, before anyone has.
    pub fn ballot(&self, shards: Shards) -> BiasBallot {
        self.bias.ballot(shards)
    }

    /// Adds the votes of one shard, whose gradients these are.
    pub fn vote_shard(&self, gradients: &[f64], step: Step, shard: usize, ballot: &mut Ballot) {
        self.bias.vote_shard(gradients, step, (ballot.shards, shard), &mut ballot.norm);
    }

    /// Moves the biases by the votes of all shards.
    pub fn apply(&mut self, ballot: &Ballot) {
        self.bias.apply(&ballot.norm);
    }

    fn running(&mut self) -> impl Iterator<Item = (&mut i32, &mut i64)> {
        self.means.iter_mut().zip(&mut self.variances)
    }

    fn move_shifts(&mut self, units: &[i32]) {
        let channels = self.shifts.iter_mut().zip(&mut self.means).zip(&mut self.variances).zip(units);
        for (((shift, mean), variance), unit) in channels {
            *variance = (*variance).clamp(0, LARGEST_VARIANCE);
            let old = i32::from(*shift);
            let room = (-1 - unit - old).max(0);
            let step = distance_to_target(*variance as f64 / UNIT).clamp(-LARGEST_STEP, LARGEST_STEP).min(room);
            let step = (old + step).clamp(-LARGEST_SHIFT, LARGEST_SHIFT) - old;
            *shift = (old + step) as i8;
            *mean = scaled(i64::from(*mean), step);
            *variance = scaled_by_squares(*variance, step);
        }
    }

    /// Adds the norm's tensors to a checkpoint.
    ///
    /// # Errors
    /// [`WriteError`] where the format has no room.
    pub fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        writer.push(&format!("{prefix}.norm_shift"), 1, StateValues::I8(&self.shifts))?;
        writer.push(&format!("{prefix}.norm_mean"), 1, StateValues::I32(&self.means))?;
        writer.push(&format!("{prefix}.norm_variance"), 1, StateValues::I64(&self.variances))?;
        self.bias.save_as(&format!("{prefix}.norm_bias"), writer)
    }

    /// Takes the norm's tensors from a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] where a tensor is missing or of another shape.
    pub fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let channels = self.shifts.len();
        self.shifts = reader.i8s(&format!("{prefix}.norm_shift"), channels)?;
        self.means = reader.i32s(&format!("{prefix}.norm_mean"), channels)?;
        self.variances = reader.i64s(&format!("{prefix}.norm_variance"), channels)?;
        self.bias.load_as(&format!("{prefix}.norm_bias"), reader)
    }

    /// Bytes of the state.
    pub fn state_bytes(&self) -> usize {
        self.shifts.len() + self.means.len() * 4 + self.variances.len() * 8 + self.bias.state_bytes()
    }
}

impl Statistics {
    fn channels(&self) -> impl Iterator<Item = (f64, f64)> {
        self.means.iter().copied().zip(self.variances.iter().copied())
    }
}

/// round(log2(24/√variance)), halves to even: the power of two that brings a channel nearest to the target. A channel that
/// varies by nothing is as far away as the norm looks.
pub fn distance_to_target(variance: f64) -> i32 {
    // Division by 24² keeps what is exactly between two powers of two there.
    rounded_log2_of_root(variance / (TARGET * TARGET)).map_or(LARGEST_STEP, |logarithm| -logarithm)
}

/// round(value·2^(2·step)), halves to even.
fn scaled_by_squares(value: i64, step: i32) -> i64 {
    let factor = 2f64.powi(2 * step);
    // A power of two times an integer below 2^52.
    ((value as f64 * factor).round_ties_even() as i64).min(LARGEST_VARIANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(mean: f64, variance: f64) -> Statistics {
        Statistics { means: vec![mean], variances: vec![variance] }
    }

    fn state(norm: &BatchNorm) -> (i8, i32, i64) {
        (norm.shifts[0], norm.means[0], norm.variances[0])
    }

    #[test]
    fn phases_follow_the_number_of_the_update() {
        let phases = [69, 70, 74, 75, 99].map(|index| Phase::of(index, 100));
        assert_eq!(phases.map(|phase| phase.moves_shifts), [true, false, false, false, false]);
        assert_eq!(phases.map(|phase| phase.uses_batch), [true, true, true, false, false]);
        assert_eq!(Phase::of(0, 1), Phase { moves_shifts: true, uses_batch: true });
    }

    #[test]
    fn the_calibration_takes_statistics_and_moves_to_the_target() {
        let mut norm = BatchNorm::new(1);
        // √4 = 2 steps, 12 times below the target: 2^3.58 rounds to 2^4.
        norm.calibrate(&statistics(-1.5, 4.0), &[-9]);
        assert_eq!(state(&norm), (4, -384 * 16, 4 * 256 * 256));
        // The sums have followed.
        norm.calibrate(&statistics(-24.0, 1024.0), &[-9]);
        assert_eq!(state(&norm), (4, -24 * 256, 1024 * 256));
    }

    #[test]
    fn shifts_end_where_the_unit_is_a_half() {
        let mut norm = BatchNorm::new(1);
        norm.calibrate(&statistics(0.0, 0.0), &[-5]);
        norm.calibrate(&statistics(0.0, 0.0), &[-5]);
        assert_eq!((state(&norm).0, norm.shifts(&[-5]), norm.shifts(&[-3])), (4, vec![4], vec![2]));
        // The unit has risen: k stays, but what is in force does not.
        norm.calibrate(&statistics(0.0, 1e-3), &[-3]);
        assert_eq!(state(&norm).0, 4);
        norm.calibrate(&statistics(0.0, 1e6), &[-3]);
        assert_eq!(state(&norm).0, 4 - 5);
    }

    #[test]
    fn running_statistics_follow_a_sixteenth_of_the_way() {
        let mut norm = BatchNorm::new(1);
        norm.calibrate(&statistics(0.0, 576.0), &[-9]);
        assert_eq!(state(&norm), (0, 0, 147_456));
        let frozen = Phase { moves_shifts: false, uses_batch: true };
        // 256·3/16 = 48; 256·10/16 = 160; then (256·0.25 − 48)/16 = 1 and a half down: ⌊x + ½⌋.
        norm.follow(&statistics(3.0, 586.0), &[-9], frozen);
        assert_eq!(state(&norm), (0, 48, 147_616));
        norm.follow(&statistics((48.0 - 8.0) / 256.0, (147_616.0 + 8.0) / 256.0), &[-9], frozen);
        assert_eq!(state(&norm), (0, 48, 147_616));
        norm.follow(&statistics((48.0 + 8.0) / 256.0, (147_616.0 + 24.0) / 256.0), &[-9], frozen);
        assert_eq!(state(&norm), (0, 49, 147_618));
        // A variance of four times the target's halves the shift, once it may move.
        norm.means[0] = 3;
        norm.variances[0] = 4 * 147_456;
        let moving = Phase { moves_shifts: true, uses_batch: true };
        norm.follow(&statistics(3.0 / 256.0, 4.0 * 576.0), &[-9], moving);
        assert_eq!(state(&norm), (-1, 2, 147_456));
    }

    #[test]
    fn offsets_are_biases_less_means_in_units() {
        let mut norm = BatchNorm::new(2);
        norm.means = vec![-300, 640];
        // In units of ¼: 300/64 = 4.69; −640/128 = −5 in units of ½.
        assert_eq!(norm.offsets(&[-2, -1]), [5, -5]);
        norm.vote(&[1.0, -1.0], Step { index: 0, lambda: 1.0 });
        // Votes of 4: B = ∓64.
        assert_eq!(norm.biases().collect::<Vec<_>>(), [-0.25, 0.25]);
        assert_eq!(norm.offsets(&[-8, -8]), [300 - 64, -640 + 64]);
    }

    #[test]
    fn halfway_between_two_powers_the_even_one_is_taken() {
        // 24²/2 lies at 2^½, 24²/8 at 2^1½, 2·24² at 2^−½.
        let found = [288.0, 72.0, 1152.0, 576.0, 0.0].map(distance_to_target);
        assert_eq!(found, [0, 2, 0, 0, 12]);
    }
}
