//! What becomes of gradients: updates at once, or votes of a shard; and what shards of a batch tell each other meanwhile.

use crate::parallel::{Exchange, ExchangeError, Integers};
use crate::rule::ballot::Ballot;
use crate::rule::batch_norm::{Phase, Statistics};
use crate::rule::gradient::Gradient;
use crate::rule::{LayerState, Step};
use std::sync::OnceLock;

/// Who learns from gradients.
pub(super) enum Learner<'a> {
    /// Layers, at once.
    Layers(&'a mut [Box<dyn LayerState>]),
    /// Ballots, one for each layer: the votes of shard number `shard`.
    Ballots { layers: &'a [Box<dyn LayerState>], shard: usize, ballots: &'a mut [Ballot] },
}

impl Learner<'_> {
    /// Layer number `index` learns from its weight gradient.
    pub(super) fn learn(&mut self, index: usize, gradient: &Gradient<'_>, step: Step) {
        match self {
            Self::Layers(layers) => layers.get_mut(index).into_iter().for_each(|layer| layer.update(gradient, step)),
            Self::Ballots { layers, shard, ballots } => {
                if let (Some(layer), Some(ballot)) = (layers.get(index), ballots.get_mut(index)) {
                    layer.vote(gradient, step, *shard, ballot);
                }
            }
        }
    }

    /// The norm behind layer number `index` learns from the gradients of its biases, and follows a batch unless others vote, too.
    pub(super) fn norm(
        &mut self,
        index: usize,
        of_biases: &[f64],
        step: Step,
        (statistics, units, phase): (&Statistics, &[i32], Phase),
    ) {
        match self {
            Self::Layers(layers) => {
                if let Some(norm) = layers.get_mut(index).and_then(|layer| layer.norm_mut()) {
                    norm.vote(of_biases, step);
                    norm.follow(statistics, units, phase);
                }
            }
            Self::Ballots { layers, shard, ballots } => {
                let norm = layers.get(index).and_then(|layer| layer.norm());
                if let (Some(norm), Some(ballot)) = (norm, ballots.get_mut(index)) {
                    norm.vote_shard(of_biases, step, *shard, ballot);
                }
            }
        }
    }
}

/// The other shards of a batch.
#[derive(Debug)]
pub(super) struct Others<'a> {
    exchange: &'a dyn Exchange,
    /// All shards.
    shards: usize,
    fault: OnceLock<ExchangeError>,
}

impl<'a> Others<'a> {
    /// Those of a batch that is cut into so many shards.
    pub(super) fn new(exchange: &'a dyn Exchange, shards: usize) -> Self {
        Self { exchange, shards, fault: OnceLock::new() }
    }

    /// What has gone wrong, if anything.
    pub(super) fn fault(self) -> Result<(), ExchangeError> {
        self.fault.into_inner().map_or(Ok(()), Err)
    }

    /// Adds up sums over all shards, as integers with so many bits behind the point; returns how many values they are of, given
    /// that they have been over `width`.
    pub(super) fn means(others: Option<&Self>, sums: &mut [[f64; 2]], bits: [i32; 2], width: usize) -> f64 {
        let Some(Self { exchange, shards, fault }) = others else { return width as f64 };
        let factors = bits.map(|bits| 2f64.powi(bits));
        // Below 2^63 even where all shards are at the limit.
        const LIMIT: f64 = (1u64 << 56) as f64;
        let rounded = |(sum, factor): (f64, f64)| (sum * factor).round_ties_even().clamp(-LIMIT, LIMIT) as i64;
        let pairs = sums.iter().flat_map(|[a, b]| [(*a, factors[0]), (*b, factors[1])]);
        let mut integers: Vec<i64> = pairs.map(rounded).collect();
        if let Err(error) = exchange.sum(Integers::I64(&mut integers)) {
            // The first fault is the one to be told; the step is dropped anyway.
            let _ = fault.set(error);
        }
        let (pairs, _) = integers.as_chunks::<2>();
        for (sums, pair) in sums.iter_mut().zip(pairs) {
            *sums = [pair[0] as f64 / factors[0], pair[1] as f64 / factors[1]];
        }
        (width * shards) as f64
    }
}
