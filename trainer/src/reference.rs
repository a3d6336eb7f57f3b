//! The trainer's own integer evaluation of a frozen network, written apart from the runtime's kernels: what the runtime's
//! answers are held against.
//!
//! Weights are dense, `T·2^(E − e)`, and products are taken in float64, where they are exact integers because every
//! accumulator is below 2^31.

use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{ACTIVATION_EXPONENT, Element, Node, Operation};
use ndarray::Array2;
use rayon::prelude::*;
use trishift_format::Window;

/// Samples that one task takes.
const CHUNK: usize = 256;

/// Logits of every sample, [samples, outputs], for samples [samples, inputs].
pub fn logits(network: &FrozenNetwork, samples: &[i8]) -> Vec<i64> {
    let inputs = network.network.inputs().max(1);
    let dense: Vec<Array2<f64>> = network.layers.iter().map(dense_weights).collect();
    let chunks = samples.par_chunks(CHUNK * inputs).map(|chunk| {
        let rows = chunk.len() / inputs;
        let mut values: Vec<Array2<f64>> = Vec::with_capacity(network.network.nodes.len());
        for node in &network.network.nodes {
            let output = if node.operation == Operation::Input {
                Array2::from_shape_fn((rows, inputs), |(row, column)| f64::from(chunk[row * inputs + column]))
            } else {
                reference_node(network, &dense, node, &values)
            };
            values.push(output);
        }
        values.last().map(|values| values.iter().map(|value| *value as i64).collect()).unwrap_or_default()
    });
    chunks.collect::<Vec<Vec<i64>>>().concat()
}

fn dense_weights(layer: &FrozenLayer) -> Array2<f64> {
    let stage = &layer.stage;
    Array2::from_shape_fn((stage.rows, stage.columns), |(row, column)| {
        let exponent = layer.exponents[row * stage.groups() + column / stage.group_columns()];
        let shift = i32::from(exponent) - layer.units[row];
        f64::from(layer.values[row * stage.columns + column]) * 2f64.powi(shift)
    })
}

