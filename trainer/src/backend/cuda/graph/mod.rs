//! Networks that are graphs: convolutions, batch norms, pooling, ways that part and come together.
//!
//! A node's output is an image for each sample, [height, width, channels], int8 in bfloat16, its channels padded with zeros;
//! its gradient has the same shape. Norms and ReLUs behind a layer with weights are part of it. In the backward pass the
//! first of those that share an image writes its gradient, the others add to it, always in the same order.

mod columns;
mod norm;
pub mod shape;
mod sums;
mod task;
mod weights;

pub(super) use norm::Pass;
use shape::Image;
use task::Task;
use weights::{Place, Plan, Target, Weights};

use super::card::{Buffer, Card};
use super::layer::{Shared, Surroundings};
use super::together::{BallotLayout, Voting};
use super::{BackendError, CudaError};
use crate::checkpoint::StateReader;
use crate::network::{Element, Network, Node, Operation, Stage};
use shape::Windows;
use trishift_format::write::CheckpointWriter;

/// Share of the card's free memory that matrices of windows may take to be kept.
const KEPT_SHARE: usize = 4;

/// One image for each sample of a batch.
#[derive(Debug)]
pub(super) struct Tensor {
    image: Image,
    /// None for logits.
    activations: Buffer<u16>,
    /// None for the network's input.
    gradient: Option<Buffer<u16>>,
}

/// One thing to be done.
#[derive(Debug)]
struct Link {
    work: Work,
    /// Numbers of tensors.
    inputs: Vec<usize>,
    output: usize,
}

#[derive(Debug)]
enum Work {
    /// The layer of this number.
    Weights(usize),
    Task(Task),
}

/// A network on images in training.
#[derive(Debug)]
pub(super) struct Graph {
    batch: usize,
    tensors: Vec<Tensor>,
    links: Vec<Link>,
    /// One for each stage of the network.
    layers: Vec<Weights>,
    /// A matrix of windows, or its gradient.
    matrices: Buffer<u16>,
}

/// Tensors and links in the making.
struct Builder<'a> {
    card: &'a Card,
    batch: usize,
    tensors: Vec<Tensor>,
    links: Vec<Link>,
}

impl Builder<'_> {
    /// A tensor; `values` says that it has activations, `learns` a gradient.
    fn tensor(&mut self, image: Image, values: bool, learns: bool) -> Result<usize, CudaError> {
        let len = self.batch * image.len();
        let activations = self.card.zeros("a layer's activations", if values { len } else { 0 })?;
        let gradient = if learns { Some(self.card.zeros("a layer's gradient", len)?) } else { None };
        self.tensors.push(Tensor { image, activations, gradient });
        Ok(self.tensors.len() - 1)
    }

    fn image(&self, tensor: usize) -> Image {
        self.tensors[tensor].image
    }

    /// Adds a link to a new tensor.
    fn link(&mut self, work: Work, inputs: Vec<usize>, image: Image) -> Result<usize, CudaError> {
        let output = self.tensor(image, true, true)?;
        self.links.push(Link { work, inputs, output });
        Ok(output)
    }

    /// The tensor with the elements of another one as a row without gaps.
    fn row(&mut self, tensor: usize) -> Result<usize, CudaError> {
        let image = self.image(tensor);
        if image.is_row() {
            return Ok(tensor);
        }
        self.link(Work::Task(Task::Reshape), vec![tensor], Image([1, 1, image.elements()]))
    }

    /// A node without weights.
    fn task(&mut self, node: &Node, inputs: Vec<usize>) -> Result<usize, CudaError> {
        let Some(first) = inputs.first().copied() else { return self.tensor(Image(node.shape), true, false) };
        let (card, batch, output) = (self.card, self.batch, Image(node.shape));
        let input = self.image(first);
        let windows = |window| Windows::new(card, window, input, output, 0);
        let len = batch * output.len();
        let task = match node.operation {
            Operation::MaxPool(window) => {
                Task::MaxPool { windows: windows(window)?, places: card.zeros("places of the largest", len)? }
            }
            Operation::AvgPool(window, extra_bits) => {
                let windows = Windows::of_means(card, window, input, output, extra_bits)?;
                Task::AvgPool { windows, means: card.zeros("means", len)? }
            }
            Operation::Add => Task::Add { relu: node.relu },
            Operation::Concat => Task::Concat,
            Operation::Relu => Task::Relu,
            Operation::Reshape => Task::Reshape,
            Operation::Pad([top, left, ..]) => Task::Pad { top: top.into(), left: left.into() },
            // Layers with weights and their norms are none of these.
            _ => return Ok(first),
        };
        self.link(Work::Task(task), inputs, output)
    }
}

