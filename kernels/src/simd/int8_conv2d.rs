//! Convolutions with int8 weights: windows are gathered. Short rows, a first layer's, go side by side, a lane each; the product
//! of a long one with a window is a loop over neighbouring bytes.

use crate::Outputs;
use crate::conv2d::Conv2d;
use crate::geometry::Geometry;
use crate::requantize::{requantize_each, requantize_one};
use trishift_format::Int8Matrix;
use trishift_format::bound::Accumulators;

/// Most columns of a matrix whose windows are gathered; larger ones go by the definition.
const COLUMNS: usize = 1 << 13;

/// Most columns of short rows, and how many rows go side by side: 16 KiB of weights as words.
const SHORT: usize = 256;
const LANES: usize = 16;

/// As [`crate::conv2d::int8_conv2d`].
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn int8_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], _: &mut [i32], output: Outputs<'_>) {
    match layer.matrix.columns() {
        0..=SHORT => short_rows(layer, input, output),
        columns if columns <= COLUMNS => long_rows(layer, input, output),
        _ => crate::conv2d::int8_conv2d(layer, input, output),
    }
}

/// Some rows side by side.
struct Block {
    /// Weights [columns, rows].
    weights: [[i32; LANES]; SHORT],
    biases: [i32; LANES],
    exponents: [i32; LANES],
}

impl Block {
    /// Rows from `first` on.
    #[inline(always)]
    fn new(layer: &Conv2d<'_, Int8Matrix<'_>>, first: usize) -> Self {
        let mut block = Self { weights: [[0; LANES]; SHORT], biases: [0; LANES], exponents: [0; LANES] };
        for lane in 0..LANES {
            let Some(row) = layer.matrix.row(first + lane) else { break };
            block.exponents[lane] = row.exponent;
            block.biases[lane] = layer.bias.and_then(|bias| bias.get(first + lane)).unwrap_or(0);
            for (column, weight) in block.weights.iter_mut().zip(row.values) {
                column[lane] = i32::from(*weight as i8);
            }
        }
        block
    }

    /// The rows' products with a window.
    #[inline(always)]
    fn multiply(&self, window: &[i8]) -> [i32; LANES] {
        let mut sums = [0i32; LANES];
        for (column, element) in self.weights.iter().zip(window) {
            // Opaque, so that compilers take the lanes for vectors, and not the columns of all lanes.
            let element = core::hint::black_box(i32::from(*element));
            // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
            for (sum, weight) in sums.iter_mut().zip(column) {
                *sum = sum.wrapping_add(weight.wrapping_mul(element));
            }
        }
        sums
    }
}

#[inline(always)]
fn short_rows(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], mut output: Outputs<'_>) {
    let Conv2d { matrix, accumulators, relu, geometry, .. } = layer;
    let (rows, mut window) = (matrix.rows(), [0; SHORT]);
    let Some(window) = window.get_mut(..matrix.columns()) else { return };
    for first in (0..rows).step_by(LANES) {
        let block = Block::new(layer, first);
        let lanes = LANES.min(rows - first);
        for (index, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            for pixel in 0..geometry.pixels() {
                gather(geometry, sample, pixel, window);
                let sums = block.multiply(window);
                let place = (index * geometry.pixels() + pixel) * rows + first;
                let of_rows = block.biases.iter().zip(&block.exponents).zip(sums);
                match (&mut output, *accumulators) {
                    (Outputs::I8(output), Accumulators::PerRow { scale }) => {
                        let Some(output) = output.get_mut(place..place + lanes) else { return };
                        let mut values = [0; LANES];
                        for (value, ((bias, exponent), sum)) in values.iter_mut().zip(of_rows) {
                            *value = requantize_each(bias.wrapping_add(sum), scale - exponent, *relu);
                        }
                        output.copy_from_slice(values.get(..lanes).unwrap_or(&[]));
                    }
                    (Outputs::I32(output), Accumulators::Layer { exponent: unit }) => {
                        let Some(output) = output.get_mut(place..place + lanes) else { return };
                        for (output, ((bias, exponent), sum)) in output.iter_mut().zip(of_rows) {
                            // In 0..=31 by the int32 bound, but for rows of zeros.
                            *output = bias.wrapping_add(sum << (exponent - unit).clamp(0, 31));
                        }
                    }
                    _ => return,
                }
            }
        }
    }
}

#[inline(always)]
fn long_rows(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], mut output: Outputs<'_>) {
    let Conv2d { matrix, bias, accumulators, relu, geometry } = layer;
    let mut window = [0; COLUMNS];
    let Some(window) = window.get_mut(..matrix.columns()) else { return };
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
