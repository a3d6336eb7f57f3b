//! From the sums of a block to the outputs: bias and requantisation, or the layer's unit.
//!
//! Plain Rust without branches, compiled once for each instruction set, which has a shift for every lane.

use crate::requantize::saturate;

/// What the rows need; as many of each as there are rows.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::simd) struct RowFinish<'a> {
    /// b.
    pub(in crate::simd) bias: &'a [i32],
    /// int8 outputs: the requantising shift r. int32 outputs: the shift to the left that leads to the layer's unit.
    pub(in crate::simd) shift: &'a [i32],
}

impl RowFinish<'_> {
    /// The rows from this one on.
    pub(super) fn from(self, row: usize) -> Self {
        Self { bias: self.bias.get(row..).unwrap_or(&[]), shift: self.shift.get(row..).unwrap_or(&[]) }
    }
}

/// int8 outputs of one sample.
#[inline(always)]
pub(in crate::simd) fn finish_i8(sums: &[u32], rows: RowFinish<'_>, relu: bool, output: &mut [i8]) {
    for (((output, sum), bias), shift) in output.iter_mut().zip(sums).zip(rows.bias).zip(rows.shift) {
        *output = requantize((*sum as i32).wrapping_add(*bias), *shift, relu);
    }
}

/// int32 outputs of one sample.
#[inline(always)]
pub(in crate::simd) fn finish_i32(sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]) {
    for (((output, sum), bias), shift) in output.iter_mut().zip(sums).zip(rows.bias).zip(rows.shift) {
        *output = ((*sum << (shift & 31)) as i32).wrapping_add(*bias);
    }
}

/// [`crate::requantize::requantize_one`] with all cases computed and one chosen.
#[inline(always)]
fn requantize(value: i32, shift: i32, relu: bool) -> i8 {
    let right = shift.clamp(1, 31);
    let rounded = (value >> right) + ((value >> (right - 1)) & 1);
    let rounded = if shift > 31 { 0 } else { rounded };
    let left = value.clamp(-256, 256) << (-shift).clamp(0, 9);
    saturate(if shift >= 1 { rounded } else { left }, relu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition(value: i32, small in -600i32..600, shift in -300i32..300, near in -40i32..40, relu: bool) {
            for (value, shift) in [(value, shift), (value, near), (small, near)] {
                prop_assert_eq!(requantize(value, shift, relu), crate::requantize::requantize_one(value, shift, relu));
            }
        }
    }
}
