//! Integer flip + correlation, the rule to use: matches straight-through training with integers alone.
//!
//! Per layer, D the weight gradient of the mean loss, λ the schedule, all roundings half to even:
//!
//! 1. Weights: `W = T·2^clamp(E + ((corr + 2^12) >> 13), −14, 15)`: what is trained is what is exported.
//! 2. Scale: `s = 2^round(log2 rms(D))` over the layer, never below 2^−8 of the largest s so far. Votes:
//!    `q = clip(round(4·λ·D/s), ±127)`; a gradient of zero abstains.
//! 3. Flips: `acc = clip(acc − q, −128, 127)`; where acc > 63, T moves up by one and acc = 0; where acc < −63, T moves
//!    down by one and acc = 0; T stays within ±1.
//! 4. Correlation: `corr = clip(corr − max(1, round(16·λ))·Σ_group q·T, ±2^15)`, T as before the flips.
//! 5. E stays as initialised; the last layer starts 2 higher.
//!
//! State per weight: one trit, one int8; per group: int8 and a correlation within ±2^15.

use super::ballot::{Ballot, Shards};
use super::bias::VotedBias;
use super::gradient::{Gradient, PANEL_ROWS};
use super::initial::{self, Draw};
use super::magnitude::{MagnitudeVotes, vote};
use super::{LayerState, Step, Ternary, clamp_exponent, expand, power_of_two};
use crate::checkpoint::{CheckpointError, StateReader};
use crate::network::Stage;
use rayon::prelude::*;
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};

/// A trit moves where the accumulator's magnitude exceeds this.
const FLIP_THRESHOLD: i32 = 63;

/// Votes of a gradient of one scale at λ = 1.
pub(crate) const VOTE_GAIN: f32 = 4.0;

/// Correlation step at λ = 1.
pub(crate) const CORRELATION_STEP: f32 = 16.0;

/// The correlation counts 2^13 to one exponent.
const CORRELATION_BITS: u32 = 13;

/// Four exponents up or down.
const CORRELATION_LIMIT: i64 = 4 << CORRELATION_BITS;

/// Added to the last layer's initial exponents.
const LAST_LAYER_GAIN: i8 = 2;

/// One layer under this rule.
#[derive(Debug)]
pub(super) struct FlipCorrelation {
    stage: Stage,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    corr: Vec<i64>,
    flips: Vec<i8>,
    votes: MagnitudeVotes,
    bias: VotedBias,
}

impl FlipCorrelation {
    pub(super) fn new(stage: &Stage, draw: Draw, is_last: bool) -> Self {
        let Ternary { trits, mut exponents } = initial::ternary(stage, draw);
        if is_last {
            for exponent in &mut exponents {
                *exponent = exponent.saturating_add(LAST_LAYER_GAIN);
            }
        }
        Self {
            stage: *stage,
            corr: vec![0; exponents.len()],
            flips: vec![0; trits.len()],
            trits,
            exponents,
            votes: MagnitudeVotes::new(stage),
            bias: VotedBias::new(stage.rows, stage.bias),
        }
    }

    /// Steps 3 and 4 for every weight, given the votes' factor 4·λ/s.
    fn vote(&mut self, gradient: &Gradient<'_>, factor: f32, correlation_step: i64) {
        let (columns, groups, group) = (self.stage.columns, self.stage.groups(), self.stage.group.get());
        let votes = &self.votes;
        let trits = self.trits.par_chunks_mut(PANEL_ROWS * columns);
        let flips = self.flips.par_chunks_mut(PANEL_ROWS * columns);
        let corr = self.corr.par_chunks_mut(PANEL_ROWS * groups);
        trits.zip(flips).zip(corr).enumerate().for_each(|(panel, ((trits, flips), corr))| {
            votes.with_panel(gradient, panel, trits.len(), |gradient| {
                let mut products = vec![0i16; columns];
                let rows = trits.chunks_mut(columns).zip(flips.chunks_mut(columns)).zip(corr.chunks_mut(groups));
                for (((trits, flips), corr), gradient) in rows.zip(gradient.chunks(columns)) {
                    let of_gradient = gradient.iter().map(|gradient| vote(*gradient, factor));
                    flip_row(of_gradient, trits, flips, &mut products);
                    move_row(corr, &products, group, correlation_step);
                }
            });
        });
    }
}

