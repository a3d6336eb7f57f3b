//! Exponent stepping: trits stay as they began, exponents move by one where enough votes agree.
//!
//! - Weights: `W = T·2^clamp(E, −14, 15)`.
//! - Vote: `v = sgn(D)`; score of a group: `s = Σ v·T`; direction: `d = −sgn(s)`.
//! - Update: `a = clamp8(a + d)`; `a ≥ τ`: `E += 1`, `a −= τ`; `a ≤ −τ`: `E −= 1`, `a += τ`; E clamped to int8. At most
//!   one step an update, taken from the accumulator even where s = 0; a saturated E still consumes τ.
//!
//! Kept for comparison: with a small τ it diverges, and trits that never change limit what it can learn.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::gradient::Gradient;
use super::initial::{self, Draw};
use super::{LayerState, Step, Ternary, clamp_exponent, expand, power_of_two, votes};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// One group: exponent and accumulator, side by side because they move together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GroupState {
    exponent: i8,
    accumulator: i8,
}

impl GroupState {
    /// One update with this score.
    fn vote(&mut self, score: i64, threshold: i32) {
        let mut accumulator = (i32::from(self.accumulator) - score.signum() as i32).clamp(-128, 127);
        if accumulator >= threshold {
            self.exponent = self.exponent.saturating_add(1);
            accumulator -= threshold;
        } else if accumulator <= -threshold {
            self.exponent = self.exponent.saturating_sub(1);
            accumulator += threshold;
        }
        self.accumulator = accumulator as i8;
    }
}

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Exponent {
    stage: Stage,
    threshold: i32,
    trits: Vec<i8>,
    groups: Vec<GroupState>,
    bias: VotedBias,
}

impl Exponent {
    pub(super) fn new(stage: &Stage, draw: Draw, threshold: u8) -> Self {
        let Ternary { trits, exponents } = initial::ternary(stage, draw);
        let groups = exponents.into_iter().map(|exponent| GroupState { exponent, accumulator: 0 }).collect();
        let bias = VotedBias::new(stage.rows, stage.bias);
        Self { stage: *stage, threshold: i32::from(threshold), trits, groups, bias }
    }
}

impl LayerState for Exponent {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let scale = |group: usize| {
            self.groups.get(group).map_or(0.0, |state| power_of_two(clamp_exponent(state.exponent.into())))
        };
        expand::expand(&self.stage, first_row, &self.trits, weights, scale);
    }

    fn ternary(&self) -> Ternary {
        let exponents = self.groups.iter().map(|state| clamp_exponent(state.exponent.into()) as i8).collect();
        Ternary { trits: self.trits.clone(), exponents }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let (group, threshold) = (self.stage.group.get(), self.threshold);
        votes::for_each_row(&self.stage, gradient, &mut self.trits, &mut self.groups, |trits, groups, gradient| {
            for ((state, trits), gradient) in groups.iter_mut().zip(trits.chunks(group)).zip(gradient.chunks(group)) {
                state.vote(votes::score(gradient, trits), threshold);
            }
        });
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, 0, self.stage.rows * self.stage.groups(), self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        votes::add_sign_scores(&self.stage, &self.trits, gradient, &mut ballot.scores);
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, _: Step) {
        for (state, score) in self.groups.iter_mut().zip(&ballot.scores) {
            state.vote(i64::from(*score), self.threshold);
        }
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        let exponents: Vec<i8> = self.groups.iter().map(|state| state.exponent).collect();
        let accumulators: Vec<i8> = self.groups.iter().map(|state| state.accumulator).collect();
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&exponents))?;
        writer.push(&format!("{prefix}.exponent_votes"), rows, StateValues::I8(&accumulators))?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let groups = self.groups.len();
        self.trits = reader.trits(&format!("{prefix}.trits"), self.trits.len())?;
        let exponents = reader.i8s(&format!("{prefix}.exponents"), groups)?;
        let accumulators = reader.i8s(&format!("{prefix}.exponent_votes"), groups)?;
        let states = exponents.into_iter().zip(accumulators);
        self.groups = states.map(|(exponent, accumulator)| GroupState { exponent, accumulator }).collect();
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.trits.len() + self.groups.len() * size_of::<GroupState>() + self.bias.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_an_update_even_from_a_full_accumulator() {
        let mut state = GroupState { exponent: 126, accumulator: 100 };
        let seen = [0, 5, -1, 0].map(|score| {
            state.vote(score, 30);
            (state.exponent, state.accumulator)
        });
        assert_eq!(seen, [(127, 70), (127, 39), (127, 10), (127, 10)]);
        let mut state = GroupState { exponent: -128, accumulator: -128 };
        state.vote(9, 127);
        assert_eq!((state.exponent, state.accumulator), (-128, -1));
    }
}
