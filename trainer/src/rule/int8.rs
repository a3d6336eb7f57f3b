//! Integer int8 weights: for the few layers where trits cost too much, under every rule but `straight-through`.
//!
//! Per weight an int16 latent L, per row one exponent E that stays as it began. All roundings are half to even.
//!
//! - Start: `L = clip(round(10240·w/σ), ±32512)`, w the initial weights, σ their deviation; `E = round(log2(σ/40))`, 2 higher
//!   in the last layer.
//! - Weights: `W = ((L + 128) >> 8)·2^E`, within ±127.
//! - Votes: `q = clip(round(4·λ·D/s), ±127)`, s as in `flip-correlation`.
//! - Update: `L = clip(L − 16·q, ±32512)`.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::flip_correlation::{VOTE_GAIN, vote_factor};
use super::gradient::{Gradient, PANEL_ROWS};
use super::initial::{self, Draw};
use super::latent::rounded_log2;
use super::magnitude::{MagnitudeVotes, vote};
use super::{LayerState, Step, Ternary, clamp_exponent, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Weights of one standard deviation of the initial ones.
pub(crate) const DEVIATION: f32 = 40.0;

/// Bits of a latent below one step of its weight.
pub(crate) const FRACTION_BITS: u32 = 8;

/// Largest magnitude of a latent: the weight is 127 at most.
pub(crate) const LIMIT: i32 = 127 << FRACTION_BITS;

/// Latents that one vote moves.
pub(crate) const VOTE: i32 = 16;

/// Added to the last layer's exponents.
const LAST_LAYER_GAIN: i32 = 2;

/// One layer with int8 weights.
#[derive(Debug)]
pub(super) struct Int8Weights {
    stage: Stage,
    latent: Vec<i16>,
    exponents: Vec<i8>,
    votes: MagnitudeVotes,
    bias: VotedBias,
}

impl Int8Weights {
    pub(super) fn new(stage: &Stage, draw: Draw, is_last: bool) -> Self {
        let deviation = initial::stage_deviation(stage);
        let scale = DEVIATION * (1 << FRACTION_BITS) as f32 / deviation;
        let latent = |w: f32| (w * scale).round_ties_even().clamp(-LIMIT as f32, LIMIT as f32) as i16;
        let gain = if is_last { LAST_LAYER_GAIN } else { 0 };
        let exponent = clamp_exponent(rounded_log2(f64::from(deviation) / f64::from(DEVIATION)) + gain);
        Self {
            stage: *stage,
            latent: initial::normal_weights(stage, draw).into_iter().map(latent).collect(),
            exponents: vec![exponent as i8; stage.rows],
            votes: MagnitudeVotes::new(stage),
            bias: VotedBias::new(stage.rows, stage.bias),
        }
    }

    fn exponent(&self, row: usize) -> i32 {
        self.exponents.get(row).map_or(0, |exponent| i32::from(*exponent))
    }
}

/// The weight of a latent.
fn rounded(latent: i16) -> i8 {
    ((i32::from(latent) + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS) as i8
}

/// A latent after a vote.
fn moved(latent: i16, vote: i32) -> i16 {
    (i32::from(latent) - VOTE * vote).clamp(-LIMIT, LIMIT) as i16
}

impl LayerState for Int8Weights {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let columns = self.stage.columns;
        let rows = weights.chunks_mut(columns).zip(self.latent.chunks(columns).skip(first_row));
        for (row, (weights, latent)) in (first_row..).zip(rows) {
            let scale = power_of_two(self.exponent(row));
            for (weight, latent) in weights.iter_mut().zip(latent) {
                *weight = f32::from(rounded(*latent)) * scale;
            }
        }
    }

    fn ternary(&self) -> Ternary {
        let values = self.latent.iter().map(|latent| rounded(*latent)).collect();
        Ternary { trits: values, exponents: self.exponents.clone() }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        if let Some(exponent) = self.votes.find_scale(gradient) {
            let factor = vote_factor(VOTE_GAIN, step, exponent);
            let votes = &self.votes;
            let panels = self.latent.par_chunks_mut(PANEL_ROWS * self.stage.columns).enumerate();
            panels.for_each(|(panel, latent)| {
                votes.with_panel(gradient, panel, latent.len(), |gradient| {
                    for (latent, gradient) in latent.iter_mut().zip(gradient) {
                        *latent = moved(*latent, vote(*gradient, factor));
                    }
                });
            });
        }
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, self.stage.weights(), 0, self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        self.votes.vote(gradient, (ballot.shards.gain(VOTE_GAIN), step.lambda), (shard, step.index), ballot);
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, _: Step) {
        self.votes.follow(ballot);
        self.latent.iter_mut().zip(&ballot.votes).for_each(|(latent, vote)| *latent = moved(*latent, i32::from(*vote)));
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.latent"), rows, StateValues::I16(&self.latent))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        self.votes.save(prefix, writer)?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.latent = reader.i16s(&format!("{prefix}.latent"), self.latent.len())?;
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), self.exponents.len())?;
        self.votes.load(prefix, reader)?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.latent.len() * 2 + self.exponents.len() + self.bias.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::network::StageOutput;
    use crate::ternary::Convention;
    use ndarray::Array2;
    use trishift_format::GroupSize;

    fn layer(rows: usize, columns: usize, is_last: bool) -> Int8Weights {
        let group = GroupSize::new(8).unwrap();
        let stage = Stage::linear(rows, columns, group, StageOutput::Logits);
        let stage = Stage { precision: Precision::Int8, ..stage };
        Int8Weights::new(&stage, Draw { seed: 7, layer: 0, convention: Convention::Standard }, is_last)
    }

    #[test]
    fn weights_are_rounded_latents() {
        assert_eq!([127, 128, -128, -129, 32512, -32512].map(rounded), [0, 1, 0, -1, 127, -127]);
        assert_eq!([moved(0, 3), moved(32500, -127), moved(-32500, 127)], [-48, 32512, -32512]);
    }

    #[test]
    fn a_standard_deviation_begins_as_forty() {
        let layers = [layer(64, 100, false), layer(64, 100, true)];
        // log2(0.1/40) = −8.6.
        assert_eq!(layers.each_ref().map(|layer| layer.exponents[63]), [-9, -7]);
        let Ternary { trits, exponents } = layers[0].ternary();
        let square = trits.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / trits.len() as f64;
        assert!((square.sqrt() - 40.0).abs() < 1.5, "{square}");
        let mut weights = vec![0.0; 100];
        layers[0].weights(63, &mut weights);
        let expected: Vec<f32> =
            trits[6300..].iter().map(|w| f32::from(*w) * 2f32.powi(exponents[63].into())).collect();
        assert_eq!(weights, expected);
    }

    #[test]
    fn votes_move_latents_against_the_gradient() {
        let mut layer = layer(2, 3, false);
        layer.latent.fill(0);
        // A root mean square of 1: s = 1, votes of 4·λ·D.
        let values = ndarray::array![[1.0, -1.0, 1.0], [0.0, 2f32.sqrt() * 1.2, -0.34641]];
        let gradient = Gradient::Whole { values: values.view(), bias: &[] };
        layer.update(&gradient, Step { index: 0, lambda: 0.5 });
        assert_eq!(layer.latent, [-32, 32, -32, 0, -48, 16]);
        let zeros = Array2::zeros((2, 3));
        layer.update(&Gradient::Whole { values: zeros.view(), bias: &[] }, Step { index: 1, lambda: 0.5 });
        assert_eq!(layer.latent, [-32, 32, -32, 0, -48, 16]);
    }
}
