//! Windows: the rectangle that a convolution or a pooling slides over height and width.

use crate::fields::Fields;
use serde::Serialize;

/// A window's size, its steps, and the zeros around the input; height first, then width. A window over a sequence has
/// height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Rows and columns of the window.
    pub kernel: [u8; 2],
    /// Rows and columns from one window to the next.
    pub stride: [u8; 2],
    /// Rows above, columns left, rows below, columns right of the input: each fewer than the window has.
    pub padding: [u8; 4],
}

impl Window {
    /// The window of an operator that has none.
    pub(crate) const NONE: Self = Self { kernel: [0; 2], stride: [0; 2], padding: [0; 4] };

    /// A window without stride and padding.
    pub const fn new(kernel: [u8; 2]) -> Self {
        Self { kernel, stride: [1; 2], padding: [0; 4] }
    }

    /// The window whose output has ⌈input/stride⌉ rows and columns: zeros on both sides, the odd one behind. `None` where
    /// the window itself is not valid.
    pub const fn same(kernel: [u8; 2], stride: [u8; 2], input: [u32; 2]) -> Option<Self> {
        let mut padding = [0; 4];
        let mut axis = 0;
        while axis < 2 {
            if kernel[axis] == 0 || stride[axis] == 0 || input[axis] == 0 {
                return None;
            }
            let outputs = input[axis].div_ceil(stride[axis] as u32) as u64;
            let covered = (outputs - 1) * stride[axis] as u64 + kernel[axis] as u64;
            // Less than the window: the last one begins inside the input.
            let missing = covered.saturating_sub(input[axis] as u64);
            padding[axis] = (missing / 2) as u8;
            padding[axis + 2] = missing.div_ceil(2) as u8;
            axis += 1;
        }
        Some(Self { kernel, stride, padding })
    }

    /// The next fields of a record, in the order in which they stand above.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let mut bytes = [0; 8];
        for byte in &mut bytes {
            *byte = fields.byte();
        }
        let [kernel_height, kernel_width, stride_height, stride_width, padding @ ..] = bytes;
        Self { kernel: [kernel_height, kernel_width], stride: [stride_height, stride_width], padding }
    }

    /// Elements under the window.
    pub const fn area(&self) -> usize {
        self.kernel[0] as usize * self.kernel[1] as usize
    }

    /// Height and width of the output for an input of this height and width; `None` where the window is not valid, does not
    /// fit into the input, or has more places than a dimension can count.
    pub const fn output(&self, input: [u32; 2]) -> Option<[u32; 2]> {
        let mut output = [0; 2];
        let mut axis = 0;
        while axis < 2 {
            let (kernel, stride) = (self.kernel[axis] as u64, self.stride[axis] as u64);
            let (before, behind) = (self.padding[axis] as u64, self.padding[axis + 2] as u64);
            let covered = input[axis] as u64 + before + behind;
            if kernel == 0 || stride == 0 || before >= kernel || behind >= kernel || covered < kernel {
                return None;
            }
            let windows = (covered - kernel) / stride + 1;
            // With zeros on both sides there may be more windows than rows.
            if windows > u32::MAX as u64 {
                return None;
            }
            output[axis] = windows as u32;
            axis += 1;
        }
        Some(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_counted() {
        let window = Window { kernel: [3, 4], stride: [2, 1], padding: [0, 1, 1, 2] };
        assert_eq!(window.output([32, 10]), Some([16, 10]));
        assert_eq!(window.output([2, 1]), Some([1, 1]));
        assert_eq!(window.output([1, 1]), None);
        assert_eq!(Window::new([1, 1]).output([7, 5]), Some([7, 5]));
        assert_eq!(Window { padding: [3, 0, 0, 0], ..window }.output([32, 10]), None);
        assert_eq!(Window { padding: [0, 0, 0, 4], ..window }.output([32, 10]), None);
        assert_eq!(Window { stride: [0, 1], ..window }.output([32, 10]), None);
        assert_eq!(Window::NONE.output([1, 1]), None);
    }

    #[test]
    fn outputs_of_the_largest_images() {
        let window = |kernel: u8, before, behind| Window {
            kernel: [kernel, 1],
            padding: [before, 0, behind, 0],
            ..Window::new([1, 1])
        };
        assert_eq!(window(1, 0, 0).output([u32::MAX, 1]), Some([u32::MAX, 1]));
        assert_eq!(window(255, 127, 127).output([u32::MAX, 1]), Some([u32::MAX, 1]));
        assert_eq!(window(255, 254, 254).output([u32::MAX - 254, 1]), Some([u32::MAX, 1]));
        // One window more than there are numbers, and as many as there can be.
        assert_eq!(window(255, 127, 128).output([u32::MAX, 1]), None);
        assert_eq!(window(255, 254, 254).output([u32::MAX, 1]), None);
        assert_eq!(window(255, 0, 0).output([254, 1]), None);
        assert_eq!(window(255, 0, 0).output([255, 1]), Some([1, 1]));
    }

    #[test]
    fn windows_of_the_same_size_keep_it() {
        for kernel in 1..9 {
            for stride in 1..5 {
                for input in 1..40 {
                    let window = Window::same([kernel; 2], [stride; 2], [input, 49]).unwrap();
                    let expected = [input.div_ceil(stride.into()), 49u32.div_ceil(stride.into())];
                    assert_eq!(window.output([input, 49]), Some(expected), "{window:?}");
                    assert!(window.padding[0] <= window.padding[2] && window.padding[2] - window.padding[0] <= 1);
                }
            }
        }
        // The odd row of zeros lies behind; a window that leaves rows out needs none.
        assert_eq!(Window::same([255, 4], [1, 3], [7, 5]).unwrap().padding, [127, 1, 127, 1]);
        assert_eq!(Window::same([254, 1], [255, 4], [1, 9]).unwrap().padding, [126, 0, 127, 0]);
        assert_eq!(Window::same([255; 2], [255; 2], [1; 2]).unwrap().padding, [127; 4]);
        assert_eq!(Window::same([255; 2], [1; 2], [u32::MAX; 2]).unwrap().padding, [127; 4]);
        // 10 × 4 over 49 × 10 in steps of two, as keyword spotting networks begin.
        assert_eq!(Window::same([10, 4], [2, 2], [49, 10]).unwrap().padding, [4, 1, 5, 1]);
        assert_eq!(Window::same([0, 4], [2, 2], [49, 10]), None);
        assert_eq!(Window::same([10, 4], [2, 0], [49, 10]), None);
        assert_eq!(Window::same([10, 4], [2, 2], [49, 0]), None);
    }
}
