//! 27 sums of a byte's first three trits and 9 of its other two: for few rows, where 243 would not pay.
//!
//! As in a pair table the halves of a word belong to two bytes. Each of the two look-ups has its part of the bias, so that
//! every lower half stands for itself: 3·128 and 2·128.

use super::pair_table::half;
use super::{Inputs, Sums};

/// See the module.
pub(crate) struct SplitTable;

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

/// What the lower half is raised by and the upper one lowered, for this many trits.
pub(super) const fn bias(trits: i32, both: bool) -> i32 {
    let raised = 128 * trits;
    if both { raised - (raised << 16) } else { 0 }
}

/// From which both tables are filled by additions alone.
#[repr(C)]
pub(super) struct Steps {
    /// The first word of the one, and one more of each of its trits.
    pub(super) three: [i32; 4],
    /// The same of the other.
    pub(super) two: [i32; 3],
}

impl Steps {
    #[inline]
    pub(super) fn new(inputs: &Inputs, both: bool) -> Self {
        let [x0, x1, x2, x3, x4, y0, y1, y2, y3, y4] = inputs.map(i32::from);
        let pair = |x: i32, y: i32| x.wrapping_add(y << 16);
        let [a, b, c, d, e] = [pair(x0, y0), pair(x1, y1), pair(x2, y2), pair(x3, y3), pair(x4, y4)];
        let of_three = bias(3, both).wrapping_sub(a).wrapping_sub(b).wrapping_sub(c);
        Self { three: [of_three, a, b, c], two: [bias(2, both).wrapping_sub(d).wrapping_sub(e), d, e] }
    }
}

impl Sums for SplitTable {
    const WORDS: usize = THREE + TWO;
    const NAME: &'static str = "split-table";

    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool) {
        let Steps { three: [mut first, a, b, c], two: [first_of_two, d, e] } = Steps::new(inputs, both);
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
        let mut words = words;
        // A number of words to skip would be a product.
        for _ in 0..byte >> 1 {
            words = words.split_at_checked(Self::WORDS).map_or(&[], |(_, behind)| core::hint::black_box(behind));
        }
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
