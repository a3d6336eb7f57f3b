//! Requantisation: int32 to int8 by a rounding shift.
//!
//! For a shift r: r ≥ 1 gives `sat8((acc + 2^(r−1)) >> r)`, r > 31 gives 0, r ≤ 0 gives `sat8(acc << −r)` with a
//! saturating shift. ReLU is the lower clamp.

/// Clamps to int8, from below at 0 with ReLU and at −128 without.
#[inline(always)]
pub const fn saturate(value: i32, relu: bool) -> i8 {
    let lowest = if relu { 0 } else { i8::MIN as i32 };
    if value > i8::MAX as i32 {
        i8::MAX
    } else if value < lowest {
        lowest as i8
    } else {
        value as i8
    }
}

/// ⌊value·2^−shift + ½⌋ for shift ≥ 1 without a carry out of int32; 0 for shift > 31.
#[inline(always)]
pub const fn rounding_shift_right(value: i32, shift: u32) -> i32 {
    match shift {
        0 => value,
        1..=31 => (value >> shift) + ((value >> (shift - 1)) & 1),
        _ => 0,
    }
}

/// One element: int32 to int8 by shift r.
#[inline(always)]
pub const fn requantize_one(value: i32, shift: i32, relu: bool) -> i8 {
    if shift >= 1 {
        saturate(rounding_shift_right(value, shift as u32), relu)
    } else {
        saturate(shift_left(value, shift.unsigned_abs()), relu)
    }
}

/// value·2^shift, exact as far as int8 saturation can tell.
#[inline(always)]
const fn shift_left(value: i32, shift: u32) -> i32 {
    // |value| ≥ 2^8 saturates after any left shift, and a shift of 8 saturates any non-zero value.
    let clamped = if value > 256 {
        256
    } else if value < -256 {
        -256
    } else {
        value
    };
    clamped << if shift < 9 { shift } else { 9 }
}

/// [`requantize_one`] with all cases computed and one chosen: for loops in which each element has a shift of its own, of which
/// the compiler makes vectors.
#[cfg(not(all(small_core, feature = "linear")))]
#[cfg_attr(
    not(any(
        all(feature = "alloc", feature = "linear"),
        feature = "depthwise-conv2d",
        feature = "int8-conv2d",
        feature = "int8-depthwise-conv2d"
    )),
    allow(dead_code, reason = "not every build has such loops")
)]
#[inline(always)]
pub(crate) fn requantize_each(value: i32, shift: i32, relu: bool) -> i8 {
    let right = shift.clamp(1, 31);
    let rounded = (value >> right) + ((value >> (right - 1)) & 1);
    let rounded = if shift > 31 { 0 } else { rounded };
    let left = value.clamp(-256, 256) << (-shift).clamp(0, 9);
    saturate(if shift >= 1 { rounded } else { left }, relu)
}

/// Scalar definition: `output[i] = requantize(input[i])`, r = s_out − s_in.
#[cfg(feature = "requantize")]
#[inline(always)]
pub fn requantize(input: &[i32], shift: i32, relu: bool, output: &mut [i8]) {
    for (output, input) in output.iter_mut().zip(input) {
        *output = requantize_one(*input, shift, relu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition in 128-bit integers.
    fn naive(value: i32, shift: i32, relu: bool) -> i8 {
        let value = i128::from(value);
        let shifted = if shift >= 1 {
            if shift > 31 { 0 } else { (value + (1i128 << (shift - 1))) >> shift }
        } else {
            value << shift.unsigned_abs().min(90)
        };
        shifted.clamp(if relu { 0 } else { -128 }, 127) as i8
    }

    #[test]
    fn halves_round_up() {
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(|v| requantize_one(v, 1, false)), [-1, -1, 0, 0, 1, 1, 2]);
    }

    proptest! {
        #[test]
        fn equals_the_definition(value: i32, shift in -300i32..300, relu: bool) {
            prop_assert_eq!(requantize_one(value, shift, relu), naive(value, shift, relu));
            prop_assert_eq!(requantize_each(value, shift, relu), naive(value, shift, relu));
        }

        #[test]
        fn equals_the_definition_near_zero(value in -600i32..600, shift in -40i32..40, relu: bool) {
            prop_assert_eq!(requantize_one(value, shift, relu), naive(value, shift, relu));
            prop_assert_eq!(requantize_each(value, shift, relu), naive(value, shift, relu));
        }
    }
}
