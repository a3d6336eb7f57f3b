//! A network as plain values: what a model file says, with nothing packed, shifted or shared.
//!
//! [`Network::read`] takes one out of a parsed model by its accessors, [`Network::file`] writes one, and
//! `generate` makes one of a fuzzer's bytes.

use trishift_format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift_format::{
    Add, ArgMax, Embedding, GroupSize, InputScale, Layout, Linear, MatrixRecord, Model, Operator, OperatorKind, Relu,
    Requantize, RmsNorm, ShiftNorm, Softmax, Tensor,
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
    /// Tensors read; the second is the first but for additions.
    pub inputs: [u16; 2],
    /// Tensor written.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
    /// Ternary weights.
    pub weights: Option<Weights>,
    /// A number for each row.
    pub bias: Option<Vec<i32>>,
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
    fn read(model: &Model<'_>, operator: &Operator) -> Self {
        let (relu, bias) = match operator {
            Operator::Linear(op) => (op.relu, model.bias(op).map(|bias| bias.iter().collect())),
            Operator::ShiftNorm(op) => (op.relu, None),
            Operator::Requantize(op) => (op.relu, None),
            Operator::Add(op) => (op.relu, None),
            Operator::RmsNorm(op) => (op.relu, None),
            Operator::Relu(_) | Operator::ArgMax(_) | Operator::Embedding(_) | Operator::Softmax(_) => (false, None),
        };
        let weights = operator.weights().map(|record| Weights::read(model, record));
        let (kind, inputs, output) = (operator.kind(), operator.inputs(), operator.output());
        Self { kind, inputs, output, relu, weights, bias }
    }

    fn write(&self, writer: &mut ModelWriter) -> Result<Operator, WriteError> {
        let Self { inputs: [input, right], output, relu, .. } = *self;
        let mut matrix = || match &self.weights {
            Some(weights) => weights.write(writer),
            None => unreachable!("a {} has weights", self.kind),
        };
        Ok(match self.kind {
            OperatorKind::Linear => {
                let weights = matrix()?;
                let bias = self.bias.as_ref().map(|bias| writer.add_bias(bias)).transpose()?;
                Operator::Linear(Linear { input, output, relu, weights, bias })
            }
            OperatorKind::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
            OperatorKind::Requantize => Operator::Requantize(Requantize { input, output, relu }),
            OperatorKind::Relu => Operator::Relu(Relu { input, output }),
            OperatorKind::Add => Operator::Add(Add { left: input, right, output, relu }),
            OperatorKind::ArgMax => Operator::ArgMax(ArgMax { input, output }),
            OperatorKind::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
            OperatorKind::Embedding => Operator::Embedding(Embedding { input, output, weights: matrix()? }),
            OperatorKind::Softmax => Operator::Softmax(Softmax { input, output }),
        })
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

    /// A row's smallest exponent.
    pub fn smallest(&self, row: usize) -> i32 {
        self.row(row).map(|(_, exponent)| exponent).min().unwrap_or(0)
    }
}
