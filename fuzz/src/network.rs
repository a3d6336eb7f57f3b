//! A network as plain values: what a model file says, with nothing packed, shifted or shared.
//!
//! [`Network::read`] takes one out of a parsed model by its accessors, [`Network::file`] writes one, and
//! `generate` makes one of a fuzzer's bytes.

use trishift_format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift_format::{
    Add, ArgMax, Concat, Conv2d, Embedding, GroupSize, InputScale, Int8Record, Layout, Linear, MatrixRecord, Model,
    Operator, OperatorKind, Pad, Pool2d, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax, Tensor, Window,
};

/// A network; its fields are those of `docs/format.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name of the model.
    pub name: String,
    /// Number of the input tensor.
    pub input: u16,
    /// Number of the output tensor.
    pub output: u16,
    /// Arena bytes of one sample.
    pub arena_bytes: u64,
    /// Tensors with their places.
    pub tensors: Vec<Tensor>,
    /// Operators, in the order in which they run.
    pub nodes: Vec<Node>,
    /// Input scaling: one record, or one for each element.
    pub scales: Vec<InputScale>,
    /// None, or one for each output element.
    pub labels: Vec<String>,
    /// Further facts: key, value.
    pub properties: Vec<(String, String)>,
}

/// An operator of any kind; what its kind does not have is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub kind: OperatorKind,
    /// Tensors read; the second is the first but for additions and concatenations.
    pub inputs: [u16; 2],
    /// Tensor written.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
    /// Ternary weights.
    pub weights: Option<Weights>,
    /// int8 weights.
    pub int8: Option<Int8Weights>,
    /// A number for each row.
    pub bias: Option<Vec<i32>>,
    /// What slides over an image.
    pub window: Option<Window>,
    /// Zeros above, left, below, right of an image.
    pub padding: [u8; 4],
}

/// A ternary matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// N.
    pub rows: usize,
    /// K.
    pub columns: usize,
    /// G.
    pub group: GroupSize,
    /// Order of the bytes in the file.
    pub layout: Layout,
    /// [rows, columns], of −1, 0, 1.
    pub trits: Vec<i8>,
    /// [rows, ⌈columns / group⌉]; groups of zeros carry their row's smallest.
    pub exponents: Vec<i8>,
}

/// A matrix of int8.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Weights {
    /// K.
    pub columns: usize,
    /// [N, K].
    pub values: Vec<i8>,
    /// [N].
    pub exponents: Vec<i8>,
}

