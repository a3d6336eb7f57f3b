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

/// Real and imaginary part.
pub(super) type Complex = [i16; 2];

/// Transforms in place; returns by how many bits the passes shifted in all. Lengths are powers of two, 32 ..= 512.
pub(super) fn transform(values: &mut [Complex]) -> u32 {
    let (mut exponent, mut magnitude) = if values.len().trailing_zeros().is_multiple_of(2) {
        (2, first_pass_of_four(values))
    } else {
        (1, first_pass_of_two(values))
    };
    let mut blocks = 1usize << exponent;
    loop {
        let shift = shift_for(magnitude);
        exponent += shift;
        // Elements of a block's quarter.
        let quarter = values.len() / (4 * blocks);
        if quarter <= 1 {
            last_pass(values, shift);
            return exponent;
        }
        magnitude = pass(values, quarter, shift);
        blocks *= 4;
    }
}

/// How many bits a pass takes away after one whose components were below the next power of two above `magnitude`: a sum of
/// four is at most four times as large, and the magnitude of a complex number at most √2 times its components'.
fn shift_for(magnitude: i32) -> u32 {
    // 2^13·√2 and 2^12·√2·4 are 2^14.5 at most, after the shift.
    u32::from(magnitude >= 1 << 12) + u32::from(magnitude >= 1 << 13)
}

/// Bits that a component needs: joined by `|`, they are those that the largest of many needs.
#[inline(always)]
fn bits(component: i32) -> i32 {
    component ^ (component >> 31)
}

/// All elements in pairs, a half of the length apart; sum and difference are halved.
fn first_pass_of_two(values: &mut [Complex]) -> i32 {
    let (front, back) = values.split_at_mut(values.len() / 2);
    let mut magnitude = 0;
    for (a, b) in front.iter_mut().zip(back) {
        for (a, b) in a.iter_mut().zip(b) {
            let (x, y) = (i32::from(*a), i32::from(*b));
            let (sum, difference) = ((x + y + 1) >> 1, (x - y + 1) >> 1);
            magnitude |= bits(sum) | bits(difference);
            (*a, *b) = (sum as i16, difference as i16);
        }
    }
    magnitude
}

/// All elements in fours; every factor is 1.
fn first_pass_of_four(values: &mut [Complex]) -> i32 {
    const ONE: Twiddle = [1 << ONE_BITS, 0];
    let quarter = values.len() / 4;
    block(values, quarter, [ONE; 3], 2)
}

/// A pass over blocks of four quarters; returns the bits of its output.
#[inline(never)]
fn pass(values: &mut [Complex], quarter: usize, shift: u32) -> i32 {
    let mut magnitude = 0;
    let (pairs, triples) = (QUARTER.as_chunks().0, TRIPLE.as_chunks().0);
    for (((blocks, square), [even, odd]), [even_cube, odd_cube]) in
        values.chunks_exact_mut(8 * quarter).zip(&QUARTER).zip(pairs).zip(triples)
    {
        let Some((first, second)) = blocks.split_at_mut_checked(4 * quarter) else { continue };
        magnitude |= block(first, quarter, [*even, *square, *even_cube], shift);
        magnitude |= block(second, quarter, [*odd, turned(*square), *odd_cube], shift);
    }
    magnitude
}

/// The last pass: blocks of four elements.
#[inline(never)]
fn last_pass(values: &mut [Complex], shift: u32) {
    let (pairs, triples) = (QUARTER.as_chunks().0, TRIPLE.as_chunks().0);
    for ((([a, b, c, d, e, f, g, h], square), [even, odd]), [even_cube, odd_cube]) in
        values.as_chunks_mut().0.iter_mut().zip(&QUARTER).zip(pairs).zip(triples)
    {
        butterfly([a, b, c, d], [*even, *square, *even_cube], shift);
        butterfly([e, f, g, h], [*odd, turned(*square), *odd_cube], shift);
    }
}

/// A factor times −i: that of the odd block beside an even one.
#[inline(always)]
fn turned([cos, sin]: Twiddle) -> Twiddle {
    [-sin, cos]
}

