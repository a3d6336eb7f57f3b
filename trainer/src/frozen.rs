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
    /// Trits, [rows, columns].
    pub trits: Vec<i8>,
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
    /// The layers, first to last.
    pub layers: Vec<FrozenLayer>,
}

impl FrozenNetwork {
    /// Freezes the state of every layer.
    pub fn new(network: &Network, layers: &[Box<dyn LayerState>]) -> Self {
        let layers = network.stages.iter().zip(layers);
        Self { layers: layers.map(|(stage, state)| FrozenLayer::new(stage, state.as_ref())).collect() }
    }
}

impl FrozenLayer {
    /// Freezes one layer's state.
    pub fn new(stage: &Stage, state: &dyn LayerState) -> Self {
        let mut layer = Self::from_ternary(stage, state.ternary());
        layer.bias = state.bias(&layer.units);
        layer
    }

    /// A layer without bias: gives groups of zeros their row's exponent and finds the units.
    pub fn from_ternary(stage: &Stage, ternary: Ternary) -> Self {
        let Ternary { trits, mut exponents } = ternary;
        let groups = stage.groups();
        let rows = || trits.chunks(stage.columns);
        let smallest_of_row = |(trits, exponents): (&[i8], &[i8])| {
            let used = trits.chunks(stage.group.get()).map(is_used).zip(exponents);
            used.filter_map(|(used, exponent)| used.then_some(i32::from(*exponent))).min()
        };
        let smallest: Vec<Option<i32>> = rows().zip(exponents.chunks(groups)).map(smallest_of_row).collect();
        let layer_unit = smallest.iter().flatten().copied().min().unwrap_or(0);
        for ((trits, exponents), smallest) in rows().zip(exponents.chunks_mut(groups)).zip(&smallest) {
            let unit = smallest.unwrap_or(layer_unit) as i8;
            for (exponent, trits) in exponents.iter_mut().zip(trits.chunks(stage.group.get())) {
                if !is_used(trits) {
                    *exponent = unit;
                }
            }
        }
        let unit = |smallest: &Option<i32>| match smallest {
            Some(smallest) if !stage.output.is_wide() => *smallest,
            _ => layer_unit,
        };
        let units = smallest.iter().map(unit).collect();
        Self { stage: *stage, trits, exponents, units, bias: Vec::new() }
    }

    /// The unit of the layer's int32 outputs.
    pub fn layer_unit(&self) -> i32 {
        self.units.iter().copied().min().unwrap_or(0)
    }
}

fn is_used(trits: &[i8]) -> bool {
    trits.iter().any(|trit| *trit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{StageKind, StageOutput};
    use trishift_format::GroupSize;

    #[test]
    fn groups_of_zeros_do_not_widen_the_window() {
        let group = GroupSize::new(4).unwrap();
        let stage = |output| Stage { kind: StageKind::Linear, rows: 3, columns: 8, group, bias: false, output };
        let mut trits = vec![0; 24];
        (trits[0], trits[8], trits[12]) = (1, -1, 1);
        let ternary = Ternary { trits, exponents: vec![-3, -9, -5, -2, 7, 7] };
        let logits = FrozenLayer::from_ternary(&stage(StageOutput::Logits), ternary.clone());
        assert_eq!(logits.exponents, [-3, -3, -5, -2, -5, -5]);
        assert_eq!(logits.units, [-5, -5, -5]);
        let rows = FrozenLayer::from_ternary(&stage(StageOutput::Requantized { relu: false }), ternary);
        assert_eq!(rows.units, [-3, -5, -5]);
    }
}
