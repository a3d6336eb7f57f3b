//! A network as plain values, its file, and a generator of networks that use every operator.
//!
//! The generator follows a list of [`Step`]s. Each one takes the latest tensor that its operator can read; where there is
//! no int32 tensor to read, a linear layer makes one first, so that every list of steps is a network.

use super::random::Random;
use proptest::prelude::*;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Add, ArgMax, DataType, Embedding, GroupSize, InputScale, Linear, MatrixRecord, Operator, OperatorKind, Relu,
    Requantize, RmsNorm, ShiftNorm, Softmax, Tensor, TensorClass,
};

/// A ternary matrix, and exponents as they were before groups of zeros take their row's smallest.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) group: GroupSize,
    pub(crate) trits: Vec<i8>,
    pub(crate) exponents: Vec<i8>,
    pub(crate) bias: Option<Vec<i32>>,
}

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
}

/// One operator. The second input of all but additions is the first.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) action: Action,
    pub(crate) inputs: [usize; 2],
    pub(crate) output: usize,
    pub(crate) relu: bool,
}

/// One tensor: what it holds, not where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) data_type: DataType,
    pub(crate) exponent: i32,
    pub(crate) len: usize,
}

/// A network; tensor 0 is its input.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) output: usize,
}

/// What the generator does next.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: OperatorKind,
    /// Linear, embedding, softmax: int32 outputs. Otherwise without meaning.
    pub(crate) wide: bool,
    pub(crate) relu: bool,
    pub(crate) bias: bool,
    /// Outputs of a linear layer, elements of a table's entry.
    pub(crate) rows: usize,
    pub(crate) group: GroupSize,
    /// Smallest exponent of the weights, and how far the others lie above it.
    pub(crate) base: i32,
    pub(crate) window: i32,
    /// Requantising shift that the output's exponent is chosen for.
    pub(crate) shift: i32,
    pub(crate) seed: u64,
}

impl Step {
    /// A step of this kind with weights of ordinary size.
    pub(crate) fn new(kind: OperatorKind, seed: u64) -> Self {
        let group = GroupSize::ALL[(seed % 10) as usize];
        Self { kind, wide: false, relu: false, bias: false, rows: 24, group, base: -9, window: 4, shift: 8, seed }
    }
}

/// Steps of every kind. With at most 100 columns and windows up to 14, no row can break the int32 bound.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        5 => Just(OperatorKind::Linear),
        2 => Just(OperatorKind::ShiftNorm),
        2 => Just(OperatorKind::Requantize),
        1 => Just(OperatorKind::Relu),
        3 => Just(OperatorKind::Add),
        1 => Just(OperatorKind::ArgMax),
        2 => Just(OperatorKind::RmsNorm),
        1 => Just(OperatorKind::Embedding),
        1 => Just(OperatorKind::Softmax),
    ];
    let shift = prop_oneof![6 => 2..14, 1 => -4..36];
    let window = prop_oneof![4 => 0..6, 1 => 0..=14];
    let sizes = (prop_oneof![Just(1usize), Just(12), 1usize..=100], prop::sample::select(GroupSize::ALL.to_vec()));
    let weights = (sizes, -20..=0, window, shift);
    let step = (kind, any::<[bool; 3]>(), weights, any::<u64>());
    let step = step.prop_map(|(kind, [wide, relu, bias], ((rows, group), base, window, shift), seed)| Step {
        kind,
        wide,
        relu,
        bias,
        rows,
        group,
        base,
        window,
        shift,
        seed,
    });
    prop::collection::vec(step, 1..9)
}

impl Network {
    /// The network of these steps for samples of `inputs` values; the output of operator number `output`, counted round
    /// and round, is the network's.
    pub(crate) fn generate(inputs: usize, steps: &[Step], output: usize) -> Self {
        let input = Value { data_type: DataType::I8, exponent: -5, len: inputs };
        let mut network = Self { values: vec![input], nodes: Vec::new(), output: 0 };
        for step in steps {
            network.take(step);
        }
        network.output = network.nodes[output % network.nodes.len()].output;
        network
    }

