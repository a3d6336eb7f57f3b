//! Random cases for the property tests of this folder, and the algorithm word for word, one weight at a time, in wide
//! integers and f64.

use super::{Shape, TernaryState};
use crate::rule::gradient::Gradient;
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use trishift_format::GroupSize;

/// A layer and a batch.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The layer, with both kinds of accumulators.
    pub(super) state: TernaryState,
    /// Output gradients gy transposed, [rows, batch]: small integers, so that sums are exact.
    pub(super) output: Array2<f32>,
    /// Inputs, [batch, columns]: small integers.
    pub(super) input: Array2<f32>,
}

/// Cases with short last groups, groups longer than rows, single rows and columns, gradients of zero, accumulators and
/// correlations at their limits, and step 0 with correlations.
pub(super) fn case() -> impl Strategy<Value = Case> {
    let rows = prop_oneof![1 => Just(1), 6 => 2usize..9, 1 => 60usize..70];
    let columns = prop_oneof![1 => Just(1), 6 => 2usize..120, 1 => 250usize..300];
    (rows, columns, 0..GroupSize::ALL.len(), 1usize..6).prop_flat_map(|(rows, columns, group, batch)| {
        let shape = Shape::new(rows, columns, GroupSize::ALL[group]).unwrap();
        let step = prop_oneof![2 => Just(0), 6 => 1i64..1000, 1 => Just(i64::MAX)];
        let corr = prop_oneof![8 => -900i64..900, 1 => Just(i64::MAX - 2), 1 => Just(i64::MIN + 2)];
        let accumulator = prop_oneof![4 => -30i8..30, 1 => 120i8..=127, 1 => -128i8..-120];
        let exponent = prop_oneof![8 => -20i8..20, 1 => Just(127), 1 => Just(-128)];
        let state = (
            vec(-1i8..=1, shape.weights()),
            vec(exponent, shape.groups()),
            vec(corr, shape.groups()),
            step,
            vec(accumulator.clone(), shape.groups()),
            vec(accumulator, shape.weights()),
        );
        let state = state.prop_map(move |(trits, exponents, corr, step, of_exponents, of_trits)| {
            let state = TernaryState::new(shape, trits, exponents).unwrap().with_correlation(corr, step).unwrap();
            state.with_exponent_accumulators(of_exponents).unwrap().with_trit_accumulators(of_trits).unwrap()
        });
        let largest = prop_oneof![1 => Just(0i32), 5 => 1..5];
        let batch = largest.prop_flat_map(move |largest| {
            (vec(-largest..=largest, rows * batch), vec(-largest..=largest, batch * columns))
        });
        (state, batch).prop_map(move |(state, (output, input))| {
            let samples = input.len() / columns;
            let floats = |values: Vec<i32>| values.into_iter().map(|value| value as f32).collect();
            let output = Array2::from_shape_vec((rows, samples), floats(output)).unwrap();
            let input = Array2::from_shape_vec((samples, columns), floats(input)).unwrap();
            Case { state, output, input }
        })
    })
}

impl Case {
    /// The gradient that the layer streams.
    pub(super) fn gradient(&self) -> Gradient<'_> {
        Gradient::Product { output: self.output.view(), input: self.input.view() }
    }

    /// Σ_m gy·x for every weight.
    pub(super) fn naive_sums(&self) -> Vec<i64> {
        let (rows, columns) = (self.output.nrows(), self.input.ncols());
        let sum = |row: usize, column: usize| {
            (0..self.input.nrows()).map(|m| self.output[[row, m]] as i64 * self.input[[m, column]] as i64).sum()
        };
        (0..rows * columns).map(|index| sum(index / columns, index % columns)).collect()
    }

    /// The signs of the sums.
    pub(super) fn naive_votes(&self) -> Vec<i8> {
        self.naive_sums().into_iter().map(|sum| sum.signum() as i8).collect()
    }

    /// Σ v·T for every group.
    pub(super) fn naive_scores(&self) -> Vec<i64> {
        let votes = self.naive_votes();
        let mut scores = vec![0; self.state.shape().groups()];
        for (index, vote) in votes.into_iter().enumerate() {
            scores[group_of(self.state.shape(), index)] += i64::from(vote) * i64::from(self.state.trits()[index]);
        }
        scores
    }
}

/// The group of a weight.
pub(super) fn group_of(shape: &Shape, weight: usize) -> usize {
    let (row, column) = (weight / shape.columns(), weight % shape.columns());
    row * shape.row_groups() + column / shape.group().get()
}

/// T·2^e in f64.
pub(super) fn weight(state: &TernaryState, row: usize, column: usize, strength: f64) -> f64 {
    clamped_weight(state, row, column, strength, (f64::NEG_INFINITY, f64::INFINITY))
}

/// T·2^e in f64, e within limits.
pub(super) fn clamped_weight(
    state: &TernaryState,
    row: usize,
    column: usize,
    strength: f64,
    limits: (f64, f64),
) -> f64 {
    let weight = row * state.shape().columns() + column;
    let group = group_of(state.shape(), weight);
    let votes = (i128::from(state.step()) * state.shape().group().get() as i128).max(1) as f64;
    let bend = if state.step() == 0 { 0.0 } else { state.corr()[group] as f64 / votes * strength };
    let exponent = (f64::from(state.exponents()[group]) + bend).clamp(limits.0, limits.1);
    if state.trits()[weight] == 0 { 0.0 } else { f64::from(state.trits()[weight]) * exponent.exp2() }
}
