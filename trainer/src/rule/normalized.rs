//! Weights under any rule, and the shift-batch-norm that takes their sums: one state with one name in checkpoints.

use super::ballot::{Ballot, Shards};
use super::batch_norm::BatchNorm;
use super::gradient::Gradient;
use super::{LayerState, Step, Ternary};
use crate::checkpoint::{CheckpointError, StateReader};
use trishift_format::write::{CheckpointWriter, WriteError};

/// A layer and its norm. The rule moves the weights; who runs the network moves the norm, which needs the batch.
#[derive(Debug)]
pub(super) struct Normalized {
    weights: Box<dyn LayerState>,
    norm: BatchNorm,
}

impl Normalized {
    pub(super) fn new(weights: Box<dyn LayerState>, rows: usize) -> Self {
        Self { weights, norm: BatchNorm::new(rows) }
    }
}

impl LayerState for Normalized {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        self.weights.weights(first_row, weights);
    }

    fn ternary(&self) -> Ternary {
        self.weights.ternary()
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.weights.bias(units)
    }

    fn norm(&self) -> Option<&BatchNorm> {
        Some(&self.norm)
    }

    fn norm_mut(&mut self) -> Option<&mut BatchNorm> {
        Some(&mut self.norm)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        self.weights.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot { norm: self.norm.ballot(shards), ..self.weights.ballot(shards)? })
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        self.weights.vote(gradient, step, shard, ballot);
    }

    fn apply(&mut self, ballot: &Ballot, step: Step) {
        self.weights.apply(ballot, step);
        self.norm.apply(ballot);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        self.weights.save(prefix, writer)?;
        self.norm.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.weights.load(prefix, reader)?;
        self.norm.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.weights.state_bytes() + self.norm.state_bytes()
    }
}
