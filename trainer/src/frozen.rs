//! A network as it will be exported: trits, integer exponents, biases in accumulator units. The bridge between the
//! state of a rule and everything that is exact: the training forward pass's biases, the model file, the trainer's own
//! integer evaluation.

use crate::network::{Network, Stage};
use crate::rule::{LayerState, Ternary};

/// One layer, frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenLayer {
    /// Shape and output.
    pub stage: Stage,
    /// Trits or int8 weights, [rows, columns].
    pub values: Vec<i8>,
    /// Exponents, [rows, groups]; a group of zeros carries its row's unit.
    pub exponents: Vec<i8>,
    /// Each row's accumulator unit: its own smallest exponent for int8 outputs, the layer's for int32 outputs.
    pub units: Vec<i32>,
    /// Biases in accumulator units; empty without.
    pub bias: Vec<i32>,
}

/// The network, frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenNetwork {
    /// What uses the layers.
    pub network: Network,
    /// A layer for each stage of the network.
    pub layers: Vec<FrozenLayer>,
}

impl FrozenNetwork {
    /// Freezes the state of every layer.
    pub fn new(network: &Network, layers: &[Box<dyn LayerState>]) -> Self {
        let layers = network.stages.iter().zip(layers);
        let layers = layers.map(|(stage, state)| FrozenLayer::new(stage, state.as_ref())).collect();
        Self { network: network.clone(), layers }
    }
}

impl FrozenLayer {
    /// Freezes one layer's state.
    pub fn new(stage: &Stage, state: &dyn LayerState) -> Self {
        let Ternary { trits, exponents } = state.ternary();
        let mut layer = Self::from_weights(stage, trits, exponents);
        layer.bias = state.bias(&layer.units);
        if let Some(norm) = state.norm() {
            let shifts = norm.shifts(&layer.units);
            let units: Vec<i32> = layer.units.iter().zip(&shifts).map(|(unit, shift)| unit + shift).collect();
            layer.fold(&shifts, &norm.offsets(&units));
        }
        layer
    }

    /// A layer without bias: gives groups of zeros their row's exponent and finds the units.
    pub fn from_weights(stage: &Stage, values: Vec<i8>, mut exponents: Vec<i8>) -> Self {
        let groups = stage.groups();
        let rows = || values.chunks(stage.columns);
        let smallest_of_row = |(values, exponents): (&[i8], &[i8])| {
            let used = values.chunks(stage.group_columns()).map(is_used).zip(exponents);
            used.filter_map(|(used, exponent)| used.then_some(i32::from(*exponent))).min()
        };
        let smallest: Vec<Option<i32>> = rows().zip(exponents.chunks(groups)).map(smallest_of_row).collect();
        let layer_unit = smallest.iter().flatten().copied().min().unwrap_or(0);
        for ((values, exponents), smallest) in rows().zip(exponents.chunks_mut(groups)).zip(&smallest) {
            let unit = smallest.unwrap_or(layer_unit) as i8;
            for (exponent, values) in exponents.iter_mut().zip(values.chunks(stage.group_columns())) {
                if !is_used(values) {
                    *exponent = unit;
                }
            }
        }
        let unit = |smallest: &Option<i32>| match smallest {
            Some(smallest) if !stage.output.is_wide() => *smallest,
            _ => layer_unit,
        };
        let units = smallest.iter().map(unit).collect();
        Self { stage: *stage, values, exponents, units, bias: Vec::new() }
    }

    /// Puts a shift-batch-norm into the layer: row by row the weights times 2^shift, and an offset, in accumulator units
    /// before the shift, on the bias. Shifts that would leave int8 end there.
    pub fn fold(&mut self, shifts: &[i32], offsets: &[i32]) {
        self.bias.resize(self.stage.rows, 0);
        self.bias.iter_mut().zip(offsets).for_each(|(bias, offset)| *bias = bias.saturating_add(*offset));
        let rows = self.exponents.chunks_mut(self.stage.groups()).zip(&mut self.units);
        for ((exponents, unit), shift) in rows.zip(shifts) {
            let (low, high) = exponents.iter().fold((i8::MAX, i8::MIN), |(a, b), e| (a.min(*e), b.max(*e)));
            // A row's exponents keep their distances.
            let shift = (*shift).clamp(i32::from(i8::MIN) - i32::from(low), i32::from(i8::MAX) - i32::from(high));
            exponents.iter_mut().for_each(|exponent| *exponent = (i32::from(*exponent) + shift) as i8);
            *unit += shift;
        }
    }

    /// The unit of the layer's int32 outputs.
    pub fn layer_unit(&self) -> i32 {
        self.units.iter().copied().min().unwrap_or(0)
    }
}

fn is_used(values: &[i8]) -> bool {
    values.iter().any(|value| *value != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::network::StageOutput;
    use trishift_format::GroupSize;

    #[test]
    fn groups_of_zeros_do_not_widen_the_window() {
        let group = GroupSize::new(4).unwrap();
        let stage = |output| Stage::linear(3, 8, group, output);
        let mut trits = vec![0; 24];
        (trits[0], trits[8], trits[12]) = (1, -1, 1);
        let exponents = vec![-3, -9, -5, -2, 7, 7];
        let logits = FrozenLayer::from_weights(&stage(StageOutput::Logits), trits.clone(), exponents.clone());
        assert_eq!(logits.exponents, [-3, -3, -5, -2, -5, -5]);
        assert_eq!(logits.units, [-5, -5, -5]);
        let rows = FrozenLayer::from_weights(&stage(StageOutput::Requantized { relu: false }), trits, exponents);
        assert_eq!(rows.units, [-3, -5, -5]);
    }

    #[test]
    fn int8_weights_have_an_exponent_a_row() {
        let stage = Stage::linear(3, 5, GroupSize::new(4).unwrap(), StageOutput::Logits);
        let stage = Stage { precision: Precision::Int8, ..stage };
        let mut values = vec![0; 15];
        (values[4], values[13]) = (-7, 99);
        let layer = FrozenLayer::from_weights(&stage, values, vec![-3, 9, -6]);
        assert_eq!((layer.exponents, layer.units), (vec![-3, -6, -6], vec![-6; 3]));
    }

    #[test]
    fn a_batch_norm_moves_exponents_and_biases_row_by_row() {
        let stage = Stage::linear(3, 8, GroupSize::new(4).unwrap(), StageOutput::Requantized { relu: true });
        let mut layer = FrozenLayer::from_weights(&stage, vec![1; 24], vec![-3, -1, -5, -2, 100, 127]);
        layer.fold(&[2, -200, 1], &[10, -4, 0]);
        assert_eq!(layer.exponents, [-1, 1, -128, -125, 100, 127]);
        assert_eq!((layer.units, &layer.bias), (vec![-1, -128, 100], &vec![10, -4, 0]));
    }
}
