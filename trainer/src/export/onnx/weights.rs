//! Weights as ONNX takes them: dense, and so divided that float32 adds them up without rounding.
//!
//! A row's weights and bias are whole numbers of a unit 2^u. Their sum, and each partial sum in any order, is exact as long as it
//! stays within 2^24 units, and nearly all rows do. Of those that do not, the columns are dealt out to several matrices by the
//! size of their weights: what each of them comes to is exact in a unit of its own, and float64 adds those up.

use trishift_format::bound::{Accumulators, rounding};
use trishift_format::{Bias, Int8Matrix, TernaryMatrix};

/// The largest whole number up to which float32 has all of them.
const EXACT: u64 = 1 << 24;

/// The weights of a layer: `values[row·columns + column]·2^units[row]`.
pub(super) struct Dense {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// In units of the row; an int32 accumulator bounds them.
    pub(super) values: Vec<i32>,
    /// Exponents of the rows' units.
    pub(super) units: Vec<i32>,
}

impl Dense {
    pub(super) fn of_ternary(matrix: &TernaryMatrix<'_>, accumulators: Accumulators) -> Self {
        let mut dense = Self::with_room(matrix.rows(), matrix.columns());
        let mut trits = vec![0; matrix.columns()];
        for row in matrix.iter() {
            let unit = unit(accumulators, row.smallest_exponent());
            row.unpack(&mut trits);
            for (group, trits) in row.groups().zip(trits.chunks(matrix.group().get())) {
                dense.append(trits.iter().copied(), group.exponent - unit);
            }
            dense.units.push(unit);
        }
        dense
    }

    pub(super) fn of_int8(matrix: &Int8Matrix<'_>, accumulators: Accumulators) -> Self {
        let mut dense = Self::with_room(matrix.rows(), matrix.columns());
        for row in matrix.iter() {
            let unit = unit(accumulators, row.exponent);
            dense.append(row.values.iter().map(|value| value.cast_signed()), row.exponent - unit);
            dense.units.push(unit);
        }
        dense
    }

    fn with_room(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: Vec::with_capacity(rows * columns), units: Vec::with_capacity(rows) }
    }

    fn append(&mut self, weights: impl Iterator<Item = i8>, shift: i32) {
        // Only weights of zero can lie so far above the unit that a shift would lose them.
        let factor = 1i32.checked_shl(shift.cast_unsigned()).unwrap_or(0);
        self.values.extend(weights.map(|weight| i32::from(weight).wrapping_mul(factor)));
    }

    pub(super) fn row(&self, row: usize) -> &[i32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Whether float32 is enough for all sums with their bias, and for what rounds an output of this exponent.
    pub(super) fn fits_float32(&self, bias: Option<Bias<'_>>, input: i32, output: i32) -> bool {
        (0..self.rows).all(|row| {
            let bias = bias.and_then(|bias| bias.get(row)).unwrap_or(0);
            let steps = common_steps(self.row(row).iter().copied().chain([bias]));
            let largest = (magnitude(self.row(row)) + u64::from(bias.unsigned_abs())) >> steps;
            let half = rounding(output - input - self.units[row] - steps.cast_signed());
            largest + half.min(largest) <= EXACT
        })
    }

    /// The matrices whose sum this is, and of whose products each is exact.
    pub(super) fn exact_parts(&self) -> Vec<Self> {
        let part_of: Vec<usize> = (0..self.rows).flat_map(|row| deal_out(self.row(row))).collect();
        let parts = part_of.iter().max().map_or(1, |last| last + 1);
        let part = |number: usize| {
            let values = self.values.iter().zip(&part_of);
            let values = values.map(|(value, part)| if *part == number { *value } else { 0 }).collect();
            Self { rows: self.rows, columns: self.columns, values, units: self.units.clone() }
        };
        (0..parts).map(part).collect()
    }

    /// The same weights as int8, each row with the exponent of its scale, if all of them fit.
    pub(super) fn to_int8(&self) -> Option<(Vec<i8>, Vec<i32>)> {
        let mut values = Vec::with_capacity(self.values.len());
        let mut exponents = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let steps = common_steps(self.row(row).iter().copied());
            for value in self.row(row) {
                values.push(i8::try_from(value >> steps).ok()?);
            }
            exponents.push(self.units[row] + steps.cast_signed());
        }
        Some((values, exponents))
    }

    /// The same weights as numbers.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        let rows = (0..self.rows).map(|row| (self.row(row), self.units[row]));
        rows.flat_map(|(row, unit)| row.iter().map(move |value| (f64::from(*value) * 2f64.powi(unit)) as f32)).collect()
    }
}

