//! From the sums of a block to the outputs: bias and requantisation, or the layer's unit.
//!
//! Plain Rust without branches, compiled once for each instruction set, which has a shift for every lane.

use crate::requantize::requantize_each;

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
        *output = requantize_each((*sum as i32).wrapping_add(*bias), *shift, relu);
    }
}

/// int32 outputs of one sample.
#[inline(always)]
pub(in crate::simd) fn finish_i32(sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]) {
    for (((output, sum), bias), shift) in output.iter_mut().zip(sums).zip(rows.bias).zip(rows.shift) {
        *output = ((*sum << (shift & 31)) as i32).wrapping_add(*bias);
    }
}