/// Votes and flips of one row; `products` receives q·T with T as before.
#[inline(always)]
fn flip_row(votes: impl Iterator<Item = i32>, trits: &mut [i8], flips: &mut [i8], products: &mut [i16]) {
    let lanes = votes.zip(trits).zip(flips).zip(products);
    for (((vote, trit), flip), product) in lanes {
        let old = i32::from(*trit);
        *product = (vote * old) as i16;
        let moved = (i32::from(*flip) - vote).clamp(-128, 127);
        let up = i32::from(moved > FLIP_THRESHOLD);
        let down = i32::from(moved < -FLIP_THRESHOLD);
        *trit = (old + up - down).clamp(-1, 1) as i8;
        *flip = (moved * (1 - up - down)) as i8;
    }
}

/// The correlations of one row after votes whose products with trits these are.
fn move_row(corr: &mut [i64], products: &[i16], group: usize, step: i64) {
    for (corr, products) in corr.iter_mut().zip(products.chunks(group)) {
        let score: i32 = products.iter().map(|product| i32::from(*product)).sum();
        *corr = moved_correlation(*corr, step, score);
    }
}

/// The factor gain·λ/s that turns gradients into votes.
pub(super) fn vote_factor(gain: f32, step: Step, exponent: i32) -> f32 {
    gain * step.lambda * power_of_two(-exponent)
}

/// How far one vote moves a correlation: max(1, round(first·λ)).
pub(super) fn correlation_step(first: f32, step: Step) -> i64 {
    (first * step.lambda).round_ties_even().max(1.0) as i64
}

/// A correlation after votes of this score.
pub(super) fn moved_correlation(corr: i64, step: i64, score: i32) -> i64 {
    (corr - step * i64::from(score)).clamp(-CORRELATION_LIMIT, CORRELATION_LIMIT)
}

/// The exponent that forward pass and export use: E bent by its correlation, which counts 2^13 to one exponent.
pub(super) fn bent_exponent(exponent: i8, corr: i64) -> i32 {
    let shift = (corr + (1 << (CORRELATION_BITS - 1))) >> CORRELATION_BITS;
    clamp_exponent(i32::from(exponent) + shift as i32)
}

impl LayerState for FlipCorrelation {
    fn weights(&self, first_row: usize, weights: &mut [f32]) {
        let scale = |group: usize| {
            let state = self.exponents.get(group).zip(self.corr.get(group));
            state.map_or(0.0, |(exponent, corr)| power_of_two(bent_exponent(*exponent, *corr)))
        };
        expand::expand(&self.stage, first_row, &self.trits, weights, scale);
    }

    fn ternary(&self) -> Ternary {
        let exponents = self.exponents.iter().zip(&self.corr).map(|(e, corr)| bent_exponent(*e, *corr) as i8);
        Ternary { trits: self.trits.clone(), exponents: exponents.collect() }
    }

    fn bias(&self, units: &[i32]) -> Vec<i32> {
        self.bias.in_units(units)
    }

    fn update(&mut self, gradient: &Gradient<'_>, step: Step) {
        if let Some(exponent) = self.votes.find_scale(gradient) {
            self.vote(gradient, vote_factor(VOTE_GAIN, step, exponent), correlation_step(CORRELATION_STEP, step));
        }
        self.bias.update(gradient, step);
    }

    fn ballot(&self, shards: Shards) -> Option<Ballot> {
        Some(Ballot::new(shards, self.stage.weights(), 0, self.bias.values().len()))
    }

    fn vote(&self, gradient: &Gradient<'_>, step: Step, shard: usize, ballot: &mut Ballot) {
        self.votes.vote(gradient, (ballot.shards.gain(VOTE_GAIN), step.lambda), (shard, step.index), ballot);
        self.bias.vote_shard(&gradient.bias(), step, (ballot.shards, shard), &mut ballot.biases);
    }

