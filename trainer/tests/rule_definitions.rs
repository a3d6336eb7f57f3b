//! The rules that have no primitive of their own, held against their definitions written out one weight at a time in
//! float64 and wide integers: `integrating-correlation`, `latent`, `straight-through`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use ndarray::Array2;
use proptest::prelude::*;
use std::path::Path;
use trishift_format::GroupSize;
use trishift_format::write::CheckpointWriter;
use trishift_trainer::checkpoint::StateReader;
use trishift_trainer::config::Config;
use trishift_trainer::network::{Stage, StageOutput};
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::rule::{self, LayerState, RuleName, Step};

/// Updates of one case.
const UPDATES: u64 = 200;

/// A layer's shape and the seed of its gradients.
#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    columns: usize,
    group: GroupSize,
    seed: u64,
    /// Updates whose gradient is zero throughout.
    idle: u64,
    /// Added to the logarithm of every gradient.
    exponent: i32,
}

/// Short last groups, groups longer than rows, single rows and columns, updates without gradient.
fn cases() -> impl Strategy<Value = Case> {
    let rows = prop_oneof![1 => Just(1usize), 4 => 2usize..7, 1 => 64usize..68];
    let columns = prop_oneof![1 => Just(1usize), 4 => 2usize..110];
    (rows, columns, 0..GroupSize::ALL.len(), any::<u64>(), 0u64..4, -20i32..4).prop_map(
        |(rows, columns, group, seed, idle, exponent)| Case {
            rows,
            columns,
            group: GroupSize::ALL[group],
            seed,
            idle,
            exponent,
        },
    )
}

impl Case {
    fn layer(&self, rule: RuleName) -> Box<dyn LayerState> {
        let mut config = Config::preset("digits-mlp").unwrap();
        config.training.rule = rule;
        let Self { rows, columns, group, .. } = *self;
        let output = StageOutput::ShiftNorm { relu: false };
        rule::create(&config, &Stage::linear(rows, columns, group, output), 0)
    }

    fn weights(&self) -> usize {
        self.rows * self.columns
    }

    fn groups(&self) -> usize {
        self.group.count(self.columns)
    }

    /// The group of a weight.
    fn group_of(&self, weight: usize) -> usize {
        weight / self.columns * self.groups() + weight % self.columns / self.group.get()
    }

    /// The weights of a group.
    fn members(&self, group: usize) -> Vec<usize> {
        (0..self.weights()).filter(|weight| self.group_of(*weight) == group).collect()
    }

