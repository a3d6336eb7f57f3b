//! Random ternary matrices and batches, each made of one number: a failure names it.
#![allow(dead_code, reason = "each test binary uses a part")]

use ndarray::Array2;
use trishift_format::GroupSize;
use trishift_trainer::rule::gradient::Gradient;
use trishift_trainer::ternary::{Shape, TernaryState, Votes};

/// The finaliser of SplitMix64: a number of which every bit depends on every bit of `value`.
pub(crate) fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.between(0, values.len() as i64 - 1) as usize]
    }

    /// From −1 to 1, with 24 bits.
    pub(crate) fn float(&mut self) -> f32 {
        self.between(-(1 << 24), 1 << 24) as f32 / (1 << 24) as f32
    }

    /// Roughly normal numbers.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.float()).sum::<f32>() / 2f32.sqrt()
    }

    fn many<T>(&mut self, count: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| draw(self)).collect()
    }

    pub(crate) fn matrix(
        &mut self,
        rows: usize,
        columns: usize,
        mut draw: impl FnMut(&mut Self) -> f32,
    ) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |_| draw(self))
    }
}

/// A matrix with both kinds of accumulators and a batch of small integers, so that sums are exact.
pub(crate) struct Case {
    pub(crate) state: TernaryState,
    /// x, [batch, K].
    pub(crate) input: Array2<f32>,
    /// gy, [batch, N].
    pub(crate) output_gradient: Array2<f32>,
    /// Votes of any size.
    pub(crate) votes: Votes,
}

impl Case {
    /// Case number `seed`: group sizes take turns; short last groups, groups longer than rows, single rows and columns;
    /// accumulators, correlations and exponents at their ends, step 0 with correlations, gradients of zero.
    pub(crate) fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let group = GroupSize::ALL[seed as usize % GroupSize::ALL.len()];
        let size = |random: &mut Random| random.one_of(&[1, 31, 33, 97, 192, 199]).min(random.between(1, 199)) as usize;
        let (rows, columns) = (size(random), random.between(1, 199) as usize);
        let shape = Shape::new(rows, columns, group).unwrap();
        let accumulator = |random: &mut Random| match random.between(0, 5) {
            0 => random.between(118, 127) as i8,
            1 => random.between(-128, -118) as i8,
            _ => random.between(-30, 30) as i8,
        };
        let exponent = |random: &mut Random| match random.between(0, 9) {
            0 => random.one_of(&[127, -128]),
            _ => random.between(-20, 20) as i8,
        };
        let corr = |random: &mut Random| match random.between(0, 9) {
            0 => i64::MAX - random.between(0, 99),
            1 => i64::MIN + random.between(0, 99),
            _ => random.between(-900, 900),
        };
        let state = TernaryState::new(
            shape,
            random.many(shape.weights(), |random| random.between(-1, 1) as i8),
            random.many(shape.groups(), exponent),
        );
        let step = match random.between(0, 8) {
            0 | 1 => 0,
            2 => i64::MAX,
            _ => random.between(1, 1000),
        };
        let state = state.unwrap().with_correlation(random.many(shape.groups(), corr), step).unwrap();
        let state = state.with_exponent_accumulators(random.many(shape.groups(), accumulator)).unwrap();
        let state = state.with_trit_accumulators(random.many(shape.weights(), accumulator)).unwrap();
        let batch = random.one_of(&[0, 1, 5, 16, 17, 40]);
        let largest = random.between(0, 4);
        let input = random.matrix(batch, columns, |random| random.between(-largest, largest) as f32);
        let output_gradient = random.matrix(batch, rows, |random| random.between(-largest, largest) as f32);
        let votes = random.many(shape.weights(), |random| random.between(-128, 127) as i8);
        Self { state, input, output_gradient, votes: Votes::new(rows, columns, votes).unwrap() }
    }

    /// The same with exponents whose weights are finite.
    pub(crate) fn tame(seed: u64) -> Self {
        let case = Self::new(seed);
        let state = &case.state;
        let exponents = state.exponents().iter().map(|exponent| exponent % 12).collect();
        let corr = state.corr().iter().map(|corr| corr % 16).collect();
        let tame = TernaryState::new(*state.shape(), state.trits().to_vec(), exponents).unwrap();
        Self { state: tame.with_correlation(corr, state.step()).unwrap(), ..case }
    }

    /// What the CPU makes votes of on the way.
    pub(crate) fn gradient(&self) -> Gradient<'_> {
        Gradient::Product { output: self.output_gradient.t(), input: self.input.view() }
    }
}
