//! Straight-through training with floating-point latent weights and Adam: the baseline to compare with, not a product.
//!
//! Per group, m = mean |w|: `T = clip(round(w/m), ±1)`, `E = clamp(round(log2 m), −14, 15)`. Layers with int8 weights have
//! `E = clamp(⌈log2(max |w| of the row/127)⌉, −14, 15)`, `W = clip(round(w/2^E), ±127)`. The gradient passes straight through
//! to w. Adam with β₁ = 0.9, β₂ = 0.999, the learning rate times the schedule's λ. Its state is three floats a
//! weight: the one place where a checkpoint holds floating-point numbers.

use super::ballot::{Ballot, Shards};
use super::gradient::{Gradient, PANEL_ROWS, with_buffer};
use super::initial::{self, Draw};
use super::{LayerState, Step, Ternary, clamp_exponent, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::config::Precision;
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// Decay of the mean of gradients.
const BETA1: f32 = 0.9;
/// Decay of the mean of squared gradients.
const BETA2: f32 = 0.999;
/// Keeps Adam's quotient finite.
const EPSILON: f32 = 1e-10;
/// Keeps a group's mean above 0.
const SMALLEST_MEAN: f32 = 1e-8;
/// Keeps the logarithm of a row's largest weight finite.
const SMALLEST_STEP: f32 = 1e-12;
/// Biases are counted in output steps, 32 of which make 1.
const BIAS_STEPS: f32 = 32.0;

/// Parameters with Adam's two moments.
#[derive(Debug)]
struct Adam {
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    fn new(values: Vec<f32>) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { values, first: zeros.clone(), second: zeros }
    }

    fn save(&self, name: &str, rows: usize, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        writer.push(&format!("{name}.values"), rows, StateValues::F32(&self.values))?;
        writer.push(&format!("{name}.first"), rows, StateValues::F32(&self.first))?;
        writer.push(&format!("{name}.second"), rows, StateValues::F32(&self.second))
    }

    fn load(&mut self, name: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let count = self.values.len();
        self.values = reader.f32s(&format!("{name}.values"), count)?;
        self.first = reader.f32s(&format!("{name}.first"), count)?;
        self.second = reader.f32s(&format!("{name}.second"), count)?;
        Ok(())
    }
}

/// The step's rates: learning rate and bias corrections.
#[derive(Clone, Copy)]
struct Rates {
    learning: f32,
    first: f32,
    second: f32,
}

impl Rates {
    fn update(self, gradient: f32, value: &mut f32, first: &mut f32, second: &mut f32) {
        *first = BETA1 * *first + (1.0 - BETA1) * gradient;
        *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
        *value -= self.learning * (*first * self.first) / ((*second * self.second).sqrt() + EPSILON);
    }
}

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct StraightThrough {
    stage: Stage,
    learning_rate: f32,
    weights: Adam,
    bias: Adam,
}

impl StraightThrough {
    pub(super) fn new(stage: &Stage, draw: Draw, learning_rate: f32) -> Self {
        let bias = if stage.bias { vec![0.0; stage.rows] } else { Vec::new() };
        let weights = Adam::new(initial::normal_weights(stage, draw));
        Self { stage: *stage, learning_rate, weights, bias: Adam::new(bias) }
    }

    /// What the weights of a group become.
    fn scale_of(&self, group: &[f32]) -> Scale {
        match self.stage.precision {
            Precision::Ternary => {
                let mean = group.iter().map(|w| w.abs()).sum::<f32>() / group.len() as f32 + SMALLEST_MEAN;
                let exponent = clamp_exponent(mean.log2().round_ties_even() as i32);
                Scale { divisor: mean, limit: 1.0, exponent }
            }
            Precision::Int8 => {
                let largest = group.iter().fold(0f32, |largest, w| largest.max(w.abs()));
                let exponent = clamp_exponent(ceiled_log2(largest / 127.0 + SMALLEST_STEP));
                Scale { divisor: power_of_two(exponent), limit: 127.0, exponent }
            }
        }
    }
}

/// ⌈log2 x⌉ of a normal x > 0, from its bits: the same wherever it is computed.
fn ceiled_log2(x: f32) -> i32 {
    let bits = x.to_bits();
    (bits >> 23) as i32 - 127 + i32::from(bits & 0x7F_FFFF != 0)
}

