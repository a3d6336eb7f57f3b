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
    /// Of a window between two tensors. A tensor without elements, which no parsed model has, counts as one without pixels:
    /// its dimensions alone could lead anywhere.
    pub const fn new(window: &Window, input: &Tensor, output: &Tensor) -> Self {
        let [a, b, c] = if input.is_empty() { [0; 3] } else { input.shape };
        let [d, e, f] = if output.is_empty() { [0; 3] } else { output.shape };
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

    /// The place in a sample of the element under `tap` (row, column) of window number `pixel`; `None` outside the input.
    pub fn place(&self, pixel: usize, tap: [usize; 2], channel: usize) -> Option<usize> {
        let [height, width, channels] = self.input;
        let [row, column] = [pixel / self.output[1].max(1), pixel % self.output[1].max(1)];
        // Only of a model that nobody parsed can they wrap, on a machine of 32 bits: another place in the input.
        let under = |window: usize, axis: usize| {
            window.wrapping_mul(self.stride[axis]).wrapping_add(tap[axis]).checked_sub(self.before[axis])
        };
        let (row, column) = (under(row, 0)?, under(column, 1)?);
        (row < height && column < width).then(|| (row * width + column) * channels + channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishift_format::{DataType, TensorClass};

    fn image(shape: [u32; 3]) -> Tensor {
        let (data_type, class) = (DataType::I8, TensorClass::Arena);
        Tensor { data_type, class, exponent: 0, shape, offset: 0, first: 0, last: 0 }
    }

    #[test]
    fn places_under_a_window() {
        let window = Window { kernel: [3, 2], stride: [2, 1], padding: [1, 0, 1, 1] };
        let geometry = Geometry::new(&window, &image([5, 4, 3]), &image([3, 4, 7]));
        assert_eq!((geometry.input_len(), geometry.output_len(), geometry.pixels()), (60, 84, 12));
        // Row 1 of windows begins in row 1 of the input, column 2 in column 2.
        assert_eq!(geometry.place(6, [0, 0], 2), Some((4 + 2) * 3 + 2));
        assert_eq!(geometry.place(6, [2, 1], 0), Some((3 * 4 + 3) * 3));
        // Above, left and below the input lie zeros, and right of it.
        assert_eq!(geometry.place(2, [0, 0], 0), None);
        assert_eq!(geometry.place(2, [1, 0], 0), Some(2 * 3));
        assert_eq!(geometry.place(8, [2, 0], 0), None);
        assert_eq!(geometry.place(3, [1, 1], 0), None);
    }

    #[test]
    fn shapes_that_no_parsed_model_has() {
        let largest = u32::MAX;
        for shape in [[largest; 3], [largest, 1, 0], [0, largest, largest], [1 << 16, 1 << 16, 1]] {
            let geometry = Geometry::new(&Window::new([255; 2]), &image(shape), &image(shape));
            assert_eq!((geometry.input_len(), geometry.output_len(), geometry.pixels()), (0, 0, 0), "{shape:?}");
            assert_eq!(geometry.place(usize::MAX, [usize::MAX; 2], 9), None);
        }
        let geometry =
            Geometry { stride: [usize::MAX; 2], ..Geometry::new(&Window::new([1, 1]), &image([4; 3]), &image([4; 3])) };
        for pixel in [0, 15, usize::MAX] {
            // Somewhere in the input or nowhere.
            assert!(geometry.place(pixel, [usize::MAX, 3], 3).is_none_or(|place| place < 64));
        }
    }
}
