//! The trainer's own integer evaluation of a frozen network, written apart from the runtime's kernels: what the runtime's
//! answers are held against.
//!
//! Weights are dense, `T·2^(E − e)`, and products are taken in float64, where they are exact integers because every
//! accumulator is below 2^31.

use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{ACTIVATION_EXPONENT, StageKind, StageOutput};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Samples that one task takes.
const CHUNK: usize = 256;

/// Logits of every sample, [samples, outputs], for samples [samples, inputs].
pub fn logits(network: &FrozenNetwork, samples: &[i8]) -> Vec<i64> {
    let inputs = network.layers.first().map_or(1, |layer| layer.stage.inputs().max(1));
    let dense: Vec<Array2<f64>> = network.layers.iter().map(dense_weights).collect();
    let chunks = samples.par_chunks(CHUNK * inputs).map(|chunk| {
        let rows = chunk.len() / inputs;
        let mut values = Array2::from_shape_fn((rows, inputs), |(row, column)| f64::from(chunk[row * inputs + column]));
        for (layer, weights) in network.layers.iter().zip(&dense) {
            values = reference_layer(layer, weights.view(), &values);
        }
        values.iter().map(|value| *value as i64).collect::<Vec<i64>>()
    });
    chunks.flatten().collect()
}

fn dense_weights(layer: &FrozenLayer) -> Array2<f64> {
    let stage = &layer.stage;
    Array2::from_shape_fn((stage.rows, stage.columns), |(row, column)| {
        let exponent = layer.exponents[row * stage.groups() + column / stage.group.get()];
        let shift = i32::from(exponent) - layer.units[row];
        f64::from(layer.values[row * stage.columns + column]) * 2f64.powi(shift)
    })
}

/// One layer on [batch, inputs], giving [batch, outputs].
fn reference_layer(layer: &FrozenLayer, weights: ArrayView2<'_, f64>, values: &Array2<f64>) -> Array2<f64> {
    let mut sums = match layer.stage.kind {
        StageKind::Linear => values.dot(&weights.t()),
        StageKind::Embedding { .. } => {
            let columns = layer.stage.columns;
            Array2::from_shape_fn((values.nrows(), layer.stage.outputs()), |(sample, output)| {
                let row = (values[[sample, output / columns]] + 128.0) as usize;
                // What a table holds is exact in units of its rows.
                weights[[row, output % columns]] * table_unit(layer, row)
            })
        }
    };
    if !layer.bias.is_empty() {
        for mut row in sums.rows_mut() {
            row.iter_mut().zip(&layer.bias).for_each(|(sum, bias)| *sum += f64::from(*bias));
        }
    }
    let clamp = |value: f64, relu: bool| value.clamp(if relu { 0.0 } else { -128.0 }, 127.0);
    match layer.stage.output {
        StageOutput::Logits => {}
        StageOutput::Requantized { relu } => {
            // An embedding's values are in output steps already.
            let is_table = layer.stage.kind != StageKind::Linear;
            for mut row in sums.rows_mut() {
                for (index, sum) in row.iter_mut().enumerate() {
                    let unit = if is_table { 0 } else { layer.units[index] };
                    *sum = clamp((*sum * 2f64.powi(unit) + 0.5).floor(), relu);
                }
            }
        }
        StageOutput::ShiftNorm { relu } => {
            for mut row in sums.rows_mut() {
                let magnitude: i128 = row.iter().map(|sum| (*sum as i128).abs()).sum();
                let target = 27 * row.len() as i128;
                // Largest power with magnitude·2^r ≤ target, found by trying.
                let fits = |r: i32| if r >= 0 { magnitude << r <= target } else { magnitude <= target << -r };
                let r = if magnitude == 0 { 0 } else { (-63..64).rev().find(|r| fits(*r)).unwrap_or(-63) };
                row.iter_mut().for_each(|sum| *sum = clamp((*sum * 2f64.powi(r) + 0.5).floor(), relu));
            }
        }
        StageOutput::RmsNorm { relu } => {
            for mut row in sums.rows_mut() {
                let normalized = reference_rms_norm(&row.iter().map(|sum| *sum as i128).collect::<Vec<_>>());
                row.iter_mut().zip(normalized).for_each(|(sum, y)| *sum = clamp(y as f64, relu));
            }
        }
    }
    sums
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
