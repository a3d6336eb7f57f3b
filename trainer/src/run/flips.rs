//! How many weights change while a network trains: those that differ between its states at the ends of two epochs.
//!
//! Counting every flip inside a step would cost the card's kernels an atomic sum each, and the processor's a pass. What lasts
//! is on the host whenever somebody asks a backend for it, so two states are held against each other instead. A trit that goes
//! away and comes back between them counts as none: what is recorded is the least number of flips that there were.
//!
//! Nothing of this is part of a run's state: checkpoints and models do not know it. There is a look wherever a checkpoint is
//! written, so that a run which is resumed goes on comparing with the very state it goes on from: records leave no step out.

use super::folder::{FolderError, RunFolder};
use crate::rule::LayerState;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Of the time that training takes, what looking may take: a fiftieth. Where epochs are shorter than that allows, which a
/// card's are, some pass before the next look.
const SHARE: u32 = 50;

/// One line of `flips.jsonl`: weights that differ between two states of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flips {
    /// Updates done at the first state.
    pub since: u64,
    /// Updates done at the second one.
    pub step: u64,
    /// Of each layer: trits that differ, or int8 weights.
    pub changed: Vec<u64>,
    /// Of each layer: all of them.
    pub of: Vec<u64>,
}

impl Flips {
    /// Weights of all layers that differ.
    pub fn sum(&self) -> u64 {
        self.changed.iter().sum()
    }

    /// The same for each step between the two states.
    pub fn per_step(&self) -> f64 {
        self.sum() as f64 / self.step.saturating_sub(self.since).max(1) as f64
    }
}

/// The state that the next one is held against.
#[derive(Debug)]
pub(super) struct Watch {
    since: u64,
    /// Of each layer.
    weights: Vec<Vec<i8>>,
    spent: Duration,
}

impl Watch {
    /// Begins with the state after `step` updates.
    pub(super) fn new(step: u64, layers: &[Box<dyn LayerState>]) -> Self {
        Self { since: step, weights: weights(layers), spent: Duration::ZERO }
    }

    /// Whether another look takes no more than its share of so much training.
    pub(super) fn is_due(&self, training: Duration) -> bool {
        self.spent <= training / SHARE
    }

    /// Looks and writes what it finds into the folder, where steps were done since the last look.
    pub(super) fn record(
        &mut self,
        step: u64,
        layers: &[Box<dyn LayerState>],
        folder: &RunFolder,
        started: Instant,
    ) -> Result<(), FolderError> {
        if step > self.since {
            folder.append_flips(&self.look(step, layers, started))?;
            tracing::debug!(step, microseconds = started.elapsed().as_micros(), "looked at flips");
        }
        Ok(())
    }

    /// Holds the state after `step` updates, asked for at `started`, against the one before, and keeps it for the next one.
    fn look(&mut self, step: u64, layers: &[Box<dyn LayerState>], started: Instant) -> Flips {
        let now = weights(layers);
        let differing = |(before, after): (&Vec<i8>, &Vec<i8>)| {
            before.iter().zip(after).filter(|(before, after)| before != after).count() as u64
        };
        let flips = Flips {
            since: self.since,
            step,
            changed: self.weights.iter().zip(&now).map(differing).collect(),
            of: now.iter().map(|weights| weights.len() as u64).collect(),
        };
        (self.since, self.weights) = (step, now);
        self.spent += started.elapsed();
        flips
    }
}

fn weights(layers: &[Box<dyn LayerState>]) -> Vec<Vec<i8>> {
    layers.iter().map(|layer| layer.ternary().trits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::network::Network;
    use crate::rule;

    #[test]
    fn every_weight_that_differs_is_counted_once() {
        let mut config = Config::preset("digits-mlp").unwrap();
        let network = Network::resolve(&config, [8, 8, 1], 10).unwrap();
        let mut layers = |seed| -> Vec<Box<dyn LayerState>> {
            config.training.seed = seed;
            network.stages.iter().enumerate().map(|(index, stage)| rule::create(&config, stage, index)).collect()
        };
        let (first, second) = (layers(1), layers(2));
        let mut watch = Watch::new(7, &first);
        assert!(watch.is_due(Duration::ZERO));
        let flips = watch.look(9, &second, Instant::now());
        assert_eq!((flips.since, flips.step, &flips.of[..]), (7, 9, &[64 * 128, 128 * 10][..]));
        let expected = |layer: usize| {
            let [before, after] = [&first, &second].map(|layers| layers[layer].ternary().trits);
            (0..before.len()).filter(|index| before[*index] != after[*index]).count() as u64
        };
        assert_eq!(flips.changed, [expected(0), expected(1)]);
        assert!(flips.sum() > 1000 && flips.per_step() == flips.sum() as f64 / 2.0);
        // The second state is what the third is held against.
        let flips = watch.look(12, &second, Instant::now());
        assert_eq!((flips.since, flips.sum()), (9, 0));
        // Time that looking took comes out of the training's.
        watch.spent = Duration::from_millis(30);
        assert!(!watch.is_due(Duration::from_secs(1)) && watch.is_due(Duration::from_secs(2)));
    }
}
