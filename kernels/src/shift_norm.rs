//! Shift norm: a sample's int32 vector becomes int8 by the power of two that brings its mean magnitude just under 27.
//!
//! For a sample a of N elements, r is the largest integer with `Σ|a|·2^r ≤ 27·N`, so that the mean magnitude lies
//! between 13.5 and 27 steps of the output. r ≥ 0: `a << r`; r < 0: `(a + 2^(−r−1)) >> −r`; saturated to int8, from
//! below at 0 with ReLU. A sample of zeros gives zeros. No square, root, division or multiplication.

use crate::requantize::{rounding_shift_right, saturate};

/// Scalar definition. Input and output are [batch, `length`].
#[inline(always)]
pub fn shift_norm(input: &[i32], length: usize, relu: bool, output: &mut [i8]) {
    let (mut input, mut output, length) = (input, output, length.max(1));
    // Chunks would divide, which a compiler for size does not see to be harmless.
    while let (Some((sample, samples)), Some((result, results))) =
        (input.split_at_checked(length), core::mem::take(&mut output).split_at_mut_checked(length))
    {
        normalize(sample, shift(sample), relu, result);
        (input, output) = (samples, results);
    }
}

/// The exponent r of one sample; 0 for a sample of zeros.
#[inline(always)]
pub fn shift(sample: &[i32]) -> i32 {
    // Two's complement magnitudes sum to at most N·2^31, far inside u64.
    let sum: u64 = sample.iter().map(|value| u64::from(value.unsigned_abs())).sum();
    if sum == 0 {
        return 0;
    }
    let length = sample.len() as u64;
    // 27·N = 32·N − 4·N − N.
    let target = (length << 5) - (length << 2) - length;
    // Both are non-zero: their bit lengths give r up to one step.
    let estimate = target.ilog2() as i32 - sum.ilog2() as i32;
    if fits(sum, target, estimate) { estimate } else { estimate - 1 }
}

/// sum·2^shift ≤ target, for a shift that brings both to the same bit length.
#[inline(always)]
fn fits(sum: u64, target: u64, shift: i32) -> bool {
    if shift >= 0 { sum << shift <= target } else { sum <= target << shift.unsigned_abs() }
}

#[inline(always)]
fn normalize(input: &[i32], shift: i32, relu: bool, output: &mut [i8]) {
    if shift >= 0 {
        // |a|·2^r ≤ 27·N < 2^31.
        for (output, value) in output.iter_mut().zip(input) {
            *output = saturate(value << shift, relu);
        }
    } else {
        for (output, value) in output.iter_mut().zip(input) {
            *output = saturate(rounding_shift_right(*value, shift.unsigned_abs()), relu);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The definition, word for word, in 128-bit integers.
    fn naive(sample: &[i32], relu: bool) -> Vec<i8> {
        let sum: i128 = sample.iter().map(|a| i128::from(*a).abs()).sum();
        if sum == 0 {
            return vec![0; sample.len()];
        }
        let target = 27 * sample.len() as i128;
        let at_most = |r: i32| if r >= 0 { sum << r <= target } else { sum <= target << -r };
        let r = (-60..60).rev().find(|r| at_most(*r)).unwrap();
        let lowest = if relu { 0 } else { -128 };
        let scaled = |a: i128| if r >= 0 { a << r } else { (a + (1 << (-r - 1))) >> -r };
        sample.iter().map(|a| scaled(i128::from(*a)).clamp(lowest, 127) as i8).collect()
    }

    fn run(sample: &[i32], relu: bool) -> Vec<i8> {
        let mut output = vec![99; sample.len()];
        shift_norm(sample, sample.len(), relu, &mut output);
        output
    }

    #[test]
    fn the_edges_of_the_target() {
        // Σ|a| = 27·N exactly: r = 0; one more: r = −1.
        assert_eq!(run(&[27, -27], false), [27, -27]);
        assert_eq!(run(&[28, -27], false), [14, -13]);
        assert_eq!(run(&[0, 0, 0], false), [0, 0, 0]);
        assert_eq!(run(&[i32::MIN; 3], false), naive(&[i32::MIN; 3], false));
        assert_eq!(run(&[i32::MAX, 1], true), naive(&[i32::MAX, 1], true));
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            sample in (0u32..31).prop_flat_map(|bits| proptest::collection::vec(-(1i32 << bits)..1 << bits, 1..80)),
            relu: bool,
        ) {
            prop_assert_eq!(run(&sample, relu), naive(&sample, relu));
        }

        #[test]
        fn equals_the_definition_for_any_values(sample in proptest::collection::vec(any::<i32>(), 1..9), relu: bool) {
            prop_assert_eq!(run(&sample, relu), naive(&sample, relu));
        }
    }
}
