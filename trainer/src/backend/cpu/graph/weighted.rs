//! A node's weights on their way through a step: expanded, and with the shifts of a norm in them.

use super::super::product::expand_weights;
use crate::frozen::FrozenLayer;
use crate::network::Stage;
use crate::rule::{LayerState, Ternary, power_of_two};
use ndarray::Array2;

/// Weights of one node.
#[derive(Debug, Default)]
pub(super) struct Weighted {
    /// W of the forward pass, [rows, columns].
    pub(super) weights: Array2<f32>,
    /// Gradient with respect to W, where it is made whole.
    pub(super) of_weights: Array2<f32>,
    /// The rows' units before a norm's shift.
    pub(super) units: Vec<i32>,
    /// The bias of every row as the exported layer has it, in output steps; empty without.
    pub(super) offsets: Vec<f32>,
}

impl Weighted {
    /// Makes them from a layer's state.
    pub(super) fn prepare(&mut self, stage: &Stage, layer: &dyn LayerState) {
        expand_weights(layer, stage, &mut self.weights);
        self.units.clear();
        self.offsets.clear();
        if !stage.bias && layer.norm().is_none() {
            return;
        }
        let Ternary { trits, exponents } = layer.ternary();
        self.units = FrozenLayer::from_weights(stage, trits, exponents).units;
        let Some(norm) = layer.norm() else {
            self.offsets = in_steps(&layer.bias(&self.units), &self.units);
            return;
        };
        let shifts = norm.shifts(&self.units);
        for (mut row, shift) in self.weights.rows_mut().into_iter().zip(&shifts) {
            let factor = power_of_two(*shift);
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        let units: Vec<i32> = self.units.iter().zip(&shifts).map(|(unit, shift)| unit + shift).collect();
        self.offsets = in_steps(&norm.offsets(&units), &units);
    }

    /// Bytes of the weights and their gradient.
    pub(super) fn bytes(&self) -> usize {
        (self.weights.len() + self.of_weights.len()) * size_of::<f32>()
    }
}

/// Numbers of units in output steps.
fn in_steps(numbers: &[i32], units: &[i32]) -> Vec<f32> {
    numbers.iter().zip(units).map(|(number, unit)| *number as f32 * power_of_two(*unit)).collect()
}

/// The sum of every row, in f64, in order.
pub(super) fn sums_of_rows(matrix: &Array2<f32>) -> Vec<f64> {
    matrix.rows().into_iter().map(|row| row.iter().map(|value| f64::from(*value)).sum()).collect()
}
