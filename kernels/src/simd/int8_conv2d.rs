//! Convolutions with int8 weights: windows are gathered, and each row's product with one is a loop over neighbouring bytes.

use crate::Outputs;
use crate::conv2d::Conv2d;
use crate::geometry::Geometry;
use crate::requantize::requantize_one;
use trishift_format::Int8Matrix;
use trishift_format::bound::Accumulators;

/// Most columns of a matrix whose windows are gathered; larger ones go by the definition.
const COLUMNS: usize = 1 << 13;

/// As [`crate::conv2d::int8_conv2d`].
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn int8_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], _: &mut [i32], mut output: Outputs<'_>) {
    let Conv2d { matrix, bias, accumulators, relu, geometry } = layer;
    let mut window = [0; COLUMNS];
    let Some(window) = window.get_mut(..matrix.columns()) else {
        return crate::conv2d::int8_conv2d(layer, input, output);
    };
    for (index, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
        for pixel in 0..geometry.pixels() {
            gather(geometry, sample, pixel, window);
            let first = (index * geometry.pixels() + pixel) * matrix.rows();
            let mut biases = bias.map(|bias| bias.iter());
            for (number, row) in matrix.iter().enumerate() {
                let bias = biases.as_mut().and_then(Iterator::next).unwrap_or(0);
                // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
                let sum = row.values.iter().zip(&*window).fold(0i32, |sum, (weight, element)| {
                    sum.wrapping_add(i32::from(*weight as i8) * i32::from(*element))
                });
                match (&mut output, *accumulators) {
                    (Outputs::I8(output), Accumulators::PerRow { scale }) => {
                        let Some(output) = output.get_mut(first + number) else { return };
                        *output = requantize_one(bias.wrapping_add(sum), scale - row.exponent, *relu);
                    }
                    (Outputs::I32(output), Accumulators::Layer { exponent }) => {
                        let Some(output) = output.get_mut(first + number) else { return };
                        // In 0..=31 by the int32 bound, but for rows of zeros.
                        *output = bias.wrapping_add(sum << (row.exponent - exponent).clamp(0, 31));
                    }
                    _ => return,
                }
            }
        }
    }
}

/// What lies under a window, in the order of a matrix's columns.
#[inline(always)]
fn gather(geometry: &Geometry, sample: &[i8], pixel: usize, window: &mut [i8]) {
    let Geometry { input: [_, width, channels], .. } = *geometry;
    let output_width = geometry.output[1].max(1);
    let rows = geometry.taps(0, pixel / output_width);
    let columns = geometry.taps(1, pixel % output_width);
    window.fill(0);
    for (tap, row) in rows.taps.zip(rows.first..) {
        let to = (tap * geometry.kernel[1] + columns.taps.start) * channels;
        let from = (row * width + columns.first) * channels;
        let length = columns.taps.len() * channels;
        if let (Some(to), Some(from)) = (window.get_mut(to..to + length), sample.get(from..from + length)) {
            to.copy_from_slice(from);
        }
    }
}
