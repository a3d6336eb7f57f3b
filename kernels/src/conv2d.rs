//! Convolutions over height and width with ternary or int8 weights, all channels or each for itself.
//!
//! Every element of the output is a row of the matrix on what lies under a window: the product of a
//! [linear layer](crate::linear), with zeros outside the input. Here is one definition for the four of them.

use crate::geometry::Geometry;
use crate::requantize::requantize_one;
use crate::values::Outputs;
use trishift_format::bound::Accumulators;
use trishift_format::trits::DECODE;
use trishift_format::{Bias, Int8Matrix, TernaryMatrix};

/// A convolution, or a depthwise one: `M` is [`TernaryMatrix`] or [`Int8Matrix`].
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a, M = TernaryMatrix<'a>> {
    /// Weights: a row for each channel of the output; columns are the window's rows, its columns and, but in depthwise ones,
    /// the input's channels.
    pub matrix: M,
    /// One int32 per row, in the accumulators' unit.
    pub bias: Option<Bias<'a>>,
    /// The accumulators' unit; per row for int8 outputs, of the layer for int32 ones.
    pub accumulators: Accumulators,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
    /// Sizes.
    pub geometry: Geometry,
}

/// Windows that one unpacking of a group serves.
const BLOCK: usize = 32;

/// Columns of a row that are unpacked at a time: whole groups of any size, and whole bytes.
const PIECE: usize = trishift_format::GroupSize::MAX.next_multiple_of(5);

/// Some neighbouring weights of a row that share an exponent.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) values: &'a [i8],
    pub(crate) exponent: i32,
    /// The column of the first one.
    pub(crate) first: usize,
}

/// What a convolution asks of a matrix.
pub(crate) trait Matrix: Copy {
    fn rows(&self) -> usize;

    /// The unit of a row's accumulator where every row has its own.
    fn unit(&self, row: usize) -> i32;

    /// Calls `f` for all weights of a row.
    fn for_each_piece(&self, row: usize, f: impl FnMut(Piece<'_>));
}

impl Matrix for TernaryMatrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.smallest_exponent())
    }

    fn for_each_piece(&self, row: usize, mut f: impl FnMut(Piece<'_>)) {
        let mut first = 0;
        for group in self.row(row).iter().flat_map(|row| row.groups()) {
            let mut trits = [0; PIECE];
            for (trits, byte) in trits.chunks_exact_mut(5).zip(group.bytes) {
                trits.copy_from_slice(&DECODE[usize::from(*byte)]);
            }
            f(Piece { values: trits.get(..group.len).unwrap_or(&[]), exponent: group.exponent, first });
            first += group.len;
        }
    }
}

impl Matrix for Int8Matrix<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn unit(&self, row: usize) -> i32 {
        self.row(row).map_or(0, |row| row.exponent)
    }

    fn for_each_piece(&self, row: usize, mut f: impl FnMut(Piece<'_>)) {
        let Some(row) = self.row(row) else { return };
        for (index, bytes) in row.values.chunks(PIECE).enumerate() {
            let mut values = [0; PIECE];
            values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = *byte as i8);
            let values = values.get(..bytes.len()).unwrap_or(&[]);
            f(Piece { values, exponent: row.exponent, first: index * PIECE });
        }
    }
}

/// Scalar definition of a convolution; `input` and `output` hold whole samples, as many as they do.
#[cfg(feature = "conv2d")]
pub fn conv2d(layer: &Conv2d<'_>, input: &[i8], output: Outputs<'_>) {
    convolve(layer, input, output, every_channel(&layer.geometry));
}

/// Scalar definition of a convolution with int8 weights.
#[cfg(feature = "int8-conv2d")]
pub fn int8_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], output: Outputs<'_>) {
    convolve(layer, input, output, every_channel(&layer.geometry));
}

/// Scalar definition of a depthwise convolution.
#[cfg(feature = "depthwise-conv2d")]
pub fn depthwise_conv2d(layer: &Conv2d<'_>, input: &[i8], output: Outputs<'_>) {
    convolve(layer, input, output, own_channel(&layer.geometry));
}

/// Scalar definition of a depthwise convolution with int8 weights.
#[cfg(feature = "int8-depthwise-conv2d")]
pub fn int8_depthwise_conv2d(layer: &Conv2d<'_, Int8Matrix<'_>>, input: &[i8], output: Outputs<'_>) {
    convolve(layer, input, output, own_channel(&layer.geometry));
}

/// Where a column of a row looks: the tap of the window, and the channel.
#[cfg(any(feature = "conv2d", feature = "int8-conv2d"))]
fn every_channel(geometry: &Geometry) -> impl Fn(usize, usize) -> ([usize; 2], usize) + use<> {
    let (width, channels) = (geometry.kernel[1].max(1), geometry.input[2].max(1));
    move |_, column| ([column / channels / width, column / channels % width], column % channels)
}