/// A layer with weights and the tensors that it connects.
struct Layer {
    place: Place,
    index: usize,
}

impl Graph {
    /// Memory and products of a network; the state of its layers is loaded after.
    ///
    /// # Errors
    /// [`CudaError`]; [`CudaError::Unsupported`] for what only the CPU trains.
    pub(super) fn new(surroundings: &Surroundings<'_>, network: &Network) -> Result<Self, CudaError> {
        let Surroundings { card, products, training, batch, shards, voting, .. } = *surroundings;
        if let Some(what) = network.untrainable_on_card() {
            return Err(CudaError::Unsupported { what });
        }
        let mut builder = Builder { card, batch, tensors: Vec::new(), links: Vec::new() };
        let mut of_nodes: Vec<usize> = Vec::with_capacity(network.nodes.len());
        let mut layers: Vec<Layer> = Vec::new();
        for (number, node) in network.nodes.iter().enumerate() {
            let inputs: Vec<usize> = node.inputs.iter().filter_map(|input| of_nodes.get(*input)).copied().collect();
            let is_logits = number + 1 == network.nodes.len();
            // A norm stands for the layer whose sums it takes; that layer stands for its own input meanwhile.
            let weights = match (node.operation, node.element) {
                (Operation::ShiftBatchNorm | Operation::ShiftNorm | Operation::RmsNorm, _) => {
                    node.inputs.first().and_then(|input| network.nodes.get(*input))
                }
                (operation, element) if operation.stage().is_some() && (element == Element::Int8 || is_logits) => {
                    Some(node)
                }
                _ => None,
            };
            let tensor = match (weights, inputs.first().copied()) {
                (Some(weights), Some(input)) => {
                    let Some((index, stage)) = stage_of(network, weights.operation) else { continue };
                    let input =
                        if matches!(weights.operation, Operation::Linear(_)) { builder.row(input)? } else { input };
                    let output = builder.tensor(Image(node.shape), !is_logits, true)?;
                    let place = Place {
                        operation: weights.operation,
                        stage: *stage,
                        input: builder.image(input),
                        output: Image(node.shape),
                        is_normed: node.operation == Operation::ShiftBatchNorm,
                        relu: node.relu,
                        is_first: builder.tensors[input].gradient.is_none(),
                    };
                    builder.links.push(Link { work: Work::Weights(index), inputs: vec![input], output });
                    layers.push(Layer { place, index });
                    output
                }
                (None, Some(input)) if node.operation.stage().is_some() => input,
                _ => builder.task(node, inputs)?,
            };
            of_nodes.push(tensor);
        }
        layers.sort_by_key(|layer| layer.index);
        let len = |of: fn(&Place, usize) -> usize| layers.iter().map(move |layer| of(&layer.place, batch));
        let scratch = len(Place::scratch_len).max().unwrap_or(0);
        let matrices = card.zeros("a layer's windows", scratch)?;
        let bytes = len(Place::matrix_len).sum::<usize>() * size_of::<u16>();
        let keeps_windows = bytes <= card.memory()?.0 / KEPT_SHARE;
        let plan = Plan { card, products, training, batch, shards, voting, keeps_windows };
        let layers = layers.iter().map(|layer| Weights::new(&plan, &layer.place)).collect::<Result<_, _>>()?;
        let Builder { tensors, links, .. } = builder;
        Ok(Self { batch, tensors, links, layers, matrices })
    }

    /// Where the samples of a batch go: [batch, pixels, pitch].
    pub(super) fn input(&self) -> Option<(&Buffer<u16>, Image)> {
        self.tensors.first().map(|tensor| (&tensor.activations, tensor.image))
    }