#[inline(always)]
fn block(values: &mut [Complex], quarter: usize, factors: [Twiddle; 3], shift: u32) -> i32 {
    let mut magnitude = 0;
    let (front, back) = values.split_at_mut(2 * quarter);
    let (a, b) = front.split_at_mut(quarter);
    let (c, d) = back.split_at_mut(quarter);
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        magnitude |= butterfly([a, b, c, d], factors, shift);
    }
    magnitude
}

/// Four elements of one block's four quarters: the transforms F₀, F₂, F₁, F₃ in bit-reversed order, and so is the output.
#[inline(always)]
fn butterfly([a, b, c, d]: [&mut Complex; 4], [beta, alpha, gamma]: [Twiddle; 3], shift: u32) -> i32 {
    let [b_re, b_im] = product(*b, beta);
    let [c_re, c_im] = product(*c, alpha);
    let [d_re, d_im] = product(*d, gamma);
    let down = ONE_BITS + shift;
    let half = (1 << down) >> 1;
    let [a_re, a_im] = a.map(|component| (i32::from(component) << ONE_BITS) + half);

    let (even_re, even_im) = (a_re + c_re, a_im + c_im);
    let (odd_re, odd_im) = (b_re + d_re, b_im + d_im);
    let mut magnitude = 0;
    let mut store = |element: &mut Complex, re: i32, im: i32| {
        let (re, im) = (re >> down, im >> down);
        magnitude |= bits(re) | bits(im);
        *element = [re as i16, im as i16];
    };
    store(a, even_re + odd_re, even_im + odd_im);
    store(b, even_re - odd_re, even_im - odd_im);
    let (even_re, even_im) = (a_re - c_re, a_im - c_im);
    let (odd_re, odd_im) = (b_re - d_re, b_im - d_im);
    store(c, even_re + odd_im, even_im - odd_re);
    store(d, even_re - odd_im, even_im + odd_re);
    magnitude
}

/// (re + i·im)·(cos − i·sin), in units of 2^−14.
#[inline(always)]
fn product([re, im]: Complex, [cos, sin]: Twiddle) -> [i32; 2] {
    let [re, im, cos, sin] = [re, im, cos, sin].map(i32::from);
    [re * cos + im * sin, im * cos - re * sin]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;
    use std::vec::Vec;

    /// Largest distance of a component from the exact transform's, in units of the output, and the largest component.
    fn error(input: &[Complex]) -> [f64; 2] {
        let length = input.len();
        let mut values = input.to_vec();
        let unit = f64::from(transform(&mut values)).exp2();
        let bits = length.trailing_zeros();
        let mut worst = [0.0f64; 2];
        for (p, [re, im]) in values.iter().enumerate() {
            let k = p.reverse_bits() >> (usize::BITS - bits);
            let (mut x, mut y) = (0.0, 0.0);
            for (n, [a, b]) in input.iter().enumerate() {
                let (sin, cos) = (-TAU * (n * k % length) as f64 / length as f64).sin_cos();
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
        // Tones at full scale, of every frequency: what makes every pass shift by two.
        for k in 0..length {
            let tone = |n: usize| {
                let (sin, cos) = (TAU * (n * k % length) as f64 / length as f64 + 0.7).sin_cos();
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
                let promised = if number < length + 3 { 1.5 } else { 1.5f64.max(largest / 128.0) };
                assert!(error <= promised, "{length}, {number}: {error} of {largest}");
            }
        }
    }

    #[test]
    fn noise_keeps_bits_that_a_tone_gives_up() {
        // Noise grows by √2 where a tone grows by 2: it is shifted by fewer bits than the length has.
        for (length, noise, quieter) in [(32, 5, 5), (64, 6, 5), (128, 7, 6), (256, 7, 6), (512, 8, 7)] {
            let sequences = sequences(length);
            let exponent = |sequence: &[Complex]| transform(&mut sequence.to_vec());
            assert_eq!(exponent(&sequences[5]), length.trailing_zeros(), "{length}");
            assert_eq!(
                [&sequences[length + 3], &sequences[length + 4]].map(|it| exponent(it)),
                [noise, quieter],
                "{length}"
            );
        }
    }
}
