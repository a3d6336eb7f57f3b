//! Shapes of images on a card, and windows over them as kernels read them.

use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid};
use crate::backend::cuda::extent::padded;
use trishift_format::Window;
use trishift_kernels::pool::mean_shift;

/// Channels that a thread takes.
pub const CHUNK: usize = 8;

/// Threads of a block that takes chunks of a sample.
const THREADS: usize = 256;

/// Most blocks in y.
pub(super) const MOST_BLOCKS: usize = 65_535;

/// Height, width and channels of a sample's image; on a card channels are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image(pub [usize; 3]);

impl Image {
    /// Pixels.
    pub const fn pixels(self) -> usize {
        self.0[0] * self.0[1]
    }

    /// Channels.
    pub const fn channels(self) -> usize {
        self.0[2]
    }

    /// Values from one pixel to the next.
    pub const fn pitch(self) -> usize {
        padded(self.0[2])
    }

    /// Values without padding.
    pub const fn elements(self) -> usize {
        self.0[0] * self.0[1] * self.0[2]
    }

    /// Values with padding.
    pub const fn len(self) -> usize {
        self.pixels() * self.pitch()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether all values of a sample follow each other as one row with padding behind them: as a linear layer reads them.
    pub const fn is_row(self) -> bool {
        self.pixels() == 1 || self.pitch() == self.channels()
    }
}

/// Blocks for a kernel whose threads take `work` parts of each of `samples` samples.
///
/// # Errors
/// [`CudaError::Unsupported`] where a sample is too large.
pub fn sample_grid(samples: usize, work: usize) -> Result<Grid, CudaError> {
    let stretches = work.div_ceil(THREADS);
    if stretches > MOST_BLOCKS {
        return Err(CudaError::Unsupported { what: "an image of more than 134 million values" });
    }
    Ok(Grid { blocks: [samples as u32, stretches as u32], threads: THREADS as u32, shared: 0 })
}

/// A window over the images of a batch: `Windows` of the kernels, in the card's memory.
#[derive(Debug)]
pub struct Windows {
    /// Of the input.
    pub input: Image,
    /// Of the output.
    pub output: Image,
    /// Its size.
    pub window: Window,
    fields: Buffer<i32>,
}

impl Windows {
    /// A window over images. `matrix_pitch` values follow each other in a row of the matrix of windows, or of the weights.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn new(
        card: &Card,
        window: Window,
        input: Image,
        output: Image,
        matrix_pitch: usize,
    ) -> Result<Self, CudaError> {
        Self::build(card, window, [input, output], matrix_pitch, 0)
    }

    /// A window whose means keep so many binary digits more than their inputs.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn of_means(
        card: &Card,
        window: Window,
        input: Image,
        output: Image,
        extra_bits: u8,
    ) -> Result<Self, CudaError> {
        Self::build(card, window, [input, output], 0, extra_bits)
    }

    fn build(
        card: &Card,
        window: Window,
        [input, output]: [Image; 2],
        matrix_pitch: usize,
        extra_bits: u8,
    ) -> Result<Self, CudaError> {
        let [height, width, channels] = input.0;
        let [rows, columns, _] = output.0;
        let shift = mean_shift(window.area(), 0, -i32::from(extra_bits));
        let sizes = [height, width, channels, input.pitch(), rows, columns].map(|size| size as i32);
        let of_window = [window.kernel, window.stride, [window.padding[0], window.padding[1]]];
        let divisors = [
            width,
            columns,
            channels,
            usize::from(window.kernel[1]),
            input.pitch() / CHUNK,
            (matrix_pitch / CHUNK).max(1),
        ];
        let mut fields = sizes.to_vec();
        fields.extend(of_window.iter().flatten().map(|size| i32::from(*size)));
        fields.extend([matrix_pitch as i32, shift]);
        fields.extend(divisors.iter().flat_map(|divisor| Divisor::new(*divisor as u32).fields()));
        Ok(Self { input, output, window, fields: card.upload("a window's sizes", &fields)? })
    }

    /// Where kernels find it.
    pub fn fields(&self) -> &Buffer<i32> {
        &self.fields
    }

    /// Elements under the window.
    pub fn taps(&self) -> usize {
        self.window.area()
    }
}

/// What divides numbers below 2^31 by multiplication and shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Divisor {
    multiplier: u32,
    shift: u32,
    value: u32,
}

impl Divisor {
    fn new(value: u32) -> Self {
        let value = value.max(1);
        // The smallest power of two that is not below the value, and 2^31 times it: its quotient fits 32 bits.
        let shift = 31 + (u32::BITS - (value - 1).leading_zeros());
        Self { multiplier: (1u64 << shift).div_ceil(u64::from(value)) as u32, shift, value }
    }

    fn fields(self) -> [i32; 3] {
        [self.multiplier, self.shift, self.value].map(|field| field as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_exact_below_2_to_the_31() {
        let quotient = |divisor: Divisor, number: u32| {
            ((u64::from(number) * u64::from(divisor.multiplier)) >> divisor.shift) as u32
        };
        for value in (1..3000).chain([65_535, 65_536, 65_537, (1 << 30) - 1, 1 << 30, (1 << 31) - 1]) {
            let divisor = Divisor::new(value);
            let near = [0, 1, value - 1, value, value + 1, value / 3 * 2, (1 << 31) - 1, (1 << 31) - 2, 1_234_567_890];
            for number in near.into_iter().filter(|number| *number < 1 << 31) {
                assert_eq!(quotient(divisor, number), number / value, "{number}/{value}");
            }
            // Where an error would show first: just below the largest multiple.
            let largest = ((1u32 << 31) - 1) / value * value;
            assert_eq!(quotient(divisor, largest - 1), (largest - 1) / value, "{value}");
        }
    }

    #[test]
    fn rows_of_linear_layers_have_no_gaps() {
        assert!(Image([1, 1, 10]).is_row() && Image([4, 4, 32]).is_row() && !Image([2, 1, 10]).is_row());
        assert_eq!((Image([2, 3, 10]).len(), Image([2, 3, 10]).elements()), (96, 60));
    }
}
