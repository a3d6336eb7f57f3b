//! Networks that are more than stages one behind the other: node after node forward, and back in the opposite order.
//!
//! Between nodes lie images, [channels, batch·height·width]: what is summed over a batch is contiguous, and a vector is an
//! image of one pixel. Where a node's output goes several ways, their gradients are added in one fixed order.

mod convolution;
mod depthwise;
mod layout;
mod norm;
mod pool;
#[cfg(test)]
mod tests;
mod weighted;
mod windows;

use super::activation::{Activation, Nonlinearity, nonlinear};
use super::learner::{Learner, Others};
use super::lookup;
use super::product::{self, resize};
use crate::network::{Element, Network, Node, Operation, StageOutput};
use crate::rule::batch_norm::{BatchNorm, Phase, Statistics};
use crate::rule::gradient::{Gradient, Positions};
use crate::rule::{LayerState, Step};
use ndarray::Array2;
use norm::NormWork;
use weighted::Weighted;
use windows::Windows;

/// What a pass over the network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Judging: as the exported model would.
    Judge,
    /// The same, but measuring what norms take.
    Calibrate,
    /// Learning.
    Learn(Phase),
}

impl Pass {
    fn measures(self) -> bool {
        self != Self::Judge
    }

    fn uses_batch(self) -> bool {
        matches!(self, Self::Learn(Phase { uses_batch: true, .. }))
    }
}

/// What a step makes for every node; kept from step to step.
#[derive(Debug)]
pub(super) struct Graph {
    work: Vec<Work>,
}

/// What a step makes for one node.
#[derive(Debug, Default)]
struct Work {
    /// Its output.
    values: Array2<f32>,
    /// Gradient of the mean loss with respect to that.
    gradient: Array2<f32>,
    /// Its weights, if it has some.
    weighted: Weighted,
    /// Input or sums in columns, where it takes them so.
    columns: Array2<f32>,
    /// What made activations of sums.
    activation: Activation,
    /// Derivatives of means.
    gain: Array2<f32>,
    /// Of a shift-batch-norm.
    norm: NormWork,
    /// Embedding: which positions looked each row up.
    positions: Positions,
    /// Scratch of the way back.
    scratch: Array2<f32>,
}

impl Graph {
    pub(super) fn new(network: &Network) -> Self {
        Self { work: network.nodes.iter().map(|_| Work::default()).collect() }
    }

    /// Forward pass over samples, [batch, inputs]; gives the last node's output, [outputs, batch]. Norms measure the samples
    /// of `others` as well.
    pub(super) fn forward(
        &mut self,
        network: &Network,
        layers: &[Box<dyn LayerState>],
        samples: &Array2<f32>,
        pass: Pass,
        others: Option<&Others<'_>>,
    ) -> &Array2<f32> {
        for (index, node) in network.nodes.iter().enumerate() {
            let (before, current) = self.work.split_at_mut(index);
            if let Some(current) = current.first_mut() {
                Forward { network, layers, samples, pass, others, before }.node(node, current);
            }
        }
        // A network has nodes; one without would give nothing.
        static NOTHING: std::sync::LazyLock<Array2<f32>> = std::sync::LazyLock::new(|| Array2::zeros((0, 0)));
        self.work.last().map_or(&NOTHING, |work| &work.values)
    }

    /// Backward pass and updates, last node first, after [`Graph::forward`] over the same samples.
    pub(super) fn backward(
        &mut self,
        network: &Network,
        learner: &mut Learner<'_>,
        of_output: &Array2<f32>,
        (step, phase): (Step, Phase),
        others: Option<&Others<'_>>,
    ) {
        for work in &mut self.work {
            resize(&mut work.gradient, work.values.nrows(), work.values.ncols());
            work.gradient.fill(0.0);
        }
        if let Some(last) = self.work.last_mut() {
            last.gradient.assign(of_output);
        }
        for (index, node) in network.nodes.iter().enumerate().rev() {
            let (before, current) = self.work.split_at_mut(index);
            if let Some(current) = current.first_mut() {
                Backward { network, learner: &mut *learner, step, phase, others, before }.node(node, current);
            }
        }
    }

    /// Passes that bring the norms to their target on a batch, before the first update, each followed by
    /// [`Graph::calibrate`].
    pub(super) fn calibrations(network: &Network) -> usize {
        if !network.stages.iter().any(|stage| stage.batch_norm) {
            return 0;
        }
        // Each pass reaches one norm more, and every norm's step may be cut short once.
        2 * network.stages.len() + 2
    }

