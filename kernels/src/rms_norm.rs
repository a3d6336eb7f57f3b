//! RMS norm: a sample's int32 vector becomes int8 by dividing it by the root of its mean square.
//!
//! For a sample a of N elements this is `y = a / √(mean a²)` in steps of 2^−k. It is computed in integers: the sample is
//! shortened to 15 bits (b), its mean square is scaled so that its integer root R has 18 to 32 bits, and every element is
//! multiplied by the reciprocal I ≈ 2^t / R. One multiplication for each element twice, two divisions and one root for
//! each sample. `docs/format.md` gives every step.
//!
//! The result is within a step of the exact quotient as long as √N·2^k ≤ 2^13, as the tests measure; in longer samples
//! one huge element can push the others below the 15 bits that are kept.

use crate::requantize::{requantize_one, rounding_shift_right, saturate};

/// Bits of a sample's largest magnitude that are kept. Squares of 15 bits sum to at most 2^56 over 2^26 elements.
const KEPT_BITS: u32 = 15;

/// Bits by which the reciprocal's numerator is longer than the root: the reciprocal lies in 2^16 ..= 2^17.
const RECIPROCAL_BITS: u32 = 16;

/// Scalar definition. Input and output are [batch, `length`]; an output of 1 is 2^`one` steps.
#[inline(always)]
pub fn rms_norm(input: &[i32], length: usize, one: i32, relu: bool, output: &mut [i8]) {
    let length = length.max(1);
    for (output, input) in output.chunks_exact_mut(length).zip(input.chunks_exact(length)) {
        let scale = Scale::of(input);
        for (output, value) in output.iter_mut().zip(input) {
            *output = scale.apply(*value, one, relu);
        }
    }
}

/// What a sample's elements are multiplied by: ⌊a·2^−drop + ½⌋·reciprocal·2^−shift.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// p, the bits that are dropped first.
    drop: u32,
    /// I; 0 for a sample of zeros.
    reciprocal: i64,
    /// t − s/2.
    shift: i32,
}

impl Scale {
    #[inline(always)]
    fn of(sample: &[i32]) -> Self {
        let largest = sample.iter().fold(0, |largest: u32, value| largest.max(value.unsigned_abs()));
        let drop = bits(largest.into()).saturating_sub(KEPT_BITS);
        let square = |value: &i32| {
            let kept = i64::from(rounding_shift_right(*value, drop));
            (kept * kept) as u64
        };
        let sum: u64 = sample.iter().map(square).sum();
        if sum == 0 {
            return Self { drop, reciprocal: 0, shift: 0 };
        }
        // An even shift, so that the root is shifted by half of it; at least 61 bits stay.
        let up = (sum.leading_zeros() - 1) & !1;
        let root = root((sum << up) / sample.len() as u64);
        let numerator_bits = bits(root) + RECIPROCAL_BITS;
        let reciprocal = (1u64 << numerator_bits).checked_div(root).unwrap_or(0) as i64;
        Self { drop, reciprocal, shift: numerator_bits as i32 - (up / 2) as i32 }
    }

    /// One element, in steps of 2^−`one`.
    #[inline(always)]
    fn apply(self, value: i32, one: i32, relu: bool) -> i8 {
        // At most 2^15·2^17.
        let product = i64::from(rounding_shift_right(value, self.drop)) * self.reciprocal;
        let shift = self.shift - one;
        match shift {
            // Magnitudes from 256 on saturate whatever the shift.
            ..=0 => requantize_one(product.clamp(-256, 256) as i32, shift, relu),
            1..=62 => saturate(((product + (1 << (shift - 1))) >> shift).clamp(-256, 256) as i32, relu),
            _ => 0,
        }
    }
}

/// ⌊√value⌋, bit by bit: once a sample, and the library's has a table of half a kilobyte.
fn root(value: u64) -> u64 {
    let (mut root, mut rest, mut bit) = (0, value, 1 << 62);
    while bit > 0 {
        let next = root + bit;
        root >>= 1;
        if rest >= next {
            rest -= next;
            root += bit;
        }
        bit >>= 2;
    }
    root
}

