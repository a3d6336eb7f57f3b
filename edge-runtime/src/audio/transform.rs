//! The Fourier transform of complex numbers of 16 bits: M = 32 … 512 of them, in place.
//!
//! Decimation in time. Sequences of which every fourth element is taken are transformed first; with L = 1, 4, 16, … for
//! four transforms F₀ … F₃ of length L, W = e^(−2πi/4L), k = 0 … L − 1 and q = 0 … 3,
//!
//! ```text
//! F(k + qL) = (F₀(k) + (−i)^q·W^k·F₁(k) + (−1)^q·W^2k·F₂(k) + i^q·W^3k·F₃(k)) / 2^shift
//! ```
//!
//! Where M is no power of four, a first pass adds and subtracts pairs: sequences of two. Products have 32 bits, a factor
//! of 14; the sum is rounded once. Each pass takes away as many bits as it could add, or fewer where its input is small, so
//! that noise keeps the bits that a tone would need: [`shift_for`].
//!
//! Input comes in its natural order, output leaves in bit-reversed order: element `p` is that of frequency k, the bits of
//! p in reverse order. So the factors of a pass are a table's beginning, one for each block.
//!
//! **No overflow.** Where every input is at most 32,700 in magnitude, a pass sums up to 4·32,700·2^14 < 2^31 − 2^15, and a
//! pass that takes two bits away gives 32,700 at most, but for its rounding and that of the factors: less than 2 a pass.
//! The frame gives 32,668 at first, and there are five passes.

use super::twiddles::{ONE_BITS, QUARTER, TRIPLE, Twiddle};

/// Real and imaginary part; a word of memory holds them as they are.
pub(super) type Complex = [i16; 2];

/// Transforms in place; returns by how many bits the passes shifted in all. Lengths are powers of two, 32 ..= 512.
pub(super) fn transform(words: &mut [u32]) -> u32 {
    let mut exponent = if words.len().trailing_zeros().is_multiple_of(2) {
        first_pass_of_four(words);
        2
    } else {
        first_pass_of_two(words);
        1
    };
    let mut quarter = words.len() >> exponent >> 2;
    while quarter > 0 {
        let shift = shift_for(words);
        exponent += shift;
        match quarter {
            64 => pass::<64>(words, shift),
            16 => pass::<16>(words, shift),
            4 => pass::<4>(words, shift),
            _ => pass::<1>(words, shift),
        }
        quarter >>= 2;
    }
    exponent
}

/// How many bits a pass takes away: a sum of four is at most four times as large as its parts, and the magnitude of a complex
/// number at most √2 times its components'. 2^13·√2 and 2^12·√2·2 are 2^14.5 at most, after the shift.
fn shift_for(words: &[u32]) -> u32 {
    // Where a component's bit differs from the one below it; above a component's first such bit all are its sign. The lower
    // component's sign falls into the lowest bit of the upper one, which is not looked at.
    let changes = |word: u32| word ^ (word << 1);
    let mut bits = 0;
    for [a, b, c, d, e, f, g, h] in words.as_chunks().0 {
        bits |= changes(*a) | changes(*b) | changes(*c) | changes(*d);
        bits |= changes(*e) | changes(*f) | changes(*g) | changes(*h);
    }
    u32::from(bits & 0xE000_E000 != 0) + u32::from(bits & 0xC000_C000 != 0)
}

/// All elements in pairs, a half of the length apart; sum and difference are halved.
fn first_pass_of_two(words: &mut [u32]) {
    let Some((front, back)) = words.split_at_mut_checked(words.len() / 2) else { return };
    for (a, b) in front.iter_mut().zip(back) {
        let ([a_re, a_im], [b_re, b_im]) = (parts(*a), parts(*b));
        *a = word((a_re + b_re + 1) >> 1, (a_im + b_im + 1) >> 1);
        *b = word((a_re - b_re + 1) >> 1, (a_im - b_im + 1) >> 1);
    }
}

