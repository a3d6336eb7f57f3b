//! Every kernel of every instruction set that this machine has, against the definition: arbitrary shapes, exponents, inputs.

use super::images;
use crate::generate::bias;
use crate::network::{Network, Node, Weights};
use crate::random::Random;
use arbitrary::{Result, Unstructured};
use std::fmt::Debug;
use trishift_format::bound::Accumulators;
use trishift_format::{
    Bias, DataType, InputScale, Linear, Model, Operator, OperatorKind, Tensor, TensorClass, TernaryMatrix,
};
use trishift_kernels::add::Alignment;
use trishift_kernels::embedding::Embedding;
use trishift_kernels::linear::{LinearI8, LinearI32};
use trishift_kernels::simd::linear::{PORTABLE_PACKED, PackedI8, PackedI32, Workspace};
use trishift_kernels::softmax::Exponents;
use trishift_kernels::{Kernels, PORTABLE, SCALAR, Values, available};

/// Most rows, columns, and samples of a batch.
const MOST: [usize; 3] = [140, 700, 20];

/// Most weights of a case, and most multiplications: the definition takes its time.
const MOST_WEIGHTS: usize = 1 << 13;
const MOST_MACS: usize = 1 << 15;

/// Makes one case of the bytes and compares all kernels.
pub fn check(bytes: &[u8]) {
    outcome(bytes);
}

/// The same; says what was compared.
pub fn outcome(bytes: &[u8]) -> String {
    let mut u = Unstructured::new(bytes);
    let compared = match u.int_in_range(0..=15) {
        Ok(0..=3) => linear(&mut u),
        Ok(4) => embedding(&mut u),
        Ok(5..=10) => images::convolution(&mut u),
        Ok(11) => images::int8_linear(&mut u),
        Ok(12..=13) => images::pools(&mut u),
        _ => elements(&mut u),
    };
    compared.ok().flatten().unwrap_or_else(|| "nothing".into())
}

/// The file of one layer.
pub(super) fn layer(node: Node, from: Tensor, to: Tensor) -> Option<Vec<u8>> {
    let network = Network {
        name: String::new(),
        input: 0,
        output: 1,
        arena_bytes: 0,
        tensors: vec![from, to],
        nodes: vec![node],
        scales: vec![InputScale::IDENTITY],
        labels: vec![],
        properties: vec![],
    };
    // What could overflow is no case.
    network.file().ok()
}

fn tensor(class: TensorClass, data_type: DataType, exponent: i32, len: usize) -> Tensor {
    image(class, data_type, exponent, [1, 1, len as u32])
}

pub(super) fn image(class: TensorClass, data_type: DataType, exponent: i32, shape: [u32; 3]) -> Tensor {
    Tensor { data_type, class, exponent: exponent as i16, shape, offset: 0, first: 0, last: 0 }
}

fn linear(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    let rows = u.int_in_range(1..=MOST[0])?;
    let columns = u.int_in_range(1..=MOST[1].min(MOST_WEIGHTS / rows))?;
    let batch = u.int_in_range(1..=MOST[2])?.min(MOST_MACS / (rows * columns)).max(1);
    let weights = Weights::generate(u, rows, columns)?;
    let (unit, wide, relu) = (weights.unit(), u.arbitrary()?, u.arbitrary()?);
    let (data_type, exponent) = if wide {
        (DataType::I32, unit - u.int_in_range(0..=2)?)
    } else {
        (DataType::I8, unit + u.int_in_range(-10..=40)?)
    };
    let node = Node {
        relu: relu && !wide,
        bias: bias(u, rows)?,
        weights: Some(weights),
        ..Node::new(OperatorKind::Linear, [0; 2], 1)
    };
    let to = tensor(TensorClass::Output, data_type, exponent, rows);
    let Some(file) = layer(node, tensor(TensorClass::Input, DataType::I8, 0, columns), to) else { return Ok(None) };
    let model = Model::parse(&file).expect("the writer has parsed it");
    let Some(Operator::Linear(op)) = model.operators().next() else { unreachable!("one linear layer") };
    let case = LinearCase {
        op,
        matrix: model.matrix(&op.weights),
        bias: model.bias(&op),
        units: model.accumulators(&op),
        input: &Random(u.arbitrary()?).activations(batch * columns),
    };
    let expected = case.by_file(&SCALAR);
    for kernels in available().chain([&PORTABLE]) {
        assert_eq!(case.by_file(kernels), expected, "{}", kernels.name);
    }
    let first = u.int_in_range(0..=rows - 1)?;
    case.packed(first..u.int_in_range(first + 1..=rows)?, &expected);
    let (layout, group) = (format!("{:?}", case.matrix.layout()).to_lowercase(), case.matrix.group().get());
    Ok(Some(format!("linear-{}-{layout}-of-{group}", if wide { "int32" } else { "int8" })))
}

