//! What a window does to an image: sizes in memory and where each element of the output looks.

use trishift_format::{Tensor, Window};

/// Sizes of an operator that slides a window. Images are [height, width, channels], sample after sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Height, width, channels of the input.
    pub input: [usize; 3],
    /// Height, width, channels of the output.
    pub output: [usize; 3],
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Rows above and columns left of the input.
    pub before: [usize; 2],
}

impl Geometry {
    /// Of a window between two tensors.
    pub const fn new(window: &Window, input: &Tensor, output: &Tensor) -> Self {
        let ([a, b, c], [d, e, f]) = (input.shape, output.shape);
        Self {
            input: [a as usize, b as usize, c as usize],
            output: [d as usize, e as usize, f as usize],
            kernel: [window.kernel[0] as usize, window.kernel[1] as usize],
            stride: [window.stride[0] as usize, window.stride[1] as usize],
            before: [window.padding[0] as usize, window.padding[1] as usize],
        }
    }

    /// Elements of one sample of the input.
    pub const fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.input[2]
    }

    /// Elements of one sample of the output.
    pub const fn output_len(&self) -> usize {
        self.output[0] * self.output[1] * self.output[2]
    }

    /// Windows of one sample.
    pub const fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The rows (axis 0) or columns (axis 1) of window number `window` along that axis that lie inside the input.
    #[cfg(not(all(small_core, feature = "linear")))]
    #[allow(dead_code, reason = "for operators that not every build has")]
    #[inline(always)]
    pub(crate) fn taps(&self, axis: usize, window: usize) -> Taps {
        let (start, before) = (window * self.stride[axis], self.before[axis]);
        let end = (self.input[axis] + before).saturating_sub(start).min(self.kernel[axis]);
        let taps = before.saturating_sub(start).min(end)..end;
        Taps { first: (start + taps.start).saturating_sub(before), taps }
    }

    /// Words that hold a channel of the input.
    pub const fn plane_words(&self) -> usize {
        self.input[0].saturating_mul(self.input[1]).div_ceil(size_of::<i32>())
    }

    /// The place in a sample of the element under `tap` (row, column) of window number `pixel`; `None` outside the input.
    pub fn place(&self, pixel: usize, tap: [usize; 2], channel: usize) -> Option<usize> {
        let [height, width, channels] = self.input;
        let output_width = self.output[1].max(1);
        let row = (pixel / output_width * self.stride[0] + tap[0]).checked_sub(self.before[0])?;
        let column = (pixel % output_width * self.stride[1] + tap[1]).checked_sub(self.before[1])?;
        (row < height && column < width).then(|| (row * width + column) * channels + channel)
    }
}

/// Rows or columns of a window.
#[cfg(not(all(small_core, feature = "linear")))]
#[allow(dead_code, reason = "for operators that not every build has")]
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    pub(crate) taps: core::ops::Range<usize>,
    /// The row or column of the input that the first of them looks at.
    pub(crate) first: usize,
}