    /// D of one update: values that bfloat16 holds, the same sign for long, so that states reach their limits.
    fn gradient(&self, update: u64) -> Vec<f64> {
        if update < self.idle {
            return vec![0.0; self.weights()];
        }
        let value = |weight: usize| {
            let hash = (self.seed ^ ((weight as u64) << 32) ^ (update / 50)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let mantissa = (hash % 255) as f64 - 127.0;
            mantissa * f64::from(self.exponent - ((hash >> 16) & 7) as i32).exp2()
        };
        (0..self.weights()).map(value).collect()
    }

    /// One update of the layer by this gradient.
    fn update(&self, layer: &mut dyn LayerState, gradient: &[f64], step: Step) {
        let values = gradient.iter().map(|d| *d as f32).collect();
        let input = Array2::from_shape_vec((self.rows, self.columns), values).unwrap();
        let output = Array2::eye(self.rows);
        layer.update(&Gradient::Product { output: output.view(), input: input.view() }, step);
    }
}

/// λ of an update in eighths, so that products with it are exact.
fn step(index: u64) -> Step {
    Step { index, lambda: (8 - index * 8 / UPDATES) as f32 / 8.0 }
}

/// Calls `read` with the layer's tensors.
fn with_state<T>(layer: &dyn LayerState, read: impl FnOnce(&StateReader<'_>) -> T) -> T {
    let mut writer = CheckpointWriter::new("");
    layer.save("layer", &mut writer).unwrap();
    let bytes = writer.finish().unwrap();
    read(&StateReader::new(&bytes, Path::new("memory")).unwrap())
}

/// s = 2^round(log2 rms(D)), never below 2^−8 of the largest so far; nothing for a gradient of zero.
#[derive(Default)]
struct Scale {
    largest: Option<i32>,
}

impl Scale {
    fn next(&mut self, gradient: &[f64]) -> Option<f64> {
        let mean = gradient.iter().map(|d| d * d).sum::<f64>() / gradient.len() as f64;
        if mean == 0.0 {
            return None;
        }
        let exponent = mean.sqrt().log2().round_ties_even() as i32;
        let largest = self.largest.map_or(exponent, |largest| largest.max(exponent));
        self.largest = Some(largest);
        Some(f64::from(exponent.max(largest - 8)).exp2())
    }
}

fn vote(value: f64) -> i64 {
    value.round_ties_even().clamp(-127.0, 127.0) as i64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn integrating_correlation_follows_its_definition(case in cases()) {
        let mut layer = case.layer(RuleName::IntegratingCorrelation);
        let trits = layer.ternary().trits;
        let first = layer.ternary().exponents;
        let mut corr = vec![0i64; first.len()];
        let mut scale = Scale::default();
        for index in 0..UPDATES {
            let (gradient, step) = (case.gradient(index), step(index));
            let lambda = f64::from(step.lambda);
            if let Some(s) = scale.next(&gradient) {
                let by = (32.0 * lambda).round_ties_even().max(1.0) as i64;
                let mut scores = vec![0; corr.len()];
                for (weight, d) in gradient.iter().enumerate() {
                    scores[case.group_of(weight)] += vote(16.0 * lambda * d / s) * i64::from(trits[weight]);
                }
                corr.iter_mut().zip(scores).for_each(|(corr, score)| *corr = (*corr - by * score).clamp(-32768, 32768));
            }
            case.update(layer.as_mut(), &gradient, step);
            let found = with_state(layer.as_ref(), |state| state.i64s("layer.corr", corr.len()).unwrap());
            prop_assert_eq!(&found, &corr);
        }
        let ternary = layer.ternary();
        prop_assert_eq!(&ternary.trits, &trits);
        for (found, (first, corr)) in ternary.exponents.iter().zip(first.iter().zip(&corr)) {
            let bend = (*corr as f64 / 8192.0 + 0.5).floor() as i32;
            prop_assert_eq!(i32::from(*found), (i32::from(*first) + bend).clamp(-14, 15));
        }
    }

    #[test]
    fn latent_follows_its_definition(case in cases()) {
        let mut layer = case.layer(RuleName::Latent);
        let (weights, rows, columns) = (case.weights(), case.rows, case.columns);
        let mut latent: Vec<i64> = with_state(layer.as_ref(), |state| state.i64s("layer.latent", weights).unwrap());
        let mut momentum = vec![0i64; weights];
        let (mut of_rows, mut of_columns) = (vec![0i64; rows], vec![0i64; columns]);
        let mut scale = Scale::default();
        for index in 0..UPDATES {
            let (gradient, step) = (case.gradient(index), step(index));
            case.update(layer.as_mut(), &gradient, step);
            if let Some(s) = scale.next(&gradient) {
                let votes: Vec<i64> = gradient.iter().map(|d| vote(16.0 * d / s)).collect();
                let follow = |moment: &mut i64, squares: i64, count: usize| {
                    let target = 4096.0 * squares as f64 / count as f64;
                    *moment += ((target - *moment as f64) / 128.0).round_ties_even() as i64;
                };
                for (row, moment) in of_rows.iter_mut().enumerate() {
                    follow(moment, (0..columns).map(|c| votes[row * columns + c].pow(2)).sum(), columns);
                }
                for (column, moment) in of_columns.iter_mut().enumerate() {
                    follow(moment, (0..rows).map(|r| votes[r * columns + column].pow(2)).sum(), rows);
                }
                let mean = of_rows.iter().sum::<i64>() as f64 / rows as f64;
                for weight in 0..weights {
                    momentum[weight] += ((16 * votes[weight] - momentum[weight]) as f64 / 8.0).round_ties_even() as i64;
                    // Single precision, as its definition says: next to a half, the last bit decides.
                    let root = |value: f64| value.sqrt() as f32;
                    let of_row = root(of_rows[weight / columns] as f64 / 4096.0);
                    let of_column = if mean > 0.0 { root(of_columns[weight % columns] as f64 / mean) } else { 0.0 };
                    let shift = f64::from(of_row * of_column + 0.1).log2().round();
                    let change = 256.0 * f64::from(step.lambda) * (momentum[weight] as f64 / 16.0) / shift.exp2();
                    latent[weight] = (latent[weight] - change.round_ties_even() as i64).clamp(-32767, 32767);
                }
            }
        }
        with_state(layer.as_ref(), |state| {
            assert_eq!(state.i64s("layer.momentum", weights).unwrap(), momentum);
            assert_eq!(state.i64s("layer.row_moments", rows).unwrap(), of_rows);
            assert_eq!(state.i64s("layer.column_moments", columns).unwrap(), of_columns);
            assert_eq!(state.i64s("layer.latent", weights).unwrap(), latent);
        });
        let ternary = layer.ternary();
        let deviation = f64::from(((columns as f32).powf(-0.5)).min(0.1));
        for (group, exponent) in ternary.exponents.iter().enumerate() {
            let members = case.members(group);
            let mean = members.iter().map(|weight| latent[*weight].abs() as f64).sum::<f64>() / members.len() as f64;
            let expected = (mean.max(1.0) * deviation / 4096.0).log2().round().clamp(-14.0, 15.0);
            prop_assert_eq!(f64::from(*exponent), expected);
            for weight in members {
                let expected = (latent[weight] as f64 / mean).round_ties_even().clamp(-1.0, 1.0);
                prop_assert_eq!(f64::from(ternary.trits[weight]), if mean > 0.0 { expected } else { 0.0 });
            }
        }
    }

    #[test]
    fn straight_through_follows_its_definition(case in cases()) {
        let mut layer = case.layer(RuleName::StraightThrough);
        let weights = case.weights();
        let values = |layer: &dyn LayerState| -> Vec<f64> {
            with_state(layer, |state| state.f32s("layer.latent.values", weights).unwrap()).into_iter().map(f64::from).collect()
        };
        let mut latent = values(layer.as_ref());
        let (mut first, mut second) = (vec![0f64; weights], vec![0f64; weights]);
        for index in 0..UPDATES {
            let (gradient, step) = (case.gradient(index), step(index));
            case.update(layer.as_mut(), &gradient, step);
            let done = index as i32 + 1;
            for weight in 0..weights {
                first[weight] = 0.9 * first[weight] + 0.1 * gradient[weight];
                second[weight] = 0.999 * second[weight] + 0.001 * gradient[weight].powi(2);
                let mean = first[weight] / (1.0 - 0.9f64.powi(done));
                let root = (second[weight] / (1.0 - 0.999f64.powi(done))).sqrt();
                latent[weight] -= 0.016 * f64::from(step.lambda) * mean / (root + 1e-10);
            }
        }
        let found = values(layer.as_ref());
        for (found, expected) in found.iter().zip(&latent) {
            // Single precision, summed over the updates.
            prop_assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{} {}", found, expected);
        }
        let ternary = layer.ternary();
        for (group, exponent) in ternary.exponents.iter().enumerate() {
            let members = case.members(group);
            let mean = members.iter().map(|weight| found[*weight].abs()).sum::<f64>() / members.len() as f64;
            let logarithm = mean.log2();
            let is_edge = |value: f64| (value.abs().fract() - 0.5).abs() < 1e-4;
            prop_assert!(is_edge(logarithm) || f64::from(*exponent) == logarithm.round_ties_even().clamp(-14.0, 15.0));
            for weight in members {
                let ratio = found[weight] / mean;
                let expected = ratio.round_ties_even().clamp(-1.0, 1.0);
                prop_assert!(is_edge(ratio) || f64::from(ternary.trits[weight]) == expected);
            }
        }
    }
}
