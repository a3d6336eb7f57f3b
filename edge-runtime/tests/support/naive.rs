//! What a network must compute: the definitions of `docs/format.md`, one after another, in 128-bit integers.
//!
//! Nothing here is shared with the kernels: no packed trits, no units that make shifts small, no saturation on the way.

use super::definitions::{requantize, rms_norm, rounding_shift, saturate, shift_norm, softmax};
use super::images::{places, under};
use super::network::{Action, Network, Node, Value};
use super::weights::Weights;
use trishift_format::DataType;

/// The network's output for one sample, the first of all.
pub(crate) fn run(network: &Network, input: &[i8]) -> Vec<i128> {
    Past::new(network).run(network, input)
}

/// What a network keeps of the samples before, by tensor; zeros at first.
#[derive(Clone)]
pub(crate) struct Past(Vec<Vec<i128>>);

impl Past {
    pub(crate) fn new(network: &Network) -> Self {
        Self(network.values.iter().map(|value| vec![0; value.len()]).collect())
    }

    /// The network's output for the next sample.
    pub(crate) fn run(&mut self, network: &Network, input: &[i8]) -> Vec<i128> {
        let Self(values) = self;
        values[0] = input.iter().map(|value| i128::from(*value)).collect();
        for node in &network.nodes {
            values[node.output] = step(network, node, values);
        }
        values[network.output].clone()
    }
}

fn step(network: &Network, node: &Node, values: &[Vec<i128>]) -> Vec<i128> {
    let [left, right] = node.inputs.map(|number| &values[number]);
    let [left_value, right_value] = node.inputs.map(|number| network.values[number]);
    let output = network.values[node.output];
    match &node.action {
        Action::Linear(weights) => {
            let input = left.iter().copied().enumerate().collect::<Vec<_>>();
            (0..weights.rows).map(|row| products(weights, row, &input, left_value, output, node.relu)).collect()
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
        Action::Conv2d(window, weights) => places(output.shape)
            .map(|[row, column, channel]| {
                let channels = left_value.shape[2];
                let of_channel = |from: usize| {
                    let elements = under(window, left_value.shape, [row, column, from], left);
                    elements.into_iter().map(move |(tap, element)| (tap * channels + from, element))
                };
                let elements: Vec<_> = (0..channels).flat_map(of_channel).collect();
                products(weights, channel, &elements, left_value, output, node.relu)
            })
            .collect(),
        Action::DepthwiseConv2d(window, weights) => places(output.shape)
            .map(|place| {
                let elements = under(window, left_value.shape, place, left);
                products(weights, place[2], &elements, left_value, output, node.relu)
            })
            .collect(),
        Action::MaxPool(window) => places(output.shape)
            .map(|place| under(window, left_value.shape, place, left).into_iter().map(|(_, element)| element).max())
            .map(|largest| largest.expect("every window has an element inside"))
            .collect(),
        Action::AvgPool(window) => places(output.shape)
            .map(|place| {
                let sum = under(window, left_value.shape, place, left).into_iter().map(|(_, element)| element).sum();
                let logarithm = (window.area() as f64).log2().round() as i32;
                requantize(sum, logarithm + output.exponent - left_value.exponent, false)
            })
            .collect(),
        Action::Concat => {
            let pixels = left.chunks(left_value.shape[2]).zip(right.chunks(right_value.shape[2]));
            pixels.flat_map(|(left, right)| [left, right].concat()).collect()
        }
        Action::Reshape => left.clone(),
        Action::Slide => {
            let all = values[node.output].iter().chain(left).copied();
            all.skip(left.len()).collect()
        }
        Action::Pad([above, before, ..]) => places(output.shape)
            .map(|[row, column, channel]| {
                let [height, width, channels] = left_value.shape;
                let inside =
                    |place: usize, before: u8, len| place.checked_sub(before.into()).filter(|place| *place < len);
                match (inside(row, *above, height), inside(column, *before, width)) {
                    (Some(row), Some(column)) => left[(row * width + column) * channels + channel],
                    _ => 0,
                }
            })
            .collect(),
    }
}

/// One output: acc = b + Σ w·x·2^(E − e) over elements and the columns that they meet.
fn products(weights: &Weights, row: usize, input: &[(usize, i128)], from: Value, to: Value, relu: bool) -> i128 {
    let unit = match to.data_type {
        DataType::I8 => weights.smallest(row),
        DataType::I32 => to.exponent - from.exponent,
    };
    let product = |(column, element): &(usize, i128)| weights.in_units(row, *column, unit) * element;
    let bias = weights.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
    let sum = bias + input.iter().map(product).sum::<i128>();
    match to.data_type {
        DataType::I8 => requantize(sum, to.exponent - unit - from.exponent, relu),
        DataType::I32 => sum,
    }
}

/// One row of a table.
fn entry(table: &Weights, row: usize, to: Value) -> impl Iterator<Item = i128> {
    let unit = table.smallest(row);
    (0..table.columns).map(move |column| match to.data_type {
        DataType::I8 => requantize(table.in_units(row, column, unit), to.exponent - unit, false),
        DataType::I32 => table.in_units(row, column, to.exponent),
    })
}