impl Network {
    /// What the file of this model says.
    pub fn read(model: &Model<'_>) -> Self {
        Self {
            name: model.name().to_owned(),
            input: model.input_index(),
            output: model.output_index(),
            arena_bytes: model.arena_bytes(),
            tensors: model.tensors().collect(),
            nodes: model.operators().map(|operator| Node::read(model, &operator)).collect(),
            scales: model.input_scales().collect(),
            labels: model.labels().map(str::to_owned).collect(),
            properties: model.properties().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    /// The model file, by the format's own writer.
    ///
    /// # Errors
    /// What the writer refuses.
    pub fn file(&self) -> Result<Vec<u8>, WriteError> {
        let mut writer = ModelWriter::new(&self.name);
        for node in &self.nodes {
            let operator = node.write(&mut writer)?;
            writer.push(&operator)?;
        }
        for label in &self.labels {
            writer.label(label)?;
        }
        for (key, value) in &self.properties {
            writer.property(key, value)?;
        }
        writer.input_scales(&self.scales);
        let Self { input, output, arena_bytes, .. } = *self;
        writer.finish(&Region { tensors: &self.tensors, input, output, arena_bytes })
    }

    /// The tensor with this number.
    pub fn tensor(&self, number: u16) -> &Tensor {
        &self.tensors[usize::from(number)]
    }
}

impl Node {
    /// An operator that has nothing but tensors.
    pub fn new(kind: OperatorKind, inputs: [u16; 2], output: u16) -> Self {
        let (weights, int8, bias, window) = (None, None, None, None);
        Self { kind, inputs, output, relu: false, weights, int8, bias, window, padding: [0; 4] }
    }

    fn read(model: &Model<'_>, operator: &Operator) -> Self {
        let mut node = Self::new(operator.kind(), operator.inputs(), operator.output());
        node.weights = operator.weights().map(|record| Weights::read(model, record));
        node.int8 = operator.int8_weights().map(|record| Int8Weights::read(model, record));
        let rows = operator.weights().map(|record| record.rows).or(operator.int8_weights().map(|record| record.rows));
        node.bias = model.bias_at(operator.bias(), rows.unwrap_or(0)).map(|bias| bias.iter().collect());
        (node.relu, node.window) = match operator {
            Operator::Linear(op) => (op.relu, None),
            Operator::Int8Linear(op) => (op.relu, None),
            Operator::ShiftNorm(op) => (op.relu, None),
            Operator::Requantize(op) => (op.relu, None),
            Operator::Add(op) => (op.relu, None),
            Operator::RmsNorm(op) => (op.relu, None),
            Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => (op.relu, Some(op.window)),
            Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => (op.relu, Some(op.window)),
            Operator::MaxPool(op) | Operator::AvgPool(op) => (false, Some(op.window)),
            Operator::Pad(op) => {
                node.padding = op.padding;
                (false, None)
            }
            Operator::Relu(_) | Operator::ArgMax(_) | Operator::Embedding(_) | Operator::Softmax(_) => (false, None),
            Operator::Concat(_) | Operator::Reshape(_) | Operator::Slide(_) => (false, None),
        };
        node
    }

    fn write(&self, writer: &mut ModelWriter) -> Result<Operator, WriteError> {
        use OperatorKind as Kind;
        let Self { inputs: [input, right], output, relu, padding, .. } = *self;
        let window = self.window.unwrap_or(Window::new([1, 1]));
        Ok(match self.kind {
            Kind::Linear => {
                let (weights, bias) = (self.matrix(writer)?, self.biases(writer)?);
                Operator::Linear(Linear { input, output, relu, weights, bias })
            }
            Kind::Int8Linear => {
                let (weights, bias) = (self.int8_matrix(writer)?, self.biases(writer)?);
                Operator::Int8Linear(Linear { input, output, relu, weights, bias })
            }
            Kind::Conv2d | Kind::DepthwiseConv2d => {
                let (weights, bias) = (self.matrix(writer)?, self.biases(writer)?);
                let op = Conv2d { input, output, relu, window, weights, bias };
                if self.kind == Kind::Conv2d { Operator::Conv2d(op) } else { Operator::DepthwiseConv2d(op) }
            }
            Kind::Int8Conv2d | Kind::Int8DepthwiseConv2d => {
                let (weights, bias) = (self.int8_matrix(writer)?, self.biases(writer)?);
                let op = Conv2d { input, output, relu, window, weights, bias };
                if self.kind == Kind::Int8Conv2d { Operator::Int8Conv2d(op) } else { Operator::Int8DepthwiseConv2d(op) }
            }
            Kind::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
            Kind::Requantize => Operator::Requantize(Requantize { input, output, relu }),
            Kind::Relu => Operator::Relu(Relu { input, output }),
            Kind::Add => Operator::Add(Add { left: input, right, output, relu }),
            Kind::ArgMax => Operator::ArgMax(ArgMax { input, output }),
            Kind::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
            Kind::Embedding => Operator::Embedding(Embedding { input, output, weights: self.matrix(writer)? }),
            Kind::Softmax => Operator::Softmax(Softmax { input, output }),
            Kind::MaxPool => Operator::MaxPool(Pool2d { input, output, window }),
            Kind::AvgPool => Operator::AvgPool(Pool2d { input, output, window }),
            Kind::Concat => Operator::Concat(Concat { left: input, right, output }),
            Kind::Reshape => Operator::Reshape(Reshape { input, output }),
            Kind::Pad => Operator::Pad(Pad { input, output, padding }),
            Kind::Slide => Operator::Slide(Slide { input, state: output }),
        })
    }

    fn matrix(&self, writer: &mut ModelWriter) -> Result<MatrixRecord, WriteError> {
        match &self.weights {
            Some(weights) => weights.write(writer),
            None => unreachable!("a {} has ternary weights", self.kind),
        }
    }

    fn int8_matrix(&self, writer: &mut ModelWriter) -> Result<Int8Record, WriteError> {
        match &self.int8 {
            Some(Int8Weights { columns, values, exponents }) => writer.add_int8(*columns, values, exponents),
            None => unreachable!("a {} has int8 weights", self.kind),
        }
    }

    fn biases(&self, writer: &mut ModelWriter) -> Result<Option<u32>, WriteError> {
        self.bias.as_ref().map(|bias| writer.add_bias(bias)).transpose()
    }

    /// Rows of its matrix, if it has one.
    pub fn rows(&self) -> usize {
        let int8 = self.int8.as_ref().map_or(0, |weights| weights.exponents.len());
        self.weights.as_ref().map_or(int8, |weights| weights.rows)
    }

    /// The weights of a row, each with its exponent.
    pub fn row(&self, row: usize) -> Vec<(i128, i32)> {
        if let Some(Int8Weights { columns, values, exponents }) = &self.int8 {
            let values = values.chunks(*columns).nth(row).unwrap_or(&[]);
            return values.iter().map(|value| (i128::from(*value), i32::from(exponents[row]))).collect();
        }
        let groups = self.weights.iter().flat_map(|weights| weights.row(row));
        groups.flat_map(|(trits, exponent)| trits.iter().map(move |trit| (i128::from(*trit), exponent))).collect()
    }

    /// A row's smallest exponent.
    pub fn smallest(&self, row: usize) -> i32 {
        self.row(row).into_iter().map(|(_, exponent)| exponent).min().unwrap_or(0)
    }
}

impl Int8Weights {
    fn read(model: &Model<'_>, record: &Int8Record) -> Self {
        let matrix = model.int8_matrix(record);
        let values = matrix.iter().flat_map(|row| row.values).map(|value| *value as i8).collect();
        let exponents = matrix.iter().map(|row| row.exponent as i8).collect();
        Self { columns: matrix.columns(), values, exponents }
    }
}

impl Weights {
    fn read(model: &Model<'_>, record: &MatrixRecord) -> Self {
        let matrix = model.matrix(record);
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let mut trits = vec![0; rows * columns];
        for (row, values) in matrix.iter().zip(trits.chunks_mut(columns)) {
            row.unpack(values);
        }
        let exponents = matrix.iter().flat_map(|row| row.exponents()).map(|exponent| exponent as i8).collect();
        Self { rows, columns, group: matrix.group(), layout: matrix.layout(), trits, exponents }
    }

    fn write(&self, writer: &mut ModelWriter) -> Result<MatrixRecord, WriteError> {
        let Self { rows, columns, group, layout, ref trits, ref exponents } = *self;
        writer.add_matrix_in(&MatrixValues { rows, columns, group, trits, exponents }, layout)
    }

    /// Groups of a row.
    pub fn groups(&self) -> usize {
        self.columns.div_ceil(self.group.get())
    }

    /// One row: its groups' trits, each with its exponent.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&[i8], i32)> {
        let trits = self.trits[row * self.columns..][..self.columns].chunks(self.group.get());
        trits.zip(self.exponents[row * self.groups()..].iter().map(|exponent| i32::from(*exponent)))
    }
}
