//! Softmax: a sample's elements x become shares of 1, `2^(x·log₂ e)` over the sum of them all.
//!
//! With d = max x − x every exponent is negative or 0. d·log₂ e is taken in units of 2^−16; its whole part is a shift,
//! its fraction goes through a table of 2^−f and a straight line between neighbours. The shares are the terms times the
//! reciprocal of their sum. `docs/format.md` gives every step. One division for each sample, and every term computed
//! twice: there is no memory to keep them in.
//!
//! A share is off by at most 2^−16 in samples of up to 1024 elements and 2^−14 in the longest, as the tests measure;
//! rounding to the output's unit comes on top.

use crate::{Outputs, Values};

/// log₂ e in units of 2^−16.
const LOG2_E: u64 = 94_548;

/// The table's steps from 2^0 to 2^−1, as a power of two, and what is left of the 16 bits of a fraction.
const STEP_BITS: u32 = 6;
const REST_BITS: u32 = 16 - STEP_BITS;

/// 2^30·2^(−j/64), rounded, for j = 0 ..= 64.
static POWERS: [u32; (1 << STEP_BITS) + 1] = {
    // In units of 2^−62: a half, then six times the root, which is 2^(−1/64).
    let mut step = 1u128 << 61;
    let mut root = 0;
    while root < STEP_BITS {
        step = (step << 62).isqrt();
        root += 1;
    }
    let mut powers = [0; (1 << STEP_BITS) + 1];
    let (mut power, mut j) = (1u128 << 62, 0);
    while j < powers.len() {
        powers[j] = ((power + (1 << 31)) >> 32) as u32;
        power = (power * step) >> 62;
        j += 1;
    }
    powers
};

/// The exponents of the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exponents {
    /// s_in.
    pub input: i32,
    /// s_out, from −30 to 0.
    pub output: i32,
}

/// Scalar definition, int8 outputs. Input and output are [batch, `length`]; s_out is −7, and 1 saturates to 127.
#[inline(always)]
pub fn softmax_i8(input: Values<'_>, length: usize, exponents: Exponents, output: &mut [i8]) {
    softmax(input, length, exponents, Outputs::I8(output));
}

/// Scalar definition, int32 outputs. Input and output are [batch, `length`].
#[inline(always)]
pub fn softmax_i32(input: Values<'_>, length: usize, exponents: Exponents, output: &mut [i32]) {
    softmax(input, length, exponents, Outputs::I32(output));
}

/// One function, where code is dear, for outputs of either type.
#[cfg_attr(feature = "std", inline(always))]
#[cfg_attr(not(feature = "std"), inline(never))]
fn softmax(input: Values<'_>, length: usize, exponents: Exponents, mut output: Outputs<'_>) {
    let length = length.max(1);
    for sample in 0..input.len() / length {
        let elements = sample * length..(sample + 1) * length;
        let largest = elements.clone().fold(i32::MIN, |largest, element| largest.max(input.get(element)));
        // The difference of two int32 fits u32.
        let term = |element: usize| term(largest.wrapping_sub(input.get(element)) as u32, exponents.input);
        // The largest element's term is 2^30, so the reciprocal is at most 2^32 and its product with a term at most 2^62.
        let sum: u64 = elements.clone().map(term).sum();
        let reciprocal = (1u64 << 62).checked_div(sum).unwrap_or(0);
        let shift = (62 + exponents.output).clamp(1, 62);
        for element in elements {
            let share = (term(element) * reciprocal + (1 << (shift - 1))) >> shift;
            match &mut output {
                Outputs::I8(output) => {
                    let Some(output) = output.get_mut(element) else { return };
                    *output = share.min(i8::MAX as u64) as i8;
                }
                Outputs::I32(output) => {
                    let Some(output) = output.get_mut(element) else { return };
                    // At most 2^30.
                    *output = share as i32;
                }
            }
        }
    }
}

