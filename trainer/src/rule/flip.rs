//! Trit flips by sign votes: exponents stay as they began, a trit jumps to ±1 where enough votes agree.
//!
//! - Weights: `W = T·2^clamp(E, −14, 15)`.
//! - Vote: `v = sgn(D)`.
//! - Update: `a = clamp8(a − v)`; `a > τ`: `T = +1`, `a = 0`; `a < −τ`: `T = −1`, `a = 0`.
//!
//! Kept for comparison: jumps never make a zero, so zeros run out; sign votes throw the gradient's magnitude away.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::gradient::Gradient;
use super::initial::{self, Draw};
use super::{LayerState, Step, Ternary, clamp_exponent, expand, power_of_two, votes};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// One weight: trit and accumulator, side by side because they move together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WeightState {
    trit: i8,
    accumulator: i8,
}

impl WeightState {
    /// One update with this vote.
    fn vote(&mut self, vote: i32, threshold: i32) {
        let accumulator = (i32::from(self.accumulator) - vote).clamp(-128, 127);
        let direction = i8::from(accumulator > threshold) - i8::from(accumulator < -threshold);
        if direction == 0 {
            self.accumulator = accumulator as i8;
        } else {
            *self = Self { trit: direction, accumulator: 0 };
        }
    }
}

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Flip {
    stage: Stage,
    threshold: i32,
    weights: Vec<WeightState>,
    exponents: Vec<i8>,
    bias: VotedBias,
}

impl Flip {
    pub(super) fn new(stage: &Stage, draw: Draw, threshold: u8) -> Self {
        let Ternary { trits, exponents } = initial::ternary(stage, draw);
        let weights = trits.into_iter().map(|trit| WeightState { trit, accumulator: 0 }).collect();
        let bias = VotedBias::new(stage.rows, stage.bias);
        Self { stage: *stage, threshold: i32::from(threshold), weights, exponents, bias }
    }

    fn trits(&self) -> Vec<i8> {
        self.weights.iter().map(|weight| weight.trit).collect()
    }
}

impl LayerState for Flip {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let columns = self.stage.columns;
        let states = self.weights.iter().skip(first_row * columns).take(weights.len());
        let trits: Vec<i8> = states.map(|weight| weight.trit).collect();
        let first_group = first_row * self.stage.groups();
        let scale = |group: usize| {
            self.exponents.get(first_group + group).map_or(0.0, |e| power_of_two(clamp_exponent((*e).into())))
        };
        expand::expand(&self.stage, 0, &trits, weights, scale);
    }

    fn ternary(&self) -> Ternary {
        Ternary {
            trits: self.trits(),
            exponents: self.exponents.iter().map(|e| clamp_exponent((*e).into()) as i8).collect(),
        }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let threshold = self.threshold;
        votes::for_each_row(&self.stage, gradient, &mut self.weights, &mut self.exponents, |weights, _, gradient| {
            for (weight, gradient) in weights.iter_mut().zip(gradient) {
                weight.vote(votes::sign(*gradient), threshold);
            }
        });
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, self.stage.weights(), 0, self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        let whole = votes::whole(&self.stage, gradient);
        for (sum, gradient) in ballot.votes.iter_mut().zip(whole) {
            *sum = sum.wrapping_add(votes::sign(gradient) as i8);
        }
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, _: Step) {
        for (weight, sum) in self.weights.iter_mut().zip(&ballot.votes) {
            weight.vote(i32::from(sum.signum()), self.threshold);
        }
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        let flips: Vec<i8> = self.weights.iter().map(|weight| weight.accumulator).collect();
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits()))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        writer.push(&format!("{prefix}.flips"), rows, StateValues::I8(&flips))?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let count = self.weights.len();
        let trits = reader.trits(&format!("{prefix}.trits"), count)?;
        let flips = reader.i8s(&format!("{prefix}.flips"), count)?;
        let weights = trits.into_iter().zip(flips);
        self.weights = weights.map(|(trit, accumulator)| WeightState { trit, accumulator }).collect();
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), self.exponents.len())?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.weights.len() * size_of::<WeightState>() + self.exponents.len() + self.bias.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trit_jumps_past_the_threshold_and_never_to_zero() {
        let mut weight = WeightState { trit: 1, accumulator: -30 };
        weight.vote(1, 31);
        assert_eq!(weight, WeightState { trit: 1, accumulator: -31 });
        weight.vote(1, 31);
        assert_eq!(weight, WeightState { trit: -1, accumulator: 0 });
        let mut stuck = WeightState { trit: 0, accumulator: 127 };
        stuck.vote(-1, 127);
        assert_eq!(stuck, WeightState { trit: 0, accumulator: 127 });
    }
}
