//! All 243 sums of two bytes: for many rows.
//!
//! Word c holds the sum that the code c stands for: of the first byte's inputs in its lower half, of the second's in its
//! upper half. Both are summed at once, as one integer; so that the lower one never borrows from the upper one, it is
//! raised by 640 = 5·128 and the upper one lowered by as much: over both bytes that cancels out, and a group's sum needs
//! no correction. A first byte without a second is not raised: its lower half is read as a signed number.

use super::Sums;

/// See the module.
pub(super) struct PairTable;

/// 640 up in the lower half, 640 down in the upper one.
pub(super) const BIAS: i32 = 640 - (640 << 16);

/// Words written: one for each code.
const CODES: usize = 243;

impl Sums for PairTable {
    const WORDS: usize = 256;
    const NAME: &'static str = "pair-table";

    fn prepare(words: &mut [i32], inputs: &[i8; 10], both: bool) {
        let [a, b, c, d, e] = pairs(inputs);
        let bias = if both { BIAS } else { 0 };
        // The sum of code 0: every trit −1.
        let first = [a, b, c, d, e].iter().fold(bias, |sum, pair| sum.wrapping_sub(*pair));
        // Codes count in base 3, so most steps are those of the lowest digits. From the last code before a carry into the
        // fourth trit to the next one, and into the fifth:
        let fourth = d.wrapping_sub(c << 1);
        let fifth = e.wrapping_sub(d << 1).wrapping_sub(c << 1);
        // The nine sums of the first two trits, which the others move together.
        let mut nine = [first; 9];
        let mut next = first;
        for three in nine.as_chunks_mut::<3>().0 {
            *three = [next, next.wrapping_add(a), next.wrapping_add(a << 1)];
            next = next.wrapping_add(b);
        }
        let words = words.get_mut(..CODES).unwrap_or(&mut []);
        for (run, words) in words.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            *words = nine;
            let step = match run {
                8 | 17 => fifth,
                2 | 5 | 11 | 14 | 20 | 23 => fourth,
                _ => c,
            };
            nine = nine.map(|sum| sum.wrapping_add(step));
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        let word = words.get((byte >> 1 << 8) + usize::from(code)).copied().unwrap_or(0);
        half(word, byte)
    }
}

/// Both bytes' inputs of each trit as the halves of a word.
pub(super) fn pairs(inputs: &[i8; 10]) -> [i32; 5] {
    let [x0, x1, x2, x3, x4, y0, y1, y2, y3, y4] = inputs.map(i32::from);
    let pair = |x: i32, y: i32| x.wrapping_add(y << 16);
    [pair(x0, y0), pair(x1, y1), pair(x2, y2), pair(x3, y3), pair(x4, y4)]
}

/// The first byte's half of a word, or the second's.
pub(super) fn half(word: i32, byte: usize) -> i32 {
    if byte & 1 == 0 { i32::from(word as i16) } else { word >> 16 }
}
