//! Weights as plain values.

use super::random::Random;
use trishift_format::write::{MatrixValues, ModelWriter};
use trishift_format::{GroupSize, Int8Record, MatrixRecord};

/// Ternary weights with an exponent a group, or int8 ones with one a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Ternary(GroupSize),
    Int8,
}

impl Precision {
    /// Bits of the largest product of a weight and an activation.
    const fn bits(self) -> i32 {
        match self {
            Self::Ternary(_) => 7,
            Self::Int8 => 14,
        }
    }
}

/// What the weights of a layer are drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distribution {
    /// Smallest exponent.
    pub(crate) base: i32,
    /// How far the others lie above it, where the int32 bound allows that.
    pub(crate) window: i32,
    pub(crate) bias: bool,
    pub(crate) seed: u64,
}

/// A matrix, and exponents as they were before groups of zeros took their row's smallest.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) precision: Precision,
    pub(crate) values: Vec<i8>,
    pub(crate) exponents: Vec<i8>,
    pub(crate) bias: Option<Vec<i32>>,
}

impl Weights {
    /// With these windows no row can break the int32 bound, whatever its bias and the shift that rounds it, in units up to
    /// two powers of two below its smallest exponent.
    pub(crate) fn generate(from: &Distribution, precision: Precision, rows: usize, columns: usize) -> Self {
        let mut random = Random::new(from.seed);
        let window = from.window.min(28 - precision.bits() - columns.next_power_of_two().ilog2() as i32);
        let values = match precision {
            Precision::Ternary(_) => {
                // One trit in `rarity` is not 0; whole groups and rows of zeros come of it.
                let rarity = *[1, 2, 2, 3, 20].get((from.seed >> 32) as usize % 5).unwrap_or(&2);
                let mut trit = |_| if random.between(1, rarity) == 1 { random.between(-1, 1) as i8 } else { 0 };
                (0..rows * columns).map(&mut trit).collect()
            }
            Precision::Int8 => (0..rows).flat_map(|_| random.activations(columns)).collect(),
        };
        let mut weights = Self { rows, columns, precision, values, exponents: Vec::new(), bias: None };
        let mut exponent = |_| (i64::from(from.base) + random.between(0, i64::from(window))) as i8;
        weights.exponents = (0..rows * columns.div_ceil(weights.group())).map(&mut exponent).collect();
        weights.bias = from.bias.then(|| (0..rows).map(|_| random.between(-(1 << 20), 1 << 20) as i32).collect());
        weights
    }

    /// Columns that share an exponent.
    fn group(&self) -> usize {
        match self.precision {
            Precision::Ternary(group) => group.get(),
            Precision::Int8 => self.columns,
        }
    }

    /// A unit for int32 outputs, which may lie below every exponent.
    pub(crate) fn unit(&self, from: &Distribution) -> i32 {
        let smallest = (0..self.rows).map(|row| self.smallest(row)).min().unwrap_or(0);
        smallest - (from.seed % 3) as i32
    }

    pub(crate) fn write(&self, writer: &mut ModelWriter) -> MatrixRecord {
        let Self { rows, columns, precision, values: ref trits, ref exponents, .. } = *self;
        let Precision::Ternary(group) = precision else { panic!("ternary weights") };
        writer.add_matrix(&MatrixValues { rows, columns, group, trits, exponents }).expect("shapes agree")
    }

    pub(crate) fn write_int8(&self, writer: &mut ModelWriter) -> Int8Record {
        writer.add_int8(self.columns, &self.values, &self.exponents).expect("shapes agree")
    }

    /// A weight in units of 2^`unit`.
    pub(crate) fn in_units(&self, row: usize, column: usize, unit: i32) -> i128 {
        let groups = self.columns.div_ceil(self.group());
        match self.values[row * self.columns + column] {
            // Its exponent does not matter, and may be any.
            0 => 0,
            value => i128::from(value) << (i32::from(self.exponents[row * groups + column / self.group()]) - unit),
        }
    }

    /// The smallest exponent of a row as the file has it: groups of zeros do not count, rows of zeros have 0.
    pub(crate) fn smallest(&self, row: usize) -> i32 {
        let groups = self.columns.div_ceil(self.group());
        let used = (0..groups).filter(|group| !self.is_zero(row, *group));
        used.map(|group| i32::from(self.exponents[row * groups + group])).min().unwrap_or(0)
    }

    /// Rows of int8 weights keep their exponent even where all of them are 0.
    fn is_zero(&self, row: usize, group: usize) -> bool {
        let values = &self.values[row * self.columns..][..self.columns];
        let is_zero = |values: &[i8]| values.iter().all(|value| *value == 0);
        self.precision != Precision::Int8 && values.chunks(self.group()).nth(group).is_none_or(is_zero)
    }
}
