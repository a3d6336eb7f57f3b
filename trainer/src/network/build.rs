//! From layers, one after another, to nodes and stages.

use super::window::{Fitted, fit, whole};
use super::{Element, NetworkError, Node, Operation, Place, Shape, Stage, StageKind, StageOutput};
use crate::config::{Config, Extent, LayerConfig, NetworkOutput, Padding, Precision};
use trishift_format::{GroupSize, Window};

/// Most weights of one layer, and most outputs: indices fit u32 with room to spare.
const MAX_WEIGHTS: u64 = 1 << 31;

/// Most binary digits that means keep beyond those of their inputs.
const MOST_EXTRA_BITS: u8 = 4;

/// A network in the making.
pub(super) struct Builder<'a> {
    config: &'a Config,
    group: GroupSize,
    classes: usize,
    nodes: Vec<Node>,
    stages: Vec<Stage>,
}

/// Where the next layer goes on.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// The node that it takes.
    node: usize,
    /// Others may take it too, so nothing can become a part of it.
    is_shared: bool,
}

/// What layers with weights have in common.
struct Weights {
    shape: [usize; 2],
    bias: bool,
    precision: Precision,
    group: Option<u32>,
}

impl<'a> Builder<'a> {
    /// A network of its input alone, and where its first layer goes on.
    pub(super) fn new(
        config: &'a Config,
        group: GroupSize,
        classes: usize,
        shape: [usize; 3],
    ) -> Result<(Self, At), NetworkError> {
        let mut builder = Self { config, group, classes, nodes: Vec::new(), stages: Vec::new() };
        let at = builder.push(Operation::Input, vec![], shape, &Place::input())?;
        // Layers become parts of layers only.
        Ok((builder, At { is_shared: true, ..at }))
    }

    /// Nodes and stages.
    pub(super) fn finish(self) -> (Vec<Node>, Vec<Stage>) {
        (self.nodes, self.stages)
    }

    /// Adds a layer behind `at`; `is_last` for the network's last one.
    pub(super) fn layer(
        &mut self,
        layer: &LayerConfig,
        at: At,
        place: &Place,
        is_last: bool,
    ) -> Result<At, NetworkError> {
        let [height, width, channels] = self.shape(at);
        let name = (place, layer.name());
        match layer {
            LayerConfig::Linear { outputs, bias, weights, group } => {
                let rows = self.outputs_of(*outputs, is_last, place)?;
                let shape = [rows, height * width * channels];
                let weights = Weights { shape, bias: *bias, precision: *weights, group: *group };
                let mut stage = self.stage(StageKind::Linear, weights, place)?;
                let is_logits = is_last && self.config.network.output == NetworkOutput::Logits;
                if is_logits {
                    stage.output = StageOutput::Logits;
                }
                let at = self.push_weights(Operation::Linear, stage, at, [1, 1, rows], place)?;
                if let (true, Some(node)) = (is_logits, self.nodes.get_mut(at.node)) {
                    node.element = Element::Int32;
                }
                Ok(at)
            }
            LayerConfig::Embedding { .. } if *place != Place::new(0) => {
                Err(order(name, "an embedding comes first or not at all"))
            }
            LayerConfig::Embedding { vocabulary, dimension } => {
                let refuse = |expected, found| Err(NetworkError::Table { place: place.clone(), expected, found });
                match (*vocabulary, *dimension) {
                    (found @ (0 | 257..), _) => refuse("1 to 256 rows (vocabulary)", found),
                    (_, 0) => refuse("at least 1 column (dimension)", 0),
                    (rows, columns) => {
                        let positions = height * width * channels;
                        let shape = [rows as usize, columns as usize];
                        let weights = Weights { shape, bias: false, precision: Precision::Ternary, group: None };
                        let stage = self.stage(StageKind::Embedding { positions }, weights, place)?;
                        let shape = [1, 1, positions * columns as usize];
                        self.push_weights(Operation::Embedding, stage, at, shape, place)
                    }
                }
            }
            LayerConfig::Conv2d { outputs, kernel, stride, padding, bias, weights, group } => {
                let rows = self.scaled(*outputs, place)?;
                let Fitted { window, output: [height, width] } =
                    fit(name, *kernel, *stride, *padding, [height, width, channels])?;
                let shape = [rows, window.area() * channels];
                let weights = Weights { shape, bias: *bias, precision: *weights, group: *group };
                let stage = self.stage(StageKind::Linear, weights, place)?;
                let operation = |stage| Operation::Conv2d(stage, window);
                self.push_weights(operation, stage, at, [height, width, rows], place)
            }
            LayerConfig::DepthwiseConv2d { kernel, stride, padding, bias, weights, group } => {
                let Fitted { window, output: [height, width] } =
                    fit(name, *kernel, *stride, *padding, [height, width, channels])?;
                let shape = [channels, window.area()];
                let weights = Weights { shape, bias: *bias, precision: *weights, group: *group };
                let stage = Stage { depthwise: true, ..self.stage(StageKind::Linear, weights, place)? };
                let operation = |stage| Operation::DepthwiseConv2d(stage, window);
                self.push_weights(operation, stage, at, [height, width, channels], place)
            }
            LayerConfig::ShiftBatchNorm | LayerConfig::ShiftNorm | LayerConfig::RmsNorm => self.norm(layer, at, place),
            LayerConfig::Relu => self.relu(at, place),
            LayerConfig::MaxPool { kernel, stride, padding } => {
                self.pool(Operation::MaxPool, name, (*kernel, *stride, *padding), at)
            }
            LayerConfig::AvgPool { kernel, stride, padding } => {
                self.pool(|window| Operation::AvgPool(window, 0), name, (*kernel, *stride, *padding), at)
            }
            LayerConfig::GlobalAvgPool { extra_bits } => {
                let window = whole(place, layer.name(), [height, width, channels])?;
                if *extra_bits > MOST_EXTRA_BITS {
                    return Err(order(name, "extra-bits is 0 to 4"));
                }
                self.push(Operation::AvgPool(window, *extra_bits), vec![at.node], [1, 1, channels], place)
            }
            LayerConfig::Residual { layers, shortcut } | LayerConfig::Concat { layers, shortcut } => {
                self.ways(layer, [layers, shortcut], at, place)
            }
            LayerConfig::Flatten => {
                self.push(Operation::Reshape, vec![at.node], [1, 1, height * width * channels], place)
            }
            LayerConfig::Pad { padding } => {
                let [top, left, bottom, right] = padding.map(usize::from);
                let shape = [top + height + bottom, left + width + right, channels];
                self.push(Operation::Pad(*padding), vec![at.node], shape, place)
            }
        }
    }

