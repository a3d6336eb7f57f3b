//! What a network must compute: the definitions of `docs/format.md`, one after another, in 128-bit integers.
//!
//! Nothing here is shared with the kernels: no packed trits, no units that make shifts small, no saturation on the way.

use super::definitions::{requantize, rms_norm, rounding_shift, saturate, shift_norm, softmax};
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