    fn apply(&mut self, ballot: &Ballot, step: Step) {
        self.votes.follow(ballot);
        if ballot.has_votes() {
            let (columns, groups, group) = (self.stage.columns, self.stage.groups(), self.stage.group.get());
            let correlation_step = correlation_step(CORRELATION_STEP, step);
            let weights = self.trits.par_chunks_mut(columns).zip(self.flips.par_chunks_mut(columns));
            let rows = weights.zip(self.corr.par_chunks_mut(groups)).zip(ballot.votes.par_chunks(columns));
            rows.for_each_init(
                || vec![0i16; columns],
                |products, (((trits, flips), corr), votes)| {
                    let votes = votes.iter().map(|vote| i32::from(*vote));
                    flip_row(votes, trits, flips, products);
                    move_row(corr, products, group, correlation_step);
                },
            );
        }
        self.bias.apply(&ballot.biases);
    }

    fn save(&self, prefix: &str, writer: &mut CheckpointWriter) -> Result<(), WriteError> {
        let rows = self.stage.rows;
        writer.push(&format!("{prefix}.trits"), rows, StateValues::Trits(&self.trits))?;
        writer.push(&format!("{prefix}.exponents"), rows, StateValues::I8(&self.exponents))?;
        writer.push(&format!("{prefix}.corr"), rows, StateValues::I64(&self.corr))?;
        writer.push(&format!("{prefix}.flips"), rows, StateValues::I8(&self.flips))?;
        self.votes.save(prefix, writer)?;
        self.bias.save(prefix, writer)
    }

    fn load(&mut self, prefix: &str, reader: &StateReader<'_>) -> Result<(), CheckpointError> {
        let (weights, groups) = (self.trits.len(), self.exponents.len());
        self.trits = reader.trits(&format!("{prefix}.trits"), weights)?;
        self.exponents = reader.i8s(&format!("{prefix}.exponents"), groups)?;
        self.corr = reader.i64s(&format!("{prefix}.corr"), groups)?;
        self.flips = reader.i8s(&format!("{prefix}.flips"), weights)?;
        self.votes.load(prefix, reader)?;
        self.bias.load(prefix, reader)
    }

