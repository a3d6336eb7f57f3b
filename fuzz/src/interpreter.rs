//! What a network must compute, after `docs/format.md` alone: one number after another, in 128-bit integers.
//!
//! Nothing here is shared with the kernels or with the parser: no packed trits, no saturation on the way, no units that
//! make shifts small. A run costs what it costs.

use crate::definitions::{requantize, rms_norm, rounding_shift, saturate, shift_norm, softmax};
use crate::images;
use crate::network::{Network, Node, Weights};
use trishift_format::{DataType, OperatorKind, Tensor, TensorClass};

/// A run asked for a row of a table that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMissing {
    /// The operator.
    pub index: usize,
    /// The row.
    pub row: i128,
}

/// One sample's tensors.
#[derive(Clone, Debug)]
pub struct Interpreter<'n> {
    network: &'n Network,
    values: Vec<Vec<i128>>,
}

impl<'n> Interpreter<'n> {
    /// Persistent tensors hold zeros at first.
    pub fn new(network: &'n Network) -> Self {
        Self { network, values: network.tensors.iter().map(|tensor| vec![0; tensor.len()]).collect() }
    }

    /// The output for an input.
    ///
    /// # Errors
    /// [`RowMissing`].
    pub fn run(&mut self, input: &[i8]) -> Result<&[i128], RowMissing> {
        let Network { tensors, nodes, .. } = self.network;
        // What an operator reads before another one has written it must not look like anything.
        for (tensor, values) in tensors.iter().zip(&mut self.values) {
            if tensor.class != TensorClass::Persistent {
                values.clear();
            }
        }
        self.values[usize::from(self.network.input)] = input.iter().map(|value| i128::from(*value)).collect();
        for (index, node) in nodes.iter().enumerate() {
            let values = self.step(node).map_err(|row| RowMissing { index, row })?;
            let target = self.network.tensor(node.output);
            let range = match target.data_type {
                DataType::I8 => -128..=127,
                DataType::I32 => i128::from(i32::MIN)..=i128::from(i32::MAX),
            };
            assert_eq!(values.len(), target.len(), "operator {index} ({})", node.kind);
            assert!(values.iter().all(|value| range.contains(value)), "operator {index} ({}) overflows", node.kind);
            self.values[usize::from(node.output)] = values;
        }
        Ok(&self.values[usize::from(self.network.output)])
    }

    /// What an operator writes, or the row it lacks.
    fn step(&self, node: &Node) -> Result<Vec<i128>, i128> {
        let [left, right] = node.inputs.map(|number| self.values[usize::from(number)].as_slice());
        let [from, from_right] = node.inputs.map(|number| self.network.tensor(number));
        let to = self.network.tensor(node.output);
        let exponent = |tensor: &Tensor| i32::from(tensor.exponent);
        let (one, relu) = (exponent(to), node.relu);
        Ok(match (node.kind, &node.weights) {
            (OperatorKind::Linear | OperatorKind::Int8Linear, _) => {
                (0..node.rows()).map(|row| product(node, row, &node.row(row), left, from, to)).collect()
            }
            (OperatorKind::Embedding, Some(table)) => {
                let first = if from.data_type == DataType::I8 { 128 } else { 0 };
                let mut output = Vec::new();
                for index in left {
                    let row = index + first;
                    let found = usize::try_from(row).ok().filter(|row| *row < table.rows).ok_or(row)?;
                    output.extend(entry(table, found, to));
                }
                output
            }
            (OperatorKind::Embedding, None) => unreachable!("it has a table"),
            (OperatorKind::Conv2d | OperatorKind::Int8Conv2d, _) => images::convolve(node, left, from, to, false),
            (OperatorKind::DepthwiseConv2d | OperatorKind::Int8DepthwiseConv2d, _) => {
                images::convolve(node, left, from, to, true)
            }
            (OperatorKind::MaxPool, _) => images::max_pool(node, left, from, to),
            (OperatorKind::AvgPool, _) => images::avg_pool(node, left, from, to),
            (OperatorKind::Concat, _) => images::concat(left, right, from, from_right),
            (OperatorKind::Reshape, _) => left.to_vec(),
            (OperatorKind::Slide, _) => images::slide(&self.values[usize::from(node.output)], left, from, to),
            (OperatorKind::Pad, _) => images::pad(node, left, from, to),
            (OperatorKind::ShiftNorm, _) => shift_norm(left, relu),
            (OperatorKind::Requantize, _) => {
                left.iter().map(|value| requantize(*value, one - exponent(from), relu)).collect()
            }
            (OperatorKind::Relu, _) => left.iter().map(|value| (*value).max(0)).collect(),
            (OperatorKind::Add, _) => {
                let align = |value: i128, from: &Tensor| rounding_shift(value, one - exponent(from));
                let sums = left.iter().zip(right).map(|(a, b)| align(*a, from) + align(*b, from_right));
                sums.map(|sum| saturate(sum, relu)).collect()
            }
            (OperatorKind::ArgMax, _) => {
                let largest = left.iter().max();
                vec![left.iter().position(|value| Some(value) == largest).unwrap_or(0) as i128]
            }
            (OperatorKind::RmsNorm, _) => rms_norm(left, -one, relu),
            (OperatorKind::Softmax, _) => {
                let largest = if to.data_type == DataType::I8 { 127 } else { i128::MAX };
                softmax(left, exponent(from), one).into_iter().map(|share| share.min(largest)).collect()
            }
        })
    }
}