/// A row's unit, whose smallest exponent this is.
fn unit(accumulators: Accumulators, smallest: i32) -> i32 {
    match accumulators {
        Accumulators::PerRow { .. } => smallest,
        Accumulators::Layer { exponent } => exponent,
    }
}

/// What a sum of products with int8 values cannot exceed.
fn magnitude(row: &[i32]) -> u64 {
    row.iter().map(|weight| 128 * u64::from(weight.unsigned_abs())).sum()
}

/// The exponent of the largest power of two that divides all of them; 0 where all are 0.
fn common_steps(values: impl Iterator<Item = i32>) -> u32 {
    let all = values.fold(0, |all, value| all | value);
    if all == 0 { 0 } else { all.trailing_zeros() }
}

/// The part that each column belongs to: small weights first, as many to a part as it holds.
fn deal_out(row: &[i32]) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..row.len()).filter(|column| row[*column] != 0).collect();
    columns.sort_by_key(|column| row[*column].unsigned_abs());
    let mut parts = vec![0; row.len()];
    let (mut part, mut sum, mut all) = (0, 0u64, 0i32);
    for column in columns {
        let weight = 128 * u64::from(row[column].unsigned_abs());
        if (sum + weight) >> (all | row[column]).trailing_zeros() > EXACT {
            (part, sum, all) = (part + 1, 0, 0);
        }
        sum += weight;
        all |= row[column];
        parts[column] = part;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dense(columns: usize, values: Vec<i32>) -> Dense {
        Dense { rows: values.len() / columns, columns, units: vec![-9; values.len() / columns], values }
    }

    proptest! {
        #[test]
        fn parts_are_exact_and_add_up(
            shifts in proptest::collection::vec(0u32..23, 1..300),
            signs in proptest::collection::vec(-1i32..=1, 300),
        ) {
            let values: Vec<i32> = shifts.iter().zip(signs).map(|(shift, sign)| sign << shift).collect();
            let layer = dense(values.len(), values);
            let parts = layer.exact_parts();
            let sums = (0..layer.columns).map(|column| parts.iter().map(|part| part.values[column]).sum::<i32>());
            prop_assert_eq!(sums.collect::<Vec<_>>(), layer.values);
            for part in &parts {
                let steps = common_steps(part.values.iter().copied());
                prop_assert!(magnitude(&part.values) >> steps <= EXACT);
            }
        }
    }

    #[test]
    fn one_part_is_enough_until_float32_would_round() {
        // 128·2^16·2 = 2^24, and one more.
        assert_eq!(dense(2, vec![1 << 16, (1 << 16) - 1]).exact_parts().len(), 1);
        assert_eq!(dense(3, vec![1 << 16, 1 << 16, 1]).exact_parts().len(), 2);
        // All even: in units twice as large it fits again.
        assert_eq!(dense(3, vec![1 << 16, 1 << 16, 2]).exact_parts().len(), 1);
        assert_eq!(dense(2, vec![1 << 17, 1 << 17]).exact_parts().len(), 1);
        // Sums of 2^24 - 128 units of 2^-9: exact, but not with the half that rounds them to whole numbers.
        let layer = dense(2, vec![1 << 16, (1 << 16) - 1]);
        assert!(layer.fits_float32(None, 0, -9) && !layer.fits_float32(None, 0, 0));
    }

    #[test]
    fn int8_where_the_common_factor_allows() {
        let (values, exponents) = dense(2, vec![64, -1, 1 << 12, 1 << 9]).to_int8().unwrap();
        assert_eq!((values, exponents), (vec![64, -1, 8, 1], vec![-9, 0]));
        assert!(dense(2, vec![128, 1]).to_int8().is_none());
    }
}