/// Length in bits: 1 for 1, 0 for 0.
const fn bits(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The definition of `docs/format.md`, word for word, in 128-bit integers.
    fn naive(sample: &[i32], one: i32, relu: bool) -> Vec<i8> {
        let len = |value: i128| 128 - value.leading_zeros() as i32;
        let largest = sample.iter().map(|a| i128::from(*a).abs()).max().unwrap_or(0);
        if largest == 0 {
            return vec![0; sample.len()];
        }
        let p = (len(largest) - 15).max(0);
        let shifted = |value: i128, by: i32| if by >= 1 { (value + (1 << (by - 1))) >> by } else { value };
        let b: Vec<i128> = sample.iter().map(|a| shifted((*a).into(), p)).collect();
        let sum: i128 = b.iter().map(|b| b * b).sum();
        let s = (0..64).step_by(2).rev().find(|s| sum << s < 1 << 63).unwrap();
        let root = ((sum << s) / sample.len() as i128).isqrt();
        assert!((1 << 17..1 << 32).contains(&root), "{root}");
        let t = len(root) + 16;
        let reciprocal = (1 << t) / root;
        assert!((1 << 16..=1 << 17).contains(&reciprocal), "{reciprocal}");
        let lowest = if relu { 0 } else { -128 };
        let scaled = |b: i128| match t - one - s / 2 {
            shift @ 1..=62 => shifted(b * reciprocal, shift),
            63.. => 0,
            shift => (b * reciprocal) << (-shift).min(60),
        };
        b.iter().map(|b| scaled(*b).clamp(lowest, 127) as i8).collect()
    }

    #[test]
    fn roots_are_the_librarys() {
        let near = |value: u64| value.saturating_sub(3)..=value.saturating_add(3);
        let powers = (0..64).flat_map(|bit| near(1 << bit));
        let squares = (1..=u32::MAX).step_by(9_973_111).flat_map(|side| near(u64::from(side) * u64::from(side)));
        for value in powers.chain(squares).chain(near(u64::MAX)) {
            assert_eq!(root(value), value.isqrt(), "{value}");
        }
    }

    fn run(sample: &[i32], one: i32, relu: bool) -> Vec<i8> {
        let mut output = vec![99; sample.len()];
        rms_norm(sample, sample.len(), one, relu, &mut output);
        output
    }

    /// Largest distance from a/√(mean a²) in steps, before rounding; saturated values are compared saturated.
    fn error(sample: &[i32], one: i32) -> f64 {
        let squares: f64 = sample.iter().map(|a| f64::from(*a).powi(2)).sum();
        let root = (squares / sample.len() as f64).sqrt();
        let distance = |(q, a): (i8, &i32)| {
            let exact = (f64::from(*a) / root * f64::from(one).exp2()).clamp(-128.0, 127.0);
            (f64::from(q) - exact).abs()
        };
        run(sample, one, false).into_iter().zip(sample).map(distance).fold(0.0, f64::max)
    }

    fn samples(longest: usize) -> impl Strategy<Value = Vec<i32>> {
        (0u32..=31).prop_flat_map(move |bits| {
            let limit = (1i64 << bits) - 1;
            let value = (-limit - 1..=limit).prop_map(|value| value as i32);
            proptest::collection::vec(value, 1..=longest)
        })
    }

    #[test]
    fn known_samples() {
        assert_eq!(run(&[0, 0, 0], 5, false), [0, 0, 0]);
        // One element is its own root mean square.
        for a in [1, 7, 100_000, i32::MAX] {
            assert_eq!((run(&[a], 5, false), run(&[-a], 5, false)), (vec![32], vec![-32]), "{a}");
        }
        assert_eq!(run(&[i32::MIN; 5], 6, false), [-64; 5]);
        assert_eq!(run(&[i32::MIN; 5], 6, true), [0; 5]);
        // √((9 + 16)/2) = 3.536: 0.8485 and 1.1314.
        assert_eq!(run(&[3, -4], 6, false), [54, -72]);
        assert_eq!(run(&[3, -4], 6, true), [54, 0]);
        // √N = 10 in the one element that is not 0.
        let mut sample = [0; 100];
        sample[40] = -1;
        assert_eq!(run(&sample, 3, false)[40], -80);
        assert_eq!(run(&sample, 4, false)[40], -128);
    }

    #[test]
    fn units_far_from_one_saturate_or_vanish() {
        for sample in [[1, -1], [i32::MAX, i32::MIN], [3, -2]] {
            for one in [8, 62, 1000, i32::from(i16::MAX) + 1] {
                assert_eq!(run(&sample, one, false), [127, -128], "{one}");
            }
            for one in [-2, -40, -1000, i32::from(i16::MIN)] {
                assert_eq!(run(&sample, one, false), [0, 0], "{one}");
            }
        }
    }

    #[test]
    fn every_sample_of_a_batch_has_its_own_scale() {
        let mut output = [9; 6];
        rms_norm(&[1, -1, 0, 0, 1000, 1000], 2, 5, false, &mut output);
        assert_eq!(output, [32, -32, 0, 0, 32, 32]);
    }

    #[test]
    fn long_samples() {
        // Sums of squares near their largest.
        for a in [i32::MIN, i32::MAX, 1] {
            let sample = vec![a; 1 << 22];
            let expected = if a < 0 { -32 } else { 32 };
            assert!(run(&sample, 5, false).iter().all(|q| *q == expected), "{a}");
        }
        // The bound of the documentation: √N = 2^7, k = 6, and one element far above all others.
        for small in [1, 1000, 30_000, 100_000, 1_000_000, 10_000_000] {
            let mut sample: Vec<i32> = (0..1 << 14).map(|i| i * 7919 % (2 * small + 1) - small).collect();
            sample[77] = i32::MAX;
            assert!(error(&sample, 6) <= 1.0, "{small}: {}", error(&sample, 6));
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(sample in samples(80), one in -12i32..24, relu: bool) {
            prop_assert_eq!(run(&sample, one, relu), naive(&sample, one, relu));
        }

        #[test]
        fn equals_the_definition_for_any_values(
            sample in proptest::collection::vec(any::<i32>(), 1..9),
            one in -70i32..70,
            relu: bool,
        ) {
            prop_assert_eq!(run(&sample, one, relu), naive(&sample, one, relu));
        }

        #[test]
        fn is_within_a_step_of_the_quotient(sample in samples(200), one in -2i32..=7) {
            prop_assume!(sample.iter().any(|a| *a != 0));
            let error = error(&sample, one);
            prop_assert!(error <= 1.0, "{}", error);
        }
    }
}