    fn take(&mut self, step: &Step) {
        let narrow = self.latest(DataType::I8).unwrap_or(0);
        match step.kind {
            OperatorKind::Linear => self.push_linear(step, narrow, step.wide),
            OperatorKind::ShiftNorm => {
                let source = self.int32(step);
                let exponent = -(step.shift % 7);
                self.push(step, Action::ShiftNorm, [source; 2], DataType::I8, exponent, self.values[source].len);
            }
            OperatorKind::Requantize => {
                let source = self.int32(step);
                let Value { exponent, len, .. } = self.values[source];
                self.push(step, Action::Requantize, [source; 2], DataType::I8, exponent + step.shift, len);
            }
            OperatorKind::Relu => {
                let Value { exponent, len, .. } = self.values[narrow];
                self.push(step, Action::Relu, [narrow; 2], DataType::I8, exponent, len);
            }
            OperatorKind::Add => {
                let left = self.values[narrow];
                let fits = |value: &Value| value.data_type == DataType::I8 && value.len == left.len;
                let partners: Vec<usize> = (0..self.values.len()).filter(|i| fits(&self.values[*i])).collect();
                let partner = partners[(step.seed % partners.len() as u64) as usize];
                let inputs = if step.wide { [narrow, partner] } else { [partner, narrow] };
                let exponent = left.exponent.max(self.values[partner].exponent);
                self.push(step, Action::Add, inputs, DataType::I8, exponent, left.len);
            }
            OperatorKind::ArgMax => {
                let source = self.values.len() - 1;
                self.push(step, Action::ArgMax, [source; 2], DataType::I32, 0, 1);
            }
            OperatorKind::RmsNorm => {
                let source = self.int32(step);
                let exponent = -step.shift.rem_euclid(8);
                self.push(step, Action::RmsNorm, [source; 2], DataType::I8, exponent, self.values[source].len);
            }
            OperatorKind::Embedding => self.push_embedding(step, narrow),
            OperatorKind::Softmax => {
                let source = self.values.len() - 1;
                let (data_type, exponent) =
                    if step.wide { (DataType::I32, -((step.seed % 31) as i32)) } else { (DataType::I8, -7) };
                self.push(step, Action::Softmax, [source; 2], data_type, exponent, self.values[source].len);
            }
        }
    }

    fn latest(&self, data_type: DataType) -> Option<usize> {
        self.values.iter().rposition(|value| value.data_type == data_type)
    }

    /// The latest int32 tensor; a linear layer makes one where there is none.
    fn int32(&mut self, step: &Step) -> usize {
        self.latest(DataType::I32).unwrap_or_else(|| {
            self.push_linear(step, self.latest(DataType::I8).unwrap_or(0), true);
            self.values.len() - 1
        })
    }

    fn push_linear(&mut self, step: &Step, input: usize, wide: bool) {
        let Value { len: columns, exponent: input_exponent, .. } = self.values[input];
        let weights = Weights::generate(step, step.rows, columns, step.bias);
        let (data_type, exponent) = if wide {
            (DataType::I32, input_exponent + weights.unit(step))
        } else {
            (DataType::I8, input_exponent + step.base + step.shift)
        };
        let step = Step { relu: step.relu && !wide, ..step.clone() };
        self.push(&step, Action::Linear(weights), [input; 2], data_type, exponent, step.rows);
    }

    /// Rows for the latest tensor where it holds a class, which is in int32; for an int8 tensor otherwise, which names no
    /// more than 256 of them.
    fn push_embedding(&mut self, step: &Step, narrow: usize) {
        let class = self.nodes.last().filter(|node| matches!(node.action, Action::ArgMax));
        let (source, rows) = class.map_or((narrow, 256), |node| (node.output, self.values[node.inputs[0]].len));
        // At most 100 elements, for the linear layer that may come next.
        let elements = self.values[source].len;
        let columns = step.rows.min(100 / elements).max(1);
        let weights = Weights::generate(step, rows, columns, false);
        let (data_type, exponent) = if step.wide {
            (DataType::I32, weights.unit(step))
        } else {
            // Near the weights, or they would all be 0 or saturated.
            (DataType::I8, step.base + step.shift - 8)
        };
        self.push(step, Action::Embedding(weights), [source; 2], data_type, exponent, elements * columns);
    }

    fn push(
        &mut self,
        step: &Step,
        action: Action,
        inputs: [usize; 2],
        data_type: DataType,
        exponent: i32,
        len: usize,
    ) {
        let output = self.values.len();
        self.values.push(Value { data_type, exponent, len });
        let relu =
            step.relu && !matches!(action, Action::Relu | Action::ArgMax | Action::Embedding(_) | Action::Softmax);
        self.nodes.push(Node { action, inputs, output, relu });
    }

    pub(crate) fn input(&self) -> Value {
        self.values[0]
    }