/// All elements in fours; every factor is 1.
fn first_pass_of_four(words: &mut [u32]) {
    let quarter = words.len() / 4;
    let mut quarters = words.chunks_exact_mut(quarter.max(1));
    let mut next = || quarters.next().unwrap_or_default();
    let (a, b, c, d) = (next(), next(), next(), next());
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        butterfly([a, b, c, d], [ONE; 3], 2);
    }
}

/// The factor 1.
const ONE: Twiddle = [1 << ONE_BITS, 0];

/// A pass over blocks of four quarters of Q elements. Blocks come in pairs: the second one's factors follow from the first
/// one's, or stand behind them.
#[inline(never)]
fn pass<const Q: usize>(words: &mut [u32], shift: u32) {
    let (pairs, triples) = (QUARTER.as_chunks().0, TRIPLE.as_chunks().0);
    let quarters = words.as_chunks_mut::<Q>().0;
    for ((([a, b, c, d, e, f, g, h], square), [even, odd]), [even_cube, odd_cube]) in
        quarters.as_chunks_mut().0.iter_mut().zip(&QUARTER).zip(pairs).zip(triples)
    {
        block([a, b, c, d], [*even, *square, *even_cube], shift);
        let [cos, sin] = *square;
        block([e, f, g, h], [*odd, [-sin, cos], *odd_cube], shift);
    }
}

#[inline(always)]
fn block<const Q: usize>([a, b, c, d]: [&mut [u32; Q]; 4], factors: [Twiddle; 3], shift: u32) {
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        butterfly([a, b, c, d], factors, shift);
    }
}

/// Four elements of one block's four quarters: the transforms F₀, F₂, F₁, F₃ in bit-reversed order, and so is the output.
#[inline(always)]
fn butterfly([a, b, c, d]: [&mut u32; 4], [beta, alpha, gamma]: [Twiddle; 3], shift: u32) {
    let down = ONE_BITS + shift;
    let half = (1 << down) >> 1;
    let ([b_re, b_im], [d_re, d_im]) = (product(*b, beta), product(*d, gamma));
    let (sum_re, sum_im) = (b_re + d_re, b_im + d_im);
    let (difference_re, difference_im) = (b_re - d_re, b_im - d_im);
    let ([a_re, a_im], [c_re, c_im]) = (parts(*a), product(*c, alpha));
    let (a_re, a_im) = ((a_re << ONE_BITS) + half, (a_im << ONE_BITS) + half);
    let (even_re, even_im) = (a_re + c_re, a_im + c_im);
    *a = word((even_re + sum_re) >> down, (even_im + sum_im) >> down);
    *b = word((even_re - sum_re) >> down, (even_im - sum_im) >> down);
    let (odd_re, odd_im) = (a_re - c_re, a_im - c_im);
    *c = word((odd_re + difference_im) >> down, (odd_im - difference_re) >> down);
    *d = word((odd_re - difference_im) >> down, (odd_im + difference_re) >> down);
}

/// (re + i·im)·(cos − i·sin), in units of 2^−14.
#[inline(always)]
fn product(word: u32, [cos, sin]: Twiddle) -> [i32; 2] {
    let [re, im] = parts(word);
    let (cos, sin) = (i32::from(cos), i32::from(sin));
    [re * cos + im * sin, im * cos - re * sin]
}

/// Real and imaginary part of a word.
#[inline(always)]
pub(super) fn parts(word: u32) -> [i32; 2] {
    let [re, im]: Complex = bytemuck::cast(word);
    [re.into(), im.into()]
}

