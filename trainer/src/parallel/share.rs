//! Which part of a step each worker does.

use super::{Alone, Exchange};
use crate::config::{ExchangeKind, TrainingConfig};
use crate::rule::RuleName;
use crate::rule::ballot::Shards;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// A worker among those of a run.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its number, from 0. The first one writes what a run leaves.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// Its way to the others.
    pub link: Link,
}

/// What workers exchange integers through.
#[derive(Clone, Debug)]
pub enum Link {
    /// The host's memory.
    Host(Arc<dyn Exchange>),
    /// NCCL.
    #[cfg(feature = "cuda")]
    Cards(Arc<crate::backend::cuda::Nccl>),
}

impl Link {
    /// For integers of the host.
    pub fn exchange(&self) -> &dyn Exchange {
        match self {
            Self::Host(exchange) => exchange.as_ref(),
            #[cfg(feature = "cuda")]
            Self::Cards(nccl) => nccl.as_ref(),
        }
    }
}

impl Worker {
    /// The only one of a run.
    pub fn alone() -> Self {
        Self { rank: 0, world: 1, link: Link::Host(Arc::new(Alone)) }
    }

    /// Whether it writes what the run leaves.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }
}

/// What one worker does of every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of the worker.
    pub rank: usize,
    /// Workers.
    pub world: usize,
    /// Samples of a step, over all workers.
    pub batch: usize,
    /// Shards of a step, over all workers.
    pub shards: Shards,
    /// What is exchanged.
    pub kind: ExchangeKind,
}

/// Why a step cannot be divided.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShareError {
    /// Shards of different sizes.
    #[error("a batch of {batch} samples cannot be cut into {shards} equal shards; make --batch a multiple of {shards}")]
    Uneven {
        /// Samples of a step.
        batch: usize,
        /// Shards of a step.
        shards: usize,
    },
    /// Workers with different numbers of shards.
    #[error("{shards} shards cannot be divided evenly among {world} workers; --shards has to be a multiple of {world}")]
    Workers {
        /// Shards of a step.
        shards: usize,
        /// Workers.
        world: usize,
    },
    /// Not one whole batch.
    #[error(
        "there are {samples} training samples, fewer than a batch of {batch}, which shards and several workers need whole; make --batch smaller"
    )]
    TooFew {
        /// Training samples.
        samples: usize,
        /// Samples of a step.
        batch: usize,
    },
    /// A rule without votes.
    #[error(
        "the rule {rule} casts no votes that could be exchanged; train it on several cards with --exchange gradient, or on one without --shards"
    )]
    NoVotes {
        /// The rule.
        rule: RuleName,
    },
    /// The CPU and gradients.
    #[error("gradients are exchanged between cards only; take --exchange votes")]
    GradientsOnCpu,
}

impl Share {
    /// The part of `worker` in each step on so many training samples.
    ///
    /// # Errors
    /// [`ShareError`] where steps cannot be divided so.
    pub fn new(worker: &Worker, training: &TrainingConfig, samples: usize) -> Result<Self, ShareError> {
        let Worker { rank, world, .. } = *worker;
        let batch = training.batch as usize;
        let kind = training.exchange;
        let count = match kind {
            ExchangeKind::Votes => training.shards as usize,
            ExchangeKind::Gradient => world,
        };
        if count == 1 && world == 1 {
            return Ok(Self { rank: 0, world: 1, batch: batch.min(samples).max(1), shards: Shards::ONE, kind });
        }
        if kind == ExchangeKind::Votes && training.rule == RuleName::StraightThrough {
            return Err(ShareError::NoVotes { rule: training.rule });
        }
        if !count.is_multiple_of(world) {
            return Err(ShareError::Workers { shards: count, world });
        }
        let shards = u32::try_from(count).ok().and_then(Shards::new);
        let Some(shards) = shards.filter(|_| batch.is_multiple_of(count)) else {
            return Err(ShareError::Uneven { batch, shards: count });
        };
        if samples < batch {
            return Err(ShareError::TooFew { samples, batch });
        }
        Ok(Self { rank, world, batch, shards, kind })
    }

    /// Shards of this worker.
    pub const fn own_shards(&self) -> usize {
        self.shards.count() / self.world
    }

    /// Number of its first shard.
    pub const fn first_shard(&self) -> usize {
        self.rank * self.own_shards()
    }

    /// Samples of a shard.
    pub const fn shard_samples(&self) -> usize {
        self.batch / self.shards.count()
    }

    /// Samples that a gradient is the mean over: a shard's, or a whole batch's where gradients are exchanged.
    pub fn mean_samples(&self) -> usize {
        if self.has_ballots() { self.shard_samples() } else { self.batch }
    }

    /// Samples of this worker in a step.
    pub const fn own_samples(&self) -> usize {
        self.batch / self.world
    }

    /// Whether shards vote one by one: otherwise an update has one gradient.
    pub fn has_ballots(&self) -> bool {
        self.shards != Shards::ONE && self.kind == ExchangeKind::Votes
    }

    /// The places of this worker's samples in a batch.
    pub const fn places(&self) -> Range<usize> {
        self.rank * self.own_samples()..(self.rank + 1) * self.own_samples()
    }

    /// This worker's samples of an epoch's order, batch after batch; a batch that is not whole is nobody's.
    pub fn of_order(&self, order: Vec<u32>) -> Vec<u32> {
        if self.world == 1 {
            return order;
        }
        order.chunks_exact(self.batch).filter_map(|batch| batch.get(self.places())).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn share(rank: usize, world: usize, batch: u32, shards: u32) -> Result<Share, ShareError> {
        let mut config = Config::preset("mnist-mlp").unwrap();
        (config.training.batch, config.training.shards) = (batch, shards);
        Share::new(&Worker { rank, world, ..Worker::alone() }, &config.training, 100)
    }

    #[test]
    fn workers_divide_every_batch() {
        let order: Vec<u32> = (0..40).collect();
        let mut all: Vec<Vec<u32>> = vec![Vec::new(); 2];
        for rank in 0..4 {
            let share = share(rank, 4, 16, 8).unwrap();
            assert_eq!((share.own_shards(), share.first_shard(), share.shard_samples()), (2, 2 * rank, 2));
            for (batch, own) in all.iter_mut().zip(share.of_order(order.clone()).chunks(4)) {
                batch.extend(own);
            }
        }
        assert_eq!(all, [(0..16).collect::<Vec<u32>>(), (16..32).collect()]);
        assert_eq!(share(0, 1, 16, 8).unwrap().of_order(order.clone()), order);
    }

    #[test]
    fn steps_that_cannot_be_divided_are_refused() {
        assert_eq!(share(0, 1, 12, 8).unwrap_err(), ShareError::Uneven { batch: 12, shards: 8 });
        assert_eq!(share(0, 3, 16, 8).unwrap_err(), ShareError::Workers { shards: 8, world: 3 });
        assert_eq!(share(0, 2, 104, 8).unwrap_err(), ShareError::TooFew { samples: 100, batch: 104 });
        // One worker and one shard take what there is.
        assert_eq!(share(0, 1, 104, 1).unwrap().batch, 100);
    }
}
