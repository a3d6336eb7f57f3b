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
    // Only the last group may be short, and its padding differ from that of all others.
    let bytes = row.group_bytes;
    let (full, last) = trits.split_at_checked((row.groups - 1) * bytes)?;
    let used = |len: usize| (len - 1) % PER_BYTE + 1;
    let (used_of_full, used_of_last) = (used(row.group.get()), used(row.columns - (row.groups - 1) * row.group.get()));
    let is_right = |index: usize, group: &[u8], used: usize| {
        let is_padded = group.last().is_some_and(|byte| trits::padding_is_zero(*byte, used));
        let is_empty = group.iter().all(|byte| *byte == trits::ZERO_BYTE);
        is_padded && (!is_empty || row.group(index).exponent == smallest)
    };
    let mut groups = full.chunks_exact(bytes).enumerate();
    let holds = groups.all(|(index, group)| is_right(index, group, used_of_full))
        && is_right(row.groups - 1, last, used_of_last);
    holds.then_some((smallest, largest))
}

/// The smallest and the largest exponent, where they follow the rules of their encoding.
fn extremes(row: &Row<'_>) -> Option<(i32, i32)> {
    match row.encoding {
        ExponentEncoding::Int8 => {
            // With the sign turned over, bytes are in the order of the numbers.
            let (smallest, largest) = limits(row.exponents, |byte| byte ^ 128);
            Some((i32::from(smallest) - 128, i32::from(largest) - 128))
        }
        ExponentEncoding::Offset4 => {
            let (pairs, single) = row.exponents.split_at_checked(row.groups / 2)?;
            let (low, high) = (limits(pairs, |pair| pair & 15), limits(pairs, |pair| pair >> 4));
            // Its upper half, which no group uses, is 0: else the byte is larger than any offset.
            let single = limits(single, |offset| offset);
            let smallest = low.0.min(high.0).min(single.0);
            let largest = i32::from(row.base) + i32::from(low.1.max(high.1).max(single.1));
            let fits = smallest == 0 && single.1 < 16 && largest <= i32::from(i8::MAX);
            fits.then_some((row.base.into(), largest))
        }
        ExponentEncoding::Offset8 => None,
    }
}

/// The smallest and the largest of what `number` makes of the bytes. Unsigned bytes: every vector unit compares those.
fn limits(bytes: &[u8], number: impl Fn(u8) -> u8) -> (u8, u8) {
    let numbers = bytes.iter().map(|byte| number(*byte));
    numbers.fold((u8::MAX, 0), |(smallest, largest), number| (smallest.min(number), largest.max(number)))
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

    /// One row of zeros in three groups, the last one short, with any exponents behind it.
    fn check(group: GroupSize, encoding: u8, change: impl Fn(&mut [u8], &mut [u8])) -> bool {
        let columns = 3 * group.get() - 1;
        let mut trits = std::vec![trits::ZERO_BYTE; group.row_bytes(columns)];
        // Int8, or a base and three offsets.
        let mut exponents = std::vec![0; 3];
        change(&mut trits, &mut exponents);
        let offset = trits.len() as u32;
        let record = MatrixRecord {
            rows: 1,
            columns: columns as u32,
            group: group.get() as u8,
            encoding,
            layout: 0,
            trits: 0,
            exponents: offset,
        };
        let weights = [trits, exponents].concat();
        let matrix = record.view(&weights).unwrap();
        let first = matrix.row(0).unwrap();
        let expected = check_groups(0, &first).ok();
        assert_eq!(row(&first), expected, "{weights:?} in groups of {group}");
        expected.is_some()
    }

    #[test]
    fn every_byte_in_every_place() {
        let mut right = 0;
        for group in GroupSize::ALL {
            for place in 0..3 * group.bytes() {
                for byte in 0..=255 {
                    let change = |trits: &mut [u8]| {
                        if let Some(trit) = trits.get_mut(place) {
                            *trit = byte;
                        }
                    };
                    right += usize::from(check(group, 0, |trits, _| change(trits)));
                    // With an exponent of its own in the first group or the last one, which both may be empty.
                    check(group, 0, |trits, exponents| {
                        change(trits);
                        exponents[place % 3] = 1;
                    });
                }
            }
            for place in 0..3 {
                for byte in 0..=255 {
                    for encoding in 0..2 {
                        for trit in [0, 1] {
                            let change = |trits: &mut [u8], exponents: &mut [u8]| {
                                trits.iter_mut().step_by(group.bytes()).for_each(|byte| *byte += trit);
                                exponents[place] = byte;
                            };
                            right += usize::from(check(group, encoding, change));
                        }
                    }
                }
            }
        }
        assert!(right > 10_000, "{right}");
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
