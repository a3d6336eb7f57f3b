//! What a network must compute, after `docs/format.md` alone: one number after another, in 128-bit integers.
//!
//! Nothing here is shared with the kernels or with the parser: no packed trits, no saturation on the way, no units that
//! make shifts small. A run costs what it costs.

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
            (OperatorKind::Linear, Some(weights)) => {
                (0..weights.rows).map(|row| linear(node, weights, row, left, from, to)).collect()
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
            (OperatorKind::Linear | OperatorKind::Embedding, None) => unreachable!("they have weights"),
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

/// acc = b + Σ t·x·2^(E − e), requantised for int8 outputs.
fn linear(node: &Node, weights: &Weights, row: usize, input: &[i128], from: &Tensor, to: &Tensor) -> i128 {
    let (from, scale) = (i32::from(from.exponent), i32::from(to.exponent));
    let unit = match to.data_type {
        DataType::I8 => weights.smallest(row),
        DataType::I32 => scale - from,
    };
    let mut sum = node.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
    for ((trits, exponent), inputs) in weights.row(row).zip(input.chunks(weights.group.get())) {
        for (trit, x) in trits.iter().zip(inputs).filter(|(trit, _)| **trit != 0) {
            sum += i128::from(*trit) * x * (1 << (exponent - unit));
        }
    }
    match to.data_type {
        DataType::I8 => requantize(sum, scale - from - unit, node.relu),
        DataType::I32 => sum,
    }
}

/// |b| + Σ_g 128·n_g·2^(E_g − e) + h of one row of a linear operator: what must not exceed 2^31 − 1.
pub fn largest_sum(network: &Network, node: &Node, row: usize) -> i128 {
    let Some(weights) = &node.weights else { return 0 };
    let (from, to) = (network.tensor(node.inputs[0]), network.tensor(node.output));
    let scale = i32::from(to.exponent) - i32::from(from.exponent);
    let (unit, rounding) = match to.data_type {
        DataType::I8 => {
            let unit = weights.smallest(row);
            (unit, if (1..=31).contains(&(scale - unit)) { 1 << (scale - unit - 1) } else { 0 })
        }
        DataType::I32 => (scale, 0),
    };
    let group = |(trits, exponent): (&[i8], i32)| {
        let nonzero = trits.iter().filter(|trit| **trit != 0).count() as i128;
        if nonzero == 0 { 0 } else { 128 * nonzero * (1 << (exponent - unit).min(80)) }
    };
    let bias = node.bias.as_ref().map_or(0, |bias| i128::from(bias[row]).abs());
    bias + weights.row(row).map(group).sum::<i128>() + rounding
}

fn saturate(value: i128, relu: bool) -> i128 {
    value.clamp(if relu { 0 } else { -128 }, 127)
}

/// ⌊value·2^−shift + ½⌋; 0 for shifts above 31.
fn rounding_shift(value: i128, shift: i32) -> i128 {
    match shift {
        0 => value,
        1..=31 => (value + (1 << (shift - 1))) >> shift,
        32.. => 0,
        _ => unreachable!("the output's exponent is the larger one"),
    }
}

fn requantize(value: i128, shift: i32, relu: bool) -> i128 {
    // From 2^60 on every value but 0 saturates.
    saturate(if shift >= 1 { rounding_shift(value, shift) } else { value << (-shift).min(60) }, relu)
}

fn shift_norm(sample: &[i128], relu: bool) -> Vec<i128> {
    let sum: i128 = sample.iter().map(|value| value.abs()).sum();
    if sum == 0 {
        return vec![0; sample.len()];
    }
    let target = 27 * sample.len() as i128;
    let fits = |r: &i32| if *r >= 0 { sum << *r <= target } else { sum <= target << -r };
    let r = (-60..60).rev().find(fits).expect("2^60 times as much fits");
    let scaled = |a: i128| if r >= 0 { a << r } else { (a + (1 << (-r - 1))) >> -r };
    sample.iter().map(|value| saturate(scaled(*value), relu)).collect()
}

/// Length in bits.
fn len(value: i128) -> i32 {
    128 - value.leading_zeros() as i32
}

fn rms_norm(sample: &[i128], one: i32, relu: bool) -> Vec<i128> {
    let largest = sample.iter().map(|value| value.abs()).max().unwrap_or(0);
    if largest == 0 {
        return vec![0; sample.len()];
    }
    let p = (len(largest) - 15).max(0);
    let kept: Vec<i128> = sample.iter().map(|value| rounding_shift(*value, p)).collect();
    let sum: i128 = kept.iter().map(|b| b * b).sum();
    let s = (0..63).filter(|s| s % 2 == 0 && sum << s < 1 << 63).max().expect("2^56 fits");
    let root = ((sum << s) / sample.len() as i128).isqrt();
    let t = len(root) + 16;
    let reciprocal = (1 << t) / root;
    let shift = t - one - s / 2;
    let scaled = |value: i128| match shift {
        63.. => 0,
        1.. => (value + (1 << (shift - 1))) >> shift,
        _ => value << (-shift).min(60),
    };
    kept.iter().map(|b| saturate(scaled(b * reciprocal), relu)).collect()
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

fn softmax(sample: &[i128], from: i32, to: i32) -> Vec<i128> {
    let table = |j: i128| ((30.0 - j as f64 / 64.0).exp2()).round() as i128;
    let largest = sample.iter().max().copied().unwrap_or(0);
    let term = |value: &i128| {
        let product = (largest - value) * 94_548;
        let z = match from {
            ..=-64 => 0,
            -63..0 => product >> -from,
            _ => (product << from.min(64)).min(u64::MAX.into()),
        };
        let (n, j, w) = (z >> 16, (z >> 10) & 63, z & 1023);
        if n > 30 { 0 } else { (table(j) - (((table(j) - table(j + 1)) * w) >> 10)) >> n }
    };
    let terms: Vec<i128> = sample.iter().map(term).collect();
    let reciprocal = (1 << 62) / terms.iter().sum::<i128>();
    terms.iter().map(|term| (term * reciprocal + (1 << (61 + to))) >> (62 + to)).collect()
}