    /// Moves every norm nearer to its target on the batch that has been measured.
    pub(super) fn calibrate(&self, network: &Network, layers: &mut [Box<dyn LayerState>]) {
        self.each_norm(network, layers, |norm, statistics, units| norm.calibrate(statistics, units));
    }

    /// Lets every norm follow the batch that has been measured.
    pub(super) fn follow(&self, network: &Network, layers: &mut [Box<dyn LayerState>], phase: Phase) {
        self.each_norm(network, layers, |norm, statistics, units| norm.follow(statistics, units, phase));
    }

    fn each_norm(
        &self,
        network: &Network,
        layers: &mut [Box<dyn LayerState>],
        mut f: impl FnMut(&mut BatchNorm, &Statistics, &[i32]),
    ) {
        for (index, node) in network.nodes.iter().enumerate() {
            let Some((work, units, layer)) = self.norm(network, layers, index, node) else { continue };
            if let Some(norm) = layer.norm_mut() {
                f(norm, &work.statistics, units);
            }
        }
    }

    /// A shift-batch-norm's measurements, the units of the rows before it, and their layer.
    fn norm<'a>(
        &'a self,
        network: &Network,
        layers: &'a mut [Box<dyn LayerState>],
        index: usize,
        node: &Node,
    ) -> Option<(&'a NormWork, &'a [i32], &'a mut dyn LayerState)> {
        let Operation::ShiftBatchNorm = node.operation else { return None };
        let before = *node.inputs.first()?;
        let layer = layers.get_mut(network.nodes.get(before)?.operation.stage()?)?;
        Some((&self.work.get(index)?.norm, &self.work.get(before)?.weighted.units, layer.as_mut()))
    }

    /// Bytes of the weights as a step uses them, and of what it makes for each sample.
    pub(super) fn bytes(&self) -> [usize; 2] {
        let matrix = |matrix: &Array2<f32>| matrix.len() * size_of::<f32>();
        let of_samples = |work: &Work| {
            let matrices = [&work.values, &work.gradient, &work.columns, &work.gain, &work.scratch];
            matrices.into_iter().map(matrix).sum::<usize>() + work.activation.bytes()
        };
        [self.work.iter().map(|work| work.weighted.bytes()).sum(), self.work.iter().map(of_samples).sum()]
    }
}

/// The way forward through one node.
struct Forward<'a> {
    network: &'a Network,
    layers: &'a [Box<dyn LayerState>],
    samples: &'a Array2<f32>,
    pass: Pass,
    others: Option<&'a Others<'a>>,
    before: &'a [Work],
}