    /// Enqueues the forward pass.
    pub(super) fn forward(&self, shared: &Shared<'_>, pass: Pass) -> Result<(), CudaError> {
        for link in &self.links {
            let (inputs, output) = self.ends(link);
            match (&link.work, &inputs[..]) {
                (Work::Weights(index), [input]) => self.layers[*index].forward(
                    shared,
                    &self.matrices,
                    pass,
                    &input.activations,
                    &output.activations,
                )?,
                (Work::Task(task), inputs) => task.forward(shared.card, self.batch, inputs, output)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Enqueues the backward pass and the updates, given the gradient of the logits.
    pub(super) fn backward<'a>(&'a self, shared: &Shared<'a>) -> Result<(), CudaError> {
        let mut voting = shared.voting();
        let mut is_written = vec![false; self.tensors.len()];
        for link in self.links.iter().rev() {
            let (inputs, output) = self.ends(link);
            let mut targets = [None; 2];
            for (target, number) in targets.iter_mut().zip(&link.inputs) {
                if let Some(gradient) = &self.tensors[*number].gradient {
                    *target = Some(Target { gradient, adds: is_written[*number] });
                    is_written[*number] = true;
                }
            }
            match (&link.work, &inputs[..], &output.gradient) {
                (Work::Weights(index), [input], Some(gradient)) => {
                    let images = (&input.activations, gradient);
                    self.layers[*index].backward(shared, &self.matrices, images, targets[0], &mut voting)?
                }
                (Work::Task(task), inputs, _) => task.backward(shared.card, self.batch, inputs, output, targets)?,
                _ => {}
            }
        }
        voting.map_or(Ok(()), Voting::finish)
    }

    /// Where the shards' votes on each layer go.
    pub(super) fn ballots(&self) -> Vec<BallotLayout> {
        self.layers.iter().filter_map(|layer| layer.ballot).collect()
    }

    fn ends(&self, link: &Link) -> (Vec<&Tensor>, &Tensor) {
        (link.inputs.iter().map(|number| &self.tensors[*number]).collect(), &self.tensors[link.output])
    }

    /// The last layer, and the gradient of its logits.
    pub(super) fn last(&self) -> Option<(Logits<'_>, &Buffer<u16>)> {
        let Link { work: Work::Weights(index), output, .. } = self.links.last()? else { return None };
        let layer = self.layers.get(*index)?;
        let logits = Logits { sums: layer.sums(), bias: layer.rule.bias(), pitch: layer.pitch() };
        Some((logits, self.tensors[*output].gradient.as_ref()?))
    }

    /// Mean and variance of every channel of the last batch, for the norm of each stage that has one.
    pub(super) fn moments(&self, card: &Card) -> Result<Vec<Option<Vec<[f64; 2]>>>, CudaError> {
        let of_layer = |layer: &Weights| layer.channels().map_or(Ok(None), |channels| channels.moments(card));
        self.layers.iter().map(of_layer).collect()
    }

    /// Takes the state of stage number `index`.
    pub(super) fn load(
        &mut self,
        card: &Card,
        index: usize,
        prefix: &str,
        reader: &StateReader<'_>,
    ) -> Result<(), BackendError> {
        let Some(layer) = self.layers.get_mut(index) else { return Ok(()) };
        layer.rule.load(card, prefix, reader)?;
        self.load_norm(card, index, prefix, reader)
    }

    /// Takes the state of the norm behind stage number `index`, if there is one.
    pub(super) fn load_norm(
        &mut self,
        card: &Card,
        index: usize,
        prefix: &str,
        reader: &StateReader<'_>,
    ) -> Result<(), BackendError> {
        let channels = self.layers.get_mut(index).and_then(Weights::channels_mut);
        channels.map_or(Ok(()), |channels| channels.load(card, prefix, reader))
    }

    /// Adds the state of stage number `index`.
    pub(super) fn save(
        &self,
        card: &Card,
        index: usize,
        prefix: &str,
        writer: &mut CheckpointWriter,
    ) -> Result<(), BackendError> {
        let Some(layer) = self.layers.get(index) else { return Ok(()) };
        layer.rule.save(card, prefix, writer)?;
        layer.channels().map_or(Ok(()), |channels| channels.save(card, prefix, writer))
    }

    /// Bytes of the layers' state.
    pub(super) fn state_bytes(&self) -> usize {
        let channels = |layer: &Weights| layer.channels().map_or(0, norm::Channels::state_bytes);
        self.layers.iter().map(|layer| layer.rule.state_bytes() + channels(layer)).sum()
    }

    /// Bytes that a step makes for the weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.layers.iter().map(Weights::weight_bytes).sum()
    }

    /// Bytes that a step makes for the samples.
    pub(super) fn activation_bytes(&self) -> usize {
        let tensor = |tensor: &Tensor| tensor.activations.bytes() + tensor.gradient.as_ref().map_or(0, Buffer::bytes);
        let link = |link: &Link| match &link.work {
            Work::Task(task) => task.bytes(),
            Work::Weights(_) => 0,
        };
        self.tensors.iter().map(tensor).sum::<usize>()
            + self.links.iter().map(link).sum::<usize>()
            + self.layers.iter().map(Weights::activation_bytes).sum::<usize>()
            + self.matrices.bytes()
    }
}

/// The logits of a batch, [batch, pitch], without their biases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logits<'a> {
    pub(super) sums: &'a Buffer<f32>,
    pub(super) bias: Option<&'a Buffer<f32>>,
    pub(super) pitch: usize,
}

fn stage_of(network: &Network, operation: Operation) -> Option<(usize, &Stage)> {
    let index = operation.stage()?;
    Some((index, network.stages.get(index)?))
}
