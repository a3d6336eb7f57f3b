//! Nodes run alone by the runtime, as models of their own.

use super::calibrate::{in_steps, wide};
use super::{RandomError, stage_of};
use crate::export::{self, Metadata};
use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{Element, Network, Node, Operation, Place};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use trishift::{EnginePool, Model};
use trishift_format::{DataType, InputScale, Layout};
use trishift_kernels::add::Alignment;

/// int8 outputs of a node, sample after sample.
#[derive(Default)]
pub(super) struct Samples {
    values: Vec<i8>,
    count: usize,
}

impl Samples {
    pub(super) fn new(values: Vec<i8>, count: usize) -> Self {
        Self { values, count }
    }
}

/// What a node gives, of either type.
pub(super) enum Given {
    Steps(Samples),
    Sums { exponent: i32, sums: Vec<i32> },
}

impl Given {
    /// int8 outputs.
    pub(super) fn steps(self) -> Result<Samples, RandomError> {
        match self {
            Self::Steps(samples) => Ok(samples),
            Self::Sums { .. } => Err(RandomError::Runtime("a node gives sums where steps were expected".into())),
        }
    }
}

/// The sum of two nodes, or their channels.
pub(super) fn combine(network: &Network, node: &Node, left: &Samples, right: &Samples) -> Samples {
    let kernels = trishift_kernels::best();
    let mut values = vec![0; left.count * node.shape.iter().product::<usize>()];
    if node.operation == Operation::Add {
        (kernels.add)(&left.values, &right.values, Alignment::of(0, 0), node.relu, &mut values);
    } else {
        let channels = |number: usize| {
            let input = node.inputs.get(number).and_then(|input| network.nodes.get(*input));
            input.map_or(0, |input| input.shape[2])
        };
        (kernels.concat)(&left.values, &right.values, [channels(0), channels(1)], &mut values);
    }
    Samples { values, count: left.count }
}

/// Sums of a node with weights for these inputs, and the exponent of 1 in steps of an int8 output.
pub(super) fn sums(
    network: &Network,
    index: usize,
    layer: &FrozenLayer,
    source: &Samples,
) -> Result<(i32, Vec<i32>), RandomError> {
    let stage = wide(&layer.stage);
    let layer = FrozenLayer::from_weights(&stage, layer.values.clone(), layer.exponents.clone());
    let Some(node) = network.nodes.get(index) else { return Ok((0, Vec::new())) };
    let node = Node { element: Element::Int32, relu: false, ..node.clone() };
    match run_nodes(network, vec![node], vec![layer], source)? {
        Given::Sums { exponent, sums } => Ok((in_steps(exponent), sums)),
        Given::Steps(_) => Err(RandomError::Runtime("a node gives steps where sums were expected".into())),
    }
}

/// What a node gives, or a node with weights and the norm behind it.
pub(super) fn run(
    network: &Network,
    range: RangeInclusive<usize>,
    layers: &[FrozenLayer],
    source: &Samples,
) -> Result<Given, RandomError> {
    let layer = stage_of(network, *range.start()).and_then(|stage| layers.get(stage)).cloned();
    // Norms may stand behind anything but lie directly behind what they take, so the range holds two nodes at most.
    let ends = [*range.start(), *range.end()];
    let chosen = if ends[0] == ends[1] { &ends[..1] } else { &ends[..] };
    let nodes = chosen.iter().filter_map(|index| network.nodes.get(*index)).cloned().collect();
    run_nodes(network, nodes, layer.into_iter().collect(), source)
}

/// Nodes one behind the other, the first one with the layer if there is one.
fn run_nodes(
    network: &Network,
    mut nodes: Vec<Node>,
    layers: Vec<FrozenLayer>,
    source: &Samples,
) -> Result<Given, RandomError> {
    let input = nodes.first().and_then(|node| node.inputs.first()).and_then(|input| network.nodes.get(*input));
    let shape = input.map_or([0; 3], |input| input.shape);
    let (inputs, place) = (Vec::new(), Place::new(0));
    let input = Node { operation: Operation::Input, inputs, shape, relu: false, element: Element::Int8, place };
    for (index, node) in nodes.iter_mut().enumerate() {
        node.inputs = vec![index];
        node.operation = node.operation.with_stage(0);
    }
    nodes.insert(0, input);
    let stages = layers.iter().map(|layer| layer.stage).collect();
    let network = Network { nodes, stages, activations: network.activations, output: network.output };
    let metadata =
        Metadata { name: "", labels: &[], scales: &[InputScale::IDENTITY], properties: &[], layout: Layout::Rows };
    let exported = export::export(&FrozenNetwork { network, layers }, &metadata)?;
    let refused = |error: &dyn std::fmt::Display| RandomError::Runtime(error.to_string());
    let model = Model::parse(&exported.file).map_err(|error| refused(&error))?;
    let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
    let pool = EnginePool::new(&model, threads).map_err(|error| refused(&error))?;
    let output = model.output();
    let len = source.count * output.len();
    match output.data_type {
        DataType::I8 => {
            let mut values = vec![0i8; len];
            pool.run(&source.values, &mut values).map_err(|error| refused(&error))?;
            Ok(Given::Steps(Samples { values, count: source.count }))
        }
        DataType::I32 => {
            let mut sums = vec![0i32; len];
            pool.run(&source.values, &mut sums).map_err(|error| refused(&error))?;
            Ok(Given::Sums { exponent: output.exponent.into(), sums })
        }
    }
}
