//! The proof that no accumulator overflows, and with it every check of a matrix's contents.
//!
//! A row computes `b + Σ_g (p_g << (E_g − e))` in int32, p_g a sum of int8 inputs over the group's non-zero trits. With
//! inputs of magnitude at most 128 no partial sum, in any order, exceeds `|b| + Σ_g 128·nnz_g·2^(E_g − e)`; the
//! rounding constant of the requantisation comes on top. Where that stays within 2³¹ − 1, kernels need no checks.

use crate::exponents::ExponentEncoding;
use crate::int8_matrix::Int8Matrix;
use crate::matrix::{Bias, Group, Row, TernaryMatrix};
use crate::{MatrixFault, trits};

/// The unit of a layer's accumulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulators {
    /// int8 outputs: each row's unit is its own smallest exponent e; the requantising shift is `scale − e`.
    PerRow {
        /// s_out − s_in, the difference of the tensors' exponents.
        scale: i32,
    },
    /// int32 outputs: one unit for the whole layer, at most every row's smallest exponent.
    Layer {
        /// The common exponent e.
        exponent: i32,
    },
}

/// The rounding constant 2^(r−1) of a requantising shift r, 0 where nothing is rounded.
pub const fn rounding(shift: i32) -> u64 {
    if 1 <= shift && shift <= 31 { 1 << (shift - 1) } else { 0 }
}

/// Bound on the magnitude of a row's accumulator, in units of 2^`unit`, without the bias and the rounding constant.
///
/// Exponents below `unit` are the caller's error and count as `unit`.
pub fn row_magnitude(groups: impl Iterator<Item = (usize, i32)>, unit: i32) -> u64 {
    groups.fold(0, |sum: u64, (nonzero, exponent)| sum.saturating_add(term(nonzero as u64, exponent - unit)))
}

/// 128·sum·2^shift, saturating; of a group `sum` is the number of its non-zero trits.
fn term(sum: u64, shift: i32) -> u64 {
    let shift = shift.max(0) as u32;
    let magnitude = 128 * sum;
    if magnitude == 0 {
        0
    } else if shift > magnitude.leading_zeros() {
        u64::MAX
    } else {
        magnitude << shift
    }
}

/// True where a row with this magnitude, bias and rounding constant cannot overflow int32.
pub const fn fits_int32(magnitude: u64, bias: i32, rounding: u64) -> bool {
    magnitude.saturating_add(bias.unsigned_abs() as u64).saturating_add(rounding) <= i32::MAX as u64
}

/// Checks every row of a linear operator's weights: trit bytes, padding, exponents, the int32 bound.
pub(crate) fn check(
    matrix: &TernaryMatrix<'_>,
    bias: Option<Bias<'_>>,
    accumulators: Accumulators,
) -> Result<(), MatrixFault> {
    let mut biases = bias.map(|bias| bias.iter());
    for (index, row) in matrix.iter().enumerate() {
        let bias = biases.as_mut().and_then(Iterator::next).unwrap_or(0);
        check_row(index, &row, bias, accumulators)?;
    }
    Ok(())
}

/// Checks the int32 bound of every row of an operator's int8 weights.
pub(crate) fn check_int8(
    matrix: &Int8Matrix<'_>,
    bias: Option<Bias<'_>>,
    accumulators: Accumulators,
) -> Result<(), MatrixFault> {
    let mut biases = bias.map(|bias| bias.iter());
    for (index, row) in matrix.iter().enumerate() {
        let bias = biases.as_mut().and_then(Iterator::next).unwrap_or(0);
        let (unit, rounding) = match accumulators {
            Accumulators::PerRow { scale } => (row.exponent, rounding(scale - row.exponent)),
            Accumulators::Layer { exponent } if exponent > row.exponent => {
                return Err(MatrixFault::BelowOutputUnit { row: index });
            }
            Accumulators::Layer { exponent } => (exponent, 0),
        };
        // A weight of magnitude w is worth w trits; 2^32 of them are less than 2^40, on machines of 32 bits too.
        let weight = |value: &u8| u64::from((*value as i8).unsigned_abs());
        let magnitude = term(row.values.iter().map(weight).sum(), row.exponent - unit);
        if !fits_int32(magnitude, bias, rounding) {
            return Err(MatrixFault::Int32Bound { row: index });
        }
    }
    Ok(())
}

/// Checks every row of an embedding's table: trit bytes, padding, exponents; and, where the output is int32 in units of
/// 2^`unit`, that every weight is a whole number of units and fits.
pub(crate) fn check_table(matrix: &TernaryMatrix<'_>, unit: Option<i32>) -> Result<(), MatrixFault> {
    for (index, row) in matrix.iter().enumerate() {
        let (smallest, largest) = check_contents(index, &row)?;
        let Some(unit) = unit else { continue };
        if unit > smallest {
            return Err(MatrixFault::BelowOutputUnit { row: index });
        }
        // Groups of zeros carry the smallest exponent, so the largest is a weight's unless the row is zeros.
        let is_zero = || row.groups().flat_map(|group| group.bytes).all(|byte| *byte == trits::ZERO_BYTE);
        if largest - unit > MAX_WEIGHT_SHIFT && !is_zero() {
            return Err(MatrixFault::Int32Bound { row: index });
        }
    }
    Ok(())
}