/// The same where each row has a channel of its own.
#[cfg(any(feature = "depthwise-conv2d", feature = "int8-depthwise-conv2d"))]
fn own_channel(geometry: &Geometry) -> impl Fn(usize, usize) -> ([usize; 2], usize) + use<> {
    let width = geometry.kernel[1].max(1);
    move |row, column| ([column / width, column % width], row)
}

/// Scalar definition of a depthwise convolution whose output takes the input's place, which has as many elements. `scratch`
/// holds a byte for each pixel ([`Geometry::pixels`]).
#[cfg(feature = "depthwise-conv2d")]
pub fn depthwise_conv2d_in_place(layer: &Conv2d<'_>, scratch: &mut [i32], data: &mut [i8]) {
    let Geometry { input: [height, width, channels], output: [output_height, output_width, _], .. } = layer.geometry;
    let geometry = Geometry { input: [height, width, 1], output: [output_height, output_width, 1], ..layer.geometry };
    let place = own_channel(&geometry);
    let plane = bytes_of(scratch);
    let Some(plane) = plane.get_mut(..geometry.input_len()) else { return };
    for row in 0..layer.matrix.rows() {
        for sample in data.chunks_exact_mut(layer.geometry.input_len().max(1)) {
            let elements = sample.iter().skip(row).step_by(channels.max(1));
            plane.iter_mut().zip(elements).for_each(|(to, from)| *to = *from);
            convolve_row(
                layer,
                &geometry,
                row,
                plane,
                |column| place(0, column),
                |pixel, sum, shift| {
                    if let Some(output) = sample.get_mut(pixel.wrapping_mul(channels).wrapping_add(row)) {
                        *output = requantize_one(sum, shift, layer.relu);
                    }
                },
            );
        }
    }
}

/// Words as bytes.
#[cfg(feature = "conv2d")]
#[allow(unsafe_code, reason = "words read as bytes")]
pub(crate) fn bytes_of(words: &mut [i32]) -> &mut [i8] {
    // SAFETY: an i8 lies anywhere, and four of any value are a word.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// A convolution whose columns look where `place` says.
fn convolve<M: Matrix>(
    layer: &Conv2d<'_, M>,
    input: &[i8],
    mut output: Outputs<'_>,
    place: impl Fn(usize, usize) -> ([usize; 2], usize),
) {
    let (rows, geometry) = (layer.matrix.rows(), &layer.geometry);
    for row in 0..rows {
        for (index, sample) in input.chunks_exact(geometry.input_len().max(1)).enumerate() {
            convolve_row(
                layer,
                geometry,
                row,
                sample,
                |column| place(row, column),
                |pixel, sum, shift| {
                    // Only of a file that nobody parsed can this wrap: another place, or none.
                    let place = (index * geometry.pixels() + pixel).wrapping_mul(rows).wrapping_add(row);
                    match &mut output {
                        Outputs::I8(output) => {
                            if let Some(output) = output.get_mut(place) {
                                *output = requantize_one(sum, shift, layer.relu);
                            }
                        }
                        Outputs::I32(output) => {
                            if let Some(output) = output.get_mut(place) {
                                *output = sum;
                            }
                        }
                    }
                },
            );
        }
    }
}

/// One row on all windows of a sample: calls `store(pixel, accumulator, requantising shift)`.
fn convolve_row<M: Matrix>(
    layer: &Conv2d<'_, M>,
    geometry: &Geometry,
    row: usize,
    sample: &[i8],
    place: impl Fn(usize) -> ([usize; 2], usize),
    mut store: impl FnMut(usize, i32, i32),
) {
    let Conv2d { matrix, bias, accumulators, .. } = layer;
    let bias = bias.and_then(|bias| bias.get(row)).unwrap_or(0);
    let (unit, shift) = match *accumulators {
        Accumulators::PerRow { scale } => (matrix.unit(row), scale - matrix.unit(row)),
        Accumulators::Layer { exponent } => (exponent, 0),
    };
    for first in (0..geometry.pixels()).step_by(BLOCK) {
        let pixels = first..geometry.pixels();
        let mut sums = [bias; BLOCK];
        matrix.for_each_piece(row, |piece| {
            // In 0..=31 by the int32 bound, but for groups of zeros, whose sum is 0 whatever the shift.
            let shift = (piece.exponent - unit).clamp(0, 31);
            for (pixel, sum) in pixels.clone().zip(&mut sums) {
                let products = piece.values.iter().enumerate().map(|(column, weight)| {
                    let (tap, channel) = place(piece.first + column);
                    let element = geometry.place(pixel, tap, channel).and_then(|place| sample.get(place));
                    i32::from(*weight) * element.map_or(0, |element| i32::from(*element))
                });
                // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
                *sum = sum.wrapping_add(products.sum::<i32>() << shift);
            }
        });
        for (pixel, sum) in pixels.zip(sums) {
            store(pixel, sum, shift);
        }
    }
}
