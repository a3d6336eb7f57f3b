//! Two multiplications for five products: for few rows on cores that multiply and add in an instruction.
//!
//! The trits of a code lie as lanes in two words, the inputs as lanes in two others, in the opposite order, so that one
//! field of the product is a sum of products: with A = x0 + x1·2^11 + x2·2^22 and B = t2 + t1·2^11 + t0·2^22 the bits from
//! 22 on of A·B are x0·t0 + x1·t1 + x2·t2, once the fields below are rounded away; the same with two trits from bit 16 on.

#[cfg(test)]
use super::Sums;

/// See the module: what the assembly does, for tests.
#[cfg(test)]
pub(super) struct Lanes;

/// Rounds the fields below the first word's sum away.
pub(super) const ROUND_THREE: i32 = 1 << 21;

/// Rounds the field below the second word's sum away.
pub(super) const ROUND_TWO: i32 = 1 << 15;

/// The two words of every code; bytes that are no code stand for zeros.
pub(super) static TRITS: [[i32; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut code = 0;
    while code < 243 {
        let c = code as i32;
        let [t0, t1, t2, t3, t4] = [c % 3 - 1, c / 3 % 3 - 1, c / 9 % 3 - 1, c / 27 % 3 - 1, c / 81 - 1];
        table[code] = [t2 + t1 * (1 << 11) + t0 * (1 << 22), t4 + t3 * (1 << 16)];
        code += 1;
    }
    table
};

#[cfg(test)]
impl Sums for Lanes {
    const WORDS: usize = 4;
    const NAME: &'static str = "lanes";

    fn prepare(words: &mut [i32], inputs: &[i8; 10], _: bool) {
        for (words, inputs) in words.as_chunks_mut::<2>().0.iter_mut().zip(inputs.as_chunks::<5>().0) {
            let [x0, x1, x2, x3, x4] = inputs.map(i32::from);
            *words = [x0.wrapping_add(x1 << 11).wrapping_add(x2 << 22), x3.wrapping_add(x4 << 16)];
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        let [three, two] = TRITS[usize::from(code)];
        let input = |word: usize| words.get(word).copied().unwrap_or(0);
        let three = three.wrapping_mul(input(2 * byte)).wrapping_add(ROUND_THREE) >> 22;
        let two = two.wrapping_mul(input(2 * byte + 1)).wrapping_add(ROUND_TWO) >> 16;
        three + two
    }
}