/// 2^30 is the largest power of two in int32.
const MAX_WEIGHT_SHIFT: i32 = 30;

/// What holds for every row, whatever uses it; gives the row's smallest and largest exponent.
fn check_contents(index: usize, row: &Row<'_>) -> Result<(i32, i32), MatrixFault> {
    #[cfg(feature = "std")]
    if let Some(found) = crate::screen::row(row) {
        return Ok(found);
    }
    check_groups(index, row)
}

/// The same, group by group.
pub(crate) fn check_groups(index: usize, row: &Row<'_>) -> Result<(i32, i32), MatrixFault> {
    let expected = row.smallest_exponent();
    let (mut smallest, mut largest, mut empty) = (i32::MAX, i32::MIN, None);
    // By number: the iterator would copy the row, and small cores have few registers to walk it.
    for group in 0..row.groups {
        let Group { bytes, exponent, len } = row.group(group);
        (smallest, largest) = (smallest.min(exponent), largest.max(exponent));
        if bytes.iter().any(|byte| *byte > trits::MAX_BYTE) {
            return Err(MatrixFault::TritByte { row: index });
        }
        let padding = bytes.len() * trits::PER_BYTE - len;
        if bytes.last().is_some_and(|byte| !trits::padding_is_zero(*byte, trits::PER_BYTE - padding)) {
            return Err(MatrixFault::TritPadding { row: index, group });
        }
        if exponent != expected && empty.is_none() && bytes.iter().all(|byte| *byte == trits::ZERO_BYTE) {
            empty = Some(group);
        }
    }
    // Offsets: one of them is 0, an unused nibble is 0, no exponent exceeds int8.
    let unused = match row.encoding {
        ExponentEncoding::Offset4 if row.groups % 2 == 1 => row.exponents.last().map_or(0, |pair| pair >> 4),
        _ => 0,
    };
    if unused != 0 || smallest != expected || largest > i32::from(i8::MAX) {
        return Err(MatrixFault::ExponentOffsets { row: index });
    }
    // A group of zeros carries the smallest exponent.
    match empty {
        None => Ok((smallest, largest)),
        Some(group) => Err(MatrixFault::EmptyGroup { row: index, group }),
    }
}

fn check_row(index: usize, row: &Row<'_>, bias: i32, accumulators: Accumulators) -> Result<(), MatrixFault> {
    let (smallest, largest) = check_contents(index, row)?;
    let (unit, rounding) = match accumulators {
        Accumulators::PerRow { scale } => (smallest, rounding(scale - smallest)),
        Accumulators::Layer { exponent } if exponent > smallest => {
            return Err(MatrixFault::BelowOutputUnit { row: index });
        }
        Accumulators::Layer { exponent } => (exponent, 0),
    };
    // Counting every trit as non-zero, in the largest exponent, is enough for nearly every row; others are counted
    // exactly.
    if fits_int32(term(row.columns as u64, largest - unit), bias, rounding) {
        return Ok(());
    }
    let nonzero = |bytes: &[u8]| bytes.iter().map(|byte| usize::from(trits::NONZERO[usize::from(*byte)])).sum();
    let exact = row_magnitude(row.groups().map(|group| (nonzero(group.bytes), group.exponent)), unit);
    if fits_int32(exact, bias, rounding) { Ok(()) } else { Err(MatrixFault::Int32Bound { row: index }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_exact_at_its_edge() {
        // 2^31 − 1 = 128·16777215 + 127: one more unit of anything does not fit.
        assert!(fits_int32(128 * 16_777_215, 127, 0));
        assert!(!fits_int32(128 * 16_777_215, -128, 0));
        assert!(!fits_int32(128 * 16_777_215, 120, 8));
        assert!(fits_int32(0, i32::MAX, 0));
        assert!(!fits_int32(0, i32::MIN, 0));
    }

    #[test]
    fn magnitudes_saturate_instead_of_wrapping() {
        assert_eq!(row_magnitude([(1, 57), (0, 255)].into_iter(), 0), u64::MAX);
        assert_eq!(row_magnitude([(1, 56), (0, 255)].into_iter(), 0), 1 << 63);
        assert_eq!(row_magnitude([(1, 200)].into_iter(), -55), u64::MAX);
        assert_eq!(row_magnitude([(3, 2), (5, -1)].into_iter(), -1), 128 * 3 * 8 + 128 * 5);
        assert_eq!(row_magnitude([(3, 1), (5, -7)].into_iter(), 0), 128 * 3 * 2 + 128 * 5);
    }

    #[test]
    fn sums_of_the_longest_rows() {
        // 2^32 weights of magnitude 128, which 32 bits cannot count.
        assert_eq!([0, 17, 18].map(|shift| term(1 << 39, shift)), [1 << 46, 1 << 63, u64::MAX]);
        assert_eq!(term(0, 255), 0);
    }

    #[test]
    fn rounding_constants() {
        assert_eq!([0, 1, 2, 31, 32, -4].map(rounding), [0, 1, 2, 1 << 30, 0, 0]);
    }
}