struct LinearCase<'a> {
    op: Linear,
    matrix: TernaryMatrix<'a>,
    bias: Option<Bias<'a>>,
    units: Accumulators,
    input: &'a [i8],
}

/// int8 or int32 outputs, [batch, rows].
#[derive(Debug, PartialEq)]
enum Outputs {
    I8(Vec<i8>),
    I32(Vec<i32>),
}

impl LinearCase<'_> {
    fn batch(&self) -> usize {
        self.input.len() / self.matrix.columns()
    }

    /// On the file's own bytes, with as much scratch as the kernels ask for, of what they did not write.
    fn by_file(&self, kernels: &Kernels) -> Outputs {
        let Self { matrix, bias, input, op: Linear { relu, .. }, .. } = *self;
        let mut scratch = vec![0x5A5A_5A5A; kernels.scratch.bytes(matrix.rows(), false) / 4];
        let outputs = self.batch() * matrix.rows();
        match self.units {
            Accumulators::PerRow { scale } => {
                let mut output = vec![77; outputs];
                (kernels.linear_i8)(&LinearI8 { matrix, bias, scale, relu }, input, &mut scratch, &mut output);
                Outputs::I8(output)
            }
            Accumulators::Layer { exponent } => {
                let mut output = vec![77; outputs];
                (kernels.linear_i32)(&LinearI32 { matrix, bias, exponent }, input, &mut scratch, &mut output);
                Outputs::I32(output)
            }
        }
    }

    /// On packed weights: all rows, then some of them.
    fn packed(&self, some: std::ops::Range<usize>, expected: &Outputs) {
        let Self { bias, input, op: Linear { relu, .. }, .. } = *self;
        let (all, batch) = (self.matrix.rows(), self.batch());
        let tables = available().filter_map(|kernels| Some((kernels.name, kernels.packed.as_ref()?)));
        for (name, packed) in tables.chain(PORTABLE_PACKED.iter().map(|packed| ("plain Rust", packed))) {
            let matrix = &(packed.pack)(&self.matrix);
            let mut workspace = Workspace::new();
            for rows in [0..all, some.clone()] {
                let outputs = batch * rows.len();
                match (self.units, expected) {
                    (Accumulators::PerRow { scale }, Outputs::I8(expected)) => {
                        let mut output = vec![99; outputs];
                        let layer = PackedI8 { matrix, bias, scale, relu, rows: rows.clone() };
                        (packed.linear_i8)(&layer, input, &mut workspace, &mut output);
                        assert_eq!(output, part(expected, all, rows), "{name}, packed");
                    }
                    (Accumulators::Layer { exponent }, Outputs::I32(expected)) => {
                        let mut output = vec![99; outputs];
                        let layer = PackedI32 { matrix, bias, exponent, rows: rows.clone() };
                        (packed.linear_i32)(&layer, input, &mut workspace, &mut output);
                        assert_eq!(output, part(expected, all, rows), "{name}, packed");
                    }
                    _ => unreachable!("the definition has run with the same units"),
                }
            }
        }
    }
}

/// The outputs of some rows.
fn part<T: Copy>(outputs: &[T], all: usize, rows: std::ops::Range<usize>) -> Vec<T> {
    outputs.chunks(all).flat_map(|sample| &sample[rows.clone()]).copied().collect()
}

/// Calls `f(kernels)` for the definition, then for each other table, and compares what it gives.
pub(super) fn compare<T: PartialEq + Debug>(what: &str, mut f: impl FnMut(&Kernels) -> T) {
    let expected = f(&SCALAR);
    for kernels in available().chain([&PORTABLE]) {
        assert_eq!(f(kernels), expected, "{} {what}", kernels.name);
    }
}