    fn state_bytes(&self) -> usize {
        self.trits.len() + self.flips.len() + self.exponents.len() + self.corr.len() * 8 + self.bias.state_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::StageOutput;
    use crate::ternary::Convention;
    use ndarray::Array2;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn layer(rows: usize, columns: usize, group: u32) -> FlipCorrelation {
        let group = GroupSize::new(group).unwrap();
        let stage = Stage::linear(rows, columns, group, StageOutput::Logits);
        FlipCorrelation::new(&stage, Draw { seed: 7, layer: 0, convention: Convention::Standard }, true)
    }

    /// The rule word for word, one weight at a time, in float64; D holds values that bfloat16 holds exactly.
    #[derive(Clone)]
    struct Naive {
        trits: Vec<i64>,
        flips: Vec<i64>,
        corr: Vec<i64>,
        largest: Option<i32>,
    }

    impl Naive {
        fn update(&mut self, gradient: &[f64], columns: usize, group: usize, lambda: f64) {
            let mean = gradient.iter().map(|d| d * d).sum::<f64>() / gradient.len() as f64;
            if mean == 0.0 {
                return;
            }
            let scale = (mean.sqrt().log2()).round_ties_even() as i32;
            let largest = self.largest.map_or(scale, |largest| largest.max(scale));
            self.largest = Some(largest);
            let s = 2f64.powi(scale.max(largest - 8));
            let groups = columns.div_ceil(group);
            let mut scores = vec![0; self.corr.len()];
            for (index, d) in gradient.iter().enumerate() {
                let q = (4.0 * lambda * d / s).round_ties_even().clamp(-127.0, 127.0) as i64;
                scores[index / columns * groups + index % columns / group] += q * self.trits[index];
                let acc = (self.flips[index] - q).clamp(-128, 127);
                let step = i64::from(acc > 63) - i64::from(acc < -63);
                self.trits[index] = (self.trits[index] + step).clamp(-1, 1);
                self.flips[index] = if step == 0 { acc } else { 0 };
            }
            let step = (16.0 * lambda).round_ties_even().max(1.0) as i64;
            for (corr, score) in self.corr.iter_mut().zip(scores) {
                *corr = (*corr - step * score).clamp(-32768, 32768);
            }
        }
    }

    /// A gradient of these values: the layer's outputs get it as one sample per row.
    fn update(layer: &mut FlipCorrelation, gradient: &[f32], lambda: f32) {
        let (rows, columns) = (layer.stage.rows, layer.stage.columns);
        let input = Array2::from_shape_vec((rows, columns), gradient.to_vec()).unwrap();
        let output = Array2::eye(rows);
        layer.update(&Gradient::Product { output: output.view(), input: input.view() }, Step { index: 0, lambda });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn states_equal_the_naive_rule(
            (rows, columns) in (1usize..140, 1usize..70),
            group in 0usize..10,
            seeds in proptest::collection::vec((any::<u64>(), -20i32..4, 0u32..=8), 1..12),
        ) {
            let group = GroupSize::ALL[group].get();
            let mut kept = layer(rows, columns, group as u32);
            let mut streamed = layer(rows, columns, group as u32);
            streamed.votes.always_stream();
            let wide = |values: &[i8]| values.iter().map(|v| i64::from(*v)).collect::<Vec<_>>();
            let mut naive = Naive {
                trits: wide(&kept.trits),
                flips: wide(&kept.flips),
                corr: kept.corr.clone(),
                largest: None,
            };
            for (seed, exponent, eighths) in seeds {
                // λ in eighths and mantissas of 7 bits: every product is exact in f32.
                let lambda = eighths as f32 / 8.0;
                let value = |i: usize| {
                    let hash = (seed ^ i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                    ((hash % 255) as f32 - 127.0) * 2f32.powi(exponent - (hash >> 16 & 7) as i32)
                };
                let gradient: Vec<f32> = (0..rows * columns).map(value).collect();
                update(&mut kept, &gradient, lambda);
                update(&mut streamed, &gradient, lambda);
                let gradient: Vec<f64> = gradient.iter().map(|d| f64::from(*d)).collect();
                naive.update(&gradient, columns, group, f64::from(lambda));
                for layer in [&kept, &streamed] {
                    prop_assert_eq!(&wide(&layer.trits), &naive.trits);
                    prop_assert_eq!(&wide(&layer.flips), &naive.flips);
                    prop_assert_eq!(&layer.corr, &naive.corr);
                }
            }
        }
    }

    #[test]
    fn zero_gradients_change_nothing() {
        let mut layer = layer(3, 10, 4);
        let before = (layer.trits.clone(), layer.flips.clone(), layer.corr.clone());
        update(&mut layer, &[0.0; 30], 1.0);
        assert_eq!((layer.trits, layer.flips, layer.corr), before);
    }

    #[test]
    fn correlations_saturate_and_bend_exponents_by_at_most_four() {
        let mut layer = layer(1, 4, 4);
        layer.trits = vec![1; 4];
        layer.exponents = vec![-3];
        for _ in 0..200 {
            layer.flips.fill(0);
            layer.trits.fill(1);
            update(&mut layer, &[-1.0; 4], 1.0);
        }
        assert_eq!((layer.corr[0], layer.ternary().exponents[0]), (CORRELATION_LIMIT, 1));
        assert_eq!(bent_exponent(-14, -CORRELATION_LIMIT), -14);
        assert_eq!(bent_exponent(0, (1 << 12) - 1), 0);
        assert_eq!(bent_exponent(0, 1 << 12), 1);
        assert_eq!(bent_exponent(0, -(1 << 12) - 1), -1);
    }

    #[test]
    fn the_forward_weights_are_the_exported_ones() {
        let mut layer = layer(70, 33, 8);
        layer.corr.iter_mut().enumerate().for_each(|(i, corr)| *corr = (i as i64 * 997) % 65_537 - 32_768);
        let Ternary { trits, exponents } = layer.ternary();
        let mut weights = vec![9.0; 6 * 33];
        layer.weights(64, &mut weights);
        for (index, weight) in weights.iter().enumerate() {
            let (row, column) = (64 + index / 33, index % 33);
            let exponent = exponents[row * 5 + column / 8];
            assert_eq!(*weight, f32::from(trits[row * 33 + column]) * 2f32.powi(exponent.into()));
        }
    }
}
