//! The original rule: trits and exponents stay as they began, a correlation per group bends the exponents.
//!
//! - Weights: `W = T·2^e`, `e = E + corr/max(step·G, 1)·S`, S the correlation strength, clamped to −14…15; fractional in
//!   training, rounded at export, which loses some of what was learnt.
//! - Vote: `v = sgn(D)`; score of a group: `s = Σ v·T`.
//! - Update: `corr −= s`, `step += 1`, both int64, saturating.
//!
//! Kept for comparison: dividing by `step` makes corr drift back when votes balance, and sign votes throw the gradient's
//! magnitude away.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::gradient::Gradient;
use super::initial::{self, Draw};
use super::{LayerState, Step, Ternary, expand, votes};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use crate::ternary::weights::HALF_EXPONENTS;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct Correlation {
    stage: Stage,
    strength: f32,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    corr: Vec<i64>,
    step: i64,
    bias: VotedBias,
}

impl Correlation {
    pub(super) fn new(stage: &Stage, draw: Draw, strength: f32) -> Self {
        let Ternary { trits, exponents } = initial::ternary(stage, draw);
        Self {
            stage: *stage,
            strength,
            corr: vec![0; exponents.len()],
            trits,
            exponents,
            step: 0,
            bias: VotedBias::new(stage.rows, stage.bias),
        }
    }

    /// The exponent that the forward pass uses; at step 0 that is E, whatever corr holds.
    fn effective(&self, exponent: i8, corr: i64) -> f32 {
        let (lowest, highest) = HALF_EXPONENTS;
        let exponent = f64::from(exponent);
        if self.step == 0 {
            return exponent.clamp(lowest, highest) as f32;
        }
        let votes = self.step.saturating_mul(self.stage.group.get() as i64).max(1);
        let bend = corr as f64 / votes as f64 * f64::from(self.strength);
        (exponent + bend).clamp(lowest, highest) as f32
    }
}

impl LayerState for Correlation {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let scale = |group: usize| {
            let state = self.exponents.get(group).zip(self.corr.get(group));
            state.map_or(0.0, |(exponent, corr)| self.effective(*exponent, *corr).exp2())
        };
        expand::expand(&self.stage, first_row, &self.trits, weights, scale);
    }

    fn ternary(&self) -> Ternary {
        let exponents = self.exponents.iter().zip(&self.corr);
        let exponents = exponents.map(|(e, corr)| self.effective(*e, *corr).round_ties_even() as i8).collect();
        Ternary { trits: self.trits.clone(), exponents }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let group = self.stage.group.get();
        votes::for_each_row(&self.stage, gradient, &mut self.trits, &mut self.corr, |trits, corr, gradient| {
            for ((corr, trits), gradient) in corr.iter_mut().zip(trits.chunks(group)).zip(gradient.chunks(group)) {
                *corr = corr.saturating_sub(votes::score(gradient, trits));
            }
        });
        self.step = self.step.saturating_add(1);
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
        let groups = self.corr.iter_mut().zip(&ballot.scores);
        groups.for_each(|(corr, score)| *corr = corr.saturating_sub(i64::from(*score)));
        self.step = self.step.saturating_add(ballot.shards.count() as i64);
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I64(&self.corr))?;
        writer.push(&format!("{prefix}.step"), 1, StateValues::I64(&[self.step]))?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.trits = reader.trits(&format!("{prefix}.trits"), self.trits.len())?;
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), self.exponents.len())?;
        self.corr = reader.i64s(&format!("{prefix}.corr"), self.corr.len())?;
        for step in reader.i64s(&format!("{prefix}.step"), 1)? {
            self.step = step;
        }
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.trits.len() + self.exponents.len() + self.corr.len() * 8 + 8 + self.bias.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::StageOutput;
    use crate::ternary::Convention;
    use ndarray::Array2;
    use trishift_format::GroupSize;

    #[test]
    fn correlations_count_sign_votes_against_trits() {
        let group = GroupSize::new(4).unwrap();
        let stage = Stage::linear(2, 6, group, StageOutput::Logits);
        let mut layer = Correlation::new(&stage, Draw { seed: 1, layer: 0, convention: Convention::Standard }, 4.0);
        layer.trits = vec![1, -1, 0, 1, 1, 1, -1, -1, -1, -1, 0, 0];
        layer.exponents = vec![-3, -2, -1, 0];
        layer.corr = vec![0, 5, 0, i64::MIN];
        // Corr is ignored at step 0.
        assert_eq!(layer.ternary().exponents, [-3, -2, -1, 0]);
        let gradient = vec![0.5, -2.0, 9.0, 0.0, -1e-20, 3.0, 1.0, 1.0, 1.0, -1.0, 7.0, 7.0];
        let input = Array2::from_shape_vec((2, 6), gradient).unwrap();
        let output = Array2::eye(2);
        let gradient = Gradient::Product { output: output.view(), input: input.view() };
        layer.update(&gradient, Step { index: 0, lambda: 1.0 });
        // Scores: 1 + 1 + 0 + 0 = 2; −1 + 1 = 0; −1 − 1 − 1 + 1 = −2; 0, and the last one stays at its limit.
        assert_eq!((layer.corr.as_slice(), layer.step), ([-2, 5, 2, i64::MIN].as_slice(), 1));
        // e = E + corr/(1·4)·4 = −5, 3, 1, clamped −14.
        assert_eq!(layer.ternary().exponents, [-5, 3, 1, -14]);
    }
}
