//! The CPU backend: f32 matrix products on all cores, exact where exponent windows allow, integers for everything that
//! lasts.
//!
//! Activations lie feature after feature, [features, batch], so that a panel of a layer's rows is contiguous in weights,
//! outputs and gradients alike. Work is divided into panels of fixed size: results do not depend on the number of
//! threads. Perceptrons run stage after stage, all other networks node after node (`graph`).

mod activation;
mod graph;
mod lane;
mod learner;
mod lookup;
mod loss;
mod product;

use super::{Backend, BackendError, MemoryUse, Steps};
use crate::checkpoint::{CheckpointError, StateReader, Totals};
use crate::config::Config;
use crate::data::{Augmentation, Dataset};
use crate::network::Network;
use crate::parallel::{Exchange, ExchangeError, InProcess, Integers, Share, Worker};
use crate::rule::ballot::{Ballot, Shards};
use crate::rule::batch_norm::Phase;
use crate::rule::{self, LayerState, Step};
use crate::schedule;
use crate::teacher::Teacher;
use graph::{Graph, Pass};
use lane::Lane;
use learner::{Learner, Others};
use loss::{Answers, Target};
use ndarray::Array2;
use rayon::prelude::*;

/// Samples of one forward pass outside training.
const EVALUATION_BATCH: usize = 512;

/// A network in training on the CPU.
#[derive(Debug)]
pub struct CpuBackend<'a> {
    layers: Vec<Box<dyn LayerState>>,
    fixed: Fixed<'a>,
    share: Share,
    worker: Worker,
    order: Vec<u32>,
    totals: Totals,
    /// One for each shard of this worker.
    shards: Vec<Shard>,
}

/// What stays as it is while a network trains.
#[derive(Debug)]
struct Fixed<'a> {
    network: Network,
    data: &'a Dataset,
    target: Target,
    teacher: Option<Taught>,
    augmentation: Option<Augmentation>,
    seed: u64,
}

/// A network whose answers are learned, and how much they count.
#[derive(Debug)]
struct Taught {
    network: Network,
    layers: Vec<Box<dyn LayerState>>,
    answers: Answers,
}

/// What a shard keeps from step to step.
#[derive(Debug)]
struct Shard {
    input: Array2<f32>,
    labels: Vec<u16>,
    lane: Lane,
    taught: Option<Lane>,
    ballots: Vec<Ballot>,
}

impl<'a> CpuBackend<'a> {
    /// A fresh network for the training samples of `data`, with one worker and whole batches.
    pub fn new(config: &Config, network: &Network, data: &'a Dataset) -> Self {
        let stages = network.stages.iter().enumerate();
        let training = &config.training;
        let (worker, batch) = (Worker::alone(), training.batch as usize);
        let share = Share { rank: 0, world: 1, batch, shards: Shards::ONE, kind: training.exchange };
        Self {
            layers: stages.map(|(index, stage)| rule::create(config, stage, index)).collect(),
            fixed: Fixed {
                network: network.clone(),
                data,
                target: Target {
                    loss: training.loss,
                    smoothing: training.label_smoothing as f32,
                    class_weights: Vec::new(),
                },
                teacher: None,
                augmentation: training.augmentation.of_images(data.shape),
                seed: training.seed,
            },
            share,
            worker,
            order: Vec::new(),
            totals: Totals::default(),
            shards: vec![Shard::new(network, &[], &share)],
        }
    }

    /// The same with samples that count in the loss as much as their classes weigh.
    pub fn with_class_weights(mut self, class_weights: Vec<f32>) -> Self {
        self.fixed.target.class_weights = class_weights;
        self
    }

    /// The same as one of several workers, or with batches that are cut into shards.
    pub fn with_share(mut self, worker: &Worker, share: Share) -> Self {
        let shards = (0..share.own_shards()).map(|_| Shard::new(&self.fixed.network, &self.layers, &share));
        self.shards = shards.collect();
        (self.worker, self.share) = (worker.clone(), share);
        self
    }

    /// The same with another network's answers to learn.
    ///
    /// # Errors
    /// [`CheckpointError`] where the teacher's state does not fit its network.
    pub fn with_teacher(mut self, teacher: &Teacher) -> Result<Self, CheckpointError> {
        let network = &teacher.network;
        let stages = network.stages.iter().enumerate();
        let mut layers: Vec<_> = stages.map(|(index, stage)| rule::create(&teacher.config, stage, index)).collect();
        teacher.reader()?.load(&mut layers)?;
        for shard in &mut self.shards {
            shard.taught = Some(Lane::new(network));
        }
        let answers = Answers { share: teacher.share, temperature: teacher.temperature };
        self.fixed.teacher = Some(Taught { network: network.clone(), layers, answers });
        Ok(self)
    }