fn embedding(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    let rows = u.int_in_range(1..=256)?;
    let columns = u.int_in_range(1..=(MOST_WEIGHTS / rows).min(300))?;
    let weights = Weights::generate(u, rows, columns)?;
    let exponent = weights.unit() + u.int_in_range(-12..=12)?;
    let node = Node { weights: Some(weights), ..Node::new(OperatorKind::Embedding, [0; 2], 1) };
    let count = u.int_in_range(1..=8)?;
    let to = tensor(TensorClass::Output, DataType::I8, exponent, count * columns);
    let Some(file) = layer(node, tensor(TensorClass::Input, DataType::I8, 0, count), to) else { return Ok(None) };
    let model = Model::parse(&file).expect("the writer has parsed it");
    let Some(Operator::Embedding(op)) = model.operators().next() else { unreachable!("one embedding") };
    let table = model.matrix(&op.weights);
    let mut random = Random(u.arbitrary()?);
    let wide: Vec<i32> = (0..count).map(|_| random.between(-1, rows as i64) as i32).collect();
    let narrow = random.activations(count);
    for values in [Values::I8(&narrow), Values::I32(&wide)] {
        compare("embedding", |kernels| {
            let mut output = vec![55; count * columns];
            (kernels.embedding_i8)(&Embedding { table, exponent }, values, &mut output).map(|()| output)
        });
    }
    let exponent = table.smallest_exponent();
    if table.iter().flat_map(|row| row.exponents()).all(|found| found - exponent <= 30) {
        compare("embedding", |kernels| {
            let mut output = vec![55; count * columns];
            (kernels.embedding_i32)(&Embedding { table, exponent }, Values::I32(&wide), &mut output).map(|()| output)
        });
    }
    Ok(Some(format!("embedding-of-{}", table.group().get())))
}

/// The operators that take one element after another, and those that take a sample.
fn elements(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    let length = u.int_in_range(1..=400)?;
    let samples = u.int_in_range(1..=3)?;
    let mut random = Random(u.arbitrary()?);
    let (left, right) = (random.activations(samples * length), random.activations(samples * length));
    let wide = random.accumulators(samples * length);
    let relu = u.arbitrary()?;
    let exponents: [i16; 2] = if u.arbitrary()? {
        [u.int_in_range(-40..=40)?, u.int_in_range(-40..=40)?]
    } else {
        [u.arbitrary()?, u.arbitrary()?]
    };
    let [input, output] = exponents.map(i32::from);
    let narrow = |f: &mut dyn FnMut(&mut [i8])| {
        let mut output = vec![55; samples * length];
        f(&mut output);
        output
    };
    compare("relu", |kernels| narrow(&mut |output| (kernels.relu)(&left, output)));
    let in_place = |f: &dyn Fn(&mut [i8])| {
        let mut data = left.clone();
        f(&mut data);
        data
    };
    compare("relu in place", |kernels| in_place(&|data| (kernels.relu_in_place)(data)));
    let alignment = Alignment::of(input, output);
    compare("add", |kernels| narrow(&mut |output| (kernels.add)(&left, &right, alignment, relu, output)));
    compare("add in place", |kernels| in_place(&|data| (kernels.add_in_place)(data, &right, alignment, relu)));
    assert_eq!(
        in_place(&|data| (SCALAR.add_in_place)(data, &right, alignment, relu)),
        narrow(&mut |output| (SCALAR.add)(&left, &right, alignment, relu, output))
    );
    compare("requantize", |kernels| narrow(&mut |out| (kernels.requantize)(&wide, output - input, relu, out)));
    compare("shift norm", |kernels| narrow(&mut |output| (kernels.shift_norm)(&wide, length, relu, output)));
    compare("rms norm", |kernels| narrow(&mut |out| (kernels.rms_norm)(&wide, length, -output, relu, out)));
    compare("argmax", |kernels| {
        let mut output = [vec![55; samples], vec![55; samples]];
        (kernels.argmax_i8)(&left, length, &mut output[0]);
        (kernels.argmax_i32)(&wide, length, &mut output[1]);
        output
    });
    let shares = -output.rem_euclid(31);
    for values in [Values::I8(&left), Values::I32(&wide)] {
        compare("softmax", |kernels| {
            let (mut bytes, mut words) = (vec![55; samples * length], vec![55; samples * length]);
            (kernels.softmax_i8)(values, length, Exponents { input, output: -7 }, &mut bytes);
            (kernels.softmax_i32)(values, length, Exponents { input, output: shares }, &mut words);
            (bytes, words)
        });
    }
    Ok(Some(format!("elements-{}", if length < 64 { "few" } else { "many" })))
}
