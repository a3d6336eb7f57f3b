//! What is between a batch and its loss: layers one after another, or a graph.

use super::card::{Buffer, Card};
use super::extent::padded;
use super::graph::{Graph, Logits, Pass};
use super::layer::{Input, Layer, LayerInput, Shared, Surroundings};
use super::together::{BallotLayout, Voting};
use super::{BackendError, CudaError, MemoryUse};
use crate::checkpoint::StateReader;
use crate::network::{Network, StageKind};
use trishift_format::write::CheckpointWriter;

/// What the first layer reads.
#[derive(Debug)]
pub(super) enum FirstInput {
    Activations(Buffer<u16>),
    Indices(Buffer<u8>),
}

/// The layers of a network.
#[derive(Debug)]
pub(super) enum Body {
    /// One after another, over rows of features, which begin with `input`.
    Chain { layers: Vec<Layer>, input: FirstInput, bytes: Option<Buffer<i8>> },
    /// Over images.
    Graph(Box<Graph>),
}

/// What layer number `index` of a chain reads.
fn input_of<'a>(layers: &'a [Layer], first: &'a FirstInput, index: usize) -> Input<'a> {
    let before = index.checked_sub(1).and_then(|index| layers.get(index)?.activations());
    match (before, first) {
        (Some(activations), _) | (None, FirstInput::Activations(activations)) => Input::Activations(activations),
        (None, FirstInput::Indices(indices)) => Input::Indices(indices),
    }
}

impl Body {
    /// Memory and products of a network; its state is loaded after.
    pub(super) fn new(surroundings: &Surroundings<'_>, network: &Network) -> Result<Self, CudaError> {
        if network.is_perceptron() {
            return Self::chain(surroundings, network);
        }
        Ok(Self::Graph(Box::new(Graph::new(surroundings, network)?)))
    }

    /// Enqueues the forward pass over the batch that is there.
    pub(super) fn forward(&self, shared: &Shared<'_>, pass: Pass) -> Result<(), CudaError> {
        match self {
            Self::Chain { layers, input, .. } => layers
                .iter()
                .enumerate()
                .try_for_each(|(index, layer)| layer.forward(shared, input_of(layers, input, index))),
            Self::Graph(graph) => graph.forward(shared, pass),
        }
    }

    /// Enqueues the backward pass and the updates, given the gradient of the logits.
    pub(super) fn backward<'a>(&'a self, shared: &Shared<'a>) -> Result<(), CudaError> {
        let (layers, input) = match self {
            Self::Chain { layers, input, .. } => (layers, input),
            Self::Graph(graph) => return graph.backward(shared),
        };
        let mut voting = shared.voting();
        for (index, layer) in layers.iter().enumerate().rev() {
            let previous = index.checked_sub(1).and_then(|index| layers.get(index)).map(Layer::gradient);
            let expanded = index + 1 == layers.len() && layer.leaves_weights();
            layer.backward(shared, input_of(layers, input, index), (previous, expanded), &mut voting)?;
        }
        voting.map_or(Ok(()), Voting::finish)
    }

    /// Where the shards' votes on each layer go.
    pub(super) fn ballots(&self) -> Vec<BallotLayout> {
        match self {
            Self::Chain { layers, .. } => layers.iter().filter_map(|layer| layer.ballot).collect(),
            Self::Graph(graph) => graph.ballots(),
        }
    }

    /// Layers one after another.
    fn chain(surroundings: &Surroundings<'_>, network: &Network) -> Result<Self, CudaError> {
        let Surroundings { card, batch, .. } = *surroundings;
        let inputs = network.inputs();
        let takes_bytes =
            |index: usize| network.stages.get(index).is_some_and(|stage| Layer::takes_bytes(surroundings, stage));
        let of_input = if takes_bytes(0) { Some(card.zeros("a batch", batch * padded(inputs))?) } else { None };
        let mut layers: Vec<Layer> = Vec::new();
        for (index, stage) in network.stages.iter().enumerate() {
            let bytes = if index == 0 { of_input.as_ref() } else { layers.last().and_then(Layer::bytes) };
            let input = LayerInput { is_first: index == 0, bytes, gives_bytes: takes_bytes(index + 1) };
            layers.push(Layer::new(surroundings, stage, input)?);
        }
        let begins_with_table = network.stages.first().is_some_and(|stage| stage.kind != StageKind::Linear);
        let input = if begins_with_table {
            FirstInput::Indices(card.zeros("a batch", batch * inputs)?)
        } else {
            FirstInput::Activations(card.zeros("a batch", batch * padded(inputs))?)
        };
        Ok(Self::Chain { layers, input, bytes: of_input })
    }

    /// The logits of the last forward pass, and where their gradient goes.
    pub(super) fn last(&self) -> Option<(Logits<'_>, &Buffer<u16>)> {
        match self {
            Self::Chain { layers, .. } => {
                let last = layers.last()?;
                let logits = Logits { sums: last.accumulators(), bias: last.rule.bias(), pitch: last.pitch() };
                Some((logits, last.gradient()))
            }
            Self::Graph(graph) => graph.last(),
        }
    }

    /// Takes the state of layer number `index`.
    pub(super) fn load(
        &mut self,
        card: &Card,
        index: usize,
        prefix: &str,
        reader: &StateReader<'_>,
    ) -> Result<(), BackendError> {
        match self {
            Self::Chain { layers, .. } => match layers.get_mut(index) {
                Some(layer) => layer.rule.load(card, prefix, reader),
                None => Ok(()),
            },
            Self::Graph(graph) => graph.load(card, index, prefix, reader),
        }
    }

    /// Adds the state of layer number `index`.
    pub(super) fn save(
        &self,
        card: &Card,
        index: usize,
        prefix: &str,
        writer: &mut CheckpointWriter,
    ) -> Result<(), BackendError> {
        match self {
            Self::Chain { layers, .. } => match layers.get(index) {
                Some(layer) => layer.rule.save(card, prefix, writer),
                None => Ok(()),
            },
            Self::Graph(graph) => graph.save(card, index, prefix, writer),
        }
    }

    /// Bytes of the state, and of what a step makes for weights and for samples.
    pub(super) fn memory(&self) -> MemoryUse {
        match self {
            Self::Chain { layers, .. } => MemoryUse {
                state: layers.iter().map(|layer| layer.rule.state_bytes()).sum(),
                scratch: layers.iter().map(Layer::weight_bytes).sum(),
                activations: layers.iter().map(Layer::activation_bytes).sum(),
            },
            Self::Graph(graph) => MemoryUse {
                state: graph.state_bytes(),
                scratch: graph.weight_bytes(),
                activations: graph.activation_bytes(),
            },
        }
    }
}