    pub(crate) fn output(&self) -> Value {
        self.values[self.output]
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
                _ => TensorClass::Arena,
            };
            let first = self.nodes.iter().position(|node| node.output == number).unwrap_or(0) as u16;
            let last = self.nodes.iter().rposition(|node| node.inputs.contains(&number)).map_or(first, |n| n as u16);
            let shape = [1, 1, value.len as u32];
            let exponent = value.exponent as i16;
            let mut tensor = Tensor { data_type: value.data_type, class, exponent, shape, offset: 0, first, last };
            if class == TensorClass::Arena {
                let end = |other: &Tensor| other.offset + (other.bytes() as u32).next_multiple_of(4);
                let clashes = |tensor: &Tensor, other: &Tensor| {
                    let together = tensor.first <= other.last && other.first <= tensor.last;
                    together && tensor.offset < end(other) && other.offset < end(tensor)
                };
                let placed = || tensors.iter().filter(|other| other.class == TensorClass::Arena);
                while let Some(other) = placed().find(|other| clashes(&tensor, other)) {
                    tensor.offset = end(other);
                }
                arena_bytes = arena_bytes.max(u64::from(tensor.offset) + tensor.bytes() as u64);
            }
            tensors.push(tensor);
        }
        (tensors, arena_bytes)
    }
}

impl Weights {
    fn generate(step: &Step, rows: usize, columns: usize, bias: bool) -> Self {
        let mut random = Random::new(step.seed);
        let groups = step.group.count(columns);
        // One trit in `rarity` is not 0; whole groups and rows of zeros come of it.
        let rarity = *[1, 2, 2, 3, 20].get((step.seed >> 32) as usize % 5).unwrap_or(&2);
        let mut trit = |_| if random.between(1, rarity) == 1 { random.between(-1, 1) as i8 } else { 0 };
        let trits = (0..rows * columns).map(&mut trit).collect();
        let mut exponent = |_| (i64::from(step.base) + random.between(0, i64::from(step.window))) as i8;
        let exponents = (0..rows * groups).map(&mut exponent).collect();
        let bias = bias.then(|| (0..rows).map(|_| random.between(-(1 << 20), 1 << 20) as i32).collect());
        Self { rows, columns, group: step.group, trits, exponents, bias }
    }

    /// A unit for int32 outputs, which may lie below every exponent.
    fn unit(&self, step: &Step) -> i32 {
        let smallest = (0..self.rows).map(|row| self.smallest(row)).min().unwrap_or(0);
        smallest - (step.seed % 3) as i32
    }

    fn write(&self, writer: &mut ModelWriter) -> MatrixRecord {
        let Self { rows, columns, group, ref trits, ref exponents, .. } = *self;
        writer.add_matrix(&MatrixValues { rows, columns, group, trits, exponents }).expect("shapes agree")
    }

    /// The exponent of a group as the file has it: groups of zeros carry their row's smallest, rows of zeros 0.
    pub(crate) fn exponent(&self, row: usize, group: usize) -> i32 {
        let groups = self.group.count(self.columns);
        if self.is_zero(row, group) { self.smallest(row) } else { i32::from(self.exponents[row * groups + group]) }
    }

    pub(crate) fn smallest(&self, row: usize) -> i32 {
        let groups = self.group.count(self.columns);
        let used = (0..groups).filter(|group| !self.is_zero(row, *group));
        used.map(|group| i32::from(self.exponents[row * groups + group])).min().unwrap_or(0)
    }

    fn is_zero(&self, row: usize, group: usize) -> bool {
        let trits = &self.trits[row * self.columns..][..self.columns];
        trits.chunks(self.group.get()).nth(group).is_none_or(|trits| trits.iter().all(|trit| *trit == 0))
    }
}

impl Node {
    fn write(&self, writer: &mut ModelWriter) -> Operator {
        let [input, right] = self.inputs.map(|number| number as u16);
        let (output, relu) = (self.output as u16, self.relu);
        match &self.action {
            Action::Linear(weights) => {
                let record = weights.write(writer);
                let bias = weights.bias.as_ref().map(|bias| writer.add_bias(bias).expect("room for biases"));
                Operator::Linear(Linear { input, output, relu, weights: record, bias })
            }
            Action::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
            Action::Requantize => Operator::Requantize(Requantize { input, output, relu }),
            Action::Relu => Operator::Relu(Relu { input, output }),
            Action::Add => Operator::Add(Add { left: input, right, output, relu }),
            Action::ArgMax => Operator::ArgMax(ArgMax { input, output }),
            Action::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
            Action::Embedding(table) => Operator::Embedding(Embedding { input, output, weights: table.write(writer) }),
            Action::Softmax => Operator::Softmax(Softmax { input, output }),
        }
    }

    pub(crate) fn kind(&self) -> OperatorKind {
        match self.action {
            Action::Linear(_) => OperatorKind::Linear,
            Action::ShiftNorm => OperatorKind::ShiftNorm,
            Action::Requantize => OperatorKind::Requantize,
            Action::Relu => OperatorKind::Relu,
            Action::Add => OperatorKind::Add,
            Action::ArgMax => OperatorKind::ArgMax,
            Action::RmsNorm => OperatorKind::RmsNorm,
            Action::Embedding(_) => OperatorKind::Embedding,
            Action::Softmax => OperatorKind::Softmax,
        }
    }
}