impl Forward<'_> {
    fn node(&self, node: &Node, current: &mut Work) {
        let activations = self.network.activations;
        let [_, _, channels] = node.shape;
        if node.operation == Operation::Input {
            layout::from_samples(self.samples, channels, &mut current.values);
            return;
        }
        let Some((source, input)) = self.source(node, 0) else { return };
        match node.operation {
            Operation::Input => {}
            Operation::Linear(_) | Operation::Embedding(_) | Operation::Conv2d(..) | Operation::DepthwiseConv2d(..) => {
                self.weighted(node, source, input, current);
            }
            Operation::ShiftBatchNorm => {
                let layer = source.operation.stage().and_then(|stage| self.layers.get(stage));
                let Some(norm) = layer.and_then(|layer| layer.norm()) else { return };
                if self.pass.measures() {
                    current.norm.measure(&input.values, self.others);
                }
                let (exported, uses_batch) = (&input.weighted.offsets, self.pass.uses_batch());
                let function = (activations, node.relu);
                current.norm.forward(norm, exported, uses_batch, function, &input.values, &mut current.values);
            }
            Operation::ShiftNorm | Operation::RmsNorm => {
                layout::flatten(&input.values, pixels(node.shape), &mut current.columns);
                current.activation.forward(norm_of_samples(node), activations, &mut current.columns);
                layout::unflatten(&current.columns, channels, &mut current.values, false);
            }
            Operation::Relu => {
                resize(&mut current.values, input.values.nrows(), input.values.ncols());
                current.values.zip_mut_with(&input.values, |value, x| *value = x.max(0.0));
            }
            Operation::MaxPool(window) => {
                pool::max_forward(&Windows::new(&window, source.shape, node.shape), &input.values, &mut current.values);
            }
            Operation::AvgPool(window, extra_bits) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                let Work { values, gain, .. } = current;
                pool::mean_forward(&windows, extra_bits, activations, &input.values, values, gain);
            }
            Operation::Add => {
                let Some((_, other)) = self.source(node, 1) else { return };
                resize(&mut current.values, input.values.nrows(), input.values.ncols());
                current.values.assign(&input.values);
                nonlinear!(activations, node.relu, |function| {
                    current.values.zip_mut_with(&other.values, |value, x| *value = function.apply(*value + x).0);
                });
            }
            Operation::Concat => {
                let Some((_, other)) = self.source(node, 1) else { return };
                layout::concat(&input.values, &other.values, &mut current.values);
            }
            Operation::Reshape => layout::flatten(&input.values, pixels(source.shape), &mut current.values),
            Operation::Pad([top, left, ..]) => {
                let sizes = [source.shape, node.shape].map(|[height, width, _]| [height, width]);
                layout::pad(&input.values, sizes, [top, left].map(usize::from), &mut current.values);
            }
        }
    }

    /// An input of a node and what it gave.
    fn source(&self, node: &Node, number: usize) -> Option<(&Node, &Work)> {
        let index = *node.inputs.get(number)?;
        Some((self.network.nodes.get(index)?, self.before.get(index)?))
    }

    fn weighted(&self, node: &Node, source: &Node, input: &Work, current: &mut Work) {
        let Some(index) = node.operation.stage() else { return };
        let (Some(stage), Some(layer)) = (self.network.stages.get(index), self.layers.get(index)) else { return };
        let Work { values, weighted, columns, .. } = current;
        weighted.prepare(stage, layer.as_ref());
        match node.operation {
            Operation::Conv2d(_, window) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                convolution::forward(&windows, &weighted.weights, &input.values, values);
            }
            Operation::DepthwiseConv2d(_, window) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                depthwise::forward(&windows, &weighted.weights, &input.values, values);
            }
            Operation::Embedding(_) => {
                let indices = lookup::indices(self.samples);
                lookup::rows(&weighted.weights, &indices, self.samples.nrows(), values);
                current.positions = Positions::new(&indices, stage.rows);
            }
            _ => {
                layout::flatten(&input.values, pixels(source.shape), columns);
                product::multiply_panels(&weighted.weights, columns.view(), values);
            }
        }
        if stage.bias {
            layout::add_to_rows(current.values.view_mut(), &current.weighted.offsets);
        }
        if node.element == Element::Int8 {
            let output = StageOutput::Requantized { relu: node.relu };
            current.activation.forward(output, self.network.activations, &mut current.values);
        }
    }
}

/// The way back through one node.
struct Backward<'a, 'b> {
    network: &'a Network,
    learner: &'a mut Learner<'b>,
    step: Step,
    phase: Phase,
    others: Option<&'a Others<'a>>,
    before: &'a mut [Work],
}

