//! The CPU backend: f32 matrix products on all cores, exact where exponent windows allow, integers for everything that
//! lasts.
//!
//! Activations lie feature after feature, [features, batch], so that a panel of a layer's rows is contiguous in weights,
//! outputs and gradients alike. Work is divided into panels of fixed size: results do not depend on the number of
//! threads. Perceptrons run stage after stage, all other networks node after node (`graph`).

mod activation;
mod graph;
mod lookup;
mod loss;
mod product;

use super::{Backend, BackendError, MemoryUse, Steps};
use crate::checkpoint::{CheckpointError, StateReader, Totals};
use crate::config::Config;
use crate::data::{Augmentation, Dataset};
use crate::frozen::FrozenLayer;
use crate::network::{Network, Stage, StageKind};
use crate::rule::batch_norm::Phase;
use crate::rule::gradient::{Gradient, Positions};
use crate::rule::{self, LayerState, Step, power_of_two};
use crate::schedule;
use crate::teacher::Teacher;
use activation::Activation;
use graph::{Graph, Pass};
use loss::{Answers, Target};
use ndarray::Array2;
use rayon::prelude::*;

/// Samples of one forward pass outside training.
const EVALUATION_BATCH: usize = 512;

/// A network in training on the CPU.
#[derive(Debug)]
pub struct CpuBackend<'a> {
    network: Network,
    layers: Vec<Box<dyn LayerState>>,
    data: &'a Dataset,
    target: Target,
    /// Whose answers are learned, if anyone's: the network, and how much they count.
    teacher: Option<(Box<Self>, Answers)>,
    augmentation: Option<Augmentation>,
    seed: u64,
    batch: usize,
    order: Vec<u32>,
    totals: Totals,
    /// For every stage of a perceptron; of any other network one, for its output.
    work: Vec<Work>,
    /// Of a network that is no perceptron.
    graph: Option<Graph>,
}

/// What a step makes for one layer; kept from step to step.
#[derive(Debug, Default)]
struct Work {
    /// W of the forward pass, [rows, columns].
    weights: Array2<f32>,
    /// The layer's activations or logits, [outputs, batch].
    output: Array2<f32>,
    /// What made activations of accumulators.
    activation: Activation,
    /// Gradient with respect to the accumulators, [outputs, batch].
    gradient: Array2<f32>,
    /// Embedding: which positions looked each row up.
    positions: Positions,
    /// Embedding: the gradient by position, [positions, columns].
    of_positions: Array2<f32>,
}

impl<'a> CpuBackend<'a> {
    /// A fresh network for the training samples of `data`.
    pub fn new(config: &Config, network: &Network, data: &'a Dataset) -> Self {
        let stages = network.stages.iter().enumerate();
        let graph = (!network.is_perceptron()).then(|| Graph::new(network));
        let outputs = if graph.is_some() { 1 } else { network.stages.len() };
        Self {
            network: network.clone(),
            layers: stages.map(|(index, stage)| rule::create(config, stage, index)).collect(),
            data,
            target: Target {
                loss: config.training.loss,
                smoothing: config.training.label_smoothing as f32,
                class_weights: Vec::new(),
            },
            teacher: None,
            augmentation: config.training.augmentation.of_images(data.shape),
            seed: config.training.seed,
            batch: config.training.batch as usize,
            order: Vec::new(),
            totals: Totals::default(),
            work: (0..outputs).map(|_| Work::default()).collect(),
            graph,
        }
    }

    /// The same with samples that count in the loss as much as their classes weigh.
    pub fn with_class_weights(mut self, class_weights: Vec<f32>) -> Self {
        self.target.class_weights = class_weights;
        self
    }

    /// The same with another network's answers to learn.
    ///
    /// # Errors
    /// [`CheckpointError`] where the teacher's state does not fit its network.
    pub fn with_teacher(mut self, teacher: &Teacher) -> Result<Self, CheckpointError> {
        let mut network = Self::new(&teacher.config, &teacher.network, self.data);
        teacher.reader()?.load(&mut network.layers)?;
        let answers = Answers { share: teacher.share, temperature: teacher.temperature };
        self.teacher = Some((Box::new(network), answers));
        Ok(self)
    }

    /// Forward pass over `input`, [batch, inputs]; leaves every layer's output in `self.work`. The pass says something to
    /// norms of batches alone, which perceptrons have none of.
    fn forward(&mut self, input: &Array2<f32>, pass: Pass) {
        let Self { network, layers, work, graph, .. } = self;
        if let (Some(graph), Some(last)) = (graph, work.last_mut()) {
            let output = graph.forward(network, layers, input, pass);
            product::resize(&mut last.output, output.nrows(), output.ncols());
            last.output.assign(output);
            return;
        }
        let mut done: &mut [Work] = &mut [];
        let mut rest: &mut [Work] = work;
        for (stage, layer) in network.stages.iter().zip(layers) {
            let Some((current, after)) = rest.split_first_mut() else { return };
            product::expand_weights(layer.as_ref(), stage, &mut current.weights);
            match stage.kind {
                StageKind::Linear => {
                    let previous = done.last().map(|work: &Work| work.output.t());
                    let source = previous.unwrap_or_else(|| input.view());
                    product::multiply_panels(&current.weights, source.t(), &mut current.output);
                    add_bias(stage, layer.as_ref(), &mut current.output);
                }
                StageKind::Embedding { .. } => {
                    let indices = lookup::indices(input);
                    lookup::rows(&current.weights, &indices, input.nrows(), &mut current.output);
                    current.positions = Positions::new(&indices, stage.rows);
                }
            }
            current.activation.forward(stage.output, network.activations, &mut current.output);
            done = std::slice::from_mut(current);
            rest = after;
        }
    }