    /// One update of batches that are nobody else's.
    fn update(&mut self, places: &[u32], step: Step, steps: &Steps) {
        let Self { layers, fixed, shards, totals, .. } = self;
        let Some(shard) = shards.first_mut() else { return };
        let phase = Phase::of(step.index, steps.total);
        fixed.gather(steps.epoch, places, shard);
        if step.index == 0 {
            for _ in 0..Graph::calibrations(&fixed.network) {
                shard.lane.forward(&fixed.network, layers, &shard.input, Pass::Calibrate, None);
                if let Some(graph) = shard.lane.graph() {
                    graph.calibrate(&fixed.network, layers);
                }
            }
        }
        totals.add(shard.answer(fixed, layers, phase, None));
        shard.lane.backward(&fixed.network, &mut Learner::Layers(layers), &shard.input, (step, phase), None);
    }

    /// One update of batches that are cut into shards.
    fn update_by_votes(&mut self, places: &[u32], step: Step, steps: &Steps) -> Result<(), ExchangeError> {
        let Self { layers, fixed, share, worker, shards, totals, .. } = self;
        let exchange = worker.link.exchange();
        let phase = Phase::of(step.index, steps.total);
        let of_shards = places.chunks(share.shard_samples()).map(<[u32]>::to_vec);
        for (shard, places) in shards.iter_mut().zip(of_shards) {
            fixed.gather(steps.epoch, &places, shard);
        }
        if step.index == 0 {
            for _ in 0..Graph::calibrations(&fixed.network) {
                side_by_side(shards, share, exchange, |_, shard, others| {
                    shard.lane.forward(&fixed.network, layers, &shard.input, Pass::Calibrate, Some(others));
                })?;
                // What one shard knows of the batch, all do.
                if let Some(graph) = shards.first().and_then(|shard| shard.lane.graph()) {
                    graph.calibrate(&fixed.network, layers);
                }
            }
        }
        let of_shards = side_by_side(shards, share, exchange, |number, shard, others| {
            shard.ballots.iter_mut().for_each(Ballot::clear);
            let totals = shard.answer(fixed, layers, phase, Some(others));
            let Shard { lane, input, ballots, .. } = shard;
            let mut learner = Learner::Ballots { layers, shard: share.first_shard() + number, ballots };
            lane.backward(&fixed.network, &mut learner, input, (step, phase), Some(others));
            totals
        })?;
        of_shards.into_iter().for_each(|of_shard| totals.add(of_shard));
        let Some((first, others)) = shards.split_first_mut() else { return Ok(()) };
        for (index, (layer, ballot)) in layers.iter_mut().zip(&mut first.ballots).enumerate() {
            others.iter_mut().filter_map(|shard| shard.ballots.get_mut(index)).for_each(|other| ballot.add(other));
            for values in ballot.integers().into_iter().filter(|values| !values.is_empty()) {
                exchange.sum(Integers::I8(values))?;
            }
            if !ballot.scores.is_empty() {
                exchange.sum(Integers::I32(&mut ballot.scores))?;
            }
            layer.apply(ballot, step);
        }
        if let Some(graph) = first.lane.graph() {
            graph.follow(&fixed.network, layers, phase);
        }
        Ok(())
    }
}

