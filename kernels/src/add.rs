//! Residual add on int8: the finer operand is aligned to the coarser by a rounding shift, the sum is taken in int32 and
//! saturated. ReLU is the lower clamp.

use crate::requantize::{rounding_shift_right, saturate};

/// How far each operand is shifted right to reach the output's exponent; at least one of the two is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// Right shift of the first operand.
    pub left: u32,
    /// Right shift of the second operand.
    pub right: u32,
}

impl Alignment {
    /// The alignment of operands with these exponents.
    pub const fn of(left: i32, right: i32) -> Self {
        let distance = left.abs_diff(right);
        if left < right { Self { left: distance, right: 0 } } else { Self { left: 0, right: distance } }
    }
}

impl Alignment {
    /// True for operands of equal exponents, as most are: small cores then have a loop without cases.
    const fn is_none(self) -> bool {
        self.left == 0 && self.right == 0
    }
}

/// Scalar definition.
#[inline(always)]
pub fn add(left: &[i8], right: &[i8], alignment: Alignment, relu: bool, output: &mut [i8]) {
    if alignment.is_none() {
        for ((output, left), right) in output.iter_mut().zip(left).zip(right) {
            *output = saturate(i32::from(*left) + i32::from(*right), relu);
        }
        return;
    }
    for ((output, left), right) in output.iter_mut().zip(left).zip(right) {
        let left = rounding_shift_right(i32::from(*left), alignment.left);
        let right = rounding_shift_right(i32::from(*right), alignment.right);
        *output = saturate(left + right, relu);
    }
}

/// Scalar definition where the output takes the place of `left`.
#[inline(always)]
pub fn add_in_place(left: &mut [i8], right: &[i8], alignment: Alignment, relu: bool) {
    if alignment.is_none() {
        for (left, right) in left.iter_mut().zip(right) {
            *left = saturate(i32::from(*left) + i32::from(*right), relu);
        }
        return;
    }
    for (left, right) in left.iter_mut().zip(right) {
        let right = rounding_shift_right(i32::from(*right), alignment.right);
        *left = saturate(rounding_shift_right(i32::from(*left), alignment.left) + right, relu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_at_every_distance() {
        for distance in 0..12 {
            let exact = |value: i32| {
                if distance == 0 { value } else { (f64::from(value) / f64::from(1 << distance) + 0.5).floor() as i32 }
            };
            for a in i8::MIN..=i8::MAX {
                for b in i8::MIN..=i8::MAX {
                    for relu in [false, true] {
                        let expected = (exact(a.into()) + i32::from(b)).clamp(if relu { 0 } else { -128 }, 127) as i8;
                        let mut output = [0];
                        add(&[a], &[b], Alignment::of(-distance, 0), relu, &mut output);
                        assert_eq!(output[0], expected, "{a} >> {distance} + {b}");
                        add(&[b], &[a], Alignment::of(5, 5 - distance), relu, &mut output);
                        assert_eq!(output[0], expected);
                        let mut in_place = [b];
                        add_in_place(&mut in_place, &[a], Alignment::of(5, 5 - distance), relu);
                        assert_eq!(in_place, output);
                    }
                }
            }
        }
    }
}
