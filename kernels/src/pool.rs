//! Pooling: the largest or the mean element under a window, channel by channel.

use crate::geometry::Geometry;
#[cfg(feature = "avg-pool")]
use crate::requantize::requantize_one;

/// Scalar definition of the largest element; what lies outside the input takes no part.
#[cfg(feature = "max-pool")]
#[inline(always)]
pub fn max_pool(geometry: &Geometry, input: &[i8], output: &mut [i8]) {
    for_each_window(geometry, input, output, |output, window| {
        output.fill(i8::MIN);
        window.for_each_pixel(|channels| {
            for (output, element) in output.iter_mut().zip(channels) {
                *output = (*output).max(*element);
            }
        });
    });
}

/// Channels whose sums are held at a time.
#[cfg(feature = "avg-pool")]
const CHANNELS: usize = 64;

/// Scalar definition of the mean: the sum, requantised by `shift` ([`mean_shift`]). What lies outside the input counts
/// as 0.
#[cfg(feature = "avg-pool")]
#[inline(always)]
pub fn avg_pool(geometry: &Geometry, shift: i32, input: &[i8], output: &mut [i8]) {
    for_each_window(geometry, input, output, |output, window| {
        for (block, output) in output.chunks_mut(CHANNELS).enumerate() {
            let mut sums = [0i32; CHANNELS];
            window.for_each_pixel(|channels| {
                // At most 2^16 elements of 2^7.
                for (sum, element) in sums.iter_mut().zip(channels.get(block * CHANNELS..).unwrap_or(&[])) {
                    *sum += i32::from(*element);
                }
            });
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = requantize_one(sum, shift, false);
            }
        }
    });
}

/// The shift that makes the sum of `area` elements their mean, between tensors of these exponents: round(log2 area) and
/// their distance.
#[cfg(feature = "avg-pool")]
pub const fn mean_shift(area: usize, input_exponent: i32, output_exponent: i32) -> i32 {
    // log2 area rounds up from √2 on: ⌊log2(2·area²)⌋ / 2.
    let square = 2 * (area as u64) * (area as u64);
    let logarithm = if square == 0 { 0 } else { square.ilog2() as i32 / 2 };
    logarithm + output_exponent - input_exponent
}

/// Calls `f(channels of an output pixel, what lies under its window)`.
#[inline(always)]
fn for_each_window(geometry: &Geometry, input: &[i8], output: &mut [i8], mut f: impl FnMut(&mut [i8], &Under<'_>)) {
    let [_, width, channels] = geometry.input;
    let samples = input.chunks_exact(geometry.input_len().max(1));
    for (sample, output) in samples.zip(output.chunks_exact_mut(geometry.output_len().max(1))) {
        let mut pixels = output.chunks_exact_mut(channels.max(1));
        for row in 0..geometry.output[0] {
            let rows = span(row, 0, geometry);
            for column in 0..geometry.output[1] {
                let Some(pixel) = pixels.next() else { return };
                let columns = span(column, 1, geometry);
                f(pixel, &Under { sample, rows: rows.clone(), columns, width, channels });
            }
        }
    }
}

/// The input's rows, or columns, under a window.
fn span(window: usize, axis: usize, geometry: &Geometry) -> core::ops::Range<usize> {
    // Only of a file that nobody parsed can these wrap, on a machine of 32 bits: another range, or none.
    let start = window.wrapping_mul(geometry.stride[axis]);
    let inside = |place: usize| place.saturating_sub(geometry.before[axis]).min(geometry.input[axis]);
    inside(start)..inside(start.wrapping_add(geometry.kernel[axis]))
}

/// The pixels of the input under a window.
struct Under<'a> {
    sample: &'a [i8],
    rows: core::ops::Range<usize>,
    columns: core::ops::Range<usize>,
    width: usize,
    channels: usize,
}

impl Under<'_> {
    /// Calls `f` with the channels of each pixel.
    #[inline(always)]
    fn for_each_pixel(&self, mut f: impl FnMut(&[i8])) {
        for row in self.rows.clone() {
            let row = row * self.width;
            let range = (row + self.columns.start) * self.channels..(row + self.columns.end) * self.channels;
            for pixel in self.sample.get(range).unwrap_or(&[]).chunks_exact(self.channels.max(1)) {
                f(pixel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry =
        Geometry { input: [2, 3, 2], output: [2, 2, 2], kernel: [2, 2], stride: [1, 2], before: [0, 1] };

    /// Two channels: 1 to 6 row by row, and their negatives.
    const INPUT: [i8; 12] = [1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6];

    #[cfg(feature = "max-pool")]
    #[test]
    fn the_largest_element_inside() {
        let mut output = [0; 8];
        max_pool(&GEOMETRY, &INPUT, &mut output);
        // Windows: {1, 4}, {2, 3, 5, 6}, {4}, {5, 6}.
        assert_eq!(output, [4, -1, 6, -2, 4, -4, 6, -5]);
    }

    #[cfg(feature = "avg-pool")]
    #[test]
    fn the_mean_with_zeros_outside() {
        let mut output = [0; 8];
        avg_pool(&GEOMETRY, mean_shift(4, -5, -5), &INPUT, &mut output);
        // Sums 5, 16, 4, 11 by 4, halves up.
        assert_eq!(output, [1, -1, 4, -4, 1, -1, 3, -3]);
    }

    #[cfg(feature = "avg-pool")]
    #[test]
    fn shifts_are_rounded_logarithms() {
        for area in 1..=255 * 255usize {
            let exact = (area as f64).log2().round() as i32;
            assert_eq!(mean_shift(area, -5, -5), exact, "{area}");
        }
        assert_eq!(mean_shift(64, -5, -7), 4);
    }
}