/// Does the same for every shard of a worker at once, so that they can wait for what others find.
fn side_by_side<T: Send>(
    shards: &mut [Shard],
    share: &Share,
    exchange: &dyn Exchange,
    work: impl Fn(usize, &mut Shard, &Others<'_>) -> T + Sync,
) -> Result<Vec<T>, ExchangeError> {
    let alone = |(number, (shard, exchange)): (usize, (&mut Shard, InProcess<'_>))| {
        let others = Others::new(&exchange, share.shards.count());
        let result = work(number, shard, &others);
        others.fault().map(|()| result)
    };
    let exchanges = InProcess::new(shards.len(), exchange);
    std::thread::scope(|scope| {
        let alone = &alone;
        let threads = shards.iter_mut().zip(exchanges).enumerate().map(|shard| scope.spawn(move || alone(shard)));
        let threads: Vec<_> = threads.collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

impl Shard {
    fn new(network: &Network, layers: &[Box<dyn LayerState>], share: &Share) -> Self {
        Self {
            input: Array2::default((0, 0)),
            labels: Vec::new(),
            lane: Lane::new(network),
            taught: None,
            ballots: layers.iter().filter_map(|layer| layer.ballot(share.shards)).collect(),
        }
    }

    /// Forward pass over the samples that are there, and the gradient of the mean loss with respect to the logits.
    fn answer(
        &mut self,
        fixed: &Fixed<'_>,
        layers: &[Box<dyn LayerState>],
        phase: Phase,
        others: Option<&Others<'_>>,
    ) -> Totals {
        let Self { input, labels, lane, taught, .. } = self;
        lane.forward(&fixed.network, layers, input, Pass::Learn(phase), others);
        let taught = taught.as_mut().zip(fixed.teacher.as_ref()).and_then(|(lane, teacher)| {
            lane.forward(&teacher.network, &teacher.layers, input, Pass::Judge, None);
            Some((teacher.answers, &lane.last()?.output))
        });
        lane.last_mut().map_or(Totals::default(), |last| {
            loss::loss(&fixed.target, taught, &last.output, labels, &mut last.gradient)
        })
    }
}

impl Fixed<'_> {
    /// Takes the samples of one batch or shard as floats, [batch, inputs], changed as they are to be in this epoch, and their
    /// labels.
    fn gather(&self, epoch: u64, indices: &[u32], shard: &mut Shard) {
        let Shard { input, labels, .. } = shard;
        product::resize(input, indices.len(), self.network.inputs());
        let fill = |row: &mut [f32], sample: &[i8]| {
            row.iter_mut().zip(sample).for_each(|(value, sample)| *value = f32::from(*sample));
        };
        let inputs = self.network.inputs().max(1);
        let values = input.as_slice_mut().unwrap_or_default();
        match &self.augmentation {
            None => values
                .chunks_exact_mut(inputs)
                .zip(indices)
                .for_each(|(row, index)| fill(row, self.data.row(*index as usize))),
            Some(augmentation) => {
                let changed = || vec![0; self.data.features()];
                values.par_chunks_exact_mut(inputs).zip(indices).for_each_init(changed, |changed, (row, index)| {
                    let sample = self.data.row(*index as usize);
                    augmentation.augment(self.seed, epoch, u64::from(*index), sample, changed);
                    fill(row, changed);
                });
            }
        }
        labels.clear();
        labels.extend(indices.iter().filter_map(|index| self.data.labels.get(*index as usize).copied()));
    }
}

impl Backend for CpuBackend<'_> {
    fn set_order(&mut self, order: Vec<u32>) -> Result<(), BackendError> {
        self.order = self.share.of_order(order);
        Ok(())
    }

    fn train(&mut self, steps: Steps) -> Result<(), BackendError> {
        for offset in 0..steps.count {
            let index = steps.first + offset;
            let step = Step { index, lambda: schedule::lambda(index, steps.warm_up, steps.total) };
            let start = (steps.first_batch + offset) as usize * self.share.own_samples();
            let end = (start + self.share.own_samples()).min(self.order.len());
            let places = self.order.get(start.min(end)..end).unwrap_or_default().to_vec();
            if self.share.has_ballots() {
                self.update_by_votes(&places, step, &steps)?;
            } else {
                self.update(&places, step, &steps);
            }
        }
        Ok(())
    }

    fn take_totals(&mut self) -> Result<Totals, BackendError> {
        Ok(std::mem::take(&mut self.totals).over(self.worker.link.exchange())?)
    }

    fn layers(&mut self) -> Result<&[Box<dyn LayerState>], BackendError> {
        Ok(&self.layers)
    }

    fn logits(&mut self, samples: &[i8]) -> Result<Vec<f32>, BackendError> {
        let inputs = self.fixed.network.inputs();
        let mut logits = Vec::with_capacity(samples.len() / inputs.max(1) * self.fixed.network.outputs());
        // Images take room: no more of them than a step has.
        let batch = if !self.fixed.network.is_perceptron() {
            self.share.batch.clamp(1, EVALUATION_BATCH)
        } else {
            EVALUATION_BATCH
        };
        for chunk in samples.chunks(batch * inputs.max(1)) {
            let rows = chunk.len() / inputs.max(1);
            let values: Vec<f32> = chunk.iter().take(rows * inputs).map(|value| f32::from(*value)).collect();
            // The length is rows × inputs by construction.
            let Ok(input) = Array2::from_shape_vec((rows, inputs), values) else { continue };
            let Self { layers, fixed, shards, .. } = self;
            let Some(Shard { lane, .. }) = shards.first_mut() else { continue };
            lane.forward(&fixed.network, layers, &input, Pass::Judge, None);
            if let Some(last) = lane.last() {
                logits.extend(last.output.t().iter());
            }
        }
        Ok(logits)
    }

    fn load(&mut self, reader: &StateReader<'_>) -> Result<(), BackendError> {
        Ok(reader.load(&mut self.layers)?)
    }

    fn memory(&self) -> MemoryUse {
        let lanes = self.shards.iter().map(|shard| shard.lane.bytes());
        let [scratch, activations] = lanes.fold([0; 2], |[a, b], [weights, samples]| [a + weights, b + samples]);
        MemoryUse { state: self.layers.iter().map(|layer| layer.state_bytes()).sum(), scratch, activations }
    }
}
