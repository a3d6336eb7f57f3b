//! Judging a model by its file: the runtime's answers, held against the trainer's own integer arithmetic.

use crate::data::Dataset;
use crate::frozen::{FrozenLayer, FrozenNetwork};
use crate::network::{ACTIVATION_EXPONENT, StageKind, StageOutput};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use std::num::NonZeroUsize;
use thiserror::Error;
use trishift::Model;
use trishift_format::DataType;

/// Why a model could not be run on a data set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Another number of features.
    #[error("the model takes {expected} values a sample, the data has {found}")]
    Features {
        /// Values of the model's input.
        expected: usize,
        /// Values of a sample.
        found: usize,
    },
    /// The output is not int32 logits.
    #[error("the model's output is not int32 logits, which the trainer's models have")]
    Output,
    /// More classes in the data than outputs.
    #[error("the data has {classes} classes, the model {outputs} outputs")]
    Classes {
        /// Classes of the data.
        classes: usize,
        /// Outputs of the model.
        outputs: usize,
    },
    /// Nothing to run.
    #[error("there are no samples to run the model on")]
    NoSamples,
    /// The runtime refused.
    #[error("the runtime refused the model: {0}")]
    Runtime(String),
}

/// Logits of every sample by the runtime, [samples, outputs], on all cores.
///
/// # Errors
/// [`EvaluateError`] where model and data do not fit.
pub fn run(model: &Model<'_>, data: &Dataset, classes: usize) -> Result<Vec<i32>, EvaluateError> {
    let (input, output) = (model.input(), model.output());
    if data.is_empty() {
        return Err(EvaluateError::NoSamples);
    }
    if input.len() != data.features() {
        return Err(EvaluateError::Features { expected: input.len(), found: data.features() });
    }
    if output.data_type != DataType::I32 {
        return Err(EvaluateError::Output);
    }
    if classes > output.len() {
        return Err(EvaluateError::Classes { classes, outputs: output.len() });
    }
    let mut logits = vec![0i32; data.len() * output.len()];
    let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
    trishift::run_threads(model, trishift::kernels::best(), &data.samples, &mut logits, threads)
        .map_err(|error| EvaluateError::Runtime(error.to_string()))?;
    Ok(logits)
}

/// Samples whose largest logit (the first of equals) is their label's.
pub fn correct<T: Copy + PartialOrd>(logits: &[T], outputs: usize, labels: &[u16]) -> usize {
    let rows = logits.chunks_exact(outputs.max(1)).zip(labels);
    rows.filter(|(row, label)| trishift::argmax(row) == usize::from(**label)).count()
}

/// Samples whose class differs between two sets of logits.
pub fn differing_classes<A: Copy + PartialOrd, B: Copy + PartialOrd>(a: &[A], b: &[B], outputs: usize) -> usize {
    let outputs = outputs.max(1);
    let rows = a.chunks_exact(outputs).zip(b.chunks_exact(outputs));
    rows.filter(|(a, b)| trishift::argmax(a) != trishift::argmax(b)).count()
}

/// The trainer's own integer evaluation: logits of every sample, [samples, outputs].
///
/// Written apart from the runtime's kernels: dense weights `T·2^(E − e)`, products in float64, which are exact integers
/// because every accumulator is below 2^31.
pub fn reference(network: &FrozenNetwork, samples: &[i8]) -> Vec<i64> {
    let inputs = network.layers.first().map_or(1, |layer| layer.stage.inputs().max(1));
    let dense: Vec<Array2<f64>> = network.layers.iter().map(dense_weights).collect();
    let chunks = samples.par_chunks(256 * inputs).map(|chunk| {
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
        f64::from(layer.trits[row * stage.columns + column]) * 2f64.powi(shift)
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

/// Integers that differ between the runtime's logits and the trainer's own.
pub fn mismatches(engine: &[i32], reference: &[i64]) -> usize {
    let differing = engine.iter().zip(reference).filter(|(a, b)| i64::from(**a) != **b).count();
    differing + engine.len().abs_diff(reference.len())
}

/// Logits of the training forward pass that are not exactly the file's: float32 sums round where an accumulator
/// outgrows 24 bits. `steps` are in output steps, the file's in units of 2^`unit` of one.
pub fn rounded_logits(engine: &[i32], steps: &[f32], unit: i32) -> usize {
    let scale = 2f64.powi(-unit);
    engine.iter().zip(steps).filter(|(a, b)| f64::from(**a) != f64::from(**b) * scale).count()
}
