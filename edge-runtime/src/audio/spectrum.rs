//! The power spectrum of real samples, from the transform of half as many complex ones.
//!
//! With samples 2n and 2n + 1 as real and imaginary part of z(n), Z its transform of length M and N = 2M,
//!
//! ```text
//! 2E = Z(k) + Z*(M − k),   2O = (Z(k) − Z*(M − k)) / i,   X(k) = E + W^k·O,   X(M − k) = E* − (W^k·O)*,   W = e^(−2πi/N)
//! ```
//!
//! Both are rounded to integers, in units of the transform's output, and squared: at most 46,300², which fits 31 bits. A
//! frequency k and M − k lie side by side in bit-reversed order: the block of positions 2^m … 2^(m+1) − 1 holds pairs that
//! are mirrored at its middle, and its even positions are those of k < M/2.

use super::transform::parts;
use super::twiddles::{ONE_BITS, QUARTER, Twiddle};

/// Puts the powers in place of the transform: position p is that of frequency k, the bits of p in reverse order. Frequency
/// 0, at position 0, is left as it is: no band begins there.
pub(super) fn powers(words: &mut [u32]) {
    // Frequency M/2, whose factor is −i: X is Z's complex conjugate.
    if let Some(word) = words.get_mut(1) {
        let [re, im] = parts(*word);
        *word = power(re, im);
    }
    let mut start = 2;
    while let (Some(block), Some(factors)) = (words.get_mut(start..2 * start), QUARTER.get(start / 2..start)) {
        pairs(block, factors);
        start *= 2;
    }
}

/// One block of positions: the factors are those of its even ones.
fn pairs(block: &mut [u32], factors: &[Twiddle]) {
    let (block, _) = block.as_chunks_mut::<2>();
    if let ([[even, odd]], [factor]) = (&mut *block, factors) {
        pair(even, odd, *factor);
        return;
    }
    let middle = block.len() / 2;
    let Some((front, back)) = block.split_at_mut_checked(middle) else { return };
    let Some((rising, falling)) = factors.split_at_checked(middle) else { return };
    for ((([even, odd], [mirrored_even, mirrored_odd]), factor), mirrored_factor) in
        front.iter_mut().zip(back.iter_mut().rev()).zip(rising).zip(falling.iter().rev())
    {
        pair(even, mirrored_odd, *factor);
        pair(mirrored_even, odd, *mirrored_factor);
    }
}

/// Frequencies k, whose factor is given, and M − k.
#[inline(always)]
fn pair(word: &mut u32, mirrored: &mut u32, [cos, sin]: Twiddle) {
    let ([re, im], [mirrored_re, mirrored_im]) = (parts(*word), parts(*mirrored));
    let (cos, sin) = (i32::from(cos), i32::from(sin));
    const DOWN: u32 = ONE_BITS + 1;
    const HALF: i32 = 1 << ONE_BITS;
    let (even_re, even_im) = (((re + mirrored_re) << ONE_BITS) + HALF, ((im - mirrored_im) << ONE_BITS) + HALF);
    let (odd_re, odd_im) = (im + mirrored_im, mirrored_re - re);
    let (turned_re, turned_im) = (odd_re * cos + odd_im * sin, odd_im * cos - odd_re * sin);
    *word = power((even_re + turned_re) >> DOWN, (even_im + turned_im) >> DOWN);
    // Its sign is lost in the square.
    *mirrored = power((even_re - turned_re) >> DOWN, (even_im - turned_im) >> DOWN);
}

#[inline(always)]
fn power(re: i32, im: i32) -> u32 {
    (re * re + im * im) as u32
}
