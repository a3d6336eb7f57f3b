//! Integer biases: one int32 per output in 1/256 of an output step, moved by votes.
//!
//! With G the bias gradient and s its root mean square rounded to a power of two (never below 2^−8 of the largest s
//! seen): `q = clip(round(4·λ·G/s), ±127)`, `B = clip(B − 16·q, ±2^20)`.

use super::ballot::{BiasBallot, Shards};
use super::gradient::{Gradient, ordered_sum};
use super::magnitude::VoteScale;
use super::{Step, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Bits below one output step.
pub(super) const FRACTION_BITS: i32 = 8;

/// Largest magnitude of a bias.
const LIMIT: i32 = 1 << 20;

/// Weight of one vote.
const VOTE: i32 = 16;

/// Votes of a gradient of one scale at λ = 1.
pub(crate) const VOTE_GAIN: f32 = 4.0;

/// The biases of one layer; empty for a layer without.
#[derive(Clone, Debug)]
pub(super) struct VotedBias {
    values: Vec<i32>,
    scale: VoteScale,
}

impl VotedBias {
    /// Zeros for every row, or nothing.
    pub(super) fn new(rows: usize, present: bool) -> Self {
        Self { values: if present { vec![0; rows] } else { Vec::new() }, scale: VoteScale::new() }
    }

    /// The biases in units of 2^unit of an output step, halves to even.
    pub(super) fn in_units(&self, units: &[i32]) -> Vec<i32> {
        self.values.iter().zip(units).map(|(value, unit)| scaled((*value).into(), -FRACTION_BITS - unit)).collect()
    }

    /// The biases in 1/256 of an output step.
    pub(super) fn values(&self) -> &[i32] {
        &self.values
    }

    pub(super) fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        if !self.values.is_empty() {
            self.vote(&gradient.bias(), step);
        }
    }

    /// One update with the gradient of every bias.
    pub(super) fn vote(&mut self, gradients: &[f64], step: Step) {
        let squares: Vec<f64> = gradients.iter().map(|g| g * g).collect();
        let Some(exponent) = self.scale.next(ordered_sum(&squares) / squares.len() as f64) else { return };
        let factor = VOTE_GAIN * step.lambda * power_of_two(-exponent);
        for (value, gradient) in self.values.iter_mut().zip(gradients) {
            let vote = (gradient * f64::from(factor)).round_ties_even().clamp(-127.0, 127.0) as i32;
            *value = (*value - VOTE * vote).clamp(-LIMIT, LIMIT);
        }
    }

    /// What shards say to these biases, before anyone has.
    pub(super) fn ballot(&self, shards: Shards) -> BiasBallot {
        BiasBallot::new(shards, self.values.len())
    }

    /// Adds the votes of one shard with the gradient of every bias.
    pub(super) fn vote_shard(
        &self,
        gradients: &[f64],
        step: Step,
        (shards, shard): (Shards, usize),
        ballot: &mut BiasBallot,
    ) {
        if self.values.is_empty() {
            return;
        }
        let squares: Vec<f64> = gradients.iter().map(|g| g * g).collect();
        let mean = ordered_sum(&squares) / squares.len() as f64;
        let scale = ballot.scales.get_mut(shard);
        let Some(factor) = self.scale.of_shard(mean, shards.gain(VOTE_GAIN), step.lambda, scale) else { return };
        let limit = f64::from(shards.limit());
        for (sum, gradient) in ballot.votes.iter_mut().zip(gradients) {
            let vote = (gradient * f64::from(factor)).round_ties_even().clamp(-limit, limit);
            *sum = sum.wrapping_add(vote as i8);
        }
    }

    /// One update by the votes of all shards.
    pub(super) fn apply(&mut self, ballot: &BiasBallot) {
        self.scale.follow(&ballot.scales);
        for (value, vote) in self.values.iter_mut().zip(&ballot.votes) {
            *value = (*value - VOTE * i32::from(*vote)).clamp(-LIMIT, LIMIT);
        }
    }

    pub(super) fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        if self.values.is_empty() {
            return Ok(());
        }
        self.save_as(&format!("{prefix}.bias"), writer)
    }

    /// Adds the biases to a checkpoint by this name.
    pub(super) fn save_as(&self, name: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        writer.push(name, 1, StateValues::I32(&self.values))?;
        self.scale.save(&format!("{name}_scale"), writer)
    }

    pub(super) fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        if self.values.is_empty() {
            return Ok(());
        }
        self.load_as(&format!("{prefix}.bias"), reader)
    }

    /// Takes the biases from a checkpoint by this name.
    pub(super) fn load_as(&mut self, name: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.values = reader.i32s(name, self.values.len())?;
        self.scale.load(&format!("{name}_scale"), reader)
    }

    pub(super) fn state_bytes(&self) -> usize {
        self.values.len() * 4
    }
}

/// value·2^shift, halves to even, saturated to int32.
pub(super) fn scaled(value: i64, shift: i32) -> i32 {
    let value = i128::from(value);
    let saturated = |value: i128| value.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    if shift >= 0 {
        // Below 2^127; and what is shifted further is saturated or 0 already.
        return saturated(value << shift.min(63));
    }
    let right = shift.unsigned_abs().min(100);
    let floor = value >> right;
    let rest = value - (floor << right);
    let half = 1i128 << (right - 1);
    saturated(floor + i128::from(rest > half || (rest == half && floor & 1 == 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_even() {
        assert_eq!([-6, -2, 2, 6, 5, 7].map(|v| scaled(v, -2)), [-2, 0, 0, 2, 1, 2]);
        assert_eq!(scaled(-3, 4), -48);
        assert_eq!(scaled(LIMIT.into(), 40), i32::MAX);
    }
}