    /// A norm takes the sums of the layer directly before it.
    fn norm(&mut self, layer: &LayerConfig, at: At, place: &Place) -> Result<At, NetworkError> {
        let name = (place, layer.name());
        let shape = self.shape(at);
        let missing = "a linear layer or a convolution comes directly before it";
        let is_folded = matches!(layer, LayerConfig::ShiftBatchNorm);
        let (Some(node), false) = (self.nodes.get_mut(at.node), at.is_shared) else { return Err(order(name, missing)) };
        let takes = match node.operation {
            Operation::Linear(_) | Operation::Conv2d(..) | Operation::DepthwiseConv2d(..) => true,
            Operation::Embedding(_) => !is_folded,
            _ => false,
        };
        let stage = node.operation.stage().and_then(|stage| self.stages.get_mut(stage));
        let (Some(stage), true, false) = (stage, takes, node.relu) else { return Err(order(name, missing)) };
        if stage.bias {
            return Err(NetworkError::BiasBeforeNorm { place: node.place.clone() });
        }
        let (operation, output, element) = match layer {
            LayerConfig::ShiftNorm => (Operation::ShiftNorm, StageOutput::ShiftNorm { relu: false }, Element::Int32),
            LayerConfig::RmsNorm => (Operation::RmsNorm, StageOutput::RmsNorm { relu: false }, Element::Int32),
            _ => (Operation::ShiftBatchNorm, StageOutput::Requantized { relu: false }, Element::Folded),
        };
        (stage.output, stage.batch_norm, node.element) = (output, is_folded, element);
        self.push(operation, vec![at.node], shape, place)
    }

    /// A ReLU is part of the node before it where that can clamp, and a node of its own elsewhere.
    fn relu(&mut self, at: At, place: &Place) -> Result<At, NetworkError> {
        let shape = self.shape(at);
        let name = (place, "relu");
        let Some(node) = self.nodes.get_mut(at.node) else { return Ok(at) };
        match node.operation {
            _ if at.is_shared => {}
            Operation::Embedding(_) => return Err(order(name, "behind an embedding comes a norm first")),
            Operation::Relu => return Err(order(name, "there is a relu directly before it")),
            _ if node.relu => return Err(order(name, "there is a relu directly before it")),
            Operation::MaxPool(_)
            | Operation::AvgPool(..)
            | Operation::Concat
            | Operation::Reshape
            | Operation::Pad(_)
            | Operation::Input => {}
            operation => {
                node.relu = true;
                // A norm's sums are those of the node before it.
                let before = node.inputs.first().copied().unwrap_or(0);
                let takes_sums =
                    matches!(operation, Operation::ShiftBatchNorm | Operation::ShiftNorm | Operation::RmsNorm);
                let weights = if takes_sums { before } else { at.node };
                let stage = self.nodes.get(weights).and_then(|node| node.operation.stage());
                if let Some(stage) = stage.and_then(|stage| self.stages.get_mut(stage)) {
                    stage.output = stage.output.with_relu();
                }
                return Ok(at);
            }
        }
        self.push(Operation::Relu, vec![at.node], shape, place)
    }

