//! 27 sums of a byte's first three trits and 9 of its other two: for few rows, where 243 would not pay.
//!
//! As in a pair table the halves of a word belong to two bytes. Each of the two look-ups has its part of the bias, so that
//! every lower half stands for itself: 384 = 3·128.

use super::Sums;
use super::pair_table::{half, pairs};

/// See the module.
pub(super) struct SplitTable;

/// Words for the first three trits.
const THREE: usize = 27;

/// Words for the other two.
const TWO: usize = 9;

/// Where a code's two words stand, as offsets in bytes: those of the first three trits, and 256 places on of the others.
/// Bytes that are no code name the first word.
pub(super) static PLACES: [u8; 512] = {
    let mut places = [0; 512];
    let mut code = 0;
    while code < 243 {
        places[code] = (4 * (code % THREE)) as u8;
        places[256 + code] = (4 * (THREE + code / THREE)) as u8;
        code += 1;
    }
    places
};

/// What each of the two words raises the lower half by and lowers the upper one.
pub(super) const BIAS: i32 = 384 - (384 << 16);

impl Sums for SplitTable {
    const WORDS: usize = THREE + TWO;
    const NAME: &'static str = "split-table";

    fn prepare(words: &mut [i32], inputs: &[i8; 10], both: bool) {
        let [a, b, c, d, e] = pairs(inputs);
        let bias = if both { BIAS } else { 0 };
        let mut first = bias.wrapping_sub(a).wrapping_sub(b).wrapping_sub(c);
        let first_of_two = bias.wrapping_sub(d).wrapping_sub(e);
        let Some((three, two)) = words.split_at_mut_checked(THREE) else { return };
        for nine in three.as_chunks_mut::<9>().0 {
            fill(nine, first, a, b);
            first = first.wrapping_add(c);
        }
        for nine in two.as_chunks_mut::<9>().0 {
            fill(nine, first_of_two, d, e);
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        let code = usize::from(code);
        let words = words.get(Self::WORDS * (byte >> 1)..).unwrap_or(&[]);
        let look_up = |place: usize| {
            let word = usize::from(PLACES.get(place).copied().unwrap_or(0) >> 2);
            half(words.get(word).copied().unwrap_or(0), byte)
        };
        look_up(code) + look_up(256 + code)
    }
}

/// The nine sums of two trits.
fn fill(nine: &mut [i32; 9], first: i32, low: i32, high: i32) {
    let mut next = first;
    for three in nine.as_chunks_mut::<3>().0 {
        *three = [next, next.wrapping_add(low), next.wrapping_add(low << 1)];
        next = next.wrapping_add(high);
    }
}