    /// Backward pass and updates, last layer first, after [`CpuBackend::forward`] over the same input and the gradient
    /// of the last layer.
    fn backward(&mut self, input: &Array2<f32>, step: Step, phase: Phase) {
        if let (Some(graph), Some(last)) = (&mut self.graph, self.work.last()) {
            graph.backward(&self.network, &mut self.layers, &last.gradient, step, phase);
            return;
        }
        let stages = self.network.stages.iter().zip(&mut self.layers).enumerate().rev();
        for (index, (stage, layer)) in stages {
            let (before, current) = self.work.split_at_mut(index);
            let Some(current) = current.first_mut() else { continue };
            current.activation.backward(stage.output, &mut current.gradient);
            // The input gradient uses the weights of the forward pass, so it comes before the update.
            if let Some(previous) = before.last_mut() {
                product::multiply_transposed(&current.weights, &current.gradient, &mut previous.gradient);
            }
            let gradient = match stage.kind {
                StageKind::Linear => {
                    let source = before.last().map(|previous| previous.output.t());
                    Gradient::Product { output: current.gradient.view(), input: source.unwrap_or_else(|| input.view()) }
                }
                StageKind::Embedding { .. } => {
                    lookup::gradient(&current.gradient, stage.columns, &mut current.of_positions);
                    Gradient::Lookup { positions: &current.positions, output: current.of_positions.view() }
                }
            };
            layer.update(&gradient, step);
        }
    }

    /// The samples of one batch as floats, [batch, inputs], changed as they are to be in this epoch, and their labels.
    fn gather(&self, epoch: u64, indices: &[u32], input: &mut Array2<f32>) -> Vec<u16> {
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
        indices.iter().filter_map(|index| self.data.labels.get(*index as usize).copied()).collect()
    }
}

/// Adds the rounded biases, as the exported layer has them.
fn add_bias(stage: &Stage, layer: &dyn LayerState, output: &mut Array2<f32>) {
    if !stage.bias {
        return;
    }
    let frozen = FrozenLayer::new(stage, layer);
    for ((mut row, bias), unit) in output.rows_mut().into_iter().zip(&frozen.bias).zip(&frozen.units) {
        let bias = *bias as f32 * power_of_two(*unit);
        row.iter_mut().for_each(|value| *value += bias);
    }
}

impl Backend for CpuBackend<'_> {
    fn set_order(&mut self, order: Vec<u32>) -> Result<(), BackendError> {
        self.order = order;
        Ok(())
    }

    fn train(&mut self, steps: Steps) -> Result<(), BackendError> {
        let mut input = Array2::default((0, 0));
        for offset in 0..steps.count {
            let index = steps.first + offset;
            let step = Step { index, lambda: schedule::lambda(index, steps.warm_up, steps.total) };
            let start = (steps.first_batch + offset) as usize * self.batch;
            let end = (start + self.batch).min(self.order.len());
            let labels = self.gather(steps.epoch, &self.order[start.min(end)..end], &mut input);
            let phase = Phase::of(step.index, steps.total);
            if let (0, Some(graph)) = (step.index, &mut self.graph) {
                graph.calibrate(&self.network, &mut self.layers, &input);
            }
            self.forward(&input, Pass::Learn(phase));
            if let Some((teacher, _)) = &mut self.teacher {
                teacher.forward(&input, Pass::Judge);
            }
            if let Some(last) = self.work.last_mut() {
                let taught =
                    self.teacher.as_ref().and_then(|(teacher, answers)| Some((*answers, &teacher.work.last()?.output)));
                let totals = loss::loss(&self.target, taught, &last.output, &labels, &mut last.gradient);
                self.totals.add(totals);
            }
            self.backward(&input, step, phase);
        }
        Ok(())
    }

    fn take_totals(&mut self) -> Result<Totals, BackendError> {
        Ok(std::mem::take(&mut self.totals))
    }

    fn layers(&mut self) -> Result<&[Box<dyn LayerState>], BackendError> {
        Ok(&self.layers)
    }

    fn logits(&mut self, samples: &[i8]) -> Result<Vec<f32>, BackendError> {
        let inputs = self.network.inputs();
        let mut logits = Vec::with_capacity(samples.len() / inputs.max(1) * self.network.outputs());
        // Images take room: no more of them than a step has.
        let batch = if self.graph.is_some() { self.batch.clamp(1, EVALUATION_BATCH) } else { EVALUATION_BATCH };
        for chunk in samples.chunks(batch * inputs.max(1)) {
            let rows = chunk.len() / inputs.max(1);
            let values: Vec<f32> = chunk.iter().take(rows * inputs).map(|value| f32::from(*value)).collect();
            // The length is rows × inputs by construction.
            let Ok(input) = Array2::from_shape_vec((rows, inputs), values) else { continue };
            self.forward(&input, Pass::Judge);
            if let Some(last) = self.work.last() {
                logits.extend(last.output.t().iter());
            }
        }
        Ok(logits)
    }

    fn load(&mut self, reader: &StateReader<'_>) -> Result<(), BackendError> {
        Ok(reader.load(&mut self.layers)?)
    }

    fn memory(&self) -> MemoryUse {
        let matrix = |matrix: &Array2<f32>| matrix.len() * size_of::<f32>();
        let activations = |work: &Work| {
            matrix(&work.output) + matrix(&work.gradient) + matrix(&work.of_positions) + work.activation.bytes()
        };
        let [weights, images] = self.graph.as_ref().map_or([0; 2], Graph::bytes);
        MemoryUse {
            state: self.layers.iter().map(|layer| layer.state_bytes()).sum(),
            scratch: self.work.iter().map(|work| matrix(&work.weights)).sum::<usize>() + weights,
            activations: self.work.iter().map(activations).sum::<usize>() + images,
        }
    }
}