/// One node's output, [batch, height·width·channels], from those of all nodes before it.
fn reference_node(network: &FrozenNetwork, dense: &[Array2<f64>], node: &Node, before: &[Array2<f64>]) -> Array2<f64> {
    let nodes = &network.network.nodes;
    let values = &before[node.inputs[0]];
    let shape = nodes[node.inputs[0]].shape;
    let clamp = |value: f64| value.clamp(if node.relu { 0.0 } else { -128.0 }, 127.0);
    match node.operation {
        Operation::Input => Array2::zeros((0, 0)),
        Operation::Linear(stage) => weighted(&network.layers[stage], node, values.dot(&dense[stage].t())),
        Operation::Embedding(stage) => {
            let (layer, weights) = (&network.layers[stage], &dense[stage]);
            let columns = layer.stage.columns;
            let mut rows = Array2::from_shape_fn((values.nrows(), layer.stage.outputs()), |(sample, output)| {
                let row = (values[[sample, output / columns]] + 128.0) as usize;
                // What a table holds is exact in units of its rows.
                weights[[row, output % columns]] * table_unit(layer, row)
            });
            if node.element == Element::Int8 {
                // In output steps already.
                rows.mapv_inplace(|value| clamp((value + 0.5).floor()));
            }
            rows
        }
        Operation::Conv2d(stage, window) => {
            let mut sums = Array2::zeros((values.nrows(), node.shape.iter().product()));
            for (sample, mut sums) in values.rows().into_iter().zip(sums.rows_mut()) {
                let columns = under_windows(&window, shape, node.shape, |place| sample[place]);
                sums.assign(&columns.dot(&dense[stage].t()).flatten());
            }
            weighted(&network.layers[stage], node, sums)
        }
        Operation::DepthwiseConv2d(stage, window) => {
            let sums = by_channel(&window, shape, node.shape, values, |channel, elements| {
                let weights = dense[stage].row(channel);
                elements.map(|(tap, x)| weights[tap] * x.unwrap_or(0.0)).sum()
            });
            weighted(&network.layers[stage], node, sums)
        }
        Operation::ShiftBatchNorm => {
            let stage = nodes[node.inputs[0]].operation.stage().unwrap_or(0);
            requantized(&network.layers[stage], node, values.clone())
        }
        Operation::ShiftNorm | Operation::RmsNorm => {
            let mut output = values.clone();
            for mut row in output.rows_mut() {
                let sample: Vec<i128> = row.iter().map(|sum| *sum as i128).collect();
                let normed = if node.operation == Operation::RmsNorm { rms_norm(&sample) } else { shift_norm(&sample) };
                row.iter_mut().zip(normed).for_each(|(sum, y)| *sum = clamp(y));
            }
            output
        }
        Operation::Relu => values.mapv(|value| value.max(0.0)),
        Operation::MaxPool(window) => by_channel(&window, shape, node.shape, values, |_, elements| {
            elements.filter_map(|(_, x)| x).fold(f64::NEG_INFINITY, f64::max)
        }),
        Operation::AvgPool(window, extra_bits) => {
            let shift = (window.area() as f64).log2().round() as i32 - i32::from(extra_bits);
            by_channel(&window, shape, node.shape, values, |_, elements| {
                let sum: f64 = elements.filter_map(|(_, x)| x).sum();
                (sum * 2f64.powi(-shift) + 0.5).floor().clamp(-128.0, 127.0)
            })
        }
        Operation::Add => (values + &before[node.inputs[1]]).mapv(clamp),
        Operation::Concat => {
            let other = &before[node.inputs[1]];
            let (left, right) = (shape[2], nodes[node.inputs[1]].shape[2]);
            Array2::from_shape_fn((values.nrows(), node.shape.iter().product()), |(sample, place)| {
                let (pixel, channel) = (place / (left + right), place % (left + right));
                match channel.checked_sub(left) {
                    None => values[[sample, pixel * left + channel]],
                    Some(channel) => other[[sample, pixel * right + channel]],
                }
            })
        }
        Operation::Reshape => values.clone(),
        Operation::Pad([top, left, ..]) => {
            let mut output = Array2::zeros((values.nrows(), node.shape.iter().product()));
            for ((sample, place), value) in values.indexed_iter() {
                let (pixel, channel) = (place / shape[2], place % shape[2]);
                let (row, column) = (pixel / shape[1] + usize::from(top), pixel % shape[1] + usize::from(left));
                output[[sample, (row * node.shape[1] + column) * shape[2] + channel]] = *value;
            }
            output
        }
    }
}

/// The place in an image of an element under a window, if it lies inside.
fn inside(window: &Window, [height, width, _]: [usize; 3], output: [usize; 2], tap: usize) -> Option<usize> {
    let (columns, [top, left, ..]) = (usize::from(window.kernel[1]), window.padding);
    let row = output[0] * usize::from(window.stride[0]) + tap / columns;
    let column = output[1] * usize::from(window.stride[1]) + tap % columns;
    let row = row.checked_sub(top.into()).filter(|row| *row < height)?;
    let column = column.checked_sub(left.into()).filter(|column| *column < width)?;
    Some(row * width + column)
}

/// What lies under every window of an image, [windows, elements of the window × channels].
fn under_windows(
    window: &Window,
    shape: [usize; 3],
    output: [usize; 3],
    element: impl Fn(usize) -> f64,
) -> Array2<f64> {
    let channels = shape[2];
    Array2::from_shape_fn((output[0] * output[1], window.area() * channels), |(place, column)| {
        let at = [place / output[1], place % output[1]];
        let pixel = inside(window, shape, at, column / channels);
        pixel.map_or(0.0, |pixel| element(pixel * channels + column % channels))
    })
}

