//! From nodes to the operators and tensors of a model file.

use super::ExportError;
use crate::config::Precision;
use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{ACTIVATION_EXPONENT, Element, Node, Operation};
use std::borrow::Cow;
use trishift_format::write::{MatrixValues, ModelWriter};
use trishift_format::{
    Add, Concat, Conv2d, DataType, Embedding, Layout, Linear, Operator, Pad, Pool2d, Relu, Reshape, RmsNorm, ShiftNorm,
    Tensor, TensorClass,
};

/// Operators in the order in which they run, and the tensors between them, not yet placed; the first tensor is the input.
pub(super) struct Graph {
    pub(super) tensors: Vec<Tensor>,
    pub(super) operators: Vec<Operator>,
    pub(super) output: u16,
}

impl Graph {
    /// The graph of a network, its weights in the writer.
    pub(super) fn new(network: &FrozenNetwork, layout: Layout, writer: &mut ModelWriter) -> Result<Self, ExportError> {
        let nodes = &network.network.nodes;
        let mut graph = Self { tensors: Vec::new(), operators: Vec::new(), output: 0 };
        // Each node's tensor; one that is folded into its successor stands for its own input.
        let mut of_nodes: Vec<u16> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let source = |number: usize| node.inputs.get(number).and_then(|input| of_nodes.get(*input)).copied();
            let sources = [source(0).unwrap_or(0), source(1).unwrap_or(0)];
            let tensor = match (node.operation, node.element) {
                (Operation::Input, _) => {
                    graph.push_tensor(node, TensorClass::Input, DataType::I8, ACTIVATION_EXPONENT)?
                }
                (_, Element::Folded) => sources[0],
                _ => {
                    let class = if index + 1 == nodes.len() { TensorClass::Output } else { TensorClass::Arena };
                    graph.push_node(network, node, sources, class, layout, writer)?
                }
            };
            of_nodes.push(tensor);
        }
        graph.output = of_nodes.last().copied().unwrap_or(0);
        Ok(graph)
    }

    /// Adds a node's operator and its output.
    fn push_node(
        &mut self,
        network: &FrozenNetwork,
        node: &Node,
        [input, right]: [u16; 2],
        class: TensorClass,
        layout: Layout,
        writer: &mut ModelWriter,
    ) -> Result<u16, ExportError> {
        let nodes = &network.network.nodes;
        // The operator of a shift-batch-norm is that of the node before it.
        let operation = match (node.operation, node.inputs.first().and_then(|input| nodes.get(*input))) {
            (Operation::ShiftBatchNorm, Some(before)) => before.operation,
            (operation, _) => operation,
        };
        let layer = operation.stage().and_then(|stage| network.layers.get(stage));
        let layer = layer.map(|layer| coarser(layer, self.extra_bits(input)));
        let layer = layer.as_deref();
        let (data_type, exponent) = match (node.element, layer) {
            (Element::Int32, Some(layer)) => (DataType::I32, sums(operation, layer) - self.extra_bits(input)),
            _ => (DataType::I8, ACTIVATION_EXPONENT - operation.extra_bits()),
        };
        let output = self.push_tensor(node, class, data_type, exponent)?;
        let relu = node.relu;
        let operator = match (operation, layer) {
            (_, Some(layer)) => weighted(operation, layer, (input, output, relu), layout, writer)?,
            (Operation::ShiftNorm, _) => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
            (Operation::RmsNorm, _) => Operator::RmsNorm(RmsNorm { input, output, relu }),
            (Operation::Relu, _) => Operator::Relu(Relu { input, output }),
            (Operation::MaxPool(window), _) => Operator::MaxPool(Pool2d { input, output, window }),
            (Operation::AvgPool(window, _), _) => Operator::AvgPool(Pool2d { input, output, window }),
            (Operation::Add, _) => Operator::Add(Add { left: input, right, output, relu }),
            (Operation::Concat, _) => Operator::Concat(Concat { left: input, right, output }),
            (Operation::Reshape, _) => Operator::Reshape(Reshape { input, output }),
            (Operation::Pad(padding), _) => Operator::Pad(Pad { input, output, padding }),
            // An input has no operator, and what has weights has a layer.
            _ => return Err(ExportError::TooLarge),
        };
        // As many as there are tensors, of which a model holds fewer.
        let number = self.operators.len() as u16;
        for source in operator.inputs() {
            if let Some(source) = self.tensors.get_mut(usize::from(source)) {
                source.last = number;
            }
        }
        self.operators.push(operator);
        Ok(output)
    }

    /// Binary digits by which a tensor of steps is finer than others.
    fn extra_bits(&self, tensor: u16) -> i32 {
        let tensor = self.tensors.get(usize::from(tensor)).filter(|tensor| tensor.data_type == DataType::I8);
        tensor.map_or(0, |tensor| ACTIVATION_EXPONENT - i32::from(tensor.exponent))
    }

    /// Adds a node's output, written by the next operator.
    fn push_tensor(
        &mut self,
        node: &Node,
        class: TensorClass,
        data_type: DataType,
        exponent: i32,
    ) -> Result<u16, ExportError> {
        let too_large = |_| ExportError::TooLarge;
        let index = u16::try_from(self.tensors.len()).map_err(too_large)?;
        let [height, width, channels] = node.shape.map(u32::try_from);
        let shape = [height.map_err(too_large)?, width.map_err(too_large)?, channels.map_err(too_large)?];
        let first = self.operators.len() as u16;
        // A tensor that nobody reads is live while it is written.
        let exponent = exponent as i16;
        self.tensors.push(Tensor { data_type, class, exponent, shape, offset: 0, first, last: first });
        Ok(index)
    }
}