/// The rounding of a group of weights.
#[derive(Clone, Copy)]
struct Scale {
    divisor: f32,
    limit: f32,
    exponent: i32,
}

impl Scale {
    fn round(self, weight: f32) -> f32 {
        (weight / self.divisor).round_ties_even().clamp(-self.limit, self.limit)
    }
}

impl LayerState for StraightThrough {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let (columns, group) = (self.stage.columns, self.stage.group_columns());
        let latent = self.weights.values[first_row * columns..].chunks(columns);
        for (weights, latent) in weights.chunks_mut(columns).zip(latent) {
            for (weights, latent) in weights.chunks_mut(group).zip(latent.chunks(group)) {
                let scale = self.scale_of(latent);
                let unit = power_of_two(scale.exponent);
                for (weight, latent) in weights.iter_mut().zip(latent) {
                    *weight = scale.round(*latent) * unit;
                }
            }
        }
    }

    fn ternary(&self) -> Ternary {
        let rows = self.weights.values.chunks(self.stage.columns);
        let groups = || rows.clone().flat_map(|row| row.chunks(self.stage.group_columns()));
        let trits = groups().flat_map(|group| {
            let scale = self.scale_of(group);
            group.iter().map(move |w| scale.round(*w) as i8)
        });
        let exponents = groups().map(|group| self.scale_of(group).exponent as i8);
        Ternary { trits: trits.collect(), exponents: exponents.collect() }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        let scaled = |(bias, unit): (&f32, &i32)| (bias * power_of_two(-unit)).round_ties_even() as i32;
        self.bias.values.iter().zip(units).map(scaled).collect()
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        let columns = self.stage.columns;
        let steps = step.index.min(1_000_000) as i32 + 1;
        let rates = Rates {
            learning: self.learning_rate * step.lambda,
            first: 1.0 / (1.0 - BETA1.powi(steps)),
            second: 1.0 / (1.0 - BETA2.powi(steps)),
        };
        let Adam { values, first, second } = &mut self.weights;
        let values = values.par_chunks_mut(PANEL_ROWS * columns);
        let moments = first.par_chunks_mut(PANEL_ROWS * columns).zip(second.par_chunks_mut(PANEL_ROWS * columns));
        values.zip(moments).enumerate().for_each(|(panel, (values, (first, second)))| {
            let row = panel * PANEL_ROWS;
            with_buffer(values.len(), |buffer| {
                gradient.panel(row..row + values.len() / columns, buffer);
                for (((value, first), second), gradient) in values.iter_mut().zip(first).zip(second).zip(buffer) {
                    rates.update(*gradient, value, first, second);
                }
            });
        });
        let bias_rates = Rates { learning: rates.learning * BIAS_STEPS, ..rates };
        let Adam { values, first, second } = &mut self.bias;
        for (((value, first), second), gradient) in values.iter_mut().zip(first).zip(second).zip(gradient.bias()) {
            bias_rates.update(gradient as f32, value, first, second);
        }
    }

    fn ballot(&self, _: Shards) -> Option<Ballot> {
        None
    }

    /// Nobody votes under this rule.
    fn vote(&self, _: &Gradient<'_>, _: Step, _: usize, _: &mut Ballot) {}

    fn apply(&mut self, _: &Ballot, _: Step) {}

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        self.weights.save(&format!("{prefix}.latent"), self.stage.rows, writer)?;
        if self.stage.bias { self.bias.save(&format!("{prefix}.bias"), 1, writer) } else { Ok(()) }
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        self.weights.load(&format!("{prefix}.latent"), reader)?;
        if self.stage.bias { self.bias.load(&format!("{prefix}.bias"), reader) } else { Ok(()) }
    }

    fn state_bytes(&self) -> usize {
        (self.weights.values.len() + self.bias.values.len()) * 12
    }
}

#[cfg(test)]
mod tests {
    use super::ceiled_log2;

    #[test]
    fn logarithms_are_rounded_up() {
        for (x, expected) in
            [(1.0, 0), (1.0f32.next_up(), 1), (2.0, 1), (3.0, 2), (0.25, -2), (0.25f32.next_down(), -2), (1e-12, -39)]
        {
            assert_eq!(ceiled_log2(x), expected, "{x}");
        }
    }
}
