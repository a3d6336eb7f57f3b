//! Writes ResNet-8 for images of 32 × 32 × 3, the image classifier of MLPerf Tiny, with random weights: something to measure
//! convolutions with (`trishift bench model`) where nothing has been trained.
//!
//! `random-resnet8 FILE` writes the model. Exponents of the tensors are such that activations neither vanish nor saturate:
//! their root mean square stays near 24 steps for inputs of that size.

use anyhow::Context;
use std::path::PathBuf;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Add, Conv2d, DataType, GroupSize, InputScale, Linear, MatrixRecord, Operator, Pool2d, Tensor, TensorClass, Window,
};
use trishift_trainer::plan;

/// Columns that share an exponent.
const GROUP: u32 = 32;
/// Smallest exponent of the weights, and how far others lie above it.
const BASE: i8 = -9;
const WINDOW: u64 = 5;

fn main() -> anyhow::Result<()> {
    let path = PathBuf::from(std::env::args_os().nth(1).context("usage: random-resnet8 FILE")?);
    let mut network = Network {
        writer: ModelWriter::new("random-resnet8"),
        random: Random(8),
        tensors: vec![tensor(DataType::I8, -5, [32, 32, 3])],
        operators: Vec::new(),
    };
    let mut last = network.convolution(0, 16, 3, 1, true)?;
    for (channels, stride) in [(16, 1), (32, 2), (64, 2)] {
        let first = network.convolution(last, channels, 3, stride, true)?;
        let second = network.convolution(first, channels, 3, 1, false)?;
        let shortcut = if stride == 1 { last } else { network.convolution(last, channels, 1, stride, false)? };
        let [a, b] = [second, shortcut].map(|tensor| network.tensors[usize::from(tensor)]);
        last = network.tensor(DataType::I8, a.exponent.max(b.exponent), a.shape);
        network.operators.push(Operator::Add(Add { left: second, right: shortcut, output: last, relu: true }));
    }
    let Tensor { exponent, shape: [height, width, channels], .. } = network.tensors[usize::from(last)];
    let window = Window::new([height as u8, width as u8]);
    let pooled = network.tensor(DataType::I8, exponent, [1, 1, channels]);
    network.operators.push(Operator::AvgPool(Pool2d { input: last, output: pooled, window }));
    let logits = network.tensor(DataType::I32, exponent + i16::from(BASE), [1, 1, 10]);
    let weights = network.matrix(10, channels)?;
    network.operators.push(Operator::Linear(Linear {
        input: pooled,
        output: logits,
        relu: false,
        weights,
        bias: None,
    }));
    let file = network.finish(logits)?;
    std::fs::write(&path, &file).with_context(|| format!("cannot write {}", path.display()))
}

struct Network {
    writer: ModelWriter,
    random: Random,
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
}

impl Network {
    fn tensor(&mut self, data_type: DataType, exponent: i16, shape: [u32; 3]) -> u16 {
        self.tensors.push(tensor(data_type, exponent, shape));
        self.tensors.len() as u16 - 1
    }

    /// A third of the trits is 0.
    fn matrix(&mut self, rows: u32, columns: u32) -> anyhow::Result<MatrixRecord> {
        let (rows, columns, group) = (rows as usize, columns as usize, GroupSize::new(GROUP)?);
        let trits: Vec<i8> = (0..rows * columns).map(|_| (self.random.next() % 3) as i8 - 1).collect();
        let exponents: Vec<i8> =
            (0..rows * group.count(columns)).map(|_| BASE + (self.random.next() % (WINDOW + 1)) as i8).collect();
        Ok(self.writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents })?)
    }

    /// A convolution that keeps the image's size but for the stride; gives its output.
    fn convolution(&mut self, input: u16, channels: u32, kernel: u8, stride: u8, relu: bool) -> anyhow::Result<u16> {
        let from = self.tensors[usize::from(input)];
        let [height, width, depth] = from.shape;
        let window = Window::same([kernel; 2], [stride; 2], [height, width]).context("no such window")?;
        let columns = window.area() as u32 * depth;
        let weights = self.matrix(channels, columns)?;
        // The root of the sum of all weights' squares; ReLU takes half of the outputs' squares.
        let squares: f64 = (0..=WINDOW).map(|distance| 4f64.powi(distance as i32)).sum::<f64>() / (WINDOW + 1) as f64;
        let gain = (f64::from(columns) * squares * 2.0 / 3.0 / if relu { 2.0 } else { 1.0 }).sqrt();
        let exponent = from.exponent + i16::from(BASE) + gain.log2().round() as i16;
        let [height, width] = window.output([height, width]).context("no such window")?;
        let output = self.tensor(DataType::I8, exponent, [height, width, channels]);
        self.operators.push(Operator::Conv2d(Conv2d { input, output, relu, window, weights, bias: None }));
        Ok(output)
    }

    /// Gives every tensor its class, its lifetime and its place; the file.
    fn finish(mut self, output: u16) -> anyhow::Result<Vec<u8>> {
        for operator in &self.operators {
            self.writer.push(operator)?;
        }
        for (number, tensor) in self.tensors.iter_mut().enumerate() {
            let reads = |operator: &Operator| operator.inputs().iter().any(|input| usize::from(*input) == number);
            let writes = |operator: &Operator| usize::from(operator.output()) == number;
            let first = self.operators.iter().position(writes).unwrap_or(0);
            tensor.first = first as u16;
            tensor.last = self.operators.iter().rposition(reads).unwrap_or(first) as u16;
        }
        self.tensors[0].class = TensorClass::Input;
        self.tensors[usize::from(output)].class = TensorClass::Output;
        let arena_bytes = plan::place(&mut self.tensors);
        self.writer.input_scales(&[InputScale::IDENTITY]);
        Ok(self.writer.finish(&Region { tensors: &self.tensors, input: 0, output, arena_bytes })?)
    }
}

fn tensor(data_type: DataType, exponent: i16, shape: [u32; 3]) -> Tensor {
    Tensor { data_type, class: TensorClass::Arena, exponent, shape, offset: 0, first: 0, last: 0 }
}

/// Numbers that look random and follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}
