//! A network as plain values, and its file.

use super::weights::{Precision, Weights};
use trishift_format::write::{ModelWriter, Region};
use trishift_format::{
    Add, ArgMax, Concat, Conv2d, DataType, Embedding, InputScale, Linear, Operator, OperatorKind, Pad, Pool2d, Relu,
    Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax, Tensor, TensorClass, Window,
};

/// What one operator does; which tensors it reads and writes stands in the [`Node`].
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Linear(Weights),
    ShiftNorm,
    Requantize,
    Relu,
    Add,
    ArgMax,
    RmsNorm,
    Embedding(Weights),
    Softmax,
    Conv2d(Window, Weights),
    DepthwiseConv2d(Window, Weights),
    MaxPool(Window),
    AvgPool(Window),
    Concat,
    Reshape,
    Pad([u8; 4]),
    /// The output is kept from run to run.
    Slide,
}

/// One operator. The second input of all but additions and concatenations is the first.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) action: Action,
    pub(crate) inputs: [usize; 2],
    pub(crate) output: usize,
    pub(crate) relu: bool,
    /// The output takes an input's place if it may.
    pub(crate) in_place: bool,
}

/// One tensor: what it holds, not where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) data_type: DataType,
    pub(crate) exponent: i32,
    /// Height, width, channels.
    pub(crate) shape: [usize; 3],
}

impl Value {
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Height and width as windows count them.
    pub(crate) fn image(&self) -> [u32; 2] {
        [self.shape[0] as u32, self.shape[1] as u32]
    }
}

/// A network; tensor 0 is its input.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) output: usize,
}

impl Network {
    pub(crate) fn input(&self) -> Value {
        self.values[0]
    }

    pub(crate) fn output(&self) -> Value {
        self.values[self.output]
    }

    /// True where a tensor is kept from run to run: it cannot be the output.
    pub(crate) fn is_kept(&self, number: usize) -> bool {
        self.nodes.iter().any(|node| node.output == number && matches!(node.action, Action::Slide))
    }

    /// The model file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let mut writer = ModelWriter::new("test");
        for node in &self.nodes {
            let operator = node.write(&mut writer);
            writer.push(&operator).expect("operators encode");
        }
        writer.input_scales(&[InputScale::IDENTITY]);
        let (tensors, arena_bytes) = self.plan();
        let region = Region { tensors: &tensors, input: 0, output: self.output as u16, arena_bytes };
        writer.finish(&region).expect("the generator makes valid models")
    }

    /// Tensors with lifetimes and places: first fit, so that memory is used again as soon as it is free.
    fn plan(&self) -> (Vec<Tensor>, u64) {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut arena_bytes = 0;
        for (number, value) in self.values.iter().enumerate() {
            let class = match number {
                0 => TensorClass::Input,
                number if number == self.output => TensorClass::Output,
                number if self.is_kept(number) => TensorClass::Persistent,
                _ => TensorClass::Arena,
            };
            let first = self.nodes.iter().position(|node| node.output == number).unwrap_or(0) as u16;
            let last = self.nodes.iter().rposition(|node| node.inputs.contains(&number)).map_or(first, |n| n as u16);
            let shape = value.shape.map(|size| size as u32);
            let exponent = value.exponent as i16;
            let mut tensor = Tensor { data_type: value.data_type, class, exponent, shape, offset: 0, first, last };
            let is_placed = |tensor: &Tensor| matches!(tensor.class, TensorClass::Arena | TensorClass::Persistent);
            if is_placed(&tensor) {
                let end = |other: &Tensor| other.offset + (other.bytes() as u32).next_multiple_of(4);
                let clashes = |tensor: &Tensor, other: &Tensor| {
                    let kept = [tensor.class, other.class].contains(&TensorClass::Persistent);
                    let together = kept || (tensor.first <= other.last && other.first <= tensor.last);
                    together && tensor.offset < end(other) && other.offset < end(tensor)
                };
                let placed = || tensors.iter().filter(|other| is_placed(other));
                if let Some(replaced) = self.replaced(number, &tensors) {
                    tensor.offset = replaced.offset;
                } else {
                    while let Some(other) = placed().find(|other| clashes(&tensor, other)) {
                        tensor.offset = end(other);
                    }
                }
                arena_bytes = arena_bytes.max(u64::from(tensor.offset) + tensor.bytes() as u64);
            }
            tensors.push(tensor);
        }
        (tensors, arena_bytes)
    }

    /// The tensor of the arena whose place an operator's output takes, where it wants to and may: nothing uses it later.
    fn replaced<'a>(&self, output: usize, tensors: &'a [Tensor]) -> Option<&'a Tensor> {
        let index = self.nodes.iter().position(|node| node.output == output)?;
        let node = &self.nodes[index];
        let [left, right] = node.inputs;
        let fits = match node.action {
            Action::Relu | Action::Reshape => true,
            Action::Add => left != right,
            Action::DepthwiseConv2d(..) => {
                let (input, output) = (self.values[left], self.values[output]);
                node.kind() == OperatorKind::DepthwiseConv2d
                    && (input.data_type, input.shape) == (output.data_type, output.shape)
            }
            _ => false,
        };
        let mut inputs = node.inputs.iter().map(|input| &tensors[*input]);
        let ends = |tensor: &&Tensor| tensor.class == TensorClass::Arena && usize::from(tensor.last) == index;
        inputs.find(ends).filter(|_| fits && node.in_place)
    }
}