/// What `f` makes of the elements of one channel under every window; those outside are `None`.
fn by_channel(
    window: &Window,
    shape: [usize; 3],
    output: [usize; 3],
    values: &Array2<f64>,
    f: impl Fn(usize, &mut dyn Iterator<Item = (usize, Option<f64>)>) -> f64,
) -> Array2<f64> {
    let channels = shape[2];
    Array2::from_shape_fn((values.nrows(), output.iter().product()), |(sample, place)| {
        let (pixel, channel) = (place / channels, place % channels);
        let at = [pixel / output[1], pixel % output[1]];
        let element = |pixel: usize| values[[sample, pixel * channels + channel]];
        f(channel, &mut (0..window.area()).map(|tap| (tap, inside(window, shape, at, tap).map(element))))
    })
}

/// Sums with their bias, requantised where the node gives int8.
fn weighted(layer: &FrozenLayer, node: &Node, mut sums: Array2<f64>) -> Array2<f64> {
    if !layer.bias.is_empty() {
        for mut row in sums.rows_mut() {
            row.iter_mut().zip(layer.bias.iter().cycle()).for_each(|(sum, bias)| *sum += f64::from(*bias));
        }
    }
    if node.element == Element::Int8 { requantized(layer, node, sums) } else { sums }
}

/// Sums of a layer in output steps.
fn requantized(layer: &FrozenLayer, node: &Node, mut sums: Array2<f64>) -> Array2<f64> {
    let lowest = if node.relu { 0.0 } else { -128.0 };
    for mut row in sums.rows_mut() {
        for (sum, unit) in row.iter_mut().zip(layer.units.iter().cycle()) {
            *sum = (*sum * 2f64.powi(*unit) + 0.5).floor().clamp(lowest, 127.0);
        }
    }
    sums
}

/// The shift norm of one sample, without saturation.
fn shift_norm(sample: &[i128]) -> Vec<f64> {
    let magnitude: i128 = sample.iter().map(|sum| sum.abs()).sum();
    let target = 27 * sample.len() as i128;
    // Largest power with magnitude·2^r ≤ target, found by trying.
    let fits = |r: i32| if r >= 0 { magnitude << r <= target } else { magnitude <= target << -r };
    let r = if magnitude == 0 { 0 } else { (-63..64).rev().find(|r| fits(*r)).unwrap_or(-63) };
    sample.iter().map(|sum| (*sum as f64 * 2f64.powi(r) + 0.5).floor()).collect()
}

/// The integer RMS norm of one sample, without saturation.
fn rms_norm(sample: &[i128]) -> Vec<f64> {
    reference_rms_norm(sample).into_iter().map(|y| y as f64).collect()
}

/// What one unit of a table's dense row means: for int8 outputs in output steps, else in the layer's unit.
fn table_unit(layer: &FrozenLayer, row: usize) -> f64 {
    let unit = layer.units[row] - if layer.stage.output.is_wide() { layer.layer_unit() } else { ACTIVATION_EXPONENT };
    2f64.powi(unit)
}

/// The integer RMS norm of one sample as `docs/format.md` has it, without saturation, in 128-bit integers.
fn reference_rms_norm(sample: &[i128]) -> Vec<i128> {
    let bits = |value: i128| 128 - value.leading_zeros() as i32;
    let round =
        |value: i128, shift: i32| if shift <= 0 { value << -shift } else { (value + (1 << (shift - 1))) >> shift };
    let largest = sample.iter().map(|a| a.abs()).max().unwrap_or(0);
    if largest == 0 {
        return sample.to_vec();
    }
    let narrow = (bits(largest) - 15).max(0);
    let b: Vec<i128> = sample.iter().map(|a| round(*a, narrow)).collect();
    let sum: i128 = b.iter().map(|b| b * b).sum();
    let doubling = (0..=62).rev().step_by(2).find(|s| sum << s < 1 << 63).unwrap_or(0);
    let root = ((sum << doubling) / sample.len() as i128).isqrt();
    let precision = bits(root) + 16;
    let inverse = (1 << precision) / root;
    b.iter().map(|b| round(b * inverse, precision + ACTIVATION_EXPONENT - doubling / 2)).collect()
}
