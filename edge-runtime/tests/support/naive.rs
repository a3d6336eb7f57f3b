//! What a network must compute: the definitions of `docs/format.md`, one after another, in 128-bit integers.
//!
//! Nothing here is shared with the kernels: no packed trits, no units that make shifts small, no saturation on the way.

use super::network::{Action, Network, Node, Value, Weights};
use trishift_format::DataType;

/// The network's output for one sample.
pub(crate) fn run(network: &Network, input: &[i8]) -> Vec<i128> {
    let mut values: Vec<Vec<i128>> = vec![Vec::new(); network.values.len()];
    values[0] = input.iter().map(|value| i128::from(*value)).collect();
    for node in &network.nodes {
        values[node.output] = step(network, node, &values);
    }
    values.swap_remove(network.output)
}

fn step(network: &Network, node: &Node, values: &[Vec<i128>]) -> Vec<i128> {
    let [left, right] = node.inputs.map(|number| &values[number]);
    let [left_value, right_value] = node.inputs.map(|number| network.values[number]);
    let output = network.values[node.output];
    match &node.action {
        Action::Linear(weights) => {
            (0..weights.rows).map(|row| linear(weights, row, left, left_value, output, node.relu)).collect()
        }
        Action::ShiftNorm => shift_norm(left, node.relu),
        Action::Requantize => {
            left.iter().map(|value| requantize(*value, output.exponent - left_value.exponent, node.relu)).collect()
        }
        Action::Relu => left.iter().map(|value| (*value).max(0)).collect(),
        Action::Add => {
            let align = |value: i128, from: Value| rounding_shift(value, output.exponent - from.exponent);
            let sums = left.iter().zip(right).map(|(a, b)| align(*a, left_value) + align(*b, right_value));
            sums.map(|sum| saturate(sum, node.relu)).collect()
        }
        Action::ArgMax => {
            let largest = left.iter().max().copied().unwrap_or(0);
            vec![left.iter().position(|value| *value == largest).unwrap_or(0) as i128]
        }
        Action::RmsNorm => rms_norm(left, -output.exponent, node.relu),
        Action::Embedding(table) => {
            let first = if left_value.data_type == DataType::I8 { 128 } else { 0 };
            left.iter().flat_map(|index| entry(table, (index + first) as usize, output)).collect()
        }
        Action::Softmax => {
            let shares = softmax(left, left_value.exponent, output.exponent);
            let largest = if output.data_type == DataType::I8 { 127 } else { i128::MAX };
            shares.into_iter().map(|share| share.min(largest)).collect()
        }
    }
}

/// One output: acc = b + Σ t·x·2^(E − e).
fn linear(weights: &Weights, row: usize, input: &[i128], from: Value, to: Value, relu: bool) -> i128 {
    let unit = match to.data_type {
        DataType::I8 => weights.smallest(row),
        DataType::I32 => to.exponent - from.exponent,
    };
    let product = |column: usize| {
        let shift = weights.exponent(row, column / weights.group.get()) - unit;
        i128::from(weights.trits[row * weights.columns + column]) * input[column] * (1 << shift)
    };
    let bias = weights.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
    let sum = bias + (0..weights.columns).map(product).sum::<i128>();
    match to.data_type {
        DataType::I8 => requantize(sum, to.exponent - unit - from.exponent, relu),
        DataType::I32 => sum,
    }
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
    let r = (-60..60).rev().find(fits).unwrap_or(-60);
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
    let s = (0..63).filter(|s| s % 2 == 0 && sum << s < 1 << 63).max().unwrap_or(0);
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
fn entry(table: &Weights, row: usize, to: Value) -> impl Iterator<Item = i128> {
    (0..table.columns).map(move |column| {
        let trit = i128::from(table.trits[row * table.columns + column]);
        let shift = to.exponent - table.exponent(row, column / table.group.get());
        match to.data_type {
            DataType::I8 => requantize(trit, shift, false),
            DataType::I32 => trit * (1 << -shift),
        }
    })
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
