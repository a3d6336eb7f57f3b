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
    /// Of a window between two tensors. A tensor of more elements than 32 bits count, which no parsed model has, is one
    /// without any: so the products below never overflow, and no loop runs longer than the memory it is for.
    pub const fn new(window: &Window, input: &Tensor, output: &Tensor) -> Self {
        Self {
            input: sizes(input),
            output: sizes(output),
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
        // Only of a file that nobody parsed can these wrap, on a machine of 32 bits: another place, or none.
        let start = |window: usize, axis: usize| window.wrapping_mul(self.stride[axis]).wrapping_add(tap[axis]);
        let row = start(pixel / output_width, 0).checked_sub(self.before[0])?;
        let column = start(pixel % output_width, 1).checked_sub(self.before[1])?;
        (row < height && column < width).then(|| ((row * width + column) * channels).wrapping_add(channel))
    }
}

/// Height, width, channels of a tensor; zeros where it has no elements.
const fn sizes(tensor: &Tensor) -> [usize; 3] {
    let [height, width, channels] = tensor.shape;
    if tensor.is_empty() { [0; 3] } else { [height as usize, width as usize, channels as usize] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishift_format::{DataType, TensorClass};

    fn tensor(shape: [u32; 3]) -> Tensor {
        let (data_type, class) = (DataType::I8, TensorClass::Arena);
        Tensor { data_type, class, exponent: 0, shape, offset: 0, first: 0, last: 0 }
    }

    #[test]
    fn elements_under_a_window() {
        let window = Window { kernel: [2, 3], stride: [1, 2], padding: [1, 1, 0, 1] };
        let geometry = Geometry::new(&window, &tensor([2, 4, 5]), &tensor([2, 2, 7]));
        assert_eq!((geometry.input_len(), geometry.output_len(), geometry.pixels()), (40, 28, 4));
        // Above, left, inside; the last window ends with the last column.
        assert_eq!(geometry.place(0, [0, 1], 0), None);
        assert_eq!(geometry.place(0, [1, 0], 0), None);
        assert_eq!(geometry.place(0, [1, 1], 4), Some(4));
        assert_eq!(geometry.place(3, [1, 2], 2), Some(5 * 7 + 2));
        assert_eq!(geometry.place(3, [1, 3], 2), None);
        assert_eq!(geometry.place(4, [1, 0], 0), None);
    }

    #[test]
    fn tensors_that_nothing_can_count_have_no_elements() {
        for shape in [[u32::MAX, u32::MAX, 0], [1 << 16, 1 << 16, 1], [u32::MAX; 3], [0, 7, 7]] {
            let geometry = Geometry::new(&Window::new([1, 1]), &tensor(shape), &tensor(shape));
            assert_eq!((geometry.input_len(), geometry.output_len(), geometry.pixels()), (0, 0, 0));
        }
        let geometry = Geometry::new(&Window::new([1, 1]), &tensor([u32::MAX, 1, 1]), &tensor([1, u32::MAX, 1]));
        assert_eq!((geometry.input_len(), geometry.pixels()), (u32::MAX as usize, u32::MAX as usize));
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