    fn pool(
        &mut self,
        operation: fn(Window) -> Operation,
        name: (&Place, &'static str),
        (kernel, stride, padding): (Extent, Option<Extent>, Padding),
        at: At,
    ) -> Result<At, NetworkError> {
        let shape = self.shape(at);
        let Fitted { window, output: [height, width] } = fit(name, kernel, stride.unwrap_or(kernel), padding, shape)?;
        self.push(operation(window), vec![at.node], [height, width, shape[2]], name.0)
    }

    /// Two ways from `at` that come together.
    fn ways(
        &mut self,
        layer: &LayerConfig,
        [layers, shortcut]: [&[LayerConfig]; 2],
        at: At,
        place: &Place,
    ) -> Result<At, NetworkError> {
        if layers.is_empty() {
            return Err(NetworkError::EmptyWay { place: place.clone(), layer: layer.name() });
        }
        let mut ends = [At { is_shared: true, ..at }; 2];
        for ((end, layers), list) in ends.iter_mut().zip([layers, shortcut]).zip(["layers", "shortcut"]) {
            for (index, layer) in layers.iter().enumerate() {
                *end = self.layer(layer, *end, &place.inside(list, index), false)?;
            }
        }
        let inputs = ends.map(|end| end.node).to_vec();
        let shapes = ends.map(|end| self.shape(end));
        let [[height, width, channels], other] = shapes;
        let (operation, shape, fits, needed) = match layer {
            LayerConfig::Residual { .. } => (Operation::Add, shapes[0], shapes[0] == other, "one shape"),
            _ => {
                let fits = [height, width] == other[..2];
                (Operation::Concat, [height, width, channels + other[2]], fits, "one height and width")
            }
        };
        if !fits {
            let (layers, shortcut) = (Shape(shapes[0]), Shape(other));
            return Err(NetworkError::Ways { place: place.clone(), layer: layer.name(), layers, shortcut, needed });
        }
        self.push(operation, inputs, shape, place)
    }

    fn shape(&self, at: At) -> [usize; 3] {
        self.nodes.get(at.node).map_or([0; 3], |node| node.shape)
    }

    /// Outputs of a linear layer.
    fn outputs_of(&self, outputs: Option<u32>, is_last: bool, place: &Place) -> Result<usize, NetworkError> {
        let refuse = |problem| Err(NetworkError::Outputs { place: place.clone(), problem });
        let is_logits = self.config.network.output == NetworkOutput::Logits;
        match outputs {
            Some(0) => refuse("outputs must be at least 1"),
            None if is_last && is_logits => Ok(self.classes),
            None => refuse("outputs is missing"),
            Some(outputs) if is_last && is_logits && outputs as usize != self.classes => {
                refuse("the last layer has one output for each class of the data; leave outputs out")
            }
            Some(outputs) if is_last => Ok(outputs as usize),
            Some(outputs) => self.scaled(outputs, place),
        }
    }

    /// So many outputs, or channels, times the network's width.
    fn scaled(&self, outputs: u32, place: &Place) -> Result<usize, NetworkError> {
        if outputs == 0 {
            return Err(NetworkError::Outputs { place: place.clone(), problem: "outputs must be at least 1" });
        }
        // At most 2^40.
        Ok((f64::from(outputs) * self.config.network.width).round().max(1.0) as usize)
    }

    /// A stage whose output is not yet known to be anything but requantised.
    fn stage(&self, kind: StageKind, weights: Weights, place: &Place) -> Result<Stage, NetworkError> {
        let Weights { shape: [rows, columns], bias, precision, group } = weights;
        let (height, width) = (rows as u64, columns as u64);
        if height.saturating_mul(width) > MAX_WEIGHTS {
            return Err(NetworkError::TooLarge { place: place.clone(), rows: height, columns: width });
        }
        let refuse = |found| NetworkError::Group { place: place.clone(), found };
        let group = group.map_or(Ok(self.group), |group| GroupSize::new(group).map_err(|_| refuse(group)))?;
        let output = StageOutput::Requantized { relu: false };
        Ok(Stage { kind, precision, bias, ..Stage::linear(rows, columns, group, output) })
    }

    /// Adds a stage and the node that uses it.
    fn push_weights(
        &mut self,
        operation: impl FnOnce(usize) -> Operation,
        stage: Stage,
        at: At,
        shape: [usize; 3],
        place: &Place,
    ) -> Result<At, NetworkError> {
        self.stages.push(stage);
        self.push(operation(self.stages.len() - 1), vec![at.node], shape, place)
    }

    /// Adds a node; only its own successor may become a part of it.
    fn push(
        &mut self,
        operation: Operation,
        inputs: Vec<usize>,
        shape: [usize; 3],
        place: &Place,
    ) -> Result<At, NetworkError> {
        let elements = shape.iter().fold(1, |product: u64, side| product.saturating_mul(*side as u64));
        if elements > MAX_WEIGHTS {
            return Err(NetworkError::TooWide { place: place.clone(), shape: Shape(shape) });
        }
        self.nodes.push(Node { operation, inputs, shape, relu: false, element: Element::Int8, place: place.clone() });
        Ok(At { node: self.nodes.len() - 1, is_shared: false })
    }
}

fn order((place, layer): (&Place, &'static str), why: &'static str) -> NetworkError {
    NetworkError::Order { place: place.clone(), layer, why }
}