impl Backward<'_, '_> {
    fn node(&mut self, node: &Node, current: &mut Work) {
        let activations = self.network.activations;
        let [_, _, channels] = node.shape;
        let Some(source) = node.inputs.first().and_then(|input| self.network.nodes.get(*input)) else { return };
        let input = node.inputs.first().and_then(|input| self.before.get_mut(*input));
        let Some(input) = input else { return };
        match node.operation {
            Operation::Input => {}
            Operation::Linear(_) | Operation::Embedding(_) | Operation::Conv2d(..) | Operation::DepthwiseConv2d(..) => {
                self.weighted(node, source, current);
            }
            Operation::ShiftBatchNorm => {
                let Work { norm: work, gradient, .. } = current;
                let function = (activations, node.relu);
                let images = (&input.values, &*gradient);
                let of_biases = work.backward(function, images, &mut input.gradient, self.others);
                if let Some(stage) = source.operation.stage() {
                    let followed = (&work.statistics, input.weighted.units.as_slice(), self.phase);
                    self.learner.norm(stage, &of_biases, self.step, followed);
                }
            }
            Operation::ShiftNorm | Operation::RmsNorm => {
                layout::flatten(&current.gradient, pixels(node.shape), &mut current.columns);
                current.activation.backward(norm_of_samples(node), &mut current.columns);
                layout::unflatten(&current.columns, channels, &mut input.gradient, true);
            }
            Operation::Relu => {
                let gradients = input.gradient.iter_mut().zip(&current.gradient).zip(&input.values);
                gradients.for_each(|((of_input, gradient), x)| *of_input += if *x > 0.0 { *gradient } else { 0.0 });
            }
            Operation::MaxPool(window) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                let Work { values, gradient, .. } = current;
                pool::max_backward(&windows, &input.values, values, gradient, &mut input.gradient);
            }
            Operation::AvgPool(window, _) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                pool::mean_backward(&windows, &current.gain, &current.gradient, &mut input.gradient);
            }
            Operation::Add => self.add(node, current),
            Operation::Concat => {
                let mut first = 0;
                for index in &node.inputs {
                    let Some(input) = self.before.get_mut(*index) else { continue };
                    layout::add_channels(&current.gradient, first, &mut input.gradient);
                    first += input.gradient.nrows();
                }
            }
            Operation::Reshape => {
                layout::unflatten(&current.gradient, source.shape[2], &mut input.gradient, true);
            }
            Operation::Pad([top, left, ..]) => {
                let sizes = [source.shape, node.shape].map(|[height, width, _]| [height, width]);
                layout::add_unpadded(&current.gradient, sizes, [top, left].map(usize::from), &mut input.gradient);
            }
        }
    }

    /// The gradient of a sum goes both ways, where it is not cut off.
    fn add(&mut self, node: &Node, current: &mut Work) {
        let [left, right] = node.inputs[..] else { return };
        let (Some(left_work), Some(right_work)) = (self.before.get(left), self.before.get(right)) else { return };
        let Work { gradient, .. } = current;
        nonlinear!(self.network.activations, node.relu, |function| {
            let values = left_work.values.iter().zip(&right_work.values);
            for (gradient, (left, right)) in gradient.iter_mut().zip(values) {
                if !function.apply(left + right).1 {
                    *gradient = 0.0;
                }
            }
        });
        for index in [left, right] {
            if let Some(input) = self.before.get_mut(index) {
                input.gradient += &*gradient;
            }
        }
    }

    fn weighted(&mut self, node: &Node, source: &Node, current: &mut Work) {
        let (Some(index), Some(input)) = (node.operation.stage(), node.inputs.first()) else { return };
        let Some(stage) = self.network.stages.get(index) else { return };
        let Some(Work { values: input, gradient: of_input, .. }) = self.before.get_mut(*input) else { return };
        let Work { gradient, weighted, columns, activation, positions, scratch, .. } = current;
        if node.element == Element::Int8 {
            activation.backward(StageOutput::Requantized { relu: node.relu }, gradient);
        }
        // Nobody learns from the gradient of the samples.
        let of_input = (source.operation != Operation::Input).then_some(of_input);
        let Weighted { weights, of_weights, .. } = weighted;
        let windowed = match node.operation {
            Operation::Conv2d(_, window) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                convolution::backward(&windows, weights, input, gradient, of_weights, of_input);
                true
            }
            Operation::DepthwiseConv2d(_, window) => {
                let windows = Windows::new(&window, source.shape, node.shape);
                depthwise::backward(&windows, weights, input, gradient, of_weights, of_input);
                true
            }
            Operation::Linear(_) => {
                if let Some(of_input) = of_input {
                    product::multiply_transposed(weights, gradient, scratch);
                    layout::unflatten(scratch, source.shape[2], of_input, true);
                }
                false
            }
            _ => false,
        };
        if windowed {
            let bias = if stage.bias { weighted::sums_of_rows(gradient) } else { vec![0.0; stage.rows] };
            self.learner.learn(index, &Gradient::Whole { values: of_weights.view(), bias: &bias }, self.step);
        } else if let Operation::Embedding(_) = node.operation {
            lookup::gradient(gradient, stage.columns, scratch);
            self.learner.learn(index, &Gradient::Lookup { positions, output: scratch.view() }, self.step);
        } else {
            let product = Gradient::Product { output: gradient.view(), input: columns.t() };
            self.learner.learn(index, &product, self.step);
        }
    }
}

/// Pixels of an image.
const fn pixels([height, width, _]: [usize; 3]) -> usize {
    height * width
}

/// What a norm of samples makes of their sums.
fn norm_of_samples(node: &Node) -> StageOutput {
    match node.operation {
        Operation::RmsNorm => StageOutput::RmsNorm { relu: node.relu },
        _ => StageOutput::ShiftNorm { relu: node.relu },
    }
}
