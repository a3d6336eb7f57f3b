//! Windows over an image: which elements lie under which place of a window.
//!
//! A tap is one element of a window, counted row by row. The windows of one row of the output for which a tap lies inside
//! the image are a run: neighbours in the output, a stride apart in the input.

use std::ops::Range;
use trishift_format::Window;

/// A window on its way over images of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
}

impl Windows {
    /// Over images of this shape that give images of that one.
    pub(super) fn new(window: &Window, [height, width, _]: [usize; 3], output: [usize; 3]) -> Self {
        let [top, left, ..] = window.padding;
        Self {
            input: [height, width],
            output: [output[0], output[1]],
            kernel: window.kernel.map(usize::from),
            stride: window.stride.map(usize::from),
            before: [top, left].map(usize::from),
        }
    }

    /// Pixels of an input image.
    pub(super) const fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Pixels of an output image: places of the window.
    pub(super) const fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Elements of the window.
    pub(super) const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Columns of the input from one window of a run to the next.
    pub(super) const fn step(&self) -> usize {
        self.stride[1]
    }

    /// Whether every window is one pixel, and every pixel has one.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1; 2] && self.input == self.output
    }

    /// Places along an axis at which this row, or column, of the window lies inside the image.
    fn inside(&self, axis: usize, tap: usize) -> Range<usize> {
        let (stride, before) = (self.stride[axis].max(1), self.before[axis]);
        let start = before.saturating_sub(tap).div_ceil(stride);
        let end = match (self.input[axis] + before).checked_sub(tap + 1) {
            Some(last) => (last / stride + 1).min(self.output[axis]),
            None => 0,
        };
        start..end.max(start)
    }

    /// Calls `f(first pixel of the output, first pixel of the input, length)` for every run of a tap.
    #[inline(always)]
    pub(super) fn for_each_run(&self, tap: usize, mut f: impl FnMut(usize, usize, usize)) {
        let [row, column] = [tap / self.kernel[1], tap % self.kernel[1]];
        let columns = self.inside(1, column);
        if columns.is_empty() {
            return;
        }
        let first_column = columns.start * self.stride[1] + column - self.before[1];
        for place in self.inside(0, row) {
            let input_row = place * self.stride[0] + row - self.before[0];
            f(place * self.output[1] + columns.start, input_row * self.input[1] + first_column, columns.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_hold_exactly_what_lies_inside(
            input in [1usize..8, 1..8],
            kernel in [1u8..6, 1..6],
            stride in [1u8..4, 1..4],
            padding in [0u8..5, 0..5, 0..5, 0..5],
        ) {
            let padding = [0, 1, 2, 3].map(|side| padding[side].min(kernel[side % 2] - 1));
            let window = Window { kernel, stride, padding };
            let Some(output) = window.output(input.map(|side| side as u32)) else { return Ok(()) };
            let output = output.map(|side| side as usize);
            let windows = Windows::new(&window, [input[0], input[1], 1], [output[0], output[1], 1]);
            let mut found = Vec::new();
            for tap in 0..windows.taps() {
                windows.for_each_run(tap, |output, input, count| {
                    found.extend((0..count).map(|n| (tap, output + n, input + n * windows.step())));
                });
            }
            let mut expected = Vec::new();
            for tap in 0..windows.taps() {
                for place in 0..windows.output_pixels() {
                    let at = |axis: usize, place: usize, tap: usize| {
                        let at = place * usize::from(stride[axis]) + tap;
                        at.checked_sub(usize::from(padding[axis])).filter(|at| *at < input[axis])
                    };
                    let [row, column] = [tap / usize::from(kernel[1]), tap % usize::from(kernel[1])];
                    let row = at(0, place / output[1], row);
                    let column = at(1, place % output[1], column);
                    if let (Some(row), Some(column)) = (row, column) {
                        expected.push((tap, place, row * input[1] + column));
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
