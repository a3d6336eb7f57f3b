//! One shard's way through a network: samples to logits, and gradients back.

use super::activation::Activation;
use super::graph::{Graph, Pass};
use super::learner::{Learner, Others};
use super::{lookup, product};
use crate::frozen::FrozenLayer;
use crate::network::{Network, Stage, StageKind};
use crate::rule::batch_norm::Phase;
use crate::rule::gradient::{Gradient, Positions};
use crate::rule::{LayerState, Step, power_of_two};
use ndarray::Array2;

/// What a step makes for the samples of a shard; kept from step to step.
#[derive(Debug)]
pub(super) struct Lane {
    /// For every stage of a perceptron; of any other network one, for its output.
    work: Vec<Work>,
    /// Of a network that is no perceptron.
    graph: Option<Graph>,
}

/// What a step makes for one layer.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// W of the forward pass, [rows, columns].
    weights: Array2<f32>,
    /// The layer's activations or logits, [outputs, batch].
    pub(super) output: Array2<f32>,
    /// What made activations of accumulators.
    activation: Activation,
    /// Gradient with respect to the accumulators, [outputs, batch].
    pub(super) gradient: Array2<f32>,
    /// Embedding: which positions looked each row up.
    positions: Positions,
    /// Embedding: the gradient by position, [positions, columns].
    of_positions: Array2<f32>,
}

impl Lane {
    pub(super) fn new(network: &Network) -> Self {
        let graph = (!network.is_perceptron()).then(|| Graph::new(network));
        let outputs = if graph.is_some() { 1 } else { network.stages.len() };
        Self { work: (0..outputs).map(|_| Work::default()).collect(), graph }
    }

    /// What there is besides the perceptron's stages, if the network is none.
    pub(super) fn graph(&self) -> Option<&Graph> {
        self.graph.as_ref()
    }

    /// The logits of the last forward pass, and where their gradient goes.
    pub(super) fn last(&self) -> Option<&Work> {
        self.work.last()
    }

    /// The same, to be written.
    pub(super) fn last_mut(&mut self) -> Option<&mut Work> {
        self.work.last_mut()
    }

    /// Forward pass over `input`, [batch, inputs]; leaves every layer's output. The pass and the other shards say something to
    /// norms of batches alone, which perceptrons have none of.
    pub(super) fn forward(
        &mut self,
        network: &Network,
        layers: &[Box<dyn LayerState>],
        input: &Array2<f32>,
        pass: Pass,
        others: Option<&Others<'_>>,
    ) {
        let Self { work, graph } = self;
        if let (Some(graph), Some(last)) = (graph, work.last_mut()) {
            let output = graph.forward(network, layers, input, pass, others);
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

    /// Backward pass, last layer first, after [`Lane::forward`] over the same input and the gradient of the last layer.
    pub(super) fn backward(
        &mut self,
        network: &Network,
        learner: &mut Learner<'_>,
        input: &Array2<f32>,
        (step, phase): (Step, Phase),
        others: Option<&Others<'_>>,
    ) {
        if let (Some(graph), Some(last)) = (&mut self.graph, self.work.last()) {
            graph.backward(network, learner, &last.gradient, (step, phase), others);
            return;
        }
        for (index, stage) in network.stages.iter().enumerate().rev() {
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
            learner.learn(index, &gradient, step);
        }
    }

    /// Bytes of the weights as a step uses them, and of what it makes for each sample.
    pub(super) fn bytes(&self) -> [usize; 2] {
        let matrix = |matrix: &Array2<f32>| matrix.len() * size_of::<f32>();
        let activations = |work: &Work| {
            matrix(&work.output) + matrix(&work.gradient) + matrix(&work.of_positions) + work.activation.bytes()
        };
        let [weights, images] = self.graph.as_ref().map_or([0; 2], Graph::bytes);
        [
            self.work.iter().map(|work| matrix(&work.weights)).sum::<usize>() + weights,
            self.work.iter().map(activations).sum::<usize>() + images,
        ]
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