/// 2^(−distance·2^exponent·log₂ e) in units of 2^−30.
#[inline(always)]
fn term(distance: u32, exponent: i32) -> u64 {
    let product = u64::from(distance) * LOG2_E;
    let by = exponent.unsigned_abs();
    let power = match exponent {
        ..=0 => product.checked_shr(by).unwrap_or(0),
        _ if product == 0 => 0,
        _ if by <= product.leading_zeros() => product << by,
        _ => u64::MAX,
    };
    let whole = power >> 16;
    if whole > 30 {
        return 0;
    }
    let step = ((power >> REST_BITS) & ((1 << STEP_BITS) - 1)) as usize;
    let rest = power & ((1 << REST_BITS) - 1);
    let [upper, lower] = [POWERS[step], POWERS[step + 1]].map(u64::from);
    (upper - (((upper - lower) * rest) >> REST_BITS)) >> whole
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The definition of `docs/format.md`, word for word, in 128-bit integers and with a table from floating point.
    fn naive(sample: &[i32], exponents: Exponents) -> Vec<i128> {
        let table = |j: u128| (f64::from(1 << 30) * (-(j as f64) / 64.0).exp2()).round() as u128;
        let largest = i128::from(*sample.iter().max().unwrap());
        let term = |x: &i32| {
            let product = ((largest - i128::from(*x)) * 94_548) as u128;
            let z = if exponents.input < 0 {
                if exponents.input <= -64 { 0 } else { product >> -exponents.input }
            } else {
                // The product has at most 49 bits.
                (product << exponents.input.min(64)).min(u64::MAX.into())
            };
            let (n, j, w) = (z >> 16, (z >> 10) & 63, z & 1023);
            if n > 30 { 0 } else { (table(j) - (((table(j) - table(j + 1)) * w) >> 10)) >> n }
        };
        let terms: Vec<u128> = sample.iter().map(term).collect();
        let reciprocal = (1 << 62) / terms.iter().sum::<u128>();
        let share =
            |term: &u128| ((term * reciprocal + (1 << (61 + exponents.output))) >> (62 + exponents.output)) as i128;
        terms.iter().map(share).collect()
    }

    fn run(sample: &[i32], exponents: Exponents) -> Vec<i32> {
        let mut output = vec![-1; sample.len()];
        softmax_i32(Values::I32(sample), sample.len(), exponents, &mut output);
        output
    }

    /// Largest distance of a share from floating point's, in units of 1.
    fn error(sample: &[i32], exponent: i32) -> f64 {
        let largest = *sample.iter().max().unwrap();
        let unit = f64::from(exponent).exp2();
        let terms: Vec<f64> = sample.iter().map(|x| ((f64::from(*x) - f64::from(largest)) * unit).exp()).collect();
        let sum: f64 = terms.iter().sum();
        let shares = run(sample, Exponents { input: exponent, output: -30 });
        let distance = |(share, term): (i32, &f64)| (f64::from(share) / f64::from(1 << 30) - term / sum).abs();
        shares.into_iter().zip(&terms).map(distance).fold(0.0, f64::max)
    }

    /// What the documentation promises for samples of this length.
    fn promised(length: usize) -> f64 {
        if length <= 1 << 10 { (-16f64).exp2() } else { (-14f64).exp2() }
    }

    #[test]
    fn the_table_holds_powers_of_two() {
        for (j, power) in POWERS.iter().enumerate() {
            let exact = f64::from(1 << 30) * (-(j as f64) / 64.0).exp2();
            assert_eq!(f64::from(*power), exact.round(), "{j}");
        }
        assert_eq!(LOG2_E as f64, (65_536.0 * std::f64::consts::LOG2_E).round());
    }

    #[test]
    fn known_samples() {
        let eighths = Exponents { input: 0, output: -3 };
        assert_eq!(run(&[5], eighths), [8]);
        assert_eq!(run(&[-7; 4], eighths), [2; 4]);
        assert_eq!(run(&[i32::MAX, i32::MIN, i32::MAX], eighths), [4, 0, 4]);
        // e : 1 is 0.731059 : 0.268941.
        assert_eq!(run(&[1, 0], Exponents { input: 0, output: -12 }), [2994, 1102]);
        let mut shares = [0i8; 6];
        softmax_i8(Values::I8(&[127, -128, 16, 0, 0, 0]), 2, Exponents { input: -4, output: -7 }, &mut shares);
        assert_eq!(shares, [127, 0, 94, 34, 64, 64]);
    }

    #[test]
    fn units_far_from_one() {
        let exponents = |input| Exponents { input, output: -4 };
        // Every difference vanishes, or is endless.
        for input in [-64, -65, -200, i32::from(i16::MIN)] {
            assert_eq!(run(&[i32::MIN, i32::MAX], exponents(input)), [8, 8]);
        }
        for input in [5, 47, 63, 64, 65, i32::from(i16::MAX)] {
            assert_eq!(run(&[0, 1, 1], exponents(input)), [0, 8, 8]);
            assert_eq!(run(&[i32::MIN, i32::MAX, i32::MAX], exponents(input)), [0, 8, 8]);
        }
    }

    #[test]
    fn the_longest_samples_keep_the_promise() {
        let length = 1 << 16;
        assert_eq!(run(&vec![3; length], Exponents { input: 0, output: -30 }), vec![1 << 14; length]);
        // One element against all others, at distances where each of them is cut off to fewer and fewer bits.
        let mut worst: f64 = 0.0;
        for distance in 0..=22 * 8 {
            let mut sample = vec![-distance; length];
            sample[9] = 0;
            worst = worst.max(error(&sample, -3));
        }
        assert!(worst <= promised(length), "2^{}", worst.log2());
        // A bound that nothing comes near would be no measurement.
        assert!(worst > promised(length) / 2.0, "2^{}", worst.log2());
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            sample in (0u32..31).prop_flat_map(|bits| proptest::collection::vec(-(1i32 << bits)..1 << bits, 1..40)),
            input in -70i32..70,
            near in -30i32..3,
            is_near: bool,
            output in -30i32..=0,
        ) {
            let exponents = Exponents { input: if is_near { near } else { input }, output };
            let expected = naive(&sample, exponents);
            let found: Vec<i128> = run(&sample, exponents).into_iter().map(i128::from).collect();
            prop_assert_eq!(&found, &expected);
        }

        #[test]
        fn types_do_not_change_the_result(sample in proptest::collection::vec(any::<i8>(), 1..40), input in -9i32..3) {
            let exponents = Exponents { input, output: -7 };
            let wide: Vec<i32> = sample.iter().map(|x| i32::from(*x)).collect();
            let expected = run(&wide, exponents);
            let mut narrow = vec![-1; sample.len()];
            softmax_i8(Values::I8(&sample), sample.len(), exponents, &mut narrow);
            prop_assert_eq!(narrow, expected.iter().map(|share| (*share).min(127) as i8).collect::<Vec<_>>());
            let mut same = vec![-1; sample.len()];
            softmax_i32(Values::I8(&sample), sample.len(), exponents, &mut same);
            prop_assert_eq!(same, expected);
        }

        #[test]
        fn is_the_softmax_of_floating_point(
            sample in (0u32..16).prop_flat_map(|bits| proptest::collection::vec(-(1i32 << bits)..1 << bits, 1..500)),
            exponent in -14i32..2,
        ) {
            let error = error(&sample, exponent);
            prop_assert!(error <= promised(sample.len()), "2^{}", error.log2());
        }
    }
}