impl Node {
    fn write(&self, writer: &mut ModelWriter) -> Operator {
        let [input, right] = self.inputs.map(|number| number as u16);
        let (output, relu) = (self.output as u16, self.relu);
        let bias = self.weights().and_then(|weights| weights.bias.as_ref());
        let bias = bias.map(|bias| writer.add_bias(bias).expect("room for biases"));
        match &self.action {
            Action::Linear(weights) if self.kind() == OperatorKind::Linear => {
                Operator::Linear(Linear { input, output, relu, weights: weights.write(writer), bias })
            }
            Action::Linear(weights) => {
                Operator::Int8Linear(Linear { input, output, relu, weights: weights.write_int8(writer), bias })
            }
            Action::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
            Action::Requantize => Operator::Requantize(Requantize { input, output, relu }),
            Action::Relu => Operator::Relu(Relu { input, output }),
            Action::Add => Operator::Add(Add { left: input, right, output, relu }),
            Action::ArgMax => Operator::ArgMax(ArgMax { input, output }),
            Action::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
            Action::Embedding(table) => Operator::Embedding(Embedding { input, output, weights: table.write(writer) }),
            Action::Softmax => Operator::Softmax(Softmax { input, output }),
            Action::Conv2d(window, weights) | Action::DepthwiseConv2d(window, weights) => {
                let window = *window;
                if weights.precision == Precision::Int8 {
                    let op = Conv2d { input, output, relu, window, weights: weights.write_int8(writer), bias };
                    let every = self.kind() == OperatorKind::Int8Conv2d;
                    if every { Operator::Int8Conv2d(op) } else { Operator::Int8DepthwiseConv2d(op) }
                } else {
                    let op = Conv2d { input, output, relu, window, weights: weights.write(writer), bias };
                    let every = self.kind() == OperatorKind::Conv2d;
                    if every { Operator::Conv2d(op) } else { Operator::DepthwiseConv2d(op) }
                }
            }
            Action::MaxPool(window) => Operator::MaxPool(Pool2d { input, output, window: *window }),
            Action::AvgPool(window) => Operator::AvgPool(Pool2d { input, output, window: *window }),
            Action::Concat => Operator::Concat(Concat { left: input, right, output }),
            Action::Reshape => Operator::Reshape(Reshape { input, output }),
            Action::Pad(padding) => Operator::Pad(Pad { input, output, padding: *padding }),
            Action::Slide => Operator::Slide(Slide { input, state: output }),
        }
    }

    fn weights(&self) -> Option<&Weights> {
        match &self.action {
            Action::Linear(weights) | Action::Conv2d(_, weights) | Action::DepthwiseConv2d(_, weights) => Some(weights),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> OperatorKind {
        let int8 = self.weights().is_some_and(|weights| weights.precision == Precision::Int8);
        match self.action {
            Action::Linear(_) if int8 => OperatorKind::Int8Linear,
            Action::Linear(_) => OperatorKind::Linear,
            Action::ShiftNorm => OperatorKind::ShiftNorm,
            Action::Requantize => OperatorKind::Requantize,
            Action::Relu => OperatorKind::Relu,
            Action::Add => OperatorKind::Add,
            Action::ArgMax => OperatorKind::ArgMax,
            Action::RmsNorm => OperatorKind::RmsNorm,
            Action::Embedding(_) => OperatorKind::Embedding,
            Action::Softmax => OperatorKind::Softmax,
            Action::Conv2d(..) if int8 => OperatorKind::Int8Conv2d,
            Action::Conv2d(..) => OperatorKind::Conv2d,
            Action::DepthwiseConv2d(..) if int8 => OperatorKind::Int8DepthwiseConv2d,
            Action::DepthwiseConv2d(..) => OperatorKind::DepthwiseConv2d,
            Action::MaxPool(_) => OperatorKind::MaxPool,
            Action::AvgPool(_) => OperatorKind::AvgPool,
            Action::Concat => OperatorKind::Concat,
            Action::Reshape => OperatorKind::Reshape,
            Action::Pad(_) => OperatorKind::Pad,
            Action::Slide => OperatorKind::Slide,
        }
    }
}