/// The word of two parts that fit 16 bits.
#[inline(always)]
fn word(re: i32, im: i32) -> u32 {
    bytemuck::cast([re as i16, im as i16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::sine::sin_cos;
    use std::vec::Vec;

    fn transformed(input: &[Complex]) -> (Vec<Complex>, u32) {
        let mut words: Vec<u32> = input.iter().map(|value| bytemuck::cast(*value)).collect();
        let exponent = transform(&mut words);
        (words.into_iter().map(bytemuck::cast).collect(), exponent)
    }

    /// Largest distance of a component from the exact transform's, in units of the output, and the largest component.
    fn error(input: &[Complex]) -> [f64; 2] {
        let length = input.len();
        let (values, exponent) = transformed(input);
        let unit = f64::from(exponent).exp2();
        let bits = length.trailing_zeros();
        let circle: Vec<(f64, f64)> = (0..length).map(|n| sin_cos(-(n as f64) / length as f64)).collect();
        let mut worst = [0.0f64; 2];
        for (p, [re, im]) in values.iter().enumerate() {
            let k = p.reverse_bits() >> (usize::BITS - bits);
            let (mut x, mut y) = (0.0, 0.0);
            for (n, [a, b]) in input.iter().enumerate() {
                let (sin, cos) = circle[n * k % length];
                x += f64::from(*a) * cos - f64::from(*b) * sin;
                y += f64::from(*a) * sin + f64::from(*b) * cos;
            }
            for (exact, found) in [(x / unit, re), (y / unit, im)] {
                worst = [worst[0].max((exact - f64::from(*found)).abs()), worst[1].max(exact.abs())];
            }
        }
        worst
    }

    fn sequences(length: usize) -> Vec<Vec<Complex>> {
        const L: i16 = super::super::window::LARGEST as i16;
        let mut random = 1u32;
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as u16 as i16
        };
        let mut sequences: Vec<Vec<Complex>> =
            std::vec![std::vec![[L, L]; length], std::vec![[-L, L]; length], std::vec![[0, 0]; length],];
        // Tones at full scale, of 32 frequencies: what makes every pass shift by two.
        for k in (0..32).map(|tone| tone * (length / 32) + tone % (length / 32)) {
            let tone = |n: usize| {
                let (sin, cos) = sin_cos((n * k % length) as f64 / length as f64 + 0.11);
                [cos, sin]
                    .map(|value| (value * std::f64::consts::SQRT_2 * f64::from(L)).clamp((-L).into(), L.into()) as i16)
            };
            sequences.push((0..length).map(tone).collect());
        }
        // An impulse at full scale in noise of every size: passes shift by less.
        for shift in 0..15 {
            let mut noise: Vec<Complex> =
                (0..length).map(|_| [next(), next()].map(|value| (value >> shift).clamp(-L, L))).collect();
            noise[length / 3] = [L, -L];
            sequences.push(noise);
        }
        sequences
    }

    #[test]
    fn is_the_transform_of_floating_point() {
        for length in [32, 64, 128, 256, 512] {
            for (number, sequence) in sequences(length).iter().enumerate() {
                let [error, largest] = error(sequence);
                // Tones keep all bits. Where noise is too small for the first pass to keep its fractions, they are lost,
                // and rounding halves up is as good as a constant: most of the error is that of frequency 0.
                let promised = if number < 35 { 1.5 } else { 1.5f64.max(largest / 128.0) };
                assert!(error <= promised, "{length}, {number}: {error} of {largest}");
            }
        }
    }

    #[test]
    fn noise_keeps_bits_that_a_tone_gives_up() {
        // Noise grows by √2 where a tone grows by 2: it is shifted by fewer bits than the length has.
        for (length, noise, quieter) in [(32, 5, 5), (64, 6, 5), (128, 7, 6), (256, 7, 6), (512, 8, 7)] {
            let sequences = sequences(length);
            let exponent = |sequence: &[Complex]| transformed(sequence).1;
            assert_eq!(exponent(&sequences[5]), length.trailing_zeros(), "{length}");
            assert_eq!([&sequences[35], &sequences[36]].map(|it| exponent(it)), [noise, quieter], "{length}");
        }
    }
}
