//! Moves a layer's exponents and biases until its outputs have the usual size.

use super::alone::{self, Samples};
use super::{OUTPUT_STEPS, RandomError, normal};
use crate::frozen::FrozenLayer;
use crate::network::{ACTIVATION_EXPONENT, Element, Network, Operation, Stage, StageOutput};
use rand_chacha::ChaCha8Rng;
use std::ops::RangeInclusive;

/// Biases scatter so far, in standard deviations of a row's sums.
const SCATTER: f64 = 0.5;

/// How far the best shift may lie from that of an output that neither clamps nor saturates.
const AROUND: RangeInclusive<i32> = -3..=3;

/// Calibrates the layer of node `weighted`, whose sums node `index` takes: the same one, or a norm.
pub(super) fn calibrate(
    network: &Network,
    weighted: usize,
    index: usize,
    layer: &mut FrozenLayer,
    source: &Samples,
    random: &mut ChaCha8Rng,
) -> Result<(), RandomError> {
    let (Some(node), Some(taker)) = (network.nodes.get(weighted), network.nodes.get(index)) else { return Ok(()) };
    if matches!(node.operation, Operation::Embedding(_))
        || matches!(taker.operation, Operation::ShiftNorm | Operation::RmsNorm)
    {
        // A norm brings its outputs to size, and a table's weights have it.
        return Ok(());
    }
    let is_wide = node.element == Element::Int32;
    let has_bias = layer.stage.bias || taker.operation == Operation::ShiftBatchNorm;
    let (unit, sums) = alone::sums(network, weighted, layer, source)?;
    let rows: Vec<Row> = (0..layer.stage.rows).map(|row| Row::new(&sums, row, layer.stage.rows)).collect();
    let mut offsets = vec![0.0; rows.len()];
    if has_bias {
        // As a norm of the sums has it; logits keep their means, which tell classes apart.
        let offset = |row: &Row| if is_wide { 0.0 } else { -row.mean } + SCATTER * row.deviation * normal(random);
        offsets = rows.iter().map(offset).collect();
    }
    let steps = 2f64.powi(unit);
    let shift = |row: usize| rows[row].shift(&sums, (row, rows.len()), offsets[row], steps, taker.relu);
    let mut shifts: Vec<i32> = (0..rows.len()).map(shift).collect();
    if is_wide {
        // One unit for all rows: the middle one.
        let mut sorted = shifts.clone();
        sorted.sort_unstable();
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        shifts.fill(middle);
    }
    let in_units = |(offset, unit_of_row): (&f64, &i32)| (offset * 2f64.powi(unit - unit_of_row)).round() as i32;
    let offsets: Vec<i32> = offsets.iter().zip(&layer.units).map(in_units).collect();
    layer.fold(&shifts, if has_bias { &offsets } else { &[] });
    if !has_bias {
        layer.bias.clear();
    }
    Ok(())
}

/// What a row's sums are like.
struct Row {
    mean: f64,
    deviation: f64,
}

impl Row {
    fn new(sums: &[i32], row: usize, rows: usize) -> Self {
        let of_row = || sums.iter().skip(row).step_by(rows.max(1)).map(|sum| f64::from(*sum));
        let count = of_row().count().max(1) as f64;
        let mean = of_row().sum::<f64>() / count;
        let variance = of_row().map(|sum| (sum - mean) * (sum - mean)).sum::<f64>() / count;
        Self { mean, deviation: variance.sqrt() }
    }

    /// The power of two that brings the row's outputs nearest to their size; `steps` is what a sum of 1 is in output steps.
    fn shift(&self, sums: &[i32], (row, rows): (usize, usize), offset: f64, steps: f64, relu: bool) -> i32 {
        let mean = self.mean + offset;
        let root = (mean * mean + self.deviation * self.deviation).sqrt() * steps;
        if root == 0.0 {
            return 0;
        }
        let near = (OUTPUT_STEPS / root).log2().round() as i32;
        let lowest = if relu { 0.0 } else { -128.0 };
        let distance = |shift: i32| {
            let step = steps * 2f64.powi(shift);
            let outputs = sums.iter().skip(row).step_by(rows.max(1));
            let squares = outputs.map(|sum| ((f64::from(*sum) + offset) * step).clamp(lowest, 127.0).powi(2));
            let (sum, count) = squares.fold((0.0, 0.0), |(sum, count): (f64, f64), square| (sum + square, count + 1.0));
            // Where nothing is above 0, no shift helps.
            ((sum / count.max(1.0)).sqrt().max(1e-9) / OUTPUT_STEPS).log2().abs()
        };
        AROUND.map(|around| near + around).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(near)
    }
}

/// The stage with int32 outputs: what measures its sums.
pub(super) const fn wide(stage: &Stage) -> Stage {
    Stage { output: StageOutput::Logits, bias: false, ..*stage }
}

/// What the exponent of int32 sums is in output steps.
pub(super) fn in_steps(exponent: i32) -> i32 {
    exponent - ACTIVATION_EXPONENT
}
