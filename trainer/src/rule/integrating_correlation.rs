//! Integrating correlation: trits stay as they began, exponents integrate magnitude votes.
//!
//! - Weights: `W = T·2^clamp(E + ((corr + 2^12) >> 13), −14, 15)`: what is trained is what is exported.
//! - Votes: `q = clip(round(16·λ·D/s), ±127)`, s as in `flip-correlation`.
//! - Update: `corr = clip(corr − max(1, round(32·λ))·Σ_group q·T, ±2^15)`.
//!
//! It is `flip-correlation` without flips and with an eightfold step: what exponents alone can learn.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::flip_correlation::{bent_exponent, correlation_step, moved_correlation, vote_factor};
use super::gradient::{Gradient, PANEL_ROWS};
use super::initial::{self, Draw};
use super::magnitude::{MagnitudeVotes, vote};
use super::votes::add_scores;
use super::{LayerState, Step, Ternary, expand, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Votes of a gradient of one scale at λ = 1.
pub(crate) const VOTE_GAIN: f32 = 16.0;

/// Correlation step at λ = 1.
pub(crate) const CORRELATION_STEP: f32 = 32.0;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct IntegratingCorrelation {
    stage: Stage,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    corr: Vec<i64>,
    votes: MagnitudeVotes,
    bias: VotedBias,
}

impl IntegratingCorrelation {
    pub(super) fn new(stage: &Stage, draw: Draw) -> Self {
        let Ternary { trits, exponents } = initial::ternary(stage, draw);
        Self {
            stage: *stage,
            corr: vec![0; exponents.len()],
            trits,
            exponents,
            votes: MagnitudeVotes::new(stage),
            bias: VotedBias::new(stage.rows, stage.bias),
        }
    }

    fn effective(&self, group: usize) -> i32 {
        self.exponents.get(group).zip(self.corr.get(group)).map_or(0, |(e, corr)| bent_exponent(*e, *corr))
    }
}

impl LayerState for IntegratingCorrelation {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let scale = |group: usize| power_of_two(self.effective(group));
        expand::expand(&self.stage, first_row, &self.trits, weights, scale);
    }

    fn ternary(&self) -> Ternary {
        let exponents = (0..self.exponents.len()).map(|group| self.effective(group) as i8).collect();
        Ternary { trits: self.trits.clone(), exponents }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let (columns, groups, group) = (self.stage.columns, self.stage.groups(), self.stage.group.get());
        if let Some(exponent) = self.votes.find_scale(gradient) {
            let factor = vote_factor(VOTE_GAIN, step, exponent);
            let correlation_step = correlation_step(CORRELATION_STEP, step);
            let votes = &self.votes;
            let trits = self.trits.par_chunks(PANEL_ROWS * columns);
            let corr = self.corr.par_chunks_mut(PANEL_ROWS * groups);
            trits.zip(corr).enumerate().for_each(|(panel, (trits, corr))| {
                votes.with_panel(gradient, panel, trits.len(), |gradient| {
                    let rows = trits.chunks(columns).zip(gradient.chunks(columns)).zip(corr.chunks_mut(groups));
                    for ((trits, gradient), corr) in rows {
                        for ((corr, trits), gradient) in
                            corr.iter_mut().zip(trits.chunks(group)).zip(gradient.chunks(group))
                        {
                            let products = trits.iter().zip(gradient).map(|(t, d)| i32::from(*t) * vote(*d, factor));
                            *corr = moved_correlation(*corr, correlation_step, products.sum());
                        }
                    }
                });
            });
        }
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, 0, self.stage.rows * self.stage.groups(), self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        let gain = (ballot.shards.gain(VOTE_GAIN), step.lambda);
        if let Some((dense, factor)) = self.votes.of_shard(gradient, gain, ballot.scales.get_mut(shard)) {
            add_scores(&self.stage, &self.trits, &dense, &mut ballot.scores, |d| vote(d, factor));
        }
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, step: Step) {
        self.votes.follow(ballot);
        if ballot.has_votes() {
            let step = correlation_step(CORRELATION_STEP, step);
            let groups = self.corr.iter_mut().zip(&ballot.scores);
            groups.for_each(|(corr, score)| *corr = moved_correlation(*corr, step, *score));
        }
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I64(&self.corr))?;
        self.votes.save(prefix, writer)?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.trits = reader.trits(&format!("{prefix}.trits"), self.trits.len())?;
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), self.exponents.len())?;
        self.corr = reader.i64s(&format!("{prefix}.corr"), self.corr.len())?;
        self.votes.load(prefix, reader)?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.trits.len() + self.exponents.len() + self.corr.len() * 8 + self.bias.state_bytes()
    }
}
