//! int8 weights as sums and differences of powers of two: no multiplication, and the same lists as for trits.
//!
//! Of all ways to write a number in digits −1, 0 and 1 the non-adjacent form has the fewest that are not 0, a third of them on
//! average and half at most. Each digit is a column at the level of its power of two.

use super::records::{Chain, Columns, Counts};
use trishift_format::Int8Row;

/// Most digits of an int8 that are not 0.
pub(super) const MOST_DIGITS: usize = 4;

/// Digits of an int8: −128 is −2^7, and 127 is 2^7 − 1.
const DIGITS: u32 = 8;

/// A row of int8 weights whose sums have this unit.
pub(super) struct Int8Columns<'a> {
    pub(super) row: Int8Row<'a>,
    pub(super) unit: i32,
}

impl Int8Columns<'_> {
    /// The level of the lowest digit: in 0..24 by the int32 bound, but for rows of zeros.
    fn lowest(&self) -> u32 {
        (self.row.exponent - self.unit).clamp(0, 23).unsigned_abs()
    }
}

impl Columns for Int8Columns<'_> {
    fn count(&self, counts: &mut Counts) {
        for value in self.row.values {
            let [added, subtracted] = digits(*value as i8);
            for digit in 0..DIGITS {
                counts.add(self.lowest() + digit, usize::from((added | subtracted) >> digit & 1));
            }
        }
    }

    fn add(&self, level: u32, _: usize, chain: &mut Chain<'_>) {
        let Some(digit) = level.checked_sub(self.lowest()) else { return };
        for (column, value) in self.row.values.iter().enumerate() {
            let [added, subtracted] = digits(*value as i8).map(|digits| digits >> digit & 1 == 1);
            if added || subtracted {
                chain.make_room(1);
                chain.push(column, subtracted);
            }
        }
    }
}

/// The digits of a value's non-adjacent form: a bit for each 1, a bit for each −1.
fn digits(value: i8) -> [u16; 2] {
    let magnitude = u16::from(value.unsigned_abs());
    let (half, sum) = (magnitude >> 1, magnitude + (magnitude >> 1));
    let differ = half ^ sum;
    let (ones, minus_ones) = (sum & differ, half & differ);
    if value < 0 { [minus_ones, ones] } else { [ones, minus_ones] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_make_the_value() {
        for value in i8::MIN..=i8::MAX {
            let [ones, minus_ones] = digits(value);
            assert_eq!(i32::from(ones) - i32::from(minus_ones), i32::from(value));
            let all = ones | minus_ones;
            assert_eq!((all & all << 1, ones & minus_ones, all >> DIGITS), (0, 0, 0), "{value}");
            assert!(all.count_ones() as usize <= MOST_DIGITS);
        }
    }
}