/// acc = b + Σ w·x·2^(E − e), requantised for int8 outputs: one element of a row with these weights.
pub(crate) fn product(
    node: &Node,
    row: usize,
    weights: &[(i128, i32)],
    input: &[i128],
    from: &Tensor,
    to: &Tensor,
) -> i128 {
    assert_eq!(weights.len(), input.len(), "an input for every column");
    let (from, scale) = (i32::from(from.exponent), i32::from(to.exponent));
    let unit = match to.data_type {
        DataType::I8 => weights.iter().map(|(_, exponent)| *exponent).min().unwrap_or(0),
        DataType::I32 => scale - from,
    };
    let mut sum = node.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
    for ((weight, exponent), x) in weights.iter().zip(input).filter(|((weight, _), _)| *weight != 0) {
        sum += weight * x * (1 << (exponent - unit));
    }
    match to.data_type {
        DataType::I8 => requantize(sum, scale - from - unit, node.relu),
        DataType::I32 => sum,
    }
}

/// |b| + Σ 128·|w|·2^(E − e) + h of one row of an operator with weights: what must not exceed 2^31 − 1.
pub fn largest_sum(network: &Network, node: &Node, row: usize) -> i128 {
    let (from, to) = (network.tensor(node.inputs[0]), network.tensor(node.output));
    let scale = i32::from(to.exponent) - i32::from(from.exponent);
    let (unit, rounding) = match to.data_type {
        DataType::I8 => {
            let unit = node.smallest(row);
            (unit, if (1..=31).contains(&(scale - unit)) { 1 << (scale - unit - 1) } else { 0 })
        }
        DataType::I32 => (scale, 0),
    };
    let term = |(weight, exponent): (i128, i32)| {
        if weight == 0 { 0 } else { 128 * weight.abs() * (1 << (exponent - unit).min(80)) }
    };
    let bias = node.bias.as_ref().map_or(0, |bias| i128::from(bias[row]).abs());
    bias + node.row(row).into_iter().map(term).sum::<i128>() + rounding
}

/// One row of a table.
fn entry(table: &Weights, row: usize, to: &Tensor) -> Vec<i128> {
    let weight = |trit: &i8, exponent: i32| {
        let shift = i32::from(to.exponent) - exponent;
        match to.data_type {
            DataType::I8 => requantize(i128::from(*trit), shift, false),
            DataType::I32 if *trit == 0 => 0,
            DataType::I32 => i128::from(*trit) * (1 << -shift),
        }
    };
    table.row(row).flat_map(|(trits, exponent)| trits.iter().map(move |trit| weight(trit, exponent))).collect()
}