/// The layer with its weights times 2^bits: to a network in training, finer inputs are as many times larger ones.
fn coarser(layer: &FrozenLayer, bits: i32) -> Cow<'_, FrozenLayer> {
    if bits == 0 {
        return Cow::Borrowed(layer);
    }
    let (mut layer, has_bias) = (layer.clone(), !layer.bias.is_empty());
    layer.fold(&vec![bits; layer.stage.rows], &[]);
    if !has_bias {
        layer.bias.clear();
    }
    Cow::Owned(layer)
}

/// The exponent of a layer's int32 outputs: its sums count its input's steps, a table's weights count ones.
fn sums(operation: Operation, layer: &FrozenLayer) -> i32 {
    let is_table = matches!(operation, Operation::Embedding(_));
    layer.layer_unit() + if is_table { 0 } else { ACTIVATION_EXPONENT }
}

/// The operator of a layer with weights, which it adds to the writer.
fn weighted(
    operation: Operation,
    layer: &FrozenLayer,
    (input, output, relu): (u16, u16, bool),
    layout: Layout,
    writer: &mut ModelWriter,
) -> Result<Operator, ExportError> {
    let stage = &layer.stage;
    if stage.precision == Precision::Int8 {
        let weights = writer.add_int8(stage.columns, &layer.values, &layer.exponents)?;
        let bias = bias(layer, writer)?;
        return Ok(match operation {
            Operation::Conv2d(_, window) => Operator::Int8Conv2d(Conv2d { input, output, relu, window, weights, bias }),
            Operation::DepthwiseConv2d(_, window) => {
                Operator::Int8DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias })
            }
            _ => Operator::Int8Linear(Linear { input, output, relu, weights, bias }),
        });
    }
    let values = MatrixValues {
        rows: stage.rows,
        columns: stage.columns,
        group: stage.group,
        trits: &layer.values,
        exponents: &layer.exponents,
    };
    // A table is read a row at a time.
    let layout = if matches!(operation, Operation::Embedding(_)) { Layout::Rows } else { layout };
    let weights = writer.add_matrix_in(&values, layout)?;
    let bias = bias(layer, writer)?;
    Ok(match operation {
        Operation::Embedding(_) => Operator::Embedding(Embedding { input, output, weights }),
        Operation::Conv2d(_, window) => Operator::Conv2d(Conv2d { input, output, relu, window, weights, bias }),
        Operation::DepthwiseConv2d(_, window) => {
            Operator::DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias })
        }
        _ => Operator::Linear(Linear { input, output, relu, weights, bias }),
    })
}

fn bias(layer: &FrozenLayer, writer: &mut ModelWriter) -> Result<Option<u32>, ExportError> {
    Ok(if layer.bias.is_empty() { None } else { Some(writer.add_bias(&layer.bias)?) })
}
