//! A quick look at a row, on machines where files are large and code is cheap: most rows are as they must be, and that can
//! be seen without taking every group apart.

use crate::exponents::ExponentEncoding;
use crate::layout::Layout;
use crate::matrix::Row;
use crate::trits::{self, PER_BYTE};

/// The smallest and the largest exponent of a row that is as it must be. `None` where it is not, or cannot be told here:
/// `bound::check_groups` knows.
pub(crate) fn row(row: &Row<'_>) -> Option<(i32, i32)> {
    let trits = row.contiguous().filter(|trits| !trits.is_empty())?;
    let (smallest, largest) = extremes(row)?;
    if trits.iter().fold(0, |max: u8, byte| max.max(*byte)) > trits::MAX_BYTE {
        return None;
    }
    let bytes = row.group.bytes();
    // Only the last group's padding may differ from that of all others.
    let (full, last) = trits.split_at_checked((row.groups - 1) * bytes)?;
    let is_padded = |group: &[u8], len: usize| {
        group.last().is_some_and(|byte| trits::padding_is_zero(*byte, (len - 1) % PER_BYTE + 1))
    };
    let padded = full.chunks_exact(bytes).fold(true, |padded, group| padded & is_padded(group, row.group.get()));
    if !padded || !is_padded(last, row.columns - (row.groups - 1) * row.group.get()) {
        return None;
    }
    let is_empty = |group: &[u8]| group.iter().all(|byte| *byte == trits::ZERO_BYTE);
    let mut groups = trits.chunks(bytes).enumerate().filter(|(_, group)| is_empty(group));
    groups.all(|(group, _)| row.group(group).exponent == smallest).then_some((smallest, largest))
}

/// The smallest and the largest exponent, where they follow the rules of their encoding.
fn extremes(row: &Row<'_>) -> Option<(i32, i32)> {
    let limits = |bytes: &[u8], low: fn(u8) -> i8, high: fn(u8) -> i8| {
        bytes.iter().fold((i8::MAX, i8::MIN), |(smallest, largest), byte| {
            (smallest.min(low(*byte)).min(high(*byte)), largest.max(low(*byte)).max(high(*byte)))
        })
    };
    match row.encoding {
        ExponentEncoding::Int8 => {
            let (smallest, largest) = limits(row.exponents, |byte| byte as i8, |byte| byte as i8);
            Some((smallest.into(), largest.into()))
        }
        ExponentEncoding::Offset4 => {
            let (pairs, single) = row.exponents.split_at_checked(row.groups / 2)?;
            let (mut smallest, mut largest) = limits(pairs, |pair| (pair & 15) as i8, |pair| (pair >> 4) as i8);
            for offset in single {
                // Its upper half, which no group uses, is 0: else the byte is larger than any offset.
                (smallest, largest) = (smallest.min(*offset as i8), largest.max(*offset as i8));
            }
            let largest = i32::from(row.base) + i32::from(largest);
            let fits = smallest == 0 && single.iter().all(|offset| *offset < 16) && largest <= i32::from(i8::MAX);
            fits.then_some((row.base.into(), largest))
        }
        ExponentEncoding::Offset8 => None,
    }
}

impl<'a> Row<'a> {
    /// All trit bytes of the row, where they lie together.
    const fn contiguous(&self) -> Option<&'a [u8]> {
        match self.layout {
            Layout::Rows => Some(self.trits),
            Layout::Groups => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::GroupSize;
    use crate::bound::check_groups;
    use crate::matrix::MatrixRecord;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Bytes of trits and of exponents that are right more often than not.
    fn matrix() -> impl Strategy<Value = (u8, u8, u32, Vec<u8>)> {
        let group = proptest::sample::select(&GroupSize::ALL[..]);
        (group, 0u8..2, 1u32..200).prop_flat_map(|(group, encoding, columns)| {
            let byte = prop_oneof![20 => Just(trits::ZERO_BYTE), 20 => Just(118), 20 => Just(124), 1 => any::<u8>()];
            let exponent = prop_oneof![10 => Just(0u8), 5 => Just(16), 5 => Just(1), 1 => any::<u8>()];
            let groups = group.count(columns as usize);
            let bytes = group.row_bytes(columns as usize);
            let exponents = if encoding == 0 { groups } else { 1 + groups.div_ceil(2) };
            let weights = (proptest::collection::vec(byte, bytes), proptest::collection::vec(exponent, exponents));
            let weights = weights.prop_map(|(trits, exponents)| [trits, exponents].concat());
            (Just(group.get() as u8), Just(encoding), Just(columns), weights)
        })
    }

    proptest! {
        #[test]
        fn sees_what_the_walk_over_groups_finds((group, encoding, columns, weights) in matrix()) {
            let trits = GroupSize::new(group.into()).unwrap().row_bytes(columns as usize) as u32;
            let record = MatrixRecord { rows: 1, columns, group, encoding, layout: 0, trits: 0, exponents: trits };
            let matrix = record.view(&weights).unwrap();
            let first = matrix.row(0).unwrap();
            prop_assert_eq!(row(&first), check_groups(0, &first).ok());
        }
    }
}
